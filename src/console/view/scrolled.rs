//! A page that is longer than its place: it is drawn whole, shown from a row on, and what is below is counted.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::console::widget::paint;
use crate::theme::{Look, Role};

/// Shows a page of `rows` rows in `area`, from row `scroll` on, as far as there are so many; `how` says what shows the rest.
pub fn draw(look: &Look, area: Rect, buf: &mut Buffer, page: &Buffer, rows: u16, scroll: u16, how: &str) {
    let top = scroll.min(rows.saturating_sub(area.height));
    for y in 0..area.height.min(rows - top) {
        for x in 0..area.width {
            buf[(area.x + x, area.y + y)] = page[(x, top + y)].clone();
        }
    }
    more(look, area, buf, usize::from((rows - top).saturating_sub(area.height)), how);
}

/// Says in the last row how many there are below it, and what shows them.
pub fn more(look: &Look, area: Rect, buf: &mut Buffer, rows: usize, how: &str) {
    if rows > 0 {
        let text = format!(" {} {rows} more rows{how} ", look.glyphs.down);
        let from = area.width.saturating_sub(paint::width(&text) as u16);
        paint::text(buf, area, from, area.height.saturating_sub(1), &text, look.style(Role::Dim), "");
    }
}
