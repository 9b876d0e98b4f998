//! What somebody sees before they ask for a change: what a start would be, and the token that tells whether it has moved since.

use super::catalog;
use super::state::Engine;
use crate::api::ApiError;
use crate::api::types::{ParameterDoc, PlanDoc, Rule};
use crate::base::sanitise;
use crate::domain::rows::RunRow;
use crate::domain::run::Verdict;
use crate::pipeline::model::{File, ParamType, RunResult};

/// Runs whose time says what the next one will take.
const LAST: usize = 10;

/// Moves with everything that makes a request mean something else: a second cancel skips the grace, a resume of a run that was resumed is none.
pub fn basis(row: &RunRow) -> String {
    let verdict = row.verdict.map_or("-", Verdict::as_str);
    let ended = row.ended_us.map_or_else(|| "-".to_owned(), |t| t.to_string());
    let cancelled = if row.cancel_by.is_some() { "cancelled" } else { "-" };
    let pinned = if row.pinned { "pinned" } else { "-" };
    format!("{} {verdict} {} {ended} {cancelled} {pinned}", row.state, row.round)
}

/// The start of a pipeline as its file says it now. Blocks.
pub fn of(engine: &Engine, name: &str) -> Result<PlanDoc, ApiError> {
    let site = engine.site()?;
    let (dirs, uid) = (engine.watch.dirs(), engine.watch.uid());
    let catalog = catalog::of_site(dirs, &site, uid)?;
    let judged = catalog::judge(dirs, name, uid, &catalog)?;
    let Some(file) = &judged.file else {
        let first = judged.first_error().unwrap_or_else(|| format!("{} cannot be used", judged.source.path.display()));
        return Err(ApiError::bad(format!("pipeline `{name}` has errors: {first}"), format!("quarterdeck pipeline lint {name}")));
    };
    let union = |of: fn(&crate::pipeline::model::Stage) -> Vec<String>| {
        let mut all: Vec<String> = file.stages.iter().flat_map(of).collect();
        all.sort();
        all.dedup();
        all
    };
    Ok(PlanDoc {
        pipeline: name.to_owned(),
        level: file.level(),
        basis: file.sha256.clone(),
        parameters: parameters(file),
        stages: file.stages.iter().map(|s| s.name.value.clone()).collect(),
        reads: union(|s| s.reads.iter().map(|v| v.value.clone()).collect()),
        writes: union(|s| s.writes.iter().map(|v| v.value.clone()).collect()),
        locks: union(|s| s.locks.iter().map(|l| l.name.value.clone()).collect()),
        secrets: secrets(file),
        usual_ms: usual(engine, name)?,
    })
}

fn parameters(file: &File) -> Vec<ParameterDoc> {
    let of = |p: &crate::pipeline::model::Parameter| ParameterDoc {
        name: p.name.text.clone(),
        kind: kind(&p.ty),
        default: p.default.as_ref().map(|d| d.value.clone()),
        description: sanitise::cell(&p.description),
        rule: rule(&p.ty),
    };
    file.parameters.iter().map(of).collect()
}

fn rule(ty: &ParamType) -> Rule {
    match ty {
        ParamType::Text { pattern, min, max } => Rule::Text { pattern: pattern.clone(), min: *min, max: *max },
        ParamType::Bool => Rule::Bool,
        ParamType::Int { min, max } => Rule::Int { min: *min, max: *max },
        ParamType::Choice(choices) => Rule::Choice { choices: choices.clone() },
        ParamType::Run { of, result } => {
            let result = match result {
                RunResult::Success => "success",
                RunResult::Failure => "failure",
                RunResult::Any => "any",
            };
            Rule::Run { of: of.as_ref().map(|o| o.value.clone()), result: result.to_owned() }
        }
    }
}

fn secrets(file: &File) -> Vec<String> {
    let of_steps =
        file.all_steps().flat_map(|(stage, step)| stage.iter().flat_map(|s| &s.secrets).chain(&step.secrets).collect::<Vec<_>>());
    let mut all: Vec<String> = of_steps.map(|s| s.name.value.clone()).collect();
    all.sort();
    all.dedup();
    all
}

fn kind(ty: &ParamType) -> String {
    let range = |min: &Option<i64>, max: &Option<i64>| match (min, max) {
        (Some(a), Some(b)) => format!(", {a} to {b}"),
        (Some(a), None) => format!(", at least {a}"),
        (None, Some(b)) => format!(", at most {b}"),
        (None, None) => String::new(),
    };
    match ty {
        ParamType::Text { pattern: Some(p), .. } => format!("text like {p}"),
        ParamType::Text { pattern: None, .. } => "text".to_owned(),
        ParamType::Bool => "true or false".to_owned(),
        ParamType::Int { min, max } => format!("whole number{}", range(min, max)),
        ParamType::Choice(choices) => format!("one of {}", choices.join(", ")),
        ParamType::Run { of, result } => {
            let of = of.as_ref().map(|p| format!(" of {}", p.value)).unwrap_or_default();
            let how = match result {
                RunResult::Success => " that succeeded",
                RunResult::Failure => " that failed",
                RunResult::Any => "",
            };
            format!("a run{of}{how}: latest, or NAME#N")
        }
    }
}

/// The middle of the last that succeeded: one slow night says nothing.
fn usual(engine: &Engine, pipeline: &str) -> Result<Option<u64>, ApiError> {
    let mut took = engine.store.run_durations(pipeline, LAST)?;
    took.sort_unstable();
    Ok(took.get(took.len() / 2).copied())
}
