//! The rows of `get schedule` and `get occurrences`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::board::{Seen, State, git_key};
use super::calendars::{self, Kept};
use crate::api::ApiError;
use crate::config::Site;
use crate::domain::occurrence::Occurrence;
use crate::engine::rows::{Row, time};
use crate::engine::state::Engine;
use crate::engine::{catalog, triggers};
use crate::pipeline::model::{CatchUp, File, Trigger, TriggerKind};
use crate::pipeline::schedule::{self, Timer};

pub const SCHEDULE: &[&str] = &[
    "pipeline",
    "trigger",
    "kind",
    "zone",
    "next",
    "next_local",
    "jitter_ms",
    "catch_up",
    "calendar",
    "calendar_state",
    "last_scheduled",
    "last_outcome",
    "last_run",
    "last_why",
    "state",
    "detail",
];
pub const OCCURRENCES: &[&str] = &["pipeline", "trigger", "scheduled_for", "outcome", "cause", "why", "run", "decided"];

/// The ledger, the latest time first.
pub fn occurrences(engine: &Engine, limit: usize) -> Result<Vec<Row>, ApiError> {
    Ok(engine.store.occurrences(limit)?.iter().map(occurrence).collect())
}

pub(super) fn occurrence(o: &Occurrence) -> Row {
    flat(json!({
        "pipeline": o.pipeline, "trigger": o.trigger, "scheduled_for": time(o.scheduled_us), "outcome": o.outcome.as_str(),
        "cause": o.cause.as_str(), "why": o.why, "run": o.run.as_ref().map(ToString::to_string), "decided": time(o.decided_us),
    }))
}

fn flat(value: Value) -> Row {
    match value {
        Value::Object(map) => map,
        _ => Row::new(),
    }
}

/// Every trigger that is no person, as its file says now, with what became of it last. What is wrong as a whole is the second part.
pub fn schedule(engine: &Engine) -> Result<(Vec<Row>, Option<String>), ApiError> {
    schedule_of(engine, None)
}

/// The same for some pipelines.
pub(super) fn schedule_of(engine: &Engine, only: Option<&BTreeSet<String>>) -> Result<(Vec<Row>, Option<String>), ApiError> {
    let site = engine.site()?;
    let (dirs, uid) = (engine.watch.dirs(), engine.watch.uid());
    let catalog = catalog::of_site(dirs, &site, uid)?;
    let calendars = engine.schedule.calendars.now(dirs, uid, &engine.store, engine.now_us());
    let state = engine.schedule.state();
    let ground = Ground { engine, site: &site, state: &state, calendars: &calendars, now: engine.clock.now() };
    let mut out = Vec::new();
    for name in catalog.pipelines.iter().filter(|n| only.is_none_or(|o| o.contains(*n))) {
        match catalog::judge(dirs, name, uid, &catalog) {
            Ok(j) => match &j.file {
                Some(file) => {
                    let mut seen = Vec::new();
                    for t in &file.triggers {
                        if let Some(row) = ground.row(file, t)?
                            && !seen.contains(&row["trigger"])
                        {
                            seen.push(row["trigger"].clone());
                            out.push(row);
                        }
                    }
                }
                None => out.extend(ground.broken(name, &j.first_error().unwrap_or_default())?),
            },
            Err(e) => out.extend(ground.broken(name, &e.to_string())?),
        }
    }
    Ok((out, state.dead.map(|why| format!("the scheduler is dead: {why}"))))
}

struct Ground<'a> {
    engine: &'a Engine,
    site: &'a Site,
    state: &'a State,
    calendars: &'a BTreeMap<String, Kept>,
    now: Timestamp,
}

impl Ground<'_> {
    /// `on`, or what keeps all triggers from firing.
    fn word(&self) -> (&'static str, String) {
        match (&self.state.off, &self.state.dead, &self.state.trouble) {
            (Some(why), _, _) => ("off", why.clone()),
            (None, Some(why), _) => ("dead", why.clone()),
            (None, None, Some(why)) => ("waits", why.clone()),
            _ => ("on", String::new()),
        }
    }

    fn row(&self, file: &File, t: &Trigger) -> Result<Option<Row>, ApiError> {
        let pipeline = &file.name.value;
        let timer = Timer::of(t, &self.site.time_zone);
        let (kind, key) = match (&t.kind, &timer) {
            (TriggerKind::Cron { .. }, Some(timer)) => ("cron", timer.key()),
            (TriggerKind::Every { .. }, Some(timer)) => ("every", timer.key()),
            (TriggerKind::Git { url, reference, .. }, _) => ("git", git_key(&url.value, reference)),
            (TriggerKind::Upstream { .. }, _) => ("upstream", triggers::words(t)),
            _ => return Ok(None),
        };
        let names = file.calendars_of(Some(t));
        let closed = calendars::closed(self.calendars, &names, self.now);
        let broken = names.iter().filter_map(|n| self.calendars.get(*n)?.broken.clone()).next();
        let calendar_state = match (&closed, names.is_empty()) {
            (Some(c), _) => c.to_string(),
            (None, true) => String::new(),
            (None, false) => "open".into(),
        };
        let seen = self.state.seen.get(&(pipeline.clone(), key.clone())).cloned().unwrap_or_default();
        let detail = broken.map_or_else(|| seen.detail.clone(), |b| format!("the calendar holds as it was whole last: {b}"));
        let zone = timer.as_ref().map(|t| t.zone.clone());
        let policy = timer.as_ref().map(|t| policy(t.catch_up));
        let mut row = self.part(pipeline, &key, kind, zone, &seen, policy)?;
        row.insert("jitter_ms".into(), json!(t.jitter.ms()));
        row.insert("calendar".into(), json!(names.join(" ")));
        row.insert("calendar_state".into(), json!(calendar_state));
        if kind == "upstream" {
            // Fires with the runs of this engine, whatever the scheduler does.
            row.insert("state".into(), json!("on"));
            row.insert("detail".into(), json!(""));
        } else if !detail.is_empty() {
            row.insert("detail".into(), json!(detail));
        }
        Ok(Some(row))
    }

    /// A pipeline whose file is broken: its triggers as they were known last go on being accounted for.
    fn broken(&self, pipeline: &str, why: &str) -> Result<Vec<Row>, ApiError> {
        let mut out = Vec::new();
        for t in self.engine.store.trigger_states()?.into_iter().filter(|t| t.pipeline == pipeline) {
            // Only the clock's triggers have more than their name.
            let timer = serde_json::from_str::<Timer>(&t.spec).ok();
            let seen = self.state.seen.get(&(t.pipeline.clone(), t.trigger.clone())).cloned().unwrap_or_default();
            let (zone, policy) = (timer.as_ref().map(|t| t.zone.clone()), timer.as_ref().map(|t| policy(t.catch_up)));
            let mut row = self.part(pipeline, &t.trigger, "broken", zone, &seen, policy)?;
            row.insert("state".into(), json!("broken"));
            row.insert("detail".into(), json!(why));
            out.push(row);
        }
        Ok(out)
    }

    fn part(
        &self,
        pipeline: &str,
        key: &str,
        kind: &str,
        zone: Option<String>,
        seen: &Seen,
        policy: Option<String>,
    ) -> Result<Row, ApiError> {
        let last = self.engine.store.last_occurrence(pipeline, key)?;
        let (state, detail) = self.word();
        let local = seen.next_us.and_then(|us| Timestamp::from_microsecond(us).ok()).map(|t| {
            let name = zone.as_deref().unwrap_or(&self.site.time_zone);
            schedule::local(t, &schedule::zone(name).unwrap_or(jiff::tz::TimeZone::UTC))
        });
        Ok(flat(json!({
            "pipeline": pipeline, "trigger": key, "kind": kind, "zone": zone, "next": seen.next_us.map(time), "next_local": local,
            "jitter_ms": 0, "catch_up": policy, "calendar": "", "calendar_state": "",
            "last_scheduled": last.as_ref().map(|o| time(o.scheduled_us)), "last_outcome": last.as_ref().map(|o| o.outcome.as_str()),
            "last_run": last.as_ref().and_then(|o| o.run.as_ref()).map(ToString::to_string),
            "last_why": last.as_ref().map(|o| o.why.clone()), "state": state, "detail": detail,
        })))
    }
}

fn policy(p: CatchUp) -> String {
    match p {
        CatchUp::Skip => "skip".into(),
        CatchUp::Once { within } => format!("once within {within}"),
        CatchUp::All { within, max } => format!("all within {within}, at most {max}"),
    }
}
