//! `?`: draws what each key does here, in one column or two.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::text::rule;
use crate::console::model::Model;
use crate::console::update::help::{self, BESIDE, What};
use crate::console::widget::paint;
use crate::theme::{Look, Role};

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer, from: usize) {
    let all = help::lines(model, help::column(model));
    let fits = help::fits(model);
    let from = from.min(all.len().saturating_sub(fits));
    let last = (from + fits).min(all.len());
    let turn = match all.len() > fits {
        true => format!("   rows {} to {last} of {}: j k space turn", from + 1, all.len()),
        false => String::new(),
    };
    paint::clear(buf, area, look.style(Role::Screen));
    rule(look, area, buf, 0, &format!("KEYS   q closes{turn}"), "");
    let left = BESIDE.min(area.width);
    let inner = Rect { x: area.x + left, y: area.y + 1.min(area.height), width: area.width - left, height: area.height.saturating_sub(1) };
    let rows = usize::from(inner.height).max(1);
    let wide = help::column(model) as u16;
    for (i, line) in all[from..last].iter().enumerate() {
        let (column, y) = (i / rows, (i % rows) as u16);
        let x = column as u16 * (wide + help::GAP);
        if x >= inner.width {
            break;
        }
        let room = Rect { x: inner.x + x, width: wide.min(inner.width - x), ..inner };
        if line.what == What::Title {
            rule(look, room, buf, y, &line.text, "");
            continue;
        }
        let (key, role) = match line.what {
            What::Title | What::On => (Role::Key, Role::KeyText),
            What::Off => (Role::KeyOff, Role::KeyOff),
            What::Why => (Role::KeyOff, Role::Warn),
            What::Note => (Role::Key, Role::Dim),
        };
        paint::text(buf, room, 0, y, &line.keys, look.style(key), look.glyphs.ellipsis);
        paint::text(buf, room, line.indent, y, &line.text, look.style(role), look.glyphs.ellipsis);
    }
}
