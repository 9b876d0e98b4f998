//! Rows for people and scripts: runs, stages, steps, attempts, locks, readings, and durations of the past.

use std::ops::ControlFlow;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::rows::{all, word, word_opt};
use super::run_id::{id_of, no_run};
use super::{Store, StoreError};
use crate::domain::rows::{AttemptRow, FactRow, LockRow, RunRow, StageRow, StepRow};
use crate::domain::run::{RunRef, RunState, StepKey, Verdict};

/// A list of more runs than these takes its time.
const LONG: usize = 1_000;

/// Which runs. All conditions hold together; newest first.
#[derive(Debug, Clone, Default)]
pub struct RunsQuery {
    pub pipeline: Option<String>,
    pub number: Option<u64>,
    /// Empty = any.
    pub states: Vec<RunState>,
    /// None of these.
    pub not_states: Vec<RunState>,
    /// Each is a condition: the verdict, and whether the run must have it or must not. A run without one has none.
    pub verdicts: Vec<(Verdict, bool)>,
    /// Runs queued before this one (its store id is not part of the answer, so give the run).
    pub before: Option<RunRef>,
    /// 0 = 500.
    pub limit: usize,
    /// So many of the newest are left out.
    pub offset: usize,
}

const RUN: &str = "SELECT r.pipeline, r.number, r.title, r.state, r.verdict, r.detail, r.exit_code, r.failed_stage, r.failed_step, \
                   r.requested_by, r.reason, r.trigger, r.cause, r.created_us, r.started_us, r.ended_us, r.fp_before, r.fp_after, \
                   r.cancel_by, EXISTS (SELECT 1 FROM pin WHERE pin.run_id = r.id), r.round, r.replay_of, r.changes, \
                   (SELECT group_concat(k.pipeline || '#' || k.number, ' ') FROM child k WHERE k.run_id = r.id), r.slow_us, r.limit_us FROM run r";

fn run_row(r: &Row<'_>) -> rusqlite::Result<RunRow> {
    let (pipeline, number): (String, u64) = (r.get(0)?, r.get(1)?);
    Ok(RunRow {
        run: RunRef::new(&pipeline, number),
        pipeline,
        number,
        title: r.get(2)?,
        state: word(r, 3)?,
        verdict: word_opt(r, 4)?,
        detail: r.get(5)?,
        exit_code: r.get(6)?,
        failed_stage: r.get(7)?,
        failed_step: r.get(8)?,
        requested_by: r.get(9)?,
        reason: r.get(10)?,
        trigger: r.get(11)?,
        cause: r.get(12)?,
        created_us: r.get(13)?,
        started_us: r.get(14)?,
        // What its limit counts from is where its pass began, whether it has a limit or not.
        round_us: r.get(25)?,
        ended_us: r.get(15)?,
        fp_before: r.get(16)?,
        fp_after: r.get(17)?,
        cancel_by: r.get(18)?,
        pinned: r.get(19)?,
        round: r.get(20)?,
        replay_of: word_opt(r, 21)?,
        changes: r.get(22)?,
        children: r.get(23)?,
        slow_us: r.get(24)?,
    })
}

/// The statement of a query. Words of states and verdicts stand in it, so that the partial indexes are found; all else is bound.
fn select(c: &Connection, q: &RunsQuery) -> Result<(String, Vec<Value>), StoreError> {
    let (mut sql, mut values) = (format!("{RUN} WHERE 1"), Vec::new());
    let mut bind = |sql: &mut String, condition: &str, value: Value| {
        sql.push_str(&format!(" AND {condition} ?"));
        values.push(value);
    };
    if let Some(pipeline) = &q.pipeline {
        bind(&mut sql, "r.pipeline =", pipeline.clone().into());
    }
    if let Some(number) = q.number {
        bind(&mut sql, "r.number =", i64::try_from(number).unwrap_or(i64::MAX).into());
    }
    if let Some(run) = &q.before {
        bind(&mut sql, "r.id <", id_of(c, run)?.into());
    }
    if !q.states.is_empty() {
        let words: Vec<String> = q.states.iter().map(|s| format!("'{}'", s.as_str())).collect();
        sql.push_str(&format!(" AND r.state IN ({})", words.join(", ")));
        // Follows from the list, but the index of open runs is only found where it is said.
        if !q.states.contains(&RunState::Done) {
            sql.push_str(" AND r.state != 'done'");
        }
    }
    for state in &q.not_states {
        sql.push_str(&format!(" AND r.state != '{}'", state.as_str()));
    }
    for (verdict, has) in &q.verdicts {
        let not = if *has { "" } else { "NOT " };
        sql.push_str(&format!(" AND r.verdict IS {not}'{}'", verdict.as_str()));
    }
    // Within a pipeline numbers grow with ids, and there is an index that has them in order.
    sql.push_str(if q.pipeline.is_some() { " ORDER BY r.number DESC LIMIT ?" } else { " ORDER BY r.id DESC LIMIT ?" });
    values.push(i64::try_from(if q.limit == 0 { 500 } else { q.limit }).unwrap_or(i64::MAX).into());
    if q.offset > 0 {
        sql.push_str(" OFFSET ?");
        values.push(i64::try_from(q.offset).unwrap_or(i64::MAX).into());
    }
    Ok((sql, values))
}

impl Store {
    /// Id, fence and token of the attempts that have ended, as far as they are wanted.
    pub fn ended_attempts(
        &self,
        wanted: impl Fn(&str, u64, &str) -> bool + Send + 'static,
    ) -> Result<Vec<(String, u64, String)>, StoreError> {
        self.read_long(move |c| {
            let mut s = c.prepare_cached("SELECT id, fence, token FROM attempt WHERE state = 'done'")?;
            let mut rows = s.query([])?;
            let mut out = Vec::new();
            while let Some(r) = rows.next()? {
                let (id, fence, token) =
                    (r.get_ref(0)?.as_str().unwrap_or_default(), r.get(1)?, r.get_ref(2)?.as_str().unwrap_or_default());
                if wanted(id, fence, token) {
                    out.push((id.to_owned(), fence, token.to_owned()));
                }
            }
            Ok(out)
        })
    }

    /// Runs, newest first.
    pub fn runs(&self, q: &RunsQuery) -> Result<Vec<RunRow>, StoreError> {
        self.fold_runs(q, Vec::new(), |all, row| {
            all.push(row);
            ControlFlow::Continue(())
        })
    }

    /// Shows runs one by one, newest first, as of one instant, until `each` has enough: a long history is never in memory as rows.
    pub fn fold_runs<T: Send + 'static>(
        &self,
        q: &RunsQuery,
        mut all: T,
        mut each: impl FnMut(&mut T, RunRow) -> ControlFlow<()> + Send + 'static,
    ) -> Result<T, StoreError> {
        let q = q.clone();
        self.read_leaving(usize::from(q.limit > LONG), move |c| {
            let (sql, values) = select(c, &q)?;
            let mut s = c.prepare_cached(&sql)?;
            let mut rows = s.query(params_from_iter(values))?;
            while let Some(row) = rows.next()? {
                if each(&mut all, run_row(row)?).is_break() {
                    break;
                }
            }
            drop(rows);
            drop(s);
            Ok(all)
        })
    }

    /// How many runs there are.
    pub fn count_runs(&self) -> Result<usize, StoreError> {
        self.read(|c| Ok(c.prepare_cached("SELECT count(*) FROM run")?.query_row([], |r| r.get(0))?))
    }

    /// How many runs are newer than this one.
    pub fn newer_runs(&self, run: &RunRef) -> Result<usize, StoreError> {
        let run = run.clone();
        self.read(move |c| {
            let id = id_of(c, &run)?;
            Ok(c.prepare_cached("SELECT count(*) FROM run WHERE id > ?1")?.query_row([id], |r| r.get(0))?)
        })
    }

    /// One run.
    pub fn run(&self, run: &RunRef) -> Result<RunRow, StoreError> {
        let run = run.clone();
        self.read(move |c| {
            c.prepare_cached(&format!("{RUN} WHERE r.pipeline = ?1 AND r.number = ?2"))?
                .query_row(params![run.pipeline, run.number], run_row)
                .optional()?
                .ok_or_else(|| no_run(c, &run))
        })
    }

    /// The newest run of a pipeline.
    pub fn last_run(&self, pipeline: &str) -> Result<Option<RunRow>, StoreError> {
        let q = RunsQuery { pipeline: Some(pipeline.to_owned()), limit: 1, ..RunsQuery::default() };
        Ok(self.runs(&q)?.into_iter().next())
    }

    /// The run of a pipeline that ended last.
    pub fn last_ended(&self, pipeline: &str) -> Result<Option<RunRow>, StoreError> {
        self.newest(pipeline, "r.state = 'done'")
    }

    /// The newest run of a pipeline that succeeded; with `good` false, that ended as neither a success nor a cancel.
    pub fn last_with(&self, pipeline: &str, good: bool) -> Result<Option<RunRow>, StoreError> {
        self.newest(pipeline, if good { "r.verdict = 'success'" } else { "r.verdict NOT IN ('success', 'cancelled')" })
    }

    /// The newest run of a pipeline that set off, as their upstream, a run that succeeded; with `good` false, one that ended otherwise.
    pub fn last_family(&self, pipeline: &str, good: bool) -> Result<Option<RunRow>, StoreError> {
        let ended = if good { "m.verdict = 'success'" } else { "m.verdict NOT IN ('success', 'cancelled')" };
        // `;` comes after `:`: all causes that begin with this run's name.
        self.newest(
            pipeline,
            &format!(
                "EXISTS (SELECT 1 FROM run m WHERE m.cause >= 'upstream:' || r.pipeline || '#' || r.number || ':'
                         AND m.cause < 'upstream:' || r.pipeline || '#' || r.number || ';' AND {ended})"
            ),
        )
    }

    /// Runs that this one set off as their upstream, oldest first.
    pub fn set_off(&self, run: &RunRef) -> Result<Vec<RunRow>, StoreError> {
        let run = run.to_string();
        self.read(move |c| {
            all(
                c,
                &format!("{RUN} WHERE r.cause >= 'upstream:' || ?1 || ':' AND r.cause < 'upstream:' || ?1 || ';' ORDER BY r.id"),
                [run],
                run_row,
            )
        })
    }

    fn newest(&self, pipeline: &str, which: &str) -> Result<Option<RunRow>, StoreError> {
        let (pipeline, sql) = (pipeline.to_owned(), format!("{RUN} WHERE r.pipeline = ?1 AND {which} ORDER BY r.number DESC LIMIT 1"));
        self.read(move |c| Ok(c.prepare_cached(&sql)?.query_row([pipeline], run_row).optional()?))
    }

    /// The frozen plan of a run, as JSON.
    pub fn plan_json(&self, run: &RunRef) -> Result<String, StoreError> {
        let run = run.clone();
        self.read(move |c| {
            let id = id_of(c, &run)?;
            Ok(c.query_row("SELECT json FROM plan JOIN run ON run.plan_sha256 = plan.sha256 WHERE run.id = ?1", [id], |r| r.get(0))?)
        })
    }

    /// How many stages of a run have ended.
    pub fn ended_stages(&self, run: &RunRef) -> Result<usize, StoreError> {
        let run = run.clone();
        self.read(move |c| {
            let id = id_of(c, &run)?;
            let mut s = c.prepare_cached("SELECT count(*) FROM stage WHERE run_id = ?1 AND state = 'done'")?;
            Ok(s.query_row([id], |r| r.get(0))?)
        })
    }

    /// Stages of a run, in plan order.
    pub fn stages(&self, run: &RunRef) -> Result<Vec<StageRow>, StoreError> {
        let run = run.clone();
        self.read(move |c| {
            let id = id_of(c, &run)?;
            all(
                c,
                "SELECT stage, name, state, verdict, detail, started_us, ended_us FROM stage WHERE run_id = ?1 ORDER BY stage",
                [id],
                |r| {
                    Ok(StageRow {
                        run: run.clone(),
                        stage: r.get(0)?,
                        name: r.get(1)?,
                        state: word(r, 2)?,
                        verdict: word_opt(r, 3)?,
                        detail: r.get(4)?,
                        started_us: r.get(5)?,
                        ended_us: r.get(6)?,
                    })
                },
            )
        })
    }

    /// Steps of a run, in plan order.
    pub fn steps(&self, run: &RunRef) -> Result<Vec<StepRow>, StoreError> {
        let run = run.clone();
        self.read(move |c| {
            let id = id_of(c, &run)?;
            all(
                c,
                "SELECT s.stage, s.cell, s.step, g.name, s.cell_key, s.name, s.state, s.verdict, s.detail, s.exit_code, s.attempts,
                        s.not_before_us, s.started_us, s.ended_us, s.fence
                 FROM step s JOIN stage g ON g.run_id = s.run_id AND g.stage = s.stage WHERE s.run_id = ?1
                 ORDER BY s.stage, s.cell, s.step",
                [id],
                |r| {
                    Ok(StepRow {
                        run: run.clone(),
                        key: StepKey { stage: r.get(0)?, cell: r.get(1)?, step: r.get(2)? },
                        stage: r.get(3)?,
                        cell: r.get(4)?,
                        name: r.get(5)?,
                        state: word(r, 6)?,
                        verdict: word_opt(r, 7)?,
                        detail: r.get(8)?,
                        exit_code: r.get(9)?,
                        attempts: r.get(10)?,
                        not_before_us: r.get(11)?,
                        started_us: r.get(12)?,
                        ended_us: r.get(13)?,
                        fence: r.get(14)?,
                    })
                },
            )
        })
    }

    /// Attempts of a run, oldest first, each step's counted through: a resume begins its `retry` anew, and its attempts are others all the same.
    pub fn attempts(&self, run: &RunRef) -> Result<Vec<AttemptRow>, StoreError> {
        let run = run.clone();
        self.read(move |c| {
            let id = id_of(c, &run)?;
            all(c, "SELECT a.fence, a.id, a.stage, a.cell, a.step, g.name, s.cell_key, s.name,
                        ROW_NUMBER() OVER (PARTITION BY a.stage, a.cell, a.step ORDER BY a.fence), a.epoch, a.state, a.verdict, a.code, a.signal, a.detail, a.claimed_us, a.started_us, a.ended_us, a.dir, a.log_bytes, a.max_rss_kib, a.cpu_us, a.first_error
                 FROM attempt a JOIN stage g ON g.run_id = a.run_id AND g.stage = a.stage
                      JOIN step s ON s.run_id = a.run_id AND s.stage = a.stage AND s.cell = a.cell AND s.step = a.step
                 WHERE a.run_id = ?1 ORDER BY a.fence", [id], |r| {
                Ok(AttemptRow {
                    fence: r.get(0)?,
                    id: r.get(1)?,
                    run: run.clone(),
                    key: StepKey { stage: r.get(2)?, cell: r.get(3)?, step: r.get(4)? },
                    stage: r.get(5)?,
                    cell: r.get(6)?,
                    step: r.get(7)?,
                    number: r.get(8)?,
                    epoch: r.get(9)?,
                    state: word(r, 10)?,
                    verdict: word_opt(r, 11)?,
                    code: r.get(12)?,
                    signal: r.get(13)?,
                    detail: r.get(14)?,
                    claimed_us: r.get(15)?,
                    started_us: r.get(16)?,
                    ended_us: r.get(17)?,
                    dir: r.get(18)?,
                    log_bytes: r.get(19)?,
                    max_rss_kib: r.get(20)?,
                    cpu_us: r.get(21)?,
                    first_error: r.get::<_, Option<String>>(22)?.and_then(|t| serde_json::from_str(&t).ok()),
                })
            })
        })
    }

    /// The digest of each attempt's log, by fence; empty where nobody knows it.
    pub fn log_sums(&self, run: &RunRef) -> Result<Vec<(u64, String)>, StoreError> {
        let run = run.clone();
        self.read(move |c| {
            let id = id_of(c, &run)?;
            all(c, "SELECT fence, log_sha256 FROM attempt WHERE run_id = ?1 ORDER BY fence", [id], |r| Ok((r.get(0)?, r.get(1)?)))
        })
    }

    /// Locks that are held, by name. Those that nobody holds are the site's to list.
    pub fn locks(&self) -> Result<Vec<LockRow>, StoreError> {
        self.read(|c| {
            all(
                c,
                "SELECT l.name, l.mode, l.slots, r.pipeline, r.number, g.name, l.since_us
                 FROM held_lock l JOIN run r ON r.id = l.run_id JOIN stage g ON g.run_id = l.run_id AND g.stage = l.stage
                 ORDER BY l.name, l.since_us",
                [],
                |r| {
                    Ok(LockRow {
                        name: r.get(0)?,
                        mode: r.get(1)?,
                        taken: r.get(2)?,
                        run: Some(RunRef { pipeline: r.get(3)?, number: r.get(4)? }),
                        stage: r.get(5)?,
                        since_us: Some(r.get(6)?),
                    })
                },
            )
        })
    }

    /// Facts that a run reported: `(kind, json)`, oldest first.
    pub fn facts(&self, run: &RunRef) -> Result<Vec<(String, String)>, StoreError> {
        let run = run.clone();
        self.read(move |c| {
            let id = id_of(c, &run)?;
            all(c, "SELECT kind, json FROM fact WHERE run_id = ?1 ORDER BY id", [id], |r| Ok((r.get(0)?, r.get(1)?)))
        })
    }

    /// The newest facts of a kind, over all runs, newest first.
    pub fn facts_of_kind(&self, kind: &str, limit: usize) -> Result<Vec<FactRow>, StoreError> {
        let kind = kind.to_owned();
        self.read(move |c| {
            all(c, "SELECT f.json, f.at_us, r.pipeline, r.number FROM fact f JOIN run r ON r.id = f.run_id WHERE f.kind = ?1 ORDER BY f.id DESC LIMIT ?2", params![kind, limit], |r| {
                Ok(FactRow { json: r.get(0)?, at_us: r.get(1)?, run: RunRef::new(r.get::<_, String>(2)?, r.get(3)?) })
            })
        })
    }

    /// Durations in milliseconds of the newest successful runs of a pipeline, resumed ones left out, newest first.
    pub fn run_durations(&self, pipeline: &str, limit: usize) -> Result<Vec<u64>, StoreError> {
        let pipeline = pipeline.to_owned();
        self.read(move |c| {
            all(c, "SELECT max(0, (ended_us - started_us - (SELECT coalesce(sum(until_us - since_us), 0) FROM pause WHERE run_id = run.id)) / 1000)
                 FROM run WHERE pipeline = ?1 AND state = 'done' AND verdict = 'success'
                 AND round = 0 AND started_us IS NOT NULL ORDER BY ended_us DESC LIMIT ?2", params![pipeline, limit], |r| r.get(0))
        })
    }

    /// How long a run has only waited for people since an instant, in milliseconds.
    pub fn paused_ms(&self, run: &RunRef, from_us: i64, now_us: i64) -> Result<u64, StoreError> {
        let run = run.clone();
        self.read(move |c| {
            let id = id_of(c, &run)?;
            let mut s = c.prepare_cached(
                "SELECT coalesce(sum(max(0, coalesce(until_us, ?3) - since_us)), 0) / 1000 FROM pause WHERE run_id = ?1 AND since_us >= ?2",
            )?;
            Ok(s.query_row(params![id, from_us, now_us], |r| r.get(0))?)
        })
    }

    /// Durations in milliseconds of a stage in the newest runs of a pipeline where the stage succeeded.
    pub fn stage_durations(&self, pipeline: &str, stage: &str, limit: usize) -> Result<Vec<u64>, StoreError> {
        let (pipeline, stage) = (pipeline.to_owned(), stage.to_owned());
        self.read(move |c| durations(c, &pipeline, &stage, limit))
    }
}

fn durations(c: &Connection, pipeline: &str, stage: &str, limit: usize) -> Result<Vec<u64>, StoreError> {
    // A stage without steps waits for people: its time is nobody's average. Bounded by runs looked at, not by rows found: a stage that never succeeded must not read all of history.
    all(c, "SELECT max(0, (g.ended_us - g.started_us) / 1000)
         FROM (SELECT id FROM run WHERE pipeline = ?1 AND state = 'done' AND round = 0 ORDER BY ended_us DESC LIMIT ?3) r
              JOIN stage g ON g.run_id = r.id
         WHERE EXISTS (SELECT 1 FROM step t WHERE t.run_id = g.run_id AND t.stage = g.stage) AND g.name = ?2 AND g.verdict = 'success' AND g.started_us IS NOT NULL AND g.ended_us IS NOT NULL ORDER BY r.id DESC", params![pipeline, stage, limit], |r| r.get(0))
}
