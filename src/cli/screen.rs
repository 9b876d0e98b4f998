//! `screen`: one frame without a terminal, and the console itself, which is the same with one.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::Ctx;
use super::args::{Color, Format, Notify, Screen};
use super::connect::{self, Start};
use super::console_log;
use super::failure::{Failure, Outcome};
use super::look;
use super::out::Out;
use super::save::{self, Line, Source};
use crate::api::ApiError;
use crate::base::clock::{Clock, SystemClock};
use crate::base::suggest;
use crate::console::edge::link::Address;
use crate::console::edit::Desk;
use crate::console::keyfile;
use crate::console::model::screen::{Kind, Pair};
use crate::console::run::{Left, Opening};
use crate::console::term::attention::Attention;
use crate::console::themes;
use crate::console::watch::{Files, Reload};
use crate::console::{self, Model, shot, svg};
use crate::engine::catalog;
use crate::theme::{Depth, Glyphs};

/// Prints one frame.
pub fn frame(ctx: &Ctx, out: &mut Out, args: &Screen) -> Outcome {
    let kind = kind(&args.name, args.target.as_deref(), args.other.as_deref())?;
    let size = size(&args.size)?;
    let now = match &args.now {
        Some(text) => Some(
            text.parse::<Timestamp>()
                .map_err(|_| ApiError::bad(format!("--now {text} is no time in RFC 3339"), "write it as 2026-04-07T03:07:00Z"))?,
        ),
        None => None,
    };
    // A saved state needs no site; what is configured here says how it looks all the same.
    let site = if args.from.is_some() { ctx.site(out).unwrap_or_default() } else { ctx.site(out)? };
    // What is printed for a terminal has colours unless they are forbidden in so many words.
    let depth = match (args.format, ctx.global.color) {
        (Format::Ansi, Color::Never) => Depth::None,
        (Format::Ansi, _) => look::depth(ctx, &site).max(Depth::Ansi16),
        _ => Depth::True,
    };
    let look = match &args.theme {
        Some(theme) => look::named(ctx, theme, args.ascii, depth)?,
        None => {
            let (look, complaint) = look::suited(ctx, &site, args.ascii, depth);
            if let Some(why) = complaint {
                out.note(&why);
            }
            look
        }
    };
    let (mut model, saved) = match &args.from {
        Some(file) => {
            let saved = save::read(file)?;
            (saved.model(keyfile::load(&ctx.dirs.keymaps()).0, size), Some(saved))
        }
        None => (look::model(ctx, out, now.unwrap_or_else(|| SystemClock.now()), size), None),
    };
    if kind != Kind::Home {
        model.stack.push(console::model::Screen::of(kind));
    }
    connect::block_on(async {
        let mut source = match saved {
            Some(saved) => Source::File(saved),
            None => Source::Engine(Line::open(ctx, &site).await?),
        };
        save::fill(&mut model, &mut source).await
    })?;
    // What was named and is not there is no frame: `why` and `log` say the same of it, with the same exit code.
    if let Some(e) = model.screen().about().and_then(|q| model.known(&q)).filter(|k| k.answer.is_none()).and_then(|k| k.error.clone()) {
        return Err(e.into());
    }
    if let Some(why) = console::view::log::no_such_place(&model) {
        return Err(ApiError::bad(why, "").into());
    }
    model.now = now.unwrap_or(model.now);
    let buf = shot::draw(&model, &look);
    let (format, text) = match args.format {
        Format::Text => ("text", shot::text(&buf)),
        Format::Ansi => ("ansi", shot::ansi(&buf)),
        Format::Svg => ("svg", svg::svg(&buf, &look.theme, &format!("quarterdeck screen {}", args.name))),
    };
    if out.json {
        out.value(&json!({"screen": args.name, "format": format, "columns": size.0, "rows": size.1, "text": text}));
    } else {
        out.raw(text.as_bytes());
    }
    Ok(())
}

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
        return open(ctx, &ctx.site(out).unwrap_or_default(), how, model, console::run::Source::File(saved)).map(drop);
    }
    let site = ctx.site(out)?;
    if !configured(ctx, &site) {
        let mut model = look::model(ctx, out, SystemClock.now(), size);
        model.welcome = true;
        return open(ctx, &site, how, model, console::run::Source::Nobody).map(drop);
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
pub fn on_site(ctx: &Ctx, out: &Out, site: &crate::config::Site, how: &How) -> Result<Left, Failure> {
    let mut model = look::model(ctx, out, SystemClock.now(), (80, 24));
    model.never_armed = how.read_only;
    let (socket, shared) = ctx.dirs.socket(site);
    let prepare = async {
        let started = connect::connect(ctx, site, Start::OnDemand).await;
        started.map(drop).map_err(|f| format!("{}. {}", f.error.message, f.error.help))
    };
    let prepare: Option<console::run::Prepare<'_>> = if shared { None } else { Some(Box::pin(prepare)) };
    open(ctx, site, how, model, console::run::Source::Engine { address: Address { socket, uid: ctx.uid, shared }, prepare })
}

/// What the pages of pipelines work with: files with this person's rights, the site as `pipeline lint` knows it.
fn desk(ctx: &Ctx) -> Desk {
    let (dirs, uid) = (ctx.dirs.clone(), ctx.uid);
    let catalog = move || {
        let site = dirs.load(uid).map_err(|e| e.in_short())?;
        let catalog = catalog::of_site_now(&dirs, &site, uid, SystemClock.now()).map_err(|e| e.in_short())?;
        Ok(catalog::with_stages(catalog, &dirs, uid))
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

fn open(ctx: &Ctx, site: &crate::config::Site, how: &How, mut model: Model, source: console::run::Source<'_>) -> Result<Left, Failure> {
    let env = |n: &str| std::env::var(n).ok();
    if dumb(env("TERM").as_deref()) {
        let why = "TERM is dumb: this terminal says that it can only print lines, and the console draws a screen";
        let help =
            "without a screen: quarterdeck get runs, quarterdeck screen home; where the terminal can more: TERM=xterm-256color quarterdeck";
        return Err(ApiError::bad(why, help).into());
    }
    let ascii = Glyphs::of_locale(env) == Glyphs::ASCII;
    let depth = look::depth(ctx, site);
    // What says that it is dark, or light, or has few colours, is believed; where nothing does, dark was assumed.
    let by_background = site.console_theme.is_none() && env("COLORFGBG").is_none() && crate::theme::Theme::suits(depth, env) == "dark";
    // `:theme` holds until the console is left, and is read again like the site's own when its file changes.
    let chosen = RefCell::new(None::<String>);
    let named = |name: &str| look::named(ctx, name, ascii, depth).map_err(|e| format!("{}. {}", e.in_short(), e.help()));
    let suited = || match chosen.borrow().as_deref().map(&named) {
        Some(Ok(look)) => (look, None),
        Some(Err(why)) => (look::suited(ctx, site, ascii, depth).0, Some(why)),
        None => look::suited(ctx, site, ascii, depth),
    };
    let (look, complaint) = suited();
    if let Some(why) = complaint {
        model.complain(why);
    }
    // A saved state and a page of welcome have no place of their own.
    let place = matches!(source, console::run::Source::Engine { .. }).then(|| ctx.dirs.state.join("console.place"));
    if let Some(path) = &place {
        console::restore::take(path, &mut model);
    }
    let views = place.as_ref().map(|_| ctx.dirs.state.join("console.views"));
    match views.as_deref().map(console::views::read) {
        Some(Ok(views)) => model.views = views,
        Some(Err(why)) => model.complain(why),
        None => {}
    }
    model.sites = ctx.sites();
    let on = |what| how.notify.contains(&what);
    model.themes = themes::names(&ctx.dirs, ctx.uid).unwrap_or_default();
    let attention = Attention { bell: on(Notify::Bell), osc9: on(Notify::Osc9), title: on(Notify::Title) };
    let _log = console_log::start(&ctx.dirs.state, &ctx.global.log_level);
    console::term::guard::restore_on_panic();
    connect::block_on(async {
        let read = || {
            let look = match suited() {
                (look, None) => Ok(look),
                (_, Some(why)) => Err(why),
            };
            let (keys, reports) = keyfile::load(&ctx.dirs.keymaps());
            Files { look, keys, reports }
        };
        let choose = |name: &str| {
            let look = named(name)?;
            *chosen.borrow_mut() = Some(name.to_owned());
            Ok(look)
        };
        let reload = Reload::of(&[ctx.dirs.config.clone(), ctx.dirs.themes(), ctx.dirs.keymaps()], Box::new(read));
        let (choose, desk) = (Box::new(choose), Arc::new(desk(ctx)));
        // Looked at before the console is left: a site that cannot be opened ends nothing.
        let site = Box::new(|name: &str| {
            let there = ctx.elsewhere(name).map_err(|f| format!("{}. {}", f.error.message, f.error.help))?;
            there.dirs.load(there.uid).map(drop).map_err(|e| format!("{}. {}", e.in_short(), e.help()))
        });
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
            reload,
            choose,
            site,
            desk,
        };
        console::run::run(opening, &SystemClock).await.map_err(|e| {
            let help = "the console needs a terminal; without one: quarterdeck get, quarterdeck screen; a first start: quarterdeck demo";
            Failure::from(ApiError::bad(e.to_string(), help))
        })
    })
}

/// Whether a terminal says of itself that it can place no cursor.
pub fn dumb(term: Option<&str>) -> bool {
    term == Some("dumb")
}

/// Whether somebody has set anything up here: a site file, a pipeline, or an engine that answers.
fn configured(ctx: &Ctx, site: &crate::config::Site) -> bool {
    let pipelines = || std::fs::read_dir(ctx.dirs.pipelines()).is_ok_and(|d| d.count() > 0);
    ctx.dirs.site_file().exists() || ctx.dirs.socket(site).0.exists() || pipelines()
}

/// The words that `screen` knows.
pub fn names() -> Vec<&'static str> {
    Kind::NAMED.iter().map(|(n, _)| *n).chain(["diff", "run", "promotion", "log"]).collect()
}

fn kind(name: &str, target: Option<&str>, other: Option<&str>) -> Result<Kind, Failure> {
    if name == "diff" {
        let (Some(a), Some(b)) = (target, other) else {
            let help = "quarterdeck screen diff SET@stable SET@latest; `screen content` shows what there is";
            return Err(ApiError::bad("`screen diff` needs two contents", help).into());
        };
        return Ok(Kind::Diff(Pair::of(a, b)));
    }
    if let Some(extra) = other {
        return Err(
            ApiError::bad(format!("`screen {name}` takes no second target, and {extra} is one"), "quarterdeck screen --help").into()
        );
    }
    if name == "log" {
        let Some(target) = target else {
            return Err(ApiError::bad("`screen log` needs a run", "quarterdeck screen log NAME#N[/STAGE[/STEP]]").into());
        };
        return console::model::screen::Kind::log_of(target).map_err(|e| ApiError::bad(e, "quarterdeck get runs lists them").into());
    }
    if name == "run" {
        let Some(target) = target else { return Err(ApiError::bad("`screen run` needs a run", "quarterdeck screen run NAME#N").into()) };
        let run = target.parse().map_err(|e: crate::domain::run::BadRunRef| ApiError::bad(e.to_string(), e.help()))?;
        return Ok(Kind::Run(run));
    }
    if name == "promotion" {
        let Some(target) = target.filter(|t| crate::domain::promotion::is_name(t)) else {
            return Err(ApiError::bad(
                "`screen promotion` needs a promotion",
                "quarterdeck screen promotion PR-2026Q2-el9; get promotions lists them",
            )
            .into());
        };
        return Ok(Kind::Promotion(target.to_owned()));
    }
    if let Some((_, kind)) = Kind::NAMED.into_iter().find(|(n, _)| *n == name) {
        if let Some(extra) = target {
            let message = format!("`screen {name}` shows the whole, and takes no target such as {extra}");
            return Err(ApiError::bad(message, "run, log, promotion and diff take one: quarterdeck screen --help").into());
        }
        return Ok(kind);
    }
    let names = names();
    let near = suggest::nearest(name, names.iter().copied()).map(|n| format!("did you mean `{n}`? ")).unwrap_or_default();
    Err(ApiError::bad(format!("no screen `{name}`"), format!("{near}There are: {}", names.join(" "))).into())
}

fn size(text: &str) -> Result<(u16, u16), Failure> {
    let parsed = text.split_once('x').and_then(|(w, h)| Some((w.parse::<u16>().ok()?, h.parse::<u16>().ok()?)));
    match parsed {
        Some((w, h)) if (1..=1_000).contains(&w) && (1..=1_000).contains(&h) => Ok((w, h)),
        _ => Err(ApiError::bad(format!("--size {text} is no size"), "write columns x rows, each 1 to 1000: 80x24").into()),
    }
}
