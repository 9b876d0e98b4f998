//! A line of a log as cells: its colours as styles, everything else that is no text dropped. Nothing here writes beyond the room it is given.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::base::sanitise;

/// Marks on one letter beyond these are dropped.
const MARKS: usize = 4;

/// A letter with its marks.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sign {
    bytes: Range<usize>,
    width: u8,
    style: Style,
}

/// A line, cut into letters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    pub text: String,
    signs: Vec<Sign>,
}

impl Line {
    /// Reads a line as the step wrote it. Colours are attributes of the cells, or dropped.
    pub fn read(raw: &str, colours: bool) -> Self {
        let keep = if raw.contains(['\u{1b}', '\u{9b}']) { sanitise::Colour::Keep } else { sanitise::Colour::Drop };
        let safe = sanitise::line(raw, keep);
        let (mut out, mut pen, mut marks) = (Self::default(), Pen::default(), 0);
        let mut rest = safe.as_str();
        while let Some(c) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("\u{1b}[") {
                // Whatever is left of escape sequences is `ESC [ … m`.
                let end = after.find('m').unwrap_or(after.len());
                pen.apply(&after[..end], colours);
                rest = after.get(end + 1..).unwrap_or_default();
                continue;
            }
            rest = &rest[c.len_utf8()..];
            let at = out.text.len();
            match (c.width(), out.signs.last_mut()) {
                (None, _) | (Some(0), None) => {}
                (Some(0), Some(last)) => {
                    marks += 1;
                    if marks <= MARKS {
                        out.text.push(c);
                        last.bytes.end = out.text.len();
                        last.width = out.text[last.bytes.clone()].width().min(2) as u8;
                    }
                }
                (Some(w), _) => {
                    marks = 0;
                    out.text.push(c);
                    out.signs.push(Sign { bytes: at..out.text.len(), width: w.min(2) as u8, style: pen.style });
                }
            }
        }
        out
    }

    /// Letters.
    pub fn len(&self) -> usize {
        self.signs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.signs.is_empty()
    }

    /// The letters of each row, where `width` columns make one; at least one row.
    pub fn rows(&self, width: usize) -> Vec<Range<usize>> {
        let (mut out, mut from, mut used) = (Vec::new(), 0, 0);
        for (i, s) in self.signs.iter().enumerate() {
            if used + usize::from(s.width) > width.max(1) && i > from {
                out.push(from..i);
                (from, used) = (i, 0);
            }
            used += usize::from(s.width);
        }
        out.push(from..self.signs.len());
        out
    }

    /// The letters from column `skip` on, as many as fit into `room`; and whether some are left.
    pub fn part(&self, skip: usize, room: usize) -> (Range<usize>, bool) {
        let (mut column, mut from) = (0, self.signs.len());
        for (i, s) in self.signs.iter().enumerate() {
            if column >= skip {
                from = i;
                break;
            }
            column += usize::from(s.width);
        }
        let (mut to, mut used) = (from, 0);
        while let Some(s) = self.signs.get(to) {
            used += usize::from(s.width);
            if used > room {
                return (from..to, true);
            }
            to += 1;
        }
        (from..to, false)
    }

    /// Draws these letters from column `x` of row `y` on; those within `marked` (bytes of `text`) with `mark` on top. The column behind.
    #[allow(clippy::too_many_arguments)]
    pub fn draw(
        &self,
        buf: &mut Buffer,
        area: Rect,
        (mut x, y): (u16, u16),
        letters: Range<usize>,
        base: Style,
        marked: &[Range<usize>],
        mark: Style,
    ) -> u16 {
        if y >= area.height {
            return x;
        }
        for s in self.signs.get(letters).unwrap_or_default() {
            let room = area.width.saturating_sub(x);
            if u16::from(s.width) > room {
                break;
            }
            let mut style = base.patch(s.style);
            if marked.iter().any(|m| m.start <= s.bytes.start && s.bytes.start < m.end) {
                style = style.patch(mark);
            }
            buf.set_stringn(area.x + x, area.y + y, &self.text[s.bytes.clone()], usize::from(room), style);
            x += u16::from(s.width);
        }
        x
    }
}

/// Rows that a line takes where `width` columns make one. As [`Line::rows`], without keeping them.
pub fn height(raw: &str, width: usize) -> usize {
    if raw.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return raw.len().div_ceil(width.max(1)).max(1);
    }
    Line::read(raw, false).rows(width).len()
}

/// The style that the colour sequences so far have made.
#[derive(Debug, Clone, Copy, Default)]
struct Pen {
    style: Style,
}

impl Pen {
    fn apply(&mut self, params: &str, colours: bool) {
        let mut codes = params.split([';', ':']).map(|p| if p.is_empty() { Some(0) } else { p.parse::<u8>().ok() });
        while let Some(code) = codes.next() {
            let Some(code) = code else { continue };
            let flag = match code {
                1 => Modifier::BOLD,
                2 => Modifier::DIM,
                3 => Modifier::ITALIC,
                4 => Modifier::UNDERLINED,
                7 => Modifier::REVERSED,
                9 => Modifier::CROSSED_OUT,
                _ => Modifier::empty(),
            };
            self.style.add_modifier |= flag;
            match code {
                0 => self.style = Style::default(),
                22 => self.style.add_modifier -= Modifier::BOLD | Modifier::DIM,
                23 => self.style.add_modifier -= Modifier::ITALIC,
                24 => self.style.add_modifier -= Modifier::UNDERLINED,
                27 => self.style.add_modifier -= Modifier::REVERSED,
                29 => self.style.add_modifier -= Modifier::CROSSED_OUT,
                39 => self.style.fg = None,
                49 => self.style.bg = None,
                30..=37 | 90..=97 if colours => self.style.fg = Some(sixteen(code - if code < 90 { 30 } else { 82 })),
                40..=47 | 100..=107 if colours => self.style.bg = Some(sixteen(code - if code < 100 { 40 } else { 92 })),
                38 | 48 => {
                    let mut next = || codes.next().flatten();
                    let colour = match next() {
                        Some(5) => next().map(|n| if n < 16 { sixteen(n) } else { Color::Indexed(n) }),
                        Some(2) => (|| Some(Color::Rgb(next()?, next()?, next()?)))(),
                        _ => None,
                    };
                    if colours && colour.is_some() {
                        *(if code == 38 { &mut self.style.fg } else { &mut self.style.bg }) = colour;
                    }
                }
                _ => {}
            }
        }
    }
}

fn sixteen(n: u8) -> Color {
    const ALL: [Color; 16] = [
        Color::Black,
        Color::Red,
        Color::Green,
        Color::Yellow,
        Color::Blue,
        Color::Magenta,
        Color::Cyan,
        Color::Gray,
        Color::DarkGray,
        Color::LightRed,
        Color::LightGreen,
        Color::LightYellow,
        Color::LightBlue,
        Color::LightMagenta,
        Color::LightCyan,
        Color::White,
    ];
    ALL[usize::from(n & 15)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn colours_become_styles_and_everything_else_goes() {
        let line = Line::read("a\u{1b}[1;31mred\u{1b}[0m\u{1b}]52;c;eA==\u{7}\u{1b}[2Jz", true);
        assert_eq!(line.text, "aredz");
        assert_eq!(line.signs[1].style, Style::new().fg(Color::Red).add_modifier(Modifier::BOLD));
        assert_eq!(line.signs[4].style, Style::default());
        assert_eq!(Line::read("\u{1b}[38;5;208;4mx", true).signs[0].style.fg, Some(Color::Indexed(208)));
        assert_eq!(Line::read("\u{1b}[48;2;1;2;3mx", true).signs[0].style.bg, Some(Color::Rgb(1, 2, 3)));
        let plain = Line::read("\u{1b}[4;92mx", false).signs[0].style;
        assert_eq!((plain.fg, plain.add_modifier), (None, Modifier::UNDERLINED));
        assert_eq!(Line::read("10%\r55%\r100%", true).text, "100%");
    }

    #[test]
    fn wide_letters_are_never_torn() {
        let line = Line::read("漢字ab", true);
        assert_eq!(line.rows(3), [0..1, 1..3, 3..4]);
        assert_eq!(line.part(2, 3), (1..3, true));
        assert_eq!(line.part(0, 100), (0..4, false));
        assert_eq!(Line::read("", true).rows(0).len(), 1);
        assert!(Line::read(&format!("e{}", "\u{301}".repeat(50)), true).text.len() < 20);
    }

    proptest! {
        #[test]
        fn any_bytes_stay_within_their_area(
            raw in proptest::collection::vec(any::<u8>(), 0..200),
            ansi in "(\u{1b}\\[|\u{9b}|[0-9;:]{0,6}|m|\\PC|\t|\r|\u{301}|漢){0,30}",
            width in 0u16..40, x in 0u16..12,
        ) {
            for text in [String::from_utf8_lossy(&raw).into_owned(), ansi] {
                let line = Line::read(&text, true);
                prop_assert!(!line.text.chars().any(char::is_control));
                let rows = line.rows(usize::from(width));
                prop_assert_eq!(rows.len(), height(&text, usize::from(width)));
                prop_assert_eq!(rows.iter().map(|r| r.len()).sum::<usize>(), line.len());
                let area = Rect::new(3, 1, width, 2);
                let mut buf = Buffer::filled(Rect::new(0, 0, 60, 4), ratatui::buffer::Cell::new("#"));
                let (letters, _) = line.part(usize::from(x), usize::from(width));
                let whole = 0..line.text.len();
                let all = std::slice::from_ref(&whole);
                line.draw(&mut buf, area, (x, 0), letters, Style::default(), all, Style::new().add_modifier(Modifier::UNDERLINED));
                line.draw(&mut buf, area, (0, 9), 0..line.len(), Style::default(), &[], Style::default());
                for yy in 0..4u16 {
                    for xx in 0..60u16 {
                        let inside = yy == 1 && (3 + x..3 + width).contains(&xx);
                        prop_assert!(inside || buf[(xx, yy)].symbol() == "#", "{xx} {yy}");
                        prop_assert!(!buf[(xx, yy)].symbol().chars().any(char::is_control));
                    }
                }
            }
        }
    }
}
