//! `Runner`: the handle that the engine holds. Durable first, then told to the dispatcher; clones share one runner.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::active::ActiveRun;
use super::approval;
use super::attempt::Launcher;
use super::config::{RunnerConfig, RunnerError, Submit};
use super::dispatch::{Dispatcher, Event, Refresh};
use super::eta::{self, Eta};
use super::inputs;
use super::live::Shared;
use super::rebuild::PlanCache;
use super::resume::{self, Resume};
use super::summary;
use crate::domain::actor::Actor;
use crate::domain::reason::Reason;
use crate::domain::rows::{Change, QueueRow, RunRow, Summary};
use crate::domain::run::{RunRef, RunState, StepKey, valid_name};
use crate::pipeline::plan::{OnConflict, Plan};
use crate::store::{CancelMark, Drain, Group, Ledger, NewRun, NewStep, Note, OpenOptionsStore, Store};

/// Events that wait for the dispatcher; a sender waits when it is full.
const EVENTS: usize = 1_024;
/// Changes that a slow receiver may be behind; beyond that it is told `Lagged`, and reads everything again.
const CHANGES: usize = 8_192;

#[derive(Clone)]
pub struct Runner {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    cfg: RunnerConfig,
    events: mpsc::Sender<Event>,
    changes: broadcast::Sender<Change>,
    refreshes: broadcast::Sender<Refresh>,
    stop: CancellationToken,
    task: Mutex<Option<tokio::task::JoinHandle<()>>>,
    plans: Arc<PlanCache>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Runner {
    /// Opens the store, adopts what runs, and starts dispatching. Needs a tokio runtime. Blocks while the store is checked.
    pub fn open(cfg: RunnerConfig) -> Result<Self, RunnerError> {
        let store = Store::open(&OpenOptionsStore {
            dir: cfg.state_dir.clone(),
            network_state: cfg.network_state,
            now_us: cfg.clock.now().as_microsecond(),
            boot_id: cfg.clock.boot_id(),
        })?;
        Ok(Self::start(cfg, store))
    }

    /// As `open`, on a store that is open already.
    pub fn start(cfg: RunnerConfig, store: Store) -> Self {
        store.load_ballast(cfg.min_free_bytes);
        let (events, inbox) = mpsc::channel(EVENTS);
        let (changes, refreshes) = (broadcast::channel(CHANGES).0, broadcast::channel(CHANGES).0);
        let (stop, plans) = (CancellationToken::new(), Arc::new(PlanCache::default()));
        let shared = Shared {
            cfg: cfg.clone(),
            launcher: Launcher { exe: cfg.exe.clone(), prefix: Vec::new(), forkserver: None },
            events: events.clone(),
            named: Default::default(),
        };
        let dispatcher = Dispatcher {
            boot_id: cfg.clock.boot_id().into(),
            shared: Arc::new(shared),
            store: store.clone(),
            changes: changes.clone(),
            refreshes: refreshes.clone(),
            stop: stop.clone(),
            runs: BTreeMap::new(),
            priorities: Default::default(),
            unreadable: Default::default(),
            held: Vec::new(),
            open: Default::default(),
            unclear: Default::default(),
            live: Default::default(),
            plans: plans.clone(),
            drain: None,
            fault: None,
            generation: 1,
            fence: 0,
            tasks: Default::default(),
            disk_holds: false,
            wall_offset_us: None,
        };
        let task = Mutex::new(Some(tokio::spawn(dispatcher.serve(inbox))));
        Self { inner: Arc::new(Inner { store, cfg, events, changes, refreshes, stop, task, plans }) }
    }

    /// Stops dispatching and waits until nothing of this runner is at work. Attempts go on under their shims.
    pub async fn shutdown(self) {
        self.inner.stop.cancel();
        let task = self.inner.task.lock().ok().and_then(|mut t| t.take());
        if let Some(task) = task {
            let _ = task.await;
        }
    }

    /// The store, for reading. What changes runs goes through this handle.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Resolves when the dispatcher has stopped by itself: another engine has taken the store over.
    pub async fn stopped(&self) {
        self.inner.stop.cancelled().await;
    }

    /// Rows that changed, after their commit. A receiver that is told `Lagged` must read everything again.
    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.inner.changes.subscribe()
    }

    /// Collectors that steps asked to look again.
    pub fn refreshes(&self) -> broadcast::Receiver<Refresh> {
        self.inner.refreshes.subscribe()
    }

    fn now_us(&self) -> i64 {
        self.inner.cfg.clock.now().as_microsecond()
    }

    pub(super) fn config(&self) -> &RunnerConfig {
        &self.inner.cfg
    }

    pub(super) async fn tell(&self, event: Event) -> Result<(), RunnerError> {
        self.inner.events.send(event).await.map_err(|_| RunnerError::Stopped)
    }

    /// Queues a run. It is durable, with its number, when this returns; a known cause answers the run that it had started.
    pub async fn submit(&self, submit: Submit) -> Result<RunRef, RunnerError> {
        self.submit_with(submit, None).await
    }

    /// As `submit`, with what the ledger of scheduled starts says of the run, in the same transaction.
    pub async fn submit_due(&self, submit: Submit, ledger: Ledger) -> Result<RunRef, RunnerError> {
        self.submit_with(submit, Some(ledger)).await
    }

    async fn submit_with(&self, submit: Submit, ledger: Option<Ledger>) -> Result<RunRef, RunnerError> {
        let plan = submit.plan;
        check(&plan).map_err(|why| RunnerError::BadPlan { pipeline: plan.pipeline.clone(), why })?;
        let json =
            serde_json::to_string(&plan).map_err(|e| RunnerError::BadPlan { pipeline: plan.pipeline.clone(), why: e.to_string() })?;
        let sha256 = approval::sha_of(&json);
        // What is asked of a second person is written with the run, and holds it from its first moment.
        let hold = submit.note.as_ref().and_then(|n| approval::asked(n, &submit.requested_by));
        let plan = self.inner.plans.get(&sha256, || Ok::<_, RunnerError>(plan))?;
        let now_us = self.now_us();
        let new = NewRun {
            pipeline: plan.pipeline.clone(),
            title: plan.run_name.clone(),
            plan_json: json,
            plan_sha256: sha256,
            requested_by: submit.requested_by.clone(),
            reason: submit.reason,
            trigger: submit.trigger,
            cause: submit.cause,
            replay_of: submit.replay_of,
            priority: plan.priority,
            group: plan.concurrency.as_ref().map(|g| Group {
                name: g.group.clone(),
                limit: g.limit.max(1),
                refuse: g.on_conflict == OnConflict::Refuse,
            }),
            stages: plan.stages.iter().map(|s| s.name.clone()).collect(),
            steps: plan
                .steps()
                .map(|(stage, cell, step, s)| NewStep {
                    key: StepKey { stage, cell, step },
                    cell: plan.stages[stage as usize].cells[cell as usize].key.clone(),
                    name: s.name.clone(),
                })
                .collect(),
            uses: plan.uses.clone(),
            inputs: inputs::rows(&plan),
            now_us,
            note: submit.note,
        };
        let done = match ledger {
            Some(ledger) => self.inner.store.submit_due(new, ledger).await?,
            None => self.inner.store.submit(new).await?,
        };
        crate::base::crash::point("runner.submitted");
        if !done.existing {
            let mut run = ActiveRun::new(done.id, done.run.clone(), submit.requested_by, plan, now_us);
            run.previous = done.previous;
            run.hold = hold.map(|mut w| {
                w.subject = done.run.to_string();
                Box::new(w)
            });
            self.tell(Event::Submitted(Box::new(run))).await?;
            let _ = self.inner.changes.send(Change { table: "queue", id: done.run.to_string() });
        }
        Ok(done.run)
    }

    /// Asks a run to end. Durable, with its entry, when this returns; a second request with `force` skips the grace period.
    pub async fn cancel(&self, run: &RunRef, who: &Actor, why: &str, force: bool, note: Option<Note>) -> Result<(), RunnerError> {
        // A second wish of anybody is a forced one.
        let again = self.inner.store.run(run)?.cancel_by.is_some();
        let mark = CancelMark { by: who.name.clone(), why: why.to_owned(), at_us: self.now_us(), force: force || again };
        if !self.inner.store.mark_cancel(run, mark.clone(), note).await? {
            return Err(RunnerError::Refused { run: run.clone(), why: "has ended already".into() });
        }
        crate::base::crash::point("runner.cancelled");
        self.tell(Event::Cancel { run: run.clone(), mark }).await
    }

    /// What `resume` (or, with `only_failed_cells`, `retry`) would run again and what it would keep.
    pub fn plan_resume(&self, run: &RunRef, only_failed_cells: bool) -> Result<Resume, RunnerError> {
        let row = self.inner.store.load_run(run)?;
        let plan = self.decode(&row.plan_sha256, &row.plan_json, run)?;
        resume::plan(&row, &plan, only_failed_cells).map_err(|why| RunnerError::Refused { run: run.clone(), why })
    }

    fn decode(&self, sha256: &str, json: &str, run: &RunRef) -> Result<Arc<Plan>, RunnerError> {
        let bad = |e: serde_json::Error| RunnerError::BadPlan {
            pipeline: run.pipeline.clone(),
            why: format!("its stored plan cannot be read: {e}"),
        };
        self.inner.plans.get(sha256, || serde_json::from_str(json)).map_err(bad)
    }

    /// The same run goes on from the first stage that did not succeed.
    pub async fn resume(&self, run: &RunRef, note: Option<Note>) -> Result<Resume, RunnerError> {
        self.reopen(run, false, note).await
    }

    /// The same run goes on with its failed cells only, and what follows them.
    pub async fn retry(&self, run: &RunRef, note: Option<Note>) -> Result<Resume, RunnerError> {
        self.reopen(run, true, note).await
    }

    async fn reopen(&self, run: &RunRef, only_failed_cells: bool, note: Option<Note>) -> Result<Resume, RunnerError> {
        let plan = self.plan_resume(run, only_failed_cells)?;
        // The compare-and-set on the run's state makes a second resume at the same moment fail.
        self.inner.store.apply_alone(plan.ops.clone(), note).await?;
        crate::base::crash::point("runner.reopened");
        let row = self.inner.store.load_run(run)?;
        let decoded = self.decode(&row.plan_sha256, &row.plan_json, run)?;
        let active = ActiveRun::restore(row, decoded, &Default::default())
            .map_err(|why| RunnerError::BadPlan { pipeline: run.pipeline.clone(), why })?;
        self.tell(Event::Submitted(Box::new(active))).await?;
        Ok(plan)
    }

    /// The frozen plan of a run; a replay freezes it anew with other parameters and submits the result.
    pub fn plan(&self, run: &RunRef) -> Result<Arc<Plan>, RunnerError> {
        let row = self.inner.store.load_run(run)?;
        self.decode(&row.plan_sha256, &row.plan_json, run)
    }

    /// Every true reason why the run, or a part of it, does not run now. Never empty.
    pub async fn why(&self, run: &RunRef) -> Result<Vec<Reason>, RunnerError> {
        let row = self.inner.store.run(run)?;
        if let Some(verdict) = row.verdict.filter(|_| row.state == RunState::Done) {
            return Ok(vec![Reason::Ended { verdict }]);
        }
        let (answer, got) = oneshot::channel();
        self.tell(Event::Why { run: run.clone(), answer }).await?;
        match got.await.map_err(|_| RunnerError::Stopped)? {
            Some(reasons) if !reasons.is_empty() => Ok(reasons),
            // It ended between the two looks, or the dispatcher is reading its state again.
            _ => match self.inner.store.run(run)?.verdict {
                Some(verdict) => Ok(vec![Reason::Ended { verdict }]),
                None => Ok(vec![Reason::Store { why: "the engine reads its state again".into() }]),
            },
        }
    }

    /// Open runs in the order of the queue.
    pub async fn queue(&self) -> Result<Vec<QueueRow>, RunnerError> {
        let (answer, got) = oneshot::channel();
        self.tell(Event::Queue { answer }).await?;
        got.await.map_err(|_| RunnerError::Stopped)
    }

    /// Open attempts and open runs.
    pub async fn busy(&self) -> Result<(usize, usize), RunnerError> {
        let (answer, got) = oneshot::channel();
        self.tell(Event::Busy { answer }).await?;
        got.await.map_err(|_| RunnerError::Stopped)
    }

    /// With a drain nothing that has not begun begins; runs that have begun go on. Survives restarts. None lifts it.
    pub async fn drain(&self, drain: Option<(&Actor, &str)>, note: Option<Note>) -> Result<(), RunnerError> {
        let drain = drain.map(|(who, why)| Drain { by: who.name.clone(), why: why.to_owned(), since_us: self.now_us() });
        self.inner.store.set_drain(drain.clone(), note).await?;
        crate::base::crash::point("runner.drained");
        self.tell(Event::Drain(drain)).await
    }

    /// Exempts a run from retention, or gives it back.
    pub async fn pin(&self, run: &RunRef, who: &Actor, why: &str, pinned: bool, note: Option<Note>) -> Result<(), RunnerError> {
        if pinned {
            self.inner.store.pin(run, &who.name, why, self.now_us(), note).await?;
        } else {
            self.inner.store.unpin(run, note).await?;
        }
        crate::base::crash::point("runner.pinned");
        let _ = self.inner.changes.send(Change { table: "runs", id: run.to_string() });
        Ok(())
    }

    /// The site file changed.
    pub async fn configure(&self, executors: usize, lock_slots: BTreeMap<String, u32>) -> Result<(), RunnerError> {
        self.tell(Event::Executors(executors)).await?;
        self.tell(Event::LockSlots(lock_slots)).await
    }

    /// Stages and steps with verdicts and durations.
    pub fn run_summary(&self, run: &RunRef) -> Result<Summary, RunnerError> {
        Ok(summary::read(&self.inner.store, run)?)
    }

    /// Where a running run stands against its past.
    pub fn eta(&self, run: &RunRef) -> Result<Option<Eta>, RunnerError> {
        let row = self.inner.store.run(run)?;
        Ok(eta::of_run(&self.inner.store, &row, self.now_us())?)
    }

    /// Resolves with the row once the run has ended.
    pub async fn wait(&self, run: &RunRef) -> Result<RunRow, RunnerError> {
        let mut changes = self.subscribe();
        let name = run.to_string();
        loop {
            let row = self.inner.store.run(run)?;
            if row.state == RunState::Done {
                return Ok(row);
            }
            loop {
                tokio::select! {
                    change = changes.recv() => match change {
                        Ok(c) if c.table == "runs" && c.id == name => break,
                        Ok(_) => {}
                        Err(broadcast::error::RecvError::Lagged(_)) => break,
                        Err(broadcast::error::RecvError::Closed) => return Err(RunnerError::Stopped),
                    },
                    () = self.inner.stop.cancelled() => return Err(RunnerError::Stopped),
                }
            }
        }
    }

    /// The daily work: a copy of the store, and the removal of what retention does not keep; the runs that went.
    pub async fn sweep(&self) -> Result<Vec<RunRef>, RunnerError> {
        let (store, now_us) = (self.inner.store.clone(), self.now_us());
        let copied = tokio::task::spawn_blocking(move || store.backup(now_us)).await;
        if let Ok(Err(e)) = copied {
            tracing::warn!(error = %e, "no copy of the store was made");
        }
        let gone = super::retention::sweep(&self.inner.store, self.now_us()).await?;
        for run in &gone {
            let _ = self.inner.changes.send(Change { table: "runs", id: run.to_string() });
        }
        Ok(gone)
    }
}

/// What would make a plan impossible to run, whoever wrote it.
fn check(plan: &Plan) -> Result<(), String> {
    if !valid_name(&plan.pipeline) {
        return Err(format!("`{}` is no pipeline name", plan.pipeline));
    }
    if plan.format > crate::pipeline::plan::FORMAT {
        return Err(format!("it has format {}, this version reads up to {}", plan.format, crate::pipeline::plan::FORMAT));
    }
    if plan.stages.is_empty() {
        return Err("it has no stage".into());
    }
    for (i, s) in plan.stages.iter().enumerate() {
        if s.needs.iter().any(|n| *n as usize >= i) {
            return Err(format!("stage `{}` needs a stage that does not come before it", s.name));
        }
        if let crate::pipeline::plan::StageKind::Post { of: Some(of), .. } = s.kind
            && of as usize >= plan.stages.len()
        {
            return Err(format!("post stage `{}` belongs to no stage", s.name));
        }
        if s.approve.as_ref().is_some_and(|a| a.quorum == 0 || !s.cells.is_empty()) {
            return Err(format!("stage `{}` asks people, and so has a quorum and no cell", s.name));
        }
        if s.cells.iter().any(|c| c.steps.is_empty()) {
            return Err(format!("stage `{}` has a cell without steps", s.name));
        }
        let mut names: Vec<&str> = s.locks.iter().map(|l| l.name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|w| w[0] == w[1]) {
            return Err(format!("stage `{}` names a lock twice", s.name));
        }
    }
    Ok(())
}
