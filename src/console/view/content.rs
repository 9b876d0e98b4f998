//! Content: every version of every set with where it stands, what is held and added, and what differs between stable and latest or between
//! the two that are marked.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::Value;

use super::list::{self, Shape};
use super::text::Text;
use super::{changes, split, when, word};
use crate::base::{count, size};
use crate::console::model::Model;
use crate::console::model::list::Row;
use crate::console::update::{beside, content};
use crate::console::widget::paint;
use crate::console::widget::table::{Cell, Column};
use crate::theme::{Look, Role};

const VERSIONS: &[Column] = &[
    Column::left("SET", "set", 10, 2),
    Column::left("CONTENT", "", 8, 0),
    Column::left("DATED", "", 10, 0),
    Column::left("FIRST SEEN", "first_seen", 12, 0),
    Column::right("PKGS", "packages", 6),
    Column::left("STANDS", "stands", 20, 1),
    Column::right("SIZE", "size_bytes", 8),
];

const HOLDS: &[Column] = &[
    Column::right("#", "hold", 2),
    Column::left("KIND", "kind", 4, 0),
    Column::left("OS", "os", 4, 0),
    Column::left("PACKAGE", "package", 14, 2),
    Column::left("STATE", "state", 8, 0),
    Column::left("OWNER", "owner", 7, 3),
    Column::left("UNTIL", "until", 12, 0),
    Column::left("REASON", "reason", 10, 4),
];

/// From this width on a detail stands beside the lists.
const BESIDE: u16 = 120;
/// With fewer rows there is one list.
const LEAST: u16 = 14;

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let screen = model.screen();
    let ([versions, holds], [of_versions, of_holds]) = (screen.kind.panes(), screen.lists.as_slice()) else { return };
    let shapes = [
        Shape {
            pane: *versions,
            list: of_versions,
            focused: screen.focus == 0,
            columns: VERSIONS,
            empty: "no content was seen yet: add [content.NAME] to site.toml, with the repositories that are judged together",
            cells: &version,
            more: sets(model.table(versions).0),
        },
        Shape {
            pane: *holds,
            list: of_holds,
            focused: screen.focus == 1,
            columns: HOLDS,
            empty: "nothing is held or added: H holds a package of the OS of a version, O adds one, once armed",
            cells: &hold,
            more: states(model.table(holds).0),
        },
    ];
    let focus = screen.focus.min(1);
    if screen.wide || area.height < LEAST {
        return list::draw(model, look, area, buf, &shapes[focus]);
    }
    let (lists, rest) = split(area, area.height.saturating_sub(rows(&shapes, focus, area.height)));
    let wide = area.width >= BESIDE;
    let left = if wide { Rect { width: area.width * super::SHARE / 100, ..lists } } else { lists };
    let small = (shapes[1 - focus].list.len() as u16 + 2).clamp(3, 4).min(left.height / 2);
    let heights = if focus == 0 { [left.height - small, small] } else { [small, left.height - small] };
    let mut y = left.y;
    for (shape, height) in shapes.iter().zip(heights) {
        list::draw(model, look, Rect { y, height, width: if wide { left.width - 1 } else { left.width }, ..left }, buf, shape);
        y += height;
    }
    let current = beside::row(model, &shapes[focus].pane, shapes[focus].list);
    let detail = current.map(|row| if focus == 0 { about_version(model, row) } else { about_hold(model, row) });
    if wide {
        for y in 0..lists.height {
            paint::text(buf, lists, left.width, y, look.glyphs.upright, look.style(Role::Border), "");
        }
        let right = Rect { x: left.x + left.width + 2, width: area.width - left.width - 2, ..lists };
        detail.unwrap_or_default().draw(look, right, buf);
    } else if let (1, Some(detail)) = (focus, detail) {
        // There is room for one of them: the hold that has the keys says more.
        detail.draw(look, rest, buf);
        return;
    }
    let room = usize::from(rest.height).saturating_sub(4);
    changes::short(model, content::shown(model), "d all  v CVE", room).draw(look, rest, buf);
}

/// Rows of the lists: what they hold, and never so many that what differs has none.
fn rows(shapes: &[Shape<'_>; 2], focus: usize, height: u16) -> u16 {
    let wanted = (shapes[focus].list.len() as u16).saturating_add(2 + 4);
    wanted.clamp(9, (height * 55 / 100).max(9))
}

/// `el9-latest 7  el10-latest 2`.
fn sets(rows: &[Row]) -> String {
    let mut out: Vec<(String, usize)> = Vec::new();
    for row in rows {
        let set = word::text(row, "set");
        match out.iter_mut().find(|(s, _)| *s == set) {
            Some((_, n)) => *n += 1,
            None => out.push((set, 1)),
        }
    }
    if out.len() < 2 { String::new() } else { out.iter().map(|(s, n)| format!("{s} {n}")).collect::<Vec<_>>().join("  ") }
}

fn states(rows: &[Row]) -> String {
    let of = |w: &str| rows.iter().filter(|r| word::text(r, "state") == w).count();
    let all = [("ACTIVE", "active"), ("RECHECK", "RECHECK"), ("EXPIRED", "EXPIRED"), ("ENDED", "ended")].map(|(w, t)| (t, of(w)));
    all.iter().filter(|(_, n)| *n > 0).map(|(t, n)| format!("{t} {n}")).collect::<Vec<_>>().join("  ")
}

/// How what stands somewhere is drawn: what is served is what matters.
fn standing(text: &str) -> Role {
    match text {
        "" => Role::Dim,
        t if t.contains("stable") => Role::Good,
        t if t.contains("candidate") => Role::Waiting,
        t if t.contains("latest") => Role::Text,
        _ => Role::Dim,
    }
}

fn version(model: &Model, _look: &Look, row: &Row) -> Vec<Cell> {
    let stands = word::text(row, "stands");
    let label = content::dated(row, "compose");
    let role = standing(&stands);
    let dim = if stands.is_empty() { Role::Dim } else { Role::Text };
    let shown = match stands.as_str() {
        "" if word::text(row, "word").is_empty() => "gone, not kept".to_owned(),
        "" => "its list is kept".to_owned(),
        s => s.to_owned(),
    };
    vec![
        Cell::new(word::text(row, "set"), Role::Strong),
        Cell::new(word::text(row, "fp").chars().take(8).collect::<String>(), dim),
        Cell::new(if label.is_empty() { "-".to_owned() } else { label }, dim),
        Cell::new(list::at(model, row, "first_seen"), Role::Dim),
        Cell::new(word::text(row, "packages"), dim),
        Cell::new(shown, role),
        Cell::new(row.get("size_bytes").and_then(Value::as_u64).map(size::short).unwrap_or_default(), Role::Dim),
    ]
}

/// How many packages a version holds, as far as it is known.
fn packages(row: &Row) -> String {
    row.get("packages").and_then(Value::as_u64).map_or_else(|| "packages unknown".to_owned(), |n| count::s(n, "package"))
}

fn about_version(model: &Model, row: &Row) -> Text {
    let mut out = Text::new();
    let name = content::name(row, "compose", "fp");
    out.title(name, format!("{} {}", word::text(row, "set"), word::text(row, "os")));
    out.put("STANDS", list::or(row, "stands", "nowhere any more"), standing(&word::text(row, "stands")));
    out.put("COMPOSE", word::text(row, "compose"), Role::Text);
    out.put("REVISION", word::text(row, "revision"), Role::Dim);
    out.put("FP", word::text(row, "fp"), Role::Dim);
    match when::instant(row, "first_seen").map(|t| when::relative(model.now, t)) {
        Some(age) => out.put("SEEN", format!("{}  {age}", list::at(model, row, "first_seen")), Role::Text),
        None => out.put("SEEN", "only now, by this look: no run has read it, and no snapshot holds it", Role::Dim),
    }
    let bytes = row.get("size_bytes").and_then(Value::as_u64).map(size::short).unwrap_or_default();
    out.put("HOLDS", format!("{}  {bytes}", packages(row)), Role::Text);
    for (label, field) in [("STABLE", "stable"), ("CANDIDATE", "candidate"), ("LATEST", "latest")] {
        out.put(label, word::text(row, field).replace(' ', ", "), Role::Text);
    }
    for s in word::text(row, "snapshots").split_whitespace() {
        out.put("SNAPSHOT", s.replacen(':', "  ", 1), Role::Text);
    }
    out.put("ALSO", word::text(row, "also").replace(' ', ", "), Role::Dim);
    out.put("UNKNOWN", word::text(row, "why"), Role::Unknown);
    out
}

fn role_of(state: &str) -> Role {
    match state {
        "ACTIVE" => Role::Text,
        "RECHECK" => Role::Warn,
        "EXPIRED" => Role::Bad,
        _ => Role::Dim,
    }
}

/// What is held: an addition by its version.
fn what(row: &Row) -> String {
    let nevra = word::text(row, "nevra");
    if nevra.is_empty() { word::text(row, "package") } else { nevra }
}

fn hold(model: &Model, _look: &Look, row: &Row) -> Vec<Cell> {
    let state = word::text(row, "state");
    let role = role_of(&state);
    let dim = if state == "ENDED" { Role::Dim } else { Role::Text };
    vec![
        Cell::new(word::text(row, "hold"), Role::Dim),
        Cell::new(word::text(row, "kind"), dim),
        Cell::new(word::text(row, "os"), Role::Dim),
        Cell::new(what(row), if state == "ENDED" { Role::Dim } else { Role::Strong }),
        Cell::new(state, role),
        Cell::new(word::text(row, "owner"), dim),
        Cell::new(list::at(model, row, "until"), role),
        Cell::new(word::text(row, "reason"), dim),
    ]
}

fn about_hold(model: &Model, row: &Row) -> Text {
    let mut out = Text::new();
    let state = word::text(row, "state");
    let oob = word::text(row, "kind") == "oob";
    let kind = if oob { "ADDITION" } else { "HOLD" };
    out.title(format!("{kind} {}  {}", word::text(row, "hold"), what(row)), word::text(row, "os"));
    out.put("STATE", state.clone(), role_of(&state));
    let next = match (state.as_str(), oob) {
        ("RECHECK", _) => "somebody looks now whether it is still needed: R gives it more time, U drops it",
        ("EXPIRED", true) => "it stays served until a promotion takes it; U is its promotion's way back",
        ("EXPIRED", false) => "it counts no more: the next candidate has what upstream says",
        ("ACTIVE", true) => "the next promotion absorbs it, or drops it",
        ("ACTIVE", false) => "the next candidate keeps the package as it is served",
        _ => "",
    };
    out.put("MEANS", next, Role::Key);
    let at = |f: &str| {
        let Some(t) = when::instant(row, f) else { return String::new() };
        format!("{}  ({})", when::show(model, t), when::relative(model.now, t))
    };
    out.put("OWNER", word::text(row, "owner"), Role::Text);
    out.put("REASON", word::text(row, "reason"), Role::Text);
    out.put("UNTIL", at("until"), Role::Text);
    out.put("RECHECK", at("recheck"), Role::Text);
    out.put("MADE", format!("{} by {}", at("made"), word::text(row, "by")), Role::Dim);
    out.put("FROM", word::text(row, "source"), Role::Dim);
    out.put("BY", word::text(row, "promotion"), Role::Dim);
    out.put("SERVED", at("served"), Role::Text);
    out.put("ENDED", format!("{}  {}", at("ended"), word::text(row, "how")).trim().to_owned(), Role::Dim);
    out
}
