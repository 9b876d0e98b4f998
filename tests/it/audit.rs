//! No act without its entry, no entry without its act: the engine is killed on either side of the commit of each act, and the next is asked.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::api::{HELLO, act, raw};
use crate::support::{Home, alive, kill, until};

/// One act: what is asked, the crash point behind its commit, its subject in the audit chain, and what shows that it was done.
struct Case {
    action: &'static str,
    target: Option<&'static str>,
    behind: &'static str,
    subject: &'static str,
    done: fn(&Home) -> bool,
}

fn row(home: &Home, run: &str) -> Value {
    home.json(&["get", "runs", "--filter", &format!("run={run}")])["rows"][0].clone()
}

fn tries(home: &Home) -> usize {
    std::fs::read_to_string(home.root().join("tries")).unwrap_or_default().lines().count()
}

fn draining(home: &Home) -> bool {
    home.json(&["engine", "status"])["draining"] == json!(true)
}

/// The decision is there, and the stage has ended by it.
fn settled(home: &Home, kind: &str) -> bool {
    let decisions = home.json(&["get", "decisions"]);
    let rows = decisions["rows"].as_array().unwrap();
    let open = rows.iter().any(|r| r["kind"] == "request" && r["ended"].is_null());
    let found = rows.iter().any(|r| r["kind"] == kind && r["subject"] == "asks#1/agree");
    assert_eq!(open, !found, "{decisions}");
    found
}

const fn case(
    action: &'static str,
    target: Option<&'static str>,
    behind: &'static str,
    subject: &'static str,
    done: fn(&Home) -> bool,
) -> Case {
    Case { action, target, behind, subject, done }
}

const CASES: &[Case] = &[
    case("run", Some("hello"), "runner.submitted", "hello#1", |h| !row(h, "hello#1").is_null()),
    case("replay", Some("bad#1"), "runner.submitted", "bad#2", |h| !row(h, "bad#2").is_null()),
    case("cancel", Some("long#1"), "runner.cancelled", "long#1", |h| !row(h, "long#1")["cancel_by"].is_null()),
    // Reopened: it is open, or it has run once more already.
    case("resume", Some("bad#1"), "runner.reopened", "bad#1", |h| row(h, "bad#1")["state"] != "done" || tries(h) > 1),
    case("retry", Some("bad#1"), "runner.reopened", "bad#1", |h| row(h, "bad#1")["state"] != "done" || tries(h) > 1),
    case("drain", None, "runner.drained", "engine", draining),
    case("undrain", None, "runner.drained", "engine", |h| !draining(h)),
    case("pin", Some("bad#1"), "runner.pinned", "bad#1", |h| row(h, "bad#1")["pinned"] == json!(true)),
    case("approve", Some("asks#1"), "runner.decided", "asks#1/agree", |h| settled(h, "approve")),
    case("deny", Some("asks#1"), "runner.decided", "asks#1/agree", |h| settled(h, "deny")),
    case("unpin", Some("bad#1"), "runner.pinned", "bad#1", |h| row(h, "bad#1")["pinned"] == json!(false)),
];

/// An estate in which each of the acts is possible.
fn home(action: &str) -> Home {
    let home = Home::new();
    let bad = format!("format: 1\nname: bad\nstages:\n  - name: a\n    run: echo try >> {}/tries; exit 1\n", home.root().display());
    let long = "format: 1\nname: long\nstages:\n  - name: a\n    run: sleep 1000\n";
    home.pipeline("hello", HELLO).pipeline("bad", &bad).pipeline("long", long);
    home.qd(["run", "bad", "--wait"]).expect(1);
    match action {
        "approve" | "deny" => {
            // Root without a login uid approves only where one person may.
            home.site("second_person = \"none\"\n");
            home.pipeline("asks", "format: 1\nname: asks\nstages:\n  - name: agree\n    approve: {roles: operator}\n");
            home.qd(["run", "asks"]).expect(0);
            until("it to ask", || row(&home, "asks#1")["state"] == "waiting");
        }
        "cancel" => drop(home.qd(["run", "long"]).expect(0)),
        "undrain" => drop(home.qd(["engine", "drain", "--reason", "kernel"]).expect(0)),
        "unpin" => drop(home.qd(["do", "pin", "bad#1"]).expect(0)),
        _ => {}
    }
    home
}

/// Asks an engine that dies at `point`; true once it is dead.
fn killed_at(home: &Home, point: &str, request: &Value) {
    home.qd(["engine", "stop"]).expect(0);
    until("the engine to be gone", || home.qd(["engine", "status"]).code == 3);
    let mut start = home.command(["engine", "start"]);
    start.env("QD_CRASH_AT", point);
    crate::support::home::run(start).expect(0);
    let body = request.to_string();
    let mut s = UnixStream::connect(home.socket()).expect("it listens");
    write!(s, "POST /v1/do HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    let _ = s.read_to_string(&mut answer);
    assert_eq!(answer, "", "the engine must die before it answers");
    until("the engine to be dead", || home.qd(["engine", "status"]).code == 3);
}

fn entries(home: &Home, case: &Case) -> usize {
    // `get audit` ends with 1 where the chain is broken.
    let audit = home.json(&["get", "audit"]);
    audit["rows"].as_array().unwrap().iter().filter(|r| r["action"] == case.action && r["subject"] == case.subject).count()
}

fn crash_on_both_sides(cases: &[Case]) {
    for case in cases {
        for (point, written) in [("audit.sealed", false), (case.behind, true)] {
            let home = home(case.action);
            let mut request = json!({"action": case.action, "reason": "upgrade"});
            if let Some(target) = case.target {
                request["target"] = json!(target);
            }
            killed_at(&home, point, &request);
            home.qd(["engine", "start"]).expect(0);
            let found = ((case.done)(&home), entries(&home, case));
            assert_eq!(found, (written, usize::from(written)), "{} killed at {point}: (done, entries)", case.action);
        }
    }
}

#[test]
fn a_run_and_a_replay_never_begin_without_their_entry() {
    crash_on_both_sides(&CASES[..2]);
}

#[test]
fn a_run_is_never_cancelled_resumed_or_retried_without_an_entry() {
    crash_on_both_sides(&CASES[2..5]);
}

#[test]
fn drains_and_pins_and_their_decisions_never_come_without_their_entry() {
    crash_on_both_sides(&CASES[5..]);
}

#[test]
fn what_the_act_itself_refuses_is_in_the_chain_and_a_repeated_wish_is_there_once() {
    let home = Home::new();
    let one = "format: 1\nname: one\noptions: {concurrency: {group: g, limit: 1, on_conflict: refuse}}\nstages:\n  - name: a\n    run: sleep 1000\n";
    home.pipeline("one", one);
    home.qd(["engine", "start"]).expect(0);
    let socket = home.socket();
    for _ in 0..3 {
        assert_eq!(act(&socket, json!({"action": "run", "target": "one", "key": "k"})).0, 200);
    }
    assert_eq!(act(&socket, json!({"action": "run", "target": "one"})).0, 403);
    let audit = home.json(&["get", "audit", "--sort", "seq"]);
    let told: Vec<_> = audit["rows"].as_array().unwrap().iter().map(|r| (r["subject"].as_str(), r["result"].as_str())).collect();
    assert_eq!(told.len(), 2, "{audit}");
    assert_eq!(told[0], (Some("one#1"), Some("done")));
    assert!(told[1].0 == Some("one") && told[1].1.is_some_and(|r| r.starts_with("refused: ") && r.contains("one#1")), "{audit}");
}

#[test]
fn many_acts_at_once_make_one_unbroken_chain() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    home.qd(["engine", "start"]).expect(0);
    let socket = home.socket();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    assert_eq!(act(&socket, json!({"action": "run", "target": "hello"})).0, 200);
                    assert_eq!(act(&socket, json!({"action": "undrain"})).0, 403);
                }
            });
        }
    });
    let (_, status) = raw(&socket, "GET", "/v1/status", "");
    let pid = status["pid"].as_i64().unwrap() as i32;
    kill(pid);
    until("the engine to be dead", || !alive(pid));
    let audit = home.json(&["get", "audit", "--limit", "1000"]);
    assert_eq!(audit["rows"].as_array().unwrap().len(), 80);
}
