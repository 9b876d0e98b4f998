//! The `spec.json` of an attempt, from the frozen plan and what the run knows by now: command, environment, deadlines. Pure.

use std::collections::BTreeMap;
use std::path::Path;

use super::active::{ActiveRun, StageState};
use super::moves::Ticket;
use super::now::{Now, at_boot};
use super::settle::POST_LIMIT;
use crate::domain::attempt::{Command, FORMAT, LogPolicy, SecretUse, Spec, file};
use crate::domain::run::StepKey;
use crate::pipeline::expr;
use crate::pipeline::plan::{Action, Stage, StageKind, out_variable};
use crate::runner::paths;
use crate::store::Limit;

/// The attempt that the spec is for.
pub struct Identity<'a> {
    pub ticket: Ticket<'a>,
    pub epoch: u64,
    pub number: u32,
    pub key: StepKey,
    /// Of the runner's clock.
    pub clock_shift_us: i64,
}

/// Puts the spec together. The error is a sentence: an expression of the plan that has no value now.
pub fn build(run: &ActiveRun, at: &Identity<'_>, state_dir: &Path, base_env: &BTreeMap<String, String>, now: &Now) -> Result<Spec, String> {
    let (plan, key) = (&run.plan, at.key);
    let stage = plan.stages.get(key.stage as usize).ok_or("the plan has no such stage")?;
    let cell = stage.cells.get(key.cell as usize).ok_or("the plan has no such cell")?;
    let step = cell.steps.get(key.step as usize).ok_or("the plan has no such step")?;
    let facts = run.facts(true);
    let (action, own_env) = expr::fill_action(step, &facts).map_err(|e| e.to_string())?;
    let run_dir = paths::run_dir(state_dir, &run.run);
    let workspace = paths::workspace(&run_dir, plan, key);
    let report = state_dir.join(at.ticket.dir).join(file::REPORT);

    let mut env = base_env.clone();
    for (k, v) in &plan.env {
        env.insert(k.clone(), expr::fill(v, &facts).map_err(|e| format!("env {k}: {e}"))?);
    }
    env.extend(plan.parameters.iter().map(|(k, v)| (k.clone(), v.clone())));
    env.extend(cell.matrix.iter().map(|(k, v)| (format!("matrix_{k}"), v.clone())));
    for (s, state) in plan.stages.iter().zip(&run.stages) {
        env.extend(state.outputs.iter().map(|(name, value)| (out_variable(&s.name, name), value.clone())));
        if s.approve.is_some() {
            env.extend(state.outputs.iter().map(|(name, value)| (format!("approve_{name}"), value.clone())));
        }
    }
    env.extend(own_env);
    let text = |p: &Path| p.to_string_lossy().into_owned();
    let ours = [
        ("QD_RUN", run.run.to_string()),
        ("QD_RUN_NUMBER", run.run.number.to_string()),
        ("QD_PIPELINE", run.run.pipeline.clone()),
        ("QD_STAGE", stage.name.clone()),
        ("QD_STEP", step.name.clone()),
        ("QD_CELL", cell.key.clone()),
        ("QD_ATTEMPT_ID", at.ticket.id.to_owned()),
        ("QD_ATTEMPT", at.number.to_string()),
        ("QD_WORKSPACE", text(&workspace)),
        ("QD_RUN_WORKSPACE", text(&run_dir.join("workspace"))),
        ("QD_REPORT", text(&report)),
        ("QD_JOURNAL", text(&paths::journal(&run_dir, key))),
    ];
    env.extend(ours.map(|(k, v)| (k.to_owned(), v)));
    if at.clock_shift_us != 0 {
        env.insert("QD_CLOCK_SHIFT_US".to_owned(), at.clock_shift_us.to_string());
    }
    if let Some((verdict, failed_stage)) = run.told(stage) {
        env.insert("QD_VERDICT".to_owned(), verdict.as_str().to_owned());
        env.insert("QD_FAILED_STAGE".to_owned(), failed_stage);
    }
    let deadline = deadline(run, stage, key.stage, now);
    Ok(Spec {
        format: FORMAT,
        attempt: at.ticket.id.to_owned(),
        token: at.ticket.token.to_owned(),
        fence: at.ticket.fence,
        epoch: at.epoch,
        run: run.run.clone(),
        stage: stage.name.clone(),
        cell: cell.key.clone(),
        step: step.name.clone(),
        attempt_number: at.number,
        command: match action {
            Action::Shell { script, interpreter } => Command::Shell { script, interpreter },
            Action::Native { kind, with } => Command::Native { kind, with },
            Action::Build { .. } | Action::Pin { .. } => return Err("it is no command: the engine does it itself".into()),
        },
        workspace: text(&workspace),
        env,
        report: text(&report),
        journal: text(&paths::journal(&run_dir, key)),
        timeout_ms: step.timeout.map(|t| t.ms()),
        deadline_boot_us: deadline.as_ref().map(|(at, _)| *at),
        deadline_is: deadline.map(|(_, what)| what).unwrap_or_default(),
        boot_id: now.boot_id.to_string(),
        stall_ms: step.stall.or(stage.stall).map(|t| t.ms()),
        grace_ms: step.grace.ms(),
        log: LogPolicy { max_bytes: plan.log.max_bytes, kill_on_limit: plan.log.kill_on_limit },
        secrets: step.secrets.iter().map(|s| SecretUse { name: s.name.clone(), env: s.env }).collect(),
        daemon_allowed: step.daemon_allowed,
        clock_shift_us: at.clock_shift_us,
    })
}

/// The earlier of the stage's deadline and the run's. The run's time is not for its post stages, which have their own, nor for a
/// stage that must not be interrupted.
fn deadline(run: &ActiveRun, stage: &Stage, index: u32, now: &Now) -> Option<(u64, String)> {
    let post = !matches!(stage.kind, StageKind::Work);
    let span = stage.timeout.or(post.then_some(POST_LIMIT));
    // A stage's start is kept on the wall clock only; the part since then is taken from there. One that a retry goes on with has the start of
    // the pass before until its first claim.
    let now_running = run.stages.get(index as usize).filter(|s| s.state == StageState::Running);
    let began = now_running.and_then(|s| s.started_us).unwrap_or(now.us);
    let own = span.map(|s| {
        let at = at_boot(&Limit { us: began, boot_us: 0, boot_id: "-".to_owned() }, s.ms().saturating_mul(1_000), now);
        (at, format!("the time of its stage was up: timeout {s}"))
    });
    let whole = if post || stage.uninterruptible { None } else { run.limit_boot_us(now) };
    let whole = whole.map(|at| (at, format!("the time of its run was up: timeout {}", run.plan.timeout)));
    [own, whole].into_iter().flatten().min_by_key(|(at, _)| *at)
}
