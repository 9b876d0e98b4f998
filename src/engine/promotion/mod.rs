//! Promotions in the engine: what people ask for, judged and written; the plan, computed; the driver that goes on by itself; the documents.

mod acts;
mod additions;
mod back;
pub mod blast;
pub mod board;
mod check;
mod closed;
pub mod compute;
pub mod doc;
pub mod driver;
pub mod evidence;
pub mod holds;
mod logs;
mod look;
mod oob;
pub mod permit;
mod regress;
mod roots;
pub mod save;
mod tar;
#[cfg(test)]
mod tests;
pub mod texts;
mod wish;

pub use acts::perform;
pub use check::check;
pub use wish::{Wish, confirm_name, find, translated};
