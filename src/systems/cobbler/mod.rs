//! Cobbler 3.3 over XML-RPC: what it answers in words of ours, and every trap of its protocol in one place.
//!
//! Reads need no login there, and show passwords in clear: they are dropped while the answer is read. `complete` of a task means that
//! it ended, not that it worked. No error carries what was answered.

mod client;
mod error;
mod events;
mod known;
mod reader;
mod records;
mod tasklog;

pub use client::{Cobbler, Server};
pub use error::CobblerError;
pub use events::{Event, TaskState, event, events};
pub use records::{Distro, NONE, Profile, Repo, Settings, distro, is_secret, profile, repo, settings};
pub use tasklog::{Ended, TaskLog, own_lines, read_log};

#[cfg(test)]
mod tests;
