//! Screen 6: the promotions, newest first, and below them all about the one under the cursor.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::Value;

use super::list::{self, Shape};
use super::promotion_state::{is_over, role};
use super::{promotion, word};
use crate::console::model::Model;
use crate::console::model::list::Row;
use crate::console::update::beside;
use crate::console::widget::table::{Cell, Column};
use crate::theme::{Look, Role};

/// The columns; `whole` where there is room for the names of snapshots, else their days stand for them.
fn columns(whole: bool) -> Vec<Column> {
    let snapshot = if whole { 21 } else { 9 };
    let mut out = vec![Column::left("PROMOTION", "promotion", 13, 1).name()];
    // The name of a promotion ends with its OS.
    if whole {
        out.push(Column::left("OS", "os", 4, 0));
    }
    out.extend([
        Column::left("STATE", "state", 11, 0),
        Column::right("GATES", "", 5),
        Column::right("DCs", "", 4),
        Column::left("FROM", "", snapshot, 0),
        Column::left("TO", "", snapshot, 0),
        Column::left("WAITS FOR", "detail", 12, 2),
    ]);
    out
}

/// From this width on snapshots are called by their whole names.
const WHOLE: u16 = 110;

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
    let whole = above.width >= WHOLE;
    let columns = columns(whole);
    let cells = |_: &Model, _: &Look, row: &Row| cells(row, whole);
    let shape = Shape { pane, list, focused: true, columns: &columns, empty, cells: &cells, more: counts(rows) };
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

/// A snapshot in its column: `20260407-bb4871154584`, or the day of it; how many, where the datacentres differ.
fn snapshot(row: &Row, field: &str, whole: bool) -> String {
    let text = list::or(row, field, "-");
    let dated = |t: &str| t.len() > 8 && t.bytes().take(8).all(|b| b.is_ascii_digit()) && t.as_bytes().get(8) == Some(&b'-');
    match (dated(&text), text.split(' ').count()) {
        (true, n @ 2..) => format!("{n} differ"),
        (true, _) if !whole => text.chars().take(8).collect(),
        _ => text,
    }
}

/// What has to come next, and from whom.
fn waits(row: &Row, state: &str) -> Cell {
    let number = |f: &str| row.get(f).and_then(Value::as_u64).unwrap_or(0);
    let (missing, moved) = (word::text(row, "missing"), word::text(row, "moved"));
    if !moved.is_empty() {
        return Cell::new(format!("moved: {moved}"), Role::Bad);
    }
    let left = number("gates").saturating_sub(number("passed"));
    match state {
        "DRAFT" => Cell::new("its soak: S", Role::Waiting),
        "GATED" if number("failed") > 0 => Cell::new(format!("{left} {}, {} red", gates(left), number("failed")), Role::Bad),
        "GATED" if left > 0 => Cell::new(format!("{left} {}", gates(left)), Role::Waiting),
        "READY" if !missing.is_empty() => Cell::new(format!("{}: A", missing.replace(' ', ", ")), Role::Waiting),
        "APPROVED" => Cell::new("its start: P", Role::Waiting),
        "IMAGING" => Cell::new("people: images, ISO", Role::Waiting),
        "WAVING" => Cell::new("people: its waves", Role::Waiting),
        s if is_over(s) => Cell::new(format!("nothing: {}", s.to_lowercase().replace('-', " ")), Role::Dim),
        _ => Cell::new(word::text(row, "detail"), Role::Dim),
    }
}

fn gates(n: u64) -> &'static str {
    if n == 1 { "gate" } else { "gates" }
}

fn cells(row: &Row, whole: bool) -> Vec<Cell> {
    let number = |f: &str| row.get(f).and_then(Value::as_u64).unwrap_or(0);
    let state = word::text(row, "state");
    let (passed, all) = (number("passed"), number("gates"));
    let gates = match (number("failed"), passed == all && all > 0) {
        (0, true) => Role::Good,
        (0, false) => Role::Waiting,
        _ => Role::Bad,
    };
    let waits = waits(row, &state);
    let mut out = vec![Cell::new(word::text(row, "promotion"), Role::Strong)];
    if whole {
        out.push(Cell::new(word::text(row, "os"), Role::Dim));
    }
    out.extend([
        Cell::new(state.clone(), role(&state)),
        Cell::new(format!("{passed}/{all}"), gates),
        Cell::new(format!("{}/{}", number("switched"), number("datacentres")), Role::Dim),
        Cell::plain(snapshot(row, "from", whole)),
        Cell::plain(snapshot(row, "to", whole)),
        waits,
    ]);
    out
}
