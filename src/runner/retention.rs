//! Which ended runs go: by count, age and pins, per pipeline. The rule is pure; the sweep removes files first, then rows, in batches.

use std::collections::BTreeSet;

use super::paths;
use crate::base::crash;
use crate::domain::run::{RunRef, Verdict};
use crate::pipeline::plan::{Keep, Plan};
use crate::store::{EndedRow, Store, StoreError};

/// Rows that one transaction removes.
const BATCH: usize = 500;
const DAY_US: i64 = 86_400_000_000;

/// Runs that no rule keeps. `runs` are the ended runs of one pipeline, newest first; `keep` is its newest plan's rule.
pub fn expired(runs: &[EndedRow], keep: &Keep, now_us: i64) -> Vec<RunRef> {
    let pins = |name: &str| keep.pin.iter().any(|p| p == name);
    let newest = |want: &dyn Fn(Verdict) -> bool| runs.iter().find(|r| want(r.verdict)).map(|r| r.run.clone());
    let mut kept = BTreeSet::new();
    if pins("last-success") {
        kept.extend(newest(&|v| v == Verdict::Success));
    }
    if pins("last-failure") {
        kept.extend(newest(&|v| matches!(v, Verdict::Failure | Verdict::Lost | Verdict::Invalid)));
    }
    runs.iter()
        .enumerate()
        .filter(|(i, r)| {
            let by_count = *i < keep.runs as usize;
            let by_age = keep.days.is_some_and(|d| r.ended_us > now_us - i64::from(d) * DAY_US);
            // What an earlier sweep began is ended: of such a run nobody knows what is left.
            r.doomed || !(by_count || by_age || r.pinned || r.referenced || r.promoted && pins("promoted") || kept.contains(&r.run))
        })
        .map(|(_, r)| r.run.clone())
        .collect()
}

/// Sweeps every pipeline once.
pub async fn sweep(store: &Store, now_us: i64) -> Result<Vec<RunRef>, StoreError> {
    let mut gone = Vec::new();
    for pipeline in store.pipelines_with_history()? {
        let Some(newest) = store.last_run(&pipeline)? else { continue };
        let Ok(plan) = serde_json::from_str::<Plan>(&store.plan_json(&newest.run)?) else { continue };
        let expired = expired(&store.ended_runs(&pipeline)?, &plan.keep, now_us);
        for batch in expired.chunks(BATCH) {
            // Settled first, so that nothing begins to depend on a run whose files go; then files, so that a crash in between leaves
            // rows, which the next sweep takes, and never files that nobody knows.
            let batch = store.condemn(batch.to_vec()).await?;
            crash::point("retention.condemned");
            let dirs: Vec<_> = batch.iter().map(|r| paths::run_dir(store.dir(), r)).collect();
            let removed = tokio::task::spawn_blocking(move || dirs.iter().map(|d| remove(d)).collect::<Vec<_>>()).await;
            let removed = removed.unwrap_or_default();
            let runs: Vec<RunRef> = batch.iter().zip(removed).filter(|(_, ok)| *ok).map(|(r, _)| r.clone()).collect();
            crash::point("retention.removed");
            gone.extend(store.forget(runs).await?);
        }
    }
    Ok(gone)
}

fn remove(dir: &std::path::Path) -> bool {
    match std::fs::remove_dir_all(dir) {
        Ok(()) => true,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => true,
        Err(e) => {
            tracing::warn!(dir = %dir.display(), error = %e, "retention cannot remove a run's directory; its rows stay");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: u64, verdict: Verdict, days_ago: i64) -> EndedRow {
        EndedRow {
            run: RunRef::new("p", n),
            verdict,
            ended_us: -days_ago * DAY_US,
            pinned: false,
            referenced: false,
            promoted: false,
            doomed: false,
        }
    }

    fn keep(runs: u32, days: Option<u32>, pin: &[&str]) -> Keep {
        Keep { runs, days, pin: pin.iter().map(|s| (*s).to_owned()).collect() }
    }

    fn numbers(runs: &[EndedRow], k: &Keep) -> Vec<u64> {
        expired(runs, k, 0).into_iter().map(|r| r.number).collect()
    }

    #[test]
    fn i17_a_run_stays_while_any_rule_keeps_it() {
        use Verdict::*;
        let mut runs =
            vec![row(6, Cancelled, 1), row(5, Success, 2), row(4, Failure, 3), row(3, Success, 40), row(2, Lost, 50), row(1, Success, 60)];
        assert_eq!(numbers(&runs, &keep(2, None, &[])), [4, 3, 2, 1]);
        assert_eq!(numbers(&runs, &keep(2, Some(30), &[])), [3, 2, 1], "age keeps what count would not");
        assert_eq!(numbers(&runs, &keep(1, None, &["last-success", "last-failure"])), [3, 2, 1]);
        runs[4].pinned = true;
        runs[5].referenced = true;
        runs[0].doomed = true;
        assert_eq!(numbers(&runs, &keep(100, None, &[])), [6], "what was begun is ended");
        runs[0].doomed = false;
        assert_eq!(numbers(&runs, &keep(0, None, &[])), [6, 5, 4, 3], "pinned and referenced runs never go");
        runs[3].promoted = true;
        assert_eq!(numbers(&runs, &keep(0, None, &[])), [6, 5, 4, 3], "a mark alone keeps nothing");
        assert_eq!(numbers(&runs, &keep(0, None, &["promoted"])), [6, 5, 4]);
    }
}
