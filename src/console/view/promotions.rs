//! Screen 6: the promotions, newest first, and below them all about the one under the cursor.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::Value;

use super::list::{self, Shape};
use super::{promotion, word};
use crate::console::model::Model;
use crate::console::model::list::Row;
use crate::console::update::beside;
use crate::console::widget::table::{Cell, Column};
use crate::theme::{Look, Role};

const COLUMNS: &[Column] = &[
    Column::left("PROMOTION", "promotion", 13, 1),
    Column::left("OS", "os", 4, 0),
    Column::left("STATE", "state", 11, 0),
    Column::right("GATES", "", 5),
    Column::right("DCs", "", 4),
    Column::left("FROM", "from", 9, 4),
    Column::left("TO", "to", 9, 3),
    Column::left("WAITS FOR", "detail", 12, 2),
];

/// With fewer rows there is only the list: Enter opens the page.
const LEAST: u16 = 12;
/// Rows of the list beside its two lines of heading, as long as there is something below it.
const LISTED: u16 = 5;

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let Some((pane, list)) = model.screen().pane() else { return };
    let rows = model.table(&pane).0;
    let current = beside::row(model, &pane, list).map(|r| pane.id(r));
    let (above, below) = match &current {
        Some(_) if area.height >= LEAST && !model.screen().wide => {
            let wanted = 2 + (list.len().min(usize::from(LISTED)) as u16).min(area.height / 4);
            super::split(area, area.height - wanted)
        }
        _ => (area, Rect::default()),
    };
    let empty = "no promotion was opened yet. `:do-promote OS` opens one, once armed; an OS needs [promotion.OS] in site.toml";
    let shape = Shape { pane, list, focused: true, columns: COLUMNS, empty, cells: &cells, more: counts(rows) };
    list::draw(model, look, above, buf, &shape);
    if let (Some(id), true) = (current, below.height > 0) {
        promotion::summary(model, look, below, buf, &id);
    }
}

/// `open 1  closed 4`.
fn counts(rows: &[Row]) -> String {
    let over = |r: &&Row| is_over(&word::text(r, "state"));
    let done = rows.iter().filter(over).count();
    if rows.is_empty() { String::new() } else { format!("open {}  over {done}", rows.len() - done) }
}

/// Nothing of it is to come.
pub fn is_over(state: &str) -> bool {
    matches!(state, "CLOSED" | "ROLLED-BACK" | "VETOED" | "EXPIRED")
}

/// How a state is drawn.
pub fn role(state: &str) -> Role {
    match state {
        "READY" | "GATED" => Role::Waiting,
        "APPROVED" | "CLOSED" => Role::Good,
        "SWITCHING" | "IMAGING" | "WAVING" => Role::Running,
        "HALTED" => Role::Bad,
        "ROLLED-BACK" => Role::Warn,
        "DRAFT" | "VETOED" | "EXPIRED" => Role::Dim,
        _ => Role::Unknown,
    }
}

fn cells(_model: &Model, _look: &Look, row: &Row) -> Vec<Cell> {
    let number = |f: &str| row.get(f).and_then(Value::as_u64).unwrap_or(0);
    let state = word::text(row, "state");
    let (passed, all) = (number("passed"), number("gates"));
    let gates = match (number("failed"), passed == all && all > 0) {
        (0, true) => Role::Good,
        (0, false) => Role::Waiting,
        _ => Role::Bad,
    };
    let waits = match (word::text(row, "moved"), word::text(row, "missing")) {
        (moved, _) if !moved.is_empty() => Cell::new(format!("moved: {moved}"), Role::Bad),
        (_, missing) if !missing.is_empty() && state == "READY" => Cell::new(missing.replace(' ', ", "), Role::Waiting),
        _ => Cell::new(word::text(row, "detail"), Role::Dim),
    };
    vec![
        Cell::new(word::text(row, "promotion"), Role::Strong),
        Cell::new(word::text(row, "os"), Role::Dim),
        Cell::new(state.clone(), role(&state)),
        Cell::new(format!("{passed}/{all}"), gates),
        Cell::new(format!("{}/{}", number("switched"), number("datacentres")), Role::Dim),
        Cell::plain(list::or(row, "from", "-")),
        Cell::plain(list::or(row, "to", "-")),
        waits,
    ]
}
