//! I19: what a supervisor of an older version left, an engine of this one takes in, by every row of the recovery matrix; files with fields that
//! this version does not know are read, and files of a newer format are set aside without a verdict.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use quarterdeck::base::sys;
use serde_json::{Value, json};

use crate::support::home::run;
use crate::support::{Home, alive, http, kill, until, until_some};

/// Fence 1 of a fresh store, as in the fixture.
const GOLDEN: &str = "format: 1\nname: golden\nstages:\n  - name: build\n    run: |\n      touch \"$QD_WORKSPACE/ran\"\n      exit 7\n";

fn fixture() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/attempt-format-1/ingest")
}

fn own_boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned()
}

/// A home whose engine died right before it started the supervisor of `golden#1`; its attempt directory holds a spec and nothing else.
struct Left {
    home: Home,
    dir: PathBuf,
}

impl Left {
    fn new() -> Self {
        let home = Home::new();
        home.pipeline("golden", GOLDEN).pipeline("other", "format: 1\nname: other\nstages:\n  - name: a\n    run: echo hello\n");
        let mut engine = home.command(["engine", "start"]);
        engine.env("QD_CRASH_AT", "runner.spec");
        run(engine).expect(0);
        let pid = home.json(&["engine", "status"])["pid"].as_i64().unwrap() as i32;
        // It may die under the question, and a client of ours would start the next engine at once.
        let _ = http::unix(&home.socket(), "POST", "/v1/do", Some(&json!({"action": "run", "target": "golden"})));
        until("the engine to crash", || !alive(pid));
        let dir = home.state().join("runs/golden/1/attempts/0.0.0-1");
        assert!(dir.join("spec.json").exists() && !dir.join("started.json").exists());
        Self { home, dir }
    }

    /// What the older supervisor left under this name.
    fn put(&self, name: &str) -> &Self {
        std::fs::copy(fixture().join(name), self.dir.join(name)).unwrap();
        self
    }

    fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) -> &Self {
        edit(&self.dir.join(name), change);
        self
    }

    /// The evidence of a supervisor of this boot.
    fn of_this_boot(&self) -> &Self {
        self.edit("started.json", |v| v["boot_id"] = json!(own_boot()))
    }

    fn start(&self) -> &Self {
        self.home.qd(["engine", "start"]).expect(0);
        self
    }

    fn row(&self) -> Value {
        self.home.json(&["get", "runs", "--filter", "pipeline=golden"])["rows"][0].clone()
    }

    #[track_caller]
    fn ends(&self, verdict: &str, detail: &str) -> Value {
        let row = until_some("the run to end", || Some(self.row()).filter(|r| r["state"] == "done"));
        assert_eq!(row["verdict"], verdict, "{row}");
        assert!(row["detail"].as_str().unwrap().contains(detail), "{row}");
        row
    }

    /// Whether the command was started by anybody here.
    fn ran(&self) -> bool {
        self.home.state().join("runs/golden/1/workspace/ran").exists()
    }

    fn attempts(&self) -> usize {
        std::fs::read_dir(self.dir.parent().unwrap()).unwrap().count()
    }
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut v: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    change(&mut v);
    std::fs::write(path, v.to_string()).unwrap();
}

/// A field that no version before knew, at every level.
fn unknown(v: &mut Value) {
    v["later"] = json!({"a": [1, "b"]});
    for key in ["shim", "child", "log", "command"] {
        if v[key].is_object() {
            v[key]["later"] = json!(true);
        }
    }
}

const ALL: [&str; 5] = ["started.json", "status.json", "log", "log.idx", "report"];

fn finished() -> Left {
    let left = Left::new();
    for name in ALL {
        left.put(name);
    }
    left
}

#[test]
fn i19_a_verdict_that_was_written_is_taken_in_once_whatever_else_is_there() {
    let left = finished();
    left.start();
    let row = left.ends("failure", "two of two");
    assert_eq!((&row["exit_code"], &row["failed_stage"]), (&json!(7), &json!("build")));
    let log = left.home.qd(["log", "golden#1"]).expect(0).stdout;
    assert!(log.contains("[1/2] one") && log.contains("it broke here"), "{log}");
    assert!(!left.ran(), "nothing was started again");
    // Once more: the next engine finds it done.
    left.home.qd(["engine", "stop"]).expect(0);
    left.start();
    assert_eq!((left.ends("failure", "two of two")["run"].clone(), left.attempts()), (json!("golden#1"), 1));
}

#[test]
fn i19_a_verdict_beats_a_supervisor_that_still_holds_its_lock() {
    let left = finished();
    left.put("lock").of_this_boot();
    let lock = File::options().read(true).write(true).open(left.dir.join("lock")).unwrap();
    assert!(sys::try_lock_exclusive(lock.as_fd()).unwrap());
    left.start();
    left.ends("failure", "two of two");
}

#[test]
fn i19_a_supervisor_that_lives_is_adopted_and_its_end_taken_in() {
    let left = Left::new();
    for name in ["lock", "started.json", "log", "log.idx"] {
        left.put(name);
    }
    left.of_this_boot();
    let lock = File::options().read(true).write(true).open(left.dir.join("lock")).unwrap();
    assert!(sys::try_lock_exclusive(lock.as_fd()).unwrap());
    left.start();
    until("the engine to adopt it", || left.home.qd(["why", "golden#1"]).stdout.contains("runs: stage `build`"));
    left.home.qd(["run", "other", "--wait"]).expect(0);
    assert_eq!(left.row()["state"], "running");
    // Its end: the files first, the lock last, as every supervisor does.
    left.put("report").put("status.json");
    drop(lock);
    left.ends("failure", "two of two");
    assert!(!left.ran());
}

#[test]
fn i19_one_that_never_started_is_started_and_one_that_may_have_run_is_lost() {
    let left = Left::new();
    left.start();
    let row = left.ends("failure", "");
    assert_eq!((&row["exit_code"], left.ran(), left.attempts()), (&json!(7), true, 2), "a new fence");

    let left = Left::new();
    left.put("lock").put("started.json");
    left.start();
    left.ends("lost", "host rebooted at");
    assert!(!left.ran());

    let left = Left::new();
    left.put("lock").put("started.json").of_this_boot();
    left.start();
    left.ends("lost", "supervisor killed");
    assert!(!left.ran());
}

#[test]
fn i19_fields_of_a_later_version_are_no_reason_to_refuse_a_file() {
    let left = finished();
    for name in ["spec.json", "started.json", "status.json"] {
        left.edit(name, unknown);
    }
    // Lines of the report: a field more, a type more, and what is no line at all.
    let report = std::fs::read_to_string(left.dir.join("report")).unwrap();
    let report: String = report.lines().map(|l| l.replacen('{', "{\"later\":[1],", 1) + "\n").collect();
    std::fs::write(left.dir.join("report"), report + "{\"type\":\"hologram\",\"depth\":3}\nno json\n{\"type\"").unwrap();
    left.start();
    left.ends("failure", "two of two");
    let left = Left::new();
    left.put("lock").put("started.json").of_this_boot().edit("started.json", unknown);
    left.start();
    left.ends("lost", "supervisor killed");
}

#[test]
fn i19_a_newer_format_is_set_aside_with_words_and_without_a_verdict() {
    for name in ["status.json", "started.json"] {
        let left = finished();
        left.edit(name, |v| {
            v["format"] = json!(2);
            v["code"] = json!({"an": "object now"});
        });
        left.start();
        let why =
            until_some("the engine to say why", || Some(left.home.qd(["why", "golden#1"]).stdout).filter(|w| w.contains("set aside")));
        assert!(why.contains(name) && why.contains("has format 2") && why.contains("a newer quarterdeck wrote it"), "{why}");
        let queue = left.home.json(&["get", "queue"])["rows"].to_string();
        assert!(queue.contains("set aside"), "{queue}");
        // Everything else goes on, and a restart changes nothing.
        left.home.qd(["run", "other", "--wait"]).expect(0);
        let pid = left.home.json(&["engine", "status"])["pid"].as_i64().unwrap() as i32;
        kill(pid);
        until("the engine to die", || !alive(pid));
        left.start();
        until("it to be set aside again", || left.home.qd(["why", "golden#1"]).stdout.contains("set aside"));
        assert_eq!((&left.row()["verdict"], left.ran(), left.attempts()), (&Value::Null, false, 1), "no verdict, and no second start");
        if name == "status.json" {
            // The version that wrote it comes back.
            left.put(name);
            left.ends("failure", "two of two");
        } else {
            left.home.qd(["cancel", "golden#1"]).expect(0);
            let row = until_some("the cancelled run to end", || Some(left.row()).filter(|r| r["state"] == "done"));
            assert_ne!(row["verdict"], "success", "{row}");
            assert!(!left.ran());
        }
    }
}
