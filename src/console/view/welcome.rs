//! The page of a first start: no site is configured, and what to do about it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::super::widget::paint;
use crate::theme::{Look, Role};

/// What is to be done, a command or a word about it a line.
const LINES: [(Role, &str); 14] = [
    (Role::Identity, "quarterdeck"),
    (Role::Text, ""),
    (Role::Strong, "No site is configured yet."),
    (Role::Text, ""),
    (Role::Text, "See it at work first, on an estate of its own:"),
    (Role::Key, "  quarterdeck demo"),
    (Role::Text, ""),
    (Role::Text, "Or begin with your own: a site file and the pipelines that are shipped."),
    (Role::Key, "  quarterdeck site init"),
    (Role::Text, ""),
    (Role::Text, "Is this machine fit for it?"),
    (Role::Key, "  quarterdeck doctor"),
    (Role::Text, ""),
    (Role::Dim, "q leaves"),
];

/// Where there is little room, blank lines go first.
pub fn draw(look: &Look, area: Rect, buf: &mut Buffer) {
    let room = usize::from(area.height);
    let tight = LINES.len() > room;
    let lines = LINES.iter().filter(|(_, text)| !(tight && text.is_empty())).take(room);
    for (y, (role, text)) in lines.enumerate() {
        paint::text(buf, area, 0, y as u16, text, look.style(*role), look.glyphs.ellipsis);
    }
}
