//! Totals for the metrics: what has ended ever, sizes, and how many rows of a kind there are. Cheap at any size of the store.

use super::{Store, StoreError};
use crate::domain::run::RunState;

/// Upper bounds of the histogram of durations, in seconds; the schema counts by them.
pub const BOUNDS_S: [i64; 12] = [1, 5, 15, 60, 300, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400];

/// Ended runs of one pipeline, verdict and bucket of duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedTotal {
    pub pipeline: String,
    pub verdict: String,
    /// One of `BOUNDS_S`; none = longer than all of them.
    pub upto_s: Option<i64>,
    pub runs: u64,
    pub sum_us: u64,
}

/// One look at the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// In order of pipeline, verdict, bound.
    pub ended: Vec<EndedTotal>,
    pub log_bytes: u64,
    pub log_dropped_bytes: u64,
    /// Every entry that was ever written.
    pub audit_entries: u64,
    /// Open runs by state.
    pub open: Vec<(RunState, u64)>,
    pub locks_held: u64,
}

impl Store {
    pub fn totals(&self) -> Result<Totals, StoreError> {
        self.read(|c| {
            let mut s =
                c.prepare_cached("SELECT pipeline, verdict, upto_s, runs, sum_us FROM ended_total ORDER BY pipeline, verdict, upto_s")?;
            let ended = s.query_map([], |r| {
                let bound: i64 = r.get(2)?;
                let upto_s = Some(bound).filter(|b| *b >= 0);
                Ok(EndedTotal { pipeline: r.get(0)?, verdict: r.get(1)?, upto_s, runs: r.get(3)?, sum_us: r.get(4)? })
            })?;
            let ended = ended.collect::<Result<Vec<_>, _>>()?;
            let (log_bytes, log_dropped_bytes) =
                c.query_row("SELECT bytes, dropped_bytes FROM log_total", [], |r| Ok((r.get(0)?, r.get(1)?)))?;
            let mut open = Vec::new();
            for state in [RunState::Queued, RunState::Running, RunState::Waiting] {
                let mut s = c.prepare_cached("SELECT count(*) FROM run WHERE state != 'done' AND state = ?1")?;
                open.push((state, s.query_row([state.as_str()], |r| r.get(0))?));
            }
            let locks_held = c.query_row("SELECT count(DISTINCT name) FROM held_lock", [], |r| r.get(0))?;
            Ok(Totals { ended, log_bytes, log_dropped_bytes, audit_entries: super::audit::ever(c)?, open, locks_held })
        })
    }

    /// Bytes of the database's files: the file itself, its write-ahead log, the copies.
    pub fn size_bytes(&self) -> Vec<(&'static str, u64)> {
        let size = |name: &str| std::fs::metadata(self.dir().join(name)).map_or(0, |m| m.len());
        let copies = std::fs::read_dir(self.dir().join("backups")).into_iter().flatten().flatten();
        let copies = copies.filter_map(|e| e.metadata().ok()).map(|m| m.len()).sum();
        vec![("database", size(super::open::DB)), ("wal", size("state.db-wal")), ("backups", copies)]
    }
}
