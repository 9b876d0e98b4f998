//! Two people at two consoles of one shared engine: a start that needs both of them, from the first key to the end of the run.

use crate::people::{ANN, BOB, Estate, GRAVE};
use crate::support::{Pty, have_program, skip};

/// A console of this person.
fn console(e: &Estate, uid: u32) -> Pty {
    let pty = Pty::start(e.command(uid, uid, &[]), 110, 32);
    pty.shows("READ-ONLY");
    pty
}

#[test]
fn a_start_that_needs_two_people_goes_from_one_console_to_the_other() {
    let test = "console_people.a_start_that_needs_two_people";
    if !have_program("setpriv") {
        return skip(test, "no setpriv");
    }
    let roles = "[roles]\noperator = [\"ann\", \"bob\"]\n";
    let Some(estate) = Estate::shared(test, roles, &[("grave", GRAVE)]) else { return };
    let e = estate.started();
    let ann = console(&e, ANN);
    ann.command("arm 15m kernel");
    ann.shows("ARMED");
    ann.keys("8");
    ann.sees("the pipeline", |s| s.contains("[8]JOBS") && s.contains("grave"));
    ann.keys("B");
    let asked = ann.shows("type grave:");
    for wanted in ["second person", "grave --reason kernel", "--confirm grave", "[ No ]"] {
        assert!(asked.contains(wanted), "{wanted}: {asked}");
    }
    // `y` is not enough here, and neither is a wrong name.
    ann.answers("y", "that y is not enough", |s| s.contains("must be typed"));
    ann.answers("\t", "the place of the name", |s| s.contains("Enter does it once the name is there"));
    ann.types("grav");
    ann.keys("\r");
    ann.shows("that is not grave");
    ann.types("e");
    ann.keys("\r");
    ann.shows("waits for a second person");
    let blocked =
        || e.rows("queue").iter().any(|r| r["run"] == "grave#1" && r["blocked"].as_str().is_some_and(|b| b.contains("second person")));
    assert!(blocked());
    // Who asked is no second person: the console says so in the engine's words.
    ann.command("runs");
    ann.shows("grave#1");
    ann.keys("A");
    ann.shows("Approve what waits: grave#1");
    ann.answers("y", "the refusal", |s| s.contains("ann asked for it"));
    assert!(blocked());
    let bob = console(&e, BOB);
    bob.shows("also armed: ann");
    bob.command("runs");
    bob.sees("the request", |s| s.contains("grave#1"));
    bob.keys("A");
    bob.shows(":arm 15m REASON");
    bob.command("arm 15m seen");
    bob.shows("ARMED");
    bob.keys("A");
    let asked = bob.shows("Approve what waits: grave#1");
    for wanted in ["the start of the run", "1 of 1", "approve grave#1"] {
        assert!(asked.contains(wanted), "{wanted}: {asked}");
    }
    bob.answers("y", "the approval", |s| !s.contains("Approve what waits: grave#1") || s.contains("is approved"));
    assert_eq!(e.until_state("grave#1", "done")["verdict"], "success");
    // Both consoles see its end.
    for pty in [&ann, &bob] {
        pty.sees("the end of the run", |s| s.contains("grave#1") && s.contains("success"));
    }
}
