//! The logs of attempts, finished or live, plain or packed: pages by line, offset and time, search, following, packing, the first error.
//! Written by `shim`; `Log` is the one way to read one.

pub mod care;
mod extra;
mod first_error;
pub mod follow;
pub mod grep;
pub mod pack;
mod packed;
pub mod read;
mod source;
mod times;
