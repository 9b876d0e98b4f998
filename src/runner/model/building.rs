//! Steps that have no command: a run of another pipeline, and a pin. Pure moves of their cells; `children` acts them out.
//!
//! Such a cell holds no executor. Its row goes from `pending` to `claimed` before its run exists, to `running` with it, and to `done` with
//! its end; the run and the link to it are one transaction, so that a restart finds either both or neither.

use super::active::{ActiveRun, CellState, StageState};
use super::effect::Effect;
use super::now::{Now, at_boot};
use crate::domain::reason::Reason;
use crate::domain::run::{RunRef, StepKey, StepState, Verdict};
use crate::pipeline::expr;
use crate::pipeline::plan::Action;
use crate::store::{Limit, Op};

/// The output of a stage by which later ones find the run that it was.
const RUN: &str = "run";

/// A run that is to be started, its parameters final.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    pub pipeline: String,
    pub parameters: Vec<(String, String)>,
    pub wait: bool,
}

/// How the run of a cell ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildEnd {
    pub run: RunRef,
    pub verdict: Verdict,
    pub detail: String,
    pub exit_code: Option<i32>,
}

impl ActiveRun {
    /// Whether the cell's run is waited for; none where the cell is no run of another pipeline.
    pub fn child_waits(&self, stage: u32, cell: u32) -> Option<bool> {
        let step = self.stages.get(stage as usize)?.cells.get(cell as usize)?.step;
        match self.step(StepKey { stage, cell, step })?.action {
            Action::Build { wait, .. } => Some(wait),
            _ => None,
        }
    }

    /// Cells whose run is being started or waited for.
    pub fn child_cells(&self) -> Vec<(u32, u32)> {
        let of = |(s, st): (usize, &super::active::StageNow)| {
            let cells = st.cells.iter().enumerate().filter(|(_, c)| c.state == CellState::Child);
            cells.map(|(c, _)| (s as u32, c as u32)).collect::<Vec<_>>()
        };
        self.stages.iter().enumerate().flat_map(of).collect()
    }

    fn begin_stage(&mut self, stage: u32, now: &Now, ops: &mut Vec<Op>) {
        let i = stage as usize;
        self.begin(now, ops);
        self.take_locks(stage, now, ops);
        if self.stages[i].state != StageState::Running {
            (self.stages[i].state, self.stages[i].started_us) = (StageState::Running, Some(now.us));
            ops.push(self.stage_op(i));
        }
    }

    /// A cell's turn has come: from here on its run is meant. None: it cannot be put together, and the cell has failed.
    pub fn want_child(&mut self, stage: u32, cell: u32, now: &Now, ops: &mut Vec<Op>) -> Option<Wanted> {
        let key = StepKey { stage, cell, step: self.stages.get(stage as usize)?.cells.get(cell as usize)?.step };
        let filled = expr::fill_action(self.step(key)?, &self.facts(true));
        let (pipeline, parameters, wait) = match filled {
            Ok((Action::Build { pipeline, parameters, wait }, _)) => (pipeline, parameters, wait),
            Ok(_) => return None,
            Err(e) => {
                self.refuse(stage, cell, &e.to_string(), now, ops);
                return None;
            }
        };
        self.begin_stage(stage, now, ops);
        let st = &mut self.stages[stage as usize];
        st.put(cell, CellState::Child);
        let c = &mut st.cells[cell as usize];
        (c.child, c.asked, c.late, c.hold) = (None, 0, false, None);
        c.since_us = c.since_us.or(Some(now.us));
        let since = c.since_us;
        ops.push(self.step_op(key, None, StepState::Claimed, (since, None), None));
        Some(Wanted { pipeline, parameters: parameters.into_iter().collect(), wait })
    }

    /// The run of a cell that waits for it, whatever is known of its end.
    fn waits_for_child(&self, stage: u32, cell: u32) -> Option<StepKey> {
        let c = self.stages.get(stage as usize)?.cells.get(cell as usize)?;
        (c.state == CellState::Child).then_some(StepKey { stage, cell, step: c.step })
    }

    /// The run is durable. False: nobody waits for it here.
    pub fn child_known(&mut self, stage: u32, cell: u32, child: &RunRef, now: &Now, ops: &mut Vec<Op>) -> bool {
        let (Some(key), Some(wait)) = (self.waits_for_child(stage, cell), self.child_waits(stage, cell)) else { return false };
        self.name_child(stage, child, ops);
        let c = &mut self.stages[stage as usize].cells[cell as usize];
        c.child = Some(child.clone());
        if !wait {
            self.finish(key, Verdict::Success, format!("{child}, not waited for"), None, now, ops, &mut Vec::new());
            return true;
        }
        c.detail = child.to_string();
        let since = c.since_us;
        ops.push(self.step_op(key, None, StepState::Running, (since, None), None));
        true
    }

    fn name_child(&mut self, stage: u32, child: &RunRef, ops: &mut Vec<Op>) {
        let value = child.to_string();
        ops.push(Op::Answer { run: self.id, stage, name: RUN.to_owned(), value: value.clone() });
        self.stages[stage as usize].outputs.insert(RUN.to_owned(), value);
    }

    /// There will be no such run.
    pub fn child_refused(&mut self, stage: u32, cell: u32, why: &str, now: &Now, ops: &mut Vec<Op>, effects: &mut Vec<Effect>) {
        let Some(key) = self.waits_for_child(stage, cell) else { return };
        let stopped = self.stopping() && !self.plan.stages[stage as usize].uninterruptible;
        let verdict = if stopped { Verdict::Cancelled } else { Verdict::Failure };
        self.finish(key, verdict, why.to_owned(), None, now, ops, effects);
    }

    /// It cannot be started now: the cell is looked at again then.
    pub fn child_later(&mut self, stage: u32, cell: u32, why: &str, until_us: i64, ops: &mut Vec<Op>) {
        let Some(key) = self.waits_for_child(stage, cell) else { return };
        let st = &mut self.stages[stage as usize];
        st.put(cell, CellState::Waiting(until_us));
        let name = self.plan.stages[stage as usize].name.clone();
        let c = &mut self.stages[stage as usize].cells[cell as usize];
        c.hold = Some(Reason::NoChild { stage: name, why: why.to_owned(), until_us });
        let since = c.since_us;
        ops.push(self.step_op(key, None, StepState::Pending, (since, None), None));
    }

    /// The run of a cell has ended: so has the cell, in the same way. False: nobody waited for it.
    pub fn child_ended(&mut self, stage: u32, cell: u32, end: &ChildEnd, now: &Now, ops: &mut Vec<Op>, effects: &mut Vec<Effect>) -> bool {
        let Some(key) = self.waits_for_child(stage, cell) else { return false };
        if self.stages[stage as usize].cells[cell as usize].child.as_ref().is_some_and(|c| *c != end.run) {
            return false;
        }
        if self.stages[stage as usize].cells[cell as usize].child.is_none() {
            self.name_child(stage, &end.run, ops);
        }
        let late = self.stages[stage as usize].cells[cell as usize].late && end.verdict == Verdict::Cancelled;
        let (verdict, detail) = match self.plan.stages[stage as usize].timeout.filter(|_| late) {
            Some(limit) => (Verdict::Failure, format!("{}: cancelled, for the stage's limit of {limit} was reached", end.run)),
            None if end.detail.is_empty() => (end.verdict, end.run.to_string()),
            None => (end.verdict, format!("{}: {}", end.run, end.detail)),
        };
        self.stages[stage as usize].cells[cell as usize].child = Some(end.run.clone());
        self.finish(key, verdict, detail, end.exit_code, now, ops, effects);
        true
    }

    /// The end of a step without an attempt.
    #[allow(clippy::too_many_arguments)]
    pub fn finish(
        &mut self,
        key: StepKey,
        verdict: Verdict,
        detail: String,
        exit_code: Option<i32>,
        now: &Now,
        ops: &mut Vec<Op>,
        effects: &mut Vec<Effect>,
    ) {
        let i = key.stage as usize;
        self.begin_stage(key.stage, now, ops);
        let (steps, fail_fast) = (self.plan.stages[i].cells[key.cell as usize].steps.len(), self.plan.stages[i].fail_fast);
        let halted = self.stopping() && self.is_work(key.stage) && !self.plan.stages[i].uninterruptible;
        let c = &mut self.stages[i].cells[key.cell as usize];
        (c.verdict, c.detail, c.exit_code) = (Some(verdict), detail, exit_code);
        let (since, was, collateral) = (c.since_us.or(Some(now.us)), c.fence, c.collateral);
        ops.push(self.step_op(key, was, StepState::Done, (since, Some(now.us)), None));
        let last = key.step as usize + 1 >= steps;
        if verdict == Verdict::Success && !last {
            let st = &mut self.stages[i];
            let c = &mut st.cells[key.cell as usize];
            (c.verdict, c.exit_code) = (None, None);
            c.detail.clear();
            c.next_step();
            st.put(key.cell, CellState::Ready);
            return;
        }
        self.stages[i].put(key.cell, CellState::Done);
        if verdict != Verdict::Success {
            if !last {
                ops.push(self.skip_op(i, Some(key.cell), Verdict::Skipped, "a step before it did not succeed", now));
            }
            if fail_fast && !collateral && !halted {
                self.fail_fast(i, now, ops, effects);
            }
        }
    }

    /// When the limit of a stage is reached that waits for other runs, on the boot clock; none where it has none, or was acted on.
    fn child_limit(&self, i: usize, now: &Now) -> Option<u64> {
        let (plan, st) = (&self.plan.stages[i], &self.stages[i]);
        let open = |c: &super::active::CellNow| match c.state {
            CellState::Done | CellState::Active | CellState::Preparing => false,
            CellState::Ready | CellState::Waiting(_) => true,
            CellState::Child => c.asked == 0,
        };
        let span = plan.timeout.filter(|_| st.state == StageState::Running && plan.builds() && st.cells.iter().any(open))?;
        // A stage's start is kept on the wall clock only, as for its attempts.
        let since = Limit { us: st.started_us?, boot_us: 0, boot_id: "-".to_owned() };
        Some(at_boot(&since, span.ms().saturating_mul(1_000), now))
    }

    /// Microseconds until such a limit is reached.
    pub fn child_limit_us(&self, now: &Now) -> Option<i64> {
        let left = |l: u64| i64::try_from(l).unwrap_or(i64::MAX).saturating_sub(i64::try_from(now.boot_us).unwrap_or(i64::MAX));
        (0..self.stages.len()).filter_map(|i| self.child_limit(i, now)).map(left).min()
    }

    /// Ends what has waited too long for other runs: those are cancelled, and what has not begun fails.
    pub(in crate::runner) fn late_children(&mut self, now: &Now, ops: &mut Vec<Op>, effects: &mut Vec<Effect>) {
        for i in 0..self.stages.len() {
            if self.child_limit(i, now).is_none_or(|l| l > now.boot_us) {
                continue;
            }
            let limit = self.plan.stages[i].timeout.map(|t| t.to_string()).unwrap_or_default();
            let why = format!("stage `{}` of {} has a limit of {limit}", self.plan.stages[i].name, self.run);
            for cell in 0..self.stages[i].cells.len() {
                let c = &mut self.stages[i].cells[cell];
                match c.state {
                    CellState::Child if c.asked == 0 => {
                        let Some(child) = c.child.clone() else { continue };
                        (c.asked, c.late) = (1, true);
                        effects.push(Effect::CancelChild { child, by: "engine".to_owned(), why: why.clone(), force: false });
                    }
                    CellState::Ready | CellState::Waiting(_) => {
                        let key = StepKey { stage: i as u32, cell: cell as u32, step: c.step };
                        let detail = format!("the stage's limit of {limit} was reached before it began");
                        self.finish(key, Verdict::Failure, detail, None, now, ops, effects);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Why and by whom the run of a cell is cancelled when this one must stop.
    pub(in crate::runner) fn child_cancel(&self, collateral: bool) -> (String, String) {
        match (&self.cancel, collateral) {
            (_, true) => ("engine".to_owned(), format!("another cell of {} failed, and its stage says fail_fast", self.run)),
            (Some(c), _) => (c.by.clone(), format!("{}, which waits for it, was cancelled by {}", self.run, c.by)),
            (None, _) => ("engine".to_owned(), format!("the limit of {}, which waits for it, was reached", self.run)),
        }
    }
}
