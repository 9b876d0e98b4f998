//! Fingerprints of content sets around a run, and the rule that makes a run INVALID or `no-change`. Pure but for the probe.

use std::future::Future;
use std::pin::Pin;

/// What a content set looks like now. No `fp` = unknown, which equals nothing, not even itself; `detail` says why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    pub fp: Option<String>,
    pub md: Option<String>,
    pub detail: String,
}

/// Reads content sets of the site. The engine implements it over `systems::repo`; it must give up by itself in finite time.
pub trait ContentProbe: Send + Sync {
    /// Never fails: what cannot be read is a reading without `fp`.
    fn read(&self, set: &str) -> Pin<Box<dyn Future<Output = Reading> + Send + '_>>;
}
