//! The page of a pipeline, drawn from fixed texts: at the sizes that matter, with everything that it may have to say, and with texts that
//! nobody would write.

use jiff::Timestamp;
use proptest::prelude::*;
use ratatui::buffer::Buffer;

use crate::console::edit::judge::Judged;
use crate::console::edit::judge::tests::judged;
use crate::console::edit::order::{Draft, Found};
use crate::console::edit::page::{Other, Page, Tab};
use crate::console::keymap::Keymap;
use crate::console::model::screen::Kind;
use crate::console::model::{Link, Model, Prompt, PromptKind, Screen, Site};
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
                prop_assert!(!buf[(x, y)].symbol().chars().any(|c| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{200b}')));
            }
        }
    }
}
