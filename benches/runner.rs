//! The runner beside pueue and beside the disk: 1,000 cells of one run, 1,000 runs of one client, and the time from a key to the first instruction.
//!
//! Full durability everywhere on our side. The floor is what the three files cost that each step must make durable, spec, start and verdict,
//! written by two at once; no shell is in it. It is measured, and beside it reckoned as 3 × N / 2 of one file: no disk here is twice as fast
//! for two. pueue is measured only where it is installed (`cargo install pueue --locked`), in the
//! same run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/mod.rs"]
mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{Samples, full, ms, size};
use quarterdeck::api::Client;
use quarterdeck::api::types::{Do, Done, Rows};
use support::home::Home;

const US: &str = "quarterdeck";
const FLOOR: &str = "3 durable files a step, 2 at once";
const RECKONED: &str = "half of what they take one by one";
const WAIT: Duration = Duration::from_secs(3_600);

fn main() {
    let mut samples = Samples::new("runner");
    let repeats = size(3, 1);
    // Kept to the end: ext4 does not give a freed inode out again for minutes and looks at each such one at every new file, so that
    // removing thousands of files here would slow down what is measured next by half.
    let mut homes = Vec::new();
    for _ in 0..repeats {
        let n = size(1_000, 20);
        homes.push(estate(n));
        let home = &homes[homes.len() - 1];
        floor(&mut samples, home.root(), n);
        cells(&mut samples, home, n);
        runs(&mut samples, home, n);
    }
    first_instruction(&mut samples);
    pueue(&mut samples);
    for metric in ["cells of one run", "runs of one client"] {
        samples.ratio(metric, US, FLOOR, "at most 3");
        samples.ratio(metric, US, RECKONED, "at most 3, on a disk that is twice as fast for two");
        samples.ratio(metric, "pueue", US, "at least 10");
    }
    samples.finish();
}

/// Two executors, one pipeline of `n` cells and one of a single step; the engine is up.
fn estate(n: usize) -> Home {
    let home = Home::new();
    home.site("time_zone = \"UTC\"\n[runner]\nexecutors = 2\n");
    let keys: Vec<String> = (0..n).map(|i| format!("k{i}")).collect();
    let head = "format: 1\noptions: {keep: {runs: 100000}}\n";
    home.pipeline(
        "many",
        &format!(
            "{head}name: many\nstages:\n  - name: cells\n    matrix: {{k: [{}], max_parallel: 2}}\n    run: 'true'\n",
            keys.join(", ")
        ),
    );
    home.pipeline("one", &format!("{head}name: one\nstages:\n  - name: only\n    run: 'true'\n"));
    let fifo = home.root().join("first");
    home.pipeline("first", &format!("{head}name: first\nstages:\n  - name: only\n    run: echo > '{}'\n", fifo.display()));
    home.qd(["engine", "start"]).expect(0);
    home
}

fn floor(samples: &mut Samples, dir: &Path, n: usize) {
    let one = common::durable_files_s(dir, size(1_000, 50), 1) / size(1_000, 50) as f64;
    let two = common::durable_files_s(dir, 3 * n, 2);
    samples.add(RECKONED, "", "one durable file", "ms", one * 1e3);
    for metric in ["cells of one run", "runs of one client"] {
        samples.add(FLOOR, "", metric, "s", two);
        samples.add(RECKONED, "", metric, "s", one * 3.0 * n as f64 / 2.0);
    }
}

fn cells(samples: &mut Samples, home: &Home, n: usize) {
    let (took, out) = ms(|| home_run(home, &["--json", "run", "many", "--wait"]));
    let doc: serde_json::Value = serde_json::from_str(&out).expect("JSON of run --wait");
    assert_eq!(doc["verdict"], "success", "{out}");
    assert_eq!(doc["stages"][0]["steps"].as_array().map(Vec::len), Some(n), "every cell is there");
    samples.add(US, env!("CARGO_PKG_VERSION"), "cells of one run", "s", took / 1e3);
}

/// As `Home::qd`, without its limit: a full bench on a busy machine may take minutes.
fn home_run(home: &Home, args: &[&str]) -> String {
    let out = home.command(args).stdin(Stdio::null()).output().expect("the client runs");
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// One client, one connection, each submit durable before the next; then until all have ended.
fn runs(samples: &mut Samples, home: &Home, n: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let uid = rustix::process::geteuid().as_raw();
        let mut client = Client::connect(&home.socket(), uid, false).await.expect("the engine answers");
        let from = Instant::now();
        for _ in 0..n {
            let ask = Do { action: "run".into(), target: "one".into(), ..Do::default() };
            let done: Done = client.post("/v1/do", &ask, WAIT).await.expect("the run is queued");
            assert!(done.run.is_some());
        }
        let queued = from.elapsed().as_secs_f64();
        loop {
            let open: Rows = client.get("/v1/get/runs?filter=state%21%3Ddone&limit=1", WAIT).await.expect("the runs");
            if open.rows.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let took = from.elapsed().as_secs_f64();
        let bad: Rows = client.get("/v1/get/runs?filter=pipeline%3Done%20verdict%21%3Dsuccess&limit=1", WAIT).await.expect("the runs");
        assert!(bad.rows.is_empty(), "{:?}", bad.rows);
        samples.add(US, env!("CARGO_PKG_VERSION"), "queueing alone", "s", queued);
        samples.add(US, env!("CARGO_PKG_VERSION"), "runs of one client", "s", took);
    });
}

/// From the start of the client's process to the first instruction of the step, which writes into a pipe.
fn first_instruction(samples: &mut Samples) {
    let home = estate(2);
    let path = home.root().join("first");
    assert!(Command::new("mkfifo").arg(&path).status().is_ok_and(|s| s.success()), "mkfifo");
    // Open for both, so that neither side waits for the other.
    let mut fifo: File = OpenOptions::new().read(true).write(true).open(&path).expect("the pipe opens");
    for _ in 0..size(60, 3) {
        let from = Instant::now();
        let mut client = home.command(["run", "first"]).stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the client starts");
        let mut byte = [0u8; 1];
        fifo.read_exact(&mut byte).expect("the step writes");
        let took = from.elapsed().as_secs_f64() * 1e3;
        assert!(client.wait().is_ok_and(|s| s.success()));
        samples.add(US, env!("CARGO_PKG_VERSION"), "client start to first instruction", "ms", took);
        support::wait::until("the run to end", || home.json(&["get", "runs", "--filter", "state!=done"])["rows"] == serde_json::json!([]));
    }
    println!("  p50 {:.2} ms   (budget: at most 10)", samples.median(US, "client start to first instruction"));
}

/// 1,000 × `true`, two at once, a daemon of its own.
fn pueue(samples: &mut Samples) {
    if !full() {
        return;
    }
    if !support::have_program("pueued") {
        return support::skip("bench.pueue", "pueue is not installed: cargo install pueue --locked");
    }
    let version = common::version("pueue");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = dir.path().join("pueue.yml");
    std::fs::write(
        &config,
        format!("shared:\n  pueue_directory: {0}\n  runtime_directory: {0}\n  use_unix_socket: true\n", dir.path().display()),
    )
    .expect("configuration");
    let call = |program: &str, args: &[&str]| {
        let mut c = Command::new(program);
        c.arg("--config")
            .arg(&config)
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", dir.path());
        c.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        c
    };
    let mut daemon = call("pueued", &[]).stdout(Stdio::null()).spawn().expect("pueued starts");
    support::wait::until("pueued to answer", || call("pueue", &["status"]).status().is_ok_and(|s| s.success()));
    assert!(call("pueue", &["parallel", "2"]).status().is_ok_and(|s| s.success()));
    let n = 1_000;
    let from = Instant::now();
    for _ in 0..n {
        assert!(call("pueue", &["add", "true"]).status().is_ok_and(|s| s.success()));
    }
    let queued = from.elapsed().as_secs_f64();
    assert!(call("pueue", &["wait", "--quiet"]).status().is_ok_and(|s| s.success()));
    let took = from.elapsed().as_secs_f64();
    let status = call("pueue", &["status", "--json"]).output().expect("status").stdout;
    let done = String::from_utf8_lossy(&status).matches("\"Success\"").count();
    assert!(done >= n, "{done} of {n} succeeded");
    samples.add("pueue", &version, "queueing alone", "s", queued);
    // Its tasks are both: it has neither runs nor cells.
    for metric in ["cells of one run", "runs of one client"] {
        samples.add("pueue", &version, metric, "s", took);
    }
    let _ = call("pueue", &["shutdown"]).status();
    let _ = daemon.wait();
}
