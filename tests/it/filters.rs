//! What `--filter` compares: a value that is none of its column is an error at its place, and the list of kinds is what the rows hold.

use quarterdeck::domain::filter::{Kind, kind};
use serde_json::Value;

use crate::demo_nightly::Demo;
use crate::support::Home;

#[test]
fn a_value_that_is_none_of_its_column_is_told_at_its_place() {
    let home = Home::new();
    let told = home.qd(["get", "runs", "--filter", "verdict=failure started>=nope"]).expect(2).stderr;
    let lines: Vec<&str> = told.lines().collect();
    let place = ["  verdict=failure started>=nope", "                           ^"];
    assert_eq!((lines[0], &lines[1..3]), ("error: filter, character 26: `nope` is no time", &place[..]), "{told}");
    let told = home.qd(["--json", "get", "runs", "--filter", "number=abc"]).expect(2).json();
    assert_eq!((&told["error"]["code"], &told["error"]["character"]), (&"bad-input".into(), &8.into()), "{told}");
    for (table, filter) in [
        ("audit", "at>noon"),
        ("locks", "slots<many"),
        ("failures", "new=yes"),
        ("pipelines", "red_since=never"),
        ("runs", "pinned=yes"),
        ("runs", "verdict=fialure"),
        ("queue", "state=ready"),
        ("mirrors", "role=main"),
    ] {
        home.qd(["get", table, "--filter", filter]).expect(2);
    }
    // Names that mean something else in these tables, and texts that only look like numbers.
    for (table, filter) in [("sources", "at=host"), ("failures", "since=ok#1"), ("mirrors", "next=wait"), ("flaky", "changes>2")] {
        home.qd(["get", table, "--filter", filter]).expect(0);
    }
    let told = home.qd(["diff", "/a", "/b", "--filter", "cve_count>some"]).expect(2).stderr;
    assert!(told.contains("\n  cve_count>some\n            ^\n"), "{told}");
}

/// Every cell of every table of a demo is of the kind that its column is listed as.
pub fn cells_are_of_the_kind_of_their_column(demo: &Demo) {
    for table in quarterdeck::api::types::TABLES {
        let answer = demo.qd(&["--json", "get", table]).expect(0).json();
        for row in answer["rows"].as_array().unwrap() {
            let row = row.as_object().unwrap();
            let columns: Vec<&str> = row.keys().map(String::as_str).collect();
            for (column, cell) in row {
                let listed = kind(column, &columns);
                let right = match cell {
                    Value::Number(_) => matches!(listed, Kind::Number | Kind::Duration | Kind::Size),
                    Value::Bool(_) => listed == Kind::Truth,
                    Value::String(s) if s.ends_with('Z') && s.parse::<jiff::Timestamp>().is_ok() => listed == Kind::Time,
                    Value::String(s) => match listed {
                        Kind::Word(words) => s.is_empty() || words.contains(&s.as_str()),
                        kind => kind == Kind::Text || s.is_empty(),
                    },
                    _ => true,
                };
                assert!(right, "get {table}: `{column}` is listed as {listed:?} and holds {cell}");
            }
        }
    }
}
