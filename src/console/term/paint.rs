//! From one frame to the next: the bytes that turn what the terminal shows into what it should show, as few as may be.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Style};

use super::links::{self, Span};
use crate::console::shot::sgr;
use crate::console::widget::paint::width;

/// Unchanged cells up to this many are written again rather than jumped over: a jump costs as much.
const BRIDGE: u16 = 4;

/// The bytes from `before` to `after`; everything where the sizes differ. Empty where nothing changed.
pub fn bytes(before: Option<&Buffer>, after: &Buffer) -> String {
    linked(before, after, &[])
}

/// The same with links, where URLs begin with what is vouched for.
pub fn linked(before: Option<&Buffer>, after: &Buffer, vouched: &[String]) -> String {
    let before = before.filter(|b| b.area == after.area);
    let mut pen = Pen::default();
    if before.is_none() {
        pen.out.push_str("\u{1b}[0m\u{1b}[2J");
    }
    for y in 0..after.area.height {
        line(before, after, y, vouched, &mut pen);
    }
    if pen.style.is_some() {
        pen.out.push_str("\u{1b}[0m");
    }
    pen.out
}

/// What is written, and how the terminal stands.
#[derive(Default)]
struct Pen {
    out: String,
    style: Option<Style>,
    /// The link that is open, of those of the row.
    link: Option<usize>,
}

impl Pen {
    fn link(&mut self, spans: &[Span], x: Option<u16>) {
        let now = x.and_then(|x| spans.iter().position(|s| s.from <= x && x < s.to));
        if now == self.link {
            return;
        }
        if self.link.is_some() {
            self.out.push_str(links::CLOSE);
        }
        if let Some(span) = now.and_then(|i| spans.get(i)) {
            self.out.push_str(&links::open(&span.url));
        }
        self.link = now;
    }

    fn put(&mut self, buf: &Buffer, x: u16, y: u16, spans: &[Span]) {
        let cell = &buf[(x, y)];
        self.link(spans, Some(x));
        if self.style != Some(cell.style()) {
            self.out.push_str(&step(self.style, cell.style()));
            self.style = Some(cell.style());
        }
        self.out.push_str(cell.symbol());
    }
}

/// From one style to the next: only what differs, where nothing has to be switched off. Colours are most of what a frame costs.
fn step(before: Option<Style>, next: Style) -> String {
    let Some(before) = before else { return sgr(next) };
    let plain = |c: Option<Color>| c.is_none_or(|c| c == Color::Reset);
    let off = |a: Option<Color>, b: Option<Color>| !plain(a) && plain(b);
    if !next.add_modifier.contains(before.add_modifier) || off(before.fg, next.fg) || off(before.bg, next.bg) {
        return sgr(next);
    }
    let mut only = Style::new().add_modifier(next.add_modifier.difference(before.add_modifier));
    only.fg = next.fg.filter(|c| before.fg != Some(*c));
    only.bg = next.bg.filter(|c| before.bg != Some(*c));
    let full = sgr(only);
    // The sequence begins with a reset, which is what is not wanted here.
    full.strip_prefix("\u{1b}[0;").map(|rest| format!("\u{1b}[{rest}")).unwrap_or_default()
}

fn line(before: Option<&Buffer>, after: &Buffer, y: u16, vouched: &[String], pen: &mut Pen) {
    let empty = ratatui::buffer::Cell::EMPTY;
    let blank = |x: u16| after[(x, y)] == empty;
    let spans = links::of_row(after, y, vouched);
    let were = before.map(|b| links::of_row(b, y, vouched)).unwrap_or_default();
    // A cell whose link is another one is written again, though it looks the same.
    let of = |all: &[Span], x: u16| all.iter().position(|s| s.from <= x && x < s.to);
    let moved = |x: u16| match (of(&spans, x), of(&were, x)) {
        (None, None) => false,
        (Some(a), Some(b)) => before.is_some() && spans.get(a) != were.get(b),
        _ => before.is_some(),
    };
    let same = |x: u16| before.map_or_else(|| blank(x), |b| b[(x, y)] == after[(x, y)] && !moved(x));
    // Where the cursor of the terminal stands, if in this row.
    let mut at: Option<u16> = None;
    let mut x = 0;
    while x < after.area.width {
        let wide = width(after[(x, y)].symbol()).max(1) as u16;
        if (x..(x + wide).min(after.area.width)).all(same) {
            x += wide;
            continue;
        }
        match at {
            Some(from) if x == from => {}
            Some(from) if x > from && x - from <= BRIDGE => (from..x).for_each(|c| pen.put(after, c, y, &spans)),
            _ => pen.out.push_str(&format!("\u{1b}[{};{}H", y + 1, x + 1)),
        }
        pen.put(after, x, y, &spans);
        x += wide;
        at = Some(x);
    }
    pen.link(&spans, None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;

    #[test]
    fn from_style_to_style_only_what_differs_is_written() {
        use ratatui::style::Modifier;
        let (red, both) = (Style::new().fg(Color::Red), Style::new().fg(Color::Red).bg(Color::Blue));
        assert_eq!(step(None, red), "\u{1b}[0;31m");
        assert_eq!(step(Some(red), both), "\u{1b}[44m");
        assert_eq!(step(Some(both), both.fg(Color::Green)), "\u{1b}[32m");
        assert_eq!(step(Some(both), red), "\u{1b}[0;31m", "what is to be off needs a reset");
        assert_eq!(step(Some(red), red.add_modifier(Modifier::BOLD)), "\u{1b}[1m");
        assert_eq!(step(Some(red.add_modifier(Modifier::BOLD)), red), "\u{1b}[0;31m");
        assert_eq!(step(Some(red), Style::new().fg(Color::Reset)), "\u{1b}[0m");
    }

    #[test]
    fn nothing_changed_is_nothing_written() {
        let mut a = Buffer::empty(Rect::new(0, 0, 20, 3));
        a.set_string(0, 0, "hello", Style::new());
        assert_eq!(bytes(Some(&a), &a.clone()), "");
        let mut b = a.clone();
        b.set_string(4, 0, "p", Style::new());
        assert_eq!(bytes(Some(&a), &b), "\u{1b}[1;5H\u{1b}[0mp\u{1b}[0m");
        assert!(bytes(None, &a).contains("hello") && !bytes(None, &a).contains("     "));
    }
}
