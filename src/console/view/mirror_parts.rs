//! What stands beside the list of mirrors, of the repository under the cursor: all in short, or its replicas, users, past, or the way of its
//! content.

use jiff::Timestamp;
use serde_json::Value;

use super::freshness::{age, drift, light};
use super::list::{self, Trust};
use super::text::Text;
use super::{when, word};
use crate::api::repo::{RepoDoc, SyncDoc};
use crate::base::{count, duration, size};
use crate::console::model::Model;
use crate::console::model::list::Row;
use crate::console::model::screen::PAGE;
use crate::console::question::Question;
use crate::console::update::content;
use crate::theme::{Look, Role};

/// Losing more at once is no compose: the guard of syncs and of looks.
const SHRINK: u64 = crate::domain::freshness::SHRINK_PERCENT;
/// Runs, and snapshots, that a line names.
const NAMED: usize = 3;

fn title(model: &Model, row: &Row) -> Text {
    let mut out = Text::new();
    out.title(word::text(row, "repo"), format!("{} {} {}", word::text(row, "os"), list::or(row, "arch", "?"), word::text(row, "dcs")));
    let (sign, role) = light(model, row);
    out.put("STATE", format!("{sign}{}  {}", word::text(row, "freshness"), word::text(row, "detail")), role);
    out
}

/// The places of this repository, upstream first.
fn places<'a>(model: &'a Model, row: &Row) -> Vec<&'a Row> {
    let rows = model.rows(&Question::Rows { what: "mirrors", limit: PAGE }).map_or(&[][..], |r| r.rows.as_slice());
    let name = word::text(row, "repo");
    rows.iter().filter(|p| word::text(p, "repo") == name && word::text(p, "role") != "other").collect()
}

fn place(row: &Row) -> String {
    list::or(row, "dc", &word::text(row, "role"))
}

fn checked(model: &Model, row: &Row) -> String {
    match age(model, row, "checked") {
        a if a.is_empty() => "not asked since the engine started".to_owned(),
        a => format!("asked {a} ago"),
    }
}

/// What the engine said of the repository; else the words for why it has not.
fn doc<'a>(model: &'a Model, row: &Row, out: &mut Text) -> Option<&'a RepoDoc> {
    let name = word::text(row, "repo");
    let trust = list::trust(model, &Question::Repo(name.clone()));
    let found = model.repo(&name);
    match (&trust, found) {
        (Trust::Old(why), Some(_)) => out.put("STALE", why.clone(), Role::Warn),
        (Trust::None(why), None) => out.put("UNKNOWN", why.clone(), Role::Bad),
        (_, None) => out.put("", "its past, its users and its room are asked once the cursor rests here", Role::Dim),
        _ => {}
    }
    found
}

fn time(model: &Model, text: Option<&str>) -> String {
    text.and_then(|t| t.parse::<Timestamp>().ok()).map(|t| when::show(model, t)).unwrap_or_default()
}

/// All of it in short: what it holds, its places, stable, syncs, guards.
pub fn all(model: &Model, row: &Row) -> Text {
    let mut out = title(model, row);
    if let Some(until) = when::instant(row, "frozen_until") {
        out.put("FROZEN", format!("until {}: F ends it", when::show(model, until)), Role::Warn);
    }
    out.put("NEXT", word::text(row, "next"), Role::Key);
    let known = |f: &str| word::short(&word::text(row, f));
    if !known("fp").is_empty() {
        let bytes = row.get("size_bytes").and_then(Value::as_u64).map(size::short).unwrap_or_default();
        let stated = word::text(row, "revision");
        let text = format!(
            "{}{} fp {} md {}  pkgs {}  {bytes}",
            list::or(row, "compose", ""),
            if stated.is_empty() { String::new() } else { format!(" rev {stated}") },
            known("fp"),
            known("md"),
            word::text(row, "packages")
        );
        out.labelled("LATEST", [vec![(text.trim().to_owned(), Role::Text)], signed(row)].concat());
    }
    // What was said is not said again: one reason often holds for every place.
    let mut said = word::text(row, "detail");
    for p in places(model, row).into_iter().filter(|p| word::text(p, "role") != "stable") {
        let (sign, role) = light(model, p);
        let why = match list::or(p, "why", &word::text(p, "detail")) {
            w if role == Role::Good || said.contains(&w) => String::new(),
            w => {
                said.push_str(&w);
                format!("  {w}")
            }
        };
        let text = format!("{sign}{} {}  {}{why}", word::text(p, "freshness"), content::name(p, "compose", "fp"), checked(model, p));
        out.put(&place(p), text, role);
    }
    stable(model, row, &mut out);
    if let Some(doc) = doc(model, row, &mut out) {
        sync(model, doc, &mut out);
        guards(model, row, doc, &mut out);
        holds(doc, &mut out);
    }
    let pipeline = word::text(row, "pipeline");
    let writer = if pipeline.is_empty() { word::text(row, "writer") } else { format!("{}, by {pipeline} (R)", word::text(row, "writer")) };
    out.put("WRITER", writer, Role::Dim);
    if let Some(doc) = model.repo(&word::text(row, "repo")) {
        let users: Vec<String> = doc.used_by.iter().map(|u| format!("{} {}", u.kind, u.name)).collect();
        out.put("USED BY", users.join(", "), Role::Dim);
        // A server that says nothing is no server that says nobody.
        for u in doc.unknown.iter().filter(|u| u.starts_with("cobbler ")) {
            out.put("", u.clone(), Role::Unknown);
        }
    }
    out.put("UPSTREAM", word::text(row, "upstream"), Role::Dim);
    out
}

/// Digits of a key that a line shows.
const KEY: usize = 16;

/// By whom upstream has signed what is latest; nothing where latest is not what upstream has.
fn signed(row: &Row) -> Vec<(String, Role)> {
    let theirs = word::text(row, "upstream_md");
    if theirs.is_empty() || theirs != word::text(row, "md") {
        return Vec::new();
    }
    by(&word::text(row, "upstream_key"), &word::text(row, "upstream_signed")).into_iter().collect()
}

/// `  by 05b555b38483c65d ok`.
fn by(key: &str, said: &str) -> Option<(String, Role)> {
    let key = key.get(key.len().saturating_sub(KEY)..).unwrap_or(key);
    Some(match said {
        "" => return None,
        "ok" => (format!("  by {key} ok"), Role::Good),
        // What nobody has verified is only what it says.
        "stated" | "unverified" => (format!("  by {key}, not verified"), Role::Unknown),
        "other-key" => (format!("  by {key}, no key of the site"), Role::Bad),
        "unsigned" => ("  not signed".to_owned(), Role::Dim),
        other => (format!("  signature {other}"), Role::Bad),
    })
}

fn stable(model: &Model, row: &Row, out: &mut Text) {
    if word::text(row, "stable").is_empty() {
        return;
    }
    let since = when::instant(row, "stable_since").map(|t| format!(" since {}", when::show(model, t))).unwrap_or_default();
    let added = match row.get("oob").and_then(Value::as_u64).unwrap_or(0) {
        0 => String::new(),
        n => format!(", {n} added out of band (o)"),
    };
    let drift = match drift(row) {
        d if d.is_empty() => "unknown".to_owned(),
        d => d,
    };
    let name = content::name(row, "stable_compose", "stable_fp");
    out.put("stable", format!("{name}{since}  drift {drift}{added}"), Role::Text);
}

/// `#165 01:29 success 1m20s`, without the pipeline's name.
fn run(model: &Model, s: &SyncDoc) -> String {
    let number = s.run.rsplit_once('#').map_or(s.run.clone(), |(_, n)| format!("#{n}"));
    let took = s.duration_ms.map(duration::short).unwrap_or_default();
    let changes = match s.changes.as_deref() {
        Some("none") => " no change".to_owned(),
        Some(moved) => format!(" {moved}"),
        None => String::new(),
    };
    format!("{number} {} {} {took}{changes}", time(model, s.started.as_deref()), s.verdict.as_deref().unwrap_or(&s.state))
}

fn verdict(s: &SyncDoc) -> Role {
    match s.verdict.as_deref() {
        Some("success") => Role::Text,
        Some(_) => Role::Bad,
        None => Role::Running,
    }
}

fn sync(model: &Model, doc: &RepoDoc, out: &mut Text) {
    let Some(last) = doc.syncs.first() else { return };
    let usual = doc.usual_ms.map(|ms| format!("  (usual {})", duration::short(ms))).unwrap_or_default();
    let mut spans = vec![(format!("{}{usual}", run(model, last)), verdict(last))];
    if let Some(before) = doc.syncs.get(1) {
        spans.push((format!("  before {}", run(model, before)), Role::Dim));
    }
    out.labelled("SYNC", spans);
}

/// Shrink, broken references, room, snapshots.
fn guards(model: &Model, row: &Row, doc: &RepoDoc, out: &mut Text) {
    let number = |f: &str| row.get(f).and_then(Value::as_u64).unwrap_or(0);
    let shrunk = word::text(row, "state") == "shrunk";
    let broken = number("missing") + number("short");
    let mut spans = vec![match shrunk {
        true => (format!("SHRUNK by more than {SHRINK}%  "), Role::Bad),
        false => (format!("shrink <{SHRINK}% ok  "), Role::Text),
    }];
    if broken > 0 {
        spans.push((format!("{} missing or short  ", count::s(broken, "package")), Role::Bad));
    }
    let room: Vec<(&str, u64)> = doc.space.iter().filter_map(|s| Some((s.place.as_str(), s.free_bytes?))).collect();
    match room.iter().min_by_key(|(_, free)| *free) {
        Some((place, free)) if room.iter().any(|(_, f)| f != free) => {
            spans.push((format!("free {}, the least in {place}  ", size::short(*free)), Role::Text))
        }
        Some((_, free)) => spans.push((format!("free {}  ", size::short(*free)), Role::Text)),
        None if !doc.space.is_empty() => spans.push(("free ? (its disks are not seen from here)  ".to_owned(), Role::Unknown)),
        None => {}
    }
    if let Some(oldest) = doc.snapshots.last() {
        spans.push((format!("snapshots {}, oldest {}", doc.snapshots.len(), time(model, oldest.made.as_deref())), Role::Text));
    }
    out.labelled("GUARDS", spans);
}

fn holds(doc: &RepoDoc, out: &mut Text) {
    let of = |kind: &str| {
        let rows = doc.holds.iter().filter(|h| word::text(h, "kind") == kind);
        rows.map(|h| format!("{} ({})", word::text(h, "package"), word::text(h, "state"))).collect::<Vec<_>>()
    };
    let shown = |all: Vec<String>| {
        let more = all.len().saturating_sub(NAMED);
        let tail = if more > 0 { format!(" and {more} more (o)") } else { String::new() };
        all.into_iter().take(NAMED).collect::<Vec<_>>().join(", ") + &tail
    };
    out.put("HELD", shown(of("hold")), Role::Warn);
    out.put("ADDED", shown(of("oob")), Role::Warn);
}

/// Each place with all that is known of it.
pub fn replicas(model: &Model, row: &Row) -> Text {
    let mut out = title(model, row);
    for p in places(model, row) {
        let (sign, role) = light(model, p);
        out.title(place(p), word::text(p, "role"));
        let at = when::instant(p, "since").map(|t| format!(" since {}", when::show(model, t))).unwrap_or_default();
        out.put("STATE", format!("{sign}{}{at}  {}", word::text(p, "freshness"), checked(model, p)), role);
        let fp = word::short(&word::text(p, "fp"));
        if !fp.is_empty() {
            let text = format!("{} fp {fp} md {}", list::or(p, "compose", ""), word::short(&word::text(p, "md")));
            out.put("HOLDS", format!("{}  pkgs {}", text.trim(), word::text(p, "packages")), Role::Text);
        }
        let n = |f: &str| p.get(f).and_then(Value::as_u64).unwrap_or(0);
        let told =
            [("behind", "lacks"), ("surplus", "has beyond upstream"), ("missing", "missing"), ("short", "short"), ("damaged", "damaged")];
        let counts: Vec<String> = told.iter().filter(|(f, _)| n(f) > 0).map(|(f, w)| format!("{} {w}", n(f))).collect();
        out.put("PACKAGES", counts.join(", "), Role::Warn);
        if role != Role::Good {
            out.put("WHY", list::or(p, "why", &word::text(p, "detail")), Role::Text);
            out.put("NEXT", word::text(p, "next"), Role::Key);
        }
        if let Some((text, role)) = by(&word::text(p, "key"), &word::text(p, "signed")) {
            out.put("SIGNED", text.trim().to_owned(), role);
        }
        out.put("SNAPSHOT", word::text(p, "snapshot"), Role::Dim);
        out.put("AT", word::text(p, "tree"), Role::Dim);
    }
    out
}

/// What places in trouble answered, as it came.
pub fn raw(model: &Model, row: &Row) -> Text {
    let mut out = title(model, row);
    let Some(doc) = doc(model, row, &mut out) else { return out };
    if doc.answers.is_empty() {
        out.say("every place answered what it was asked", Role::Dim);
    }
    for a in &doc.answers {
        out.title(a.place.clone(), "");
        out.put("AT", a.at.clone(), Role::Dim);
        out.put("WHY", a.why.clone(), Role::Bad);
        match a.raw.is_empty() {
            true => out.put("RAW", "no answer came", Role::Dim),
            false => a.raw.iter().enumerate().for_each(|(i, l)| out.put(if i == 0 { "RAW" } else { "" }, l.clone(), Role::Text)),
        }
    }
    out.put("", "l shows the log of its last run", Role::Dim);
    out
}

/// Who uses it, where it lies and how much room there is.
pub fn used(model: &Model, row: &Row) -> Text {
    let mut out = title(model, row);
    let Some(doc) = doc(model, row, &mut out) else { return out };
    out.title("USED BY", format!("{}", doc.used_by.len()));
    for u in &doc.used_by {
        out.labelled(&u.kind, vec![(format!("{}  ", u.name), Role::Strong), (u.how.clone(), Role::Text)]);
    }
    for u in &doc.unknown {
        out.put("unknown", u.clone(), Role::Unknown);
    }
    out.title("ROOM", "");
    for s in &doc.space {
        match (s.free_bytes, s.total_bytes) {
            (Some(free), Some(all)) => {
                let tight = free < all / 20;
                let text = format!("{} free of {}  ", size::short(free), size::short(all));
                out.labelled(&s.place, vec![(text, if tight { Role::Warn } else { Role::Text }), (s.path.clone(), Role::Dim)]);
            }
            _ => out.labelled(&s.place, vec![(format!("unknown: {}  ", s.why), Role::Unknown), (s.path.clone(), Role::Dim)]),
        }
    }
    snapshots(model, doc, &mut out);
    out
}

fn snapshots(model: &Model, doc: &RepoDoc, out: &mut Text) {
    out.title("SNAPSHOTS", format!("{}", doc.snapshots.len()));
    for s in &doc.snapshots {
        let led = if s.pointers.is_empty() { String::new() } else { format!("  <- {}", s.pointers.join(", ")) };
        let made = time(model, s.made.as_deref());
        out.labelled(&s.place, vec![(format!("{}  ", s.id), Role::Strong), (made, Role::Dim), (led, Role::Good)]);
    }
    if doc.snapshots.is_empty() {
        out.say("no snapshot holds it", Role::Dim);
    }
}

/// How its syncs went, and what each place held when.
pub fn history(model: &Model, row: &Row) -> Text {
    let mut out = title(model, row);
    let Some(doc) = doc(model, row, &mut out) else { return out };
    let usual = doc.usual_ms.map(|ms| format!("usual {}", duration::short(ms))).unwrap_or_default();
    out.title("SYNCS", usual);
    for s in &doc.syncs {
        out.spans(vec![(run(model, s), verdict(s))]);
    }
    if doc.syncs.is_empty() {
        out.say("no pipeline writes a content set that holds it, or none has run", Role::Dim);
    }
    out.title("SEEN", "a row only where something was new");
    for s in &doc.history {
        let label = content::label(&s.compose);
        let fp = s.fp.as_deref().map(word::short).unwrap_or_default();
        let what = if label.is_empty() { String::new() } else { format!("{label}  ") };
        let mut spans = vec![
            (format!("{:<13} ", time(model, Some(&s.at))), Role::Dim),
            (format!("{:<9} ", s.place), Role::Strong),
            (format!("{what}fp {}  {} pkgs", if fp.is_empty() { "unknown" } else { &fp }, s.packages), Role::Text),
        ];
        if !s.trouble.is_empty() {
            spans.push((format!("  {}", s.trouble), Role::Warn));
        }
        out.hang(14, spans);
    }
    if doc.history.is_empty() {
        out.say("nothing was seen yet: only repositories with replicas are looked at", Role::Dim);
    }
    out
}

/// The way of its content: upstream, what writes the tree, replicas, what is promoted, and who reads it.
pub fn graph(model: &Model, look: &Look, row: &Row) -> Text {
    let mut out = title(model, row);
    let all = places(model, row);
    let of = |role: &str| all.iter().filter(|p| word::text(p, "role") == role).copied().collect::<Vec<_>>();
    let (line, arm) = (look.glyphs.upright, look.glyphs.branch);
    let node = |out: &mut Text, lead: &str, p: &Row| {
        let (sign, role) = light(model, p);
        out.spans(vec![
            (format!("{lead}{:<w$} ", place(p), w = 12 - lead.chars().count().min(2)), Role::Strong),
            (format!("{:<11} ", content::name(p, "compose", "fp")), Role::Text),
            (format!("{sign}{}", word::text(p, "freshness")), role),
        ]);
    };
    out.title("GRAPH", "from upstream to who reads it");
    of("upstream").into_iter().for_each(|p| node(&mut out, "", p));
    let pipeline = word::text(row, "pipeline");
    let writer = match (word::text(row, "writer"), pipeline.is_empty()) {
        (w, true) => format!("written by {w}"),
        (w, false) => format!("{pipeline} (R), written by {w}"),
    };
    out.spans(vec![(format!("{line} "), Role::Border), (writer, Role::Dim)]);
    of("tree").into_iter().for_each(|p| node(&mut out, "", p));
    of("replica").into_iter().for_each(|p| node(&mut out, &format!("{arm} "), p));
    let Some(doc) = doc(model, row, &mut out) else { return out };
    let named = |kind: &str| doc.used_by.iter().filter(|u| u.kind == kind).map(|u| u.name.clone()).collect::<Vec<_>>();
    let promoted = named("promotion");
    if !promoted.is_empty() {
        out.spans(vec![(format!("{line} "), Role::Border), (format!("promotion of {} (6)", promoted.join(", ")), Role::Dim)]);
    }
    of("stable").into_iter().for_each(|p| node(&mut out, "", p));
    for s in doc.snapshots.iter().filter(|s| !s.pointers.is_empty()) {
        out.spans(vec![
            (format!("{arm} "), Role::Border),
            (format!("{}  ", s.place), Role::Strong),
            (format!("{} = {}", s.pointers.join(", "), s.id), Role::Text),
        ]);
    }
    for (kind, words) in [("set", "judged as"), ("pipeline", "used by"), ("cobbler", "served by Cobbler"), ("profile", "installed by")] {
        out.put(kind, if named(kind).is_empty() { String::new() } else { format!("{words} {}", named(kind).join(", ")) }, Role::Text);
    }
    for u in &doc.unknown {
        out.put("unknown", u.clone(), Role::Unknown);
    }
    out
}
