//! What a cursor move, a page and a minute cost on each list screen with its detail open, byte for byte, in true colour at 120x40. The figures are
//! kept as a snapshot: one that grows is seen in a diff.

use jiff::SignedDuration;
use ratatui::buffer::Buffer;
use serde_json::{Value, json};

use super::{bare, promotion, run_row, said, table, tell};
use crate::console::model::Model;
use crate::console::model::screen::Kind;
use crate::console::msg::{LinkMsg, Msg};
use crate::console::question::Question;
use crate::console::shot;
use crate::console::term::paint;
use crate::console::update::{self, update};
use crate::theme::{Depth, Glyphs, Look, Theme, built_in};

/// Rows of each table.
const MANY: u64 = 60;
/// A cursor move costs no more than this, and a page beyond its text no more than that.
const MOVE: usize = 250;
const PAGE: usize = 3_000;
const MINUTE: usize = 120;

fn look() -> Look {
    let sheet = built_in("dark").expect("it is built in").expect("it is whole");
    Look { theme: Theme::of("dark", &sheet, Depth::True), glyphs: Glyphs::UTF8 }
}

/// An instant, so many hours before the clock of the tests.
fn ago(hours: u64) -> String {
    let now: jiff::Timestamp = super::NOW.parse().expect("a time");
    (now - SignedDuration::from_hours(hours.cast_signed())).to_string()
}

/// As the clocks of a site are: nights, and pipelines of every hour.
fn ahead(i: u64) -> String {
    let now: jiff::Timestamp = super::NOW.parse().expect("a time");
    (now + SignedDuration::from_mins(15 + 60 * i.cast_signed())).to_string()
}

fn hex(seed: u64) -> String {
    format!("{:016x}", (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Rows as a site has them: names of some length, one like the other, each with times and digests of its own.
fn long(what: &str) -> Vec<Value> {
    let first = said(&Question::Rows { what: leak(what), limit: 500 })["rows"][0].clone();
    let with = |fields: &[(&str, Value)]| {
        let mut row = first.clone();
        fields.iter().for_each(|(k, v)| row[*k] = v.clone());
        row
    };
    (0..MANY)
        .map(|i| match what {
            "runs" => {
                let mut row = run_row(100 - i, Some("success"), &ago(24 * i + 1), "no-change");
                row["duration_ms"] = json!(400_000 + i * 7_000);
                row
            }
            "audit" => with(&[
                ("seq", json!(900 - i)),
                ("at", json!(ago(i))),
                ("subject", json!(format!("nightly#{}", 100 - i))),
                ("hash", json!(hex(i))),
            ]),
            "decisions" => with(&[("id", json!(i)), ("at", json!(ago(i))), ("subject", json!(format!("promote#{i}/approve")))]),
            "locks" => with(&[("lock", json!(format!("tree-{i}"))), ("run", json!(format!("nightly#{i}"))), ("since", json!(ago(i)))]),
            "doctor" => {
                with(&[("check", json!(format!("pipeline nightly-{i}"))), ("found", json!(format!("{i} warnings: line {i}: no timeout")))])
            }
            "pipelines" => with(&[
                ("pipeline", json!(format!("nightly-{i}"))),
                ("last_run", json!(format!("nightly-{i}#{}", 40 + i))),
                ("last_verdict", json!("success")),
                ("last_success", json!(format!("nightly-{i}#{}", 40 + i))),
                ("last_success_ended", json!(ago(i + 1))),
                ("last_failure_ended", json!(ago(24 * i + 30))),
                ("last_failure", json!(format!("nightly-{i}#{}", 20 + i))),
                ("red_runs", json!(0)),
                ("file", json!(format!("/etc/quarterdeck/pipelines/nightly-{i}.yml"))),
            ]),
            "due" => with(&[
                ("scheduled_for", json!(ahead(i))),
                ("pipeline", json!(format!("nightly-{i}"))),
                ("trigger", json!(format!("{i} 1 * * *"))),
            ]),
            "repos" => with(&[
                ("repo", json!(format!("appstream9-{i}"))),
                ("fp", json!(hex(i))),
                ("md", json!(hex(i + 99))),
                ("packages", json!(9000 + i)),
            ]),
            "promotions" => {
                let mut row = promotion::rows()[1].clone();
                row["promotion"] = json!(format!("PR-20{:02}Q1-el9", 60 - i));
                row
            }
            _ => first.clone(),
        })
        .collect()
}

/// The names of tables live as long as the tests.
fn leak(what: &str) -> &'static str {
    [
        "runs",
        "audit",
        "decisions",
        "locks",
        "doctor",
        "pipelines",
        "due",
        "repos",
        "promotions",
        "queue",
        "schedule",
        "occurrences",
        "executors",
        "mirrors",
        "holds",
    ]
    .into_iter()
    .find(|n| *n == what)
    .unwrap_or_default()
}

fn answer(question: &Question) -> Value {
    match question {
        Question::Rows { what, .. }
            if matches!(*what, "runs" | "audit" | "decisions" | "locks" | "doctor" | "pipelines" | "due" | "repos" | "promotions") =>
        {
            table(long(what))
        }
        Question::Promotion(id) => {
            let mut doc = promotion::document();
            doc["promotion"] = json!(id);
            doc
        }
        // Nothing runs: a minute in which something does is none of the quiet ones.
        Question::Status => {
            let mut status = said(question);
            (status["runs_running"], status["executors_busy"]) = (json!(0), json!(0));
            status
        }
        Question::Rows { what: "queue" | "executors", .. } => {
            let mut rows = said(question)["rows"].clone();
            rows.as_array_mut().expect("rows").retain(|r| r["run"] != "nightly#12");
            table(rows.as_array().expect("rows").clone())
        }
        other => said(other),
    }
}

/// Answers what is asked, and what that asks for.
fn fill(model: &mut Model) {
    for _ in 0..3 {
        for question in update::needs(model) {
            if model.known(&question).is_none_or(|k| k.answer.is_none()) {
                tell(model, &question, &answer(&question));
            }
        }
    }
}

/// Bytes of all frames until everything is answered, and of the signs among them.
fn cost(model: &mut Model, shown: &mut Buffer, msg: Msg) -> (usize, usize) {
    let look = look();
    let (mut bytes, mut signs) = (0, 0);
    let mut frame = |model: &Model| {
        let next = shot::draw(model, &look);
        let sent = paint::bytes(Some(shown), &next);
        bytes += sent.len();
        signs += plain(&sent);
        *shown = next;
    };
    update(model, msg);
    frame(model);
    fill(model);
    frame(model);
    (bytes, signs)
}

/// Bytes that are no sequence.
fn plain(sent: &str) -> usize {
    let mut rest = sent.split('\u{1b}');
    let first = rest.next().map_or(0, str::len);
    first + rest.map(|s| s.find(|c: char| c.is_ascii_alphabetic()).map_or(0, |at| s.len() - at - 1)).sum::<usize>()
}

fn press(key: &str) -> Msg {
    Msg::Key { key: key.parse().expect("a key"), repeat: false }
}

#[test]
fn a_move_a_page_and_a_minute_on_every_list() {
    let kinds = Kind::NAMED.into_iter().map(|(_, k)| k).collect::<Vec<_>>();
    let mut record = String::new();
    let mut over = Vec::new();
    for kind in kinds {
        let mut model = bare(kind.clone(), (120, 40));
        update(&mut model, Msg::Link(LinkMsg::Up));
        fill(&mut model);
        if kind == Kind::Home {
            model.screen_mut().focus = 1;
        }
        model.notice = None;
        let mut shown = shot::draw(&model, &look());
        let costs = ["j", "j", "j", "k", "j", "j", "j", "j", "j", "j"].map(|k| cost(&mut model, &mut shown, press(k)));
        let moves = costs.map(|(bytes, _)| bytes);
        let (page, text) = cost(&mut model, &mut shown, press("pgdn"));
        // In the first minute what was put off until the cursor rests still comes.
        let mut minute = 0;
        for _ in 0..2 {
            let later = model.now + SignedDuration::from_mins(1);
            (minute, _) = cost(&mut model, &mut shown, Msg::Tick(later));
        }
        let title = kind.title();
        record += &format!("{title:<14} moves {moves:?}  page {page}, {text} of it text  minute {minute}\n");
        // Beside these lists stands a whole page, which is another one for each row, and counts ages of its own.
        let paged = matches!(kind, Kind::Promotions | Kind::Mirrors | Kind::Content);
        let dear = costs.iter().any(|(n, signs)| if paged { n.saturating_sub(*signs) > PAGE } else { *n > MOVE });
        if dear || page.saturating_sub(text) > PAGE || (minute > MINUTE && !paged) {
            over.push(title);
        }
    }
    insta::assert_snapshot!("bytes_at_120x40", record);
    assert!(over.is_empty(), "over the budget: {over:?}\n{record}");
}
