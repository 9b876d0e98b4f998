//! What a runner is given from outside, what it is asked, and how it refuses.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::children::Children;
use super::content::ContentProbe;
use super::permit::Permit;
use crate::base::clock::Clock;
use crate::base::duration::Span;
use crate::domain::actor::Actor;
use crate::domain::reason::Reason;
use crate::domain::run::RunRef;
use crate::pipeline::plan::Plan;
use crate::secret::Source;
use crate::store::{Note, Store, StoreError};

/// Everything that the runner takes from outside.
#[derive(Clone)]
pub struct RunnerConfig {
    pub state_dir: PathBuf,
    /// The quarterdeck binary: `exe shim DIR` is spawned for each attempt.
    pub exe: PathBuf,
    /// Attempts at once; at least 1.
    pub executors: usize,
    /// Slots of the site's locks; one that is not listed has 1.
    pub lock_slots: BTreeMap<String, u32>,
    /// The environment that every step starts from (PATH, HOME, LANG, …); the engine's own is not inherited.
    pub env: BTreeMap<String, String>,
    pub clock: Arc<dyn Clock>,
    pub secrets: Arc<dyn Source>,
    pub content: Arc<dyn ContentProbe>,
    /// Plans of pipelines that stages start.
    pub children: Arc<dyn Children>,
    /// Asked before some steps start.
    pub permit: Arc<dyn Permit>,
    /// Nothing starts below these.
    pub min_free_bytes: u64,
    pub min_free_inodes: u64,
    /// A run that has not lasted so long is not called slow, whatever its history.
    pub slow_from: Span,
    /// `QUARTERDECK_NETWORK_STATE`: see `StoreError::NetworkFs`.
    pub network_state: bool,
}

impl RunnerConfig {
    /// The floor below which nothing starts, where the site says nothing.
    pub const MIN_FREE_BYTES: u64 = 256 << 20;
    pub const MIN_FREE_INODES: u64 = 1_000;
    pub const SLOW_FROM: Span = Span::from_secs(5);

    /// Why nothing new starts, where there is too little room.
    pub fn low_disk(&self, store: &Store) -> Option<Reason> {
        let space = store.space().ok()?;
        (space.free_bytes < self.min_free_bytes || space.free_inodes < self.min_free_inodes).then(|| Reason::LowDisk {
            path: self.state_dir.display().to_string(),
            free_bytes: space.free_bytes,
            floor_bytes: self.min_free_bytes,
            free_inodes: space.free_inodes,
            floor_inodes: self.min_free_inodes,
        })
    }
}

/// A run to be queued.
#[derive(Debug, Clone)]
pub struct Submit {
    pub plan: Plan,
    pub requested_by: Actor,
    pub reason: String,
    /// `manual`, `cron`, `every`, `upstream`, `upstream stage`, `replay`.
    pub trigger: String,
    /// Unique for ever where set: a second submit with it answers the first one's run.
    pub cause: Option<String>,
    pub replay_of: Option<RunRef>,
    /// Its entry in the audit chain, written with the run and about it.
    pub note: Option<Note>,
}

/// Why the runner refused.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RunnerError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the plan of `{pipeline}` cannot run: {why}")]
    BadPlan { pipeline: String, why: String },
    #[error("{run} {why}")]
    Refused { run: RunRef, why: String },
    /// An approval's question: which one, and why.
    #[error("{message}")]
    BadAnswer { message: String, help: String },
    #[error("the runner has ended; start the engine again")]
    Stopped,
}
