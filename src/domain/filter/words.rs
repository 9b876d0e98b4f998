//! Columns whose cells are words of a closed list, and the lists: a word that no row can have is a slip, and an empty table would hide it.
//!
//! Where a type has the words, they are taken from it. The others belong to rooms above; `tests/it/filters.rs` holds all of them against
//! the rows of a demo.

use crate::domain::decision;
use crate::domain::diff::Change;
use crate::domain::doctor;
use crate::domain::freshness::Light;
use crate::domain::level::Level;
use crate::domain::mirror;
use crate::domain::occurrence::{Cause, Outcome};
use crate::domain::promotion::{Lane, hold, state};
use crate::domain::run::{RunState, Verdict};

/// Who may write a tree: `writer` of the site file.
pub const WRITERS: [&str; 3] = ["quarterdeck", "cobbler", "external"];

/// A column, another one that its table also has (empty = any table), and the words.
type Closed = (&'static str, &'static str, &'static [&'static str]);

const CLOSED: &[Closed] = &[
    ("verdict", "", Verdict::NAMES),
    ("last_verdict", "", Verdict::NAMES),
    ("danger", "", Level::NAMES),
    ("state", "failed_stage", RunState::NAMES),
    ("state", "blocked", RunState::NAMES),
    ("state", "executor", &["busy", "free"]),
    ("state", "calendar_state", &["on", "off", "dead", "waits", "broken"]),
    ("state", "budget_ms", &["answers", "silent", "stale", "unknown"]),
    ("state", "check", doctor::State::NAMES),
    ("state", "author", state::State::NAMES),
    ("state", "recheck", hold::State::NAMES),
    ("state", "freshness", mirror::State::NAMES),
    ("upstream_state", "", mirror::State::NAMES),
    ("light", "", Light::NAMES),
    ("look", "freshness", mirror::Look::NAMES),
    ("signed", "", SIGNED),
    ("upstream_signed", "", SIGNED),
    ("writer", "", &WRITERS),
    ("role", "freshness", &["upstream", "tree", "stable", "replica", "other"]),
    ("role", "sha256", &["made", "used", "wanted", "read", "left"]),
    ("kind", "sha256", &["artifact", "content"]),
    ("kind", "answers", decision::Kind::NAMES),
    ("kind", "recheck", hold::Kind::NAMES),
    ("kind", "budget_ms", &["mirror", "cobbler"]),
    ("kind", "calendar_state", &["cron", "every", "git", "upstream", "broken"]),
    ("mode", "slots", &["shared", "exclusive"]),
    ("lane", "author", Lane::NAMES),
    ("dst", "local", &["gap", "fold"]),
    ("outcome", "", Outcome::NAMES),
    ("last_outcome", "", Outcome::NAMES),
    ("cause", "outcome", Cause::NAMES),
    ("change", "cve_count", Change::NAMES),
    ("change", "old_repo", Change::NAMES),
    ("change", "module", Change::NAMES),
    ("change", "type", Change::NAMES),
];

const SIGNED: &[&str] = &["unsigned", "unreadable", "stated", "ok", "other-key", "bad", "unverified"];

/// The words that `column` may hold in the table with these `columns`, beside nothing; none where it may hold anything.
pub(super) fn closed(column: &str, columns: &[&str]) -> Option<&'static [&'static str]> {
    let of = |(name, beside, _): &&Closed| *name == column && (beside.is_empty() || columns.contains(beside));
    CLOSED.iter().find(of).map(|(.., words)| *words)
}
