//! Writes transitions of runs, each a compare-and-set where a race could hide.
//!
//! A batch is one transaction: if one part finds another state than expected, none of it is written.

use rusqlite::{Params, Transaction, params};

use super::audit::{self, Note};
use super::op::{Claim, End, Op, RunSet, StageSet, StepSet};
use super::run_id::RunId;
use super::{Store, StoreError, changes, children, forced, tested, verdict};
use crate::domain::log::Todo;
use crate::domain::run::{RunState, StepKey, Verdict};

impl Store {
    /// Writes a batch as one transaction, after those of the same generation that were given before it.
    pub fn apply(&self, generation: u64, ops: Vec<Op>) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
        let answer: std::pin::Pin<Box<dyn Future<Output = _> + Send>> =
            Box::pin(self.write_generation(generation, move |tx| ops.iter().try_for_each(|op| apply(tx, op))));
        answer
    }

    /// As `apply`, for a thread that waits for the commit; a channel that closes without a word is [`StoreError::Closed`].
    pub fn apply_heard(&self, generation: u64, ops: Vec<Op>) -> std::sync::mpsc::Receiver<Result<(), StoreError>> {
        self.inner.writer.queue_heard(Some(generation), move |tx| ops.iter().try_for_each(|op| apply(tx, op)))
    }

    /// As `apply`, standing alone and with an entry: a batch that is refused takes nothing else along.
    pub async fn apply_alone(&self, ops: Vec<Op>, note: Option<Note>) -> Result<(), StoreError> {
        self.write(move |tx| {
            ops.iter().try_for_each(|op| apply(tx, op))?;
            audit::seal_if(tx, note)
        })
        .await
    }
}

fn one(changed: usize, what: impl FnOnce() -> String) -> Result<(), StoreError> {
    if changed == 1 { Ok(()) } else { Err(StoreError::Stale { what: what() }) }
}

fn text(v: Option<Verdict>) -> Option<&'static str> {
    v.map(Verdict::as_str)
}

fn apply(tx: &Transaction<'_>, op: &Op) -> Result<(), StoreError> {
    match op {
        Op::Claim(c) => claim(tx, c),
        Op::Started { fence, run, key, at_us } => started(tx, *fence, *run, *key, *at_us),
        Op::End(e) => end(tx, e),
        Op::Step(s) => step(tx, s),
        Op::Skip { run, stage, cell, verdict, detail, at_us } => write(
            tx,
            "UPDATE step SET state = 'done', verdict = ?6, detail = ?4, ended_us = ?5, not_before_us = NULL
             WHERE run_id = ?1 AND stage = ?2 AND (?3 IS NULL OR cell = ?3) AND state = 'pending'",
            params![run, stage, cell, detail, at_us, verdict.as_str()],
        ),
        Op::Stage(s) => stage(tx, s),
        Op::Run(r) => run(tx, r),
        Op::Lock { run, stage, name, mode, slots, at_us } => write(
            tx,
            "INSERT INTO held_lock (name, run_id, stage, mode, slots, since_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![name, run, stage, mode, slots, at_us],
        ),
        Op::Unlock { run, stage } => write(tx, "DELETE FROM held_lock WHERE run_id = ?1 AND stage = ?2", params![run, stage]),
        Op::Reading { run, set, side, fp, md, detail, at_us } => write(
            tx,
            "INSERT OR REPLACE INTO reading (run_id, content_set, side, fp, md, detail, at_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![run, set, side, fp, md, detail, at_us],
        ),
        Op::Reopen { run, whole } => reopen(tx, *run, *whole),
        Op::Note(note) => audit::seal(tx, (**note).clone()).map(drop),
        Op::Close { subject, at_us } => audit::close(tx, subject, &["request"], *at_us),
        Op::Answer { run, stage, name, value } => write(
            tx,
            "INSERT OR REPLACE INTO output (run_id, stage, cell, step, name, value) VALUES (?1, ?2, 0, 0, ?3, ?4)",
            params![run, stage, name, value],
        ),
        Op::Pause { run, on: true, at_us } => {
            write(tx, "INSERT OR IGNORE INTO pause (run_id, since_us) VALUES (?1, ?2)", params![run, at_us])
        }
        Op::Pause { run, on: false, at_us } => {
            write(tx, "UPDATE pause SET until_us = ?2 WHERE run_id = ?1 AND until_us IS NULL", params![run, at_us])
        }
        Op::Used { run, stage, at_us } => {
            write(tx, "UPDATE input SET used_us = coalesce(used_us, ?3) WHERE run_id = ?1 AND stage = ?2", params![run, stage, at_us])
        }
        Op::Pin { run, by, why, note } => children::pin(tx, run, by, why, (**note).clone()),
        Op::Slow { run, at_us, limit_ms } => write(
            tx,
            "UPDATE run SET slow_us = ?2, slow_limit_ms = ?3 WHERE id = ?1 AND slow_us IS NULL AND state != 'done'",
            params![run, at_us, limit_ms],
        ),
        Op::Force { run, round, mark } => forced::mark(tx, *run, *round, mark),
        Op::Unoffered { run, round } => write(tx, "INSERT OR IGNORE INTO unoffered (run_id, round) VALUES (?1, ?2)", params![run, round]),
    }
}

/// A change that finds its rows or finds none, and is right either way.
fn write(tx: &Transaction<'_>, sql: &str, params: impl Params) -> Result<(), StoreError> {
    tx.prepare_cached(sql)?.execute(params)?;
    Ok(())
}

fn claim(tx: &Transaction<'_>, c: &Claim) -> Result<(), StoreError> {
    let n = tx.prepare_cached("UPDATE meta SET value = ?1 WHERE key = 'fence' AND value < ?1")?.execute([c.fence])?;
    one(n, || format!("fence {}", c.fence))?;
    tx.prepare_cached(
        "INSERT INTO attempt (fence, id, token, run_id, stage, cell, step, number, epoch, state, claimed_us, dir)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, (SELECT value FROM meta WHERE key = 'epoch'), 'claimed', ?9, ?10)",
    )?
    .execute(params![c.fence, c.id, c.token, c.run, c.key.stage, c.key.cell, c.key.step, c.number, c.at_us, c.dir])?;
    let n = tx
        .prepare_cached(
            "UPDATE step SET state = 'claimed', fence = ?5, started_us = coalesce(started_us, ?6), not_before_us = NULL, attempts = ?7
             WHERE run_id = ?1 AND stage = ?2 AND cell = ?3 AND step = ?4 AND state = 'pending'",
        )?
        .execute(params![c.run, c.key.stage, c.key.cell, c.key.step, c.fence, c.at_us, c.number])?;
    one(n, || format!("step {} of run {}", c.key, c.run))
}

fn started(tx: &Transaction<'_>, fence: u64, run: RunId, key: StepKey, at_us: i64) -> Result<(), StoreError> {
    // A late word about an attempt that has ended already changes nothing.
    tx.prepare_cached("UPDATE attempt SET state = 'running', started_us = ?2 WHERE fence = ?1 AND state = 'claimed'")?
        .execute(params![fence, at_us])?;
    tx.prepare_cached(
        "UPDATE step SET state = 'running' WHERE run_id = ?1 AND stage = ?2 AND cell = ?3 AND step = ?4 AND fence = ?5
         AND state = 'claimed'",
    )?
    .execute(params![run, key.stage, key.cell, key.step, fence])?;
    Ok(())
}

fn end(tx: &Transaction<'_>, e: &End) -> Result<(), StoreError> {
    // The key of exactly-once ingest: an attempt ends once. The broken build drops it, and must be found out by chaos.
    let once = if cfg!(feature = "broken-double-ingest") { "" } else { "AND state != 'done'" };
    let n = tx
        .prepare_cached(&format!(
            "UPDATE attempt SET state = 'done', verdict = ?2, code = ?3, signal = ?4, detail = ?5, started_us = coalesce(?6, started_us),
                    ended_us = ?7, log_bytes = ?8, log_dropped_bytes = ?9, log_sha256 = ?10, max_rss_kib = ?11, cpu_us = ?12,
                    left_running = ?13, log_todo = ?14, ingests = ingests + 1
             WHERE fence = ?1 {once}"
        ))?
        .execute(params![
            e.fence,
            text(e.verdict),
            e.code,
            e.signal,
            e.detail,
            e.started_us,
            e.ended_us,
            e.log_bytes,
            e.log_dropped_bytes,
            e.log_sha256,
            e.max_rss_kib,
            e.cpu_us,
            if e.left_running.is_empty() { "[]" } else { &e.left_running },
            Todo::of(e.verdict, e.log_bytes).0,
        ])?;
    one(n, || format!("attempt with fence {}", e.fence))?;
    for (name, value) in &e.outputs {
        tx.prepare_cached("INSERT OR REPLACE INTO output (run_id, stage, cell, step, name, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![e.run, e.stage, e.cell, e.step, name, value])?;
    }
    for (kind, json) in &e.facts {
        tx.prepare_cached("INSERT INTO fact (run_id, fence, kind, json, at_us) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![e.run, e.fence, kind, json, e.ended_us])?;
    }
    for a in &e.artifacts {
        tx.prepare_cached(
            "INSERT OR REPLACE INTO artifact (run_id, stage, cell, step, path, sha256, size_bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![e.run, e.stage, e.cell, e.step, a.path, a.sha256, a.size_bytes])?;
    }
    if let Some(tested) = &e.tested {
        tested::insert(tx, e, tested)?;
    }
    Ok(())
}

fn step(tx: &Transaction<'_>, s: &StepSet) -> Result<(), StoreError> {
    let n = tx
        .prepare_cached(
            "UPDATE step SET state = ?5, verdict = ?6, detail = ?7, exit_code = ?8, attempts = ?9, not_before_us = ?10,
                    started_us = ?11, ended_us = ?12, fence = ?13
             WHERE run_id = ?1 AND stage = ?2 AND cell = ?3 AND step = ?4 AND fence IS ?14",
        )?
        .execute(params![
            s.run,
            s.key.stage,
            s.key.cell,
            s.key.step,
            s.state.as_str(),
            text(s.verdict),
            s.detail,
            s.exit_code,
            s.attempts,
            s.not_before_us,
            s.started_us,
            s.ended_us,
            s.fence,
            s.was_fence
        ])?;
    one(n, || format!("step {} of run {}", s.key, s.run))
}

fn stage(tx: &Transaction<'_>, s: &StageSet) -> Result<(), StoreError> {
    let n = tx
        .prepare_cached(
            "UPDATE stage SET state = ?3, verdict = ?4, blocked = ?5, detail = ?6, started_us = ?7, ended_us = ?8
             WHERE run_id = ?1 AND stage = ?2",
        )?
        .execute(params![s.run, s.stage, s.state.as_str(), text(s.verdict), s.blocked, s.detail, s.started_us, s.ended_us])?;
    one(n, || format!("stage {} of run {}", s.stage, s.run))
}

fn run(tx: &Transaction<'_>, r: &RunSet) -> Result<(), StoreError> {
    let n = tx
        .prepare_cached(
            "UPDATE run SET state = ?3, verdict = ?4, detail = ?5, exit_code = ?6, failed_stage = ?7, failed_step = ?8, started_us = ?9,
                    ended_us = ?10, limit_us = ?11, limit_boot_us = ?12, limit_boot_id = ?13, timed_out = ?14, fp_before = ?15,
                    fp_after = ?16, round = ?17
             WHERE id = ?1 AND state = ?2",
        )?
        .execute(params![
            r.run,
            r.was.as_str(),
            r.state.as_str(),
            text(r.verdict),
            r.detail,
            r.exit_code,
            r.failed_stage,
            r.failed_step,
            r.started_us,
            r.ended_us,
            r.limit.as_ref().map(|l| l.us),
            r.limit.as_ref().map(|l| l.boot_us),
            r.limit.as_ref().map(|l| l.boot_id.as_str()),
            r.timed_out,
            r.fp_before,
            r.fp_after,
            r.round,
        ])?;
    one(n, || format!("run {}", r.run))?;
    if r.state != RunState::Done {
        return Ok(());
    }
    verdict::note(tx, r)?;
    changes::note(tx, r.run)
}

fn reopen(tx: &Transaction<'_>, run: RunId, whole: bool) -> Result<(), StoreError> {
    let n = tx
        .prepare_cached(
            "UPDATE run SET cancel_by = NULL, cancel_why = NULL, cancel_us = NULL, cancel_force = 0, slow_us = NULL, slow_limit_ms = NULL
             WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM doomed d WHERE d.run_id = ?1)",
        )?
        .execute([run])?;
    // Retention has begun to remove it.
    one(n, || format!("run {run}"))?;
    tx.prepare_cached("DELETE FROM reading WHERE run_id = ?1 AND (?2 OR side = 'after')")?.execute(params![run, whole])?;
    Ok(())
}
