//! From a trigger's debt to rows of the ledger and runs. Each run and its row are one transaction; what starts nothing has its row and
//! its reason. A row that is there already is never written again, and never runs again.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use jiff::Timestamp;

use super::calendars::{self, Kept};
use super::news;
use super::owed::{self, Act, Judged};
use crate::api::{ApiError, Code};
use crate::config::Site;
use crate::domain::actor::Actor;
use crate::domain::audit::Record;
use crate::domain::level::Level;
use crate::domain::occurrence::{Cause, Occurrence, Outcome};
use crate::domain::run::RunRef;
use crate::engine::blocking::blocking;
use crate::engine::state::Engine;
use crate::engine::{on_failure, plan};
use crate::pipeline::plan::Plan;
use crate::pipeline::schedule::{Due, Timer, When};
use crate::runner::{RunnerError, Submit};
use crate::store::{Cursor, Ledger, Note, StoreError};

/// A start within this is in time.
pub const GRACE: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);
/// Rows of one transaction at most: a long outage must not hold the store up.
const ROWS: usize = 1_000;

/// What a trigger owes, and all that is known of it.
pub struct Debt {
    pub pipeline: String,
    pub key: String,
    pub timer: Timer,
    /// Soonest first; never empty.
    pub owed: Vec<Judged>,
}

/// What holds for a whole look.
pub struct Ground<'a> {
    pub engine: &'a Arc<Engine>,
    pub site: &'a Arc<Site>,
    pub calendars: &'a BTreeMap<String, Kept>,
    pub now: Timestamp,
}

fn us(t: Timestamp) -> i64 {
    t.as_microsecond()
}

impl Debt {
    fn row(&self, due: &Due, outcome: Outcome, cause: Cause, why: impl Into<String>, now: Timestamp) -> Occurrence {
        Occurrence {
            pipeline: self.pipeline.clone(),
            trigger: self.key.clone(),
            scheduled_us: us(due.at),
            outcome,
            cause,
            why: why.into(),
            run: None,
            decided_us: us(now),
        }
    }

    fn cursor(&self, due: &Due) -> Cursor {
        Cursor { pipeline: self.pipeline.clone(), trigger: self.key.clone(), cursor_us: us(due.nominal), note: None }
    }

    fn calendars(&self) -> Vec<&str> {
        self.timer.calendars.iter().map(String::as_str).collect()
    }
}

/// Settles all of it. An error means that something is left, and that the same debt may be settled again.
pub async fn settle(g: &Ground<'_>, debt: &Debt) -> Result<(), ApiError> {
    let (Some(first), Some(last)) = (debt.owed.first(), debt.owed.last().map(|j| j.due)) else { return Ok(()) };
    let decided = {
        let (engine, pipeline, key, from) = (g.engine.clone(), debt.pipeline.clone(), debt.key.clone(), us(first.due.at));
        blocking(move || engine.store.decided_since(&pipeline, &key, from).map_err(ApiError::from)).await?
    };
    let mut rows = Vec::new();
    let mut open = Vec::new();
    for j in debt.owed.iter().filter(|j| !decided.contains(&us(j.due.at))) {
        match calendars::closed(g.calendars, &debt.calendars(), j.due.at) {
            Some(closed) => rows.push(debt.row(&j.due, Outcome::Skipped, Cause::Calendar, closed.to_string(), g.now)),
            None => open.push(j.clone()),
        }
    }
    let mut starts = Vec::new();
    for act in owed::plan(open, debt.timer.catch_up, g.now) {
        match act {
            Act::Skip { due, why } => rows.push(debt.row(&due, Outcome::Skipped, Cause::Missed, why, g.now)),
            Act::Start { others, own, missed } => starts.push((others, own, missed)),
        }
    }
    let missed: Vec<Occurrence> = rows.iter().filter(|r| r.cause == Cause::Missed).cloned().collect();
    for chunk in rows.chunks(ROWS) {
        record(g, chunk.to_vec(), None).await?;
        crate::base::crash::point("scheduler.recorded");
    }
    on_failure::missed(g.engine, g.site, &missed);
    // The cursor goes with the last start, so that the usual case is one transaction.
    let mut moved = false;
    let count = starts.len();
    for (i, (others, own, why)) in starts.into_iter().enumerate() {
        let whole = i + 1 == count && own == last;
        start(g, debt, &others, &own, why, whole.then(|| debt.cursor(&last))).await?;
        crate::base::crash::point("scheduler.fired");
        moved = whole;
    }
    if !moved {
        g.engine.store.record(Vec::new(), vec![debt.cursor(&last)]).await?;
    }
    Ok(())
}

async fn start(
    g: &Ground<'_>,
    debt: &Debt,
    others: &[Due],
    own: &Due,
    missed: Option<String>,
    cursor: Option<Cursor>,
) -> Result<(), ApiError> {
    let at = if missed.is_some() { g.now } else { own.at };
    let late = missed.or_else(|| (g.now.duration_since(own.at) > GRACE).then(|| "the engine could not start it in time".to_owned()));
    let rows = |outcome, cause, why: &str, run: Option<&RunRef>| -> Vec<Occurrence> {
        let row = |d: &Due, outcome| Occurrence { run: run.cloned(), ..debt.row(d, outcome, cause, why, g.now) };
        others.iter().chain([own]).map(|d| row(d, outcome)).collect()
    };
    let found = ready(g, &debt.pipeline, &debt.calendars(), at).await?;
    let plan = match found {
        Ok(plan) => plan,
        Err((cause, why)) => {
            tracing::warn!(pipeline = %debt.pipeline, trigger = %debt.key, scheduled_for = %own.at, "not started: {why}");
            let rows = rows(Outcome::Skipped, cause, &why, None);
            return record(g, rows, cursor).await;
        }
    };
    if let Some(run) = waiting(g.engine, &debt.pipeline, &debt.key).await? {
        let rows = rows(Outcome::Coalesced, Cause::None, &format!("{run} of the same trigger still waits to begin"), Some(&run));
        return record(g, rows, cursor).await;
    }
    let zone = crate::pipeline::schedule::zone(&debt.timer.zone).unwrap_or(jiff::tz::TimeZone::UTC);
    let local = crate::pipeline::schedule::local(own.at, &zone);
    let moved = own.from.map(|f| format!("moved from {}", crate::pipeline::schedule::local(f, &zone)));
    let reason = format!("scheduled for {local}{}", moved.as_ref().map(|m| format!(", {m}")).unwrap_or_default());
    let outcome = if late.is_some() { Outcome::Late } else { Outcome::Ran };
    let together = format!("the run of {local} stands for it{}", late.as_deref().map(|w| format!("; {w}")).unwrap_or_default());
    let mut due: Vec<Occurrence> = others.iter().map(|d| debt.row(d, Outcome::Coalesced, Cause::None, together.as_str(), g.now)).collect();
    due.push(debt.row(own, outcome, Cause::None, moved.into_iter().chain(late).collect::<Vec<_>>().join("; "), g.now));
    let ledger = Ledger::Due { rows: due.clone(), cursor: cursor.clone() };
    let word = match debt.timer.when {
        When::Cron { .. } => "cron",
        When::Every { .. } => "every",
    };
    let submit = submit(g.engine, plan, word, reason, format!("schedule:{}:{}:{}", debt.pipeline, debt.key, own.at));
    crate::base::crash::point("scheduler.due");
    match g.engine.runner.submit_due(submit, ledger).await {
        Ok(run) => {
            tracing::info!(%run, trigger = %debt.key, scheduled_for = %own.at, %outcome, "scheduled start");
            due.iter_mut().for_each(|o| o.run = Some(run.clone()));
            news::wrote(g.engine, &due);
            Ok(())
        }
        // It has its row already: whoever wrote it has decided.
        Err(RunnerError::Store(StoreError::Stale { .. })) => Ok(()),
        Err(RunnerError::Store(e @ StoreError::GroupFull { .. })) => {
            let rows = rows(Outcome::Skipped, Cause::Group, &e.to_string(), None);
            record(g, rows, cursor).await
        }
        Err(e @ RunnerError::BadPlan { .. }) => {
            let rows = rows(Outcome::Skipped, Cause::Pipeline, &e.to_string(), None);
            record(g, rows, cursor).await
        }
        Err(e) => Err(e.into()),
    }
}

/// Rows that start nothing.
async fn record(g: &Ground<'_>, rows: Vec<Occurrence>, cursor: Option<Cursor>) -> Result<(), ApiError> {
    g.engine.store.record(rows.clone(), cursor.into_iter().collect()).await?;
    news::wrote(g.engine, &rows);
    Ok(())
}

/// What is handed to the runner for a start that nobody asked for.
pub fn submit(engine: &Engine, plan: Plan, trigger: &str, reason: String, cause: String) -> Submit {
    let record = Record {
        who: Actor::engine("schedule"),
        action: "run".into(),
        subject: plan.pipeline.clone(),
        reason: reason.clone(),
        result: "done".into(),
        single_person: false,
    };
    Submit {
        plan,
        requested_by: Actor::engine("schedule"),
        reason,
        trigger: trigger.to_owned(),
        cause: Some(cause),
        replay_of: None,
        note: Some(Note { at_us: engine.now_us(), record, decision: None }),
    }
}

/// The plan of a start without people, or why there must be none now.
pub async fn ready(g: &Ground<'_>, pipeline: &str, calendars: &[&str], at: Timestamp) -> Result<Result<Plan, (Cause, String)>, ApiError> {
    if g.site.read_only {
        return Ok(Err((Cause::ReadOnly, "the site is read-only".into())));
    }
    if let Some(closed) = calendars::closed(g.calendars, calendars, at) {
        return Ok(Err((Cause::Calendar, closed.to_string())));
    }
    let (engine, site, pipeline) = (g.engine.clone(), g.site.clone(), pipeline.to_owned());
    blocking(move || {
        if let Some(d) = engine.store.drain()? {
            let why = if d.why.is_empty() { String::new() } else { format!(": {}", d.why) };
            return Ok(Err((Cause::Drained, format!("the engine is drained by {}{why}", d.by))));
        }
        match plan::of_pipeline(&engine, &site, &pipeline, &IndexMap::new()) {
            Ok(p) if p.danger == Level::L3 => Ok(Err((Cause::Danger, "it is L3: nothing starts it but people".into()))),
            Ok(p) => Ok(Ok(p)),
            // A store that cannot be read says nothing about the pipeline.
            Err(e) if matches!(e.code, Code::Failed | Code::NoEngine) => Err(e),
            Err(e) => Ok(Err((Cause::Pipeline, e.message))),
        }
    })
    .await
}

/// A run of this trigger that has not begun.
pub async fn waiting(engine: &Arc<Engine>, pipeline: &str, key: &str) -> Result<Option<RunRef>, ApiError> {
    let (engine, pipeline, key) = (engine.clone(), pipeline.to_owned(), key.to_owned());
    blocking(move || engine.store.waiting_run(&pipeline, &key).map_err(ApiError::from)).await
}
