//! The supervisor of one step attempt: a process of its own, single-threaded, without runtime. Owns the step's log and its verdict.
//!
//! It uses `base` and `domain` only, so that it starts in milliseconds and outlives any engine.

pub mod contain;
pub mod secrets;
