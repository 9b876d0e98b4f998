//! The logs of ended attempts: what is still to be done about them, their first errors, and the last good one of a step.

use rusqlite::{OptionalExtension, params};

use super::{Store, StoreError};
use crate::domain::log::{FirstError, Todo};
use crate::domain::run::{RunRef, RunState};

/// An ended attempt whose log wants something.
#[derive(Debug, Clone, PartialEq)]
pub struct LogWork {
    pub fence: u64,
    pub run: RunRef,
    pub run_done: bool,
    pub stage: String,
    pub cell: String,
    pub step: String,
    /// Relative to the state directory.
    pub dir: String,
    /// Of the log as its supervisor wrote it; empty where nobody knows.
    pub sha256: String,
    pub todo: Todo,
}

/// The log of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPlace {
    /// Relative to the state directory.
    pub dir: String,
    /// It will not grow.
    pub done: bool,
    /// Output that its supervisor counted in it; 0 before the end.
    pub log_bytes: u64,
    /// Nobody knows what became of it, so nobody counted anything either.
    pub lost: bool,
}

/// What was done about one log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogDone {
    pub fence: u64,
    pub done: Todo,
    /// Stored with the attempt where [`Todo::FIRST_ERROR`] was done.
    pub first_error: Option<FirstError>,
}

/// Runs that a search for a good log looks at.
const LOOKED_AT: u32 = 200;

const WORK: &str = "SELECT a.fence, r.pipeline, r.number, r.state, g.name, s.cell_key, s.name, a.dir, a.log_sha256, a.log_todo
     FROM attempt a JOIN run r ON r.id = a.run_id JOIN stage g ON g.run_id = a.run_id AND g.stage = a.stage
          JOIN step s ON s.run_id = a.run_id AND s.stage = a.stage AND s.cell = a.cell AND s.step = a.step";

impl Store {
    /// Ended attempts from `fence` on whose logs want something, oldest first.
    pub fn log_work(&self, fence: u64, limit: usize) -> Result<Vec<LogWork>, StoreError> {
        self.read(move |c| {
            let sql = format!("{WORK} WHERE a.log_todo != 0 AND a.state = 'done' AND a.fence >= ?1 ORDER BY a.fence LIMIT ?2");
            Ok(c.prepare_cached(&sql)?.query_map(params![fence, limit], work)?.collect::<Result<_, _>>()?)
        })
    }

    /// The same of one attempt; none where nothing is to be done.
    pub fn log_work_of(&self, fence: u64) -> Result<Option<LogWork>, StoreError> {
        self.read(move |c| {
            let sql = format!("{WORK} WHERE a.fence = ?1 AND a.log_todo != 0 AND a.state = 'done'");
            Ok(c.prepare_cached(&sql)?.query_row([fence], work).optional()?)
        })
    }

    /// Where the log of one attempt is; none where the run has no such attempt. For readers of live logs, who ask often.
    pub fn log_place(&self, run: &RunRef, fence: u64) -> Result<Option<LogPlace>, StoreError> {
        let run = run.clone();
        self.read(move |c| {
            let mut s = c.prepare_cached(
                "SELECT a.dir, a.state = 'done', a.log_bytes, COALESCE(a.verdict = 'lost', 0) FROM attempt a JOIN run r ON r.id = a.run_id
                 WHERE a.fence = ?1 AND r.pipeline = ?2 AND r.number = ?3",
            )?;
            let found = s.query_row(params![fence, run.pipeline, run.number], |r| {
                Ok(LogPlace { dir: r.get(0)?, done: r.get(1)?, log_bytes: r.get(2)?, lost: r.get(3)? })
            });
            Ok(found.optional()?)
        })
    }

    /// Writes down what was done.
    pub async fn log_done(&self, done: Vec<LogDone>) -> Result<(), StoreError> {
        self.write(move |tx| {
            for d in &done {
                tx.prepare_cached("UPDATE attempt SET log_todo = log_todo & ~?2 WHERE fence = ?1")?.execute(params![d.fence, d.done.0])?;
                if d.done.has(Todo::FIRST_ERROR) {
                    let json = d.first_error.as_ref().and_then(|e| serde_json::to_string(e).ok());
                    tx.prepare_cached("UPDATE attempt SET first_error = ?2 WHERE fence = ?1")?.execute(params![d.fence, json])?;
                }
            }
            Ok(())
        })
        .await
    }

    /// The newest run before `work`'s where the same step of the same cell succeeded, with the directory of that attempt.
    pub fn last_good_log(&self, work: &LogWork) -> Result<Option<(RunRef, String)>, StoreError> {
        let w = work.clone();
        self.read(move |c| {
            // Bounded by runs looked at: a step that never succeeded must not read all of history.
            let mut s = c.prepare_cached(
                "SELECT r.pipeline, r.number, a.dir
                 FROM (SELECT id, pipeline, number FROM run WHERE pipeline = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3) r
                      JOIN stage g ON g.run_id = r.id AND g.name = ?4
                      JOIN step s ON s.run_id = r.id AND s.stage = g.stage AND s.name = ?5 AND s.cell_key = ?6
                      JOIN attempt a ON a.run_id = r.id AND a.stage = s.stage AND a.cell = s.cell AND a.step = s.step
                 WHERE a.verdict = 'success' AND a.log_bytes > 0 ORDER BY r.number DESC, a.fence DESC LIMIT 1",
            )?;
            let found = s.query_row(params![w.run.pipeline, w.run.number, LOOKED_AT, w.stage, w.step, w.cell], |r| {
                Ok((RunRef { pipeline: r.get(0)?, number: r.get(1)? }, r.get(2)?))
            });
            Ok(found.optional()?)
        })
    }
}

fn work(r: &rusqlite::Row<'_>) -> rusqlite::Result<LogWork> {
    Ok(LogWork {
        fence: r.get(0)?,
        run: RunRef { pipeline: r.get(1)?, number: r.get(2)? },
        run_done: super::rows::word::<RunState>(r, 3)? == RunState::Done,
        stage: r.get(4)?,
        cell: r.get(5)?,
        step: r.get(6)?,
        dir: r.get(7)?,
        sha256: r.get(8)?,
        todo: Todo(r.get(9)?),
    })
}
