//! Reading the logs of attempts, finished or live: pages by line, offset and time, search, following. Written by `shim`.

pub mod follow;
pub mod grep;
pub mod read;
