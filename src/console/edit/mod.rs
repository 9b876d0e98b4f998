//! Text that is typed: one line of a prompt or a form, and the text of a pipeline with what is found in it. Both stand on the text-editing
//! widget. `edge` reads and writes files; all else is pure.

pub mod desk;
pub mod diff;
pub mod drafts;
pub mod editor;
pub mod find;
pub mod judge;
pub mod line;
pub mod order;
pub mod page;
mod strokes;
pub mod syntax;

pub use desk::Desk;
pub use line::Line;
pub use order::{Ask, Got, Order, Told};
pub use page::Page;
