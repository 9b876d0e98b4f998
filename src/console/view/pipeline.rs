//! The page of a pipeline: tabs and where it stands; the text with what was found in it, each under its place; plan, picture and findings.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::pipeline_text::mark;
use super::text::rule;
use super::{pipeline_text, scrolled, split, when};
use crate::console::edit::diff::{self, Side};
use crate::console::edit::page::{Other, Page, State, Tab};
use crate::console::model::Model;
use crate::console::update::page::tabs;
use crate::console::widget::paint::{self, wrapped};
use crate::pipeline::Diagnostic;
use crate::theme::{Look, Role};

/// From this width on, what was found stands beside the text.
const BESIDE: u16 = 120;
/// Where the words of a finding begin, behind its sign and place.
const WORDS: u16 = 11;
/// Rows of findings below the text.
const BELOW: u16 = 4;

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let Some(page) = model.page() else {
        paint::text(buf, area, 0, 0, "asking the engine", look.style(Role::Dim), look.glyphs.ellipsis);
        return;
    };
    let mut rows = vec![(String::new(), Role::Text)];
    match &page.state {
        State::New => rows.push(("asking the engine where its file is".into(), Role::Dim)),
        State::Opening => rows.push(("reading the file".into(), Role::Dim)),
        State::None(why) => {
            rows.extend([(why.clone(), Role::Bad), (String::new(), Role::Text), ("r looks again, q goes back".into(), Role::Dim)])
        }
        State::Open => {
            head(look, area, buf, page);
            let used = 1 + banner(model, look, area, buf, page);
            if area.height > used {
                let body = Rect { y: area.y + used, height: area.height - used, ..area };
                return tab(model, look, body, buf, page);
            }
            return;
        }
    }
    for (y, (text, role)) in rows.iter().enumerate() {
        paint::text(buf, area, 0, y as u16, text, look.style(*role), look.glyphs.ellipsis);
    }
}

/// `[text]  plan  graph  lint    2 errors   UNSAVED   12:5`.
fn head(look: &Look, area: Rect, buf: &mut Buffer, page: &Page) {
    let sign = look.glyphs.ellipsis;
    let mut x = 0;
    for tab in tabs(page) {
        let name = match tab {
            Tab::Text => "text",
            Tab::Plan => "plan",
            Tab::Graph => "graph",
            Tab::Lint => "lint",
            Tab::Both => "both texts",
        };
        let (text, role) = if tab == page.tab { (format!("[{name}]"), Role::Selected) } else { (format!(" {name} "), Role::Text) };
        x = paint::text(buf, area, x, 0, &text, look.style(role), sign) + 1;
    }
    let (text, role) = standing(page);
    x = paint::text(buf, area, x + 1, 0, &text, look.style(role), sign) + 2;
    let (text, role) = match (page.typing, page.unsaved()) {
        (true, _) => ("TYPING", Role::Armed),
        (false, true) => ("UNSAVED", Role::Warn),
        (false, false) => ("as in the file", Role::Dim),
    };
    x = paint::text(buf, area, x, 0, text, look.style(role), sign) + 2;
    let (row, column) = crate::console::edit::page::cursor(&page.area);
    x = paint::text(buf, area, x, 0, &format!("{}:{}", row + 1, column + 1), look.style(Role::Dim), sign) + 2;
    let path = page.path.display().to_string();
    let from = area.width.saturating_sub(paint::width(&path) as u16);
    if from >= x {
        paint::text(buf, area, from, 0, &path, look.style(Role::Dim), sign);
    }
}

/// What was found, in words.
fn standing(page: &Page) -> (String, Role) {
    let Some(judged) = page.current() else { return ("checking".into(), Role::Dim) };
    let plural = |n: usize, word: &str| if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") };
    match (judged.errors(), judged.warnings()) {
        (0, 0) => ("lint is clean".into(), Role::Good),
        (0, w) => (plural(w, "warning"), Role::Warn),
        (e, 0) => (plural(e, "error"), Role::Bad),
        (e, w) => (format!("{}, {}", plural(e, "error"), plural(w, "warning")), Role::Bad),
    }
}

/// What somebody must know or decide, in rows below the head; how many.
fn banner(model: &Model, look: &Look, area: Rect, buf: &mut Buffer, page: &Page) -> u16 {
    let mut rows: Vec<(String, Role)> = Vec::new();
    match &page.other {
        Some(Other::Disk(_)) => {
            rows.push((
                "THE FILE WAS CHANGED since it was opened.  t takes the file   m keeps your text   Tab: both texts".into(),
                Role::Warn,
            ));
        }
        Some(Other::Kept(d)) => {
            let at = when::show(model, d.at);
            rows.push((format!("A TEXT OF {at} WAS NEVER SAVED.  t takes it   m drops it   Tab: both texts"), Role::Warn));
        }
        None => {}
    }
    if let Some(why) = &page.locked {
        rows.push((format!("CANNOT BE SAVED: {why}"), Role::Warn));
    }
    if let Some(why) = page.current().and_then(|j| j.doubt.as_ref()) {
        rows.push((format!("CHECKED WITHOUT THE SITE: {why}"), Role::Warn));
    }
    rows.truncate(usize::from(area.height.saturating_sub(2)));
    for (y, (text, role)) in rows.iter().enumerate() {
        paint::text(buf, area, 0, y as u16 + 1, text, look.style(*role), look.glyphs.ellipsis);
    }
    rows.len() as u16
}

fn tab(model: &Model, look: &Look, area: Rect, buf: &mut Buffer, page: &Page) {
    match page.tab {
        Tab::Text => text(model, look, area, buf, page),
        Tab::Plan => lines(look, area, buf, page.judged.as_ref().map_or("", |j| &j.plan), page.scroll),
        Tab::Graph => lines(look, area, buf, page.judged.as_ref().map_or("", |j| &j.graph), page.scroll),
        Tab::Lint => lint(look, area, buf, page),
        Tab::Both => both(look, area, buf, page),
    }
}

fn text(model: &Model, look: &Look, area: Rect, buf: &mut Buffer, page: &Page) {
    let found = page.findings();
    if found.is_empty() || area.height < 10 {
        return pipeline_text::draw(model, look, area, buf, page);
    }
    let (text, list) = if area.width >= BESIDE {
        let left = area.width * 62 / 100;
        for y in 0..area.height {
            paint::text(buf, area, left, y, look.glyphs.upright, look.style(Role::Border), "");
        }
        (Rect { width: left - 1, ..area }, Rect { x: area.x + left + 2, width: area.width - left - 2, ..area })
    } else {
        split(area, BELOW.min(found.len() as u16) + 1)
    };
    pipeline_text::draw(model, look, text, buf, page);
    rule(look, list, buf, 0, "FOUND", "n next  N before");
    let rows = Rect { y: list.y + 1, height: list.height - 1, ..list };
    let room = usize::from(rows.height).max(1);
    let first = (page.at + 1).saturating_sub(room);
    for (y, (i, d)) in found.iter().enumerate().skip(first).take(room).enumerate() {
        line_of(look, rows, buf, y as u16, d, i == page.at);
    }
}

/// `! 12:5 no key timout here`.
fn line_of(look: &Look, area: Rect, buf: &mut Buffer, y: u16, d: &Diagnostic, here: bool) {
    lead(look, area, buf, y, d, here);
    paint::text(buf, area, WORDS, y, &d.message, look.style(Role::Text), look.glyphs.ellipsis);
}

/// Sign and place of a finding.
fn lead(look: &Look, area: Rect, buf: &mut Buffer, y: u16, d: &Diagnostic, here: bool) {
    let (sign, role) = mark(look, d);
    let style = |role: Role| if here { look.style(role).patch(look.style(Role::Selected)) } else { look.style(role) };
    let lead = format!("{}{sign} {:>7} ", if here { look.glyphs.cursor } else { " " }, format!("{}:{}", d.line, d.column));
    paint::text(buf, area, 0, y, &lead, style(role), "");
}

/// Every finding with what to do about it.
fn lint(look: &Look, area: Rect, buf: &mut Buffer, page: &Page) {
    let found = page.findings();
    if found.is_empty() {
        let (text, role) = match page.current() {
            Some(_) => ("nothing was found: the text can be saved", Role::Good),
            None => ("checking", Role::Dim),
        };
        paint::text(buf, area, 0, 1, text, look.style(role), look.glyphs.ellipsis);
        return;
    }
    // All of its words, and what to do about it.
    let room = usize::from(area.width.saturating_sub(WORDS)).max(8);
    let words = |d: &Diagnostic| -> Vec<(String, Role)> {
        let help = wrapped(&d.help, room).into_iter().map(|l| (l, Role::Dim));
        wrapped(&d.message, room).into_iter().map(|l| (l, Role::Text)).chain(help).collect()
    };
    let rows = |d: &Diagnostic| words(d).len().max(1);
    let mut first = 0;
    let mut used: usize = found.iter().take(page.at + 1).map(rows).sum();
    while used > usize::from(area.height) && first < page.at {
        used -= rows(&found[first]);
        first += 1;
    }
    let mut y = 0;
    for (i, d) in found.iter().enumerate().skip(first) {
        lead(look, area, buf, y, d, i == page.at);
        for (text, role) in words(d) {
            paint::text(buf, area, WORDS, y, &text, look.style(role), look.glyphs.ellipsis);
            y += 1;
        }
        if y >= area.height {
            break;
        }
    }
    if y < area.height {
        paint::text(buf, area, 0, y + 1, "Enter goes to the place", look.style(Role::Dim), look.glyphs.ellipsis);
    }
}

/// Lines of a text that was made for terminals, from row `scroll` on.
fn lines(look: &Look, area: Rect, buf: &mut Buffer, text: &str, scroll: usize) {
    if text.is_empty() {
        paint::text(buf, area, 0, 1, "checking", look.style(Role::Dim), look.glyphs.ellipsis);
        return;
    }
    let all = text.lines().count();
    let first = scroll.min(all.saturating_sub(usize::from(area.height)));
    for (y, line) in text.lines().skip(first).take(usize::from(area.height)).enumerate() {
        let title = !line.starts_with(' ') && !line.is_empty() && line.chars().all(|c| c.is_lowercase() || " ()".contains(c));
        let role = if title { Role::Section } else { Role::Text };
        paint::text(buf, area, 0, y as u16, line, look.style(role), look.glyphs.ellipsis);
    }
    scrolled::more(look, area, buf, all.saturating_sub(first + usize::from(area.height)), "");
}

/// What the text on this page has that the other one lacks, and the other way round.
fn both(look: &Look, area: Rect, buf: &mut Buffer, page: &Page) {
    let Some(other) = &page.other else { return };
    let name = if matches!(other, Other::Disk(_)) { "the file as it is now" } else { "the text that was never saved" };
    let title = format!("- only in {name}    + only in the text on this page");
    paint::text(buf, area, 0, 0, &title, look.style(Role::Dim), look.glyphs.ellipsis);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    difference(look, body, buf, &diff::between(other.text(), &page.text()), page.scroll);
}

/// Lines of a difference, from row `scroll` on, as far as there is room.
pub fn difference(look: &Look, area: Rect, buf: &mut Buffer, all: &diff::Lines, scroll: usize) {
    let first = scroll.min(all.len().saturating_sub(usize::from(area.height)));
    for (y, (side, text)) in all.iter().skip(first).take(usize::from(area.height)).enumerate() {
        let role = match side {
            Side::Old => Role::Bad,
            Side::New => Role::Good,
            Side::Both => Role::Text,
            Side::Gap => Role::Dim,
        };
        let x = paint::text(buf, area, 0, y as u16, side.sign(), look.style(role), "");
        paint::text(buf, area, x + 1, y as u16, text, look.style(role), look.glyphs.ellipsis);
    }
    scrolled::more(look, area, buf, all.len().saturating_sub(first + usize::from(area.height)), "");
}
