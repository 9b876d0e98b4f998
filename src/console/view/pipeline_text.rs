//! The lines of a pipeline's text: numbers, signs of findings, the text by what it is made of, the cursor, and under each place a caret with
//! what is wrong there. Every character of the file is drawn as something: what a terminal would obey, or not show, as a sign of its own.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthChar;

use crate::base::sanitise;
use crate::console::edit::find;
use crate::console::edit::page::{Page, cursor};
use crate::console::edit::syntax::Syntax;
use crate::console::model::Model;
use crate::console::widget::paint;
use crate::pipeline::Diagnostic;
use crate::theme::{Look, Role};

/// Columns of a tab.
const TAB: usize = 8;
/// Lines before the first that are read for what it is made of: a script that began earlier is taken for plain text.
const CONTEXT: usize = 300;

/// Errors and warnings are told apart without colour.
pub fn mark(look: &Look, d: &Diagnostic) -> (&'static str, Role) {
    if d.is_error() { (look.glyphs.bad, Role::Bad) } else { ("!", Role::Warn) }
}

pub fn draw(_model: &Model, look: &Look, area: Rect, buf: &mut Buffer, page: &Page) {
    let lines = page.area.lines();
    let digits = lines.len().max(1).ilog10() as u16 + 1;
    let gutter = (digits + 2).min(area.width);
    let body = Rect { x: area.x + gutter, width: area.width - gutter, ..area };
    if area.height == 0 || body.width == 0 {
        return;
    }
    let (row, column) = cursor(&page.area);
    let first = page.first(usize::from(area.height));
    let left = left(lines.get(row).map_or("", String::as_str), column, usize::from(body.width));
    let mut syntax = Syntax::default();
    for line in &lines[first.saturating_sub(CONTEXT)..first.min(lines.len())] {
        syntax.line(line);
    }
    let mut y = 0;
    for (n, line) in lines.iter().enumerate().skip(first) {
        if y >= area.height {
            break;
        }
        let here = n == row;
        let worst = page.findings_at(n).min_by_key(|d| d.severity);
        let number = format!("{:>1$}", n + 1, usize::from(digits));
        let (sign, role) = worst.map_or((" ", Role::Dim), |d| mark(look, d));
        paint::text(buf, area, 0, y, &number, look.style(if here { Role::Strong } else { Role::Dim }), "");
        paint::text(buf, area, digits, y, sign, look.style(role), "");
        let parts = syntax.line(line);
        let at = here.then_some((column, page.typing));
        let hits = page.search.as_ref().map(|s| find::of_line(line, s)).unwrap_or_default();
        one(look, body, buf, y, line, (&parts, &hits), left, at);
        y += 1;
        for d in page.findings_at(n) {
            if y >= area.height {
                break;
            }
            caret(look, body, buf, y, line, d, left);
            y += 1;
        }
    }
}

/// Columns that are scrolled away, so that the cursor is seen.
fn left(line: &str, column: usize, room: usize) -> usize {
    let at = columns(line, column);
    // A few columns more, so that not every key scrolls.
    if at + 1 < room { 0 } else { (at + 1 + room / 4).saturating_sub(room) }
}

/// Columns before the character `n`.
fn columns(line: &str, n: usize) -> usize {
    line.chars().take(n).fold(0, |at, c| at + wide(c, at))
}

/// Columns of one character that is drawn at column `at`.
fn wide(c: char, at: usize) -> usize {
    match c {
        '\t' => TAB - at % TAB,
        c if odd(c) => 1,
        c => c.width().unwrap_or(1),
    }
}

/// A terminal would obey it, or show nothing, or turn the line round.
fn odd(c: char) -> bool {
    c != '\t' && (c.is_control() || sanitise::line(c.encode_utf8(&mut [0; 4]), sanitise::Colour::Drop).is_empty())
}

/// Where each part of a line ends and what it is, and from where to where it was searched for.
type Painted<'a> = (&'a [(usize, Role)], &'a [(usize, usize)]);

#[allow(clippy::too_many_arguments)]
fn one(
    look: &Look,
    area: Rect,
    buf: &mut Buffer,
    y: u16,
    line: &str,
    (parts, hits): Painted<'_>,
    left: usize,
    cursor: Option<(usize, bool)>,
) {
    let room = usize::from(area.width);
    let (mut at, mut part) = (0, 0);
    let mut put = |from: usize, text: &str, style: Style| {
        if from >= left && from - left < room {
            paint::text(buf, area, (from - left) as u16, y, text, style, "");
        }
    };
    let on = |style: Style, n: usize| match cursor {
        Some((column, typing)) if column == n => style.patch(look.style(if typing { Role::Armed } else { Role::Selected })),
        _ if hits.iter().any(|(from, to)| (*from..*to).contains(&n)) => style.patch(look.style(Role::Match)),
        _ => style,
    };
    let mut count = 0;
    let mut cluster = String::new();
    let mut chars = line.chars().enumerate().peekable();
    while let Some((n, c)) = chars.next() {
        count = n + 1;
        if at > left + room {
            break;
        }
        while parts.get(part).is_some_and(|(to, _)| *to <= n) {
            part += 1;
        }
        let role = parts.get(part).map_or(Role::Text, |(_, r)| *r);
        let width = wide(c, at);
        cluster.clear();
        let style = match c {
            '\t' => {
                cluster.extend(std::iter::repeat_n(' ', width));
                on(look.style(role), n)
            }
            c if odd(c) => {
                cluster.push('?');
                on(look.style(Role::Alarm), n)
            }
            c => {
                cluster.push(c);
                // What stands on the character before it.
                while let Some((_, mark)) = chars.next_if(|(_, m)| !odd(*m) && *m != '\t' && m.width() == Some(0)) {
                    cluster.push(mark);
                    count += 1;
                }
                on(look.style(role), n)
            }
        };
        put(at, &cluster, style);
        at += width;
    }
    if let Some((column, _)) = cursor.filter(|(c, _)| *c >= count) {
        put(at, " ", on(Style::default(), column));
    }
    let sign = look.style(Role::Dim);
    if left > 0 {
        paint::text(buf, area, 0, y, look.glyphs.ellipsis, sign, "");
    }
    if at > left + room {
        paint::text(buf, area, area.width - 1, y, look.glyphs.ellipsis, sign, "");
    }
}

/// `    ^^^^^^ no key timout here; did you mean timeout?`
fn caret(look: &Look, area: Rect, buf: &mut Buffer, y: u16, line: &str, d: &Diagnostic, left: usize) {
    let room = usize::from(area.width);
    let from = (d.column as usize).saturating_sub(1);
    let at = columns(line, from);
    let rest = columns(line, line.chars().count()).saturating_sub(at);
    let marked = d.span.end.saturating_sub(d.span.start).clamp(1, rest.max(1)).min(40);
    let (_, role) = mark(look, d);
    let start = at.saturating_sub(left).min(room.saturating_sub(1));
    let words = if d.help.is_empty() { d.message.clone() } else { format!("{}; {}", d.message, d.help) };
    let x = paint::text(buf, area, start as u16, y, &"^".repeat(marked), look.style(role), "");
    // Where the place is far to the right, the words stand before it.
    let wide = paint::width(&words);
    let behind = room.saturating_sub(usize::from(x) + 1);
    if wide <= behind || behind >= start {
        paint::text(buf, area, x + 1, y, &words, look.style(role), look.glyphs.ellipsis);
    } else {
        let left_of = Rect { width: start.saturating_sub(1) as u16, ..area };
        let from = (start.saturating_sub(1)).saturating_sub(wide);
        paint::text(buf, left_of, from as u16, y, &words, look.style(role), look.glyphs.ellipsis);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_take_the_columns_that_they_are_drawn_in() {
        assert_eq!((columns("a\tb", 2), columns("日x", 1), columns("\u{1b}\u{202e}\u{200b}", 3)), (8, 2, 3));
        assert_eq!((left("abc", 3, 10), left(&"x".repeat(50), 50, 20) + 20 > 51), (0, true));
    }
}
