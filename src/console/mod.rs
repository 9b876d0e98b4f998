//! Floor 7: the full-screen console: a pure client of the engine. It holds no credentials, changes nothing by itself, and may die at any moment.
//!
//! `model` is what is known, `update` the only code that changes it (pure: messages in, effects out), `view` and `widget` draw it (pure:
//! model in, cells out). `edge` carries out what `update` orders, `term`, `session` and `run` are terminal and event loop. `shot` draws one frame
//! without a terminal, `svg` makes a picture of it, `themes` finds a look by its name.

pub mod cli_line;
pub mod command;
mod ears;
pub mod edge;
pub mod edit;
pub mod form;
pub mod keyfile;
pub mod keymap;
pub mod log;
pub mod model;
pub mod msg;
pub mod pointer;
pub mod question;
pub mod restore;
pub mod rhythm;
pub mod run;
pub mod saved;
mod session;
pub mod shot;
pub mod svg;
pub mod term;
pub mod themes;
pub mod update;
pub mod view;
pub mod views;
pub mod watch;
#[cfg(test)]
mod whole;
pub mod widget;

pub use model::{Model, Site};
pub use update::update;
