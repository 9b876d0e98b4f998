//! Logs over the API: the attempts of a run, pages of one attempt's log, and a search that runs here and not in the client.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::routes::blocking;
use super::rows;
use super::state::{Engine, from_store};
use crate::api::ApiError;
use crate::api::types::{AttemptDoc, AttemptsDoc, LogLine, LogPage};
use crate::domain::rows::AttemptRow;
use crate::domain::run::{RunRef, RunState, StepState};
use crate::runner::log::follow::Follower;
use crate::runner::log::grep;
use crate::runner::log::read::{Line, Log, LogError};

/// Lines and bytes of one page at most.
const LINES: usize = 5_000;
const BYTES: usize = 4 << 20;
/// Hits of one answer at most; the client goes on from there.
const HITS: usize = 1_000;

/// Where a page begins.
pub enum From {
    Offset(u64),
    /// The last so many lines.
    Tail(usize),
    /// Microseconds since 1970 UTC.
    Time(i64),
}

/// The attempts of a run, oldest first.
pub async fn attempts(engine: &Arc<Engine>, run: &RunRef) -> Result<AttemptsDoc, ApiError> {
    let (engine, run) = (engine.clone(), run.clone());
    blocking(move || {
        let row = engine.store.run(&run).map_err(|e| from_store(&e))?;
        let attempts = engine.store.attempts(&run).map_err(|e| from_store(&e))?;
        Ok(AttemptsDoc { run: run.to_string(), done: row.state == RunState::Done, attempts: attempts.iter().map(document).collect() })
    })
    .await
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
    }
}

/// The attempt of this fence, which must belong to the run: a path is never made from what a client says.
async fn find(engine: &Arc<Engine>, run: &RunRef, fence: u64) -> Result<(PathBuf, bool), ApiError> {
    let (engine, run) = (engine.clone(), run.clone());
    blocking(move || {
        let all = engine.store.attempts(&run).map_err(|e| from_store(&e))?;
        let found = all.into_iter().find(|a| a.fence == fence);
        let a = found.ok_or_else(|| ApiError::bad(format!("{run} has no attempt {fence}"), format!("quarterdeck log '{run}'")))?;
        Ok((engine.watch.dirs().state.join(&a.dir), a.state == StepState::Done))
    })
    .await
}

/// One page; with patience, nothing new is waited for.
pub async fn page(engine: &Arc<Engine>, run: &RunRef, fence: u64, from: From, patience: Duration) -> Result<LogPage, ApiError> {
    let (dir, _) = find(engine, run, fence).await?;
    let mut follower = Follower::new(&dir);
    let deadline = tokio::time::Instant::now() + patience;
    let mut from = from;
    loop {
        // Asked before the log is read: what is written after the verdict is nothing.
        let (_, done) = find(engine, run, fence).await?;
        let page = {
            let dir = dir.clone();
            let start = from;
            let read = tokio::task::spawn_blocking(move || read(&dir, start)).await;
            read.unwrap_or_else(|e| Err(ApiError::failed(format!("the engine is ending: {e}"), "ask again")))?
        };
        let complete = page.at_end && done;
        if !page.lines.is_empty() || complete || tokio::time::Instant::now() >= deadline {
            return Ok(LogPage { lines: page.lines.into_iter().map(line).collect(), next_offset: page.next, complete });
        }
        from = From::Offset(page.next);
        tokio::select! {
            () = follower.changed() => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = engine.stopped() => return Ok(LogPage { lines: Vec::new(), next_offset: page.next, complete: false }),
        }
    }
}

fn read(dir: &std::path::Path, from: From) -> Result<crate::runner::log::read::Page, ApiError> {
    let log = match Log::open(dir) {
        Ok(log) => log,
        // The step has not begun to write.
        Err(e) if e.source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(crate::runner::log::read::Page { at_end: true, ..Default::default() });
        }
        Err(e) => return Err(unreadable(&e)),
    };
    match from {
        From::Offset(offset) => log.from_offset(offset, LINES, BYTES),
        From::Tail(lines) => log.tail(lines.min(LINES), BYTES),
        From::Time(us) => log.from_time(us, LINES, BYTES),
    }
    .map_err(|e| unreadable(&e))
}

/// Lines that match, from an offset on; `complete` = searched to the end of a log that will not grow.
pub async fn search(engine: &Arc<Engine>, run: &RunRef, fence: u64, pattern: &str, from: u64) -> Result<LogPage, ApiError> {
    let pattern = grep::pattern(pattern).map_err(|e| {
        let why = e.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        ApiError::bad(format!("`{pattern}` is no regular expression: {why}"), "put a \\ before signs that are meant as themselves")
    })?;
    let (dir, done) = find(engine, run, fence).await?;
    let found = tokio::task::spawn_blocking(move || {
        let mut hits = Vec::new();
        let mut more_at = None;
        let end = grep::grep(&dir, &pattern, from, |hit| {
            if hits.len() == HITS {
                more_at = Some(hit.offset);
                return std::ops::ControlFlow::Break(());
            }
            hits.push(hit);
            std::ops::ControlFlow::Continue(())
        });
        match end {
            Ok(end) => Ok((hits, more_at.unwrap_or(end), more_at.is_none())),
            Err(e) if e.source.kind() == std::io::ErrorKind::NotFound => Ok((hits, from, true)),
            Err(e) => Err(unreadable(&e)),
        }
    })
    .await;
    let (hits, next_offset, at_end) = found.unwrap_or_else(|e| Err(ApiError::failed(format!("the engine is ending: {e}"), "ask again")))?;
    Ok(LogPage { lines: hits.into_iter().map(line).collect(), next_offset, complete: at_end && done })
}

fn line(l: Line) -> LogLine {
    LogLine {
        offset: l.offset,
        at: l.wall_us.map(rows::time).unwrap_or_default(),
        text: String::from_utf8_lossy(&l.bytes).into_owned(),
        partial: l.partial,
    }
}

fn unreadable(e: &LogError) -> ApiError {
    ApiError::failed(e.to_string(), "was it removed by hand, or by retention?")
}
