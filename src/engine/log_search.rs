//! Search in a log, here and not in the client: hits stream out as they are found, and a client that goes away stops the search.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::asked::{Params, instant, patience, whole_number};
use super::log::{find, line, unreadable};
use super::state::Engine;
use crate::api::ApiError;
use crate::api::log::Found;
use crate::domain::run::RunRef;
use crate::runner::log::follow::Follower;
use crate::runner::log::grep::{self, CONTEXT, Hit, How, Pattern, Reached, Search, Told};
use crate::runner::log::read::{Log, LogError};

/// Pieces of the answer that wait for a slow client; the search waits then.
const PIECES: usize = 4;
/// Hits of one piece, roughly.
const PIECE: usize = 64 << 10;
/// How far the search is, is told so often.
const TOLD_EVERY: u64 = 64 << 20;
/// While nothing is written the client sees so often that the engine lives.
const BEAT: Duration = Duration::from_secs(10);

/// What is asked for.
pub struct Ask {
    pattern: Pattern,
    search: Search,
    since_us: Option<i64>,
    limit: u64,
    patience: Duration,
}

impl Ask {
    pub const KEYS: [&'static str; 11] =
        ["re", "fixed", "ignore_case", "invert", "number", "offset", "before", "after", "since", "limit", "wait"];

    pub fn of(q: &Params) -> Result<Self, ApiError> {
        let flag = |name: &str| q.get(name).is_some_and(|v| v == "1" || v == "true");
        let text = q.get("re").map_or("", String::as_str);
        let pattern = Pattern::new(text, How { fixed: flag("fixed"), ignore_case: flag("ignore_case") }).map_err(|e| {
            let why = e.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            ApiError::bad(format!("`{text}` is no regular expression: {why}"), "put a \\ before signs that are meant as themselves")
        })?;
        let context = |name| Ok::<_, ApiError>(whole_number(q, name)?.unwrap_or(0).min(CONTEXT));
        let search = Search {
            from: whole_number(q, "offset")?.unwrap_or(0),
            invert: flag("invert"),
            before: context("before")?,
            after: context("after")?,
            number: flag("number").then_some(0),
            live: false,
        };
        Ok(Self {
            pattern,
            search,
            since_us: instant(q, "since")?,
            limit: whole_number(q, "limit")?.unwrap_or(u64::MAX),
            patience: patience(q)?,
        })
    }
}

/// The answer, a [`Found`] a line.
pub async fn search(engine: &Arc<Engine>, run: &RunRef, fence: u64, ask: Ask) -> Result<Response, ApiError> {
    let follower = Follower::new(&find(engine, run, fence).await?.dir);
    let (to, from) = mpsc::channel::<Bytes>(PIECES);
    let (engine, run) = (engine.clone(), run.clone());
    tokio::spawn(async move {
        let last = match drive(&engine, &run, fence, ask, follower, &to).await {
            Ok(Some(end)) => end,
            Ok(None) => return,
            Err(e) => Found::Error(e),
        };
        let _ = to.send(piece(&last)).await;
    });
    let pieces = unfold(from, |mut from| async move { from.recv().await.map(|b| (Ok::<_, Infallible>(b), from)) });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(pieces)).into_response())
}

fn piece(found: &Found) -> Bytes {
    let mut text = serde_json::to_vec(found).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

/// Searches what is there, and then what comes, as long as was asked for. None: nobody listens any more.
async fn drive(
    engine: &Arc<Engine>,
    run: &RunRef,
    fence: u64,
    ask: Ask,
    mut follower: Follower,
    to: &mpsc::Sender<Bytes>,
) -> Result<Option<Found>, ApiError> {
    let deadline = Instant::now() + ask.patience;
    let (pattern, mut search, mut since, mut left) = (Arc::new(ask.pattern), ask.search, ask.since_us, ask.limit);
    loop {
        // Asked before the log is read: what is written after the verdict is nothing.
        let attempt = find(engine, run, fence).await?;
        search.live = !attempt.done;
        let (dir, pattern, sender) = (attempt.dir.clone(), pattern.clone(), to.clone());
        let round = tokio::task::spawn_blocking(move || one_round(&dir, &pattern, search, since, left, &sender)).await;
        match round.unwrap_or_else(|e| Err(Trouble::Ending(e.to_string()))) {
            Ok(None) => return Ok(None),
            Ok(Some(r)) => {
                since = None;
                (search.from, search.number, left) = (r.reached.offset, r.reached.number, r.left);
            }
            // It has not begun to write.
            Err(Trouble::Log(e)) if e.is_absent() => {}
            Err(Trouble::Log(e)) => return Err(unreadable(&e)),
            Err(Trouble::Ending(e)) => return Err(ApiError::failed(format!("the engine is ending: {e}"), "ask again")),
        }
        if attempt.done || left == 0 || Instant::now() >= deadline || engine.is_stopping() {
            return Ok(Some(Found::End { next_offset: search.from, complete: attempt.done && left > 0 }));
        }
        tokio::select! {
            () = follower.changed() => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = tokio::time::sleep(BEAT) => if to.send(piece(&Found::Searched(search.from))).await.is_err() { return Ok(None) },
            () = to.closed() => return Ok(None),
            () = engine.stopped() => {}
        }
    }
}

enum Trouble {
    Log(LogError),
    Ending(String),
}

struct Round {
    reached: Reached,
    left: u64,
}

/// Once through what is there. Blocks, also on a slow client. None: nobody listens any more.
fn one_round(
    dir: &std::path::Path,
    pattern: &Pattern,
    mut search: Search,
    since: Option<i64>,
    limit: u64,
    to: &mpsc::Sender<Bytes>,
) -> Result<Option<Round>, Trouble> {
    if let Some(us) = since {
        search.from = beginning(dir, us).map_err(Trouble::Log)?;
    }
    let (mut out, mut left, mut told, mut stopped_at) = (Vec::new(), limit, search.from, None);
    let mut tail = 0;
    let reached = grep::grep(dir, pattern, &search, |t| match t {
        Told::Hit(hit) => {
            if left == 0 && (!hit.context || tail == 0) {
                stopped_at = Some(hit.line.offset);
                return ControlFlow::Break(());
            }
            if hit.context {
                tail -= usize::from(left == 0);
            } else {
                (left, tail) = (left - 1, search.after);
            }
            put(&mut out, hit);
            if out.len() >= PIECE && to.blocking_send(std::mem::take(&mut out).into()).is_err() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        }
        Told::Searched(offset) => {
            if offset >= told + TOLD_EVERY {
                told = offset;
                out.extend(piece(&Found::Searched(offset)));
            }
            let gone = if out.is_empty() { to.is_closed() } else { to.blocking_send(std::mem::take(&mut out).into()).is_err() };
            if gone { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    })
    .map_err(Trouble::Log)?;
    if !out.is_empty() && to.blocking_send(out.into()).is_err() || to.is_closed() {
        return Ok(None);
    }
    let reached = stopped_at.map_or(reached, |offset| Reached { offset, number: None });
    Ok(Some(Round { reached, left }))
}

/// Where lines begin that were written at this time or later.
fn beginning(dir: &std::path::Path, us: i64) -> Result<u64, LogError> {
    let log = Log::open(dir)?;
    match log.offset_at(us) {
        Some(offset) => log.line_start_at_or_after(offset),
        None => log.len(),
    }
}

fn put(out: &mut Vec<u8>, hit: Hit) {
    let mut l = line(hit.line);
    (l.number, l.context) = (hit.number, hit.context);
    out.extend(piece(&Found::Hit(l)));
}
