//! Logs over the API: the attempts of a run, pages of one attempt's log, and the first error of a red step.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::asked::{Params, instant, patience, whole_number};
use super::blocking::blocking;
use super::rows;
use super::state::Engine;
use crate::api::ApiError;
use crate::api::log::{AttemptDoc, AttemptsDoc, Elsewhere, FirstErrorDoc, LogLine, LogPage};
use crate::domain::rows::{AttemptRow, RunRow, StepRow};
use crate::domain::run::{RunRef, RunState, StepState, Verdict};
use crate::runner::log::care;
use crate::runner::log::follow::Follower;
use crate::runner::log::read::{Line, Log, LogError, Page};
use crate::store::{Store, StoreError};

/// Lines and bytes of one page at most.
const LINES: usize = 5_000;
const BYTES: usize = 1 << 20;
/// Bytes of a page of hexadecimal digits.
const HEX: usize = 64 << 10;

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    Offset(u64),
    /// The last so many lines.
    Tail(usize),
    /// The last lines that begin before an offset.
    Before(u64),
    /// Microseconds since 1970 UTC.
    Time(i64),
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Ask {
    from: From,
    lines: usize,
    bytes: usize,
    /// Bytes of hexadecimal digits, not lines.
    hex: Option<usize>,
    patience: Duration,
    /// Identity of the file that the last page came from; 0 = none.
    file: u64,
}

impl Ask {
    pub const KEYS: [&'static str; 8] = ["at", "offset", "time", "lines", "bytes", "as", "wait", "file"];

    pub fn of(q: &Params) -> Result<Self, ApiError> {
        let lines = whole_number(q, "lines")?.map(|n: usize| n.min(LINES));
        let from = match q.get("at").map_or("offset", String::as_str) {
            "offset" => From::Offset(whole_number(q, "offset")?.unwrap_or(0)),
            "before" => From::Before(
                whole_number(q, "offset")?.ok_or_else(|| ApiError::bad("`offset` is missing", "where to read backwards from"))?,
            ),
            "tail" => From::Tail(lines.unwrap_or(100)),
            "time" => From::Time(instant(q, "time")?.ok_or_else(|| ApiError::bad("`time` is missing", "a time in RFC 3339"))?),
            other => return Err(ApiError::bad(format!("`at` cannot be `{other}`"), "offset, before, tail or time")),
        };
        let bytes = whole_number(q, "bytes")?;
        let hex = match q.get("as").map(String::as_str) {
            None | Some("lines") => None,
            Some("hex") => Some(bytes.unwrap_or(HEX).clamp(1, BYTES)),
            Some(other) => return Err(ApiError::bad(format!("`as` cannot be `{other}`"), "lines or hex")),
        };
        let (lines, bytes) = (lines.unwrap_or(LINES), bytes.unwrap_or(BYTES).clamp(1, BYTES));
        Ok(Self { from, lines, bytes, hex, patience: patience(q)?, file: whole_number(q, "file")?.unwrap_or(0) })
    }
}

/// The attempts of a run, oldest first; with `errors` the first errors that nobody looked for yet are looked for.
pub async fn attempts(engine: &Arc<Engine>, run: &RunRef, errors: bool) -> Result<AttemptsDoc, ApiError> {
    let of = |engine: &Arc<Engine>| {
        let (engine, run) = (engine.clone(), run.clone());
        blocking(move || {
            let row = engine.store.run(&run)?;
            let elsewhere = elsewhere(&engine.store, &run)?;
            Ok((row.state == RunState::Done, engine.store.attempts(&run)?, elsewhere))
        })
    };
    let (done, mut attempts, elsewhere) = of(engine).await?;
    if errors {
        for a in attempts.iter_mut().filter(|a| is_red(a)) {
            a.first_error = first_error_of(engine, a).await?;
        }
    }
    Ok(AttemptsDoc { run: run.to_string(), done, attempts: attempts.iter().map(document).collect(), elsewhere })
}

/// Runs that stand for stages, of the newest pass.
fn elsewhere(store: &Store, run: &RunRef) -> Result<Vec<Elsewhere>, StoreError> {
    let children = store.children(run)?;
    if children.is_empty() {
        return Ok(Vec::new());
    }
    let of = |t: StepRow| {
        let child = children.iter().rev().find(|k| (k.stage, k.cell) == (t.key.stage, t.key.cell))?;
        Some(Elsewhere { stage: t.stage, cell: t.cell, child: child.run.to_string(), verdict: t.verdict.map(|v| v.to_string()) })
    };
    Ok(store.steps(run)?.into_iter().filter_map(of).collect())
}

fn is_red(a: &AttemptRow) -> bool {
    a.state == StepState::Done && matches!(a.verdict, Some(Verdict::Failure | Verdict::Lost))
}

async fn first_error_of(engine: &Arc<Engine>, a: &AttemptRow) -> Result<Option<crate::domain::log::FirstError>, ApiError> {
    if a.first_error.is_some() {
        return Ok(a.first_error.clone());
    }
    let found = {
        let (engine, fence) = (engine.clone(), a.fence);
        blocking(move || care::first_error(&engine.store, &engine.patterns(), fence).map_err(ApiError::from)).await?
    };
    let Some(found) = found else { return Ok(None) };
    let error = found.first_error.clone();
    // Who asked has the answer, whether it can be written down now or not.
    if let Err(e) = engine.store.log_done(vec![found]).await {
        tracing::warn!(error = %e, "a first error could not be stored");
    }
    Ok(error)
}

/// The first error of the step that failed a run that has ended.
pub async fn first_error(engine: &Arc<Engine>, row: &RunRow) -> Option<FirstErrorDoc> {
    if row.state != RunState::Done || !matches!(row.verdict, Some(Verdict::Failure | Verdict::Lost)) {
        return None;
    }
    let attempts = {
        let (engine, run) = (engine.clone(), row.run.clone());
        blocking(move || engine.store.attempts(&run).map_err(ApiError::from)).await.ok()?
    };
    let failed = |a: &&AttemptRow| {
        row.failed_stage.as_ref().is_none_or(|s| *s == a.stage) && row.failed_step.as_ref().is_none_or(|s| *s == a.step || *s == label(a))
    };
    let mut a = attempts.iter().rev().filter(|a| is_red(a)).find(failed)?.clone();
    a.first_error = first_error_of(engine, &a).await.ok()?;
    document(&a).first_error
}

fn label(a: &AttemptRow) -> String {
    if a.cell.is_empty() { a.step.clone() } else { format!("{} ({})", a.step, a.cell) }
}

fn document(a: &AttemptRow) -> AttemptDoc {
    AttemptDoc {
        fence: a.fence,
        stage: a.stage.clone(),
        cell: a.cell.clone(),
        step: a.step.clone(),
        number: a.number,
        state: a.state.to_string(),
        verdict: a.verdict.map(|v| v.to_string()),
        started: a.started_us.map(rows::time),
        ended: a.ended_us.map(rows::time),
        log_bytes: a.log_bytes,
        first_error: a.first_error.as_ref().map(|e| FirstErrorDoc {
            run: a.run.to_string(),
            stage: a.stage.clone(),
            cell: a.cell.clone(),
            step: a.step.clone(),
            attempt: a.number,
            offset: e.offset,
            time: e.at_us.map(rows::time),
            text: e.text.clone(),
            how: e.how(),
            pattern: e.pattern.clone(),
            new_since: e.new_since.clone(),
            context_offset: e.context,
        }),
    }
}

/// An attempt that was asked for.
pub struct Attempt {
    pub dir: PathBuf,
    /// Its log will not grow.
    pub done: bool,
    /// Output that its supervisor counted in the log; 0 before the end.
    log_bytes: u64,
    /// Nobody knows what became of it.
    lost: bool,
}

/// The attempt of this fence, which must belong to the run: a path is never made from what a client says.
pub async fn find(engine: &Arc<Engine>, run: &RunRef, fence: u64) -> Result<Attempt, ApiError> {
    let (engine, run) = (engine.clone(), run.clone());
    blocking(move || {
        if let Some(p) = engine.store.log_place(&run, fence)? {
            return Ok(Attempt { dir: engine.watch.dirs().state.join(&p.dir), done: p.done, log_bytes: p.log_bytes, lost: p.lost });
        }
        // No such run, or no such attempt of it.
        engine.store.run(&run)?;
        Err(ApiError::bad(format!("{run} has no attempt {fence}"), format!("quarterdeck log '{run}'")))
    })
    .await
}

/// One page; with patience, something new is waited for.
pub async fn page(engine: &Arc<Engine>, run: &RunRef, fence: u64, ask: Ask) -> Result<LogPage, ApiError> {
    // Most pages are there: nothing is watched before one is not.
    let mut follower = None;
    let deadline = tokio::time::Instant::now() + ask.patience;
    let mut ask = ask;
    loop {
        // Asked before the log is read: what is written after the verdict is nothing.
        let attempt = find(engine, run, fence).await?;
        let (again, dir) = (ask.clone(), attempt.dir.clone());
        let page = blocking(move || look(&attempt, &again)).await?;
        if !page.lines.is_empty() || page.complete || page.reset.is_some() || tokio::time::Instant::now() >= deadline {
            return Ok(page);
        }
        (ask.from, ask.file) = (From::Offset(page.next_offset), page.file);
        let Some(follower) = &mut follower else {
            // What was written before the watch began is read first.
            follower = Some(Follower::new(&dir));
            continue;
        };
        tokio::select! {
            () = follower.changed() => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = engine.stopped() => return Ok(LogPage { lines: Vec::new(), complete: false, ..page }),
        }
    }
}

fn look(attempt: &Attempt, ask: &Ask) -> Result<LogPage, ApiError> {
    let (done, expected) = (attempt.done, attempt.log_bytes);
    let log = match Log::open(&attempt.dir) {
        Ok(log) => log,
        // The step has not begun to write, or its log was removed.
        Err(e) if e.is_absent() => {
            let next_offset = if let From::Offset(n) = ask.from { n } else { 0 };
            // Of a lost one nobody counted anything.
            let gone = done && (expected > 0 || attempt.lost && !attempt.dir.exists());
            let note = gone.then(|| "its log is gone: was it removed by hand?".to_owned());
            return Ok(LogPage { lines: Vec::new(), next_offset, complete: done, file: 0, reset: None, size: 0, note });
        }
        Err(e) => return Err(unreadable(&e)),
    };
    read(&log, done, expected, ask).map_err(|e| unreadable(&e))
}

fn read(log: &Log, done: bool, expected: u64, ask: &Ask) -> Result<LogPage, LogError> {
    let file = log.identity()?;
    let size = log.len()?;
    let reset = |why: String| Ok(LogPage { lines: Vec::new(), next_offset: 0, complete: false, file, reset: Some(why), size, note: None });
    if ask.file != 0 && file != 0 && ask.file != file {
        return reset("another file has taken the place of this log: reading begins anew".into());
    }
    let page = match ask.from {
        From::Offset(offset) if ask.hex.is_some() => hex(log, offset, ask.hex.unwrap_or(HEX))?,
        From::Offset(offset) => log.from_offset(offset, ask.lines, ask.bytes)?,
        From::Before(offset) => log.before(offset, ask.lines, ask.bytes)?,
        From::Tail(lines) => log.tail(lines, ask.bytes)?,
        From::Time(us) => log.from_time(us, ask.lines, ask.bytes)?,
    };
    if page.cut {
        let (len, was) = (log.len()?, page.next);
        if ask.file == 0 {
            return reset(format!("offset {was} lies behind the end of this log, which has {len} bytes"));
        }
        return reset(format!("the log was cut under its reader: {was} bytes were read and {len} are there now; reading begins anew"));
    }
    let complete = page.at_end && done;
    let there = log.readable()?;
    let note = (complete && there < expected)
        .then(|| format!("{} of {expected} bytes of this log are missing: it was cut after its step had ended", expected - there));
    Ok(LogPage { lines: page.lines.into_iter().map(line).collect(), next_offset: page.next, complete, file, reset: None, size, note })
}

/// Bytes as one line of hexadecimal digits.
fn hex(log: &Log, offset: u64, max: usize) -> Result<Page, LogError> {
    let (at, bytes) = log.bytes(offset, max)?;
    let next = at + bytes.len() as u64;
    let at_end = bytes.len() < max && next >= log.len()?;
    let cut = bytes.is_empty() && offset > log.len()?;
    let digits: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let line = Line { offset: at, wall_us: None, bytes: digits.into_bytes(), partial: false, binary: false };
    Ok(Page { lines: if bytes.is_empty() { Vec::new() } else { vec![line] }, next, at_end, cut })
}

pub fn line(l: Line) -> LogLine {
    LogLine {
        offset: l.offset,
        at: l.wall_us.map(rows::time).unwrap_or_default(),
        text: String::from_utf8_lossy(&l.bytes).into_owned(),
        partial: l.partial,
        binary: l.binary,
        number: None,
        context: false,
    }
}

pub fn unreadable(e: &LogError) -> ApiError {
    ApiError::failed(e.to_string(), "was it changed by hand? `quarterdeck engine status` names the state directory")
}
