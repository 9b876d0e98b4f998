//! Decisions and locks: lists whose rows say everything where there is room; where there is not, a decision is told in full below.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::list::{self, Shape};
use super::text::Text;
use super::{BESIDE, beside, when, word};
use crate::console::model::Model;
use crate::console::model::list::Row;
use crate::console::widget::table::{Cell, Column};
use crate::theme::{Look, Role};

const DECISIONS: &[Column] = &[
    Column::left("AT", "at", 12, 0),
    Column::left("KIND", "kind", 8, 0),
    Column::left("SUBJECT", "subject", 22, 2).name(),
    Column::left("WHO", "who", 6, 1),
    Column::left("WHY", "why", 18, 3),
    Column::left("UNTIL", "until", 12, 0).if_any(),
    Column::left("ENDED", "ended", 12, 0).if_any(),
];

const LOCKS: &[Column] = &[
    Column::left("LOCK", "lock", 10, 1),
    Column::left("MODE", "mode", 9, 0),
    Column::right("SLOTS", "slots", 5),
    Column::right("TAKEN", "taken", 5),
    Column::left("HELD BY", "run", 14, 2).name(),
    Column::left("STAGE", "stage", 8, 3),
    Column::right("FOR", "since", 6),
];

/// A row as cells.
type Cells<'a> = &'a dyn Fn(&Model, &Look, &Row) -> Vec<Cell>;

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let Some((pane, list)) = model.screen().pane() else { return };
    let (columns, empty, cells): (_, _, Cells<'_>) = match pane.what {
        "locks" => (LOCKS, "no lock is held, and the site file names none", &lock),
        _ => (DECISIONS, "nothing was decided yet", &decision),
    };
    let (area, detail) = match pane.what {
        "decisions" if area.width < BESIDE => beside(model, look, area, buf, 6),
        _ => (area, None),
    };
    list::draw(model, look, area, buf, &Shape { pane, list, focused: true, columns, empty, cells, more: String::new() });
    if let (Some(area), Some(row)) = (detail, list::current(model, &pane, list)) {
        about(model, row).draw(look, area, buf);
    }
}

/// One decision in full.
fn about(model: &Model, row: &Row) -> Text {
    let mut out = Text::new();
    out.title(format!("{} {}", word::text(row, "kind"), word::text(row, "subject")), "");
    let alone = row.get("single_person").and_then(serde_json::Value::as_bool).unwrap_or(false);
    let at = list::at(model, row, "at");
    out.put("WHO", format!("{}  {at}", word::text(row, "who")), if alone { Role::Bad } else { Role::Strong });
    if alone {
        out.put("PEOPLE", "one person stood for two: the site lets that pass", Role::Bad);
    }
    if proposed(row) {
        out.put("COUNTS", "not before a second person says the same", Role::Warn);
    }
    out.put("WHY", list::or(row, "why", "no reason was given"), Role::Text);
    out.put("ANSWERS", word::text(row, "answers"), Role::Text);
    let ended = list::at(model, row, "ended");
    out.put("UNTIL", list::at(model, row, "until"), Role::Text);
    out.put("ENDED", ended, Role::Dim);
    out
}

/// A waiver that only one person has asked for.
fn proposed(row: &Row) -> bool {
    row.get("proposed").and_then(serde_json::Value::as_bool).unwrap_or(false)
}

fn decision(model: &Model, _look: &Look, row: &Row) -> Vec<Cell> {
    let kind = word::text(row, "kind");
    let open = when::instant(row, "ended").is_none();
    let role = match kind.as_str() {
        "request" if open => Role::Warn,
        "deny" => Role::Bad,
        _ => Role::Text,
    };
    let alone = row.get("single_person").and_then(serde_json::Value::as_bool).unwrap_or(false);
    let who = match (alone, proposed(row)) {
        (true, _) => format!("{} (SINGLE PERSON)", word::text(row, "who")),
        (false, true) => format!("{} (PROPOSED)", word::text(row, "who")),
        (false, false) => word::text(row, "who"),
    };
    vec![
        Cell::new(list::at(model, row, "at"), Role::Dim),
        Cell::new(kind, role),
        Cell::new(word::text(row, "subject"), Role::Strong),
        Cell::new(who, if alone { Role::Bad } else { Role::Text }),
        Cell::plain(word::text(row, "why")),
        Cell::new(list::at(model, row, "until"), Role::Dim),
        Cell::new(list::at(model, row, "ended"), Role::Dim),
    ]
}

fn lock(model: &Model, _look: &Look, row: &Row) -> Vec<Cell> {
    let mode = list::or(row, "mode", "free");
    let role = if mode == "free" { Role::Dim } else { Role::Running };
    vec![
        Cell::new(word::text(row, "lock"), Role::Strong),
        Cell::new(mode, role),
        Cell::plain(word::text(row, "slots")),
        Cell::plain(word::text(row, "taken")),
        Cell::plain(word::text(row, "run")),
        Cell::plain(word::text(row, "stage")),
        Cell::plain(when::roughly(model, row, "since", "lock").unwrap_or_default()),
    ]
}
