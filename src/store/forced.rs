//! Runs that a person ended because their attempts could not be: who and why, and what their attempts said afterwards.

use std::path::PathBuf;

use rusqlite::{OptionalExtension, Transaction, params};

use super::audit::{self, Note};
use super::rows::all;
use super::{RunId, Store, StoreError};
use crate::domain::run::RunRef;

/// The kind of the fact that holds a late end.
pub const LATE: &str = "late-end";

/// Who ends it, why and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForceMark {
    pub by: String,
    pub why: String,
    pub at_us: i64,
}

/// An attempt of a run that was ended so, and whose own end is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unheard {
    pub fence: u64,
    pub run_id: RunId,
    pub run: RunRef,
    pub stage: String,
    pub step: String,
    /// Relative to the state directory.
    pub dir: PathBuf,
}

/// What tells the processes of an attempt from others, without its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub id: String,
    pub token: String,
    pub fence: u64,
}

pub(super) fn mark(tx: &Transaction<'_>, run: RunId, round: u32, mark: &ForceMark) -> Result<(), StoreError> {
    tx.prepare_cached("INSERT OR IGNORE INTO forced (run_id, round, who, why, at_us) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![run, round, mark.by, mark.why, mark.at_us])?;
    Ok(())
}

pub(super) fn of(c: &rusqlite::Connection, run: RunId, round: u32) -> Result<Option<ForceMark>, StoreError> {
    let found = c
        .prepare_cached("SELECT who, why, at_us FROM forced WHERE run_id = ?1 AND round = ?2")?
        .query_row(params![run, round], |r| Ok(ForceMark { by: r.get(0)?, why: r.get(1)?, at_us: r.get(2)? }));
    Ok(found.optional()?)
}

impl Store {
    /// By what the processes of an attempt are known.
    pub fn known_attempt(&self, fence: u64) -> Result<Known, StoreError> {
        self.read(move |c| {
            let mut s = c.prepare_cached("SELECT id, token FROM attempt WHERE fence = ?1")?;
            Ok(s.query_row([fence], |r| Ok(Known { id: r.get(0)?, token: r.get(1)?, fence }))?)
        })
    }

    /// Lost attempts of runs that were ended by a person, and that have not said since how they ended.
    pub fn unheard(&self) -> Result<Vec<Unheard>, StoreError> {
        self.read(|c| {
            all(
                c,
                "SELECT a.fence, r.id, r.pipeline, r.number, g.name, s.name, a.dir FROM forced f JOIN run r ON r.id = f.run_id
                 JOIN attempt a ON a.run_id = r.id AND a.state = 'done' AND a.verdict = 'lost'
                 JOIN stage g ON g.run_id = a.run_id AND g.stage = a.stage
                 JOIN step s ON s.run_id = a.run_id AND s.stage = a.stage AND s.cell = a.cell AND s.step = a.step
                 WHERE NOT EXISTS (SELECT 1 FROM fact WHERE fact.run_id = r.id AND fact.fence = a.fence AND fact.kind = ?1)
                 GROUP BY a.fence ORDER BY a.fence",
                [LATE],
                |r| {
                    Ok(Unheard {
                        fence: r.get(0)?,
                        run_id: r.get(1)?,
                        run: RunRef { pipeline: r.get(2)?, number: r.get(3)? },
                        stage: r.get(4)?,
                        step: r.get(5)?,
                        dir: PathBuf::from(r.get::<_, String>(6)?),
                    })
                },
            )
        })
    }

    /// Writes down how an attempt ended after its run was ended by a person, with an entry. Once for each; no verdict moves.
    pub async fn late_end(&self, run: RunId, fence: u64, json: String, note: Note) -> Result<(), StoreError> {
        self.write(move |tx| {
            let n = tx
                .prepare_cached(
                    "INSERT INTO fact (run_id, fence, kind, json, at_us) SELECT ?1, ?2, ?3, ?4, ?5
                     WHERE EXISTS (SELECT 1 FROM run WHERE id = ?1)
                       AND NOT EXISTS (SELECT 1 FROM fact WHERE run_id = ?1 AND fence = ?2 AND kind = ?3)",
                )?
                .execute(params![run, fence, LATE, json, note.at_us])?;
            if n == 1 { audit::seal(tx, note).map(drop) } else { Ok(()) }
        })
        .await
    }
}
