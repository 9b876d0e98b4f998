//! What can go wrong in the demo room, in words that say what to do next.

use std::io;
use std::path::{Path, PathBuf};

/// Errors of the demo estate. `exit_code` gives the command line's number for each.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory belongs to something else.
    #[error("{} is not empty and was not made by the demo (there is no file {MARK} in it): nothing was touched", dir.display(), MARK = super::places::MARK)]
    NotOurs { dir: PathBuf },
    /// `advance` where no demo ever was.
    #[error("there is no demo estate in {}", dir.display())]
    NoEstate { dir: PathBuf },
    /// The estate stands and was made from another seed.
    #[error("the demo estate in {} was made with seed {have}, not {asked}", dir.display())]
    OtherSeed { dir: PathBuf, have: u64, asked: u64 },
    /// Another process holds the estate.
    #[error("{what} is running in {}{holder}", dir.display())]
    Busy { dir: PathBuf, what: &'static str, holder: String },
    /// What was promoted before the demo began could not be made.
    #[error("the demo's past could not be made: {why}")]
    Past { why: String },
    /// The mark file is there and is not one.
    #[error("{}: {why}", path.display())]
    Damaged { path: PathBuf, why: String },
    /// A file operation failed.
    #[error("{what} {}: {source}", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    /// A package could not be built.
    #[error("building the package {name}: {source}")]
    Rpm { name: String, source: Box<rpm::Error> },
    /// No port of the loopback address could be had.
    #[error("listening on {addr}: {source}")]
    Listen { addr: String, source: io::Error },
}

impl Error {
    /// The exit code of the command line: 4 refused, 3 no estate, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotOurs { .. } | Self::Busy { .. } | Self::OtherSeed { .. } | Self::Damaged { .. } => 4,
            Self::NoEstate { .. } => 3,
            _ => 1,
        }
    }

    /// What to do about it; empty where nothing can be advised.
    pub fn help(&self) -> String {
        match self {
            Self::NotOurs { .. } => "name an empty or new directory with --state-dir".into(),
            Self::NoEstate { .. } => "start one with `quarterdeck demo`, or name its directory with --state-dir".into(),
            Self::OtherSeed { asked, .. } => {
                format!("`quarterdeck demo --fresh --seed {asked}` removes it and starts over; without --seed it goes on")
            }
            Self::Busy { .. } => "end it first, or give another directory with --state-dir".into(),
            Self::Damaged { .. } => "if nothing in the directory is of value, remove it and start the demo again".into(),
            Self::Io { .. } => "is the disk full, or the directory another user's?".into(),
            Self::Past { .. } => "the demo goes on without it; `demo --fresh` tries again".into(),
            Self::Rpm { .. } | Self::Listen { .. } => String::new(),
        }
    }

    /// Wraps an I/O error with what was being done, and to what.
    pub fn io<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { what, path: path.to_owned(), source }
    }
}
