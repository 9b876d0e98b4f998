//! What is due next, what the ledger says of the times that are past, and the triggers: missed, late and skipped with why; nights on which
//! clocks change are marked.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::list::{self, Shape};
use super::text::Text;
use super::{beside, split, when, word};
use crate::console::model::Model;
use crate::console::model::list::Row;
use crate::console::widget::table::{Cell, Column};
use crate::theme::{Look, Role};

/// `noted`: a calendar or a change of the clocks has a word to say about one of the starts.
fn due(noted: bool) -> Vec<Column> {
    let mut out =
        vec![Column::left("WHEN", "scheduled_for", 12, 0), Column::right("IN", "", 7), Column::left("PIPELINE", "pipeline", 14, 1).name()];
    if noted {
        out.push(Column::left("NOTE", "calendar", 30, 2));
    }
    out.push(Column::left("TRIGGER", "trigger", 12, 3));
    out
}

const LEDGER: &[Column] = &[
    Column::left("SCHEDULED", "scheduled_for", 12, 0),
    Column::left("PIPELINE", "pipeline", 14, 1).name(),
    Column::left("OUTCOME", "outcome", 9, 0),
    Column::left("RUN", "run", 14, 2).name().if_any(),
    Column::left("WHY", "why", 18, 3).if_any(),
];

const TRIGGERS: &[Column] = &[
    Column::left("PIPELINE", "pipeline", 14, 1).name(),
    Column::left("TRIGGER", "trigger", 14, 2),
    Column::left("STATE", "state", 6, 0),
    Column::left("NEXT", "next", 12, 0).if_any(),
    Column::left("LAST", "last_scheduled", 12, 0).if_any(),
    Column::left("OUTCOME", "last_outcome", 9, 0).if_any(),
    Column::left("DETAIL", "detail", 14, 3).if_any(),
];

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let screen = model.screen();
    let ([due, ledger, triggers], [of_due, of_ledger, of_triggers]) = (screen.kind.panes(), screen.lists.as_slice()) else { return };
    let more = model.status().filter(|s| s.scheduler != "on").map(|s| format!("scheduler {}", s.scheduler)).unwrap_or_default();
    let noted = model.table(due).0.iter().any(|r| !word::text(r, "calendar").is_empty() || !dst(r).is_empty());
    let columns = self::due(noted);
    let next = |model: &Model, _: &Look, row: &Row| next(model, row, noted);
    let shapes = [
        Shape {
            pane: *due,
            list: of_due,
            focused: screen.focus == 0,
            columns: &columns,
            empty: "no clock starts anything: cron: or every: below triggers: of a pipeline says when",
            cells: &next,
            more,
        },
        Shape {
            pane: *ledger,
            list: of_ledger,
            focused: screen.focus == 1,
            columns: LEDGER,
            empty: "nothing was due yet: what was missed will stand here with its reason",
            cells: &past,
            more: missed(model, ledger),
        },
        Shape {
            pane: *triggers,
            list: of_triggers,
            focused: screen.focus == 2,
            columns: TRIGGERS,
            empty: "no pipeline has a trigger: triggers: in its file says what starts it",
            cells: &trigger,
            more: String::new(),
        },
    ];
    let focus = screen.focus.min(2);
    if screen.wide || area.height < 14 {
        return list::draw(model, look, area, buf, &shapes[focus]);
    }
    let (left, detail) = beside(model, look, area, buf, 0);
    let detail = detail.filter(|d| d.height > 0 && d.y == left.y);
    // The list that has the keys has the most room.
    let small = (left.height / 4).max(4);
    let mut y = left.y;
    for (i, shape) in shapes.iter().enumerate() {
        let height = if i == focus { left.height - 2 * small } else { small };
        list::draw(model, look, Rect { y, height, ..left }, buf, shape);
        y += height;
    }
    if let Some(area) = detail {
        let (pane, list) = (shapes[focus].pane, shapes[focus].list);
        let text = list::current(model, &pane, list).map(|row| about(model, pane.what, row)).unwrap_or_default();
        let (above, _) = split(area, 0);
        text.draw(look, above, buf);
    }
}

fn missed(model: &Model, pane: &crate::console::model::Pane) -> String {
    let rows = model.table(pane).0;
    let of = |outcome: &str| rows.iter().filter(|r| word::text(r, "outcome") == outcome).count();
    match (of("skipped"), of("late")) {
        (0, 0) => String::new(),
        (skipped, late) => format!("{skipped} skipped, {late} late   n next"),
    }
}

/// What a change of the clocks does to a start.
fn dst(row: &Row) -> &'static str {
    match word::text(row, "dst").as_str() {
        "gap" => "DST: no such time, starts right after",
        "fold" => "DST: twice, starts once",
        _ => "",
    }
}

fn next(model: &Model, row: &Row, noted: bool) -> Vec<Cell> {
    let closed = word::text(row, "calendar");
    let note = match (dst(row), closed.as_str()) {
        ("", c) => c.to_owned(),
        (d, "") => d.to_owned(),
        (d, c) => format!("{d}; {c}"),
    };
    let role = if closed.is_empty() { Role::Text } else { Role::Dim };
    let left = when::roughly(model, row, "scheduled_for", "pipeline").unwrap_or_default();
    let mut out = vec![
        Cell::new(list::at(model, row, "scheduled_for"), role),
        Cell::new(left, Role::Dim),
        Cell::new(word::text(row, "pipeline"), if closed.is_empty() { Role::Strong } else { Role::Dim }),
    ];
    if noted {
        out.push(Cell::new(note, Role::Warn));
    }
    out.push(Cell::new(word::text(row, "trigger"), Role::Dim));
    out
}

fn past(model: &Model, _look: &Look, row: &Row) -> Vec<Cell> {
    let outcome = word::text(row, "outcome");
    let role = word::occurrence(&outcome);
    vec![
        Cell::new(list::at(model, row, "scheduled_for"), Role::Text),
        Cell::new(word::text(row, "pipeline"), Role::Strong),
        Cell::new(outcome, role),
        Cell::plain(word::text(row, "run")),
        Cell::plain(word::text(row, "why")),
    ]
}

fn trigger(model: &Model, _look: &Look, row: &Row) -> Vec<Cell> {
    let (outcome, state) = (word::text(row, "last_outcome"), word::text(row, "state"));
    let roles = (word::occurrence(&outcome), if state == "on" { Role::Dim } else { Role::Bad });
    vec![
        Cell::new(word::text(row, "pipeline"), Role::Strong),
        Cell::plain(word::text(row, "trigger")),
        Cell::new(state, roles.1),
        Cell::plain(list::at(model, row, "next")),
        Cell::new(list::at(model, row, "last_scheduled"), Role::Dim),
        Cell::new(outcome, roles.0),
        Cell::plain(word::text(row, "detail")),
    ]
}

fn about(model: &Model, what: &str, row: &Row) -> Text {
    let mut out = Text::new();
    out.title(word::text(row, "pipeline"), word::text(row, "trigger"));
    let full = |f: &str| {
        when::instant(row, f).map(|t| format!("{}  ({})", when::show(model, t), when::relative(model.now, t))).unwrap_or_default()
    };
    match what {
        "due" => {
            out.put("STARTS", full("scheduled_for"), Role::Text);
            out.put("LOCAL", word::text(row, "local"), Role::Text);
            out.put("CLOCKS", dst(row), Role::Warn);
            out.put("CLOSED", word::text(row, "calendar"), Role::Warn);
        }
        "occurrences" => {
            let outcome = word::text(row, "outcome");
            out.put("DUE", full("scheduled_for"), Role::Text);
            out.put("OUTCOME", outcome.clone(), word::occurrence(&outcome));
            out.put("CAUSE", word::text(row, "cause"), Role::Text);
            out.put("WHY", word::text(row, "why"), Role::Text);
            out.put("RUN", word::text(row, "run"), Role::Text);
            out.put("DECIDED", full("decided"), Role::Dim);
            if outcome == "skipped" {
                let time = word::text(row, "scheduled_for");
                out.put(
                    "NEXT",
                    format!("quarterdeck do run-missed {} --with scheduled_for={time}", word::text(row, "pipeline")),
                    Role::Key,
                );
            }
        }
        _ => {
            let state = word::text(row, "state");
            out.put("NEXT", full("next"), Role::Text);
            out.put("LOCAL", word::text(row, "next_local"), Role::Text);
            out.put("STATE", state.clone(), if state == "on" { Role::Text } else { Role::Bad });
            out.put("DETAIL", word::text(row, "detail"), Role::Warn);
            out.put("MISSED", word::text(row, "catch_up"), Role::Text);
            out.put(
                "CALENDAR",
                format!("{} {}", word::text(row, "calendar"), word::text(row, "calendar_state")).trim().to_owned(),
                Role::Text,
            );
            out.put("LAST", format!("{} {}", full("last_scheduled"), word::text(row, "last_outcome")).trim().to_owned(), Role::Text);
            out.put("RUN", word::text(row, "last_run"), Role::Text);
            out.put("WHY", word::text(row, "last_why"), Role::Text);
        }
    }
    out
}
