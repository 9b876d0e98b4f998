//! The console on a real engine: logs while they are written, cut and packed, files of keys that change under it, and the screen in a file.

use std::io::Write;
use std::path::PathBuf;

use crate::support::{Home, Pty, kill, until, until_some};

/// A step that writes what the test tells it to, line by line, until it is told to end.
const TELL: &str = "format: 1\nname: tell\nstages:\n  - name: say\n    run: |\n      touch ready\n      n=0\n      while [ ! -e stop ]; do\n        n=$((n+1))\n        while [ ! -e go-$n ] && [ ! -e stop ]; do sleep 0.02; done\n        [ -e stop ] || cat go-$n\n      done\n";

fn home() -> Home {
    let home = Home::new();
    home.site("time_zone = \"UTC\"\n");
    home.pipeline("tell", TELL);
    home
}

fn console(home: &Home) -> Pty {
    let pty = Pty::start(home.command::<&str>([]), 100, 24);
    pty.shows("READ-ONLY");
    pty
}

/// Where the step works, once it has begun.
fn workspace(home: &Home) -> PathBuf {
    fn find(dir: &std::path::Path, depth: usize) -> Option<PathBuf> {
        if dir.join("ready").exists() {
            return Some(dir.to_path_buf());
        }
        let below =
            std::fs::read_dir(dir).ok()?.filter_map(|e| Some(e.ok()?.path())).filter(|p| depth > 0 && p.is_dir() && !p.is_symlink());
        below.into_iter().find_map(|p| find(&p, depth - 1))
    }
    until_some("the step to begin", || find(&home.state(), 6))
}

/// The step writes these lines next.
fn say(at: &std::path::Path, n: usize, text: &str) {
    let part = at.join(format!("part-{n}"));
    std::fs::write(&part, text).unwrap();
    std::fs::rename(part, at.join(format!("go-{n}"))).unwrap();
}

fn attempt_log(home: &Home) -> PathBuf {
    let dir = home.state().join("runs/tell/1/attempts");
    until_some("the log", || Some(std::fs::read_dir(&dir).ok()?.next()?.ok()?.path().join("log")).filter(|p| p.exists()))
}

#[test]
fn a_log_is_followed_paused_and_found_again_by_the_next_engine() {
    let home = home();
    home.qd(["run", "tell"]).expect(0);
    let at = workspace(&home);
    say(&at, 1, &(1..=60).map(|i| format!("line {i}\n")).collect::<String>());
    let pty = console(&home);
    pty.command("log tell#1");
    pty.sees("the end of the log", |s| s.contains("following") && s.contains("line 60"));
    say(&at, 2, "and one more\n");
    pty.shows("and one more");
    // Scrolled up it stands still, whatever is written.
    pty.keys("k");
    pty.shows("paused");
    let before = pty.sees("the line above", |s| !s.contains("and one more"));
    say(&at, 3, &"while it is paused\n".repeat(40));
    until("the engine to have it", || home.qd(["log", "tell#1"]).stdout.contains("while it is paused"));
    let top = |s: &str| s.lines().nth(5).map(str::to_owned);
    let now = pty.text();
    assert_eq!(top(&now), top(&before), "{now}");
    assert!(!now.contains("while it is paused"), "{now}");
    pty.keys("G");
    pty.sees("the newest line", |s| s.contains("following") && s.contains("while it is paused"));
    // The engine dies and another one comes: the step has gone on, and so does the log.
    let pid = home.json(&["engine", "status"])["pid"].as_i64().unwrap() as i32;
    kill(pid);
    pty.shows("DISCONNECTED");
    home.qd(["engine", "start"]).expect(0);
    pty.sees("the connection again", |s| s.contains("READ-ONLY") && !s.contains("DISCONNECTED"));
    say(&at, 4, "after the restart\n");
    pty.sees("what was written after it", |s| s.contains("following") && s.contains("after the restart"));
    std::fs::write(at.join("stop"), "").unwrap();
    pty.shows("ended");
    // Into a file of the person's own.
    pty.keys("s");
    pty.shows("save as tell-1-say");
    pty.keys("\x15mine.log");
    pty.shows("save as mine.log");
    pty.enter();
    let file = home.root().join("mine.log");
    until("the file", || std::fs::read_to_string(&file).is_ok_and(|t| t.ends_with("after the restart\n")));
}

#[test]
fn a_log_that_is_cut_under_its_reader_is_said_to_be() {
    let home = home();
    home.qd(["run", "tell"]).expect(0);
    let at = workspace(&home);
    say(&at, 1, &"a line of some length\n".repeat(200));
    let pty = console(&home);
    pty.command("log tell#1");
    pty.sees("the end of the log", |s| s.contains("following") && s.contains("a line of some length"));
    let log = attempt_log(&home);
    std::fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(0).unwrap();
    let mut more = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    more.write_all(b"what came instead\n").unwrap();
    pty.sees("that it was cut", |s| {
        s.contains("what came instead") || s.contains("shorter") || s.contains("cut") || s.contains("truncated")
    });
    pty.keys("q");
    pty.shows("[0]HOME");
    std::fs::write(at.join("stop"), "").unwrap();
}

#[test]
fn files_of_keys_are_read_again_and_a_broken_one_leaves_the_keys_of_before() {
    let home = home();
    let pty = console(&home);
    let dir = home.config().join("keymaps");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("mine.toml"), "[global]\n\"x\" = \"jobs\"\n").unwrap();
    pty.shows("the keys were read again");
    pty.keys("x");
    pty.shows("[8]JOBS");
    pty.keys("0");
    pty.shows("[0]HOME");
    std::fs::write(dir.join("mine.toml"), "[global]\n\"x\" = \"jbos\"\n").unwrap();
    let text = pty.shows("the keys of before stay");
    assert!(text.contains("mine.toml:2:7") && text.contains("did you mean `jobs`?"), "{text}");
    pty.keys("x");
    pty.shows("[8]JOBS");
    std::fs::remove_file(dir.join("mine.toml")).unwrap();
    pty.shows("the keys were read again");
    pty.keys("x");
    pty.shows("x does nothing here");
}

#[test]
fn the_screen_goes_into_a_file_and_the_overlay_says_what_it_costs() {
    let home = home();
    let pty = console(&home);
    for (name, wanted) in [("a.txt", "READ-ONLY"), ("a.svg", "<svg"), ("a.ansi", "\u{1b}[0")] {
        pty.command(&format!("dump {name}"));
        pty.shows(name);
        until("the file", || std::fs::read_to_string(home.root().join(name)).is_ok_and(|t| t.contains(wanted)));
    }
    pty.command("dump a.txt");
    pty.shows("was not written");
    pty.command("debug");
    pty.sees("the overlay", |s| s.contains("frames") && s.contains("queues") && s.contains("revision"));
    pty.command("debug");
    pty.sees("no overlay", |s| !s.contains("queues"));
}

#[test]
fn a_run_s_page_has_a_cursor_that_opens_logs() {
    let home = Home::new();
    home.site("time_zone = \"UTC\"\n");
    home.pipeline(
        "grid",
        "format: 1\nname: grid\nstages:\n  - name: first\n    run: echo of-the-first\n  - name: cells\n    matrix: {os: [el8, el9], arch: [x86, arm]}\n    run: 'echo cell-$matrix_os-$matrix_arch; test $matrix_os-$matrix_arch != el9-arm'\n",
    );
    home.qd(["run", "grid", "--wait"]).expect(1);
    let pty = console(&home);
    pty.command("run grid#1");
    pty.shows("MATRIX cells");
    pty.keys("j");
    pty.keys("l");
    pty.sees("the stage's log", |s| s.contains("[9]LOG") && s.contains("of-the-first"));
    // The page of the run has the words of the red cell too: each step waits for the screen that is meant. Arrows between the letters, as four
    // letters at this pace are a paste.
    let page = || pty.sees("the run's page", |s| s.contains("MATRIX cells") && !s.contains("[9]LOG"));
    let log = |words: &str| pty.sees(words, |s| s.contains("[9]LOG") && s.contains(words));
    pty.keys("q");
    page();
    pty.keys("\u{1b}[F");
    pty.keys("\r");
    log("cell-el9-arm");
    // Each cell has its own log: the one on the left, the one above that, the one on the right of it.
    for (arrow, words) in [("\u{1b}[D", "cell-el9-x86"), ("\u{1b}[A", "cell-el8-x86"), ("\u{1b}[C", "cell-el8-arm")] {
        pty.keys("q");
        page();
        pty.keys(arrow);
        pty.keys("\r");
        log(words);
    }
}
