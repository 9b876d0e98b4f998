//! The log screen from keys to cells, beside an engine that answers from a text: what it asks, holds and shows.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;

use super::LogScreen;
use super::order::{Ask, Got, Lane, Order, Told};
use crate::api::ApiError;
use crate::api::log::{AttemptDoc, AttemptsDoc, FirstErrorDoc, LogLine, LogPage};
use crate::console::keymap::{Code, Key, Keymap};
use crate::console::model::screen::Kind;
use crate::console::model::{Model, Screen, Site};
use crate::console::msg::{Effect, LinkMsg, Msg};
use crate::console::question::{Answer, Question};
use crate::console::{shot, update, view};
use crate::theme::{Glyphs, Look, Theme};

const NOW: &str = "2026-04-07T03:07:00Z";

/// An engine with one log, and the console in front of it.
struct Desk {
    model: Model,
    text: Vec<u8>,
    done: bool,
    first_error: Option<u64>,
    /// Orders that nobody has answered: a follow waits for what is written.
    waiting: Vec<Order>,
    asked: Vec<String>,
}

/// Bytes that the console holds of a log at most, answers under way included.
const HELD_MAX: usize = 16 << 20;

fn desk(text: impl Into<Vec<u8>>, done: bool, size: (u16, u16)) -> Desk {
    let now: Timestamp = NOW.parse().unwrap();
    let site = Site { name: "demo".into(), demo: true, zone: TimeZone::UTC };
    let mut model = Model::new(site, Keymap::default_keys(), now, size);
    model.stack.push(Screen::of(Kind::Log("app-nightly#12".parse().unwrap(), None)));
    Desk { model, text: text.into(), done, first_error: None, waiting: Vec::new(), asked: Vec::new() }
}

impl Desk {
    fn open(mut self) -> Self {
        self.send(Msg::Link(LinkMsg::Up));
        self
    }

    fn send(&mut self, msg: Msg) {
        let mut effects = update(&mut self.model, msg);
        for _ in 0..2_000 {
            for effect in std::mem::take(&mut effects) {
                match effect {
                    Effect::Ask(question) => {
                        let result = self.answer(&question);
                        effects.extend(update(&mut self.model, Msg::Answer { question, result }));
                    }
                    Effect::Log(order) => {
                        self.waiting.retain(|w| w.lane != order.lane);
                        if order.ask != Ask::Stop {
                            self.waiting.push(order);
                        }
                    }
                    _ => {}
                }
                self.check();
            }
            // Oldest first, so that nothing overtakes; what waits for the step stays.
            let ready = self.waiting.iter().position(|o| !self.waits(o));
            if let Some(i) = ready {
                let order = self.waiting.remove(i);
                for got in self.carry_out(&order) {
                    effects.extend(update(&mut self.model, Msg::Log(Box::new(Told { lane: order.lane, id: order.id, got }))));
                    self.check();
                }
            } else if effects.is_empty() {
                return;
            }
        }
        panic!("the console asks without end: {:?}", &self.asked[self.asked.len().saturating_sub(4)..]);
    }

    fn check(&self) {
        let held: usize = self.model.stack.iter().filter_map(|s| s.log.as_ref()).map(|l| l.held()).sum();
        assert!(held <= HELD_MAX, "{held} bytes are held");
    }

    fn log(&self) -> &LogScreen {
        self.model.stack.iter().find_map(|s| s.log.as_deref()).unwrap()
    }

    fn answer(&self, question: &Question) -> Result<Answer, ApiError> {
        match question {
            Question::Attempts(_) => Ok(Answer::Attempts(Box::new(self.attempts()))),
            _ => Err(ApiError::failed("not asked here", "")),
        }
    }

    fn attempts(&self) -> AttemptsDoc {
        let first_error = self.first_error.map(|offset| FirstErrorDoc {
            run: "build#1".into(),
            stage: "build".into(),
            cell: "el9".into(),
            step: "compile".into(),
            attempt: 2,
            offset,
            time: Some(NOW.into()),
            text: "error: it broke".into(),
            how: "the first line like `error:`".into(),
            pattern: "error:".into(),
            new_since: None,
            context_offset: 0,
        });
        let attempt = |fence, step: &str, number, verdict: Option<&str>, first_error| AttemptDoc {
            fence,
            stage: "build".into(),
            cell: "el9".into(),
            step: step.into(),
            number,
            state: if verdict.is_some() { "done" } else { "running" }.into(),
            verdict: verdict.map(str::to_owned),
            started: Some("2026-04-07T03:05:00Z".into()),
            ended: verdict.map(|_| "2026-04-07T03:06:20Z".into()),
            log_bytes: 0,
            first_error,
        };
        let now = self.done.then_some("failure");
        let attempts = vec![
            attempt(7, "fetch", 1, Some("success"), None),
            attempt(8, "compile", 1, Some("lost"), None),
            attempt(9, "compile", 2, now, first_error),
        ];
        AttemptsDoc { run: "app-nightly#12".into(), done: self.done, attempts, elsewhere: Vec::new() }
    }

    fn waits(&self, order: &Order) -> bool {
        let (Ask::Page { path } | Ask::Search { path, .. }) = &order.ask else { return false };
        let offset = value(path, "offset").unwrap_or(0);
        !self.done && value(path, "wait").is_some_and(|w| w > 0) && offset >= self.text.len() as u64
    }

    fn lines(&self) -> Vec<LogLine> {
        let (mut out, mut at) = (Vec::new(), 0);
        for line in self.text.split_inclusive(|b| *b == b'\n') {
            let whole = line.ends_with(b"\n");
            let bytes = line.strip_suffix(b"\n").unwrap_or(line);
            let binary = bytes.iter().filter(|b| **b < 7).count() >= 4;
            let text = String::from_utf8_lossy(bytes).into_owned();
            let at_ms = 1_775_530_800_000 + at as i64;
            let stamp = Timestamp::from_millisecond(at_ms).unwrap().to_string();
            out.push(LogLine { offset: at, at: stamp, text, partial: !whole, binary, number: None, context: false });
            at += line.len() as u64;
        }
        out
    }

    fn carry_out(&mut self, order: &Order) -> Vec<Got> {
        let size = self.text.len() as u64;
        match &order.ask {
            Ask::Page { path } => {
                self.asked.push(path.clone());
                let offset = value(path, "offset").unwrap_or(0);
                let most = value(path, "lines").unwrap_or(1) as usize;
                let page = |lines: Vec<LogLine>, next: u64| {
                    let complete = self.done && next >= size;
                    Got::Page(Box::new(LogPage { lines, next_offset: next, complete, file: 1, reset: None, size, note: None }))
                };
                if path.contains("as=hex") {
                    let from = (offset as usize).min(self.text.len());
                    let bytes = &self.text[from..self.text.len().min(from + value(path, "bytes").unwrap() as usize)];
                    let text: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
                    let line = LogLine { offset, at: String::new(), text, partial: false, binary: false, number: None, context: false };
                    return vec![page(if bytes.is_empty() { vec![] } else { vec![line] }, (from + bytes.len()) as u64)];
                }
                let all = self.lines();
                if path.contains("at=tail") || path.contains("at=before") {
                    let end = if path.contains("at=tail") { size } else { offset };
                    let mut lines: Vec<LogLine> = all.into_iter().filter(|l| l.offset < end).collect();
                    lines.drain(..lines.len().saturating_sub(most));
                    return vec![page(lines, end)];
                }
                if path.contains("at=time") {
                    return vec![page(all.into_iter().skip(2).take(most).collect(), size)];
                }
                // A line that goes on where the last page ended in its middle is told from there.
                let mut lines: Vec<LogLine> = Vec::new();
                for mut l in all {
                    let end = l.offset + l.text.len() as u64;
                    if l.offset < offset && offset < end && self.text[offset as usize - 1] != b'\n' && l.text.is_ascii() {
                        l.text = l.text[(offset - l.offset) as usize..].to_owned();
                        l.offset = offset;
                    }
                    if l.offset >= offset && l.offset < size {
                        lines.push(l);
                    }
                }
                let next = lines.get(most).map_or(size, |l| l.offset);
                lines.truncate(most);
                vec![page(lines, next.max(offset))]
            }
            Ask::Search { path, lines } => {
                self.asked.push(path.clone());
                let from = value(path, "offset").unwrap_or(0);
                let word = path.split("re=").nth(1).unwrap().split('&').next().unwrap().to_owned();
                let hits: Vec<LogLine> =
                    self.lines().into_iter().filter(|l| l.offset >= from && l.text.to_lowercase().contains(&word)).collect();
                let mut out = Vec::new();
                for some in hits.chunks(100) {
                    out.push(if *lines { Got::Lines(some.to_vec()) } else { Got::Hits(some.iter().map(|l| l.offset).collect()) });
                }
                out.push(Got::Reached(size / 2));
                out.push(Got::End { next: size.max(from), complete: self.done });
                out
            }
            Ask::Errors { .. } => vec![Got::Attempts(Box::new(self.attempts()))],
            Ask::Save { to, .. } => vec![Got::Reached(1), Got::Saved { path: format!("/tmp/{to}"), bytes: size }],
            Ask::Stop => vec![],
        }
    }

    fn keys(&mut self, keys: &str) {
        for key in keys.split(' ').filter(|k| !k.is_empty()) {
            self.send(Msg::Key { key: key.parse().unwrap(), repeat: false });
        }
    }

    fn typed(&mut self, text: &str) {
        for c in text.chars() {
            self.send(Msg::Key { key: Key::char(c), repeat: false });
        }
        self.send(Msg::Key { key: Key::plain(Code::Enter), repeat: false });
    }

    fn shown(&self) -> String {
        shot::text(&shot::draw(&self.model, &look()))
    }
}

fn value(path: &str, name: &str) -> Option<u64> {
    path.split(['?', '&']).find_map(|p| p.strip_prefix(name)?.strip_prefix('='))?.parse().ok()
}

fn look() -> Look {
    Look { theme: Theme::plain(), glyphs: Glyphs::UTF8 }
}

fn compile_log(n: usize) -> String {
    let mut text = String::from("+ rpmbuild --rebuild app-2.1-3.src.rpm\n");
    for i in 1..n {
        text += &match i % 40 {
            7 => format!("\u{1b}[1;33mwarning:\u{1b}[0m unused variable in src/part{i}.c\n"),
            19 => format!("\tcc -O2 -g -c src/part{i}.c -o part{i}.o {}\n", "-DOPTION_THAT_IS_LONG=1 ".repeat(8)),
            31 => "10%\r 55%\r100% 漢字 done\n".to_owned(),
            _ => format!("cc -c src/part{i}.c\n"),
        };
    }
    text
}

#[test]
fn it_opens_at_the_end_and_asks_for_little() {
    let d = desk(compile_log(50_000), true, (80, 24)).open();
    assert!(d.asked.len() <= 2, "{:?}", d.asked);
    assert!(d.asked[0].contains("at=tail"));
    assert!(d.shown().contains("src/part49999.c"));
}

#[test]
fn a_log_of_a_step_that_failed_at_80x24() {
    let mut d = desk(compile_log(300), true, (80, 24)).open();
    insta::assert_snapshot!(d.shown());
    d.keys("v /");
    d.typed("warning");
    insta::assert_snapshot!(d.shown());
}

#[test]
fn a_log_that_is_written_at_140x40() {
    let mut d = desk(compile_log(120), false, (140, 40)).open();
    insta::assert_snapshot!(d.shown());
    d.keys("&");
    d.typed("warning");
    insta::assert_snapshot!(d.shown());
}

#[test]
fn what_is_written_comes_by_itself_and_stands_still_when_paused() {
    let mut d = desk("one\n", false, (80, 24)).open();
    d.text.extend(b"10%");
    d.send(Msg::Tick(NOW.parse().unwrap()));
    d.text.extend(b"\r20%\ntwo\n");
    d.send(Msg::Tick(NOW.parse().unwrap()));
    let frame = d.shown();
    assert!(frame.contains("20%") && !frame.contains("10%") && frame.contains("two") && frame.contains("following"), "{frame}");
    d.keys("f");
    assert!(d.shown().contains("paused"));
    d.text.extend("more\n".repeat(100).bytes());
    d.send(Msg::Tick(NOW.parse().unwrap()));
    assert!(d.shown().contains("one"), "the person is looking at it");
    d.keys("G");
    assert!(!d.shown().contains("one") && d.shown().contains("following"));
}

#[test]
fn whoever_follows_sees_the_end_however_much_is_written() {
    let lines = |n: std::ops::Range<u32>| n.map(|i| format!("line {i} of a step that writes a lot of text\n")).collect::<String>();
    let mut d = desk(lines(0..100), false, (80, 24)).open();
    let before = d.asked.len();
    d.text.extend(lines(100..60_000).bytes());
    d.send(Msg::Tick(NOW.parse().unwrap()));
    assert!(d.shown().contains("line 59999 ") && d.shown().contains("following"), "{}", d.shown());
    assert!(d.asked.len() - before <= 4, "{:?}", &d.asked[before..]);
    // What was passed over is there for who goes there, and nothing is missing in between.
    d.keys("pgup pgup pgup");
    let rows = d.log().window.rows();
    assert!(rows.iter().zip(rows.iter().skip(1)).all(|(a, b)| a.end == b.offset));
    d.keys("g g");
    assert!(d.shown().contains("line 0 "), "{}", d.shown());
}

#[test]
fn pages_go_up_to_the_beginning_and_down_to_the_end_in_bounded_memory() {
    let line = "x".repeat(1_000);
    let text: String = (0..16_000).map(|i| format!("{i} {line}\n")).collect();
    let mut d = desk(text, true, (80, 24)).open();
    d.keys("g g");
    assert!(d.shown().contains("0 xxx"));
    d.keys("G");
    assert!(d.shown().contains("15999 xxx"));
    for _ in 0..40 {
        d.keys("pgup");
    }
    let top = d.log().top;
    assert!(d.shown().contains(&format!("{} xxx", 16_000 - 18 - 40 * 17)), "{top:?} {}", d.shown());
}

#[test]
fn hits_are_found_one_after_the_other_and_round() {
    let text: String = (0..5_000).map(|i| if i % 1_000 == 500 { format!("needle {i}\n") } else { format!("straw {i}\n") }).collect();
    let mut d = desk(text, true, (80, 24)).open();
    d.keys("g g /");
    d.typed("needle");
    assert!(d.shown().contains("needle 500") && d.shown().contains("1 of 5"), "{}", d.shown());
    d.keys("n n N n n n");
    assert!(d.shown().contains("needle 4500") && d.shown().contains("5 of 5"), "{}", d.shown());
    d.keys("n");
    assert!(d.shown().contains("1 of 5") && d.shown().contains("past the end"), "{}", d.shown());
    d.keys("N");
    assert!(d.shown().contains("5 of 5"));
    d.keys("/");
    d.typed("nothing like it");
    assert!(d.shown().contains("no line has"), "{}", d.shown());
    d.keys("/");
    d.typed("a(");
    assert!(d.shown().contains("no regular expression"), "{}", d.shown());
    d.keys("esc esc");
    assert_eq!(d.model.stack.len(), 2, "the first one ends the search");
    d.keys("esc");
    assert_eq!(d.model.stack.len(), 1);
}

#[test]
fn a_filter_shows_hits_alone_and_gives_the_place_back() {
    let text: String = (0..3_000).map(|i| if i % 100 == 50 { format!("needle {i}\n") } else { format!("straw {i}\n") }).collect();
    let mut d = desk(text, true, (80, 24)).open();
    d.keys("g g &");
    d.typed("needle");
    assert!(d.shown().contains("30 hits") && d.shown().contains("needle 50") && !d.shown().contains("straw"), "{}", d.shown());
    d.keys("j j \\");
    assert!(d.shown().contains("straw 249") && d.shown().contains("needle 250"), "{}", d.shown());
    d.keys("&");
    d.typed("nowhere at all");
    assert!(d.shown().contains("no line has nowhere at all"), "{}", d.shown());
    d.keys("\\");
    assert!(d.shown().contains("straw"), "{}", d.shown());
}

#[test]
fn first_error_steps_time_save_and_bytes() {
    let text = compile_log(2_000);
    let at = text.find("src/part700.c").unwrap() - "cc -c ".len();
    let mut d = desk(text.clone(), true, (80, 24));
    d.first_error = Some(at as u64);
    let mut d = d.open();
    d.keys("e");
    let frame = d.shown();
    assert!(frame.contains("✗ ") && frame.contains("src/part700.c") && frame.contains("first error of compile (el9)"), "{frame}");
    d.keys("tab");
    assert_eq!(d.log().fence, Some(7));
    d.keys("[ [");
    assert_eq!(d.log().fence, Some(8));
    d.keys("s enter");
    assert!(d.shown().contains("saved 52 KiB"), "{}", d.shown());
    assert!(d.shown().contains("/tmp/app-nightly-12-build-compile-el9-1.log"), "{}", d.shown());
    d.keys("@");
    d.typed("03:06");
    assert!(d.asked.iter().any(|p| p.contains("at=time&time=2026-04-07T03:06:00Z")), "{:?}", d.asked);
    assert!(!d.log().follow);
    d.keys("x g g");
    assert!(d.shown().contains("0000000000  2b 20 72 70 6d 62"), "{}", d.shown());
    assert!(d.shown().contains("+ rpmbuild"), "{}", d.shown());
    d.keys("G");
    assert!(d.shown().contains("100% of"), "{}", d.shown());
    d.keys("x");
    assert!(d.log().hex.is_none());
}

#[test]
fn what_is_no_text_is_said_and_nothing_of_it_is_drawn() {
    let d = desk(b"good\n\x00\x01\x02\x03\x04\x05\x1b[2J\n\x1b]0;title\x07after\n".to_vec(), true, (80, 24)).open();
    let frame = d.shown();
    assert!(frame.contains("11 B that are no text; x shows them") && frame.contains("after") && !frame.contains("title"), "{frame}");
}

#[test]
fn states_say_why_and_what_next() {
    let d = desk("", true, (80, 24));
    assert!(d.shown().contains("asking the engine which steps ran"));
    assert!(d.open().shown().contains("the step wrote nothing"));
    assert!(desk("", false, (80, 24)).open().shown().contains("the step has written nothing yet"));
    let mut d = desk("one\n", false, (80, 24)).open();
    d.send(Msg::Link(LinkMsg::Down("no engine listens".into())));
    let frame = d.shown();
    assert!(frame.contains("one") && frame.contains("DISCONNECTED") && frame.contains("disconnected"), "{frame}");
    d.text.extend(b"two\n");
    d.send(Msg::Link(LinkMsg::Up));
    assert!(d.shown().contains("two"), "{}", d.shown());
    let mut d = desk("one\n", false, (80, 24)).open();
    let order = d.waiting.pop().unwrap();
    let got = Got::Failed(ApiError::failed("cannot read the log", "look at it"));
    d.send(Msg::Log(Box::new(Told { lane: order.lane, id: order.id, got })));
    assert!(d.shown().contains("cannot read the log") && d.waiting.is_empty(), "{}", d.shown());
    d.keys("r");
    assert!(d.waiting.iter().any(|o| o.lane == Lane::Follow), "asked again");
}

#[test]
fn a_log_that_is_not_in_front_holds_nothing_and_asks_nothing() {
    let mut d = desk(compile_log(900), false, (80, 24)).open();
    d.keys("pgup pgup");
    let (top, frame) = (d.log().top, d.shown());
    d.keys("w");
    assert_eq!((d.log().held(), d.log().fence), (0, Some(9)));
    assert!(d.waiting.is_empty(), "{:?}", d.waiting);
    d.keys("esc");
    assert_eq!(d.log().top, top);
    assert_eq!(d.shown().lines().nth(5), frame.lines().nth(5));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn any_bytes_any_size_any_keys(
        text in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..3_000),
            "(\u{1b}\\[[0-9;]{0,8}[a-zA-Z]|\u{9b}|\\PC{0,40}|漢|\t|\r|\n){0,200}".prop_map(String::into_bytes),
        ],
        done in any::<bool>(),
        (w, h) in (0u16..=300, 0u16..=100),
        keys in proptest::collection::vec(proptest::sample::select(vec![
            "j", "k", "pgdn", "pgup", "g g", "G", "f", "/ a enter", "n", "N", "& b enter", "+", "-", "\\", "e", "tab", "[", "t", "v", "x", "l",
            "h", "r", "esc", "@ 1 0 m enter", "z",
        ]), 0..12),
        (w2, h2) in (0u16..=300, 0u16..=100),
    ) {
        let mut d = desk(text, done, (w, h)).open();
        for key in keys {
            d.keys(key);
            if d.model.stack.iter().all(|s| s.log.is_none()) {
                break;
            }
            let frame = shot::draw(&d.model, &look());
            prop_assert!(frame.content().iter().all(|c| !c.symbol().chars().any(char::is_control)));
        }
        d.model.size = (w2, h2);
        shot::draw(&d.model, &look());
        if d.model.screen().log.is_some() {
            let area = Rect::new(2, 1, w2, h2);
            let mut buf = Buffer::filled(Rect::new(0, 0, w2 + 4, h2 + 3), Cell::new("#"));
            view::log::draw(&d.model, &look(), area, &mut buf);
            for y in 0..h2 + 3 {
                for x in 0..w2 + 4 {
                    prop_assert!(area.contains((x, y).into()) || buf[(x, y)].symbol() == "#", "{x} {y}");
                }
            }
        }
    }
}
