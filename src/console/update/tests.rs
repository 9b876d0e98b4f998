//! The rules of safety, each by itself, and over any sequence of keys.

use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::json;

use super::update;
use crate::action;
use crate::api::types::{Armed, Do, Done, ParameterDoc, PlanDoc, Rows, Rule, RunDoc, Status, Why};
use crate::api::{ApiError, Code as Refusal};
use crate::console::keymap::{Code, Key, Keymap};
use crate::console::model::dialog::Focus;
use crate::console::model::screen::{Kind, PAGE};
use crate::console::model::{Link, Mode, Model, Screen, Site};
use crate::console::msg::{Effect, LinkMsg, Msg};
use crate::console::question::{Answer, Question};
use crate::domain::level::Level;

pub(super) fn now() -> Timestamp {
    "2026-04-07T03:07:00Z".parse().unwrap()
}

fn at(s: i64) -> Timestamp {
    now() + jiff::SignedDuration::from_secs(s)
}

fn status() -> Status {
    let text = json!({"pid": 1, "version": env!("CARGO_PKG_VERSION"), "socket": "", "started": "", "runs_running": 0, "state_dir": "", "private": true,
        "draining": false, "read_only": false, "epoch": 1, "revision": 1, "you": "ann"});
    serde_json::from_value(text).unwrap()
}

pub(super) fn rows(what: &str, rows: serde_json::Value) -> Answer {
    Answer::Rows(Rows { what: what.into(), revision: 1, age_ms: 0, rows: serde_json::from_value(rows).unwrap(), ..Rows::default() })
}

pub(super) fn run_doc(run: &str, basis: &str) -> RunDoc {
    let text = json!({"run": run, "verdict": null, "detail": "", "started": null, "ended": null, "stages": [], "state": "running", "basis": basis});
    serde_json::from_value(text).unwrap()
}

pub(super) fn plan(level: Level, parameters: Vec<ParameterDoc>) -> PlanDoc {
    let (stages, none) = (vec!["fetch".to_owned()], Vec::new());
    PlanDoc {
        pipeline: "a".into(),
        level,
        basis: "file".into(),
        parameters,
        stages,
        reads: none.clone(),
        writes: none.clone(),
        locks: none.clone(),
        secrets: none,
        usual_ms: Some(60_000),
    }
}

pub(super) fn answer(m: &mut Model, question: Question, answer: Answer) -> Vec<Effect> {
    update(m, Msg::Answer { question, result: Ok(answer) })
}

pub(super) fn table(what: &'static str) -> Question {
    Question::Rows { what, limit: PAGE }
}

/// Connected, three runs on the screen of runs, the cursor on `a#3`.
pub(super) fn connected() -> Model {
    let site = Site { name: "s".into(), demo: false, zone: jiff::tz::TimeZone::UTC };
    let mut m = Model::new(site, Keymap::default_keys(), now(), (80, 24));
    m.stack.push(Screen::of(Kind::Runs));
    update(&mut m, Msg::Link(LinkMsg::Up));
    answer(&mut m, Question::Status, Answer::Status(Box::new(status())));
    let all = json!([{"run": "a#3", "state": "running"}, {"run": "b#2", "state": "running"}, {"run": "c#1", "state": "done"}]);
    answer(&mut m, table("runs"), rows("runs", all));
    m
}

pub(super) fn armed() -> Model {
    let mut m = connected();
    let armed = Armed { lease: 7, who: "ann".into(), reason: "night".into(), until: at(900).to_string() };
    update(&mut m, Msg::Armed(Ok(armed)));
    assert!(m.hands_off().is_none());
    m
}

pub(super) fn key(m: &mut Model, text: &str) -> Vec<Effect> {
    text.split(' ').flat_map(|k| update(m, Msg::Key { key: k.parse().unwrap(), repeat: false })).collect()
}

pub(super) fn typed(m: &mut Model, text: &str) -> Vec<Effect> {
    text.chars().flat_map(|c| update(m, Msg::Key { key: Key::char(c), repeat: false })).collect()
}

fn shown(m: &mut Model) {
    let frame = m.frame;
    update(m, Msg::Shown(frame));
}

/// The requests among the effects.
pub(super) fn done(effects: &[Effect]) -> Vec<Do> {
    effects.iter().filter_map(|e| if let Effect::Do(d) = e { Some((**d).clone()) } else { None }).collect()
}

pub(super) fn told(m: &Model) -> String {
    m.notice.as_ref().map(|n| n.text.clone()).unwrap_or_default()
}

fn read_run(m: &mut Model, run: &str, basis: &str) {
    answer(m, Question::Run(run.parse().unwrap()), Answer::Run(Box::new(run_doc(run, basis))));
}

/// `X` was pressed, the run was read again, and the dialog was seen.
fn cancelling() -> Model {
    let mut m = armed();
    assert_eq!(key(&mut m, "X"), [Effect::Ask(Question::Run("a#3".parse().unwrap()))]);
    assert!(m.dialog.is_none(), "nobody is asked before the row was read again");
    read_run(&mut m, "a#3", "one");
    assert!(m.dialog.is_some());
    shown(&mut m);
    m
}

#[test]
fn a_console_begins_read_only_and_says_what_to_do() {
    let mut m = connected();
    assert!(key(&mut m, "X").is_empty() && m.dialog.is_none() && m.opening.is_none());
    assert!(told(&m).contains(":arm 15m REASON"), "{}", told(&m));
}

#[test]
fn arming_needs_a_time_of_an_hour_at_most_and_a_reason() {
    let mut m = connected();
    for bad in ["arm", "arm 15m", "arm 61m too long", "arm 0s x", "arm soon x"] {
        key(&mut m, ":");
        typed(&mut m, bad);
        assert!(key(&mut m, "enter").is_empty(), "{bad}");
        assert!(m.prompt.as_ref().is_some_and(|p| p.error.is_some()), "{bad}");
        key(&mut m, "esc");
    }
    key(&mut m, ":");
    typed(&mut m, "arm 15m looking into it");
    let effects = key(&mut m, "enter");
    assert!(matches!(&effects[..], [Effect::Arm(a)] if a.seconds == 900 && a.reason == "looking into it"), "{effects:?}");
    assert_eq!(m.mode, Mode::ReadOnly, "not before the engine has said so");
    m.never_armed = true;
    key(&mut m, ":");
    typed(&mut m, "arm 15m x");
    assert!(key(&mut m, "enter").is_empty());
}

#[test]
fn arming_ends_with_its_time_the_connection_and_the_engine_s_word() {
    let mut m = armed();
    update(&mut m, Msg::Tick(at(899)));
    assert!(m.hands_off().is_none());
    update(&mut m, Msg::Tick(at(900)));
    assert_eq!(m.mode, Mode::ReadOnly);
    let mut m = cancelling();
    update(&mut m, Msg::Link(LinkMsg::Down("gone".into())));
    assert!(m.mode == Mode::ReadOnly && m.dialog.is_none() && told(&m).contains("arming"));
    assert!(done(&key(&mut m, "y")).is_empty());
    let mut m = cancelling();
    answer(&mut m, Question::Status, Answer::Status(Box::new(status())));
    assert!(m.mode == Mode::ReadOnly && m.dialog.is_none(), "nobody is armed, says the engine");
    let mut m = armed();
    key(&mut m, ":");
    typed(&mut m, "disarm");
    assert_eq!(key(&mut m, "enter"), [Effect::Disarm]);
    assert_eq!(m.mode, Mode::ReadOnly);
}

#[test]
fn a_console_that_has_lost_its_arming_does_not_count_itself_among_the_others() {
    let mut m = armed();
    let mut s = status();
    s.armed = vec![Armed { lease: 7, who: "ann".into(), reason: "night".into(), until: at(900).to_string() }];
    s.armed.push(Armed { lease: 8, who: "bob".into(), reason: "day".into(), until: at(900).to_string() });
    answer(&mut m, Question::Status, Answer::Status(Box::new(s)));
    update(&mut m, Msg::Link(LinkMsg::Down("gone".into())));
    let left: Vec<&str> = m.status().unwrap().armed.iter().map(|a| a.who.as_str()).collect();
    assert_eq!(left, ["bob"], "the first row would say: also armed: ann");
}

#[test]
fn a_saved_state_changes_nothing() {
    let mut m = armed();
    m.link = Link::Saved { at: now() };
    assert!(key(&mut m, "X").is_empty() && m.opening.is_none() && told(&m).contains("saved"));
}

#[test]
fn y_does_it_and_everything_else_does_not() {
    let mut m = cancelling();
    let all = done(&key(&mut m, "y"));
    let [d] = &all[..] else { panic!("{all:?}") };
    assert_eq!((d.action.as_str(), d.target.as_str(), d.reason.as_str()), ("cancel", "a#3", "night"));
    assert_eq!((d.console, d.basis.as_deref(), d.confirm.as_deref()), (true, Some("one"), None));
    assert!(m.dialog.is_none());
    for other in ["enter", "esc", "n", "q", "C-c"] {
        let mut m = cancelling();
        assert!(done(&key(&mut m, other)).is_empty() && m.dialog.is_none(), "{other}");
    }
    for other in ["x", "Y", "X", "tab", "space", "C-y", "A-y"] {
        let mut m = cancelling();
        assert!(done(&key(&mut m, other)).is_empty() && m.dialog.is_some(), "{other}");
    }
}

#[test]
fn keys_before_the_dialog_was_shown_and_held_keys_confirm_nothing() {
    let mut m = armed();
    key(&mut m, "X");
    assert!(done(&key(&mut m, "y")).is_empty(), "before it was read");
    read_run(&mut m, "a#3", "one");
    assert!(done(&key(&mut m, "y")).is_empty() && m.dialog.is_some(), "before it was shown");
    update(&mut m, Msg::Shown(0));
    assert!(done(&key(&mut m, "y")).is_empty(), "an older frame was shown");
    shown(&mut m);
    for _ in 0..5 {
        assert!(done(&update(&mut m, Msg::Key { key: Key::char('y'), repeat: true })).is_empty());
    }
    assert_eq!(done(&key(&mut m, "y")).len(), 1);
    assert!(update(&mut m, Msg::Key { key: Key::char('X'), repeat: true }).is_empty(), "nor is a dialog opened by a held key");
}

#[test]
fn a_paste_confirms_nothing_with_brackets_or_without() {
    let mut m = cancelling();
    assert!(done(&update(&mut m, Msg::Paste("y".into()))).is_empty() && m.dialog.is_some());
    assert!(done(&update(&mut m, Msg::Burst(Key::char('y')))).is_empty());
    // What a burst itself has opened is closed again.
    let mut m = armed();
    key(&mut m, "X");
    update(&mut m, Msg::Burst(Key::char('y')));
    read_run(&mut m, "a#3", "one");
    assert!(m.dialog.is_none() && told(&m).contains("faster"));
    let mut m = connected();
    assert!(update(&mut m, Msg::Paste("X y".into())).is_empty() && told(&m).contains("paste"));
}

#[test]
fn a_pasted_line_does_not_arm() {
    let mut m = connected();
    key(&mut m, ":");
    for c in "arm 15m x".chars() {
        update(&mut m, Msg::Burst(Key::char(c)));
    }
    assert!(update(&mut m, Msg::Burst(Key::plain(Code::Enter))).is_empty());
    assert!(matches!(&key(&mut m, "enter")[..], [Effect::Arm(_)]), "Enter by hand does");
}

#[test]
fn a_dialog_is_void_when_what_it_is_about_moves() {
    let mut m = cancelling();
    let effects = update(&mut m, Msg::Link(LinkMsg::Changed([("runs".to_owned(), vec!["a#3".to_owned()])].into())));
    assert!(effects.contains(&Effect::Ask(Question::Run("a#3".parse().unwrap()))), "{effects:?}");
    read_run(&mut m, "a#3", "one");
    assert!(m.dialog.is_some(), "it is as it was");
    read_run(&mut m, "a#3", "two");
    assert!(m.dialog.is_none() && told(&m).contains("a#3 has moved"), "{}", told(&m));
    assert!(done(&key(&mut m, "y")).is_empty());
}

#[test]
fn the_object_is_the_one_under_the_cursor_when_the_key_was_pressed() {
    let mut m = armed();
    key(&mut m, "X");
    // Rows move below the cursor before the answer is there.
    answer(&mut m, table("runs"), rows("runs", json!([{"run": "z#9", "state": "running"}, {"run": "b#2", "state": "running"}])));
    read_run(&mut m, "a#3", "one");
    shown(&mut m);
    assert_eq!(done(&key(&mut m, "y"))[0].target, "a#3");
}

#[test]
fn a_row_that_cannot_be_read_again_opens_nothing() {
    let mut m = armed();
    key(&mut m, "X");
    let gone = Err(ApiError::bad("no run `a#3`", ""));
    update(&mut m, Msg::Answer { question: Question::Run("a#3".parse().unwrap()), result: gone });
    assert!(m.dialog.is_none() && told(&m).contains("no run `a#3`"), "{}", told(&m));
}

#[test]
fn marked_rows_are_counted_and_those_that_the_filter_hides_are_named() {
    let mut m = armed();
    key(&mut m, "space space");
    key(&mut m, "/");
    typed(&mut m, "a#");
    key(&mut m, "enter");
    key(&mut m, "X");
    read_run(&mut m, "a#3", "one");
    assert!(m.dialog.is_none(), "one of two was read");
    read_run(&mut m, "b#2", "two");
    let d = m.dialog.as_ref().unwrap();
    assert_eq!((d.targets.len(), &d.hidden), (2, &vec!["b#2".to_owned()]));
    let facts: Vec<String> = d.facts.iter().map(|(_, t)| t.clone()).collect();
    assert!(facts.iter().any(|f| f == "2 runs: a#3, b#2") && facts.iter().any(|f| f == "the filter hides 1 of them: b#2"), "{facts:?}");
    shown(&mut m);
    let all = done(&key(&mut m, "y"));
    assert_eq!(
        all.iter().map(|d| (d.target.as_str(), d.basis.as_deref())).collect::<Vec<_>>(),
        [("a#3", Some("one")), ("b#2", Some("two"))]
    );
}

#[test]
fn a_filter_that_is_half_typed_is_no_slip_and_filters_nothing_until_it_is_meant() {
    let mut m = connected();
    let error = |m: &Model| m.prompt.as_ref().and_then(|p| p.error.clone());
    let filter = |m: &Model| m.screen().lists[0].filter.clone();
    key(&mut m, "/");
    for (typed_next, applied) in [("b# state", "b# state"), ("~(", "b# "), ("run", "b# "), (")", "b# state~(run)")] {
        typed(&mut m, typed_next);
        assert_eq!((filter(&m).as_str(), error(&m)), (applied, None), "{typed_next}");
    }
    // A blank behind it ends a word, and so does Enter.
    typed(&mut m, " numbr=3");
    assert_eq!((filter(&m).as_str(), error(&m)), ("b# state~(run) ", None));
    typed(&mut m, " ");
    assert!(error(&m).is_some_and(|e| e.contains("numbr")));
    key(&mut m, "backspace");
    assert_eq!(error(&m), None);
    assert!(key(&mut m, "enter").is_empty());
    assert!(error(&m).is_some_and(|e| e.contains("numbr")), "it stays open with the reason");
    // A quote that is still open goes on over its blanks.
    key(&mut m, "esc /");
    typed(&mut m, "state=\"two wo");
    assert_eq!((filter(&m).as_str(), error(&m)), ("", None));
    typed(&mut m, "rds\"");
    key(&mut m, "enter");
    assert_eq!((filter(&m).as_str(), m.prompt.is_none()), ("state=\"two words\"", true));
}

/// `B` on `a#3`, with this plan.
fn running(plan: PlanDoc) -> Model {
    let mut m = armed();
    assert_eq!(key(&mut m, "B"), [Effect::Ask(Question::Plan("a".into()))]);
    answer(&mut m, Question::Plan("a".into()), Answer::Plan(Box::new(plan)));
    shown(&mut m);
    m
}

#[test]
fn l2_wants_the_name_typed_and_begins_at_cancel() {
    let mut m = running(plan(Level::L2, Vec::new()));
    assert_eq!(m.dialog.as_ref().unwrap().focus, Focus::Cancel);
    assert!(done(&key(&mut m, "y")).is_empty(), "y is not enough");
    key(&mut m, "tab");
    assert!(done(&key(&mut m, "b enter")).is_empty() && m.dialog.as_ref().unwrap().error.is_some());
    key(&mut m, "backspace");
    update(&mut m, Msg::Paste("a".into()));
    assert!(done(&key(&mut m, "enter")).is_empty(), "a pasted name is not typed");
    let all = done(&key(&mut m, "a enter"));
    assert_eq!((all[0].confirm.as_deref(), all[0].basis.as_deref()), (Some("a"), Some("file")));
    let m = running(plan(Level::L3, Vec::new()));
    assert!(m.dialog.unwrap().facts.iter().any(|(_, t)| t.contains("second person")));
}

pub(super) fn parameter(name: &str, default: Option<&str>) -> ParameterDoc {
    ParameterDoc {
        name: name.into(),
        kind: "text".into(),
        default: default.map(str::to_owned),
        description: String::new(),
        rule: Rule::default(),
    }
}

#[test]
fn a_form_wants_what_must_be_given_and_comes_back_with_the_engine_s_words() {
    let mut m = running(plan(Level::L1, vec![parameter("os", None), parameter("fast", Some("no"))]));
    assert_eq!(m.dialog.as_ref().unwrap().focus, Focus::Field(0), "the values come first");
    key(&mut m, "enter enter");
    assert_eq!(m.dialog.as_ref().unwrap().focus, Focus::Field(0), "it goes to what is missing");
    // In a field `y` and `c` are letters.
    key(&mut m, "y c enter enter");
    assert_eq!(m.dialog.as_ref().unwrap().focus, Focus::Cancel);
    assert!(done(&key(&mut m, "y")).is_empty(), "typed before the question was shown");
    shown(&mut m);
    let Some(Effect::Copy(line)) = key(&mut m, "c").into_iter().next() else { panic!() };
    assert_eq!(line, "quarterdeck run a -p os=yc --reason night");
    let all = done(&key(&mut m, "y"));
    assert_eq!(all[0].with, IndexMap::from([("os".to_owned(), "yc".to_owned())]), "a default is not sent");
    let request = Box::new(all[0].clone());
    update(&mut m, Msg::Done { request, result: Err(ApiError::new(Refusal::BadInput, "`os` must be 8 or 9", "")) });
    let d = m.dialog.as_ref().unwrap();
    assert!(d.error.as_deref().unwrap().contains("must be 8 or 9") && d.fields[0].text() == "yc" && !d.shown);
    // What was done is done: no form comes back.
    let mut m = running(plan(Level::L1, vec![parameter("os", Some("9"))]));
    key(&mut m, "enter");
    shown(&mut m);
    let all = done(&key(&mut m, "y"));
    let done = Done { run: Some("a#4".into()), message: "a#4 is queued".into(), single_person: false };
    update(&mut m, Msg::Done { request: Box::new(all[0].clone()), result: Ok(done) });
    assert!(m.dialog.is_none() && told(&m) == "a#4 is queued");
}

#[test]
fn an_approval_shows_who_may_how_many_are_missing_the_sha_and_the_questions() {
    let mut m = armed();
    key(&mut m, "A");
    read_run(&mut m, "a#3", "one");
    let asked = json!({"type": "approval", "stage": "gate", "roles": ["operator"], "quorum": 2, "given": ["bob"], "not": null,
        "until_us": 0, "sha": "abcdef0123456789", "show": [], "questions": [["window", "text"]]});
    let why =
        Why { run: "a#3".into(), state: "waiting".into(), reasons: vec!["may approve: operator (ann, bob)".into()], detail: vec![asked] };
    answer(&mut m, Question::Why("a#3".parse().unwrap()), Answer::Why(why.clone()));
    shown(&mut m);
    let d = m.dialog.as_ref().unwrap();
    let text = format!("{:?}", d.facts);
    for wanted in ["1 of 2; given by bob", "abcdef012345", "operator (ann, bob)", "stage gate"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert_eq!(d.fields[0].name, "window");
    key(&mut m, "tab");
    typed(&mut m, "sun");
    let all = done(&key(&mut m, "enter y"));
    assert_eq!(all[0].with.get("sha").map(String::as_str), Some("abcdef0123456789"));
    assert_eq!((all[0].with["stage"].as_str(), all[0].with["window"].as_str()), ("gate", "sun"));
    // What has an answer already is not asked of the next one.
    let mut m = armed();
    key(&mut m, "A");
    read_run(&mut m, "a#3", "one");
    let mut said = why.clone();
    said.detail[0]["answered"] = json!(["window"]);
    answer(&mut m, Question::Why("a#3".parse().unwrap()), Answer::Why(said));
    shown(&mut m);
    let all = done(&key(&mut m, "y"));
    assert!(all.len() == 1 && !all[0].with.contains_key("window"), "{all:?}");
    // Nothing waits: nothing is asked.
    let mut m = armed();
    key(&mut m, "V");
    read_run(&mut m, "a#3", "one");
    answer(&mut m, Question::Why("a#3".parse().unwrap()), Answer::Why(Why { detail: Vec::new(), ..why }));
    assert!(m.dialog.is_none() && told(&m).contains("waits for no approval"), "{}", told(&m));
}

#[test]
fn force_is_offered_only_for_what_was_cancelled_and_has_not_ended() {
    let force = action::find("force-finish").unwrap();
    let of = |state: &str, by: serde_json::Value| {
        let mut m = armed();
        answer(&mut m, table("runs"), rows("runs", json!([{"run": "a#3", "state": state, "cancel_by": by}])));
        super::open::why_not(&m, force)
    };
    assert!(of("running", json!(null)).unwrap().contains("a#3 was not cancelled: X asks its steps"));
    assert!(of("done", json!("ann")).unwrap().contains("a#3 has ended"));
    assert_eq!(of("running", json!("ann")), None);
    assert!(super::open::why_not(&connected(), force).unwrap().contains(":arm"));
}

#[test]
fn a_key_that_does_nothing_says_why() {
    for id in ["secret-set", "run-missed"] {
        let why = super::open::why_not(&armed(), action::find(id).unwrap()).unwrap();
        assert!(why.contains("quarterdeck "), "{why}");
    }
    assert!(super::open::why_not(&armed(), action::find("cancel").unwrap()).is_none());
    assert!(super::open::why_not(&connected(), action::find("cancel").unwrap()).is_some());
}

#[test]
fn the_palette_remembers_its_lines() {
    let mut m = connected();
    for line in ["jobs", "runs"] {
        key(&mut m, ":");
        typed(&mut m, line);
        key(&mut m, "enter");
    }
    key(&mut m, ":");
    typed(&mut m, "au");
    for (press, wanted) in [("up", "runs"), ("up", "jobs"), ("up", "jobs"), ("down", "runs"), ("down", "au")] {
        key(&mut m, press);
        assert_eq!(m.prompt.as_ref().unwrap().line.text(), wanted);
    }
}

#[test]
fn a_form_picks_from_what_is_allowed_and_says_what_is_wrong_where_it_is() {
    let rule = |name: &str, rule| ParameterDoc { rule, ..parameter(name, None) };
    let choices = vec!["el8".to_owned(), "el9".to_owned()];
    let of = Some("b".to_owned());
    let mut m = running(plan(
        Level::L1,
        vec![
            rule("os", Rule::Choice { choices }),
            rule("build", Rule::Run { of, result: "any".into() }),
            rule("count", Rule::Int { min: Some(1), max: Some(9) }),
        ],
    ));
    let runs = json!([{"run": "b#2", "pipeline": "b", "verdict": "failure"}, {"run": "b#3", "pipeline": "b", "verdict": null}]);
    answer(&mut m, table("runs"), rows("runs", runs));
    let text = |m: &Model, i: usize| m.dialog.as_ref().unwrap().fields[i].text().to_owned();
    key(&mut m, "right right left x e space");
    assert_eq!(text(&m, 0), "el9", "only what is allowed can stand there");
    key(&mut m, "enter right right");
    assert_eq!(text(&m, 1), "b#2", "a run that has not ended is not offered");
    key(&mut m, "tab 1 0 enter");
    let d = m.dialog.as_ref().unwrap();
    assert!(d.filling && d.focus == Focus::Field(2) && d.error.as_deref().unwrap().contains("1 to 9"), "{:?}", d.error);
    key(&mut m, "backspace enter");
    shown(&mut m);
    // Back to the values, and here again: the question must be seen anew.
    key(&mut m, "e backspace enter enter enter");
    assert!(done(&key(&mut m, "y")).is_empty());
    shown(&mut m);
    let Some(Effect::Copy(line)) = key(&mut m, "c").pop() else { panic!() };
    assert!(line.starts_with("quarterdeck run a -p os=el9 "), "{line}");
    let all = done(&key(&mut m, "y"));
    assert_eq!((all[0].with["build"].as_str(), all[0].with["count"].as_str()), ("b#2", "1"));
}

#[test]
fn prompts_complete_names_arguments_and_filters() {
    let mut m = connected();
    let line = |m: &Model| m.prompt.as_ref().map(|p| p.line.text().to_owned()).unwrap_or_default();
    key(&mut m, ":");
    typed(&mut m, "edit-m");
    key(&mut m, "tab");
    assert_eq!(line(&m), "edit-mine");
    key(&mut m, "C-u");
    typed(&mut m, "run ");
    assert_eq!(m.prompt.as_ref().unwrap().offers.iter().map(|o| o.text.as_str()).collect::<Vec<_>>(), ["a#3", "b#2", "c#1"]);
    for wanted in ["run a#3", "run b#2", "run c#1", "run a#3"] {
        key(&mut m, "tab");
        assert_eq!(line(&m), wanted);
    }
    key(&mut m, "backtab enter");
    assert_eq!(m.screen().kind, Kind::Run("c#1".parse().unwrap()));
    key(&mut m, "q /");
    typed(&mut m, "sta");
    key(&mut m, "tab");
    assert_eq!(line(&m), "state=");
    key(&mut m, "tab tab");
    assert!(line(&m).starts_with("state=") && line(&m).len() > 6, "{}", line(&m));
    key(&mut m, "enter /");
    key(&mut m, "C-u up");
    assert!(line(&m).starts_with("state="), "filters are remembered");
    key(&mut m, "esc :");
    typed(&mut m, "theme light");
    assert_eq!(key(&mut m, "enter"), [Effect::Theme("light".into())]);
}
