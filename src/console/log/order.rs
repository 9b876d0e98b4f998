//! What the log screen asks for, as data, and what comes back. Each lane carries one thing at a time: a new order ends the one before.

use crate::api::ApiError;
use crate::api::log::{AttemptsDoc, LogLine, LogPage};
use crate::domain::run::RunRef;

/// The engine holds a question about a live log so long, in seconds.
pub const HOLD_S: u64 = 20;

/// What an order is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// A page that is looked at next.
    Page,
    /// What the step writes from now on.
    Follow,
    /// The engine's search.
    Search,
    /// First errors, for which the engine may have to read whole logs.
    Errors,
    /// Into a file.
    Save,
}

/// One order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub lane: Lane,
    /// Comes back with each answer; answers to an older order are dropped.
    pub id: u64,
    pub ask: Ask,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    Page {
        path: String,
    },
    /// Hits; with `lines` the lines themselves, else where they begin.
    Search {
        path: String,
        lines: bool,
    },
    Errors {
        path: String,
    },
    /// The whole log of an attempt into a new file.
    Save {
        run: RunRef,
        fence: u64,
        to: String,
    },
    /// What is under way in this lane is not wanted any more.
    Stop,
}

/// An answer, or a part of one.
#[derive(Debug)]
pub struct Told {
    pub lane: Lane,
    pub id: u64,
    pub got: Got,
}

#[derive(Debug)]
pub enum Got {
    Page(Box<LogPage>),
    Attempts(Box<AttemptsDoc>),
    Hits(Vec<u64>),
    Lines(Vec<LogLine>),
    /// Everything before this offset was searched, or saved.
    Reached(u64),
    /// The search is through with what there was.
    End {
        next: u64,
        complete: bool,
    },
    Saved {
        path: String,
        bytes: u64,
    },
    Failed(ApiError),
}

/// The bytes of hexadecimal digits, which the engine writes in pairs.
pub fn unhex(digits: &str) -> Vec<u8> {
    let value = |d: u8| (d as char).to_digit(16).unwrap_or(0) as u8;
    digits.as_bytes().chunks_exact(2).map(|p| value(p[0]) << 4 | value(p[1])).collect()
}
