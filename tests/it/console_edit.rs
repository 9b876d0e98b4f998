//! The page of a pipeline on a real terminal: lint while it is typed, a save that replaces the file, the person's own editor, and a text that
//! outlives its console.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Home, Pty, until};

const GOOD: &str = "format: 1\nname: one\nstages:\n  - name: only\n    run: 'true'\n";

fn home() -> Home {
    let home = Home::new();
    home.site("time_zone = \"UTC\"\n");
    home.pipeline("one", GOOD);
    home
}

/// Opens the page of `one`, armed.
fn page(home: &Home, command: std::process::Command) -> Pty {
    let pty = Pty::start(command, 110, 30);
    pty.shows("READ-ONLY");
    let _ = home;
    pty.command("arm 15m editing");
    pty.shows("ARMED");
    pty.command("pipeline one");
    pty.shows("lint is clean");
    pty
}

fn file(home: &Home) -> std::path::PathBuf {
    home.state().join("config/pipelines/one.yml")
}

fn drafts(home: &Home) -> usize {
    std::fs::read_dir(home.state().join("drafts")).map_or(0, Iterator::count)
}

/// `y` to the question that is shown.
fn yes(pty: &Pty, title: &str) {
    pty.shows(title);
    pty.answers("y", "the question answered", |s| !s.contains(title));
}

#[test]
fn a_text_is_checked_while_it_is_typed_and_saved_once_it_is_clean() {
    let home = home();
    let mut pty = page(&home, home.command::<&str>([]));
    // Into the third line, as a paste: `stages` becomes something else.
    pty.keys("jji");
    pty.shows("TYPING");
    pty.keys("\x1b[200~xx\x1b[201~");
    let text = pty.shows("xxstages");
    assert!(text.contains("TYPING"), "{text}");
    let text = pty.sees("the place of the slip", |s| s.contains("^^^") && s.contains("error"));
    assert!(text.contains("xxstages"), "{text}");
    pty.keys("\x1b");
    pty.shows("UNSAVED");
    pty.keys("S");
    pty.shows("not saved");
    assert_eq!(std::fs::read_to_string(file(&home)).unwrap(), GOOD);
    until("the text is kept", || drafts(&home) == 1);
    pty.keys("u");
    pty.shows("lint is clean");
    pty.keys("G");
    pty.keys("i");
    pty.shows("TYPING");
    pty.keys("\x1b[200~# by hand\n\x1b[201~");
    pty.shows("# by hand");
    pty.keys("\x1b");
    pty.sees("a clean text that is not saved", |s| s.contains("UNSAVED") && s.contains("lint is clean"));
    pty.keys("S");
    yes(&pty, "Save pipeline: one");
    pty.shows("as in the file");
    assert_eq!(std::fs::read_to_string(file(&home)).unwrap(), format!("{GOOD}# by hand\n"));
    until("nothing is kept any more", || drafts(&home) == 0);
    pty.keys("q");
    pty.shows("[0]HOME");
    pty.command("quit");
    assert_eq!(pty.wait().code(), Some(0));
    pty.restored();
    home.qd(["run", "one", "--wait"]).expect(0);
}

#[test]
fn the_own_editor_has_the_terminal_and_what_it_leaves_is_only_kept() {
    let home = home();
    let editor = home.root().join("my editor");
    // It needs the terminal as it was before the console, and breaks the file.
    let script = "#!/bin/sh\nstty -a </dev/tty | grep -q ' icanon' || exit 9\nsed -i 's/stages/stagse/' \"$2\"\necho edited-$1\n";
    std::fs::write(&editor, script).unwrap();
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = home.command::<&str>([]);
    command.env_remove("VISUAL").env("EDITOR", format!("'{}' -x", editor.display()));
    let mut pty = page(&home, command);
    pty.keys("e");
    pty.shows("stagse");
    pty.sees("what is wrong with it", |s| s.contains("UNSAVED") && s.contains("error"));
    assert_eq!(std::fs::read_to_string(file(&home)).unwrap(), GOOD, "it is saved by nobody");
    // The terminal goes away with it.
    until("the text is kept", || drafts(&home) == 1);
    pty.hang_up();
    pty.wait();
    assert_eq!(drafts(&home), 1);
    let pty = page(&home, home.command::<&str>([]));
    pty.shows("WAS NEVER SAVED");
    pty.keys("t");
    pty.shows("stagse");
    pty.keys("u");
    pty.sees("the file's text again", |s| s.contains("stages") && s.contains("lint is clean"));
}

#[test]
fn what_an_editor_has_written_outlives_the_terminal_under_both() {
    let home = home();
    let editor = home.root().join("editor");
    std::fs::write(&editor, "#!/bin/sh\nsed -i 's/only/written/' \"$1\"\necho it-is-$((40+2))\nread line\n").unwrap();
    std::fs::set_permissions(&editor, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = home.command::<&str>([]);
    command.env("VISUAL", &editor);
    let mut pty = page(&home, command);
    pty.keys("e");
    pty.shows("it-is-42");
    pty.hang_up();
    pty.wait();
    assert_eq!(std::fs::read_to_string(file(&home)).unwrap(), GOOD);
    let pty = page(&home, home.command::<&str>([]));
    pty.shows("WAS NEVER SAVED");
    pty.keys("t");
    pty.sees("what the editor wrote", |s| s.contains("name: written") && s.contains("UNSAVED"));
}

#[test]
fn a_text_is_searched_and_the_search_ends() {
    let home = home();
    home.pipeline("one", &format!("{GOOD}  - name: second\n    run: echo only once\n"));
    let pty = page(&home, home.command::<&str>([]));
    pty.prompt("/", "/", "only");
    pty.shows("1 of 2 with only");
    pty.keys("n");
    pty.shows("2 of 2 with only");
    pty.keys("n");
    pty.shows("past the end: 1 of 2");
    pty.keys("N");
    pty.shows("past the beginning: 2 of 2");
    // The cursor is on it: what is typed now stands there.
    pty.keys("i");
    pty.shows("TYPING");
    pty.keys("\x1b[200~not \x1b[201~");
    pty.shows("echo not only once");
    pty.keys("\x1b");
    pty.sees("a text that is not saved", |s| s.contains("UNSAVED"));
    pty.keys("u");
    pty.prompt("/", "/", "nowhere");
    pty.shows("no line has nowhere");
    pty.prompt("/", "/", "(");
    pty.shows("no regular expression");
    pty.keys("\x1b");
    pty.sees("the prompt closed", |s| !s.contains("no regular expression"));
    pty.keys("\\");
    // Without a search, n leads to findings again; the text that was put back is checked by then.
    pty.sees("the check", |s| s.contains("lint is clean") && !s.contains("UNSAVED"));
    pty.keys("n");
    pty.shows("nothing was found in this text");
}
