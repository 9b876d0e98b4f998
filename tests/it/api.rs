//! The engine's socket spoken to by hand: shapes, refusals of bad requests, and the event stream.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Home, until_some};

pub const HELLO: &str = "format: 1\nname: hello\nstages:\n  - name: greet\n    run: echo hello\n";

/// One request on a connection of its own; status and body.
pub fn raw(socket: &Path, method: &str, path: &str, body: &str) -> (u16, Value) {
    let mut s = UnixStream::connect(socket).expect("the engine listens");
    s.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(s, "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut text = String::new();
    s.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = if head.to_lowercase().contains("transfer-encoding: chunked") { unchunk(body) } else { body.to_owned() };
    (status, serde_json::from_str(&body).unwrap_or_else(|e| panic!("no JSON ({e}): {body}")))
}

fn unchunk(mut text: &str) -> String {
    let mut out = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let n = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if n == 0 {
            break;
        }
        out.push_str(&rest[..n]);
        text = rest[n..].trim_start_matches("\r\n");
    }
    out
}

/// Asks for an action.
pub fn act(socket: &Path, body: Value) -> (u16, Value) {
    raw(socket, "POST", "/v1/do", &body.to_string())
}

#[test]
fn the_past_of_a_pipeline_that_is_none_is_told_as_that() {
    let home = Home::new();
    home.pipeline("hello", HELLO).pipeline("broken", "stages: [");
    home.qd(["run", "hello", "--wait"]).expect(0);
    std::fs::remove_file(home.config().join("pipelines/hello.yml")).unwrap();
    let past = |name: &str| raw(&home.socket(), "GET", &format!("/v1/history/{name}"), "");
    // By its runs, by its file, by the engine that writes them.
    for (name, runs) in [("hello", 1), ("broken", 0), ("quarterly-promotion", 0)] {
        let (status, doc) = past(name);
        assert_eq!((status, doc["runs"].as_array().unwrap().len()), (200, runs), "{name}: {doc}");
    }
    let (status, doc) = past("brokn");
    assert_eq!(
        (status, &doc["error"]["code"], &doc["error"]["help"]),
        (400, &json!("bad-input"), &json!("did you mean `broken`?")),
        "{doc}"
    );
    assert_eq!(past("..%2F..").0, 400);
}

#[test]
fn answers_have_the_shapes_of_the_contract() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    home.qd(["engine", "start"]).expect(0);
    let socket = home.socket();
    let (status, s) = raw(&socket, "GET", "/v1/status", "");
    assert_eq!(status, 200);
    for key in ["pid", "version", "socket", "started", "runs_running"] {
        assert!(!s[key].is_null(), "{key}: {s}");
    }
    let (status, done) = act(&socket, json!({"action": "run", "target": "hello"}));
    assert_eq!((status, &done["run"]), (200, &json!("hello#1")));
    let (_, doc) = raw(&socket, "GET", "/v1/runs/hello/1?wait=60", "");
    assert_eq!((&doc["run"], &doc["verdict"]), (&json!("hello#1"), &json!("success")));
    assert_eq!(doc["stages"][0]["steps"][0]["exit_code"], json!(0));
    let (_, rows) = raw(&socket, "GET", "/v1/get/runs", "");
    let columns: Vec<&str> = rows["rows"][0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        columns[..16],
        [
            "run",
            "pipeline",
            "number",
            "state",
            "verdict",
            "detail",
            "exit_code",
            "failed_stage",
            "failed_step",
            "requested_by",
            "reason",
            "started",
            "ended",
            "duration_ms",
            "fp_before",
            "fp_after"
        ]
    );
    assert_eq!((&rows["what"], rows["age_ms"].is_u64(), rows["revision"].is_u64()), (&json!("runs"), true, true));
}

#[test]
fn a_request_with_a_known_key_is_not_carried_out_again() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    home.qd(["engine", "start"]).expect(0);
    let body = json!({"action": "run", "target": "hello", "key": "one-wish"});
    for _ in 0..3 {
        assert_eq!(act(&home.socket(), body.clone()).1["run"], json!("hello#1"));
    }
    assert_eq!(home.json(&["get", "runs"])["rows"].as_array().unwrap().len(), 1);
}

#[test]
fn bad_requests_are_told_what_is_wrong_and_change_nothing() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    home.qd(["engine", "start"]).expect(0);
    let s = home.socket();
    let large = format!("{{\"action\":\"run\",\"target\":\"hello\",\"reason\":\"{}\"}}", "x".repeat(2_000));
    for (method, path, body, words) in [
        ("POST", "/v1/do", "{", "this is no request"),
        ("POST", "/v1/do", "{}", "this is no request"),
        ("POST", "/v1/do", r#"{"action":"run","target":"hello","surprise":1}"#, "surprise"),
        ("POST", "/v1/do", r#"{"action":"rnu","target":"hello"}"#, "no action `rnu`"),
        ("POST", "/v1/do", r#"{"action":"run"}"#, "needs a target"),
        ("POST", "/v1/do", r#"{"action":"drain","target":"x"}"#, "takes no target"),
        ("POST", "/v1/do", r#"{"action":"cancel","target":"hello#1","with":{"a":"b"}}"#, "takes no argument"),
        ("POST", "/v1/do", r#"{"action":"cancel","target":"../x#1"}"#, "is not a run"),
        ("POST", "/v1/do", r#"{"action":"run","target":"../hello"}"#, "no pipeline"),
        ("POST", "/v1/do", r#"{"action":"run","target":"hello","with":{"nope":"1"}}"#, "no parameter `nope`"),
        ("POST", "/v1/do", r#"{"action":"run","target":"hello","key":"a b"}"#, "`key` must be"),
        ("POST", "/v1/do", large.as_str(), "reason is longer"),
        ("GET", "/v1/runs/hello/0", "", "is not a run"),
        ("GET", "/v1/runs/hello/7", "", "no run hello#7"),
        ("GET", "/v1/log/hello/7/1", "", "no run hello#7"),
        ("GET", "/v1/log/hello/1/x", "", "`x` is no attempt"),
        ("GET", "/v1/runs/hello/1?wait=x", "", "`wait` must be a whole number"),
        ("GET", "/v1/get/%ff", "", "no path of the API"),
        ("GET", "/v1/get/runs?limit=x", "", "whole number"),
        ("GET", "/v1/get/runs?filtre=state%3Drunning", "", "has no parameter `filtre`"),
        ("GET", "/v1/get/runs?limit=1&limit=2", "", "`limit` is given twice"),
        ("GET", "/v1/status?verbose", "", "/v1/status has no parameter `verbose`"),
        ("GET", "/v1/runs/hello/1?timeout=5", "", "has no parameter `timeout`"),
        ("GET", "/v1/runs/%ff/1", "", "no path of the API"),
        ("GET", "/v1/nothing", "", "no `GET /v1/nothing`"),
        ("DELETE", "/v1/do", "", "no `DELETE /v1/do`"),
    ] {
        let (status, answer) = raw(&s, method, path, body);
        let message = answer["error"]["message"].as_str().unwrap_or_else(|| panic!("{method} {path} {body}: {answer}"));
        assert!((400..500).contains(&status) && message.contains(words), "{method} {path} {body}: {status} {message}");
    }
    assert!(home.json(&["get", "runs"])["rows"].as_array().unwrap().is_empty());
}

/// Reads events until `enough`; each is (event, id, data).
pub fn events(socket: &Path, after: Option<&str>, enough: impl Fn(&[(String, String, Value)]) -> bool) -> Vec<(String, String, Value)> {
    let mut s = UnixStream::connect(socket).unwrap();
    s.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let last = after.map(|a| format!("last-event-id: {a}\r\n")).unwrap_or_default();
    write!(s, "GET /v1/events HTTP/1.1\r\nhost: x\r\n{last}\r\n").unwrap();
    let (mut out, mut event, mut id) = (Vec::new(), String::new(), String::new());
    for line in BufReader::new(s).lines() {
        let line = line.unwrap();
        if let Some(v) = line.strip_prefix("event: ") {
            event = v.to_owned();
        } else if let Some(v) = line.strip_prefix("id: ") {
            id = v.to_owned();
        } else if let Some(v) = line.strip_prefix("data: ") {
            out.push((event.clone(), id.clone(), serde_json::from_str(v).unwrap()));
            // The id follows or precedes; an event is whole at its blank line.
        } else if line.is_empty() && !out.is_empty() {
            if let Some(last) = out.last_mut() {
                last.1.clone_from(&id);
            }
            if enough(&out) {
                return out;
            }
        }
    }
    panic!("the stream ended: {out:?}")
}

#[test]
fn the_stream_begins_with_reset_goes_on_without_a_gap_and_resets_another_epoch() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    home.qd(["engine", "start"]).expect(0);
    let socket = home.socket();
    let first = events(&socket, None, |e| !e.is_empty());
    assert_eq!(first[0].0, "reset");
    let start = first[0].1.clone();
    home.qd(["run", "hello", "--wait"]).expect(0);
    // The end of the run is on its way to the stream; it comes by itself.
    let ended = |e: &[(String, String, Value)]| e.iter().any(|(_, _, d)| d["upserts"]["runs"]["hello#1"]["verdict"] == json!("success"));
    let changes = events(&socket, Some(&start), ended);
    assert!(changes.iter().all(|(event, _, _)| event == "change"), "{changes:?}");
    let revisions: Vec<u64> = changes.iter().map(|(_, _, d)| d["revision"].as_u64().unwrap()).collect();
    assert!(revisions.windows(2).all(|w| w[1] == w[0] + 1), "{revisions:?}");
    let (epoch, _) = start.split_once('.').unwrap();
    for lost in [format!("{epoch}.999999"), "999.1".to_owned(), "nonsense".to_owned()] {
        assert_eq!(events(&socket, Some(&lost), |e| !e.is_empty())[0].0, "reset", "{lost}");
    }
}

#[test]
fn a_client_that_sends_nothing_or_nonsense_harms_nobody() {
    let home = Home::new();
    home.qd(["engine", "start"]).expect(0);
    let mut held: Vec<UnixStream> = (0..50).map(|_| UnixStream::connect(home.socket()).unwrap()).collect();
    for (i, s) in held.iter_mut().enumerate() {
        let _ = s.write_all(if i % 2 == 0 { b"GET /v1/sta" } else { b"\x16\x03\x01\0\0\n\n\n" });
    }
    until_some("the engine to answer all the same", || (raw(&home.socket(), "GET", "/v1/status", "").0 == 200).then_some(()));
}

#[test]
fn silent_clients_give_way_to_a_newcomer_and_an_armed_console_does_not() {
    let home = Home::new();
    home.qd(["engine", "start"]).expect(0);
    let mut buf = [0; 4096];
    let mut ask = |s: &mut UnixStream, method: &str, path: &str, body: &str| {
        s.set_read_timeout(Some(crate::support::wait::LIMIT)).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
        // Whoever was sent away finds that out here, or at the reading.
        let _ = s.write_all(format!("{head}\r\n\r\n{body}").as_bytes());
        let n = s.read(&mut buf).unwrap_or(0);
        String::from_utf8_lossy(&buf[..n]).into_owned()
    };
    let mut armed = UnixStream::connect(home.socket()).unwrap();
    let granted = ask(&mut armed, "POST", "/v1/arm", r#"{"reason":"the night","seconds":600}"#);
    assert!(granted.starts_with("HTTP/1.1 200"), "{granted}");
    // More than there is room for, and each has been answered: they are welcome guests, who only sit there.
    let mut guests = Vec::new();
    for n in 0..600 {
        let mut guest = UnixStream::connect(home.socket()).unwrap();
        let answer = ask(&mut guest, "GET", "/v1/status", "");
        assert!(answer.starts_with("HTTP/1.1 200"), "guest {n}: {answer}");
        guests.push(guest);
    }
    let armed_now = |home: &Home| home.json(&["engine", "status"])["armed"].as_array().map(Vec::len);
    assert_eq!(armed_now(&home), Some(1));
    assert!(ask(&mut armed, "GET", "/v1/status", "").starts_with("HTTP/1.1 200"), "the armed one is still connected");
    assert_eq!(ask(&mut guests[0], "GET", "/v1/status", ""), "", "the one that was silent longest is gone");
}
