//! The demo from its command line to the mirrored tree: what a newcomer and a script see, with every process real.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::demo_tools::{document, packages_of};
use crate::support::home::{EXE, Out, run};
use crate::support::{Foreground, kill, until, until_some};

/// A demo that is up, with all that it said when it was ready. Ends with the value: SIGTERM first, everything of it killed after.
pub struct Demo {
    top: tempfile::TempDir,
    pub ready: Value,
    up: Option<Foreground>,
}

impl Demo {
    pub fn start() -> Self {
        let mut demo = Self::place();
        demo.up();
        demo
    }

    /// One without a past, for tests that it does not concern: it begins sooner.
    pub fn young() -> Self {
        let mut demo = Self::place();
        demo.up_with(&["--no-past"]);
        demo
    }

    /// One that is not up yet.
    pub fn place() -> Self {
        let top = tempfile::Builder::new().prefix("qd-demo-").tempdir().unwrap();
        Self { top, ready: Value::Null, up: None }
    }

    pub fn state(&self) -> PathBuf {
        self.top.path().join("s")
    }

    /// `quarterdeck --state-dir STATE …` with nothing of the machine's own configuration.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut c = Command::new(EXE);
        c.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.top.path()).env("LANG", "C.UTF-8");
        c.env("QD_TEST_HOME", self.top.path()).arg("--state-dir").arg(self.state()).args(args).current_dir(self.top.path());
        c
    }

    pub fn qd(&self, args: &[&str]) -> Out {
        run(self.command(args))
    }

    pub fn up(&mut self) {
        self.up_with(&[]);
    }

    fn up_with(&mut self, more: &[&str]) {
        let mut up = Foreground::start(self.command(&[&["--json", "demo", "--no-tui"], more].concat()));
        self.ready = serde_json::from_str(&up.line(|_| true)).unwrap();
        self.up = Some(up);
    }

    /// Ends the demo as a terminal's Ctrl-C or a service manager does.
    pub fn down(&mut self) {
        let mut up = self.up.take().unwrap();
        let pid = rustix::process::Pid::from_raw(up.pid()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(up.wait().success());
    }

    pub fn nightly(&self) -> Value {
        self.qd(&["--json", "run", "nightly-repo-updates", "--wait"]).expect(0).json()
    }

    /// Requests for repositories that the upstream answered so far, by the end of their paths. It serves the scripts' git repository too.
    fn asked(&self, end: &str) -> usize {
        let log = std::fs::read_to_string(self.ready["access_log"].as_str().unwrap()).unwrap();
        let paths = log.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["path"].as_str().unwrap().to_owned());
        paths.filter(|p| p.starts_with("/9-stream/") && p.ends_with(end)).count()
    }

    fn trees(&self) -> Vec<(PathBuf, PathBuf)> {
        let repos = self.ready["repos"].as_array().unwrap();
        let served = |r: &Value| {
            let path = r["upstream"].as_str().unwrap().strip_prefix(self.ready["upstream_url"].as_str().unwrap()).unwrap().to_owned();
            self.state().join("upstream").join(path.trim_matches('/'))
        };
        repos.iter().map(|r| (served(r), PathBuf::from(r["tree"].as_str().unwrap()))).collect()
    }

    /// The mirror is what upstream is now.
    fn mirrored(&self) {
        for (up, tree) in self.trees() {
            let list = |dir: &Path| packages_of(&document(dir, "primary")).into_keys().collect::<Vec<_>>();
            assert_eq!(list(&up), list(&tree));
        }
    }

    pub fn runs(&self, filter: &str) -> Vec<Value> {
        self.qd(&["--json", "get", "runs", "--filter", filter]).expect(0).json()["rows"].as_array().unwrap().clone()
    }

    /// All but those of the past that the demo begins with: they had ended before May 2026.
    pub fn runs_of_today(&self) -> Vec<Value> {
        let mut all = self.runs("");
        all.retain(|r| r["ended"].as_str().is_none_or(|t| t >= "2026-05"));
        all
    }

    /// As `runs`; none where the engine that was asked died meanwhile (exit code 3), which a person would answer by asking again.
    fn runs_if_alive(&self, filter: &str) -> Vec<Value> {
        let out = self.qd(&["--json", "get", "runs", "--filter", filter]);
        if out.code == 3 { Vec::new() } else { out.expect(0).json()["rows"].as_array().unwrap().clone() }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.up = None;
        crate::support::process::kill_all_with(&self.top.path().to_string_lossy());
    }
}

fn stage<'a>(doc: &'a Value, name: &str) -> &'a Value {
    doc["stages"].as_array().unwrap().iter().find(|s| s["name"] == name).unwrap_or_else(|| panic!("no stage {name}: {doc}"))
}

#[test]
fn a_nightly_really_runs_and_the_next_one_changes_nothing_until_upstream_does() {
    let mut demo = Demo::young();
    for key in ["state_dir", "config_dir", "socket", "upstream_url", "mirror_dir"] {
        assert!(!demo.ready[key].as_str().unwrap().is_empty(), "{}", demo.ready);
    }
    assert!(demo.runs_of_today().is_empty(), "with --json nothing runs by itself");
    demo.qd(&["site", "check"]).expect(0);

    let first = demo.nightly();
    assert_eq!((first["run"].as_str(), first["verdict"].as_str()), (Some("nightly-repo-updates#1"), Some("success")), "{first}");
    assert_ne!(first["detail"], "no-change");
    let update = stage(&first, "Update core-latest repos");
    assert_eq!((update["verdict"].as_str(), update["steps"].as_array().unwrap().len()), (Some("success"), 2), "{first}");
    assert!(update["duration_ms"].as_u64().is_some() && stage(&first, "HW Info")["verdict"] == "success", "{first}");
    demo.mirrored();
    let packages = demo.asked(".rpm");
    assert!(packages >= 60, "{packages}");

    // Nothing new: one conditional request a repository, no package, and the run says so.
    let before = demo.asked("");
    let second = demo.nightly();
    assert_eq!((second["verdict"].as_str(), second["detail"].as_str()), (Some("success"), Some("no-change")), "{second}");
    assert_eq!(demo.asked(".rpm"), packages);
    assert_eq!(demo.asked("") - before, 2);

    let advanced = demo.qd(&["--json", "demo", "advance"]).expect(0).json();
    assert_eq!(advanced["compose"], "CentOS-Stream-9-20260401.0");
    let third = demo.nightly();
    assert_eq!(third["verdict"], "success", "{third}");
    assert_ne!(third["detail"], "no-change", "{third}");
    demo.mirrored();
    assert_eq!(demo.asked(".rpm") - packages, advanced["new"].as_array().unwrap().len());

    // The canary followed each nightly by itself, and is green. Older ones may have been cancelled by newer ones.
    let canary = until_some("a canary of the third nightly", || {
        let rows = demo.runs("pipeline=rpmcanary");
        rows.into_iter().find(|r| r["state"] == "done" && r["cause"].as_str().unwrap_or("").contains("nightly-repo-updates#3"))
    });
    assert_eq!(canary["verdict"], "success", "{canary}");
    let rows = demo.runs("pipeline=nightly-repo-updates");
    let fp = |n: u64, key: &str| rows.iter().find(|r| r["number"] == n).unwrap()[key].as_str().unwrap_or("").to_owned();
    assert_eq!(fp(1, "fp_after"), fp(2, "fp_after"));
    assert!(!fp(3, "fp_after").is_empty());
    assert_ne!(fp(2, "fp_after"), fp(3, "fp_after"));

    // By hand, one of them: there is nothing new, and every package of it is read.
    let one = demo.qd(&["--json", "run", "repo-updates", "-p", "repo=baseos", "--wait"]).expect(0).json();
    assert_eq!(
        (stage(&one, "Update")["verdict"].as_str(), stage(&one, "Verify")["verdict"].as_str()),
        (Some("success"), Some("success")),
        "{one}"
    );
    demo.mirrored();

    // Down, and up again: the same address, the same history.
    demo.down();
    demo.qd(&["engine", "status"]).expect(3);
    let url = demo.ready["upstream_url"].clone();
    demo.up();
    assert_eq!(demo.ready["upstream_url"], url);
    assert_eq!(demo.nightly()["detail"], "no-change");
}

#[test]
fn the_engine_is_killed_in_the_middle_of_a_nightly_and_the_run_still_ends_green() {
    let demo = Demo::young();
    // Many nightlies, killed at many points; every one must come to its one verdict.
    for n in 1..=4 {
        let run_name = demo.qd(&["--json", "run", "nightly-repo-updates"]).expect(0).json()["run"].as_str().unwrap().to_owned();
        assert_eq!(run_name, format!("nightly-repo-updates#{n}"));
        if n > 1 {
            until("the run to be claimed", || demo.runs(&format!("run={run_name}"))[0]["state"] != "queued");
        }
        let engine = demo.qd(&["--json", "engine", "status"]).expect(0).json();
        kill(engine["pid"].as_i64().unwrap() as i32);
        // The next client starts an engine, which takes over what still runs.
        let row =
            until_some("the run to end", || demo.runs_if_alive(&format!("run={run_name}")).into_iter().find(|r| r["state"] == "done"));
        assert_eq!(row["verdict"], "success", "{row}");
        demo.mirrored();
        demo.qd(&["demo", "advance"]).expect(0);
    }
    assert_eq!(demo.runs("pipeline=nightly-repo-updates").len(), 4);
    demo.qd(&["get", "audit"]).expect(0);
}

#[test]
fn in_the_foreground_it_shows_the_nightly_and_ends_with_its_engine() {
    let top = tempfile::Builder::new().prefix("qd-demo-").tempdir().unwrap();
    let demo = Demo { top, ready: Value::Null, up: None };
    let mut up = Foreground::start(demo.command(&["demo", "--no-tui"]));
    up.line(|l| l.contains("nightly-repo-updates#1 success"));
    up.line(|l| l.contains("rpmcanary#1 success"));
    up.line(|l| l.contains("Ctrl-C ends it"));
    // A second one is refused while the first is up, and says who has it.
    let second = demo.qd(&["demo"]).expect(4);
    assert!(second.stderr.contains("a demo is running") && second.stderr.contains(&up.pid().to_string()), "{second:?}");
    demo.qd(&["demo", "--fresh"]).expect(4);
    demo.qd(&["engine", "status"]).expect(0);
    let pid = rustix::process::Pid::from_raw(up.pid()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    up.line(|l| l.contains("its engine with it"));
    assert!(up.wait().success());
    demo.qd(&["engine", "status"]).expect(3);
    // Fresh: the history is gone, and the seed may be another.
    demo.qd(&["demo", "--seed", "5", "--json"]).expect(4);
    let mut up = Foreground::start(demo.command(&["--json", "demo", "--fresh", "--no-past", "--seed", "5"]));
    let ready: Value = serde_json::from_str(&up.line(|_| true)).unwrap();
    assert_eq!(ready["seed"], 5);
    assert!(demo.runs_of_today().is_empty());
}

#[test]
fn a_directory_that_is_not_the_demos_is_refused_with_4_and_not_touched() {
    let top = tempfile::Builder::new().prefix("qd-demo-").tempdir().unwrap();
    let demo = Demo { top, ready: Value::Null, up: None };
    std::fs::create_dir(demo.state()).unwrap();
    std::fs::write(demo.state().join("state.db"), "production").unwrap();
    for args in [&["demo"][..], &["demo", "--fresh"], &["demo", "advance"], &["--json", "demo", "--no-tui"]] {
        demo.qd(args).expect(4);
    }
    let names: Vec<_> = std::fs::read_dir(demo.state()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["state.db"]);
    assert_eq!(std::fs::read(demo.state().join("state.db")).unwrap(), b"production");
    std::fs::remove_file(demo.state().join("state.db")).unwrap();
    assert!(demo.qd(&["demo", "advance"]).expect(3).stderr.contains("there is no demo estate"));
    assert_eq!(std::fs::read_dir(demo.state()).unwrap().count(), 0);
    demo.qd(&["--config-dir", "/nonexistent", "demo"]).expect(2);
}

#[test]
fn the_demo_promotes_its_nightly_and_goes_one_step_back() {
    let demo = Demo::young();
    let promote = |name: &str| demo.qd(&["--json", "run", name, "--confirm", name, "--reason", "shown", "--wait"]);
    // The demo's own two trees; the pairs of the datacentres have tests of their own.
    let own = |r: &Value| r["repo"] == "baseos" || r["repo"] == "appstream" || r["role"] == "other";
    let rows = |what: &str| -> Vec<Value> {
        demo.qd(&["--json", "get", what]).expect(0).json()["rows"].as_array().unwrap().iter().filter(|r| own(r)).cloned().collect()
    };
    assert!(rows("repos").iter().all(|r| r["state"] == "unknown" && r["verified"].is_null()), "{:?}", rows("repos"));
    demo.nightly();
    demo.qd(&["run", "promote-latest", "--wait"]).expect(4);
    assert_eq!(promote("promote-latest").expect(0).json()["verdict"], "success");
    let root = demo.state().join("mirror/el9");
    let first = std::fs::read_link(root.join("stable")).unwrap();
    demo.qd(&["demo", "advance"]).expect(0);
    demo.nightly();
    assert_eq!(std::fs::read_link(root.join("stable")).unwrap(), first, "the nightly does not move what is stable");
    promote("promote-latest").expect(0);
    let second = std::fs::read_link(root.join("stable")).unwrap();
    assert_ne!(first, second);
    for (served, tree) in demo.trees() {
        let list = |dir: &Path| packages_of(&document(dir, "primary")).into_keys().collect::<Vec<_>>();
        assert_eq!(list(&served), list(&root.join("stable").join(tree.file_name().unwrap())));
    }
    promote("rollback-stable").expect(0);
    assert_eq!(std::fs::read_link(root.join("stable")).unwrap(), first);
    let repos = rows("repos");
    assert_eq!(repos.len(), 2);
    assert!(repos.iter().all(|r| r["state"] == "unknown" && r["packages"].as_u64() > Some(10) && r["sets"] == "el9-latest"), "{repos:?}");
    let mirrors = rows("mirrors");
    let pinned: Vec<_> = mirrors.iter().filter(|r| r["state"] == "pinned").collect();
    let id = first.file_name().unwrap().to_str().unwrap();
    assert!(pinned.len() == 2 && pinned.iter().all(|r| r["snapshot"] == id && r["run"] == "rollback-stable#1"), "{mirrors:?}");
}

#[test]
fn three_datacentres_serve_sixteen_pairs_and_each_is_what_it_is() {
    let demo = Demo::young();
    let rows = |what: &str| demo.qd(&["--json", "get", what]).expect(0).json()["rows"].as_array().unwrap().clone();
    let repos = until_some("every pair to be looked at", || {
        let all: Vec<Value> = rows("repos").into_iter().filter(|r| r["dcs"].is_string()).collect();
        (all.len() == 16 && all.iter().all(|r| r["checked"].is_string())).then_some(all)
    });
    let of = |name: &str| repos.iter().find(|r| r["repo"] == name).unwrap();
    for (name, freshness, relation, dcs) in [
        ("crb9", "fresh", "=", "3/3"),
        ("epel9", "fresh", "=", "3/3"),
        ("base9-arm", "fresh", "=", "1/1"),
        ("base9", "behind-1+", "-1+", "2/3"),
        ("appstream9", "behind-1+", "-1+", "2/3"),
        ("base10", "behind-1+", "-1+", "3/3"),
        ("automotive-9", "incoherent", "?", "3/3"),
        ("base8", "frozen", "frozen", "3/3"),
        ("base7", "frozen", "frozen", "3/3"),
    ] {
        let row = of(name);
        let found = ["freshness", "relation", "dcs"].map(|k| row[k].as_str().unwrap_or_default());
        assert_eq!(found, [freshness, relation, dcs], "{name}: {row}");
    }
    assert!(of("base9")["drift"].as_u64() > Some(0) && of("base9")["why"].as_str().unwrap().starts_with("cedar: "), "{}", of("base9"));
    let cedar = demo.qd(&["--json", "get", "mirrors", "--filter", "dc=cedar repo=base9"]).expect(0).json()["rows"][0].clone();
    assert_eq!((cedar["composes_behind"].as_u64(), cedar["state"].as_str()), (Some(1), Some("behind")), "{cedar}");
    let frame = demo.qd(&["screen", "mirrors", "--size", "80x24"]).expect(0).stdout;
    assert!(frame.contains("automotive-9") && frame.contains("INCOHERENT"), "{frame}");
}
