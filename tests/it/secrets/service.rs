//! A session bus with GNOME Keyring on it, and an engine that was started in that session.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::{KEEP, blocked, seen, with_input};
use crate::support::home::run;
use crate::support::{Home, have_program, skip, until};

/// Both daemons end with the value.
struct Session {
    bus: Child,
    keyring: Option<Child>,
    socket: PathBuf,
    runtime: PathBuf,
    home: PathBuf,
}

impl Session {
    fn start(home: &Home) -> Self {
        let runtime = home.root().join("run");
        std::fs::create_dir(&runtime).unwrap();
        std::fs::set_permissions(&runtime, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let socket = runtime.join("bus");
        // No service files: a keyring that the bus starts by itself would be locked, and in the way of the test's own.
        let config = runtime.join("bus.conf");
        let text = format!(
            "<busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth><policy context=\"default\">\
             <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>",
            socket.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut bus = Command::new("dbus-daemon");
        bus.args(["--nofork", "--nopidfile", "--nosyslog"]).arg(format!("--config-file={}", config.display()));
        bus.env("QD_TEST_HOME", home.root()).env("HOME", home.root()).env("XDG_RUNTIME_DIR", &runtime);
        let bus = bus.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut session = Self { bus, keyring: None, socket, runtime, home: home.root().to_owned() };
        until("the session bus", || session.socket.exists());
        session.unlock();
        session
    }

    fn inside(&self, mut command: Command) -> Command {
        command.env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", self.socket.display()));
        command.env("XDG_RUNTIME_DIR", &self.runtime).env("QD_TEST_HOME", &self.home).env("HOME", &self.home);
        command
    }

    /// Starts the keyring with its collection open, in place of one that runs: an open session is the only way to unlock without a person.
    fn unlock(&mut self) {
        if let Some(mut old) = self.keyring.take() {
            old.kill().unwrap();
            old.wait().unwrap();
        }
        let mut daemon = self.inside(Command::new("gnome-keyring-daemon"));
        daemon.args(["--unlock", "--components=secrets", "--foreground"]);
        let mut child = daemon.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"keyring-password").unwrap();
        self.keyring = Some(child);
        let property = ["string:org.freedesktop.Secret.Collection", "string:Locked"];
        until("the login collection to be open", || self.call("org.freedesktop.DBus.Properties.Get", &property).contains("boolean false"));
    }

    fn lock(&self) {
        let mut send = self.inside(Command::new("dbus-send"));
        send.args(["--session", "--print-reply", "--dest=org.freedesktop.secrets", "/org/freedesktop/secrets"]);
        send.args(["org.freedesktop.Secret.Service.Lock", "array:objpath:/org/freedesktop/secrets/collection/login"]);
        run(send).expect(0);
    }

    fn call(&self, method: &str, args: &[&str]) -> String {
        let mut send = self.inside(Command::new("dbus-send"));
        send.args(["--session", "--print-reply", "--dest=org.freedesktop.secrets", "/org/freedesktop/secrets/collection/login", method]);
        run({
            send.args(args);
            send
        })
        .stdout
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for child in [self.keyring.as_mut(), Some(&mut self.bus)].into_iter().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn session(name: &str, home: &Home) -> Option<Session> {
    for program in ["dbus-daemon", "dbus-send", "gnome-keyring-daemon"] {
        if !have_program(program) {
            skip(name, &format!("there is no {program}"));
            return None;
        }
    }
    Some(Session::start(home))
}

#[test]
fn a_secret_is_set_used_and_rotated_in_the_secret_service() {
    let home = Home::new();
    let Some(session) = session("secrets.secret_service", &home) else { return };
    home.site("[secrets]\ntoken = \"keyring:team/token\"\n").pipeline("keep", KEEP);
    run(session.inside(home.command(["--log-level", "trace", "engine", "start"]))).expect(0);
    // Absent: said, and the run waits.
    let out = home.qd(["secret", "test"]).expect(1).stdout;
    assert!(out.contains("no entry team/token") && out.contains("quarterdeck secret set token"), "{out}");
    home.qd(["run", "keep"]).expect(0);
    assert!(blocked(&home, "keep#1").contains("no entry team/token"));
    // Set: the waiting run goes on by itself.
    let out = with_input(home.command(["secret", "set", "token", "--reason", "first"]), "first-secret-value\n").expect(0);
    assert!(out.stdout.contains("`token` is set") && !out.stdout.contains("first-secret"), "{out:?}");
    home.qd(["secret", "test", "token"]).expect(0);
    until("the first run", || seen(&home, 1).as_deref() == Some("first-secret-value"));
    // Rotated: the next attempt has the new one.
    with_input(home.command(["secret", "set", "token"]), "second-secret-value").expect(0);
    home.qd(["run", "keep", "--wait"]).expect(0);
    assert_eq!(seen(&home, 2).as_deref(), Some("second-secret-value"));
    let said = home.qd(["secret", "get", "token"]).expect(0).stdout + &home.qd(["secret", "list"]).expect(0).stdout;
    assert!(said.contains("keyring:team/token") && !said.contains("secret-value"), "{said}");
    let audit = home.json(&["get", "audit", "--filter", "action=secret-set"])["rows"].clone();
    let results: Vec<_> =
        audit.as_array().unwrap().iter().map(|r| (r["subject"].as_str().unwrap(), r["result"].as_str().unwrap())).collect();
    assert_eq!(results.iter().filter(|r| **r == ("token", "done")).count(), 2, "{results:?}");
    assert_eq!(results.iter().filter(|r| **r == ("token", "begun")).count(), 2, "{results:?}");
    home.qd(["engine", "stop"]).expect(0);
    for value in ["first-secret-value", "second-secret-value"] {
        super::i8::assert_nowhere(&home, value, &["seen.1", "seen.2"]);
    }
}

#[test]
fn a_locked_keyring_blocks_the_run_and_hangs_nothing() {
    let home = Home::new();
    let Some(mut session) = session("secrets.locked", &home) else { return };
    home.site("[secrets]\ntoken = \"keyring:token\"\n").pipeline("keep", KEEP);
    home.pipeline("plain", "format: 1\nname: plain\nstages:\n  - name: a\n    run: echo hello\n");
    run(session.inside(home.command(["engine", "start"]))).expect(0);
    with_input(home.command(["secret", "set", "token"]), "a-locked-up-value").expect(0);
    session.lock();
    home.qd(["run", "keep"]).expect(0);
    let why = blocked(&home, "keep#1");
    assert!(why.contains("locked"), "{why}");
    // Others go on beside it.
    home.qd(["run", "plain", "--wait"]).expect(0);
    let out = home.qd(["secret", "test"]).expect(1).stdout;
    assert!(out.contains("locked"), "{out}");
    assert_eq!(home.json(&["get", "runs", "--filter", "pipeline=keep"])["rows"][0]["state"], "queued", "blocked, not failed");
    session.unlock();
    until("the run to go on", || seen(&home, 1).as_deref() == Some("a-locked-up-value"));
}
