//! Screen 3: is every repository fresh, behind, torn or frozen, in every datacentre, and for which reason; what stable lacks. What was looked at
//! long ago is never drawn as good.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::freshness::{age, drift, light};
use super::list::{self, Shape};
use super::{beside_list, changes, mirror_parts as parts, split, word};
use crate::console::model::Model;
use crate::console::model::list::Row;
use crate::console::model::screen::Side;
use crate::console::update::beside;
use crate::console::update::content::{self, ROOM};
use crate::console::widget::table::{Cell, Column};
use crate::theme::{Look, Role};

/// The columns; `arch` where there is room for the architecture, `added` where something was added out of band.
fn columns(arch: bool, added: bool) -> Vec<Column> {
    let mut out = vec![Column::left("REPO", "repo", 12, 1).name(), Column::left("OS", "os", 4, 4)];
    if arch {
        out.push(Column::left("ARCH", "arch", 7, 0));
    }
    out.extend([
        Column::left("LATEST", "compose", 10, 0),
        Column::right("AGE", "changed", 6),
        Column::left("UP", "relation", 3, 0),
        Column::left("STATE", "freshness", 10, 0),
        Column::left("STABLE", "stable_compose", 10, 0),
        Column::right("DRIFT", "drift", if added { 9 } else { 6 }),
        Column::right("DCs", "dcs", 4),
    ]);
    out
}

/// What its columns take without the architecture.
const LIST: u16 = 78;
/// Columns of a list from which on it shows the architecture.
const ROOM_FOR_ARCH: u16 = 85;
/// Rows of the list where a part of the repository has the rest.
const LISTED: u16 = 7;

/// States in the order of the count line.
const WORDS: [&str; 14] = [
    "fresh",
    "no-change",
    "new-key",
    "other-key",
    "unsigned",
    "behind",
    "ahead",
    "incoherent",
    "shrunk",
    "partial",
    "damaged",
    "unreachable",
    "unknown",
    "frozen",
];

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let Some((pane, list)) = model.screen().pane() else { return };
    let rows = model.table(&pane).0;
    let current = beside::row(model, &pane, list);
    let (upper, lower) = match (model.screen().wide, model.size) {
        (false, (w, h)) if w >= ROOM.0 && h >= ROOM.1 => {
            let wanted = (list.len() as u16 + 3).max(area.height / 2).min(area.height);
            // Where nothing is compared a sentence says why.
            let room =
                if current.is_some_and(|row| content::repo_pair(model, row).is_ok()) { (area.height - wanted).clamp(8, 16) } else { 3 };
            split(area, room)
        }
        _ => (area, Rect::default()),
    };
    let (left, detail) = match model.screen().side {
        Side::All => beside_list(model, look, upper, buf, 11, LIST),
        // One part of the repository: the list gives way to it where they stand one below the other.
        _ if upper.width < ROOM.0 && upper.height > LISTED + 4 => {
            let (above, below) = split(upper, upper.height - LISTED);
            (above, Some(below))
        }
        _ => beside_list(model, look, upper, buf, 11, LIST),
    };
    let empty = "no repository is configured: add [repos.NAME] with upstream and replicas to site.toml";
    let more = counts(rows);
    let arch = left.width >= ROOM_FOR_ARCH;
    let columns = columns(arch, rows.iter().any(|r| r.get("oob").and_then(serde_json::Value::as_u64).unwrap_or(0) > 0));
    let cells = |model: &Model, look: &Look, row: &Row| cells(model, look, row, arch);
    list::draw(model, look, left, buf, &Shape { pane, list, focused: true, columns: &columns, empty, cells: &cells, more });
    if let (Some(area), Some(row)) = (detail, current) {
        let text = match model.screen().side {
            Side::All => parts::all(model, row),
            Side::Replicas => parts::replicas(model, row),
            Side::Used => parts::used(model, row),
            Side::History => parts::history(model, row),
            Side::Graph => parts::graph(model, look, row),
            Side::Raw => parts::raw(model, row),
        };
        text.draw(look, area, buf);
    }
    if let (true, Some(row)) = (lower.height > 0, current) {
        let room = usize::from(lower.height).saturating_sub(4);
        changes::short(model, content::repo_pair(model, row), "d all  v CVE", room).draw(look, lower, buf);
    }
}

/// `fresh 8  behind 1  frozen 3`.
fn counts(rows: &[Row]) -> String {
    let of = |w: &str| rows.iter().filter(|r| word::text(r, "freshness").split('-').next() == w.split('-').next()).count();
    let all = WORDS.iter().map(|w| (w, of(w))).filter(|(_, n)| *n > 0);
    all.map(|(w, n)| format!("{w} {n}")).collect::<Vec<_>>().join("  ")
}

/// `+318 11o`: packages that latest has beyond stable, and those that were added to stable out of band.
fn drifted(row: &Row) -> String {
    match row.get("oob").and_then(serde_json::Value::as_u64).unwrap_or(0) {
        0 => drift(row),
        n => format!("{} {n}o", drift(row)),
    }
}

fn cells(model: &Model, _look: &Look, row: &Row, arch: bool) -> Vec<Cell> {
    let (sign, role) = light(model, row);
    let frozen = !word::text(row, "frozen").is_empty();
    let freshness = word::text(row, "freshness");
    let shown = if matches!(role, Role::Bad | Role::Warn) { freshness.to_uppercase() } else { freshness };
    let plain = if frozen { Role::Dim } else { Role::Text };
    // What stands still by decision is well, and asks for no look.
    let role = if frozen && role == Role::Good { Role::Dim } else { role };
    let mut out = vec![Cell::new(word::text(row, "repo"), Role::Strong), Cell::new(word::text(row, "os"), Role::Dim)];
    if arch {
        out.push(Cell::new(list::or(row, "arch", "?"), Role::Dim));
    }
    out.extend([
        Cell::new(served(row, "compose", "fp"), plain),
        Cell::new(age(model, row, "changed"), Role::Dim),
        Cell::new(if frozen { "frz".into() } else { word::text(row, "relation") }, role),
        Cell::new(format!("{sign}{shown}"), role),
        Cell::new(stable(row), plain),
        Cell::new(drifted(row), plain),
        Cell::new(word::text(row, "dcs"), role),
    ]);
    out
}

/// A content in a column of them, all in one form; `?` where it says nothing of itself (its fingerprint is in the detail), a dash where none is
/// known.
fn served(row: &Row, compose: &str, fp: &str) -> String {
    match (content::dated(row, compose), word::text(row, fp).is_empty()) {
        (d, _) if !d.is_empty() => d,
        (_, false) => "?".to_owned(),
        (_, true) => "-".to_owned(),
    }
}

/// What is stable, as LATEST names it; a dash where nothing is served as that, `?` where it was not read.
fn stable(row: &Row) -> String {
    match (word::text(row, "stable").is_empty(), served(row, "stable_compose", "stable_fp")) {
        (true, _) => "-".to_owned(),
        (false, name) if name == "-" => "?".to_owned(),
        (false, name) => name,
    }
}
