//! What the cursor of a run's page can stand on: stages, steps that are not simply green, cells of matrices, and runs that belong to it.

use super::grid::Grid;
use super::{Model, word};
use crate::api::page::{About, CellDoc};
use crate::api::types::{RunDoc, StepDoc};
use crate::domain::run::RunRef;

/// From this width on, parts of the page stand beside the stages.
pub const BESIDE: u16 = 120;
/// Steps of a stage that the page shows.
pub const STEPS: usize = 20;

/// Where Enter leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// The log of a `STAGE`, `STAGE/STEP` or `STAGE/CELL`.
    Log(String),
    Run(RunRef),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    pub id: String,
    /// Spots of one line stand beside one another.
    pub line: usize,
    pub column: usize,
    pub goal: Goal,
    pub problem: bool,
}

/// All of them, in the order of the page; `width` is that of the page.
pub fn all(model: &Model, run: &RunRef, width: u16) -> Vec<Spot> {
    let mut out: Vec<Spot> = Vec::new();
    let Some(doc) = model.run(run) else { return out };
    let mut line = 0;
    let put = |out: &mut Vec<Spot>, id: String, line: usize, column: usize, goal: Goal, outcome: &str| {
        out.push(Spot { id, line, column, goal, problem: matches!(outcome, "failure" | "lost" | "invalid") });
    };
    for stage in &doc.stages {
        let outcome = stage.verdict.as_deref().unwrap_or(&stage.state);
        put(&mut out, of_stage(&stage.name), line, 0, Goal::Log(stage.name.clone()), outcome);
        line += 1;
        for step in open_steps(&stage.steps) {
            let place = format!("{}/{}", stage.name, step.name);
            let outcome = step.verdict.as_deref().unwrap_or(&step.state);
            put(&mut out, of_step(&stage.name, &step.name), line, 0, Goal::Log(place), outcome);
            line += 1;
        }
    }
    let Some(about) = model.about(run) else { return out };
    for (stage, cells) in by_stage(about) {
        let grid = Grid::of(&cells, left(width));
        for row in &grid.rows {
            for (column, cell) in row.cells.iter().enumerate() {
                let Some(cell) = cell else { continue };
                put(&mut out, of_cell(stage, &cell.key), line, column, Goal::Log(format!("{stage}/{}", cell.key)), &cell.word);
            }
            line += 1;
        }
    }
    for (_, run, outcome) in related(about, doc) {
        put(&mut out, of_run(&run), line, 0, Goal::Run(run), &outcome);
        line += 1;
    }
    out
}

pub fn of_stage(stage: &str) -> String {
    format!("stage {stage}")
}

pub fn of_step(stage: &str, step: &str) -> String {
    format!("step {stage}/{step}")
}

pub fn of_cell(stage: &str, cell: &str) -> String {
    format!("cell {stage}/{cell}")
}

pub fn of_run(run: &RunRef) -> String {
    format!("run {run}")
}

/// Steps that are not simply green: they stand below their stage.
pub fn open_steps(steps: &[StepDoc]) -> impl Iterator<Item = &StepDoc> {
    let open = |s: &&StepDoc| s.verdict.as_deref().is_some_and(|v| v != "success" && v != "skipped") || s.state == "running";
    steps.iter().filter(open).take(STEPS)
}

/// Cells of each stage that has a matrix, in the order of the stages.
pub fn by_stage(about: &About) -> Vec<(&str, Vec<&CellDoc>)> {
    let mut out: Vec<(&str, Vec<&CellDoc>)> = Vec::new();
    for cell in &about.cells {
        match out.iter_mut().find(|(s, _)| *s == cell.stage) {
            Some((_, cells)) => cells.push(cell),
            None => out.push((&cell.stage, vec![cell])),
        }
    }
    out
}

/// Columns of the stages: all, or what the parts beside them leave.
pub fn left(width: u16) -> u16 {
    if width >= BESIDE { width * 62 / 100 - 1 } else { width }
}

/// Runs that belong to this one: what it is to it, its name, how it stands.
pub fn related(about: &About, doc: &RunDoc) -> Vec<(&'static str, RunRef, String)> {
    let mut out: Vec<(&'static str, RunRef, String)> = Vec::new();
    let mut put = |what: &'static str, run: &str, outcome: String| {
        if let Ok(run) = run.parse::<RunRef>()
            && run.to_string() != doc.run
            && !out.iter().any(|(_, r, _)| *r == run)
        {
            out.push((what, run, outcome));
        }
    };
    for child in &about.children {
        put("set off", &word::text(child, "run"), word::outcome(child));
    }
    let cause = word::text(&about.run, "cause");
    // `upstream:NAME#N:…`
    if let Some(upstream) = cause.strip_prefix("upstream:") {
        put("set off by", upstream.split(':').next().unwrap_or_default(), String::new());
    }
    put("replay of", &word::text(&about.run, "replay_of"), String::new());
    put("compared with", about.moved_since.as_deref().unwrap_or_default(), String::new());
    out
}
