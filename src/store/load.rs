//! Reading back what the dispatcher needs to go on after a start: open runs with all their parts, open attempts, held locks.

use rusqlite::{Connection, OptionalExtension};

use super::children::{ChildRow, ParentLink};
use super::forced::ForceMark;
use super::op::Limit;
use super::rows::{all, word, word_opt};
use super::run_id::{RunId, id_of};
use super::{Store, StoreError, audit, children, forced};
use crate::domain::actor::Actor;
use crate::domain::decision::Decision;
use crate::domain::run::{RunRef, RunState, StepKey, StepState, Verdict};

/// Everything open, in one consistent reading.
#[derive(Debug, Default)]
pub struct Open {
    pub fence: u64,
    pub runs: Vec<OpenRun>,
    pub attempts: Vec<OpenAttempt>,
    pub locks: Vec<HeldLock>,
    pub drain: Option<Drain>,
}

/// A run with its parts. Steps are in plan order.
#[derive(Debug, Clone)]
pub struct OpenRun {
    pub id: RunId,
    pub run: RunRef,
    pub state: RunState,
    pub verdict: Option<Verdict>,
    pub priority: i32,
    pub requested_by: Actor,
    pub plan_sha256: String,
    pub plan_json: String,
    pub created_us: i64,
    pub started_us: Option<i64>,
    pub limit: Option<Limit>,
    pub cancel: Option<CancelMark>,
    pub timed_out: bool,
    pub round: u32,
    pub fp_before: Option<String>,
    /// The verdict of the run of this pipeline that ended before this one was queued; for `fixed`.
    pub previous: Option<Verdict>,
    pub stages: Vec<OpenStage>,
    pub steps: Vec<OpenStep>,
    /// `(stage, cell, step, name, value)`
    pub outputs: Vec<(u32, u32, u32, String, String)>,
    /// `(kind, json)`, oldest first.
    pub facts: Vec<(String, String)>,
    pub readings: Vec<OpenReading>,
    /// Requests and approvals in force about the run and its stages.
    pub decisions: Vec<Decision>,
    /// Runs that its stages have started.
    pub children: Vec<ChildRow>,
    /// The stage of another run that has started it.
    pub parent: Option<ParentLink>,
    /// Since when it takes longer than nearly all before it, and what it passed then, milliseconds.
    pub slow: Option<(i64, u64)>,
    /// A person ends it although its attempts cannot be.
    pub force: Option<ForceMark>,
}

#[derive(Debug, Clone)]
pub struct CancelMark {
    pub by: String,
    pub why: String,
    pub at_us: i64,
    pub force: bool,
}

#[derive(Debug, Clone)]
pub struct OpenReading {
    pub set: String,
    /// `before` or `after`.
    pub side: String,
    pub fp: Option<String>,
    pub md: Option<String>,
    pub detail: String,
}

#[derive(Debug, Clone)]
pub struct OpenStage {
    pub state: StepState,
    pub verdict: Option<Verdict>,
    pub blocked: bool,
    pub detail: String,
    pub started_us: Option<i64>,
    pub ended_us: Option<i64>,
}

#[derive(Debug, Clone)]
pub struct OpenStep {
    pub key: StepKey,
    pub state: StepState,
    pub verdict: Option<Verdict>,
    pub detail: String,
    pub exit_code: Option<i32>,
    pub attempts: u32,
    pub not_before_us: Option<i64>,
    pub started_us: Option<i64>,
    pub ended_us: Option<i64>,
    pub fence: Option<u64>,
}

/// An attempt without an end.
#[derive(Debug, Clone)]
pub struct OpenAttempt {
    pub fence: u64,
    pub run: RunId,
    pub key: StepKey,
    pub number: u32,
    /// Relative to the state directory.
    pub dir: String,
    pub claimed_us: i64,
    /// An engine has seen that its command began.
    pub started: bool,
}

#[derive(Debug, Clone)]
pub struct HeldLock {
    pub name: String,
    pub run: RunId,
    pub stage: u32,
    pub shared: bool,
    pub slots: u32,
    pub since_us: i64,
}

/// Nothing new starts while this is set; survives restarts.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Drain {
    pub by: String,
    #[serde(default)]
    pub why: String,
    pub since_us: i64,
}

impl Store {
    /// Everything open, as of one instant.
    pub fn load_open(&self) -> Result<Open, StoreError> {
        self.read(|conn| {
            conn.execute_batch("BEGIN")?;
            let open = load(conn);
            conn.execute_batch("COMMIT")?;
            open
        })
    }

    /// One run with its parts, open or ended.
    pub fn load_run(&self, run: &RunRef) -> Result<OpenRun, StoreError> {
        let run = run.clone();
        self.read(move |conn| one(conn, id_of(conn, &run)?))
    }
}

fn load(conn: &Connection) -> Result<Open, StoreError> {
    let ids: Vec<RunId> = all(conn, "SELECT id FROM run WHERE state != 'done' ORDER BY id", [], |r| r.get(0))?;
    let runs = ids.into_iter().map(|id| one(conn, id)).collect::<Result<_, _>>()?;
    let attempts = all(
        conn,
        "SELECT fence, run_id, stage, cell, step, number, dir, claimed_us, started_us IS NOT NULL FROM attempt WHERE state != 'done' ORDER BY fence",
        [],
        |r| {
            Ok(OpenAttempt {
                fence: r.get(0)?,
                run: r.get(1)?,
                key: StepKey { stage: r.get(2)?, cell: r.get(3)?, step: r.get(4)? },
                number: r.get(5)?,
                dir: r.get(6)?,
                claimed_us: r.get(7)?,
                started: r.get(8)?,
            })
        },
    )?;
    let locks = all(conn, "SELECT name, run_id, stage, mode, slots, since_us FROM held_lock ORDER BY name, run_id, stage", [], |r| {
        Ok(HeldLock {
            name: r.get(0)?,
            run: r.get(1)?,
            stage: r.get(2)?,
            shared: r.get::<_, String>(3)? == "shared",
            slots: r.get(4)?,
            since_us: r.get(5)?,
        })
    })?;
    let fence = conn.query_row("SELECT value FROM meta WHERE key = 'fence'", [], |r| r.get(0))?;
    Ok(Open { fence, runs, attempts, locks, drain: drain(conn)? })
}

pub(super) fn drain(conn: &Connection) -> Result<Option<Drain>, StoreError> {
    let json: Option<String> = conn.query_row("SELECT value FROM meta WHERE key = 'drain'", [], |r| r.get(0)).optional()?;
    // A drain that cannot be read still drains: starting work would be the wrong guess.
    Ok(json.map(|j| {
        serde_json::from_str(&j).unwrap_or(Drain { by: "unknown".into(), why: "the stored reason is unreadable".into(), since_us: 0 })
    }))
}

fn one(conn: &Connection, id: RunId) -> Result<OpenRun, StoreError> {
    let mut run = row(conn, id)?;
    run.stages = stages(conn, id)?;
    run.steps = steps(conn, id)?;
    run.outputs = all(conn, "SELECT stage, cell, step, name, value FROM output WHERE run_id = ?1", [id], |r| {
        Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?))
    })?;
    run.facts = all(conn, "SELECT kind, json FROM fact WHERE run_id = ?1 ORDER BY id", [id], |r| Ok((r.get(0)?, r.get(1)?)))?;
    run.readings = all(conn, "SELECT content_set, side, fp, md, detail FROM reading WHERE run_id = ?1", [id], |r| {
        Ok(OpenReading { set: r.get(0)?, side: r.get(1)?, fp: r.get(2)?, md: r.get(3)?, detail: r.get(4)? })
    })?;
    run.decisions = audit::open_about(conn, &run.run.to_string())?;
    run.children = children::of(conn, id)?;
    run.parent = children::parent(conn, &run.run)?;
    run.force = forced::of(conn, id, run.round)?;
    Ok(run)
}

/// The run itself, without its parts.
fn row(conn: &Connection, id: RunId) -> Result<OpenRun, StoreError> {
    let mut s = conn.prepare_cached(
        "SELECT r.pipeline, r.number, r.slow_limit_ms, r.state, r.verdict, r.priority, r.actor, r.plan_sha256, p.json, r.created_us, r.started_us,
                r.limit_us, r.limit_boot_us, r.limit_boot_id, r.cancel_by, r.cancel_why, r.cancel_us, r.cancel_force, r.timed_out, r.round,
                r.fp_before, r.requested_by,
                (SELECT b.verdict FROM run b WHERE b.pipeline = r.pipeline AND b.state = 'done' AND b.number < r.number
                 AND b.verdict != 'cancelled' ORDER BY b.number DESC LIMIT 1), r.slow_us
         FROM run r JOIN plan p ON p.sha256 = r.plan_sha256 WHERE r.id = ?1",
    )?;
    let run = s.query_row([id], |r| {
        let actor: String = r.get(6)?;
        let limit_us: Option<i64> = r.get(11)?;
        let cancel_by: Option<String> = r.get(14)?;
        Ok(OpenRun {
            id,
            run: RunRef { pipeline: r.get(0)?, number: r.get(1)? },
            state: word(r, 3)?,
            verdict: word_opt(r, 4)?,
            priority: r.get(5)?,
            requested_by: serde_json::from_str(&actor).unwrap_or(Actor { name: r.get(21)?, uid: None, login_uid: None }),
            plan_sha256: r.get(7)?,
            plan_json: r.get(8)?,
            created_us: r.get(9)?,
            started_us: r.get(10)?,
            limit: match limit_us {
                Some(us) => Some(Limit { us, boot_us: r.get(12)?, boot_id: r.get(13)? }),
                None => None,
            },
            cancel: match cancel_by {
                Some(by) => Some(CancelMark {
                    by,
                    why: r.get::<_, Option<String>>(15)?.unwrap_or_default(),
                    at_us: r.get::<_, Option<i64>>(16)?.unwrap_or(0),
                    force: r.get(17)?,
                }),
                None => None,
            },
            timed_out: r.get(18)?,
            round: r.get(19)?,
            fp_before: r.get(20)?,
            previous: word_opt(r, 22)?,
            stages: Vec::new(),
            steps: Vec::new(),
            outputs: Vec::new(),
            facts: Vec::new(),
            readings: Vec::new(),
            decisions: Vec::new(),
            children: Vec::new(),
            parent: None,
            slow: r.get::<_, Option<i64>>(23)?.zip(r.get::<_, Option<u64>>(2)?),
            force: None,
        })
    })?;
    Ok(run)
}

fn stages(conn: &Connection, id: RunId) -> Result<Vec<OpenStage>, StoreError> {
    all(conn, "SELECT state, verdict, blocked, detail, started_us, ended_us FROM stage WHERE run_id = ?1 ORDER BY stage", [id], |r| {
        Ok(OpenStage {
            state: word(r, 0)?,
            verdict: word_opt(r, 1)?,
            blocked: r.get(2)?,
            detail: r.get(3)?,
            started_us: r.get(4)?,
            ended_us: r.get(5)?,
        })
    })
}

fn steps(conn: &Connection, id: RunId) -> Result<Vec<OpenStep>, StoreError> {
    all(
        conn,
        "SELECT stage, cell, step, state, verdict, detail, exit_code, attempts, not_before_us, started_us, ended_us, fence
         FROM step WHERE run_id = ?1 ORDER BY stage, cell, step",
        [id],
        |r| {
            Ok(OpenStep {
                key: StepKey { stage: r.get(0)?, cell: r.get(1)?, step: r.get(2)? },
                state: word(r, 3)?,
                verdict: word_opt(r, 4)?,
                detail: r.get(5)?,
                exit_code: r.get(6)?,
                attempts: r.get(7)?,
                not_before_us: r.get(8)?,
                started_us: r.get(9)?,
                ended_us: r.get(10)?,
                fence: r.get(11)?,
            })
        },
    )
}
