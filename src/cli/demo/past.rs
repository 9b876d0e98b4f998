//! Plays the past of a demo: its turns, asked of a real engine in this process on a clock of the past, by the people who asked then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;

use super::people::Known;
use crate::api::ApiError;
use crate::api::types::Do;
use crate::base::clock::{Clock, ShiftedClock};
use crate::config::Dirs;
use crate::demo::Error;
use crate::demo::past::{Ask, OS, Of, Past, STAGES, Turn, story};
use crate::demo::people::Person;
use crate::domain::actor::Actor;
use crate::domain::promotion::Promotion;
use crate::domain::promotion::state::State;
use crate::domain::run::{RunRef, RunState, StepState, Verdict};
use crate::engine::guard::Caller;
use crate::engine::state::Engine;
use crate::engine::{Options, act, apart};

/// For each turn; a step of it takes a moment.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(2);
const HOUR_US: i64 = 3_600_000_000;

/// Plays all of it.
pub fn play(past: &mut Past<'_>, uid: u32) -> Result<(), Error> {
    let fail = |why: String| Error::Past { why };
    let dirs = Dirs { config: past.config_dir(), state: past.state_dir().to_owned(), explicit: true };
    let options = Options {
        dirs,
        uid,
        log_level: "warn".into(),
        detached: false,
        people: Arc::new(Known::default()),
        exe: std::env::current_exe().map_err(|e| fail(format!("where is our own program? {e}")))?,
    };
    let story = story();
    let clock = Arc::new(ShiftedClock::default());
    // The store must know from the beginning that it is older than today.
    if let Some(Turn::At(first)) = story.iter().find(|t| matches!(t, Turn::At(_))) {
        set(&clock, first)?;
    }
    let played = apart(&options, clock.clone(), async |engine| {
        for turn in &story {
            self::turn(&engine, past, &clock, turn).await?;
        }
        Ok(())
    });
    played.map_err(|e| fail(e.to_string()))?
}

fn set(clock: &ShiftedClock, to: &str) -> Result<(), Error> {
    let to: jiff::Timestamp = to.parse().map_err(|e| Error::Past { why: format!("{to}: {e}") })?;
    clock.set(to);
    Ok(())
}

async fn turn(engine: &Arc<Engine>, past: &mut Past<'_>, clock: &ShiftedClock, turn: &Turn) -> Result<(), Error> {
    match turn {
        Turn::Compose(back) => past.lay(*back),
        Turn::At(to) => set(clock, to),
        Turn::Hours(n) => {
            clock.advance_us(n * HOUR_US);
            Ok(())
        }
        Turn::Until(state) => until(engine, state).await,
        Turn::Ask(ask) => {
            said(engine, ask).await.map_err(|e| Error::Past { why: format!("{} of {}: {e}", ask.action, now(engine, clock)) })
        }
    }
}

fn now(engine: &Engine, clock: &ShiftedClock) -> String {
    newest(engine).map_or_else(|_| clock.now().to_string(), |p| format!("{} ({})", p.id, p.state))
}

fn newest(engine: &Engine) -> Result<Promotion, ApiError> {
    let all = engine.store.promotions().map_err(|e| ApiError::failed(e.to_string(), ""))?;
    all.into_iter().max_by_key(|p| p.created_us).ok_or_else(|| ApiError::failed("there is no promotion", ""))
}

fn caller(person: Person) -> Caller {
    Caller { actor: Actor::person(person.name, person.uid, Some(person.uid)), known: true, owner: false, groups: Vec::new() }
}

/// Looks until `done` says something.
async fn look<T>(what: &str, mut done: impl FnMut() -> Result<Option<T>, ApiError>) -> Result<T, ApiError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = done()? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(ApiError::failed(format!("{what} did not come within {} s", PATIENCE.as_secs()), ""));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The newest promotion is there, and nothing of it is at work but what waits for people.
async fn until(engine: &Arc<Engine>, state: &str) -> Result<(), Error> {
    let mut last = String::new();
    let seen = look(state, || {
        let p = newest(engine)?;
        last = format!("{} is {}: {}", p.id, p.state, p.notes.last().map_or("", |n| n.text.as_str()));
        if p.state.as_str() != state || p.pending.is_some() {
            return Ok(None);
        }
        let ready = match &p.watching {
            None => true,
            Some((_, run)) if p.state == State::Imaging => waits(engine, run, STAGES[0])?,
            Some(_) => false,
        };
        Ok(ready.then_some(()))
    });
    seen.await.map_err(|e| Error::Past { why: format!("{last}: {e}") })
}

/// Whether a run waits for people at this stage.
fn waits(engine: &Engine, run: &str, stage: &str) -> Result<bool, ApiError> {
    let failed = |e: &dyn std::fmt::Display| ApiError::failed(e.to_string(), "");
    let run: RunRef = run.parse().map_err(|e: crate::domain::run::BadRunRef| failed(&e))?;
    let stages = engine.store.stages(&run).map_err(|e| failed(&e))?;
    Ok(stages.iter().any(|s| s.name == stage && s.state != StepState::Done && s.started_us.is_some()))
}

async fn said(engine: &Arc<Engine>, ask: &Ask) -> Result<(), ApiError> {
    let mut with: IndexMap<String, String> = ask.with.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let target = match ask.of {
        Of::Os => OS.to_owned(),
        Of::Promotion => newest(engine)?.id,
        Of::Pipeline(name) => name.to_owned(),
        Of::Stage(stage) => {
            let run = newest(engine)?.run.unwrap_or_default();
            look(stage, || Ok(waits(engine, &run, stage)?.then_some(()))).await?;
            with.insert("stage".into(), stage.to_owned());
            run
        }
    };
    let confirm = if ask.action == "promote-start" { format!("promote {OS}") } else { target.clone() };
    let request = Do { action: ask.action.into(), target, with, reason: ask.reason.into(), confirm: Some(confirm), ..Do::default() };
    let done = act::act(engine, caller(ask.who), engine.leases.open(), request).await?;
    if let (Of::Pipeline(_), Some(run)) = (ask.of, done.run) {
        let run: RunRef = run.parse().map_err(|e: crate::domain::run::BadRunRef| ApiError::failed(e.to_string(), ""))?;
        let row = engine.runner.wait(&run).await.map_err(|e| ApiError::failed(e.to_string(), ""))?;
        if row.state != RunState::Done || row.verdict != Some(Verdict::Success) {
            return Err(ApiError::failed(format!("{run}: {}", row.detail), ""));
        }
    }
    Ok(())
}
