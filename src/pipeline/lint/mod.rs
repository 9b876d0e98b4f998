//! Everything that is wrong with a typed file beyond its form: names that lead nowhere, orders that cannot be, retries that do harm.

mod approve;
pub(crate) mod builds;
mod clock;
mod in_vain;
mod inputs;
mod locks;
mod notify;
mod order;
mod outputs;
mod refs;
mod safety;
mod secrets;
mod shadow;
pub mod shell;
mod texts;
mod twice;

use super::catalog::Catalog;
use super::diagnostic::Sink;
use super::model::File;

/// Reports into `sink`. Pure: nothing is looked up outside file and catalogue.
pub fn lint(file: &File, catalog: &Catalog, sink: &mut Sink<'_>) {
    if !order::lint(file, catalog, sink) {
        return;
    }
    refs::lint(file, catalog, sink);
    approve::lint(file, catalog, sink);
    clock::lint(file, catalog, sink);
    in_vain::lint(file, sink);
    inputs::lint(file, sink);
    builds::lint(file, catalog, sink);
    twice::lint(file, sink);
    shadow::lint(file, sink);
    safety::lint(file, sink);
    shell::lint(file, sink);
}
