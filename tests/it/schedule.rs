//! Schedules of a real engine: the clock fires, git fires, calendars hold back both the clock and people, a crash repeats nothing, a store
//! that was put back starts drained.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::home::run;
use crate::support::{Home, have_program, kill, skip, until, until_some};

const PRIVATE: &str = "scheduler = \"private\"\n";
const STAGES: &str = "stages:\n  - name: a\n    run: echo a\n";

fn pipeline(home: &Home, name: &str, head: &str) {
    home.pipeline(name, &format!("format: 1\nname: {name}\n{head}{STAGES}"));
}

/// A trigger that is due in some seconds, and then no more for a long time; its moment in UTC.
fn soon(seconds: i64) -> (String, String) {
    let at = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap();
    let moment = at.strftime("%Y-%m-%d %H:%M:%S").to_string();
    (format!("triggers:\n  - every: 10d\n    anchor: {moment}\n"), at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string())
}

fn rows(home: &Home, what: &str, filter: &str) -> Vec<Value> {
    home.json(&["get", what, "--filter", filter])["rows"].as_array().unwrap().clone()
}

fn calendar(home: &Home, name: &str, text: &str) {
    let dir = home.config().join("calendars");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join(format!("{name}.toml")), text).unwrap();
}

/// A calendar that is frozen for two years more.
fn frozen(reason: &str) -> String {
    let to = jiff::Zoned::now().date().checked_add(jiff::Span::new().years(2)).unwrap();
    format!("zone = \"UTC\"\nowner = \"finance\"\nreason = \"{reason}\"\n[[freeze]]\nfrom = \"2020-01-01\"\nto = \"{to}\"\n")
}

#[test]
fn the_clock_starts_a_run_and_the_ledger_says_so() {
    let home = Home::new();
    home.site(PRIVATE);
    home.qd(["engine", "start"]).expect(0);
    // A file that is put there while the engine runs is seen without being asked for.
    let (head, at) = soon(3);
    pipeline(&home, "tick", &head);
    until("it to be scheduled", || rows(&home, "schedule", "pipeline=tick").first().is_some_and(|r| r["next"] == json!(at)));
    let row = until_some("the row", || rows(&home, "occurrences", "pipeline=tick").pop());
    assert_eq!((&row["scheduled_for"], &row["outcome"], &row["run"]), (&json!(at), &json!("ran"), &json!("tick#1")));
    until("the run to end", || rows(&home, "runs", "pipeline=tick")[0]["verdict"] == "success");
    let run = rows(&home, "runs", "pipeline=tick").pop().unwrap();
    assert_eq!((&run["requested_by"], &run["trigger"]), (&json!("schedule"), &json!("every")));
    let schedule = rows(&home, "schedule", "pipeline=tick").pop().unwrap();
    assert_eq!((&schedule["last_run"], &schedule["state"], &schedule["catch_up"]), (&json!("tick#1"), &json!("on"), &json!("skip")));
    let status = home.json(&["engine", "status"]);
    assert_eq!(status["scheduler"], "on");
    assert_eq!(status["next_due"], schedule["next"]);
    let entry = rows(&home, "audit", "subject=tick#1").pop().unwrap();
    assert_eq!((&entry["who"], &entry["action"]), (&json!("schedule"), &json!("run")));
}

#[test]
fn a_private_engine_fires_only_where_the_site_says_so() {
    let home = Home::new();
    let (head, _) = soon(0);
    pipeline(&home, "tick", &head);
    home.qd(["engine", "start"]).expect(0);
    until("the first look", || home.json(&["engine", "status"])["scheduler"].as_str().unwrap().starts_with("off: a private engine"));
    let row = rows(&home, "schedule", "").pop().unwrap();
    assert!(row["state"] == "off" && row["next"].is_null() && row["detail"].as_str().unwrap().contains("scheduler = \"private\""), "{row}");
    // Said while it runs, it holds at once.
    home.site(PRIVATE);
    until("the second look", || home.json(&["engine", "status"])["scheduler"] == "on");
}

#[test]
fn an_engine_that_dies_while_it_fires_leaves_one_row_and_one_run_i9() {
    for (point, more) in
        [("scheduler.known", ""), ("scheduler.due", ""), ("scheduler.fired", ""), ("scheduler.recorded", "calendar: shut\n")]
    {
        let home = Home::new();
        home.site(PRIVATE);
        calendar(&home, "shut", &frozen("never"));
        let (head, at) = soon(3);
        pipeline(&home, "tick", &format!("{more}{head}"));
        let mut engine = home.command(["engine", "run"]);
        engine.env("QD_CRASH_AT", point);
        let died = run(engine);
        assert_eq!(died.code, -9, "{point}: {died:?}");
        home.qd(["engine", "start"]).expect(0);
        let row = until_some("the row", || rows(&home, "occurrences", "pipeline=tick").pop());
        assert_eq!(row["scheduled_for"], json!(at), "{point}");
        // Died before it was due, before its run and row were written, behind them, behind its row.
        let (outcome, runs) = match point {
            "scheduler.due" | "scheduler.recorded" => ("skipped", 0),
            _ => ("ran", 1),
        };
        if point != "scheduler.known" || row["outcome"] != "skipped" {
            assert_eq!((row["outcome"].as_str().unwrap(), rows(&home, "runs", "").len()), (outcome, runs), "{point}: {row}");
        }
        assert_eq!(rows(&home, "occurrences", "").len(), 1, "{point}");
    }
}

#[test]
fn what_was_missed_is_shown_and_made_up_by_hand_once() {
    let home = Home::new();
    home.site(PRIVATE);
    let (head, at) = soon(4);
    pipeline(&home, "tick", &head);
    home.qd(["engine", "start"]).expect(0);
    until("it to be scheduled", || !rows(&home, "schedule", "pipeline=tick")[0]["next"].is_null());
    home.qd(["engine", "stop"]).expect(0);
    let due: jiff::Timestamp = at.parse().unwrap();
    until("its time to pass", || jiff::Timestamp::now() > due.checked_add(jiff::SignedDuration::from_secs(1)).unwrap());
    home.qd(["engine", "start"]).expect(0);
    let row = until_some("the row", || rows(&home, "occurrences", "pipeline=tick").pop());
    assert_eq!((&row["outcome"], &row["cause"], &row["run"]), (&json!("skipped"), &json!("missed"), &Value::Null));
    assert!(row["why"].as_str().unwrap().contains("no engine was running"), "{row}");
    let make_up = |with: &str| home.qd(["--json", "do", "run-missed", "tick", "--with", with, "--reason", "needed"]);
    let nobody = home.qd(["do", "run-missed", "tikc", "--with", "scheduled_for=yesterday"]).expect(2);
    assert!(nobody.stderr.contains("did you mean `tick`?"), "the name first: {nobody:?}");
    assert!(make_up("scheduled_for=yesterday").expect(2).stdout.contains("no time in RFC 3339"));
    assert!(make_up("scheduled_for=2020-01-01T00:00:00Z").expect(2).stdout.contains("nothing due"));
    let told = make_up(&format!("scheduled_for={at}")).expect(0).stdout;
    assert!(told.contains("it makes up the start of 20") && !told.contains(".000Z"), "in the site's own time: {told}");
    let row = rows(&home, "occurrences", "pipeline=tick").pop().unwrap();
    assert_eq!((&row["outcome"], &row["run"]), (&json!("late"), &json!("tick#1")));
    assert!(row["why"].as_str().unwrap().starts_with("made up by "), "{row}");
    assert!(make_up(&format!("scheduled_for={at}")).expect(4).stdout.contains("was not missed at"));
    let told = make_up(&format!("scheduled_for={at}")).expect(4).stdout;
    assert!(told.contains("it ran late, as tick#1"), "{told}");
    assert_eq!(rows(&home, "runs", "").len(), 1);
    assert_eq!(rows(&home, "audit", "action=run-missed result=done").len(), 1);
}

#[test]
fn a_freeze_holds_for_people_too_unless_they_say_why() {
    let home = Home::new();
    home.site("");
    calendar(&home, "quarter-end", &frozen("the books are open"));
    pipeline(&home, "change", "calendar: quarter-end\n");
    pipeline(&home, "look", "danger: L0\ncalendar: quarter-end\n");
    pipeline(&home, "grave", "danger: L2\ncalendar: quarter-end\n");
    let out = home.qd(["run", "change"]).expect(4);
    assert!(out.stderr.contains("quarter-end of finance: the books are open; until") && out.stderr.contains("--reason"), "{out:?}");
    home.qd(["run", "change", "--wait", "--reason", "CVE-2026-1"]).expect(0);
    home.qd(["run", "look", "--wait"]).expect(0);
    let out = home.qd(["run", "grave", "--reason", "CVE-2026-1", "--confirm", "grave"]).expect(4);
    assert!(out.stderr.contains("second person") && out.stderr.contains("the books are open"), "{out:?}");
    assert_eq!(rows(&home, "audit", "action=run result~refused").len(), 2);
    // The file breaks: it holds as it was whole last, and its place is told.
    calendar(&home, "quarter-end", "zone = \"UTC\"\nowner = finance\n");
    assert!(home.qd(["run", "change"]).expect(4).stderr.contains("the books are open"));
    let found = home.qd(["--json", "site", "check"]).expect(1).json();
    let first = &found["diagnostics"][0];
    assert!(first["file"].as_str().unwrap().ends_with("quarter-end.toml"), "{found}");
    assert_eq!((&first["line"], first["code"].as_str()), (&json!(2), Some("calendar.bad")));
    assert!(home.qd(["site", "check"]).expect(1).stdout.contains("quarter-end.toml:2:"));
    let lint = home.qd(["--json", "pipeline", "lint", "change"]).expect(1).json();
    assert_eq!((&lint["diagnostics"][0]["code"], &lint["diagnostics"][0]["line"]), (&json!("ref.calendar"), &json!(3)));
    // Frozen on every day of the week: it never opens again.
    calendar(&home, "quarter-end", "zone = \"UTC\"\nowner = \"f\"\nreason = \"r\"\n[[freeze]]\ndays = [\"mon-sun\"]\n");
    let lint = home.qd(["--json", "pipeline", "lint", "change"]).expect(1).json();
    assert_eq!(lint["diagnostics"][0]["code"], "schedule.calendar");
}

#[test]
fn the_triggers_of_a_broken_file_are_still_listed_also_those_that_no_clock_fires() {
    let home = Home::new();
    home.site(PRIVATE);
    pipeline(&home, "up", "");
    let head = "triggers: [{upstream: up, on: any}, {cron: 0 6 1 1 *}, {git: /srv/git/x}]\n";
    pipeline(&home, "down", head);
    home.qd(["engine", "start"]).expect(0);
    let kinds = || rows(&home, "schedule", "pipeline=down").iter().map(|r| r["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    until("all to be known", || kinds().len() == 3 && !rows(&home, "schedule", "pipeline=down kind=git")[0]["next"].is_null());
    pipeline(&home, "down", &format!("{head}nonsense: [\n"));
    until("it to be seen", || kinds().iter().all(|k| k == "broken"));
    let left = rows(&home, "schedule", "pipeline=down");
    let names: Vec<&str> = left.iter().map(|r| r["trigger"].as_str().unwrap()).collect();
    assert!(names.contains(&"after end of up") && names.contains(&"cron 0 6 1 1 * (UTC)") && names.len() == 3, "{left:?}");
    assert!(left.iter().all(|r| r["state"] == "broken" && !r["detail"].as_str().unwrap().is_empty()), "{left:?}");
}

/// The clock of the engine is real, so the calendar is made to be closed now and open on one day to come.
#[test]
fn a_start_that_is_shifted_is_shown_where_it_will_be_and_where_it_was() {
    let home = Home::new();
    home.site(PRIVATE);
    calendar(&home, "workdays", "zone = \"UTC\"\nowner = \"o\"\nreason = \"r\"\n[[window]]\ndays = [\"mon-fri\"]\n");
    pipeline(&home, "sundays", "triggers: [{cron: 0 6 * * 0, timezone: UTC, calendar: workdays, shift: next}]\n");
    let shown = home.json(&["schedule", "preview", "--year"]);
    let all = shown["rows"].as_array().unwrap();
    assert!(all.len() > 50, "{shown}");
    for r in all {
        assert!(r["local"].as_str().unwrap().starts_with("Mon ") && r["moved_from"].as_str().unwrap().starts_with("Sun "), "{r}");
        assert!(r.get("calendar").is_none(), "{r}");
    }
    home.qd(["engine", "start"]).expect(0);
    let next =
        until_some("it to be scheduled", || rows(&home, "schedule", "pipeline=sundays")[0]["next_local"].as_str().map(str::to_owned));
    assert!(next.starts_with("Mon ") && next.ends_with(" 06:00 UTC"), "{next}");
    assert!(home.qd(["pipeline", "plan", "sundays"]).expect(0).stdout.contains("moved to the next open day"));
}

fn git(dir: &std::path::Path, args: &[&str]) {
    let mut c = Command::new("git");
    c.args(args).current_dir(dir).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    for (k, v) in [("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@b"), ("GIT_COMMITTER_NAME", "a"), ("GIT_COMMITTER_EMAIL", "a@b")] {
        c.env(k, v);
    }
    run(c).expect(0);
}

#[test]
fn a_reference_that_moved_starts_its_pipeline_and_first_sight_does_not() {
    if !have_program("git") {
        return skip("schedule.git", "git is not installed");
    }
    let home = Home::new();
    home.site(PRIVATE);
    let repo = home.root().join("repo");
    std::fs::create_dir(&repo).unwrap();
    git(&repo, &["init", "--quiet", "-b", "main"]);
    let commit = |text: &str| git(&repo, &["commit", "--quiet", "--allow-empty", "-m", text]);
    commit("one");
    pipeline(&home, "build", &format!("triggers:\n  - git: file://{}\n    ref: main\n    interval: 10s\n", repo.display()));
    pipeline(&home, "gone", &format!("triggers:\n  - git: {{url: {}, interval: 10s}}\n", home.root().join("gone.git").display()));
    home.qd(["engine", "start"]).expect(0);
    let detail = |name: &str| rows(&home, "schedule", &format!("pipeline={name}"))[0]["detail"].as_str().unwrap().to_owned();
    until("the first look", || detail("build").starts_with("main is "));
    assert!(rows(&home, "occurrences", "").is_empty());
    commit("two");
    let row = until_some("the row", || rows(&home, "occurrences", "pipeline=build").pop());
    assert_eq!((&row["outcome"], &row["run"]), (&json!("ran"), &json!("build#1")));
    assert!(row["why"].as_str().unwrap().starts_with("main moved from "), "{row}");
    until("what does not answer to be told", || detail("gone").starts_with("cannot be looked at: "));
    // What moved while no engine ran is seen by the next, once.
    home.qd(["engine", "stop"]).expect(0);
    commit("three");
    home.qd(["engine", "start"]).expect(0);
    until("the second row", || rows(&home, "occurrences", "pipeline=build").len() == 2);
    assert_eq!(rows(&home, "runs", "trigger=git").len(), 2);
}

#[test]
fn an_upstream_trigger_takes_stage_and_verdict() {
    let home = Home::new();
    home.pipeline("up", "format: 1\nname: up\nstages:\n  - name: good\n    run: echo\n  - name: bad\n    run: exit 1\n");
    for (name, stage, on) in [("a", "good", "success"), ("b", "bad", "failure"), ("c", "bad", "success"), ("d", "good", "failure")] {
        pipeline(&home, name, &format!("triggers:\n  - {{upstream: up, stage: {stage}, on: {on}}}\n"));
    }
    home.qd(["run", "up", "--wait"]).expect(1);
    until("both to start", || rows(&home, "runs", "trigger=upstream").len() == 2);
    let mut started: Vec<String> = rows(&home, "runs", "trigger=upstream").iter().map(|r| r["run"].as_str().unwrap().to_owned()).collect();
    started.sort();
    assert_eq!(started, ["a#1", "b#1"]);
    let all = rows(&home, "schedule", "kind=upstream");
    assert!(all.len() == 4 && all.iter().all(|r| r["state"] == "on"), "{all:?}");
}

#[test]
fn a_store_that_was_put_back_starts_drained_and_says_so() {
    let home = Home::new();
    pipeline(&home, "p", "");
    home.qd(["run", "p", "--wait"]).expect(0);
    home.qd(["engine", "stop"]).expect(0);
    let db = home.state().join("state.db");
    let old = std::fs::read(&db).unwrap();
    home.qd(["run", "p", "--wait"]).expect(0);
    home.qd(["engine", "stop"]).expect(0);
    std::fs::write(&db, old).unwrap();
    let status = home.json(&["engine", "start"]);
    assert_eq!(status["draining"], json!(true));
    assert!(status["drain_reason"].as_str().unwrap().contains("the store was put back"), "{status}");
    assert!(home.qd(["engine", "status"]).expect(0).stdout.contains("the store was put back"));
    assert_eq!(rows(&home, "decisions", "kind=drain").len(), 1);
    // The number of the run that was lost does not come again.
    home.qd(["engine", "drain", "--off"]).expect(0);
    assert_eq!(home.json(&["run", "p", "--wait"])["run"], "p#3");
}

#[test]
fn the_preview_marks_the_nights_of_the_clocks_and_needs_no_engine() {
    let home = Home::new();
    home.site("time_zone = \"Europe/Berlin\"\n");
    pipeline(&home, "night", "triggers:\n  - cron: 30 2 * * *\n  - cron: 30 1 * * *\n    timezone: America/New_York\n");
    let out = home.json(&["schedule", "preview", "--year", "2026"]);
    let rows = out["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 730);
    assert_eq!(rows[0].as_object().unwrap().keys().collect::<Vec<_>>(), ["pipeline", "trigger", "scheduled_for", "local", "dst"]);
    let marked: Vec<(&str, &str)> =
        rows.iter().filter(|r| r["dst"] != "").map(|r| (r["local"].as_str().unwrap(), r["dst"].as_str().unwrap())).collect();
    assert_eq!(marked, [("Sun 2026-03-29 03:00 CEST", "gap"), ("Sun 2026-10-25 02:30 CEST", "fold"), ("Sun 2026-11-01 01:30 EDT", "fold")]);
    let text = home.qd(["schedule", "preview", "--year"]).expect(0).stdout;
    assert!(text.contains("DST") && text.contains("of them where clocks change"), "{text}");
    assert!(home.json(&["schedule", "preview"])["rows"].as_array().unwrap().len() >= 26);
    assert!(home.qd(["schedule", "preview", "--pipeline", "nihgt"]).expect(2).stderr.contains("did you mean"));
    home.qd(["engine", "status"]).expect(3);
}

#[test]
fn red_scheduled_runs_are_told_with_a_small_environment() {
    let home = Home::new();
    let (told, script) = (home.root().join("told"), home.root().join("tell.sh"));
    std::fs::write(&script, format!("env > {0}.new; mv {0}.new {0}\n", told.display())).unwrap();
    home.site(&format!("{PRIVATE}[on_failure]\ncommand = \"/bin/sh {}\"\n[secrets]\ntoken = \"env:QD_HUSH\"\n", script.display()));
    let (head, _) = soon(2);
    home.pipeline("bad", &format!("format: 1\nname: bad\n{head}stages:\n  - name: a\n    run: exit 3\n"));
    let mut start = home.command(["engine", "start"]);
    start.env("QD_HUSH", "hunter2-hunter2");
    run(start).expect(0);
    let text = until_some("somebody to be told", || std::fs::read_to_string(&told).ok());
    for line in ["QD_EVENT=failed", "QD_RUN=bad#1", "QD_REQUESTED_BY=schedule", "QD_TRIGGER=every", "QD_FAILED_STAGE=a"] {
        assert!(text.lines().any(|l| l == line), "{line}: {text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
    let pid = home.json(&["engine", "status"])["pid"].as_i64().unwrap();
    kill(pid as i32);
}
