//! What a prompt offers, above it: names that begin with what was typed, and what each is.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::console::model::Prompt;
use crate::console::widget::paint;
use crate::theme::{Look, Role};

/// Rows at most; what is before and behind is counted.
const ROWS: usize = 8;

pub fn draw(prompt: &Prompt, look: &Look, area: Rect, buf: &mut Buffer) {
    let all = &prompt.offers;
    let rows = all.len().min(ROWS).min(usize::from(area.height / 2));
    if rows == 0 {
        return;
    }
    let at = prompt.offer.unwrap_or(0);
    let first = (at + 1).saturating_sub(rows).min(all.len() - rows);
    let more = all.len() - rows;
    let height = rows as u16 + u16::from(more > 0);
    let place = Rect { y: area.y + area.height - height, height, ..area };
    paint::clear(buf, place, look.style(Role::Screen).patch(look.style(Role::Dialog)));
    // Without colours nothing else tells it from what it covers.
    if area.height > height + 1 {
        super::text::rule(look, Rect { y: place.y - 1, height: 1, ..area }, buf, 0, "", "");
    }
    let names = all.iter().skip(first).take(rows).map(|o| paint::width(&o.text)).max().unwrap_or(0).min(usize::from(area.width) / 2);
    for (y, (i, offer)) in all.iter().enumerate().skip(first).take(rows).enumerate() {
        let here = prompt.offer == Some(i);
        let base = look.style(Role::Dialog);
        let style = base.patch(look.style(if here { Role::DialogFocus } else { Role::Key }));
        let sign = if here { look.glyphs.cursor } else { " " };
        let (y, ellipsis) = (y as u16, look.glyphs.ellipsis);
        let x = paint::text(buf, place, 0, y, sign, style, "");
        paint::text(buf, place, x, y, &paint::cut(&offer.text, names, ellipsis), style, ellipsis);
        paint::text(buf, place, x + names as u16 + 2, y, &offer.about, base.patch(look.style(Role::KeyText)), ellipsis);
    }
    if more > 0 {
        let text = format!(" {more} more; Tab goes through them");
        paint::text(buf, place, 0, rows as u16, &text, look.style(Role::Dialog).patch(look.style(Role::Dim)), look.glyphs.ellipsis);
    }
}
