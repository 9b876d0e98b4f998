//! `doctor` against real homes: no engine, broken files, what the site file names; and `/metrics` by a strict reader of the format.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use crate::support::home::run;
use crate::support::{Foreground, Home, free_port, have_program, http, kill, skip, until};

fn rows(home: &Home, code: i32) -> Vec<Value> {
    let doc = home.qd(["--json", "doctor"]).expect(code).json();
    assert_eq!(doc["what"], "doctor");
    for row in doc["rows"].as_array().unwrap() {
        let state = row["state"].as_str().unwrap();
        assert!(["ok", "warn", "fail", "unknown"].contains(&state), "{row}");
        assert!(!row["check"].as_str().unwrap().is_empty() && !row["found"].as_str().unwrap().is_empty(), "{row}");
        assert!(state == "ok" || !row["help"].as_str().unwrap().is_empty(), "{row}");
    }
    doc["rows"].as_array().unwrap().clone()
}

#[track_caller]
fn row<'a>(rows: &'a [Value], check: &str) -> &'a Value {
    rows.iter().find(|r| r["check"] == check).unwrap_or_else(|| panic!("no {check} in {rows:#?}"))
}

#[track_caller]
fn says(rows: &[Value], check: &str, state: &str, words: &str) {
    let r = row(rows, check);
    assert!(r["state"] == state && r.to_string().contains(words), "{r}");
}

const HELLO: &str = "format: 1\nname: hello\nstages:\n  - name: a\n    run: echo hello\n";

#[test]
fn a_store_that_was_found_damaged_is_told_until_somebody_decides() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    home.qd(["run", "hello", "--wait"]).expect(0);
    home.qd(["engine", "stop"]).expect(0);
    let db = home.state().join("state.db");
    until("the engine has ended", || !home.socket().exists());
    // Before any engine has met it, and without one.
    says(&rows(&home, 0), "store", "ok", "whole");
    let whole = std::fs::read(&db).unwrap();
    rusqlite::Connection::open(&db).unwrap().execute_batch("PRAGMA user_version = 9999").unwrap();
    says(&rows(&home, 1), "store", "fail", "schema 9999");
    std::fs::write(&db, &whole[..whole.len() / 2]).unwrap();
    let all = rows(&home, 1);
    says(&all, "store", "fail", "is damaged");
    says(&all, "store", "fail", "backups/");
    assert_eq!(std::fs::read(&db).unwrap(), &whole[..whole.len() / 2], "it is left where it is");
    std::fs::write(&db, "no database").unwrap();
    let no = home.qd(["get", "runs"]).expect(3);
    assert!(no.stderr.contains("is damaged"), "{no:?}");
    let all = rows(&home, 1);
    says(&all, "store", "fail", "moved aside");
    says(&all, "store", "fail", "backups/");
    std::fs::remove_file(home.state().join("state.db.damaged.txt")).unwrap();
    assert!(rows(&home, 0).iter().all(|r| r["check"] != "store"));
}

#[test]
fn a_command_that_tells_people_is_looked_for_before_it_is_needed() {
    let home = Home::new();
    let page = home.root().join("page");
    let site = |failure: &str| format!("[on_failure]\ncommand = \"{failure} --now\"\n[notify.room]\ncommand = \"qd-no-such-program x\"\n");
    home.site(&site(page.to_str().unwrap())).pipeline("hello", HELLO);
    let all = rows(&home, 1);
    says(&all, "on_failure", "fail", "nobody would be told");
    says(&all, "notify room", "fail", "correct [notify.room] command");
    // There, and not to be run.
    std::fs::write(&page, "#!/bin/sh\n").unwrap();
    says(&rows(&home, 1), "on_failure", "fail", "make it executable");
    std::fs::set_permissions(&page, std::fs::Permissions::from_mode(0o755)).unwrap();
    says(&rows(&home, 1), "on_failure", "ok", "is there");
    home.site(&site("sh").replace("qd-no-such-program", "sh"));
    let all = rows(&home, 0);
    says(&all, "on_failure", "ok", "sh is there");
    says(&all, "notify room", "ok", "sh is there");
}

#[test]
fn without_an_engine_it_judges_the_machine_and_the_site_and_starts_nothing() {
    let home = Home::new();
    home.site("time_zone = \"Europe/Berlin\"\n").pipeline("hello", HELLO);
    let all = rows(&home, 0);
    says(&all, "state-directory", "ok", "mode 0700");
    says(&all, "file-system", "ok", "local");
    says(&all, "terminal", "unknown", "no terminal");
    says(&all, "configuration", "ok", "site.toml");
    says(&all, "pipelines", "ok", "1 of 1");
    says(&all, "socket", "ok", "no engine runs");
    says(&all, "engine", "ok", "none runs");
    for check in ["disk-space", "inodes", "clock", "time-zone", "linger", "containment"] {
        row(&all, check);
    }
    says(&all, "containment", row(&all, "containment")["state"].as_str().unwrap(), "an engine that is started from here");
    assert!(!home.socket().exists(), "nothing was started");
    home.qd(["engine", "start"]).expect(0);
    let all = rows(&home, 0);
    // What the engine has is what its steps get.
    home.qd(["run", "hello", "--wait"]).expect(0);
    let attempts = std::fs::read_dir(home.state().join("runs/hello/1/attempts")).unwrap();
    let started = std::fs::read(attempts.flatten().next().unwrap().path().join("started.json")).unwrap();
    let got = serde_json::from_slice::<Value>(&started).unwrap()["containment"].as_str().unwrap().to_owned();
    let (state, words) = match got.as_str() {
        "systemd-scope" => ("ok", "the engine's steps: a systemd scope"),
        "cgroup" => ("ok", "the engine's steps: a cgroup of its own"),
        other => ("warn", if other == "subreaper" { "the engine's steps: session and subreaper only" } else { panic!("{got}") }),
    };
    says(&all, "containment", state, words);
    says(&all, "socket", "ok", "answers");
    says(&all, "engine", "ok", "pid ");
    home.qd(["engine", "drain"]).expect(0);
    says(&rows(&home, 0), "engine", "warn", "drain --off");
    let text = home.qd(["doctor"]).expect(0).stdout;
    assert!(text.contains(&format!("-> {}", home.named("engine drain --off"))) && text.contains(" checks: "), "{text}");
}

#[test]
fn broken_files_are_rows_and_no_reason_to_stop() {
    let home = Home::new();
    home.site("time_zon = \"UTC\"\n").pipeline("hello", HELLO);
    let all = rows(&home, 1);
    says(&all, "configuration", "fail", "did you mean `time_zone`");
    row(&all, "containment");
    home.site("").pipeline("bad", "format: 1\nname: bad\nstages:\n  - name: a\n    rum: x\n");
    let all = rows(&home, 1);
    says(&all, "pipeline bad", "fail", "pipeline lint bad");
    says(&all, "pipelines", "ok", "1 of 2");
    std::fs::set_permissions(home.config().join("site.toml"), std::fs::Permissions::from_mode(0o666)).unwrap();
    says(&rows(&home, 1), "configuration", "fail", "chmod o-w");
    std::fs::set_permissions(home.config().join("site.toml"), std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::remove_file(home.config().join("pipelines/bad.yml")).unwrap();
    std::fs::set_permissions(home.state(), std::fs::Permissions::from_mode(0o750)).unwrap();
    says(&rows(&home, 1), "state-directory", "fail", "chmod 700");
}

#[test]
fn secrets_and_far_ends_are_asked_and_nothing_is_shown_of_what_they_say() {
    let home = Home::new();
    let good = home.root().join("good");
    std::fs::write(&good, "a-good-value-of-a-secret").unwrap();
    std::fs::set_permissions(&good, std::fs::Permissions::from_mode(0o600)).unwrap();
    let serve = |status: &'static str, date: &'static str| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().take(1).flatten() {
                use std::io::{BufRead, Write};
                let mut lines = std::io::BufReader::new(&stream).lines();
                while lines.next().is_some_and(|l| l.is_ok_and(|l| !l.is_empty())) {}
                let head = format!("HTTP/1.1 {status}\r\ndate: {date}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = (&stream).write_all(head.as_bytes());
            }
        });
        port
    };
    let (past, gone, shut) =
        (serve("200 OK", "Wed, 21 Oct 2015 07:28:00 GMT"), serve("404 Not Found", "Wed, 21 Oct 2015 07:28:00 GMT"), free_port());
    home.site(&format!(
        "[secrets]\ngood = \"file:{}\"\nnone = \"env:QD_NO_SUCH\"\n[repos.past]\nupstream = [\"http://127.0.0.1:{past}/x\"]\n[repos.gone]\nupstream = [\"http://127.0.0.1:{gone}/\"]\n[repos.shut]\nupstream = [\"http://127.0.0.1:{shut}/\"]\n",
        good.display()
    ));
    home.pipeline("hello", HELLO);
    let all = rows(&home, 1);
    says(&all, "secret good", "ok", "can have it");
    says(&all, "secret none", "fail", "QD_NO_SUCH");
    says(&all, &format!("far-end http://127.0.0.1:{past}/x/repodata/repomd.xml"), "ok", "answers");
    says(&all, &format!("far-end http://127.0.0.1:{gone}/repodata/repomd.xml"), "fail", "repository gone");
    says(&all, &format!("far-end http://127.0.0.1:{shut}/repodata/repomd.xml"), "fail", "repository shut");
    says(&all, "clock-skew", "fail", "ahead of 1 far ends");
    assert!(!format!("{all:?}").contains("a-good-value"), "{all:?}");
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_told_and_a_server_that_is_silent_holds_nothing_up() {
    if !have_program("openssl") {
        return skip("doctor.certificate", "there is no openssl");
    }
    let home = Home::new();
    let www = home.root().join("www");
    std::fs::create_dir_all(www.join("repodata")).unwrap();
    std::fs::write(www.join("repodata/repomd.xml"), "<repomd/>").unwrap();
    let mut make = Command::new("openssl");
    make.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "3"]);
    make.args(["-subj", "/CN=quarterdeck test", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]);
    make.current_dir(&www);
    run(make).expect(0);
    let port = free_port();
    let mut server = Command::new("openssl");
    server.args(["s_server", "-accept", &format!("127.0.0.1:{port}"), "-cert", "cert.pem", "-key", "key.pem", "-WWW", "-quiet"]);
    let _server = Foreground::start({
        server.current_dir(&www).env("QD_TEST_HOME", home.root());
        server
    });
    until("the server", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let quiet = silent.local_addr().unwrap().port();
    home.site(&format!(
        "[repos.tls]\nupstream = [\"https://127.0.0.1:{port}/\"]\n[repos.quiet]\nupstream = [\"http://127.0.0.1:{quiet}/\"]\n"
    ));
    let all = rows(&home, 1);
    says(&all, &format!("far-end https://127.0.0.1:{port}/repodata/repomd.xml"), "fail", "certificate");
    says(&all, &format!("far-end http://127.0.0.1:{quiet}/repodata/repomd.xml"), "fail", "repository quiet");
    let mut trusting = home.command(["--json", "doctor"]);
    trusting.env("SSL_CERT_FILE", www.join("cert.pem"));
    let all = run(trusting).json()["rows"].as_array().unwrap().clone();
    says(&all, &format!("far-end https://127.0.0.1:{port}/repodata/repomd.xml"), "ok", "certificate is good");
}

/// One line of the exposition, split; panics where the format does not allow it.
fn sample(line: &str) -> (String, Vec<(String, String)>, f64) {
    let name_end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no value: {line}"));
    let name = &line[..name_end];
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    assert!(name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit()), "{line}");
    let mut rest = &line[name_end..];
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        let mut chars = inside.char_indices().peekable();
        let close = loop {
            let (start, _) = *chars.peek().unwrap();
            while chars.next_if(|(_, c)| c.is_ascii_alphanumeric() || *c == '_').is_some() {}
            let label = inside[start..chars.peek().unwrap().0].to_owned();
            assert!(label.starts_with(|c: char| c.is_ascii_alphabetic()) && !label.starts_with("__"), "{line}");
            assert_eq!((chars.next().unwrap().1, chars.next().unwrap().1), ('=', '"'), "{line}");
            let mut value = String::new();
            loop {
                match chars.next().unwrap_or_else(|| panic!("open label: {line}")).1 {
                    '"' => break,
                    '\\' => match chars.next().unwrap().1 {
                        'n' => value.push('\n'),
                        c @ ('\\' | '"') => value.push(c),
                        c => panic!("\\{c} is no escape: {line}"),
                    },
                    c => value.push(c),
                }
            }
            labels.push((label, value));
            match chars.next().unwrap() {
                (_, ',') => {}
                (i, '}') => break i,
                (_, c) => panic!("`{c}`: {line}"),
            }
        };
        rest = &inside[close + 1..];
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("no blank: {line}"));
    (name.to_owned(), labels, value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
}

type Sample = (String, Vec<(String, String)>, f64);

/// The whole page by the rules of the format and of naming: help and type first, families whole, no sample twice, counters and histograms sound.
fn page(home: &Home) -> Vec<Sample> {
    let answer = http::unix(&home.socket(), "GET", "/metrics", None).unwrap();
    assert_eq!(answer.status, 200);
    let text = String::from_utf8(answer.body).unwrap();
    assert!(text.ends_with('\n') && !text.contains('\r'));
    let (mut all, mut families): (Vec<Sample>, Vec<(String, String)>) = Default::default();
    let mut helped = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            helped = rest.split_once(' ').expect("a help text").0.to_owned();
            assert!(families.iter().all(|(n, _)| *n != helped), "{helped} twice");
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, helped, "type without help");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(name.starts_with("quarterdeck_") && (kind == "counter") == name.ends_with("_total"), "{line}");
            assert!(!["_ms", "_us", "_count", "_sum", "_bucket", "_kib", "_minutes"].iter().any(|s| name.ends_with(s)), "{line}");
            families.push((name.to_owned(), kind.to_owned()));
            continue;
        }
        let (name, labels, value) = sample(line);
        let (family, kind) = families.last().expect("a type");
        let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        assert!(suffixes.iter().any(|s| name == format!("{family}{s}")), "{line} in {family}");
        assert!(kind == "gauge" || value >= 0.0, "{line}");
        assert!(!all.iter().any(|(n, l, _)| *n == name && *l == labels), "twice: {line}");
        all.push((name, labels, value));
    }
    let mut last: Option<(Vec<(String, String)>, f64)> = None;
    for (name, labels, value) in all.iter().filter(|(n, _, _)| n.ends_with("_bucket")) {
        let rest: Vec<_> = labels.iter().filter(|(l, _)| l != "le").cloned().collect();
        if let Some((before, so_far)) = last.as_ref().filter(|(b, _)| *b == rest) {
            assert!(value >= so_far, "{name} {before:?}: buckets only grow");
        }
        if labels.iter().any(|(l, v)| l == "le" && v == "+Inf") {
            let count = name.replace("_bucket", "_count");
            assert!(all.iter().any(|(n, l, v)| *n == count && *l == rest && v == value), "{name}: +Inf is the count");
        }
        last = Some((rest, *value));
    }
    all
}

fn value(all: &[Sample], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    all.iter().find(|(n, l, _)| n == name && labels.iter().all(|(k, v)| l.iter().any(|(a, b)| a == k && b == v))).map(|s| s.2)
}

#[test]
fn metrics_are_sound_count_each_end_once_and_never_go_back() {
    let home = Home::new();
    home.site("[secrets]\ngone = \"env:QD_NO_SUCH\"\n").pipeline("hello", HELLO);
    home.pipeline("bad", "format: 1\nname: bad\nstages:\n  - name: a\n    run: exit 3\n");
    home.pipeline("waits", "format: 1\nname: waits\nsecrets: [gone]\nstages:\n  - name: a\n    secrets: [gone]\n    run: echo x\n");
    home.qd(["engine", "start"]).expect(0);
    page(&home);
    for _ in 0..3 {
        home.qd(["run", "hello", "--wait"]).expect(0);
    }
    home.qd(["run", "bad", "--wait"]).expect(1);
    home.qd(["run", "waits"]).expect(0);
    until("the run to wait", || value(&page(&home), "quarterdeck_runs_blocked", &[("reason", "secret")]) == Some(1.0));
    let all = page(&home);
    let ended = |all: &[Sample], p: &str, v: &str| value(all, "quarterdeck_runs_ended_total", &[("pipeline", p), ("verdict", v)]);
    assert_eq!((ended(&all, "hello", "success"), ended(&all, "bad", "failure")), (Some(3.0), Some(1.0)));
    assert_eq!(value(&all, "quarterdeck_run_duration_seconds_count", &[("pipeline", "hello")]), Some(3.0));
    assert_eq!(value(&all, "quarterdeck_queue_length", &[]), Some(1.0));
    assert_eq!(value(&all, "quarterdeck_executors", &[]), Some(2.0));
    assert_eq!(value(&all, "quarterdeck_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
    assert_eq!(value(&all, "quarterdeck_log_bytes_total", &[]), Some(18.0), "three times hello");
    assert!(value(&all, "quarterdeck_audit_entries_total", &[]).unwrap() >= 5.0);
    assert!(value(&all, "quarterdeck_store_size_bytes", &[("part", "database")]).unwrap() > 0.0);
    // An engine that dies forgets nothing.
    let pid = home.json(&["engine", "status"])["pid"].as_i64().unwrap() as i32;
    kill(pid);
    until("the engine to be gone", || home.qd(["engine", "status"]).code == 3);
    home.qd(["run", "hello", "--wait"]).expect(0);
    let all = page(&home);
    assert_eq!((ended(&all, "hello", "success"), ended(&all, "bad", "failure")), (Some(4.0), Some(1.0)));
    assert_eq!(value(&all, "quarterdeck_queue_length", &[]), Some(1.0));
    home.qd(["cancel", "waits#1"]).expect(0);
}
