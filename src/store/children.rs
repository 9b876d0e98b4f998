//! Runs that stages of other runs have started: the link is written with the run itself. And the marks of runs that pipelines keep.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::audit::{self, Note};
use super::rows::all;
use super::run_id::id_of;
use super::{RunId, Store, StoreError};
use crate::domain::run::RunRef;

/// The cell that starts a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParentLink {
    pub run_id: RunId,
    /// The pass of that run.
    pub round: u32,
    pub stage: u32,
    pub cell: u32,
    /// Its end is waited for.
    pub wait: bool,
}

/// A run that a cell has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildRow {
    pub round: u32,
    pub stage: u32,
    pub cell: u32,
    pub run: RunRef,
    pub wait: bool,
}

/// Refuses a link from a run that has ended or was cancelled: nobody would wait for what is started.
pub(super) fn may_link(tx: &Transaction<'_>, link: &ParentLink) -> Result<(), StoreError> {
    let open = tx
        .prepare_cached("SELECT 1 FROM run WHERE id = ?1 AND state != 'done' AND cancel_us IS NULL AND round = ?2")?
        .exists(params![link.run_id, link.round])?;
    if open { Ok(()) } else { Err(StoreError::Stale { what: "the run that would wait for it has ended or was cancelled".into() }) }
}

pub(super) fn link(tx: &Transaction<'_>, link: &ParentLink, run: &RunRef) -> Result<(), StoreError> {
    tx.prepare_cached("INSERT INTO child (run_id, round, stage, cell, pipeline, number, wait) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![link.run_id, link.round, link.stage, link.cell, run.pipeline, run.number, link.wait])?;
    Ok(())
}

pub(super) fn of(c: &Connection, id: RunId) -> Result<Vec<ChildRow>, StoreError> {
    all(c, "SELECT round, stage, cell, pipeline, number, wait FROM child WHERE run_id = ?1 ORDER BY round, stage, cell", [id], |r| {
        Ok(ChildRow {
            round: r.get(0)?,
            stage: r.get(1)?,
            cell: r.get(2)?,
            run: RunRef { pipeline: r.get(3)?, number: r.get(4)? },
            wait: r.get(5)?,
        })
    })
}

pub(super) fn parent(c: &Connection, run: &RunRef) -> Result<Option<ParentLink>, StoreError> {
    let found = c
        .prepare_cached("SELECT run_id, round, stage, cell, wait FROM child WHERE pipeline = ?1 AND number = ?2")?
        .query_row(params![run.pipeline, run.number], |r| {
            Ok(ParentLink { run_id: r.get(0)?, round: r.get(1)?, stage: r.get(2)?, cell: r.get(3)?, wait: r.get(4)? })
        });
    Ok(found.optional()?)
}

pub(super) fn pin(tx: &Transaction<'_>, run: &RunRef, by: &str, why: &str, note: Note) -> Result<(), StoreError> {
    let at_us = note.at_us;
    let gone = |_| StoreError::Stale { what: format!("{run}, which is to be kept") };
    let id = id_of(tx, run).map_err(gone)?;
    if tx.prepare_cached("SELECT 1 FROM doomed WHERE run_id = ?1")?.exists([id])? {
        return Err(gone(StoreError::Doomed(run.to_string())));
    }
    tx.prepare_cached("INSERT OR REPLACE INTO promoted (run_id, by_run, at_us) VALUES (?1, ?2, ?3)")?.execute(params![id, by, at_us])?;
    let new = tx
        .prepare_cached("INSERT OR IGNORE INTO pin (run_id, who, why, at_us) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![id, by, why, at_us])?;
    if new == 1 { audit::seal(tx, note).map(drop) } else { Ok(()) }
}

impl Store {
    /// Runs that the stages of a run have started, oldest pass first.
    pub fn children(&self, run: &RunRef) -> Result<Vec<ChildRow>, StoreError> {
        let run = run.clone();
        self.read(move |c| of(c, id_of(c, &run)?))
    }

    /// The name of a run by its number in the store.
    pub fn run_of_id(&self, id: RunId) -> Result<Option<RunRef>, StoreError> {
        self.read(move |c| {
            let mut s = c.prepare_cached("SELECT pipeline, number FROM run WHERE id = ?1")?;
            Ok(s.query_row([id], |r| Ok(RunRef { pipeline: r.get(0)?, number: r.get(1)? })).optional()?)
        })
    }

    /// The run that has this cause.
    pub fn run_of_cause(&self, cause: &str) -> Result<Option<RunRef>, StoreError> {
        let cause = cause.to_owned();
        self.read(move |c| {
            let mut s = c.prepare_cached("SELECT pipeline, number FROM run WHERE cause = ?1")?;
            Ok(s.query_row([cause], |r| Ok(RunRef { pipeline: r.get(0)?, number: r.get(1)? })).optional()?)
        })
    }

    /// Runs whose cause begins so, oldest first.
    pub fn runs_of_causes(&self, prefix: &str) -> Result<Vec<RunRef>, StoreError> {
        let prefix = prefix.to_owned();
        self.read(move |c| {
            all(c, "SELECT pipeline, number FROM run WHERE substr(cause, 1, length(?1)) = ?1 ORDER BY id", [prefix], |r| {
                Ok(RunRef { pipeline: r.get(0)?, number: r.get(1)? })
            })
        })
    }

    /// Whether a run can be kept: it is there, and retention has not begun to remove it.
    pub fn may_pin(&self, run: &RunRef) -> Result<(), StoreError> {
        let run = run.clone();
        self.read(move |c| {
            let id = id_of(c, &run)?;
            if c.prepare_cached("SELECT 1 FROM doomed WHERE run_id = ?1")?.exists([id])? {
                return Err(StoreError::Doomed(run.to_string()));
            }
            Ok(())
        })
    }
}
