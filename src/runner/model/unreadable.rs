//! An open run whose stored plan this version cannot read: nothing of it can be decided, so its only way out is a cancel.

use crate::domain::reason::Reason;
use crate::domain::run::{RunRef, RunState, StepState, Verdict};
use crate::store::{End, Op, OpenAttempt, OpenRun, RunSet, StageSet, StepSet};

/// A run that cannot be read, with all that closing it needs.
pub struct Unreadable {
    pub(in crate::runner) row: OpenRun,
    pub(in crate::runner) why: String,
    pub(in crate::runner) attempts: Vec<OpenAttempt>,
    /// Its attempts are being stopped.
    pub(in crate::runner) closing: bool,
}

impl Unreadable {
    pub fn new(row: OpenRun, why: String, attempts: Vec<OpenAttempt>) -> Self {
        Self { row, why, attempts, closing: false }
    }

    pub fn is(&self, run: &RunRef) -> bool {
        self.row.run == *run
    }

    pub(in crate::runner) fn reason(&self) -> Reason {
        match &self.row.cancel {
            Some(c) => Reason::Cancelling { by: c.by.clone() },
            None => Reason::Unreadable { why: self.why.clone() },
        }
    }
}

/// Every open part of the run ends as cancelled.
pub(in crate::runner) fn closing(u: &Unreadable, now_us: i64) -> Vec<Op> {
    let r = &u.row;
    let by = r.cancel.as_ref().map_or("engine", |c| c.by.as_str());
    let detail = format!("cancelled by {by}: its plan cannot be read ({})", u.why);
    let cancelled = Some(Verdict::Cancelled);
    let mut ops = Vec::new();
    for a in &u.attempts {
        let (fence, key) = (a.fence, a.key);
        let at = (key.stage, key.cell, key.step);
        let end = End { fence, run: r.id, stage: at.0, cell: at.1, step: at.2, verdict: cancelled, ended_us: now_us, ..End::default() };
        ops.push(Op::End(Box::new(End { detail: detail.clone(), ..end })));
    }
    for s in r.steps.iter().filter(|s| s.state != StepState::Done) {
        ops.push(Op::Step(StepSet {
            run: r.id,
            key: s.key,
            was_fence: s.fence,
            state: StepState::Done,
            verdict: cancelled,
            detail: detail.clone(),
            exit_code: None,
            attempts: s.attempts,
            not_before_us: None,
            started_us: s.started_us,
            ended_us: Some(now_us),
            fence: s.fence,
        }));
    }
    for (i, s) in r.stages.iter().enumerate() {
        let stage = i as u32;
        ops.push(Op::Unlock { run: r.id, stage });
        if s.state != StepState::Done {
            ops.push(Op::Stage(StageSet {
                run: r.id,
                stage,
                state: StepState::Done,
                verdict: cancelled,
                blocked: false,
                detail: detail.clone(),
                started_us: s.started_us,
                ended_us: Some(now_us),
            }));
        }
    }
    ops.push(Op::Run(Box::new(RunSet {
        run: r.id,
        was: r.state,
        state: RunState::Done,
        verdict: cancelled,
        detail,
        exit_code: None,
        failed_stage: None,
        failed_step: None,
        started_us: r.started_us,
        ended_us: Some(now_us),
        limit: r.limit.clone(),
        timed_out: r.timed_out,
        fp_before: r.fp_before.clone(),
        fp_after: None,
        round: r.round,
    })));
    ops.push(Op::Close { subject: r.run.to_string(), at_us: now_us });
    ops.push(Op::Unoffered { run: r.id, round: r.round });
    ops
}
