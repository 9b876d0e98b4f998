//! What moves only the person's view: the view before, saved views, the mouse; and what any bytes of a terminal can bring about.

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::json;

use super::tests::{answer, armed, connected, done, key, now, plan, rows, run_doc, table, told, typed};
use super::update;
use crate::console::model::Model;
use crate::console::model::Screen;
use crate::console::model::screen::Kind;
use crate::console::msg::Hit;
use crate::console::msg::{Effect, Msg};
use crate::console::question::{Answer, Question};
use crate::console::rhythm::Rhythm;
use crate::console::term::keys::{Parser, Token};
use crate::domain::level::Level;

fn command(m: &mut Model, line: &str) -> Vec<Effect> {
    key(m, ":");
    typed(m, line);
    key(m, "enter")
}

#[test]
fn while_nothing_needs_anybody_the_keys_of_home_are_about_the_runs() {
    let mut m = connected();
    key(&mut m, "0");
    assert_eq!((m.screen().kind.clone(), m.screen().focus), (Kind::Home, 1));
    answer(&mut m, table("repos"), rows("repos", json!([{"repo": "base", "freshness": "partial", "light": "red"}])));
    assert!(!m.needs.is_empty(), "a torn mirror needs somebody");
    assert_eq!(m.screen().focus, 0, "nobody had moved: what needs somebody comes first");
    answer(&mut m, table("repos"), rows("repos", json!([])));
    key(&mut m, "j");
    assert_eq!(super::lists::current(&m).as_deref(), Some("b#2"));
    answer(&mut m, table("repos"), rows("repos", json!([{"repo": "base", "freshness": "partial", "light": "red"}])));
    assert_eq!(super::lists::current(&m).as_deref(), Some("b#2"), "the cursor stays where somebody put it");
    key(&mut m, "tab");
    assert_eq!(m.screen().focus, 0);
    key(&mut m, "tab");
    assert_eq!(m.screen().focus, 1, "and the key that changes lists is obeyed");
}

#[test]
fn the_view_before_comes_back_with_its_filter_and_so_does_this_one() {
    let mut m = connected();
    key(&mut m, "-");
    assert!(told(&m).contains("no other view"), "{}", told(&m));
    key(&mut m, "/");
    typed(&mut m, "b#");
    key(&mut m, "enter 8");
    assert_eq!(m.screen().kind, Kind::Jobs);
    key(&mut m, "-");
    assert_eq!((&m.screen().kind, m.screen().lists[0].filter.as_str()), (&Kind::Runs, "b#"));
    key(&mut m, "-");
    assert_eq!(m.screen().kind, Kind::Jobs);
    // From a log, whose `-` is another key, and into it again, which then reads anew.
    key(&mut m, "- l");
    let log = Kind::Log("b#2".parse().unwrap(), None);
    assert_eq!(m.screen().kind, log);
    key(&mut m, "`");
    assert_eq!(m.screen().kind, Kind::Runs);
    key(&mut m, "`");
    assert!(m.screen().kind == log && m.screen().log.as_ref().is_some_and(|l| l.held() == 0));
}

#[test]
fn a_view_has_a_name_and_begins_at_its_top() {
    let mut m = connected();
    key(&mut m, "j /");
    typed(&mut m, "#");
    key(&mut m, "enter s");
    assert!(command(&mut m, "view red").is_empty());
    assert!(m.prompt.take().is_some_and(|p| p.error.is_some_and(|e| e.contains("`:view save NAME`"))));
    assert_eq!(command(&mut m, "view save red"), [Effect::Views]);
    assert!(command(&mut m, "view save ../x").is_empty());
    m.prompt = None;
    key(&mut m, "8");
    command(&mut m, "view red");
    let list = &m.screen().lists[0];
    assert_eq!((&m.screen().kind, list.filter.as_str(), list.sort.is_some(), list.at), (&Kind::Runs, "#", true, 0));
    key(&mut m, "q");
    assert_eq!(m.screen().kind, Kind::Jobs);
    key(&mut m, ":");
    typed(&mut m, "view r");
    key(&mut m, "tab");
    assert_eq!(m.prompt.take().map(|p| p.line.text().to_owned()).as_deref(), Some("view red"));
    assert_eq!(command(&mut m, "view drop red"), [Effect::Views]);
    assert!(command(&mut m, "view red").is_empty() && m.prompt.is_some());
}

#[test]
fn the_mouse_is_asked_for_and_answers_no_dialog() {
    let mut m = armed();
    assert!(!m.mouse);
    assert_eq!(key(&mut m, "A-m"), [Effect::Mouse(true)]);
    update(&mut m, Msg::Click(Hit { list: 0, row: 2 }));
    assert_eq!(m.screen().lists[0].at, 2);
    update(&mut m, Msg::Click(Hit { list: 0, row: 3 }));
    update(&mut m, Msg::Click(Hit { list: 7, row: 0 }));
    assert_eq!(m.screen().lists[0].at, 2, "there is no such row");
    update(&mut m, Msg::Wheel { down: false });
    assert_eq!(m.screen().lists[0].at, 0);
    key(&mut m, "X");
    let answer = Answer::Run(Box::new(run_doc("a#3", "one")));
    update(&mut m, Msg::Answer { question: Question::Run("a#3".parse().unwrap()), result: Ok(answer) });
    let before = m.dialog.clone();
    assert!(before.is_some());
    update(&mut m, Msg::Click(Hit { list: 0, row: 1 }));
    update(&mut m, Msg::Wheel { down: true });
    assert!(m.dialog == before && m.screen().lists[0].at == 0);
    m.dialog = None;
    assert_eq!(key(&mut m, "A-m"), [Effect::Mouse(false)]);
}

#[test]
fn another_site_waits_for_what_is_unsaved_and_is_no_site_twice() {
    let mut m = connected();
    assert_eq!(command(&mut m, "site dc2"), [Effect::Site("dc2".into())]);
    assert!(command(&mut m, "site s").is_empty() && m.prompt.is_some());
}

/// What a terminal may send: keys, whole dialogues, pastes with and without brackets, held keys, reports of a mouse, and any bytes.
fn sent() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "X",
        "B",
        "R",
        "A",
        "V",
        "y",
        "yy",
        "Xy",
        "XXXX",
        "Xyyyy",
        "By\r",
        "\r",
        "\t",
        "\x1b",
        "j",
        "q",
        ":",
        ":do-cancel\r",
        ":do-run\ry",
        ":arm 15m x\r",
        "\x1b[200~Xy\x1b[201~",
        "\x1b[200~",
        "\x1b[201~",
        "\x1b[<0;5;5M",
        "\x1b[B",
        "a\r",
        "?62;4c",
    ]);
    prop_oneof![6 => words.prop_map(|w| w.as_bytes().to_vec()), 1 => prop::collection::vec(any::<u8>(), 0..12)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The engine answers at once, and frames are written and seen as they are in life: what is typed within 150 ms of a question is not for it.
    #[test]
    fn no_bytes_change_anything_but_by_a_key_after_a_question_that_was_seen(
        all in prop::collection::vec((sent(), 0i64..500), 0..40), level in prop::sample::select(vec![Level::L1, Level::L2, Level::L3]),
    ) {
        let mut m = armed();
        let (mut parser, mut rhythm, mut clock) = (Parser::default(), Rhythm::default(), now());
        for (bytes, gap) in all {
            clock += SignedDuration::from_millis(gap);
            if gap >= 150 {
                let frame = m.frame;
                update(&mut m, Msg::Shown(frame));
            }
            let mut tokens = Vec::new();
            parser.feed(&bytes, &mut tokens);
            if gap >= 50 {
                parser.flush(&mut tokens);
            }
            for token in tokens {
                let msg = match token {
                    Token::Key(key) => rhythm.take(key, false, clock),
                    Token::Paste(text) => Msg::Paste(text),
                    Token::Reply(_) | Token::Mouse(_) => continue,
                };
                let by_hand = matches!(msg, Msg::Key { repeat: false, .. });
                let seen = m.dialog.as_ref().is_some_and(|d| d.shown);
                let named = m.dialog.as_ref().is_some_and(|d| d.level <= Level::L1 || d.typed == d.phrase());
                let line = m.prompt.as_ref().map(|p| p.line.text().to_owned()).unwrap_or_default();
                let mut effects = update(&mut m, msg);
                prop_assert!(done(&effects).is_empty() || (by_hand && seen && named));
                prop_assert!(!effects.iter().any(|e| matches!(e, Effect::Arm(_))) || (by_hand && line.starts_with("arm ")));
                while let Some(Effect::Ask(question)) = effects.pop() {
                    let answer = match &question {
                        Question::Run(run) => Answer::Run(Box::new(run_doc(&run.to_string(), "one"))),
                        Question::Plan(_) => Answer::Plan(Box::new(plan(level, Vec::new()))),
                        q if *q == table("runs") => rows("runs", json!([{"run": "a#3", "state": "running"}])),
                        _ => continue,
                    };
                    effects.extend(update(&mut m, Msg::Answer { question, result: Ok(answer) }));
                    prop_assert!(done(&effects).is_empty(), "an answer changes nothing");
                }
            }
        }
    }
}

/// A repository that needs somebody has no run: the keys of runs say so, and Enter leads to it.
#[test]
fn a_need_that_is_about_no_run_says_so_and_opens_where_it_can_be_mended() {
    let mut m = armed();
    m.stack = vec![Screen::home()];
    update(&mut m, Msg::Tick(now()));
    let repo =
        |name: &str, light: &str| json!({"repo": name, "freshness": "behind-1", "light": light, "detail": "cedar is behind", "dcs": "2/3"});
    answer(&mut m, table("repos"), rows("repos", json!([repo("appstream9", "good"), repo("base9", "amber")])));
    for (keys, told) in [
        ("X", "Cancel: `base9 BEHIND-1` has no run: enter leads to where something can be done about it"),
        ("B", "Run: `base9 BEHIND-1` has no pipeline: enter leads to where something can be done about it"),
    ] {
        key(&mut m, keys);
        assert!(super::tests::told(&m).ends_with(told.split_once(": ").unwrap().1), "{keys}: {}", super::tests::told(&m));
        assert!(m.opening.is_none());
    }
    assert_eq!(super::idle::idle(&m, "open"), None, "help says that Enter opens it");
    key(&mut m, "enter");
    assert_eq!(m.screen().kind, Kind::Mirrors);
    answer(&mut m, table("repos"), rows("repos", json!([repo("appstream9", "good"), repo("base9", "amber")])));
    assert_eq!(super::lists::current(&m).as_deref(), Some("base9"), "with the cursor on what needs somebody");
}

/// What could only be refused is not asked about; among several rows one is enough that it can be done to.
#[test]
fn a_key_that_the_state_of_a_run_forbids_says_so_at_once() {
    let mut m = armed();
    m.stack = vec![Screen::of(Kind::Runs)];
    update(&mut m, Msg::Tick(now()));
    let run = |n: u32, state: &str, verdict: &str| json!({"run": format!("a#{n}"), "state": state, "verdict": verdict});
    let all = json!([run(3, "done", "success"), run(2, "done", "failure"), run(1, "running", "")]);
    answer(&mut m, table("runs"), rows("runs", all));
    let why = |m: &Model, id: &str| super::open::why_not(m, crate::action::find(id).unwrap()).unwrap_or_default();
    key(&mut m, "X");
    assert!(told(&m).contains("a#3 has ended (success)") && m.opening.is_none(), "{}", told(&m));
    assert!(why(&m, "resume").contains("B runs its pipeline anew"), "{}", why(&m, "resume"));
    key(&mut m, "j");
    assert!(why(&m, "cancel").contains("a#2 has ended (failure)") && why(&m, "resume").is_empty());
    key(&mut m, "j");
    assert!(why(&m, "cancel").is_empty() && why(&m, "retry").contains("a#1 has not ended"));
    // The last row is marked with the first: the key is about both.
    key(&mut m, "space g g space");
    assert!(why(&m, "cancel").is_empty(), "{}", why(&m, "cancel"));
    // What may have moved forbids nothing: the engine has the last word.
    m.screen_mut().lists[0].marks = ["a#2".to_owned(), "a#3".to_owned()].into();
    assert!(why(&m, "cancel").starts_with("none of the 2 can be: a#2 has ended"), "{}", why(&m, "cancel"));
    m.screen_mut().lists[0].marks.clear();
    m.known.get_mut(&table("runs")).unwrap().old = true;
    assert!(why(&m, "cancel").is_empty(), "{}", why(&m, "cancel"));
}

/// A pipeline that did not start has no run that could be cancelled, and the key says what it is.
#[test]
fn a_key_of_runs_on_a_pipeline_says_that_it_is_none() {
    let mut m = armed();
    m.stack = vec![Screen::of(Kind::Schedule)];
    let due = json!([{"pipeline": "n", "trigger": "31 1 * * *", "scheduled_for": "2026-04-08T06:31:00Z"}]);
    answer(&mut m, Question::Rows { what: "due", limit: crate::console::model::screen::NEXT }, rows("due", due));
    key(&mut m, "X");
    assert!(super::tests::told(&m).contains("`n` is no run: 8 shows pipelines and what runs"), "{}", super::tests::told(&m));
}

/// Enter on a start that is due leads to the last run of its pipeline; an entry about no run says so, and `p` opens no page of its number.
#[test]
fn a_row_leads_to_its_run_and_its_pipeline_or_says_that_it_has_none() {
    let mut m = connected();
    m.stack = vec![Screen::of(Kind::Schedule)];
    let due = json!([{"pipeline": "n", "trigger": "31 1 * * *", "scheduled_for": "2026-04-08T06:31:00Z"}]);
    answer(&mut m, Question::Rows { what: "due", limit: crate::console::model::screen::NEXT }, rows("due", due));
    answer(&mut m, table("pipelines"), rows("pipelines", json!([{"pipeline": "n", "last_run": null}])));
    assert_eq!(super::idle::idle(&m, "open").as_deref(), Some("`n` has no run yet"));
    answer(&mut m, table("pipelines"), rows("pipelines", json!([{"pipeline": "n", "last_run": "n#7"}])));
    assert_eq!(super::idle::idle(&m, "open"), None);
    key(&mut m, "enter");
    assert_eq!(m.screen().kind, Kind::Run("n#7".parse().unwrap()));
    let entries = json!([{"seq": 8, "subject": "console", "action": "arm"}, {"seq": 7, "subject": "n#7/Ship it", "action": "approve"}]);
    m.stack = vec![Screen::of(Kind::Audit)];
    answer(&mut m, table("audit"), rows("audit", entries));
    key(&mut m, "enter");
    assert_eq!(super::tests::told(&m), "the row under the cursor is about no run");
    key(&mut m, "p");
    assert_eq!((&m.screen().kind, super::idle::idle(&m, "pipeline").is_some()), (&Kind::Audit, true));
    key(&mut m, "j p");
    assert_eq!(m.screen().kind, Kind::Pipeline("n".into()), "that of its run");
}

/// Of what is wrong help says what it is, though it is no run and no pipeline.
#[test]
fn help_names_the_row_that_has_no_name_of_its_own() {
    let mut m = connected();
    m.stack = vec![Screen::home()];
    update(&mut m, Msg::Tick(now()));
    let repo = json!([{"repo": "base9", "freshness": "behind-1", "light": "amber", "detail": "cedar is behind", "dcs": "2/3"}]);
    answer(&mut m, table("repos"), rows("repos", repo));
    let first = super::help::lines(&m, 80).remove(0).text;
    assert_eq!(first, "THIS ROW: base9 BEHIND-1");
}

/// Of tabs nothing is told where there can be none.
#[test]
fn help_speaks_of_tabs_only_where_there_are_some() {
    for kind in [Kind::Runs, Kind::Audit, Kind::Mirrors, Kind::Home] {
        let mut m = connected();
        m.stack = vec![Screen::of(kind)];
        let text: String = super::help::lines(&m, 200).into_iter().map(|l| l.text + "\n").collect();
        assert!(
            !text.contains("Next view")
                && !text.contains("View before")
                && !text.contains("names a view")
                && !text.contains("tab of pipelines"),
            "{text}"
        );
        key(&mut m, "]");
        assert_eq!(super::tests::told(&m), "there are no tabs here: 8 has them");
    }
    let mut m = connected();
    m.stack = vec![Screen::of(Kind::Jobs)];
    let text: String = super::help::lines(&m, 200).into_iter().map(|l| l.text + "\n").collect();
    assert!(text.contains("The next tab of pipelines"), "{text}");
}
