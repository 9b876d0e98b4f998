//! The page of a run's stages while it is drawn: how far it has come, and where its cursor was found.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::word;
use crate::console::widget::paint;
use crate::theme::{Look, Role};

pub struct Page<'a> {
    pub look: &'a Look,
    pub area: Rect,
    pub buf: &'a mut Buffer,
    pub y: u16,
    /// What the cursor stands on, and the row where that was drawn.
    pub cursor: Option<&'a str>,
    pub found: Option<u16>,
    /// What is shown is not known to be so any more: nothing is good.
    pub old: bool,
}

impl Page<'_> {
    /// How a verdict is drawn.
    pub fn verdict(&self, word: &str) -> (&'static str, Role) {
        let (sign, role) = word::verdict(word, &self.look.glyphs);
        if self.old && role == Role::Good { ("~", Role::Unknown) } else { (sign, role) }
    }

    /// Whether the cursor stands on this, in the row that is being drawn; its sign is put at column `x`.
    pub fn here(&mut self, spot: &str, x: u16) -> bool {
        let here = self.cursor == Some(spot);
        if here {
            self.found = Some(self.y);
            let sign = self.look.glyphs.cursor;
            self.at(x, sign, Role::Selected);
        }
        here
    }

    pub fn at(&mut self, x: u16, text: &str, role: Role) -> u16 {
        paint::text(self.buf, self.area, x, self.y, text, self.look.style(role), self.look.glyphs.ellipsis)
    }

    /// Text that ends before column `x`.
    pub fn before(&mut self, x: u16, text: &str, role: Role) {
        let wide = paint::width(text) as u16;
        self.at(x.saturating_sub(wide), text, role);
    }
}
