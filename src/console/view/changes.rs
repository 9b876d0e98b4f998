//! What differs between two contents, as content, mirrors and the comparison's own screen show it: the sentences above, and sources as lines.
//! What is not known is said, and never drawn as nothing.

use serde_json::Value;

use super::list::{self, Trust};
use super::text::Text;
use super::word;
use crate::api::diff::DiffDoc;
use crate::base::size;
use crate::console::model::Model;
use crate::console::model::list::Row;
use crate::console::model::screen::Pair;
use crate::console::widget::table::{Cell, Column};
use crate::theme::{Look, Role};

pub const SOURCES: &[Column] = &[
    Column::left("SOURCE", "source", 14, 1).name(),
    Column::left("CHANGE", "change", 6, 0),
    Column::left("WAS", "old", 14, 2).version(),
    Column::left("IS", "new", 14, 2).version(),
    Column::right("PKGS", "packages", 4),
    Column::right("SIZE", "grown_bytes", 8),
    Column::left("CVE", "fixes", 9, 4),
];

pub const PACKAGES: &[Column] = &[
    Column::left("PACKAGE", "name", 14, 1).name(),
    Column::left("ARCH", "arch", 7, 0),
    Column::left("CHANGE", "change", 7, 0),
    Column::left("WAS", "old", 13, 2).version(),
    Column::left("IS", "new", 13, 2).version(),
    Column::right("SIZE", "grown_bytes", 8),
    Column::left("REPO", "repo", 8, 4),
    Column::left("STREAM", "stream", 6, 5),
];

/// Without the epoch where it is 0: as people write versions.
pub fn version(row: &Row, field: &str) -> String {
    match word::text(row, field) {
        t if t.is_empty() => "-".to_owned(),
        t => t.strip_prefix("0:").unwrap_or(&t).to_owned(),
    }
}

/// `+1.2 MiB`, `-3 KiB`, `0`.
pub fn grown(row: &Row) -> String {
    match row.get("grown_bytes").and_then(Value::as_i64) {
        None => String::new(),
        Some(0) => "0".to_owned(),
        Some(n) => format!("{}{}", if n < 0 { "-" } else { "+" }, size::short(n.unsigned_abs())),
    }
}

/// How a change is drawn: what is taken away is what somebody should look at.
pub fn role(change: &str) -> Role {
    match change {
        "down" | "gone" => Role::Warn,
        "new" | "up" => Role::Text,
        _ => Role::Dim,
    }
}

/// What is known of CVE ids between the two, the number first.
pub fn fixes(row: &Row) -> (String, Role) {
    let (text, n) = (word::text(row, "fixes"), row.get("cve_count").and_then(Value::as_u64).unwrap_or(0));
    match text.as_str() {
        "" => (String::new(), Role::Dim),
        "none" => ("no CVE id".to_owned(), Role::Dim),
        "unknown" => ("unknown".to_owned(), Role::Unknown),
        "none seen, cut" => ("none seen, cut".to_owned(), Role::Unknown),
        _ if text.starts_with("lost") => (text, Role::Warn),
        _ if n > 1 => (format!("{n}  {text}"), Role::Strong),
        _ => (text, Role::Strong),
    }
}

pub fn source(_model: &Model, _look: &Look, row: &Row) -> Vec<Cell> {
    let change = word::text(row, "change");
    let (known, about) = fixes(row);
    vec![
        Cell::new(word::text(row, "source"), Role::Strong),
        Cell::new(change.clone(), role(&change)),
        Cell::new(version(row, "old"), Role::Dim),
        Cell::new(version(row, "new"), role(&change)),
        Cell::new(word::text(row, "packages"), Role::Dim),
        Cell::new(grown(row), Role::Dim),
        Cell::new(known, about),
    ]
}

pub fn package(_model: &Model, _look: &Look, row: &Row) -> Vec<Cell> {
    let change = word::text(row, "change");
    let repo = match (change.as_str(), word::text(row, "old_repo")) {
        ("moved", old) if !old.is_empty() => format!("{old} -> {}", word::text(row, "repo")),
        _ => word::text(row, "repo"),
    };
    vec![
        Cell::new(word::text(row, "name"), Role::Strong),
        Cell::new(word::text(row, "arch"), Role::Dim),
        Cell::new(change.clone(), role(&change)),
        Cell::new(version(row, "old"), Role::Dim),
        Cell::new(version(row, "new"), role(&change)),
        Cell::new(grown(row), Role::Dim),
        Cell::new(repo, Role::Dim),
        Cell::new(word::text(row, "stream"), Role::Dim),
    ]
}

/// Module streams and metadata that a line names.
const NAMED: usize = 4;

fn some(all: Vec<String>) -> String {
    let more = all.len().saturating_sub(NAMED);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    all.into_iter().take(NAMED).collect::<Vec<_>>().join(", ") + &tail
}

/// Counts, CVE ids, module streams and metadata.
pub fn head(d: &DiffDoc, out: &mut Text) {
    if d.equal {
        return out.say("nothing differs: the same packages, modules and groups", Role::Dim);
    }
    let s = &d.sources_changed;
    let grown = i128::from(d.b.size_bytes) - i128::from(d.a.size_bytes);
    let sign = if grown < 0 { "-" } else { "+" };
    let grown = size::short(u64::try_from(grown.unsigned_abs()).unwrap_or(u64::MAX));
    out.spans(vec![
        ("sources ".to_owned(), Role::Label),
        (format!("{} up  ", s.up), Role::Strong),
        (format!("{} down  ", s.down), if s.down > 0 { Role::Warn } else { Role::Dim }),
        (format!("{} new  ", s.new), if s.new > 0 { Role::Text } else { Role::Dim }),
        (format!("{} gone  ", s.gone), if s.gone > 0 { Role::Warn } else { Role::Dim }),
        (format!("{sign}{grown}, {} to fetch", size::short(d.fetch_bytes)), Role::Dim),
    ]);
    let k = &d.changelogs;
    let mut known = vec![("CVE ids ".to_owned(), Role::Label), (format!("{}  ", d.cves.len()), Role::Strong)];
    known.push((format!("changelogs {} complete", k.complete), Role::Dim));
    if k.partial > 0 {
        known.push((format!(", {} cut", k.partial), Role::Unknown));
    }
    if k.unknown > 0 {
        known.push((format!(", {} unknown", k.unknown), Role::Unknown));
    }
    out.spans(known);
    let streams = d.streams.iter().map(|s| {
        let way = format!("{} -> {}", s.old.as_deref().unwrap_or("-"), s.new.as_deref().unwrap_or("-"));
        format!("{}:{} {} {way}", s.module, s.stream, s.change)
    });
    out.put("modules", some(streams.collect()), Role::Text);
    let metadata =
        d.metadata.iter().map(|m| format!("{} of {} {}", m.ty, m.repo, if m.change == "rebuilt" { "differs" } else { &m.change }));
    out.put("metadata", some(metadata.collect()), Role::Text);
}

/// The comparison below a list: the sentences, then as many sources as there is room for; those with CVE ids, or lost, first.
pub fn short(model: &Model, pair: Result<Pair, String>, keys: &str, room: usize) -> Text {
    let mut out = Text::new();
    let pair = match pair {
        Ok(pair) => pair,
        Err(why) => {
            out.title("DIFF", "");
            out.say(&why, Role::Dim);
            return out;
        }
    };
    out.title(format!("DIFF {}", pair.title()), keys);
    let question = pair.question("sources");
    let trust = list::trust(model, &question);
    let rows = model.rows(&question);
    match (&trust, rows.and_then(|r| r.diff.as_deref()), rows) {
        (Trust::None(why), ..) => out.say(&format!("not compared: {why}"), Role::Bad),
        (_, Some(d), Some(rows)) => {
            if let Trust::Old(why) = &trust {
                out.say(&format!("STALE {why}"), Role::Warn);
            }
            head(d, &mut out);
            let total = rows.page.map_or(rows.rows.len() as u64, |p| p.total);
            lines(&rows.rows, total, room, &mut out);
        }
        _ if model.asked.contains(&question) => out.say("both contents are being read and compared", Role::Dim),
        _ => out.say("asked once the cursor rests here", Role::Dim),
    }
    out
}

/// A source a line, the ones that matter most first.
fn lines(rows: &[Row], total: u64, room: usize, out: &mut Text) {
    let weight = |r: &Row| {
        let (_, role) = fixes(r);
        match (role, word::text(r, "change").as_str()) {
            (Role::Warn | Role::Strong, _) => 0,
            (_, "down" | "gone") => 1,
            (Role::Unknown, _) => 2,
            _ => 3,
        }
    };
    let mut order: Vec<&Row> = rows.iter().collect();
    order.sort_by_key(|r| weight(r));
    for r in order.iter().take(room) {
        let change = word::text(r, "change");
        let (known, about) = fixes(r);
        let way = match (version(r, "old"), version(r, "new")) {
            (old, new) if old == "-" => new,
            (old, new) if new == "-" || old == new => old,
            (old, new) => format!("{old} -> {new}"),
        };
        out.hang(
            6,
            vec![
                (format!("{change:<7} "), role(&change)),
                (format!("{:<22} ", word::text(r, "source")), Role::Strong),
                (format!("{way}  "), Role::Text),
                (known, about),
            ],
        );
    }
    let more = total.saturating_sub(order.len().min(room) as u64);
    if more > 0 {
        out.say(&format!("and {more} more: d"), Role::Dim);
    }
}
