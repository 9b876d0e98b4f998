//! What people set: cancel marks, drain, pins; and the hand-over of ended runs to upstream triggers.

use rusqlite::{Transaction, params};

use super::audit::{self, Note};
use super::load::{CancelMark, Drain};
use super::rows::all;
use super::run_id::id_of;
use super::{RunId, Store, StoreError};
use crate::domain::run::{RunRef, Verdict};

/// An ended run that upstream triggers have not looked at. `cause` is unique for (run, round): give it to the run it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedRun {
    pub id: RunId,
    pub run: RunRef,
    pub round: u32,
    pub verdict: Verdict,
    pub ended_us: i64,
}

fn cancel(tx: &Transaction<'_>, run: &RunRef, mark: &CancelMark, note: Option<Note>) -> Result<bool, StoreError> {
    let id = id_of(tx, run)?;
    let n = tx
        .prepare_cached(
            "UPDATE run SET cancel_by = coalesce(cancel_by, ?2), cancel_why = coalesce(cancel_why, ?3),
                    cancel_us = coalesce(cancel_us, ?4), cancel_force = cancel_force OR ?5
             WHERE id = ?1 AND state != 'done'",
        )?
        .execute(params![id, mark.by, mark.why, mark.at_us, mark.force])?;
    if n == 1 {
        audit::seal_if(tx, note)?;
    }
    Ok(n == 1)
}

impl Store {
    /// Makes a cancel durable, with its entry. False: the run has ended already, and nothing was written. A second one keeps the
    /// first author and may add force.
    pub async fn mark_cancel(&self, run: &RunRef, mark: CancelMark, note: Option<Note>) -> Result<bool, StoreError> {
        let run = run.clone();
        self.write(move |tx| cancel(tx, &run, &mark, note)).await
    }

    /// As `mark_cancel`, for a run that nobody has cancelled yet. False: it has ended or is marked already.
    pub async fn mark_cancel_once(&self, run: &RunRef, mark: CancelMark, note: Note) -> Result<bool, StoreError> {
        let run = run.clone();
        self.write(move |tx| {
            let marked = tx
                .prepare_cached("SELECT cancel_us IS NOT NULL FROM run WHERE id = ?1")?
                .query_row([id_of(tx, &run)?], |r| r.get::<_, bool>(0))?;
            if marked { Ok(false) } else { cancel(tx, &run, &mark, Some(note)) }
        })
        .await
    }

    /// Sets or lifts the drain, with its entry.
    pub async fn set_drain(&self, drain: Option<Drain>, note: Option<Note>) -> Result<(), StoreError> {
        self.write(move |tx| {
            match drain {
                Some(d) => {
                    let json = serde_json::to_string(&d).map_err(|e| StoreError::Database(e.to_string()))?;
                    tx.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('drain', ?1)", [json])?;
                }
                None => {
                    tx.execute("DELETE FROM meta WHERE key = 'drain'", [])?;
                }
            }
            audit::seal_if(tx, note)
        })
        .await
    }

    /// The drain in force.
    pub fn drain(&self) -> Result<Option<Drain>, StoreError> {
        self.read(super::load::drain)
    }

    /// Exempts a run from retention, with its entry.
    pub async fn pin(&self, run: &RunRef, who: &str, why: &str, at_us: i64, note: Option<Note>) -> Result<(), StoreError> {
        let (run, who, why) = (run.clone(), who.to_owned(), why.to_owned());
        self.write(move |tx| {
            let id = id_of(tx, &run)?;
            if tx.prepare_cached("SELECT 1 FROM doomed WHERE run_id = ?1")?.exists([id])? {
                return Err(StoreError::Doomed(run.to_string()));
            }
            tx.execute("INSERT OR REPLACE INTO pin (run_id, who, why, at_us) VALUES (?1, ?2, ?3, ?4)", params![id, who, why, at_us])?;
            audit::seal_if(tx, note)
        })
        .await
    }

    /// Gives a run back to retention, with its entry.
    pub async fn unpin(&self, run: &RunRef, note: Option<Note>) -> Result<(), StoreError> {
        let run = run.clone();
        self.write(move |tx| {
            let id = id_of(tx, &run)?;
            tx.execute("DELETE FROM pin WHERE run_id = ?1", [id])?;
            audit::seal_if(tx, note)
        })
        .await
    }

    /// Ended runs that upstream triggers have not looked at yet, oldest first.
    pub fn unoffered(&self, limit: usize) -> Result<Vec<EndedRun>, StoreError> {
        self.read(move |c| {
            // A limit that is bound and no expression has SQLite plan the statement anew at every question.
            all(
                c,
                "SELECT r.id, r.pipeline, r.number, u.round, r.verdict, r.ended_us FROM unoffered u JOIN run r ON r.id = u.run_id
                 WHERE r.state = 'done' ORDER BY r.ended_us, r.id LIMIT (SELECT ?1)",
                [limit],
                |r| {
                    Ok(EndedRun {
                        id: r.get(0)?,
                        run: RunRef { pipeline: r.get(1)?, number: r.get(2)? },
                        round: r.get(3)?,
                        verdict: super::rows::word(r, 4)?,
                        ended_us: r.get(5)?,
                    })
                },
            )
        })
    }

    /// Marks an ended run as looked at, after its downstream runs are durable, with the entries of those that were refused. Safe to repeat.
    pub async fn offered(&self, ended: &EndedRun, refused: Vec<Note>) -> Result<(), StoreError> {
        self.all_offered(vec![(ended.clone(), refused)]).await
    }

    /// As `offered`, of several at once.
    pub async fn all_offered(&self, all: Vec<(EndedRun, Vec<Note>)>) -> Result<(), StoreError> {
        if all.is_empty() {
            return Ok(());
        }
        self.write(move |tx: &Transaction<'_>| {
            for (ended, refused) in all {
                let mut s = tx.prepare_cached("DELETE FROM unoffered WHERE run_id = ?1 AND round = ?2")?;
                if s.execute(params![ended.id, ended.round])? > 0 {
                    refused.into_iter().try_for_each(|note| audit::seal(tx, note).map(|_| ()))?;
                }
            }
            Ok(())
        })
        .await
    }
}
