//! The dialog before a change: what it touches, how it is undone, what it costs, and what must be typed. The focus is on cancel.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::console::model::Dialog;
use crate::console::widget::paint;
use crate::domain::level::Level;
use crate::theme::{Look, Role};

pub fn draw(dialog: &Dialog, look: &Look, area: Rect, buf: &mut Buffer) {
    let role = if dialog.level >= Level::L2 { Role::DialogDanger } else { Role::Dialog };
    let title = format!("{}: {}", dialog.action.title, dialog.target);
    let inner = boxed(look, area, buf, dialog.facts.len() as u16 + 6, &title);
    let mut y = 0;
    let sign = look.glyphs.ellipsis;
    for (label, text) in &dialog.facts {
        paint::text(buf, inner, 0, y, label, look.style(Role::Label), sign);
        paint::text(buf, inner, 10, y, text, look.style(Role::Text), sign);
        y += 1;
    }
    y += 1;
    let (ask, typed) = match dialog.level {
        Level::L0 | Level::L1 => ("y does it. Any other key leaves everything as it is.".to_owned(), String::new()),
        _ => (format!("Type {} and Enter. Esc leaves everything as it is.", dialog.target), format!("> {}_", dialog.typed)),
    };
    paint::text(buf, inner, 0, y, &ask, look.style(role), sign);
    paint::text(buf, inner, 0, y + 1, &typed, look.style(Role::Prompt), sign);
    if let Some(e) = &dialog.error {
        paint::text(buf, inner, 0, y + 2, e, look.style(Role::PromptError), sign);
    }
}

/// A box in the middle of the area with a title; returns its inside.
pub fn boxed(look: &Look, area: Rect, buf: &mut Buffer, rows: u16, title: &str) -> Rect {
    let width = area.width.saturating_sub(4).min(120).max(area.width.min(20));
    let height = rows.saturating_add(2).min(area.height);
    let place = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    for y in 0..height {
        let line = " ".repeat(usize::from(width));
        paint::text(buf, place, 0, y, &line, look.style(Role::Dialog), "");
    }
    let rule = look.glyphs.line.repeat(usize::from(width));
    paint::text(buf, place, 0, 0, &rule, look.style(Role::Border), "");
    paint::text(buf, place, 0, height.saturating_sub(1), &rule, look.style(Role::Border), "");
    paint::text(buf, place, 2, 0, &format!(" {title} "), look.style(Role::Section), look.glyphs.ellipsis);
    Rect { x: place.x + 2.min(width), y: place.y + 1.min(height), width: width.saturating_sub(4), height: height.saturating_sub(2) }
}
