//! What `doctor` finds, as the engine sees its machine, its site and its far ends; what to do beside each check.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::list::{self, Shape};
use super::text::Text;
use super::{beside, word};
use crate::console::model::Model;
use crate::console::model::list::Row;
use crate::console::widget::table::{Cell, Column};
use crate::theme::{Look, Role};

const COLUMNS: &[Column] = &[
    Column::left("", "state", 1, 0),
    Column::left("STATE", "state", 7, 0),
    Column::left("CHECK", "check", 24, 1).name(),
    Column::left("FOUND", "found", 36, 2),
    Column::left("WHAT TO DO", "help", 24, 3).if_any(),
];

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let Some((pane, list)) = model.screen().pane() else { return };
    let rows = model.table(&pane).0;
    let count = |state: &str| rows.iter().filter(|r| word::text(r, "state") == state).count();
    let more = if rows.is_empty() {
        String::new()
    } else {
        let parts = ["fail", "warn", "unknown", "ok"].map(|s| (s, count(s)));
        parts.iter().filter(|(_, n)| *n > 0).map(|(s, n)| format!("{n} {s}")).collect::<Vec<_>>().join(", ")
    };
    let (left, detail) = beside(model, look, area, buf, 6);
    let empty = "the engine checked nothing";
    list::draw(model, look, left, buf, &Shape { pane, list, focused: true, columns: COLUMNS, empty, cells: &cells, more });
    if let (Some(area), Some(row)) = (detail, list::current(model, &pane, list)) {
        about(row).draw(look, area, buf);
    }
}

fn cells(_model: &Model, look: &Look, row: &Row) -> Vec<Cell> {
    let state = word::text(row, "state");
    let (sign, role) = word::verdict(&state, &look.glyphs);
    vec![
        Cell::new(sign, role),
        Cell::new(state, role),
        Cell::new(word::text(row, "check"), Role::Strong),
        Cell::plain(word::text(row, "found")),
        Cell::new(word::text(row, "help"), Role::Dim),
    ]
}

fn about(row: &Row) -> Text {
    let mut out = Text::new();
    out.title(word::text(row, "check"), word::text(row, "state"));
    out.put("FOUND", word::text(row, "found"), Role::Text);
    for (i, line) in word::text(row, "help").lines().enumerate() {
        out.put(if i == 0 { "DO" } else { " " }, line, Role::Key);
    }
    out.put("ALSO", "the terminal and the secrets: quarterdeck doctor", Role::Dim);
    out
}
