//! The dispatcher: one task that owns every decision. Events in, transactions and attempts out; no polling.
//!
//! The model in memory runs ahead of the store by the batches in flight. When one fails, the generation is dead: nothing of it is
//! written or started any more, and the model is built again from the store, exactly as after a restart.

mod children;
mod follow;
mod force;
mod jump;
mod people;
mod rebuild;
mod secrets;
mod slow;
mod start;
mod still;
mod timers;
mod unreadable;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::attempt::launch::Launcher;
use super::attempt::live::{Live, Shared};
use super::content::{self, Readings};
use super::event::{Event, Refresh, Unready};
use super::model::active::ActiveRun;
use super::model::building::ChildEnd;
use super::model::effect::Effect;
use super::model::now::Now;
use super::model::queue::Held;
use super::model::silent::Silent;
use super::model::unreadable::Unreadable;
use super::plans::PlanCache;
use crate::base::crash;
use crate::domain::reason::Reason;
use crate::domain::rows::Change;
use crate::domain::run::{RunRef, RunState, StepKey, Verdict};
use crate::pipeline::plan::OnConflict;
use crate::store::{CancelMark, Drain, Op, RunId, Store, StoreError};
use timers::sleep;

/// Open attempts without a task of ours are looked for this often.
const RECONCILE: Duration = Duration::from_secs(10);
/// What else a step waits for from outside is looked at again after this, unless its end is known before.
const OUTSIDE_AGAIN_US: i64 = content::BUSY_AGAIN.as_micros() as i64;
/// Leave that was refused is asked for again after this.
pub(super) const PERMIT_AGAIN_US: i64 = 5_000_000;
/// Free disk space is looked at again after this, while it holds something back.
pub(super) const DISK_AGAIN: Duration = Duration::from_secs(5);
/// At the end, attempts that are being made get so long; they hold the store open beyond that.
const LAST_BEGINS: Duration = Duration::from_secs(3);

/// What is done once a write is known to have succeeded or failed.
pub(super) type Then = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

pub struct Dispatcher {
    pub(super) shared: Arc<Shared>,
    pub(super) store: Store,
    pub(super) changes: broadcast::Sender<Change>,
    pub(super) refreshes: broadcast::Sender<Refresh>,
    pub(super) stop: CancellationToken,
    pub(super) boot_id: Arc<str>,
    /// By priority, then age.
    pub(super) runs: BTreeMap<(Reverse<i32>, RunId), ActiveRun>,
    pub(super) priorities: HashMap<RunId, i32>,
    pub(super) unreadable: BTreeMap<RunId, Unreadable>,
    pub(super) held: Vec<Held>,
    /// Open attempts: where they belong.
    pub(super) open: HashMap<u64, (RunId, u32, u32)>,
    /// Open attempts whose directory cannot be judged, and why.
    pub(super) unclear: BTreeMap<u64, String>,
    /// Those with a task in this process.
    pub(super) live: HashMap<u64, Live>,
    pub(super) plans: Arc<PlanCache>,
    pub(super) drain: Option<Drain>,
    pub(super) fault: Option<Reason>,
    pub(super) generation: u64,
    pub(super) fence: u64,
    pub(super) tasks: JoinSet<()>,
    pub(super) disk_holds: bool,
    pub(super) silent: Silent,
    /// Told when a step that worked at a far end has ended.
    pub(super) far_ends: Arc<tokio::sync::Notify>,
    /// Wall minus boot time at the last look.
    pub(super) wall_offset_us: Option<i64>,
}

impl Dispatcher {
    pub(super) fn now(&self) -> Now {
        let clock = &self.shared.cfg.clock;
        Now { us: clock.now().as_microsecond(), boot_us: clock.boot_us(), boot_id: self.boot_id.clone() }
    }

    /// Runs until told to stop. Attempts go on without it.
    pub async fn serve(mut self, mut events: mpsc::Receiver<Event>) {
        // Bounded by its own trial; runs can be queued meanwhile, for that needs only the store.
        let launcher = Launcher::of_this_machine(self.shared.cfg.exe.clone()).await;
        let _ = self.shared.scopes.set(!launcher.prefix.is_empty());
        self.shared = Arc::new(Shared { launcher, ..(*self.shared).clone() });
        self.rebuild();
        self.force_again();
        let mut reconcile = tokio::time::Instant::now() + RECONCILE;
        // An end and the claim that follows from it are one commit.
        let mut turn = Some(self.store.gather());
        // A task of ours that ended has changed nothing: what it found out comes as an event.
        let (mut moved, mut wake) = (true, None);
        loop {
            if moved {
                self.follow_clock();
                self.pump();
                wake = self.next_wake().map(|d| tokio::time::Instant::now() + d);
            }
            drop(turn.take());
            moved = true;
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                event = events.recv() => {
                    let Some(event) = event else { break };
                    turn = Some(self.store.gather());
                    self.handle(event);
                    // What is there already is one decision.
                    for _ in 0..256 {
                        match events.try_recv() {
                            Ok(event) => self.handle(event),
                            Err(_) => break,
                        }
                    }
                }
                Some(_) = self.tasks.join_next(), if !self.tasks.is_empty() => moved = false,
                () = sleep(wake), if wake.is_some() => self.tick(),
                () = tokio::time::sleep_until(reconcile), if !self.open.is_empty() => {
                    reconcile = tokio::time::Instant::now() + RECONCILE;
                    self.reconcile();
                }
            }
        }
        self.tasks.shutdown().await;
        // Not to be aborted: whoever opens the store next must find what they make.
        self.shared.begins.close();
        let _ = tokio::time::timeout(LAST_BEGINS, self.shared.begins.wait()).await;
    }

    pub(super) fn run_mut(&mut self, id: RunId) -> Option<&mut ActiveRun> {
        let p = *self.priorities.get(&id)?;
        self.runs.get_mut(&(Reverse(p), id))
    }

    pub(super) fn find(&self, run: &RunRef) -> Option<RunId> {
        self.runs.values().find(|r| r.run == *run).map(|r| r.id)
    }

    pub(super) fn insert(&mut self, run: ActiveRun) {
        self.priorities.insert(run.id, run.priority);
        self.runs.insert((Reverse(run.priority), run.id), run);
    }

    fn handle(&mut self, event: Event) {
        self.follow_clock();
        match event {
            Event::Submitted(run) => {
                // While the store is at fault, or after a rebuild that saw it already, the store knows it best.
                if self.fault.is_none() && !self.priorities.contains_key(&run.id) {
                    let id = run.id;
                    let newer = run.plan.concurrency.as_ref().is_some_and(|g| g.on_conflict == OnConflict::CancelOlder);
                    self.tell_above(run.parent.as_ref());
                    self.insert(*run);
                    if newer {
                        self.supersede();
                    }
                    self.settle(id, Vec::new(), Vec::new());
                }
            }
            Event::Cancel { run, mark } => {
                if self.cancel_unreadable(&run, &mark) {
                    return;
                }
                if let Some(id) = self.find(&run)
                    && let Some(run) = self.run_mut(id)
                {
                    let force = mark.force || run.cancel.as_ref().is_some_and(|c| c.force);
                    let first = run.cancel.take().unwrap_or(mark);
                    run.cancel = Some(CancelMark { force, ..first });
                    self.settle(id, Vec::new(), Vec::new());
                }
            }
            Event::Decide { run, vote, answer } => self.decided(&run, &vote, answer),
            Event::Drain(drain) => {
                self.drain = drain;
                let _ = self.changes.send(Change { table: "drain", id: String::new() });
            }
            Event::Executors(n) => self.with_config(|c| c.executors = n.max(1)),
            Event::LockSlots(slots) => self.with_config(|c| c.lock_slots = slots),
            Event::SecretAgain(name) => self.secret_again(&name),
            Event::Why { run, answer } => drop(answer.send(self.why(&run))),
            Event::Queue { answer } => drop(answer.send(self.queue())),
            Event::Busy { answer } => drop(answer.send((self.open.len(), self.runs.len() + self.unreadable.len()))),
            Event::Prepared { run, stage, cell, generation, result } if generation == self.generation => {
                let now_us = self.now().us;
                // Locks and groups may have gone to others meanwhile: the queue decides again, with the values at hand.
                let (reason, until_us) = match result {
                    Ok(secrets) => {
                        secrets.iter().for_each(|(name, _)| self.silent.forget(name));
                        if let Some(r) = self.run_mut(run) {
                            r.prepared(stage, cell, secrets, now_us);
                        }
                        return;
                    }
                    Err(e) => match *e {
                        Unready::Secret(no) => self.no_secret(no, now_us),
                        Unready::Else(reason @ Reason::Withheld { .. }) => (reason, now_us + PERMIT_AGAIN_US),
                        Unready::Else(reason) => (reason, now_us + OUTSIDE_AGAIN_US),
                    },
                };
                if let Some(r) = self.run_mut(run) {
                    r.hold(stage, cell, reason, until_us);
                }
            }
            Event::Started { fence } => {
                if let Some((run, stage, cell)) = self.open.get(&fence).copied()
                    && let Some(r) = self.run_mut(run)
                {
                    let key = StepKey { stage, cell, step: r.stages[stage as usize].cells[cell as usize].step };
                    let name = r.run.to_string();
                    let at_us = self.now().us;
                    self.commit(vec![Op::Started { fence, run, key, at_us }], vec![Change { table: "runs", id: name }]);
                }
            }
            Event::Unclear { fence, why } => {
                match why.is_empty() {
                    true => drop(self.unclear.remove(&fence)),
                    false => drop(self.unclear.insert(fence, why)),
                }
                let _ = self.changes.send(Change { table: "queue", id: String::new() });
            }
            Event::Ended { fence, ended } => self.ended(fence, &ended),
            Event::NotStarted { fence, why, again } => self.not_started(fence, &why, again),
            Event::Content { run, after, generation, readings } if generation == self.generation => {
                let now = self.now();
                let mut ops = Vec::new();
                if let Some(r) = self.run_mut(run) {
                    r.content_read(after, readings, &now, &mut ops);
                    self.settle(run, ops, Vec::new());
                }
            }
            Event::Child { run, stage, cell, generation, result } if generation == self.generation => {
                self.child_answer(run, stage, cell, result);
            }
            Event::Measured { run, generation, found } if generation == self.generation => self.measured(run, found),
            Event::Force { run, mark, note, answer } => self.force(&run, mark, *note, answer),
            Event::ForceMarked { run, generation } if generation == self.generation => self.force_on(run),
            Event::UnreadableStopped { run, generation } if generation == self.generation => self.unreadable_stopped(run),
            Event::StoreFailed { generation, error } if generation == self.generation => self.store_failed(error),
            Event::Healed { generation } if generation == self.generation => {
                self.fault = None;
                self.store.load_ballast(self.shared.cfg.min_free_bytes);
                self.rebuild();
                self.force_again();
            }
            // Of a generation that is gone.
            Event::Prepared { .. }
            | Event::Child { .. }
            | Event::Content { .. }
            | Event::Measured { .. }
            | Event::ForceMarked { .. }
            | Event::UnreadableStopped { .. }
            | Event::StoreFailed { .. }
            | Event::Healed { .. } => {}
        }
    }

    fn with_config(&mut self, change: impl FnOnce(&mut super::RunnerConfig)) {
        let mut cfg = self.shared.cfg.clone();
        change(&mut cfg);
        self.shared = Arc::new(Shared { cfg, ..(*self.shared).clone() });
    }

    /// Writes `ops` as one transaction and then tells the world; a failure ends the generation.
    pub(super) fn commit(&mut self, ops: Vec<Op>, changes: Vec<Change>) {
        self.commit_then(ops, changes, None);
    }

    /// As `commit`; `then` is told how it went.
    pub(super) fn commit_then(&mut self, ops: Vec<Op>, changes: Vec<Change>, then: Option<Then>) {
        if ops.is_empty() {
            for c in changes {
                let _ = self.changes.send(c);
            }
            return;
        }
        let written = self.store.apply(self.generation, ops);
        let (generation, tell, events) = (self.generation, self.changes.clone(), self.shared.events.clone());
        self.tasks.spawn(async move {
            let written = written.await;
            if written.is_ok() {
                for c in changes {
                    let _ = tell.send(c);
                }
            }
            if let Some(then) = then {
                then(written.clone());
            }
            if let Err(error) = written {
                let _ = events.send(Event::StoreFailed { generation, error }).await;
            }
        });
    }

    /// Brings a run to its fixed point, writes everything, and does what follows from it.
    pub(super) fn settle(&mut self, id: RunId, ops: Vec<Op>, effects: Vec<Effect>) {
        self.settle_then(id, ops, effects, None);
    }

    /// As `settle`; `then` is told how the write went.
    pub(super) fn settle_then(&mut self, id: RunId, mut ops: Vec<Op>, mut effects: Vec<Effect>, then: Option<Then>) {
        let now = self.now();
        let Some(run) = self.run_mut(id) else { return };
        let was = run.state;
        effects.extend(run.settle(&now, &mut ops));
        let (name, state) = (run.run.clone(), run.state);
        self.follow_locks(id, &ops);
        let mut changes = vec![Change { table: "runs", id: name.to_string() }];
        if was != state || state == RunState::Queued {
            changes.push(Change { table: "queue", id: name.to_string() });
        }
        if effects.iter().any(|e| matches!(e, Effect::Ended(_))) {
            changes.push(Change { table: "ends", id: name.to_string() });
        }
        if ops.iter().any(|o| matches!(o, Op::Lock { .. } | Op::Unlock { .. })) {
            changes.push(Change { table: "locks", id: String::new() });
        }
        if ops.iter().any(|o| matches!(o, Op::Note(_) | Op::Close { .. })) {
            changes.push(Change { table: "decisions", id: name.to_string() });
        }
        if !ops.is_empty() {
            self.commit_then(ops, changes, then);
        }
        for effect in effects {
            match effect {
                Effect::Cancel { fence, force } => self.cancel_attempt(id, fence, force),
                Effect::CancelChild { child, by, why, force } => self.cancel_child(child, by, why, force),
                Effect::ReadContent { after } => self.read_content(id, after),
                Effect::Ended(verdict) => self.run_ended(id, verdict),
            }
        }
    }

    /// Keeps the list of held locks in step with the rows.
    pub(super) fn follow_locks(&mut self, id: RunId, ops: &[Op]) {
        for op in ops {
            match op {
                Op::Lock { run, stage, name, mode, slots, at_us } => {
                    let Some(r) = self.run_mut(*run) else { continue };
                    let held = Held {
                        name: name.clone(),
                        run_id: *run,
                        run: r.run.clone(),
                        stage: *stage,
                        stage_name: r.plan.stages.get(*stage as usize).map(|s| s.name.clone()).unwrap_or_default(),
                        mode: if *mode == "shared" {
                            crate::pipeline::plan::LockMode::Shared
                        } else {
                            crate::pipeline::plan::LockMode::Exclusive
                        },
                        slots: *slots,
                        since_us: *at_us,
                    };
                    self.held.push(held);
                }
                Op::Unlock { run, stage } if *run == id => self.held.retain(|h| h.run_id != id || h.stage != *stage),
                _ => {}
            }
        }
    }

    fn run_ended(&mut self, id: RunId, verdict: Verdict) {
        let Some(p) = self.priorities.remove(&id) else { return };
        let Some(run) = self.runs.remove(&(Reverse(p), id)) else { return };
        crash::point("runner.run-ended");
        tracing::info!(run = %run.run, verdict = %verdict, "run ended");
        if verdict != Verdict::Cancelled {
            for r in self.runs.values_mut().filter(|r| r.run.pipeline == run.run.pipeline && r.run.number > run.run.number) {
                r.previous = Some(verdict);
            }
        }
        self.tell_above(run.parent.as_ref());
        if let Some(p) = run.parent.filter(|p| p.wait) {
            let out = run.outcome.as_ref();
            let (detail, exit_code) = (out.map(|o| o.detail.clone()).unwrap_or_default(), out.and_then(|o| o.exit_code));
            self.child_over((p.run_id, p.stage, p.cell), &ChildEnd { run: run.run, verdict, detail, exit_code });
        }
    }

    fn read_content(&mut self, id: RunId, after: bool) {
        let generation = self.generation;
        let Some(run) = self.run_mut(id) else { return };
        let sets = run.sets();
        let busy = std::sync::Arc::downgrade(&run.busy);
        let (probe, events, changes) = (self.shared.cfg.content.clone(), self.shared.events.clone(), self.changes.clone());
        let (stop, ended) = (self.stop.clone(), self.far_ends.clone());
        self.tasks.spawn(async move {
            // What somebody writes just now would be read half-way, and the run called invalid for it.
            if !after {
                let tell = || drop(changes.send(Change { table: "queue", id: String::new() }));
                tokio::select! {
                    calm = content::calm(&*probe, &sets, busy, (&ended, content::BUSY_AGAIN), tell) => if !calm { return },
                    () = stop.cancelled() => return,
                }
            }
            let mut readings = Readings::new();
            for set in sets {
                let reading = probe.read(&set).await;
                readings.insert(set, reading);
            }
            let _ = events.send(Event::Content { run: id, after, generation, readings }).await;
        });
    }

    pub(super) fn store_failed(&mut self, error: StoreError) {
        tracing::error!(error = %error, "a write of the store failed");
        self.generation += 1;
        if let StoreError::Superseded { .. } = error {
            self.fault = Some(Reason::Store { why: error.to_string() });
            return self.stop.cancel();
        }
        self.store.give_up_ballast(&error);
        self.fault = Some(Reason::Store { why: error.to_string() });
        let (store, events, generation) = (self.store.clone(), self.shared.events.clone(), self.generation);
        let _ = self.changes.send(Change { table: "queue", id: String::new() });
        self.tasks.spawn(async move {
            let mut pause =
                Duration::from_millis(if matches!(error, StoreError::Stale { .. } | StoreError::Poisoned) { 10 } else { 1_000 });
            loop {
                tokio::time::sleep(pause).await;
                match store.probe().await {
                    Ok(()) => break,
                    Err(e) => tracing::warn!(error = %e, "the store still cannot be written"),
                }
                pause = (pause * 2).clamp(Duration::from_secs(1), Duration::from_secs(10));
            }
            let _ = events.send(Event::Healed { generation }).await;
        });
    }
}
