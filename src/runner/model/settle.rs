//! How a run moves on: pure transitions of `ActiveRun`, each giving the rows to change in one transaction.
//!
//! `settle` is called after every event and goes to the fixed point: stages become ready, are skipped, end; post stages
//! follow; at last the run ends. What must happen outside, after the commit, comes back as effects.

use super::active::{ActiveRun, Around, CellState, Outcome, StageState};
use super::effect::Effect;
use super::now::Now;
use crate::base::duration::Span;
use crate::domain::reason::Reason;
use crate::domain::run::{RunState, StepState, Verdict};
use crate::pipeline::expr;
use crate::pipeline::plan::{PostWhen, Stage, StageKind, Step};
use crate::runner::content;
use crate::store::{Limit, Op, RunSet, StageSet};

/// The limit of a post stage that names none.
pub const POST_LIMIT: Span = Span::from_secs(300);

const CANCELLED: &str = "the run was cancelled before it began";
const OUT_OF_TIME: &str = "the run's time was up before it began";
const FAIL_FAST: &str = "another cell failed, and the stage says fail_fast";

impl ActiveRun {
    /// True once nothing new of the work may begin.
    pub fn stopping(&self) -> bool {
        self.cancel.is_some() || self.timed_out || self.refused.is_some()
    }

    pub(in crate::runner) fn stage_op(&self, i: usize) -> Op {
        let s = &self.stages[i];
        Op::Stage(StageSet {
            run: self.id,
            stage: i as u32,
            state: match s.state {
                StageState::Pending | StageState::Ready => StepState::Pending,
                StageState::Running => StepState::Running,
                StageState::Done => StepState::Done,
            },
            verdict: s.verdict,
            blocked: s.blocked,
            detail: s.detail.clone(),
            started_us: s.started_us,
            ended_us: s.ended_us,
        })
    }

    pub(in crate::runner) fn skip_op(&self, i: usize, cell: Option<u32>, verdict: Verdict, why: &str, now: &Now) -> Op {
        Op::Skip { run: self.id, stage: i as u32, cell, verdict, detail: why.to_owned(), at_us: now.us }
    }

    pub(in crate::runner) fn run_op(&self, was: RunState, ended_us: Option<i64>, verdict: Option<Verdict>) -> Op {
        let outcome = self.outcome.as_ref();
        Op::Run(Box::new(RunSet {
            run: self.id,
            was,
            state: self.state,
            verdict,
            detail: outcome.map(|o| o.detail.clone()).unwrap_or_default(),
            exit_code: outcome.and_then(|o| o.exit_code),
            failed_stage: outcome.and_then(|o| o.failed_stage.clone()),
            failed_step: outcome.and_then(|o| o.failed_step.clone()),
            started_us: self.started_us,
            ended_us,
            limit: self.limit.clone(),
            timed_out: self.timed_out,
            fp_before: content::combined(&self.readings_before),
            fp_after: content::combined(&self.readings_after),
            round: self.round,
        }))
    }

    /// The run begins, if it has not: with its first claim, or with its first content reading.
    pub(in crate::runner) fn begin(&mut self, now: &Now, ops: &mut Vec<Op>) {
        if self.state != RunState::Queued {
            return;
        }
        self.state = RunState::Running;
        self.started_us = self.started_us.or(Some(now.us));
        self.limit = Some(Limit { us: now.us, boot_us: now.boot_us, boot_id: now.boot_id.to_string() });
        ops.push(self.run_op(RunState::Queued, None, None));
    }

    pub(in crate::runner) fn take_locks(&mut self, stage: u32, now: &Now, ops: &mut Vec<Op>) {
        let i = stage as usize;
        if self.stages[i].locked {
            return;
        }
        let locks = &self.plan.stages[i].locks;
        for l in locks {
            let mode = match l.mode {
                crate::pipeline::plan::LockMode::Shared => "shared",
                crate::pipeline::plan::LockMode::Exclusive => "exclusive",
            };
            ops.push(Op::Lock { run: self.id, stage, name: l.name.clone(), mode, slots: l.slots.max(1), at_us: now.us });
        }
        self.stages[i].locked = !locks.is_empty();
    }

    /// Goes to the fixed point.
    pub fn settle(&mut self, now: &Now, ops: &mut Vec<Op>) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.state == RunState::Done {
            return effects;
        }
        if !self.timed_out
            && matches!(self.state, RunState::Running | RunState::Waiting)
            && self.outcome.is_none()
            && self.limit_boot_us(now).is_some_and(|l| l <= now.boot_us)
        {
            self.timed_out = true;
            ops.push(self.run_op(self.state, None, None));
        }
        self.expire(now, ops);
        self.late_children(now, ops, &mut effects);
        loop {
            let mut moved = false;
            if self.stopping() {
                self.drop_hold(now, ops);
                moved |= self.stop_work(now, ops, &mut effects);
            }
            if self.hold.is_some() {
                return effects;
            }
            for i in 0..self.stages.len() {
                moved |= self.wake(i, now);
                moved |= self.end_stage(i, now, ops);
                moved |= self.open_stage(i, now, ops);
            }
            moved |= self.judge(now, &mut effects);
            if !moved {
                break;
            }
        }
        self.unlock(ops);
        self.rest(now, ops);
        self.end_run(now, ops, &mut effects);
        effects
    }

    /// Cells whose time has come are ready again.
    fn wake(&mut self, i: usize, now: &Now) -> bool {
        let stage = &mut self.stages[i];
        let mut moved = false;
        while let Some(&(until, cell)) = stage.waiting.first() {
            if until > now.us {
                break;
            }
            stage.put(cell, CellState::Ready);
            // A secret that could not be had is what it waits for until somebody has answered otherwise.
            let hold = &mut stage.cells[cell as usize].hold;
            *hold = hold.take().filter(|h| matches!(h, Reason::Secret { .. }));
            moved = true;
        }
        moved
    }

    /// After a cancel or the end of time: what has not begun is skipped, what runs is told to end. Uninterruptible stages that
    /// have begun go on to their end.
    fn stop_work(&mut self, now: &Now, ops: &mut Vec<Op>, effects: &mut Vec<Effect>) -> bool {
        let mut moved = false;
        let why = if self.cancel.is_some() { CANCELLED } else { OUT_OF_TIME };
        for i in 0..self.stages.len() {
            if !matches!(self.plan.stages[i].kind, StageKind::Work) {
                continue;
            }
            match self.stages[i].state {
                StageState::Pending | StageState::Ready => {
                    self.skip_stage(i, true, why, now, ops);
                    moved = true;
                }
                StageState::Running if self.stages[i].wait.is_some() => {
                    let why = if self.cancel.is_some() { "the run was cancelled" } else { "the run's time was up" };
                    self.end_wait(i, Verdict::Cancelled, format!("{why} while it waited for people"), now, ops);
                    moved = true;
                }
                StageState::Running if !self.plan.stages[i].uninterruptible || self.untouched(i) => {
                    moved |= self.stop_cells(i, false, why, now, ops, effects)
                }
                _ => {}
            }
        }
        moved
    }

    /// Nothing of a stage has begun, although one of its attempts was claimed: it was proved that its command never ran.
    fn untouched(&self, i: usize) -> bool {
        let idle = |c: &CellState| matches!(c, CellState::Ready | CellState::Waiting(_) | CellState::Preparing);
        self.stages[i].cells.iter().all(|c| c.step == 0 && c.attempts == 0 && idle(&c.state))
    }

    /// Ends cells that hold no attempt, and asks those that do to end. A timeout needs no asking: the shim keeps the deadline.
    pub(in crate::runner) fn stop_cells(
        &mut self,
        i: usize,
        collateral: bool,
        why: &str,
        now: &Now,
        ops: &mut Vec<Op>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let mut moved = false;
        let force = self.cancel.as_ref().is_some_and(|c| c.force);
        let (by, whose) = self.child_cancel(collateral);
        for cell in 0..self.stages[i].cells.len() {
            let stage = &mut self.stages[i];
            let c = &mut stage.cells[cell];
            match c.state {
                CellState::Done => {}
                CellState::Active => {
                    c.collateral |= collateral;
                    if let Some(fence) = c.fence
                        && (collateral || self.cancel.is_some())
                        && !effects.iter().any(|e| matches!(e, Effect::Cancel { fence: f, .. } if *f == fence))
                    {
                        effects.push(Effect::Cancel { fence, force });
                    }
                }
                CellState::Child => {
                    c.collateral |= collateral;
                    let asked = if force { 2 } else { 1 };
                    if let Some(child) = c.child.clone().filter(|_| c.asked < asked) {
                        c.asked = asked;
                        effects.push(Effect::CancelChild { child, by: by.clone(), why: whose.clone(), force });
                    }
                }
                CellState::Ready | CellState::Waiting(_) | CellState::Preparing => {
                    c.collateral |= collateral;
                    let verdict = if collateral { Verdict::Skipped } else { Verdict::Cancelled };
                    (c.verdict, c.detail) = (Some(verdict), why.to_owned());
                    stage.put(cell as u32, CellState::Done);
                    ops.push(self.skip_op(i, Some(cell as u32), verdict, why, now));
                    moved = true;
                }
            }
        }
        moved
    }

    /// A cell failed for good in a stage that says `fail_fast`.
    pub(in crate::runner) fn fail_fast(&mut self, i: usize, now: &Now, ops: &mut Vec<Op>, effects: &mut Vec<Effect>) {
        self.stop_cells(i, true, FAIL_FAST, now, ops, effects);
    }

    pub(in crate::runner) fn skip_stage(&mut self, i: usize, blocked: bool, why: &str, now: &Now, ops: &mut Vec<Op>) {
        let stage = &mut self.stages[i];
        (stage.state, stage.verdict, stage.blocked) = (StageState::Done, Some(Verdict::Skipped), blocked);
        (stage.detail, stage.ended_us) = (why.to_owned(), Some(now.us));
        for c in &mut stage.cells {
            (c.state, c.verdict) = (CellState::Done, Some(Verdict::Skipped));
        }
        stage.recount();
        ops.push(self.skip_op(i, None, Verdict::Skipped, why, now));
        ops.push(self.stage_op(i));
    }

    /// A stage ends with its last cell; its verdict is the worst of them, those left out that fell because of a sibling.
    fn end_stage(&mut self, i: usize, now: &Now, ops: &mut Vec<Op>) -> bool {
        // People end a stage that waits for them.
        if self.plan.stages[i].approve.is_some() {
            return false;
        }
        let stage = &mut self.stages[i];
        if stage.state == StageState::Done || stage.open > 0 || (stage.state == StageState::Pending && stage.started_us.is_none()) {
            return false;
        }
        let mut verdict = Verdict::Skipped;
        let mut detail = String::new();
        for c in stage.cells.iter().filter(|c| !c.collateral) {
            let v = c.verdict.unwrap_or(Verdict::Skipped);
            if verdict.worse(v) != verdict {
                verdict = v;
                detail.clone_from(&c.detail);
            }
        }
        (stage.state, stage.verdict, stage.detail, stage.ended_us) = (StageState::Done, Some(verdict), detail, Some(now.us));
        ops.push(self.stage_op(i));
        true
    }

    /// A work stage and its own post stages have ended.
    fn complete(&self, i: usize) -> bool {
        self.stages[i].state == StageState::Done
            && self.plan.stages.iter().zip(&self.stages).all(|(s, now)| match s.kind {
                StageKind::Post { of: Some(of), .. } => of as usize != i || now.state == StageState::Done,
                _ => true,
            })
    }

    fn good_enough(&self, i: usize) -> bool {
        let (plan, now) = (&self.plan.stages[i], &self.stages[i]);
        match now.verdict {
            Some(Verdict::Success) => true,
            Some(Verdict::Skipped) => !now.blocked,
            Some(Verdict::Failure) => plan.allow_failure,
            _ => false,
        }
    }

    /// Whether everything that led to this stage went well. All of it, not only what it names: a report that runs whatever happened must not
    /// clear the way for what follows.
    fn unbroken(&self, i: usize) -> bool {
        let mut todo: Vec<usize> = self.plan.stages[i].needs.iter().map(|n| *n as usize).collect();
        let mut seen = vec![false; self.plan.stages.len()];
        while let Some(n) = todo.pop() {
            if std::mem::replace(&mut seen[n], true) {
                continue;
            }
            if !self.good_enough(n) {
                return false;
            }
            todo.extend(self.plan.stages[n].needs.iter().map(|n| *n as usize));
        }
        true
    }

    /// A pending stage whose turn has come becomes ready, or is skipped.
    fn open_stage(&mut self, i: usize, now: &Now, ops: &mut Vec<Op>) -> bool {
        if self.stages[i].state != StageState::Pending {
            return false;
        }
        let plan = self.plan.clone();
        let stage = &plan.stages[i];
        match stage.kind {
            StageKind::Work => {
                if !stage.needs.iter().all(|n| self.complete(*n as usize)) {
                    return false;
                }
                let ok = self.unbroken(i);
                match expr::decide(stage.when.as_deref(), &self.facts(ok)) {
                    Ok(true) => self.ready(i, now, ops),
                    Ok(false) => {
                        // It is the stages before it that keep it back where it would run had all of them succeeded.
                        let theirs = !ok && expr::decide(stage.when.as_deref(), &self.facts(true)).unwrap_or(true);
                        let why = if theirs { "a stage that it needs did not succeed" } else { "its `when` says no" };
                        self.skip_stage(i, !ok, why, now, ops);
                    }
                    Err(e) => {
                        self.skip_stage(i, true, &format!("its `when` cannot be answered: {e}"), now, ops);
                        self.stages[i].verdict = Some(Verdict::Failure);
                        ops.push(self.stage_op(i));
                    }
                }
                true
            }
            StageKind::Post { when, of } => {
                let of = of.map(|o| o as usize);
                // Post stages of one owner run one after the other, in file order.
                let waits = plan.stages[..i].iter().zip(&self.stages).any(|(s, now)| {
                    matches!(s.kind, StageKind::Post { of: o, .. } if o.map(|o| o as usize) == of) && now.state != StageState::Done
                });
                let owner = match of {
                    Some(o) if self.stages[o].state == StageState::Done => self.stages[o].verdict,
                    None => self.outcome.as_ref().map(|o| o.verdict),
                    Some(_) => None,
                };
                let Some(verdict) = owner else { return false };
                if waits {
                    return false;
                }
                let never_began = of.is_some_and(|o| self.stages[o].started_us.is_none()) || (of.is_none() && self.started_us.is_none());
                let wanted = !never_began
                    && match when {
                        PostWhen::Always => true,
                        PostWhen::Success => verdict == Verdict::Success,
                        PostWhen::Failure => matches!(verdict, Verdict::Failure | Verdict::Lost | Verdict::Invalid),
                        PostWhen::Fixed => verdict == Verdict::Success && self.previous.is_some_and(|p| p != Verdict::Success),
                    };
                if wanted {
                    self.ready(i, now, ops)
                } else {
                    self.skip_stage(i, false, "", now, ops)
                }
                true
            }
        }
    }

    fn ready(&mut self, i: usize, now: &Now, ops: &mut Vec<Op>) {
        if self.stages[i].cells.is_empty() && self.plan.stages[i].approve.is_none() {
            self.skip_stage(i, false, "its matrix has no cell", now, ops);
        } else {
            self.stages[i].state = StageState::Ready;
        }
    }

    fn work_done(&self) -> bool {
        self.plan.stages.iter().zip(&self.stages).all(|(s, now)| !matches!(s.kind, StageKind::Work) || now.state == StageState::Done)
    }

    /// When all work has ended: first the reading after it, then the verdict that post stages see.
    fn judge(&mut self, now: &Now, effects: &mut Vec<Effect>) -> bool {
        let _ = now;
        if self.outcome.is_some() || !self.work_done() {
            return false;
        }
        if self.before != Around::Done {
            // No stage that reads or writes content ever began.
            self.after = Around::NotWanted;
        }
        match self.after {
            Around::Wanted => {
                self.after = Around::Reading;
                effects.push(Effect::ReadContent { after: true });
                return false;
            }
            Around::Reading => return false,
            Around::NotWanted | Around::Done => {}
        }
        // A stage's own post stages belong to its work; the run is judged after them.
        let pending = self
            .plan
            .stages
            .iter()
            .zip(&self.stages)
            .any(|(s, n)| matches!(s.kind, StageKind::Post { of: Some(_), .. }) && n.state != StageState::Done);
        if pending {
            return false;
        }
        self.outcome = Some(self.verdict_of_work());
        true
    }

    /// The verdict of the work, which decides what post stages run, and of those that have ended: what the next one is told, and at last
    /// that of the run.
    pub fn so_far(&self) -> Option<Outcome> {
        let mut out = self.outcome.clone()?;
        if out.verdict == Verdict::Success {
            let bad = self.plan.stages.iter().zip(&self.stages).position(|(s, n)| {
                matches!(s.kind, StageKind::Post { .. })
                    && n.state == StageState::Done
                    && !matches!(n.verdict, Some(Verdict::Success | Verdict::Skipped))
                    && !(s.allow_failure && n.verdict == Some(Verdict::Failure))
            });
            if let Some(i) = bad {
                out.verdict = self.stages[i].verdict.unwrap_or(Verdict::Failure);
                let verdict = out.verdict;
                self.blame(&mut out, "post stage", i, verdict);
            }
        }
        Some(out)
    }

    /// What a post stage is told of what it stands behind, a stage or the run: how that ended, and which stage brought it there, if it is red.
    pub fn told(&self, stage: &Stage) -> Option<(Verdict, String)> {
        let StageKind::Post { of, .. } = stage.kind else { return None };
        let Some(of) = of else { return self.so_far().map(|o| (o.verdict, o.failed_stage.unwrap_or_default())) };
        let verdict = self.stages[of as usize].verdict?;
        let red = !matches!(verdict, Verdict::Success | Verdict::Skipped);
        Some((verdict, if red { self.plan.stages[of as usize].name.clone() } else { String::new() }))
    }

    /// Says in `out` which stage brought the run its verdict, and which step of it.
    fn blame(&self, out: &mut Outcome, what: &str, i: usize, verdict: Verdict) {
        let (plan, now) = (&self.plan.stages[i], &self.stages[i]);
        let red = now.cells.iter().position(|c| !c.collateral && c.verdict == Some(verdict));
        out.exit_code = None;
        out.failed_step = red.and_then(|c| {
            let (cell, at) = (&plan.cells[c], &now.cells[c]);
            out.exit_code = at.exit_code;
            let named = |s: &Step| if cell.key.is_empty() { s.name.clone() } else { format!("{} ({})", s.name, cell.key) };
            cell.steps.get(at.step as usize).map(named)
        });
        let name = format!("{what} `{}`", plan.name);
        out.detail = if now.detail.is_empty() { name } else { format!("{name}: {}", now.detail) };
        out.failed_stage = Some(plan.name.clone());
    }

    fn verdict_of_work(&self) -> Outcome {
        let mut out = Outcome { verdict: Verdict::Success, detail: String::new(), exit_code: None, failed_stage: None, failed_step: None };
        let mut any = false;
        for (i, (plan, now)) in self.plan.stages.iter().zip(&self.stages).enumerate() {
            let v = now.verdict.unwrap_or(Verdict::Skipped);
            any |= v == Verdict::Success;
            let tolerated = plan.allow_failure && v == Verdict::Failure;
            if matches!(v, Verdict::Success | Verdict::Skipped) || tolerated {
                continue;
            }
            let worse = out.verdict.worse(v) != out.verdict;
            if worse {
                out.verdict = v;
            }
            // Of a run that nobody cancelled, a stage was: the run that it waited for.
            let own = v != Verdict::Cancelled || !self.stopping();
            if own && (worse || out.failed_stage.is_none()) {
                self.blame(&mut out, "stage", i, v);
            }
        }
        let left_out = self.plan.stages.iter().zip(&self.stages).any(|(s, n)| matches!(s.kind, StageKind::Work) && n.blocked);
        if let Some(why) = &self.refused {
            (out.verdict, out.detail, out.failed_stage, out.failed_step) = (Verdict::Cancelled, why.clone(), None, None);
        } else if let Some(c) = &self.cancel {
            if out.verdict != Verdict::Success || left_out {
                if out.verdict != Verdict::Lost {
                    out.verdict = Verdict::Cancelled;
                }
                // A person's force says more than the cancel before it.
                if out.verdict != Verdict::Lost || self.force.is_none() {
                    out.detail =
                        if c.why.is_empty() { format!("cancelled by {}", c.by) } else { format!("cancelled by {}: {}", c.by, c.why) };
                }
            }
        } else if self.timed_out && (out.verdict != Verdict::Success || left_out) {
            if out.verdict != Verdict::Lost {
                out.verdict = Verdict::Failure;
            }
            out.detail = format!("the run's limit of {} was reached", self.plan.timeout);
        }
        if out.verdict == Verdict::Success {
            if self.after == Around::Done {
                let (reads, writes) = self.read_and_written();
                let (before, after) = (&self.readings_before, &self.readings_after);
                if let Some(why) = content::invalid(&reads, &writes, before, after, &self.left) {
                    (out.verdict, out.detail) = (Verdict::Invalid, why);
                } else if content::no_change(&writes, before, after) {
                    out.detail = "no-change".to_owned();
                }
            } else if !any {
                out.detail = "nothing ran: every stage was skipped".to_owned();
            }
        }
        out
    }

    fn read_and_written(&self) -> (Vec<String>, Vec<String>) {
        let began = |i: usize| self.stages[i].started_us.is_some();
        let (mut reads, mut writes) = (self.plan.reads.clone(), Vec::new());
        for (i, s) in self.plan.stages.iter().enumerate().filter(|(i, _)| began(*i)) {
            let _ = i;
            reads.extend(s.reads.iter().cloned());
            writes.extend(s.writes.iter().cloned());
        }
        for list in [&mut reads, &mut writes] {
            list.sort();
            list.dedup();
        }
        (reads, writes)
    }

    /// Locks go with the end of their stage. Those of the last one stay until the content has been read after the work, so that
    /// the next writer cannot make this run invalid in between.
    fn unlock(&mut self, ops: &mut Vec<Op>) {
        if self.after == Around::Reading {
            return;
        }
        for i in 0..self.stages.len() {
            if self.stages[i].locked && self.stages[i].state == StageState::Done {
                self.stages[i].locked = false;
                if !cfg!(feature = "broken-lock-leak") {
                    ops.push(Op::Unlock { run: self.id, stage: i as u32 });
                }
            }
        }
    }

    fn end_run(&mut self, now: &Now, ops: &mut Vec<Op>, effects: &mut Vec<Effect>) {
        if self.outcome.is_none() || self.stages.iter().any(|s| s.state != StageState::Done) {
            return;
        }
        self.outcome = self.so_far();
        let verdict = self.outcome.as_ref().map_or(Verdict::Failure, |o| o.verdict);
        let was = std::mem::replace(&mut self.state, RunState::Done);
        ops.push(self.run_op(was, Some(now.us), Some(verdict)));
        ops.push(Op::Unoffered { run: self.id, round: self.round });
        effects.push(Effect::Ended(verdict));
    }
}
