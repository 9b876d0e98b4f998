//! Rows for whole pages: what the executors do, and what a run worked on beside the run before it.

use rusqlite::OptionalExtension;

use super::changes::known;
use super::rows::{all, word, word_opt};
use super::run_id::id_of;
use super::{Store, StoreError};
use crate::domain::changes::Known;
use crate::domain::rows::BusyRow;
use crate::domain::run::{RunRef, RunState, Verdict};

/// State, verdict and end (microseconds since 1970) of a run.
pub type Outcome = (RunState, Option<Verdict>, Option<i64>);

impl Store {
    /// Attempts that have not ended, the oldest first: each has an executor.
    pub fn busy(&self) -> Result<Vec<BusyRow>, StoreError> {
        self.read(|c| {
            all(
                c,
                "SELECT r.pipeline, r.number, g.name, s.cell_key, s.name, a.claimed_us
                 FROM attempt a JOIN run r ON r.id = a.run_id JOIN stage g ON g.run_id = a.run_id AND g.stage = a.stage
                      JOIN step s ON s.run_id = a.run_id AND s.stage = a.stage AND s.cell = a.cell AND s.step = a.step
                 WHERE a.state != 'done' ORDER BY a.fence",
                [],
                |r| {
                    Ok(BusyRow {
                        run: RunRef::new(r.get::<_, String>(0)?, r.get(1)?),
                        stage: r.get(2)?,
                        cell: r.get(3)?,
                        step: r.get(4)?,
                        since_us: r.get(5)?,
                    })
                },
            )
        })
    }

    /// The newest runs of a pipeline, newest first.
    pub fn newest_of(&self, pipeline: &str, limit: usize) -> Result<Vec<Outcome>, StoreError> {
        let pipeline = pipeline.to_owned();
        self.read(move |c| {
            all(
                c,
                "SELECT state, verdict, ended_us FROM run WHERE pipeline = ?1 ORDER BY number DESC LIMIT ?2",
                rusqlite::params![pipeline, limit],
                |r| Ok((word(r, 0)?, word_opt(r, 1)?, r.get(2)?)),
            )
        })
    }

    /// How many runs of a pipeline were red since its last good one, and when the first of them ended.
    pub fn red_streak(&self, pipeline: &str) -> Result<(u64, Option<i64>), StoreError> {
        let pipeline = pipeline.to_owned();
        self.read(move |c| {
            let good = c
                .prepare_cached("SELECT number FROM run WHERE pipeline = ?1 AND verdict = 'success' ORDER BY number DESC LIMIT 1")?
                .query_row([&pipeline], |r| r.get::<_, u64>(0))
                .optional()?
                .unwrap_or(0);
            let red = "SELECT count(*), min(ended_us) FROM run
                       WHERE pipeline = ?1 AND number > ?2 AND state = 'done' AND verdict IN ('failure', 'lost', 'invalid')";
            Ok(c.prepare_cached(red)?.query_row(rusqlite::params![pipeline, good], |r| Ok((r.get(0)?, r.get(1)?)))?)
        })
    }

    /// What a run worked on, and the same of the run of its pipeline before it that worked on anything known.
    pub fn worked_on(&self, run: &RunRef) -> Result<(Known, Option<(RunRef, Known)>), StoreError> {
        let run = run.clone();
        self.read(move |c| {
            let now = known(c, id_of(c, &run)?)?;
            let before = c
                .prepare_cached(
                    "SELECT p.id, p.number FROM run p WHERE p.pipeline = ?1 AND p.number < ?2 AND p.state = 'done'
                     AND (EXISTS (SELECT 1 FROM reading x WHERE x.run_id = p.id)
                          OR EXISTS (SELECT 1 FROM fact f WHERE f.run_id = p.id AND f.kind = 'commit'))
                     ORDER BY p.number DESC LIMIT 1",
                )?
                .query_row(rusqlite::params![run.pipeline, run.number], |r| Ok((r.get::<_, i64>(0)?, r.get::<_, u64>(1)?)))
                .optional()?;
            let before = match before {
                Some((id, number)) => Some((RunRef::new(&run.pipeline, number), known(c, id)?)),
                None => None,
            };
            Ok((now, before))
        })
    }
}
