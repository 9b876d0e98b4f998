//! The console on this terminal: which site or state it opens on, and what it needs of the machine around it.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Ctx;
use super::args::Notify;
use super::connect::{self, Start};
use super::console_log;
use super::failure::{Failure, Outcome};
use super::look;
use super::out::Out;
use super::save;
use crate::api::ApiError;
use crate::base::clock::{Clock, SystemClock};
use crate::config::{ConfigError, Site};
use crate::console::edge::link::Address;
use crate::console::edit::Desk;
use crate::console::keyfile;
use crate::console::run::{self, Left, Opening};
use crate::console::term::attention::Attention;
use crate::console::themes;
use crate::console::watch::{Files, Reload};
use crate::console::{self, Model};
use crate::engine::catalog;
use crate::theme::{Depth, Glyphs, Look, Theme};

/// How the console was asked for.
#[derive(Debug, Default)]
pub struct How {
    pub read_only: bool,
    pub links: bool,
    pub no_probe: bool,
    pub notify: Vec<Notify>,
}

/// The console on this terminal: on the site, on a saved state, or, where there is no site yet, with a word of welcome.
pub fn console(ctx: &Ctx, out: &mut Out, from: Option<&Path>, how: &How) -> Outcome {
    let size = (80, 24);
    if let Some(file) = from {
        let saved = save::read(file)?;
        let model = saved.model(keyfile::load(&ctx.dirs.keymaps()).0, size);
        return open(ctx, &ctx.site(out).unwrap_or_default(), how, model, run::Source::File(saved)).map(drop);
    }
    let site = ctx.site(out)?;
    if !configured(ctx, &site) {
        let mut model = look::model(ctx, out, SystemClock.now(), size);
        model.welcome = true;
        return open(ctx, &site, how, model, run::Source::Nobody).map(drop);
    }
    let mut left = on_site(ctx, out, &site, how)?;
    // One console after the other: what was armed or open at one site is not at the next.
    while let Left::Site(name) = left {
        let ctx = ctx.elsewhere(&name)?;
        let site = ctx.site(out)?;
        left = on_site(&ctx, out, &site, how)?;
    }
    Ok(())
}

/// The console on a site's engine. A private one is started on demand, behind the first frame; a shared one that is absent is shown as that.
pub fn on_site(ctx: &Ctx, out: &Out, site: &Site, how: &How) -> Result<Left, Failure> {
    let mut model = look::model(ctx, out, SystemClock.now(), (80, 24));
    model.never_armed = how.read_only;
    let (socket, shared) = ctx.dirs.socket(site);
    let prepare = async {
        let started = connect::connect(ctx, site, Start::OnDemand).await;
        started.map(drop).map_err(|f| format!("{}. {}", f.error.message, f.error.help))
    };
    let prepare: Option<run::Prepare<'_>> = if shared { None } else { Some(Box::pin(prepare)) };
    open(ctx, site, how, model, run::Source::Engine { address: Address { socket, uid: ctx.uid, shared }, prepare })
}

/// What the pages of pipelines work with: files with this person's rights, the site as `pipeline lint` knows it.
fn desk(ctx: &Ctx) -> Desk {
    let (dirs, uid) = (ctx.dirs.clone(), ctx.uid);
    let catalog = move || {
        let site = dirs.load(uid).map_err(|e| e.in_short())?;
        catalog::whole_now(&dirs, &site, uid, SystemClock.now()).map_err(|e| e.in_short())
    };
    Desk {
        pipelines: ctx.dirs.pipelines(),
        drafts: ctx.dirs.state.join("drafts"),
        catalog: Box::new(catalog),
        have: crate::engine::plan::have,
        check: super::shell::shell_check,
        now: || SystemClock.now(),
        pid: std::process::id(),
    }
}

fn open(ctx: &Ctx, site: &Site, how: &How, mut model: Model, source: run::Source<'_>) -> Result<Left, Failure> {
    let env = |n: &str| std::env::var(n).ok();
    refuse_dumb(env("TERM").as_deref())?;
    let looks =
        Looks { ctx, site, ascii: Glyphs::of_locale(env) == Glyphs::ASCII, depth: look::depth(ctx, site), chosen: RefCell::new(None) };
    // What says that it is dark, or light, or has few colours, is believed; where nothing does, dark was assumed.
    let by_background = site.console_theme.is_none() && env("COLORFGBG").is_none() && Theme::suits(looks.depth, env) == "dark";
    let (look, complaint) = looks.now();
    if let Some(why) = complaint {
        model.complain(why);
    }
    // A saved state and a page of welcome have no place of their own.
    let own = matches!(source, run::Source::Engine { .. });
    let (place, views) = if own { remembered(ctx, &mut model) } else { (None, None) };
    model.sites = ctx.sites();
    model.themes = themes::names(&ctx.dirs, ctx.uid).unwrap_or_default();
    let on = |what| how.notify.contains(&what);
    let attention = Attention { bell: on(Notify::Bell), osc9: on(Notify::Osc9), title: on(Notify::Title) };
    let _log = console_log::start(&ctx.dirs.state, &ctx.global.log_level);
    console::term::guard::restore_on_panic();
    connect::block_on(async {
        let files = [ctx.dirs.config.clone(), ctx.dirs.themes(), ctx.dirs.keymaps()];
        let opening = Opening {
            model,
            look,
            attention,
            links: how.links,
            asks: !how.no_probe,
            by_background,
            place,
            views,
            source,
            reload: Reload::of(&files, Box::new(|| looks.files())),
            choose: Box::new(|name: &str| looks.choose(name)),
            site: Box::new(|name: &str| openable(ctx, name)),
            desk: Arc::new(desk(ctx)),
        };
        run::run(opening, &SystemClock).await.map_err(|e| {
            let help = "the console needs a terminal; without one: quarterdeck get, quarterdeck screen; a first start: quarterdeck demo";
            Failure::from(ApiError::bad(e.to_string(), help))
        })
    })
}

/// How the console looks: as the site says, or as `:theme` does, which holds until the console is left. Themes are read again when their files
/// change.
struct Looks<'a> {
    ctx: &'a Ctx,
    site: &'a Site,
    ascii: bool,
    depth: Depth,
    chosen: RefCell<Option<String>>,
}

impl Looks<'_> {
    fn named(&self, name: &str) -> Result<Look, String> {
        look::named(self.ctx, name, self.ascii, self.depth).map_err(|e| in_one_line(&e))
    }

    fn choose(&self, name: &str) -> Result<Look, String> {
        let look = self.named(name)?;
        *self.chosen.borrow_mut() = Some(name.to_owned());
        Ok(look)
    }

    /// There is always one; and what is wrong with the theme that should be.
    fn now(&self) -> (Look, Option<String>) {
        let suited = || look::suited(self.ctx, self.site, self.ascii, self.depth);
        match self.chosen.borrow().as_deref().map(|name| self.named(name)) {
            Some(Ok(look)) => (look, None),
            Some(Err(why)) => (suited().0, Some(why)),
            None => suited(),
        }
    }

    fn files(&self) -> Files {
        let look = match self.now() {
            (look, None) => Ok(look),
            (_, Some(why)) => Err(why),
        };
        let (keys, reports) = keyfile::load(&self.ctx.dirs.keymaps());
        Files { look, keys, reports }
    }
}

/// Takes a person's place and views of last time; where both are kept.
fn remembered(ctx: &Ctx, model: &mut Model) -> (Option<PathBuf>, Option<PathBuf>) {
    let (place, views) = (ctx.dirs.state.join("console.place"), ctx.dirs.state.join("console.views"));
    console::restore::take(&place, model);
    match console::views::read(&views) {
        Ok(kept) => model.views = kept,
        Err(why) => model.complain(why),
    }
    (Some(place), Some(views))
}

/// Looked at before the console is left: a site that cannot be opened ends nothing.
fn openable(ctx: &Ctx, name: &str) -> Result<(), String> {
    let there = ctx.elsewhere(name).map_err(|f| format!("{}. {}", f.error.message, f.error.help))?;
    there.dirs.load(there.uid).map(drop).map_err(|e| in_one_line(&e))
}

fn in_one_line(e: &ConfigError) -> String {
    format!("{}. {}", e.in_short(), e.help())
}

fn refuse_dumb(term: Option<&str>) -> Outcome {
    if !dumb(term) {
        return Ok(());
    }
    let why = "TERM is dumb: this terminal says that it can only print lines, and the console draws a screen";
    let help =
        "without a screen: quarterdeck get runs, quarterdeck screen home; where the terminal can more: TERM=xterm-256color quarterdeck";
    Err(ApiError::bad(why, help).into())
}

/// Whether a terminal says of itself that it can place no cursor.
pub fn dumb(term: Option<&str>) -> bool {
    term == Some("dumb")
}

/// Whether somebody has set anything up here: a site file, a pipeline, or an engine that answers.
fn configured(ctx: &Ctx, site: &Site) -> bool {
    let pipelines = || std::fs::read_dir(ctx.dirs.pipelines()).is_ok_and(|d| d.count() > 0);
    ctx.dirs.site_file().exists() || ctx.dirs.socket(site).0.exists() || pipelines()
}
