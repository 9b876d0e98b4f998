//! One promotion: what it is and what to do next, then its gates, and what else belongs to it. The page is drawn as long as it is, and shown
//! from where it is scrolled to; below the list it is cut where there is no more room.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::list::{self, Trust};
use super::promotion_more as more;
use super::promotion_parts::{self as parts, Shown};
use super::text::Text;
use super::{promotion_state, scrolled, when, word};
use crate::console::model::Model;
use crate::console::model::list::Row;
use crate::console::model::screen::Part;
use crate::console::question::Question;
use crate::console::update::promotions::{flag, objects, texts};
use crate::console::widget::paint;
use crate::theme::{Look, Role};

/// Rows of the longest page.
const LONGEST: u16 = 400;
/// From this width on, what belongs to it stands beside the gates.
const BESIDE: u16 = 120;

/// What is known of the promotion; else why not is said.
fn known<'a>(model: &'a Model, look: &Look, area: Rect, buf: &mut Buffer, id: &str) -> Option<(&'a Row, Trust)> {
    if area.width == 0 || area.height == 0 {
        return None;
    }
    let trust = list::trust(model, &Question::Promotion(id.to_owned()));
    if let Some(doc) = model.promotion(id) {
        return Some((doc, trust));
    }
    let mut text = Text::new();
    text.title(id, "");
    match trust {
        Trust::None(why) => text.say(&why, Role::Bad),
        _ => text.say("asking the engine: it looks at the trees, the pointers and the gates", Role::Dim),
    }
    text.draw(look, area, buf);
    None
}

/// The whole page.
pub fn page(model: &Model, look: &Look, area: Rect, buf: &mut Buffer, id: &str) {
    let Some((doc, trust)) = known(model, look, area, buf, id) else { return };
    let mut whole = Buffer::empty(Rect::new(0, 0, area.width, LONGEST));
    let used = draw(model, look, &mut whole, doc, &trust, true);
    scrolled::draw(look, area, buf, &whole, used, model.screen().scroll, "");
}

/// As much of it as there is room for.
pub fn summary(model: &Model, look: &Look, area: Rect, buf: &mut Buffer, id: &str) {
    let Some((doc, trust)) = known(model, look, area, buf, id) else { return };
    let mut whole = Buffer::empty(Rect::new(0, 0, area.width, LONGEST));
    let used = draw(model, look, &mut whole, doc, &trust, false);
    scrolled::draw(look, area, buf, &whole, used, 0, ": enter");
}

/// Draws all of it; returns its rows. `full`: each gate with its reason, also those that pass.
fn draw(model: &Model, look: &Look, buf: &mut Buffer, doc: &Row, trust: &Trust, full: bool) -> u16 {
    let area = buf.area;
    let old = matches!(trust, Trust::Old(_));
    let mut head = head(model, doc, trust);
    if full && area.width >= BESIDE {
        more::keys(model, &mut head);
    }
    let rows = head.draw(look, area, buf);
    let below = Rect { y: rows, height: area.height - rows, ..area };
    let one = match model.screen().part {
        Part::All => None,
        Part::Blast => Some(parts::blast(doc, usize::MAX)),
        Part::Undo => Some(parts::undo(doc)),
        Part::Story => Some(parts::story(model, doc, usize::MAX)),
        Part::Diff => Some(parts::sources(model, doc, false)),
        Part::Cves => Some(parts::sources(model, doc, true)),
        Part::Calendar => Some(more::calendar(model, doc)),
    };
    if let Some(text) = one {
        return rows + text.draw(look, below, buf);
    }
    let mut changes = parts::changes(model, doc);
    [more::lane(model, doc), more::additions(model, doc)].into_iter().for_each(|part| changes.join(part));
    let rest = [
        changes,
        parts::approvals(model, doc, old),
        parts::datacentres(doc, old),
        parts::sequence(model, doc),
        parts::blast(doc, 4),
        parts::undo(doc),
        parts::story(model, doc, if full { 20 } else { 5 }),
        more::evidence(model, doc),
    ];
    if area.width < BESIDE {
        let mut all = parts::gates(model, doc, old, if full { Shown::Evidence } else { Shown::Short }, area.width, look);
        let [changes, approvals, datacentres, sequence, blast, undo, story, evidence] = rest;
        [approvals, changes, datacentres, sequence, blast, undo, evidence, story].into_iter().for_each(|part| all.join(part));
        return rows + all.draw(look, below, buf);
    }
    let left = area.width * 58 / 100;
    let [changes, approvals, datacentres, sequence, blast, undo, story, evidence] = rest;
    let mut own = parts::gates(model, doc, old, if full { Shown::Evidence } else { Shown::Reasons }, left - 2, look);
    [datacentres, sequence, story].into_iter().for_each(|part| own.join(part));
    let mut beside = approvals;
    [changes, blast, undo, evidence].into_iter().for_each(|part| beside.join(part));
    let used = own.draw(look, Rect { width: left - 2, ..below }, buf);
    let used = used.max(beside.draw(look, Rect { x: left + 1, width: area.width - left - 1, ..below }, buf));
    for y in 0..used {
        paint::text(buf, below, left - 1, y, look.glyphs.upright, look.style(Role::Border), "");
    }
    rows + used
}

/// `CentOS-Stream-9-20260403.1` without what all of them share; else the snapshot.
fn name(doc: &Row, compose: &str, snapshot: &str) -> String {
    let changes = doc.get("changes").and_then(serde_json::Value::as_object);
    let label = changes.map(|c| word::text(c, compose)).unwrap_or_default();
    match label.rsplit('-').next() {
        Some(label) if !label.is_empty() => label.to_owned(),
        _ => parts::same(doc, snapshot),
    }
}

fn head(model: &Model, doc: &Row, trust: &Trust) -> Text {
    let mut out = Text::new();
    let state = word::text(doc, "state");
    let at = |f: &str| when::instant(doc, f).map(|t| when::show(model, t)).unwrap_or_default();
    let holds = doc.get("holds").and_then(serde_json::Value::as_array).map_or(0, Vec::len);
    let held = if holds == 0 { String::new() } else { format!(" + {holds} held or added") };
    let lane = if word::text(doc, "lane") == "oob" { "security lane  " } else { "" };
    out.title(word::text(doc, "promotion"), format!("{lane}{} {}", word::text(doc, "os"), word::text(doc, "set")));
    let fp = |f: &str| {
        let changes = doc.get("changes").and_then(serde_json::Value::as_object);
        let text = changes.map(|c| word::text(c, f)).unwrap_or_default();
        if text.is_empty() { "?".to_owned() } else { text.chars().take(8).collect() }
    };
    out.hang(
        2,
        vec![
            (format!("{state}  "), promotion_state::role(&state)),
            (format!("{} -> {}{held}  ", name(doc, "from_compose", "from"), name(doc, "to_compose", "to")), Role::Strong),
            (format!("fp {} -> {}", fp("from_fp"), fp("to_fp")), Role::Text),
        ],
    );
    let sha = word::short(&word::text(doc, "sha"));
    let mut told = vec![format!("plan {}", if sha.is_empty() { "none" } else { &sha }), format!("by {}", word::text(doc, "author"))];
    let extra = [("change", word::text(doc, "change")), ("opened", at("created")), ("soak", at("soak")), ("closed", at("closed"))];
    told.extend(extra.into_iter().filter(|(_, t)| !t.is_empty()).map(|(l, t)| format!("{l} {t}")));
    let reason = word::text(doc, "reason");
    if !reason.is_empty() {
        told.push(reason);
    }
    out.hang(2, vec![(told.join("  "), Role::Dim)]);
    if let Trust::Old(why) = trust {
        out.say(&format!("STALE {why}"), Role::Warn);
    }
    let moved = texts(doc, "moved");
    if flag(doc, "has_moved") || (!moved.is_empty() && state == "GATED") {
        let now = word::short(&word::text(doc, "sha_now"));
        out.put("MOVED", format!("plan {now} now; approvals of the one before are void. {}", moved.join("; ")), Role::Bad);
    }
    let (text, role) = next(doc, &state);
    out.put("NEXT", text, role);
    out
}

/// What is to be done, and by which key.
fn next(doc: &Row, state: &str) -> (String, Role) {
    let last = || parts::last(doc);
    let key = |text: String| (text, Role::Key);
    let work = word::text(doc, "at_work");
    match state {
        "DRAFT" | "GATED" if !work.is_empty() => (format!("{work} takes its candidate, and its gates are judged behind it"), Role::Dim),
        "DRAFT" => key("S takes its candidate: a snapshot in every datacentre".to_owned()),
        "GATED" => {
            let gates: Vec<String> = objects(doc, "gates").filter(|g| !flag(g, "passes")).map(|g| word::text(g, "gate")).collect();
            // The table says why a gate does not pass; what else stands against a start is told here.
            let other = |h: &String| !gates.iter().any(|g| h.starts_with(&format!("{g} ")));
            let mut all: Vec<String> = texts(doc, "hindrances").into_iter().filter(other).collect();
            if !gates.is_empty() {
                all.push(format!("{} must pass; W waives a gate", gates.join(" ")));
            }
            match all.is_empty() {
                true => ("every gate passes: it becomes READY by itself".to_owned(), Role::Dim),
                false => (all.join("; "), Role::Warn),
            }
        }
        "READY" => {
            let missing = texts(doc, "missing").join(" and ");
            key(format!("A approves: {missing} missing; two people, one of them not {}", word::text(doc, "author")))
        }
        "APPROVED" => key(format!("P starts it: type `{}`", word::text(doc, "start"))),
        "SWITCHING" => key("X halts at once; a switch that has begun is finished".to_owned()),
        "IMAGING" | "WAVING" => match texts(doc, "asks").as_slice() {
            [stage, what] => key(format!("people {what}, then say so: l shows the run, A there approves `{stage}`; X halts at once")),
            _ => key("its run is at work: l shows it; X halts at once".to_owned()),
        },
        "HALTED" => (format!("R goes on if nothing has moved, U rolls back. {}", last()), Role::Bad),
        "CLOSED" => key("e copies the command for the evidence; U rolls back".to_owned()),
        _ => (last(), Role::Dim),
    }
}
