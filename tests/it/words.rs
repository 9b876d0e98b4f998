//! What a message tells a person to do next: it names no word of the inside, and what it says to type works as it stands.

use serde_json::Value;

use crate::api::HELLO;
use crate::support::{Home, until_some};

#[test]
fn commands_in_json_can_be_typed_as_they_stand_too() {
    let home = Home::new();
    let told = home.qd(["--json", "engine", "status"]).expect(3).json();
    assert_eq!(told["error"]["help"], format!("start it: {}", home.named("engine start")));
    let rows = home.qd(["--json", "doctor"]).json();
    let help: Vec<&str> = rows["rows"].as_array().unwrap().iter().filter_map(|r| r["help"].as_str()).collect();
    assert!(help.iter().any(|h| h.contains(&home.named("doctor"))), "{help:?}");
}

#[test]
fn the_code_of_an_error_is_that_of_its_exit() {
    let home = Home::new();
    home.qd(["engine", "start"]).expect(0);
    home.qd(["engine", "stop"]).expect(0);
    std::fs::set_permissions(home.state(), std::os::unix::fs::PermissionsExt::from_mode(0o770)).unwrap();
    let told = home.qd(["--json", "get", "runs"]).expect(4).json();
    assert_eq!(told["error"]["code"], "refused", "{told}");
}

#[test]
fn a_site_that_is_named_is_not_passed_over_for_a_directory() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    let told = home.qd(["--site", "nosuch", "run", "hello"]).expect(2).stderr;
    assert!(told.contains("config/sites/nosuch"), "{told}");
    let there = home.config().join("sites/dc2");
    std::fs::create_dir_all(there.join("pipelines")).unwrap();
    std::fs::write(there.join("pipelines/other.yml"), HELLO.replace("name: hello", "name: other")).unwrap();
    let listed = home.qd(["--site", "dc2", "pipeline", "list"]).expect(0).stdout;
    assert!(listed.contains("other") && !listed.contains("hello"), "{listed}");
}

#[test]
fn what_is_not_there_is_told_by_its_name() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    home.qd(["run", "hello", "--wait"]).expect(0);
    let told = home.qd(["screen", "log", "hello#1/nosuch"]).expect(2).stderr;
    assert!(told.contains("hello#1 has run no `nosuch`; it ran: "), "{told}");
    assert!(home.qd(["get", ""]).expect(2).stderr.contains("there are: artifacts audit"));
    let told = home.qd(["get", "pipelines", "--view", "nosuch"]).expect(0).stdout;
    assert!(told.contains("no pipeline of the view `nosuch`") && !told.contains("(^|"), "{told}");
    let told = home.qd(["where-used", &"0".repeat(64)]).expect(0).stdout;
    assert!(told.starts_with("no run that is kept made, used, read or left 000"), "{told}");
    let told = home.qd(["cancel", "hello"]).expect(2).stderr;
    assert!(told.contains(&home.named("get runs --filter pipeline=hello lists its runs")), "{told}");
    let told = home.qd(["pipeline", "lint", "helo"]).expect(2).stdout;
    assert!(told.contains("no pipeline `helo`") && told.contains("did you mean `hello`?"), "{told}");
    let told = home.qd(["screen", "home", "--now", "9999-12-31T23:59:59Z"]).expect(2).stderr;
    assert!(told.contains("is no time in RFC 3339") && !told.contains("civil"), "{told}");
    home.qd(["engine", "drain"]).expect(0);
    let told = home.qd(["engine", "status"]).expect(0).stdout;
    assert!(told.lines().any(|l| l.starts_with("drained by ") && !l.ends_with([':', ' '])), "{told}");
}

#[test]
fn the_approval_that_why_names_has_all_that_is_asked() {
    let home = Home::new();
    let file = "format: 1\nname: ask\nstages:\n  - name: gate\n    approve: {roles: [admin], ask: {ticket: {type: string, pattern: \"^CHG[0-9]+$\"}}}\n  - name: go\n    run: echo \"$approve_ticket\"\n";
    home.pipeline("ask", file);
    home.site("second_person = \"none\"\n");
    home.qd(["run", "ask"]).expect(0);
    let why = until_some("the question", || {
        let why = home.json(&["why", "ask#1"]);
        why["detail"].as_array().is_some_and(|d| d.iter().any(|r| r["type"] == "approval")).then_some(why)
    });
    let asked = why["detail"].as_array().unwrap().iter().find(|r| r["type"] == "approval").unwrap();
    assert!(asked["until"].as_str().is_some_and(|t| t.ends_with('Z')) && asked.get("until_us").is_none(), "{asked}");
    let reasons: Vec<&str> = why["reasons"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let line = reasons.iter().find(|r| r.contains("approve 'ask#1'")).unwrap();
    let command = line.split("; or").next().unwrap().replace("VALUE", "CHG7");
    let typed = format!("exec \"$0\" {}", command.strip_prefix("quarterdeck ").unwrap());
    let mut shell = std::process::Command::new("sh");
    shell.arg("-c").arg(typed).arg(crate::support::home::EXE).current_dir(home.root());
    crate::support::home::run(shell).expect(0);
    let done = until_some("the run to end", || {
        let row = home.json(&["get", "runs"])["rows"][0].clone();
        (row["state"] == "done").then_some(row)
    });
    assert_eq!(done["verdict"], "success", "{done}");
    assert!(home.qd(["log", "ask#1/go"]).expect(0).stdout.contains("CHG7"));
}

#[test]
fn what_never_ran_has_no_log_to_look_at() {
    let home = Home::new();
    home.pipeline(
        "ask",
        "format: 1\nname: ask\nstages:\n  - name: gate\n    approve: {roles: [admin]}\n  - name: go\n    run: echo went\n",
    );
    home.site("second_person = \"none\"\n");
    home.qd(["run", "ask"]).expect(0);
    until_some("the question", || (home.json(&["get", "runs"])["rows"][0]["state"] == "waiting").then_some(()));
    home.qd(["do", "deny", "ask#1", "--reason", "not tonight"]).expect(0);
    let why = until_some("the end", || {
        let why = home.json(&["why", "ask#1"]);
        (why["state"] == "done").then_some(why)
    });
    assert!(why["reasons"][0].as_str().unwrap().contains("denied"), "{why}");
    assert!(!why.to_string().contains("quarterdeck log"), "{why}");
    let told = home.qd(["log", "ask#1"]).expect(0).stderr;
    assert!(told.starts_with("none of its steps has run: "), "{told}");
}

#[test]
fn a_run_that_is_not_there_names_the_newest_of_its_pipeline_or_of_the_nearest() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    home.qd(["run", "hello", "--wait"]).expect(0);
    home.qd(["run", "hello", "--wait"]).expect(0);
    for (asked, command) in [("hello#9", "why"), ("helo#1", "log"), ("hello#7", "cancel"), ("helo#2", "resume")] {
        let told = home.qd([command, asked]).expect(2).stderr;
        assert!(told.contains(&format!("there is no run {asked}")) && told.contains("the newest of `hello` is hello#2; "), "{told}");
    }
    let told = home.qd(["why", "nothing-like-it#1"]).expect(2).stderr;
    assert!(!told.contains("newest") && told.contains(&home.named("get runs")), "{told}");
}

#[test]
fn what_is_so_already_is_done_and_said() {
    let home = Home::new();
    assert!(home.qd(["pipeline", "list"]).expect(0).stdout.contains(&home.named("site init")));
    for command in ["list", "test"] {
        assert!(home.qd(["secret", command]).expect(0).stdout.starts_with("no secrets: add "));
    }
    home.qd(["engine", "drain", "--reason", "kernel"]).expect(0);
    assert_eq!(home.qd(["engine", "drain"]).expect(0).stdout, "it was drained already\n");
    assert_eq!(home.json(&["get", "decisions"])["rows"].as_array().unwrap().len(), 1, "nothing was decided again");
    home.qd(["engine", "drain", "--off"]).expect(0);
    assert_eq!(home.qd(["--json", "engine", "drain", "--off"]).expect(0).json()["message"], "it was not drained");
    let told = home.qd(["engine", "stop"]).expect(0).stdout;
    assert!(told.starts_with("the engine (pid ") && told.ends_with("has ended\n"), "{told}");
}

#[test]
fn whoever_stops_waiting_is_told_the_run_in_json_too() {
    let home = Home::new();
    home.pipeline("slow", &HELLO.replace("name: hello", "name: slow").replace("echo hello", "sleep 600"));
    use rustix::process::Signal;
    for (n, signal, code) in [(1, Signal::INT, 130), (2, Signal::TERM, 143)] {
        let run = format!("slow#{n}");
        let mut command = home.command(["--json", "run", "slow", "--wait"]);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let child = command.spawn().unwrap();
        let running = || {
            let runs = home.json(&["get", "runs"]);
            runs["rows"].as_array().is_some_and(|r| r.iter().any(|r| r["run"] == run.as_str() && r["state"] == "running"))
        };
        crate::support::until("the run to begin", running);
        // The client listens for the signal from the moment that it waits; before, it would end by it, and say nothing.
        let pid = rustix::process::Pid::from_child(&child);
        until_some("the client to listen", || {
            let listens = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
            let caught = listens.lines().find_map(|l| l.strip_prefix("SigCgt:"))?.trim().to_owned();
            (u64::from_str_radix(&caught, 16).ok()? >> (signal.as_raw() - 1) & 1 != 0).then_some(())
        });
        rustix::process::kill_process(pid, signal).unwrap();
        let out = child.wait_with_output().unwrap();
        assert_eq!(out.status.code(), Some(code));
        let said: Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!(said, serde_json::json!({ "run": run }));
    }
    // Nobody reads the answer: the exit code says what it was.
    let mut command = home.command(["--json", "get", "nosuch"]);
    let (gone, to) = std::io::pipe().unwrap();
    drop(gone);
    assert_eq!(command.stdout(to).status().unwrap().code(), Some(2));
    home.qd(["cancel", "slow#2"]).expect(0);
    home.qd(["cancel", "slow#1"]).expect(0);
    let end = home.qd(["--json", "run", "slow", "-p", "no=1", "--wait"]).expect(2).json();
    assert_eq!(end["error"]["code"], "bad-input");
}

#[test]
fn times_are_those_of_the_site_also_while_its_file_is_broken() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    home.site("time_zone = \"Asia/Kolkata\"\n");
    home.qd(["run", "hello", "--wait"]).expect(0);
    let whole = home.qd(["get", "runs"]).expect(0).stdout;
    home.site("time_zone = \"Asia/Kolkata\"\n[runnner]\nexecutors = 2\n");
    let broken = home.qd(["get", "runs"]).expect(0);
    assert!(broken.stderr.contains("site check"), "{}", broken.stderr);
    assert_eq!(broken.stdout, whole);
}

#[test]
fn every_action_that_a_sentence_names_is_one() {
    fn walk(dir: &std::path::Path, out: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                for rest in ["quarterdeck do ", "(do "].iter().flat_map(|start| text.split(start).skip(1)) {
                    let word: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
                    if !word.is_empty() {
                        out.push((path.display().to_string(), word));
                    }
                }
            }
        }
    }
    let actions = Home::new().qd(["--json", "actions"]).expect(0).json();
    let known: Vec<&str> = actions["rows"].as_array().unwrap().iter().filter_map(|r| r["action"].as_str()).collect();
    let mut named = Vec::new();
    walk(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut named);
    assert!(named.len() > 30, "{named:?}");
    let wrong: Vec<_> = named.iter().filter(|(_, word)| !known.contains(&word.as_str())).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
