//! From one frame to the next: the bytes that turn what the terminal shows into what it should show, as few as may be.

use ratatui::buffer::Buffer;
use ratatui::style::Style;

use crate::console::shot::sgr;
use crate::console::widget::paint::width;

/// Unchanged cells up to this many are written again rather than jumped over: a jump costs as much.
const BRIDGE: u16 = 4;

/// The bytes from `before` to `after`; everything where the sizes differ. Empty where nothing changed.
pub fn bytes(before: Option<&Buffer>, after: &Buffer) -> String {
    let before = before.filter(|b| b.area == after.area);
    let mut out = String::new();
    if before.is_none() {
        out.push_str("\u{1b}[0m\u{1b}[2J");
    }
    let mut style = None;
    for y in 0..after.area.height {
        line(before, after, y, &mut style, &mut out);
    }
    if style.is_some() {
        out.push_str("\u{1b}[0m");
    }
    out
}

fn line(before: Option<&Buffer>, after: &Buffer, y: u16, style: &mut Option<Style>, out: &mut String) {
    let empty = ratatui::buffer::Cell::EMPTY;
    let blank = |x: u16| after[(x, y)] == empty;
    let same = |x: u16| before.map_or_else(|| blank(x), |b| b[(x, y)] == after[(x, y)]);
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
            Some(from) if x > from && x - from <= BRIDGE => (from..x).for_each(|c| put(after, c, y, style, out)),
            _ => out.push_str(&format!("\u{1b}[{};{}H", y + 1, x + 1)),
        }
        put(after, x, y, style, out);
        x += wide;
        at = Some(x);
    }
}

fn put(buf: &Buffer, x: u16, y: u16, style: &mut Option<Style>, out: &mut String) {
    let cell = &buf[(x, y)];
    if *style != Some(cell.style()) {
        out.push_str(&sgr(cell.style()));
        *style = Some(cell.style());
    }
    out.push_str(cell.symbol());
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;

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
