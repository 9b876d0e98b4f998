//! What a history costs: memory of the engine, answers, queueing and a start with 10,000 finished runs, queueing up to 100,000; and an
//! engine that has nothing to do.
//!
//! The history is written through the store's own functions (`tests/it/support/history.rs`); nothing of it was run. At the small size only
//! counts are asserted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/mod.rs"]
mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use common::{Samples, ms, size};
use serde_json::{Value, json};
use support::home::Home;
use support::idle::{Counts, quiet_window};
use support::{history, http};

const US: &str = "quarterdeck";
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn main() {
    let mut samples = Samples::new("history");
    let runs = size(10_000, 300);
    let empty = engine(0);
    let floor = rss(&empty);
    samples.add(US, VERSION, "engine, empty", "MiB", floor);
    queue(&mut samples, &empty, "queueing one with 0 runs");
    idle(&mut samples, &empty);
    drop(empty);

    let full = engine(runs);
    samples.add(US, VERSION, "engine with 10,000 runs, above empty", "MiB", rss(&full) - floor);
    listing(&mut samples, &full, runs);
    samples.add(US, VERSION, "the same after its tables were listed", "MiB", rss(&full) - floor);
    queue(&mut samples, &full, "queueing one with 10,000 runs");
    restart(&mut samples, &full);
    samples.add(US, VERSION, "state on disk, 10,000 runs", "MiB", disk(&full.state()));
    drop(full);

    let long = engine(size(100_000, 400));
    queue(&mut samples, &long, "queueing one with 100,000 runs");
    drop(long);

    for (metric, budget) in [
        ("engine with 10,000 runs, above empty", "30 MiB"),
        ("the same after its tables were listed", "30 MiB"),
        ("all 10,000, engine's side", "100 ms"),
        ("all 10,000 as a command", "100 ms"),
        ("a page of 50, engine's side", "5 ms"),
        ("queueing one with 0 runs", "flat"),
        ("queueing one with 10,000 runs", "flat"),
        ("queueing one with 100,000 runs", "flat"),
        ("idle for 10 s: wake-ups", "0 but due timers"),
        ("idle for 10 s: writes", "0"),
    ] {
        println!("  {metric}: {:.2}   (budget: {budget})", samples.median(US, metric));
    }
    samples.finish();
}

/// An engine with so many runs behind it, drained so that what is queued stays queued.
fn engine(runs: usize) -> Home {
    let home = Home::new();
    home.site("time_zone = \"UTC\"\n");
    home.pipeline("one", "format: 1\nname: one\noptions: {keep: {runs: 100000}}\nstages:\n  - name: only\n    run: 'true'\n");
    history::load(&home.state(), runs);
    home.qd(["engine", "start"]).expect(0);
    home.qd(["engine", "drain", "--reason", "bench"]).expect(0);
    settle(&home);
    home
}

/// A start copies the store and looks at retention: that is over once nothing happens any more.
fn settle(home: &Home) {
    let quiet = quiet_window(pid(home), Duration::from_secs(2), Duration::from_secs(120));
    assert!(quiet.is_some(), "the engine was never quiet for 2 s");
}

fn pid(home: &Home) -> i32 {
    home.json(&["engine", "status"])["pid"].as_i64().expect("a pid") as i32
}

/// MiB that the engine holds.
fn rss(home: &Home) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid(home))).expect("the engine lives");
    let kib = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).and_then(|v| v.split_whitespace().next()?.parse::<f64>().ok());
    kib.expect("VmRSS") / 1024.0
}

fn rows(answer: &Value) -> usize {
    answer["rows"].as_array().map_or(0, Vec::len)
}

fn listing(samples: &mut Samples, home: &Home, runs: usize) {
    let socket = home.socket();
    let ask = |query: &str| http::unix(&socket, "GET", &format!("/v1/get/runs?{query}"), None).expect("an answer");
    let command = |args: &[&str]| {
        let out = home.command(args).stdin(Stdio::null()).output().expect("the command runs");
        assert!(out.status.success(), "{args:?}");
        out.stdout
    };
    assert_eq!(rows(&ask("").json()), runs, "all are there");
    assert_eq!(rows(&ask("limit=50").json()), 50);
    assert_eq!(rows(&ask("filter=verdict%3Dfailure&limit=100000").json()), runs / 10, "one in ten is red");
    for _ in 0..size(20, 1) {
        for (metric, query) in [
            ("all 10,000, engine's side", ""),
            ("a page of 50, engine's side", "limit=50"),
            ("50 red ones, engine's side", "filter=verdict%3Dfailure&limit=50"),
            ("50 with a word, engine's side", "filter=exit&limit=50"),
            ("50 by duration, engine's side", "sort=-duration_ms&limit=50"),
        ] {
            let (took, answer) = ms(|| ask(query));
            assert_eq!(answer.status, 200);
            samples.add(US, VERSION, metric, "ms", took);
        }
        let (took, all) = ms(|| command(&["--json", "get", "runs", "--limit", "100000"]));
        samples.add(US, VERSION, "all 10,000 as a command", "ms", took);
        assert!(all.len() > runs * 300, "{} bytes", all.len());
        let (took, _) = ms(|| command(&["--json", "get", "runs", "--limit", "50"]));
        samples.add(US, VERSION, "a page of 50 as a command", "ms", took);
    }
}

/// One connection each, as clients do; durable when answered.
fn queue(samples: &mut Samples, home: &Home, metric: &str) {
    let before = rows(&home.json(&["get", "queue"]));
    let n = size(40, 2);
    for _ in 0..n {
        let (took, answer) = ms(|| http::unix(&home.socket(), "POST", "/v1/do", Some(&json!({"action": "run", "target": "one"}))));
        assert_eq!(answer.expect("an answer").status, 200);
        samples.add(US, VERSION, metric, "ms", took);
    }
    assert_eq!(rows(&home.json(&["get", "queue"])), before + n, "each was queued once");
}

/// From kill -9 to the first answer of the next engine, started by the client.
fn restart(samples: &mut Samples, home: &Home) {
    for _ in 0..size(5, 1) {
        let old = pid(home);
        support::kill(old);
        support::until("the engine to be dead", || !support::alive(old));
        let (took, _) = ms(|| home.json(&["get", "runs", "--limit", "1"]));
        samples.add(US, VERSION, "kill -9 to the next answer, 10,000 runs", "ms", took);
    }
}

/// MiB below a directory.
fn disk(dir: &Path) -> f64 {
    let mut bytes = 0;
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                dirs.push(entry.path());
            } else if entry.file_name().to_string_lossy().starts_with("state.db") {
                bytes += meta.len();
            }
        }
    }
    bytes as f64 / f64::from(1 << 20)
}

fn idle(samples: &mut Samples, home: &Home) {
    let (pid, window) = (pid(home), Duration::from_secs(size(10, 3) as u64));
    // Threads that had work end after ten seconds without any.
    let quiet = quiet_window(pid, Duration::from_secs(size(11, 2) as u64), Duration::from_secs(120));
    assert!(quiet.is_some(), "the engine was never quiet");
    let before = Counts::of(pid).expect("the engine lives");
    std::thread::sleep(window);
    let seen = Counts::of(pid).expect("the engine lives").since(&before);
    samples.add(US, VERSION, "idle for 10 s: wake-ups", "", seen.wakes as f64);
    samples.add(US, VERSION, "idle for 10 s: writes", "", seen.writes as f64);
    samples.add(US, VERSION, "idle for 10 s: bytes to the disk", "", seen.disk_bytes as f64);
}
