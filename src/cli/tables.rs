//! The tables of `get` for people: of each its columns in their order, what stands in them, and why it may be empty.

use serde_json::Value;

use super::table::{self, Column};
use super::view::{Row, View};
use crate::base::{count, size};
use crate::domain::junit::full_name;

/// A column, and what stands in it.
pub struct Field {
    pub column: Column,
    cell: Cell,
}

enum Cell {
    Text(&'static str),
    /// An instant as a time.
    Time(&'static str),
    /// An instant as what has passed since.
    Age(&'static str),
    Of(fn(&View<'_>, &Row) -> String),
}

impl Field {
    pub fn cell(&self, view: &View<'_>, row: &Row) -> String {
        match self.cell {
            Cell::Text(key) => view.text(row, key),
            Cell::Time(key) => view.time(row, key),
            Cell::Age(key) => view.age(row, key),
            Cell::Of(make) => make(view, row),
        }
    }
}

const fn text(title: &'static str, key: &'static str) -> Field {
    Field { column: table::left(title), cell: Cell::Text(key) }
}

const fn number(title: &'static str, key: &'static str) -> Field {
    Field { column: table::right(title), cell: Cell::Text(key) }
}

const fn time(title: &'static str, key: &'static str) -> Field {
    Field { column: table::left(title), cell: Cell::Time(key) }
}

const fn age(title: &'static str, key: &'static str) -> Field {
    Field { column: table::left(title), cell: Cell::Age(key) }
}

const fn left(title: &'static str, make: fn(&View<'_>, &Row) -> String) -> Field {
    Field { column: table::left(title), cell: Cell::Of(make) }
}

const fn right(title: &'static str, make: fn(&View<'_>, &Row) -> String) -> Field {
    Field { column: table::right(title), cell: Cell::Of(make) }
}

/// A table of `get`.
pub struct Table {
    pub what: &'static str,
    pub fields: &'static [Field],
    /// What is said in place of no rows.
    pub empty: &'static str,
}

/// The table of this name; none of a newer engine's.
pub fn find(what: &str) -> Option<&'static Table> {
    TABLES.iter().find(|t| t.what == what)
}

const RAN_NO_TEST: &str = "no run has a test report yet: `artifacts: [{path: junit.xml, type: junit}]` in a pipeline takes them in";
const NO_REPOS: &str = "no repositories: add [repos.NAME] to site.toml";
/// A site without a pipeline says what makes one.
pub const NO_PIPELINES: &str = "no pipelines: put NAME.yml into CONFIG/pipelines, or run quarterdeck site init";
const NO_SETS: &str = "no content sets: add [content.NAME] to site.toml";

const TABLES: &[Table] = &[
    Table {
        what: "artifacts",
        fields: &[
            text("RUN", "run"),
            right("SIZE", |_, r| bytes(r)),
            left("SHA256", |v, r| digits(&v.text(r, "sha256"))),
            text("PATH", "path"),
        ],
        empty: "no run has kept a file yet: name files with `artifacts:` in a pipeline",
    },
    Table {
        what: "audit",
        fields: &[
            number("SEQ", "seq"),
            time("AT", "at"),
            left("WHO", |v, r| v.who(r)),
            text("ACTION", "action"),
            text("SUBJECT", "subject"),
            text("RESULT", "result"),
            text("REASON", "reason"),
        ],
        empty: "nothing was done yet",
    },
    Table {
        what: "content",
        fields: &[
            text("SET", "set"),
            text("OS", "os"),
            left("CONTENT", |v, r| digits(&or(v.text(r, "fp"), "unknown"))),
            age("READ", "read"),
            text("REPOS", "repos"),
            text("DETAIL", "detail"),
        ],
        empty: NO_SETS,
    },
    Table {
        what: "decisions",
        fields: &[
            number("ID", "id"),
            left("KIND", |v, r| v.text(r, "kind") + if r.get("proposed") == Some(&Value::Bool(true)) { " (proposed)" } else { "" }),
            text("SUBJECT", "subject"),
            left("WHO", |v, r| v.who(r)),
            time("AT", "at"),
            time("ENDED", "ended"),
            text("WHY", "why"),
        ],
        empty: "nothing was decided yet",
    },
    Table {
        what: "doctor",
        fields: &[text("STATE", "state"), text("CHECK", "check"), text("FOUND", "found"), text("WHAT TO DO", "help")],
        empty: "nothing is checked",
    },
    Table {
        what: "due",
        fields: &[text("LOCAL", "local"), text("PIPELINE", "pipeline"), text("TRIGGER", "trigger"), left("NOTE", due_note)],
        empty: "no clock starts anything: `cron:` or `every:` below `triggers:` of a pipeline says when",
    },
    Table {
        what: "executors",
        fields: &[
            number("EXECUTOR", "executor"),
            text("STATE", "state"),
            text("RUN", "run"),
            text("STAGE", "stage"),
            text("STEP", "step"),
            text("CELL", "cell"),
            age("SINCE", "since"),
        ],
        empty: "there is no executor",
    },
    Table {
        what: "failures",
        fields: &[
            text("RUN", "run"),
            left("NEW", |v, r| if v.text(r, "new") == "true" { "new".to_owned() } else { String::new() }),
            text("SINCE", "since"),
            left("PLACE", place),
            left("TEST", test_name),
            text("MESSAGE", "message"),
        ],
        empty: "no test has failed in the runs that are kept",
    },
    Table {
        what: "fingerprints",
        fields: &[
            text("RUN", "run"),
            text("ROLE", "role"),
            text("KIND", "kind"),
            right("SIZE", |_, r| bytes(r)),
            left("SHA256", |v, r| digits(&v.text(r, "sha256"))),
            time("AT", "at"),
            text("FROM", "from"),
            text("NAME", "name"),
        ],
        empty: "no run has kept a file or read a content set yet",
    },
    Table {
        what: "flaky",
        fields: &[
            text("PIPELINE", "pipeline"),
            left("PLACE", place),
            left("TEST", test_name),
            number("FAILED", "failed"),
            number("RUNS", "runs"),
            text("LAST FAILED", "last_failed"),
            text("WHY", "why"),
        ],
        empty: "no test is flaky in the newest runs",
    },
    Table {
        what: "holds",
        fields: &[
            number("HOLD", "hold"),
            text("KIND", "kind"),
            text("OS", "os"),
            left("PACKAGE", |v, r| v.either(r, "nevra", "package")),
            text("STATE", "state"),
            text("OWNER", "owner"),
            time("UNTIL", "until"),
            time("RECHECK", "recheck"),
            text("REASON", "reason"),
        ],
        empty: "nothing is held: quarterdeck do hold-add OS --with package=NAME --with until=7d",
    },
    Table {
        what: "locks",
        fields: &[
            text("LOCK", "lock"),
            left("MODE", |v, r| or(v.text(r, "mode"), "free")),
            number("SLOTS", "slots"),
            number("TAKEN", "taken"),
            text("HELD BY", "run"),
            age("SINCE", "since"),
            text("STAGE", "stage"),
        ],
        empty: "no lock is held, and the site file names none",
    },
    Table {
        what: "mirrors",
        fields: &[
            text("REPO", "repo"),
            left("PLACE", |v, r| v.either(r, "dc", "role")),
            text("STATE", "freshness"),
            left("CONTENT", |v, r| digits(&v.text(r, "fp"))),
            number("BEHIND", "behind"),
            number("DAMAGED", "damaged"),
            left("LOOKED", looked),
            text("SNAPSHOT", "snapshot"),
            text("TREE", "tree"),
            text("WHY", "detail"),
        ],
        empty: NO_REPOS,
    },
    Table {
        what: "occurrences",
        fields: &[
            time("SCHEDULED FOR", "scheduled_for"),
            text("PIPELINE", "pipeline"),
            text("OUTCOME", "outcome"),
            text("RUN", "run"),
            text("WHY", "why"),
            text("TRIGGER", "trigger"),
        ],
        empty: "nothing was due yet: quarterdeck get schedule shows what will be",
    },
    Table {
        what: "pipelines",
        fields: &[
            text("PIPELINE", "pipeline"),
            text("LAST RUN", "last_run"),
            text("VERDICT", "last_verdict"),
            left("LAST OK", |v, r| v.ended(r, "last_success")),
            left("LAST BAD", |v, r| v.ended(r, "last_failure")),
            right("DURATION", |v, r| or(v.duration(r, "last_duration_ms"), "N/A")),
            left("CHANGES", |v, r| v.changes(r)),
            left("TRIGGERS", triggers),
        ],
        empty: NO_PIPELINES,
    },
    Table {
        what: "promotions",
        fields: &[
            text("PROMOTION", "promotion"),
            text("STATE", "state"),
            text("FROM", "from"),
            text("TO", "to"),
            right("GATES", |v, r| format!("{}/{}", v.text(r, "passed"), v.text(r, "gates"))),
            text("MISSING", "missing"),
            text("BY", "author"),
            text("DETAIL", "detail"),
        ],
        empty: "no promotion yet: quarterdeck do promote OS, with a table [promotion.OS] in site.toml",
    },
    Table {
        what: "queue",
        fields: &[text("RUN", "run"), text("STATE", "state"), age("QUEUED", "queued"), text("BY", "requested_by"), text("WHY", "blocked")],
        empty: "the queue is empty: nothing runs or waits",
    },
    Table {
        what: "repos",
        fields: &[
            text("REPO", "repo"),
            text("OS", "os"),
            text("STATE", "freshness"),
            text("UP", "relation"),
            text("DCS", "dcs"),
            left("LATEST", called),
            number("PACKAGES", "packages"),
            right("SIZE", |_, r| bytes(r)),
            left("LOOKED", looked),
            text("SETS", "sets"),
            text("WHY", "detail"),
        ],
        empty: NO_REPOS,
    },
    Table {
        what: "runs",
        fields: &[
            text("RUN", "run"),
            left("STATE", |v, r| v.either(r, "verdict", "state")),
            right("TIME", |v, r| v.span(r)),
            time("STARTED", "started"),
            text("BY", "requested_by"),
            left("DETAIL", |v, r| v.fault(r)),
        ],
        empty: "no runs yet: quarterdeck run PIPELINE",
    },
    Table {
        what: "schedule",
        fields: &[
            text("PIPELINE", "pipeline"),
            left("NEXT", |v, r| or(v.text(r, "next_local"), "-")),
            text("TRIGGER", "trigger"),
            left("LAST", last_outcome),
            left("STATE", schedule_state),
            text("CATCH-UP", "catch_up"),
            left("CALENDAR", |v, r| v.either(r, "calendar_state", "calendar")),
        ],
        empty: "no pipeline has a trigger: `triggers:` in its file says what starts it",
    },
    Table {
        what: "slowest",
        fields: &[text("RUN", "run"), right("TIME", |v, r| v.duration(r, "duration_ms")), left("PLACE", place), left("TEST", test_name)],
        empty: "the newest test reports give no times",
    },
    Table {
        what: "sources",
        fields: &[
            text("SOURCE", "source"),
            text("KIND", "kind"),
            text("STATE", "state"),
            age("ANSWERED", "answered"),
            number("PLACES", "places"),
            text("AT", "at"),
            text("ERROR", "error"),
        ],
        empty: "no far end is asked: [repos.NAME] and [cobbler.NAME] of site.toml name them",
    },
    Table {
        what: "tests",
        fields: &[
            text("RUN", "run"),
            number("TESTS", "tests"),
            number("PASSED", "passed"),
            number("FAILED", "failed"),
            number("SKIPPED", "skipped"),
            right("TIME", |v, r| v.duration(r, "duration_ms")),
            time("ENDED", "ended"),
            text("PROBLEMS", "problems"),
        ],
        empty: RAN_NO_TEST,
    },
    Table {
        what: "versions",
        fields: &[
            text("SET", "set"),
            left("CONTENT", |v, r| digits(&v.text(r, "fp"))),
            left("COMPOSE", called),
            time("FIRST SEEN", "first_seen"),
            number("PACKAGES", "packages"),
            right("SIZE", |_, r| bytes(r)),
            text("STANDS", "stands"),
            text("SNAPSHOTS", "snapshots"),
        ],
        empty: "no content of any set was seen yet: quarterdeck get content says what is known of each",
    },
];

/// Digits of a digest that are shown.
const DIGITS: usize = 12;

fn digits(sha256: &str) -> String {
    sha256.chars().take(DIGITS).collect()
}

fn bytes(r: &Row) -> String {
    r.get("size_bytes").and_then(Value::as_u64).map(size::short).unwrap_or_default()
}

fn or(text: String, other: &str) -> String {
    if text.is_empty() { other.to_owned() } else { text }
}

/// What people call a content: the label of its compose, else the revision that its metadata states.
fn called(view: &View<'_>, r: &Row) -> String {
    match (view.text(r, "compose"), view.text(r, "revision")) {
        (compose, revision) if compose.is_empty() && revision.is_empty() => String::new(),
        (compose, revision) if compose.is_empty() => format!("rev {revision}"),
        (compose, _) => compose,
    }
}

/// When it was last looked at, by the engine or by a run.
fn looked(view: &View<'_>, r: &Row) -> String {
    or(view.age(r, "checked"), &view.age(r, "verified"))
}

fn test_name(view: &View<'_>, r: &Row) -> String {
    full_name(&view.text(r, "suite"), &view.text(r, "test"))
}

/// `stage (cell)/step`, without what says nothing.
fn place(view: &View<'_>, r: &Row) -> String {
    let (stage, cell, step) = (view.text(r, "stage"), view.text(r, "cell"), view.text(r, "step"));
    let mut out = stage.clone();
    if !cell.is_empty() {
        out.push_str(&format!(" ({cell})"));
    }
    if step != stage {
        out.push_str(&format!("/{step}"));
    }
    out
}

/// What starts a pipeline; of one whose file is wrong, how to see what is.
fn triggers(view: &View<'_>, r: &Row) -> String {
    match r.get("errors").and_then(Value::as_u64) {
        Some(0) => view.text(r, "triggers"),
        errors => format!("{}: quarterdeck pipeline lint {}", count::s(errors.unwrap_or(0), "error"), view.text(r, "pipeline")),
    }
}

fn last_outcome(view: &View<'_>, r: &Row) -> String {
    match view.text(r, "last_outcome").as_str() {
        "" => "-".to_owned(),
        outcome => format!("{outcome} {}", view.time(r, "last_scheduled")),
    }
}

fn schedule_state(view: &View<'_>, r: &Row) -> String {
    match (view.text(r, "state"), view.text(r, "detail")) {
        (state, detail) if detail.is_empty() => state,
        (state, detail) => format!("{state}: {detail}"),
    }
}

/// What is odd about a start: the clocks change there, or a calendar has a say.
fn due_note(view: &View<'_>, r: &Row) -> String {
    let notes = [view.text(r, "dst"), view.text(r, "calendar")];
    notes.into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_of_the_api_has_its_columns_here() {
        let names: Vec<&str> = TABLES.iter().map(|t| t.what).collect();
        assert_eq!(names, crate::api::types::TABLES);
    }
}
