//! The console on a real terminal: what it leaves behind however it ends, what it does when terminal, engine or link fail it, and how many
//! bytes it sends.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Home, Pty, alive, have_program, idle, kill, skip, until};

/// The console, with the runs on its first screen.
fn console(home: &Home, columns: u16, rows: u16) -> Pty {
    let pty = Pty::start(home.command::<&str>([]), columns, rows);
    pty.shows("READ-ONLY");
    pty
}

fn engine(home: &Home) -> i32 {
    home.json(&["engine", "status"])["pid"].as_i64().unwrap() as i32
}

#[test]
fn it_opens_and_leaves_the_terminal_as_it_was() {
    let home = Home::with_runs();
    let mut pty = console(&home, 80, 24);
    pty.keys("8");
    pty.shows("[8]JOBS");
    pty.command("quit");
    assert_eq!(pty.wait().code(), Some(0), "{}", pty.text());
    pty.restored();
    assert!(alive(engine(&home)), "the engine goes on");
}

#[test]
fn the_first_frame_waits_for_no_engine() {
    let home = Home::new();
    home.site("time_zone = \"UTC\"\n[engine]\nsocket = \"/nonexistent/engine.sock\"\n");
    let mut pty = Pty::start(home.command::<&str>([]), 80, 24);
    pty.shows("DISCONNECTED");
    pty.shows("/nonexistent/engine.sock");
    pty.command("quit");
    pty.wait();
    pty.restored();
}

#[test]
fn where_nothing_is_configured_it_says_how_to_begin() {
    let home = Home::new();
    let mut pty = Pty::start(home.command::<&str>([]), 80, 24);
    let text = pty.shows("No site is configured yet");
    assert!(text.contains("quarterdeck demo") && text.contains("quarterdeck site init"), "{text}");
    pty.keys("q");
    assert_eq!(pty.wait().code(), Some(0));
    pty.restored();
    assert!(!home.socket().exists(), "no engine was started");
}

#[test]
fn signals_and_a_panic_put_the_terminal_back() {
    let home = Home::with_runs();
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut pty = console(&home, 80, 24);
        pty.signal(signal);
        assert_eq!(pty.wait().code(), Some(0), "{signal:?}");
        pty.restored();
    }
    let mut command = home.command::<&str>([]);
    command.env("QD_PANIC_FRAME", "1").env("RUST_BACKTRACE", "0");
    let mut pty = Pty::start(command, 80, 24);
    let status = pty.wait();
    assert!(!status.success(), "{status:?}");
    pty.restored();
    pty.shows("broken on purpose");
}

#[test]
fn it_ends_with_its_terminal_and_runs_go_on() {
    let home = Home::with_runs();
    home.pipeline("slow", "format: 1\nname: slow\nstages:\n  - name: only\n    run: while [ ! -e go ]; do sleep 0.05; done\n");
    for no_hup in [false, true] {
        let mut pty = Pty::start_with(home.command::<&str>([]), 80, 24, no_hup);
        pty.shows("READ-ONLY");
        pty.hang_up();
        let status = pty.wait();
        assert!(status.code().is_some() || status.signal() == Some(1), "{status:?}");
    }
    assert!(alive(engine(&home)));
}

#[test]
fn stopped_and_let_go_on_it_draws_itself_again() {
    let home = Home::with_runs();
    // A shell is there to take the terminal back, as in life; without job control nobody would let the stopped console go on.
    let mut shell = home.command::<&str>([]);
    let exe = shell.get_program().to_owned();
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile", "-i"]).env_clear();
    for (k, v) in shell.get_envs() {
        command.env(k, v.unwrap_or_default());
    }
    shell.env_clear();
    command.env("PS1", "$ ").env("QD", exe).env("S", home.state()).current_dir(home.root());
    let pty = Pty::start(command, 80, 24);
    pty.shows("$");
    pty.keys("\"$QD\" --state-dir \"$S\"\r");
    pty.shows("READ-ONLY");
    for _ in 0..2 {
        pty.keys("\x1a");
        pty.sees("the shell again", |s| s.contains("Stopped") && !s.contains("READ-ONLY"));
        pty.keys("stty -a | head -c 1 >/dev/null; echo back-$((40+2))\r");
        pty.shows("back-42");
        pty.keys("clear; fg\r");
        pty.shows("READ-ONLY");
        pty.keys("8");
        pty.shows("[8]JOBS");
        pty.keys("0");
        pty.shows("[0]HOME");
    }
    pty.command("quit");
    pty.sees("the shell", |s| !s.contains("READ-ONLY"));
    pty.keys("echo end-$((40+2)); exit\r");
    pty.shows("end-42");
}

#[test]
fn an_engine_that_dies_is_said_and_the_next_one_found() {
    let home = Home::with_runs();
    let pty = console(&home, 100, 30);
    pty.shows("one#3");
    kill(engine(&home));
    let text = pty.shows("DISCONNECTED");
    assert!(text.contains("one#3"), "what was known stays: {text}");
    home.qd(["engine", "start"]).expect(0);
    pty.shows("the engine was restarted");
    pty.sees("the connection again", |s| s.contains("READ-ONLY") && !s.contains("DISCONNECTED"));
    home.qd(["run", "one", "--wait"]).expect(0);
    pty.shows("one#4");
}

#[test]
fn any_size_is_drawn_and_a_storm_of_them_ends_in_the_last() {
    let home = Home::with_runs();
    let mut pty = console(&home, 80, 24);
    for (w, h) in (1..60u16).map(|i| (i * 7 % 130 + 1, i * 5 % 50 + 1)).chain([(1, 1), (2, 1), (1, 40), (300, 100)]) {
        pty.resize(w, h);
    }
    pty.resize(90, 20);
    pty.sees("the last size", |s| s.contains("READ-ONLY") && s.contains("one#3"));
    pty.resize(1, 1);
    pty.settled(Duration::from_millis(200));
    pty.resize(80, 24);
    pty.shows("READ-ONLY");
    pty.command("quit");
    assert_eq!(pty.wait().code(), Some(0));
    pty.restored();
}

#[test]
fn pastes_and_answers_of_the_terminal_are_no_keys() {
    let home = Home::with_runs();
    let mut pty = console(&home, 100, 24);
    pty.keys("\x1b[200~8:quit\rBy\x1b[201~");
    let text = pty.shows("a paste was dropped");
    assert!(text.contains("[0]HOME"), "{text}");
    // Late answers to a probe, whole and in parts, and some that nobody asked for.
    pty.keys("\x1b[?62;4;22c\x1b[?2026;2$y\x1b]11;rgb:0000/0000/0000\x1b\\\x1bP>|x(1)\x1b\\\x1b[24;80R");
    pty.keys("\x1b[?6");
    pty.keys("2c");
    pty.keys("8");
    let text = pty.shows("[8]JOBS");
    assert!(!text.contains("does nothing here"), "{text}");
    pty.command("quit");
    pty.wait();
    pty.restored();
}

#[test]
fn a_terminal_is_asked_behind_the_first_frame_or_not_at_all() {
    let home = Home::with_runs();
    const QUESTION: &str = "\u{1b}[?2026$p\u{1b}]11;?\u{1b}\\\u{1b}[c";
    let sent = |pty: &Pty| String::from_utf8_lossy(&pty.since(0)).into_owned();
    let mut pty = console(&home, 80, 24);
    until("the question", || sent(&pty).contains(QUESTION));
    let all = sent(&pty);
    assert!(all.find("quarterdeck") < all.find(QUESTION), "{all:?}");
    pty.command("quit");
    pty.wait();
    let mut pty = Pty::start(home.command(["--no-probe"]), 80, 24);
    pty.shows("one#3");
    pty.keys("\x0c");
    pty.command("quit");
    assert_eq!(pty.wait().code(), Some(0));
    assert!(!sent(&pty).contains("\u{1b}[c") && !sent(&pty).contains("]11;?"), "{:?}", sent(&pty));
    home.qd(["--no-probe", "get", "runs"]).expect(2);
}

#[test]
fn a_terminal_that_takes_nothing_holds_nothing_up() {
    let home = Home::with_runs();
    let mut pty = console(&home, 120, 40);
    pty.stall(true);
    // Each of these draws a screen of its own; what was not sent is replaced, not queued.
    for _ in 0..500 {
        pty.keys("\x1b[B\x0c");
        pty.keys("\x1b[A\x0c");
    }
    let before = pty.count().0;
    pty.stall(false);
    pty.settled(Duration::from_millis(300));
    pty.keys("8");
    pty.shows("[8]JOBS");
    let after = pty.settled(Duration::from_millis(300));
    assert!(after - before < 200_000, "{} bytes came after the stall", after - before);
    pty.stall(true);
    for _ in 0..200 {
        pty.keys("\x1b[B\x0c");
    }
    pty.signal(Signal::TERM);
    pty.wait();
}

#[test]
fn idle_it_sends_nothing_and_sleeps() {
    let home = Home::with_runs();
    let pty = console(&home, 120, 40);
    pty.shows("one#3");
    pty.settled(Duration::from_millis(500));
    let busy = idle::quiet_window(pty.pid(), Duration::from_secs(4), Duration::from_secs(100));
    assert!(busy.is_some(), "there was no quiet window of four seconds");
    // Whatever the clock of the first row writes in a minute is one small write.
    let before = pty.count();
    std::thread::sleep(Duration::from_secs(2));
    let (bytes, reads) = pty.count();
    assert!(bytes - before.0 <= 120 && reads - before.1 <= 1, "{} bytes in {} writes", bytes - before.0, reads - before.1);
}

#[test]
fn a_move_and_a_page_cost_few_bytes() {
    let home = Home::with_runs();
    for _ in 0..57 {
        home.qd(["run", "one"]).expect(0);
    }
    until("all runs to end", || home.json(&["get", "queue"])["rows"].as_array().unwrap().is_empty());
    let pty = console(&home, 120, 40);
    pty.command("runs");
    pty.shows("one#60");
    pty.settled(Duration::from_millis(300));
    let cost = |keys: &str| {
        let before = pty.count().0;
        pty.keys(keys);
        pty.settled(Duration::from_millis(300)) - before
    };
    for key in ["j", "j", "k"] {
        let n = cost(key);
        assert!((1..=250).contains(&n), "`{key}` cost {n} bytes");
    }
    let text = pty.text().len();
    let n = cost("\x1b[6~");
    assert!((1..=3_000 + text).contains(&n), "a page of {text} cost {n} bytes");
    assert_eq!(cost("\x0c").min(1), 1, "a redraw writes");
}

#[test]
fn a_copy_goes_to_the_clipboard_or_is_printed() {
    let home = Home::with_runs();
    let pty = console(&home, 100, 24);
    pty.command("runs");
    pty.shows("one#3");
    let from = pty.count().0;
    pty.keys("y");
    pty.shows("copied");
    let raw = String::from_utf8_lossy(&pty.since(from)).into_owned();
    assert!(raw.contains("\u{1b}]52;c;b25lIzM=\u{7}"), "{raw:?}");
    let mut command = home.command::<&str>([]);
    command.env("TERM", "linux");
    let pty = Pty::start(command, 100, 24);
    pty.shows("READ-ONLY");
    pty.command("runs");
    pty.shows("one#3");
    pty.keys("y");
    pty.shows("any key goes back");
    pty.keys("x");
    pty.shows("READ-ONLY");
}

#[test]
fn a_saved_state_opens_without_an_engine() {
    let home = Home::with_runs();
    let file = home.root().join("state.json");
    let name = file.to_str().unwrap();
    let said = home.json(&["save", name]);
    assert!(said["answers"].as_u64().unwrap() > 5, "{said}");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    home.qd(["save", name]).expect(4);
    home.qd(["engine", "stop"]).expect(0);
    let frame = home.qd(["screen", "runs", "--size", "100x24", "--from", name]).expect(0).stdout;
    assert!(frame.contains("SAVED STATE") && frame.contains("one#3"), "{frame}");
    assert_eq!(frame, home.qd(["screen", "runs", "--size", "100x24", "--from", name]).expect(0).stdout, "always the same");
    let frame = home.qd(["screen", "run", "one#2", "--size", "100x24", "--from", name]).expect(0).stdout;
    assert!(frame.contains("only"), "{frame}");
    let mut pty = Pty::start(home.command(["--from", name]), 100, 24);
    pty.shows("SAVED STATE");
    pty.command("runs");
    pty.shows("one#3");
    pty.keys("X");
    pty.shows("saved state: there is no engine");
    pty.command("quit");
    assert_eq!(pty.wait().code(), Some(0));
    assert!(!home.socket().exists(), "no engine was started");
    home.qd(["--from", name, "get", "runs"]).expect(2);
    std::fs::write(&file, "{}").unwrap();
    let out = home.qd(["screen", "home", "--from", name]).expect(2);
    assert!(out.stderr.contains("no saved state"), "{out:?}");
}

#[test]
fn a_frame_of_what_is_not_there_is_an_error() {
    let home = Home::with_runs();
    home.qd(["screen", "run", "one#2"]).expect(0);
    home.qd(["screen", "log", "one#2"]).expect(0);
    for (what, target, told) in [
        ("run", "one#99", "one#99"),
        ("log", "one#99", "one#99"),
        ("promotion", "PR-2026Q2-el9", "PR-2026Q2-el9"),
        ("run", "none#1", "none#1"),
    ] {
        let out = home.qd(["screen", what, target]).expect(2);
        assert!(out.stdout.is_empty() && out.stderr.contains(told), "{out:?}");
    }
    home.qd(["why", "one#99"]).expect(2);
}

#[test]
fn it_lives_through_a_detach_of_tmux() {
    if !have_program("tmux") {
        return skip("console_pty.tmux", "tmux is not installed");
    }
    let home = Home::with_runs();
    let socket = home.root().join("tmux");
    let tmux = |args: &[&str]| {
        let mut shell = home.command::<&str>([]);
        let mut c = Command::new("tmux");
        c.env_clear().arg("-S").arg(&socket).args(["-f", "/dev/null"]).args(args);
        for (k, v) in shell.get_envs() {
            c.env(k, v.unwrap_or_default());
        }
        shell.env_clear();
        c
    };
    let exe = home.command::<&str>([]).get_program().to_string_lossy().into_owned();
    let state = home.state();
    let pty = Pty::start(tmux(&["new-session", "-s", "qd", &exe, "--state-dir", state.to_str().unwrap()]), 100, 30);
    pty.shows("READ-ONLY");
    pty.keys("8");
    pty.shows("[8]JOBS");
    assert!(tmux(&["detach-client", "-s", "qd"]).status().unwrap().success());
    pty.shows("[detached");
    let pty = Pty::start(tmux(&["attach", "-t", "qd"]), 80, 24);
    pty.shows("[8]JOBS");
    pty.keys("0");
    pty.shows("[0]HOME");
    pty.command("quit");
    pty.shows("[exited]");
}

#[test]
fn the_demo_opens_the_console_and_ends_in_order() {
    let home = Home::new();
    std::fs::remove_dir_all(home.state()).unwrap();
    let mut pty = Pty::start(home.command(["demo"]), 100, 30);
    pty.shows("DEMO");
    pty.shows("READ-ONLY");
    pty.keys("8");
    pty.shows("nightly-repo-updates");
    let engine = engine(&home);
    pty.command("quit");
    assert_eq!(pty.wait().code(), Some(0), "{}", pty.text());
    pty.restored();
    pty.shows("the demo has ended");
    until("its engine to end", || !alive(engine));
}
