//! `screen`: one frame without a terminal, and the console itself, which is the same with one.

use jiff::Timestamp;

use super::Ctx;
use super::args::{Format, Screen};
use super::connect::{self, Start};
use super::failure::{Failure, Outcome};
use super::look;
use super::out::Out;
use crate::api::client::{ANSWER, Trouble};
use crate::api::{ApiError, Client};
use crate::base::clock::{Clock, SystemClock};
use crate::base::suggest;
use crate::console::keyfile;
use crate::console::link::Address;
use crate::console::model::screen::Kind;
use crate::console::msg::{Effect, LinkMsg, Msg};
use crate::console::question::Question;
use crate::console::{self, Model, shot, svg, update};
use crate::theme::{Depth, Glyphs};

/// No screen asks for more rounds than this to be whole.
const ROUNDS: usize = 8;

/// Prints one frame.
pub fn frame(ctx: &Ctx, out: &mut Out, args: &Screen) -> Outcome {
    let kind = kind(&args.name, args.target.as_deref())?;
    let size = size(&args.size)?;
    let site = ctx.site(out)?;
    let now = match &args.now {
        Some(text) => text
            .parse::<Timestamp>()
            .map_err(|e| ApiError::bad(format!("--now {text} is no time: {e}"), "write it as 2026-04-07T03:07:00Z"))?,
        None => SystemClock.now(),
    };
    let env = |n: &str| std::env::var(n).ok();
    let depth = if args.format == Format::Ansi { Depth::of_environment(env).max(Depth::Ansi16) } else { Depth::True };
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
    let mut model = model(ctx, out, &site, now, size);
    if kind != Kind::Home {
        model.stack.push(console::model::Screen::of(kind));
    }
    connect::block_on(async {
        let mut client = connect::connect(ctx, &site, Start::OnDemand).await?;
        fill(&mut model, &mut client).await
    })?;
    model.now = now;
    let buf = shot::draw(&model, &look);
    match args.format {
        Format::Text => out.raw(shot::text(&buf).as_bytes()),
        Format::Ansi => out.raw(shot::ansi(&buf).as_bytes()),
        Format::Svg => {
            let title = format!("quarterdeck screen {}", args.name);
            out.raw(svg::svg(&buf, &look.theme, &title).as_bytes());
        }
    }
    Ok(())
}

/// The console on this terminal.
pub fn console(ctx: &Ctx, out: &mut Out, read_only: bool) -> Outcome {
    let site = ctx.site(out)?;
    let env = |n: &str| std::env::var(n).ok();
    let (look, complaint) = look::suited(ctx, &site, Glyphs::of_locale(env) == Glyphs::ASCII, Depth::of_environment(env));
    let mut model = model(ctx, out, &site, SystemClock.now(), (80, 24));
    model.never_armed = read_only;
    if let Some(why) = complaint {
        model.complain(why);
    }
    let (socket, shared) = ctx.dirs.socket(&site);
    connect::block_on(async {
        // A private engine is started on demand; a shared one that is absent is shown as that.
        if !shared {
            connect::connect(ctx, &site, Start::OnDemand).await?;
        }
        let address = Address { socket, uid: ctx.uid, shared };
        console::run::run(model, look, address, &SystemClock).await.map_err(|e| {
            Failure::from(ApiError::bad(e.to_string(), "the console needs a terminal; without one: quarterdeck get, quarterdeck screen"))
        })
    })
}

fn model(ctx: &Ctx, out: &Out, site: &crate::config::Site, now: Timestamp, size: (u16, u16)) -> Model {
    let name = ctx.global.site.clone().unwrap_or_else(|| "default".to_owned());
    let demo = ctx.dirs.state.join(crate::demo::estate::MARK).exists();
    let _ = site;
    let site = console::Site { name: if demo { "demo".to_owned() } else { name }, demo, zone: out.zone.clone() };
    let (keys, key_reports) = keyfile::load(&ctx.dirs.keymaps());
    Model { key_reports, ..Model::new(site, keys, now, size) }
}

fn kind(name: &str, target: Option<&str>) -> Result<Kind, Failure> {
    if name == "run" {
        let Some(target) = target else { return Err(ApiError::bad("`screen run` needs a run", "quarterdeck screen run NAME#N").into()) };
        let run = target.parse().map_err(|e: crate::domain::run::BadRunRef| ApiError::bad(e.to_string(), ""))?;
        return Ok(Kind::Run(run));
    }
    if let Some((_, kind)) = Kind::NAMED.into_iter().find(|(n, _)| *n == name) {
        return Ok(kind);
    }
    let names: Vec<&str> = Kind::NAMED.iter().map(|(n, _)| *n).chain(["run"]).collect();
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

/// Asks until the screen has all that it needs.
async fn fill(model: &mut Model, client: &mut Client) -> Result<(), Failure> {
    let mut effects = update(model, Msg::Link(LinkMsg::Up));
    for _ in 0..ROUNDS {
        let questions: Vec<Question> = effects.drain(..).filter_map(|e| if let Effect::Ask(q) = e { Some(q) } else { None }).collect();
        if questions.is_empty() {
            break;
        }
        for question in questions {
            let raw: Result<Box<serde_json::value::RawValue>, Trouble> = client.get(&question.path(), ANSWER).await;
            let result = match raw {
                Ok(raw) => question.read(raw.get().as_bytes()),
                Err(Trouble::Lost(why)) => return Err(ApiError::from(Trouble::Lost(why)).into()),
                Err(trouble) => Err(ApiError::from(trouble)),
            };
            effects.extend(update(model, Msg::Answer { question, result }));
        }
    }
    Ok(())
}
