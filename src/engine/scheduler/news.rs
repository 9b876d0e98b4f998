//! What the scheduler tells the event stream: rows of `schedule` and of `occurrences` as they change.
//!
//! Ids are `PIPELINE TRIGGER`, and `PIPELINE TRIGGER SCHEDULED_FOR`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::board::{Key, State};
use super::rows;
use crate::domain::occurrence::Occurrence;
use crate::engine::blocking::blocking;
use crate::engine::model::Edit;
use crate::engine::rows::time;
use crate::engine::state::Engine;

/// Rows of one change set at most; after an outage there may be thousands.
const SET: usize = 256;

fn of_trigger(key: &Key) -> String {
    format!("{} {}", key.0, key.1)
}

fn of_time(pipeline: &str, trigger: &str, scheduled_us: i64) -> String {
    format!("{pipeline} {trigger} {}", time(scheduled_us))
}

/// Rows of the ledger that were written or changed.
pub fn wrote(engine: &Engine, occurrences: &[Occurrence]) {
    for some in occurrences.chunks(SET) {
        let edit = |o: &Occurrence| Edit::Upsert {
            table: "occurrences".into(),
            id: of_time(&o.pipeline, &o.trigger, o.scheduled_us),
            row: rows::occurrence(o),
        };
        engine.model.publish(some.iter().map(edit).collect());
    }
}

/// Rows of the ledger that were taken back.
pub fn took_back(engine: &Engine, key: &Key, times_us: &BTreeSet<i64>) {
    let edit = |us: &i64| Edit::Delete { table: "occurrences".into(), id: of_time(&key.0, &key.1, *us) };
    engine.model.publish(times_us.iter().map(edit).collect());
}

/// Rows of `schedule` that differ from those of `before`.
pub async fn looked(engine: &Arc<Engine>, before: &State, now: &State) {
    let all = before.words() != now.words();
    let keys: BTreeSet<&Key> = before.seen.keys().chain(now.seen.keys()).collect();
    let moved: BTreeSet<Key> = keys.into_iter().filter(|k| all || before.seen.get(*k) != now.seen.get(*k)).cloned().collect();
    if !moved.is_empty() {
        changed(engine, moved).await;
    }
}

/// Reads the rows of these triggers again.
pub async fn changed(engine: &Arc<Engine>, keys: BTreeSet<Key>) {
    let pipelines: BTreeSet<String> = keys.iter().map(|k| k.0.clone()).collect();
    let read = {
        let engine = engine.clone();
        blocking(move || rows::schedule_of(&engine, Some(&pipelines))).await
    };
    let found = match read {
        Ok((found, _)) => found,
        Err(e) => {
            tracing::warn!("the schedule cannot be told: {e}");
            return;
        }
    };
    let text = |row: &crate::engine::rows::Row, f: &str| row.get(f).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
    let mut gone = keys;
    let mut edits = Vec::new();
    for row in found {
        let key = (text(&row, "pipeline"), text(&row, "trigger"));
        if gone.remove(&key) {
            edits.push(Edit::Upsert { table: "schedule".into(), id: of_trigger(&key), row });
        }
    }
    edits.extend(gone.iter().map(|k| Edit::Delete { table: "schedule".into(), id: of_trigger(k) }));
    engine.model.publish(edits);
}
