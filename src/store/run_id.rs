//! The store's own number of a run, found by the name that people know.

use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;
use crate::base::suggest;
use crate::domain::run::RunRef;

/// The store's own number of a run; never reused. People see `PIPELINE#NUMBER`.
pub type RunId = i64;

pub(super) fn id_of(tx: &Connection, run: &RunRef) -> Result<RunId, StoreError> {
    tx.prepare_cached("SELECT id FROM run WHERE pipeline = ?1 AND number = ?2")?
        .query_row(params![run.pipeline, run.number], |r| r.get(0))
        .optional()?
        .ok_or_else(|| no_run(tx, run))
}

/// The error that a run is not there, with the one that may have been meant.
pub(super) fn no_run(tx: &Connection, run: &RunRef) -> StoreError {
    let newest = |pipeline: &str| -> Option<RunRef> {
        let number: Option<u64> = tx
            .prepare_cached("SELECT max(number) FROM run WHERE pipeline = ?1")
            .and_then(|mut s| s.query_row([pipeline], |r| r.get(0)))
            .ok()
            .flatten();
        number.map(|number| RunRef::new(pipeline, number))
    };
    let near = || -> Option<RunRef> {
        let mut names = tx.prepare_cached("SELECT DISTINCT pipeline FROM run").ok()?;
        let names: Vec<String> = names.query_map([], |r| r.get(0)).ok()?.flatten().collect();
        newest(suggest::nearest(&run.pipeline, names.iter().map(String::as_str))?)
    };
    StoreError::NoRun { run: run.clone(), newest: newest(&run.pipeline).or_else(near) }
}
