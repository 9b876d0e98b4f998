//! Floor 2: how the console looks: roles to styles, what the terminal can show, and the signs that are drawn.

mod builtin;
pub mod colour;
mod depth;
mod glyph;
mod role;
mod sheet;
mod table;
pub mod terminfo;

pub use builtin::{BUILT_IN, built_in, unknown};
pub use depth::Depth;
pub use glyph::Glyphs;
pub use role::Role;
pub use sheet::{Ground, Sheet, Slip, read};
pub use table::Theme;

/// All that a view needs to know about looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    pub theme: Theme,
    pub glyphs: Glyphs,
}

impl Look {
    /// How this role looks here.
    pub fn style(&self, role: Role) -> ratatui::style::Style {
        self.theme.style(role)
    }
}

#[cfg(test)]
mod tests;
