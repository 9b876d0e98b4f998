//! The terminal: put in order and put back, written to in one piece a frame, read as keys.

pub mod attention;
pub mod clip;
pub mod guard;
pub mod keys;
pub mod links;
pub mod pace;
pub mod paint;
#[cfg(test)]
mod paint_tests;
mod pen;
pub mod probe;
pub mod signals;
pub mod tty;
