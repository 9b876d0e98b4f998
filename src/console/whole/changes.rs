//! What changes something, seen from the person: each confirmed, refused or left alone, one row or several.

use serde_json::{Value, json};

use super::console;
use super::engine::Engine;
use crate::console::question::Question;
use crate::console::run::Left;
use crate::console::view::tests::{run_row, said};

/// Runs that are under way, the newest first.
fn running(engine: &Engine, numbers: &[u64]) {
    let rows: Vec<Value> = numbers.iter().map(|n| run_row(*n, None, "2026-04-07T08:05:50Z", "")).collect();
    engine.rows("runs", &rows, &[]);
    for n in numbers {
        let run = format!("nightly#{n}");
        let doc = json!({
            "run": run, "verdict": null, "detail": "", "started": "2026-04-07T08:05:50Z", "round_started": "2026-04-07T08:05:50Z", "ended": null,
            "state": "running", "stages": [],
            "basis": "one",
        });
        engine.says(&Question::Run(run.parse().unwrap()), doc);
    }
}

#[tokio::test]
async fn a_cancel_is_asked_about_and_sent_once_it_was_confirmed() {
    let engine = Engine::start();
    running(&engine, &[12]);
    let left = console(&engine, (100, 30), async |p, engine| {
        p.rests().await;
        p.presses(":").await;
        p.enters("runs").await;
        let shown = p.presses("X").await;
        assert!(shown.contains("read-only: `:arm 15m REASON` first"), "{shown}");
        p.presses(":").await;
        let shown = p.enters("arm 15m the disk is full").await;
        assert!(shown.contains("ARMED"), "{shown}");
        let shown = p.presses("X").await;
        assert!(shown.contains("nightly#12 is running") && shown.contains("[ No ]"), "{shown}");
        let shown = p.presses("enter").await;
        assert!(shown.contains("nothing was done") && engine.done().is_empty(), "{shown}");
        let shown = p.presses("X y").await;
        assert!(shown.contains("nightly#12: it is done"), "{shown}");
        assert_eq!(engine.done(), ["cancel nightly#12"]);
        p.presses("q").await;
    })
    .await;
    assert_eq!(left, Left::Lost, "q quits nothing: the terminal went");
}

#[tokio::test]
async fn of_several_rows_each_is_told_and_what_was_refused_stays_marked() {
    let engine = Engine::start();
    running(&engine, &[15, 14, 13, 12, 11]);
    engine.refuses("nightly#13", "nightly#13 is in its last step, which cannot be stopped");
    console(&engine, (80, 24), async |p, engine| {
        p.rests().await;
        p.presses(":").await;
        p.enters("runs").await;
        p.presses(":").await;
        p.enters("arm 15m night").await;
        let shown = p.presses("space space space space space").await;
        assert!(shown.contains("5 marked"), "{shown}");
        let shown = p.presses("X y").await;
        assert_eq!(engine.done().len(), 5, "one refusal keeps nothing else from being asked");
        let flat: String = shown.split_whitespace().filter(|w| *w != "|").collect::<Vec<_>>().join(" ");
        for told in [
            "Cancel a run: what became of it",
            "4 of 5 done, 1 refused",
            "refused nightly#13 is in its last step, which cannot be stopped; look at it first",
            "nightly#11, nightly#12, nightly#14, nightly#15",
            "[ Close ]",
        ] {
            assert!(flat.contains(told), "{told}\n{shown}");
        }
        let shown = p.presses("y").await;
        assert!(shown.contains("Enter or Esc closes this") && engine.done().len() == 5, "{shown}");
        let shown = p.presses("enter").await;
        assert!(shown.contains("1 marked") && !shown.contains("what became"), "{shown}");
        assert!(shown.lines().any(|l| l.contains("*nightly#13") || l.contains("* nightly#13")), "{shown}");
    })
    .await;
}

/// More refusals than the box has rows: each can be read, and how many there are stays in sight.
#[tokio::test]
async fn what_became_of_many_rows_is_scrolled_through() {
    let engine = Engine::start();
    let numbers: Vec<u64> = (1..=30).rev().collect();
    running(&engine, &numbers);
    for n in &numbers {
        engine.refuses(&format!("nightly#{n}"), &format!("nightly#{n} is in its last step, which cannot be stopped"));
    }
    console(&engine, (80, 24), async |p, _| {
        p.rests().await;
        p.presses(":").await;
        p.enters("runs").await;
        p.presses(":").await;
        p.enters("arm 15m night").await;
        p.presses(&vec!["space"; 30].join(" ")).await;
        let shown = p.presses("X").await;
        assert!(shown.contains("30 running: nightly#1, nightly#2,") && shown.contains("undo") && shown.contains("same as"), "{shown}");
        let shown = p.presses("y").await;
        assert!(shown.contains("0 of 30 done, 30 refused") && shown.contains("[ Close ]"), "{shown}");
        assert!(shown.contains("nightly#1 is in") && !shown.contains("nightly#30 is in"), "{shown}");
        let shown = p.presses("G").await;
        assert!(shown.contains("0 of 30 done, 30 refused") && shown.contains("[ Close ]"), "{shown}");
        assert!(shown.contains("nightly#30 is in") && !shown.contains("nightly#1 is in"), "{shown}");
        let after = p.presses("up").await;
        assert_ne!(after, shown, "the end is the end: one step back is seen at once");
        let shown = p.presses("g").await;
        assert!(shown.contains("nightly#1 is in"), "{shown}");
        let shown = p.presses("enter").await;
        assert!(shown.contains("30 marked") && !shown.contains("what became"), "{shown}");
    })
    .await;
}

#[tokio::test]
async fn of_several_rows_an_engine_that_dies_in_between_leaves_one_unknown_and_the_rest_not_sent() {
    let engine = Engine::start();
    running(&engine, &[14, 13, 12]);
    engine.holds("nightly#13");
    console(&engine, (100, 30), async |p, engine| {
        p.rests().await;
        p.presses(":").await;
        p.enters("runs").await;
        p.presses(":").await;
        p.enters("arm 15m night").await;
        p.presses("space space space X").await;
        p.sends("y").await;
        p.sees("1 of 3 answered").await;
        engine.dies().await;
        let shown = p.sees("what became of it").await;
        let flat: String = shown.split_whitespace().filter(|w| *w != "|").collect::<Vec<_>>().join(" ");
        assert!(flat.contains("1 of 3 done, 1 unknown, 1 not sent"), "{shown}");
        assert!(flat.contains("whether it was done is not known") && flat.contains("nothing was done"), "{shown}");
        assert!(shown.contains("DISCONNECTED"), "{shown}");
        assert_eq!(engine.done(), ["cancel nightly#12", "cancel nightly#13"], "nothing is sent to nobody, and nothing twice");
        engine.begins();
        let shown = p.sees("READ-ONLY").await;
        assert!(shown.contains("what became of it"), "it is still to be read\n{shown}");
        p.rests().await;
        assert_eq!(engine.done().len(), 2, "nothing is kept for later");
    })
    .await;
}

#[tokio::test]
async fn a_refused_start_says_who_refused_it_and_why() {
    let engine = Engine::start();
    running(&engine, &[12]);
    engine.refuses("nightly#12", "this needs one of the roles operator or admin, and you have viewer");
    console(&engine, (140, 40), async |p, engine| {
        p.rests().await;
        p.presses(":").await;
        p.enters("runs").await;
        p.presses(":").await;
        p.enters("arm 15m night").await;
        let shown = p.presses("X y").await;
        assert!(shown.contains("cancel: this needs one of the roles operator or admin, and you have viewer; look at it first"), "{shown}");
        assert_eq!(engine.done(), ["cancel nightly#12"]);
    })
    .await;
}

/// What moved between the question and the answer is no longer what was agreed to.
#[tokio::test]
async fn a_question_is_void_once_what_it_is_about_has_moved() {
    let engine = Engine::start();
    running(&engine, &[12]);
    console(&engine, (100, 30), async |p, engine| {
        p.rests().await;
        p.presses(":").await;
        p.enters("runs").await;
        p.presses(":").await;
        p.enters("arm 15m night").await;
        p.presses("X").await;
        let mut doc = json!({
            "run": "nightly#12", "verdict": "success", "detail": "", "started": null, "ended": null, "state": "done", "stages": [], "basis": "two",
        });
        doc["ended"] = json!("2026-04-07T08:07:00Z");
        engine.says(&Question::Run("nightly#12".parse().unwrap()), doc);
        engine.changes("runs", &["nightly#12"]);
        let shown = p.sees("has moved since the key was pressed; nothing was done").await;
        assert!(!shown.contains("[ No ]"), "{shown}");
        p.presses("y").await;
        assert!(engine.done().is_empty());
    })
    .await;
}

/// A key that changes something waits for the engine: whoever goes elsewhere meanwhile is asked nothing there.
#[tokio::test]
async fn a_question_does_not_come_up_on_another_screen() {
    let engine = Engine::start();
    running(&engine, &[12]);
    let run = Question::Run("nightly#12".parse().unwrap()).path();
    console(&engine, (100, 30), async |p, engine| {
        p.rests().await;
        p.presses(":").await;
        p.enters("runs").await;
        p.presses(":").await;
        p.enters("arm 15m night").await;
        engine.holds(&run);
        p.sends("X").await;
        p.sees("reading it again first").await;
        p.sends("8").await;
        p.sees("[8]JOBS").await;
        engine.lets_go(&run);
        let shown = p.rests().await;
        assert!(shown.contains("Cancel a run: its screen was left before the engine answered; nothing was done"), "{shown}");
        p.presses("y").await;
        assert!(engine.done().is_empty());
    })
    .await;
}

/// What a person asks for at L3 only becomes a request: the question says so before all else, and the page of the run says what it waits for.
#[tokio::test]
async fn what_needs_two_people_says_so_first_and_its_page_offers_the_answer() {
    let engine = Engine::start();
    let plan = json!({
        "pipeline": "nightly", "level": "L3", "basis": "file", "parameters": [], "stages": ["Reboot"], "reads": [], "writes": [], "locks": ["rack"],
        "secrets": [], "usual_ms": null,
    });
    engine.says(&Question::Plan("nightly".into()), plan);
    for size in [(80, 24), (140, 40)] {
        console(&engine, size, async |p, engine| {
            p.rests().await;
            p.presses(":").await;
            p.enters("arm 15m kernel update").await;
            let shown = p.presses("8 B").await;
            let first = shown.lines().skip_while(|l| !l.contains("Run a pipeline: nightly")).nth(1).unwrap_or_default();
            assert!(first.contains("L3: this only asks for it: a second person must agree"), "{shown}");
            let shown = p.presses("y").await;
            assert!(shown.contains("Tab goes to where nightly must be typed") && engine.done().is_empty(), "{shown}");
            p.presses("esc").await;
        })
        .await;
    }
    // Where nobody could ever agree no name is asked for, and where one person does it, that is said.
    for (says, wanted) in [("refused", "this engine has one user"), ("single", "L3: meant for two people; this site lets one do it")] {
        let mut status = said(&Question::Status);
        (status["second_person"], status["you"]) = (json!(says), json!("ann"));
        engine.says(&Question::Status, status);
        console(&engine, (140, 40), async |p, engine| {
            p.rests().await;
            p.presses(":").await;
            p.enters("arm 15m kernel update").await;
            let shown = p.presses("8 B").await;
            assert!(shown.contains(wanted) && shown.contains("[ No ]") == (says == "single"), "{shown}");
            assert!(engine.done().is_empty());
        })
        .await;
    }
    let run: crate::domain::run::RunRef = "nightly#12".parse().unwrap();
    let doc = json!({
        "run": "nightly#12", "verdict": null, "detail": "", "started": null, "ended": null, "state": "queued", "stages": [], "basis": "one",
    });
    engine.says(&Question::Run(run.clone()), doc);
    let asked = json!([{
        "type": "approval", "stage": null, "roles": ["operator"], "quorum": 1, "given": [], "not": "root", "until_us": 0, "sha": "f11788ed3e33",
        "show": [], "questions": [],
    }]);
    let why = json!({"run": "nightly#12", "state": "queued", "reasons": ["its start waits for a second person: 1 of 1 missing"], "detail": asked});
    engine.says(&Question::Why(run), why);
    console(&engine, (80, 24), async |p, _| {
        p.rests().await;
        p.presses(":").await;
        let shown = p.enters("run nightly#12").await;
        assert!(shown.contains("nightly#12 WAITS FOR PEOPLE"), "{shown}");
        assert!(shown.lines().rev().take(2).any(|l| l.contains("A approve  V deny")), "{shown}");
    })
    .await;
}
