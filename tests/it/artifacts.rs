//! Test reports, inputs by fingerprint, where-used, changes, views and umbrellas, through the command line and a real engine.

use serde_json::{Value, json};

use crate::support::home::Home;
use crate::support::wait::until;

const SITE: &str = "time_zone = \"UTC\"\n";

fn home() -> Home {
    let home = Home::new();
    home.site(SITE);
    home
}

fn run(home: &Home, args: &[&str], code: i32) -> Value {
    let all: Vec<&str> = ["--json", "run"].iter().chain(args).chain(&["--wait"]).copied().collect();
    home.qd(all).expect(code).json()
}

fn rows(home: &Home, what: &str, filter: &str) -> Vec<Value> {
    home.json(&["get", what, "--filter", filter])["rows"].as_array().unwrap().clone()
}

const TESTED: &str = "format: 1
name: tested
parameters:
  report: {type: string}
stages:
  - name: test
    run: cp \"$HOME/$report\" junit.xml
    artifacts: [{path: junit.xml, type: junit}]
";

fn report(home: &Home, name: &str, text: &str) {
    std::fs::write(home.root().join("home").join(name), text).unwrap();
}

#[test]
fn failed_tests_fail_the_run_and_are_named_new_and_flaky() {
    let home = home();
    home.pipeline("tested", TESTED);
    let good = "<testsuite name='s'><testcase name='a' time='0.5'/><testcase name='b' time='2'/></testsuite>";
    let bad = "<testsuite name='s'><testcase name='a' time='0.1'/><testcase name='b'><failure message='no \u{9b}31m luck'>line</failure></testcase></testsuite>";
    report(&home, "good.xml", good);
    report(&home, "bad.xml", bad);
    for (n, file) in ["good.xml", "bad.xml", "good.xml", "bad.xml"].iter().enumerate() {
        let done = run(&home, &["tested", "-p", &format!("report={file}")], i32::from(*file == "bad.xml"));
        assert_eq!(done["run"], format!("tested#{}", n + 1));
    }
    let done = home.json(&["get", "runs", "--filter", "run=tested#4"]);
    assert_eq!(done["rows"][0]["detail"], "stage `test`: 1 of 2 tests failed: s.b", "{done}");
    let tests = rows(&home, "tests", "");
    assert_eq!(tests.len(), 4);
    assert_eq!(
        (&tests[0]["run"], &tests[0]["passed"], &tests[0]["failed"], &tests[0]["tests"]),
        (&json!("tested#4"), &json!(1), &json!(1), &json!(2))
    );
    assert_eq!(tests[1]["duration_ms"], 2_500);
    let failures = rows(&home, "failures", "run=tested#4");
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!((&failures[0]["test"], &failures[0]["new"], &failures[0]["since"]), (&json!("b"), &json!(true), &json!("tested#4")));
    assert!(!failures[0]["message"].as_str().unwrap().contains('\u{9b}'), "{failures:?}");
    let flaky = rows(&home, "flaky", "");
    assert_eq!((flaky.len(), &flaky[0]["test"], &flaky[0]["changes"]), (1, &json!("b"), &json!(3)), "{flaky:?}");
    assert_eq!(rows(&home, "slowest", "run=tested#3")[0]["test"], "b");
    let why = home.qd(["why", "tested#4"]).expect(0).stdout;
    assert!(why.contains("1 of 2 tests failed: s.b") && why.contains("get failures"), "{why}");
    for what in ["tests", "failures", "flaky", "slowest"] {
        let table = home.qd(["get", what]).expect(0).stdout;
        assert!(table.contains("tested"), "{what}: {table}");
    }
}

#[test]
fn a_junit_bomb_is_refused_with_a_clear_message_and_the_engine_goes_on() {
    let home = home();
    home.pipeline("tested", TESTED);
    let laughs: String = (1..12).map(|i| format!("<!ENTITY l{i} '{}'>", format!("&l{};", i - 1).repeat(10))).collect();
    let many = "<testcase name='x'/>".repeat(200_000);
    for (name, text, why) in [
        (
            "laughs",
            format!("<?xml version='1.0'?><!DOCTYPE l [<!ENTITY l0 'lol'>{laughs}]><testsuite><testcase name='&l11;'/></testsuite>"),
            "document type",
        ),
        ("many", format!("<testsuite>{many}</testsuite>"), "more than 100000 tests"),
        ("deep", "<testsuite>".repeat(200_000), "64 deep"),
        ("tag", format!("<testsuite><testcase name='{}'/></testsuite>", "x".repeat(1 << 20)), "a tag is larger than 256 KiB"),
        ("root", "<html/>".to_owned(), "outermost element is `html`"),
        ("empty", "<testsuite/>".to_owned(), "hold no test"),
    ] {
        report(&home, name, &text);
        let done = run(&home, &["tested", "-p", &format!("report={name}")], 1);
        assert_eq!(done["verdict"], "failure", "{done}");
        assert!(done["detail"].as_str().unwrap().contains(why), "{name}: {done}");
    }
    std::fs::write(home.root().join("home/bytes"), b"<testsuite><testcase name='\xff'/></testsuite>").unwrap();
    assert!(run(&home, &["tested", "-p", "report=bytes"], 1)["detail"].as_str().unwrap().contains("not UTF-8"));
    report(&home, "good", "<testsuite><testcase name='a'/></testsuite>");
    assert_eq!(run(&home, &["tested", "-p", "report=good"], 0)["verdict"], "success");
    assert_eq!(rows(&home, "tests", "problems~document")[0]["run"], "tested#1");
}

#[test]
fn the_bytes_that_were_tested_are_the_bytes_that_are_used() {
    let home = home();
    home.pipeline(
        "nightly",
        "format: 1
name: nightly
stages:
  - name: build
    run: mkdir -p out; echo \"iso $QD_RUN_NUMBER\" > out/a.iso
    artifacts: [out/*.iso]
",
    );
    home.pipeline(
        "canary",
        "format: 1
name: canary
triggers: [{upstream: nightly}]
inputs: [{from: trigger, path: out/*.iso, verify: sha256}]
stages:
  - name: boot
    run: cat out/a.iso
    artifacts: [out/a.iso]
",
    );
    home.pipeline(
        "promote",
        "format: 1
name: promote
parameters:
  candidate: {type: run, of: nightly, default: latest-success}
stages:
  - name: ship
    inputs: [{from: candidate, path: '**/*.iso', to: given}]
    run: test \"$candidate\" = nightly#1; cat given/out/a.iso; echo spoilt > given/out/a.iso
  - name: again
    inputs: [{from: candidate, path: '**/*.iso', to: given}]
    run: grep -q iso given/out/a.iso
",
    );
    // Nothing to use yet: refused before a run exists.
    let refused = home.qd(["run", "promote"]).expect(2);
    assert!(refused.stderr.contains("nightly"), "{refused:?}");
    run(&home, &["nightly"], 0);
    until("the canary follows", || rows(&home, "runs", "run=canary#1 state=done").len() == 1);
    assert_eq!(rows(&home, "runs", "run=canary#1")[0]["verdict"], "success");
    run(&home, &["nightly"], 0);
    run(&home, &["promote", "-p", "candidate=nightly#1"], 0);
    let made = rows(&home, "artifacts", "run=nightly#1");
    assert_eq!(made[0]["path"], "out/a.iso");
    let sha256 = made[0]["sha256"].as_str().unwrap();
    let copy = home.root().join("copy.iso");
    std::fs::write(&copy, "iso 1\n").unwrap();
    let used = home.json(&["where-used", copy.to_str().unwrap()]);
    let mut seen: Vec<String> = used["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| format!("{} {}", r["run"].as_str().unwrap(), r["role"].as_str().unwrap()))
        .collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen, ["canary#1 made", "canary#1 used", "nightly#1 made", "promote#1 used"], "{used}");
    assert_eq!(rows(&home, "artifacts", &format!("sha256={sha256}")).len(), 2, "and the canary kept the same");
    assert_eq!(home.json(&["where-used", sha256])["rows"], used["rows"]);
    home.qd(["where-used", "no-such-file"]).expect(2);
    let none = home.qd(["run", "promote", "-p", "candidate=nightly#9"]).expect(2);
    assert!(none.stderr.contains("nightly#9"), "{none:?}");
    // What nightly#1 kept cannot be changed behind the back of a run that is to use it.
    std::fs::write(home.state().join("runs/nightly/1/artifacts/out/a.iso"), "evil\n").unwrap();
    let spoilt = run(&home, &["promote", "-p", "candidate=nightly#1"], 1);
    assert!(spoilt["detail"].as_str().unwrap().contains("has changed since it was kept"), "{spoilt}");
}

#[test]
fn no_changes_is_said_of_the_same_commits_and_only_of_them() {
    let home = home();
    home.pipeline(
        "scm",
        "format: 1
name: scm
parameters:
  commit: {type: string, default: ''}
stages:
  - name: checkout
    run: |
      test -z \"$commit\" || printf '{\"type\":\"fact\",\"kind\":\"commit\",\"url\":\"u\",\"reference\":\"main\",\"commit\":\"%s\"}\\n' \"$commit\" >> \"$QD_REPORT\"
",
    );
    for commit in ["c1", "c1", "", "c2"] {
        run(&home, &["scm", "-p", &format!("commit={commit}")], 0);
    }
    let changes: Vec<Value> = rows(&home, "runs", "").iter().rev().map(|r| r["changes"].clone()).collect();
    assert_eq!(changes, [json!(null), json!("none"), json!(null), json!("commit u main")]);
    assert_eq!(rows(&home, "pipelines", "")[0]["changes"], "commit u main");
}

#[test]
fn views_are_tabs_and_an_umbrella_shows_how_those_that_it_set_off_ended() {
    let home = home();
    let file = |name: &str, more: &str, script: &str| format!("format: 1\nname: {name}\n{more}\nstages: [{{name: a, run: {script}}}]\n");
    home.pipeline("converge", &file("converge", "umbrella: true\nviews: [DevOps_Infra, Nightly Builds]", "echo"));
    home.pipeline("good", &file("good", "views: [Nightly Builds]\ntriggers: [{upstream: converge, on: any}]", "echo"));
    home.pipeline("bad", &file("bad", "triggers: [{upstream: converge, on: any}]", "'false'"));
    run(&home, &["converge"], 0);
    until("both follow", || rows(&home, "runs", "state=done").len() == 3);
    let all = rows(&home, "pipelines", "");
    let of = |name: &str| all.iter().find(|r| r["pipeline"] == name).unwrap().clone();
    let umbrella = of("converge");
    assert_eq!((&umbrella["last_success"], &umbrella["last_failure"]), (&json!("converge#1"), &json!("converge#1")), "{umbrella}");
    assert_eq!((&umbrella["last_duration_ms"], &umbrella["umbrella"]), (&json!(null), &json!(true)));
    assert_eq!((&of("bad")["last_success"], &of("bad")["last_failure"]), (&json!(null), &json!("bad#1")));
    assert!(of("good")["last_duration_ms"].is_u64());
    let table = home.qd(["get", "pipelines", "--view", "Nightly Builds"]).expect(0).stdout;
    assert!(table.contains("converge") && table.contains("good") && !table.contains("bad") && table.contains("N/A"), "{table}");
    home.qd(["get", "runs", "--view", "x"]).expect(2);
    let why = home.qd(["why", "converge#1"]).expect(0).stdout;
    assert!(why.contains("good#1 (success)") && why.contains("bad#1 (failure)"), "{why}");
}

#[test]
fn a_running_run_shows_how_long_it_has_run_and_a_huge_report_is_cut() {
    let home = home();
    home.pipeline(
        "long",
        "format: 1
name: long
stages:
  - name: write
    run: |
      head -c 50000000 /dev/zero | tr '\\0' 'x' >> \"$QD_REPORT\"
      while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done
",
    );
    home.json(&["run", "long"]);
    until("it runs", || rows(&home, "runs", "state=running").len() == 1);
    let attempts = home.state().join("runs/long/1/attempts");
    let size = || {
        let dir = std::fs::read_dir(&attempts).ok()?.flatten().next()?;
        Some(std::fs::metadata(dir.path().join("report")).ok()?.len())
    };
    until("the supervisor cuts the report", || size() == Some(32 << 20));
    assert_eq!(rows(&home, "runs", "")[0]["duration_ms"], json!(null), "scripts see no duration yet");
    let table = home.qd(["get", "runs"]).expect(0).stdout;
    let line = table.lines().find(|l| l.starts_with("long#1")).unwrap();
    assert!(line.split_whitespace().nth(2).is_some_and(|t| t.ends_with(['s', 'm'])), "{table}");
    std::fs::write(home.root().join("home/go"), "").unwrap();
    until("it ends", || rows(&home, "runs", "state=done").len() == 1);
    let row = &rows(&home, "runs", "")[0];
    assert_eq!(row["verdict"], "success", "{row}");
    let log = home.qd(["log", "long#1"]).expect(0).stdout;
    assert!(log.contains("report of this step is limited to 32 MiB"), "{log}");
}

#[test]
fn a_step_whose_journal_grows_without_end_is_ended_and_its_disk_is_spared() {
    let home = home();
    home.pipeline(
        "scribe",
        "format: 1
name: scribe
stages:
  - name: write
    run: |
      head -c 50000000 /dev/zero | tr '\\0' 'x' >> \"$QD_JOURNAL\"
      exec sleep 1000
",
    );
    home.qd(["run", "scribe", "--wait"]).expect(1);
    let row = &rows(&home, "runs", "")[0];
    assert!(row["verdict"] == "failure" && row["detail"].as_str().unwrap().contains("its journal grew over the limit of 32 MiB"), "{row}");
    let journal = std::fs::read_dir(home.state().join("runs/scribe/1/journal")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(std::fs::metadata(journal).unwrap().len(), 32 << 20);
}
