//! I14: whoever looks sees one state: the command line, the API, and two followers of the stream who joined at different moments.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::api::{events, raw};
use crate::support::{Home, until};

type Table = BTreeMap<String, Value>;

fn table(rows: &Value) -> Table {
    rows["rows"].as_array().unwrap().iter().map(|r| (r["run"].as_str().unwrap().to_owned(), r.clone())).collect()
}

/// What a follower holds after `changes` that are newer than `revision`.
fn follow(mut held: Table, revision: u64, changes: &[(String, String, Value)]) -> Table {
    for (event, _, data) in changes {
        assert_eq!(event, "change", "nobody was too slow");
        if data["revision"].as_u64().unwrap() <= revision {
            continue;
        }
        for (id, row) in data["upserts"]["runs"].as_object().unwrap_or(&Map::new()) {
            held.insert(id.clone(), row.clone());
        }
        for id in data["deletes"]["runs"].as_array().unwrap_or(&Vec::new()) {
            held.remove(id.as_str().unwrap());
        }
    }
    held
}

#[test]
fn i14_command_line_api_and_two_streams_show_one_state() {
    let home = Home::new();
    home.site("time_zone = \"UTC\"\n[runner]\nexecutors = 3\n");
    home.pipeline("many", "format: 1\nname: many\nstages:\n  - name: a\n    matrix: {k: [a, b, c]}\n    run: echo $matrix_k\n");
    home.pipeline("red", "format: 1\nname: red\nstages:\n  - name: a\n    run: exit 3\n");
    home.qd(["engine", "start"]).expect(0);
    let socket = home.socket();
    let position = |data: &Value| (data["epoch"].as_u64().unwrap(), data["revision"].as_u64().unwrap());
    let first = position(&events(&socket, None, |e| !e.is_empty())[0].2);
    // Answers taken while everything moves, each with the revision that it belongs to.
    let mut looks: Vec<(u64, Table)> = Vec::new();
    for n in 0..8 {
        home.qd(["run", if n % 3 == 2 { "red" } else { "many" }]).expect(0);
        let answer = if n % 2 == 0 { raw(&socket, "GET", "/v1/get/runs", "").1 } else { home.json(&["get", "runs"]) };
        looks.push((answer["revision"].as_u64().unwrap(), table(&answer)));
    }
    until("all to end", || home.json(&["get", "runs", "--filter", "state!=done"])["rows"] == json!([]));
    // The ends are on their way to the stream; it shows them by itself.
    let quiet = |e: &[(String, String, Value)]| {
        let ended = follow(Table::new(), 0, e);
        ended.len() == 8 && ended.values().all(|r| r["state"] == "done")
    };
    let all = events(&socket, Some(&format!("{}.{}", first.0, first.1)), quiet);
    // A last set that changes no row any more may still come between two looks, and moves the revision.
    let look = || (raw(&socket, "GET", "/v1/get/runs", "").1, home.json(&["get", "runs"]));
    let (mut by_api, mut by_command) = (Value::Null, Value::Null);
    until("nothing to move between two looks", || {
        (by_api, by_command) = look();
        by_api["revision"] == by_command["revision"]
    });
    assert_eq!(by_api, by_command);
    let now = table(&by_api);
    assert_eq!(now.len(), 8);
    assert_eq!(follow(Table::new(), first.1, &all), now, "a follower from the beginning");
    let middle = all[all.len() / 2].2["revision"].as_u64().unwrap();
    let late = events(&socket, Some(&format!("{}.{middle}", first.0)), |e| e.last().map(|l| &l.2) == all.last().map(|l| &l.2));
    assert_eq!(late.as_slice(), &all[all.len() - late.len()..], "one that joined later sees the same changes");
    for (revision, look) in looks {
        assert_eq!(follow(look, revision, &all), now, "what was read at revision {revision}, and the changes after it");
    }
}
