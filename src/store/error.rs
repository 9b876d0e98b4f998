//! What can go wrong with the store, in words that say where, what, and what to do next.

use std::path::PathBuf;

use crate::domain::run::RunRef;

/// Every failure of this room. Cloneable: one failed commit answers every writer that was in it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("{}: {what}: {why}", path.display())]
    Io { path: PathBuf, what: &'static str, why: String, no_space: bool },
    #[error("{}: {problem}; {fix}", path.display())]
    Permissions { path: PathBuf, problem: String, fix: String },
    #[error(
        "{} is on {fs}, where SQLite's shared memory and locks cannot be trusted; put the state on a local disk (--state-dir DIR), \
         or, knowing that commits get slow and only one process may ever touch it, set QUARTERDECK_NETWORK_STATE=1",
        path.display()
    )]
    NetworkFs { path: PathBuf, fs: String },
    #[error("another engine (pid {pid}) has {}; use it, or stop it with `quarterdeck engine stop`", path.display())]
    Held { path: PathBuf, pid: String },
    #[error(
        "{} was last written by quarterdeck {wrote} (schema {found}; this version knows up to {ours}); \
         start that version or a newer one, or use another --state-dir: nothing was changed",
        path.display()
    )]
    Newer { path: PathBuf, found: i64, ours: i64, wrote: String },
    #[error("{} belongs to another program (application id {found:#x}); use another --state-dir: nothing was changed", path.display())]
    Foreign { path: PathBuf, found: i64 },
    #[error(
        "{} is damaged ({why}); it was moved to {} and the report is {}. Put a good copy (see backups/) back as {}, \
         or start with an empty history by deleting the report: run numbers go on from the directories in runs/",
        path.display(), kept.display(), report.display(), path.display()
    )]
    Damaged { path: PathBuf, kept: PathBuf, report: PathBuf, why: String },
    #[error("{}: journal mode is `{found}` instead of `{wanted}`; the file system refuses it: use another --state-dir", path.display())]
    Journal { path: PathBuf, found: String, wanted: String },
    /// `SQLITE_FULL`, or ENOSPC below it.
    #[error("no space left to write the store: {0}; free some space on its disk: what is under way goes on by itself then")]
    Full(String),
    #[error("the database refused: {0}")]
    Database(String),
    /// A compare-and-set found another state than expected; nothing was written.
    #[error("{what} is no longer in the expected state; nothing was written")]
    Stale { what: String },
    /// An earlier write of the same generation failed; nothing was written.
    #[error("an earlier write failed; the engine reads its state again before it goes on")]
    Poisoned,
    #[error("another engine has taken over this store (epoch {found}, ours is {ours}); this one must stop")]
    Superseded { found: u64, ours: u64 },
    #[error("the store is closed")]
    Closed,
    /// `newest`: the newest run of its pipeline, or of the one whose name is nearest.
    #[error("there is no run {run}")]
    NoRun { run: RunRef, newest: Option<RunRef> },
    #[error("`{pipeline}` cannot use run {run}: it is not there any more; name another: `quarterdeck get runs`")]
    UseGone { pipeline: String, run: String },
    #[error("{0} is being removed by retention; pin a run before its time is over")]
    Doomed(String),
    #[error("concurrency group `{group}` allows {limit} and has {holders}; the pipeline says to refuse a further run")]
    GroupFull { group: String, limit: u32, holders: String },
}

impl StoreError {
    pub(super) fn io(path: impl Into<PathBuf>, what: &'static str, e: &std::io::Error) -> Self {
        let no_space = matches!(e.raw_os_error(), Some(28 | 122));
        Self::Io { path: path.into(), what, why: e.to_string(), no_space }
    }

    /// What to do about it, where the message does not say so.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Io { no_space: true, .. } => "free some space on its disk",
            Self::Io { .. } => "is it yours, and may it be written? Another directory is named with --state-dir DIR",
            _ => "",
        }
    }

    /// True where freeing disk space is the cure.
    pub fn is_no_space(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Io { no_space: true, .. })
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(e: rusqlite::Error) -> Self {
        match e.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full(e.to_string()),
            _ => Self::Database(e.to_string()),
        }
    }
}
