//! Whole pages of the console, each in one answer: the last runs of a pipeline stage by stage, and what stands around one run.

use std::collections::BTreeSet;

use super::rows::{self, time_opt};
use super::state::Engine;
use super::tested;
use crate::api::ApiError;
use crate::api::page::{About, Average, CellDoc, EtaDoc, History, Input, PastRun, PastStage, TestCounts};
use crate::config::{ConfigError, pipelines};
use crate::domain::changes::Known;
use crate::domain::promotion::owns;
use crate::domain::rows::{StepRow, span_ms};
use crate::domain::run::{RunRef, Verdict};
use crate::pipeline::plan::Plan;
use crate::runner::eta;
use crate::store::{RunsQuery, StoreError};

/// Runs of one answer at most.
const RUNS: usize = 50;
/// Good runs that an average is of.
const OF: usize = 30;
/// Artifacts, failed tests and cells of one answer at most; the tables of `get` have all.
const SHOWN: usize = 200;
const CELLS: usize = 2_000;

/// Blocks.
pub fn history(engine: &Engine, pipeline: &str, limit: usize) -> Result<History, ApiError> {
    let store = &engine.store;
    let q = RunsQuery { pipeline: Some(pipeline.to_owned()), limit: limit.clamp(1, RUNS), ..RunsQuery::default() };
    let mut runs = Vec::new();
    // The order of the newest plan, and after it what older ones had besides.
    let mut names: Vec<String> = Vec::new();
    for r in store.runs(&q)? {
        let stages = match store.stages(&r.run) {
            Err(StoreError::NoRun { .. }) => continue,
            found => found?,
        };
        for s in &stages {
            if !names.contains(&s.name) {
                names.push(s.name.clone());
            }
        }
        runs.push(PastRun {
            run: r.run.to_string(),
            number: r.number,
            state: r.state.to_string(),
            verdict: r.verdict.map(|v| v.to_string()),
            started: time_opt(r.started_us),
            duration_ms: r.duration_ms(),
            changes: r.changes.clone(),
            stages: stages
                .iter()
                .map(|s| PastStage {
                    name: s.name.clone(),
                    state: s.state.to_string(),
                    verdict: s.verdict.map(|v| v.to_string()),
                    started: time_opt(s.started_us),
                    duration_ms: span_ms(s.started_us, s.ended_us),
                })
                .collect(),
        });
    }
    if runs.is_empty() && !owns(pipeline) {
        // Without runs it is a pipeline by its file, or none: then its name is told, with the one that may have been meant.
        pipelines::read(engine.watch.dirs(), pipeline, engine.watch.uid()).map(drop).or_else(|e| match e {
            ConfigError::NoPipeline { .. } => Err(e),
            _ => Ok(()),
        })?;
    }
    let mut averages = Vec::new();
    for stage in names {
        let past = store.stage_durations(pipeline, &stage, OF)?;
        let average_ms = (!past.is_empty()).then(|| past.iter().sum::<u64>() / past.len() as u64);
        averages.push(Average { stage, average_ms });
    }
    Ok(History { pipeline: pipeline.to_owned(), runs, averages })
}

/// Blocks.
pub fn about(engine: &Engine, run: &RunRef) -> Result<About, ApiError> {
    let store = &engine.store;
    let row = store.run(run)?;
    let plan: Option<Plan> = serde_json::from_str(&store.plan_json(run)?).ok();
    let artifacts = store.artifacts(run)?;
    let (now, before) = store.worked_on(run)?;
    let history = store.test_history(&run.pipeline, Some(run.number), 1)?;
    let tests = history.first().filter(|t| t.run == *run).map(|t| {
        t.newest().fold(TestCounts { passed: 0, failed: 0, skipped: 0 }, |c, r| TestCounts {
            passed: c.passed + r.passed,
            failed: c.failed + r.failed,
            skipped: c.skipped + r.skipped,
        })
    });
    let failed = tests.as_ref().is_some_and(|t| t.failed > 0);
    Ok(About {
        danger: plan.as_ref().map(|p| p.danger.to_string()).unwrap_or_default(),
        parameters: plan.map(|p| p.parameters).unwrap_or_default(),
        decisions: store.decisions_about(run)?.iter().map(rows::decision).collect(),
        artifact_count: artifacts.len() as u64,
        artifact_bytes: artifacts.iter().map(|a| a.size_bytes).sum(),
        artifacts: artifacts.iter().take(SHOWN).map(tested::artifact).collect(),
        failures: if failed { tested::failures(store, Some(run))?.into_iter().take(SHOWN).collect() } else { Vec::new() },
        eta: eta::of_run(store, &row, engine.now_us())?.map(|e| EtaDoc {
            p50_ms: e.of.p50_ms,
            p90_ms: e.of.p90_ms,
            p95_ms: e.of.p95_ms,
            samples: e.of.samples,
            elapsed_ms: e.elapsed_ms,
            remaining_ms: e.remaining_ms,
            percent: e.percent,
        }),
        tests,
        inputs: inputs(engine, &now, before.as_ref().map(|(_, k)| k)),
        moved_since: before.map(|(r, _)| r.to_string()),
        children: store.set_off(run)?.iter().take(SHOWN).map(rows::run).collect(),
        cells: cells(&store.steps(run)?),
        facts: store.facts(run)?.iter().filter_map(|(_, json)| serde_json::from_str(json).ok()).take(SHOWN).collect(),
        run: rows::run(&row),
    })
}

fn inputs(engine: &Engine, now: &Known, before: Option<&Known>) -> Vec<Input> {
    let current = |set: &str| engine.content.last(set).and_then(|(_, r)| r.fp.known().map(str::to_owned));
    let content = now.sets.iter().map(|(set, fp)| Input {
        kind: "content".into(),
        name: set.clone(),
        now: fp.clone(),
        before: before.and_then(|b| b.sets.get(set)?.clone()),
        current: current(set),
    });
    let commits = now.commits.iter().map(|(place, commit)| Input {
        kind: "commit".into(),
        name: place.clone(),
        now: Some(commit.clone()),
        before: before.and_then(|b| b.commits.get(place).cloned()),
        current: None,
    });
    content.chain(commits).collect()
}

fn cells(steps: &[StepRow]) -> Vec<CellDoc> {
    let matrices: BTreeSet<u32> = steps.iter().filter(|s| !s.cell.is_empty()).map(|s| s.key.stage).collect();
    let own = steps.iter().filter(|s| matrices.contains(&s.key.stage)).take(CELLS);
    own.map(|s| CellDoc {
        stage: s.stage.clone(),
        cell: s.cell.clone(),
        step: s.name.clone(),
        state: s.state.to_string(),
        verdict: s.verdict.map(|v: Verdict| v.to_string()),
        duration_ms: span_ms(s.started_us, s.ended_us),
        detail: s.detail.clone(),
    })
    .collect()
}
