//! The one registry of keys: what may stand where, of which type, and what it means. The reader's checks, did-you-mean,
//! `explain` and the JSON Schema are all derived from it; nothing else lists keys.

mod check;
pub mod explain;
pub mod json;
pub mod keys;
mod scalar;
mod ty;

pub use check::check;
pub use scalar::{MAX_SEARCHES, moment, retry_on, scalar, search};
pub(crate) use scalar::{integer, regex_of};
pub use ty::{Context, Key, Status, Ty};

/// Every context, from the file down, each once.
pub fn contexts() -> Vec<&'static Context> {
    let mut all: Vec<&'static Context> = vec![&keys::FILE];
    let mut i = 0;
    while i < all.len() {
        let context = all[i];
        let free = context.free.map(|(_, value, _)| value);
        for c in context.keys.iter().map(|k| k.ty).chain(free).flat_map(Ty::contexts) {
            if !all.iter().any(|known| known.name == c.name) {
                all.push(c);
            }
        }
        i += 1;
    }
    all
}
