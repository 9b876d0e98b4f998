//! Which parts of an ended run start again: `resume` from the first stage that did not succeed, `retry` only the failed cells. Pure.

use crate::domain::run::{RunRef, RunState, StepState, Verdict};
use crate::pipeline::plan::{Plan, StageKind};
use crate::store::{Op, OpenRun, OpenStep, RunId, RunSet, StageSet, StepSet};

/// What a resume will do, for people, and the rows that do it.
#[derive(Debug, Clone, PartialEq)]
pub struct Resume {
    /// Stages that run again, in order; `stage (cell)` where only some cells do.
    pub again: Vec<String>,
    /// Stages whose result stands and that will not run again.
    pub kept: Vec<String>,
    pub(in crate::runner) ops: Vec<Op>,
}

/// The run that a cell waited for last, as it is now: somebody may have resumed it alone since.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::runner) struct Child {
    pub stage: u32,
    pub cell: u32,
    pub run: RunRef,
    /// None: it has not ended.
    pub verdict: Option<Verdict>,
    pub ended_us: Option<i64>,
}

/// Plans it; the error says why the run cannot be resumed. What a stage waited for and is good by now is taken as it is: it is not done twice.
pub(in crate::runner) fn plan(run: &OpenRun, plan: &Plan, children: &[Child], only_failed_cells: bool) -> Result<Resume, String> {
    may(run)?;
    let ok = |i: usize, c: usize| {
        let mut steps = run.steps.iter().filter(|t| t.key.stage as usize == i && t.key.cell as usize == c).peekable();
        steps.peek().is_some() && steps.all(|t| t.verdict == Some(Verdict::Success))
    };
    let child = |i: usize, c: usize| children.iter().find(|k| (k.stage as usize, k.cell as usize) == (i, c) && !ok(i, c));
    let taken = |i: usize, c: usize| child(i, c).filter(|k| k.verdict == Some(Verdict::Success));
    let well = |i: usize| match run.stages[i].verdict {
        Some(Verdict::Success) => true,
        Some(Verdict::Skipped) => !run.stages[i].blocked,
        Some(Verdict::Failure) => plan.stages[i].allow_failure,
        _ => false,
    };
    let mended = |i: usize| {
        let cells = 0..plan.stages[i].cells.len();
        !well(i) && cells.clone().any(|c| taken(i, c).is_some()) && cells.clone().all(|c| ok(i, c) || taken(i, c).is_some())
    };
    let good = |i: usize| well(i) || mended(i);
    let mut again = vec![false; plan.stages.len()];
    for (i, s) in plan.stages.iter().enumerate() {
        again[i] = match s.kind {
            StageKind::Work => !good(i) || s.needs.iter().any(|n| again[*n as usize]),
            StageKind::Post { of: Some(of), .. } => again[of as usize] || mended(of as usize),
            StageKind::Post { of: None, .. } => true,
        };
    }
    let touches = |i: usize| !(plan.stages[i].reads.is_empty() && plan.stages[i].writes.is_empty());
    let mut out = Resume { again: Vec::new(), kept: Vec::new(), ops: Vec::new() };
    for (i, s) in plan.stages.iter().enumerate() {
        if !again[i] {
            if mended(i) {
                let all: Vec<&Child> = (0..s.cells.len()).filter_map(|c| taken(i, c)).collect();
                out.ops.push(Op::Stage(green(run, i, &all)));
                out.ops.extend(all.iter().filter_map(|k| took(run, k)));
            }
            if matches!(s.kind, StageKind::Work) {
                out.kept.push(s.name.clone());
            }
            continue;
        }
        let keep_cells = only_failed_cells && !good(i) && matches!(s.kind, StageKind::Work) && s.needs.iter().all(|n| !again[*n as usize]);
        let cells: Vec<usize> = (0..s.cells.len()).filter(|c| !(keep_cells && (ok(i, *c) || taken(i, *c).is_some()))).collect();
        if let Some(k) = cells.iter().find_map(|c| child(i, *c).filter(|k| k.verdict.is_none())) {
            return Err(format!("waited for {}, which is at work again; wait for its end, or cancel it first", k.run));
        }
        out.ops.extend((0..s.cells.len()).filter(|c| !cells.contains(c)).filter_map(|c| took(run, taken(i, c)?)));
        if cells.len() < s.cells.len() {
            out.again.extend(cells.iter().map(|c| format!("{} ({})", s.name, s.cells[*c].key)));
        } else {
            out.again.push(s.name.clone());
        }
        // A stage that goes on with some of its cells has begun already.
        let began = (cells.len() < s.cells.len()).then_some(run.stages[i].started_us).flatten();
        out.ops.push(Op::Stage(stage(run.id, i as u32, began)));
        for t in run.steps.iter().filter(|t| t.key.stage as usize == i && cells.contains(&(t.key.cell as usize))) {
            out.ops.push(Op::Step(step(run.id, t)));
        }
    }
    let whole = (0..plan.stages.len()).all(|i| !touches(i) || again[i]);
    out.ops.push(Op::Reopen { run: run.id, whole });
    out.ops.push(Op::Run(Box::new(queued(run, whole))));
    Ok(out)
}

/// The error says why it cannot be.
fn may(run: &OpenRun) -> Result<(), String> {
    match (run.state, run.verdict) {
        (RunState::Done, Some(Verdict::Success)) => Err("has succeeded; there is nothing to resume. `replay` makes a new run".into()),
        (RunState::Done, Some(Verdict::Invalid)) => {
            Err("is invalid: its inputs moved, so no part of it can be kept. `replay` makes a new run".into())
        }
        (RunState::Done, _) => Ok(()),
        _ => Err("has not ended; cancel it first, or wait".into()),
    }
}

/// A stage as it was before it began; `began` stays of one that goes on.
fn stage(run: RunId, stage: u32, began: Option<i64>) -> StageSet {
    StageSet {
        run,
        stage,
        state: StepState::Pending,
        verdict: None,
        blocked: false,
        detail: String::new(),
        started_us: began,
        ended_us: None,
    }
}

/// A stage that is good by what its runs are now.
fn green(run: &OpenRun, i: usize, children: &[&Child]) -> StageSet {
    StageSet {
        run: run.id,
        stage: i as u32,
        state: StepState::Done,
        verdict: Some(Verdict::Success),
        blocked: false,
        detail: children.iter().map(|k| k.run.to_string()).collect::<Vec<_>>().join(", "),
        started_us: run.stages[i].started_us,
        ended_us: children.iter().filter_map(|k| k.ended_us).max().or(run.stages[i].ended_us),
    }
}

/// The cell of a run that is good by now.
fn took(run: &OpenRun, k: &Child) -> Option<Op> {
    let was = run.steps.iter().find(|t| (t.key.stage, t.key.cell) == (k.stage, k.cell))?;
    Some(Op::Step(StepSet {
        state: StepState::Done,
        verdict: Some(Verdict::Success),
        detail: k.run.to_string(),
        started_us: was.started_us,
        ended_us: k.ended_us,
        ..step(run.id, was)
    }))
}

fn step(run: RunId, was: &OpenStep) -> StepSet {
    StepSet {
        run,
        key: was.key,
        was_fence: was.fence,
        state: StepState::Pending,
        verdict: None,
        detail: String::new(),
        exit_code: None,
        attempts: 0,
        not_before_us: None,
        started_us: None,
        ended_us: None,
        fence: None,
    }
}

/// The run in the queue again, for its next round. `whole`: what it reads is read anew.
fn queued(run: &OpenRun, whole: bool) -> RunSet {
    RunSet {
        run: run.id,
        was: RunState::Done,
        state: RunState::Queued,
        verdict: None,
        detail: String::new(),
        exit_code: None,
        failed_stage: None,
        failed_step: None,
        started_us: run.started_us,
        ended_us: None,
        limit: None,
        timed_out: false,
        fp_before: if whole { None } else { run.fp_before.clone() },
        fp_after: None,
        round: run.round + 1,
    }
}
