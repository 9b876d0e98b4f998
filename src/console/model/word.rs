//! Words of the engine as signs and roles: never by colour alone, and never green where nothing is known.

use serde_json::Value;

use crate::api::ApiError;
use crate::console::question::Row;
use crate::theme::{Glyphs, Role};

/// An error and its cure, on one line.
pub fn cured(e: &ApiError) -> String {
    if e.help.is_empty() { e.to_string() } else { format!("{e}; {}", e.help) }
}

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
        "success" | "ok" => (glyphs.good, Role::Good),
        "failure" | "lost" | "fail" => (glyphs.bad, Role::Bad),
        "invalid" => ("!", Role::Bad),
        "cancelled" => ("x", Role::Warn),
        "warn" => ("!", Role::Warn),
        "skipped" => (glyphs.none, Role::Dim),
        "running" => (glyphs.running, Role::Running),
        "queued" | "pending" | "waiting" | "blocked" | "ready" => (glyphs.waiting, Role::Waiting),
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

/// What became of a time of the ledger.
pub fn occurrence(outcome: &str) -> Role {
    match outcome {
        "ran" => Role::Good,
        "late" | "skipped" => Role::Warn,
        _ => Role::Dim,
    }
}

/// Whether a row is one that `n` stops at.
pub fn problem(row: &Row) -> bool {
    let is = |f: &str, words: &[&str]| words.contains(&text(row, f).as_str());
    let bad = |f: &str| is(f, &["failure", "lost", "invalid"]);
    let number = |f: &str| row.get(f).and_then(Value::as_u64).unwrap_or(0) > 0;
    bad("verdict")
        || bad("last_verdict")
        || number("errors")
        || number("red_runs")
        || is("outcome", &["skipped", "late"])
        || is("last_outcome", &["skipped", "late"])
        || is("state", &["fail", "warn", "broken", "dead"])
        || is("dst", &["gap", "fold"])
        || is("light", &["amber", "red"])
        || is("state", &["HALTED", "READY", "APPROVED", "GATED", "RECHECK", "EXPIRED"])
        || is("change", &["down", "gone"])
        || !text(row, "calendar").is_empty() && row.contains_key("dst")
        || is_slow(row)
        || !matches!(text(row, "severity").as_str(), "" | "ack")
        || text(row, "result").starts_with("refused")
        || row.get("single_person").and_then(Value::as_bool).unwrap_or(false)
}

/// Content that a pipeline's last success was about, and that is other content now: the verdict is not about what is there.
pub fn is_moved(pipeline: &Row) -> bool {
    !text(pipeline, "moved").is_empty()
}

/// `none` as people know it from Jenkins; what moved; empty where nobody can say.
pub fn changes(row: &Row) -> String {
    moved(&text(row, "changes"))
}

pub fn moved(text: &str) -> String {
    if text == "none" { "No Changes".to_owned() } else { text.to_owned() }
}

/// A run that has not ended and takes longer than nearly all good ones before it.
pub fn is_slow(run: &Row) -> bool {
    !text(run, "slow_since").is_empty() && text(run, "state") != "done"
}

/// The first twelve signs of a fingerprint, or a commit.
pub fn short(fp: &str) -> String {
    fp.chars().take(12).collect()
}
