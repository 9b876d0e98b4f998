//! What `pipeline plan` shows: the frozen plan for people and as flat JSON, with the next starts.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;

use super::answers;
use super::catalog::Catalog;
use super::diagnostic::{show, show_to};
use super::model::{CatchUp, File, Trigger, TriggerKind, UpstreamOn};
use super::plan::{Action, Approve, LockMode, OnConflict, Plan, PostWhen, Stage, StageKind, Step};
use super::schedule;
use crate::base::{count, instant};

/// Cells listed by name; of more, only how many there are.
const SHOWN_CELLS: usize = 12;

/// A start that a clock will make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fire {
    pub trigger: String,
    #[serde(serialize_with = "instant::serialize")]
    pub at: Timestamp,
    /// Wall clock of the trigger's zone, such as `Sun 2026-03-29 03:00 CEST`.
    pub local: String,
    pub time_zone: String,
}

/// A trigger in one line: `cron 30 1 * * * (Europe/Berlin)`.
pub fn trigger(t: &Trigger, site_zone: &str) -> String {
    let zone = t.timezone.as_ref().map_or(site_zone, |z| z.value.as_str());
    let mut out = match &t.kind {
        TriggerKind::Cron { pattern } => format!("cron {} ({zone})", pattern.value),
        TriggerKind::Every { every, anchor } => format!("every {every} from {} ({zone})", anchor.strftime("%Y-%m-%d %H:%M")),
        TriggerKind::Upstream { pipeline, stage, on } => {
            let what = stage.as_ref().map_or_else(String::new, |s| format!(" stage {}", s.value));
            let on = match on {
                UpstreamOn::Success => "success",
                UpstreamOn::Failure => "failure",
                UpstreamOn::Any => "every end",
            };
            format!("after {on} of {}{what}", pipeline.value)
        }
        TriggerKind::Git { url, reference, interval } => {
            format!("when {reference} of {} has moved, looked at every {interval}", show(&url.value))
        }
        TriggerKind::Manual => "by hand".to_owned(),
    };
    if t.jitter.ms() > 0 {
        let _ = write!(out, ", jitter {}", t.jitter);
    }
    if !t.calendars.is_empty() {
        let _ = write!(out, ", calendar {}", t.calendars.iter().map(|c| c.value.as_str()).collect::<Vec<_>>().join(", "));
    }
    if t.shift.is_some() {
        out.push_str(", moved to the next open day");
    }
    match t.catch_up.value {
        CatchUp::Skip => {}
        CatchUp::Once { within } => {
            let _ = write!(out, ", catches up once within {within}");
        }
        CatchUp::All { within, max } => {
            let _ = write!(out, ", catches up at most {max} within {within}");
        }
    }
    out
}

/// The next `n` starts over all triggers, soonest first.
pub fn fires(file: &File, catalog: &Catalog, after: Timestamp, n: usize) -> Vec<Fire> {
    let of = |t: &Trigger| -> Vec<Fire> {
        let zone = t.timezone.as_ref().map_or(catalog.time_zone.as_str(), |z| z.value.as_str());
        let Some(ticker) = catalog.ticker(file, t) else { return Vec::new() };
        let fire = |at| Fire {
            trigger: trigger(t, &catalog.time_zone),
            at,
            local: schedule::local(at, ticker.zone()),
            time_zone: zone.to_owned(),
        };
        ticker.starts_after(after).take(n).map(|d| fire(d.at)).collect()
    };
    let mut all: Vec<Fire> = file.triggers.iter().flat_map(of).collect();
    all.sort_by_key(|f| f.at);
    all.truncate(n);
    all
}

/// The plan with its starts as JSON: the plan's own form under `plan`, nothing in it is a secret's value.
pub fn json(plan: &Plan, file: &File, catalog: &Catalog, after: Timestamp) -> serde_json::Value {
    serde_json::json!({
        "pipeline": plan.pipeline,
        "parameters": plan.parameters,
        "secrets": secrets(plan),
        "triggers": file.triggers.iter().map(|t| trigger(t, &catalog.time_zone)).collect::<Vec<_>>(),
        "next": fires(file, catalog, after, 5),
        "plan": plan,
    })
}

/// Names of all secrets that steps get.
fn secrets(plan: &Plan) -> Vec<String> {
    let mut all: Vec<String> = plan.steps().flat_map(|(_, _, _, s)| s.secrets.iter().map(|u| u.name.clone())).collect();
    all.sort();
    all.dedup();
    all
}

/// The plan for people, 80 columns where names allow it.
pub fn text(plan: &Plan, file: &File, catalog: &Catalog, after: Timestamp) -> String {
    let mut out = String::new();
    head(&mut out, plan);
    if !plan.parameters.is_empty() {
        out.push_str("\nparameters\n");
        let width = plan.parameters.keys().map(|k| k.chars().count()).max().unwrap_or(0);
        for (k, v) in &plan.parameters {
            let v = if v.is_empty() { "(empty)".to_owned() } else { show(v) };
            let _ = writeln!(out, "  {k:<width$}  {v}");
        }
    }
    let secrets = secrets(plan);
    if !secrets.is_empty() {
        let _ = writeln!(out, "\nsecrets (names only)\n  {}", secrets.join(", "));
    }
    starts(&mut out, file, catalog, after);
    out.push_str("\nstages\n");
    for (i, stage) in plan.stages.iter().enumerate() {
        stage_text(&mut out, i, stage, plan);
    }
    out
}

fn head(out: &mut String, plan: &Plan) {
    let _ = writeln!(out, "{}", plan.pipeline);
    if !plan.description.is_empty() {
        let _ = writeln!(out, "  {}", show_to(&plan.description, 400));
    }
    let _ = write!(out, "  danger {}, timeout {}, keeps {}", plan.danger, plan.timeout, count::s(plan.keep.runs as u64, "run"));
    if let Some(d) = plan.keep.days {
        let _ = write!(out, " and {}", count::s(d as u64, "day"));
    }
    out.push('\n');
    if let Some(c) = &plan.concurrency {
        let then = match c.on_conflict {
            OnConflict::Queue => "more wait",
            OnConflict::CancelOlder => "a new one cancels the older",
            OnConflict::Refuse => "more are refused",
        };
        let _ = writeln!(out, "  group {}: {} at a time, {then}", c.group, c.limit);
    }
}

fn starts(out: &mut String, file: &File, catalog: &Catalog, after: Timestamp) {
    out.push_str("\ntriggers\n");
    if file.triggers.is_empty() {
        out.push_str("  by hand only\n");
    }
    for t in &file.triggers {
        let _ = writeln!(out, "  {}", trigger(t, &catalog.time_zone));
    }
    let fires = fires(file, catalog, after, 5);
    if !fires.is_empty() {
        out.push_str("\nnext starts\n");
        for f in fires {
            let _ = writeln!(out, "  {}  {}", f.local, f.at.strftime("%Y-%m-%dT%H:%M:%SZ"));
        }
    }
}

fn stage_text(out: &mut String, index: usize, stage: &Stage, plan: &Plan) {
    let name = |i: &u32| plan.stages.get(*i as usize).map_or("?", |s| s.name.as_str());
    let turn = match stage.kind {
        StageKind::Post { when, of } => {
            let when = match when {
                PostWhen::Always => "always",
                PostWhen::Success => "on success",
                PostWhen::Failure => "on failure",
                PostWhen::Fixed => "when it is green again",
            };
            format!("{when}, behind {}", of.map_or("all stages", |i| name(&i)))
        }
        StageKind::Work if stage.needs.is_empty() => "at once".to_owned(),
        StageKind::Work => format!("after {}", stage.needs.iter().map(name).collect::<Vec<_>>().join(", ")),
    };
    let _ = writeln!(out, "  {}. {}  {turn}", index + 1, stage.name);
    let mut line = |label: &str, text: String| {
        if !text.is_empty() {
            let _ = writeln!(out, "       {label:<9} {text}");
        }
    };
    match stage.when.as_deref() {
        Some("false") => line("when", "never with these values".into()),
        Some(w) => line("when", w.to_owned()),
        None => {}
    }
    let keys: Vec<&str> = stage.cells.iter().map(|c| c.key.as_str()).filter(|k| !k.is_empty()).collect();
    if !keys.is_empty() {
        let more = keys.len().saturating_sub(SHOWN_CELLS);
        let mut text = keys.iter().take(SHOWN_CELLS).copied().collect::<Vec<_>>().join(" · ");
        if more > 0 {
            let _ = write!(text, " and {more} more");
        }
        line(&count::s(keys.len() as u64, "cell"), text);
    }
    let locks = stage.locks.iter().map(|l| {
        let mode = if l.mode == LockMode::Shared { "shared" } else { "exclusive" };
        if l.slots > 1 { format!("{} ({mode}, {} slots)", l.name, l.slots) } else { format!("{} ({mode})", l.name) }
    });
    line("locks", locks.collect::<Vec<_>>().join(", "));
    if let Some(a) = &stage.approve {
        approve_text(a, &mut line);
    }
    line("reads", stage.reads.join(", "));
    line("writes", stage.writes.join(", "));
    if let Some(r) = &stage.retry {
        line("attempts", format!("{}, delay {}, factor {}", r.attempts, r.delay, r.backoff));
    }
    let limits = [("timeout", stage.timeout), ("stall", stage.stall)].into_iter().filter_map(|(n, s)| s.map(|s| format!("{n} {s}")));
    line("limits", limits.collect::<Vec<_>>().join(", "));
    let marks = [(stage.allow_failure, "may fail"), (stage.idempotent, "idempotent"), (stage.uninterruptible, "uninterruptible")];
    line("is", marks.iter().filter(|(on, _)| *on).map(|(_, w)| *w).collect::<Vec<_>>().join(", "));
    for step in stage.cells.first().map_or(&[][..], |c| &c.steps) {
        line("step", step_text(step, stage));
    }
}

fn approve_text(a: &Approve, line: &mut dyn FnMut(&str, String)) {
    let not = if a.not_requester { ", not who asks for the run" } else { "" };
    line("approve", format!("{} of {}{not}, within {}", a.quorum, a.roles.join(", "), a.expires));
    line("show", a.show.join(", "));
    for q in &a.ask {
        let default = q.default.as_ref().map(|d| format!("; default {}", if d.is_empty() { "(empty)".to_owned() } else { show(d) }));
        line("ask", format!("{}: {}{}", q.name, answers::allowed(q), default.unwrap_or_default()));
    }
}

fn step_text(step: &Step, stage: &Stage) -> String {
    let what = match &step.action {
        Action::Shell { script, .. } => {
            let lines: Vec<&str> = script.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
            let first = show(lines.first().copied().unwrap_or(""));
            if lines.len() > 1 { format!("{first} (+{} lines)", lines.len() - 1) } else { first }
        }
        Action::Native { kind, with } => {
            let fields = with.iter().map(|(k, v)| {
                let v = match v {
                    serde_json::Value::String(s) if s.is_empty() => "(empty)".to_owned(),
                    serde_json::Value::String(s) => show(s),
                    serde_json::Value::Array(items) => items.iter().map(|i| show(i.as_str().unwrap_or(""))).collect::<Vec<_>>().join(","),
                    other => other.to_string(),
                };
                format!("{k}={v}")
            });
            std::iter::once(kind.clone()).chain(fields).collect::<Vec<_>>().join(" ")
        }
        Action::Build { pipeline, parameters, wait } => {
            let given = parameters.iter().map(|(k, v)| format!(" {k}={}", if v.is_empty() { "(empty)".to_owned() } else { show(v) }));
            let end = if *wait { "and waits for its end" } else { "and does not wait" };
            return format!("a run of {pipeline}{}, {end}", given.collect::<String>());
        }
        Action::Pin { run } => return format!("pins {}", show(run)),
    };
    let secrets: Vec<&str> = step.secrets.iter().map(|s| s.name.as_str()).collect();
    let mut out = if step.name == stage.name || what.starts_with(&step.name) { what } else { format!("{}: {what}", step.name) };
    if !secrets.is_empty() {
        let _ = write!(out, " [secrets: {}]", secrets.join(", "));
    }
    out
}
