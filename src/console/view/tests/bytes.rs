//! What a cursor move, a page and a minute cost on each list screen with its detail open, byte for byte, in true colour at 120x40. The figures are
//! kept as a snapshot: one that grows is seen in a diff.

use jiff::SignedDuration;
use ratatui::buffer::Buffer;
use serde_json::{Value, json};

use super::{bare, content, promotion, run_row, said, table, tell};
use crate::console::model::Model;
use crate::console::model::screen::{Kind, Pair};
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
            "versions" => {
                let stands = if i == 0 { json!("stable") } else { Value::Null };
                let compose = format!("CentOS-Stream-9-2026{:02}{:02}.0", 1 + i / 28, 1 + i % 28);
                let word = format!("el9-latest@{}", &hex(i)[..8]);
                with(&[
                    ("fp", json!(hex(i))),
                    ("first_seen", json!(ago(24 * i))),
                    ("compose", json!(compose)),
                    ("stands", stands),
                    ("word", json!(word)),
                ])
            }
            _ => first.clone(),
        })
        .collect()
}

/// A comparison of many sources.
fn sources(table: &str) -> Value {
    let mut all = content::changes(table);
    let first = all["rows"][0].clone();
    let row = |i: u64| {
        let mut row = first.clone();
        row["source"] = json!(format!("package-{i}"));
        row["grown_bytes"] = json!(i * 1_111);
        row
    };
    all["rows"] = (0..MANY).map(row).collect();
    all
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
        "versions",
    ]
    .into_iter()
    .find(|n| *n == what)
    .unwrap_or_default()
}

fn answer(question: &Question) -> Value {
    match question {
        Question::Rows { what, .. }
            if matches!(
                *what,
                "runs" | "audit" | "decisions" | "locks" | "doctor" | "pipelines" | "due" | "repos" | "promotions" | "versions"
            ) =>
        {
            table(long(what))
        }
        Question::Changes { table, .. } => sources(table),
        Question::Promotion(id) => {
            // Each with times, digests and words of its own.
            let i: u64 = id.bytes().filter(u8::is_ascii_digit).fold(0, |n, d| n * 10 + u64::from(d - b'0'));
            let own = promotion::document().to_string().replace("9c41aa03", &hex(i)[..8]).replace("20bd71aa", &hex(i + 7)[..8]);
            let mut doc: Value = serde_json::from_str(&own.replace("signing key", &format!("key {}", i % 97))).expect("a document");
            doc["promotion"] = json!(id);
            doc["author"] = json!(format!("op-{:02}", i % 40));
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

/// Bytes, and signs among them.
type Cost = (usize, usize);

/// What each frame costs.
struct Costs {
    look: Look,
    shown: Buffer,
}

impl Costs {
    fn frame(&mut self, model: &Model) -> Cost {
        let next = shot::draw(model, &self.look);
        let sent = paint::bytes(Some(&self.shown), &next);
        self.shown = next;
        (sent.len(), plain(&sent))
    }

    /// A message, and the frame that it makes.
    fn of(&mut self, model: &mut Model, msg: Msg) -> Cost {
        update(model, msg);
        self.frame(model)
    }

    /// All that follows while nobody presses a key: what stands beside the list follows the cursor, and answers come.
    fn rest(&mut self, model: &mut Model) -> Cost {
        let add = |a: Cost, b: Cost| (a.0 + b.0, a.1 + b.1);
        fill(model);
        let mut all = self.frame(model);
        while let Some(wait) = update::beside::wakes_in(model) {
            let later = model.now + SignedDuration::try_from(wait).expect("a moment");
            all = add(all, self.of(model, Msg::Tick(later)));
            fill(model);
            all = add(all, self.frame(model));
        }
        all
    }
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

/// A held key costs the cursor alone, on every list; what then stands beside it is counted apart, as a page is: beyond its text.
#[test]
fn a_move_a_page_and_a_minute_on_every_list() {
    let diff = Kind::Diff(Pair::of("el9-latest@stable", "el9-latest@latest"));
    let mut record = String::new();
    let mut over = Vec::new();
    for kind in Kind::NAMED.into_iter().map(|(_, k)| k).chain([diff]) {
        let mut model = bare(kind.clone(), (120, 40));
        update(&mut model, Msg::Link(LinkMsg::Up));
        fill(&mut model);
        if kind == Kind::Home {
            model.screen_mut().focus = 1;
        }
        model.notice = None;
        let mut costs = Costs { look: look(), shown: shot::draw(&model, &look()) };
        let _ = costs.rest(&mut model);
        let mut step = |model: &mut Model, key: &str| (costs.of(model, press(key)), costs.rest(model));
        let steps = ["j", "j", "j", "up", "j", "j", "j", "j", "j", "j"].map(|k| step(&mut model, k));
        let (page, then) = step(&mut model, "pgdn");
        let moves = steps.map(|((bytes, _), _)| bytes);
        let beside = steps.map(|(_, (bytes, _))| bytes);
        // A key that is held down.
        let _ = (costs.of(&mut model, press("home")), costs.rest(&mut model));
        let held: usize = (0..8).map(|_| costs.of(&mut model, Msg::Key { key: "j".parse().expect("a key"), repeat: true }).0).sum();
        let _ = costs.rest(&mut model);
        let mut minute = 0;
        for _ in 0..2 {
            let later = model.now + SignedDuration::from_mins(1);
            minute = costs.of(&mut model, Msg::Tick(later)).0 + costs.rest(&mut model).0;
        }
        let title = kind.title();
        record += &format!("{title:<14} moves {moves:?}  page {}, {} of it text  minute {minute}  held {held}\n", page.0, page.1);
        if beside.iter().any(|n| *n > 0) {
            record += &format!("{:<14} beside {beside:?}  after the page {}, {} of it text\n", "", then.0, then.1);
        }
        let dear = steps.iter().any(|(mv, beside)| mv.0 > MOVE || beside.0.saturating_sub(beside.1) > PAGE);
        let large = [page, then].iter().any(|(bytes, text)| bytes.saturating_sub(*text) > PAGE);
        if dear || large || held > 8 * MOVE || minute > MINUTE {
            over.push(title);
        }
    }
    insta::assert_snapshot!("bytes_at_120x40", record);
    assert!(over.is_empty(), "over the budget: {over:?}\n{record}");
}
