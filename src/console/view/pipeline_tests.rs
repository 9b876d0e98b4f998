//! The page of a pipeline, drawn from fixed texts: at the sizes that matter, with everything that it may have to say, and with texts that
//! nobody would write.

use jiff::Timestamp;
use proptest::prelude::*;
use ratatui::buffer::Buffer;

use crate::api::types::Rule;
use crate::console::edit::Line;
use crate::console::edit::judge::Judged;
use crate::console::edit::judge::tests::judged;
use crate::console::edit::order::{Draft, Found};
use crate::console::edit::page::{Other, Page, Tab};
use crate::console::keymap::Keymap;
use crate::console::model::dialog::{Field, Focus};
use crate::console::model::screen::Kind;
use crate::console::model::{Dialog, Link, Mode, Model, Prompt, PromptKind, Screen, Site};
use crate::console::msg::Msg;
use crate::console::{shot, update};
use crate::theme::{Glyphs, Look, Theme};

const TEXT: &str = "\
format: 1
name: one
description: The nightly of one tree, with its check
triggers:
  - cron: 31 1 * * *
parameters:
  os: {type: choice, choices: [el8, el9], default: el9}
stages:
  # What is there already is kept.
  - name: fetch
    timout: 5m
    run: |
      set -eu
      echo \"fetching ${params.os}\"
  - name: verify
    needs: [fetch]
    run: test -s packages
";

fn now() -> Timestamp {
    "2026-04-07T08:07:00Z".parse().unwrap()
}

fn model(text: &str, size: (u16, u16), set: impl FnOnce(&mut Page)) -> Model {
    let site = Site { name: "demo".into(), demo: true, zone: jiff::tz::TimeZone::UTC };
    let mut model = Model::new(site, Keymap::default_keys(), now(), size);
    model.link = Link::Up;
    model.stack.push(Screen::of(Kind::Pipeline("one".into())));
    let mut page = Page::new("one");
    page.show(Found { path: "/etc/quarterdeck/pipelines/one.yml".into(), text: text.into(), ..Found::default() });
    page.judged = Some(Judged { revision: page.revision, ..judged(text) });
    set(&mut page);
    model.pages.insert("one".into(), page);
    update(&mut model, Msg::Tick(now()));
    model
}

fn draw(model: &Model, ascii: bool) -> Buffer {
    shot::draw(model, &Look { theme: Theme::plain(), glyphs: if ascii { Glyphs::ASCII } else { Glyphs::UTF8 } })
}

fn text(model: &Model) -> String {
    shot::text(&draw(model, true))
}

fn clean() -> String {
    TEXT.replace("timout", "timeout").replace("${params.os}", "$os")
}

#[test]
fn every_tab_at_the_two_sizes_that_matter() {
    for size in [(80, 24), (140, 40)] {
        let at = |name: &str| format!("page_{name}_{}x{}", size.0, size.1);
        insta::assert_snapshot!(at("errors"), text(&model(TEXT, size, |p| p.jump(10, 6))));
        insta::assert_snapshot!(at("lint"), text(&model(TEXT, size, |p| p.tab = Tab::Lint)));
        insta::assert_snapshot!(at("plan"), text(&model(&clean(), size, |p| p.tab = Tab::Plan)));
        insta::assert_snapshot!(at("graph"), text(&model(&clean(), size, |p| p.tab = Tab::Graph)));
        let typing = |p: &mut Page| {
            p.typing = true;
            p.jump(3, 0);
            p.press("x".parse().unwrap(), false);
        };
        insta::assert_snapshot!(at("typing"), text(&model(&clean(), size, typing)));
        let both = |p: &mut Page| {
            let draft = Draft { path: "/s/one~1.yml".into(), text: clean().replace("el9]", "el9, el10]"), at: now() };
            p.other = Some(Other::Kept(Box::new(draft)));
            p.locked = Some("/etc/quarterdeck/pipelines/one.yml (uid 0, mode 0644) may not be written by you".into());
            p.tab = Tab::Both;
        };
        insta::assert_snapshot!(at("both"), text(&model(&clean(), size, both)));
    }
}

#[test]
fn the_palette_offers_what_may_be_meant() {
    let mut model = model(&clean(), (80, 24), |_| {});
    model.prompt = Some(Prompt::new(PromptKind::Command, ""));
    for c in "edit-".chars() {
        update(&mut model, Msg::Key { key: crate::console::keymap::Key::char(c), repeat: false });
    }
    update(&mut model, Msg::Key { key: "tab".parse().unwrap(), repeat: false });
    insta::assert_snapshot!("palette_80x24", text(&model));
}

#[test]
fn every_character_of_a_text_is_drawn_as_something_harmless() {
    let odd = "a\u{1b}[31mb\u{202e}c\u{200b}d\tx\u{7}\r\u{9b}2J";
    let shown = text(&model(odd, (80, 24), |p| p.judged = None));
    assert!(shown.contains("a?[31mb?c?d     x???2J"), "{shown}");
}

proptest! {
    #[test]
    fn any_text_at_any_size_stays_in_its_place(
        text in "(?s).{0,200}", width in 0u16..140, height in 0u16..40, tab in 0usize..5, row in 0usize..20, column in 0usize..300, typing: bool,
    ) {
        let model = model(&text, (width.max(1), height.max(1)), |p| {
            p.tab = [Tab::Text, Tab::Plan, Tab::Graph, Tab::Lint, Tab::Both][tab];
            p.other = Some(Other::Disk(Box::new(Found { text: "x\n".into(), ..Found::default() })));
            p.jump(row, column);
            p.typing = typing;
        });
        let buf = draw(&model, false);
        for y in 0..buf.area.height {
            for x in 0..buf.area.width {
                let odd = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{200b}');
                let bad = buf[(x, y)].symbol().chars().any(odd);
                prop_assert!(!bad, "column {x}, row {y}");
            }
        }
    }
}

#[test]
fn a_form_shows_what_may_be_picked_and_what_is_wrong() {
    let field = |name: &str, kind: &str, default: Option<&str>, text: &str, rule| Field {
        name: name.into(),
        kind: kind.into(),
        default: default.map(str::to_owned),
        about: format!("What {name} is for"),
        rule,
        line: Line::from(text),
    };
    let choices = ["el8", "el9", "el10"].map(str::to_owned).to_vec();
    let fields = vec![
        field("os", "one of el8, el9, el10", Some("el9"), "el10", Rule::Choice { choices }),
        field("workers", "whole number, 1 to 9", None, "12", Rule::Int { min: Some(1), max: Some(9) }),
        field("note", "text", Some(""), "", Rule::Text { pattern: None, min: None, max: None }),
    ];
    let dialog = Dialog {
        facts: vec![("touches".into(), "one new run of one: fetch, verify".into())],
        fields,
        filling: true,
        focus: Focus::Field(0),
        shown: true,
        ..Dialog::about(crate::action::find("run").unwrap(), vec!["one".into()], 0)
    };
    for size in [(80, 24), (140, 40)] {
        let mut m = model(&clean(), size, |_| {});
        m.dialog = Some(dialog.clone());
        insta::assert_snapshot!(format!("form_{}x{}", size.0, size.1), text(&m));
        m.dialog = Some(Dialog { filling: false, focus: Focus::Cancel, ..dialog.clone() });
        insta::assert_snapshot!(format!("form_question_{}x{}", size.0, size.1), text(&m));
    }
    // However little room there is, it stays in its place.
    for (w, h) in [(1, 1), (8, 6), (30, 8), (300, 100)] {
        let mut m = model(&clean(), (w, h), |_| {});
        m.dialog = Some(dialog.clone());
        draw(&m, false);
    }
}

#[test]
fn a_save_shows_its_difference() {
    for size in [(80, 24), (140, 40)] {
        let mut m = model(&clean(), size, |p| p.replace(&clean().replace("el9]", "el9, el10]")));
        m.mode = Mode::Armed { until: now(), reason: "x".into(), lease: 1 };
        let page = m.page_mut().unwrap();
        page.judged = Some(Judged { revision: page.revision, ..judged(&page.text()) });
        update(&mut m, Msg::Key { key: "S".parse().unwrap(), repeat: false });
        insta::assert_snapshot!(format!("save_{}x{}", size.0, size.1), text(&m));
    }
}
