//! Queueing a run: number, frozen plan and rows of all its parts, in one transaction.

use std::path::Path;

use rusqlite::{OptionalExtension, Transaction, params};

use super::audit::{self, DecisionEdit, Note};
use super::children::ParentLink;
use super::{RunId, Store, StoreError, children, rows};
use crate::domain::actor::Actor;
use crate::domain::audit::Record;
use crate::domain::run::{RunRef, StepKey, Verdict};

/// A run as the runner hands it over; the plan is text to this room.
#[derive(Debug, Clone)]
pub struct NewRun {
    pub pipeline: String,
    /// Empty = `NAME #N`.
    pub title: Vec<TitlePart>,
    pub plan_json: String,
    pub plan_sha256: String,
    pub requested_by: Actor,
    pub reason: String,
    pub trigger: String,
    pub cause: Option<String>,
    pub replay_of: Option<RunRef>,
    pub priority: i32,
    pub group: Option<Group>,
    /// Names in plan order.
    pub stages: Vec<String>,
    pub steps: Vec<NewStep>,
    /// Runs that it depends on. One that is not there, or that retention is removing, refuses it.
    pub uses: Vec<RunRef>,
    pub inputs: Vec<NewInput>,
    pub now_us: i64,
    /// Written with the run, about it; not where the cause was known, for that wish has its entry.
    pub note: Option<Note>,
    /// The cell that starts it; refused where its run has ended or was cancelled.
    pub parent: Option<ParentLink>,
}

/// A piece of a title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TitlePart {
    Text(String),
    /// The run's number, which it has once its row is written.
    Number,
}

#[derive(Debug, Clone)]
pub struct Group {
    pub name: String,
    pub limit: u32,
    /// A full group refuses this run at the door.
    pub refuse: bool,
}

#[derive(Debug, Clone)]
pub struct NewStep {
    pub key: StepKey,
    pub cell: String,
    pub name: String,
}

/// A file of another run that the plan names.
#[derive(Debug, Clone)]
pub struct NewInput {
    pub stage: u32,
    pub from: RunRef,
    pub path: String,
    pub place: String,
    pub sha256: String,
    pub size_bytes: u64,
}

/// The answer. `existing`: the cause was known, and nothing was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    pub id: RunId,
    pub run: RunRef,
    pub title: String,
    pub existing: bool,
    /// The verdict of the run of this pipeline that ended last; cancelled ones do not count.
    pub previous: Option<Verdict>,
}

impl Store {
    /// Queues a run; durable when the future resolves.
    pub async fn submit(&self, new: NewRun) -> Result<Submitted, StoreError> {
        let runs = self.dir().join("runs");
        self.write(move |tx| submit(tx, &new, &runs)).await
    }
}

pub(super) fn submit(tx: &Transaction<'_>, new: &NewRun, runs: &Path) -> Result<Submitted, StoreError> {
    if let Some(known) = known(tx, new)? {
        return Ok(known);
    }
    if let Some(link) = &new.parent {
        children::may_link(tx, link)?;
    }
    has_room(tx, new)?;
    uses_are_there(tx, new)?;
    let number = next_number(tx, &new.pipeline, runs)?;
    let run = RunRef::new(&new.pipeline, number);
    let piece = |p: &TitlePart| match p {
        TitlePart::Text(t) => t.clone(),
        TitlePart::Number => number.to_string(),
    };
    let title = Some(new.title.iter().map(piece).collect::<String>()).filter(|t| !t.is_empty());
    let title = title.unwrap_or_else(|| format!("{} #{number}", new.pipeline));
    tx.prepare_cached("INSERT INTO plan (sha256, json) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute(params![new.plan_sha256, new.plan_json])?;
    let actor = serde_json::to_string(&new.requested_by).unwrap_or_default();
    tx.prepare_cached(
        "INSERT INTO run (pipeline, number, title, state, requested_by, actor, reason, trigger, cause, replay_of, priority, group_name,
                          plan_sha256, created_us)
         VALUES (?1, ?2, ?3, 'queued', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?
    .execute(params![
        new.pipeline,
        number,
        title,
        new.requested_by.name,
        actor,
        new.reason,
        new.trigger,
        new.cause,
        new.replay_of.as_ref().map(ToString::to_string),
        new.priority,
        new.group.as_ref().map(|g| g.name.as_str()),
        new.plan_sha256,
        new.now_us,
    ])?;
    let id = tx.last_insert_rowid();
    parts(tx, id, new)?;
    let previous = previous(tx, &new.pipeline)?;
    if let Some(link) = &new.parent {
        children::link(tx, link, &run)?;
    }
    audit::seal_if(tx, new.note.clone().map(|note| about(&run, note)))?;
    Ok(Submitted { id, run, title, existing: false, previous })
}

/// The run of this cause, where it was asked for before.
fn known(tx: &Transaction<'_>, new: &NewRun) -> Result<Option<Submitted>, StoreError> {
    let Some(cause) = &new.cause else { return Ok(None) };
    let known = tx
        .prepare_cached("SELECT id, pipeline, number, title FROM run WHERE cause = ?1")?
        .query_row([cause], |r| {
            Ok(Submitted {
                id: r.get(0)?,
                run: RunRef { pipeline: r.get(1)?, number: r.get(2)? },
                title: r.get(3)?,
                existing: true,
                previous: None,
            })
        })
        .optional()?;
    Ok(known)
}

/// A group that refuses at the door has a place left.
fn has_room(tx: &Transaction<'_>, new: &NewRun) -> Result<(), StoreError> {
    let Some(group) = new.group.as_ref().filter(|g| g.refuse) else { return Ok(()) };
    let holders: Vec<String> = tx
        .prepare_cached("SELECT pipeline || '#' || number FROM run WHERE state != 'done' AND group_name = ?1
             AND NOT EXISTS (SELECT 1 FROM decision d WHERE d.subject = run.pipeline || '#' || run.number AND d.kind = 'request' AND d.ended_us IS NULL) ORDER BY id")?
        .query_map([&group.name], |r| r.get(0))?
        .collect::<Result<_, _>>()?;
    if holders.len() >= group.limit as usize {
        return Err(StoreError::GroupFull { group: group.name.clone(), limit: group.limit, holders: holders.join(", ") });
    }
    Ok(())
}

fn uses_are_there(tx: &Transaction<'_>, new: &NewRun) -> Result<(), StoreError> {
    for used in &new.uses {
        let there = tx
            .prepare_cached(
                "SELECT 1 FROM run r WHERE r.pipeline = ?1 AND r.number = ?2
                 AND NOT EXISTS (SELECT 1 FROM doomed d WHERE d.run_id = r.id)",
            )?
            .exists(params![used.pipeline, used.number])?;
        if !there {
            return Err(StoreError::UseGone { pipeline: new.pipeline.clone(), run: used.to_string() });
        }
    }
    Ok(())
}

/// The rows of its stages, steps, uses and inputs.
fn parts(tx: &Transaction<'_>, id: RunId, new: &NewRun) -> Result<(), StoreError> {
    let mut stage = tx.prepare_cached("INSERT INTO stage (run_id, stage, name, state) VALUES (?1, ?2, ?3, 'pending')")?;
    for (i, name) in new.stages.iter().enumerate() {
        stage.execute(params![id, i, name])?;
    }
    let mut step = tx
        .prepare_cached("INSERT INTO step (run_id, stage, cell, step, cell_key, name, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending')")?;
    for s in &new.steps {
        step.execute(params![id, s.key.stage, s.key.cell, s.key.step, s.cell, s.name])?;
    }
    for used in &new.uses {
        tx.prepare_cached("INSERT OR IGNORE INTO run_use (run_id, pipeline, number) VALUES (?1, ?2, ?3)")?.execute(params![
            id,
            used.pipeline,
            used.number
        ])?;
    }
    for (seq, i) in new.inputs.iter().enumerate() {
        tx.prepare_cached(
            "INSERT INTO input (run_id, seq, stage, of_pipeline, of_number, path, place, sha256, size_bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![id, seq, i.stage, i.from.pipeline, i.from.number, i.path, i.place, i.sha256, i.size_bytes])?;
    }
    Ok(())
}

fn previous(tx: &Transaction<'_>, pipeline: &str) -> Result<Option<Verdict>, StoreError> {
    let previous = tx
        .prepare_cached(
            "SELECT verdict FROM run WHERE pipeline = ?1 AND state = 'done' AND verdict != 'cancelled' ORDER BY number DESC LIMIT 1",
        )?
        .query_row([pipeline], |r| rows::word(r, 0))
        .optional()?;
    Ok(previous)
}

/// The entry, and what it decides, are about the run that now has a number.
fn about(run: &RunRef, mut note: Note) -> Note {
    note.record = Record { subject: run.to_string(), ..note.record };
    if let Some(DecisionEdit::Make(new)) = &mut note.decision {
        new.subject = run.to_string();
    }
    note
}

/// The next number of a pipeline. The first of a new row goes on from the directories of an older store, if one was lost.
fn next_number(tx: &Transaction<'_>, pipeline: &str, runs: &Path) -> Result<u64, StoreError> {
    let next = tx
        .prepare_cached("UPDATE pipeline SET last_number = last_number + 1 WHERE name = ?1 RETURNING last_number")?
        .query_row([pipeline], |r| r.get(0))
        .optional()?;
    if let Some(next) = next {
        return Ok(next);
    }
    let seen = std::fs::read_dir(runs.join(pipeline))
        .into_iter()
        .flatten()
        .filter_map(|e| e.ok()?.file_name().to_str()?.parse::<u64>().ok())
        .max()
        .unwrap_or(0);
    tx.execute("INSERT INTO pipeline (name, last_number) VALUES (?1, ?2)", params![pipeline, seen + 1])?;
    Ok(seen + 1)
}
