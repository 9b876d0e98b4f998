//! How the console looks: the theme that was asked for, or the site's, or the one that suits the terminal.

use super::Ctx;
use crate::config::{ConfigError, Site};
use crate::console::themes;
use crate::theme::{self, Depth, Glyphs, Look, Theme};

/// The theme of a name.
pub fn named(ctx: &Ctx, theme: &str, ascii: bool, depth: Depth) -> Result<Look, ConfigError> {
    let theme = themes::load(&ctx.dirs, ctx.uid, theme, depth)?;
    Ok(Look { theme, glyphs: if ascii { Glyphs::ASCII } else { Glyphs::UTF8 } })
}

/// The site's theme, or the one that suits the terminal; and what is wrong with the site's, where it cannot be had.
pub fn suited(ctx: &Ctx, site: &Site, ascii: bool, depth: Depth) -> (Look, Option<String>) {
    let name = site.console_theme.as_deref();
    let own = name.map(|n| named(ctx, n, ascii, depth));
    let complaint = own.as_ref().and_then(|o| o.as_ref().err()).map(|e| format!("{}. {}", e.in_short(), e.help()));
    let look = own.and_then(Result::ok).unwrap_or_else(|| {
        let name = Theme::suits(depth, |n| std::env::var(n).ok());
        let sheet = theme::built_in(name).and_then(Result::ok).unwrap_or_default();
        Look { theme: Theme::of(name, &sheet, depth), glyphs: if ascii { Glyphs::ASCII } else { Glyphs::UTF8 } }
    });
    (look, complaint)
}
