//! `save`: all that the console can show, asked of the engine once and kept in a file; and reading such a file.

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::json;
use serde_json::value::RawValue;

use super::connect::{self, Start};
use super::failure::{Failure, Outcome};
use super::look;
use super::out::Out;
use super::{Ctx, dash};
use crate::api::client::{ANSWER, Trouble};
use crate::api::{ApiError, Client};
use crate::base::clock::{Clock, SystemClock};
use crate::base::count;
use crate::config::Site;
use crate::console::log::{Got, Lane, Order, Told};
use crate::console::model::Screen;
use crate::console::model::screen::{Kind, PAGE};
use crate::console::msg::{Effect, LinkMsg, Msg};
use crate::console::question::{Answer, Question};
use crate::console::saved::{MOST_BYTES, Saved};
use crate::console::update::content;
use crate::console::{Model, update};

/// No screen asks for more rounds than this to be whole.
const ROUNDS: usize = 8;
/// The newest runs, and promotions, whose own pages are saved too.
const RUNS: usize = 100;

/// A connection that is made anew where the engine dies under a question: to look changes nothing.
pub struct Line<'c> {
    client: Client,
    ctx: &'c Ctx,
    site: &'c Site,
}

impl<'c> Line<'c> {
    pub async fn open(ctx: &'c Ctx, site: &'c Site) -> Result<Self, Failure> {
        Ok(Self { client: connect::connect(ctx, site, Start::OnDemand).await?, ctx, site })
    }

    async fn ask(&mut self, path: &str) -> Result<Result<Box<RawValue>, ApiError>, Failure> {
        let mut left = connect::AGAIN;
        loop {
            match self.client.get(path, ANSWER).await {
                Ok(raw) => return Ok(Ok(raw)),
                Err(Trouble::Lost(_)) if left > 0 => left -= 1,
                Err(trouble @ (Trouble::Lost(_) | Trouble::Silent(_))) => return Err(ApiError::from(trouble).into()),
                Err(Trouble::Answer(e)) => return Ok(Err(e)),
            }
            self.client = connect::connect(self.ctx, self.site, Start::OnDemand).await?;
        }
    }
}

/// Who answers a screen's questions.
pub enum Source<'c> {
    Engine(Line<'c>),
    File(Saved),
    /// The engine, and everything is kept.
    Record(Line<'c>, Saved),
}

impl Source<'_> {
    /// A page of a log; a file holds none.
    async fn page(&mut self, order: &Order) -> Option<Got> {
        match self {
            Self::File(_) => None,
            Self::Engine(line) | Self::Record(line, _) => crate::console::edge::log::once(&mut line.client, order).await,
        }
    }

    /// The outer error ends the command: there is nobody to ask any more.
    async fn answer(&mut self, question: &Question) -> Result<Result<Answer, ApiError>, Failure> {
        let line = match self {
            Self::File(saved) => return Ok(saved.answer(question)),
            Self::Record(_, saved) if saved.has(question) => return Ok(saved.answer(question)),
            Self::Engine(line) | Self::Record(line, _) => line,
        };
        match line.ask(&question.path()).await? {
            Ok(raw) => {
                let answer = question.read(raw.get().as_bytes());
                if let (Self::Record(_, saved), Ok(_)) = (self, &answer) {
                    saved.keep(question, raw);
                }
                Ok(answer)
            }
            Err(e) => Ok(Err(e)),
        }
    }
}

/// Asks until the screen has all that it needs.
pub async fn fill(model: &mut Model, source: &mut Source<'_>) -> Result<(), Failure> {
    let mut effects = match source {
        Source::File(saved) => update(model, Msg::Tick(saved.saved_at)),
        Source::Engine(_) | Source::Record(..) => update(model, Msg::Link(LinkMsg::Up)),
    };
    for _ in 0..ROUNDS {
        let (mut questions, mut pages): (Vec<Question>, Vec<Order>) = Default::default();
        for effect in effects.drain(..) {
            match effect {
                Effect::Ask(q) => questions.push(q),
                // Nobody waits here for what a step has yet to write.
                Effect::Log(order) if order.lane == Lane::Page => pages.push(order),
                _ => {}
            }
        }
        if questions.is_empty() && pages.is_empty() {
            break;
        }
        for order in pages {
            if let Some(got) = source.page(&order).await {
                effects.extend(update(model, Msg::Log(Box::new(Told { lane: order.lane, id: order.id, got }))));
            }
        }
        for question in questions {
            let result = source.answer(&question).await?;
            effects.extend(update(model, Msg::Answer { question, result }));
        }
    }
    Ok(())
}

/// Reads a file of `save`, or standard input.
pub fn read(path: &Path) -> Result<Saved, Failure> {
    let fail = |e: &dyn std::fmt::Display| Failure::bad(format!("{}: {e}", path.display()), "write one with: quarterdeck save FILE");
    let bytes = if dash::is(path) {
        dash::read(MOST_BYTES).map_err(|e| fail(&e))?
    } else {
        let file = std::fs::File::open(path).map_err(|e| fail(&e))?;
        if !file.metadata().is_ok_and(|m| m.is_file()) {
            return Err(fail(&"it is no file"));
        }
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|e| fail(&e))?;
        bytes
    };
    if bytes.len() as u64 > MOST_BYTES {
        return Err(fail(&format!("it is larger than {} MiB, and no saved state is", MOST_BYTES >> 20)));
    }
    Saved::read(&bytes).map_err(|e| fail(&e))
}

pub fn run(ctx: &Ctx, out: &mut Out, path: &Path) -> Outcome {
    let site = ctx.site(out)?;
    // Before the engine is asked for anything: a name that is taken is the most likely mistake.
    if dash::is(path) {
        dash::may_write(out)?;
    } else if path.symlink_metadata().is_ok() {
        return Err(taken(path));
    }
    let now = SystemClock.now();
    let mut model = look::model(ctx, out, now, (140, 40));
    let saved = connect::block_on(async {
        let line = Line::open(ctx, &site).await?;
        let mut source = Source::Record(line, Saved::new(&model.site, &site.time_zone, now));
        for (_, kind) in Kind::NAMED {
            model.stack = vec![Screen::of(kind)];
            fill(&mut model, &mut source).await?;
        }
        let rows = model.rows(&Question::Rows { what: "runs", limit: PAGE });
        let runs: Vec<_> = rows.into_iter().flat_map(|r| &r.rows).filter_map(|r| r.get("run")?.as_str()?.parse().ok()).take(RUNS).collect();
        for run in runs {
            model.stack = vec![Screen::of(Kind::Run(run))];
            fill(&mut model, &mut source).await?;
        }
        let rows = model.rows(&Question::Rows { what: "promotions", limit: PAGE });
        let promotions: Vec<_> =
            rows.into_iter().flat_map(|r| &r.rows).filter_map(|r| Some(r.get("promotion")?.as_str()?.to_owned())).collect();
        for id in promotions.into_iter().take(RUNS) {
            model.stack = vec![Screen::of(Kind::Promotion(id))];
            fill(&mut model, &mut source).await?;
        }
        // The last runs of each pipeline, stage by stage.
        let rows = model.rows(&Question::Rows { what: "pipelines", limit: PAGE });
        let pipelines: Vec<String> =
            rows.into_iter().flat_map(|r| &r.rows).filter_map(|r| Some(r.get("pipeline")?.as_str()?.to_owned())).take(RUNS).collect();
        for pipeline in pipelines {
            let mut screen = Screen::of(Kind::Jobs);
            screen.lists.iter_mut().take(1).for_each(|l| l.selected = Some(pipeline.clone()));
            model.stack = vec![screen];
            fill(&mut model, &mut source).await?;
        }
        // What stands beside each repository, and the comparison that content begins with.
        let rows = model.rows(&Question::Rows { what: "repos", limit: PAGE });
        let repos: Vec<String> =
            rows.into_iter().flat_map(|r| &r.rows).filter_map(|r| Some(r.get("repo")?.as_str()?.to_owned())).take(RUNS).collect();
        for repo in repos {
            let mut screen = Screen::of(Kind::Mirrors);
            screen.lists.iter_mut().for_each(|l| l.selected = Some(repo.clone()));
            model.stack = vec![screen];
            fill(&mut model, &mut source).await?;
        }
        model.stack = vec![Screen::of(Kind::Content)];
        fill(&mut model, &mut source).await?;
        if let Ok(pair) = content::compared(&model) {
            model.stack = vec![Screen::of(Kind::Diff(pair))];
            fill(&mut model, &mut source).await?;
        }
        match source {
            Source::Record(_, saved) | Source::File(saved) => Ok(saved),
            Source::Engine(_) => Err(ApiError::failed("nothing was recorded", "").into()),
        }
    })?;
    let bytes = saved.write().map_err(|e| ApiError::failed(e.to_string(), ""))?;
    if dash::is(path) {
        out.raw(&bytes);
        return Ok(());
    }
    write(path, &bytes)?;
    if out.json {
        out.value(&json!({"file": path, "saved_at": saved.saved_at, "answers": saved.count(), "size_bytes": bytes.len()}));
    } else {
        let size = crate::base::size::short(bytes.len() as u64);
        out.advice(format!(
            "{}: {} of the engine, {size}; open it: quarterdeck --from {0}",
            path.display(),
            count::s(saved.count() as u64, "answer")
        ));
    }
    Ok(())
}

fn taken(path: &Path) -> Failure {
    ApiError::refused(format!("{} exists, and nothing was written", path.display()), "save under another name").into()
}

/// For its owner alone: what runs say is nobody else's business. A half-written file does not stay.
fn write(path: &Path, bytes: &[u8]) -> Outcome {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = match file {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => return Err(taken(path)),
        Err(e) => return Err(Failure::bad(format!("{}: {e}", path.display()), "is the directory there, and yours?")),
        Ok(file) => file,
    };
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| {
        let _ = std::fs::remove_file(path);
        ApiError::failed(format!("{}: {e}", path.display()), "nothing was saved; save it to another disk").into()
    })
}
