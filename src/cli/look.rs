//! What the console begins with: a model of the site, and the theme that was asked for, or the site's, or the one that suits the terminal.

use jiff::Timestamp;

use super::Ctx;
use super::out::Out;
use crate::config::{ConfigError, Site};
use crate::console::{self, Model, keyfile, themes};
use crate::theme::{self, Depth, Glyphs, Look, Theme};

/// A console that knows nothing yet but where it is.
pub fn model(ctx: &Ctx, out: &Out, now: Timestamp, size: (u16, u16)) -> Model {
    let name = ctx.global.site.clone().unwrap_or_else(|| super::DEFAULT_SITE.to_owned());
    let demo = ctx.dirs.state.join(crate::demo::estate::MARK).exists();
    let site = console::Site { name: if demo { "demo".to_owned() } else { name }, demo, zone: out.zone.clone() };
    let (keys, key_reports) = keyfile::load(&ctx.dirs.keymaps());
    // Of a terminal elsewhere, as TZ or the machine says it.
    let own = jiff::tz::TimeZone::system();
    let here = (own.iana_name().is_some() && own.iana_name() != site.zone.iana_name()).then_some(own);
    Model { key_reports, here, given: super::again::given(&ctx.global, true), ..Model::new(site, keys, now, size) }
}

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
