//! The parts of a promotion's page: gates, what changes, approvals, datacentres, the run, what it touches, the way back, its story.

use jiff::Timestamp;
use serde_json::Value;

use super::text::Text;
use super::{promotion_state, when, word};
use crate::api::diff::SourceDoc;
use crate::base::{count, size};
use crate::console::model::Model;
use crate::console::model::list::Row;
use crate::console::question::Question;
use crate::console::update::promotions::{flag, objects, texts};
use crate::console::widget::paint;
use crate::theme::{Look, Role};

/// Columns of a gate's result: `WAIVED`, `PENDING`.
const RESULT: usize = 9;
/// Columns of a gate's title in the table, with little room and with much.
const TITLE: [usize; 2] = [26, 37];
/// Source packages that a page names.
const SOURCES: usize = 150;
/// Pieces of evidence that a line names.
const NAMED: usize = 3;

/// What all datacentres have in common, or that they differ.
pub fn same(doc: &Row, field: &str) -> String {
    let mut all: Vec<String> = objects(doc, "moves").map(|m| word::text(m, field)).filter(|t| !t.is_empty()).collect();
    all.sort();
    all.dedup();
    match all.as_slice() {
        [] => "nothing yet".to_owned(),
        [one] => one.clone(),
        many => format!("{} different", many.len()),
    }
}

/// The newest line of its story.
pub fn last(doc: &Row) -> String {
    objects(doc, "notes").last().map(|n| word::text(n, "text")).unwrap_or_default()
}

fn gate_role(gate: &Row, old: bool) -> Role {
    match word::text(gate, "result").as_str() {
        // What was good when it was last heard of is not known to be good now.
        "OK" if old => Role::Unknown,
        "OK" => Role::Good,
        "FAIL" => Role::Bad,
        "WAIVED" => Role::Warn,
        "PENDING" => Role::Waiting,
        "N/A" if flag(gate, "passes") => Role::Dim,
        "N/A" => Role::Warn,
        _ => Role::Unknown,
    }
}

fn result(gate: &Row, old: bool) -> String {
    let word = word::text(gate, "result");
    if old && word == "OK" { format!("~{word}") } else { word }
}

/// How much of each gate is told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Those that pass stand two in a row.
    Short,
    /// Each with its reason.
    Reasons,
    /// And with what that rests on.
    Evidence,
}

/// Those that do not pass first, each with its reason; those that pass with theirs too where there is room, else two in a row.
pub fn gates(model: &Model, doc: &Row, old: bool, shown: Shown, width: u16, look: &Look) -> Text {
    let mut out = Text::new();
    let all: Vec<&Row> = objects(doc, "gates").collect();
    let count = |f: &dyn Fn(&Row) -> bool| all.iter().filter(|g| f(g)).count();
    let waived = count(&|g| word::text(g, "result") == "WAIVED");
    let told = if waived > 0 { format!(", {waived} of them waived") } else { String::new() };
    let at = when::instant(doc, "gates_at").map(|t| format!(" {}", when::show(model, t))).unwrap_or_default();
    out.title(
        "GATES",
        format!("{} of {} pass{}{told}", count(&|g| flag(g, "passes")), all.len(), if at.is_empty() { at } else { format!("ed{at}") }),
    );
    let ready = matches!(word::text(doc, "state").as_str(), "GATED" | "DRAFT" | "READY" | "APPROVED");
    let open = |g: &&&Row| !flag(g, "passes");
    let ordered: Vec<&Row> = match ready {
        true => all.iter().filter(open).chain(all.iter().filter(|g| !open(g))).copied().collect(),
        false => all.clone(),
    };
    let (mut pairs, half) = (Vec::new(), usize::from(width / 2));
    for gate in ordered {
        let role = gate_role(gate, old);
        let name = word::text(gate, "gate");
        if shown == Shown::Short && flag(gate, "passes") {
            let room = half.saturating_sub(5 + RESULT);
            let title = paint::cut(&word::text(gate, "title"), room.saturating_sub(1), look.glyphs.ellipsis);
            pairs.push(vec![
                (format!("{name:<5}"), Role::Label),
                (format!("{title:<room$}"), Role::Text),
                (format!("{:<RESULT$}", result(gate, old)), role),
            ]);
            continue;
        }
        let title = word::text(gate, "title");
        let room = TITLE[usize::from(width >= 100)];
        let title = match width > 60 {
            true => format!("{:<room$} ", paint::cut(&title, room, look.glyphs.ellipsis)),
            false => format!("{title}: "),
        };
        let mut spans = vec![(format!("{name:<5}"), Role::Label), (format!("{:<RESULT$}", result(gate, old)), role), (title, Role::Text)];
        spans.push((reason(model, gate, shown == Shown::Evidence), if flag(gate, "passes") { Role::Dim } else { Role::Text }));
        out.hang(5 + RESULT as u16, spans);
        for w in objects(doc, "waivers").filter(|w| word::text(w, "gate") == name) {
            let (text, role) = waiver(model, w);
            out.hang(5 + RESULT as u16, vec![(format!("{:14}", ""), Role::Dim), (text, role)]);
        }
    }
    let mut rest = pairs.into_iter();
    while let Some(mut left) = rest.next() {
        left.extend(rest.next().into_iter().flatten());
        out.spans(left);
    }
    if all.is_empty() {
        out.say("no gate was judged yet", Role::Dim);
    }
    out
}

/// What was found, and what it rests on.
fn reason(model: &Model, gate: &Row, rests_on: bool) -> String {
    let (detail, accepted) = (word::text(gate, "detail"), word::text(gate, "accepted"));
    let mut text = detail.clone();
    if word::text(gate, "result") == "N/A" && !detail.contains("no source") {
        text = format!("no source (add {}); {detail}", word::text(gate, "add"));
    }
    if !accepted.is_empty() && !text.contains(&accepted) {
        text.push_str(&format!("; the site accepts that: {accepted}"));
    }
    let short = |e: String| e.split(' ').map(|w| piece(model, w)).collect::<Vec<_>>().join(" ");
    let all = if rests_on { texts(gate, "evidence") } else { Vec::new() };
    let more = all.len().saturating_sub(NAMED);
    let mut named: Vec<String> = all.into_iter().take(NAMED).map(short).filter(|e| !text.contains(e.as_str())).collect();
    if more > 0 && !named.is_empty() {
        named.push(format!("and {more} more"));
    }
    if named.is_empty() { text } else { format!("{text}  [{}]", named.join(", ")) }
}

/// Fingerprints and moments as people read them.
fn piece(model: &Model, text: &str) -> String {
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return word::short(text);
    }
    let moment = (text.len() == 16).then(|| text.parse().ok()).flatten().and_then(|us| Timestamp::from_microsecond(us).ok());
    moment.map_or_else(|| text.to_owned(), |t| when::show(model, t))
}

fn waiver(model: &Model, w: &Row) -> (String, Role) {
    let until = when::instant(w, "until").map(|t| when::show(model, t)).unwrap_or_default();
    let (who, second, why) = (word::text(w, "who"), word::text(w, "second"), word::text(w, "reason"));
    match (flag(w, "holds"), flag(w, "single_person"), second.is_empty()) {
        (true, true, _) => (format!("SINGLE PERSON: waived by {who} until {until}: {why}"), Role::Bad),
        (true, false, _) => (format!("waived by {who} and {second} until {until}: {why}"), Role::Warn),
        (false, false, true) => (format!("a waiver is proposed by {who}: it counts once a second person presses W: {why}"), Role::Waiting),
        _ => (format!("its waiver by {who} is over since {until}"), Role::Dim),
    }
}

/// Packages between the two, and what is held or added.
pub fn changes(model: &Model, doc: &Row) -> Text {
    let mut out = Text::new();
    let question = Question::of_promotion(doc);
    out.title("WHAT CHANGES", "");
    let brief = question.clone().and_then(Question::brief);
    let found = [&question, &brief].into_iter().find_map(|q| model.diff(q.as_ref()?));
    match (&question, found) {
        (Some(_), Some(d)) => {
            // Short lines, as many as stand here before: what is below them does not move when they come.
            let (c, k) = (&d.sources_changed, &d.changelogs);
            out.say(&format!("sources {} up  {} down  {} new  {} gone", c.up, c.down, c.new, c.gone), Role::Text);
            out.say(&format!("{} to fetch;  CVE ids {}", size::short(d.fetch_bytes), d.cves.len()), Role::Text);
            let told = if k.partial + k.unknown > 0 { format!(", {} cut, {} unknown", k.partial, k.unknown) } else { String::new() };
            out.say(&format!("changelogs {} complete{told}", k.complete), Role::Text);
        }
        (Some(q), None) => {
            let asked = || [Some(q), brief.as_ref()].into_iter().flatten();
            match asked().find_map(|q| model.known(q)?.error.as_ref()) {
                Some(e) => out.say(&format!("not compared: {}", word::cured(e)), Role::Unknown),
                None => {
                    let waits = asked().any(|q| model.asked.contains(q));
                    out.say(
                        if waits { "both contents are being compared" } else { "compared once the cursor rests; d: all of it" },
                        Role::Dim,
                    );
                    (0..2).for_each(|_| out.say("", Role::Dim));
                }
            }
        }
        (None, _) => {
            let text = match same(doc, "to_fp").as_str() {
                "nothing yet" => "no candidate was taken yet",
                _ if same(doc, "from_fp") == same(doc, "to_fp") => "nothing: what is served and the candidate hold the same",
                _ => "what is served before is no snapshot: nobody can say",
            };
            out.say(text, Role::Dim);
        }
    }
    for h in objects(doc, "holds") {
        let until = h.get("until_us").and_then(Value::as_i64).and_then(|us| Timestamp::from_microsecond(us).ok());
        let until = until.map(|t| when::show(model, t)).unwrap_or_default();
        let what = if word::text(h, "nevra").is_empty() { word::text(h, "package") } else { word::text(h, "nevra") };
        out.hang(
            2,
            vec![
                (format!("{} ", word::text(h, "kind")), Role::Warn),
                (format!("{what}  "), Role::Strong),
                (format!("until {until}, {}: {}", word::text(h, "owner"), word::text(h, "reason")), Role::Text),
            ],
        );
    }
    out
}

/// Each source package that differs, with what is known of the CVE ids between; `cves`: only those that have some, or of which nobody can say.
pub fn sources(model: &Model, doc: &Row, cves: bool) -> Text {
    let mut out = changes(model, doc);
    let question = Question::of_promotion(doc);
    let Some(d) = question.as_ref().and_then(|q| model.diff(q)) else { return out };
    let moved = |s: &SourceDoc| matches!(s.change.as_str(), "up" | "down");
    let wanted = |s: &&SourceDoc| !cves || !s.cves.is_empty() || (moved(s) && s.changelog != "complete");
    let all: Vec<&SourceDoc> = d.sources.iter().filter(wanted).collect();
    out.title(if cves { "CVE IDS" } else { "SOURCES" }, format!("{} of {}", all.len(), d.sources.len()));
    let version = |v: &Option<String>| v.as_deref().map_or("-", |v| v.strip_prefix("0:").unwrap_or(v)).to_owned();
    for s in all.iter().take(SOURCES) {
        let role = match s.change.as_str() {
            "down" | "gone" => Role::Warn,
            _ => Role::Text,
        };
        let (known, about) = match (moved(s), s.changelog.as_str(), s.cves.is_empty()) {
            (false, ..) => (String::new(), Role::Dim),
            (_, "complete", true) => ("no CVE id".to_owned(), Role::Dim),
            (_, "complete", false) => (s.cves.join(" "), Role::Strong),
            (_, "partial", true) => ("none seen, the changelog is cut".to_owned(), Role::Unknown),
            (_, "partial", false) => (format!("{} and maybe more, the changelog is cut", s.cves.join(" ")), Role::Strong),
            _ => ("CVE ids unknown: no changelog".to_owned(), Role::Unknown),
        };
        let lost = if s.change == "down" && !s.cves.is_empty() { "lost: " } else { "" };
        out.hang(
            6,
            vec![
                (format!("{:<5} ", s.change), role),
                (format!("{:<24} ", s.source), Role::Strong),
                (format!("{} -> {}  ", version(&s.old), version(&s.new)), role),
                (format!("{lost}{known}"), about),
            ],
        );
    }
    if all.len() > SOURCES {
        out.say(
            &format!("and {} more: quarterdeck diff {} {}", all.len() - SOURCES, word::short(&d.a.fp), word::short(&d.b.fp)),
            Role::Dim,
        );
    }
    out
}

/// Who has agreed with this plan, by side, and who has not.
pub fn approvals(model: &Model, doc: &Row, old: bool) -> Text {
    let mut out = Text::new();
    let sha = word::text(doc, "sha");
    let before = matches!(word::text(doc, "state").as_str(), "DRAFT" | "GATED" | "READY" | "APPROVED");
    let missing = if before { texts(doc, "missing") } else { Vec::new() };
    out.title("APPROVALS", format!("of plan {}", word::short(&sha)));
    for a in objects(doc, "approvals") {
        let at = when::instant(a, "at").map(|t| when::show(model, t)).unwrap_or_default();
        let (side, who, comment) = (word::text(a, "side"), word::text(a, "who"), word::text(a, "comment"));
        let (text, role) = match (word::text(a, "sha") == sha, flag(a, "single_person")) {
            (false, _) => (format!("{who} {at}: void, the plan has moved since"), Role::Dim),
            (true, true) => (format!("SINGLE PERSON {who} {at}  {comment}"), Role::Bad),
            (true, false) => (format!("{who} {at}  {comment}"), if old { Role::Unknown } else { Role::Good }),
        };
        out.put(&side, text, role);
    }
    let text = match word::text(doc, "state") == "READY" {
        true => "waits: somebody must press A",
        false => "not yet: it is approved once every gate passes",
    };
    for side in &missing {
        out.put(side, text, if text.starts_with("waits") { Role::Waiting } else { Role::Dim });
    }
    if missing.is_empty() && objects(doc, "approvals").next().is_none() {
        out.say("nobody has approved it", Role::Dim);
    }
    out
}

/// What each datacentre serves, and what it will.
pub fn datacentres(doc: &Row, old: bool) -> Text {
    let mut out = Text::new();
    let done = objects(doc, "moves").filter(|m| flag(m, "switched")).count();
    let all = objects(doc, "moves").count();
    let sizes = objects(doc, "moves").find_map(|m| {
        let number = |f: &str| m.get(f).and_then(Value::as_u64);
        Some(format!("  candidate {}, {}", count::s(number("packages")?, "package"), size::short(number("size_bytes")?)))
    });
    out.title("DATACENTRES", format!("{} {done} of {all} switched{}", same(doc, "pointer"), sizes.unwrap_or_default()));
    for m in objects(doc, "moves") {
        let to = if word::text(m, "to").is_empty() { "no candidate yet".to_owned() } else { word::text(m, "to") };
        let (from, now) = (word::text(m, "from"), word::text(m, "now"));
        let mut spans = vec![(format!("{from} -> {to}"), Role::Text)];
        spans.push(match flag(m, "switched") {
            true => ("  switched".to_owned(), if old { Role::Unknown } else { Role::Good }),
            false => (String::new(), Role::Dim),
        });
        if now != from && now != to {
            // Where it is over, others have moved it since.
            let over = promotion_state::is_over(&word::text(doc, "state"));
            spans.push(if over { (format!("  now {now}"), Role::Dim) } else { (format!("  NOW {now}"), Role::Bad) });
        } else if now == from && flag(m, "switched") {
            spans.push(("  taken back".to_owned(), Role::Warn));
        }
        let free = m.get("free_bytes").and_then(Value::as_u64).map(|b| format!("  {} free", size::short(b)));
        spans.push((free.unwrap_or_default(), Role::Dim));
        let why = word::text(m, "why");
        if !why.is_empty() {
            spans.push((format!("  {why}"), Role::Bad));
        }
        out.labelled(&word::text(m, "dc"), spans);
    }
    if all == 0 {
        out.say("the site file names none: add [promotion.OS.dc.NAME]", Role::Bad);
    }
    out
}

/// Each stage of its runs: each can be resumed.
pub fn sequence(model: &Model, doc: &Row) -> Text {
    let mut out = Text::new();
    let stages: Vec<&Row> = objects(doc, "sequence").collect();
    if stages.is_empty() {
        return out;
    }
    out.title("SEQUENCE", stages.last().map(|s| word::text(s, "run")).unwrap_or_default());
    for s in stages {
        let outcome = word::outcome(s);
        let role = match outcome.as_str() {
            "success" => Role::Good,
            "failure" | "lost" => Role::Bad,
            "running" => Role::Running,
            "skipped" | "cancelled" => Role::Warn,
            _ => Role::Waiting,
        };
        let at = when::instant(s, "ended").or_else(|| when::instant(s, "started")).map(|t| when::show(model, t)).unwrap_or_default();
        out.hang(
            4,
            vec![
                (format!("{:<24} ", word::text(s, "stage")), Role::Text),
                (format!("{outcome:<10} "), role),
                (format!("{at}  {}", word::text(s, "detail")), Role::Dim),
            ],
        );
    }
    out
}

/// What uses the content; a source that is missing is named.
pub fn blast(doc: &Row, most: usize) -> Text {
    let mut out = Text::new();
    out.title("BLAST RADIUS", "");
    let nothing = Row::new();
    let blast = doc.get("blast").and_then(Value::as_object).unwrap_or(&nothing);
    for (label, field) in [
        ("repos", "repos"),
        ("trees", "trees"),
        ("pipelines", "pipelines"),
        ("images", "images"),
        ("ISO", "isos"),
        ("kickstart", "kickstarts"),
    ] {
        let all = texts(blast, field);
        let more = all.len().saturating_sub(most);
        let tail = if more > 0 { format!(" and {more} more (b)") } else { String::new() };
        let shown: Vec<String> = all.iter().take(most).cloned().collect();
        if !shown.is_empty() {
            out.put(label, format!("{}  {}{tail}", all.len(), shown.join(" ")), Role::Text);
        }
    }
    for line in texts(blast, "unknown") {
        out.put("unknown", line, Role::Unknown);
    }
    out
}

/// How it is taken back, and what that does not take back.
pub fn undo(doc: &Row) -> Text {
    let mut out = Text::new();
    out.title("UNDO", "");
    for line in texts(doc, "undo") {
        out.hang(2, vec![(line, Role::Text)]);
    }
    for line in texts(doc, "not_undone") {
        out.put("stays", line, Role::Warn);
    }
    out
}

/// What became of it, newest first.
pub fn story(model: &Model, doc: &Row, most: usize) -> Text {
    let mut out = Text::new();
    let mut notes: Vec<&Row> = objects(doc, "notes").collect();
    notes.reverse();
    out.title("STORY", if notes.len() > most { format!("{most} of {}; t shows all", notes.len()) } else { String::new() });
    for n in notes.into_iter().take(most) {
        let at = when::instant(n, "at").map(|t| when::show(model, t)).unwrap_or_default();
        let state = word::text(n, "state");
        out.hang(
            4,
            vec![
                (format!("{at:<9} "), Role::Dim),
                (format!("{state:<11} "), promotion_state::role(&state)),
                (format!("{}  ", word::text(n, "who")), Role::Label),
                (word::text(n, "text"), Role::Text),
            ],
        );
    }
    out
}
