//! A console and engines that are not its own: one that is newer, and one that is restarted again and again under it.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::support::{Home, Pty, kill, until, until_some};

const ONE: &str = "format: 1\nname: one\nstages:\n  - name: only\n    run: 'true'\n";

/// Stands before the engine and gives another version for its own, of the same length. Ends with its last connection.
fn disguised(at: &Path, engine: PathBuf, from: &'static str, to: &'static str) {
    assert_eq!(from.len(), to.len(), "the length of an answer is told before it");
    let listener = UnixListener::bind(at).unwrap();
    std::thread::spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            let Ok(server) = UnixStream::connect(&engine) else { continue };
            let (up, down) = ((client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client));
            std::thread::spawn(move || pass_on(up.0, up.1, "", ""));
            std::thread::spawn(move || pass_on(down.0, down.1, from, to));
        }
    });
}

fn pass_on(mut from: UnixStream, mut to: UnixStream, this: &str, that: &str) {
    let mut chunk = vec![0; 256 << 10];
    while let Ok(n) = from.read(&mut chunk) {
        if n == 0 {
            break;
        }
        let mut bytes = chunk[..n].to_vec();
        while let Some(i) = bytes.windows(this.len().max(1)).position(|w| !this.is_empty() && w == this.as_bytes()) {
            bytes[i..i + this.len()].copy_from_slice(that.as_bytes());
        }
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// A site whose engine speaks through `front`.
fn fronted(site: &str, from: &'static str, to: &'static str) -> (Home, tempfile::TempDir) {
    let home = Home::new();
    home.site("time_zone = \"UTC\"\n");
    home.pipeline("one", ONE);
    home.qd(["run", "one", "--wait"]).expect(0);
    let front = tempfile::tempdir().unwrap();
    let socket = front.path().join("engine.sock");
    disguised(&socket, home.socket(), from, to);
    std::fs::create_dir_all(front.path().join("state/config/pipelines")).unwrap();
    std::fs::write(front.path().join("state/config/site.toml"), format!("{site}[engine]\nsocket = \"{}\"\n", socket.display())).unwrap();
    (home, front)
}

fn console(home: &Home, front: &Path) -> Pty {
    let mut command = std::process::Command::new(crate::support::home::EXE);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home.root());
    command.arg("--state-dir").arg(front.join("state"));
    let pty = Pty::start(command, 120, 30);
    pty.shows("one#1");
    pty
}

#[test]
fn to_a_newer_engine_the_console_only_looks_and_says_so() {
    let (home, front) = fronted("time_zone = \"UTC\"\n", "\"version\":\"0.1.0\"", "\"version\":\"9.9.9\"");
    let pty = console(&home, front.path());
    // Told in the ribbon, and what is there is shown all the same.
    let text = pty.shows("9.9.9");
    assert!(text.contains("0.1.0"), "both versions are named: {text}");
    pty.command("runs");
    pty.sees("the runs", |s| s.contains("one#1") && s.contains("success"));
    pty.keys("\r");
    pty.shows("STAGES");
    pty.keys("l");
    pty.shows("[9]LOG");
    pty.command("runs");
    pty.shows("row 1 of 1");
    // Nothing is changed by it.
    pty.keys("B");
    pty.shows("it only looks");
    pty.command("arm 15m night");
    pty.sees("the refusal", |s| s.contains("it only looks") && !s.contains("ARMED"));
    // The command line says the same to a newer engine, and goes on.
    home.qd(["run", "one", "--wait"]).expect(0);
    pty.shows("one#2");
}

#[test]
fn an_older_engine_is_said_to_be_one_and_is_worked_with() {
    let (home, front) = fronted("time_zone = \"UTC\"\n", "\"version\":\"0.1.0\"", "\"version\":\"0.0.9\"");
    let pty = console(&home, front.path());
    pty.shows("0.0.9");
    pty.command("runs");
    pty.shows("row 1 of 1");
    pty.command("arm 15m night");
    pty.shows("ARMED");
    pty.keys("B");
    pty.shows("Run a pipeline: one");
    pty.answers("y", "the new run", |s| s.contains("one#2"));
    drop(home);
}

#[test]
fn engines_that_come_and_go_under_a_console_cost_it_nothing_but_its_arming() {
    let home = Home::new();
    home.site("time_zone = \"UTC\"\n");
    home.pipeline("one", ONE);
    home.pipeline("slow", "format: 1\nname: slow\nstages:\n  - name: only\n    run: touch ready; echo begun; while [ ! -e go ]; do sleep 0.05; done; echo over\n");
    home.qd(["run", "one", "--wait"]).expect(0);
    home.qd(["run", "slow"]).expect(0);
    let pty = Pty::start(home.command::<&str>([]), 120, 30);
    pty.shows("READ-ONLY");
    pty.command("arm 15m night");
    pty.shows("ARMED");
    pty.command("log slow#1");
    pty.sees("its log", |s| s.contains("begun") && s.contains("following"));
    for round in 0..3 {
        kill(home.json(&["engine", "status"])["pid"].as_i64().unwrap() as i32);
        let text = pty.shows("DISCONNECTED");
        assert!(text.contains("begun"), "what was known stays: {text}");
        assert!(!text.contains("ARMED"), "an arming ends with its connection: {text}");
        // A key that changes something says why it does nothing.
        pty.keys("X");
        pty.shows("disconnected");
        if round == 1 {
            // Another view is opened meanwhile, and shows what is known.
            pty.keys("8");
            pty.shows("[8]JOBS");
            pty.keys("`");
        }
        home.qd(["engine", "start"]).expect(0);
        pty.sees("the next engine", |s| s.contains("READ-ONLY") && s.contains("following") && s.contains("begun"));
    }
    let go = until_some("the workspace", || workspace(&home.state(), 6));
    std::fs::write(go.join("go"), "").unwrap();
    pty.sees("the end of the log", |s| s.contains("over"));
    until("the run to end", || home.json(&["get", "runs", "--filter", "run=slow#1"])["rows"][0]["verdict"] == "success");
}

/// The directory that the step works in, once it has begun.
fn workspace(dir: &Path, depth: usize) -> Option<PathBuf> {
    if dir.join("ready").exists() {
        return Some(dir.to_owned());
    }
    let below = std::fs::read_dir(dir).ok()?.filter_map(|e| Some(e.ok()?.path())).filter(|p| depth > 0 && p.is_dir() && !p.is_symlink());
    below.into_iter().find_map(|p| workspace(&p, depth - 1))
}
