//! Making up a missed start by hand: which occurrence is meant, and its run, whose row in the ledger says by whom.

use std::sync::Arc;

use indexmap::IndexMap;
use jiff::Timestamp;

use super::news;
use crate::api::ApiError;
use crate::config::pipelines;
use crate::domain::actor::Actor;
use crate::domain::occurrence::{Occurrence, Outcome};
use crate::domain::run::RunRef;
use crate::engine::blocking::blocking;
use crate::engine::rows;
use crate::engine::state::Engine;
use crate::pipeline::plan::Plan;
use crate::runner::{RunnerError, Submit};
use crate::store::{Ledger, Note, StoreError};

/// An occurrence that was skipped, and the plan that makes it up.
pub struct Missed {
    pub occurrence: Occurrence,
    pub plan: Plan,
}

/// The occurrence that `scheduled_for` (and `trigger`, where two were due at once) names. Blocks.
pub fn find(engine: &Engine, pipeline: &str, with: &IndexMap<String, String>) -> Result<Occurrence, ApiError> {
    // The name first: nothing else that was given means anything for a pipeline that is not there.
    pipelines::read(engine.watch.dirs(), pipeline, engine.watch.uid())?;
    let wanted = with.get("scheduled_for").map(String::as_str).unwrap_or_default();
    let list = format!("quarterdeck get occurrences --filter 'pipeline={pipeline} outcome=skipped'");
    let at: Timestamp = wanted.parse().map_err(|_| {
        let what = if wanted.is_empty() { "`scheduled_for` is missing".to_owned() } else { format!("`{wanted}` is no time in RFC 3339") };
        ApiError::bad(what, format!("give one of the times of: {list}"))
    })?;
    let mut found = engine.store.occurrences_at(pipeline, at.as_microsecond())?;
    if let Some(trigger) = with.get("trigger") {
        found.retain(|o| o.trigger == *trigger);
    }
    let skipped: Vec<&Occurrence> = found.iter().filter(|o| o.outcome == Outcome::Skipped).collect();
    match (skipped.as_slice(), found.first()) {
        ([one], _) => Ok((*one).clone()),
        ([], None) => Err(ApiError::bad(format!("`{pipeline}` had nothing due at {wanted}"), format!("look at: {list}"))),
        ([], Some(o)) => {
            let run = o.run.as_ref().map(ToString::to_string).unwrap_or_else(|| "a run".to_owned());
            let how = match o.outcome {
                Outcome::Ran => format!("it ran as {run}"),
                Outcome::Late => format!("it ran late, as {run}"),
                Outcome::Coalesced => format!("{run} stands for it"),
                Outcome::Skipped => "it was skipped".to_owned(),
            };
            Err(ApiError::refused(format!("`{pipeline}` was not missed at {wanted}: {how}"), "nothing to make up"))
        }
        (many, _) => {
            let names: Vec<&str> = many.iter().map(|o| o.trigger.as_str()).collect();
            Err(ApiError::bad(
                format!("{} triggers of `{pipeline}` were due at {wanted}", names.len()),
                format!("say which: --with trigger='{}'", names.join("' or '")),
            ))
        }
    }
}

/// Queues its run. The row changes with it, in one transaction.
pub async fn start(
    engine: &Arc<Engine>,
    missed: Missed,
    who: &Actor,
    reason: &str,
    key: Option<&str>,
    note: Note,
) -> Result<RunRef, ApiError> {
    let o = missed.occurrence;
    let submit = Submit {
        plan: missed.plan,
        requested_by: who.clone(),
        reason: if reason.is_empty() { format!("made up for {}", rows::time(o.scheduled_us)) } else { reason.to_owned() },
        trigger: "manual".into(),
        cause: key.map(|k| format!("client:{k}")),
        replay_of: None,
        note: Some(note),
    };
    let why = format!("made up by {}; it was skipped: {}", who.name, o.why);
    let trigger = o.trigger.clone();
    let ledger = Ledger::MakeUp { pipeline: o.pipeline.clone(), trigger: o.trigger, scheduled_us: o.scheduled_us, why };
    let key = (o.pipeline.clone(), trigger);
    let run = engine.runner.submit_due(submit, ledger).await.map_err(|e| match e {
        RunnerError::Store(StoreError::Stale { .. }) => {
            ApiError::refused("somebody else has made it up meanwhile", "look at: quarterdeck get occurrences")
        }
        e => e.into(),
    })?;
    let now = {
        let (engine, (pipeline, trigger), at) = (engine.clone(), key.clone(), o.scheduled_us);
        blocking(move || engine.store.occurrence(&pipeline, &trigger, at).map_err(ApiError::from)).await
    };
    // It is done; only who looks on would not be told.
    if let Ok(Some(now)) = now {
        news::wrote(engine, &[now]);
    }
    news::changed(engine, [key].into()).await;
    Ok(run)
}
