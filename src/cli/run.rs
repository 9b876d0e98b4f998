//! Commands that change something: `run`, `cancel`, `retry`, `resume`, `replay`, `do`. They ask the engine, and may wait for the end.

use std::time::Duration;

use indexmap::IndexMap;
use tokio::signal::unix::{SignalKind, signal};

use super::Ctx;
use super::args::{Again, Approve, Change, Consent, Do as DoArgs, Replay, Run as RunArgs};
use super::connect::{self, Start};
use super::failure::{Failure, Outcome};
use super::out::{Out, Tone};
use super::stages;
use crate::action;
use crate::api::client::{ANSWER, Client, Trouble, encode};
use crate::api::types::{Do, Done, RunDoc, Why};
use crate::api::{ApiError, Code, Sealed};
use crate::base::{duration, sanitise};
use crate::config::Site;
use crate::domain::run::{RunRef, Verdict};

/// The engine holds the question so long; then it is asked again.
const HOLD: u64 = 25;
/// The first look is short: what does not run by then says why.
const FIRST: u64 = 2;
/// An engine that went away is waited for, or started again, so often before the client gives up.
const LIVES: u32 = 20;

/// What is asked of the engine, as often as it takes.
pub struct Request(Do);

impl Request {
    /// Its key lets the engine know a request that it has carried out already.
    pub fn new(action: &str, target: &str, consent: Consent) -> Self {
        Self(Do {
            action: action.to_owned(),
            target: target.to_owned(),
            with: IndexMap::new(),
            reason: consent.reason,
            confirm: consent.confirm,
            key: Some(uuid::Uuid::now_v7().to_string()),
            ..Do::default()
        })
    }

    /// The value of `secret-set`.
    pub fn sealed(mut self, value: Sealed) -> Self {
        self.0.value = Some(value);
        self
    }

    pub fn with(mut self, pairs: Vec<(String, String)>) -> Result<Self, Failure> {
        for (name, value) in pairs {
            if self.0.with.insert(name.clone(), value).is_some() {
                return Err(Failure::bad(format!("`{name}` is given twice"), "give it once"));
            }
        }
        Ok(self)
    }

    /// What goes over the wire.
    pub fn body(&self) -> &Do {
        &self.0
    }

    /// Whether sending it twice is the same as sending it once.
    fn repeatable(&self) -> bool {
        matches!(self.0.action.as_str(), "run" | "replay")
    }
}

/// Sends one request. Where the connection broke, only what cannot be done twice is sent again.
pub fn ask(ctx: &Ctx, out: &mut Out, request: Request, start: Start) -> Result<Done, Failure> {
    let site = ctx.site(out)?;
    ask_at(ctx, &site, &request, start)
}

/// The same, of the engine of a site that is known already.
pub fn ask_at(ctx: &Ctx, site: &Site, request: &Request, start: Start) -> Result<Done, Failure> {
    connect::block_on(async { send(ctx, site, request, start).await.map(|(_, done)| done) })
}

async fn send(ctx: &Ctx, site: &Site, request: &Request, start: Start) -> Result<(Client, Done), Failure> {
    let mut lives = LIVES;
    loop {
        let mut client = connect::connect(ctx, site, start).await?;
        match client.post::<_, Done>("/v1/do", &request.0, ANSWER).await {
            Ok(done) => return Ok((client, done)),
            Err(Trouble::Answer(e)) if e.code == Code::NoEngine && request.repeatable() && lives > 0 => {}
            Err(Trouble::Answer(e)) => return Err(e.into()),
            Err(Trouble::Lost(_)) if request.repeatable() && lives > 0 => {}
            // It may still carry it out, once it wakes. With the key of this request it would do so once, but nobody waits that long.
            Err(Trouble::Silent(why)) => {
                let message = format!("{why}: nobody knows whether it was done");
                let help =
                    "look before you try again: quarterdeck get runs; its log is in STATE/logs; it may be stopped, or its disk may hang";
                return Err(ApiError::no_engine(message, help).into());
            }
            Err(Trouble::Lost(why)) => {
                let message = format!("the engine went away while it was asked ({why}): nobody knows whether it was done");
                return Err(ApiError::no_engine(message, "look: quarterdeck get runs; quarterdeck get audit").into());
            }
        }
        lives -= 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub fn run(ctx: &Ctx, out: &mut Out, args: RunArgs) -> Outcome {
    let request = Request::new("run", &args.pipeline, args.consent).with(args.param)?;
    start(ctx, out, &request, args.wait.wait)
}

pub fn replay(ctx: &Ctx, out: &mut Out, args: Replay) -> Outcome {
    let request = Request::new("replay", &args.run, args.consent).with(args.param)?;
    start(ctx, out, &request, args.wait.wait)
}

pub fn again(ctx: &Ctx, out: &mut Out, action: &str, args: Again) -> Outcome {
    start(ctx, out, &Request::new(action, &args.run, args.consent), args.wait.wait)
}

pub fn cancel(ctx: &Ctx, out: &mut Out, args: Change) -> Outcome {
    let done = ask(ctx, out, Request::new("cancel", &args.run, args.consent), Start::OnDemand)?;
    out.done(&done);
    Ok(())
}

pub fn approve(ctx: &Ctx, out: &mut Out, args: Approve) -> Outcome {
    let consent = Consent { reason: args.comment, confirm: None };
    let done = ask(ctx, out, Request::new("approve", &args.run, consent).with(args.param)?, Start::OnDemand)?;
    out.done(&done);
    Ok(())
}

/// An action by its id, on each target in turn. What is refused for one target says nothing about the others, so they are asked for all the
/// same; only where no engine answers they are not. The exit code is the worst of them: the highest.
pub fn act(ctx: &Ctx, out: &mut Out, args: DoArgs) -> Outcome {
    if action::find(&args.action).is_none() {
        let help = match action::nearest(&args.action) {
            Some(near) => format!("did you mean `{near}`? `quarterdeck actions` lists them"),
            None => "`quarterdeck actions` lists them".into(),
        };
        return Err(Failure::bad(format!("no action `{}`", args.action), help));
    }
    let targets = if args.target.is_empty() { vec![String::new()] } else { args.target };
    if targets.len() > 1 && args.consent.confirm.is_some() {
        return Err(Failure::bad("--confirm names one target, and there are several", "do them one by one"));
    }
    let mut worst = None;
    let (mut done, mut left) = (0, targets.iter());
    for target in left.by_ref() {
        let request = Request::new(&args.action, target, args.consent.clone()).with(args.with.clone())?;
        match ask(ctx, out, request, Start::OnDemand) {
            Ok(answer) => {
                out.done(&answer);
                done += 1;
            }
            Err(e) if targets.len() == 1 => return Err(e),
            Err(mut e) => {
                if !e.error.message.contains(target.as_str()) {
                    e.error.message = format!("{target}: {}", e.error.message);
                }
                out.failure(&e);
                worst = worst.max(Some(e.exit));
                if e.error.code == Code::NoEngine {
                    break;
                }
            }
        }
    }
    let Some(worst) = worst else { return Ok(()) };
    let rest: Vec<&str> = left.map(String::as_str).collect();
    let unasked = if rest.is_empty() { String::new() } else { format!("; not asked for: {}", rest.join(" ")) };
    out.note(&format!("{}: done for {done} of {} targets{unasked}", args.action, targets.len()));
    Err(Failure::told(worst))
}

impl Out {
    /// What the engine did, in its own words.
    pub fn done(&self, done: &Done) {
        if self.json {
            self.value(done);
            return;
        }
        self.advice(sanitise::lines(&done.message));
        if done.single_person {
            self.line(self.paint(Tone::Bad, "recorded as single person: it needed two"));
        }
    }
}

/// A request that has a run to wait for.
fn start(ctx: &Ctx, out: &mut Out, request: &Request, wait: bool) -> Outcome {
    let site = ctx.site(out)?;
    out.waits = wait;
    let doc = connect::block_on(async {
        let (client, done) = send(ctx, &site, request, Start::OnDemand).await?;
        let run = done.run.clone().unwrap_or_default();
        if !wait {
            if out.json {
                out.value(&serde_json::json!({"run": run}));
            } else {
                out.done(&done);
                out.advice(out.paint(Tone::Dim, &format!("follow it: quarterdeck log '{run}' --follow")));
            }
            return Ok(None);
        }
        if !out.json {
            out.done(&done);
        }
        let run: RunRef = run.parse().map_err(|e: crate::domain::run::BadRunRef| ApiError::failed(e.to_string(), ""))?;
        tokio::select! {
            ended = until_ended(ctx, out, &site, client, &run) => ended.map(Some),
            // Whoever waits leaves; the run does not.
            code = called_off() => {
                if out.json {
                    out.value(&serde_json::json!({"run": run.to_string()}));
                }
                out.note(&format!("\n{run} goes on: quarterdeck log '{run}' --follow; quarterdeck cancel '{run}' ends it"));
                Err(Failure::told(code))
            }
        }
    })?;
    doc.map_or(Ok(()), |doc| ended(out, &doc))
}

/// Ctrl-C, or the SIGTERM of `timeout` and of a service manager; the exit code is the one by which a shell says so.
async fn called_off() -> u8 {
    async fn came(kind: SignalKind) {
        match signal(kind) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    }
    tokio::select! {
        () = came(SignalKind::interrupt()) => 130,
        () = came(SignalKind::terminate()) => 143,
    }
}

/// The run as it ended; people see each stage end meanwhile.
async fn until_ended(ctx: &Ctx, out: &Out, site: &Site, mut client: Client, run: &RunRef) -> Result<RunDoc, Failure> {
    let mut lives = LIVES;
    let mut shown = Shown::default();
    loop {
        // People see each stage end; a script waits for the end alone.
        let ended = if out.json { String::new() } else { format!("&ended={}", shown.ended) };
        let hold = if out.json || shown.looked { HOLD } else { FIRST };
        let path = format!("/v1/runs/{}/{}?wait={hold}{ended}", encode(&run.pipeline), run.number);
        match client.get::<RunDoc>(&path, ANSWER + Duration::from_secs(HOLD)).await {
            Ok(doc) if doc.state == "done" => {
                if !out.json {
                    shown.tell(out, &doc);
                }
                return Ok(doc);
            }
            Ok(doc) => {
                lives = LIVES;
                if !out.json {
                    shown.tell(out, &doc);
                    if doc.state != "running" {
                        shown.reason(out, &mut client, &doc.state, run).await;
                    }
                }
                // An engine that is ending answers at once.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(Trouble::Answer(e)) if e.code != Code::NoEngine => return Err(e.into()),
            Err(trouble) if lives == 0 => return Err(ApiError::from(trouble).into()),
            // The run goes on without an engine; a private one is started again, a shared one comes back by itself.
            Err(_) => {
                lives -= 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
                client = reconnect(ctx, site).await?;
            }
        }
    }
}

/// A shared engine is given a minute to come back; a private one is started.
async fn reconnect(ctx: &Ctx, site: &Site) -> Result<Client, Failure> {
    let mut tries = 60;
    loop {
        match connect::connect(ctx, site, Start::OnDemand).await {
            Ok(client) => return Ok(client),
            Err(f) if f.exit == Code::NoEngine.exit_code() && tries > 0 => {
                tries -= 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(f) => return Err(f),
        }
    }
}

/// Stages that were told already.
#[derive(Default)]
struct Shown {
    ended: usize,
    names: Vec<String>,
    /// Nothing has ended since the look before: the next one may take long.
    looked: bool,
    /// Why it waits, as it was told last.
    why: String,
}

impl Shown {
    /// What waits may wait for the person who reads this. No answer is no reason to stop following.
    async fn reason(&mut self, out: &Out, client: &mut Client, state: &str, run: &RunRef) {
        let path = format!("/v1/why/{}/{}", encode(&run.pipeline), run.number);
        let Ok(why) = client.get::<Why>(&path, ANSWER).await else { return };
        let Some(first) = why.reasons.first().filter(|r| why.state == state && **r != self.why) else { return };
        out.line(format!("{state}: {}", sanitise::cell(first)));
        self.why.clone_from(first);
    }

    fn tell(&mut self, out: &Out, doc: &RunDoc) {
        let ended: Vec<_> = doc.stages.iter().filter(|s| s.state == "done").collect();
        self.looked = self.ended == ended.len();
        self.ended = ended.len();
        for stage in ended {
            if !self.names.contains(&stage.name) {
                self.names.push(stage.name.clone());
                let time = stage.duration_ms.map(|ms| format!(" ({})", duration::short(ms))).unwrap_or_default();
                out.line(format!("{} {}{time}", out.verdict(stage.verdict.as_deref().unwrap_or("")), sanitise::cell(&stage.name)));
            }
        }
    }
}

/// The end of a run: its document, and the exit code of its verdict.
fn ended(out: &Out, doc: &RunDoc) -> Outcome {
    if out.json {
        // What voids a request is between the console and the engine.
        out.value(&RunDoc { basis: String::new(), ..doc.clone() });
    } else {
        stages::table(out, doc);
    }
    let verdict = doc.verdict.as_deref().and_then(|v| v.parse::<Verdict>().ok());
    match verdict.map_or(1, Verdict::exit_code) {
        0 => Ok(()),
        code => Err(Failure::told(code)),
    }
}
