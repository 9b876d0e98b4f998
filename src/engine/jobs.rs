//! `get pipelines`: the site's pipelines as their files say now, with how their runs ended; the list that people know from Jenkins.
//!
//! An umbrella is a pipeline whose runs only set off those of others. How it ended is how these did: its last success is the newest of its
//! runs that set off a success, its last failure the newest that set off anything else, often the same; and it has no duration.

use serde_json::{Value, json};

use super::rows::{self, Row};
use super::state::Engine;
use super::{catalog, triggers};
use crate::api::ApiError;
use crate::domain::rows::RunRow;
use crate::domain::run::{RunRef, RunState, Verdict};
use crate::store::{Store, StoreError};

pub fn rows(engine: &Engine) -> Result<Vec<Row>, ApiError> {
    let site = engine.site()?;
    let (dirs, uid) = (engine.watch.dirs(), engine.watch.uid());
    let catalog = catalog::of_site(dirs, &site, uid)?;
    let mut out = Vec::new();
    for name in &catalog.pipelines {
        let judged = catalog::judge(dirs, name, uid, &catalog);
        let (file, errors, parsed) = match &judged {
            Ok(j) => (j.source.path.display().to_string(), j.errors() as u64, j.file.as_ref()),
            Err(_) => (dirs.pipelines().join(format!("{name}.yml")).display().to_string(), 1, None),
        };
        let umbrella = parsed.is_some_and(|f| f.umbrella);
        let last = past(engine, name, umbrella)?;
        let name_of = |r: &Option<RunRow>| r.as_ref().map(|r| r.run.to_string());
        let end_of = |r: &Option<RunRow>| rows::time_opt(r.as_ref().and_then(|r| r.ended_us));
        let row = json!({
            "pipeline": name,
            "description": parsed.map(|f| f.description.clone()),
            "danger": parsed.map(|f| f.level()),
            "stages": parsed.map(|f| f.stages.len()),
            "triggers": parsed.map(|f| f.triggers.iter().map(triggers::words).collect::<Vec<_>>().join(", ")),
            "last_run": name_of(&last.run),
            "last_verdict": last.run.as_ref().and_then(|r| r.verdict),
            "last_ended": end_of(&last.run),
            "errors": errors,
            "file": file,
            "views": parsed.map(|f| f.views.iter().map(|v| v.value.as_str()).collect::<Vec<_>>().join(", ")),
            "umbrella": umbrella,
            "last_success": name_of(&last.success),
            "last_success_ended": end_of(&last.success),
            "last_failure": name_of(&last.failure),
            "last_failure_ended": end_of(&last.failure),
            "last_duration_ms": last.ended.as_ref().filter(|_| !umbrella).and_then(RunRow::duration_ms),
            "changes": last.ended.as_ref().and_then(|r| r.changes.clone()),
            "weather": weather(&last.newest),
            "red_runs": last.red.0,
            "red_since": rows::time_opt(last.red.1),
            "moved": last.moved,
        });
        if let Value::Object(map) = row {
            out.push(map);
        }
    }
    Ok(out)
}

/// How a run stands: state, verdict, end.
type Stand = (RunState, Option<Verdict>, Option<i64>);

/// Runs that `weather` shows.
const NIGHTS: usize = 14;

/// One sign a run, the oldest first: `.` good, `#` failed or lost, `?` invalid, `x` cancelled or skipped, `>` not ended.
fn weather(newest: &[Stand]) -> String {
    let sign = |s: &Stand| match s.1 {
        None => '>',
        Some(Verdict::Success) => '.',
        Some(Verdict::Failure | Verdict::Lost) => '#',
        Some(Verdict::Invalid) => '?',
        Some(_) => 'x',
    };
    newest.iter().rev().map(sign).collect()
}

/// How many runs are red since the last good one, and when the first of them ended. What `weather` shows has the answer nearly always.
fn red(store: &Store, pipeline: &str, newest: &[Stand]) -> Result<(u64, Option<i64>), StoreError> {
    let is = |s: &Stand, verdict: Verdict| s.0 == RunState::Done && s.1 == Some(verdict);
    if newest.len() == NIGHTS && !newest.iter().any(|s| is(s, Verdict::Success)) {
        return store.red_streak(pipeline);
    }
    let since = newest.iter().take_while(|s| !is(s, Verdict::Success));
    let reds = since.filter(|s| [Verdict::Failure, Verdict::Lost, Verdict::Invalid].iter().any(|v| is(s, *v)));
    let ends: Vec<Option<i64>> = reds.map(|s| s.2).collect();
    Ok((ends.len() as u64, ends.iter().flatten().min().copied()))
}

struct Past {
    newest: Vec<Stand>,
    /// Red runs in a row, and since when.
    red: (u64, Option<i64>),
    run: Option<RunRow>,
    ended: Option<RunRow>,
    success: Option<RunRow>,
    failure: Option<RunRow>,
    /// Content that the last success was about and that is other content now.
    moved: Option<String>,
}

fn past(engine: &Engine, pipeline: &str, umbrella: bool) -> Result<Past, StoreError> {
    let store = &engine.store;
    let run = store.last_run(pipeline)?;
    let ended = store.last_ended(pipeline)?;
    let (success, failure) = match umbrella {
        true => (store.last_family(pipeline, true)?, store.last_family(pipeline, false)?),
        false => (store.last_with(pipeline, true)?, store.last_with(pipeline, false)?),
    };
    let newest = store.newest_of(pipeline, NIGHTS)?;
    let red = red(store, pipeline, &newest)?;
    let moved = success.as_ref().map(|r| moved(engine, &r.run)).transpose()?.flatten();
    Ok(Past { newest, red, run, ended, success, failure, moved })
}

/// Content sets whose newest reading differs from what the run ended on, both known: its verdict is not about what is there now.
fn moved(engine: &Engine, run: &RunRef) -> Result<Option<String>, StoreError> {
    let (own, _) = engine.store.worked_on(run)?;
    let other = |set: &str, fp: &str| engine.content.last(set).is_some_and(|(_, r)| r.fp.known().is_some_and(|now| now != fp));
    let sets: Vec<String> =
        own.sets.iter().filter(|(set, fp)| fp.as_ref().is_some_and(|f| other(set, f))).map(|(set, _)| format!("content {set}")).collect();
    Ok((!sets.is_empty()).then(|| sets.join(", ")))
}
