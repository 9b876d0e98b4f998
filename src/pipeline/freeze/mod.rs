//! File and parameter values to the frozen plan: cells expanded, names filled in, locks and limits made explicit. Same input, same plan.

mod fault;
mod inputs;
mod stages;
mod values;

use indexmap::IndexMap;

use super::catalog::Catalog;
use super::diagnostic::Diagnostic;
use super::matrix;
use super::model::File;
use super::params::{self, RunQuery};
use super::plan::{Concurrency, FORMAT, Keep, LogCap, Plan};
use crate::domain::log::Patterns;
use crate::domain::run::RunRef;

use fault::Fault;
pub use inputs::Runs;
use values::Frozen;

const LOG_BYTES: u64 = 100 << 20;
const KEEP_RUNS: u32 = 50;
/// Steps of all cells; each is a row and a directory.
const MAX_STEPS: usize = 100_000;

/// What freezing asks the world, through the caller.
#[derive(Clone, Copy)]
pub struct FreezeCtx<'a> {
    /// Whether a program can be found on the executors: `have.NAME`.
    pub have: &'a dyn Fn(&str) -> bool,
    /// The run that a parameter of type `run` names; the error says why there is none.
    pub find_run: &'a dyn Fn(&RunQuery) -> Result<RunRef, String>,
    /// What inputs come from; none = nobody can be asked here, and inputs stay open.
    pub runs: Option<&'a dyn Runs>,
}

impl FreezeCtx<'_> {
    /// Nothing installed, no runs: for lint and for tests.
    pub const NOTHING: FreezeCtx<'static> =
        FreezeCtx { have: &|_| false, find_run: &|q| Err(format!("no run of `{}` is known here", q.pipeline)), runs: None };
}

/// Freezes an error-free file. Every fault is a diagnostic; those of parameters point at their declaration.
pub fn freeze(file: &File, catalog: &Catalog, given: &IndexMap<String, String>, ctx: &FreezeCtx<'_>) -> Result<Plan, Vec<Diagnostic>> {
    let parameters = params::resolve(file, given, ctx.find_run)
        .map_err(|faults| faults.into_iter().map(|f| Fault::Param(f).at(file)).collect::<Vec<_>>())?;
    plan(file, catalog, parameters, ctx).map_err(|f| vec![f.at(file)])
}

fn plan(file: &File, catalog: &Catalog, parameters: IndexMap<String, String>, ctx: &FreezeCtx<'_>) -> Result<Plan, Fault> {
    let frozen = Frozen { file, catalog, parameters: &parameters, matrix: None, have: ctx.have };
    let mut env = std::collections::BTreeMap::new();
    for (word, node) in &file.env {
        let value = values::text(node.text().unwrap_or(""), &frozen)
            .map_err(|error| Fault::Value { place: format!("env `{}`", word.text), error })?;
        env.insert(word.text.clone(), value);
    }
    let run_name = match file.run_name.as_ref().and_then(|n| n.text()) {
        Some(text) => values::text(text, &frozen).map_err(|error| Fault::Value { place: "run_name".into(), error })?,
        None => String::new(),
    };
    let mut stages = stages::all(file, catalog, &frozen)?;
    let (uses, trigger) = inputs::resolve(file, &parameters, ctx.runs, &mut stages)?;
    let cells: usize = stages.iter().map(|s| s.cells.len()).sum();
    let steps: usize = stages.iter().flat_map(|s| &s.cells).map(|c| c.steps.len()).sum();
    if cells > matrix::MAX_CELLS + stages.len() || steps > MAX_STEPS {
        return Err(Fault::Matrix {
            place: "the run".into(),
            why: format!("it has {cells} cells and {steps} steps, the limits are {} and {MAX_STEPS}", matrix::MAX_CELLS),
        });
    }
    let union = |pick: fn(&super::plan::Stage) -> &Vec<String>| {
        let mut all: Vec<String> = stages.iter().flat_map(|s| pick(s).iter().cloned()).collect();
        all.sort();
        all.dedup();
        all
    };
    let o = &file.options;
    Ok(Plan {
        format: FORMAT,
        pipeline: file.name.value.clone(),
        description: file.description.clone(),
        source_sha256: file.sha256.clone(),
        time_zone: catalog.time_zone.clone(),
        run_name,
        danger: file.level(),
        priority: file.priority,
        concurrency: o.concurrency.as_ref().map(|c| Concurrency { group: c.group.clone(), limit: c.limit, on_conflict: c.on_conflict }),
        timeout: o.timeout.unwrap_or(stages::DAY),
        env,
        reads: union(|s| &s.reads),
        writes: union(|s| &s.writes),
        keep: Keep {
            runs: o.keep_runs.unwrap_or(KEEP_RUNS),
            days: o.keep_days,
            pin: o.pin.clone().unwrap_or_else(|| vec!["last-success".into(), "last-failure".into()]),
        },
        log: LogCap { max_bytes: o.log_max.unwrap_or(LOG_BYTES), kill_on_limit: o.kill_on_limit, patterns: patterns(o) },
        uses,
        labels: file.labels.clone(),
        trigger,
        stages,
        parameters,
    })
}

fn patterns(o: &super::model::Options) -> Patterns {
    Patterns {
        errors: o.errors.iter().map(|(w, re)| (w.text.clone(), re.value.clone())).collect(),
        harmless: o.harmless.iter().map(|re| re.value.clone()).collect(),
    }
}
