//! Who looks after what is wrong, and since when it is: `ack`, `unack` and streaks, through the command line, the raw socket, and two consoles.

use serde_json::{Value, json};

use crate::api::act;
use crate::support::{Home, Pty, until};

/// A site with a red pipeline, `red`, that is good once the file is there.
fn home() -> (Home, std::path::PathBuf) {
    let home = Home::new();
    home.site("time_zone = \"UTC\"\n");
    let ok = home.root().join("ok");
    home.pipeline("red", &format!("format: 1\nname: red\nstages:\n  - name: a\n    run: test -e {}\n", ok.display()));
    home.qd(["run", "red", "--wait"]).expect(1);
    (home, ok)
}

fn acks(home: &Home) -> Value {
    home.json(&["engine", "status"])["acks"].clone()
}

#[test]
fn an_ack_has_a_reason_an_end_and_an_entry_and_is_given_back() {
    let (home, _) = home();
    let out = home.qd(["do", "ack", "red"]).expect(2);
    assert!(out.stderr.contains("needs a reason") && out.stderr.contains("--reason"), "{}", out.stderr);
    home.qd(["do", "ack", "red", "--reason", "x", "--with", "until=8d"]).expect(2);
    home.qd(["do", "ack", "rde", "--reason", "x"]).expect(2);
    let out = home.qd(["do", "ack", "red", "--reason", "the key has expired"]).expect(0);
    assert!(out.stdout.contains("looks after red until"), "{}", out.stdout);
    let of = &acks(&home)[0];
    assert_eq!((of["subject"].as_str(), of["why"].as_str()), (Some("red"), Some("the key has expired")), "{of}");
    assert_eq!(of["problems"], json!(["red, and never good"]));
    let row = &home.json(&["get", "decisions", "--filter", "kind=ack"])["rows"][0];
    assert!(row["subject"] == "red" && row["why"] == "the key has expired" && row["until"].is_string() && row["ended"].is_null(), "{row}");
    let row = &home.json(&["get", "audit"])["rows"][0];
    assert!(row["action"] == "ack" && row["subject"] == "red" && row["result"] == "done", "{row}");
    // It is taken over: one person looks after it.
    home.qd(["do", "ack", "red", "--reason", "mine now", "--with", "until=1h"]).expect(0);
    assert_eq!(acks(&home).as_array().map(Vec::len), Some(1));
    home.qd(["do", "unack", "red"]).expect(0);
    assert_eq!(acks(&home), json!([]));
    home.qd(["do", "unack", "red"]).expect(4);
    home.qd(["get", "audit"]).expect(0);
}

#[test]
fn it_covers_what_is_wrong_now_and_nothing_later_and_lives_through_an_engine() {
    let (home, ok) = home();
    home.qd(["do", "ack", "red", "--reason", "on it"]).expect(0);
    home.qd(["engine", "stop"]).expect(0);
    home.qd(["run", "red", "--wait"]).expect(1);
    assert_eq!(acks(&home)[0]["problems"], json!(["red, and never good"]), "another red night of one streak is the same");
    std::fs::write(&ok, "").unwrap();
    home.qd(["run", "red", "--wait"]).expect(0);
    home.qd(["do", "ack", "red", "--reason", "x"]).expect(4);
    std::fs::remove_file(&ok).unwrap();
    home.qd(["run", "red", "--wait"]).expect(1);
    let screen = home.qd(["screen", "home", "--size", "140x30", "--ascii"]).expect(0).stdout;
    assert!(screen.contains("red RED") && !screen.contains("acked"), "{screen}");
}

#[test]
fn it_needs_no_arming_and_is_seen_by_every_console() {
    let (home, _) = home();
    let (one, two) = (Pty::start(home.command::<&str>([]), 110, 24), Pty::start(home.command(["--read-only"]), 110, 24));
    for pty in [&one, &two] {
        pty.sees("the red pipeline", |s| s.contains("READ-ONLY") && s.contains("red RED"));
    }
    two.keys("a");
    two.shows("opened read-only");
    one.keys("a");
    one.shows(":ack red 8h");
    one.types("key expired");
    one.shows(":ack red 8h key expired");
    one.keys("\r");
    for pty in [&one, &two] {
        pty.sees("who looks after it", |s| s.contains("acked 1") && s.contains("(ack "));
    }
    until("the decision", || home.json(&["get", "decisions"])["rows"][0]["kind"] == "ack");
    // What is one's own is given back by the same key.
    one.keys("a");
    one.shows(":unack red");
    one.enter();
    two.sees("that nobody does", |s| s.contains("red RED") && !s.contains("acked 1"));
}

#[test]
fn a_site_that_is_read_only_records_nothing() {
    let (home, _) = home();
    home.site("read_only = true\n");
    let (status, answer) = act(&home.socket(), json!({"action": "ack", "target": "red", "reason": "x"}));
    assert!(status == 403 && answer["error"]["message"].as_str().unwrap_or_default().contains("read-only"), "{answer}");
}

/// `weather` has the last fourteen runs; how long something has been red is longer than that.
#[test]
fn a_streak_is_counted_and_dated_from_its_first_red_run() {
    let (home, ok) = home();
    let row = || home.json(&["get", "pipelines"])["rows"][0].clone();
    let first = row()["red_since"].clone();
    assert!(first.is_string(), "{}", row());
    (0..15).for_each(|_| {
        home.qd(["run", "red", "--wait"]).expect(1);
    });
    let now = row();
    assert_eq!((&now["red_runs"], &now["red_since"], &now["weather"]), (&json!(16), &first, &json!("#".repeat(14))), "{now}");
    std::fs::write(&ok, "").unwrap();
    home.qd(["run", "red", "--wait"]).expect(0);
    assert_eq!((&row()["red_runs"], &row()["red_since"]), (&json!(0), &Value::Null));
}
