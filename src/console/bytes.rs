//! What a person's work costs a link: the bytes of each step of a shift at 120x40, kept as a snapshot, and the budgets of single ones.

use serde_json::{Value, json};

use super::keymap::Key;
use super::model::Model;
use super::model::screen::Kind;
use super::msg::{Effect, Msg};
use super::question::Question;
use super::term::paint;
use super::view::tests::{filled, run_row, said};
use super::{shot, update};
use crate::theme::{Depth, Glyphs, Look, Theme, built_in};

struct Link {
    model: Model,
    look: Look,
    shown: Option<ratatui::buffer::Buffer>,
}

impl Link {
    fn open() -> Self {
        let sheet = built_in("dark").and_then(Result::ok).unwrap();
        let look = Look { theme: Theme::of("dark", &sheet, Depth::True), glyphs: Glyphs::UTF8 };
        Self { model: filled(Kind::Home, (120, 40)), look, shown: None }
    }

    /// Takes a message and all that follows from it; the bytes of the frame after it, and what it shows.
    fn tell(&mut self, msg: Msg) -> (usize, String) {
        let mut effects = update(&mut self.model, msg);
        while let Some(effect) = effects.pop() {
            if let Effect::Ask(question) = effect {
                let answer = question.read(answer(&question).to_string().as_bytes()).unwrap();
                effects.extend(update(&mut self.model, Msg::Answer { question, result: Ok(answer) }));
            }
        }
        let next = shot::draw(&self.model, &self.look);
        let bytes = paint::bytes(self.shown.as_ref(), &next).len();
        let text = shot::text(&next);
        self.shown = Some(next);
        (bytes, text)
    }

    fn key(&mut self, key: &str) -> (usize, String) {
        let mut last = (0, String::new());
        for k in key.split(' ') {
            let key: Key = k.parse().unwrap();
            let (bytes, text) = self.tell(Msg::Key { key, repeat: false });
            last = (last.0 + bytes, text);
        }
        last
    }

    fn line(&mut self, text: &str) -> (usize, String) {
        let keys: Vec<String> = text.chars().map(|c| if c == ' ' { "space".to_owned() } else { c.to_string() }).collect();
        self.key(&format!(": {} enter", keys.join(" ")))
    }
}

fn answer(question: &Question) -> Value {
    match question {
        Question::Rows { what: "runs", .. } => {
            let verdict = |n: u64| if n.is_multiple_of(7) { "failure" } else { "success" };
            let row = |n: u64| {
                run_row(
                    n,
                    Some(verdict(n)),
                    &format!("2026-04-{:02}T06:31:00Z", n % 6 + 1),
                    if n.is_multiple_of(7) { "exit 3" } else { "" },
                )
            };
            json!({"what": "runs", "revision": 1, "age_ms": 0, "rows": (1..=300).rev().map(row).collect::<Vec<_>>()})
        }
        _ => said(question),
    }
}

#[test]
fn a_shift_on_a_slow_link() {
    let mut link = Link::open();
    let mut record = String::new();
    let mut put = |name: &str, (bytes, text): (usize, String)| {
        record.push_str(&format!("{name:<28}{bytes:>7} B\n"));
        (bytes, text.len())
    };
    let minute = |link: &Link, n: i64| Msg::Tick(link.model.now + jiff::SignedDuration::from_mins(n));
    let now = link.model.now;
    let first = link.tell(Msg::Tick(now));
    put("the first frame", first);
    let same = link.tell(Msg::Tick(now));
    assert_eq!(put("nothing happened", same).0, 0);
    let tick = minute(&link, 1);
    let told = link.tell(tick);
    // A run goes on: its time, and the ages of all that is seen.
    put("a minute later, one runs", told);
    let opened = link.line("runs");
    put("the list of runs", opened);
    for _ in 0..3 {
        let moved = link.key("j");
        let n = put("one row down", moved).0;
        assert!((1..=250).contains(&n), "{n} bytes");
    }
    let page = link.key("pgdn");
    let (bytes, text) = put("a page", page);
    assert!(bytes <= 3_000 + text, "a page of {text} costs {bytes}");
    for key in ["G", "g g", "n"] {
        let moved = link.key(key);
        put(&format!("to {key}"), moved);
    }
    let (tick, before) = (minute(&link, 1), link.model.screen().kind.clone());
    let told = link.tell(tick);
    let n = put("a minute later, nothing runs", told).0;
    assert!(n <= 120, "{n} bytes on {before:?}");
    let run = link.key("enter");
    put("a run", run);
    for _ in 0..3 {
        let moved = link.key("j");
        let n = put("to its next stage or cell", moved).0;
        assert!((1..=250).contains(&n), "{n} bytes");
    }
    for (name, key) in [("back", "q"), ("jobs", "8"), ("home", "0"), ("help", "?"), ("no help", "?")] {
        let told = link.key(key);
        put(name, told);
    }
    let moved = link.key("tab j");
    put("to the other list, and down", moved);
    insta::assert_snapshot!("bytes_of_a_shift_120x40", record);
}
