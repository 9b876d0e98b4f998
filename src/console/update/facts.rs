//! The worst facts, for the ribbon and for home. Each has an age, or is true now; nothing is green for want of knowledge.

use crate::console::model::screen::PAGE;
use crate::console::model::{Link, Model};
use crate::console::question::Question;

/// One fact. 2 = something is broken, 1 = somebody should look, 0 = good to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    pub text: String,
    pub weight: u8,
}

fn fact(weight: u8, text: impl Into<String>) -> Fact {
    Fact { text: text.into(), weight }
}

/// All facts, worst first; at least one.
pub fn facts(model: &Model) -> Vec<Fact> {
    let mut out = Vec::new();
    match &model.link {
        Link::Down { why, .. } => out.push(fact(2, format!("no engine: {why}"))),
        Link::Connecting => out.push(fact(0, "waiting for the engine")),
        Link::Saved { .. } | Link::Up => {}
    }
    out.extend(model.key_reports.iter().map(|r| fact(1, format!("keys: {r}"))));
    if let Some(s) = model.status() {
        if !s.site_error.is_empty() {
            out.push(fact(2, format!("site file: {}", s.site_error.lines().next().unwrap_or_default())));
        }
        if s.version != env!("CARGO_PKG_VERSION") {
            let text = format!(
                "the engine is version {}, this console {}: what it says may be shown in part",
                s.version,
                env!("CARGO_PKG_VERSION")
            );
            out.push(fact(1, text));
        }
        if s.draining {
            out.push(fact(1, "drained: nothing new starts"));
        }
        if s.read_only {
            out.push(fact(0, "the site is read-only"));
        }
    }
    let rows = |what| model.rows(&Question::Rows { what, limit: PAGE }).map_or(&[][..], |r| r.rows.as_slice());
    let text =
        |row: &serde_json::Map<String, serde_json::Value>, f: &str| row.get(f).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
    for row in rows("pipelines") {
        let name = text(row, "pipeline");
        if row.get("errors").and_then(serde_json::Value::as_u64).unwrap_or(0) > 0 {
            out.push(fact(2, format!("{name}: its file has errors")));
        }
        let verdict = text(row, "last_verdict");
        if matches!(verdict.as_str(), "failure" | "lost" | "invalid") {
            out.push(fact(2, format!("{} {}", text(row, "last_run"), verdict.to_uppercase())));
        }
    }
    for row in rows("queue") {
        if text(row, "state") == "waiting" {
            out.push(fact(1, format!("{} waits: {}", text(row, "run"), text(row, "blocked"))));
        }
    }
    for row in rows("schedule") {
        if matches!(text(row, "last_outcome").as_str(), "skipped" | "late") {
            out.push(fact(1, format!("{} {}: {}", text(row, "pipeline"), text(row, "last_outcome"), text(row, "last_why"))));
        }
    }
    if let Some(broken) = model.rows(&Question::Rows { what: "audit", limit: PAGE }).and_then(|r| r.error.as_ref()) {
        out.push(fact(2, format!("audit chain broken: {broken}")));
    }
    out.sort_by_key(|f| std::cmp::Reverse(f.weight));
    if out.is_empty() {
        let n = rows("pipelines").len();
        out.push(fact(0, if model.status().is_some() { format!("nothing is red; {n} pipelines") } else { "asking the engine".to_owned() }));
    }
    out
}
