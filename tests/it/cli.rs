//! The command line as scripts use it: exit codes, JSON, words on the way out; logs, cancel, resume, replay.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::api::HELLO;
use crate::support::{Home, until};

const PARAMS: &str = "format: 1\nname: params\nparameters:\n  who: {type: string, default: world}\n  n: {type: int, min: 1, max: 3, default: 1}\nstages:\n  - name: greet\n    run: echo \"hello $who\"\n";

#[test]
fn exit_codes_are_those_of_the_contract() {
    let home = Home::new();
    home.pipeline("hello", HELLO).pipeline("bad", "format: 1\nname: bad\nstages:\n  - name: a\n    run: exit 7\n");
    let ok = home.qd(["--json", "run", "hello", "--wait"]).expect(0).json();
    assert_eq!(
        (&ok["verdict"], &ok["stages"][0]["name"], &ok["stages"][0]["steps"][0]["exit_code"]),
        (&json!("success"), &json!("greet"), &json!(0))
    );
    assert!(ok["stages"][0]["duration_ms"].is_u64() && ok["started"].is_string() && ok["ended"].is_string());
    let bad = home.qd(["--json", "run", "bad", "--wait"]).expect(1).json();
    assert_eq!((&bad["verdict"], &bad["stages"][0]["steps"][0]["exit_code"]), (&json!("failure"), &json!(7)));
    assert_eq!(home.json(&["run", "hello"]), json!({"run": "hello#2"}));
    for args in [
        &["get", "nothing"][..],
        &["run"],
        &["frobnicate"],
        &["run", "hello", "-p", "x"],
        &["why", "hello"],
        &["step", "no/kind"],
        &["run", "hello", "-p", "a=1", "-p", "a=2"],
        // A run is written in one way.
        &["why", "hello#01"],
        &["log", "hello#+1"],
        &["replay", "hello#01"],
    ] {
        home.qd(args).expect(2);
    }
    home.qd(["run", "nope"]).expect(2);
    // Nobody knows how a step ended whose supervisor was killed.
    home.pipeline("lost", "format: 1\nname: lost\nstages:\n  - name: a\n    run: kill -9 $PPID; sleep 1000\n");
    assert_eq!(home.qd(["--json", "run", "lost", "--wait"]).expect(6).json()["verdict"], "lost");
    home.qd(["engine", "stop"]).expect(0);
    home.qd(["engine", "status"]).expect(3);
}

#[test]
fn an_unknown_command_is_told_which_exist() {
    let home = Home::new();
    let out = home.qd(["frobnicate"]).expect(2);
    assert!(out.stderr.contains("commands: actions approve cancel"), "{out:?}");
    let error = home.qd(["--json", "frobnicate"]).expect(2).json();
    assert_eq!(error["error"]["code"], "bad-input");
}

#[test]
fn parameters_are_checked_before_a_run_exists() {
    let home = Home::new();
    home.pipeline("params", PARAMS);
    let out = home.qd(["run", "params", "-p", "wo=x"]).expect(2);
    assert!(out.stderr.contains("no parameter `wo`") && out.stderr.contains("did you mean `who`?"), "{out:?}");
    home.qd(["run", "params", "-p", "n=9"]).expect(2);
    home.qd(["run", "params", "-p", "who=$(id) ; rm -rf /", "--wait"]).expect(0);
    assert!(home.qd(["log", "params#1"]).expect(0).stdout.contains("hello $(id) ; rm -rf /"));
}

#[test]
fn a_pipeline_put_there_is_seen_by_the_next_command() {
    let home = Home::new();
    home.qd(["engine", "start"]).expect(0);
    home.qd(["run", "hello"]).expect(2);
    home.pipeline("hello", HELLO);
    home.qd(["run", "hello", "--wait"]).expect(0);
}

#[test]
fn logs_are_found_by_place_safe_for_a_terminal_and_searched() {
    let home = Home::new();
    let script = "printf 'plain\\n\\033]52;c;ZXZpbA==\\007sly\\n\\033[31mred\\033[0m\\n'; printf 'needle 7\\n'";
    home.pipeline(
        "talk",
        &format!("format: 1\nname: talk\nstages:\n  - name: one\n    run: |\n      {script}\n  - name: two\n    run: echo second\n"),
    );
    home.qd(["run", "talk", "--wait"]).expect(0);
    let all = home.qd(["log", "talk#1"]).expect(0).stdout;
    assert!(all.contains("plain\n") && all.contains("sly\n") && all.contains("red\n") && all.contains("second\n"), "{all:?}");
    assert!(!all.contains('\u{1b}') && !all.contains('\u{7}'), "{all:?}");
    let red = home.qd(["--color", "always", "log", "talk#1/one"]).expect(0).stdout;
    assert!(red.contains("\u{1b}[31mred\u{1b}[0m") && !red.contains("]52"), "{red:?}");
    assert!(!home.qd(["log", "talk#1/two"]).expect(0).stdout.contains("plain"));
    let hit = home.qd(["log", "talk#1", "--grep", "needle [0-9]"]).expect(0).stdout;
    assert!(hit.contains("needle 7") && !hit.contains("plain"), "{hit:?}");
    assert!(home.qd(["log", "talk#1", "--grep", "("]).expect(2).stderr.contains("no regular expression"));
    assert!(home.qd(["log", "talk#1/tow"]).expect(2).stderr.contains("did you mean `two`?"));
    assert!(home.qd(["log", "talk#9"]).expect(2).stderr.contains("no run talk#9"));
    assert!(home.qd(["log", "talk#1", "--since", "soon"]).expect(2).stderr.contains("is no time"));
    let line: Value = serde_json::from_str(home.qd(["--json", "log", "talk#1/two"]).expect(0).stdout.lines().next().unwrap()).unwrap();
    assert_eq!((&line["stage"], &line["text"]), (&json!("two"), &json!("second")));
}

#[test]
fn a_followed_log_ends_with_its_run() {
    let home = Home::new();
    let gate = home.root().join("gate");
    home.pipeline(
        "slow",
        &format!(
            "format: 1\nname: slow\nstages:\n  - name: a\n    run: echo before; while [ ! -e {} ]; do sleep 0.05; done; echo behind\n",
            gate.display()
        ),
    );
    home.qd(["run", "slow"]).expect(0);
    let mut log = home.foreground(["log", "slow#1", "--follow"]);
    log.line(|l| l == "before");
    std::fs::write(&gate, "").unwrap();
    log.line(|l| l == "behind");
    assert!(log.wait().success());
}

#[test]
fn cancel_resume_retry_and_replay_do_what_they_say() {
    let home = Home::new();
    let gate = home.root().join("gate");
    let text = format!(
        "format: 1\nname: two\nparameters:\n  who: {{type: string, default: ann}}\nstages:\n  - name: first\n    run: echo first\n  - name: second\n    run: test -e {} && echo \"$who\"\n",
        gate.display()
    );
    home.pipeline("two", &text).pipeline("long", "format: 1\nname: long\nstages:\n  - name: a\n    run: sleep 1000\n");
    home.qd(["run", "two", "--wait"]).expect(1);
    std::fs::write(&gate, "").unwrap();
    let doc = home.qd(["--json", "resume", "two#1", "--wait"]).expect(0).json();
    assert_eq!((&doc["run"], &doc["verdict"]), (&json!("two#1"), &json!("success")));
    let attempts = home.qd(["log", "two#1/first"]).expect(0).stdout;
    assert_eq!(attempts.matches("first\n").count(), 1, "what succeeded is not run again: {attempts}");
    home.qd(["log", "two#1/second", "--attempt", "1"]).expect(0);
    assert!(home.qd(["log", "two#1/second", "--attempt", "2"]).expect(0).stdout.contains("ann"), "each attempt has a number of its own");
    home.qd(["retry", "two#1"]).expect(4);
    let told = home.qd(["run", "two#1"]).expect(2).stderr;
    assert!(told.contains(&home.named("replay 'two#1'")) && told.contains(&home.named("run two")), "{told}");
    let again = home.qd(["--json", "replay", "two#1", "-p", "who=bob", "--wait"]).expect(0).json();
    assert_eq!(again["run"], "two#2");
    assert!(home.qd(["log", "two#2/second"]).expect(0).stdout.contains("bob"));
    home.qd(["run", "long"]).expect(0);
    until("it to run", || home.qd(["why", "long#1"]).stdout.contains("runs: stage"));
    home.qd(["cancel", "long#1", "--reason", "enough"]).expect(0);
    until("it to end", || home.json(&["get", "runs", "--filter", "run=long#1"])["rows"][0]["verdict"] == "cancelled");
    home.qd(["cancel", "long#1"]).expect(4);
    let mut waiting = home.foreground(["--json", "run", "long", "--wait"]);
    until("it to run", || home.qd(["why", "long#2"]).stdout.contains("runs: stage"));
    home.qd(["cancel", "long#2"]).expect(0);
    assert_eq!(waiting.wait().code(), Some(5));
}

#[test]
fn a_drain_waits_until_nothing_runs_or_says_what_still_does() {
    let home = Home::new();
    let go = home.root().join("go");
    home.pipeline(
        "slow",
        &format!("format: 1\nname: slow\nstages: [{{name: a, run: \"while ! test -e {}; do sleep 0.05; done\"}}]\n", go.display()),
    );
    home.pipeline("asks", "format: 1\nname: asks\nstages:\n  - {name: a, approve: {roles: operator}}\n");
    for p in ["slow", "asks"] {
        home.qd(["run", p]).expect(0);
    }
    let state = |run: &str| home.json(&["get", "runs", "--filter", &format!("run={run}")])["rows"][0]["state"].clone();
    until("both to have begun", || state("slow#1") == "running" && state("asks#1") == "waiting");
    home.qd(["engine", "drain", "--deadline", "1s"]).expect(2);
    home.qd(["engine", "drain", "--off", "--until-idle"]).expect(2);
    let late = home.qd(["engine", "drain", "--until-idle", "--deadline", "1s", "--reason", "kernel"]).expect(1);
    assert!(late.stderr.contains("after 1s still at work: slow#1") && late.stderr.contains("drain --off"), "{late:?}");
    let mut waiting = home.command(["--json", "engine", "drain", "--until-idle"]);
    waiting.stdout(std::process::Stdio::piped());
    let waiting = std::thread::spawn(move || crate::support::home::run(waiting));
    std::fs::write(&go, "").unwrap();
    // What waits for people holds nobody up.
    let told = waiting.join().unwrap().expect(0);
    assert_eq!(told.json()["message"], "nothing runs");
    assert_eq!((state("slow#1"), state("asks#1")), (serde_json::json!("done"), serde_json::json!("waiting")));
    assert_eq!(home.json(&["engine", "status"])["draining"], true);
}

#[test]
fn a_drain_holds_what_is_new_says_so_and_outlives_the_engine() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    home.qd(["engine", "drain", "--reason", "new kernel"]).expect(0);
    home.qd(["engine", "stop"]).expect(0);
    home.qd(["run", "hello"]).expect(0);
    until("the reason", || home.qd(["why", "hello#1"]).expect(0).stdout.contains("new kernel"));
    assert!(home.qd(["get", "queue"]).expect(0).stdout.contains("drained by"));
    home.qd(["engine", "drain", "--off"]).expect(0);
    until("the run to end", || home.json(&["get", "runs"])["rows"][0]["verdict"] == "success");
    assert_eq!(home.json(&["get", "decisions"])["rows"][0]["kind"], "drain");
}

#[test]
fn site_init_writes_what_is_missing_and_never_over_what_is_there() {
    let home = Home::new();
    home.pipeline("rpmcanary", "mine");
    home.qd(["site", "init"]).expect(0);
    let fresh = home.root().join("fresh");
    let mut c = std::process::Command::new(crate::support::home::EXE);
    c.arg("--state-dir").arg(&fresh).args(["site", "init"]);
    crate::support::home::run(c).expect(0);
    assert!(fresh.join("config/site.toml").exists());
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&fresh).unwrap().permissions()) & 0o777, 0o700);
    assert_eq!(std::fs::read_to_string(home.config().join("pipelines/rpmcanary.yml")).unwrap(), "mine");
    assert!(home.config().join("pipelines/nightly-repo-updates.yml").exists() && home.config().join("site.toml").exists());
    std::fs::remove_file(home.config().join("pipelines/rpmcanary.yml")).unwrap();
    home.qd(["--json", "site", "init"]).expect(0).json();
    home.qd(["secret", "list"]).expect(0);
}

#[test]
fn half_a_file_of_a_new_site_is_none() {
    let home = Home::new();
    let plain = home.command(["site", "init"]);
    // A limit of the process stands for a full disk; ignored, its signal becomes an error.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 4; exec \"$0\" \"$@\""]).arg(plain.get_program()).args(plain.get_args());
    limited.env_clear().envs(plain.get_envs().filter_map(|(k, v)| Some((k, v?)))).current_dir(home.root());
    let no = crate::support::home::run(limited).expect(2);
    assert!(no.stderr.contains("cannot write") && no.stderr.lines().count() >= 2, "{no:?}");
    let left: Vec<_> = std::fs::read_dir(home.config()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["pipelines"]);
    home.qd(["site", "init"]).expect(0);
    home.qd(["site", "check"]).expect(0);
}

#[test]
fn a_site_that_was_just_made_is_clean_and_its_pipelines_have_a_plan() {
    for mirror in [None, Some("/srv/a mirror \"of\" ours")] {
        let home = Home::new();
        std::fs::remove_dir_all(home.config()).unwrap();
        let mut args = vec!["--json", "site", "init"];
        args.extend(mirror.iter().flat_map(|m| ["--mirror", m]));
        let trees = mirror.map_or_else(|| home.state().join("mirror").display().to_string(), str::to_owned);
        assert_eq!(home.qd(args).expect(0).json()["mirror"], json!(trees));
        let checked = home.json(&["site", "check"]);
        assert_eq!((&checked["diagnostics"], checked["fine"].as_array().unwrap().len()), (&json!([]), 8), "{checked}");
        let told = home.qd(["site", "check"]).expect(0).stdout;
        for name in [
            "site.toml",
            "nightly-repo-updates.yml",
            "rpmcanary.yml",
            "rpminspector.yml",
            "promote-latest.yml",
            "repo-updates.yml",
            "rollback-stable.yml",
            "snapshot-latest.yml",
            "2 repositories, 1 content set",
        ] {
            assert!(told.contains(name), "{name}: {told}");
        }
        assert_eq!(home.json(&["pipeline", "lint"]), json!({"diagnostics": []}));
        let plan = home.qd(["--json", "pipeline", "plan", "nightly-repo-updates"]).expect(0).stdout;
        assert!(plan.contains("https://mirror.stream.centos.org/9-stream/BaseOS/x86_64/os/"), "{plan}");
        assert!(plan.contains(&trees.replace('"', "\\\"")), "{plan}");
        home.qd(["get", "pipelines"]).expect(0);
    }
    let home = Home::new();
    for bad in ["/", "../x"] {
        home.qd(["site", "init", "--mirror", bad]).expect(2);
    }
    assert!(!home.config().join("site.toml").exists());
}

#[test]
fn secrets_are_named_tested_and_never_shown() {
    let home = Home::new();
    home.site("[secrets]\nok = \"cmd:echo a-good-value\"\nshort = \"cmd:echo abc\"\ngone = \"env:QD_NO_SUCH\"\n");
    let list = home.qd(["secret", "list"]).expect(0).stdout;
    assert!(list.contains("cmd:echo") && list.contains("env:QD_NO_SUCH") && !list.contains("a-good-value"), "{list}");
    let out = home.qd(["secret", "test"]).expect(1);
    assert!(out.stdout.contains("ok") && out.stdout.contains("is not set") && out.stdout.contains("fewer than 6"), "{out:?}");
    assert!(!format!("{out:?}").contains("a-good-value"));
    home.qd(["secret", "test", "ok"]).expect(0);
    assert!(home.qd(["secret", "get", "okk"]).expect(2).stderr.contains("did you mean `ok`?"));
}

#[test]
fn a_question_to_the_engine_does_not_list_the_time_zones() {
    use rustix::fs::inotify;
    let home = Home::new();
    home.site("time_zone = \"Europe/Berlin\"\n").pipeline("hello", HELLO);
    home.qd(["run", "hello", "--wait"]).expect(0);
    let zones = home.root().join("zones");
    std::fs::create_dir(&zones).unwrap();
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
    inotify::add_watch(&watch, &zones, inotify::WatchFlags::OPEN).unwrap();
    let opened = || rustix::io::read(&watch, &mut [0_u8; 4_096]).is_ok();
    std::fs::read_dir(&zones).unwrap();
    assert!(opened(), "the watch sees such a listing");
    for args in [&["get", "runs"][..], &["--json", "get", "runs"], &["engine", "status"], &["log", "hello#1"]] {
        let mut c = home.command(args);
        c.env("TZDIR", &zones);
        crate::support::home::run(c).expect(0);
        assert!(!opened(), "{args:?}");
    }
}

#[test]
fn a_closed_pipe_is_quiet() {
    let home = Home::new();
    home.pipeline(
        "bad",
        &format!("format: 1\nname: bad\nstages:\n  - name: {}\n    run: exit 7\n", "a-very-long-stage-name-that-goes-on-and-on-".repeat(3)),
    );
    home.qd(["run", "bad", "--wait"]).expect(1);
    let mut piped = std::process::Command::new("sh");
    let me = home.command(["man"]);
    piped.arg("-c").arg("\"$0\" --state-dir \"$1\" man | head -c 1 >/dev/null").arg(me.get_program()).arg(home.state());
    let out = crate::support::home::run(piped);
    assert!(out.stderr.is_empty(), "{out:?}");
    // Who waits for a run waits for its verdict, whether anybody reads the words or not.
    for json in [false, true] {
        let mut waits = home.command(["run", "bad", "--wait"]);
        let (gone, to) = std::io::pipe().unwrap();
        drop(gone);
        if json {
            waits.arg("--json");
        }
        assert_eq!(waits.stdout(to).status().unwrap().code(), Some(1));
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(home.qd(["completions", shell]).expect(0).stdout.contains("quarterdeck"));
    }
}

#[test]
fn what_is_refused_for_one_target_is_done_for_the_others() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    for _ in 0..2 {
        home.qd(["run", "hello", "--wait"]).expect(0);
    }
    let with = ["--reason", "kept"];
    let out = home.qd(["do", "pin", "hello#9", "hello#1", "nobody#1", "hello#2"].iter().chain(&with)).expect(2);
    assert!(out.stderr.contains("hello#9") && out.stderr.contains("nobody#1") && out.stderr.contains("done for 2 of 4"), "{out:?}");
    assert!(out.stdout.contains("hello#1") && out.stdout.contains("hello#2"), "{out:?}");
    let rows = home.json(&["get", "runs", "--filter", "pinned=true"])["rows"].clone();
    assert_eq!(rows.as_array().map(Vec::len), Some(2), "{rows}");
    // The worst of a refusal and a slip.
    let out = home.qd(["--json", "do", "cancel", "hello#1", "hello#9"]).expect(4);
    let told: Vec<serde_json::Value> = out.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(told.iter().map(|v| v["error"]["code"].as_str().unwrap()).collect::<Vec<_>>(), ["refused", "bad-input"]);
    assert!(told[0]["error"]["message"].as_str().unwrap().contains("hello#1"), "{told:?}");
    home.qd(["do", "unpin", "hello#1", "hello#2"]).expect(0);
}

#[test]
fn a_slip_in_a_name_or_a_number_is_told_with_what_there_is() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    home.pipeline(
        "ask",
        "format: 1\nname: ask\nstages:\n  - name: Ask\n    approve: {roles: [operator]}\n  - name: go\n    run: echo gone\n",
    );
    home.qd(["run", "hello", "--wait"]).expect(0);
    let error = |args: &[&str]| {
        let doc = home.qd(["--json"].iter().chain(args)).expect(2).json();
        (doc["error"]["message"].as_str().unwrap_or_default().to_owned(), doc["error"]["help"].as_str().unwrap_or_default().to_owned())
    };
    let told = |message: &str, help: &str| (message.to_owned(), help.to_owned());
    assert_eq!(
        error(&["why", "hello#7"]),
        told("there is no run hello#7", &format!("the newest of `hello` is hello#1; {}", home.named("get runs lists those that are kept")))
    );
    assert_eq!(error(&["log", "hello#1", "--attempt", "5"]), told("hello#1 has no attempt 5", "there is one: --attempt 1"));
    let (message, _) = error(&["log", "hello#1", "--from", "99999999"]);
    assert!(message.contains("offset 99999999 lies behind the end of this log"), "{message}");
    assert_eq!(
        error(&["pipeline", "explain", "stages.aprove"]),
        told("no key, section or step kind `stages.aprove`", "did you mean `stages.approve`?")
    );
    home.qd(["run", "ask"]).expect(0);
    until("it waits", || home.json(&["get", "queue"])["rows"][0]["state"] == "waiting");
    assert_eq!(
        error(&["approve", "ask#1", "-p", "stage=Aks"]),
        told("ask#1 does not wait for approval at a stage `Aks`", "did you mean `Ask`?")
    );
    home.qd(["cancel", "ask#1"]).expect(0);
}

#[test]
fn a_run_that_is_waited_for_says_what_it_waits_for() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    home.qd(["engine", "drain", "--reason", "a new disk"]).expect(0);
    let mut waiting = home.command(["run", "hello", "--wait"]);
    let mut child = waiting.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let told = lines.by_ref().map_while(Result::ok).find(|l| l.starts_with("queued: "));
    assert!(told.as_ref().is_some_and(|l| l.contains("drained") && l.contains("a new disk")), "{told:?}");
    home.qd(["engine", "drain", "--off"]).expect(0);
    assert!(lines.map_while(Result::ok).any(|l| l.contains("success")), "it goes on");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_run_that_was_waited_for_says_how_long_it_took() {
    let home = Home::new();
    home.pipeline("p", "format: 1\nname: p\nparameters: {code: {type: int, default: 0}}\nstages: [{name: a, run: exit $code}]\n");
    for (code, exit, word) in [("0", 0, "success"), ("3", 1, "failure")] {
        let out = home.qd(["run", "p", "-p", &format!("code={code}"), "--wait"]).expect(exit).stdout;
        let run = home.qd(["get", "runs", "--limit", "1", "--json"]).expect(0).json()["rows"][0].clone();
        let took = run["duration_ms"].as_u64().unwrap();
        let listed = home.qd(["get", "runs", "--limit", "1"]).expect(0).stdout;
        let last = out.lines().last().unwrap();
        let time = last.split_once(&format!("{} {word} (", run["run"].as_str().unwrap())).and_then(|(_, t)| t.split_once(')'));
        let (time, detail) = time.unwrap_or_else(|| panic!("{took} {out}"));
        assert!(listed.contains(&format!(" {time} ")) && detail.starts_with(": ") == (exit == 1), "{out}\n{listed}");
    }
}

#[test]
fn a_slip_in_the_site_file_does_not_hide_what_runs() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    home.qd(["run", "hello", "--wait"]).expect(0);
    home.site("tim_zone = \"UTC\"\n");
    for args in [&["get", "runs"][..], &["log", "hello#1"], &["why", "hello#1"], &["engine", "status"]] {
        let out = home.qd(args).expect(0);
        assert!(out.stderr.contains("site.toml") && out.stderr.contains(&home.named("site check")), "{out:?}");
    }
    assert!(home.qd(["log", "hello#1"]).expect(0).stdout.contains("hello"));
    home.qd(["run", "hello"]).expect(2);
    // An engine that nobody could end would be worse than a file that nobody can read.
    home.qd(["engine", "stop"]).expect(0);
}

#[test]
fn a_table_in_a_pipe_is_whole() {
    let home = Home::new();
    let name = "a-pipeline-with-a-name-that-takes-more-than-half-of-a-line";
    home.pipeline(name, &HELLO.replace("name: hello", &format!("name: {name}")));
    let out = home.qd(["get", "pipelines"]).expect(0).stdout;
    assert!(out.contains(name) && out.contains("TRIGGERS"), "{out}");
    home.pipeline("hello", HELLO);
    home.qd(["site", "init"]).expect(0);
    for what in ["repos", "mirrors"] {
        let out = home.qd(["get", what]).expect(0).stdout;
        assert!(out.starts_with("REPO ") && out.contains("\nbaseos ") && out.contains("unknown"), "{out}");
    }
}

#[test]
fn whoever_is_interrupted_while_waiting_is_told_that_the_run_goes_on() {
    let home = Home::new();
    let go = home.root().join("go");
    let script = format!("while [ ! -e \"{}\" ]; do sleep 0.05; done", go.display());
    home.pipeline("long", &format!("format: 1\nname: long\nstages:\n  - name: a\n    run: '{script}'\n"));
    let mut waiting = home.command(["run", "long", "--wait"]);
    waiting.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let waiting = waiting.spawn().unwrap();
    until("the run runs", || home.json(&["get", "runs"])["rows"][0]["state"] == "running");
    let pid = rustix::process::Pid::from_raw(i32::try_from(waiting.id()).unwrap()).unwrap();
    until("it listens for the signal", || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", waiting.id())).unwrap();
        let caught = status.lines().find_map(|l| l.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & 0b10 != 0
    });
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let out = waiting.wait_with_output().unwrap();
    let told = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.code() == Some(130) && told.contains("long#1 goes on") && told.contains(&home.named("cancel 'long#1'")), "{told}");
    assert_eq!(home.json(&["get", "runs"])["rows"][0]["state"], "running");
    std::fs::write(&go, "").unwrap();
    until("the run has ended", || home.json(&["get", "runs"])["rows"][0]["verdict"] == "success");
}

/// Runs with this on standard input, in an empty directory of its own.
fn piped(home: &Home, args: &[&str], input: &[u8]) -> (i32, Vec<u8>, String) {
    use std::io::Write;
    let at = home.root().join("nothing");
    std::fs::create_dir_all(&at).unwrap();
    let mut child =
        home.command(args).current_dir(&at).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Who does not read it has ended before.
    let _ = child.stdin.take().unwrap().write_all(input);
    let out = child.wait_with_output().unwrap();
    assert_eq!(std::fs::read_dir(&at).unwrap().count(), 0, "{args:?}: no file is called `-`");
    (out.status.code().unwrap_or(-1), out.stdout, String::from_utf8_lossy(&out.stderr).into_owned())
}

#[test]
fn a_dash_is_standard_input_or_output_and_never_a_file() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    let (code, out, _) = piped(&home, &["pipeline", "lint", "-"], b"format: 1\nname: x\nstages:\n  - name: a\n    rum: y\n");
    assert!(code == 1 && String::from_utf8_lossy(&out).contains("rum"), "{out:?}");
    assert_eq!(piped(&home, &["pipeline", "plan", "-"], HELLO.as_bytes()).0, 0);
    let jenkins = b"pipeline { agent any\n stages { stage('a') { steps { sh 'true' } } } }\n";
    let (code, out, said) = piped(&home, &["pipeline", "import", "-", "-o", "-"], jenkins);
    assert!(code == 0 && String::from_utf8_lossy(&out).contains("name: imported"), "{out:?} {said}");
    let (code, saved, said) = piped(&home, &["save", "-"], b"");
    assert!(code == 0 && !saved.is_empty(), "{said}");
    let (code, out, said) = piped(&home, &["screen", "jobs", "--from", "-", "--size", "80x24"], &saved);
    assert!(code == 0 && String::from_utf8_lossy(&out).contains("hello"), "{said}");
    assert_eq!(piped(&home, &["--json", "save", "-"], b"").0, 2);
    let (code, out, _) = piped(&home, &["where-used", "-"], b"bytes");
    assert!(code == 0 && String::from_utf8_lossy(&out).contains("no run that is kept"), "{out:?}");
    let id = "PR-20260101-el9";
    assert_eq!(piped(&home, &["--json", "evidence", id, "-o", "-"], b"").0, 2);
}

#[test]
fn a_filter_without_end_is_told_what_is_too_long() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    let long = "a".repeat(70_000);
    let out = home.qd(["get", "runs", "--filter", &long]).expect(2);
    assert!(
        out.stderr.contains("/v1/get/runs cannot be asked for") && out.stderr.contains("64 KiB") && out.stderr.len() < 1_000,
        "{out:?}"
    );
}
