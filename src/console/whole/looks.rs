//! What only shows something, seen from the person: from the first frame to what an engine that goes and comes does to the screen.

use serde_json::json;

use super::console;
use super::engine::Engine;
use crate::console::question::Question;
use crate::console::run::Left;
use crate::console::view::tests::{run_row, said};

#[tokio::test]
async fn it_connects_opens_runs_filters_and_opens_one() {
    let engine = Engine::start();
    let left = console(&engine, (120, 30), async |p, engine| {
        let shown = p.rests().await;
        assert!(shown.contains("READ-ONLY") && shown.contains("NEEDS YOU"), "{shown}");
        p.presses(":").await;
        let shown = p.enters("runs").await;
        assert!(shown.contains("nightly#12") && shown.contains("nightly#9"), "{shown}");
        p.presses("/").await;
        let shown = p.enters("verdict=success").await;
        assert!(shown.contains("RUNS row 1 of 1 (4 in all)") && !shown.contains("nightly#11 "), "{shown}");
        let shown = p.presses("enter").await;
        assert!(shown.contains("RUN nightly#9") && shown.contains("Koji Build"), "{shown}");
        let shown = p.presses("esc").await;
        assert!(shown.contains("filter verdict=success"), "the list is as it was left\n{shown}");
        assert_eq!(engine.done(), [""; 0], "looking changes nothing");
        p.presses(":").await;
        p.leaves("quit").await;
    })
    .await;
    assert_eq!(left, Left::Quit);
}

#[tokio::test]
async fn an_engine_that_dies_is_told_in_own_words_and_all_is_asked_again_once_it_is_back() {
    let engine = Engine::start();
    console(&engine, (120, 30), async |p, engine| {
        p.rests().await;
        engine.dies().await;
        p.sees("DISCONNECTED").await;
        let shown = p.sees("no engine listens at").await;
        assert!(shown.contains("quarterdeck engine status"), "what was tried last is told, not how it began\n{shown}");
        for library in ["error reading", "body", "hyper", "os error", "channel", "message completed"] {
            assert!(!shown.contains(library), "`{library}` are words of a library\n{shown}");
        }
        let before = engine.asked("/v1/status");
        let mut status = said(&Question::Status);
        (status["pid"], status["epoch"]) = (json!(4712), json!(2));
        engine.says(&Question::Status, status);
        engine.begins();
        let shown = p.sees("the engine was restarted (pid 4712, before 4711)").await;
        assert!(shown.contains("READ-ONLY"), "{shown}");
        p.rests().await;
        assert!(engine.asked("/v1/status") > before);
    })
    .await;
}

#[tokio::test]
async fn what_changes_is_seen_by_itself_and_a_reset_asks_for_everything() {
    let engine = Engine::start();
    console(&engine, (120, 30), async |p, engine| {
        p.rests().await;
        p.presses(":").await;
        p.enters("runs").await;
        let (old, new) = (run_row(12, Some("success"), "2026-04-07T08:05:50Z", ""), run_row(13, None, "2026-04-07T08:07:00Z", ""));
        engine.rows("runs", &[new, old], &["nightly#13", "nightly#12"]);
        let shown = p.sees("nightly#13").await;
        assert!(!shown.contains("nightly#11"), "{shown}");
        p.rests().await;
        // What was lost in between is not known: the stream says so, and everything is read again.
        engine.rows("runs", &[run_row(77, None, "2026-04-07T08:07:00Z", "")], &[]);
        engine.resets();
        p.sees("nightly#77").await;
        p.rests().await;
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_comes_after_its_screen_was_left_changes_no_other() {
    let engine = Engine::start();
    let (first, other) = ("nightly#11".parse().unwrap(), "nightly#10".parse().unwrap());
    let slow = Question::About(first).path();
    let mut late = said(&Question::About(other));
    late["parameters"] = json!({"profile": "TOO-LATE"});
    engine.says(&Question::About("nightly#11".parse().unwrap()), late);
    engine.holds(&slow);
    console(&engine, (120, 30), async |p, engine| {
        p.rests().await;
        p.presses(":").await;
        p.enters("runs").await;
        p.presses("j").await;
        p.sends("\r").await;
        p.sees("RUN nightly#11").await;
        p.sends("\u{1b}").await;
        p.sees("RUNS row 2").await;
        p.sends("j").await;
        p.sees("RUNS row 3").await;
        p.sends("\r").await;
        let shown = p.sees("RUN nightly#10").await;
        assert!(!shown.contains("profile vmw"), "{shown}");
        engine.lets_go(&slow);
        let shown = p.rests().await;
        assert!(shown.contains("RUN nightly#10") && shown.contains("profile vmw") && !shown.contains("TOO-LATE"), "{shown}");
    })
    .await;
}

#[tokio::test]
async fn any_size_is_drawn_whole_after_any_other() {
    let engine = Engine::start();
    console(&engine, (80, 24), async |p, _| {
        p.rests().await;
        for (columns, rows) in [(140, 40), (30, 5), (1, 1), (200, 60), (80, 24)] {
            let shown = p.resized(columns, rows).await;
            assert!(shown.lines().count() <= usize::from(rows), "{shown}");
            assert!(columns < 11 || shown.starts_with("quarterdeck"), "{columns}x{rows}\n{shown}");
        }
        let shown = p.resized(80, 24).await;
        assert!(shown.contains("? help"), "{shown}");
    })
    .await;
}

/// Names, reasons and versions are written by others, and nothing of them reaches the terminal but letters.
#[tokio::test]
async fn what_others_write_reaches_the_terminal_as_letters_alone() {
    let engine = Engine::start();
    let mut row =
        run_row(12, Some("failure"), "2026-04-07T08:05:50Z", "a\u{1b}[2J\u{1b}]52;c;aGE=\u{7}b\u{9b}31mc\u{202e}d\r\nquarterdeck PWNED");
    row["requested_by"] = json!("ann\u{1b}]0;owned\u{7}");
    engine.rows("runs", &[row], &[]);
    console(&engine, (140, 40), async |p, engine| {
        p.rests().await;
        p.presses(":").await;
        let shown = p.enters("runs").await;
        assert!(shown.starts_with("quarterdeck demo"), "the screen was not cleared\n{shown}");
        assert!(!shown.lines().skip(1).any(|l| l.starts_with("quarterdeck")), "no line was made\n{shown}");
        assert!(shown.contains("? help") && !shown.contains('\u{202e}'), "{shown}");
        let raw = p.raw();
        assert!(!raw.contains("\u{1b}]") && !raw.contains('\u{9b}') && !raw.contains("PWNED\r"), "no sequence of a far end: {raw:?}");
        assert!(engine.done().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_paste_is_no_key_with_and_without_its_brackets() {
    let engine = Engine::start();
    console(&engine, (100, 30), async |p, engine| {
        p.rests().await;
        p.sends("\u{1b}[200~:arm 15m x\rXy\u{1b}[201~").await;
        let shown = p.rests().await;
        assert!(shown.contains("READ-ONLY"), "{shown}");
        p.sends("jkjkXyBXy").await;
        let shown = p.rests().await;
        assert!(shown.contains("faster than anybody types") && shown.contains("READ-ONLY"), "{shown}");
        assert!(engine.done().is_empty() && engine.asked("/v1/arm") == 0);
        // A key of a person works as before.
        let shown = p.presses("8").await;
        assert!(shown.contains("[8]JOBS"), "{shown}");
    })
    .await;
}
