//! `get WHAT`: the tables, filtered, sorted and cut. Rows are flat; an unknown table or column is told which ones exist.

use std::sync::Arc;

use serde_json::{Value, json};

use super::blocking::blocking;
use super::content::LOOK;
use super::paging::MOST;
use super::question::{Narrow, Question};
use super::rows::{self, Row};
use super::state::Engine;
use super::{doctor, due, jobs, promotion, scheduler, sources, tested, trees, versions};
use crate::api::ApiError;
use crate::api::order::sort_by;
use crate::api::types::{Rows, TABLES};
use crate::base::suggest;
use crate::domain::filter::{self, Filter};

/// The answer as JSON: `api::types::Rows`.
pub async fn text(engine: &Arc<Engine>, q: Question) -> Result<Vec<u8>, ApiError> {
    if q.what == "runs" {
        return super::runs::text(engine, q).await;
    }
    let rows = rows(engine, q).await?;
    serde_json::to_vec(&rows).map_err(|e| ApiError::failed(format!("the answer cannot be written as JSON: {e}"), ""))
}

async fn rows(engine: &Arc<Engine>, q: Question) -> Result<Rows, ApiError> {
    let columns = columns(&q.what)?;
    let sort = q.sort.as_deref().map(|s| sort_by(s, columns)).transpose()?;
    let filter = Filter::parse(&q.filter, columns, engine.clock.now())?;
    // Only what comes newest first, unfiltered, can be cut at its source.
    let cut = if filter.is_empty() && sort.is_none() && q.page.is_none() { q.limit.unwrap_or(MOST).min(MOST) } else { MOST };
    let position = engine.model.position();
    let narrow = ["sha256", "run"].iter().find_map(|column| {
        let term = filter.equalities().find(|e| !e.negate && e.column == *column)?;
        Some(Narrow { column, value: term.text.to_owned() })
    });
    let (mut found, age_ms, error) = collect(engine, &q.what, cut, narrow).await?;
    if !filter.is_empty() {
        found.retain(|r| filter.matches(r));
    }
    if let Some((column, backwards)) = sort {
        let cell = |r: &Row| r.get(column).cloned().unwrap_or(Value::Null);
        found.sort_by(|a, b| filter::order_column(&cell(a), &cell(b), backwards));
    }
    let limit = q.limit.unwrap_or(MOST);
    let page = q.page.map(|p| p.cut(&mut found, limit));
    found.truncate(limit);
    Ok(Rows { what: q.what, revision: position.revision, age_ms, rows: found, error, page, diff: None })
}

fn columns(what: &str) -> Result<&'static [&'static str], ApiError> {
    Ok(match what {
        "artifacts" => tested::ARTIFACTS,
        "audit" => rows::AUDIT,
        "content" => rows::CONTENT,
        "decisions" => rows::DECISIONS,
        "doctor" => doctor::DOCTOR,
        "due" => due::DUE,
        "executors" => rows::EXECUTORS,
        "failures" => tested::FAILURES,
        "fingerprints" => tested::FINGERPRINTS,
        "flaky" => tested::FLAKY,
        "holds" => promotion::holds::HOLDS,
        "locks" => rows::LOCKS,
        "mirrors" => trees::MIRRORS,
        "repos" => trees::REPOS,
        "slowest" => tested::SLOWEST,
        "sources" => sources::SOURCES,
        "tests" => tested::TESTS,
        "occurrences" => scheduler::OCCURRENCES,
        "pipelines" => rows::PIPELINES,
        "promotions" => promotion::doc::PROMOTIONS,
        "queue" => rows::QUEUE,
        "runs" => rows::RUNS,
        "schedule" => scheduler::SCHEDULE,
        "versions" => versions::VERSIONS,
        _ => {
            let help = match suggest::nearest(what, TABLES) {
                Some(near) => format!("did you mean `{near}`? There are: {}", TABLES.join(" ")),
                None => format!("there are: {}", TABLES.join(" ")),
            };
            return Err(ApiError::bad(format!("nothing to get by the name `{what}`"), help));
        }
    })
}

type Found = (Vec<Row>, u64, Option<String>);

/// `narrow`: a fingerprint, or a run, that the filter asks for in so many words; what looks it up may leave other rows out.
async fn collect(engine: &Arc<Engine>, what: &str, cut: usize, narrow: Option<Narrow>) -> Result<Found, ApiError> {
    match what {
        "content" => return content(engine).await,
        "versions" => return versions::table(engine).await.map(|(rows, age)| (rows, age, None)),
        "doctor" => return Ok((doctor::table(engine).await?, 0, None)),
        "queue" => {
            let queue = engine.runner.queue().await?;
            let zone = engine.zone();
            return Ok((queue.iter().map(|r| rows::queue(r, &zone)).collect(), 0, None));
        }
        _ => {}
    }
    let (engine, what) = (engine.clone(), what.to_owned());
    blocking(move || {
        let store = &engine.store;
        Ok(match what.as_str() {
            "due" => (due::rows(&engine, cut)?, 0, None),
            "executors" => (executors(&engine)?, 0, None),
            "locks" => (locks(&engine)?, 0, None),
            "mirrors" | "repos" => {
                let (rows, age_ms) = trees::rows(&engine, &what)?;
                (rows, age_ms, None)
            }
            "artifacts" | "failures" | "fingerprints" | "flaky" | "slowest" | "tests" => {
                (tested::rows(store, &what, narrow.as_ref(), cut)?, 0, None)
            }
            "audit" => {
                let view = store.audit_view(cut)?;
                (view.entries.iter().map(rows::audit).collect(), 0, view.chain.err().map(|b| b.to_string()))
            }
            "holds" => (promotion::holds::table(&engine)?, 0, None),
            "sources" => (sources::rows(&engine), 0, None),
            "promotions" => (promotion::doc::table(&engine)?, 0, None),
            "occurrences" => (scheduler::occurrences(&engine, cut)?, 0, None),
            "schedule" => {
                let (rows, error) = scheduler::schedule(&engine)?;
                (rows, 0, error)
            }
            "decisions" => (store.decisions(cut)?.iter().map(rows::decision).collect(), 0, None),
            _ => (jobs::rows(&engine)?, 0, None),
        })
    })
    .await
}

/// Every executor: those that work first, then those that are free.
fn executors(engine: &Engine) -> Result<Vec<Row>, ApiError> {
    let busy = engine.store.busy()?;
    let all = (engine.executors() as usize).max(busy.len());
    Ok((0..all).map(|i| rows::executor(i + 1, busy.get(i))).collect())
}

/// Held locks, and those of the site that nobody holds.
fn locks(engine: &Engine) -> Result<Vec<Row>, ApiError> {
    let held = engine.store.locks()?;
    let site = engine.site()?;
    let mut out: Vec<Row> = held.iter().map(|l| rows::lock(l, site.slots(&l.name))).collect();
    for (name, slots) in site.locks.iter().filter(|(n, _)| !held.iter().any(|h| h.name == **n)) {
        let free = crate::domain::rows::LockRow {
            name: name.clone(),
            mode: String::new(),
            taken: 0,
            run: None,
            stage: String::new(),
            since_us: None,
        };
        out.push(rows::lock(&free, *slots));
    }
    out.sort_by(|a, b| filter::order(a.get("lock").unwrap_or(&Value::Null), b.get("lock").unwrap_or(&Value::Null)));
    Ok(out)
}

async fn content(engine: &Arc<Engine>) -> Result<Found, ApiError> {
    let site = {
        let engine = engine.clone();
        blocking(move || engine.site()).await?
    };
    let (mut out, mut age) = (Vec::new(), 0);
    for (name, set) in &site.content {
        if engine.content.last(name).is_none() {
            let _ = tokio::time::timeout(LOOK, engine.content.look(name)).await;
        }
        let last = engine.content.last(name);
        let reading = last.as_ref().map(|(_, r)| r);
        if let Some((at, _)) = &last {
            age = age.max(u64::try_from((engine.now_us() - at) / 1_000).unwrap_or(0));
        }
        let known = {
            let (engine, name) = (engine.clone(), name.clone());
            blocking(move || engine.store.contents(Some(&name), MOST).map_err(ApiError::from)).await?
        };
        let fp = reading.and_then(|r| r.fp.known());
        let seen = known.iter().find(|c| Some(c.fp.as_str()) == fp);
        let row = json!({
            "packages": fp.and_then(|_| reading.map(|r| r.packages)), "size_bytes": fp.and_then(|_| reading.map(|r| r.bytes)),
            "first_seen": seen.map(|c| rows::time(c.first_seen_us)), "versions": known.len(),
            "set": name, "os": set.os, "repos": set.repos.join(" "),
            "fp": reading.and_then(|r| r.fp.known()), "md": reading.and_then(|r| r.md.known()),
            "detail": reading.map_or("it is still being read", |r| r.detail.as_str()),
            "read": last.as_ref().map(|(at, _)| rows::time(*at)),
        });
        if let Value::Object(map) = row {
            out.push(map);
        }
    }
    Ok((out, age, None))
}
