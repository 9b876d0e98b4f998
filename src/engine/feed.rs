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
use crate::domain::run::{RunRef, RunState};
use crate::store::{RunsQuery, StoreError};

/// Changes that make one set at most: a set is one event of the stream.
const SET: usize = 256;
/// Sets follow each other no faster, but for one that tells of an end to somebody who listens: a matrix of a thousand cells is not read anew
/// at each of them, nor a thousand runs at the end of each.
const PACE: Duration = Duration::from_millis(25);

/// What cannot be read now is read again after this, and so often.
const AGAIN: Duration = Duration::from_secs(1);
const TRIES: u32 = 10;

/// Rows by table and id.
type Rows = BTreeSet<(&'static str, String)>;

/// What a reading gave.
#[derive(Default)]
struct Read {
    edits: Vec<Edit>,
    /// What it could not read, and whether that is all that is open.
    left: Rows,
    lagged: bool,
}

/// Feeds the model until the engine stops.
pub async fn feed(engine: Arc<Engine>) {
    let mut changes = engine.runner.subscribe();
    let mut next = Instant::now();
    let (mut left, mut left_lagged, mut tries) = (Rows::new(), false, 0);
    loop {
        let (mut seen, mut lagged) = (std::mem::take(&mut left), std::mem::take(&mut left_lagged));
        let owed = lagged || !seen.is_empty();
        tokio::select! {
            () = tokio::time::sleep(AGAIN), if owed => {}
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
            blocking(move || Ok(edits(&engine, &seen, lagged))).await
        };
        match read {
            Ok(read) => {
                engine.model.publish(read.edits);
                tries = if read.lagged || !read.left.is_empty() { tries + 1 } else { 0 };
                if tries < TRIES {
                    (left, left_lagged) = (read.left, read.lagged);
                } else {
                    tries = 0;
                }
            }
            Err(e) => tracing::warn!("changes could not be read: {e}"),
        }
        next = Instant::now() + PACE;
    }
}

fn tells_of_an_end(seen: &Rows) -> bool {
    seen.iter().any(|(table, _)| *table == "ends")
}

/// Reads what changed. A row that cannot be read keeps no other one back.
fn edits(engine: &Engine, seen: &Rows, lagged: bool) -> Read {
    let mut out = Read::default();
    if lagged {
        match open(engine) {
            Ok(edits) => out.edits = edits,
            Err(e) => {
                tracing::warn!("what is open could not be read: {e}");
                out.lagged = true;
            }
        }
    }
    for row @ (table, id) in seen.iter().filter(|(table, _)| *table != "locks") {
        match of_row(engine, table, id) {
            Ok(edits) => out.edits.extend(edits),
            Err(e) => {
                tracing::warn!(table, id, "a change could not be read: {e}");
                out.left.insert(row.clone());
            }
        }
    }
    let locks: Vec<&str> = seen.iter().filter(|(table, _)| *table == "locks").map(|(_, id)| id.as_str()).collect();
    if lagged || !locks.is_empty() {
        match of_locks(engine, &locks) {
            Ok(edits) => out.edits.extend(edits),
            Err(e) => {
                tracing::warn!("locks could not be read: {e}");
                out.left.extend(locks.into_iter().map(|id| ("locks", id.to_owned())));
                out.lagged |= lagged;
            }
        }
    }
    out
}

/// Some were missed: everything that is open, and what ended last.
fn open(engine: &Engine) -> Result<Vec<Edit>, StoreError> {
    let states = vec![RunState::Queued, RunState::Running, RunState::Waiting];
    let open = engine.store.runs(&RunsQuery { states, limit: 100_000, ..RunsQuery::default() })?;
    let last = engine.store.runs(&RunsQuery::default())?;
    let all = open.iter().chain(&last);
    Ok(all.map(|row| Edit::Upsert { table: "runs".into(), id: row.run.to_string(), row: rows::run(row) }).collect())
}

fn of_row(engine: &Engine, table: &str, id: &str) -> Result<Vec<Edit>, StoreError> {
    let Ok(run) = id.parse::<RunRef>() else { return Ok(Vec::new()) };
    Ok(match table {
        "runs" => match engine.store.run(&run) {
            Ok(row) => vec![Edit::Upsert { table: "runs".into(), id: id.to_owned(), row: rows::run(&row) }],
            Err(StoreError::NoRun { .. }) => vec![Edit::Delete { table: "runs".into(), id: id.to_owned() }],
            Err(e) => return Err(e),
        },
        "decisions" => {
            let all = engine.store.decisions_about(&run)?;
            all.iter().map(|d| Edit::Upsert { table: "decisions".into(), id: d.id.to_string(), row: rows::decision(d) }).collect()
        }
        _ => Vec::new(),
    })
}

fn of_locks(engine: &Engine, seen: &[&str]) -> Result<Vec<Edit>, StoreError> {
    let held = engine.store.locks()?;
    let site = engine.watch.current().unwrap_or_default();
    let there = held.iter().map(|lock| Edit::Upsert {
        table: "locks".into(),
        id: lock.name.clone(),
        row: rows::lock(lock, site.slots(&lock.name)),
    });
    let gone = seen.iter().filter(|id| !held.iter().any(|h| h.name == **id));
    Ok(there.chain(gone.map(|id| Edit::Delete { table: "locks".into(), id: (*id).to_owned() })).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::ManualClock;
    use crate::domain::actor::Actor;
    use crate::engine::{plan, testing};
    use crate::runner::Submit;

    #[tokio::test]
    async fn a_change_that_cannot_be_read_now_is_told_once_it_can_and_keeps_no_other_back() {
        let dir = testing::directory();
        let text = "format: 1\nname: p\nstages:\n  - name: a\n    run: 'true'\n";
        std::fs::write(dir.path().join("config/pipelines/p.yml"), text).unwrap();
        let engine = testing::engine(dir.path(), &Arc::new(ManualClock::new(jiff::Timestamp::UNIX_EPOCH, "boot")));
        let (_, mut heard) = engine.model.join(None);
        let feeding = tokio::spawn(feed(engine.clone()));
        let submit = async || {
            let plan = plan::of_pipeline(&engine, &engine.site().unwrap(), "p", &Default::default()).unwrap();
            let (requested_by, trigger) = (Actor::engine("t"), "manual".into());
            let wish = Submit { plan, requested_by, reason: String::new(), trigger, cause: None, replay_of: None, note: None };
            engine.runner.submit(wish).await.unwrap()
        };
        let mut hear = async |run: &RunRef| {
            let told = async { while !heard.recv().await.unwrap().upserts("runs", &run.to_string()) {} };
            tokio::time::timeout(Duration::from_secs(60), told).await.unwrap();
        };
        // That it waits in the queue is news.
        let first = submit().await;
        hear(&first).await;
        let db = rusqlite::Connection::open(dir.path().join("state.db")).unwrap();
        let was: String = db.query_row("SELECT state FROM run", [], |r| r.get(0)).unwrap();
        db.execute("UPDATE run SET state = 'nonsense'", []).unwrap();
        engine.runner.pin(&first, &Actor::engine("t"), "kept", true, None).await.unwrap();
        let second = submit().await;
        hear(&second).await;
        db.execute("UPDATE run SET state = ?1 WHERE state = 'nonsense'", [was]).unwrap();
        hear(&first).await;
        feeding.abort();
    }
}
