//! The page of a pipeline by its rules: what asks, what is refused, and that no key of it loses a text or saves one by itself.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use super::update;
use crate::api::types::{Armed, Rows};
use crate::console::edit::judge::Judged;
use crate::console::edit::judge::tests::{GOOD, judged};
use crate::console::edit::order::{Draft, Found, Stamp};
use crate::console::edit::page::{Page, State, Tab};
use crate::console::edit::{Ask, Got, Order, Told};
use crate::console::keymap::{Code, Key, Keymap};
use crate::console::model::screen::{Kind, PAGE};
use crate::console::model::{Model, Site};
use crate::console::msg::{Effect, LinkMsg, Msg};
use crate::console::question::{Answer, Question};

const FILE: &str = "/etc/quarterdeck/pipelines/one.yml";

fn now() -> Timestamp {
    "2026-04-07T03:07:00Z".parse().unwrap()
}

fn key(m: &mut Model, text: &str) -> Vec<Effect> {
    text.split(' ').flat_map(|k| update(m, Msg::Key { key: k.parse().unwrap(), repeat: false })).collect()
}

fn command(m: &mut Model, line: &str) -> Vec<Effect> {
    update(m, Msg::Key { key: Key::char(':'), repeat: false });
    line.chars().for_each(|c| drop(update(m, Msg::Key { key: Key::char(c), repeat: false })));
    key(m, "enter")
}

fn shown(m: &mut Model) {
    let frame = m.frame;
    update(m, Msg::Shown(frame));
}

fn tell(m: &mut Model, got: Got) -> Vec<Effect> {
    update(m, Msg::Page(Box::new(Told { name: "one".into(), got })))
}

fn orders(effects: &[Effect]) -> Vec<Order> {
    effects.iter().filter_map(|e| if let Effect::Page(o) = e { Some((**o).clone()) } else { None }).collect()
}

fn saves(effects: &[Effect]) -> Vec<Order> {
    orders(effects).into_iter().filter(|o| matches!(o.ask, Ask::Save { .. })).collect()
}

fn told(m: &Model) -> String {
    m.notice.as_ref().map(|n| n.text.clone()).unwrap_or_default()
}

fn page(m: &Model) -> &Page {
    m.page().unwrap()
}

fn file(text: &str) -> Found {
    Found { path: FILE.into(), text: text.into(), stamp: Stamp(text.len().to_string()), ..Found::default() }
}

fn console() -> Model {
    let site = Site { name: "s".into(), demo: false, zone: jiff::tz::TimeZone::UTC };
    Model::new(site, Keymap::default_keys(), now(), (100, 30))
}

fn arm(m: &mut Model) {
    let until = (now() + jiff::SignedDuration::from_secs(900)).to_string();
    update(m, Msg::Armed(Ok(Armed { lease: 7, who: "ann".into(), reason: "night".into(), until })));
}

fn connected() -> Model {
    let mut m = console();
    update(&mut m, Msg::Link(LinkMsg::Up));
    let rows = serde_json::from_value(json!([{"pipeline": "one", "file": FILE}])).unwrap();
    let rows = Rows { what: "pipelines".into(), revision: 1, age_ms: 0, rows, error: None, page: None, diff: None };
    let question = Question::Rows { what: "pipelines", limit: PAGE };
    update(&mut m, Msg::Answer { question, result: Ok(Answer::Rows(rows)) });
    m
}

/// The page is open, and its text was judged.
fn open() -> Model {
    let mut m = connected();
    let asked = orders(&command(&mut m, "pipeline one"));
    assert_eq!(asked, [Order { name: "one".into(), ask: Ask::Open { path: Some(FILE.into()) } }]);
    tell(&mut m, Got::Opened { found: Box::new(file(GOOD)), draft: None });
    judge(&mut m);
    m
}

/// What the edge would say to the text as it is.
fn judge(m: &mut Model) {
    let (text, revision) = (page(m).text(), page(m).revision);
    tell(m, Got::Judged(Box::new(Judged { revision, ..judged(&text) })));
}

/// Open and armed, with one more line that is fine.
fn changed() -> Model {
    let mut m = open();
    arm(&mut m);
    key(&mut m, "i");
    update(&mut m, Msg::Paste("# by hand\n".into()));
    key(&mut m, "esc");
    judge(&mut m);
    m
}

#[test]
fn the_engine_says_where_the_file_is_and_a_wrong_name_is_no_page() {
    let mut m = console();
    assert!(orders(&command(&mut m, "pipeline one")).is_empty(), "nobody has said where it is");
    update(&mut m, Msg::Link(LinkMsg::Up));
    assert_eq!(page(&m).state, State::New);
    let asked = update(&mut m, Msg::Link(LinkMsg::Down("gone".into())));
    assert_eq!(orders(&asked), [Order { name: "one".into(), ask: Ask::Open { path: None } }], "without an engine this site's own");
    let mut m = connected();
    assert!(orders(&command(&mut m, "pipeline oen")).is_empty());
    assert!(matches!(&page(&m).state, State::None(why) if why.contains("did you mean `one`?")), "{:?}", page(&m).state);
    key(&mut m, "q");
    assert!(m.pages.is_empty());
    command(&mut m, "pipeline ../one");
    assert!(m.prompt.as_ref().is_some_and(|p| p.error.is_some()));
}

#[test]
fn keys_are_text_only_while_text_is_typed() {
    let mut m = open();
    key(&mut m, "i");
    let sent = orders(&key(&mut m, "q : X S 8"));
    assert_eq!(page(&m).text(), format!("q:XS8{GOOD}"));
    assert!(matches!(&sent.last().unwrap().ask, Ask::Judge { keep: true, text, .. } if text.starts_with("q:XS8")));
    assert!(m.dialog.is_none() && m.prompt.is_none());
    key(&mut m, "esc u u u u u");
    assert!(!page(&m).unsaved() && !page(&m).typing);
    update(&mut m, Msg::Paste("x".into()));
    assert!(!page(&m).unsaved() && told(&m).contains("paste was dropped"));
    key(&mut m, "8");
    assert_eq!(m.screen().kind, Kind::Jobs);
}

#[test]
fn a_save_asks_with_the_difference_and_only_y_writes() {
    let mut m = changed();
    key(&mut m, "S");
    let d = m.dialog.as_ref().unwrap();
    let text = format!("{:?} {:?}", d.facts, d.diff);
    assert!(text.contains("1 line in") && text.contains("# by hand") && text.contains(FILE), "{text}");
    assert!(saves(&key(&mut m, "y")).is_empty(), "typed before it was shown");
    assert!(m.dialog.is_some());
    shown(&mut m);
    for no in ["enter", "esc", "n"] {
        let mut m = m.clone();
        assert!(saves(&key(&mut m, no)).is_empty() && m.dialog.is_none() && page(&m).unsaved(), "{no}");
    }
    let Some(Effect::Copy(line)) = key(&mut m, "c").pop() else { panic!() };
    assert_eq!(line, "quarterdeck pipeline lint one");
    let all = saves(&key(&mut m, "j y"));
    let [Order { ask: Ask::Save { path, text, over, .. }, .. }] = &all[..] else { panic!("{all:?}") };
    assert_eq!((path.to_str(), over), (Some(FILE), &file(GOOD).stamp));
    let text = text.clone();
    assert!(page(&m).unsaved(), "not before it is written");
    tell(&mut m, Got::Saved { text, stamp: Stamp("new".into()) });
    assert!(!page(&m).unsaved() && told(&m).contains("saved"));
}

#[test]
fn a_save_is_refused_with_the_reason_and_the_text_stays() {
    let refused = |m: &mut Model, why: &str| {
        assert!(saves(&key(m, "S")).is_empty() && m.dialog.is_none());
        assert!(told(m).contains("not saved") && told(m).contains(why), "{}", told(m));
    };
    let mut m = open();
    arm(&mut m);
    refused(&mut m, "the file says the same");
    let mut m = changed();
    command(&mut m, "disarm");
    refused(&mut m, ":arm 15m REASON");
    let mut m = changed();
    update(&mut m, Msg::Link(LinkMsg::Down("gone".into())));
    refused(&mut m, "disconnected");
    let mut m = changed();
    m.page_mut().unwrap().locked = Some("it is a link".into());
    refused(&mut m, "it is a link");
    let mut m = changed();
    key(&mut m, "i x");
    key(&mut m, "esc");
    refused(&mut m, "being checked");
    judge(&mut m);
    refused(&mut m, "n goes");
    let mut m = changed();
    let revision = page(&m).revision + 1;
    m.page_mut().unwrap().revision = revision;
    tell(&mut m, Got::Judged(Box::new(Judged { revision, doubt: Some("site.toml:1:1: no".into()), ..Judged::default() })));
    refused(&mut m, "site.toml:1:1");
    assert!(page(&m).text().contains("# by hand"));
}

#[test]
fn a_file_that_moved_shows_both_and_a_person_decides() {
    let theirs = format!("{GOOD}# theirs\n");
    for by_save in [true, false] {
        let mut m = changed();
        let moved = Box::new(file(&theirs));
        tell(&mut m, if by_save { Got::Moved(moved) } else { Got::Opened { found: moved, draft: None } });
        assert!(page(&m).text().contains("# by hand") && told(&m).contains("t takes it"));
        assert!(saves(&key(&mut m, "S")).is_empty() && m.dialog.is_none());
        let mut mine = m.clone();
        key(&mut mine, "m S");
        assert!(mine.dialog.as_ref().unwrap().diff.iter().any(|(_, t)| t == "# theirs"), "what would be lost is shown");
        let sent = orders(&key(&mut m, "t"));
        assert!(sent.iter().any(|o| o.ask == Ask::Clean) && page(&m).text() == theirs && !page(&m).unsaved());
        while !page(&m).text().contains("# by hand") {
            let before = page(&m).revision;
            key(&mut m, "u");
            assert!(page(&m).revision > before, "it can be taken back");
        }
    }
}

#[test]
fn what_was_never_saved_is_offered_and_nothing_is_lost_by_leaving() {
    let mut m = connected();
    command(&mut m, "pipeline one");
    let draft = Draft { path: "/state/drafts/one~9.yml".into(), text: "kept: 1\n".into(), at: now() };
    tell(&mut m, Got::Opened { found: Box::new(file(GOOD)), draft: Some(Box::new(draft.clone())) });
    key(&mut m, "tab tab tab tab");
    assert_eq!((page(&m).tab, page(&m).text().as_str()), (Tab::Both, GOOD));
    let mut other = m.clone();
    assert!(orders(&key(&mut other, "m")).contains(&Order { name: "one".into(), ask: Ask::Drop { path: draft.path.clone() } }));
    let sent = orders(&key(&mut m, "t"));
    assert!(matches!(&sent[0].ask, Ask::Adopt { text, from } if text == "kept: 1\n" && *from == draft.path), "{sent:?}");
    key(&mut m, "q");
    assert!(m.page().is_none() && m.pages["one"].text() == "kept: 1\n", "it stays while it is unsaved");
    command(&mut m, "pipeline one");
    assert_eq!(page(&m).text(), "kept: 1\n");
}

#[test]
fn the_own_editor_gets_the_text_and_what_it_leaves_is_saved_by_nobody() {
    let mut m = open();
    let sent = key(&mut m, "e");
    assert!(matches!(&sent[..], [Effect::Editor { name, text }] if name == "one" && text == GOOD), "{sent:?}");
    let sent = tell(&mut m, Got::Edited("stagse: 1\n".into()));
    assert!(saves(&sent).is_empty() && orders(&sent).iter().any(|o| matches!(o.ask, Ask::Judge { keep: true, .. })));
    judge(&mut m);
    assert!(page(&m).current().unwrap().errors() > 0 && page(&m).unsaved());
    key(&mut m, "n");
    tell(&mut m, Got::Failed { why: "the disk is full".into(), closed: false });
    assert!(page(&m).text() == "stagse: 1\n" && told(&m) == "the disk is full");
}

#[test]
fn findings_are_gone_through_in_their_order() {
    let mut m = open();
    tell(&mut m, Got::Edited(GOOD.replace("run:", "rnu:").replace("format: 1", "formt: 1")));
    judge(&mut m);
    let places: Vec<(u32, u32)> = page(&m).findings().iter().map(|d| (d.line, d.column)).collect();
    assert!(places.len() > 1, "{places:?}");
    let at = |m: &Model| {
        let (row, column) = crate::console::edit::page::cursor(&page(m).area);
        (row as u32 + 1, column as u32 + 1)
    };
    key(&mut m, "g g n");
    let first = at(&m);
    key(&mut m, "N");
    assert!(places.contains(&first) && places.contains(&at(&m)));
    key(&mut m, "tab tab tab G enter");
    assert_eq!((page(&m).tab, at(&m)), (Tab::Text, *places.last().unwrap()));
}

proptest! {
    /// The frame is never said to be shown, so nothing is ever written; and what was typed is in the page, whatever comes.
    #[test]
    fn no_keys_save_without_the_question_having_been_seen(keys in prop::collection::vec((0usize..30, any::<char>(), 0u8..4), 0..120)) {
        let mut m = changed();
        let names = ["i", "esc", "S", "y", "enter", "tab", "u", "C-r", "t", "m", "n", "e", "q", ":", "w", "up", "down", "pgdn", "backspace", "delete"];
        for (n, c, how) in keys {
            let key = names.get(n).map_or(Key { code: Code::Char(c), ctrl: how == 1, alt: how == 2 }, |k| k.parse().unwrap());
            let msg = match how {
                3 if n > 20 => Msg::Paste(format!("{c}\ny")),
                3 => Msg::Burst(key),
                _ => Msg::Key { key, repeat: how == 1 },
            };
            prop_assert!(saves(&update(&mut m, msg)).is_empty());
            for page in m.pages.values() {
                let (row, column) = crate::console::edit::page::cursor(&page.area);
                prop_assert!(page.area.lines().get(row).is_some_and(|l| column <= l.chars().count()));
            }
        }
    }
}
