//! `mirror/sync`: brings a yum repository's tree up to its upstream so that a reader, at any moment, finds a whole repository.
//!
//! What is served changes only in `publish`: packages and hash-named metadata first, `repomd.xml` last, by rename. Until then everything
//! lies under `.quarterdeck/`, so that a failure or a kill leaves the served tree as it was. The previous cycle's files stay for one
//! more cycle, for clients that still hold its `repomd.xml`.
//!
//! A name that readers may still ask for never gets other bytes: what upstream publishes under the same name lies in a directory of its
//! checksum, and the package list that is served says so (`places`).

mod attempt;
mod book;
mod build;
mod carry;
mod crowd;
mod fetch;
pub(super) mod gc;
mod guard;
mod listing;
mod offer;
mod options;
pub(super) use options::credentials;
pub(super) mod look;
mod lost;
pub(super) mod overlay;
mod packages;
mod places;
mod publish;
mod refs;
mod root;
mod signature;
pub(super) mod snapshot;
mod splice;
mod state;
pub(super) mod switch;
pub(super) mod sync;
pub(super) mod verify;

use super::error::StepError;
use super::report::Report;
use crate::systems::repo::owner::OwnerError;
use crate::systems::repo::{Tree, TreeError};
use crate::wire::address;
use crate::wire::http::Client;
use options::Options;
use state::State;

/// What all parts of one sync share.
pub(super) struct Sync {
    pub tree: Tree,
    pub client: Client,
    pub options: Options,
    pub report: Report,
}

/// How a sync ended.
pub(super) struct Outcome {
    pub state: State,
    /// Nothing that is served was touched, but perhaps the signature around it.
    pub unchanged: bool,
    pub downloaded: u64,
    pub downloaded_bytes: u64,
    pub new: u64,
    pub gone: u64,
    /// Address that served the metadata, for people.
    pub from: String,
}

impl Sync {
    /// The address of an upstream, for people.
    pub fn shown(&self, index: usize) -> String {
        self.options.urls.get(index).map(address::shown).unwrap_or_default()
    }
}

/// The wall clock.
fn now_seconds() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(0))
}

/// What to do about a tree that cannot be where it was asked for.
const PATH: &str = "give the path of a directory, or of one that can be made: every part above it must be a directory";

impl From<TreeError> for StepError {
    fn from(e: TreeError) -> Self {
        match &e {
            TreeError::Link { .. } => {
                Self::refused(e.to_string(), "find out who put the link there and remove it, or give the real directory")
            }
            TreeError::NotAFile { .. } => Self::refused(e.to_string(), "find out who put it there and remove it"),
            TreeError::Io { kind: std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded, .. } => {
                Self::failed(e.to_string(), "free space or inodes, then retry: what is downloaded is kept, the served tree is untouched")
            }
            TreeError::Io { kind: std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem, .. } => {
                Self::failed(e.to_string(), "give the engine's user write access to the tree")
            }
            TreeError::Io { kind: std::io::ErrorKind::CrossesDevices, .. } => Self::refused(
                format!("{e}: a part of the tree is on another file system"),
                "a tree is on one file system with its .quarterdeck, or nothing in it can change by a rename: findmnt shows what is mounted in it",
            ),
            TreeError::Io { kind: std::io::ErrorKind::NotADirectory, .. } => Self::input(e.to_string(), PATH),
            TreeError::Io { kind: std::io::ErrorKind::NotFound, what: "make directory", .. } => Self::input(e.to_string(), PATH),
            TreeError::Io { .. } => Self::failed(e.to_string(), "look at the disk (dmesg), then retry: the served tree is untouched"),
        }
    }
}

impl From<OwnerError> for StepError {
    fn from(e: OwnerError) -> Self {
        match e {
            OwnerError::Tree(e) => e.into(),
            OwnerError::Busy { .. } => Self::refused(e.to_string(), "wait until that one ends, or cancel it: quarterdeck get runs"),
            OwnerError::Foreign { .. } => Self::refused(
                e.to_string(),
                "every tree has one writer: choose another dest, or, if that writer is gone for good, remove its mark (.quarterdeck/owner or .origin/)",
            ),
        }
    }
}
