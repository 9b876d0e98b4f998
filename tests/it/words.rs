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
    assert!(told.contains(&home.named("get runs lists them")), "{told}");
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
