//! The contract of the command line as outside scripts read it: exact keys of the JSON, exit codes, and what is said to a person.

use serde_json::{Value, json};

use crate::support::{Home, until_some};

/// The keys of an object, sorted.
fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().into_iter().flatten().map(|(k, _)| k.as_str()).collect();
    keys.sort_unstable();
    keys
}

fn has(value: &Value, wanted: &[&str]) {
    let there = keys(value);
    let absent: Vec<_> = wanted.iter().filter(|k| !there.contains(k)).collect();
    assert!(absent.is_empty(), "{absent:?} are not in {value}");
}

const RUN: &[&str] = &["run", "verdict", "detail", "started", "ended", "stages"];
const ROW: &[&str] = &[
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
    "fp_after",
];
const RED: &str = "format: 1\nname: red\nstages:\n  - name: one ok\n    run: echo fine\n  - name: Two, bad\n    steps:\n      - {name: first, run: echo a}\n      - {name: break it, run: exit 37}\n      - {name: never, run: echo b}\n  - name: three\n    needs: [Two, bad]\n    run: echo c\n";

/// `needs` takes names with a comma only in quotes.
fn red() -> String {
    RED.replace("[Two, bad]", "[\"Two, bad\"]")
}

#[test]
fn a_red_run_names_the_step_and_its_exit_code_everywhere() {
    let home = Home::new();
    home.pipeline("red", &red());
    let doc = home.qd(["--json", "run", "red", "--wait"]).expect(1).json();
    has(&doc, RUN);
    assert_eq!((&doc["run"], &doc["verdict"]), (&json!("red#1"), &json!("failure")));
    let stage = &doc["stages"][1];
    has(stage, &["name", "verdict", "duration_ms", "steps"]);
    let steps: Vec<_> =
        stage["steps"].as_array().unwrap().iter().map(|s| (s["name"].clone(), s["verdict"].clone(), s["exit_code"].clone())).collect();
    let expected = [("first", "success", json!(0)), ("break it", "failure", json!(37)), ("never", "skipped", Value::Null)];
    assert_eq!(steps, expected.map(|(n, v, c)| (json!(n), json!(v), c)));
    assert_eq!((&doc["stages"][2]["verdict"], &doc["stages"][2]["duration_ms"]), (&json!("skipped"), &Value::Null));

    let rows = home.json(&["get", "runs"]);
    has(&rows, &["what", "revision", "age_ms", "rows"]);
    let row = &rows["rows"][0];
    has(row, ROW);
    assert_eq!((&row["exit_code"], &row["failed_stage"], &row["failed_step"]), (&json!(37), &json!("Two, bad"), &json!("break it")));
    for (time, other) in [("started", &doc["started"]), ("ended", &doc["ended"])] {
        let text = row[time].as_str().unwrap();
        assert!(text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok(), "{text}");
        assert_eq!(&row[time], other);
    }
}

#[test]
fn the_failed_cell_of_a_matrix_is_named_as_the_run_names_it() {
    let home = Home::new();
    home.pipeline(
        "cells",
        "format: 1\nname: cells\nstages:\n  - name: build\n    matrix: {arch: [x86_64, aarch64]}\n    run: '[ \"$matrix_arch\" = x86_64 ]'\n",
    );
    let doc = home.qd(["--json", "run", "cells", "--wait"]).expect(1).json();
    let failed = doc["stages"][0]["steps"].as_array().unwrap().iter().find(|s| s["verdict"] == "failure").unwrap()["name"].clone();
    assert_eq!(failed, "build (arch=aarch64)");
    assert_eq!(home.json(&["get", "runs"])["rows"][0]["failed_step"], failed);
    // And so does the way to its log.
    let why = home.qd(["why", "cells#1"]).expect(0).stdout;
    assert!(why.contains("'cells#1/build/build (arch=aarch64)'"), "{why}");
    home.qd(["log", "cells#1/build/build (arch=aarch64)"]).expect(0);
}

#[test]
fn why_says_of_an_ended_run_how_where_to_look_and_what_to_do() {
    let home = Home::new();
    home.pipeline("red", &red()).pipeline("hello", crate::api::HELLO);
    home.qd(["run", "red", "--wait"]).expect(1);
    let why = home.qd(["why", "red#1"]).expect(0).stdout;
    assert!(why.contains("it has ended: failure: stage `Two, bad`"), "{why}");
    assert!(why.contains(&home.named("log 'red#1/Two, bad/break it'")) && why.contains(&home.named("resume 'red#1'")), "{why}");
    // What it says can be typed.
    assert!(home.qd(["log", "red#1/Two, bad/first"]).expect(0).stdout.contains("\na\n"));
    home.qd(["run", "hello", "--wait"]).expect(0);
    let why = home.json(&["why", "hello#1"]);
    assert_eq!((&why["state"], &why["reasons"]), (&json!("done"), &json!(["it has ended: success"])));
}

#[test]
fn a_run_without_a_terminal_tells_every_stage_also_the_last() {
    let home = Home::new();
    home.pipeline("red", &red());
    let out = home.qd(["run", "red", "--wait"]).expect(1).stdout;
    for line in ["success one ok (", "failure Two, bad (", "skipped three\n"] {
        assert!(out.contains(&format!("\n{line}")), "{line}: {out}");
    }
    // A stage that is its own only step is named once in its row.
    home.pipeline("one", "format: 1\nname: one\nstages:\n  - name: only\n    run: exit 3\n");
    let out = home.qd(["run", "one", "--wait"]).expect(1).stdout;
    assert!(out.contains("exit code 3") && !out.contains("only: exit code"), "{out}");
}

#[test]
fn a_lost_run_exits_with_6_and_goes_on_by_resume() {
    let home = Home::new();
    let go = home.root().join("go");
    let text =
        format!("format: 1\nname: long\nstages:\n  - name: wait\n    run: 'while [ ! -e \"{}\" ]; do sleep 0.05; done'\n", go.display());
    home.pipeline("long", &text);
    let waiting = std::thread::scope(|scope| {
        let wait = scope.spawn(|| home.qd(["--json", "run", "long", "--wait"]));
        let started = until_some("the attempt has started", || {
            let dir = std::fs::read_dir(home.state().join("runs/long/1/attempts")).ok()?.next()?.ok()?.path();
            serde_json::from_slice::<Value>(&std::fs::read(dir.join("started.json")).ok()?).ok()
        });
        for who in ["shim", "child"] {
            crate::support::kill(i32::try_from(started[who]["pid"].as_i64().unwrap()).unwrap());
        }
        wait.join().unwrap()
    });
    let doc = waiting.expect(6).json();
    has(&doc, RUN);
    assert_eq!((&doc["verdict"], &doc["stages"][0]["steps"][0]["exit_code"]), (&json!("lost"), &Value::Null));
    let why = home.qd(["why", "long#1"]).expect(0).stdout;
    assert!(why.contains("lost") && why.contains(&home.named("resume 'long#1'")), "{why}");
    std::fs::write(&go, "").unwrap();
    let doc = home.qd(["--json", "resume", "long#1", "--wait"]).expect(0).json();
    assert_eq!((&doc["run"], &doc["verdict"]), (&json!("long#1"), &json!("success")));
}

#[test]
fn a_step_whose_directory_is_taken_away_is_lost_and_not_run_again() {
    let home = Home::new();
    let (count, go) = (home.root().join("count"), home.root().join("go"));
    let script = format!("echo x >> {}; while [ ! -e {} ]; do sleep 0.05; done", count.display(), go.display());
    home.pipeline("long", &format!("format: 1\nname: long\nstages:\n  - name: a\n    run: '{script}'\n"));
    home.qd(["run", "long"]).expect(0);
    until_some("the step runs", || std::fs::read_to_string(&count).ok().filter(|t| !t.is_empty()));
    // As a cleaner of temporary directories does it.
    std::fs::remove_dir_all(home.state().join("runs/long/1/attempts")).unwrap();
    std::fs::write(&go, "").unwrap();
    let row = until_some("the run has ended", || Some(home.json(&["get", "runs"])["rows"][0].clone()).filter(|r| r["state"] == "done"));
    assert_eq!((&row["verdict"], std::fs::read_to_string(&count).unwrap().as_str()), (&json!("lost"), "x\n"), "{row}");
    assert!(row["detail"].as_str().unwrap().contains("taken away"), "{row}");
    // Nothing to read is no empty log.
    let gone = home.qd(["log", "long#1"]).expect(1);
    assert!(gone.stderr.contains("its log is gone"), "{gone:?}");
}

#[test]
fn force_ends_as_lost_what_a_cancel_cannot_reach_and_says_before_what_to_do() {
    let home = Home::new();
    let on = home.root().join("on");
    home.pipeline("long", &format!("format: 1\nname: long\nstages:\n  - name: a\n    run: 'touch {}; sleep 1000'\n", on.display()));
    home.qd(["run", "long"]).expect(0);
    until_some("the step runs", || on.exists().then_some(()));
    let force = |more: &[&str]| home.qd([&["do", "force-finish", "long#1"], more].concat());
    let told = force(&["--reason", "x", "--confirm", "long#1"]).expect(4).stderr;
    assert!(told.contains("was not cancelled") && told.contains(" cancel 'long#1' first"), "{told}");
    std::fs::remove_dir_all(home.state().join("runs/long/1/attempts")).unwrap();
    home.qd(["cancel", "long#1"]).expect(0);
    let why = home.qd(["why", "long#1"]).expect(0).stdout;
    assert!(why.contains("its directory was taken away") && why.contains(" do force-finish 'long#1'"), "{why}");
    let told = force(&[]).expect(4).stderr;
    assert!(told.contains("needs a reason and its name") && told.contains("--confirm 'long#1'"), "{told}");
    let told = force(&["--reason", "the disk is gone", "--confirm", "long#1"]).expect(0).stdout;
    assert!(told.contains("is being ended as lost"), "{told}");
    let row = until_some("the run has ended", || Some(home.json(&["get", "runs"])["rows"][0].clone()).filter(|r| r["state"] == "done"));
    assert_eq!(row["verdict"], "lost", "{row}");
    let detail = row["detail"].as_str().unwrap();
    assert!(detail.contains("force-finished by ") && detail.contains(": the disk is gone; lost: "), "{detail}");
    let audit = home.json(&["get", "audit", "--filter", "action=force-finish"]);
    let results: Vec<&str> = audit["rows"].as_array().unwrap().iter().map(|r| r["result"].as_str().unwrap()).collect();
    assert!(results.iter().filter(|r| r.starts_with("refused")).count() == 2 && results.contains(&"done"), "{audit}");
    let told = force(&["--reason", "x", "--confirm", "long#1"]).expect(4).stderr;
    assert!(told.contains("has ended already: lost"), "{told}");
}

#[test]
fn no_rows_asked_for_are_none_and_nothing_is_claimed() {
    let home = Home::new();
    home.pipeline("hello", crate::api::HELLO);
    home.qd(["run", "hello", "--wait"]).expect(0);
    assert_eq!(home.json(&["get", "runs", "--limit", "0"])["rows"], json!([]));
    let out = home.qd(["get", "runs", "--limit", "0"]).expect(0).stdout;
    assert!(!out.contains("no runs yet"), "{out}");
}

#[test]
fn the_cause_of_a_broken_site_is_not_buried_under_what_follows_from_it() {
    let home = Home::new();
    home.qd(["site", "init"]).expect(0);
    home.site("time_zone = \"Mars/Olympus\"\n");
    let out = home.qd(["site", "check"]).expect(1);
    assert!(out.stdout.contains("no time zone `Mars/Olympus`") && out.stdout.contains("1 error\n"), "{out:?}");
    assert!(!out.stdout.contains("el9-latest") && out.stderr.contains("pipelines are not checked"), "{out:?}");
    let found = home.qd(["--json", "site", "check"]).expect(1).json();
    assert_eq!(found["diagnostics"].as_array().map(Vec::len), Some(1), "{found}");
}

#[test]
fn what_the_site_file_names_and_is_not_there_is_told_at_its_place() {
    let home = Home::new();
    let site = "[repos.a]\nkeys = [\"/nowhere/key.asc\"]\n[content.c]\nrepos = [\"a\"]\n[promotion.el9]\nset = \"c\"\nroot = \"/srv/x\"\n";
    home.site(&format!("{site}calendar = \"quater\"\n"));
    let dir = home.config().join("calendars");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(
        dir.join("quarter.toml"),
        "zone = \"UTC\"\nowner = \"o\"\nreason = \"r\"\n[[window]]\ndays = [\"mon-fri\"]\nfrom = \"09:00\"\nto = \"17:00\"\n",
    )
    .unwrap();
    let out = home.qd(["site", "check"]).expect(1).stdout;
    assert!(
        out.contains("there is no calendar `quater`") && out.contains("did you mean `quarter`?") && out.contains("site.toml:8:12"),
        "{out}"
    );
    assert!(out.contains("warning: the key /nowhere/key.asc is not on this machine") && out.contains("site.toml:2:9"), "{out}");
    home.site(&format!("{site}calendar = \"quarter\"\n"));
    let found = home.qd(["--json", "site", "check"]).expect(0).json();
    let found: Vec<_> =
        found["diagnostics"].as_array().unwrap().iter().map(|d| (&d["severity"], &d["line"], &d["column"], &d["code"])).collect();
    assert_eq!(found, [(&json!("warning"), &json!(2), &json!(9), &json!("site.file"))]);
}

#[test]
fn a_theme_that_the_site_file_names_is_looked_for_and_what_is_wrong_with_it_told() {
    let home = Home::new();
    let dir = home.config().join("themes");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("mine.toml"), "inherits = \"dark\"\n").unwrap();
    std::fs::write(dir.join("bad.toml"), "inherits = \"dark\"\n[roles]\n\"state.god\" = {}\n").unwrap();
    let check = |name: &str| {
        home.site(&format!("[console]\ntheme = \"{name}\"\n"));
        home.qd(["site", "check"]).expect(0).stdout
    };
    let out = check("mien");
    assert!(out.contains("warning: there is no theme `mien`") && out.contains("site.toml:2:9"), "{out}");
    assert!(out.contains("did you mean `mine`?") && out.contains("There are:") && out.contains("themes/NAME.toml"), "{out}");
    let out = check("bad");
    assert!(out.contains("`bad` cannot be used") && out.contains("bad.toml:3:1"), "{out}");
    for good in ["mine", "dark"] {
        assert!(!check(good).contains("warning"));
    }
    home.site("[console]\ntheme = \"nosuch\"\n");
    let found = home.qd(["--json", "site", "check"]).expect(0).json();
    assert_eq!(found["diagnostics"][0]["code"], "site.theme", "{found}");
}

#[test]
fn a_file_that_looks_like_a_pipeline_and_never_runs_is_told() {
    let home = Home::new();
    home.site("").pipeline("hello", crate::api::HELLO);
    let dir = home.config().join("pipelines");
    for name in ["Nightly.yml", "weekly.yaml", "a b.yml", ".hidden.yml", "notes.txt"] {
        std::fs::write(dir.join(name), "x").unwrap();
    }
    std::os::unix::fs::symlink("/nonexistent/x", dir.join("gone.yml")).unwrap();
    let out = home.qd(["site", "check"]).expect(1).stdout;
    for name in ["Nightly.yml", "weekly.yaml", "a b.yml"] {
        assert!(out.contains(&format!("{name}: this file never runs")), "{name}: {out}");
    }
    assert!(!out.contains("hidden") && !out.contains("notes"), "{out}");
    assert!(out.contains("this link leads nowhere") && !out.contains("did you mean `gone`"), "{out}");
    std::fs::remove_file(dir.join("gone.yml")).unwrap();
    let found = home.qd(["--json", "site", "check"]).expect(0).json();
    let severities: Vec<_> = found["diagnostics"].as_array().unwrap().iter().map(|d| d["severity"].clone()).collect();
    assert_eq!(severities, ["warning", "warning", "warning"]);
    assert!(home.qd(["pipeline", "list"]).expect(0).stderr.contains("Nightly.yml never runs"));
    for name in ["Nightly", "weekly", "weekly.yaml"] {
        let no = home.qd(["run", name]).expect(2);
        assert!(no.stderr.contains("is there, but") && no.stderr.contains("rename it"), "{name} {no:?}");
    }
}

#[test]
fn a_secret_that_was_written_into_the_site_file_is_not_shown_again() {
    let home = Home::new();
    home.pipeline("hello", crate::api::HELLO);
    home.qd(["engine", "start"]).expect(0);
    home.site("[secrets]\ntoken = \"hunter2hunter2\"\n[repos.a]\nupstream = [\"http://u:s3cretword@h/\"]\ntree = \"/srv/a\"\n");
    for args in [&["site", "check"][..], &["run", "hello"], &["get", "runs"], &["doctor"], &["pipeline", "lint"], &["engine", "status"]] {
        for json in [&[][..], &["--json"]] {
            let out = home.qd([json, args].concat());
            assert!(!format!("{out:?}").contains("hunter2") && !format!("{out:?}").contains("s3cretword"), "{args:?} {out:?}");
        }
    }
    for entry in std::fs::read_dir(home.state().join("logs")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains("hunter2") && !text.contains("s3cretword"), "{text}");
    }
}

#[test]
fn what_a_dangerous_run_needs_is_said_in_one_go_and_a_timeout_is_named() {
    let home = Home::new();
    home.pipeline("risky", "format: 1\nname: risky\ndanger: L2\nstages:\n  - name: a\n    timeout: 1s\n    run: sleep 60\n");
    let no = home.qd(["run", "risky"]).expect(4);
    assert!(no.stderr.contains("--reason TEXT --confirm 'risky'"), "{no:?}");
    let doc = home.qd(["--json", "run", "risky", "--reason", "r", "--confirm", "risky", "--wait"]).expect(1).json();
    assert!(doc["stages"][0]["detail"].as_str().unwrap().contains("timeout 1s"), "{doc}");
}

#[test]
fn the_list_of_pipelines_keeps_its_columns() {
    let home = Home::new();
    let file =
        |name: &str, after: &str| format!("format: 1\nname: {name}\ndescription: Does it\n{after}stages:\n  - name: x\n    run: echo\n");
    let long = "a-pipeline-with-quite-a-long-name";
    home.pipeline("a", &file("a", "")).pipeline(long, &file(long, ""));
    home.pipeline("b", &file("b", &format!("triggers:\n  - upstream: {long}\n    on: success\n")));
    home.pipeline("none", "format: 1\nname: none\nstages:\n  - name: x\n    run: echo\n");
    let out = home.qd(["pipeline", "list"]).expect(0).stdout;
    let columns: Vec<_> = out.lines().filter_map(|l| l.find("Does it").or_else(|| l.find("WHAT"))).collect();
    assert!(columns.len() == 4 && columns.windows(2).all(|w| w[0] == w[1]), "{out}");
    assert!(out.lines().all(|l| l == l.trim_end()), "{out:?}");
}

#[test]
fn a_step_by_hand_answers_in_json_too() {
    let home = Home::new();
    let error = |args: &[&str], code| home.qd([&["--json", "step"], args].concat()).expect(code).json()["error"].clone();
    let bad = error(&["mirror/snyc"], 2);
    assert_eq!((&bad["code"], &bad["help"]), (&json!("bad-input"), &json!("did you mean `mirror/sync`?")));
    let url = format!("--with=url=http://127.0.0.1:{}/", crate::support::free_port());
    let file = home.root().join("a-file");
    std::fs::write(&file, "mine").unwrap();
    let dest = |p: &std::path::Path| format!("--with=dest={}", p.display());
    let far = error(&["mirror/sync", &url, "--with=attempts=1", &dest(&home.root().join("m"))], 3);
    assert_eq!(far["code"], "no-engine");
    // A path that can be no tree is the caller's mistake, and no reason to look at the disk.
    for at in [file.clone(), file.join("below")] {
        let out = home.qd(["step", "mirror/sync", &url, &dest(&at)]).expect(2);
        assert!(out.stderr.contains("give the path of a directory") && !out.stderr.contains("dmesg"), "{out:?}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn a_missing_secret_is_told_once_and_a_path_encoded_one_is_hidden() {
    let home = Home::new();
    let file = home.root().join("token");
    home.site(&format!("[secrets]\nkey = \"file:{}\"\n", file.display()));
    home.pipeline(
        "leak",
        "format: 1\nname: leak\nstages:\n  - name: tell\n    secrets: [key]\n    run: |\n      echo 'as a path: tok/en%20w%C3%A4y'\n      cat \"$QD_SECRETS_DIR/key\" > seen; echo done\n",
    );
    home.qd(["run", "leak"]).expect(0);
    let why = until_some("the secret is asked for", || {
        let why = home.qd(["why", "leak#1"]).expect(0).stdout;
        why.contains("secret `key`").then_some(why)
    });
    assert!(why.contains("does not exist") && why.matches("secret `key`").count() == 1, "{why}");
    let tested = home.qd(["secret", "test"]).expect(1).stdout;
    assert!(tested.contains("not ok") && tested.contains("does not exist"), "{tested}");
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    std::io::Write::write_all(&mut options.write(true).create_new(true).open(&file).unwrap(), "tok/en wäy".as_bytes()).unwrap();
    // A test that goes well says that it is there; else it is looked for in fifteen seconds.
    home.qd(["secret", "test"]).expect(0);
    until_some("the run has ended", || home.json(&["get", "runs"])["rows"][0]["verdict"].as_str().map(str::to_owned));
    let log = home.qd(["log", "leak#1"]).expect(0).stdout;
    assert!(log.contains("as a path: ***") && log.contains("done") && !log.contains("tok/en"), "{log}");
}

#[test]
fn an_engine_that_dies_under_a_question_is_no_error() {
    let home = Home::new();
    for _ in 0..15 {
        let status = home.qd(["--json", "engine", "start"]).expect(0).json();
        let pid = i32::try_from(status["pid"].as_i64().unwrap()).unwrap();
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| home.qd(["--json", "get", "runs"]));
            let drawn = scope.spawn(|| home.qd(["screen", "home"]));
            crate::support::kill(pid);
            assert_eq!(asked.join().unwrap().expect(0).json()["what"], "runs");
            assert!(drawn.join().unwrap().expect(0).stdout.contains("NEEDS YOU"));
        });
    }
}

#[test]
fn a_pipeline_file_that_is_no_text_is_unreadable_at_its_place() {
    let home = Home::new();
    let path = home.config().join("pipelines/odd.yml");
    home.pipeline("odd", "");
    std::fs::write(&path, b"format: 1\nname: odd\n# caf\xe9\n").unwrap();
    for args in [&["--json", "pipeline", "lint"][..], &["--json", "pipeline", "lint", "odd"]] {
        let found = home.qd(args).expect(2).json();
        let at = &found["diagnostics"][0];
        assert_eq!((&at["line"], &at["column"], &at["code"]), (&json!(3), &json!(6), &json!("yaml.encoding")), "{found}");
    }
    let out = home.qd(["pipeline", "lint", "odd"]).expect(2);
    assert!(out.stdout.contains("odd.yml:3:6"), "{out:?}");
    let out = home.qd(["run", "odd"]).expect(2);
    assert!(out.stderr.contains("odd.yml: line 3 is not UTF-8"), "{out:?}");
    // Nor is one with a NUL.
    std::fs::write(&path, b"format: 1\nname: odd\nstages: [{name: a, run: 'a\0b'}]\n").unwrap();
    let found = home.qd(["--json", "pipeline", "lint", "odd"]).expect(2).json();
    let at = &found["diagnostics"][0];
    assert_eq!((&at["line"], &at["column"], &at["code"]), (&json!(3), &json!(27), &json!("yaml.encoding")), "{found}");
}

#[test]
fn what_was_typed_never_draws_on_the_terminal() {
    let home = Home::new();
    for args in [&["pipeline", "lint", "\u{1b}[31m.yml"][..], &["step", "\u{1b}[31m"], &["why", "\u{1b}[31m"], &["get", "\u{1b}[31m"]] {
        let out = home.qd(args).expect(2);
        assert!(!out.stdout.contains('\u{1b}') && !out.stderr.contains('\u{1b}'), "{out:?}");
    }
    let out = home.qd(["step", &"x".repeat(50_000)]).expect(2);
    assert!(out.stderr.len() < 2_000, "{}", out.stderr.len());
}

#[test]
fn every_command_answers_with_one_value_where_json_is_asked_for() {
    let home = Home::new();
    home.pipeline("hello", crate::api::HELLO);
    for args in [&["actions"][..], &["man"], &["completions", "bash"], &["pipeline", "list"], &["screen", "runs"], &["engine", "stop"]] {
        let value = home.json(args);
        assert!(value.is_object(), "{args:?}: {value}");
    }
    let frame = home.json(&["screen", "runs", "--size", "90x20"]);
    assert_eq!((&frame["screen"], &frame["columns"], &frame["rows"]), (&json!("runs"), &json!(90), &json!(20)));
    assert_eq!(frame["text"].as_str().map(|t| t.lines().count()), Some(20));
    for (args, says) in [(&["engine"][..], "`quarterdeck engine` needs a command"), (&["engine", "strat"], "unrecognized subcommand")] {
        let mut all = vec!["--json"];
        all.extend(args);
        let error = home.qd(all).expect(2).json();
        assert!(error["error"]["message"].as_str().is_some_and(|m| m.starts_with(says)), "{error}");
        assert_eq!(error["error"]["help"], "commands: run start status stop drain");
    }
    home.qd(["screen", "runs", "hello#1"]).expect(2);
}

#[test]
fn rows_are_left_out_at_the_beginning_as_many_as_were_said() {
    let home = Home::new();
    home.pipeline("hello", crate::api::HELLO);
    for _ in 0..3 {
        home.qd(["run", "hello", "--wait"]).expect(0);
    }
    for what in [&["get", "runs"][..], &["get", "runs", "--sort", "number"], &["get", "runs", "--filter", "hello"], &["get", "audit"]] {
        for (offset, rows) in [("0", 2), ("2", 1), ("3", 0), ("100", 0)] {
            let all = [what, &["--limit", "2", "--offset", offset]].concat();
            let answer = home.json(&all);
            assert_eq!((answer["rows"].as_array().map(Vec::len), &answer["page"]["total"]), (Some(rows), &json!(3)), "{all:?}: {answer}");
        }
    }
    assert!(home.qd(["get", "runs", "--offset", "3"]).expect(0).stdout.contains("there are 3 rows, and --offset leaves all out"));
}
