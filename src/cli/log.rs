//! `log RUN[/STAGE[/STEP]]`: the log of a run, stage by stage, safe for a terminal; followed while it grows.

use std::time::Duration;

use jiff::Timestamp;

use super::Ctx;
use super::args::Log as Args;
use super::connect::{self, Start};
use super::failure::{Failure, Outcome};
use super::out::{Out, Tone};
use super::times;
use crate::api::client::{ANSWER, Client, Trouble, encode};
use crate::api::types::{AttemptDoc, AttemptsDoc, LogLine, LogPage};
use crate::api::{ApiError, Code};
use crate::base::sanitise::{self, Colour};
use crate::base::suggest;
use crate::config::Site;
use crate::domain::run::{BadRunRef, RunRef};

/// The engine holds a question about a live log so long.
const HOLD: u64 = 20;
/// An engine that went away is looked for, or started again, so often.
const LIVES: u32 = 20;
/// Between two looks for a further step.
const NEXT: Duration = Duration::from_millis(200);

/// What is asked for.
struct Place {
    run: RunRef,
    stage: Option<String>,
    step: Option<String>,
}

struct Reader<'a> {
    ctx: &'a Ctx,
    site: &'a Site,
    out: &'a Out,
    client: Client,
    place: Place,
    follow: bool,
    grep: Option<String>,
    since: Option<Timestamp>,
    timestamps: bool,
    /// The attempt whose head was printed last.
    head: Option<u64>,
    /// The line goes on: its beginning stands on the screen.
    open: bool,
}

pub fn run(ctx: &Ctx, out: &mut Out, args: Args) -> Outcome {
    let place = parse(&args.place)?;
    let site = ctx.site(out)?;
    let since =
        match &args.since {
            None => None,
            Some(text) => Some(times::since(text, &out.zone, Timestamp::now()).ok_or_else(|| {
                Failure::bad(format!("`{text}` is no time"), "write 10m for ten minutes ago, 01:30, or a time in RFC 3339")
            })?),
        };
    connect::block_on(async {
        let client = connect::connect(ctx, &site, Start::OnDemand).await?;
        let mut reader = Reader {
            ctx,
            site: &site,
            out,
            client,
            place,
            follow: args.follow,
            grep: args.grep,
            since,
            timestamps: args.timestamps,
            head: None,
            open: false,
        };
        reader.read().await
    })
}

fn parse(text: &str) -> Result<Place, Failure> {
    let mut parts = text.splitn(3, '/');
    let run = parts.next().unwrap_or_default();
    let run = run.parse().map_err(|e: BadRunRef| Failure::bad(e.to_string(), "quarterdeck get runs lists them"))?;
    let name = |p: Option<&str>| p.filter(|p| !p.is_empty()).map(str::to_owned);
    Ok(Place { run, stage: name(parts.next()), step: name(parts.next()) })
}

impl Reader<'_> {
    async fn read(&mut self) -> Outcome {
        let mut seen = Vec::new();
        loop {
            let doc = self.attempts().await?;
            let wanted: Vec<&AttemptDoc> = doc.attempts.iter().filter(|a| self.wanted(a)).collect();
            if wanted.is_empty() && (doc.done || !doc.attempts.is_empty()) {
                self.known(&doc)?;
            }
            let next = wanted.iter().find(|a| !seen.contains(&a.fence)).map(|a| (*a).clone());
            match next {
                Some(a) => {
                    seen.push(a.fence);
                    self.attempt(&a).await?;
                }
                None if doc.done || !self.follow => {
                    if seen.is_empty() && !self.out.json {
                        self.out.note(&format!("nothing has run yet: quarterdeck why '{}'", self.place.run));
                    }
                    return Ok(());
                }
                None => tokio::time::sleep(NEXT).await,
            }
        }
    }

    /// Asks; a followed log outlives its engine, as the step does.
    async fn ask<T: serde::de::DeserializeOwned>(&mut self, path: &str) -> Result<T, Failure> {
        let mut lives = LIVES;
        loop {
            match self.client.get(path, ANSWER + Duration::from_secs(HOLD)).await {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Answer(e)) if e.code != Code::NoEngine || !self.follow => return Err(e.into()),
                Err(trouble) if lives == 0 || !self.follow => return Err(ApiError::from(trouble).into()),
                Err(_) => {
                    lives -= 1;
                    tokio::time::sleep(NEXT).await;
                    self.client = connect::connect(self.ctx, self.site, Start::OnDemand).await?;
                }
            }
        }
    }

    async fn attempts(&mut self) -> Result<AttemptsDoc, Failure> {
        let path = format!("/v1/attempts/{}/{}", encode(&self.place.run.pipeline), self.place.run.number);
        self.ask(&path).await
    }

    /// A step is named by itself, with its cell in brackets, or by the cell alone.
    fn wanted(&self, a: &AttemptDoc) -> bool {
        let stage = self.place.stage.as_ref().is_none_or(|s| *s == a.stage);
        let step = self.place.step.as_ref().is_none_or(|s| *s == a.step || *s == label(a) || !a.cell.is_empty() && *s == a.cell);
        stage && step
    }

    /// A place that the run does not have is an error, with the places that it has.
    fn known(&self, doc: &AttemptsDoc) -> Outcome {
        let Some(stage) = &self.place.stage else { return Ok(()) };
        let mut names: Vec<String> = doc.attempts.iter().filter(|a| a.stage == *stage).map(label).collect();
        let what = if names.is_empty() {
            names = doc.attempts.iter().map(|a| a.stage.clone()).collect();
            format!("stage `{stage}`")
        } else {
            format!("step `{}` in stage `{stage}`", self.place.step.as_deref().unwrap_or_default())
        };
        names.dedup();
        let wrong = self.place.step.as_ref().filter(|_| what.starts_with("step")).unwrap_or(stage);
        let help = match suggest::nearest(wrong, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => "none of its steps has run".into(),
            None => format!("it ran: {}", names.join(", ")),
        };
        Err(Failure::bad(format!("{} has run no {what}", self.place.run), help))
    }

    async fn attempt(&mut self, a: &AttemptDoc) -> Outcome {
        let base = format!("{}/{}/{}", encode(&self.place.run.pipeline), self.place.run.number, a.fence);
        let mut offset = 0;
        let mut first = true;
        loop {
            let path = match (&self.grep, self.since.filter(|_| first)) {
                (Some(re), None) => format!("/v1/grep/{base}?re={}&offset={offset}", encode(re)),
                (None, Some(at)) => format!("/v1/log/{base}?at=time&time={at}"),
                _ => format!("/v1/log/{base}?at=offset&offset={offset}&wait={}", if self.follow { HOLD } else { 0 }),
            };
            let page: LogPage = self.ask(&path).await?;
            if self.grep.is_some() && self.since.is_some() && first {
                // The search begins where the time does.
                offset = self.offset_of_time(&base).await?;
                first = false;
                continue;
            }
            first = false;
            let nothing_new = page.lines.is_empty() && page.next_offset == offset;
            for line in &page.lines {
                if self
                    .since
                    .is_none_or(|s| line.at.is_empty() || line.at.parse::<Timestamp>().is_ok_and(|t| t >= s || self.grep.is_none()))
                {
                    self.print(a, line);
                }
            }
            offset = page.next_offset;
            if page.complete || nothing_new && !self.follow {
                return Ok(());
            }
            if nothing_new && self.grep.is_some() {
                tokio::time::sleep(NEXT).await;
            }
        }
    }

    async fn offset_of_time(&mut self, base: &str) -> Result<u64, Failure> {
        let Some(at) = self.since else { return Ok(0) };
        let page: LogPage = self.ask(&format!("/v1/log/{base}?at=time&time={at}")).await?;
        Ok(page.lines.first().map_or(page.next_offset, |l| l.offset))
    }

    fn print(&mut self, a: &AttemptDoc, line: &LogLine) {
        if self.out.json {
            // The text as the step wrote it: JSON keeps a terminal safe, and a script wants it whole.
            self.out
                .value(&serde_json::json!({"stage": a.stage, "cell": a.cell, "step": a.step, "attempt": a.number, "offset": line.offset,
                "at": line.at, "text": line.text}));
            return;
        }
        if self.head != Some(a.fence) {
            self.head = Some(a.fence);
            let again = if a.number > 1 { format!(", attempt {}", a.number) } else { String::new() };
            let head = format!("== {} / {}{again} ==", sanitise::cell(&a.stage), sanitise::cell(&label(a)));
            self.out.line(self.out.paint(Tone::Bold, &head));
        }
        let colour = if self.out.colour { Colour::Keep } else { Colour::Drop };
        let mut text = sanitise::line(&line.text, colour);
        if self.timestamps && !self.open {
            let at = line.at.parse::<Timestamp>().ok().map(|t| t.to_zoned(self.out.zone.clone()).strftime("%H:%M:%S.%3f").to_string());
            text = format!("{} {text}", self.out.paint(Tone::Dim, &at.unwrap_or_else(|| " ".repeat(12))));
        }
        self.open = line.partial;
        if line.partial { self.out.raw(text.as_bytes()) } else { self.out.line(text) }
    }
}

fn label(a: &AttemptDoc) -> String {
    if a.cell.is_empty() { a.step.clone() } else { format!("{} ({})", a.step, a.cell) }
}
