//! Why the command of an attempt is not run: refused, so that the engine may start again, or with a verdict.

use std::io;

use crate::domain::attempt::EndedBy;

/// The command did not run, and nothing says that it did: the engine may start again.
pub struct Refused {
    pub why: String,
    /// The disk is full, in bytes or in inodes.
    pub no_room: bool,
}

impl Refused {
    pub fn because(why: impl Into<String>) -> Self {
        Self { why: why.into(), no_room: false }
    }
}

/// What could not be done, from the error of the machine.
pub fn refuse<'a>(what: &'a str) -> impl FnOnce(io::Error) -> Refused + 'a {
    move |e| Refused { why: format!("{what}: {e}"), no_room: matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) }
}

/// Why the command is not run.
pub enum NotRun {
    Refused(Refused),
    /// This is the end of the attempt.
    Verdict(EndedBy, String),
}

impl From<Refused> for NotRun {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}
