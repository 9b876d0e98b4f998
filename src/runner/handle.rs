//! `Runner`: the handle that the engine holds. Durable first, then told to the dispatcher; clones share one runner.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::attempt::launch::Launcher;
use super::attempt::live::Shared;
use super::config::{RunnerConfig, RunnerError, Submit};
use super::dispatch::Dispatcher;
use super::enqueue::{self, Parts};
use super::eta::{self, Eta};
use super::event::{Event, Refresh};
use super::model::active::ActiveRun;
use super::model::approval::{Vote, Voted};
use super::model::now::Now;
use super::model::resume::{self, Resume};
use super::model::wait;
use super::plans::PlanCache;
use super::summary;
use crate::base::crash;
use crate::domain::actor::Actor;
use crate::domain::decision::NewDecision;
use crate::domain::reason::Reason;
use crate::domain::rows::{Change, QueueRow, RunRow, Summary};
use crate::domain::run::{RunRef, RunState};
use crate::pipeline::plan::Plan;
use crate::store::{CancelMark, Drain, ForceMark, Ledger, Note, OpenOptionsStore, OpenRun, Store, StoreError};

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
    scopes: Arc<OnceLock<bool>>,
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
            begins: Default::default(),
            stop: stop.clone(),
            scopes: Default::default(),
        };
        let scopes = shared.scopes.clone();
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
            silent: Default::default(),
            far_ends: Default::default(),
            wall_offset_us: None,
        };
        let task = Mutex::new(Some(tokio::spawn(dispatcher.serve(inbox))));
        Self { inner: Arc::new(Inner { store, cfg, events, changes, refreshes, stop, task, plans, scopes }) }
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
    /// Why nothing new starts, where the disk has too little room.
    pub fn low_disk(&self) -> Option<Reason> {
        self.inner.cfg.low_disk(&self.inner.store)
    }

    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Whether steps are started in scopes of systemd; none while that is being tried.
    pub fn scopes(&self) -> Option<bool> {
        self.inner.scopes.get().copied()
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

    async fn tell(&self, event: Event) -> Result<(), RunnerError> {
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
        let i = &self.inner;
        let parts = Parts {
            store: i.store.clone(),
            plans: i.plans.clone(),
            events: i.events.clone(),
            changes: i.changes.clone(),
            clock: i.cfg.clock.clone(),
            lock_slots: BTreeMap::new(),
        };
        enqueue::submit(&parts, submit, ledger, None).await
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

    /// Ends, as lost, a run that no cancel can end: refused while one can. Durable, with its entry, when this returns; its processes are looked
    /// for and killed before its verdict is written.
    pub async fn force_finish(&self, run: &RunRef, who: &Actor, why: &str, note: Note) -> Result<(), RunnerError> {
        let mark = ForceMark { by: who.name.clone(), why: why.to_owned(), at_us: self.now_us() };
        let (answer, got) = oneshot::channel();
        self.tell(Event::Force { run: run.clone(), mark, note: Box::new(note), answer }).await?;
        got.await.map_err(|_| RunnerError::Stopped)?
    }

    /// What `resume` (or, with `only_failed_cells`, `retry`) would run again and what it would keep.
    pub fn plan_resume(&self, run: &RunRef, only_failed_cells: bool) -> Result<Resume, RunnerError> {
        let row = self.inner.store.load_run(run)?;
        let plan = self.decode(&row.plan_sha256, &row.plan_json, run)?;
        let children = self.children_now(&row)?;
        resume::plan(&row, &plan, &children, only_failed_cells).map_err(|why| RunnerError::Refused { run: run.clone(), why })
    }

    /// The runs that its cells waited for last, as they are now.
    fn children_now(&self, row: &OpenRun) -> Result<Vec<resume::Child>, RunnerError> {
        // Oldest pass first: the newest stays.
        let newest: BTreeMap<_, _> = row.children.iter().filter(|k| k.wait).map(|k| ((k.stage, k.cell), &k.run)).collect();
        let mut out = Vec::new();
        for ((stage, cell), run) in newest {
            match self.inner.store.run(run) {
                Ok(now) => out.push(resume::Child { stage, cell, run: run.clone(), verdict: now.verdict, ended_us: now.ended_us }),
                // Retention took it: nobody knows how it would stand.
                Err(StoreError::NoRun { .. }) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(out)
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

    /// A secret can be had now, as a person has found: what waits for it asks at once.
    pub async fn secret_again(&self, name: String) -> Result<(), RunnerError> {
        self.tell(Event::SecretAgain(name)).await
    }

    /// A person approves or denies what waits. Durable, with its entry and all that follows, when this returns.
    pub async fn decide(&self, run: &RunRef, vote: Vote) -> Result<Voted, RunnerError> {
        let (answer, got) = oneshot::channel();
        self.tell(Event::Decide { run: run.clone(), vote: Box::new(vote), answer }).await?;
        let voted = got.await.map_err(|_| RunnerError::Stopped)?;
        crash::point("runner.decided");
        voted
    }

    /// The request that holds a run back until a second person has approved its start. Goes with the note of the act.
    pub fn hold(&self, run: Option<&RunRef>, plan_sha256: &str, inputs: BTreeMap<String, String>, why: &str) -> NewDecision {
        let subject = run.map(ToString::to_string).unwrap_or_default();
        wait::hold(&subject, plan_sha256, inputs, why, &self.instant())
    }

    fn instant(&self) -> Now {
        let clock = &self.inner.cfg.clock;
        Now { us: clock.now().as_microsecond(), boot_us: clock.boot_us(), boot_id: clock.boot_id().into() }
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
