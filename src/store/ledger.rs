//! The ledger of scheduled starts, and what is known of each trigger. A row and the run that it tells of are one transaction.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::rows::all;
use super::submit::{self, NewRun, Submitted};
use super::{Store, StoreError};
use crate::domain::occurrence::{Occurrence, TriggerState};
use crate::domain::run::RunRef;

/// Where a trigger's look has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub pipeline: String,
    pub trigger: String,
    pub cursor_us: i64,
    /// None = as it was.
    pub note: Option<String>,
}

/// What the ledger says of a run that is queued with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ledger {
    /// Rows of the occurrences that the run stands for; the last one is its own, and is new.
    Due { rows: Vec<Occurrence>, cursor: Option<Cursor> },
    /// An occurrence that was skipped is made up by hand.
    MakeUp { pipeline: String, trigger: String, scheduled_us: i64, why: String },
}

const ROW: &str = "SELECT pipeline, trigger, scheduled_us, outcome, cause, why, run_number, decided_us FROM occurrence";

fn occurrence(r: &Row<'_>) -> rusqlite::Result<Occurrence> {
    let pipeline: String = r.get(0)?;
    let number: Option<u64> = r.get(6)?;
    Ok(Occurrence {
        run: number.map(|n| RunRef::new(&pipeline, n)),
        pipeline,
        trigger: r.get(1)?,
        scheduled_us: r.get(2)?,
        outcome: super::rows::word(r, 3)?,
        cause: super::rows::word(r, 4)?,
        why: r.get(5)?,
        decided_us: r.get(7)?,
    })
}

/// True where the row is new: one that is there already stays as it is.
fn insert(tx: &Transaction<'_>, o: &Occurrence) -> Result<bool, StoreError> {
    let n = tx
        .prepare_cached(
            "INSERT INTO occurrence (pipeline, trigger, scheduled_us, outcome, cause, why, run_number, decided_us)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            o.pipeline,
            o.trigger,
            o.scheduled_us,
            o.outcome.as_str(),
            o.cause.as_str(),
            o.why,
            o.run.as_ref().map(|r| r.number),
            o.decided_us
        ])?;
    Ok(n == 1)
}

fn advance(tx: &Transaction<'_>, c: &Cursor) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE trigger_state SET cursor_us = max(cursor_us, ?3), note = coalesce(?4, note) WHERE pipeline = ?1 AND trigger = ?2",
    )?
    .execute(params![c.pipeline, c.trigger, c.cursor_us, c.note])?;
    Ok(())
}

fn stale(pipeline: &str, trigger: &str) -> StoreError {
    StoreError::Stale { what: format!("the occurrence of `{trigger}` of {pipeline}") }
}

fn with_run(tx: &Transaction<'_>, new: &NewRun, runs: &std::path::Path, ledger: &Ledger) -> Result<Submitted, StoreError> {
    match ledger {
        Ledger::Due { rows, cursor } => {
            let Some((own, others)) = rows.split_last() else { return submit::submit(tx, new, runs) };
            let known: bool = tx
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM occurrence WHERE pipeline = ?1 AND trigger = ?2 AND scheduled_us = ?3)")?
                .query_row(params![own.pipeline, own.trigger, own.scheduled_us], |r| r.get(0))?;
            if known {
                return Err(stale(&own.pipeline, &own.trigger));
            }
            let done = submit::submit(tx, new, runs)?;
            for o in others.iter().chain([own]) {
                insert(tx, &Occurrence { run: Some(done.run.clone()), ..o.clone() })?;
            }
            if let Some(c) = cursor {
                advance(tx, c)?;
            }
            Ok(done)
        }
        Ledger::MakeUp { pipeline, trigger, scheduled_us, why } => {
            let done = submit::submit(tx, new, runs)?;
            let n = tx.execute(
                "UPDATE occurrence SET outcome = 'late', cause = '', why = ?4, run_number = ?5, decided_us = ?6
                 WHERE pipeline = ?1 AND trigger = ?2 AND scheduled_us = ?3 AND outcome = 'skipped'",
                params![pipeline, trigger, scheduled_us, why, done.run.number, new.now_us],
            )?;
            if n == 1 || done.existing { Ok(done) } else { Err(stale(pipeline, trigger)) }
        }
    }
}

impl Store {
    /// Queues a run together with what the ledger says of it. `Stale`: the occurrence has its row already, and nothing was written.
    pub async fn submit_due(&self, new: NewRun, ledger: Ledger) -> Result<Submitted, StoreError> {
        let runs = self.dir().join("runs");
        self.write(move |tx| with_run(tx, &new, &runs, &ledger)).await
    }

    /// Writes rows of occurrences that start nothing, and moves cursors on. Rows that are there stay as they are.
    pub async fn record(&self, rows: Vec<Occurrence>, cursors: Vec<Cursor>) -> Result<(), StoreError> {
        self.write(move |tx| {
            for o in &rows {
                insert(tx, o)?;
            }
            cursors.iter().try_for_each(|c| advance(tx, c))
        })
        .await
    }

    /// Triggers that are new or have changed, and those that are no longer in any file.
    pub async fn know(&self, known: Vec<TriggerState>, gone: Vec<(String, String)>) -> Result<(), StoreError> {
        self.write(move |tx| {
            for t in &known {
                tx.prepare_cached(
                    "INSERT OR REPLACE INTO trigger_state (pipeline, trigger, digest, spec, since_us, cursor_us, note)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![t.pipeline, t.trigger, t.digest, t.spec, t.since_us, t.cursor_us, t.note])?;
            }
            for (pipeline, trigger) in &gone {
                tx.prepare_cached("DELETE FROM trigger_state WHERE pipeline = ?1 AND trigger = ?2")?.execute(params![pipeline, trigger])?;
            }
            Ok(())
        })
        .await
    }

    /// The clock was set back: a trigger's look goes back with it, and what was said to be missed in a time that has not come is taken
    /// back. Rows of what ran stay, so that nothing runs twice.
    pub async fn wind_back(&self, pipeline: &str, trigger: &str, now_us: i64) -> Result<(), StoreError> {
        let (pipeline, trigger) = (pipeline.to_owned(), trigger.to_owned());
        self.write(move |tx| {
            tx.execute(
                "DELETE FROM occurrence WHERE pipeline = ?1 AND trigger = ?2 AND scheduled_us > ?3 AND outcome = 'skipped'
                 AND cause = 'missed'",
                params![pipeline, trigger, now_us],
            )?;
            tx.execute(
                "UPDATE trigger_state SET cursor_us = min(cursor_us, ?3), since_us = min(since_us, ?3) WHERE pipeline = ?1 AND trigger = ?2",
                params![pipeline, trigger, now_us],
            )?;
            Ok(())
        })
        .await
    }

    /// What the scheduler knows of the triggers.
    pub fn trigger_states(&self) -> Result<Vec<TriggerState>, StoreError> {
        self.read(|c| {
            all(
                c,
                "SELECT pipeline, trigger, digest, spec, since_us, cursor_us, note FROM trigger_state ORDER BY pipeline, trigger",
                [],
                |r| {
                    Ok(TriggerState {
                        pipeline: r.get(0)?,
                        trigger: r.get(1)?,
                        digest: r.get(2)?,
                        spec: r.get(3)?,
                        since_us: r.get(4)?,
                        cursor_us: r.get(5)?,
                        note: r.get(6)?,
                    })
                },
            )
        })
    }

    /// Rows of the ledger, the latest time first.
    pub fn occurrences(&self, limit: usize) -> Result<Vec<Occurrence>, StoreError> {
        self.read_long(move |c| all(c, &format!("{ROW} ORDER BY scheduled_us DESC, pipeline, trigger LIMIT ?1"), [limit], occurrence))
    }

    /// Rows of one pipeline at one time: one for each trigger that was due then.
    pub fn occurrences_at(&self, pipeline: &str, scheduled_us: i64) -> Result<Vec<Occurrence>, StoreError> {
        let pipeline = pipeline.to_owned();
        self.read(move |c| {
            all(
                c,
                &format!("{ROW} WHERE pipeline = ?1 AND scheduled_us = ?2 ORDER BY trigger"),
                params![pipeline, scheduled_us],
                occurrence,
            )
        })
    }

    /// The row of one occurrence.
    pub fn occurrence(&self, pipeline: &str, trigger: &str, scheduled_us: i64) -> Result<Option<Occurrence>, StoreError> {
        let (pipeline, trigger) = (pipeline.to_owned(), trigger.to_owned());
        self.read(move |c| {
            Ok(c.prepare_cached(&format!("{ROW} WHERE pipeline = ?1 AND trigger = ?2 AND scheduled_us = ?3"))?
                .query_row(params![pipeline, trigger, scheduled_us], occurrence)
                .optional()?)
        })
    }

    /// Times of a trigger, from `from_us` on, that have their rows.
    pub fn decided_since(&self, pipeline: &str, trigger: &str, from_us: i64) -> Result<BTreeSet<i64>, StoreError> {
        let (pipeline, trigger) = (pipeline.to_owned(), trigger.to_owned());
        self.read(move |c| {
            all(
                c,
                "SELECT scheduled_us FROM occurrence WHERE pipeline = ?1 AND trigger = ?2 AND scheduled_us >= ?3",
                params![pipeline, trigger, from_us],
                |r| r.get(0),
            )
        })
    }

    /// The latest occurrence of a trigger.
    pub fn last_occurrence(&self, pipeline: &str, trigger: &str) -> Result<Option<Occurrence>, StoreError> {
        let (pipeline, trigger) = (pipeline.to_owned(), trigger.to_owned());
        self.read(move |c| {
            Ok(c.prepare_cached(&format!("{ROW} WHERE pipeline = ?1 AND trigger = ?2 ORDER BY scheduled_us DESC LIMIT 1"))?
                .query_row(params![pipeline, trigger], occurrence)
                .optional()?)
        })
    }

    /// A run of this trigger that has not begun: a further one would do the same work again.
    pub fn waiting_run(&self, pipeline: &str, trigger: &str) -> Result<Option<RunRef>, StoreError> {
        let (pipeline, trigger) = (pipeline.to_owned(), trigger.to_owned());
        self.read(move |c| {
            Ok(c.prepare_cached(
                "SELECT r.number FROM run r WHERE r.pipeline = ?1 AND r.state = 'queued' AND r.started_us IS NULL AND r.cancel_us IS NULL
                 AND r.number IN (SELECT run_number FROM occurrence WHERE pipeline = ?1 AND trigger = ?2 AND run_number IS NOT NULL)
                 ORDER BY r.id LIMIT 1",
            )?
            .query_row(params![pipeline, trigger], |r| r.get::<_, u64>(0))
            .optional()?
            .map(|n| RunRef::new(&pipeline, n)))
        })
    }

    /// Occurrences since `from_us` whose run has not begun, and of which nobody was told; soonest first.
    pub fn not_begun(&self, from_us: i64) -> Result<Vec<Occurrence>, StoreError> {
        self.read(move |c| {
            all(
                c,
                &format!(
                    "{ROW} WHERE told = 0 AND run_number IS NOT NULL AND scheduled_us >= ?1 AND outcome IN ('ran', 'late')
                 AND EXISTS (SELECT 1 FROM run r WHERE r.pipeline = occurrence.pipeline AND r.number = occurrence.run_number
                             AND r.state = 'queued' AND r.started_us IS NULL)
                 ORDER BY scheduled_us LIMIT 1000"
                ),
                [from_us],
                occurrence,
            )
        })
    }

    /// Marks an occurrence as told of. False: somebody was told already.
    pub async fn told(&self, o: &Occurrence) -> Result<bool, StoreError> {
        let (pipeline, trigger, at) = (o.pipeline.clone(), o.trigger.clone(), o.scheduled_us);
        self.write(move |tx| {
            let n = tx.execute(
                "UPDATE occurrence SET told = 1 WHERE pipeline = ?1 AND trigger = ?2 AND scheduled_us = ?3 AND told = 0",
                params![pipeline, trigger, at],
            )?;
            Ok(n == 1)
        })
        .await
    }

    /// Removes rows of long ago, as many as one transaction should; how many.
    pub async fn forget_occurrences(&self, before_us: i64) -> Result<usize, StoreError> {
        self.write(move |tx| {
            Ok(tx.execute(
                "DELETE FROM occurrence WHERE (pipeline, trigger, scheduled_us) IN
                 (SELECT pipeline, trigger, scheduled_us FROM occurrence WHERE scheduled_us < ?1 LIMIT 5000)",
                [before_us],
            )?)
        })
        .await
    }

    /// Keeps the text of a calendar that is whole.
    pub async fn keep_calendar(&self, name: &str, text: Option<String>, at_us: i64) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.write(move |tx| {
            match text {
                Some(text) => {
                    tx.execute("INSERT OR REPLACE INTO calendar (name, text, at_us) VALUES (?1, ?2, ?3)", params![name, text, at_us])?
                }
                None => tx.execute("DELETE FROM calendar WHERE name = ?1", [name])?,
            };
            Ok(())
        })
        .await
    }

    /// Texts of the calendars as they were whole last: `(name, text)`.
    pub fn kept_calendars(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.read(|c: &Connection| all(c, "SELECT name, text FROM calendar ORDER BY name", [], |r| Ok((r.get(0)?, r.get(1)?))))
    }
}
