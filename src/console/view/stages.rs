//! The stage view: a row a stage, with this run's time, a bar, the usual time, and the runs before it side by side.

use jiff::Timestamp;

use super::list::{self, Trust};
use super::stage_page::Page;
use super::text::rule;
use super::{matrix, spots, when};
use crate::api::page::{History, PastRun};
use crate::api::types::{RunDoc, StageDoc, StepDoc};
use crate::base::{count, duration};
use crate::console::model::Model;
use crate::console::model::screen::PAST;
use crate::console::question::Question;
use crate::console::widget::paint;
use crate::domain::run::RunRef;
use crate::theme::Role;

/// Columns of one run before this one, with its gap.
const RUN: u16 = 9;
/// Columns of a time.
const TIME: u16 = 7;
/// Columns of a step's name at least.
const STEP: usize = 16;
/// Rows below the stages: how long the runs took, when they were, what moved.
const FOOT: u16 = 3;

/// Draws stages and matrices; returns the rows that were used, and the one where the cursor stands.
pub fn draw(model: &Model, page: &mut Page<'_>, doc: &RunDoc, run: &RunRef) -> (u16, Option<u16>) {
    let history = model.history(&run.pipeline);
    table(model, page, doc, history, run);
    if let Some(about) = model.about(run) {
        for (stage, cells) in spots::by_stage(about) {
            matrix::draw(page, stage, &cells);
        }
    }
    (page.y.min(page.area.height), page.found)
}

fn table(model: &Model, page: &mut Page<'_>, doc: &RunDoc, history: Option<&History>, run: &RunRef) {
    let width = page.area.width;
    let longest = doc.stages.iter().map(|s| paint::width(&s.name)).max().unwrap_or(5).max(5) as u16;
    let past: Vec<&PastRun> = history.map(|h| h.runs.iter().filter(|r| r.number != run.number).collect()).unwrap_or_default();
    let bar = (width / 10).clamp(4, 12);
    // Names have a quarter of the width, and what the runs before leave.
    let taken = 2 + 1 + TIME + 1 + bar + 1 + TIME + 1 + RUN * past.len().min(usize::from(width / RUN)) as u16;
    let names = longest.min(width.saturating_sub(taken).max(width / 4).max(6));
    let times = 2 + names + 1 + TIME;
    let average = times + 1 + bar + 1 + TIME;
    let room = usize::from(width.saturating_sub(average + 1) / RUN);
    let past = &past[..past.len().min(room)];
    let column = |i: usize| average + 1 + RUN * (i as u16 + 1);
    // Title, then one column for each run.
    rule(page.look, page.area, page.buf, page.y, "STAGES", "");
    page.y += 1;
    page.before(times, "TIME", Role::Heading);
    page.before(average, "USUAL", Role::Heading);
    for (i, r) in past.iter().enumerate() {
        let (_, role) = page.verdict(r.verdict.as_deref().unwrap_or(&r.state));
        page.before(column(i), &format!("#{}", r.number), role);
    }
    page.y += 1;
    let longest = doc.stages.iter().filter_map(|s| elapsed(model, history, run, s)).max().unwrap_or(0).max(1);
    for stage in &doc.stages {
        let outcome = match &stage.verdict {
            Some(v) => v.clone(),
            // Nothing runs in it: it waits for people.
            None if doc.state == "waiting" && stage.state == "running" => "waiting".to_owned(),
            None => stage.state.clone(),
        };
        let (sign, role) = page.verdict(&outcome);
        page.at(0, sign, role);
        let name = paint::cut(&stage.name, usize::from(names), page.look.glyphs.ellipsis);
        let here = page.here(&spots::of_stage(&stage.name), 1);
        page.at(2, &name, if here { Role::Selected } else { Role::Text });
        let took = elapsed(model, history, run, stage);
        let usual = history.and_then(|h| h.averages.iter().find(|a| a.stage == stage.name)?.average_ms);
        // Twice its usual time is worth a look, whatever the verdict says.
        let slow = matches!((took, usual), (Some(t), Some(u)) if t > 2 * u && t > 5_000);
        let time = took.map(duration::short).unwrap_or_else(|| "-".into());
        page.before(times, &time, if slow { Role::Warn } else { Role::Text });
        let full = took.map_or(0, |ms| (u128::from(ms) * u128::from(bar)).div_ceil(u128::from(longest)) as usize).min(usize::from(bar));
        let strip = format!("{}{}", page.look.glyphs.bar[2].repeat(full), page.look.glyphs.bar[0].repeat(usize::from(bar) - full));
        page.at(times + 1, &strip, role);
        page.before(average, &usual.map(duration::short).unwrap_or_else(|| "-".into()), Role::Dim);
        past_stage(page, past, &stage.name, &column);
        page.y += 1;
        words(page, stage, &outcome);
    }
    if !past.is_empty() {
        footer(model, page, past, &column, false);
    }
}

/// The last runs of a pipeline side by side, newest first, where no run has the screen. `umbrella`: how long its runs took says nothing.
pub fn history(model: &Model, page: &mut Page<'_>, pipeline: &str, umbrella: bool) {
    let trust = list::trust(model, &Question::History { pipeline: pipeline.to_owned(), limit: PAST });
    page.old = matches!(trust, Trust::Old(_));
    let right = if let Trust::Old(why) = &trust { format!("STALE {why}") } else { "enter opens the newest".to_owned() };
    rule(page.look, page.area, page.buf, page.y, &format!("STAGE VIEW {pipeline}"), &right);
    page.y += 1;
    let Some(history) = model.history(pipeline).filter(|h| !h.runs.is_empty()) else {
        let (text, role) = match trust {
            Trust::None(why) => (why, Role::Bad),
            Trust::Asking => ("asking the engine".to_owned(), Role::Dim),
            Trust::Now | Trust::Old(_) => ("no run yet: B starts one".to_owned(), Role::Dim),
        };
        page.at(2, &text, role);
        return;
    };
    // The stages of the newest run, then those that only older ones have.
    let mut names: Vec<&str> = Vec::new();
    for stage in history.runs.iter().flat_map(|r| &r.stages) {
        if !names.contains(&stage.name.as_str()) {
            names.push(&stage.name);
        }
    }
    let width = page.area.width;
    let longest = names.iter().map(|n| paint::width(n)).max().unwrap_or(5).max(7) as u16;
    let name = longest.min((width / 3).max(7));
    let average = 2 + name + 1 + TIME;
    let past: Vec<&PastRun> = history.runs.iter().take(usize::from(width.saturating_sub(average + 1) / RUN)).collect();
    let column = |i: usize| average + 1 + RUN * (i as u16 + 1);
    page.before(average, "USUAL", Role::Heading);
    for (i, r) in past.iter().enumerate() {
        let (sign, role) = page.verdict(r.verdict.as_deref().unwrap_or(&r.state));
        page.before(column(i), &format!("#{}{sign}", r.number), role);
    }
    page.y += 1;
    let room = usize::from(page.area.height.saturating_sub(page.y + FOOT));
    let shown = if names.len() > room { room.saturating_sub(1) } else { names.len() };
    for stage in &names[..shown] {
        let text = paint::cut(stage, usize::from(name), page.look.glyphs.ellipsis);
        page.at(2, &text, Role::Text);
        let usual = history.averages.iter().find(|a| a.stage == *stage).and_then(|a| a.average_ms);
        page.before(average, &usual.map(duration::short).unwrap_or_else(|| "-".into()), Role::Dim);
        past_stage(page, &past, stage, &column);
        page.y += 1;
    }
    if shown < names.len() {
        page.at(2, &format!("and {}", count::s((names.len() - shown) as u64, "more stage")), Role::Dim);
        page.y += 1;
    }
    footer(model, page, &past, &column, umbrella);
}

/// What a stage was in the runs before.
fn past_stage(page: &mut Page<'_>, past: &[&PastRun], stage: &str, column: &dyn Fn(usize) -> u16) {
    for (i, r) in past.iter().enumerate() {
        let Some(s) = r.stages.iter().find(|s| s.name == stage) else {
            page.before(column(i), "N/A", Role::Dim);
            continue;
        };
        let (sign, role) = page.verdict(s.verdict.as_deref().unwrap_or(&s.state));
        let time = s.duration_ms.map(duration::short).unwrap_or_default();
        page.before(column(i), &format!("{time}{sign}"), role);
    }
}

/// A stage's words and the steps that are not simply green, below it.
fn words(page: &mut Page<'_>, stage: &StageDoc, outcome: &str) {
    let (_, role) = page.verdict(outcome);
    // What its steps say below is not said twice.
    let again = spots::open_steps(&stage.steps).any(|s| s.exit_code.is_some() && said(&stage.detail, s));
    // A stage that is many runs has the first of them for its detail.
    let runs = || stage.steps.iter().filter_map(|s| s.child.as_deref());
    let many = runs().count() > 1 && runs().any(|r| r == stage.detail);
    let detail = match stage.steps.as_slice() {
        _ if many => count::s(runs().count() as u64, "run"),
        // What one of several says of itself is not said of all: their cells and logs have it.
        [_, _, ..] if outcome == "success" && is_of_one(stage) => String::new(),
        _ => stage.detail.clone(),
    };
    if !detail.is_empty() && !again {
        page.at(2, &detail, if outcome == "success" { Role::Dim } else { role });
        page.y += 1;
    }
    for step in spots::open_steps(&stage.steps) {
        let outcome = step.verdict.clone().unwrap_or_else(|| step.state.clone());
        let (sign, role) = page.verdict(&outcome);
        let here = page.here(&spots::of_step(&stage.name, &step.name), 3);
        let role = if here { Role::Selected } else { role };
        let code = step.exit_code.map(|c| format!("  exit {c}")).unwrap_or_default();
        let detail = if said(&step.detail, step) { "" } else { &step.detail };
        // How it ended is never pushed out by a long name, such as that of a cell.
        let ended = format!("  {outcome}{code}");
        let room = usize::from(page.area.width.saturating_sub(6)).saturating_sub(paint::width(&ended)).max(STEP);
        let name = paint::middle(&step.name, room, page.look.glyphs.ellipsis);
        page.at(4, format!("{sign} {name}{ended}  {detail}").trim_end(), role);
        page.y += 1;
    }
}

/// Whether a stage's words are those of some of its steps, while others say something else.
fn is_of_one(stage: &StageDoc) -> bool {
    let same = stage.steps.iter().filter(|s| s.detail == stage.detail).count();
    same > 0 && same < stage.steps.len()
}

/// Whether a detail is no more than the exit code, which is told beside it.
fn said(detail: &str, step: &StepDoc) -> bool {
    step.exit_code.is_some_and(|c| detail == format!("exit code {c}"))
}

/// When the runs before it were, how long they took, and what moved.
fn footer(model: &Model, page: &mut Page<'_>, past: &[&PastRun], column: &dyn Fn(usize) -> u16, umbrella: bool) {
    page.at(2, "run", Role::Label);
    for (i, r) in past.iter().enumerate() {
        let took = if umbrella { "N/A".to_owned() } else { r.duration_ms.map(duration::short).unwrap_or_else(|| "-".into()) };
        page.before(column(i), &took, if umbrella { Role::Dim } else { Role::Strong });
    }
    page.y += 1;
    page.at(2, "when", Role::Label);
    for (i, r) in past.iter().enumerate() {
        let at = r.started.as_deref().and_then(|t| t.parse::<Timestamp>().ok());
        let text = at.map(|t| when::day(model, t)).unwrap_or_default();
        page.before(column(i), &text, Role::Dim);
    }
    page.y += 1;
    page.at(2, "changes", Role::Label);
    for (i, r) in past.iter().enumerate() {
        let text = match r.changes.as_deref() {
            Some("none") => "none",
            Some(_) => "moved",
            None => "?",
        };
        page.before(column(i), text, Role::Dim);
    }
    page.y += 1;
}

/// How long a stage took, or has taken so far.
fn elapsed(model: &Model, history: Option<&History>, run: &RunRef, stage: &StageDoc) -> Option<u64> {
    if stage.duration_ms.is_some() || stage.state != "running" {
        return stage.duration_ms;
    }
    let own = history?.runs.iter().find(|r| r.number == run.number)?;
    let from: Timestamp = own.stages.iter().find(|s| s.name == stage.name)?.started.as_deref()?.parse().ok()?;
    u64::try_from(model.heard().duration_since(from).as_millis()).ok()
}
