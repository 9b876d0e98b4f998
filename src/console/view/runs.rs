//! The list of all runs, and what one row of it says in full.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::list::{self, Shape};
use super::text::Text;
use super::{beside, when, word};
use crate::base::duration;
use crate::console::model::Model;
use crate::console::model::list::Row;
use crate::console::model::screen::PAGE;
use crate::console::question::Question;
use crate::console::widget::table::{Cell, Column};
use crate::theme::{Glyphs, Look, Role};

pub const COLUMNS: &[Column] = &[
    Column::left("RUN", "run", 13, 2).name(),
    Column::left("", "verdict", 1, 0),
    Column::left("STATE", "state", 9, 0),
    Column::right("TIME", "duration_ms", 6),
    Column::left("WHEN", "started", 12, 0),
    Column::left("BY", "requested_by", 8, 0),
    Column::left("DETAIL", "detail", 18, 3).if_any(),
    Column::left("CHANGES", "changes", 10, 4).if_any(),
];

/// A run that waited so long in the queue is told to have.
const WAITED_MS: u64 = 60_000;

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let Some((pane, list)) = model.screen().pane() else { return };
    let (left, detail) = beside(model, look, area, buf, 7);
    let empty = none(model);
    let shape = Shape { pane, list, focused: true, columns: COLUMNS, empty, cells: &cells, more: String::new() };
    list::draw(model, look, left, buf, &shape);
    if let (Some(area), Some(row)) = (detail, list::current(model, &pane, list)) {
        about(model, &look.glyphs, row).draw(look, area, buf);
    }
}

/// What a list without a run says. That there is a pipeline to start is claimed only where one is known.
pub fn none(model: &Model) -> &'static str {
    match model.rows(&Question::Rows { what: "pipelines", limit: PAGE }) {
        Some(p) if p.rows.is_empty() => "no run yet, and no pipeline: put one into CONFIG/pipelines, or run quarterdeck site init",
        _ => "no run yet: 8 shows the pipelines, B on one of them starts it",
    }
}

/// The outcome of a run as it is shown: a success about content that is other content now is not green.
pub fn standing(model: &Model, row: &Row, glyphs: &Glyphs) -> (&'static str, Role, String) {
    let outcome = word::outcome(row);
    let (sign, role) = word::verdict(&outcome, glyphs);
    let pipelines = model.rows(&Question::Rows { what: "pipelines", limit: PAGE }).map_or(&[][..], |r| r.rows.as_slice());
    let is_last = |p: &&Row| p.get("last_success").is_some_and(|l| Some(l) == row.get("run"));
    if role == Role::Good && pipelines.iter().find(is_last).is_some_and(word::is_moved) {
        return ("~", Role::Unknown, format!("~{outcome}"));
    }
    (sign, role, outcome)
}

/// A run's row.
pub fn cells(model: &Model, look: &Look, row: &Row) -> Vec<Cell> {
    let (sign, role, outcome) = standing(model, row, &look.glyphs);
    let at = when::instant(row, "started").or_else(|| when::instant(row, "queued"));
    vec![
        Cell::new(word::text(row, "run"), Role::Text),
        Cell::new(sign, role),
        Cell::new(outcome, role),
        Cell::plain(took(model, row)),
        Cell::new(at.map(|t| when::show(model, t)).unwrap_or_default(), Role::Dim),
        Cell::new(word::text(row, "requested_by"), Role::Dim),
        detail(row),
        Cell::new(word::changes(row).strip_prefix("content ").map_or_else(|| word::changes(row), str::to_owned), Role::Dim),
    ]
}

/// What became of it; while it runs, whether it takes longer than it should.
fn detail(row: &Row) -> Cell {
    if word::is_slow(row) { Cell::new("SLOW: past its p95", Role::Warn) } else { Cell::plain(brief(&word::text(row, "detail"))) }
}

/// ``stage `build`: exit code 1`` as `build: exit code 1`: a list has room for what matters.
fn brief(detail: &str) -> String {
    match detail.strip_prefix("stage `").and_then(|d| d.split_once('`')) {
        Some((stage, rest)) => format!("{stage}{rest}"),
        None => detail.to_owned(),
    }
}

/// How long a run took, or has taken so far.
pub fn took(model: &Model, row: &Row) -> String {
    // Also of one that waits for people, as its page and the command line have it.
    let open = word::text(row, "state") != "done";
    // A saved state, or an engine, of before rounds had a time of their own has that of the run.
    let since = if row.contains_key("round_started") { "round_started" } else { "started" };
    let so_far = || open.then(|| when::elapsed(model, row, since).map(duration::short)).flatten();
    when::lasted(row, "duration_ms").or_else(so_far).unwrap_or_default()
}

/// All that a run's row says.
pub fn about(model: &Model, glyphs: &Glyphs, row: &Row) -> Text {
    let mut out = Text::new();
    let (sign, role, outcome) = standing(model, row, glyphs);
    out.title(word::text(row, "run"), word::text(row, "title"));
    out.spans(vec![
        (format!("{sign} {outcome} "), role),
        (format!("{}  ", took(model, row)), Role::Text),
        (word::text(row, "detail"), Role::Text),
    ]);
    let place = [word::text(row, "failed_stage"), word::text(row, "failed_step")];
    let place: Vec<String> = place.into_iter().filter(|p| !p.is_empty()).collect();
    let code = word::text(row, "exit_code");
    let code = if code.is_empty() || place.is_empty() { String::new() } else { format!("  exit {code}") };
    if !place.is_empty() {
        out.put("FAILED", format!("{}{code}", place.join("/")), Role::Bad);
    }
    // When it was queued is told where it has not begun; else how long it waited, where that is worth a word.
    let (queued, started) = (when::instant(row, "queued"), when::instant(row, "started"));
    let resumed = row.get("round").and_then(serde_json::Value::as_u64).is_some_and(|r| r > 0);
    let times = match (started, resumed) {
        (Some(_), true) => &[("started", "started"), ("resumed", "round_started"), ("ended", "ended")][..],
        (Some(_), false) => &[("started", "started"), ("ended", "ended")],
        (None, _) => &[("queued", "queued"), ("ended", "ended")],
    };
    let told = |(word, f): &(&str, &str)| Some(format!("{word} {}", when::show(model, when::instant(row, f)?)));
    let mut times: Vec<String> = times.iter().filter_map(told).collect();
    if let (Some(queued), Some(started)) = (queued, started)
        && let Ok(waited) = u64::try_from(started.duration_since(queued).as_millis())
        && waited >= WAITED_MS
    {
        times.push(format!("waited {}", duration::short(waited)));
    }
    out.put("WHEN", times.join("  "), Role::Text);
    if let Some(since) = when::instant(row, "slow_since") {
        let still = if word::is_slow(row) { Role::Warn } else { Role::Dim };
        out.put("SLOW", format!("longer than nearly all good runs of its pipeline since {}", when::show(model, since)), still);
    }
    let reason = word::text(row, "reason");
    let sep = if reason.is_empty() { "" } else { ": " };
    out.put("WHO", format!("{} ({}){sep}{reason}", word::text(row, "requested_by"), word::text(row, "trigger")), Role::Text);
    out.put("CHANGES", word::changes(row), Role::Text);
    match (word::text(row, "fp_before"), word::text(row, "fp_after")) {
        (a, b) if a.is_empty() && b.is_empty() => {}
        (a, b) if a == b => out.put("CONTENT", word::short(&a), Role::Dim),
        (a, b) if a.is_empty() => out.put("CONTENT", format!("{}, made by it", word::short(&b)), Role::Dim),
        (a, b) => out.put("CONTENT", format!("{} -> {}", word::short(&a), word::short(&b)), Role::Dim),
    }
    out.put("REPLAYS", word::text(row, "replay_of"), Role::Dim);
    out.put("CANCEL", word::text(row, "cancel_by"), Role::Warn);
    out.put("NEXT", "enter stages  l log  w why  c the same as a command", Role::Dim);
    out
}
