//! Screens drawn from fixed models: what they look like, what they say when there is nothing, and that nothing hostile gets out of a cell.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use ratatui::buffer::Buffer;
use serde_json::{Value, json};

use crate::api::ApiError;
use crate::console::keymap::Keymap;
use crate::console::model::screen::{Kind, Pair, Pane};
use crate::console::model::{Model, Screen, Site};
use crate::console::msg::{LinkMsg, Msg};
use crate::console::question::Question;
use crate::console::shot;
use crate::console::update::{self, update};
use crate::theme::{Glyphs, Look, Theme};

mod bytes;
mod content;
mod excerpt;
mod help;
mod home;
mod notice;
mod promotion;
mod run;

const NOW: &str = "2026-04-07T08:07:00Z";

fn look(ascii: bool) -> Look {
    Look { theme: Theme::plain(), glyphs: if ascii { Glyphs::ASCII } else { Glyphs::UTF8 } }
}

pub(in crate::console) fn kinds() -> Vec<Kind> {
    Kind::NAMED
        .into_iter()
        .map(|(_, k)| k)
        .chain([
            Kind::Run("nightly#12".parse().unwrap()),
            Kind::Promotion("PR-2026Q2-el9".into()),
            Kind::Diff(Pair::of("el9-latest@stable", "el9-latest@latest")),
        ])
        .collect()
}

/// A console on this screen that has heard nothing yet.
fn bare(kind: Kind, size: (u16, u16)) -> Model {
    let site = Site { name: "demo".into(), demo: true, zone: TimeZone::get("America/Chicago").unwrap_or(TimeZone::UTC) };
    let mut model = Model::new(site, Keymap::default_keys(), NOW.parse().unwrap(), size);
    if kind != Kind::Home {
        model.stack.push(Screen::of(kind));
    }
    model
}

fn tell(model: &mut Model, question: &Question, body: &Value) {
    let answer = question.read(body.to_string().as_bytes()).unwrap();
    update(model, Msg::Answer { question: question.clone(), result: Ok(answer) });
}

fn table(rows: Vec<Value>) -> Value {
    json!({"what": "", "revision": 1, "age_ms": 0, "rows": rows})
}

pub(in crate::console) fn run_row(number: u64, verdict: Option<&str>, started: &str, detail: &str) -> Value {
    json!({
        "run": format!("nightly#{number}"), "pipeline": "nightly", "number": number, "state": if verdict.is_some() { "done" } else { "running" },
        "verdict": verdict, "detail": detail, "exit_code": if verdict == Some("failure") { json!(3) } else { Value::Null },
        "failed_stage": if verdict == Some("failure") { json!("Koji Build") } else { Value::Null }, "failed_step": null,
        "requested_by": "schedule", "reason": "", "started": started, "ended": verdict.map(|_| started), "duration_ms": verdict.map(|_| 401_000),
        "fp_before": "9c41aa03bb", "fp_after": "9c41aa03bb", "queued": started, "round": 0, "round_started": started, "trigger": "cron", "cause": null, "title": "",
        "cancel_by": null, "pinned": false, "replay_of": null, "changes": if number == 11 { "content el9" } else { "none" },
    })
}

/// What the engine says to each question of the demo.
pub(in crate::console) fn said(question: &Question) -> Value {
    let rows = |what: &str| match what {
        "runs" => vec![
            run_row(12, None, "2026-04-07T08:05:50Z", ""),
            run_row(11, Some("failure"), "2026-04-06T06:31:00Z", "key rejected for ops-release"),
            run_row(10, Some("failure"), "2026-04-05T06:31:00Z", "key rejected for ops-release"),
            run_row(9, Some("success"), "2026-04-04T06:31:00Z", ""),
        ],
        "pipelines" => vec![
            json!({
                "pipeline": "nightly", "description": "the nightly image canary", "danger": "L1", "stages": 4, "triggers": "31 1 * * *",
                "last_run": "nightly#12", "last_verdict": null, "last_ended": null, "errors": 0, "file": "/etc/quarterdeck/pipelines/nightly.yml",
                "views": "canaries", "umbrella": false, "last_success": "nightly#9", "last_success_ended": "2026-04-04T06:48:02Z",
                "last_failure": "nightly#11", "last_failure_ended": "2026-04-06T06:37:41Z", "last_duration_ms": 401_000, "changes": "none",
                "weather": ".........##>", "red_runs": 2, "red_since": "2026-04-05T06:37:41Z",
            }),
            json!({
                "pipeline": "all-mirrors", "description": "every mirror", "danger": "L1", "stages": 1, "triggers": "by hand",
                "last_run": "all-mirrors#3", "last_verdict": "success", "last_ended": "2026-04-07T06:30:20Z", "errors": 0, "file": "f",
                "views": "mirrors", "umbrella": true, "last_success": "all-mirrors#3", "last_success_ended": "2026-04-07T06:30:20Z",
                "last_failure": null, "last_failure_ended": null, "last_duration_ms": null, "changes": "none", "weather": "...",
                "red_runs": 0, "red_since": null,
            }),
        ],
        "queue" => vec![
            json!({"run": "nightly#12", "state": "running", "priority": 0, "requested_by": "schedule", "queued": "2026-04-07T08:05:49Z", "blocked": ""}),
            json!({"run": "promote#4", "state": "waiting", "priority": 0, "requested_by": "ann", "queued": "2026-04-07T07:55:00Z", "blocked": "stage approve waits for 1 of 2 people"}),
        ],
        "executors" => vec![
            json!({"executor": 1, "state": "busy", "run": "nightly#12", "stage": "Koji Build", "cell": "", "step": "kiwi", "since": "2026-04-07T08:06:00Z"}),
            json!({"executor": 2, "state": "free", "run": null, "stage": null, "cell": null, "step": null, "since": null}),
        ],
        "schedule" => vec![json!({
            "pipeline": "nightly", "trigger": "31 1 * * *", "kind": "cron", "zone": "America/Chicago", "next": "2026-04-08T06:31:00Z",
            "next_local": "2026-04-08 01:31", "jitter_ms": 0, "catch_up": "skip", "calendar": "", "calendar_state": "",
            "last_scheduled": "2026-04-07T06:31:00Z", "last_outcome": "skipped", "last_run": null, "last_why": "no engine was running",
            "state": "on", "detail": "",
        })],
        "due" => vec![
            json!({"pipeline": "nightly", "trigger": "31 1 * * *", "scheduled_for": "2026-04-08T06:31:00Z", "local": "2026-04-08 01:31", "dst": "", "calendar": ""}),
            json!({"pipeline": "nightly", "trigger": "31 1 * * *", "scheduled_for": "2026-11-01T06:31:00Z", "local": "2026-11-01 01:31", "dst": "fold", "calendar": "patch freeze"}),
        ],
        "occurrences" => vec![json!({
            "pipeline": "nightly", "trigger": "31 1 * * *", "scheduled_for": "2026-04-07T06:31:00Z", "outcome": "skipped", "cause": "missed",
            "why": "no engine was running", "run": null, "decided": "2026-04-07T08:00:00Z",
        })],
        "audit" => vec![json!({
            "seq": 7, "at": "2026-04-07T07:55:00Z", "who": "ann", "uid": 1000, "login_uid": 1000, "action": "run", "subject": "promote",
            "reason": "Q2", "result": "done", "single_person": true, "hash": "ab12",
        })],
        "decisions" => vec![json!({
            "id": 3, "kind": "request", "subject": "promote#4/approve", "who": "ann", "why": "Q2", "at": "2026-04-07T07:55:00Z", "until": null,
            "ended": null, "uid": 1000, "login_uid": 1000, "sha": null, "single_person": false, "answers": "",
        })],
        "locks" => vec![
            json!({"lock": "tree", "mode": "exclusive", "slots": 1, "taken": 1, "run": "nightly#12", "stage": "Koji Build", "since": "2026-04-07T08:06:00Z"}),
        ],
        "repos" => vec![
            json!({
                "rank": 105, "repo": "appstream9", "os": "el9", "state": "behind", "freshness": "behind-1", "light": "amber", "relation": "-1",
                "composes_behind": 1, "dcs": "2/3", "compose": "CentOS-Stream-9-20260403.1", "changed": "2026-04-05T06:30:00Z", "sets": "el9-latest",
                "pipeline": "nightly", "tree": "/srv/mirror/appstream9", "writer": "quarterdeck", "upstream": "http://mirror.example/9-stream/",
                "packages": 9214, "size_bytes": 25_877_207_040_u64, "fp": "9c41aa03bb17e2", "md": "71aa0499", "stable": "/srv/stable/appstream9",
                "stable_compose": "CentOS-Stream-9-20251229.0", "stable_since": "2026-01-05T16:00:00Z", "drift": 842, "drift_gone": 31, "frozen": null,
                "why": "cedar: upstream is 1 compose ahead: 118 packages are not here", "detail": "cedar: upstream is 1 compose ahead: 118 packages are not here",
                "next": "its next sync, or now: run the pipeline that writes appstream9", "checked": "2026-04-07T08:06:00Z", "run": "nightly#11",
            }),
            json!({
                "rank": 1, "repo": "automotive-9", "os": "el9", "state": "incoherent", "freshness": "incoherent", "light": "red", "relation": "?", "dcs": "3/3",
                "compose": "", "changed": "2026-04-05T06:30:00Z", "sets": "", "writer": "external", "fp": "50015001", "detail": "upstream: it is being pushed, or is torn",
                "next": "wait", "checked": "2026-04-07T08:06:00Z", "frozen": null, "pipeline": null, "stable": null,
            }),
            json!({
                "rank": 309, "repo": "base9", "os": "el9", "state": "in-sync", "freshness": "fresh", "light": "good", "relation": "=", "dcs": "3/3",
                "compose": "CentOS-Stream-9-20260403.1", "changed": "2026-04-07T06:30:00Z", "sets": "el9-latest", "writer": "quarterdeck",
                "detail": "the same as upstream", "next": "", "checked": "2026-04-07T08:06:00Z", "frozen": null, "drift": 0, "drift_gone": 0, "stable": null,
            }),
            json!({
                "rank": 311, "repo": "base8", "os": "el8", "state": "frozen", "freshness": "frozen", "light": "good", "relation": "frozen", "dcs": "3/3",
                "compose": "CentOS-Stream-8-20240527.0", "changed": "2024-05-28T06:30:00Z", "sets": "el8", "writer": "external",
                "detail": "end of life since 2024-05-31", "frozen": "end of life since 2024-05-31", "checked": "2026-04-07T06:06:00Z", "stable": null,
            }),
        ],
        "mirrors" => vec![
            json!({"repo": "appstream9", "dc": null, "role": "upstream", "freshness": "fresh", "light": "good", "compose": "CentOS-Stream-9-20260403.1", "why": "whole", "checked": "2026-04-07T08:06:00Z"}),
            json!({"repo": "appstream9", "dc": "alder", "role": "replica", "freshness": "fresh", "light": "good", "compose": "CentOS-Stream-9-20260403.1", "why": "the same as upstream", "checked": "2026-04-07T08:06:00Z"}),
            json!({"repo": "appstream9", "dc": "cedar", "role": "replica", "freshness": "behind-1", "light": "amber", "compose": "CentOS-Stream-9-20260331.0", "why": "upstream is 1 compose ahead", "checked": "2026-04-07T08:06:00Z"}),
        ],
        "promotions" => promotion::rows(),
        "versions" => content::versions(),
        "holds" => content::holds(),
        "doctor" => vec![
            json!({"check": "disk", "state": "ok", "found": "93 GiB free", "help": ""}),
            json!({"check": "pipeline nightly", "state": "warn", "found": "1 warning: line 3: no timeout", "help": "quarterdeck pipeline lint nightly"}),
        ],
        _ => Vec::new(),
    };
    let stage = |name: &str, verdict: Option<&str>, ms: Option<u64>| {
        let state = if verdict.is_some() { "done" } else { "running" };
        json!({"name": name, "verdict": verdict, "duration_ms": ms, "state": state, "detail": "", "started": "2026-04-07T08:06:00Z", "steps": [
            {"name": "kiwi", "verdict": verdict, "exit_code": null, "state": state, "detail": ""},
        ]})
    };
    let stages =
        |last: Option<&str>| json!([stage("Checkout", Some("success"), Some(443)), stage("Koji Build", last, last.map(|_| 401_000))]);
    match question {
        Question::Status => json!({
            "pid": 4711, "version": "0.1.0", "socket": "s", "started": "2026-04-04T02:00:00Z", "runs_running": 2, "state_dir": "/var/lib/quarterdeck",
            "private": true, "draining": false, "read_only": false, "epoch": 1, "revision": 9, "scheduler": "on",
            "next_due": "2026-04-08T06:31:00Z", "executors": 2, "executors_busy": 1, "free_bytes": 99_857_989_632_u64,
        }),
        Question::Rows { what, .. } => table(rows(what)),
        Question::Page(p) if p.of.is_some() => content::changes(p.what),
        Question::Page(p) => table(rows(p.what)),
        Question::Changes { table, .. } => content::changes(table),
        Question::Source { name, .. } => content::source(name),
        Question::Repo(name) => content::repo(name),
        Question::Run(run) => json!({
            "run": run.to_string(), "verdict": null, "detail": "", "started": "2026-04-07T08:05:50Z", "round_started": "2026-04-07T08:05:50Z",
            "ended": null, "state": "running", "stages": stages(None),
        }),
        // Only dialogs ask that, and the log screen has tests of its own.
        Question::Plan(_) | Question::WhyRepo(_) => Value::Null,
        Question::Attempts(run) => json!({"run": run.to_string(), "done": false, "attempts": [
            {"fence": 31, "stage": "Checkout", "cell": "", "step": "git", "number": 1, "state": "done", "verdict": "success",
             "started": "2026-04-07T08:05:50Z", "ended": "2026-04-07T08:05:51Z", "log_bytes": 310},
            {"fence": 32, "stage": "Koji Build", "cell": "", "step": "kiwi", "number": 1, "state": "running", "verdict": null,
             "started": "2026-04-07T08:06:00Z", "ended": null, "log_bytes": 5_120},
        ]}),
        Question::Tail { fence, .. } => {
            let text = |i: u64| match (fence, i) {
                (31, _) => format!("object {i} of 7 was fetched"),
                (_, 39) => "\u{1b}[33mwarning:\u{1b}[0m the key of ops-release expires in 12 days".to_owned(),
                _ => format!("installing package {i} of 412"),
            };
            let lines: Vec<Value> = (0..if *fence == 31 { 7 } else { 40 })
                .map(|i| json!({"offset": i * 40, "at": "2026-04-07T08:06:30Z", "text": text(i)}))
                .collect();
            json!({"lines": lines, "next_offset": 1_600, "complete": *fence == 31, "size": 5_120})
        }
        Question::Promotion(_) => promotion::document(),
        Question::Diff { .. } => promotion::diff(),
        Question::Brief { .. } => promotion::brief(),
        Question::Why(run) => json!({"run": run.to_string(), "state": "running", "reasons": ["Koji Build runs since 1m00s"], "detail": []}),
        Question::History { pipeline, .. } => {
            let runs: Vec<Value> = [12, 11, 10, 9].map(|n| {
                json!({
                    "run": format!("nightly#{n}"), "number": n, "state": if n == 12 { "running" } else { "done" },
                    "verdict": match n { 12 => Value::Null, 9 => json!("success"), _ => json!("failure") },
                    "started": format!("2026-04-{:02}T06:31:00Z", n - 5), "duration_ms": if n == 12 { Value::Null } else { json!(402_000) },
                    "changes": if n == 11 { "content el9" } else { "none" },
                    "stages": stages(match n { 12 => None, 9 => Some("success"), _ => Some("failure") }),
                })
            }).into();
            json!({
                "pipeline": pipeline, "runs": runs,
                "averages": [{"stage": "Checkout", "average_ms": 450}, {"stage": "Koji Build", "average_ms": 502_000}],
            })
        }
        Question::About(run) => json!({
            "run": run_row(run.number, None, "2026-04-07T08:05:50Z", ""), "danger": "L1", "parameters": {"profile": "vmw"},
            "decisions": [{"id": 3, "kind": "approve", "subject": format!("{run}/approve"), "who": "bob", "why": "looks right", "at": "2026-04-07T08:05:00Z", "ended": null, "single_person": false, "answers": ""}],
            "artifacts": [{"path": "image/root.log", "size_bytes": 4096, "sha256": "ab".repeat(32)}], "artifact_count": 1, "artifact_bytes": 4096,
            "tests": {"passed": 41, "failed": 1, "skipped": 0},
            "failures": [{"test": "boots", "new": true, "message": "timed out"}],
            "inputs": [{"kind": "content", "name": "el9", "now": "9c41aa03bb17", "before": "71aa04"}], "moved_since": "nightly#11",
            "cells": [
                {"stage": "verify", "cell": "os=el9,arch=x86_64", "step": "s", "state": "done", "verdict": "success", "duration_ms": 60_000, "detail": ""},
                {"stage": "verify", "cell": "os=el9,arch=aarch64", "step": "s", "state": "done", "verdict": "failure", "duration_ms": 5_000, "detail": ""},
                {"stage": "verify", "cell": "os=el10,arch=x86_64", "step": "s", "state": "running", "verdict": null, "duration_ms": null, "detail": ""},
            ],
            "facts": [{"kind": "commit", "url": "https://git/images", "reference": "main", "commit": "4f1c2a0"}],
        }),
    }
}

/// The same console with all that its screen asks for.
pub(in crate::console) fn filled(kind: Kind, size: (u16, u16)) -> Model {
    let mut model = bare(kind, size);
    update(&mut model, Msg::Link(LinkMsg::Up));
    fill(&mut model);
    model
}

/// Answers all that is asked, and what that asks for.
fn fill(model: &mut Model) {
    for _ in 0..3 {
        for question in update::needs(model) {
            if model.known(&question).is_none_or(|k| k.answer.is_none()) {
                let body = said(&question);
                tell(model, &question, &body);
            }
        }
    }
}

fn text(model: &Model) -> String {
    shot::text(&shot::draw(model, &look(true)))
}

#[test]
fn every_screen_at_the_two_sizes_that_matter() {
    for kind in kinds() {
        for size in [(80, 24), (140, 40)] {
            let name = kind.title().replace(['[', ']', ' ', '#'], "").to_lowercase();
            insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), text(&filled(kind.clone(), size)));
        }
    }
}

/// What was known before the engine went away, as such; the first rows say why nothing moves, in our own words, and the last what to do.
#[test]
fn without_an_engine_each_screen_says_how_old_it_is_and_what_to_do() {
    for kind in [Kind::Home, Kind::Runs] {
        for size in [(80, 24), (140, 40)] {
            let mut model = filled(kind.clone(), size);
            update(&mut model, Msg::Link(LinkMsg::Down("the connection broke in the middle of an answer".into())));
            update(&mut model, Msg::Tick("2026-04-07T08:08:30Z".parse().unwrap()));
            let shown = text(&model);
            assert!(shown.contains("DISCONNECTED") && shown.contains("STALE") && shown.contains("quarterdeck engine status"), "{shown}");
            let name = kind.title().replace(['[', ']', ' ', '#'], "").to_lowercase();
            insta::assert_snapshot!(format!("disconnected_{name}_{}x{}", size.0, size.1), shown);
        }
    }
}

/// Without an engine nobody knows whether it still runs: how long it has, as far as that was heard, stands still.
#[test]
fn what_runs_is_not_told_to_run_on_while_nobody_has_heard_of_it() {
    for (kind, took, later) in [
        (Kind::Home, "1m10s", "8m10s"),
        (Kind::Jobs, "1m00s", "8m00s"),
        (Kind::Runs, "1m10s", "8m10s"),
        (Kind::Run("nightly#12".parse().unwrap()), "1m10s", "8m10s"),
    ] {
        let mut model = filled(kind.clone(), (140, 40));
        assert!(text(&model).contains(took), "{kind:?}\n{}", text(&model));
        update(&mut model, Msg::Link(LinkMsg::Down("it was killed".into())));
        let now = model.now + jiff::SignedDuration::from_mins(7);
        update(&mut model, Msg::Tick(now));
        assert!(text(&model).contains(took) && !text(&model).contains(later), "{kind:?}\n{}", text(&model));
        assert!(kind != Kind::Home || text(&model).matches("as of 03:07").count() >= 2, "{}", text(&model));
        update(&mut model, Msg::Link(LinkMsg::Up));
        assert!(text(&model).contains(later), "{kind:?}: it is heard of again\n{}", text(&model));
    }
}

/// The run at work takes longer than nearly all before it: wherever it is shown, in words and not by colour alone.
#[test]
fn a_slow_run_is_marked_on_every_screen_that_shows_it() {
    let since = json!("2026-04-07T08:06:30Z");
    for kind in [Kind::Home, Kind::Jobs, Kind::Runs, Kind::Run("nightly#12".parse().unwrap())] {
        let mut model = filled(kind.clone(), (140, 40));
        assert!(!text(&model).contains("SLOW"), "{}", text(&model));
        for question in update::needs(&model) {
            let mut body = said(&question);
            match &question {
                Question::Rows { what: "runs" | "queue", .. } => body["rows"][0]["slow_since"] = since.clone(),
                Question::About(_) => {
                    body["run"]["slow_since"] = since.clone();
                    body["eta"] = json!({"p50_ms": 40_000, "p90_ms": 50_000, "p95_ms": 60_000, "samples": 20, "elapsed_ms": 70_000, "remaining_ms": 0, "percent": 99});
                }
                _ => continue,
            }
            tell(&mut model, &question, &body);
        }
        let shown = text(&model);
        assert!(shown.contains("SLOW"), "{kind:?}\n{shown}");
        if let Kind::Run(_) = kind {
            assert!(shown.contains("past 1m00s (p95) since") && shown.contains("usually 40s, nine in ten within 50s"), "{shown}");
        }
        if kind == Kind::Home {
            assert!(shown.contains("nightly#12 SLOW: past its p95 for 30s"), "{shown}");
        }
    }
}

#[test]
fn every_screen_says_why_it_has_nothing_to_show() {
    for kind in kinds() {
        let mut model = bare(kind.clone(), (100, 30));
        assert!(text(&model).contains("asking the engine") || text(&model).contains("connecting"), "{}", text(&model));
        update(&mut model, Msg::Link(LinkMsg::Down("no engine listens at /x".into())));
        let shown = text(&model);
        assert!(shown.contains("DISCONNECTED") && shown.contains("no engine listens"), "{shown}");
        // Every table is empty.
        let mut model = bare(kind.clone(), (100, 30));
        update(&mut model, Msg::Link(LinkMsg::Up));
        for q in model.screen().needs() {
            match q {
                Question::Rows { .. } | Question::Changes { .. } => tell(&mut model, &q, &table(Vec::new())),
                Question::Promotion(_) => {
                    let result = Err(ApiError::bad("there is no promotion PR-2026Q2-el9", "quarterdeck get promotions"));
                    update(&mut model, Msg::Answer { question: q, result });
                }
                Question::Run(_) => {
                    let result = Err(ApiError::bad("no run nightly#12", "quarterdeck get runs"));
                    update(&mut model, Msg::Answer { question: q, result });
                }
                _ => tell(&mut model, &q.clone(), &said(&q)),
            }
        }
        let shown = text(&model);
        assert!(!shown.contains("asking the engine"), "{shown}");
        assert!(!shown.contains("B on one of them"), "of no pipeline\n{shown}");
    }
}

#[test]
fn nothing_old_is_good() {
    for kind in kinds() {
        let mut model = filled(kind.clone(), (140, 40));
        update(&mut model, Msg::Link(LinkMsg::Down("it was killed".into())));
        let buf = shot::draw(&model, &look(false));
        let shown = shot::text(&buf);
        let rows: Vec<&str> = shown.lines().skip(2).collect();
        // The table of a list has no sign of success; what is beside it says how old it is.
        if !matches!(kind, Kind::Run(_) | Kind::Promotion(_)) {
            assert!(rows.iter().any(|r| r.contains("STALE") || r.contains("does not answer")), "{shown}");
        }
        if kind == Kind::Jobs {
            assert!(!rows.iter().any(|r| r.contains("all-mirrors") && r.contains('✓')), "{shown}");
        }
    }
}

#[test]
fn a_broken_chain_stands_above_everything() {
    let mut model = filled(Kind::Audit, (80, 24));
    let q = Question::Rows { what: "audit", limit: crate::console::model::screen::PAGE };
    let mut body = said(&q);
    body["error"] = json!("entry 5 does not follow entry 4");
    tell(&mut model, &q, &body);
    let shown = text(&model);
    let row = shown.lines().nth(2).unwrap();
    assert!(row.starts_with("!! THE CHAIN IS BROKEN: entry 5"), "{shown}");
    assert!(shown.lines().nth(1).unwrap().contains("AUDIT CHAIN BROKEN"), "{shown}");
}

/// That one person stood for two is told beside a subject that is whole.
#[test]
fn a_subject_of_the_audit_is_whole_beside_any_result() {
    let mut model = filled(Kind::Audit, (140, 40));
    let q = Question::Rows { what: "audit", limit: crate::console::model::screen::PAGE };
    let mut body = said(&q);
    body["rows"][0]["subject"] = json!("quarterly-promotion#5/ISO and bundles");
    body["rows"][0]["single_person"] = json!(true);
    tell(&mut model, &q, &body);
    let shown = text(&model);
    let row = shown.lines().nth(4).unwrap();
    assert!(row.contains(" quarterly-promotion#5/ISO and bundles 1 PERSON"), "{shown}");
    assert!(shown.contains("one person stood for two"), "{shown}");
}

/// A stage that is many runs says how many, not the name of one of them.
#[test]
fn a_stage_that_is_many_runs_says_how_many() {
    let mut model = filled(Kind::Run("nightly#12".parse().unwrap()), (140, 40));
    let q = Question::Run("nightly#12".parse().unwrap());
    let mut body = said(&q);
    let step = |n: u32| json!({"name": format!("tiny (a={n})"), "verdict": "success", "exit_code": null, "state": "done", "detail": "", "child": format!("tiny#{n}")});
    body["stages"][0]["steps"] = (1..=3).map(step).collect();
    body["stages"][0]["detail"] = json!("tiny#2");
    tell(&mut model, &q, &body);
    let shown = text(&model);
    assert!(shown.lines().any(|l| l.starts_with("  3 runs ")), "{shown}");
}

/// With many things that need somebody, and starts that take more than one line, the last line of what goes on now is still there.
#[test]
fn home_keeps_its_disk_at_80x24() {
    let mut model = filled(Kind::Home, (80, 24));
    let q = Question::Rows { what: "schedule", limit: 500 };
    let mut body = said(&q);
    let first = body["rows"][0].clone();
    body["rows"] = (0..12)
        .map(|i| {
            let mut row = first.clone();
            row["pipeline"] = json!(format!("nightly-of-a-long-name-{i}"));
            row
        })
        .collect();
    tell(&mut model, &q, &body);
    let shown = text(&model);
    assert!(shown.contains("DISK") && shown.contains("and 11 more"), "{shown}");
}

/// What a promotion waits for is told whole where there are 80 columns.
#[test]
fn whom_a_promotion_waits_for_is_told_at_80_columns() {
    let mut model = filled(Kind::Promotions, (80, 24));
    let q = Question::Rows { what: "promotions", limit: 500 };
    let mut body = said(&q);
    for (state, missing) in [("READY", "ops security"), ("READY", "security")] {
        (body["rows"][0]["state"], body["rows"][0]["missing"], body["rows"][0]["moved"]) = (json!(state), json!(missing), json!(""));
        tell(&mut model, &q, &body);
        let want = format!("{}: A", missing.replace(' ', ", "));
        assert!(text(&model).contains(&want), "{}", text(&model));
    }
    body["rows"][0]["state"] = json!("ROLLED-BACK");
    tell(&mut model, &q, &body);
    assert!(text(&model).contains("nothing: rolled back"), "{}", text(&model));
}

#[test]
fn widths_stay_while_a_list_is_scrolled() {
    let mut model = bare(Kind::Runs, (100, 12));
    update(&mut model, Msg::Link(LinkMsg::Up));
    let rows: Vec<Value> =
        (0..200).map(|n| run_row(n * n * n + 1, Some("success"), "2026-04-06T06:31:00Z", &"x".repeat(n as usize))).collect();
    tell(&mut model, &Question::Rows { what: "runs", limit: 500 }, &table(rows));
    let heading = |m: &Model| text(m).lines().find(|l| l.contains("RUN ")).map(str::to_owned);
    let before = heading(&model);
    for key in ["G", "pgup", "pgup", "g", "g"] {
        update(&mut model, Msg::Key { key: key.parse().unwrap(), repeat: false });
        assert_eq!(heading(&model), before);
    }
}

#[test]
fn a_cell_that_changed_is_marked_for_a_few_seconds() {
    let mut model = filled(Kind::Runs, (100, 30));
    let pane: Pane = model.screen().kind.panes()[0];
    let q = pane.question();
    let mut body = said(&q);
    body["rows"][1]["detail"] = json!("another reason");
    tell(&mut model, &q, &body);
    assert!(model.is_fresh(&pane, "nightly#11", "detail") && !model.is_fresh(&pane, "nightly#11", "run"));
    let later: Timestamp = NOW.parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_secs(6);
    update(&mut model, Msg::Tick(later));
    assert!(!model.is_fresh(&pane, "nightly#11", "detail") && !model.anything_fresh());
}

/// Texts as a hostile far end writes them.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m".to_owned()),
        Just("e\u{301}\u{301}\u{301}\u{200d}\u{202e}abc\u{200b}".to_owned()),
        Just("\u{65e5}\u{672c}\u{8a9e}\u{ff21}\u{1f469}\u{200d}\u{1f4bb}".to_owned()),
        Just("x".repeat(5_000)),
        Just("a\nb\r\nc\td\0".to_owned()),
        Just(String::new()),
        "\\PC{0,40}",
        any::<String>(),
    ]
}

/// Puts these texts where the engine puts words, in turn.
fn spoil(value: &mut Value, texts: &[String], next: &mut usize) {
    match value {
        Value::String(s) if s.parse::<Timestamp>().is_err() && s.parse::<crate::domain::run::RunRef>().is_err() => {
            *next += 1;
            s.clone_from(&texts[*next % texts.len()]);
        }
        Value::Array(all) => all.iter_mut().for_each(|v| spoil(v, texts, next)),
        Value::Object(map) => map.values_mut().for_each(|v| spoil(v, texts, next)),
        _ => {}
    }
}

fn clean(buf: &Buffer) -> bool {
    buf.content.iter().all(|c| !c.symbol().chars().any(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_screen_at_any_size_with_hostile_words_keeps_to_its_cells(
        which in 0usize..14,
        size in (0u16..=300, 0u16..=100),
        small in any::<bool>(),
        texts in proptest::collection::vec(hostile(), 1..6),
        wide in any::<bool>(),
        focus in 0usize..3,
        ascii in any::<bool>(),
    ) {
        let size = if small { (size.0 % 24, size.1 % 12) } else { size };
        let mut model = bare(kinds()[which].clone(), size);
        update(&mut model, Msg::Link(LinkMsg::Up));
        let mut next = 0;
        for q in update::needs(&model).into_iter().chain([Question::Promotion("PR-2026Q2-el9".into())]) {
            let mut body = said(&q);
            spoil(&mut body, &texts, &mut next);
            let Ok(answer) = q.read(body.to_string().as_bytes()) else { continue };
            update(&mut model, Msg::Answer { question: q, result: Ok(answer) });
        }
        let screen = model.screen_mut();
        screen.wide = wide;
        screen.focus = focus.min(screen.lists.len().saturating_sub(1));
        prop_assert!(clean(&shot::draw(&model, &look(ascii))));
        // Old answers go through other words.
        update(&mut model, Msg::Link(LinkMsg::Down(texts[0].clone())));
        prop_assert!(clean(&shot::draw(&model, &look(ascii))));
    }

    #[test]
    fn any_keys_leave_a_selection_that_is_there(keys in proptest::collection::vec(0usize..16, 0..40), which in 0usize..14) {
        const KEYS: [&str; 16] = ["j", "k", "G", "g", "pgdn", "n", "N", "space", "s", "S", "tab", "enter", "q", "]", "=", "esc"];
        let mut model = filled(kinds()[which].clone(), (80, 24));
        for k in keys {
            update(&mut model, Msg::Key { key: KEYS[k].parse().unwrap(), repeat: false });
            prop_assert!(!model.stack.is_empty());
            let screen = model.screen();
            prop_assert_eq!(screen.lists.len(), screen.kind.panes().len());
            for list in &screen.lists {
                prop_assert!(list.is_empty() || list.at < list.len());
            }
        }
    }
}
