//! What belongs to a run, beside its stages: why it stands as it does, who let it pass, what moved, what it was given and what it left.

use super::text::Text;
use super::{spots, when, word};
use crate::api::page::{About, Input};
use crate::api::types::RunDoc;
use crate::base::{count, size};
use crate::console::model::Model;
use crate::console::model::list::Row;
use crate::domain::run::RunRef;
use crate::theme::{Glyphs, Role};

/// Artifacts, failed tests and facts that the page shows; the command line has all.
const SHOWN: usize = 8;

pub fn all(model: &Model, doc: &RunDoc, run: &RunRef, glyphs: &Glyphs) -> Text {
    let mut out = Text::new();
    if let Some(why) = model.why(run).filter(|w| !w.reasons.is_empty()) {
        out.title("WHY", "");
        for line in why.reasons.iter().flat_map(|r| r.lines()) {
            out.say(line, Role::Text);
        }
    }
    let Some(about) = model.about(run) else {
        if doc.state == "done" {
            out.say("asking for changes, approvals, artifacts and tests", Role::Dim);
        }
        return out;
    };
    related(model, &mut out, about, doc, glyphs);
    changes(&mut out, about);
    approvals(model, &mut out, about, run);
    if !about.parameters.is_empty() {
        out.title("PARAMETERS", "");
        for (name, value) in &about.parameters {
            out.spans(vec![(format!("{name} "), Role::Label), (value.clone(), Role::Text)]);
        }
    }
    tests(&mut out, about, glyphs);
    artifacts(&mut out, about, run);
    facts(&mut out, about);
    row(&mut out, about);
    out
}

/// What its own row says, where that is anything.
fn row(out: &mut Text, about: &About) {
    let row = &about.run;
    let pinned = row.get("pinned").and_then(serde_json::Value::as_bool).unwrap_or(false);
    // The number of a request that a client made says nothing to people.
    let cause = Some(word::text(row, "cause")).filter(|c| !c.starts_with("client:")).unwrap_or_default();
    let said = [
        ("REASON", word::text(row, "reason"), Role::Text),
        ("CAUSE", cause, Role::Dim),
        ("REPLAYS", word::text(row, "replay_of"), Role::Text),
        ("CANCEL", word::text(row, "cancel_by"), Role::Warn),
        ("KEPT", if pinned { "pinned: it is kept whatever retention says".to_owned() } else { String::new() }, Role::Text),
    ];
    // A title with nothing below it says that something is missing.
    if said.iter().any(|(_, text, _)| !text.is_empty()) {
        out.title("RUN", about.danger.clone());
        said.into_iter().for_each(|(label, text, role)| out.put(label, text, role));
    }
}

/// Runs that belong to this one, each to be opened by Enter.
fn related(model: &Model, out: &mut Text, about: &About, doc: &RunDoc, glyphs: &Glyphs) {
    let all = spots::related(about, doc);
    if all.is_empty() {
        return;
    }
    out.title("RUNS", "enter opens");
    for (what, run, outcome) in all {
        let here = model.screen().spot.as_deref() == Some(spots::of_run(&run).as_str());
        let (sign, role) = word::verdict(&outcome, glyphs);
        let state = if outcome.is_empty() { String::new() } else { format!("  {sign} {outcome}") };
        let cursor = if here { glyphs.cursor } else { " " };
        out.spot(
            vec![
                (format!("{cursor} {what} "), Role::Label),
                (run.to_string(), if here { Role::Selected } else { Role::Text }),
                (state, role),
            ],
            here,
        );
    }
}

/// What moved since the run before; `No Changes` where nothing did, and no claim where nobody can say.
fn changes(out: &mut Text, about: &About) {
    let since = about.moved_since.as_ref().map(|r| format!("since {r}")).unwrap_or_default();
    let said = word::changes(&about.run);
    if about.inputs.is_empty() && said.is_empty() {
        return;
    }
    out.title("CHANGES", since);
    if !said.is_empty() {
        out.say(&said, if said == "No Changes" { Role::Dim } else { Role::Strong });
    }
    for Input { kind, name, now, before, current } in &about.inputs {
        let other = current.as_ref().filter(|c| now.as_ref().is_some_and(|n| n != *c));
        let since = other.map(|c| format!("; it is {} now", word::short(c))).unwrap_or_default();
        let now = now.as_deref().map_or("unknown".to_owned(), word::short);
        let (text, role) = match before.as_deref().map(word::short) {
            Some(b) if b == now => (format!("{now} as before{since}"), Role::Dim),
            Some(b) => (format!("{b} -> {now}{since}"), Role::Text),
            None => (format!("{now}{since}"), Role::Dim),
        };
        let role = if since.is_empty() { role } else { Role::Warn };
        out.spans(vec![(format!("{kind} {name}  "), Role::Label), (text, role)]);
    }
}

fn approvals(model: &Model, out: &mut Text, about: &About, run: &RunRef) {
    if about.decisions.is_empty() {
        return;
    }
    out.title("APPROVALS", "");
    for d in &about.decisions {
        let (kind, who, why) = (word::text(d, "kind"), word::text(d, "who"), word::text(d, "why"));
        let subject = word::text(d, "subject");
        let stage = subject.strip_prefix(&format!("{run}/")).map(|s| format!(" {s}")).unwrap_or_default();
        let at = when::instant(d, "at").map(|t| when::show(model, t)).unwrap_or_default();
        let alone = d.get("single_person").and_then(serde_json::Value::as_bool).unwrap_or(false);
        let role = match (kind.as_str(), alone) {
            (_, true) | ("deny", _) => Role::Bad,
            ("approve", _) => Role::Good,
            ("request", _) if word::text(d, "ended").is_empty() => Role::Warn,
            _ => Role::Text,
        };
        let alone = if alone { " SINGLE PERSON" } else { "" };
        let answers = answers(d);
        out.spans(vec![
            (format!("{at}  "), Role::Dim),
            (format!("{kind}{stage}{alone}  "), role),
            (format!("{who}  "), Role::Strong),
            (format!("{why}{answers}"), Role::Text),
        ]);
    }
}

fn answers(decision: &Row) -> String {
    match word::text(decision, "answers") {
        a if a.is_empty() => a,
        a => format!("  ({a})"),
    }
}

fn tests(out: &mut Text, about: &About, glyphs: &Glyphs) {
    let Some(t) = &about.tests else { return };
    let all = t.passed + t.failed + t.skipped;
    out.title("TESTS", format!("{all} in all"));
    let (sign, role) = if t.failed > 0 { (glyphs.bad, Role::Bad) } else { (glyphs.good, Role::Good) };
    out.spans(vec![(format!("{sign} {} failed, {} passed, {} skipped", t.failed, t.passed, t.skipped), role)]);
    for f in about.failures.iter().take(SHOWN) {
        let new = if f.get("new").and_then(serde_json::Value::as_bool).unwrap_or(false) { "new " } else { "" };
        let message = word::text(f, "message");
        let message = message.lines().next().unwrap_or_default().to_owned();
        out.spans(vec![(format!("{new}{}  ", word::text(f, "test")), Role::Bad), (message, Role::Dim)]);
    }
}

fn artifacts(out: &mut Text, about: &About, run: &RunRef) {
    if about.artifact_count == 0 {
        return;
    }
    out.title("ARTIFACTS", format!("{}, {}", count::s(about.artifact_count, "file"), size::short(about.artifact_bytes)));
    for a in about.artifacts.iter().take(SHOWN) {
        let bytes = a.get("size_bytes").and_then(serde_json::Value::as_u64).map(size::short).unwrap_or_default();
        let sha = word::short(&word::text(a, "sha256"));
        out.spans(vec![(format!("{}  ", word::text(a, "path")), Role::Text), (format!("{bytes}  {sha}"), Role::Dim)]);
    }
    if about.artifact_count > SHOWN as u64 {
        out.say(&format!("all: quarterdeck get artifacts --filter 'run={run}'"), Role::Dim);
    }
}

/// What its steps reported, a line each.
fn facts(out: &mut Text, about: &About) {
    if about.facts.is_empty() {
        return;
    }
    out.title("REPORTED", "");
    for fact in about.facts.iter().take(SHOWN) {
        let serde_json::Value::Object(map) = fact else { continue };
        let short = |v: &serde_json::Value| match v {
            // Digests and commits.
            serde_json::Value::String(s) if matches!(s.len(), 40 | 64) && s.bytes().all(|b| b.is_ascii_hexdigit()) => word::short(s),
            serde_json::Value::String(s) => s.clone(),
            other => other.to_string(),
        };
        let flat = |v: &serde_json::Value| !v.is_object() && !v.is_array() && !v.is_null();
        let rest = map.iter().filter(|(k, v)| *k != "kind" && flat(v)).map(|(k, v)| format!("{k} {}", short(v)));
        out.spans(vec![(format!("{}  ", word::text(map, "kind")), Role::Label), (rest.collect::<Vec<_>>().join("  "), Role::Text)]);
    }
    if about.facts.len() > SHOWN {
        out.say(&format!("and {} more", about.facts.len() - SHOWN), Role::Dim);
    }
}
