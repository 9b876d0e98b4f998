//! One open run in memory: its decoded plan and where each of its parts stands. Built from the store; `settle` moves it on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::now::{Now, at_boot};
use super::wait::Wait;
use crate::domain::actor::Actor;
use crate::domain::reason::Reason;
use crate::domain::report::Fact;
use crate::domain::run::{RunRef, RunState, StepKey, StepState, Verdict};
use crate::pipeline::answers;
use crate::pipeline::expr::{Facts, StageFacts};
use crate::pipeline::plan::{Plan, Stage, StageKind, Step};
use crate::runner::content::{Busy, Reading, Readings};
use crate::store::{CancelMark, ChildRow, ForceMark, Limit, OpenReading, OpenRun, OpenStep, ParentLink, RunId};

pub struct ActiveRun {
    pub id: RunId,
    pub run: RunRef,
    pub plan: Arc<Plan>,
    pub requested_by: Actor,
    pub priority: i32,
    pub created_us: i64,
    pub state: RunState,
    pub started_us: Option<i64>,
    pub limit: Option<Limit>,
    pub cancel: Option<CancelMark>,
    pub timed_out: bool,
    pub round: u32,
    /// Verdict of the pipeline's run that ended last; for `fixed`.
    pub previous: Option<Verdict>,
    pub stages: Vec<StageNow>,
    pub before: Around,
    pub after: Around,
    /// Why the reading before the work waits, where it does.
    pub busy: Busy,
    pub readings_before: Readings,
    pub readings_after: Readings,
    /// What this run's own steps said that they left in a set: set → fp.
    pub left: BTreeMap<String, String>,
    /// Its start waits for a second person.
    pub hold: Option<Box<Wait>>,
    /// Nobody agreed to its start: why.
    pub refused: Option<String>,
    /// The stage of another run that started it.
    pub parent: Option<ParentLink>,
    /// Whether it takes longer than its history says.
    pub slow: Slow,
    /// A person ends it although its attempts cannot be.
    pub force: Option<ForceMark>,
    /// The verdict of the work, once all of it and the reading after it are done; post stages follow.
    pub outcome: Option<Outcome>,
}

/// Where a run stands against its history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slow {
    Unseen,
    /// To be looked at, boot microseconds.
    At(u64),
    Looking,
    /// There is nothing to compare it with.
    Never,
    /// It passed `limit_ms`, and that is written.
    Told {
        since_us: i64,
        limit_ms: u64,
    },
}

/// Values of secrets, by name.
pub type Secrets = Vec<(String, Zeroizing<Vec<u8>>)>;

/// How a run's work ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub verdict: Verdict,
    pub detail: String,
    pub exit_code: Option<i32>,
    pub failed_stage: Option<String>,
    pub failed_step: Option<String>,
}

/// A reading of the run's content sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Around {
    NotWanted,
    Wanted,
    Reading,
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StageState {
    Pending,
    /// Its needs are met; cells may start.
    Ready,
    Running,
    Done,
}

pub struct StageNow {
    pub state: StageState,
    pub verdict: Option<Verdict>,
    /// Skipped because something that it needs did not succeed.
    pub blocked: bool,
    pub detail: String,
    pub started_us: Option<i64>,
    pub ended_us: Option<i64>,
    pub cells: Vec<CellNow>,
    /// Cells that may start their next step now.
    pub ready: BTreeSet<u32>,
    /// `(until, cell)` of cells that wait for a time.
    pub waiting: BTreeSet<(i64, u32)>,
    /// Cells without an end.
    pub open: u32,
    /// Cells that hold an executor.
    pub running: u32,
    pub locked: bool,
    pub outputs: BTreeMap<String, String>,
    /// Its cells are runs of other pipelines.
    pub builds: bool,
    /// It waits for people.
    pub wait: Option<Box<Wait>>,
}

pub struct CellNow {
    pub state: CellState,
    /// The step at hand.
    pub step: u32,
    /// Attempts begun of the step at hand.
    pub attempts: u32,
    /// Fence of the step's row in the store.
    pub fence: Option<u64>,
    pub verdict: Option<Verdict>,
    pub detail: String,
    pub exit_code: Option<i32>,
    /// Ended because of a sibling; does not count in the stage's verdict.
    pub collateral: bool,
    /// Since when the step at hand runs or was first claimed.
    pub since_us: Option<i64>,
    /// Why it waits for a time other than a retry.
    pub hold: Option<Reason>,
    /// Values for the step at hand, looked up at that instant; kept only until it starts.
    pub secrets: Option<(i64, Secrets)>,
    /// Times in a row that its shim could not be started.
    pub spawn_failures: u32,
    /// The run that it waits for, once that exists.
    pub child: Option<RunRef>,
    /// That run was asked to end: 1, or 2 without grace.
    pub asked: u8,
    /// It was asked because the stage's limit was reached.
    pub late: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellState {
    /// Waits for its turn.
    Ready,
    /// Holds an executor while its secrets are looked up.
    Preparing,
    /// An attempt is open.
    Active,
    /// A run of another pipeline is started for it, or waited for. Holds no executor.
    Child,
    /// Waits for an instant: a retry, or a condition to be looked at again.
    Waiting(i64),
    Done,
}

impl ActiveRun {
    pub fn new(id: RunId, run: RunRef, requested_by: Actor, plan: Arc<Plan>, created_us: i64) -> Self {
        let stages = plan.stages.iter().map(StageNow::new).collect();
        let content = plan.stages.iter().any(|s| matches!(s.kind, StageKind::Work) && !(s.reads.is_empty() && s.writes.is_empty()));
        let around = if content { Around::Wanted } else { Around::NotWanted };
        Self {
            id,
            run,
            requested_by,
            priority: plan.priority,
            plan,
            created_us,
            state: RunState::Queued,
            started_us: None,
            limit: None,
            cancel: None,
            timed_out: false,
            round: 0,
            previous: None,
            stages,
            before: around,
            after: around,
            busy: Busy::default(),
            readings_before: Readings::new(),
            readings_after: Readings::new(),
            left: BTreeMap::new(),
            hold: None,
            refused: None,
            parent: None,
            slow: Slow::Unseen,
            force: None,
            outcome: None,
        }
    }

    /// Rebuilds a run from its rows. `locked` are the stages that hold locks; attempts are attached by the caller.
    pub fn restore(row: OpenRun, plan: Arc<Plan>, locked: &BTreeSet<u32>) -> Result<Self, String> {
        let mut run = Self::new(row.id, row.run, row.requested_by, plan, row.created_us);
        if row.stages.len() != run.stages.len() {
            return Err(format!("its rows have {} stages, its plan {}", row.stages.len(), run.stages.len()));
        }
        (run.state, run.started_us, run.limit, run.cancel) = (row.state, row.started_us, row.limit, row.cancel);
        (run.timed_out, run.round, run.previous, run.priority) = (row.timed_out, row.round, row.previous, row.priority);
        for (stage, rows) in run.stages.iter_mut().zip(row.stages) {
            stage.state = match rows.state {
                StepState::Pending => StageState::Pending,
                StepState::Claimed | StepState::Running => StageState::Running,
                StepState::Done => StageState::Done,
            };
            (stage.verdict, stage.blocked, stage.detail) = (rows.verdict, rows.blocked, rows.detail);
            (stage.started_us, stage.ended_us) = (rows.started_us, rows.ended_us);
        }
        for s in locked {
            if let Some(stage) = run.stages.get_mut(*s as usize) {
                stage.locked = true;
            }
        }
        (run.parent, run.force) = (row.parent, row.force);
        if let Some((since_us, limit_ms)) = row.slow {
            run.slow = Slow::Told { since_us, limit_ms };
        }
        for step in row.steps {
            run.restore_step(step, &row.children)?;
        }
        for stage in &mut run.stages {
            stage.recount();
        }
        for (stage, _, _, name, value) in row.outputs {
            if let Some(s) = run.stages.get_mut(stage as usize) {
                s.outputs.insert(name, value);
            }
        }
        for (_, json) in &row.facts {
            if let Ok(Fact::Content { set, fp, .. }) = serde_json::from_str(json) {
                run.left.insert(set, fp);
            }
        }
        run.restore_waits(&row.decisions);
        run.restore_readings(row.readings);
        Ok(run)
    }

    /// One step as its row says; a cell goes on with the first that has not ended well.
    fn restore_step(&mut self, step: OpenStep, children: &[ChildRow]) -> Result<(), String> {
        let StepKey { stage, cell, step: index } = step.key;
        let (round, planned) = (self.round, self.plan.stages.get(stage as usize));
        let builds = planned.is_some_and(|s| s.builds());
        let Some(st) = self.stages.get_mut(stage as usize) else { return Ok(()) };
        let steps = planned.and_then(|s| s.cells.get(cell as usize)).map_or(0, |c| c.steps.len());
        let Some(c) = st.cells.get_mut(cell as usize) else { return Err(format!("its plan has no cell {cell} in stage {stage}")) };
        if c.state == CellState::Done || index != c.step {
            return Ok(());
        }
        match (step.state, step.verdict) {
            (StepState::Done, Some(Verdict::Success)) if (index as usize) + 1 < steps => c.next_step(),
            (StepState::Done, verdict) => {
                (c.state, c.verdict, c.detail, c.exit_code) = (CellState::Done, verdict, step.detail, step.exit_code);
                // A whole cell that was skipped beside a failed one, or a step of a stage that never ran.
                c.collateral = verdict == Some(Verdict::Skipped);
            }
            (StepState::Pending, _) => {
                (c.attempts, c.fence, c.since_us) = (step.attempts, step.fence, step.started_us);
                c.state = step.not_before_us.map_or(CellState::Ready, CellState::Waiting);
            }
            (StepState::Claimed | StepState::Running, _) if builds => {
                (c.attempts, c.since_us, c.state, c.detail) = (step.attempts, step.started_us, CellState::Child, step.detail);
                let own = |k: &&ChildRow| (k.stage, k.cell, k.round) == (stage, cell, round);
                c.child = children.iter().find(own).map(|k| k.run.clone());
            }
            (StepState::Claimed | StepState::Running, _) => {
                (c.attempts, c.fence, c.since_us) = (step.attempts, step.fence, step.started_us);
                c.state = CellState::Active;
            }
        }
        Ok(())
    }

    fn restore_readings(&mut self, readings: Vec<OpenReading>) {
        let (mut saw_before, mut saw_after) = (false, false);
        for r in readings {
            let after = r.side == "after";
            *(if after { &mut saw_after } else { &mut saw_before }) = true;
            let to = if after { &mut self.readings_after } else { &mut self.readings_before };
            to.insert(r.set, Reading { fp: r.fp, md: r.md, detail: r.detail });
        }
        if saw_before {
            self.before = Around::Done;
        }
        if saw_after {
            self.after = Around::Done;
        }
    }

    pub fn is_work(&self, stage: u32) -> bool {
        self.plan.stages.get(stage as usize).is_some_and(|s| matches!(s.kind, StageKind::Work))
    }

    pub fn step(&self, key: StepKey) -> Option<&Step> {
        self.plan.stages.get(key.stage as usize)?.cells.get(key.cell as usize)?.steps.get(key.step as usize)
    }

    /// Every content set that is read before and after.
    pub fn sets(&self) -> Vec<String> {
        let mut sets: Vec<String> = self.plan.reads.iter().chain(&self.plan.writes).cloned().collect();
        for s in &self.plan.stages {
            sets.extend(s.reads.iter().chain(&s.writes).cloned());
        }
        sets.sort();
        sets.dedup();
        sets
    }

    /// What expressions may ask, at the turn of `stage`.
    pub fn facts(&self, needs_ok: bool) -> Facts {
        let stages = self
            .plan
            .stages
            .iter()
            .zip(&self.stages)
            .filter(|(_, now)| now.state == StageState::Done)
            .map(|(s, now)| (s.name.clone(), StageFacts { verdict: now.verdict, outputs: now.outputs.clone() }))
            .collect();
        let so_far = self.so_far();
        Facts {
            run: Some(self.run.clone()),
            run_verdict: so_far.as_ref().map(|o| o.verdict),
            run_failed_stage: so_far.and_then(|o| o.failed_stage).unwrap_or_default(),
            stages,
            approve: self.answers(),
            needs_ok,
            previous_failed: self.previous.is_some_and(|v| v != Verdict::Success),
        }
    }

    /// Answers of approvers so far.
    fn answers(&self) -> BTreeMap<String, crate::pipeline::expr::Value> {
        let asked = self.plan.stages.iter().zip(&self.stages).filter_map(|(s, now)| Some((s.approve.as_ref()?, &now.outputs)));
        asked.flat_map(|(a, out)| a.ask.iter().filter_map(|q| Some((q.name.clone(), answers::value(q, out.get(&q.name)?))))).collect()
    }

    /// The run's time limit as an instant of this boot. The wall clock is asked only after a reboot.
    pub fn limit_boot_us(&self, now: &Now) -> Option<u64> {
        let limit = self.limit.as_ref()?;
        let span = self.plan.timeout.ms().saturating_mul(1_000);
        Some(at_boot(limit, span, now))
    }
}

impl StageNow {
    fn new(stage: &Stage) -> Self {
        let cells: Vec<CellNow> = stage.cells.iter().map(|_| CellNow::new()).collect();
        let mut s = Self {
            state: StageState::Pending,
            verdict: None,
            blocked: false,
            detail: String::new(),
            started_us: None,
            ended_us: None,
            ready: BTreeSet::new(),
            waiting: BTreeSet::new(),
            open: 0,
            running: 0,
            locked: false,
            outputs: BTreeMap::new(),
            builds: stage.builds(),
            wait: None,
            cells,
        };
        s.recount();
        s
    }

    /// Derives the sets and counters from the cells.
    pub fn recount(&mut self) {
        self.ready.clear();
        self.waiting.clear();
        (self.open, self.running) = (0, 0);
        for (i, c) in self.cells.iter().enumerate() {
            match c.state {
                CellState::Ready => drop(self.ready.insert(i as u32)),
                CellState::Waiting(until) => drop(self.waiting.insert((until, i as u32))),
                CellState::Preparing | CellState::Active => self.running += 1,
                CellState::Child | CellState::Done => {}
            }
            self.open += u32::from(c.state != CellState::Done);
        }
    }

    /// Moves a cell, keeping sets and counters.
    pub fn put(&mut self, cell: u32, state: CellState) {
        let Some(c) = self.cells.get_mut(cell as usize) else { return };
        match c.state {
            CellState::Ready => drop(self.ready.remove(&cell)),
            CellState::Waiting(until) => drop(self.waiting.remove(&(until, cell))),
            CellState::Preparing | CellState::Active => self.running = self.running.saturating_sub(1),
            CellState::Child => {}
            CellState::Done => self.open += 1,
        }
        c.state = state;
        match state {
            CellState::Ready => drop(self.ready.insert(cell)),
            CellState::Waiting(until) => drop(self.waiting.insert((until, cell))),
            CellState::Preparing | CellState::Active => self.running += 1,
            CellState::Child => {}
            CellState::Done => self.open = self.open.saturating_sub(1),
        }
    }
}

impl CellNow {
    fn new() -> Self {
        Self {
            state: CellState::Ready,
            step: 0,
            attempts: 0,
            fence: None,
            verdict: None,
            detail: String::new(),
            exit_code: None,
            collateral: false,
            since_us: None,
            hold: None,
            secrets: None,
            spawn_failures: 0,
            child: None,
            asked: 0,
            late: false,
        }
    }

    pub fn next_step(&mut self) {
        self.step += 1;
        (self.attempts, self.fence, self.since_us, self.spawn_failures) = (0, None, None, 0);
        (self.hold, self.secrets) = (None, None);
    }
}
