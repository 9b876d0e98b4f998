//! What is due, what the clock did last, and what it missed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::runs::{Shape, list_of};
use super::{when, word};
use crate::console::model::Model;
use crate::console::model::list::Row;
use crate::console::widget::table::{Cell, Column};
use crate::theme::{Look, Role};

const COLUMNS: &[Column] = &[
    Column::left("PIPELINE", "pipeline", 12, 1),
    Column::left("TRIGGER", "trigger", 10, 2),
    Column::left("NEXT", "next", 9, 0),
    Column::left("LAST", "last_scheduled_for", 9, 0),
    Column::left("OUTCOME", "last_outcome", 8, 0),
    Column::left("WHY", "detail", 10, 3),
];

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let Some((pane, list)) = model.screen().pane() else { return };
    let empty = "no pipeline has a clock: cron: or every: below triggers: says when";
    list_of(model, look, area, buf, &Shape { pane, list, focused: true, columns: COLUMNS, empty }, &cells);
}

fn cells(model: &Model, _look: &Look, row: &Row) -> Vec<Cell> {
    let outcome = word::text(row, "last_outcome");
    let role = match outcome.as_str() {
        "ran" => Role::Good,
        "skipped" | "late" => Role::Warn,
        _ => Role::Dim,
    };
    let at = |f: &str| when::instant(row, f).map(|t| when::show(model, t)).unwrap_or_default();
    vec![
        Cell::new(word::text(row, "pipeline"), Role::Strong),
        Cell::plain(word::text(row, "trigger")),
        Cell::plain(at("next")),
        Cell::new(at("last_scheduled_for"), Role::Dim),
        Cell::new(outcome, role),
        Cell::plain(word::text(row, "detail")),
    ]
}
