//! Test reports: written with the end of their attempt, read back as counts of each run and as the history that rules ask for.

use rusqlite::{Connection, Transaction, params};

use super::op::End;
use super::rows::{all, word_opt};
use super::run_id::id_of;
use super::{RunId, Store, StoreError};
use crate::domain::flaky::{Place, Report, RunTests};
use crate::domain::junit::{Failure, Seen, Slow, Tested};
use crate::domain::rows::{SlowRow, TestsRow};
use crate::domain::run::RunRef;

/// Of each step the attempt that counts: the last one with reports.
const NEWEST: &str = "t.fence = (SELECT max(u.fence) FROM test_report u WHERE u.run_id = t.run_id AND u.stage = t.stage
                      AND u.cell = t.cell AND u.step = t.step)";

pub(super) fn insert(tx: &Transaction<'_>, e: &End, t: &Tested) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO test_report (run_id, stage, cell, step, fence, passed, failed, skipped, flaky, duration_ms, flaky_after, problems,
                                  slowest, seen)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute(params![
        e.run,
        e.stage,
        e.cell,
        e.step,
        e.fence,
        t.passed,
        t.failed,
        t.skipped,
        t.flaky,
        t.duration_ms,
        t.flaky_after,
        serde_json::to_string(&t.problems).unwrap_or_default(),
        serde_json::to_string(&t.slowest).unwrap_or_default(),
        t.seen.to_bytes(),
    ])?;
    let mut s = tx.prepare_cached(
        "INSERT INTO test_failure (run_id, fence, seq, suite, test, kind, message, trace, duration_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?;
    for (seq, f) in t.failures.iter().enumerate() {
        s.execute(params![e.run, e.fence, seq, f.suite, f.test, f.kind, f.message, f.trace, f.duration_ms])?;
    }
    Ok(())
}

impl Store {
    /// Counts of each run that has test reports, newest first.
    pub fn tests(&self, limit: usize) -> Result<Vec<TestsRow>, StoreError> {
        self.read_long(move |c| {
            all(
                c,
                &format!(
                    "SELECT r.pipeline, r.number, r.verdict, r.ended_us, sum(t.passed), sum(t.failed), sum(t.skipped), sum(t.flaky),
                        sum(t.duration_ms), group_concat(CASE t.problems WHEN '[]' THEN NULL ELSE t.problems END, char(10))
                 FROM test_report t JOIN run r ON r.id = t.run_id WHERE {NEWEST} GROUP BY t.run_id ORDER BY t.run_id DESC LIMIT ?1"
                ),
                [limit],
                |r| {
                    let problems: Option<String> = r.get(9)?;
                    Ok(TestsRow {
                        run: RunRef { pipeline: r.get(0)?, number: r.get(1)? },
                        verdict: word_opt(r, 2)?,
                        ended_us: r.get(3)?,
                        passed: r.get(4)?,
                        failed: r.get(5)?,
                        skipped: r.get(6)?,
                        flaky: r.get(7)?,
                        duration_ms: r.get(8)?,
                        problems: problems.unwrap_or_default().lines().flat_map(texts).collect(),
                    })
                },
            )
        })
    }

    /// Pipelines that have test reports.
    pub fn tested_pipelines(&self) -> Result<Vec<String>, StoreError> {
        self.read(|c| {
            all(
                c,
                "SELECT DISTINCT r.pipeline FROM (SELECT DISTINCT run_id FROM test_report) t JOIN run r ON r.id = t.run_id ORDER BY 1",
                [],
                |r| r.get(0),
            )
        })
    }

    /// The newest `limit` runs of a pipeline that have test reports, with these, newest first; `upto` and older where it is given.
    pub fn test_history(&self, pipeline: &str, upto: Option<u64>, limit: usize) -> Result<Vec<RunTests>, StoreError> {
        let pipeline = pipeline.to_owned();
        self.read(move |c| {
            let mut s = c.prepare_cached(
                "SELECT id, number, verdict, ended_us FROM run r WHERE pipeline = ?1 AND number <= ?2
                 AND EXISTS (SELECT 1 FROM test_report t WHERE t.run_id = r.id) ORDER BY number DESC LIMIT ?3",
            )?;
            let most = upto.unwrap_or(i64::MAX as u64);
            let mut runs = Vec::new();
            for row in s.query_map(params![pipeline, most, limit], |r| {
                let run = RunRef { pipeline: pipeline.clone(), number: r.get(1)? };
                Ok((
                    r.get::<_, RunId>(0)?,
                    RunTests { run, verdict: word_opt(r, 2)?, ended_us: r.get(3)?, content: None, reports: Vec::new() },
                ))
            })? {
                let (id, mut run) = row?;
                run.content = super::changes::known(c, id)?.key();
                run.reports = reports(c, id)?;
                runs.push(run);
            }
            Ok(runs)
        })
    }

    /// The slowest tests of a run, slowest first.
    pub fn slowest(&self, run: &RunRef, limit: usize) -> Result<Vec<SlowRow>, StoreError> {
        let run = run.clone();
        self.read(move |c| {
            let id = id_of(c, &run)?;
            let mut s = c.prepare_cached(&format!(
                "SELECT g.name, s.cell_key, s.name, t.slowest FROM test_report t
                 JOIN stage g ON g.run_id = t.run_id AND g.stage = t.stage
                 JOIN step s ON s.run_id = t.run_id AND s.stage = t.stage AND s.cell = t.cell AND s.step = t.step
                 WHERE t.run_id = ?1 AND {NEWEST}"
            ))?;
            let mut out = Vec::new();
            for row in s.query_map([id], |r| Ok((Place { stage: r.get(0)?, cell: r.get(1)?, step: r.get(2)? }, r.get::<_, String>(3)?)))? {
                let (at, json) = row?;
                let slow: Vec<Slow> = serde_json::from_str(&json).unwrap_or_default();
                out.extend(slow.into_iter().map(|test| SlowRow { run: run.clone(), at: at.clone(), test }));
            }
            out.sort_by_key(|s| std::cmp::Reverse(s.test.duration_ms));
            out.truncate(limit);
            Ok(out)
        })
    }
}

fn texts(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_default()
}

fn reports(c: &Connection, id: RunId) -> Result<Vec<Report>, StoreError> {
    let mut s = c.prepare_cached(
        "SELECT t.fence, g.name, s.cell_key, s.name, t.passed, t.failed, t.skipped, t.flaky_after, t.seen FROM test_report t
         JOIN stage g ON g.run_id = t.run_id AND g.stage = t.stage
         JOIN step s ON s.run_id = t.run_id AND s.stage = t.stage AND s.cell = t.cell AND s.step = t.step
         WHERE t.run_id = ?1 ORDER BY t.fence",
    )?;
    let rows = s.query_map([id], |r| {
        let seen: Vec<u8> = r.get(8)?;
        let report = Report {
            at: Place { stage: r.get(1)?, cell: r.get(2)?, step: r.get(3)? },
            passed: r.get(4)?,
            failed: r.get(5)?,
            skipped: r.get(6)?,
            flaky_after: r.get(7)?,
            seen: Seen::from_bytes(&seen),
            failures: Vec::new(),
        };
        Ok((r.get::<_, u64>(0)?, report))
    })?;
    let mut out = Vec::new();
    let mut s = c.prepare_cached(
        "SELECT suite, test, kind, message, trace, duration_ms FROM test_failure WHERE run_id = ?1 AND fence = ?2 ORDER BY seq",
    )?;
    for row in rows {
        let (fence, mut report) = row?;
        report.failures = s
            .query_map(params![id, fence], |r| {
                let kind: String = r.get(2)?;
                Ok(Failure {
                    suite: r.get(0)?,
                    test: r.get(1)?,
                    kind: match kind.as_str() {
                        "flaky" => "flaky",
                        "error" => "error",
                        _ => "failure",
                    },
                    message: r.get(3)?,
                    trace: r.get(4)?,
                    duration_ms: r.get(5)?,
                })
            })?
            .collect::<Result<_, _>>()?;
        out.push(report);
    }
    Ok(out)
}
