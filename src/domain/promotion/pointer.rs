//! Where a pointer of a datacentre leads.

use serde::{Deserialize, Serialize};

/// Where a pointer leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", content = "at", rename_all = "kebab-case")]
pub enum Led {
    /// There is no such pointer yet.
    Nothing,
    /// A plain directory: the first switch adopts it.
    Directory,
    /// A snapshot of this root.
    Snapshot(String),
    /// Somewhere else.
    Other(String),
    /// It cannot be read: the reason is in the facts, and this equals nothing.
    Unknown,
}

impl Led {
    pub fn snapshot(&self) -> Option<&str> {
        match self {
            Self::Snapshot(id) => Some(id),
            _ => None,
        }
    }

    pub fn words(&self) -> &str {
        match self {
            Self::Nothing => "nothing",
            Self::Directory => "a plain directory",
            Self::Snapshot(id) | Self::Other(id) => id,
            Self::Unknown => "unknown",
        }
    }
}
