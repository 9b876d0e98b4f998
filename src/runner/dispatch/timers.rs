//! When the dispatcher looks by itself: retries, limits, waits for people, slow runs, disk. Nothing else wakes an idle engine.

use std::time::Duration;

use super::{DISK_AGAIN, Dispatcher};
use crate::domain::run::RunState;
use crate::runner::model::active::ActiveRun;
use crate::runner::model::now::Now;
use crate::store::RunId;

impl Dispatcher {
    /// A time has come: retries, limits, disk.
    pub(super) fn tick(&mut self) {
        self.follow_clock();
        let now = self.now();
        let due: Vec<RunId> = self.runs.values().filter(|r| due_us(r, &now).is_some_and(|d| d <= 0)).map(|r| r.id).collect();
        for id in due {
            self.settle(id, Vec::new(), Vec::new());
        }
        self.measure_due(&now);
    }

    pub(super) fn next_wake(&self) -> Option<Duration> {
        if self.fault.is_some() {
            return None;
        }
        let now = self.now();
        let from = self.shared.cfg.slow_from;
        let due = self
            .runs
            .values()
            .filter_map(|r| [due_us(r, &now), r.slow_due_us(from, &now)].into_iter().flatten().min())
            .min()
            .map(|us| Duration::from_micros(us.max(1_000) as u64));
        let disk = self.disk_holds.then_some(DISK_AGAIN);
        // An hour at most: boot time runs on in suspend, where a sleeping timer does not.
        [due, disk].into_iter().flatten().min().map(|d| d.min(Duration::from_secs(3_600)))
    }
}

/// Microseconds until the run needs a look by itself; zero or less = now.
fn due_us(r: &ActiveRun, now: &Now) -> Option<i64> {
    let retry = r.stages.iter().filter_map(|s| s.waiting.first()).map(|(until, _)| until - now.us).min();
    let limit = (matches!(r.state, RunState::Running | RunState::Waiting) && !r.timed_out && r.outcome.is_none())
        .then(|| r.limit_boot_us(now))
        .flatten()
        .map(|l| i64::try_from(l).unwrap_or(i64::MAX).saturating_sub(i64::try_from(now.boot_us).unwrap_or(i64::MAX)));
    [retry, limit, r.expires_us(now), r.child_limit_us(now)].into_iter().flatten().min()
}

pub(super) async fn sleep(wake: Option<tokio::time::Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
