//! The last lines of a log on the page of a run, and the last runs of a pipeline on the screen of jobs: they follow the cursor once it rests, say
//! why there is nothing, and hold little.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{bare, fill, filled, said, tell, text};
use crate::api::ApiError;
use crate::console::model::Model;
use crate::console::model::screen::Kind;
use crate::console::msg::{Effect, LinkMsg, Msg};
use crate::console::question::Question;
use crate::console::update::{self, update};

const RUN: &str = "nightly#12";

fn page() -> Kind {
    Kind::Run(RUN.parse().unwrap())
}

fn attempts() -> Question {
    Question::Attempts(RUN.parse().unwrap())
}

fn tail(fence: u64) -> Question {
    Question::Tail { run: RUN.parse().unwrap(), fence }
}

fn press(model: &mut Model, key: &str) -> Vec<Effect> {
    update(model, Msg::Key { key: key.parse().unwrap(), repeat: false })
}

/// So many milliseconds later.
fn later(model: &mut Model, ms: i64) -> Vec<Effect> {
    let at = model.now + SignedDuration::from_millis(ms);
    update(model, Msg::Tick(at))
}

fn asked(effects: &[Effect], q: &Question) -> bool {
    effects.iter().any(|e| matches!(e, Effect::Ask(a) if a == q))
}

#[test]
fn what_runs_is_read_at_its_end_and_the_cursor_is_followed_once_it_rests() {
    let mut model = filled(page(), (140, 40));
    let shown = text(&model);
    assert!(shown.contains("LOG Koji Build / kiwi") && shown.contains("the key of ops-release expires"), "{shown}");
    assert!(!shown.contains("[33m"), "colours are no text: {shown}");
    later(&mut model, 1_000);
    press(&mut model, "j");
    assert_eq!(model.screen().spot.as_deref(), Some("stage Checkout"));
    assert!(text(&model).contains("LOG Koji Build"), "a held key costs the cursor alone");
    let effects = later(&mut model, 200);
    assert!(asked(&effects, &tail(31)), "{effects:?}");
    assert!(text(&model).contains("LOG Koji Build"), "what is not known yet is not drawn over what is");
    tell(&mut model, &tail(31), &said(&tail(31)));
    let shown = text(&model);
    assert!(shown.contains("LOG Checkout / git") && shown.contains("object 6 of 7"), "{shown}");
}

#[test]
fn what_is_written_is_read_again_and_what_has_ended_is_not() {
    let mut model = filled(page(), (140, 40));
    assert!(!asked(&later(&mut model, 500), &tail(32)));
    assert!(asked(&later(&mut model, 1_600), &tail(32)), "it may have been written to");
    let mut ended = said(&tail(32));
    ended["complete"] = json!(true);
    tell(&mut model, &tail(32), &ended);
    assert!(!asked(&later(&mut model, 5_000), &tail(32)), "nothing is added to it");
}

#[test]
fn it_is_there_at_80x24_while_something_runs() {
    let shown = text(&filled(page(), (80, 24)));
    assert!(shown.contains("LOG Koji Build / kiwi") && shown.contains("the key of ops-release expires"), "{shown}");
}

#[test]
fn it_says_why_there_are_no_lines() {
    let says = |model: &Model, words: &str| {
        let shown = text(model);
        assert!(shown.contains(words), "no `{words}`\n{shown}");
    };
    let mut model = bare(page(), (140, 40));
    update(&mut model, Msg::Link(LinkMsg::Up));
    let run = Question::Run(RUN.parse().unwrap());
    tell(&mut model, &run, &said(&run));
    says(&model, "asking the engine which steps ran");
    let with = |model: &mut Model, list: Value, done: bool| tell(model, &attempts(), &json!({"run": RUN, "done": done, "attempts": list}));
    with(&mut model, json!([]), false);
    says(&model, "nothing has run yet");
    with(&mut model, json!([]), true);
    says(&model, "nothing of this run was started");
    tell(&mut model, &attempts(), &said(&attempts()));
    says(&model, "reading the log");
    tell(&mut model, &tail(32), &json!({"lines": [], "next_offset": 0, "complete": false}));
    says(&model, "has written nothing yet");
    update(&mut model, Msg::Link(LinkMsg::Down("it was killed".into())));
    says(&model, "STALE");
    let mut model = filled(page(), (140, 40));
    model.known.remove(&tail(32));
    let result = Err(ApiError::failed("the log of fence 32 is gone", "a cleaner took it"));
    update(&mut model, Msg::Answer { question: tail(32), result });
    says(&model, "the log of fence 32 is gone");
}

#[test]
fn few_ends_of_logs_are_held() {
    let mut model = filled(page(), (140, 40));
    let list: Vec<Value> = (0..60)
        .map(|i| json!({"fence": 100 + i, "stage": "verify", "cell": format!("os={i}"), "step": "s", "number": 1, "state": "done", "verdict": "success", "started": null, "ended": null, "log_bytes": 9}))
        .collect();
    tell(&mut model, &attempts(), &json!({"run": RUN, "done": true, "attempts": list}));
    let about = Question::About(RUN.parse().unwrap());
    let mut body = said(&about);
    body["cells"] = (0..60)
        .map(|i| json!({"stage": "verify", "cell": format!("os={i}"), "step": "s", "state": "done", "verdict": "success", "duration_ms": 1, "detail": ""}))
        .collect();
    tell(&mut model, &about, &body);
    for _ in 0..40 {
        press(&mut model, "j");
        press(&mut model, "right");
        later(&mut model, 500);
        fill(&mut model);
        let held = model.known.keys().filter(|q| matches!(q, Question::Tail { .. })).count();
        assert!(held <= 10, "{held}");
    }
}

#[test]
fn jobs_show_the_last_runs_of_the_pipeline_stage_by_stage() {
    let mut model = filled(Kind::Jobs, (140, 40));
    let shown = text(&model);
    assert!(shown.contains("STAGE VIEW nightly") && shown.contains("Koji Build") && shown.contains("8m22s"), "{shown}");
    later(&mut model, 1_000);
    press(&mut model, "j");
    assert!(text(&model).contains("STAGE VIEW nightly"), "it waits until the cursor rests");
    let other = Question::History { pipeline: "all-mirrors".into(), limit: 8 };
    assert!(asked(&later(&mut model, 200), &other));
    tell(&mut model, &other, &json!({"pipeline": "all-mirrors", "runs": [], "averages": []}));
    let shown = text(&model);
    assert!(shown.contains("STAGE VIEW all-mirrors") && shown.contains("no run yet"), "{shown}");
    // Where there is no room for it, nothing is asked.
    let small = filled(Kind::Jobs, (80, 24));
    assert!(!update::needs(&small).iter().any(|q| matches!(q, Question::History { .. })));
    assert!(!text(&small).contains("STAGE VIEW"));
}
