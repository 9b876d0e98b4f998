//! Tables of `get` about tests, artifacts, fingerprints and trees.

use serde_json::Value;

use super::table::{Column, left, right};
use super::view::{Row, View};
use crate::base::size;
use crate::domain::junit::full_name;

type Table = (Vec<Column>, Vec<Vec<String>>);
/// A row's cells.
type Line<'a> = dyn Fn(&Row) -> Vec<String> + 'a;

/// Digits of a digest that are shown.
const DIGITS: usize = 12;

/// What people call a content: the label of its compose, else the revision that its metadata states.
fn called(r: &Row) -> String {
    let text = |key: &str| r.get(key).and_then(Value::as_str).unwrap_or_default();
    match (text("compose"), text("revision")) {
        ("", "") => String::new(),
        ("", revision) => format!("rev {revision}"),
        (compose, _) => compose.to_owned(),
    }
}

/// The table of these rows; none where it is not about them.
pub fn table(view: &View<'_>, what: &str, rows: &[Row]) -> Option<Table> {
    let text = |r: &Row, key: &str| view.text(r, key);
    let (columns, line): (Vec<Column>, &Line<'_>) = match what {
        "tests" => (
            vec![
                left("RUN"),
                right("TESTS"),
                right("PASSED"),
                right("FAILED"),
                right("SKIPPED"),
                right("TIME"),
                left("ENDED"),
                left("PROBLEMS"),
            ],
            &|r| {
                let count = ["tests", "passed", "failed", "skipped"].map(|k| text(r, k));
                let mut line = vec![text(r, "run")];
                line.extend(count);
                line.extend([view.duration(r, "duration_ms"), view.time(r, "ended"), text(r, "problems")]);
                line
            },
        ),
        "failures" => (vec![left("RUN"), left("NEW"), left("SINCE"), left("PLACE"), left("TEST"), left("MESSAGE")], &|r| {
            let new = if text(r, "new") == "true" { "new" } else { "" };
            vec![text(r, "run"), new.to_owned(), text(r, "since"), place(view, r), name(view, r), text(r, "message")]
        }),
        "flaky" => {
            (vec![left("PIPELINE"), left("PLACE"), left("TEST"), right("FAILED"), right("RUNS"), left("LAST FAILED"), left("WHY")], &|r| {
                let why = text(r, "why");
                vec![text(r, "pipeline"), place(view, r), name(view, r), text(r, "failed"), text(r, "runs"), text(r, "last_failed"), why]
            })
        }
        "slowest" => (vec![left("RUN"), right("TIME"), left("PLACE"), left("TEST")], &|r| {
            vec![text(r, "run"), view.duration(r, "duration_ms"), place(view, r), name(view, r)]
        }),
        "artifacts" => (vec![left("RUN"), right("SIZE"), left("SHA256"), left("PATH")], &|r| {
            vec![text(r, "run"), bytes(r), digits(&text(r, "sha256")), text(r, "path")]
        }),
        "fingerprints" => {
            (vec![left("RUN"), left("ROLE"), left("KIND"), right("SIZE"), left("SHA256"), left("AT"), left("FROM"), left("NAME")], &|r| {
                let (from, name) = (text(r, "from"), text(r, "name"));
                vec![text(r, "run"), text(r, "role"), text(r, "kind"), bytes(r), digits(&text(r, "sha256")), view.time(r, "at"), from, name]
            })
        }
        "versions" => (
            vec![
                left("SET"),
                left("CONTENT"),
                left("COMPOSE"),
                left("FIRST SEEN"),
                right("PACKAGES"),
                right("SIZE"),
                left("STANDS"),
                left("SNAPSHOTS"),
            ],
            &|r| {
                let mut line = vec![text(r, "set"), digits(&text(r, "fp")), called(r), view.time(r, "first_seen")];
                line.extend([text(r, "packages"), bytes(r), text(r, "stands"), text(r, "snapshots")]);
                line
            },
        ),
        "holds" => (
            vec![
                right("HOLD"),
                left("KIND"),
                left("OS"),
                left("PACKAGE"),
                left("STATE"),
                left("OWNER"),
                left("UNTIL"),
                left("RECHECK"),
                left("REASON"),
            ],
            &|r| {
                let what = if text(r, "nevra").is_empty() { text(r, "package") } else { text(r, "nevra") };
                let mut line = vec![text(r, "hold"), text(r, "kind"), text(r, "os"), what, text(r, "state"), text(r, "owner")];
                line.extend([view.time(r, "until"), view.time(r, "recheck"), text(r, "reason")]);
                line
            },
        ),
        "repos" => (
            vec![
                left("REPO"),
                left("OS"),
                left("STATE"),
                left("UP"),
                left("DCS"),
                left("LATEST"),
                right("PACKAGES"),
                right("SIZE"),
                left("LOOKED"),
                left("SETS"),
                left("WHY"),
            ],
            &|r| {
                let mut line = ["repo", "os", "freshness", "relation", "dcs"].map(|k| text(r, k)).to_vec();
                line.extend([called(r), text(r, "packages")]);
                line.extend([bytes(r), looked(view, r), text(r, "sets"), text(r, "detail")]);
                line
            },
        ),
        "mirrors" => (
            vec![
                left("REPO"),
                left("PLACE"),
                left("STATE"),
                left("CONTENT"),
                right("BEHIND"),
                right("DAMAGED"),
                left("LOOKED"),
                left("SNAPSHOT"),
                left("TREE"),
                left("WHY"),
            ],
            &|r| {
                let place = match text(r, "dc") {
                    dc if dc.is_empty() => text(r, "role"),
                    dc => dc,
                };
                let mut line = vec![
                    text(r, "repo"),
                    place,
                    text(r, "freshness"),
                    digits(&text(r, "fp")),
                    text(r, "behind"),
                    text(r, "damaged"),
                    looked(view, r),
                ];
                line.extend(["snapshot", "tree", "detail"].map(|k| text(r, k)));
                line
            },
        ),
        _ => return None,
    };
    Some((columns, rows.iter().map(line).collect()))
}

/// Why such a table is empty.
pub fn empty(what: &str) -> &'static str {
    match what {
        "failures" => "no test has failed in the runs that are kept",
        "flaky" => "no test is flaky in the newest runs",
        "slowest" => "the newest test reports give no times",
        _ => "no run has a test report yet: `artifacts: [{path: junit.xml, type: junit}]` in a pipeline takes them in",
    }
}

/// When it was last looked at, by the engine or by a run.
fn looked(view: &View<'_>, r: &Row) -> String {
    let checked = view.age(r, "checked");
    if checked.is_empty() { view.age(r, "verified") } else { checked }
}

fn bytes(r: &Row) -> String {
    r.get("size_bytes").and_then(Value::as_u64).map(size::short).unwrap_or_default()
}

fn digits(sha256: &str) -> String {
    sha256.chars().take(DIGITS).collect()
}

fn name(view: &View<'_>, r: &Row) -> String {
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
