//! The moves of one cell: claimed, ended, held, not started; and of a run's content readings. Pure; `settle` draws the consequences.

use super::active::{ActiveRun, Around, CellState, Secrets, StageState};
use super::effect::Effect;
use super::now::Now;
use crate::domain::attempt::EndedBy;
use crate::domain::reason::Reason;
use crate::domain::run::{StepKey, StepState, Verdict};
use crate::pipeline::plan::{Retry, RetryOn};
use crate::runner::content::Readings;
use crate::store::{Claim, End, Op, StepSet};

/// The end of an attempt as the files told it, before the run knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    pub end: End,
    pub ended_by: EndedBy,
    /// Content that the step says it left: `(set, fp)`.
    pub left: Vec<(String, String)>,
    /// Collectors that should look again: `(source, scope)`.
    pub refresh: Vec<(String, String)>,
}

/// What an attempt is known by, before it exists.
#[derive(Debug, Clone, Copy)]
pub struct Ticket<'a> {
    pub fence: u64,
    pub id: &'a str,
    pub token: &'a str,
    /// Relative to the state directory.
    pub dir: &'a str,
}

/// Whether another attempt follows, and after how long (in milliseconds).
pub fn retry_after(retry: &Retry, idempotent: bool, attempts: u32, verdict: Verdict, ended_by: EndedBy, code: Option<i32>) -> Option<u64> {
    if attempts >= retry.attempts {
        return None;
    }
    let wanted = |on: &RetryOn| match (on, verdict) {
        (RetryOn::Lost, Verdict::Lost) => idempotent,
        (RetryOn::Timeout, Verdict::Failure) => ended_by == EndedBy::Timeout,
        (RetryOn::Stall, Verdict::Failure) => ended_by == EndedBy::Stall,
        (RetryOn::Exit(c), Verdict::Failure) => ended_by == EndedBy::Itself && code == Some(*c),
        (RetryOn::Failure, Verdict::Failure) => !matches!(ended_by, EndedBy::Timeout | EndedBy::Stall),
        _ => false,
    };
    let again = if retry.on.is_empty() { verdict == Verdict::Failure } else { retry.on.iter().any(wanted) };
    again.then(|| delay_ms(retry, attempts))
}

/// How long the next attempt after so many waits, in milliseconds.
pub fn delay_ms(retry: &Retry, attempts: u32) -> u64 {
    // Ninety days bound the power; a wait beyond that is no retry.
    let factor = retry.backoff.max(1.0).powi(attempts.saturating_sub(1).min(1_000) as i32);
    (retry.delay.ms() as f64 * factor).min(7.776e9) as u64
}

impl ActiveRun {
    /// The next step of a ready cell is claimed: its place in the plan, and the number of the attempt.
    pub fn claim(&mut self, (stage, cell): (u32, u32), ticket: &Ticket<'_>, now: &Now, ops: &mut Vec<Op>) -> Option<(StepKey, u32)> {
        let i = stage as usize;
        self.begin(now, ops);
        self.take_locks(stage, now, ops);
        let st = self.stages.get_mut(i)?;
        if st.state != StageState::Running {
            // Also where a retry has kept some of its cells: its limit is for this pass.
            (st.state, st.started_us) = (StageState::Running, Some(now.us));
            ops.push(self.stage_op(i));
        }
        let st = &mut self.stages[i];
        st.put(cell, CellState::Active);
        let c = st.cells.get_mut(cell as usize)?;
        c.attempts += 1;
        c.fence = Some(ticket.fence);
        c.hold = None;
        c.since_us = c.since_us.or(Some(now.us));
        let key = StepKey { stage, cell, step: c.step };
        let number = c.attempts;
        ops.push(Op::Claim(Claim {
            fence: ticket.fence,
            id: ticket.id.to_owned(),
            token: ticket.token.to_owned(),
            run: self.id,
            key,
            number,
            dir: ticket.dir.to_owned(),
            at_us: now.us,
        }));
        Some((key, number))
    }

    pub(in crate::runner) fn step_op(
        &self,
        key: StepKey,
        was_fence: Option<u64>,
        state: StepState,
        at: (Option<i64>, Option<i64>),
        not_before_us: Option<i64>,
    ) -> Op {
        let c = &self.stages[key.stage as usize].cells[key.cell as usize];
        Op::Step(StepSet {
            run: self.id,
            key,
            was_fence,
            state,
            verdict: c.verdict,
            detail: c.detail.clone(),
            exit_code: c.exit_code,
            attempts: c.attempts,
            not_before_us,
            started_us: at.0,
            ended_us: at.1,
            fence: c.fence,
        })
    }

    /// The attempt with this fence ended. False: it is not the one that its cell waits for, and nothing was changed.
    pub fn ended(&mut self, stage: u32, cell: u32, e: &Ended, now: &Now, ops: &mut Vec<Op>, effects: &mut Vec<Effect>) -> bool {
        let i = stage as usize;
        let (Some(plan), Some(st)) = (self.plan.stages.get(i), self.stages.get_mut(i)) else { return false };
        let Some(c) = st.cells.get_mut(cell as usize) else { return false };
        if c.fence != Some(e.end.fence) || c.state != CellState::Active {
            return false;
        }
        let key = StepKey { stage, cell, step: c.step };
        let verdict = e.end.verdict.unwrap_or(Verdict::Lost);
        (c.verdict, c.detail, c.exit_code, c.spawn_failures) = (Some(verdict), e.end.detail.clone(), e.end.code, 0);
        let (since, fence, attempts) = (c.since_us, c.fence, c.attempts);
        let (steps, collateral) = (plan.cells.get(cell as usize).map_or(0, |c| c.steps.len()), c.collateral);
        let retry = plan.retry.as_ref().and_then(|r| retry_after(r, plan.idempotent, attempts, verdict, e.ended_by, e.end.code));
        let (fail_fast, uninterruptible) = (plan.fail_fast, plan.uninterruptible);
        for (set, fp) in &e.left {
            self.left.insert(set.clone(), fp.clone());
        }
        for (name, value) in &e.end.outputs {
            self.stages[i].outputs.insert(name.clone(), value.clone());
        }
        ops.push(Op::End(Box::new(e.end.clone())));
        let began = e.end.started_us.is_some() || verdict == Verdict::Lost;
        if began && key.step == 0 && self.plan.stages.get(i).is_some_and(|s| !s.inputs.is_empty()) {
            ops.push(Op::Used { run: self.id, stage, at_us: e.end.started_us.unwrap_or(now.us) });
        }
        let halted = collateral || (self.stopping() && self.is_work(stage) && !uninterruptible);
        if let Some(delay_ms) = retry.filter(|_| !halted) {
            let until = now.us + (delay_ms as i64) * 1_000;
            self.stages[i].cells[cell as usize].verdict = None;
            ops.push(self.step_op(key, fence, StepState::Pending, (since, None), Some(until)));
            self.stages[i].put(cell, CellState::Waiting(until));
            return true;
        }
        ops.push(self.step_op(key, fence, StepState::Done, (since, Some(e.end.ended_us)), None));
        let last = key.step as usize + 1 >= steps;
        if verdict == Verdict::Success && !last {
            let st = &mut self.stages[i];
            let c = &mut st.cells[cell as usize];
            (c.verdict, c.exit_code) = (None, None);
            c.detail.clear();
            c.next_step();
            st.put(cell, CellState::Ready);
            return true;
        }
        self.stages[i].put(cell, CellState::Done);
        if verdict != Verdict::Success {
            if !last {
                ops.push(self.skip_op(i, Some(cell), Verdict::Skipped, "a step before it did not succeed", now));
            }
            if fail_fast && !collateral && !halted {
                self.fail_fast(i, now, ops, effects);
            }
        }
        true
    }

    /// An attempt whose command is proved never to have run is closed; its step goes back, and the attempt does not count.
    pub fn not_started(
        &mut self,
        (stage, cell): (u32, u32),
        fence: u64,
        why: &str,
        wait_ms: Option<u64>,
        now: &Now,
        ops: &mut Vec<Op>,
    ) -> bool {
        let i = stage as usize;
        let Some(c) = self.stages.get_mut(i).and_then(|s| s.cells.get_mut(cell as usize)) else { return false };
        if c.fence != Some(fence) || c.state != CellState::Active {
            return false;
        }
        let key = StepKey { stage, cell, step: c.step };
        c.attempts = c.attempts.saturating_sub(1);
        c.spawn_failures += u32::from(wait_ms.is_some());
        let since = c.since_us;
        let end = End {
            fence,
            run: self.id,
            stage,
            cell,
            step: key.step,
            verdict: Some(Verdict::Skipped),
            detail: why.to_owned(),
            ended_us: now.us,
            ..End::default()
        };
        ops.push(Op::End(Box::new(end)));
        ops.push(self.step_op(key, Some(fence), StepState::Pending, (since, None), None));
        match wait_ms {
            None => self.stages[i].put(cell, CellState::Ready),
            Some(ms) => {
                let until_us = now.us + (ms as i64) * 1_000;
                self.stages[i].cells[cell as usize].hold = Some(Reason::Spawn { why: why.to_owned(), until_us });
                self.stages[i].put(cell, CellState::Waiting(until_us));
            }
        }
        true
    }

    /// The values of the step's secrets are at hand: it may start, if the queue says so again.
    pub fn prepared(&mut self, stage: u32, cell: u32, secrets: Secrets, now_us: i64) {
        let Some(st) = self.stages.get_mut(stage as usize) else { return };
        if st.cells.get(cell as usize).is_some_and(|c| c.state == CellState::Preparing) {
            st.put(cell, CellState::Ready);
            st.cells[cell as usize].hold = None;
            st.cells[cell as usize].secrets = Some((now_us, secrets));
        }
    }

    /// Something from outside is missing (a secret): the cell gives its executor back and is looked at again later.
    pub fn hold(&mut self, stage: u32, cell: u32, reason: Reason, until_us: i64) {
        let Some(st) = self.stages.get_mut(stage as usize) else { return };
        if st.cells.get(cell as usize).is_some_and(|c| c.state == CellState::Preparing) {
            st.put(cell, CellState::Waiting(until_us));
            st.cells[cell as usize].hold = Some(reason);
        }
    }

    /// What is waited for can be had now: the cells with such a reason need not wait longer.
    pub fn ask_again(&mut self, over: impl Fn(&Reason) -> bool) {
        for stage in &mut self.stages {
            let cells: Vec<u32> = stage.waiting.iter().map(|(_, cell)| *cell).collect();
            for cell in cells {
                if stage.cells[cell as usize].hold.as_ref().is_some_and(&over) {
                    stage.put(cell, CellState::Ready);
                }
            }
        }
    }

    /// The step at hand cannot even be put together; it fails without an attempt.
    pub fn refuse(&mut self, stage: u32, cell: u32, why: &str, now: &Now, ops: &mut Vec<Op>) {
        let i = stage as usize;
        self.begin(now, ops);
        self.take_locks(stage, now, ops);
        let Some(st) = self.stages.get_mut(i) else { return };
        if st.state != StageState::Running {
            (st.state, st.started_us) = (StageState::Running, Some(now.us));
            ops.push(self.stage_op(i));
        }
        let st = &mut self.stages[i];
        let c = &mut st.cells[cell as usize];
        let key = StepKey { stage, cell, step: c.step };
        (c.verdict, c.detail) = (Some(Verdict::Failure), why.to_owned());
        let was = c.fence;
        st.put(cell, CellState::Done);
        ops.push(self.step_op(key, was, StepState::Done, (Some(now.us), Some(now.us)), None));
        ops.push(self.skip_op(i, Some(cell), Verdict::Skipped, "a step before it did not succeed", now));
    }

    /// The stage takes its locks, and the run's content is read before its first cell starts.
    pub fn begin_reading(&mut self, stage: u32, now: &Now, ops: &mut Vec<Op>) {
        self.begin(now, ops);
        self.take_locks(stage, now, ops);
        self.before = Around::Reading;
    }

    /// The content has been read.
    pub fn content_read(&mut self, after: bool, readings: Readings, now: &Now, ops: &mut Vec<Op>) {
        let side = if after { "after" } else { "before" };
        for (set, r) in &readings {
            ops.push(Op::Reading {
                run: self.id,
                set: set.clone(),
                side,
                fp: r.fp.clone(),
                md: r.md.clone(),
                detail: r.detail.clone(),
                at_us: now.us,
            });
        }
        if after {
            (self.readings_after, self.after) = (readings, Around::Done);
        } else {
            (self.readings_before, self.before) = (readings, Around::Done);
        }
        ops.push(self.run_op(self.state, None, None));
    }

    /// The broken build's second ingest: what follows the ended step is queued once more, whatever became of it meanwhile.
    #[cfg(feature = "broken-double-ingest")]
    pub fn ended_again(&mut self, stage: u32, cell: u32, step: u32, ops: &mut Vec<Op>) {
        let i = stage as usize;
        let steps = self.plan.stages[i].cells[cell as usize].steps.len() as u32;
        let mut again = Vec::new();
        if step + 1 < steps {
            again.push((i, cell, step + 1));
        } else if self.stages[i].state == StageState::Done {
            for (n, s) in self.plan.stages.iter().enumerate() {
                if s.needs.contains(&stage) && matches!(self.stages[n].state, StageState::Running) {
                    again.extend((0..s.cells.len()).map(|c| (n, c as u32, 0)));
                }
            }
        }
        for (n, c, s) in again {
            let was = {
                let at = &mut self.stages[n].cells[c as usize];
                at.step = s;
                at.verdict = None;
                at.fence
            };
            self.stages[n].put(c, CellState::Ready);
            let key = StepKey { stage: n as u32, cell: c, step: s };
            ops.push(self.step_op(key, was, StepState::Pending, (None, None), None));
        }
    }
}
