//! What the console begins with: a model of the site, and the theme that was asked for, or the site's, or the one that suits the terminal.

use jiff::Timestamp;

use super::Ctx;
use super::args::Color;
use super::out::Out;
use crate::config::{ConfigError, Site};
use crate::console::{self, Model, keyfile, themes};
use crate::theme::{self, Depth, Glyphs, Look, Theme, terminfo};

/// A console that knows nothing yet but where it is.
pub fn model(ctx: &Ctx, out: &Out, now: Timestamp, size: (u16, u16)) -> Model {
    let name = ctx.global.site.clone().unwrap_or_else(|| super::DEFAULT_SITE.to_owned());
    let demo = ctx.dirs.state.join(crate::demo::places::MARK).exists();
    let site = console::Site { name: if demo { "demo".to_owned() } else { name }, demo, zone: out.zone.clone() };
    let (keys, key_reports) = keyfile::load(&ctx.dirs.keymaps());
    // Of a terminal elsewhere, as TZ or the machine says it.
    let own = jiff::tz::TimeZone::system();
    let here = (own.iana_name().is_some() && own.iana_name() != site.zone.iana_name()).then_some(own);
    Model { key_reports, here, given: super::again::given(&ctx.global, true), ..Model::new(site, keys, now, size) }
}

/// How many colours: as `--color` says, else `NO_COLOR`, else the site file, else what terminal, environment and terminfo say.
pub fn depth(ctx: &Ctx, site: &Site) -> Depth {
    let env = |n: &str| std::env::var(n).ok();
    let found = || {
        Depth::of_terminal(env, |term| {
            let mut all = terminfo::places(term, env).into_iter();
            all.find_map(|at| terminfo::depth(&std::fs::read(at).ok().filter(|e| e.len() <= terminfo::LARGEST)?))
        })
    };
    let sites = || site.console_colours.as_deref().and_then(Depth::of_word);
    match ctx.global.color {
        Color::Never => Depth::None,
        Color::Sixteen => Depth::Ansi16,
        Color::Many => Depth::Ansi256,
        Color::True => Depth::True,
        Color::Always => sites().unwrap_or_else(found).max(Depth::Ansi16),
        Color::Auto if env("NO_COLOR").is_some_and(|v| !v.is_empty()) => Depth::None,
        Color::Auto => sites().unwrap_or_else(found),
    }
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
