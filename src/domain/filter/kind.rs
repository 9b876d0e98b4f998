//! What the cells of a column are, by its name: one list for all tables. What is compared with a time has to be one; the words of closed
//! lists are in `words.rs`.
//!
//! A name means the same in every table, but for `ELSEWHERE`. A column that nobody lists is text. `tests/it/filters.rs` holds the list
//! against the rows of a demo.

use super::words::closed;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
    /// true or false
    Truth,
    Time,
    /// `…_ms`
    Duration,
    /// `…_bytes`
    Size,
    /// One of these words.
    Word(&'static [&'static str]),
}

const TIMES: [&str; 31] = [
    "answered",
    "asked",
    "at",
    "changed",
    "checked",
    "closed",
    "created",
    "decided",
    "ended",
    "first_seen",
    "frozen_until",
    "last_ended",
    "last_failure_ended",
    "last_scheduled",
    "last_success_ended",
    "made",
    "next",
    "queued",
    "read",
    "recheck",
    "red_since",
    "scheduled_for",
    "served",
    "since",
    "round_started",
    "slow_since",
    "soak",
    "stable_since",
    "started",
    "until",
    "verified",
];

const NUMBERS: [&str; 43] = [
    "additions",
    "behind",
    "composes_behind",
    "cve_count",
    "damaged",
    "datacentres",
    "drift",
    "drift_gone",
    "errors",
    "executor",
    "exit_code",
    "extra",
    "failed",
    "flaky",
    "gates",
    "holds",
    "id",
    "login_uid",
    "missing",
    "no_source",
    "number",
    "oob",
    "packages",
    "passed",
    "places",
    "priority",
    "rank",
    "red_runs",
    "round",
    "runs",
    "sampled",
    "seq",
    "short",
    "skipped",
    "slots",
    "stages",
    "surplus",
    "switched",
    "taken",
    "tests",
    "uid",
    "versions",
    "waived",
];

const TRUTHS: [&str; 4] = ["pinned", "proposed", "single_person", "umbrella"];

/// What a name means in a table that also has the second column.
const ELSEWHERE: [(&str, &str, Kind); 6] = [
    // The address of a source, the first run that failed, the people who are missing, and what to do next.
    ("at", "places", Kind::Text),
    ("since", "trace", Kind::Text),
    ("missing", "gates", Kind::Text),
    ("next", "freshness", Kind::Text),
    // Whether a failure is new; elsewhere a version.
    ("new", "trace", Kind::Truth),
    // How often a test changed; elsewhere what a run changed.
    ("changes", "last_failed", Kind::Number),
];

/// What `column` holds in the table with these `columns`.
pub fn kind(column: &str, columns: &[&str]) -> Kind {
    if let Some((.., kind)) = ELSEWHERE.iter().find(|(name, beside, _)| *name == column && columns.contains(beside)) {
        return *kind;
    }
    if let Some(words) = closed(column, columns) {
        return Kind::Word(words);
    }
    match column {
        c if c.ends_with("_ms") => Kind::Duration,
        c if c.ends_with("_bytes") => Kind::Size,
        c if TIMES.contains(&c) => Kind::Time,
        c if NUMBERS.contains(&c) => Kind::Number,
        c if TRUTHS.contains(&c) => Kind::Truth,
        _ => Kind::Text,
    }
}
