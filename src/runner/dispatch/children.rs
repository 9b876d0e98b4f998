//! Runs that stages start, and the dispatcher's side of it: asked for a plan, queued in one transaction with the link to their stage,
//! followed to their end, cancelled with the run that waits for them. Pins are acted out here too.

use super::Dispatcher;
use crate::base::crash;
use crate::domain::actor::Actor;
use crate::domain::audit::Record;
use crate::domain::decision::Kind;
use crate::domain::rows::Change;
use crate::domain::run::{RunRef, RunState, StepKey, Verdict};
use crate::pipeline::expr;
use crate::pipeline::lint::builds;
use crate::pipeline::plan::{Action, Lock, Plan};
use crate::runner::children::{Children, NoChild, TRIGGER, Wish};
use crate::runner::config::{RunnerError, Submit};
use crate::runner::enqueue::{self, Parts};
use crate::runner::event::Event;
use crate::runner::model::active::CellState;
use crate::runner::model::building::{ChildEnd, Wanted};
use crate::runner::model::now::Now;
use crate::store::{CancelMark, DecisionEdit, Note, Op, ParentLink, RunId, StoreError};

/// A start that cannot be made now is tried again after this.
const AGAIN_US: i64 = 5_000_000;
/// Unique for a cell of a stage in one pass of its run; its beginning says which run caused it, as for every upstream.
fn cause(parent: &RunRef, link: &ParentLink) -> String {
    format!("upstream:{parent}:{}:stage:{}:{}", link.round, link.stage, link.cell)
}

async fn start(
    parts: Parts,
    children: std::sync::Arc<dyn Children>,
    wish: Wish,
    link: ParentLink,
    held: Vec<Lock>,
) -> Result<RunRef, NoChild> {
    let later = |e: &StoreError| NoChild::Later(e.to_string());
    let cause = cause(&wish.parent, &link);
    // Looked for first: an engine that died may have got so far.
    if let Some(run) = parts.store.run_of_cause(&cause).map_err(|e| later(&e))? {
        return Ok(run);
    }
    let asked = wish.clone();
    let planned = tokio::task::spawn_blocking(move || children.plan(&asked)).await;
    let plan = planned.unwrap_or_else(|e| Err(NoChild::Later(format!("it could not be planned: {e}"))))?;
    if link.wait
        && let Some((stage, lock)) = needed(&plan, &held, &parts)
    {
        return Err(NoChild::Never(format!(
            "stage `{stage}` of `{}` needs lock `{lock}`, which is held while it is waited for: both would wait for ever",
            wish.pipeline
        )));
    }
    let reason = format!("stage `{}` of {}", wish.stage, wish.parent);
    let record = Record {
        who: wish.who.clone(),
        action: "run".into(),
        subject: plan.pipeline.clone(),
        reason: reason.clone(),
        result: "done".into(),
        single_person: false,
    };
    let submit = Submit {
        plan,
        requested_by: wish.who.clone(),
        reason,
        trigger: TRIGGER.into(),
        cause: Some(cause),
        replay_of: None,
        note: Some(Note { at_us: parts.now_us(), record, decision: None }),
    };
    match enqueue::submit(&parts, submit, None, Some(link)).await {
        Ok(run) => Ok(run),
        Err(RunnerError::Store(
            e @ (StoreError::GroupFull { .. } | StoreError::Stale { .. } | StoreError::NoRun { .. } | StoreError::Doomed(_)),
        )) => Err(NoChild::Never(e.to_string())),
        Err(RunnerError::Store(e)) => Err(later(&e)),
        Err(RunnerError::Stopped) => Err(NoChild::Later("the engine ends".into())),
        Err(e) => Err(NoChild::Never(e.to_string())),
    }
}

/// The first stage of `plan` that needs what is held above it.
fn needed(plan: &Plan, held: &[Lock], parts: &Parts) -> Option<(String, String)> {
    let slots = |name: &str| parts.lock_slots.get(name).copied().unwrap_or(1);
    plan.stages.iter().find_map(|s| {
        let lock = s.locks.iter().find(|w| held.iter().any(|h| builds::clashes(h, w, slots(&w.name))))?;
        Some((s.name.clone(), lock.name.clone()))
    })
}

impl Dispatcher {
    fn parts(&self) -> Parts {
        Parts {
            store: self.store.clone(),
            plans: self.plans.clone(),
            events: self.shared.events.clone(),
            changes: self.changes.clone(),
            clock: self.shared.cfg.clock.clone(),
            lock_slots: self.shared.cfg.lock_slots.clone(),
        }
    }

    /// A run that was resumed alone is news of the one that had set it off, which has ended: whoever looks at that one sees how this one stands.
    pub(super) fn tell_above(&mut self, parent: Option<&ParentLink>) {
        let Some(id) = parent.map(|p| p.run_id).filter(|id| !self.priorities.contains_key(id)) else { return };
        let (store, changes) = (self.store.clone(), self.changes.clone());
        self.tasks.spawn(async move {
            let name = tokio::task::spawn_blocking(move || store.run_of_id(id)).await;
            if let Ok(Ok(Some(run))) = name {
                let _ = changes.send(Change { table: "runs", id: run.to_string() });
            }
        });
    }

    /// Locks that a stage holds, and those of the stages above that wait for its run.
    fn held_above(&self, id: RunId, stage: u32) -> Vec<Lock> {
        let (mut out, mut at) = (Vec::new(), Some((id, stage)));
        while let Some((id, stage)) = at.take() {
            let Some(run) = self.runs.values().find(|r| r.id == id) else { break };
            out.extend(run.plan.stages.get(stage as usize).map(|s| s.locks.clone()).unwrap_or_default());
            // A link leads to an older run: this ends.
            at = run.parent.as_ref().filter(|p| p.wait && p.run_id < id).map(|p| (p.run_id, p.stage));
        }
        out
    }

    /// The turn of a cell that is a run of another pipeline. First it is written down that it is meant; then it is started.
    pub(super) fn want_child(&mut self, id: RunId, stage: u32, cell: u32, now: &Now) {
        let mut ops = Vec::new();
        let Some(run) = self.run_mut(id) else { return };
        let Some(wanted) = run.want_child(stage, cell, now, &mut ops) else {
            return self.settle(id, ops, Vec::new());
        };
        self.follow_locks(id, &ops);
        self.start_child(id, stage, cell, wanted, ops);
    }

    fn start_child(&mut self, id: RunId, stage: u32, cell: u32, wanted: Wanted, ops: Vec<Op>) {
        let held = self.held_above(id, stage);
        let (parts, children, generation) = (self.parts(), self.shared.cfg.children.clone(), self.generation);
        let Some(run) = self.run_mut(id) else { return };
        let plan = &run.plan.stages[stage as usize];
        let link = ParentLink { run_id: id, round: run.round, stage, cell, wait: wanted.wait };
        let wish = Wish {
            pipeline: wanted.pipeline,
            parameters: wanted.parameters,
            parent: run.run.clone(),
            stage: plan.name.clone(),
            who: run.requested_by.clone(),
            level: plan.danger,
        };
        let change = Change { table: "runs", id: run.run.to_string() };
        let written = (!ops.is_empty()).then(|| self.store.apply(generation, ops));
        self.tasks.spawn(async move {
            if let Some(written) = written {
                if let Err(error) = written.await {
                    return drop(parts.events.send(Event::StoreFailed { generation, error }).await);
                }
                let _ = parts.changes.send(change);
                crash::point("runner.child-wanted");
            }
            let events = parts.events.clone();
            let result = start(parts, children, wish, link, held).await;
            crash::point("runner.child-started");
            let _ = events.send(Event::Child { run: id, stage, cell, generation, result }).await;
        });
    }

    /// What became of the start.
    pub(super) fn child_answer(&mut self, id: RunId, stage: u32, cell: u32, result: Result<RunRef, NoChild>) {
        let now = self.now();
        let (mut ops, mut effects) = (Vec::new(), Vec::new());
        let Some(run) = self.run_mut(id) else { return };
        match &result {
            Ok(child) => {
                if !run.child_known(stage, cell, child, &now, &mut ops) {
                    return;
                }
            }
            Err(NoChild::Never(why)) => run.child_refused(stage, cell, why, &now, &mut ops, &mut effects),
            Err(NoChild::Later(why)) => run.child_later(stage, cell, why, now.us + AGAIN_US, &mut ops),
        }
        self.settle(id, ops, effects);
        if let Ok(child) = result {
            self.look_at_child(id, stage, cell, &child);
        }
    }

    /// A run that is not open may have ended before anybody waited for it.
    fn look_at_child(&mut self, id: RunId, stage: u32, cell: u32, child: &RunRef) {
        let open = self.find(child).is_some() || self.unreadable.values().any(|u| u.is(child));
        if open {
            return;
        }
        let end = match self.store.run(child) {
            Ok(row) if row.state == RunState::Done => {
                ChildEnd { run: child.clone(), verdict: row.verdict.unwrap_or(Verdict::Lost), detail: row.detail, exit_code: row.exit_code }
            }
            // Queued a moment ago: its own event is on its way.
            Ok(_) => return,
            Err(StoreError::NoRun { .. }) => {
                ChildEnd { run: child.clone(), verdict: Verdict::Lost, detail: "it is not there any more".into(), exit_code: None }
            }
            Err(e) => return tracing::error!(run = %child, error = %e, "a run that a stage waits for cannot be looked at"),
        };
        self.child_over((id, stage, cell), &end);
    }

    /// The run of a cell has ended.
    pub(super) fn child_over(&mut self, (id, stage, cell): (RunId, u32, u32), end: &ChildEnd) {
        crash::point("runner.child-ended");
        let now = self.now();
        let (mut ops, mut effects) = (Vec::new(), Vec::new());
        if let Some(run) = self.run_mut(id)
            && run.child_ended(stage, cell, end, &now, &mut ops, &mut effects)
        {
            self.settle(id, ops, effects);
        }
    }

    /// After a reading of the store: what was meant is started, what has ended is taken in.
    pub(super) fn mend_children(&mut self) {
        let cells: Vec<(RunId, u32, u32)> =
            self.runs.values().flat_map(|r| r.child_cells().into_iter().map(|(s, c)| (r.id, s, c))).collect();
        for (id, stage, cell) in cells {
            let now = self.now();
            let Some(run) = self.run_mut(id) else { continue };
            let c = &run.stages[stage as usize].cells[cell as usize];
            if c.state != CellState::Child {
                continue;
            }
            let (child, waits) = (c.child.clone(), run.child_waits(stage, cell));
            match child {
                Some(child) if waits == Some(true) => self.look_at_child(id, stage, cell, &child),
                Some(child) => self.child_answer(id, stage, cell, Ok(child)),
                None => {
                    // Its row says already that it is meant.
                    let mut ops = Vec::new();
                    match run.want_child(stage, cell, &now, &mut ops) {
                        Some(wanted) => self.start_child(id, stage, cell, wanted, Vec::new()),
                        None => self.settle(id, ops, Vec::new()),
                    }
                }
            }
        }
    }

    /// A run that somebody waits for no longer is cancelled, with the same names in its entry.
    pub(super) fn cancel_child(&mut self, child: RunRef, by: String, why: String, force: bool) {
        let (store, events, at_us) = (self.store.clone(), self.shared.events.clone(), self.now().us);
        self.tasks.spawn(async move {
            let mark = CancelMark { by, why, at_us, force };
            let record = Record {
                who: Actor::engine("engine"),
                action: "cancel".into(),
                subject: child.to_string(),
                reason: mark.why.clone(),
                result: "done".into(),
                single_person: false,
            };
            let note = Note { at_us, record, decision: None };
            let marked = match force {
                true => store.mark_cancel(&child, mark.clone(), Some(note)).await,
                false => store.mark_cancel_once(&child, mark.clone(), note).await,
            };
            match marked {
                Ok(true) => drop(events.send(Event::Cancel { run: child, mark }).await),
                Ok(false) => {}
                Err(e) => tracing::error!(run = %child, error = %e, "a run that nobody waits for any more could not be cancelled"),
            }
        });
    }

    /// `pin:`: the run is kept, and the step has succeeded, in one transaction.
    pub(super) fn pin_step(&mut self, id: RunId, stage: u32, cell: u32, now: &Now) {
        let Some(run) = self.run_mut(id) else { return };
        let key = StepKey { stage, cell, step: run.stages[stage as usize].cells[cell as usize].step };
        let Some(step) = run.step(key) else { return };
        let named = match expr::fill_action(step, &run.facts(true)) {
            Ok((Action::Pin { run }, _)) => run.parse::<RunRef>().map_err(|e| e.to_string()),
            Ok(_) => return,
            Err(e) => Err(e.to_string()),
        };
        let by = run.run.to_string();
        let judged = named.and_then(|target| self.store.may_pin(&target).map(|()| target).map_err(|e| e.to_string()));
        let Some(run) = self.run_mut(id) else { return };
        let (mut ops, mut effects) = (Vec::new(), Vec::new());
        match judged {
            Ok(target) => {
                let subject = target.to_string();
                let why = format!("`pin:` of {by}");
                let record = Record {
                    who: run.requested_by.clone(),
                    action: "pin".into(),
                    subject: subject.clone(),
                    reason: why.clone(),
                    result: "done".into(),
                    single_person: false,
                };
                let decision = Some(DecisionEdit::Take { kind: Kind::Pin, subject: subject.clone(), why: why.clone() });
                let note = Note { at_us: now.us, record, decision };
                ops.push(Op::Pin { run: target, by, why, note: Box::new(note) });
                run.finish(key, Verdict::Success, format!("{subject} is kept"), None, now, &mut ops, &mut effects);
            }
            Err(why) => run.finish(key, Verdict::Failure, format!("nothing is kept: {why}"), None, now, &mut ops, &mut effects),
        }
        self.settle(id, ops, effects);
    }
}
