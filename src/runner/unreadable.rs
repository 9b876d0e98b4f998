//! Open runs whose stored plan this version cannot read: said in words, never started, and closed when somebody cancels them.
//!
//! Nothing of such a run can be decided, so its only way out is the cancel: its attempts are asked to end, and then every part of it is.

use std::path::PathBuf;

use super::attempt;
use super::building::ChildEnd;
use super::dispatch::{Dispatcher, Event};
use crate::domain::attempt::{CancelIntent, FORMAT, file};
use crate::domain::reason::Reason;
use crate::domain::rows::{Change, QueueRow};
use crate::domain::run::{RunRef, RunState, StepState, Verdict};
use crate::store::{CancelMark, End, Op, OpenAttempt, OpenRun, RunId, RunSet, StageSet, StepSet};

/// A run that cannot be read, with all that closing it needs.
pub struct Unreadable {
    row: OpenRun,
    why: String,
    attempts: Vec<OpenAttempt>,
    /// Its attempts are being stopped.
    closing: bool,
}

impl Unreadable {
    pub fn new(row: OpenRun, why: String, attempts: Vec<OpenAttempt>) -> Self {
        Self { row, why, attempts, closing: false }
    }

    pub fn is(&self, run: &RunRef) -> bool {
        self.row.run == *run
    }

    fn reason(&self) -> Reason {
        match &self.row.cancel {
            Some(c) => Reason::Cancelling { by: c.by.clone() },
            None => Reason::Unreadable { why: self.why.clone() },
        }
    }
}

impl Dispatcher {
    /// Those of them that were cancelled are closed; asked after every reading of the store and at every cancel.
    pub(super) fn close_unreadable(&mut self) {
        let state_dir = self.shared.cfg.state_dir.clone();
        for u in self.unreadable.values_mut().filter(|u| u.row.cancel.is_some() && !u.closing) {
            u.closing = true;
            let Some(mark) = u.row.cancel.clone() else { continue };
            let dirs: Vec<PathBuf> = u.attempts.iter().map(|a| state_dir.join(&a.dir)).collect();
            let (events, generation, id) = (self.shared.events.clone(), self.generation, u.row.id);
            self.tasks.spawn(async move {
                for dir in dirs {
                    stop(dir, &mark).await;
                }
                let _ = events.send(Event::UnreadableStopped { run: id, generation }).await;
            });
        }
    }

    /// True where the run is one of them; its cancel is on its way.
    pub(super) fn cancel_unreadable(&mut self, run: &RunRef, mark: &CancelMark) -> bool {
        let Some(u) = self.unreadable.values_mut().find(|u| u.row.run == *run) else { return false };
        u.row.cancel.get_or_insert_with(|| mark.clone());
        self.close_unreadable();
        true
    }

    /// Nothing of it is alive any more: its rows end.
    pub(super) fn unreadable_stopped(&mut self, id: RunId) {
        let Some(u) = self.unreadable.remove(&id) else { return };
        let name = u.row.run.clone();
        let ops = closing(&u, self.now().us);
        self.held.retain(|h| h.run_id != id);
        let change = |table| Change { table, id: name.to_string() };
        self.commit(ops, vec![change("runs"), change("ends"), change("queue"), Change { table: "locks", id: String::new() }]);
        tracing::info!(run = %name, "a run whose plan cannot be read was cancelled");
        if let Some(p) = u.row.parent.filter(|p| p.wait) {
            let detail = "its plan could not be read".to_owned();
            self.child_over((p.run_id, p.stage, p.cell), &ChildEnd { run: name, verdict: Verdict::Cancelled, detail, exit_code: None });
        }
    }

    pub(super) fn why_unreadable(&self, run: &RunRef) -> Option<Vec<Reason>> {
        self.unreadable.values().find(|u| u.row.run == *run).map(|u| vec![u.reason()])
    }

    pub(super) fn unreadable_rows(&self) -> impl Iterator<Item = QueueRow> + '_ {
        self.unreadable.values().map(|u| QueueRow {
            run: u.row.run.clone(),
            state: u.row.state,
            priority: u.row.priority,
            requested_by: u.row.requested_by.name.clone(),
            created_us: u.row.created_us,
            blocked: Some(u.reason()),
            slow_us: None,
        })
    }
}

/// Asks an attempt to end and waits until it has. Where it cannot be asked or watched, its end is not waited for.
async fn stop(dir: PathBuf, mark: &CancelMark) {
    let intent = CancelIntent { format: FORMAT, who: mark.by.clone(), why: mark.why.clone(), force: mark.force };
    let asked = {
        let dir = dir.clone();
        tokio::task::spawn_blocking(move || !dir.join(file::SPEC).exists() || attempt::cancel(&dir, &intent).is_ok()).await
    };
    if matches!(asked, Ok(true))
        && let Err(e) = attempt::watch(&dir).await
    {
        tracing::warn!(dir = %dir.display(), error = %e, "an attempt of a run that cannot be read cannot be watched");
    }
    let retired = tokio::task::spawn_blocking(move || {
        let _ = attempt::retire(&dir);
        attempt::stop_survivors(&dir).map(drop)
    });
    if let Ok(Err(e)) = retired.await {
        tracing::warn!(error = %e, "processes of a run that cannot be read may be left");
    }
}

/// Every open part of the run ends as cancelled.
fn closing(u: &Unreadable, now_us: i64) -> Vec<Op> {
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
