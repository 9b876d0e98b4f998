//! `screen`: one frame of the console, without a terminal.

use jiff::Timestamp;
use serde_json::json;

use super::Ctx;
use super::args::{Color, Format, Screen};
use super::connect;
use super::failure::{Failure, Outcome};
use super::look;
use super::out::Out;
use super::save::{self, Line, Source};
use crate::api::ApiError;
use crate::base::clock::{Clock, SystemClock};
use crate::base::suggest;
use crate::console::keyfile;
use crate::console::model::screen::{Kind, Pair};
use crate::console::{self, shot, svg};
use crate::theme::Depth;

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
