//! The engine as a process: started on demand by many at once, alone on its store, killed and followed by another, refused where it must be.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use serde_json::json;

use crate::api::{HELLO, raw};
use crate::support::home::run;
use crate::support::{Home, kill, processes_with, until, until_some};

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn pid(home: &Home) -> i32 {
    home.json(&["engine", "status"])["pid"].as_i64().unwrap() as i32
}

#[test]
fn many_clients_at_once_start_one_engine() {
    let home = Home::new();
    let pids: Vec<i64> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| run(home.command(["--json", "engine", "start"])).expect(0).json()["pid"].as_i64().unwrap()))
            .collect();
        clients.into_iter().map(|c| c.join().unwrap()).collect()
    });
    assert!(pids.iter().all(|p| *p == pids[0]), "{pids:?}");
}

#[test]
fn a_second_engine_on_the_same_store_is_refused_and_the_holder_named() {
    let home = Home::new();
    home.qd(["engine", "start"]).expect(0);
    let held = home.qd(["engine", "run"]).expect(4);
    assert!(held.stderr.contains(&format!("pid {}", pid(&home))), "{held:?}");
}

#[test]
fn status_and_stop_never_start_an_engine() {
    let home = Home::new();
    for args in [["engine", "status"], ["engine", "stop"]] {
        assert!(home.qd(args).expect(3).stderr.contains(&home.named("engine start")));
    }
    assert!(!home.socket().exists());
    let error = home.qd(["--json", "engine", "status"]).expect(3).json();
    assert_eq!(error["error"]["code"], "no-engine");
}

#[test]
fn an_engine_that_was_killed_leaves_nothing_that_stops_the_next() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    home.qd(["run", "hello", "--wait"]).expect(0);
    let first = pid(&home);
    kill(first);
    until("the engine to be gone", || home.qd(["engine", "status"]).code == 3);
    assert!(home.socket().exists(), "a killed engine leaves its socket");
    home.qd(["run", "hello", "--wait"]).expect(0);
    assert_ne!(pid(&home), first);
    assert_eq!(home.json(&["get", "runs"])["rows"].as_array().unwrap().len(), 2);
}

#[test]
fn a_waiting_client_outlives_its_engine_and_asks_for_one_run_only() {
    let home = Home::new();
    let gate = home.root().join("gate");
    home.pipeline(
        "slow",
        &format!("format: 1\nname: slow\nstages:\n  - name: a\n    run: while [ ! -e {} ]; do sleep 0.05; done\n", gate.display()),
    );
    let waiting = home.command(["--json", "run", "slow", "--wait"]);
    let out = std::thread::scope(|scope| {
        let client = scope.spawn(|| run(waiting));
        until("the step to run", || home.qd(["--json", "get", "runs"]).json()["rows"][0]["state"] == "running");
        kill(pid(&home));
        std::fs::write(&gate, "").unwrap();
        client.join().unwrap()
    });
    let doc = out.expect(0).json();
    assert_eq!((&doc["run"], &doc["verdict"]), (&json!("slow#1"), &json!("success")));
    assert_eq!(home.json(&["get", "runs"])["rows"].as_array().unwrap().len(), 1);
}

#[test]
fn what_stands_in_the_socket_s_place_is_not_touched() {
    let home = Home::new();
    std::fs::write(home.socket(), "not a socket").unwrap();
    assert!(home.qd(["get", "runs"]).expect(4).stderr.contains("is not a socket"));
    assert_eq!(std::fs::read_to_string(home.socket()).unwrap(), "not a socket");
    std::fs::remove_file(home.socket()).unwrap();
    if rustix::process::getuid().as_raw() == 0 {
        // Another user's socket: nothing is sent to it.
        let _listener = UnixListener::bind(home.socket()).unwrap();
        std::os::unix::fs::chown(home.socket(), Some(4_242), Some(4_242)).unwrap();
        assert!(home.qd(["get", "runs"]).expect(4).stderr.contains("belongs to uid 4242"));
    }
}

#[test]
fn a_state_directory_that_others_reach_is_refused() {
    let home = Home::new();
    // Just made, with nothing in it but its configuration: closed to others by the first engine.
    chmod(&home.state(), 0o755);
    home.qd(["engine", "start"]).expect(0);
    home.qd(["engine", "stop"]).expect(0);
    assert_eq!(std::fs::metadata(home.state()).unwrap().permissions().mode() & 0o777, 0o700);
    // Opened later: somebody may have been in it.
    chmod(&home.state(), 0o755);
    assert!(home.qd(["engine", "start"]).expect(4).stderr.contains("chmod 700"));
    chmod(&home.state(), 0o700);
    // Somebody's home, or a directory that everybody can write, is not touched.
    for (mode, file) in [(0o755, Some("letter.txt")), (0o777, None)] {
        let other = Home::new();
        if let Some(file) = file {
            std::fs::write(other.state().join(file), "").unwrap();
        }
        chmod(&other.state(), mode);
        other.qd(["engine", "start"]).expect(4);
        assert_eq!(std::fs::metadata(other.state()).unwrap().permissions().mode() & 0o777, mode);
    }
}

#[test]
fn a_broken_site_file_is_shown_with_its_place_and_never_ignored() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    home.site("read_onyl = true\n");
    for args in [&["get", "runs"][..], &["run", "hello"], &["engine", "start"], &["engine", "run"], &["secret", "list"]] {
        let out = home.qd(args).expect(2);
        assert!(out.stderr.contains("site.toml:1:1") && out.stderr.contains("did you mean `read_only`?"), "{args:?} {out:?}");
    }
    let found = home.qd(["--json", "site", "check"]).expect(1).json();
    assert_eq!((&found["diagnostics"][0]["line"], &found["diagnostics"][0]["column"]), (&json!(1), &json!(1)));
    home.site("");
    home.qd(["engine", "start"]).expect(0);
    // Broken under a running engine: it goes on showing, and changes nothing.
    let socket = home.socket();
    home.site("read_only = maybe\n");
    let (status, answer) = crate::api::act(&socket, json!({"action": "run", "target": "hello"}));
    assert!(status == 400 && answer["error"]["message"].as_str().unwrap().contains("site.toml"), "{answer}");
    let (_, status) = crate::api::raw(&socket, "GET", "/v1/status", "");
    assert!(status["site_error"].as_str().unwrap().contains("site.toml"), "{status}");
    // Its owner can still end it.
    let out = home.qd(["engine", "stop"]).expect(0);
    assert!(out.stderr.contains("site.toml"), "{out:?}");
    home.site("");
    home.qd(["engine", "status"]).expect(3);
}

#[test]
fn files_that_everybody_can_write_are_refused_until_that_is_mended() {
    let home = Home::new();
    home.pipeline("hello", HELLO).site("");
    let file = home.config().join("pipelines/hello.yml");
    chmod(&file, 0o666);
    assert!(home.qd(["run", "hello"]).expect(4).stderr.contains("chmod o-w"));
    chmod(&file, 0o644);
    chmod(&home.config().join("pipelines"), 0o777);
    assert!(home.qd(["run", "hello"]).expect(4).stderr.contains("everybody may write"));
    chmod(&home.config().join("pipelines"), 0o755);
    chmod(&home.config().join("site.toml"), 0o646);
    assert!(home.qd(["run", "hello"]).expect(4).stderr.contains("everybody may write"));
    chmod(&home.config().join("site.toml"), 0o644);
    home.qd(["run", "hello", "--wait"]).expect(0);
}

#[test]
fn a_tampered_audit_chain_is_found_with_its_place() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    for _ in 0..3 {
        home.qd(["run", "hello", "--wait"]).expect(0);
    }
    home.qd(["get", "audit"]).expect(0);
    home.qd(["engine", "stop"]).expect(0);
    let db = rusqlite::Connection::open(home.state().join("state.db")).unwrap();
    db.execute("UPDATE audit SET name = 'somebody' WHERE seq = 2", []).unwrap();
    drop(db);
    let out = home.qd(["get", "audit"]).expect(1);
    assert!(out.stderr.contains("broken at entry 2"), "{out:?}");
    assert!(home.qd(["--json", "get", "audit"]).expect(1).json()["error"].as_str().unwrap().contains("entry 2"));
}

#[test]
fn a_refusal_that_cannot_be_recorded_is_still_a_refusal() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    home.qd(["run", "hello", "--wait"]).expect(0);
    // As a full disk would: nothing new gets into the chain.
    let db = rusqlite::Connection::open(home.state().join("state.db")).unwrap();
    db.execute_batch("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT raise(ABORT, 'no room'); END").unwrap();
    let out = home.qd(["cancel", "hello#1"]).expect(4);
    assert!(out.stderr.contains("has ended already") && out.stderr.contains("could not be recorded"), "{out:?}");
    let error = home.qd(["--json", "cancel", "hello#1"]).expect(4).json();
    assert_eq!(error["error"]["code"], "refused");
}

#[test]
fn what_the_site_file_allows_by_now_is_done_without_being_asked() {
    let home = Home::new();
    let go = home.root().join("go");
    home.site("[runner]\nexecutors = 1\n");
    home.pipeline(
        "long",
        &format!("format: 1\nname: long\nstages:\n  - name: a\n    run: while ! test -e '{}'; do sleep 0.05; done\n", go.display()),
    );
    home.qd(["run", "long"]).expect(0);
    home.qd(["run", "long"]).expect(0);
    let running = || home.json(&["get", "runs", "--filter", "state=running"])["rows"].as_array().unwrap().len();
    until("the first to run", || running() == 1);
    home.site("[runner]\nexecutors = 2\n");
    until("the second to run beside it", || running() == 2);
    std::fs::write(go, "").unwrap();
}

/// The engine dies while a supervisor is at its first lines; that one begins once the next engine has taken it over.
#[test]
fn a_step_that_begins_under_the_next_engine_is_shown_as_running() {
    let home = Home::new();
    let (go, once) = (home.root().join("go"), home.root().join("once"));
    home.pipeline(
        "long",
        &format!("format: 1\nname: long\nstages:\n  - name: a\n    run: while ! test -e '{}'; do sleep 0.05; done\n", go.display()),
    );
    let mut first = home.command(["engine", "run"]);
    first.env("QD_CRASH_AT", "shim.locked").env("QD_CRASH_SIGNAL", "STOP").env("QD_CRASH_ONCE", &once);
    let mut first = first.stdout(std::process::Stdio::null()).spawn().unwrap();
    until("the engine to listen", || home.qd(["engine", "status"]).code == 0);
    home.qd(["run", "long"]).expect(0);
    let shim: i32 =
        until_some("the supervisor to stand still", || std::fs::read_to_string(&once).ok()?.split(' ').nth(1)?.trim().parse().ok());
    kill(first.id() as i32);
    first.wait().unwrap();
    home.qd(["engine", "start"]).expect(0);
    let step = || raw(&home.socket(), "GET", "/v1/runs/long/1", "").1["stages"][0]["steps"][0]["state"].clone();
    until("it to be taken over", || {
        home.json(&["get", "executors"])["rows"].as_array().is_some_and(|r| r.iter().any(|e| e["run"] == "long#1"))
    });
    assert_eq!(step(), "claimed");
    rustix::process::kill_process(rustix::process::Pid::from_raw(shim).unwrap(), rustix::process::Signal::CONT).unwrap();
    until("it to run", || step() == "running");
    std::fs::write(go, "").unwrap();
    until("it to end", || home.json(&["get", "runs"])["rows"][0]["verdict"] == "success");
}

#[test]
fn an_upstream_trigger_starts_its_pipeline_once_for_each_end_that_it_names() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    home.pipeline("bad", "format: 1\nname: bad\nstages:\n  - name: a\n    run: exit 3\n");
    home.pipeline(
        "after",
        "format: 1\nname: after\ntriggers:\n  - upstream: hello\n    on: success\nstages:\n  - name: a\n    run: echo after\n",
    );
    home.pipeline(
        "sorry",
        "format: 1\nname: sorry\ntriggers:\n  - upstream: bad\n    on: failure\nstages:\n  - name: a\n    run: echo sorry\n",
    );
    home.qd(["run", "bad", "--wait"]).expect(1);
    home.qd(["run", "hello", "--wait"]).expect(0);
    let runs_of = |name: &str| home.json(&["get", "runs", "--filter", &format!("pipeline={name}")])["rows"].as_array().unwrap().clone();
    for name in ["after", "sorry"] {
        let rows = until_some(name, || Some(runs_of(name)).filter(|r| !r.is_empty()));
        assert_eq!((rows.len(), &rows[0]["requested_by"], &rows[0]["trigger"]), (1, &json!("upstream"), &json!("upstream")));
    }
    // The next engine looks at the same ends and starts nothing twice.
    kill(pid(&home));
    until("the engine to be gone", || home.qd(["engine", "status"]).code == 3);
    home.qd(["run", "hello", "--wait"]).expect(0);
    until("the second", || runs_of("after").len() == 2);
    assert_eq!(runs_of("sorry").len(), 1);
}

#[test]
fn a_panic_is_no_way_to_leak_and_secrets_stay_out_of_the_log_and_the_store() {
    let home = Home::new();
    let secret = home.root().join("token");
    std::fs::write(&secret, "s3cr3t-hunter2-token\n").unwrap();
    chmod(&secret, 0o600);
    home.site(&format!("[secrets]\ntoken = \"file:{}\"\n", secret.display()));
    home.pipeline("leaky", "format: 1\nname: leaky\nsecrets: [{name: token, env: true}]\nstages:\n  - name: a\n    secrets: [token]\n    run: cat \"$QD_SECRETS_DIR/token\"; echo \"$TOKEN\"\n");
    let out = home.qd(["--log-level", "trace", "run", "leaky", "--wait"]);
    assert!([0, 1].contains(&out.code), "{out:?}");
    home.qd(["engine", "stop"]).expect(0);
    let mut files = vec![home.state()];
    let mut looked = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path()));
        } else if let Ok(bytes) = std::fs::read(&path) {
            looked += 1;
            assert!(memchr::memmem::find(&bytes, b"s3cr3t-hunter2").is_none(), "{}", path.display());
        }
    }
    assert!(looked > 5);
}

#[test]
fn a_state_directory_whose_path_is_longer_than_a_socket_s_works_all_the_same() {
    let home = Home::new();
    let deep = home.root().join("d".repeat(100)).join("e".repeat(100));
    std::fs::create_dir_all(&deep).unwrap();
    let with = |args: &[&str]| {
        let mut c = std::process::Command::new(crate::support::home::EXE);
        c.arg("--state-dir").arg(deep.join("s")).args(args).env("QD_TEST_HOME", home.root());
        run(c)
    };
    with(&["engine", "start"]).expect(0);
    with(&["get", "runs"]).expect(0);
    with(&["engine", "stop"]).expect(0);
}

#[test]
fn the_site_s_command_is_told_of_each_run_that_failed_and_of_no_other() {
    let home = Home::new();
    let told = home.root().join("told");
    let script = home.root().join("tell.sh");
    std::fs::write(&script, format!("echo \"$QD_RUN $QD_VERDICT $QD_FAILED_STAGE\" >> {}\n", told.display())).unwrap();
    home.site(&format!("[on_failure]\ncommand = \"sh {}\"\n", script.display()));
    home.pipeline("hello", HELLO).pipeline("bad", "format: 1\nname: bad\nstages:\n  - name: a b\n    run: exit 3\n");
    home.qd(["run", "hello", "--wait"]).expect(0);
    home.qd(["run", "bad", "--wait"]).expect(1);
    let text = until_some("the command", || std::fs::read_to_string(&told).ok().filter(|t| t.ends_with('\n')));
    assert_eq!(text, "bad#1 failure a b\n");
}

#[test]
fn a_followed_log_outlives_its_engine() {
    let home = Home::new();
    let gate = home.root().join("gate");
    let text = "format: 1\nname: slow\nstages:\n  - name: a\n    run: echo before; while [ ! -e GATE ]; do sleep 0.05; done; echo behind\n";
    home.pipeline("slow", &text.replace("GATE", &gate.display().to_string()));
    home.qd(["run", "slow"]).expect(0);
    let mut log = home.foreground(["log", "slow#1", "--follow"]);
    log.line(|l| l == "before");
    kill(pid(&home));
    std::fs::write(&gate, "").unwrap();
    log.line(|l| l == "behind");
    assert!(log.wait().success());
}

#[test]
fn runs_that_no_rule_keeps_go_without_being_asked() {
    let home = Home::new();
    home.site("time_zone = \"UTC\"\n");
    home.pipeline("short", "format: 1\nname: short\noptions: {keep: {runs: 1}}\nstages:\n  - name: only\n    run: 'true'\n");
    for _ in 0..3 {
        home.qd(["run", "short", "--wait"]).expect(0);
    }
    // An end counts for retention once upstream triggers have looked at it.
    home.qd(["engine", "stop"]).expect(0);
    home.qd(["engine", "start"]).expect(0);
    crate::support::wait::until("the old runs to go", || {
        home.json(&["get", "runs"])["rows"].as_array().is_some_and(|rows| rows.len() == 1 && rows[0]["run"] == "short#3")
    });
    assert!(!home.state().join("runs/short/1").exists() && home.state().join("runs/short/3").exists());
}

/// The end that an engine left behind is looked at by the next one, which has many pipelines to read for that; retention comes after it.
#[test]
fn a_run_whose_end_the_last_engine_never_looked_at_goes_at_the_next_start() {
    let home = Home::new();
    home.site("time_zone = \"UTC\"\n");
    home.pipeline("short", "format: 1\nname: short\noptions: {keep: {runs: 1}}\nstages:\n  - name: only\n    run: 'true'\n");
    for n in 0..400 {
        home.pipeline(
            &format!("after-{n}"),
            &format!("format: 1\nname: after-{n}\ntriggers:\n  - {{upstream: elsewhere, on: success}}\nstages:\n  - name: only\n    run: 'true'\n"),
        );
    }
    home.qd(["run", "short", "--wait"]).expect(0);
    home.qd(["run", "short", "--wait"]).expect(0);
    kill(pid(&home));
    home.qd(["engine", "start"]).expect(0);
    until("the older run to go", || home.json(&["get", "runs"])["rows"].as_array().is_some_and(|rows| rows.len() == 1));
}

#[test]
fn a_client_that_comes_while_the_last_engine_is_ending_gets_the_next_one() {
    let home = Home::new();
    home.qd(["engine", "start"]).expect(0);
    home.qd(["engine", "stop"]).expect(0);
    let lock = std::fs::OpenOptions::new().read(true).write(true).open(home.state().join("engine.lock")).unwrap();
    // The last moment of an engine: its socket is gone, the store is still its own.
    until("the store to be free", || lock.try_lock().is_ok());
    let mut client = home.foreground(["get", "runs"]);
    let state = home.state().to_string_lossy().into_owned();
    let starting = || processes_with(&state).into_iter().any(|p| crate::support::process::command_line(p).contains("engine run"));
    until("its engine to be tried", starting);
    until("that to find the store held", || !starting());
    lock.unlock().unwrap();
    assert!(client.wait().success());
}

/// Reads the head of a request.
fn asked(stream: &mut UnixStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
}

#[test]
fn stopping_an_engine_that_is_ending_is_to_wait_for_its_end() {
    let home = Home::new();
    home.qd(["engine", "start"]).expect(0);
    let (_, status) = raw(&home.socket(), "GET", "/v1/status", "");
    home.qd(["engine", "stop"]).expect(0);
    let lock = std::fs::OpenOptions::new().read(true).write(true).open(home.state().join("engine.lock")).unwrap();
    until("the store to be free", || lock.try_lock().is_ok());
    // It dies while it is asked how it is.
    let listener = UnixListener::bind(home.socket()).unwrap();
    let mut client = home.foreground(["engine", "stop"]);
    let (mut stream, _) = listener.accept().unwrap();
    asked(&mut stream);
    std::fs::remove_file(home.socket()).unwrap();
    drop((stream, listener));
    lock.unlock().unwrap();
    assert_eq!(client.wait().code(), Some(0));
    // It dies between its answer and the request to stop.
    let listener = UnixListener::bind(home.socket()).unwrap();
    let mut client = home.foreground(["engine", "stop"]);
    let (mut stream, _) = listener.accept().unwrap();
    asked(&mut stream);
    let body = status.to_string();
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()).unwrap();
    std::fs::remove_file(home.socket()).unwrap();
    drop((stream, listener));
    assert_eq!(client.wait().code(), Some(0));
    // And where none is, none is stopped.
    home.qd(["engine", "stop"]).expect(3);
}

#[test]
fn what_an_ended_attempt_left_in_memory_goes_at_the_next_start_and_a_stranger_s_stays() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    home.qd(["run", "hello", "--wait"]).expect(0);
    home.qd(["engine", "stop"]).expect(0);
    let attempts = home.state().join("runs/hello/1/attempts");
    let dir = std::fs::read_dir(attempts).unwrap().next().unwrap().unwrap().path();
    let spec: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.join("spec.json")).unwrap()).unwrap();
    let token = spec["token"].as_str().unwrap();
    // As a shim leaves it that is killed before it can clear up.
    let plant = |name: &str| {
        let dir = std::path::Path::new("/dev/shm").join(format!("quarterdeck-{name}"));
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("key"), "value").unwrap();
        dir
    };
    let (left, stranger) = (plant(token), plant(&format!("of-nobody-{}", std::process::id())));
    home.qd(["engine", "start"]).expect(0);
    until("it to be removed", || !left.exists());
    let stays = stranger.join("key").exists();
    std::fs::remove_dir_all(&stranger).unwrap();
    assert!(stays, "what this store does not know is another's");
}

/// Killed right behind the start of a supervisor, before its row says so; then the attempt's directory is taken away. Only its processes tell.
#[test]
fn an_attempt_whose_directory_went_does_not_run_twice_while_its_processes_live() {
    let home = Home::new();
    let (count, go) = (home.root().join("count"), home.root().join("go"));
    home.pipeline(
        "once",
        &format!(
            "format: 1\nname: once\nstages:\n  - name: a\n    run: |\n      echo $$ >> {}\n      while [ ! -e {} ]; do sleep 0.05; done\n",
            count.display(),
            go.display()
        ),
    );
    let mut start = home.command(["engine", "start"]);
    start.env("QD_CRASH_AT", "runner.spawned");
    crate::support::home::run(start).expect(0);
    // The engine may die before it answers: its run is there all the same.
    home.qd(["run", "once"]);
    let starts = || std::fs::read_to_string(&count).map_or(0, |t| t.lines().count());
    until("the step", || starts() == 1);
    until("the engine to be dead", || home.qd(["engine", "status"]).code == 3);
    let attempts = home.state().join("runs/once/1/attempts");
    let dir = std::fs::read_dir(&attempts).unwrap().next().unwrap().unwrap().path();
    std::fs::rename(&dir, home.root().join("taken")).unwrap();
    home.qd(["engine", "start"]).expect(0);
    until("the reason", || home.qd(["why", "once#1"]).stdout.contains("its processes still run"));
    assert_eq!(starts(), 1, "{:?}", home.qd(["why", "once#1"]));
    std::fs::write(&go, "").unwrap();
    let row = crate::support::until_some("its end", || {
        let row = home.json(&["get", "runs"])["rows"][0].clone();
        (row["state"] == "done").then_some(row)
    });
    assert!(row["verdict"] == "lost" && row["detail"].as_str().unwrap().contains("taken away"), "{row}");
    assert_eq!(starts(), 1);
}
