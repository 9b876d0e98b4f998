//! Two contents compared: source by source or package by package, in the one filter language, and beside it what was written between and the
//! packages of the source under the cursor.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::list::{self, Shape, Trust};
use super::text::Text;
use super::{beside, changes, word};
use crate::api::diff::SourceDoc;
use crate::base::count;
use crate::console::model::Model;
use crate::console::model::list::Row;
use crate::console::model::screen::{Kind, Pair};
use crate::console::update::{beside, content};
use crate::theme::{Look, Role};

/// Packages of a source, and entries of its changelog, that a detail has.
const SHOWN: usize = 60;

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let Kind::Diff(pair) = &model.screen().kind else { return };
    let Some((pane, list)) = model.screen().pane() else { return };
    let head = top(model, pair);
    let used = if area.height > 12 { head.draw(look, Rect { height: area.height / 3, ..area }, buf) } else { 0 };
    let area = Rect { y: area.y + used, height: area.height - used, ..area };
    let (left, detail) = beside(model, look, area, buf, 7);
    let sources = pane.what == "sources";
    let shape = Shape {
        pane,
        list,
        focused: true,
        columns: if sources { changes::SOURCES } else { changes::PACKAGES },
        empty: if sources { "no source package differs" } else { "no package differs" },
        cells: if sources { &changes::source } else { &changes::package },
        more: if sources { "tab packages".to_owned() } else { "tab sources".to_owned() },
    };
    list::draw(model, look, left, buf, &shape);
    if let (Some(area), Some(row)) = (detail, beside::row(model, &pane, list)) {
        about(model, pair, row).draw(look, area, buf);
    }
}

/// Both sides, and the counts.
fn top(model: &Model, pair: &Pair) -> Text {
    let mut out = Text::new();
    let question = pair.question("sources");
    let trust = list::trust(model, &question);
    out.title(pair.title(), "x turns round");
    match (model.rows(&question).and_then(|r| r.diff.as_deref()), &trust) {
        (Some(d), trust) => {
            for (sign, side) in [("was", &d.a), ("is", &d.b)] {
                let size = crate::base::size::short(side.size_bytes);
                let text = format!("{}  fp {}  {}, {size}", side.is, word::short(&side.fp), count::s(side.packages, "package"));
                out.put(sign, text, Role::Dim);
            }
            if let Trust::Old(why) = trust {
                out.say(&format!("STALE {why}"), Role::Warn);
            }
            changes::head(d, &mut out);
        }
        // The list below says why there is none.
        (None, _) => out.say(&format!("{}  against  {}", pair.a, pair.b), Role::Dim),
    }
    out
}

/// The source of the row under the cursor.
fn about(model: &Model, pair: &Pair, row: &Row) -> Text {
    let mut out = Text::new();
    let change = word::text(row, "change");
    let name = word::text(row, "source");
    out.title(name.clone(), change.clone());
    let question = content::source(row, pair);
    let doc = question.as_ref().and_then(|q| model.diff(q));
    let Some((doc, source)) = doc.and_then(|d| Some((d, d.sources.first()?))) else {
        let why = match question.as_ref().map(|q| list::trust(model, q)) {
            Some(Trust::None(why)) => (why, Role::Bad),
            _ => ("asking the engine".to_owned(), Role::Dim),
        };
        out.put("WAY", format!("{} -> {}", changes::version(row, "old"), changes::version(row, "new")), changes::role(&change));
        out.say(&why.0, why.1);
        return out;
    };
    let plain = |v: &Option<String>| v.as_deref().map_or("-", |v| v.strip_prefix("0:").unwrap_or(v)).to_owned();
    out.put("WAY", format!("{} -> {}", plain(&source.old), plain(&source.new)), changes::role(&source.change));
    fixes(source, &mut out);
    let packages: Vec<String> = doc.rows.iter().take(SHOWN).map(|p| format!("{}.{} {}", p.name, p.arch, p.change)).collect();
    out.put("PACKAGES", packages.join(", "), Role::Text);
    for e in source.entries.iter().take(SHOWN) {
        let day = e.date.as_deref().and_then(|d| d.get(..10)).unwrap_or("no date");
        out.spans(vec![(format!("{day}  "), Role::Label), (e.author.clone(), Role::Dim)]);
        for line in e.text.lines() {
            out.hang(2, vec![(format!("  {}", line.trim()), Role::Text)]);
        }
    }
    out
}

/// What is known of CVE ids, in a sentence.
fn fixes(s: &SourceDoc, out: &mut Text) {
    let moved = matches!(s.change.as_str(), "up" | "down");
    let (text, role) = match (moved, s.changelog.as_str(), s.cves.is_empty()) {
        (false, ..) => return out.put("CVE", "nothing was written between: it is new, gone, or the same version", Role::Dim),
        (_, "complete", true) => ("none: the changelog between the two is complete".to_owned(), Role::Dim),
        (_, "complete", false) => (s.cves.join(" "), Role::Strong),
        (_, "partial", true) => ("none seen; the changelog is cut, there may be some".to_owned(), Role::Unknown),
        (_, "partial", false) => (format!("{} and maybe more: the changelog is cut", s.cves.join(" ")), Role::Strong),
        _ => ("unknown: no changelog tells".to_owned(), Role::Unknown),
    };
    let lost = s.change == "down" && !s.cves.is_empty();
    out.put(if lost { "LOST CVE" } else { "CVE" }, text, if lost { Role::Warn } else { role });
}
