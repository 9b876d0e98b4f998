//! Yum repositories, on disk or over HTTP, read into domain types. Reads only, but for the tree's own file operations that `mirror/*` uses.

pub mod deps;
pub mod digest;
pub mod disk;
pub mod inventory;
pub mod links;
pub mod list;
pub mod origin;
pub mod owner;
pub mod probe;
pub mod read;
pub mod snapshots;
pub mod tree;
pub mod walk;

pub use origin::Origin;
pub use read::{RepoAt, read_set};
pub use tree::{Tree, TreeError};

use crate::wire::{HttpError, WireError};

/// Why a repository could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RepoError {
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("{at}: {source}")]
    Wire { at: String, source: WireError },
    #[error("{file} does not match its checksum: expected {expected}, got {got}")]
    Checksum { file: String, expected: String, got: String },
    #[error("{at}: checksums of kind `{algorithm}` are not supported (known: sha256, sha512, sha384, sha224, sha1)")]
    Algorithm { at: String, algorithm: String },
    #[error("{at}: there is no repository here: repodata/repomd.xml is missing")]
    Absent { at: String },
    /// A directory of a mount whose server is gone, as a rule.
    #[error("{at}: its file system hangs: no answer within {} s", .after.as_secs())]
    Hangs { at: String, after: std::time::Duration },
    #[error("{0}")]
    Address(String),
}
