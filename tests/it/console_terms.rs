//! What stands between the console and a person: copies through a real tmux and a real GNU screen, and the mouse of a terminal.

use std::process::Command;
use std::time::Duration;

use crate::support::{Home, Pty, have_program, skip, until};

/// Another program with the small environment of the console's own.
fn beside(home: &Home, program: &str) -> Command {
    let own = home.command::<&str>([]);
    let mut command = Command::new(program);
    command.env_clear().current_dir(home.root());
    for (k, v) in own.get_envs() {
        command.env(k, v.unwrap_or_default());
    }
    command
}

fn coded(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// The list of runs, whose filter makes the command line that `c` copies long.
fn runs(pty: &Pty) {
    pty.shows("READ-ONLY");
    pty.command("runs");
    pty.shows("one#3");
}

#[test]
fn a_copy_lands_in_the_buffer_of_tmux() {
    if !have_program("tmux") {
        return skip("console_terms.tmux", "tmux is not installed");
    }
    let home = Home::with_runs();
    let (socket, conf) = (home.root().join("tmux"), home.root().join("tmux.conf"));
    std::fs::write(&conf, "set -s set-clipboard on\n").unwrap();
    let tmux = |args: &[&str]| {
        let mut c = beside(&home, "tmux");
        c.arg("-S").arg(&socket).arg("-f").arg(&conf).args(args);
        c
    };
    let exe = home.command::<&str>([]).get_program().to_string_lossy().into_owned();
    let pty = Pty::start(tmux(&["new-session", "-s", "qd", &exe, "--state-dir", home.state().to_str().unwrap()]), 120, 30);
    runs(&pty);
    let buffer = || {
        let out = tmux(&["show-buffer"]).output().unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    pty.keys("y");
    until("the id in the buffer of tmux", || buffer() == "one#3");
    // The command line reaches the same site from any directory.
    pty.keys("c");
    until("the command line in the buffer of tmux", || buffer() == home.named("get runs"));
    let words = shell_words::split(&buffer()).unwrap();
    let mut again = beside(&home, home.command::<&str>([]).get_program().to_str().unwrap());
    again.args(&words[1..]).current_dir("/");
    let out = again.output().unwrap();
    assert!(out.status.success() && String::from_utf8_lossy(&out.stdout).contains("one#3"), "{out:?}");
    pty.command("quit");
    pty.shows("[exited]");
}

#[test]
fn a_copy_goes_through_screen_in_pieces() {
    if !have_program("screen") {
        return skip("console_terms.screen", "screen is not installed");
    }
    let home = Home::with_runs();
    let dir = home.root().join("screens");
    std::fs::create_dir(&dir).unwrap();
    std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let exe = home.command::<&str>([]).get_program().to_owned();
    let mut screen = beside(&home, "screen");
    screen.env("SCREENDIR", &dir).args(["-c", "/dev/null", "-U", "-S", "qd"]).arg(exe).arg("--state-dir").arg(home.state());
    let pty = Pty::start(screen, 120, 30);
    runs(&pty);
    let sent = |from: usize| String::from_utf8_lossy(&pty.since(from)).into_owned();
    let from = pty.count().0;
    pty.keys("y");
    let whole = format!("\u{1b}]52;c;{}", coded("one#3"));
    until("the id at the terminal of screen", || sent(from).contains(&whole));
    // Longer than one string of screen's may be.
    let filter = (0..34).map(|i| format!("pipeline!=v{i:02}")).collect::<Vec<_>>().join(" ");
    pty.keys("/");
    pty.keys(format!("\x1b[200~{filter}\x1b[201~"));
    pty.shows("v33");
    pty.enter();
    pty.sees("the prompt closed", |s| s.contains("one#3") && s.contains("? help"));
    let line = home.named(&format!("get runs --filter '{filter}'"));
    assert!(coded(&line).len() > 600);
    let from = pty.count().0;
    pty.keys("c");
    // Nothing of screen's own stands between the pieces.
    until("the whole line at the terminal of screen", || sent(from).contains(&format!("\u{1b}]52;c;{}", coded(&line))));
    pty.command("quit");
    pty.shows("[screen is terminating]");
}

/// Where on the screen a text begins: column and row from 1, as terminals count.
fn place(pty: &Pty, text: &str) -> (usize, usize) {
    let shown = pty.text();
    let found = shown.lines().enumerate().find_map(|(y, l)| l.find(text).map(|at| (l[..at].chars().count() + 1, y + 1)));
    found.unwrap_or_else(|| panic!("`{text}` is not shown:\n{shown}"))
}

#[test]
fn the_mouse_selects_and_scrolls_while_it_is_wanted() {
    let home = Home::with_runs();
    for _ in 0..27 {
        home.qd(["run", "one"]).expect(0);
    }
    until("all runs to end", || home.json(&["get", "queue"])["rows"].as_array().unwrap().is_empty());
    let mut pty = Pty::start(home.command::<&str>([]), 100, 24);
    pty.shows("READ-ONLY");
    pty.command("runs");
    pty.shows("row 1 of 30");
    let raw = |from: usize| String::from_utf8_lossy(&pty.since(from)).into_owned();
    assert!(!raw(0).contains("\u{1b}[?1000h"), "off before anybody asks");
    let click = |(x, y): (usize, usize)| pty.keys(format!("\x1b[<0;{x};{y}M\x1b[<0;{x};{y}m"));
    click(place(&pty, "one#26"));
    pty.command("mouse");
    pty.shows("the mouse selects");
    assert!(raw(0).contains("\u{1b}[?1000h\u{1b}[?1006h"), "the terminal is asked for it");
    assert!(pty.text().contains("row 1 of 30"), "{}", pty.text());
    click(place(&pty, "one#26 "));
    pty.shows("row 5 of 30");
    // The wheel, down and up.
    pty.keys("\x1b[<65;10;10M");
    pty.shows("row 8 of 30");
    pty.keys("\x1b[<64;10;10M\x1b[<64;10;10M");
    pty.shows("row 2 of 30");
    // Beside every list there is nothing to choose.
    click((90, 1));
    pty.keys("j");
    pty.shows("row 3 of 30");
    // A dialog is answered by keys alone.
    pty.command("arm 15m mouse");
    pty.shows("ARMED");
    pty.keys("B");
    pty.shows("[ No ]");
    click(place(&pty, "[ No ]"));
    pty.keys("\x1b[<65;10;10M");
    pty.settled(Duration::from_millis(200));
    assert!(pty.text().contains("[ No ]"), "{}", pty.text());
    pty.keys("\x1b");
    pty.sees("the list", |s| !s.contains("[ No ]") && s.contains("row 3 of 30"));
    let from = pty.count().0;
    pty.command("mouse");
    pty.shows("the mouse is the terminal's again");
    assert!(raw(from).contains("\u{1b}[?1006l\u{1b}[?1000l"), "the terminal has its selection back");
    click(place(&pty, "one#26 "));
    pty.keys("j");
    pty.shows("row 4 of 30");
    // Whoever leaves with the mouse on gives it back too.
    pty.command("mouse");
    pty.shows("the mouse selects");
    let from = pty.count().0;
    pty.command("quit");
    assert_eq!(pty.wait().code(), Some(0));
    pty.restored();
    assert!(String::from_utf8_lossy(&pty.since(from)).contains("\u{1b}[?1006l\u{1b}[?1000l"));
}

/// A terminal that can only print lines gets words and no screen; nothing is started for it.
#[test]
fn a_dumb_terminal_is_told_what_to_do() {
    let home = Home::with_runs();
    let mut command = home.command::<&str>([]);
    command.env("TERM", "dumb");
    let mut pty = Pty::start(command, 100, 24);
    assert_eq!(pty.wait().code(), Some(2), "{}", pty.text());
    let text = pty.text();
    assert!(text.contains("TERM is dumb") && text.contains(" get runs") && text.contains(" screen home"), "{text}");
    let raw = pty.since(0);
    assert!(!raw.contains(&0x1b), "no sequence reaches it: {:?}", String::from_utf8_lossy(&raw));
}
