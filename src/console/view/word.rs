//! Words of the engine as signs and roles: never by colour alone, and never green where nothing is known.

use serde_json::Value;

use crate::console::model::list::Row;
use crate::theme::{Glyphs, Role};

/// The text of a field; empty where it is null or absent.
pub fn text(row: &Row, field: &str) -> String {
    match row.get(field) {
        Some(Value::String(s)) => s.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    }
}

/// How a verdict or a state is drawn: word, sign, role.
pub fn verdict(word: &str, glyphs: &Glyphs) -> (&'static str, Role) {
    match word {
        "success" => (glyphs.good, Role::Good),
        "failure" | "lost" => (glyphs.bad, Role::Bad),
        "invalid" => ("!", Role::Bad),
        "cancelled" => ("x", Role::Warn),
        "skipped" => (glyphs.none, Role::Dim),
        "running" => (glyphs.running, Role::Running),
        "queued" | "pending" | "waiting" | "blocked" => (glyphs.waiting, Role::Waiting),
        "" => (glyphs.none, Role::Dim),
        _ => (glyphs.unknown, Role::Unknown),
    }
}

/// The verdict of a run's row, or its state where it has none.
pub fn outcome(row: &Row) -> String {
    match text(row, "verdict") {
        v if v.is_empty() => text(row, "state"),
        v => v,
    }
}

/// Whether a row is one that `n` stops at.
pub fn problem(row: &Row) -> bool {
    let bad = |f: &str| matches!(text(row, f).as_str(), "failure" | "lost" | "invalid");
    bad("verdict") || bad("last_verdict") || !text(row, "errors").is_empty() || matches!(text(row, "outcome").as_str(), "skipped" | "late")
}
