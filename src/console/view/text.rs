//! Lines of a detail: a label and words, which are broken where they do not fit; titles of sections with a rule.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::base::sanitise;
use crate::console::widget::paint;
use crate::theme::{Look, Role};

/// Columns of labels.
pub const LABEL: u16 = 10;
/// Longer texts are cut before they are broken into lines: a page has no room for more.
const LONGEST: usize = 4_000;

enum Line {
    /// `hang`: columns that its second line and those below begin at, where it has no label. `here`: the cursor stands on it.
    Words {
        label: String,
        hang: u16,
        spans: Vec<(String, Role)>,
        here: bool,
    },
    Title {
        left: String,
        right: String,
    },
}

/// What a detail says, in order.
#[derive(Default)]
pub struct Text {
    lines: Vec<Line>,
}

impl Text {
    pub fn new() -> Self {
        Self::default()
    }

    fn words(&mut self, label: &str, hang: u16, spans: Vec<(String, Role)>, here: bool) {
        self.lines.push(Line::Words { label: label.to_owned(), hang, spans, here });
    }

    /// Words on the whole width.
    pub fn say(&mut self, text: &str, role: Role) {
        self.words("", 0, vec![(text.to_owned(), role)], false);
    }

    /// Parts of one line, each with its meaning.
    pub fn spans(&mut self, spans: Vec<(String, Role)>) {
        self.words("", 0, spans, false);
    }

    /// A line that the cursor can stand on.
    pub fn spot(&mut self, spans: Vec<(String, Role)>, here: bool) {
        self.words("", 0, spans, here);
    }

    /// `LABEL  words`; nothing where there are no words.
    pub fn put(&mut self, label: &str, text: impl Into<String>, role: Role) {
        let text = text.into();
        if !text.is_empty() {
            self.words(label, 0, vec![(text, role)], false);
        }
    }

    /// Parts behind a label.
    pub fn labelled(&mut self, label: &str, spans: Vec<(String, Role)>) {
        self.words(label, 0, spans, false);
    }

    /// Parts of one line; where it is broken, it goes on `hang` columns from the left.
    pub fn hang(&mut self, hang: u16, spans: Vec<(String, Role)>) {
        self.words("", hang, spans, false);
    }

    /// What another one says, below this.
    pub fn join(&mut self, other: Self) {
        self.lines.extend(other.lines);
    }

    pub fn title(&mut self, left: impl Into<String>, right: impl Into<String>) {
        self.lines.push(Line::Title { left: left.into(), right: right.into() });
    }

    /// Draws what there is room for; returns the rows that were used. What is cut off at the bottom is said in the last row.
    pub fn draw(&self, look: &Look, area: Rect, buf: &mut Buffer) -> u16 {
        self.draw_page(look, area, buf).0
    }

    /// As [`Text::draw`], with the row of the line that the cursor stands on.
    pub fn draw_page(&self, look: &Look, area: Rect, buf: &mut Buffer) -> (u16, Option<u16>) {
        let (mut y, mut found) = (0, None);
        for (i, line) in self.lines.iter().enumerate() {
            if y >= area.height {
                let more = self.lines.len() - i;
                let last = area.height.saturating_sub(1);
                let text = format!("{} {more} more", look.glyphs.down);
                let from = area.width.saturating_sub(paint::width(&text) as u16 + 1);
                if area.height > 2 {
                    paint::text(buf, area, from, last, &format!(" {text}"), look.style(Role::Dim), "");
                }
                break;
            }
            y += match line {
                Line::Title { left, right } => {
                    rule(look, area, buf, y, left, right);
                    1
                }
                Line::Words { label, hang, spans, here } => {
                    if *here {
                        found = Some(y);
                    }
                    words(look, area, buf, y, (label, *hang), spans)
                }
            };
        }
        (y.min(area.height), found)
    }
}

/// Columns of a title below which it is not cut for the words at its right.
const TITLE: u16 = 32;

/// A title in a rule, with words at its right end where they fit. The end of a name tells it from others: a title is cut in its middle.
pub fn rule(look: &Look, area: Rect, buf: &mut Buffer, y: u16, left: &str, right: &str) {
    let line = look.glyphs.line;
    paint::text(buf, area, 0, y, &line.repeat(usize::from(area.width)), look.style(Role::Border), "");
    let wide = paint::width(&sanitise::line(right, sanitise::Colour::Drop)) as u16 + 2;
    let beside = if right.is_empty() { 0 } else { area.width.saturating_sub(wide.saturating_add(7)) };
    let room = if beside >= TITLE { beside } else { area.width.saturating_sub(4) };
    let left = paint::middle(&sanitise::line(left, sanitise::Colour::Drop), usize::from(room), look.glyphs.ellipsis);
    let x = match left.is_empty() {
        true => 0,
        false => paint::text(buf, area, 2, y, &format!(" {left} "), look.style(Role::Section), look.glyphs.ellipsis),
    };
    if !right.is_empty() && x + wide + 2 < area.width {
        paint::text(buf, area, area.width - wide - 1, y, &format!(" {right} "), look.style(Role::Dim), look.glyphs.ellipsis);
    }
}

/// Breaks at blanks; a word that is longer than the line, such as a path, goes on in the next one. Returns the rows that it took.
fn words(look: &Look, area: Rect, buf: &mut Buffer, y: u16, (label, hang): (&str, u16), spans: &[(String, Role)]) -> u16 {
    let indent = if label.is_empty() { hang } else { LABEL }.min(area.width);
    paint::text(buf, area, 0, y, label, look.style(Role::Label), look.glyphs.ellipsis);
    let (mut x, mut row) = (if label.is_empty() { 0 } else { indent }, y);
    for (text, role) in spans {
        let style = look.style(*role);
        let some: String = text.chars().take(LONGEST).collect();
        let safe = sanitise::line(&some, sanitise::Colour::Drop);
        for word in safe.split_inclusive(' ') {
            let wide = paint::width(word.trim_end()) as u16;
            if x > indent && x.saturating_add(wide) > area.width {
                row += 1;
                x = indent;
            }
            if row >= area.height {
                return row + 1 - y;
            }
            let mut rest = word.trim_end();
            while x.saturating_add(paint::width(rest) as u16) > area.width && row + 1 < area.height {
                let (first, _) = paint::split(rest, usize::from(area.width.saturating_sub(x)));
                // A path is broken behind one of its directories.
                let first = first.rfind('/').filter(|at| *at > first.len() / 2).map_or(first, |at| &first[..=at]);
                let more = &rest[first.len()..];
                if first.is_empty() {
                    break;
                }
                paint::text(buf, area, x, row, first, style, "");
                (rest, row, x) = (more, row + 1, indent);
            }
            x = paint::text(buf, area, x, row, rest, style, look.glyphs.ellipsis);
            // A blank at the end of a line is not drawn.
            if word.ends_with(' ') && x < area.width {
                x = paint::text(buf, area, x, row, " ", style, "");
            }
        }
    }
    row + 1 - y
}
