//! Stages that are runs of other pipelines, through the binary: verdicts, cancel, locks, danger, logs, and an engine that is killed around
//! the start and the end of such a run. Pins of pipelines.

use serde_json::{Value, json};

use crate::api::events;
use crate::support::home::Home;
use crate::support::process::Foreground;
use crate::support::wait::until;

const UMBRELLA: &str = "format: 1
name: umbrella
parameters: {word: {type: string, default: hello}}
stages:
  - name: canary
    build: {pipeline: canary, parameters: {word: \"${params.word}\"}}
  - name: report
    run: echo \"after $QD_OUT_CANARY_RUN\"
";

const CANARY: &str = "format: 1
name: canary
parameters: {word: {type: string}}
stages:
  - name: try
    run: echo \"it says $word\"; test \"$word\" != bad
";

fn rows(home: &Home, what: &str, filter: &str) -> Vec<Value> {
    home.json(&["get", what, "--filter", filter])["rows"].as_array().unwrap().clone()
}

fn run_of(home: &Home, run: &str) -> Value {
    rows(home, "runs", &format!("run={run}")).into_iter().next().unwrap_or_default()
}

fn ended(home: &Home, run: &str) -> Value {
    until(&format!("{run} to end"), || run_of(home, run)["state"] == "done");
    run_of(home, run)
}

#[test]
fn the_run_of_a_stage_is_a_run_with_its_cause_and_its_verdict_is_the_stage_s() {
    let home = Home::new();
    home.pipeline("umbrella", UMBRELLA).pipeline("canary", CANARY);
    let good = home.qd(["--json", "run", "umbrella", "--wait"]).expect(0).json();
    assert_eq!((&good["verdict"], &good["stages"][0]["detail"]), (&json!("success"), &json!("canary#1")), "{good}");
    assert_eq!(good["stages"][0]["steps"][0]["child"], "canary#1", "{good}");
    let child = run_of(&home, "canary#1");
    assert_eq!((&child["trigger"], &child["reason"]), (&json!("upstream stage"), &json!("stage `canary` of umbrella#1")), "{child}");
    assert!(child["cause"].as_str().unwrap().starts_with("upstream:umbrella#1:0:stage:0:"), "{child}");
    assert_eq!(run_of(&home, "umbrella#1")["children"], "canary#1");
    assert_eq!(run_of(&home, "umbrella#1")["requested_by"], child["requested_by"], "whoever asked for the one asked for the other");
    let told = home.qd(["log", "umbrella#1/canary"]).expect(0);
    assert!(told.stderr.contains(&home.named("log 'canary#1'")), "{told:?}");
    let all = home.qd(["log", "umbrella#1"]).expect(0);
    assert!(all.stdout.contains("after canary#1") && all.stderr.contains("is the run canary#1"), "{all:?}");
    let lines = home.qd(["--json", "log", "umbrella#1/canary"]).expect(0);
    assert_eq!(lines.json(), json!({"run": "umbrella#1", "stage": "canary", "cell": "", "child": "canary#1"}));
    // A red one; what stands behind it does not run.
    let bad = home.qd(["--json", "run", "umbrella", "-p", "word=bad", "--wait"]).expect(1).json();
    assert_eq!((&bad["verdict"], &bad["stages"][1]["verdict"]), (&json!("failure"), &json!("skipped")), "{bad}");
    let row = run_of(&home, "umbrella#2");
    assert_eq!((&row["failed_stage"], &row["exit_code"]), (&json!("canary"), &json!(1)), "{row}");
    assert!(row["detail"].as_str().unwrap().contains("canary#2: stage `try`"), "{row}");
    // Resumed, it starts another one.
    home.qd(["resume", "umbrella#2", "--wait"]).expect(1);
    assert_eq!(run_of(&home, "umbrella#2")["children"], "canary#2 canary#3");
    home.qd(["get", "audit"]).expect(0);
}

/// A pipeline that is good where `FILE` is there; while `FILE.hold` is, it does not end.
fn good_with(name: &str, file: &std::path::Path) -> String {
    let file = file.display();
    format!(
        "format: 1\nname: {name}\nparameters: {{word: {{type: string, default: x}}}}\nstages:\n  - name: try\n    run: |\n      \
         while test -e '{file}.hold'; do sleep 0.05; done\n      test -e '{file}' || test \"$word\" = good\n"
    )
}

#[test]
fn a_resumed_run_takes_what_it_waited_for_as_that_is_now() {
    let home = Home::new();
    let file = home.root().join("mended");
    home.pipeline("canary", &good_with("canary", &file));
    home.pipeline("umbrella", UMBRELLA);
    let told = "post: {always: [{run: 'echo \"it is $QD_VERDICT\"'}]}";
    home.pipeline("alone", &format!("format: 1\nname: alone\nstages: [{{name: c, build: canary}}]\n{told}\n"));
    home.pipeline(
        "both",
        "format: 1\nname: both\nstages: [{name: c, matrix: {m: [one, two]}, build: {pipeline: canary, parameters: {word: '${matrix.m}'}}}]\n",
    );
    for (n, name) in ["umbrella", "alone", "both"].into_iter().enumerate() {
        home.qd(["run", name, "--wait"]).expect(1);
        assert!(!run_of(&home, &format!("canary#{}", n + 1)).is_null());
    }
    // Mended alone; who looks at the run above is told of it.
    std::fs::write(&file, "").unwrap();
    let hold = home.root().join("mended.hold");
    std::fs::write(&hold, "").unwrap();
    let start = events(&home.socket(), None, |e| !e.is_empty())[0].1.clone();
    for n in 1..=3 {
        home.qd(["resume", &format!("canary#{n}")]).expect(0);
    }
    let early = home.qd(["resume", "umbrella#1"]).expect(4);
    assert!(early.stderr.contains("waited for canary#1, which is at work again"), "{early:?}");
    std::fs::remove_file(&hold).unwrap();
    for n in 1..=3 {
        assert_eq!(ended(&home, &format!("canary#{n}"))["verdict"], "success");
    }
    events(&home.socket(), Some(&start), |e| e.iter().any(|(_, _, d)| !d["upserts"]["runs"]["umbrella#1"].is_null()));
    let good = home.qd(["--json", "resume", "umbrella#1", "--wait"]).expect(0).json();
    assert_eq!((&good["stages"][0]["verdict"], &good["stages"][0]["detail"]), (&json!("success"), &json!("canary#1")), "{good}");
    assert_eq!(run_of(&home, "umbrella#1")["children"], "canary#1", "it is not done twice");
    assert!(home.qd(["log", "umbrella#1"]).expect(0).stdout.contains("after canary#1"));
    // Nothing is left to do but its post section.
    home.qd(["resume", "alone#1", "--wait"]).expect(0);
    assert_eq!(run_of(&home, "alone#1")["children"], "canary#2");
    assert!(home.qd(["log", "alone#1"]).expect(0).stdout.contains("it is success"));
    // Of two cells that failed, the one that is good by now is kept.
    home.qd(["retry", "both#1", "--wait"]).expect(0);
    // Which of its cells came first is nobody's word.
    let children = run_of(&home, "both#1")["children"].as_str().unwrap().to_owned();
    let sorted: std::collections::BTreeSet<&str> = children.split(' ').collect();
    assert_eq!(sorted.into_iter().collect::<Vec<_>>(), ["canary#3", "canary#4", "canary#5"]);
    home.qd(["get", "audit"]).expect(0);
}

#[test]
fn a_cancel_of_the_one_is_a_cancel_of_the_other_but_not_where_nobody_waits() {
    let home = Home::new();
    home.site("time_zone = \"Europe/Berlin\"\n");
    let go = home.root().join("go");
    let slow = format!("format: 1\nname: slow\nstages: [{{name: s, run: \"while ! test -e {}; do sleep 0.05; done\"}}]\n", go.display());
    home.pipeline("slow", &slow);
    home.pipeline("waits", "format: 1\nname: waits\nstages: [{name: b, build: slow}]\n");
    home.pipeline("loose", "format: 1\nname: loose\nstages: [{name: b, build: {pipeline: slow, wait: false}}]\n");
    home.qd(["run", "waits"]).expect(0);
    until("the child to run", || run_of(&home, "slow#1")["state"] == "running");
    let why = home.qd(["why", "waits#1"]).expect(0);
    let asked = |zone: &str| why.stdout.contains(&format!(" {zone}: {}", home.named("why 'slow#1'")));
    assert!(asked("CET") || asked("CEST"), "in the site's zone, and the command whole: {why:?}");
    assert!(rows(&home, "queue", "run=waits#1")[0]["blocked"].as_str().unwrap().contains("waits for slow#1 since"), "{why:?}");
    assert!(why.stdout.contains("stage `b` waits for slow#1"), "{why:?}");
    // An engine that is drained goes on with what has begun, and this has.
    home.qd(["cancel", "waits#1", "--reason", "enough"]).expect(0);
    assert_eq!(ended(&home, "slow#1")["verdict"], "cancelled");
    let row = ended(&home, "waits#1");
    assert_eq!((&row["verdict"], row["detail"].as_str().unwrap().contains("enough")), (&json!("cancelled"), true), "{row}");
    assert!(rows(&home, "audit", "action=cancel subject=slow#1")[0]["reason"].as_str().unwrap().contains("waits#1, which waits for it"));
    let done = home.qd(["--json", "run", "loose", "--wait"]).expect(0).json();
    assert_eq!(done["stages"][0]["detail"], "slow#2, not waited for", "{done}");
    std::fs::write(&go, "").unwrap();
    assert_eq!(ended(&home, "slow#2")["verdict"], "success");
    // One that somebody cancels takes its stage along.
    std::fs::remove_file(&go).unwrap();
    home.qd(["run", "waits"]).expect(0);
    until("the next child to run", || run_of(&home, "slow#3")["state"] == "running");
    home.qd(["cancel", "slow#3"]).expect(0);
    let row = ended(&home, "waits#2");
    assert_eq!((&row["verdict"], &row["failed_stage"]), (&json!("cancelled"), &json!("b")), "{row}");
}

#[test]
fn lint_and_start_know_what_the_pipelines_below_may_do() {
    let home = Home::new();
    home.site("time_zone = \"Europe/Berlin\"\n");
    home.pipeline("umbrella", "format: 1\nname: umbrella\nstages: [{name: c, build: child}]\n");
    let child = |more: &str| format!("format: 1\nname: child\n{more}\nstages: [{{name: s, locks: [mirror], run: echo}}]\n");
    home.pipeline("child", &child("danger: L2"));
    let refused = home.qd(["run", "umbrella"]).expect(4);
    assert!(refused.stderr.contains("is L2"), "{refused:?}");
    home.qd(["run", "umbrella", "--reason", "r", "--confirm", "umbrella", "--wait"]).expect(0);
    // Two that build each other, and one that holds what the other needs.
    home.pipeline("child", "format: 1\nname: child\nstages: [{name: s, build: umbrella}]\n");
    let lint = home.qd(["--json", "pipeline", "lint", "umbrella"]).expect(1).json();
    assert_eq!(lint["diagnostics"][0]["code"], "build.circle", "{lint}");
    assert!(home.qd(["run", "umbrella"]).expect(2).stderr.contains("never end"));
    home.pipeline("child", &child("danger: L1"));
    home.pipeline("umbrella", "format: 1\nname: umbrella\nstages: [{name: c, locks: [mirror], build: child}]\n");
    let lint = home.qd(["--json", "pipeline", "lint", "umbrella"]).expect(1).json();
    assert_eq!(lint["diagnostics"][0]["code"], "build.deadlock", "{lint}");
}

#[test]
fn what_became_dangerous_or_needs_the_lock_above_it_since_is_not_started() {
    let home = Home::new();
    let go = home.root().join("go");
    let first = format!("{{name: first, run: \"while ! test -e {}; do sleep 0.05; done\"}}", go.display());
    home.pipeline(
        "umbrella",
        &format!("format: 1\nname: umbrella\nstages:\n  - {first}\n  - {{name: c, locks: [mirror], build: child}}\n"),
    );
    let child = |more: &str| format!("format: 1\nname: child\nstages: [{{name: s, {more}run: echo}}]\n");
    for (more, said) in [("danger: L2, ", "nobody has agreed"), ("locks: [mirror], ", "needs lock `mirror`")] {
        home.pipeline("child", &child(""));
        let run = home.json(&["run", "umbrella"])["run"].as_str().unwrap().to_owned();
        until("the first stage to run", || run_of(&home, &run)["state"] == "running");
        home.pipeline("child", &child(more));
        std::fs::write(&go, "").unwrap();
        let row = ended(&home, &run);
        assert!(row["verdict"] == "failure" && row["detail"].as_str().unwrap().contains(said), "{row}");
        std::fs::remove_file(&go).unwrap();
    }
    assert_eq!(rows(&home, "runs", "pipeline=child"), Vec::<Value>::new());
}

/// The engine dies at each moment of such a run; the next one goes on. The child appends a line to a file each time it begins.
#[test]
fn an_engine_that_is_killed_around_the_run_of_a_stage_starts_it_once_and_hears_of_its_end() {
    for point in ["runner.child-wanted", "runner.submitted", "runner.child-started", "runner.child-ended"] {
        let home = Home::new();
        let (trace, go) = (home.root().join("trace"), home.root().join("go"));
        home.pipeline("umbrella", "format: 1\nname: umbrella\nstages: [{name: c, locks: [l], build: child}]\n");
        let script = format!("echo began >> {}; while ! test -e {}; do sleep 0.05; done", trace.display(), go.display());
        home.pipeline("child", &format!("format: 1\nname: child\nstages: [{{name: s, run: \"{script}\"}}]\n"));
        if point == "runner.child-ended" {
            std::fs::write(&go, "").unwrap();
        }
        let mut armed = home.command(["engine", "run"]);
        // The parent's own submission comes by first.
        armed.env("QD_CRASH_AT", if point == "runner.submitted" { "runner.submitted:2" } else { point });
        let mut engine = Foreground::start(armed);
        until("the engine to answer", || home.qd(["engine", "status"]).code == 0);
        // The client may lose its engine, and starts another.
        home.qd(["run", "umbrella"]).expect(0);
        engine.wait();
        std::fs::write(&go, "").unwrap();
        let row = ended(&home, "umbrella#1");
        assert_eq!(row["verdict"], "success", "{point}: {row}");
        assert_eq!(row["children"], "child#1", "{point}: {row}");
        assert_eq!(rows(&home, "runs", "pipeline=child").len(), 1, "{point}");
        assert_eq!(std::fs::read_to_string(&trace).unwrap(), "began\n", "{point}");
        assert!(rows(&home, "locks", "lock=l").is_empty(), "{point}");
        home.qd(["get", "audit"]).expect(0);
    }
}

#[test]
fn a_pipeline_keeps_a_run_and_the_mark_outlives_the_pin() {
    let home = Home::new();
    let keep = "options: {keep: {runs: 1, pin: [promoted]}}";
    home.pipeline("made", &format!("format: 1\nname: made\n{keep}\nstages: [{{name: a, run: echo}}]\n"));
    let promote = "format: 1
name: promote
parameters: {candidate: {type: run, of: made, result: success, default: latest}}
stages: [{name: a, run: \"echo $candidate\"}]
post: {success: [{pin: \"${params.candidate}\"}]}
";
    home.pipeline("promote", promote);
    for _ in 0..3 {
        home.qd(["run", "made", "--wait"]).expect(0);
    }
    let done = home.qd(["--json", "run", "promote", "-p", "candidate=made#1", "--wait"]).expect(0).json();
    let post = done["stages"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&post["verdict"], &post["steps"][0]["detail"]), (&json!("success"), &json!("made#1 is kept")), "{done}");
    assert_eq!(run_of(&home, "made#1")["pinned"], true);
    let entry = rows(&home, "audit", "action=pin").remove(0);
    assert_eq!((&entry["subject"], &entry["reason"]), (&json!("made#1"), &json!("`pin:` of promote#1")), "{entry}");
    assert_eq!(rows(&home, "decisions", "kind=pin subject=made#1").len(), 1);
    // Twice is as once; one that is not there fails the step, and so the run.
    home.qd(["run", "promote", "-p", "candidate=made#1", "--wait"]).expect(0);
    assert_eq!(rows(&home, "audit", "action=pin").len(), 1);
    home.qd(["do", "unpin", "made#1"]).expect(0);
    home.qd(["engine", "stop"]).expect(0);
    // The next engine sweeps as it starts: the newest is kept by count, the first by its mark.
    until("retention", || rows(&home, "runs", "pipeline=made").len() == 2);
    let left: Vec<Value> = rows(&home, "runs", "pipeline=made").iter().map(|r| r["run"].clone()).collect();
    assert_eq!(left, [json!("made#3"), json!("made#1")]);
    home.pipeline("wrong", "format: 1\nname: wrong\nstages: [{name: a, run: echo}]\npost: {success: [{pin: \"made#99\"}]}\n");
    let done = home.qd(["--json", "run", "wrong", "--wait"]).expect(1).json();
    assert!(done["detail"].as_str().unwrap().contains("nothing is kept"), "{done}");
}
