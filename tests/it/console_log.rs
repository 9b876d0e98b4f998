//! The log screen by keystroke, against a real engine and a long log: search, filter with context, times, wrap, first error, save, and a log
//! that is written while it is looked at.

use std::time::Duration;

use crate::support::{Home, Pty, until};

/// Forty thousand lines, two needles, a line that no screen holds, an error, and a part that was written later.
const LONG: &str = "format: 1
name: long
stages:
  - name: only
    run: |
      seq -f 'alpha %06.0f' 1 20000
      echo 'first needle'
      seq -f 'beta %06.0f' 1 20000
      echo 'cc1: error: src/module.c: no such thing'
      echo 'second needle'
      sleep 1.2
      seq -f 'gamma %06.0f' 1 300
      printf 'wide '; printf 'x%.0s' $(seq 1 150); echo ' its end'
      exit 3
";

fn log(home: &Home, run: &str) -> Pty {
    let pty = Pty::start(home.command::<&str>([]), 100, 30);
    pty.shows("READ-ONLY");
    pty.command(&format!("log {run}"));
    pty.shows("[9]LOG");
    pty
}

#[test]
fn a_long_log_is_searched_filtered_and_walked_through() {
    let home = Home::new();
    home.site("time_zone = \"UTC\"\n");
    home.pipeline("long", LONG);
    home.qd(["run", "long", "--wait"]).expect(1);
    let pty = log(&home, "long#1");
    // It opens at its end, which is no longer than the screen.
    let text = pty.sees("the end of the log", |s| s.contains("gamma 000300") && s.contains("wide xxx"));
    assert!(text.contains("ended") && !text.contains("its end"), "{text}");
    // Wrapped, the long line is whole; cut again, it is not.
    pty.keys("v");
    pty.shows("its end");
    pty.keys("v");
    pty.sees("the line cut", |s| !s.contains("its end") && s.contains("wide xxx"));
    // Sideways, and back.
    pty.keys("lllll");
    pty.shows("its end");
    pty.keys("hhhhh");
    pty.shows("gamma 000300");
    // Each line with its time, or without.
    let stamped = |s: &str| s.lines().find(|l| l.contains("gamma 000300")).is_some_and(|l| l.matches(':').count() >= 2);
    assert!(stamped(&pty.text()), "{}", pty.text());
    pty.keys("t");
    pty.sees("no times", |s| s.contains("gamma 000300") && !stamped(s));
    pty.keys("t");
    pty.sees("times again", stamped);
    // Searched from the end on: round to the first, then on and back.
    pty.prompt("/", "/", "needle");
    pty.sees("the first hit, its place and their number", |s| s.contains("first needle") && s.contains("1 of 2"));
    pty.keys("n");
    pty.sees("the second", |s| s.contains("second needle") && s.contains("2 of 2"));
    pty.keys("N");
    pty.sees("the first again", |s| s.contains("first needle") && s.contains("1 of 2"));
    pty.keys("N");
    pty.sees("round to the last", |s| s.contains("second needle") && s.contains("2 of 2"));
    // Filtered, with two lines around each hit; more, and fewer.
    pty.prompt("&", "&", "needle");
    let text = pty.sees("both hits with what is around them", |s| s.contains("first needle") && s.contains("second needle"));
    let text = if text.contains("2 hits, 2 lines around") { text } else { pty.shows("2 hits, 2 lines around") };
    for (line, there) in
        [("alpha 019999", true), ("beta 000002", true), ("beta 000003", false), ("alpha 019998", false), ("gamma 000002", true)]
    {
        assert_eq!(text.contains(line), there, "{line}:\n{text}");
    }
    pty.keys("+");
    pty.sees("four lines around", |s| s.contains("2 hits, 4 lines around") && s.contains("beta 000004") && s.contains("alpha 019997"));
    pty.keys("-");
    pty.sees("two again", |s| s.contains("2 hits, 2 lines around") && !s.contains("beta 000004"));
    pty.keys("\\");
    pty.sees("every line", |s| !s.contains("lines around"));
    // To where it began to go wrong.
    pty.keys("e");
    pty.sees("the first error", |s| s.contains("first error of") && s.contains("cc1: error: src/module.c"));
    // To the beginning, to a time, to the end.
    pty.keys("gg");
    pty.shows("alpha 000001");
    let told = home.qd(["log", "long#1", "--timestamps", "--grep", "gamma 000001"]).expect(0).stdout;
    // As a person reads it; the part before was written more than a second earlier.
    let at = told.lines().find(|l| l.contains("gamma")).and_then(|l| l.split('.').next()).unwrap();
    pty.prompt("@", "time ", at);
    let text = pty.shows("gamma 000001");
    assert!(!text.contains("alpha"), "{text}");
    pty.prompt("@", "time ", "soon");
    pty.shows("is no time");
    pty.keys("\x1b");
    pty.sees("the prompt closed", |s| !s.contains("is no time"));
    pty.keys("G");
    pty.shows("gamma 000300");
    // Byte for byte into a file, and never over another one.
    let file = home.root().join("saved.log");
    let name = file.to_str().unwrap();
    pty.keys("s");
    pty.shows("save as long-1-only");
    pty.prompt("\x15", "save as ", name);
    pty.shows("saved ");
    let printed = home.qd(["log", "long#1"]).expect(0).stdout;
    let whole = printed.strip_prefix("== only / only ==\n").unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), whole);
    assert!(whole.lines().count() > 40_000, "{}", whole.lines().count());
    pty.keys("s");
    pty.shows("save as long-1-only");
    pty.prompt("\x15", "save as ", name);
    pty.shows("was not written");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), whole);
}

#[test]
fn a_log_that_grows_is_followed_and_stands_still_where_it_is_wanted() {
    let home = Home::new();
    home.site("time_zone = \"UTC\"\n");
    let signs = home.root().join("signs");
    std::fs::create_dir(&signs).unwrap();
    let wait = |sign: &str| format!("while [ ! -e {}/{sign} ]; do sleep 0.02; done", signs.display());
    let text = format!(
        "format: 1\nname: live\nstages:\n  - name: only\n    run: |\n      seq -f 'before %03.0f' 1 100\n      {}\n      echo words-one\n      {}\n      seq -f 'later %03.0f' 1 100\n      echo words-two\n      {}\n      echo the-last-words\n",
        wait("one"),
        wait("two"),
        wait("end")
    );
    home.pipeline("live", &text);
    home.qd(["run", "live"]).expect(0);
    let sign = |name: &str| std::fs::write(signs.join(name), "").unwrap();
    until("its first lines", || home.qd(["log", "live#1"]).stdout.contains("before 100"));
    let pty = log(&home, "live#1");
    pty.sees("the end of what is there", |s| s.contains("following") && s.contains("before 100"));
    sign("one");
    pty.shows("words-one");
    // Paused, it stands still, whatever is written.
    pty.keys("f");
    pty.shows("paused");
    sign("two");
    until("more to be written", || home.qd(["log", "live#1"]).stdout.contains("words-two"));
    pty.settled(Duration::from_millis(300));
    let text = pty.text();
    assert!(text.contains("words-one") && !text.contains("later") && !text.contains("words-two"), "{text}");
    // Going on shows the end; whoever scrolls up pauses it.
    pty.keys("f");
    pty.sees("the end of now", |s| s.contains("following") && s.contains("words-two"));
    pty.keys("k");
    pty.shows("paused");
    pty.keys("G");
    pty.shows("following");
    sign("end");
    pty.sees("the end of all", |s| s.contains("the-last-words") && s.contains("ended"));
}
