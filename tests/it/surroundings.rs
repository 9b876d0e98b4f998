//! What surrounds an engine at its worst: other people, files that cannot be read or written, links, a socket or a directory taken away.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::api::HELLO;
use crate::support::home::{EXE, run};
use crate::support::{Home, Out, alive, skip, until};

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn pid(home: &Home) -> i32 {
    home.json(&["engine", "status"])["pid"].as_i64().unwrap() as i32
}

/// An ordinary user beside root, with a directory of their own below the home.
struct Other<'h> {
    home: &'h Home,
    uid: u32,
    dir: PathBuf,
}

impl<'h> Other<'h> {
    /// None, and told so, where this test cannot be two people.
    fn new(home: &'h Home, test: &str) -> Option<Self> {
        if rustix::process::getuid().as_raw() != 0 {
            skip(test, "only root can be several people");
            return None;
        }
        let uid = 65_534;
        chmod(home.root(), 0o711);
        let dir = home.root().join("other");
        std::fs::create_dir_all(dir.join("state/config/pipelines")).unwrap();
        std::fs::write(dir.join("state/config/pipelines/hello.yml"), HELLO).unwrap();
        std::fs::write(dir.join("state/config/site.toml"), "").unwrap();
        let mut todo = vec![dir.clone()];
        while let Some(path) = todo.pop() {
            chown(&path, Some(uid), Some(uid)).unwrap();
            if path.is_dir() {
                chmod(&path, 0o700);
                todo.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
            }
        }
        Some(Self { home, uid, dir })
    }

    fn state(&self) -> PathBuf {
        self.dir.join("state")
    }

    fn bare(&self, args: &[&std::ffi::OsStr]) -> Command {
        let mut c = Command::new(EXE);
        c.args(args).env_clear().env("PATH", "/usr/bin:/bin").env("QD_TEST_HOME", self.home.root());
        c.uid(self.uid).gid(self.uid).current_dir("/");
        c
    }

    fn qd(&self, state: &Path, args: &[&str]) -> Out {
        let mut all: Vec<&std::ffi::OsStr> = vec!["--state-dir".as_ref(), state.as_os_str()];
        all.extend(args.iter().map(|a| std::ffi::OsStr::new(*a)));
        run(self.bare(&all))
    }
}

#[test]
fn a_configuration_that_cannot_be_read_is_refused_and_never_taken_for_none() {
    let home = Home::new();
    let Some(other) = Other::new(&home, "a_configuration_that_cannot_be_read_is_refused_and_never_taken_for_none") else { return };
    let config = other.state().join("config");
    let told = |out: Out, path: &str| {
        let out = out.expect(4);
        assert!(out.stderr.contains(path) && out.stderr.contains("Permission denied") && out.stderr.contains("chmod u+r"), "{out:?}");
    };
    for (path, mode) in [("site.toml", 0o000), ("", 0o000), ("", 0o300)] {
        let whole = if path.is_empty() { config.clone() } else { config.join(path) };
        chmod(&whole, mode);
        for args in [&["get", "runs"][..], &["run", "hello"], &["engine", "start"], &["engine", "run"], &["secret", "list"]] {
            told(other.qd(&other.state(), args), if path.is_empty() { "config" } else { path });
        }
        chmod(&whole, 0o700);
    }
    assert!(!other.state().join("engine.sock").exists(), "nothing was started");
    // Root's, as a package installs it, and closed: who, which place and which rights are said, and what opens it.
    chown(&config, Some(0), Some(0)).unwrap();
    let no = other.qd(&other.state(), &["engine", "run"]).expect(4).stderr;
    for part in ["by uid 65534: Permission denied", "mode 0700, uid 0, gid 0", "chgrp GROUP", "chmod g+rx"] {
        assert!(no.contains(part), "{part}: {no}");
    }
    chown(&config, Some(other.uid), Some(other.uid)).unwrap();
    // A pipeline, under an engine that runs.
    for path in ["pipelines/hello.yml", "pipelines"] {
        chmod(&config.join(path), 0o000);
        told(other.qd(&other.state(), &["run", "hello"]), path);
        chmod(&config.join(path), 0o700);
    }
    other.qd(&other.state(), &["run", "hello", "--wait"]).expect(0);
    // Lint says unreadable, not refused.
    chmod(&config.join("pipelines/hello.yml"), 0o000);
    other.qd(&other.state(), &["pipeline", "lint", "hello"]).expect(2);
}

#[test]
fn nothing_is_sent_to_another_user_s_engine_and_none_is_started_in_its_place() {
    let home = Home::new();
    let Some(other) = Other::new(&home, "nothing_is_sent_to_another_user_s_engine_and_none_is_started_in_its_place") else { return };
    other.qd(&other.state(), &["run", "hello", "--wait"]).expect(0);
    home.pipeline("hello", HELLO).site("");
    // Root reaches the socket, and is another person all the same.
    let mut mine = Command::new(EXE);
    mine.arg("--state-dir").arg(other.state()).arg("--config-dir").arg(home.config()).args(["run", "hello"]);
    let no = run(mine).expect(4);
    assert!(no.stderr.contains(&format!("belongs to uid {}", other.uid)), "{no:?}");
    // The other way round the directory is closed.
    home.qd(["engine", "start"]).expect(0);
    for args in [&["run", "hello"][..], &["engine", "status"], &["engine", "start"]] {
        let no = other.qd(&home.state(), args).expect(4);
        assert!(no.stderr.contains("Permission denied") && no.stderr.contains("--state-dir"), "{args:?} {no:?}");
    }
    let config = other.state().join("config");
    let with: Vec<&std::ffi::OsStr> = vec![
        "--config-dir".as_ref(),
        config.as_os_str(),
        "--state-dir".as_ref(),
        home.state().leak().as_os_str(),
        "get".as_ref(),
        "runs".as_ref(),
    ];
    let no = run(other.bare(&with)).expect(4);
    assert!(no.stderr.contains("Permission denied"), "{no:?}");
    assert!(home.json(&["get", "runs"])["rows"].as_array().unwrap().is_empty());
    // A state directory of somebody else's that is open: root does not make it its own.
    let given = home.root().join("given");
    std::fs::create_dir(&given).unwrap();
    chmod(&given, 0o700);
    chown(&given, Some(other.uid), Some(other.uid)).unwrap();
    let mut mine = Command::new(EXE);
    mine.arg("--state-dir").arg(&given).args(["engine", "start"]).env("QD_TEST_HOME", home.root());
    assert!(run(mine).expect(4).stderr.contains("belongs to uid"));
    assert_eq!(std::fs::read_dir(&given).unwrap().count(), 0);
}

#[test]
fn a_store_of_a_newer_version_is_left_as_it_is() {
    let home = Home::new();
    home.pipeline("hello", HELLO);
    home.qd(["run", "hello", "--wait"]).expect(0);
    home.qd(["engine", "stop"]).expect(0);
    let db = rusqlite::Connection::open(home.state().join("state.db")).unwrap();
    db.execute_batch("PRAGMA user_version = 999; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(db);
    let before = std::fs::read(home.state().join("state.db")).unwrap();
    for args in [&["engine", "run"][..], &["engine", "start"], &["get", "runs"], &["run", "hello"]] {
        let no = home.qd(args).expect(4);
        assert!(no.stderr.contains("schema 999") && no.stderr.contains("nothing was changed"), "{args:?} {no:?}");
    }
    assert!(before == std::fs::read(home.state().join("state.db")).unwrap());
}

#[test]
fn a_home_that_cannot_be_written_is_said_with_what_to_do() {
    let home = Home::new();
    let Some(other) = Other::new(&home, "a_home_that_cannot_be_written_is_said_with_what_to_do") else { return };
    // Root's: everybody may look, nobody else may write.
    let closed = home.root().join("home");
    std::fs::create_dir_all(&closed).unwrap();
    chmod(&closed, 0o755);
    for (args, code) in [(&["get", "runs"][..], 3), (&["engine", "run"], 3), (&["site", "init"], 2)] {
        let mut c = other.bare(&args.iter().map(|a| std::ffi::OsStr::new(*a)).collect::<Vec<_>>());
        c.env("HOME", &closed);
        let no = run(c).expect(code);
        let path = closed.display().to_string();
        assert!(no.stderr.contains(&path) && no.stderr.contains("Permission denied"), "{args:?} {no:?}");
        assert!(no.stderr.contains(if args[0] == "site" { "--config-dir" } else { "--state-dir" }), "{args:?} {no:?}");
    }
    assert_eq!(std::fs::read_dir(&closed).unwrap().count(), 0);
    // With a directory that can be written everything works.
    let mut c = other.bare(&["--state-dir".as_ref(), other.state().as_os_str(), "run".as_ref(), "hello".as_ref(), "--wait".as_ref()]);
    c.env("HOME", &closed);
    run(c).expect(0);
}

#[test]
fn a_home_that_depends_on_where_one_stands_is_no_home() {
    let home = Home::new();
    let mut c = home.command(["--version"]);
    let mut bare = Command::new(EXE);
    bare.args(["get", "runs"]).env_clear().envs(c.get_envs().filter_map(|(k, v)| Some((k, v?)))).env("HOME", "relative");
    let no = run({
        bare.current_dir(home.root());
        bare
    })
    .expect(2);
    assert!(no.stderr.contains("no home directory") && no.stderr.contains("HOME to an absolute path"), "{no:?}");
    assert!(!home.root().join("relative").exists());
    c.env("HOME", "relative");
    run(c).expect(0);
}

/// Takes connections and says nothing, as a stopped engine does; how many came.
fn mute(home: &Home) -> std::sync::Arc<std::sync::atomic::AtomicUsize> {
    let listener = std::os::unix::net::UnixListener::bind(home.socket()).unwrap();
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen = count.clone();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept() {
            seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            held.push(stream);
        }
    });
    count
}

#[test]
fn an_engine_that_says_nothing_is_waited_for_once() {
    std::thread::scope(|scope| {
        for (args, words) in [
            (&["get", "runs"][..], "gave no answer"),
            (&["engine", "status"], "gave no answer"),
            (&["run", "hello"], "nobody knows whether it was done"),
            (&["log", "hello#1"], "gave no answer"),
            (&["why", "hello#1"], "gave no answer"),
        ] {
            scope.spawn(move || {
                let home = Home::new();
                home.pipeline("hello", HELLO);
                let asked = mute(&home);
                let no = home.qd(args.iter().copied()).expect(3);
                assert!(no.stderr.contains(words) && no.stderr.contains("may be stopped"), "{args:?} {no:?}");
                assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1, "{args:?}");
            });
        }
    });
}

#[test]
fn an_engine_whose_socket_was_deleted_makes_it_again() {
    let home = Home::new();
    home.qd(["engine", "start"]).expect(0);
    let first = pid(&home);
    for _ in 0..2 {
        std::fs::remove_file(home.socket()).unwrap();
        assert_eq!(home.json(&["engine", "start"])["pid"], json!(first), "the engine that lives is found again");
    }
    // Put aside under another name, with something else in its place: that is nobody's to remove.
    std::fs::rename(home.socket(), home.state().join("aside")).unwrap();
    until("the socket to be there again", || home.socket().exists());
    std::fs::remove_file(home.socket()).unwrap();
    std::fs::create_dir(home.socket()).unwrap_or_else(|_| {
        // The engine was faster.
        std::fs::remove_file(home.socket()).unwrap();
        std::fs::create_dir(home.socket()).unwrap();
    });
    assert!(home.qd(["get", "runs"]).expect(4).stderr.contains("is not a socket"));
    std::fs::remove_dir(home.socket()).unwrap();
    until("the socket to be there again", || home.qd(["engine", "status"]).code == 0);
    assert_eq!(pid(&home), first);
    home.qd(["engine", "stop"]).expect(0);
    assert!(!home.socket().exists());
}

#[test]
fn an_engine_whose_state_directory_was_taken_away_ends() {
    let home = Home::new();
    home.qd(["engine", "start"]).expect(0);
    let first = pid(&home);
    std::fs::rename(home.state(), home.root().join("moved")).unwrap();
    until("the engine to end", || !alive(first));
}

#[test]
fn fourteen_files_of_the_engine_s_log_are_kept() {
    let home = Home::new();
    let logs = home.state().join("logs");
    std::fs::create_dir(&logs).unwrap();
    chmod(&home.state(), 0o700);
    // Their age is the file system's word, whose clock ticks a few hundred times a second: each gets a tick of its own.
    let mut last = None;
    for day in 1..=20 {
        let file = logs.join(format!("engine.2020-01-{day:02}.log"));
        until("the next tick", || {
            let _ = std::fs::remove_file(&file);
            std::fs::write(&file, "old\n").unwrap();
            let born = std::fs::metadata(&file).unwrap().created().ok();
            born.is_none() || born > last
        });
        last = std::fs::metadata(&file).unwrap().created().ok();
    }
    std::fs::write(logs.join("panic-20200101T000000Z-1.txt"), "a report\n").unwrap();
    home.qd(["engine", "start"]).expect(0);
    let mut names: Vec<String> = std::fs::read_dir(&logs).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert!(names.iter().any(|n| n.starts_with("panic-")), "a report is no log: {names:?}");
    names.retain(|n| n.starts_with("engine."));
    assert_eq!(names.len(), 14, "{names:?}");
    assert!(names.contains(&"engine.2020-01-20.log".to_owned()) && !names.contains(&"engine.2020-01-01.log".to_owned()), "{names:?}");
}

#[test]
fn a_state_directory_behind_a_link_is_the_same_store_under_both_names() {
    let home = Home::new();
    home.pipeline("hello", HELLO).site("");
    chmod(&home.state(), 0o700);
    let link = home.root().join("link");
    symlink(home.state(), &link).unwrap();
    let through = |args: &[&str]| {
        let mut c = Command::new(EXE);
        c.arg("--json").arg("--state-dir").arg(&link).args(args).env("QD_TEST_HOME", home.root());
        run(c)
    };
    assert_eq!(through(&["run", "hello", "--wait"]).expect(0).json()["run"], "hello#1");
    assert_eq!(home.json(&["engine", "status"])["pid"], through(&["engine", "status"]).expect(0).json()["pid"]);
    assert!(through(&["log", "hello#1"]).expect(0).stdout.contains("hello"));
    through(&["engine", "stop"]).expect(0);
    // A link on the way to a directory that is not there yet.
    symlink(home.root(), home.root().join("way")).unwrap();
    let mut c = Command::new(EXE);
    c.arg("--state-dir").arg(home.root().join("way/fresh")).args(["engine", "start"]).env("QD_TEST_HOME", home.root());
    run(c).expect(0);
    // A link that leads nowhere is no directory that may be made.
    std::fs::remove_file(&link).unwrap();
    symlink(home.root().join("gone"), &link).unwrap();
    let no = through(&["engine", "start"]).expect(4);
    assert!(no.stdout.contains("is a link") && !home.root().join("gone").exists(), "{no:?}");
}

/// The old engine gives its socket back before its store: who comes in between must not wait for a socket that nobody will make.
#[test]
fn a_store_that_its_engine_is_just_giving_back_gets_the_next_engine() {
    let home = Home::new();
    let options = quarterdeck::store::OpenOptionsStore { dir: home.state(), network_state: false, now_us: 1, boot_id: "b".into() };
    let store = quarterdeck::store::Store::open(&options).unwrap();
    let command = home.command(["get", "runs"]);
    let client = std::thread::spawn(move || run(command));
    let mark = home.root().to_string_lossy().into_owned();
    let engines = || {
        crate::support::processes_with(&mark)
            .into_iter()
            .filter(|p| crate::support::process::command_line(*p).contains("--detached"))
            .count()
    };
    until("the client to start an engine", || engines() > 0);
    until("that engine to find the store held", || engines() == 0);
    drop(store);
    client.join().unwrap().expect(0);
}

#[test]
fn a_umask_that_closes_files_to_their_owner_closes_none_of_ours() {
    let home = Home::new();
    let Some(other) = Other::new(&home, "a_umask_that_closes_files_to_their_owner_closes_none_of_ours") else { return };
    let state = other.dir.join("new");
    let closed = |args: &[&str]| {
        let line = format!("umask 777; exec '{EXE}' --state-dir '{}' {}", state.display(), args.join(" "));
        let mut c = Command::new("/bin/sh");
        c.args(["-c", &line]).env_clear().env("PATH", "/usr/bin:/bin").env("QD_TEST_HOME", home.root());
        c.uid(other.uid).gid(other.uid).current_dir("/");
        run(c)
    };
    closed(&["site", "init"]).expect(0);
    closed(&["site", "check"]).expect(0);
    std::fs::write(state.join("config/pipelines/hello.yml"), HELLO).unwrap();
    chown(state.join("config/pipelines/hello.yml"), Some(other.uid), Some(other.uid)).unwrap();
    closed(&["run", "hello", "--wait"]).expect(0);
}

/// Runs a command as the other user under limits of the shell.
fn limited(other: &Other<'_>, limits: &str, args: &str) -> Out {
    let line = format!("{limits}; exec '{EXE}' --state-dir '{}' {args}", other.state().display());
    let mut c = Command::new("/bin/bash");
    c.args(["-c", &line]).env_clear().env("PATH", "/usr/bin:/bin").env("QD_TEST_HOME", other.home.root());
    c.uid(other.uid).gid(other.uid).current_dir("/");
    run(c)
}

#[test]
fn a_machine_that_gives_too_little_is_named_before_anything_starts() {
    let home = Home::new();
    let Some(other) = Other::new(&home, "a_machine_that_gives_too_little_is_named_before_anything_starts") else { return };
    let out = limited(&other, "ulimit -n 40", "run hello --wait").expect(3);
    assert!(out.stderr.contains("may open 40 files at once") && out.stderr.contains("ulimit -n"), "{out:?}");
    let out = limited(&other, "ulimit -u 1", "run hello --wait").expect(3);
    assert!(out.stderr.contains("threads") && out.stderr.contains("ulimit -u") && !out.stderr.contains("panicked"), "{out:?}");
    assert!(!other.state().join("state.db").exists(), "nothing was begun");
    // A soft limit is not the end of it.
    limited(&other, "ulimit -Sn 40", "run hello --wait").expect(0);
}

#[test]
fn a_state_directory_too_deep_for_the_database_is_refused_with_the_reason() {
    let home = Home::new();
    let deep = home.root().join(["d".repeat(100).as_str(); 5].join("/"));
    let mut c = Command::new(EXE);
    c.arg("--state-dir").arg(&deep).args(["engine", "start"]).env_clear().env("QD_TEST_HOME", home.root());
    let out = run(c).expect(4);
    assert!(out.stderr.contains("path of the state directory") && out.stderr.contains("--state-dir"), "{out:?}");
}
