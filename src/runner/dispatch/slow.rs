//! Measuring runs that last against their history, beside everything else.

use super::Dispatcher;
use crate::base::duration;
use crate::domain::rows::Change;
use crate::domain::run::{RunRef, RunState};
use crate::runner::eta;
use crate::runner::event::Event;
use crate::runner::model::active::Slow;
use crate::runner::model::now::Now;
use crate::runner::model::slow::Measure;
use crate::store::{RunId, Store, StoreError};

/// After a past that could not be read, the next look.
const AGAIN_US: u64 = 60_000_000;

/// None without a past. Blocks.
fn measure(store: &Store, run: &RunRef, now_us: i64) -> Result<Option<Measure>, StoreError> {
    let Some(of) = eta::of_pipeline(store, &run.pipeline)? else { return Ok(None) };
    // Only first passes are measured: all of its pauses are of this one.
    Ok(Some(Measure { limit_ms: of.p95_ms, paused_ms: store.paused_ms(run, i64::MIN, now_us)? }))
}

impl Dispatcher {
    /// Runs whose time has come are measured, beside everything else.
    pub(in crate::runner) fn measure_due(&mut self, now: &Now) {
        let from = self.shared.cfg.slow_from;
        for run in self.runs.values_mut() {
            if run.slow_due_us(from, now).is_none_or(|d| d > 0) {
                continue;
            }
            run.slow = Slow::Looking;
            let (store, events, generation) = (self.store.clone(), self.shared.events.clone(), self.generation);
            let (id, name, now_us) = (run.id, run.run.clone(), now.us);
            self.tasks.spawn(async move {
                let read = tokio::task::spawn_blocking(move || measure(&store, &name, now_us)).await;
                let found = match read {
                    Ok(Ok(found)) => Ok(found),
                    Ok(Err(e)) => Err(e.to_string()),
                    Err(e) => Err(e.to_string()),
                };
                let _ = events.send(Event::Measured { run: id, generation, found }).await;
            });
        }
    }

    pub(in crate::runner) fn measured(&mut self, id: RunId, found: Result<Option<Measure>, String>) {
        let (now, from) = (self.now(), self.shared.cfg.slow_from);
        let Some(run) = self.run_mut(id) else { return };
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                run.slow = Slow::At(now.boot_us.saturating_add(AGAIN_US));
                return tracing::warn!(run = %run.run, error, "its past cannot be read");
            }
        };
        // It has ended, or waits for people, since it was asked.
        if run.state != RunState::Running {
            run.slow = Slow::At(now.boot_us);
            return;
        }
        let mut ops = Vec::new();
        if !run.measured(found, from, &now, &mut ops) {
            return;
        }
        let name = run.run.clone();
        if let Slow::Told { limit_ms, .. } = run.slow {
            tracing::warn!(run = %name, passed = duration::short(limit_ms), "it takes longer than nearly all good runs of its pipeline");
        }
        let changed = |table| Change { table, id: name.to_string() };
        self.commit(ops, vec![changed("runs"), changed("queue")]);
    }
}
