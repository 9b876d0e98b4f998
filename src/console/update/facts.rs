//! The worst facts, for the ribbon and for home. Each has an age, or is true now; nothing is green for want of knowledge.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::types::Ack;
use crate::base::{count, duration, size};
use crate::console::model::list::Row;
use crate::console::model::screen::PAGE;
use crate::console::model::{Link, Model};
use crate::console::model::{when, word};
use crate::console::question::Question;
use crate::domain::problem::{self, Problem};
use crate::domain::run::RunState;

/// Less room than this, and somebody should look; runs need it for workspaces and logs.
const ROOM_BYTES: u64 = 5 << 30;
/// What waits longer in the queue is told.
const WAITS_MS: i64 = 10 * 60 * 1_000;

/// One fact. 3 = nothing else can be trusted, 2 = something is broken, 1 = somebody should look, 0 = good to know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fact {
    pub weight: u8,
    /// The short form, for the ribbon.
    pub text: String,
    pub what: String,
    pub why: String,
    pub affects: String,
    pub since: Option<Timestamp>,
    /// A run, or a pipeline.
    pub target: String,
    /// The screen that shows more.
    pub go: &'static str,
    /// What to press or do.
    pub press: String,
    /// What somebody may say to look after; none where nobody can.
    pub problem: Option<Problem>,
    /// Who does.
    pub ack: Option<Ack>,
}

fn fact(weight: u8, text: impl Into<String>) -> Fact {
    let text = text.into();
    Fact { weight, what: text.clone(), text, ..Fact::default() }
}

/// All facts, worst first; at least one.
pub fn facts(model: &Model) -> Vec<Fact> {
    let mut out = Vec::new();
    match &model.link {
        Link::Down { why, since } => {
            let text = format!("NO ENGINE for {}: {why}", age(model.now, *since));
            out.push(Fact {
                what: "no engine answers".into(),
                why: why.clone(),
                since: Some(*since),
                press: "wait: it is tried again by itself; quarterdeck engine status says more".into(),
                ..fact(3, text)
            });
        }
        Link::Connecting => out.push(fact(0, "waiting for the engine")),
        Link::Saved { .. } | Link::Up => {}
    }
    out.extend(model.key_reports.iter().map(|r| fact(1, format!("keys: {r}"))));
    engine(model, &mut out);
    sources(model, &mut out);
    for row in of(model, "pipelines") {
        pipeline(model, row, &mut out);
    }
    for row in of(model, "queue") {
        waits(model, row, &mut out);
        slow(model, row, &mut out);
    }
    for row in of(model, "schedule") {
        missed(model, row, &mut out);
    }
    for row in of(model, "repos") {
        mirror(model, row, &mut out);
    }
    for row in of(model, "promotions") {
        promotion(row, &mut out);
    }
    let audit = model.rows(&Question::Rows { what: "audit", limit: PAGE }).and_then(|r| r.error.as_ref());
    if let Some(broken) = audit {
        out.push(Fact { go: "audit", why: broken.clone(), ..fact(3, format!("AUDIT CHAIN BROKEN: {broken}")) });
    }
    for f in &mut out {
        f.ack = f.problem.as_ref().and_then(|p| ack_of(model, p)).cloned();
        if let Some(a) = &f.ack {
            f.weight = f.weight.min(1);
            f.text = format!("{} (ack {})", f.text, a.who);
        }
    }
    // Of equal weight, what nobody looks after comes first.
    out.sort_by_key(|f| (std::cmp::Reverse(f.weight), f.ack.is_some()));
    if !out.iter().any(|f| f.weight > 0) {
        out.insert(0, quiet(model));
    }
    out
}

/// Who looks after this, as far as the engine has told.
pub fn ack_of<'a>(model: &'a Model, problem: &Problem) -> Option<&'a Ack> {
    let holds = |a: &&Ack| a.until.parse::<Timestamp>().is_ok_and(|t| t > model.now);
    let all = model.status()?.acks.iter();
    all.filter(holds).find(|a| a.subject == problem.subject && a.problems.contains(&problem.what))
}

fn quiet(model: &Model) -> Fact {
    if model.status().is_none() {
        return fact(0, "asking the engine");
    }
    fact(0, looked_at(model).map_or("nothing to look at yet: no pipeline is configured".into(), |l| format!("nothing is red in {l}")))
}

/// `7 pipelines (5 never ran) and 18 repositories (2 not known)`: what was looked at, and of how much of it nothing is known; none where the
/// site names nothing.
pub fn looked_at(model: &Model) -> Option<String> {
    let but = |n: usize, what: &str| if n > 0 { format!(" ({n} {what})") } else { String::new() };
    let (pipelines, repos) = (of(model, "pipelines"), of(model, "repos"));
    if pipelines.is_empty() && repos.is_empty() {
        return None;
    }
    let never = pipelines.iter().filter(|r| word::text(r, "last_run").is_empty()).count();
    let moved = pipelines.iter().filter(|r| word::text(r, "last_verdict") == "success" && word::is_moved(r)).count();
    let dark = repos.iter().filter(|r| word::text(r, "light").is_empty()).count();
    let mut out = count::s(pipelines.len() as u64, "pipeline");
    out += &match (never, moved) {
        (n, 0) => but(n, "never ran"),
        (0, m) => but(m, "on other content since"),
        (n, m) => format!(" ({n} never ran, {m} on other content since)"),
    };
    if !repos.is_empty() {
        out += &format!(" and {}{}", count::of(repos.len() as u64, "repository", "repositories"), but(dark, "not known"));
    }
    Some(out)
}

fn of<'a>(model: &'a Model, what: &'static str) -> &'a [Row] {
    model.rows(&Question::Rows { what, limit: PAGE }).map_or(&[], |r| r.rows.as_slice())
}

fn age(until: Timestamp, since: Timestamp) -> String {
    duration::short(u64::try_from(until.duration_since(since).as_millis()).unwrap_or(0))
}

fn engine(model: &Model, out: &mut Vec<Fact>) {
    let Some(s) = model.status() else { return };
    if !s.site_error.is_empty() {
        let why = s.site_error.lines().next().unwrap_or_default().to_owned();
        let press = "quarterdeck site check".into();
        out.push(Fact { why: why.clone(), affects: "every change".into(), press, go: "doctor", ..fact(2, format!("SITE FILE: {why}")) });
    }
    if let Some((word, why)) = s.scheduler.split_once(':') {
        let weight = if word == "off" { 0 } else { 2 };
        let text = format!("scheduler {}:{why}", word.to_uppercase());
        let affects = if weight > 0 { "every clock".into() } else { String::new() };
        out.push(Fact { why: why.trim().to_owned(), affects, go: "schedule", ..fact(weight, text) });
    }
    if s.draining {
        let why = if s.drain_reason.is_empty() { "nothing new starts".to_owned() } else { s.drain_reason.clone() };
        out.push(Fact { why: why.clone(), affects: "every start".into(), ..fact(1, format!("DRAINED {why}")) });
    }
    if !s.low_disk.is_empty() {
        let press = "old runs: keep: in pipelines".into();
        let why = s.low_disk.clone();
        let text = format!("NOTHING STARTS: {why}");
        out.push(Fact { why, affects: "every start".into(), press, go: "doctor", ..fact(2, text) });
    } else if let Some(free) = s.free_bytes.filter(|f| *f < ROOM_BYTES) {
        let press = "old runs: keep: in pipelines".into();
        out.push(Fact { affects: "logs, workspaces".into(), press, go: "doctor", ..fact(1, format!("disk: {} free", size::short(free))) });
    }
    if model.newer_engine().is_some() {
        let own = env!("CARGO_PKG_VERSION");
        let text = format!("ENGINE IS NEWER: {} and this console {own}", s.version);
        let why = "some of what it says may not be shown, and nothing is sent to it".to_owned();
        out.push(Fact { why, affects: "every change".into(), press: "q, newer one".into(), go: "doctor", ..fact(2, text) });
    } else if s.version != env!("CARGO_PKG_VERSION") {
        let own = env!("CARGO_PKG_VERSION");
        out.push(fact(1, format!("the engine is version {}, this console {own}: what it says may be shown in part", s.version)));
    }
    if s.read_only {
        out.push(fact(0, "the site is read-only"));
    }
    if let Some(at) = s.next_due.as_deref().and_then(|t| t.parse().ok()) {
        out.push(fact(0, format!("next start {} ({})", when::show(model, at), when::relative(model.now, at))));
    }
}

/// A far end that has said nothing for twice the time that its answers may be old. One that is not asked by the clock is told where it is asked.
fn sources(model: &Model, out: &mut Vec<Fact>) {
    if model.link != Link::Up {
        return;
    }
    for s in model.status().map(|s| s.sources.as_slice()).unwrap_or_default() {
        let Some(budget) = s.budget_ms.and_then(|b| i64::try_from(b).ok()).filter(|_| matches!(s.state.as_str(), "silent" | "stale"))
        else {
            continue;
        };
        let since: Option<Timestamp> = s.answered.as_deref().and_then(|t| t.parse().ok());
        if since.is_some_and(|t| model.now.duration_since(t).as_millis() <= 2 * i128::from(budget)) {
            continue;
        }
        let (word, age) = (s.state.to_uppercase(), since.map(|t| format!(", since {}", when::show(model, t))).unwrap_or_default());
        let what = format!("source {} {word}", crate::base::sanitise::cell(&s.source));
        out.push(Fact {
            what: what.clone(),
            why: if s.error.is_empty() { format!("{} was not asked in time", s.at) } else { s.error.clone() },
            since,
            affects: format!("{} places", s.places),
            press: "enter".into(),
            problem: Some(problem::source(&s.source)),
            go: "mirrors",
            ..fact(1, format!("{what}{age}"))
        });
    }
}

fn pipeline(model: &Model, row: &Row, out: &mut Vec<Fact>) {
    let name = word::text(row, "pipeline");
    if row.get("errors").and_then(Value::as_u64).unwrap_or(0) > 0 {
        let affects = "its starts".into();
        let why = "nothing starts it before they are mended".into();
        let text = format!("{name}: ERRORS in its file");
        let problem = problem::errors(row);
        out.push(Fact { target: name.clone(), why, affects, problem, press: "p".into(), go: "jobs", ..fact(2, text) });
    }
    let verdict = word::text(row, "last_verdict");
    let red = row.get("red_runs").and_then(Value::as_u64).unwrap_or(0);
    // A new attempt that runs says nothing yet: what was red is red until it ends well.
    let open = verdict.is_empty() && red > 0;
    if open || matches!(verdict.as_str(), "failure" | "lost" | "invalid") {
        let since = when::instant(row, "red_since").or_else(|| when::instant(row, "last_ended"));
        let word = if open {
            "RED".to_owned()
        } else if verdict == "failure" {
            "RED".into()
        } else {
            verdict.to_uppercase()
        };
        let times = if red > 1 { format!(" x{red}") } else { String::new() };
        let at = since.map(|t| format!(", since {}", when::show(model, t))).unwrap_or_default();
        let good = match (word::text(row, "last_success"), when::instant(row, "last_success_ended")) {
            (run, Some(t)) if !run.is_empty() => format!("last good {run}, {}", when::show(model, t)),
            _ => "it was never good".into(),
        };
        let target = match word::text(row, "last_failure") {
            f if f.is_empty() => word::text(row, "last_run"),
            f => f,
        };
        out.push(Fact {
            what: match target.rsplit_once('#') {
                Some((_, n)) if red > 1 => format!("{name} {word}{times}, last #{n}"),
                Some((_, n)) => format!("{name} {word} #{n}"),
                None => format!("{name} {word}{times}"),
            },
            why: good,
            since,
            target,
            go: "run",
            press: "enter, l".into(),
            affects: word::text(row, "views"),
            problem: problem::red(row),
            ..fact(2, format!("{name} {word}{times}{at}"))
        });
    }
}

fn waits(model: &Model, row: &Row, out: &mut Vec<Fact>) {
    let (run, why, since) = (word::text(row, "run"), word::text(row, "blocked"), when::instant(row, "queued"));
    let long = since.is_some_and(|t| model.heard().duration_since(t).as_millis() > i128::from(WAITS_MS));
    let people = word::text(row, "state") == "waiting";
    if people || (long && !why.is_empty()) {
        let text = if people { format!("{run} WAITS for people") } else { format!("{run} has not begun") };
        let time = since.map(|t| format!(" {}", age(model.heard(), t))).unwrap_or_default();
        let press = if people { "enter, A V".into() } else { "enter".into() };
        let target = run.clone();
        let problem = problem::waits(&run, if people { RunState::Waiting } else { RunState::Queued });
        out.push(Fact { what: text.clone(), why, since, target, go: "run", press, problem, ..fact(1, format!("{text}{time}")) });
    }
}

/// A run that takes longer than nearly all good ones before it.
fn slow(model: &Model, row: &Row, out: &mut Vec<Fact>) {
    let Some(since) = when::instant(row, "slow_since") else { return };
    let run = word::text(row, "run");
    let text = format!("{run} SLOW: past its p95");
    let why = "it takes longer than nearly all good runs of its pipeline".to_owned();
    let time = format!(" for {}", age(model.heard(), since));
    let (since, problem, target, press) = (Some(since), Some(problem::slow(&run)), run, "enter, l".into());
    out.push(Fact { what: text.clone(), why, since, target, problem, go: "run", press, ..fact(1, format!("{text}{time}")) });
}

/// A repository that is not what it should be, in one datacentre or all. No target: it is no pipeline that could be run.
fn mirror(model: &Model, row: &Row, out: &mut Vec<Fact>) {
    let weight = match word::text(row, "light").as_str() {
        "red" => 2,
        "amber" => 1,
        _ => return,
    };
    let since = when::instant(row, "since");
    let time = since.map(|t| format!(", since {}", when::show(model, t))).unwrap_or_default();
    let what = format!("{} {}", word::text(row, "repo"), word::text(row, "freshness").to_uppercase());
    let (why, affects) = (word::text(row, "detail"), format!("{} DCs", word::text(row, "dcs")));
    let (press, problem) = ("enter".to_owned(), problem::repo(row));
    out.push(Fact { what: what.clone(), why, since, affects, press, problem, go: "mirrors", ..fact(weight, format!("{what}{time}")) });
}

/// A promotion that people keep waiting, or that stands still half-way.
fn promotion(row: &Row, out: &mut Vec<Fact>) {
    let (id, state) = (word::text(row, "promotion"), word::text(row, "state"));
    let number = |f: &str| row.get(f).and_then(Value::as_u64).unwrap_or(0);
    let weight = match state.as_str() {
        "HALTED" => 2,
        "GATED" | "READY" | "APPROVED" => 1,
        _ => return,
    };
    let missing = word::text(row, "missing");
    let moved = word::text(row, "moved");
    let (text, why) = match state.as_str() {
        "HALTED" => {
            let at = format!("{} of {} datacentres switched", number("switched"), number("datacentres"));
            (format!("{id} HALTED: {at}"), word::text(row, "detail"))
        }
        _ if !moved.is_empty() => (format!("{id} {state}: it has moved"), moved),
        "GATED" => (format!("{id} gated: {} of {} gates pass", number("passed"), number("gates")), word::text(row, "detail")),
        "READY" => (format!("{id} READY: {} must approve", missing.replace(' ', ", ")), word::text(row, "detail")),
        _ => (format!("{id} APPROVED: it waits for its start"), word::text(row, "detail")),
    };
    out.push(Fact {
        why,
        target: String::new(),
        affects: word::text(row, "os"),
        press: "enter".into(),
        problem: problem::promotion(row),
        go: "promotions",
        ..fact(weight, text)
    });
}

fn missed(model: &Model, row: &Row, out: &mut Vec<Fact>) {
    let (pipeline, outcome, why) = (word::text(row, "pipeline"), word::text(row, "last_outcome"), word::text(row, "last_why"));
    if outcome != "skipped" {
        return;
    }
    let since = when::instant(row, "last_scheduled");
    let at = since.map(|t| format!(" {}", when::show(model, t))).unwrap_or_default();
    let text = format!("{pipeline} did not start{at}");
    let press = "enter: make it up".into();
    let problem = problem::missed(row);
    out.push(Fact { what: text.clone(), why, since, target: pipeline, go: "schedule", press, problem, ..fact(1, text) });
}

/// What needs the person, as the rows of a list.
pub fn rows(model: &Model) -> Vec<Row> {
    let row = |f: &Fact| {
        let since = f.since.map(|t| t.to_string());
        let own = |a: &Ack| format!("{} until {}", a.who, a.until.parse().map(|t| when::show(model, t)).unwrap_or_default());
        let affects = f.ack.as_ref().map_or_else(|| f.affects.clone(), own);
        let severity = if f.ack.is_some() { "ack".to_owned() } else { format!("S{}", 4 - f.weight.min(3)) };
        let id = format!("{} {}", f.go, if f.target.is_empty() { &f.what } else { &f.target });
        let value = json!({
            "id": id, "severity": severity, "since": since, "what": f.what, "why": f.why, "affects": affects, "target": f.target,
            "go": f.go, "press": f.press, "subject": f.problem.as_ref().map(|p| &p.subject),
            "ack": f.ack.as_ref().map(|a| &a.who), "ack_until": f.ack.as_ref().map(|a| &a.until), "ack_why": f.ack.as_ref().map(|a| &a.why),
        });
        match value {
            Value::Object(map) => map,
            _ => Row::new(),
        }
    };
    // What somebody looks after comes behind everything that nobody does.
    let mut all = facts(model);
    all.sort_by_key(|f| f.ack.is_some());
    all.iter().filter(|f| f.weight > 0).take(PAGE).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::connected;
    use super::super::update;
    use super::*;
    use crate::api::types::Source;
    use crate::console::msg::{LinkMsg, Msg};
    use crate::console::question::Answer;
    use crate::console::shot;
    use crate::theme::{Glyphs, Look, Theme};

    fn source(name: &str, state: &str, minutes_ago: i64, m: &Model) -> Source {
        let answered = Some((m.now - jiff::SignedDuration::from_mins(minutes_ago)).to_string());
        Source {
            source: name.into(),
            state: state.into(),
            answered,
            budget_ms: Some(330_000),
            error: "HTTP 503".into(),
            ..Source::default()
        }
    }

    fn hears(m: &mut Model, sources: Vec<Source>) {
        let mut s = m.status().unwrap().clone();
        s.sources = sources;
        update(m, Msg::Answer { question: Question::Status, result: Ok(Answer::Status(Box::new(s))) });
    }

    fn first_row(m: &Model) -> String {
        let all = shot::text(&shot::draw(m, &Look { theme: Theme::plain(), glyphs: Glyphs::ASCII }));
        all.lines().next().unwrap_or_default().trim_end().to_owned()
    }

    #[test]
    fn a_source_that_is_silent_for_twice_its_budget_is_told_and_the_first_row_counts() {
        let mut m = connected();
        assert!(!first_row(&m).contains("src"), "nobody is asked: {}", first_row(&m));
        let all = vec![source("alder", "answers", 1, &m), source("birch", "silent", 5, &m), source("cedar", "silent", 12, &m)];
        hears(&mut m, all);
        let told: Vec<String> = facts(&m).into_iter().filter(|f| f.text.contains("source")).map(|f| f.text).collect();
        assert_eq!(told, ["source cedar SILENT, since 02:55:00"], "birch may still answer in time");
        assert!(first_row(&m).ends_with("src 1/3"), "{}", first_row(&m));
        // Without an engine nobody knows.
        update(&mut m, Msg::Link(LinkMsg::Down("gone".into())));
        assert!(first_row(&m).ends_with("src ?/3"), "{}", first_row(&m));
        assert!(facts(&m).iter().all(|f| !f.text.contains("source cedar")));
    }

    #[test]
    fn a_disk_on_which_nothing_starts_is_worse_than_one_that_gets_full() {
        let mut m = connected();
        let mut told = |low: &str| {
            let mut s = m.status().unwrap().clone();
            (s.free_bytes, s.low_disk) = (Some(177 << 20), low.to_owned());
            update(&mut m, Msg::Answer { question: Question::Status, result: Ok(Answer::Status(Box::new(s))) });
            let fact = facts(&m).into_iter().find(|f| f.text.contains("disk")).unwrap();
            (fact.weight, fact.text, fact.affects)
        };
        assert_eq!(told(""), (1, "disk: 177 MiB free".to_owned(), "logs, workspaces".to_owned()));
        let low = "low disk: 3 inodes free of the 1000 that /s must have";
        assert_eq!(told(low), (2, format!("NOTHING STARTS: {low}"), "every start".to_owned()));
    }

    #[test]
    fn where_there_is_little_room_the_time_stays() {
        let mut m = connected();
        let all = vec![source("alder", "answers", 1, &m)];
        hears(&mut m, all);
        for (width, want) in [(80, "src 1/1"), (48, "src 1/1"), (42, "UTC")] {
            m.size = (width, 24);
            assert!(first_row(&m).ends_with(want), "{width}: {}", first_row(&m));
        }
    }
}
