//! Rows of `get tests`, `failures`, `flaky`, `slowest`, `artifacts` and `fingerprints`.

use serde_json::{Value, json};

use super::question::Narrow;
use super::rows::{Row, time_opt};
use crate::domain::flaky::{self, FlakyTest, Place, Red};
use crate::domain::rows::{ArtifactRow, FingerprintRow, SlowRow, TestsRow};
use crate::domain::run::RunRef;
use crate::store::{Store, StoreError};

pub const TESTS: &[&str] =
    &["run", "pipeline", "number", "verdict", "tests", "passed", "failed", "skipped", "flaky", "duration_ms", "ended", "problems"];
pub const FAILURES: &[&str] = &[
    "run",
    "pipeline",
    "number",
    "stage",
    "cell",
    "step",
    "suite",
    "test",
    "kind",
    "message",
    "new",
    "since",
    "duration_ms",
    "ended",
    "trace",
];
pub const FLAKY: &[&str] = &["pipeline", "stage", "cell", "step", "suite", "test", "runs", "failed", "changes", "why", "last_failed"];
pub const SLOWEST: &[&str] = &["run", "pipeline", "number", "stage", "cell", "step", "suite", "test", "duration_ms"];
pub const ARTIFACTS: &[&str] = &["run", "pipeline", "number", "path", "size_bytes", "sha256", "stage", "cell", "step"];
pub const FINGERPRINTS: &[&str] = &["sha256", "kind", "role", "run", "pipeline", "number", "name", "from", "size_bytes", "at"];

/// Runs of a pipeline whose failed tests are listed; what came before each is looked at in as many more.
const SHOWN: usize = 50;
const DEEP: usize = 100;

/// Rows of one of these tables; `cut` where nothing but the newest is asked for.
pub fn rows(store: &Store, what: &str, narrow: Option<&Narrow>, cut: usize) -> Result<Vec<Row>, StoreError> {
    let run: Option<RunRef> = narrow.filter(|n| n.column == "run").and_then(|n| n.value.parse().ok());
    let sha256 = narrow.filter(|n| n.column == "sha256").map(|n| n.value.as_str());
    Ok(match what {
        "artifacts" => {
            let found = match &run {
                // A run that is not there has no artifacts; the filter says so.
                Some(run) => store.artifacts(run).or_else(none)?,
                None => store.all_artifacts(sha256, cut)?,
            };
            found.iter().map(artifact).collect()
        }
        "fingerprints" => store.fingerprints(sha256, cut)?.iter().map(fingerprint).collect(),
        "tests" => store.tests(cut)?.iter().map(tests).collect(),
        "flaky" => {
            let mut out = Vec::new();
            for pipeline in store.tested_pipelines()? {
                let history = store.test_history(&pipeline, None, flaky::WINDOW)?;
                out.extend(flaky::flaky(&history).iter().map(|f| flaky_test(&pipeline, f)));
            }
            out
        }
        "failures" => failures(store, run.as_ref())?,
        _ => {
            let runs = match run {
                Some(run) => vec![run],
                None => newest_tested(store)?,
            };
            let mut out = Vec::new();
            for run in runs {
                out.extend(store.slowest(&run, crate::domain::junit::MOST_SLOWEST).or_else(none)?.iter().map(slow));
            }
            out
        }
    })
}

fn none<T>(e: StoreError) -> Result<Vec<T>, StoreError> {
    match e {
        StoreError::NoRun { .. } => Ok(Vec::new()),
        e => Err(e),
    }
}

/// The newest run with reports of each pipeline.
fn newest_tested(store: &Store) -> Result<Vec<RunRef>, StoreError> {
    let mut out = Vec::new();
    for pipeline in store.tested_pipelines()? {
        out.extend(store.test_history(&pipeline, None, 1)?.into_iter().map(|r| r.run));
    }
    Ok(out)
}

/// Failed tests of one run, or of the newest runs of every pipeline.
pub fn failures(store: &Store, run: Option<&RunRef>) -> Result<Vec<Row>, StoreError> {
    let (pipelines, upto, shown) = match run {
        Some(run) => (vec![run.pipeline.clone()], Some(run.number), 1),
        None => (store.tested_pipelines()?, None, SHOWN),
    };
    let mut out = Vec::new();
    for pipeline in pipelines {
        let history = store.test_history(&pipeline, upto, DEEP)?;
        for (i, now) in history.iter().enumerate().take(shown).filter(|(_, now)| run.is_none_or(|r| now.run == *r)) {
            out.extend(flaky::failures(&history, i).iter().map(|red| failure(red, now.ended_us)));
        }
    }
    Ok(out)
}

/// What `why` says of a run's tests: how many failed and the first by name, and reports that nobody could read.
pub fn said(store: &Store, run: &RunRef) -> Result<Vec<String>, StoreError> {
    let history = store.test_history(&run.pipeline, Some(run.number), DEEP)?;
    let mut out = Vec::new();
    if let Some(now) = history.first().filter(|r| r.run == *run) {
        let (failed, total) = now.newest().fold((0, 0), |(f, t), r| (f + r.failed, t + r.passed + r.failed + r.skipped));
        let red = flaky::failures(&history, 0);
        if failed > 0 {
            let names = red.iter().map(|r| (r.failure.suite.as_str(), r.failure.test.as_str()));
            out.push(crate::domain::junit::failed_sentence(failed, total, names));
            let new = red.iter().filter(|r| r.new).count();
            let old = red.iter().find(|r| !r.new || r.since != *run);
            out.push(match old {
                Some(old) => format!("{new} of them are new since the last good run; the oldest fails since {}", oldest(&red, old)),
                None => "all of them are new since the last good run".to_owned(),
            });
            out.push(format!("all with their messages: quarterdeck get failures --filter 'run={run}'"));
        }
    }
    Ok(out)
}

fn oldest<'a>(red: &'a [Red], first: &'a Red) -> &'a RunRef {
    red.iter().map(|r| &r.since).min_by_key(|r| r.number).unwrap_or(&first.since)
}

fn flat(value: Value) -> Row {
    match value {
        Value::Object(map) => map,
        _ => Row::new(),
    }
}

pub fn artifact(a: &ArtifactRow) -> Row {
    flat(json!({
        "run": a.run, "pipeline": a.run.pipeline, "number": a.run.number, "path": a.path, "size_bytes": a.size_bytes, "sha256": a.sha256,
        "stage": a.stage, "cell": a.cell, "step": a.step,
    }))
}

fn fingerprint(f: &FingerprintRow) -> Row {
    flat(json!({
        "sha256": f.sha256, "kind": f.kind, "role": f.role, "run": f.run, "pipeline": f.run.pipeline, "number": f.run.number, "name": f.name,
        "from": f.from, "size_bytes": f.size_bytes, "at": time_opt(f.at_us),
    }))
}

fn tests(t: &TestsRow) -> Row {
    flat(json!({
        "run": t.run, "pipeline": t.run.pipeline, "number": t.run.number, "verdict": t.verdict, "tests": t.passed + t.failed + t.skipped,
        "passed": t.passed, "failed": t.failed, "skipped": t.skipped, "flaky": t.flaky, "duration_ms": t.duration_ms,
        "ended": time_opt(t.ended_us), "problems": t.problems.join("; "),
    }))
}

fn failure(r: &Red, ended_us: Option<i64>) -> Row {
    let (Place { stage, cell, step }, f) = (&r.at, &r.failure);
    flat(json!({
        "run": r.run, "pipeline": r.run.pipeline, "number": r.run.number, "stage": stage, "cell": cell, "step": step, "suite": f.suite,
        "test": f.test, "kind": f.kind, "message": f.message, "new": r.new, "since": r.since, "duration_ms": f.duration_ms,
        "ended": time_opt(ended_us), "trace": f.trace,
    }))
}

fn flaky_test(pipeline: &str, f: &FlakyTest) -> Row {
    flat(json!({
        "pipeline": pipeline, "stage": f.at.stage, "cell": f.at.cell, "step": f.at.step, "suite": f.suite, "test": f.test, "runs": f.runs,
        "failed": f.failed, "changes": f.changes, "why": f.why, "last_failed": f.last_failed,
    }))
}

fn slow(s: &SlowRow) -> Row {
    flat(json!({
        "run": s.run, "pipeline": s.run.pipeline, "number": s.run.number, "stage": s.at.stage, "cell": s.at.cell, "step": s.at.step,
        "suite": s.test.suite, "test": s.test.test, "duration_ms": s.test.duration_ms,
    }))
}
