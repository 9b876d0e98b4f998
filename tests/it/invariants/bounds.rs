//! I10, I11, I12: what ends or answers although the engine was killed. How soon is printed for people; no test fails because a machine is slow.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};

use crate::api::HELLO;
use crate::support::{Home, alive, history, kill, processes_with, until, until_some};

pub fn engine_pid(home: &Home) -> i32 {
    home.json(&["engine", "status"])["pid"].as_i64().unwrap() as i32
}

/// kill -9, and until it is gone.
pub fn kill_engine(home: &Home) {
    let pid = engine_pid(home);
    kill(pid);
    until("the engine to be dead", || !alive(pid));
}

fn row(home: &Home, run: &str) -> Value {
    home.json(&["get", "runs", "--filter", &format!("run={run}")])["rows"][0].clone()
}

/// The directory of the one attempt of a run.
fn attempt(home: &Home, run: &str) -> PathBuf {
    let dir = home.state().join("runs").join(run).join("1/attempts");
    until_some("the attempt's directory", || std::fs::read_dir(&dir).ok()?.flatten().next().map(|e| e.path()))
}

#[test]
fn i10_a_cancel_ends_the_deaf_with_the_engine_killed_in_between() {
    let home = Home::new();
    let up = home.root().join("up");
    // Deaf to TERM, with a daemon of its own session that is as deaf.
    home.pipeline(
        "deaf",
        &format!(
            "format: 1\nname: deaf\noptions: {{grace: 300ms}}\nstages:\n  - name: a\n    run: |\n      trap '' TERM\n      setsid sh -c \"trap '' TERM; while :; do sleep 1; done\" &\n      touch {}\n      while :; do sleep 1; done\n",
            up.display()
        ),
    );
    home.qd(["run", "deaf"]).expect(0);
    until("the step to run", || up.exists());
    let mark = format!("QD_ATTEMPT_ID={}", spec(&attempt(&home, "deaf"))["attempt"].as_str().unwrap());
    assert!(processes_with(&mark).len() >= 2, "the step and its daemon");
    kill_engine(&home);
    home.qd(["engine", "start"]).expect(0);
    let from = Instant::now();
    home.qd(["cancel", "deaf#1"]).expect(0);
    // The wish is durable: whoever comes next carries it on.
    kill_engine(&home);
    home.qd(["engine", "start"]).expect(0);
    until("the run to be cancelled", || row(&home, "deaf#1")["verdict"] == json!("cancelled"));
    println!("I10: cancelled {} ms after the wish, two engines later (grace 300 ms)", from.elapsed().as_millis());
    assert_eq!(processes_with(&mark), Vec::<i32>::new(), "nobody is left");
}

fn spec(dir: &std::path::Path) -> Value {
    until_some("spec.json", || serde_json::from_slice(&std::fs::read(dir.join("spec.json")).ok()?).ok())
}

#[test]
fn i11_a_timeout_fires_while_the_engine_is_dead() {
    let home = Home::new();
    home.pipeline("late", "format: 1\nname: late\nstages:\n  - name: a\n    timeout: 1s\n    run: exec sleep 1000\n");
    home.qd(["run", "late"]).expect(0);
    let dir = attempt(&home, "late");
    until("the step to start", || dir.join("started.json").exists());
    kill_engine(&home);
    let status: Value =
        until_some("the verdict, with nobody listening", || serde_json::from_slice(&std::fs::read(dir.join("status.json")).ok()?).ok());
    let us = |key: &str| status[key].as_i64().unwrap();
    // The limit of a stage counts from its start, a moment before that of the command.
    let late = us("boot_us_ended") - spec(&dir)["deadline_boot_us"].as_i64().unwrap();
    println!("I11: ended {} ms after its deadline", late / 1_000);
    assert_eq!(status["ended_by"], "timeout");
    assert!(late >= 0, "not before its deadline: {status}");
    home.qd(["engine", "start"]).expect(0);
    until("the run to have its verdict", || row(&home, "late#1")["verdict"] == json!("failure"));
    assert!(row(&home, "late#1")["detail"].as_str().unwrap().contains("time of its stage"), "{}", row(&home, "late#1"));
}

#[test]
fn i12_after_a_crash_with_a_long_history_commands_are_accepted() {
    const RUNS: usize = 10_000;
    let home = Home::new();
    let (up, go) = (home.root().join("up"), home.root().join("go"));
    home.pipeline("hello", HELLO);
    home.pipeline(
        "slow",
        &format!(
            "format: 1\nname: slow\nstages:\n  - name: a\n    run: |\n      touch {}\n      until [ -e {} ]; do sleep 0.05; done\n",
            up.display(),
            go.display()
        ),
    );
    history::load(&home.state(), RUNS);
    home.qd(["run", "slow"]).expect(0);
    until("the step to run", || up.exists());
    kill_engine(&home);
    let from = Instant::now();
    let accepted = home.json(&["run", "hello"])["run"].clone();
    println!(
        "I12: the command was accepted {} ms after the crash, with {RUNS} runs (a new engine, debug build)",
        from.elapsed().as_millis()
    );
    assert_eq!(accepted, json!("hello#1"));
    until("it to end", || row(&home, "hello#1")["verdict"] == json!("success"));
    assert_eq!(row(&home, "slow#1")["state"], json!("running"), "adopted");
    std::fs::write(&go, "").unwrap();
    until("the adopted one to end", || row(&home, "slow#1")["verdict"] == json!("success"));
    let rows = home.json(&["get", "runs", "--limit", "100000"]);
    assert_eq!(rows["rows"].as_array().map(Vec::len), Some(RUNS + 2));
}
