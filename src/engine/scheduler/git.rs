//! Git triggers: a repository is looked at in the background, and a reference that moved starts its pipeline. First sight starts nothing;
//! a start that is held (drained, a closed calendar) is made at the first look at which it may be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::board::{Key, git_key};
use super::fire::{self, Ground};
use super::news;
use crate::api::ApiError;
use crate::base::duration::Span;
use crate::domain::occurrence::{Cause, Occurrence, Outcome};
use crate::engine::blocking::blocking;
use crate::engine::state::Engine;
use crate::runner::RunnerError;
use crate::store::{Cursor, Ledger, StoreError};
use crate::systems::git::{self, GitError};

/// A repository that does not answer by then is looked at again in the next turn.
const LIMIT: Duration = Duration::from_secs(60);
/// Looks at once.
const AT_ONCE: usize = 4;

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    pub url: String,
    pub reference: String,
    pub interval: Span,
    pub calendars: Vec<String>,
}

impl Look {
    /// Its name in the ledger.
    pub fn key(&self) -> String {
        git_key(&self.url, &self.reference)
    }
}

/// The end of one look.
pub struct Answer {
    key: Key,
    look: Look,
    found: Result<String, GitError>,
}

struct Turn {
    next: Timestamp,
    busy: bool,
    detail: String,
}

/// Looks that are under way, and when each repository has its turn.
pub struct Polls {
    turns: BTreeMap<Key, Turn>,
    pub tasks: JoinSet<Answer>,
    slots: Arc<Semaphore>,
}

impl Default for Polls {
    fn default() -> Self {
        Self { turns: BTreeMap::new(), tasks: JoinSet::new(), slots: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Polls {
    /// Starts the looks that are due. Each trigger with what is to be said of it, and its next turn.
    pub fn begin(&mut self, looks: Vec<(Key, Look)>, now: Timestamp) -> Vec<(Key, String, i64)> {
        self.turns.retain(|k, _| looks.iter().any(|(l, _)| l == k));
        let mut out = Vec::new();
        for (key, look) in looks {
            let step = SignedDuration::from_millis(look.interval.ms() as i64);
            let turn = self.turns.entry(key.clone()).or_insert_with(|| Turn { next: now, busy: false, detail: String::new() });
            // A clock that was set back must not put the next turn off.
            turn.next = turn.next.min(now.checked_add(step).unwrap_or(now));
            if turn.next <= now {
                turn.next = now.checked_add(step).unwrap_or(now);
                if !turn.busy {
                    turn.busy = true;
                    let (slots, key, look) = (self.slots.clone(), key.clone(), look.clone());
                    self.tasks.spawn(async move {
                        let _slot = slots.acquire_owned().await;
                        let found = git::look(&look.url, &look.reference, LIMIT).await;
                        Answer { key, look, found }
                    });
                }
            }
            out.push((key, turn.detail.clone(), turn.next.as_microsecond()));
        }
        out
    }

    /// Takes an answer in.
    pub async fn end(&mut self, engine: &Arc<Engine>, answer: Answer) {
        let detail = match &answer.found {
            Err(e) => {
                tracing::warn!(pipeline = %answer.key.0, "{} cannot be looked at: {e}", answer.key.1);
                format!("cannot be looked at: {e}")
            }
            Ok(commit) => match moved(engine, &answer.key, &answer.look, commit).await {
                Ok(detail) => detail,
                Err(e) => {
                    tracing::error!(pipeline = %answer.key.0, "{}: {e}", answer.key.1);
                    e.message
                }
            },
        };
        engine.schedule.change(|s| {
            if let Some(seen) = s.seen.get_mut(&answer.key) {
                seen.detail.clone_from(&detail);
            }
        });
        if let Some(turn) = self.turns.get_mut(&answer.key) {
            turn.busy = false;
            turn.detail = detail;
        }
    }
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// The reference is at `commit` now. What is to be said of it.
async fn moved(engine: &Arc<Engine>, key: &Key, look: &Look, commit: &str) -> Result<String, ApiError> {
    let (state, site, calendars) = {
        let (engine, key) = (engine.clone(), key.clone());
        blocking(move || {
            let states = engine.store.trigger_states()?;
            let site = engine.watch.current()?;
            let (dirs, uid) = (engine.watch.dirs(), engine.watch.uid());
            let calendars = engine.schedule.calendars.now(dirs, uid, &engine.store, engine.now_us());
            Ok((states.into_iter().find(|t| (&t.pipeline, &t.trigger) == (&key.0, &key.1)), site, calendars))
        })
        .await?
    };
    // Its file may be gone by now.
    let Some(state) = state else { return Ok(String::new()) };
    let now = engine.clock.now();
    let at = format!("{} is {}", look.reference, short(commit));
    let cursor = Cursor { pipeline: key.0.clone(), trigger: key.1.clone(), cursor_us: now.as_microsecond(), note: Some(commit.to_owned()) };
    if state.note == commit {
        return Ok(at);
    }
    if state.note.is_empty() {
        engine.store.record(Vec::new(), vec![cursor]).await?;
        return Ok(at);
    }
    let why = format!("{} moved from {} to {}", look.reference, short(&state.note), short(commit));
    let ground = Ground { engine, site: &site, calendars: &calendars, now };
    let names: Vec<&str> = look.calendars.iter().map(String::as_str).collect();
    let plan = match fire::ready(&ground, &key.0, &names, now).await? {
        Ok(plan) => plan,
        Err((_, held)) => return Ok(format!("{why}; held: {held}")),
    };
    let row = |outcome, run| Occurrence {
        pipeline: key.0.clone(),
        trigger: key.1.clone(),
        scheduled_us: now.as_microsecond(),
        outcome,
        cause: Cause::None,
        why: why.clone(),
        run,
        decided_us: now.as_microsecond(),
    };
    if let Some(run) = fire::waiting(engine, &key.0, &key.1).await? {
        let row = row(Outcome::Coalesced, Some(run));
        engine.store.record(vec![row.clone()], vec![cursor]).await?;
        news::wrote(engine, &[row]);
        return Ok(at);
    }
    let ledger = Ledger::Due { rows: vec![row(Outcome::Ran, None)], cursor: Some(cursor) };
    let submit = fire::submit(engine, plan, "git", why.clone(), format!("git:{}:{}:{now}", key.0, key.1));
    match engine.runner.submit_due(submit, ledger).await {
        Ok(run) => {
            tracing::info!(%run, "{why}");
            news::wrote(engine, &[row(Outcome::Ran, Some(run))]);
            Ok(at)
        }
        Err(RunnerError::Store(e @ StoreError::GroupFull { .. })) => Ok(format!("{why}; held: {e}")),
        Err(e) => Err(e.into()),
    }
}
