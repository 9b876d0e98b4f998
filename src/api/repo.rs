//! `GET /v1/repos/NAME`: what stands around one repository, for the screen of mirrors: what its places held and when, its syncs, snapshots, room on
//! the disks, and who uses it. Times are RFC 3339 UTC.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The whole answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RepoDoc {
    pub repo: String,
    /// What its places were seen to hold, newest first; a row only where something was new.
    pub history: Vec<SeenDoc>,
    /// The newest runs of the pipeline that writes it, newest first.
    pub syncs: Vec<SyncDoc>,
    /// Of its good runs; null where there is none.
    pub usual_ms: Option<u64>,
    /// Snapshots that hold it, newest first.
    pub snapshots: Vec<SnapshotDoc>,
    pub space: Vec<SpaceDoc>,
    /// The pipeline that takes a snapshot of it and does nothing else; null where there is none.
    #[serde(default)]
    pub snapshots_by: Option<String>,
    pub used_by: Vec<UseDoc>,
    /// What places said in place of what they were asked for; one entry for each that is in trouble.
    #[serde(default)]
    pub answers: Vec<AnswerDoc>,
    /// What nobody can say, and what would.
    pub unknown: Vec<String>,
    /// Rows of `get holds` that count now: additions to it, and holds of its OS.
    pub holds: Vec<Map<String, Value>>,
}

/// The answer of a place in trouble, to the last look at it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AnswerDoc {
    pub place: String,
    /// The address that was asked.
    pub at: String,
    /// What was wrong.
    pub why: String,
    /// The head and the beginning of the body, line by line, without values of secrets; empty where no answer came.
    pub raw: Vec<String>,
}

/// A content that a place was seen to have.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SeenDoc {
    pub at: String,
    /// `upstream`, `tree`, `stable`, or a datacentre.
    pub place: String,
    pub compose: String,
    pub fp: Option<String>,
    pub packages: u64,
    /// What was wrong with it; empty where it was whole.
    pub trouble: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SyncDoc {
    pub run: String,
    pub state: String,
    pub verdict: Option<String>,
    pub started: Option<String>,
    pub duration_ms: Option<u64>,
    /// `none`, what moved since the run before, or null where nobody can say.
    pub changes: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SnapshotDoc {
    /// The datacentre, or the directory of its root.
    pub place: String,
    pub id: String,
    pub fp: String,
    pub made: Option<String>,
    /// Pointers that lead to it.
    pub pointers: Vec<String>,
}

/// Room on a file system that holds a tree or a root of snapshots.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SpaceDoc {
    pub place: String,
    pub path: String,
    /// Null where it cannot be asked; `why` says so.
    pub free_bytes: Option<u64>,
    pub total_bytes: Option<u64>,
    pub why: String,
}

/// One user of a repository, as far as the site file, its pipelines and its Cobblers say it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UseDoc {
    /// `set`, `promotion`, `pipeline`, `replica`, `pointer`, `cobbler`; `distro` and `profile` of one, as `SERVER/NAME`.
    pub kind: String,
    pub name: String,
    /// In words.
    pub how: String,
}
