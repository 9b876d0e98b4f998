//! From the runner's changes to the model's change sets: rows are read again, several changes make one set.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::Instant;

use super::blocking::blocking;
use super::model::Edit;
use super::rows;
use super::state::Engine;
use crate::api::ApiError;
use crate::domain::run::{RunRef, RunState};
use crate::store::{RunsQuery, StoreError};

/// Changes that make one set at most: a set is one event of the stream.
const SET: usize = 256;
/// Sets follow each other no faster, but for one that tells of an end to somebody who listens: a matrix of a thousand cells is not read anew
/// at each of them, nor a thousand runs at the end of each.
const PACE: Duration = Duration::from_millis(25);

/// Feeds the model until the engine stops.
pub async fn feed(engine: Arc<Engine>) {
    let mut changes = engine.runner.subscribe();
    let mut next = Instant::now();
    loop {
        let mut seen: BTreeSet<(&'static str, String)> = BTreeSet::new();
        let mut lagged = false;
        tokio::select! {
            change = changes.recv() => match change {
                Ok(c) => { seen.insert((c.table, c.id)); }
                Err(RecvError::Lagged(_)) => lagged = true,
                Err(RecvError::Closed) => return,
            },
            () = engine.stopped() => return,
        }
        while seen.len() < SET {
            match changes.try_recv() {
                Ok(c) => {
                    seen.insert((c.table, c.id));
                }
                Err(TryRecvError::Lagged(_)) => lagged = true,
                Err(TryRecvError::Empty) if Instant::now() < next && !(engine.model.is_heard() && tells_of_an_end(&seen)) => {
                    tokio::select! {
                        change = changes.recv() => match change {
                            Ok(c) => drop(seen.insert((c.table, c.id))),
                            Err(RecvError::Lagged(_)) => lagged = true,
                            Err(RecvError::Closed) => break,
                        },
                        () = tokio::time::sleep_until(next) => break,
                        () = engine.stopped() => return,
                    }
                }
                Err(_) => break,
            }
        }
        let read = {
            let engine = engine.clone();
            blocking(move || edits(&engine, &seen, lagged).map_err(ApiError::from)).await
        };
        match read {
            Ok(edits) => {
                engine.model.publish(edits);
            }
            Err(e) => tracing::warn!("changes could not be read: {e}"),
        }
        next = Instant::now() + PACE;
    }
}

fn tells_of_an_end(seen: &BTreeSet<(&'static str, String)>) -> bool {
    seen.iter().any(|(table, _)| *table == "ends")
}

fn edits(engine: &Engine, seen: &BTreeSet<(&'static str, String)>, lagged: bool) -> Result<Vec<Edit>, StoreError> {
    let mut out = Vec::new();
    if lagged {
        // Some were missed: everything that is open, and what ended last.
        let open =
            RunsQuery { states: vec![RunState::Queued, RunState::Running, RunState::Waiting], limit: 100_000, ..RunsQuery::default() };
        for row in engine.store.runs(&open)?.iter().chain(&engine.store.runs(&RunsQuery::default())?) {
            out.push(Edit::Upsert { table: "runs".into(), id: row.run.to_string(), row: rows::run(row) });
        }
    }
    let mut locks = lagged;
    for (table, id) in seen {
        match *table {
            "runs" => {
                let Ok(run) = id.parse::<RunRef>() else { continue };
                match engine.store.run(&run) {
                    Ok(row) => out.push(Edit::Upsert { table: "runs".into(), id: id.clone(), row: rows::run(&row) }),
                    Err(StoreError::NoRun { .. }) => out.push(Edit::Delete { table: "runs".into(), id: id.clone() }),
                    Err(e) => return Err(e),
                }
            }
            "locks" => locks = true,
            "decisions" => {
                let Ok(run) = id.parse::<RunRef>() else { continue };
                for d in engine.store.decisions_about(&run)? {
                    out.push(Edit::Upsert { table: "decisions".into(), id: d.id.to_string(), row: rows::decision(&d) });
                }
            }
            _ => {}
        }
    }
    if locks {
        let held = engine.store.locks()?;
        let site = engine.watch.current().unwrap_or_default();
        for lock in &held {
            out.push(Edit::Upsert { table: "locks".into(), id: lock.name.clone(), row: rows::lock(lock, site.slots(&lock.name)) });
        }
        for (_, id) in seen.iter().filter(|(t, id)| *t == "locks" && !held.iter().any(|h| h.name == *id)) {
            out.push(Edit::Delete { table: "locks".into(), id: id.clone() });
        }
    }
    Ok(out)
}
