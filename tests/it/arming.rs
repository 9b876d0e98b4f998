//! Arming through the raw socket: a lease belongs to one connection, for a time and with a reason, and a console without one changes nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::{HELLO, raw};
use crate::support::{Home, until_some};

/// A connection that is kept open, as a console's is.
struct Connection(BufReader<UnixStream>);

impl Connection {
    fn open(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).expect("the engine listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self(BufReader::new(stream))
    }

    fn post(&mut self, path: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        write!(self.0.get_mut(), "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        self.answer()
    }

    fn answer(&mut self) -> (u16, Value) {
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest[..3].parse().unwrap();
            }
            if let Some(n) = line.strip_prefix("content-length:") {
                length = n.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    fn arm(&mut self, seconds: u64, reason: &str) -> (u16, Value) {
        self.post("/v1/arm", &json!({"seconds": seconds, "reason": reason}))
    }

    /// As a console asks.
    fn run(&mut self) -> (u16, Value) {
        self.post("/v1/do", &json!({"action": "run", "target": "hello", "console": true}))
    }
}

#[track_caller]
fn refused(answer: (u16, Value), words: &str) {
    let message = answer.1["error"]["message"].as_str().unwrap_or_default();
    assert!(answer.0 == 403 && answer.1["error"]["code"] == "refused" && message.contains(words), "{answer:?}");
}

fn home() -> Home {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    home.qd(["engine", "start"]).expect(0);
    home
}

fn armed(home: &Home) -> Vec<Value> {
    raw(&home.socket(), "GET", "/v1/status", "").1["armed"].as_array().cloned().unwrap()
}

#[test]
fn a_console_changes_nothing_without_a_lease_of_its_own_connection() {
    let home = home();
    let (mut ours, mut other) = (Connection::open(&home.socket()), Connection::open(&home.socket()));
    refused(ours.run(), "not armed");
    let (status, lease) = ours.arm(900, "looking into it");
    assert_eq!(status, 200, "{lease}");
    assert_eq!(ours.run(), (200, json!({"run": "hello#1", "message": "hello#1 is queued"})));
    refused(other.run(), "not armed");
    // A command line is its own intent, on any connection that was never a console's.
    assert_eq!(other.post("/v1/do", &json!({"action": "run", "target": "hello"})).0, 200);
    // Every client is told who is armed.
    let all = armed(&home);
    assert_eq!((all.len(), &all[0]["lease"], &all[0]["reason"]), (1, &lease["lease"], &json!("looking into it")), "{all:?}");
}

#[test]
fn a_lease_ends_when_it_is_given_back_and_with_its_time() {
    let home = home();
    let mut ours = Connection::open(&home.socket());
    assert_eq!(ours.arm(60, "a").0, 200);
    assert_eq!(ours.post("/v1/disarm", &json!({})).0, 200);
    refused(ours.run(), "given its lease back");
    refused(ours.post("/v1/disarm", &json!({})), "not armed");
    // A connection that was armed once is a console's, whatever its requests say.
    refused(ours.post("/v1/do", &json!({"action": "run", "target": "hello"})), "given its lease back");
    assert_eq!(ours.arm(1, "b").0, 200);
    until_some("the lease to be over", || (ours.run().0 == 403).then_some(()));
    refused(ours.run(), "is over");
    assert!(armed(&home).is_empty());
}

#[test]
fn a_body_that_comes_late_ends_no_connection() {
    let home = home();
    let mut ours = Connection::open(&home.socket());
    assert_eq!(ours.arm(900, "a slow link").0, 200);
    write!(ours.0.get_mut(), "POST /v1/disarm HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n").unwrap();
    // An answer that did not wait for the body would be there by now.
    std::thread::sleep(Duration::from_millis(300));
    write!(ours.0.get_mut(), "{{}}").unwrap();
    assert_eq!(ours.answer().0, 200);
    refused(ours.run(), "given its lease back");
}

#[test]
fn a_console_that_nobody_touches_stays_armed() {
    let home = home();
    let mut ours = Connection::open(&home.socket());
    assert_eq!(ours.arm(900, "thinking").0, 200);
    // Longer than the head of a request may take: silence between two requests is none.
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(armed(&home).len(), 1);
    assert_eq!(ours.run().0, 200);
}

#[test]
fn a_lease_ends_with_its_connection_and_the_chain_says_so() {
    let home = home();
    let mut ours = Connection::open(&home.socket());
    assert_eq!(ours.arm(900, "night shift").0, 200);
    assert_eq!(armed(&home).len(), 1);
    drop(ours);
    until_some("the lease to end", || armed(&home).is_empty().then_some(()));
    let entries = until_some("both entries", || {
        let audit = home.json(&["get", "audit"]);
        let of = |action: &str| audit["rows"].as_array()?.iter().find(|r| r["action"] == action).cloned();
        Some((of("arm")?, of("disarm")?))
    });
    assert!(entries.0["result"].as_str().unwrap().starts_with("done: until 20"), "{entries:?}");
    assert_eq!((&entries.1["result"], &entries.1["reason"]), (&json!("done: its connection ended"), &json!("night shift")));
    refused(Connection::open(&home.socket()).run(), "not armed");
}

#[test]
fn who_may_not_be_armed() {
    let home = home();
    let mut ours = Connection::open(&home.socket());
    refused(ours.arm(3_601, "long"), "1 s to 60 min");
    refused(ours.arm(0, "none"), "1 s to 60 min");
    refused(ours.arm(u64::MAX, "for ever"), "1 s to 60 min");
    refused(ours.arm(60, " "), "needs a reason");
    assert_eq!(ours.arm(3_600, "just so long").0, 200);
    home.site("read_only = true\n");
    refused(ours.arm(60, "x"), "read-only");
    refused(ours.run(), "read-only");
    // What was refused is in the chain too.
    let audit = home.json(&["get", "audit", "--filter", "action=arm"]);
    assert_eq!(audit["rows"].as_array().unwrap().iter().filter(|r| r["result"].as_str().unwrap().starts_with("refused")).count(), 5);
}

#[test]
fn a_request_about_something_that_has_moved_does_nothing() {
    let home = home();
    let socket = home.socket();
    let (_, plan) = raw(&socket, "GET", "/v1/plan/hello", "");
    assert_eq!((&plan["level"], &plan["stages"]), (&json!("L1"), &json!(["greet"])));
    let run = |basis: &Value| raw(&socket, "POST", "/v1/do", &json!({"action": "run", "target": "hello", "basis": basis}).to_string());
    assert_eq!(run(&plan["basis"]).0, 200);
    home.pipeline("hello", &HELLO.replace("echo hello", "echo other"));
    refused(run(&plan["basis"]), "has moved");
    let (_, seen) = raw(&socket, "GET", "/v1/runs/hello/1?wait=60", "");
    assert_eq!(seen["verdict"], "success");
    let pin =
        |action: &str| raw(&socket, "POST", "/v1/do", &json!({"action": action, "target": "hello#1", "basis": seen["basis"]}).to_string());
    assert_eq!(pin("pin").0, 200);
    refused(pin("unpin"), "has moved");
    assert_eq!(raw(&socket, "GET", "/v1/plan/no-such", "").0, 400);
}
