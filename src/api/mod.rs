//! Floor 4: the protocol between clients and the engine: its types, and the client. HTTP + JSON over a Unix socket.

pub mod client;
pub mod diff;
pub mod diff_part;
pub mod error;
pub mod log;
pub mod order;
pub mod page;
pub mod repo;
pub mod sealed;
pub mod socket;
pub mod types;

pub use client::Client;
pub use error::{ApiError, Code};
pub use sealed::Sealed;
