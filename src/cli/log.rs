//! `log RUN[/STAGE[/STEP]]`: the log of a run, stage by stage; followed while it grows, searched by the engine.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::Ctx;
use super::args::{Attempt, Log as Args};
use super::connect::{self, Start};
use super::failure::{Failure, Outcome};
use super::log_print::{Printer, label};
use super::out::Out;
use crate::api::client::{ANSWER, Client, Trouble, encode};
use crate::api::log::{AttemptDoc, AttemptsDoc, Elsewhere, FirstErrorDoc, Found, LogPage};
use crate::api::{ApiError, Code};
use crate::base::suggest;
use crate::config::Site;
use crate::domain::run::{BadRunRef, RunRef};

/// The engine holds a question about a live log so long.
const HOLD: u64 = 20;
/// An engine that went away is looked for, or started again, so often: more patiently where the log is followed.
const LIVES: u32 = 20;
const FEW_LIVES: u32 = 2;
/// Between two looks for a further step.
const NEXT: Duration = Duration::from_millis(200);
/// Lines shown from a little before the first error on.
const AROUND: usize = 12;

struct Reader<'a> {
    ctx: &'a Ctx,
    site: &'a Site,
    client: Client,
    run: RunRef,
    /// `STAGE` or `STAGE/STEP`, whose names may hold a `/` themselves.
    place: Option<String>,
    args: &'a Args,
    since: Option<Timestamp>,
    print: Printer<'a>,
    /// A log that was asked for is not there any more.
    gone: bool,
}

pub fn run(ctx: &Ctx, out: &mut Out, args: Args) -> Outcome {
    let (run, place) = match args.place.split_once('/') {
        Some((run, place)) => (run, Some(place.trim_end_matches('/').to_owned()).filter(|p| !p.is_empty())),
        None => (args.place.as_str(), None),
    };
    let run: RunRef = run.parse().map_err(|e: BadRunRef| Failure::bad(e.to_string(), e.help()))?;
    let site = ctx.site_to_look(out)?;
    let since =
        match &args.since {
            None => None,
            Some(text) => Some(crate::base::since::since(text, &out.zone, Timestamp::now()).ok_or_else(|| {
                Failure::bad(format!("`{text}` is no time"), "write 10m for ten minutes ago, 01:30, or a time in RFC 3339")
            })?),
        };
    connect::block_on(async {
        let client = connect::connect(ctx, &site, Start::OnDemand).await?;
        let print = Printer::new(out, &run, args.timestamps, args.follow);
        let mut reader = Reader { ctx, site: &site, client, run, place, args: &args, since, print, gone: false };
        reader.read().await
    })
}

impl Reader<'_> {
    async fn read(&mut self) -> Outcome {
        let (mut seen, mut told) = (Vec::new(), Vec::new());
        loop {
            let doc = self.attempts().await?;
            self.elsewhere(&doc, &mut told);
            let wanted: Vec<&AttemptDoc> = doc.attempts.iter().filter(|a| self.wanted(a, &doc)).collect();
            if wanted.is_empty() && told.is_empty() && (doc.done || !doc.attempts.is_empty()) {
                self.known(&doc)?;
            }
            let next = wanted.iter().find(|a| !seen.contains(&a.fence)).map(|a| (*a).clone());
            match next {
                Some(a) => {
                    seen.push(a.fence);
                    self.attempt(&a).await?;
                }
                None if doc.done || !self.args.follow => {
                    self.print.close();
                    self.nothing(&doc, seen.is_empty() && told.is_empty());
                    return if self.gone { Err(Failure::told(1)) } else { Ok(()) };
                }
                None => tokio::time::sleep(NEXT).await,
            }
        }
    }

    /// Says once of each stage that is a run of another pipeline where its log is.
    fn elsewhere(&mut self, doc: &AttemptsDoc, told: &mut Vec<String>) {
        let place = self.place.clone();
        let here = |e: &Elsewhere| place.as_deref().is_none_or(|p| p == e.stage || p.strip_prefix(&format!("{}/", e.stage)).is_some());
        for e in doc.elsewhere.iter().filter(|e| here(e)) {
            if !told.contains(&e.child) {
                told.push(e.child.clone());
                self.print.elsewhere(e);
            }
        }
    }

    /// Says why nothing was printed.
    fn nothing(&self, doc: &AttemptsDoc, none: bool) {
        let run = &self.run;
        if self.args.first_error && !self.print.printed() {
            let is_red = |verdict: &Option<String>| matches!(verdict.as_deref(), Some("failure" | "lost"));
            self.print.note(&if doc.attempts.iter().any(|a| is_red(&a.verdict)) {
                format!("no line of its logs looks like an error: quarterdeck log '{run}'")
            } else if let Some(e) = doc.elsewhere.iter().find(|e| is_red(&e.verdict)) {
                format!(
                    "no step of {run} itself failed; its stage `{}` is a run of its own, which did: quarterdeck log '{}' --first-error",
                    e.stage, e.child
                )
            } else {
                format!("no step of {run} failed")
            });
        } else if none && !self.print.json() {
            let never = if doc.done { "none of its steps has run" } else { "nothing has run yet" };
            self.print.note(&format!("{never}: quarterdeck why '{run}'"));
        }
    }

    /// Asks; a followed log outlives its engine, as the step does.
    async fn ask<T: serde::de::DeserializeOwned>(&mut self, path: &str) -> Result<T, Failure> {
        let mut lives = self.lives();
        loop {
            match self.client.get(path, ANSWER + Duration::from_secs(HOLD)).await {
                Ok(answer) => return Ok(answer),
                Err(trouble) => self.survive(trouble, &mut lives).await?,
            }
        }
    }

    fn lives(&self) -> u32 {
        if self.args.follow { LIVES } else { FEW_LIVES }
    }

    /// Connects again, where the engine went away: to read is to change nothing.
    async fn survive(&mut self, trouble: Trouble, lives: &mut u32) -> Outcome {
        match trouble {
            Trouble::Answer(e) if e.code != Code::NoEngine => return Err(e.into()),
            trouble @ Trouble::Silent(_) => return Err(ApiError::from(trouble).into()),
            trouble if *lives == 0 => return Err(ApiError::from(trouble).into()),
            _ => {}
        }
        *lives -= 1;
        tokio::time::sleep(NEXT).await;
        self.client = connect::connect(self.ctx, self.site, Start::OnDemand).await?;
        Ok(())
    }

    async fn attempts(&mut self) -> Result<AttemptsDoc, Failure> {
        let errors = if self.args.first_error { "?first_error=1" } else { "" };
        let path = format!("/v1/attempts/{}/{}{errors}", encode(&self.run.pipeline), self.run.number);
        self.ask(&path).await
    }

    /// Whether an attempt is one of the place that is asked for.
    fn here(&self, a: &AttemptDoc) -> bool {
        self.place.as_deref().is_none_or(|p| a.is_at(p))
    }

    fn wanted(&self, a: &AttemptDoc, doc: &AttemptsDoc) -> bool {
        let attempt = match self.args.attempt {
            None => true,
            Some(Attempt::Number(n)) => a.number == n,
            Some(Attempt::Last) => {
                let same = |b: &&AttemptDoc| (&b.stage, &b.cell, &b.step) == (&a.stage, &a.cell, &a.step);
                doc.attempts.iter().filter(same).all(|b| b.fence <= a.fence)
            }
        };
        attempt && self.here(a)
    }

    /// A place that the run does not have is an error, with the places that it has.
    fn known(&self, doc: &AttemptsDoc) -> Outcome {
        if let Some(Attempt::Number(n)) = self.args.attempt
            && (doc.done || !self.args.follow)
            && let Some(most) = doc.attempts.iter().filter(|a| self.here(a)).map(|a| a.number).max()
        {
            let place = self.place.as_ref().map_or_else(String::new, |p| format!("/{p}"));
            let help = if most == 1 { "there is one: --attempt 1".to_owned() } else { format!("there are 1 to {most}") };
            return Err(Failure::bad(format!("{}{place} has no attempt {n}", self.run), help));
        }
        let Some(place) = &self.place else { return Ok(()) };
        let stage = doc.attempts.iter().map(|a| a.stage.as_str()).find(|s| *s == place || place.starts_with(&format!("{s}/")));
        let (what, wrong, mut names): (String, &str, Vec<String>) = match stage {
            Some(stage) if stage == place => return Ok(()),
            Some(stage) => {
                let step = &place[stage.len() + 1..];
                let all = doc.attempts.iter().filter(|a| a.stage == stage);
                if all.clone().any(|a| a.step == step || label(a) == step || a.cell == step) {
                    // Only the attempt is not there.
                    return Ok(());
                }
                (format!("step `{step}` in stage `{stage}`"), step, all.map(label).collect())
            }
            None => {
                let stage = place.split('/').next().unwrap_or(place);
                (format!("stage `{stage}`"), stage, doc.attempts.iter().map(|a| a.stage.clone()).collect())
            }
        };
        let mut seen = BTreeSet::new();
        names.retain(|n| seen.insert(n.clone()));
        // A step of a matrix is mostly written without its cell.
        let bare = doc.attempts.iter().filter(|a| stage == Some(a.stage.as_str())).map(|a| a.step.as_str());
        let help = match suggest::nearest(wrong, names.iter().map(String::as_str).chain(bare)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => "none of its steps has run".into(),
            None => format!("it ran: {}", names.join(", ")),
        };
        Err(Failure::bad(format!("{} has run no {what}", self.run), help))
    }

    async fn attempt(&mut self, a: &AttemptDoc) -> Outcome {
        let base = format!("{}/{}/{}", encode(&self.run.pipeline), self.run.number, a.fence);
        if self.args.first_error {
            return match &a.first_error {
                Some(e) => self.first_error(a, &base, e).await,
                None => Ok(()),
            };
        }
        match &self.args.grep {
            Some(re) if !self.args.hex => self.search(a, &base, re).await,
            _ => self.pages(a, &base).await,
        }
    }

    async fn first_error(&mut self, a: &AttemptDoc, base: &str, e: &FirstErrorDoc) -> Outcome {
        let page: Option<LogPage> = if self.print.json() {
            None
        } else {
            Some(self.ask(&format!("/v1/log/{base}?at=offset&offset={}&lines={AROUND}", e.context_offset)).await?)
        };
        self.print.first_error(a, e, page.as_ref());
        Ok(())
    }

    async fn pages(&mut self, a: &AttemptDoc, base: &str) -> Outcome {
        let (mut offset, mut file) = (self.args.from.unwrap_or(0), 0);
        let mut begin = match (self.args.tail, self.since) {
            (Some(n), _) => Some(format!("at=tail&lines={n}")),
            (None, Some(at)) => Some(format!("at=time&time={at}")),
            (None, None) => None,
        };
        let hex = if self.args.hex { "&as=hex" } else { "" };
        let wait = if self.args.follow { HOLD } else { 0 };
        loop {
            let from = begin.take().unwrap_or_else(|| format!("at=offset&offset={offset}"));
            let page: LogPage = self.ask(&format!("/v1/log/{base}?{from}&wait={wait}&file={file}{hex}")).await?;
            if let Some(why) = &page.reset {
                self.print.close();
                if file == 0 && self.args.from.is_some() {
                    return Err(Failure::bad(
                        format!("{} / {}: {why}", a.stage, label(a)),
                        "--from takes an offset that `log --json` printed",
                    ));
                }
                self.print.note(&format!("{} / {}: {why}", a.stage, label(a)));
                if !self.args.follow {
                    return Err(Failure::told(1));
                }
            }
            for line in &page.lines {
                if self.args.hex {
                    self.print.hex(a, line);
                } else if self.since.is_none_or(|s| line.at.parse::<Timestamp>().map_or(true, |t| t >= s)) {
                    self.print.line(a, line);
                }
            }
            self.print.reached(page.next_offset);
            if let Some(note) = &page.note {
                self.gone |= page.size == 0;
                self.print.note(&format!("{} / {}: {note}", a.stage, label(a)));
            }
            let nothing_new = page.lines.is_empty() && page.reset.is_none();
            (offset, file) = (page.next_offset, page.file);
            if page.complete || nothing_new && !self.args.follow {
                return Ok(());
            }
        }
    }

    async fn search(&mut self, a: &AttemptDoc, base: &str, re: &str) -> Outcome {
        let args = self.args;
        let mut options = String::new();
        for (on, name) in
            [(args.invert, "invert=1"), (args.fixed, "fixed=1"), (args.ignore_case, "ignore_case=1"), (args.line_number, "number=1")]
        {
            if on {
                options.push('&');
                options.push_str(name);
            }
        }
        if let Some(n) = args.context {
            options.push_str(&format!("&before={n}&after={n}"));
        }
        let wait = if args.follow { HOLD } else { 0 };
        let mut begin = match (args.from, self.since) {
            (Some(offset), _) => format!("offset={offset}"),
            (None, Some(at)) => format!("since={at}"),
            (None, None) => "offset=0".to_owned(),
        };
        let (mut lives, mut last) = (self.lives(), None);
        loop {
            let path = format!("/v1/grep/{base}?re={}&{begin}&wait={wait}{options}", encode(re));
            match self.hits(a, &path, &mut begin, &mut last).await {
                Ok(true) => return Ok(()),
                Ok(false) => lives = self.lives(),
                Err(trouble) => self.survive(trouble, &mut lives).await?,
            }
        }
    }

    /// Prints one streamed answer. `begin`: where the next question goes on; `last`: offset of the last line printed, which an engine that
    /// came back tells again. True at the end of what there is to search.
    async fn hits(&mut self, a: &AttemptDoc, path: &str, begin: &mut String, last: &mut Option<u64>) -> Result<bool, Trouble> {
        let mut lines = self.client.lines(path).await?;
        while let Some(text) = lines.next(ANSWER + Duration::from_secs(HOLD)).await? {
            match serde_json::from_slice(&text) {
                Ok(Found::Hit(line)) => {
                    if last.is_none_or(|l| line.offset > l) {
                        *last = Some(line.offset);
                        self.print.line(a, &line);
                    }
                }
                Ok(Found::Searched(offset)) => *begin = format!("offset={offset}"),
                Ok(Found::End { next_offset, complete }) => {
                    *begin = format!("offset={next_offset}");
                    // The body's own end is read too, so that the connection can be used again.
                    let _ = lines.next(ANSWER).await?;
                    return Ok(complete || !self.args.follow);
                }
                Ok(Found::Error(e)) => return Err(Trouble::Answer(e)),
                Err(e) => {
                    let help = "the engine may be of another version: quarterdeck engine stop, and ask again";
                    return Err(Trouble::Answer(ApiError::failed(format!("a line of the engine's answer cannot be read: {e}"), help)));
                }
            }
        }
        Err(Trouble::Lost("its answer has no end".into()))
    }
}
