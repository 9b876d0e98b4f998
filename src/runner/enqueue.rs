//! Queueing a run: checked, encoded, written with all that belongs to it, and then told to the dispatcher.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{broadcast, mpsc};

use super::attempt::inputs;
use super::config::{RunnerError, Submit};
use super::event::Event;
use super::model::active::ActiveRun;
use super::model::wait;
use super::plans::PlanCache;
use crate::base::clock::Clock;
use crate::domain::rows::Change;
use crate::domain::run::{RunRef, StepKey, valid_name};
use crate::pipeline::expr::Template;
use crate::pipeline::expr::template::Part;
use crate::pipeline::plan::{Action, FORMAT, OnConflict, Plan, StageKind};
use crate::store::{Group, Ledger, NewRun, NewStep, ParentLink, Store, TitlePart};

/// What queueing needs of the runner.
#[derive(Clone)]
pub struct Parts {
    pub store: Store,
    pub plans: Arc<PlanCache>,
    pub events: mpsc::Sender<Event>,
    pub changes: broadcast::Sender<Change>,
    pub clock: Arc<dyn Clock>,
    pub lock_slots: BTreeMap<String, u32>,
}

impl Parts {
    pub fn now_us(&self) -> i64 {
        self.clock.now().as_microsecond()
    }
}

/// What the plan calls its runs: all but their number is known. The text has been linted: nothing else of a run stands in it.
fn title(plan: &Plan) -> Vec<TitlePart> {
    let Ok(template) = Template::parse(&plan.run_name) else { return vec![TitlePart::Text(plan.run_name.clone())] };
    let mut out = Vec::new();
    for part in &template.parts {
        match part {
            Part::Text(t) => out.push(TitlePart::Text(t.clone())),
            Part::Path(p, _) => match (p.root.as_str(), p.names().as_deref()) {
                ("run", Some(["number"])) => out.push(TitlePart::Number),
                ("run", Some(["id"])) => out.extend([TitlePart::Text(format!("{}#", plan.pipeline)), TitlePart::Number]),
                _ => out.push(TitlePart::Text(format!("${{{p}}}"))),
            },
        }
    }
    out
}

/// Queues a run. It is durable, with its number, when this returns. `parent`: the stage that starts it; the link is written with the run.
pub async fn submit(parts: &Parts, submit: Submit, ledger: Option<Ledger>, parent: Option<ParentLink>) -> Result<RunRef, RunnerError> {
    let plan = submit.plan;
    check(&plan).map_err(|why| RunnerError::BadPlan { pipeline: plan.pipeline.clone(), why })?;
    let json = serde_json::to_string(&plan).map_err(|e| RunnerError::BadPlan { pipeline: plan.pipeline.clone(), why: e.to_string() })?;
    let sha256 = wait::sha_of(&json);
    // What is asked of a second person is written with the run, and holds it from its first moment.
    let hold = submit.note.as_ref().and_then(|n| wait::asked(n, &submit.requested_by));
    let plan = parts.plans.get(&sha256, || Ok::<_, RunnerError>(plan))?;
    let now_us = parts.now_us();
    let new = NewRun {
        pipeline: plan.pipeline.clone(),
        title: title(&plan),
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
        parent,
    };
    let done = match ledger {
        Some(ledger) => parts.store.submit_due(new, ledger).await?,
        None => parts.store.submit(new).await?,
    };
    crate::base::crash::point("runner.submitted");
    if !done.existing {
        let mut run = ActiveRun::new(done.id, done.run.clone(), submit.requested_by, plan, now_us);
        run.previous = done.previous;
        run.parent = parent;
        run.hold = hold.map(|mut w| {
            w.subject = done.run.to_string();
            Box::new(w)
        });
        parts.events.send(Event::Submitted(Box::new(run))).await.map_err(|_| RunnerError::Stopped)?;
        let _ = parts.changes.send(Change { table: "runs", id: done.run.to_string() });
    }
    Ok(done.run)
}

/// What would make a plan impossible to run, whoever wrote it.
fn check(plan: &Plan) -> Result<(), String> {
    if !valid_name(&plan.pipeline) {
        return Err(format!("`{}` is no pipeline name", plan.pipeline));
    }
    if plan.format > FORMAT {
        return Err(format!("it has format {}, this version reads up to {}", plan.format, FORMAT));
    }
    if plan.stages.is_empty() {
        return Err("it has no stage".into());
    }
    for (i, s) in plan.stages.iter().enumerate() {
        if s.needs.iter().any(|n| *n as usize >= i) {
            return Err(format!("stage `{}` needs a stage that does not come before it", s.name));
        }
        if let StageKind::Post { of: Some(of), .. } = s.kind
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
        let ours = s.cells.iter().any(|c| c.steps.len() > 1 && c.steps.iter().any(|s| matches!(s.action, Action::Build { .. })));
        if ours || (s.builds() && !matches!(s.kind, StageKind::Work)) {
            return Err(format!("stage `{}` is a run of another pipeline, and so has no other step", s.name));
        }
        let mut names: Vec<&str> = s.locks.iter().map(|l| l.name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|w| w[0] == w[1]) {
            return Err(format!("stage `{}` names a lock twice", s.name));
        }
    }
    Ok(())
}
