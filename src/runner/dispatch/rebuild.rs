//! Building the dispatcher's model from the store, at a start and after a failed write; and what `why` and `queue` say of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Dispatcher;
use crate::domain::reason::Reason;
use crate::domain::rows::{Change, QueueRow};
use crate::domain::run::{RunRef, RunState, Verdict};
use crate::pipeline::plan::{LockMode, Plan};
use crate::runner::model::active::{ActiveRun, CellState};
use crate::runner::model::queue::{Decision, Held};
use crate::runner::model::unreadable::Unreadable;
use crate::store::{HeldLock, Op, OpenAttempt, OpenRun, RunId};

/// Who holds which lock, by the rows; what its stage is called is known once the runs are.
fn held(locks: &[HeldLock], runs: &[OpenRun]) -> Vec<Held> {
    let names: HashMap<RunId, &RunRef> = runs.iter().map(|r| (r.id, &r.run)).collect();
    locks
        .iter()
        .map(|l| Held {
            name: l.name.clone(),
            run_id: l.run,
            run: names.get(&l.run).map_or_else(|| RunRef::new("ended-run", 0), |r| (*r).clone()),
            stage: l.stage,
            stage_name: String::new(),
            mode: if l.shared { LockMode::Shared } else { LockMode::Exclusive },
            slots: l.slots,
            since_us: l.since_us,
        })
        .collect()
}

/// Stages that hold locks, by run.
fn locked_stages(held: &[Held]) -> HashMap<RunId, BTreeSet<u32>> {
    let mut map: HashMap<RunId, BTreeSet<u32>> = HashMap::new();
    for h in held {
        map.entry(h.run_id).or_default().insert(h.stage);
    }
    map
}

impl Dispatcher {
    /// Forgets the model and reads it from the store. Tasks of attempts that the store knows go on.
    pub(super) fn rebuild(&mut self) {
        let open = match self.store.load_open() {
            Ok(open) => open,
            Err(e) => {
                tracing::error!(error = %e, "the store cannot be read");
                return self.store_failed(e);
            }
        };
        self.runs.clear();
        self.unreadable.clear();
        self.priorities.clear();
        self.open.clear();
        (self.fence, self.drain) = (open.fence.max(self.fence), open.drain);
        self.held = held(&open.locks, &open.runs);
        self.restore_runs(open.runs, &open.attempts);
        self.name_held_stages();
        self.adopt_attempts(&open.attempts);
        self.supersede();
        self.close_unreadable();
        self.take_up_fail_fast();
        self.mend_children();
        let _ = self.changes.send(Change { table: "queue", id: String::new() });
    }

    /// Runs with the plans that they were queued with.
    fn restore_runs(&mut self, runs: Vec<OpenRun>, attempts: &[OpenAttempt]) {
        let locked = locked_stages(&self.held);
        let none = Default::default();
        let now_us = self.now().us;
        for mut row in runs {
            let (id, name, json) = (row.id, row.run.clone(), std::mem::take(&mut row.plan_json));
            let plan = self.plans.get(&row.plan_sha256.clone(), || serde_json::from_str::<Plan>(&json));
            let locks = locked.get(&id).unwrap_or(&none);
            let restored = plan.map_err(|e| e.to_string()).and_then(|p| ActiveRun::restore(row.clone(), p, locks));
            match restored {
                Ok(mut run) => {
                    run.cap_waits(now_us);
                    self.insert(run);
                }
                // Not ours to throw away: it stays as it is until somebody cancels it.
                Err(why) => {
                    tracing::error!(run = %name, why, "a stored run cannot be read; it is left alone until it is cancelled");
                    let attempts = attempts.iter().filter(|a| a.run == id).cloned().collect();
                    self.unreadable.insert(id, Unreadable::new(row, why, attempts));
                }
            }
        }
    }

    /// Locks are held by stages, whose names stand in plans.
    fn name_held_stages(&mut self) {
        for h in &mut self.held {
            let key = self.priorities.get(&h.run_id).map(|p| (std::cmp::Reverse(*p), h.run_id));
            if let Some(stage) = key.and_then(|k| self.runs.get(&k)).and_then(|r| r.plan.stages.get(h.stage as usize)) {
                h.stage_name.clone_from(&stage.name);
            }
        }
    }

    fn adopt_attempts(&mut self, attempts: &[OpenAttempt]) {
        let mut alive = std::collections::HashSet::new();
        for a in attempts {
            if self.unreadable.contains_key(&a.run) {
                continue;
            }
            alive.insert(a.fence);
            self.open.insert(a.fence, (a.run, a.key.stage, a.key.cell));
            if !self.live.contains_key(&a.fence) {
                self.adopt(a);
            }
        }
        self.live.retain(|fence, _| alive.contains(fence));
    }

    /// A fail_fast that was under way when the last engine died goes on; every run does what follows for it now.
    fn take_up_fail_fast(&mut self) {
        let now = self.now();
        let ids: Vec<RunId> = self.runs.values().map(|r| r.id).collect();
        for id in ids {
            let (mut ops, mut effects) = (Vec::<Op>::new(), Vec::new());
            if let Some(run) = self.priorities.get(&id).and_then(|p| self.runs.get_mut(&(std::cmp::Reverse(*p), id))) {
                for i in 0..run.stages.len() {
                    let failed = |c: &crate::runner::model::active::CellNow| {
                        c.state == CellState::Done && matches!(c.verdict, Some(Verdict::Failure | Verdict::Lost))
                    };
                    if run.plan.stages[i].fail_fast && run.stages[i].open > 0 && run.stages[i].cells.iter().any(failed) {
                        run.fail_fast(i, &now, &mut ops, &mut effects);
                    }
                }
            }
            self.settle(id, ops, effects);
        }
    }

    /// Every reason of a run, by the very decision that the queue takes. None: it is not open.
    pub(super) fn why(&self, run: &RunRef) -> Option<Vec<Reason>> {
        let Some(id) = self.runs.values().find(|r| r.run == *run).map(|r| r.id) else { return self.why_unreadable(run) };
        let mut all = self.explain().remove(&id).unwrap_or_default();
        all.extend(self.runs.values().find(|r| r.id == id).and_then(ActiveRun::slow_reason));
        Some(all)
    }

    /// Open runs in the order of the queue, each with its first reason.
    pub(super) fn queue(&self) -> Vec<QueueRow> {
        let mut reasons = self.explain();
        let readable = self.runs.values().map(|r| {
            let all = reasons.remove(&r.id).unwrap_or_default();
            let runs = all.iter().any(|r| !r.blocks());
            let waits = all.iter().any(|r| matches!(r, Reason::Retry { .. } | Reason::Secret { .. } | Reason::Approval(_)));
            let asked = all.iter().any(|r| matches!(r, Reason::Approval(_)));
            QueueRow {
                run: r.run.clone(),
                state: if !runs && (asked || r.state == RunState::Running && waits) { RunState::Waiting } else { r.state },
                priority: r.priority,
                requested_by: r.requested_by.name.clone(),
                created_us: r.created_us,
                blocked: if runs { None } else { all.into_iter().next() },
                slow_us: r.slow_since_us(),
            }
        });
        readable.chain(self.unreadable_rows()).collect()
    }

    fn explain(&self) -> BTreeMap<RunId, Vec<Reason>> {
        let low = self.shared.cfg.low_disk(&self.store);
        let mut map: BTreeMap<RunId, Vec<Reason>> = BTreeMap::new();
        for d in self.decide(low.as_ref(), true) {
            let (run, reason) = match d {
                Decision::Blocked { run, reason, .. } => (run, reason),
                Decision::Start { run, stage, .. }
                | Decision::Build { run, stage, .. }
                | Decision::Read { run, stage }
                | Decision::Ask { run, stage } => {
                    let name = self.runs.values().find(|r| r.id == run).and_then(|r| r.plan.stages.get(stage as usize));
                    (run, Reason::Starting { stage: name.map(|s| s.name.clone()).unwrap_or_default() })
                }
            };
            let all = map.entry(run).or_default();
            if !all.contains(&reason) {
                all.push(reason);
            }
        }
        for (fence, why) in &self.unclear {
            let Some((run, stage, _)) = self.open.get(fence) else { continue };
            let plan = self.runs.values().find(|r| r.id == *run).and_then(|r| r.plan.stages.get(*stage as usize));
            let stage = plan.map(|s| s.name.clone()).unwrap_or_default();
            let all = map.entry(*run).or_default();
            all.retain(|r| !matches!(r, Reason::Running { stage: s, .. } if *s == stage));
            all.push(Reason::Quarantined { stage, why: why.clone() });
        }
        for (run, reason) in self.beyond(&self.now()) {
            let all = map.entry(run).or_default();
            all.retain(|r| !matches!(r, Reason::Cancelling { .. }));
            all.push(reason);
        }
        // What holds the earliest part back comes first; later stages only wait for it.
        for all in map.values_mut() {
            all.sort_by_key(|r| match r {
                Reason::Running { .. } | Reason::Starting { .. } => 0,
                Reason::NeedsStage { .. } | Reason::AfterStage { .. } => 2,
                _ => 1,
            });
        }
        map
    }
}
