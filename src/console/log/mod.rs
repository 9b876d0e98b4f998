//! The log screen's own part: what it asks for, the window of lines that it holds, and lines as cells. Its keys are in `update::log`, its
//! view in `view::log`; `edge::log` talks to the engine.
//!
//! However long a log is, the console holds at most 16 MiB of it, answers under way included.

pub mod line;
pub mod order;
pub mod search;
pub mod state;
pub mod window;

#[cfg(test)]
mod tests;

pub use order::{Ask, Got, Lane, Order, Told};
pub use state::LogScreen;
