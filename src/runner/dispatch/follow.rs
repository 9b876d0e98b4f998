//! The dispatcher's attempts after their start: their one end, ends that were no start, cancelling, and adopting what has no task.

use std::cmp::Reverse;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Dispatcher, force};
use crate::base::crash;
use crate::domain::attempt::{CancelIntent, FORMAT, file};
use crate::domain::reason::Reason;
use crate::domain::run::{StepKey, Verdict};
use crate::pipeline::plan::Action;
use crate::runner::attempt;
use crate::runner::attempt::ingest::{self, Job};
use crate::runner::attempt::live::{self, Live};
use crate::runner::event::{Again, Refresh};
use crate::runner::model::moves::Ended;
use crate::runner::paths;
use crate::store::{OpenAttempt, RunId};

/// A shim that cannot be started so often in a row fails its step.
const SPAWN_TRIES: u32 = 5;

impl Dispatcher {
    /// Writes an attempt's cancel file; the store has the wish already.
    pub(super) fn cancel_attempt(&mut self, id: RunId, fence: u64, force: bool) {
        let Some(live) = self.live.get(&fence) else { return };
        let Some(run) = self.priorities.get(&id).and_then(|p| self.runs.get(&(Reverse(*p), id))) else { return };
        live.cancelled.store(true, Ordering::SeqCst);
        let (who, why) = match &run.cancel {
            Some(c) => (c.by.clone(), c.why.clone()),
            None => ("engine".to_owned(), "another cell failed, and the stage says fail_fast".to_owned()),
        };
        let intent = CancelIntent { format: FORMAT, who, why, force };
        let dir = live.dir.clone();
        self.tasks.spawn_blocking(move || {
            // No directory yet: its task sees the flag, and never spawns.
            if dir.join(file::SPEC).exists()
                && let Err(e) = attempt::cancel(&dir, &intent)
            {
                tracing::error!(dir = %dir.display(), error = %e, "the cancel file cannot be written; cancel again to retry");
            }
        });
    }

    pub(super) fn ended(&mut self, fence: u64, ended: &Ended) {
        let live = self.live.remove(&fence);
        self.unclear.remove(&fence);
        let Some((run, stage, cell)) = self.open.remove(&fence) else { return };
        let now = self.now();
        let (mut ops, mut effects) = (Vec::new(), Vec::new());
        let Some(r) = self.run_mut(run) else { return };
        let name = r.run.clone();
        let forced = force::made(r, ended.end.verdict).map(|mark| {
            let mut ended = ended.clone();
            ended.end.detail = force::detail(mark, &ended.end.detail);
            ended
        });
        let key = StepKey { stage, cell, step: r.stages[stage as usize].cells[cell as usize].step };
        let place = (r.plan.stages[stage as usize].name.clone(), r.step(key).map(|s| s.name.clone()).unwrap_or_default());
        let at_far_ends = match r.step(key).map(|s| &s.action) {
            Some(Action::Native { with, .. }) => Some(with.clone()),
            _ => None,
        };
        let known = r.ended(stage, cell, forced.as_ref().unwrap_or(ended), &now, &mut ops, &mut effects);
        if !known {
            return;
        }
        crash::point("runner.verdict");
        self.settle(run, ops, effects);
        if let Some(with) = at_far_ends {
            self.far_ends_again(&with);
        }
        if let (Some(_), Some(live)) = (forced, live) {
            self.listen_to(run, &name, place, fence, &live.dir);
        }
        for (source, scope) in &ended.refresh {
            let _ = self.refreshes.send(Refresh { run: name.clone(), source: source.clone(), scope: scope.clone() });
        }
        #[cfg(feature = "broken-double-ingest")]
        {
            // What a runner without the key check does: the end is taken in once more, when what follows has begun.
            self.pump();
            let mut ops = vec![crate::store::Op::End(Box::new(ended.end.clone()))];
            let step = ended.end.step;
            if let Some(r) = self.run_mut(run) {
                r.ended_again(stage, cell, step, &mut ops);
                self.settle(run, ops, Vec::new());
            }
        }
    }

    /// A step that worked at far ends has ended: what waits for one of them asks it again at once.
    fn far_ends_again(&mut self, with: &serde_json::Map<String, serde_json::Value>) {
        for (system, name) in with.iter().filter_map(|(field, v)| Some((field.as_str(), v.as_str()?))) {
            self.shared.cfg.content.over(system, name);
            let of_it = |why: &Reason| matches!(why, Reason::FarEnd { system: s, name: n, .. } if s == system && n == name);
            self.runs.values_mut().for_each(|r| r.ask_again(of_it));
        }
        self.far_ends.notify_waiters();
    }

    pub(super) fn not_started(&mut self, fence: u64, why: &str, again: Again) {
        self.live.remove(&fence);
        let Some((run, stage, cell)) = self.open.remove(&fence) else { return };
        let now = self.now();
        let (mut ops, mut effects) = (Vec::new(), Vec::new());
        let Some(r) = self.run_mut(run) else { return };
        let failures = r.stages[stage as usize].cells[cell as usize].spawn_failures;
        if again == Again::Later && failures + 1 >= SPAWN_TRIES {
            let key = StepKey { stage, cell, step: r.stages[stage as usize].cells[cell as usize].step };
            let job = Job::of(r, key, fence, Path::new(""), "");
            let ended = ingest::unstarted(&job, Verdict::Failure, why, now.us);
            r.ended(stage, cell, &ended, &now, &mut ops, &mut effects);
        } else {
            let ms = match again {
                Again::AtOnce => None,
                Again::Later => Some(1_000u64 << failures.min(5)),
                // Not longer and longer: what is held up is a whole run, and a look costs little.
                Again::WithRoom => Some(2_000),
            };
            r.not_started((stage, cell), fence, why, ms, &now, &mut ops);
        }
        tracing::warn!(fence, why, "an attempt never started");
        self.settle(run, ops, effects);
    }

    /// Gives every open attempt that has no task in this process one, by the recovery matrix.
    pub(super) fn reconcile(&mut self) {
        let missing: Vec<(u64, (RunId, u32, u32))> =
            self.open.iter().filter(|(f, _)| !self.live.contains_key(f)).map(|(f, w)| (*f, *w)).collect();
        for (fence, (run, stage, cell)) in missing {
            let Some(r) = self.run_mut(run) else { continue };
            let key = StepKey { stage, cell, step: r.stages[stage as usize].cells[cell as usize].step };
            let attempt =
                OpenAttempt { fence, run, key, number: 0, dir: paths::attempt(&r.run, key, fence), claimed_us: 0, started: false };
            self.adopt(&attempt);
        }
    }

    pub(super) fn adopt(&mut self, a: &OpenAttempt) {
        let state_dir = self.shared.cfg.state_dir.clone();
        let Some(run) = self.run_mut(a.run) else { return };
        let job = Job::of(run, a.key, a.fence, &state_dir, &a.dir);
        let live = Live {
            dir: state_dir.join(&a.dir),
            cancelled: Arc::new(AtomicBool::new(run.cancel.is_some())),
            begun: Arc::new(AtomicBool::new(a.started)),
        };
        self.live.insert(a.fence, live.clone());
        // Where it is gone, nothing but its processes can tell of it.
        let gone = matches!(live.dir.try_exists(), Ok(false));
        let known = if gone { self.store.known_attempt(a.fence).ok() } else { None };
        self.tasks.spawn(live::recover(self.shared.clone(), live, job, known));
    }
}
