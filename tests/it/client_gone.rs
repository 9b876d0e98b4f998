//! A client that dies in the middle of its request: what it asked for happens wholly or not at all.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::support::{Home, until};

/// The server drops a request with its connection. A run that is durable by then must run all the same.
#[test]
fn a_run_whose_client_went_away_while_it_was_queued_still_ends() {
    let home = Home::new();
    home.pipeline("one", "format: 1\nname: one\nstages:\n  - name: only\n    run: 'true'\n");
    home.qd(["engine", "start"]).expect(0);
    let body = r#"{"action":"run","target":"one"}"#;
    let request =
        format!("POST /v1/do HTTP/1.1\r\nhost: engine\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    for n in 0..120u64 {
        let mut stream = UnixStream::connect(home.socket()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        // Hits parsing, judging, the commit, and what comes after it.
        std::thread::sleep(Duration::from_micros(n * 100));
        drop(stream);
    }
    let out = home.qd(["--json", "run", "one", "--wait"]).expect(0);
    assert_eq!(out.json()["verdict"], "success");
    until("every run that was queued to end", || home.json(&["get", "runs", "--filter", "state!=done"])["rows"] == serde_json::json!([]));
    let rows = home.json(&["get", "runs", "--limit", "1000"])["rows"].as_array().unwrap().clone();
    assert!(rows.len() > 1 && rows.iter().all(|r| r["verdict"] == "success"), "{rows:?}");
}
