//! A line that is being typed, with its cursor; longer ones are shown around it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::paint;
use crate::console::edit::Line;
use crate::theme::{Look, Role};

/// Draws from column `x` of the area's row `y` to its right edge; returns the column behind text and cursor.
pub fn draw(look: &Look, buf: &mut Buffer, area: Rect, x: u16, y: u16, line: &Line, style: Style) -> u16 {
    let room = usize::from(area.width.saturating_sub(x));
    let (before, behind) = line.halves();
    // The cursor's own column stays free, and where something is cut off, one for the sign.
    let mut shown = before;
    while paint::width(shown) + 2 > room.max(3) {
        let mut rest = shown.chars();
        rest.next();
        shown = rest.as_str();
    }
    let mut x = x;
    if shown.len() < before.len() {
        x = paint::text(buf, area, x, y, look.glyphs.ellipsis, look.style(Role::Dim), "");
    }
    x = paint::text(buf, area, x, y, shown, style, "");
    let cursor = look.style(Role::Selected);
    let mut rest = behind.chars();
    match rest.next() {
        Some(c) => {
            x = paint::text(buf, area, x, y, c.encode_utf8(&mut [0; 4]), cursor, "");
            paint::text(buf, area, x, y, rest.as_str(), style, look.glyphs.ellipsis)
        }
        None => paint::text(buf, area, x, y, "_", look.style(Role::Dim), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::{Glyphs, Theme};

    fn shot(width: u16, text: &str, left: usize) -> String {
        let look = Look { theme: Theme::plain(), glyphs: Glyphs::ASCII };
        let area = Rect::new(0, 0, width, 1);
        let mut buf = Buffer::empty(area);
        let mut line = Line::from(text);
        for _ in 0..left {
            line.press("left".parse().unwrap());
        }
        draw(&look, &mut buf, area, 1, 0, &line, Style::default());
        (0..width).map(|x| buf[(x, 0)].symbol().to_owned()).collect::<String>().trim_end().to_owned()
    }

    #[test]
    fn the_cursor_is_always_seen() {
        assert_eq!(shot(12, "abc", 0), " abc_");
        assert_eq!(shot(12, "abcdefghijklmnop", 0), " ~hijklmnop_");
        assert_eq!(shot(12, "abcdefghijklmnop", 16), " abcdefghij~");
        for width in 0..6 {
            shot(width.max(1), "日本語のテキスト", 3);
        }
    }
}
