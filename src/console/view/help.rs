//! `?`: what each key does here, and why it does not where it does not.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::dialog::boxed;
use crate::console::command::{self, Meaning};
use crate::console::model::Model;
use crate::console::update;
use crate::console::widget::paint;
use crate::theme::{Look, Role};

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let scopes = model.screen().scopes();
    let mut rows = Vec::new();
    for name in command::names() {
        let Some(keys) = model.keys.keys_of(scopes, &name) else { continue };
        let Some(meaning) = command::find(&name) else { continue };
        rows.push((keys, meaning));
    }
    let inner = boxed(look, area, buf, rows.len() as u16 + 2, "KEYS   q closes");
    let half = usize::from(inner.height).max(1);
    let wide = inner.width >= 100 && rows.len() > half;
    for (i, (keys, meaning)) in rows.iter().enumerate() {
        let (column, y) = if wide { (i / half, i % half) } else { (0, i) };
        let x = (column as u16) * (inner.width / 2);
        let room = Rect { width: if wide { inner.width / 2 - 1 } else { inner.width }, x: inner.x + x, ..inner };
        if x >= inner.width {
            break;
        }
        paint::text(buf, room, 0, y as u16, keys, look.style(Role::Key), look.glyphs.ellipsis);
        let off = if let Meaning::Do(action) = meaning { update::why_not(model, action) } else { None };
        let (text, role) = match off {
            Some(why) => (format!("{} (off: {why})", meaning.title()), Role::KeyOff),
            None => (format!("{}: {}", meaning.title(), meaning.doc()), Role::KeyText),
        };
        paint::text(buf, room, 10, y as u16, &text, look.style(role), look.glyphs.ellipsis);
    }
}
