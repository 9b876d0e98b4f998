//! Screen 3: is every repository fresh, behind, torn or frozen, in every datacentre, and for which reason. What was looked at long ago is
//! never drawn as good.

use jiff::Timestamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::list::{self, Shape};
use super::text::Text;
use super::{beside, when, word};
use crate::base::size;
use crate::console::model::Model;
use crate::console::model::list::Row;
use crate::console::model::screen::PAGE;
use crate::console::question::Question;
use crate::console::widget::table::{Cell, Column};
use crate::theme::{Look, Role};

const COLUMNS: &[Column] = &[
    Column::left("REPO", "repo", 12, 0),
    Column::left("OS", "os", 4, 4),
    Column::left("LATEST", "compose", 10, 2),
    Column::right("AGE", "", 6),
    Column::left("UP", "relation", 3, 0),
    Column::left("STATE", "freshness", 10, 0),
    Column::left("STABLE", "stable_compose", 10, 5),
    Column::right("DRIFT", "", 6),
    Column::right("DCs", "dcs", 4),
];

/// The engine looks every five minutes: beyond twice of it an answer is old, beyond ten times it says nothing.
const BUDGET_S: i64 = 300;
/// States in the order of the count line.
const WORDS: [&str; 11] =
    ["fresh", "no-change", "behind", "ahead", "incoherent", "shrunk", "partial", "damaged", "unreachable", "unknown", "frozen"];

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let Some((pane, list)) = model.screen().pane() else { return };
    let rows = model.table(&pane).0;
    let (left, detail) = beside(model, look, area, buf, 11);
    let empty = "no repository is configured: add [repos.NAME] with upstream and replicas to site.toml";
    let more = counts(rows);
    list::draw(model, look, left, buf, &Shape { pane, list, focused: true, columns: COLUMNS, empty, cells: &cells, more });
    if let (Some(area), Some(row)) = (detail, list::current(model, &pane, list)) {
        about(model, row).draw(look, area, buf);
    }
}

/// `fresh 8  behind 1  frozen 3`.
fn counts(rows: &[Row]) -> String {
    let of = |w: &str| rows.iter().filter(|r| word::text(r, "freshness").split('-').next() == w.split('-').next()).count();
    let all = WORDS.iter().map(|w| (w, of(w))).filter(|(_, n)| *n > 0);
    all.map(|(w, n)| format!("{w} {n}")).collect::<Vec<_>>().join("  ")
}

/// How old the look is that a row stands on, in budgets.
fn late(model: &Model, row: &Row, field: &str) -> Option<i64> {
    when::instant(row, field).map(|t| model.now.duration_since(t).as_secs() / BUDGET_S)
}

/// The role of a light; old lights are no lights.
fn light(model: &Model, row: &Row) -> (&'static str, Role) {
    let looked = late(model, row, "checked").or_else(|| late(model, row, "verified"));
    let role = match word::text(row, "light").as_str() {
        "good" => Role::Good,
        "amber" => Role::Warn,
        "red" => Role::Bad,
        _ => Role::Unknown,
    };
    match looked {
        _ if role == Role::Bad => ("", role),
        None => ("", if role == Role::Good { Role::Unknown } else { role }),
        Some(n) if n >= 10 => ("?", Role::Unknown),
        Some(n) if n >= 2 => ("~", if role == Role::Good { Role::Unknown } else { role }),
        Some(_) => ("", role),
    }
}

/// `CentOS-Stream-9-20260403.1` without what all of them share.
fn label(text: &str) -> String {
    text.rsplit('-').next().unwrap_or(text).to_owned()
}

/// The compose, else the head of the fingerprint.
fn content(row: &Row, compose: &str, fp: &str) -> String {
    match (label(&word::text(row, compose)), word::short(&word::text(row, fp))) {
        (l, _) if !l.is_empty() => l,
        (_, f) if !f.is_empty() => f.chars().take(8).collect(),
        _ => "-".into(),
    }
}

fn age(model: &Model, row: &Row, field: &str) -> String {
    let Some(at) = when::instant(row, field) else { return String::new() };
    // Of what stands still for years nobody wants the hours.
    match model.now.duration_since(at).as_hours() / 24 {
        days if days > 99 => format!("{days}d"),
        _ => when::relative(model.now, at).trim_end_matches(" ago").to_owned(),
    }
}

fn drift(row: &Row) -> String {
    let n = |f: &str| row.get(f).and_then(serde_json::Value::as_u64);
    match (n("drift"), n("drift_gone")) {
        (Some(0), Some(0)) => "0".into(),
        (Some(0), Some(gone)) => format!("-{gone}"),
        (Some(new), _) => format!("+{new}"),
        _ => String::new(),
    }
}

fn cells(model: &Model, _look: &Look, row: &Row) -> Vec<Cell> {
    let (sign, role) = light(model, row);
    let frozen = !word::text(row, "frozen").is_empty();
    let freshness = word::text(row, "freshness");
    let shown = if matches!(role, Role::Bad | Role::Warn) { freshness.to_uppercase() } else { freshness };
    let plain = if frozen { Role::Dim } else { Role::Text };
    vec![
        Cell::new(word::text(row, "repo"), Role::Strong),
        Cell::new(word::text(row, "os"), Role::Dim),
        Cell::new(content(row, "compose", "fp"), plain),
        Cell::new(age(model, row, "changed"), Role::Dim),
        Cell::new(if frozen { "frz".into() } else { word::text(row, "relation") }, role),
        Cell::new(format!("{sign}{shown}"), role),
        Cell::new(label(&word::text(row, "stable_compose")), plain),
        Cell::new(drift(row), plain),
        Cell::new(word::text(row, "dcs"), role),
    ]
}

/// Latest, upstream, each replica, stable, what to do: of the repository under the cursor.
fn about(model: &Model, row: &Row) -> Text {
    let mut out = Text::new();
    let name = word::text(row, "repo");
    out.title(name.clone(), format!("{} {}", word::text(row, "os"), word::text(row, "dcs")));
    let (sign, role) = light(model, row);
    out.put("STATE", format!("{sign}{}  {}", word::text(row, "freshness"), word::text(row, "detail")), role);
    out.put("NEXT", word::text(row, "next"), Role::Key);
    let known = |f: &str| word::short(&word::text(row, f));
    if !known("fp").is_empty() {
        let bytes = row.get("size_bytes").and_then(serde_json::Value::as_u64).map(size::short).unwrap_or_default();
        let text = format!(
            "{} fp {} md {}  pkgs {}  {bytes}",
            list::or(row, "compose", ""),
            known("fp"),
            known("md"),
            word::text(row, "packages")
        );
        out.put("LATEST", text.trim().to_owned(), Role::Text);
    }
    let checked = |row: &Row| match age(model, row, "checked") {
        a if a.is_empty() => "not asked since the engine started".to_owned(),
        a => format!("asked {a} ago"),
    };
    let places = model.rows(&Question::Rows { what: "mirrors", limit: PAGE }).map_or(&[][..], |r| r.rows.as_slice());
    for place in places.iter().filter(|p| word::text(p, "repo") == name) {
        let (dc, kind) = (word::text(place, "dc"), word::text(place, "role"));
        if kind == "stable" || kind == "other" {
            continue;
        }
        let (sign, role) = light(model, place);
        let what = content(place, "compose", "fp");
        let why = if role == Role::Good { String::new() } else { format!("  {}", list::or(place, "why", &word::text(place, "detail"))) };
        let label = if dc.is_empty() { kind } else { dc };
        let text = format!("{sign}{} {what}  {}{why}", word::text(place, "freshness"), checked(place));
        out.put(&label, text, role);
    }
    if !word::text(row, "stable").is_empty() {
        let since = when::instant(row, "stable_since").map(|t: Timestamp| format!(" since {}", when::show(model, t))).unwrap_or_default();
        let text = format!("{}{since}  drift {}", list::or(row, "stable_compose", "no label"), list::or(row, "drift", "unknown"));
        out.put("stable", text, Role::Text);
    }
    let pipeline = word::text(row, "pipeline");
    let writer = if pipeline.is_empty() { word::text(row, "writer") } else { format!("{}, by {pipeline} (R)", word::text(row, "writer")) };
    out.put("WRITER", writer, Role::Dim);
    out.put("USED BY", word::text(row, "sets"), Role::Dim);
    out.put("UPSTREAM", word::text(row, "upstream"), Role::Dim);
    out
}
