//! The terminal: put in order and put back, written to in one piece a frame, read as keys.

pub mod guard;
pub mod keys;
pub mod paint;
