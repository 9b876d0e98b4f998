//! `demo`, `demo advance` and `demo as`: starts the estate and its engine; on a terminal opens the console on it, else shows one nightly and stays up;
//! publishes the next compose.

pub mod past;
pub mod people;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::api::client::{ANSWER, Client};
use crate::api::types::{Done, Rows, Status};
use crate::api::{ApiError, Code};
use crate::base::count;
use crate::cli::Ctx;
use crate::cli::args::{Consent, Demo, DemoCommand};
use crate::cli::connect::{self, Start};
use crate::cli::engine::wait_for_end;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::follow::{self, Followed};
use crate::cli::full_screen;
use crate::cli::out::{Out, Tone};
use crate::cli::run::Request;
use crate::cli::site::SHIPPED;
use crate::config::dirs::Surroundings;
use crate::config::{Dirs, Site};
use crate::console::run::Left;
use crate::demo::catalogue::Repo;
use crate::demo::{self, Estate};

const NIGHTLY: &str = "nightly-repo-updates";
const CANARY: &str = "rpmcanary";
/// Runs in flight are waited for so long when the demo is asked to end.
const PATIENCE: Duration = Duration::from_secs(300);
/// A run that another run's end starts is there within this.
const TRIGGERED: Duration = Duration::from_secs(10);

pub fn run(ctx: &Ctx, out: &mut Out, args: Demo) -> Outcome {
    let dir = directory(ctx)?;
    match args.command {
        Some(DemoCommand::Advance) => advance(&dir, out),
        Some(DemoCommand::As { person, words }) => be(&dir, &person, &words),
        None => start(ctx, &dir, out, &args),
    }
}

/// The demo's own directory: it never touches the site that the other flags or variables name.
fn directory(ctx: &Ctx) -> Result<PathBuf, Failure> {
    for (given, flag) in [(ctx.global.config_dir.is_some(), "--config-dir"), (ctx.global.site.is_some(), "--site")] {
        if given {
            return Err(Failure::bad(
                format!("{flag} does not go with the demo: it is a site of its own, configured in its state directory"),
                "leave it out; --state-dir says where the demo lives",
            ));
        }
    }
    if ctx.global.state_dir.is_some() || Surroundings::of_process().env_state.is_some() {
        return Ok(ctx.dirs.state.clone());
    }
    let base = directories::BaseDirs::new().and_then(|b| b.state_dir().map(|s| s.join("quarterdeck-demo")));
    base.ok_or_else(|| Failure::bad("there is no home directory to keep the demo in", "name a directory with --state-dir"))
}

impl From<demo::Error> for Failure {
    fn from(e: demo::Error) -> Self {
        let code = match e.exit_code() {
            4 => Code::Refused,
            3 => Code::NoEngine,
            _ => Code::Failed,
        };
        ApiError::new(code, e.to_string(), e.help()).into()
    }
}

fn advance(dir: &Path, out: &Out) -> Outcome {
    let done = demo::advance(dir)?;
    if out.json {
        out.value(&done);
        return Ok(());
    }
    out.line(format!(
        "{} is published: {}, {} new, {} gone",
        done.compose,
        count::s(done.packages as u64, "package"),
        done.new.len(),
        done.gone.len()
    ));
    for (sign, tone, list) in [("+", Tone::Good, &done.new), ("-", Tone::Bad, &done.gone)] {
        for nevra in list {
            out.line(format!("  {} {nevra}", out.paint(tone, sign)));
        }
    }
    out.line(out.paint(Tone::Dim, &format!("mirror it: {} run {NIGHTLY} --wait", command(dir))));
    Ok(())
}

/// The rest of the command line in the place of this process, by one of the demo's people.
fn be(dir: &Path, person: &str, words: &[String]) -> Outcome {
    let Some(person) = demo::people::named(person) else {
        let names = demo::people::ALL.map(|p| p.name).join(" ");
        return Err(Failure::bad(format!("nobody in the demo is called `{person}`"), format!("there are: {names}, and you")));
    };
    if !demo::people::live_in(dir) {
        return Err(demo::Error::NoEstate { dir: dir.to_owned() }.into());
    }
    let exe = std::env::current_exe().map_err(|e| ApiError::failed(format!("where is our own program? {e}"), ""))?;
    let mut command = std::process::Command::new(exe);
    command.env(demo::people::VARIABLE, person.name).arg("--state-dir").arg(dir).args(words);
    Err(ApiError::failed(format!("the command does not start: {}", command.exec()), "").into())
}

fn start(ctx: &Ctx, dir: &Path, out: &mut Out, args: &Demo) -> Outcome {
    // The engine of a demo that is up is not ours to stop: that one is refused first.
    if args.fresh && demo::at_rest(dir)? {
        let own = context(ctx, dir);
        end_engine(&own, out)?;
    }
    let files: Vec<(String, &str)> = SHIPPED.iter().map(|(name, text)| (format!("{name}.yml"), *text)).collect();
    let pipelines: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    let terminal = !out.json && !args.no_tui && std::io::IsTerminal::is_terminal(&std::io::stdout());
    let screen = !crate::cli::full_screen::dumb(std::env::var("TERM").ok().as_deref());
    let console = terminal && screen && std::io::IsTerminal::is_terminal(&std::io::stdin());
    if console {
        out.note(&format!("the demo estate is made ready in {}", dir.display()));
    }
    let owner = people::Known::default().owner(ctx.uid);
    let play = |past: &mut demo::past::Past<'_>| past::play(past, ctx.uid);
    let options = demo::Options {
        seed: args.seed,
        fresh: args.fresh,
        pipelines: &pipelines,
        owner: &owner,
        past: (!args.no_past).then_some(&play as &demo::estate::PlayPast<'_>),
    };
    let estate = Estate::open(dir, &options)?;
    if let Some(why) = estate.pastless() {
        out.note(&format!("{why}; the demo goes on without it, `demo --fresh` tries again"));
    }
    let own = context(ctx, &estate.places().state_dir);
    let site = own.site(out)?;
    if !console {
        return connect::block_on(session(&own, &site, out, &estate, terminal));
    }
    let left = full_screen::on_site(&own, out, &site, &full_screen::How::default());
    // However the console ended, its estate ends in order.
    connect::block_on(async {
        let mut signals = Signals::new()?;
        match left {
            Ok(Left::Lost) => outlive(&own, &site, &mut signals).await,
            Ok(Left::Quit | Left::Site(_) | Left::Told) => leave(&own, &site, out, &mut signals).await,
            Err(failure) => {
                leave(&own, &site, out, &mut signals).await?;
                Err(failure)
            }
        }
    })
}

fn context(ctx: &Ctx, state: &Path) -> Ctx {
    let dirs = Dirs { config: state.join("config"), state: state.to_owned(), explicit: false };
    // Its directories are its own: no other site is opened from there.
    let global = super::args::Global { state_dir: Some(state.to_owned()), ..ctx.global.clone() };
    Ctx { dirs, global, uid: ctx.uid }
}

/// How the commands of another terminal reach this demo.
fn command(dir: &Path) -> String {
    format!("{} --state-dir {}", program(), shell_words::quote(&dir.to_string_lossy()))
}

/// The program as it was called, where that was by a path.
fn program() -> String {
    std::env::args().next().filter(|a| a.contains('/')).unwrap_or_else(|| "quarterdeck".into())
}

async fn session(ctx: &Ctx, site: &Site, out: &Out, estate: &Estate, live: bool) -> Outcome {
    let mut signals = Signals::new()?;
    let mut client = connect::connect(ctx, site, Start::OnDemand).await?;
    let status: Status = client.get("/v1/status", ANSWER).await.map_err(ApiError::from)?;
    if out.json {
        out.value(&ready(estate, &status));
        signals.next().await;
        return leave(ctx, site, out, &mut signals).await;
    }
    banner(out, estate);
    let mut followed = nightly(ctx, site, out, &mut client, live, &mut signals).await?;
    if let Followed::Ended(doc) = &followed
        && doc.verdict.as_deref() == Some("success")
        && let Some(run) = triggered(&mut client, &doc.run).await
    {
        out.line(format!("\n{run} was started by its success, as its upstream trigger says"));
        followed = follow::follow(ctx, site, out, &run, live, signals.next()).await?;
    }
    if let Followed::Ended(doc) = &followed {
        if doc.verdict.as_deref() != Some("success") {
            out.line(format!("what it said: {} log '{}'", command(&ctx.dirs.state), doc.run));
        }
        farewell(out, &ctx.dirs.state);
        signals.next().await;
    }
    out.line("");
    leave(ctx, site, out, &mut signals).await
}

/// The line that scripts wait for.
fn ready(estate: &Estate, status: &Status) -> serde_json::Value {
    let places = estate.places();
    let repos: Vec<_> = Repo::ALL
        .iter()
        .map(|r| json!({"name": r.id(), "upstream": format!("{}/", estate.repo_url(*r)), "tree": places.tree(*r)}))
        .collect();
    let replicas: Vec<_> =
        estate.replicas().map(|(dc, l)| json!({"dc": dc, "url": l.url(), "dir": places.replicas_dir().join(dc)})).collect();
    json!({
        "replicas": replicas, "pairs": demo::pairs::ALL.iter().map(|p| p.name).collect::<Vec<_>>(),
        "state_dir": places.state_dir, "config_dir": places.config_dir(), "socket": status.socket, "upstream_url": estate.upstream_url(),
        "mirror_dir": places.mirror_dir(), "seed": estate.seed(), "compose": estate.compose(), "engine_pid": status.pid,
        "access_log": places.access_log(), "content_set": "el9-latest", "pipelines": SHIPPED.iter().map(|(name, _)| *name).collect::<Vec<_>>(), "repos": repos,
    })
}

fn banner(out: &Out, estate: &Estate) {
    let places = estate.places();
    out.line(out.paint(Tone::Bold, "quarterdeck demo"));
    out.line(format!("  state     {} (seed {})", places.state_dir.display(), estate.seed()));
    out.line(format!("  upstream  {}/ ({})", estate.upstream_url(), estate.compose()));
    out.line(format!("  mirror    {}", places.mirror_dir().display()));
    out.line("");
}

fn farewell(out: &Out, dir: &Path) {
    let program = program();
    out.line("");
    out.line("The demo stays up. In another terminal:");
    out.line(format!("  export QUARTERDECK_STATE_DIR={}", shell_words::quote(&dir.to_string_lossy())));
    for (rest, what) in [
        ("demo advance", "the next compose"),
        ("run nightly-repo-updates --wait", "mirror it"),
        ("get runs", "what ran"),
        ("get promotions", "five that are over; do promote el9 opens the next"),
        ("demo as sec-02 approve PROMOTION", "the word of a second person"),
        ("log 'nightly-repo-updates#1'", "what a run said"),
        ("run promote-latest --confirm promote-latest --wait", "snapshot it, and let stable lead to it"),
        ("run rollback-stable --confirm rollback-stable --wait", "one step back"),
    ] {
        out.line(format!("  {program} {rest:<53}  {}", out.paint(Tone::Dim, what)));
    }
    out.line("Ctrl-C ends it. Its directory stays: the next `demo` goes on from there,");
    out.line("`demo --fresh` starts over.");
}

async fn nightly(ctx: &Ctx, site: &Site, out: &Out, client: &mut Client, live: bool, signals: &mut Signals) -> Result<Followed, Failure> {
    let consent = Consent { reason: "shown by the demo".into(), confirm: None };
    let request = Request::new("run", NIGHTLY, consent);
    let done: Done = client.post("/v1/do", request.body(), ANSWER).await.map_err(ApiError::from)?;
    let run = done.run.unwrap_or_default();
    follow::follow(ctx, site, out, &run, live, signals.next()).await
}

/// The run that the end of `run` started, if there is one within a moment.
async fn triggered(client: &mut Client, run: &str) -> Option<String> {
    let deadline = tokio::time::Instant::now() + TRIGGERED;
    let path = format!("/v1/get/runs?filter={}", crate::api::client::encode(&format!("pipeline={CANARY}")));
    while tokio::time::Instant::now() < deadline {
        let rows = client.get::<Rows>(&path, ANSWER).await.ok()?.rows;
        let text =
            |row: &serde_json::Map<String, serde_json::Value>, key: &str| row.get(key).and_then(|v| v.as_str()).unwrap_or("").to_owned();
        if let Some(row) = rows.iter().find(|r| text(r, "cause").contains(&format!(":{run}:"))) {
            return Some(text(row, "run"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    None
}

/// Ends the demo: waits for what runs, for its upstream ends with it; then the engine is stopped. A second signal does not wait:
/// the steps go on by themselves, and the next start takes them over.
async fn leave(ctx: &Ctx, site: &Site, out: &Out, signals: &mut Signals) -> Outcome {
    let Ok(mut client) = connect::connect(ctx, site, Start::Never).await else { return Ok(()) };
    let mut told = false;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let status = loop {
        let Ok(status) = client.get::<Status>("/v1/status", ANSWER).await else { return Ok(()) };
        if status.runs_running == 0 || tokio::time::Instant::now() > deadline {
            break status;
        }
        if !told {
            told = true;
            let what = if status.runs_running == 1 { "a run is".to_owned() } else { format!("{} runs are", status.runs_running) };
            out.note(&format!(
                "{what} in flight: waiting for the end. Ctrl-C again leaves at once; the next `demo` takes over what still runs"
            ));
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
            () = signals.next() => break status,
        }
    };
    stop(&mut client, "the demo ends").await?;
    wait_for_end(&status)?;
    if !out.json {
        out.line("the demo has ended, and its engine with it");
    }
    Ok(())
}

/// The terminal is gone, and nobody said that anything should end: far ends are there for as long as a run needs them, and the engine stays,
/// for whoever comes back.
async fn outlive(ctx: &Ctx, site: &Site, signals: &mut Signals) -> Outcome {
    let Ok(mut client) = connect::connect(ctx, site, Start::Never).await else { return Ok(()) };
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < deadline {
        match client.get::<Status>("/v1/status", ANSWER).await {
            Ok(status) if status.runs_running > 0 => {}
            _ => break,
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
            _ = signals.interrupt.recv() => break,
            _ = signals.terminate.recv() => break,
        }
    }
    Ok(())
}

async fn stop(client: &mut Client, reason: &str) -> Outcome {
    let request = Request::new("stop", "", Consent { reason: reason.into(), confirm: None });
    client.post::<_, Done>("/v1/do", request.body(), ANSWER).await.map_err(ApiError::from)?;
    Ok(())
}

/// Before everything is removed: what runs is cancelled, and the engine stopped.
fn end_engine(ctx: &Ctx, out: &mut Out) -> Outcome {
    // A site file that is broken must not keep anybody from starting over; the demo's socket is where every private one is.
    let site = ctx.site(out).unwrap_or_default();
    connect::block_on(async {
        let mut client = match connect::connect(ctx, &site, Start::Never).await {
            Ok(client) => client,
            Err(f) if f.exit == Code::NoEngine.exit_code() => return Ok(()),
            Err(f) => return Err(f),
        };
        let rows = client.get::<Rows>("/v1/get/queue", ANSWER).await.map_err(ApiError::from)?.rows;
        for run in rows.iter().filter_map(|r| r.get("run")?.as_str()) {
            let request = Request::new("cancel", run, Consent { reason: "the demo starts over".into(), confirm: Some(run.to_owned()) });
            // One that has just ended cannot be cancelled, and need not be.
            let _ = client.post::<_, Done>("/v1/do", request.body(), ANSWER).await;
        }
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        let status = loop {
            let status: Status = client.get("/v1/status", ANSWER).await.map_err(ApiError::from)?;
            if status.runs_running == 0 {
                break status;
            }
            if tokio::time::Instant::now() > deadline {
                let message = format!("{} runs were cancelled and still run", status.runs_running);
                return Err(ApiError::refused(message, "nothing was removed; see `get runs`, and try again").into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        stop(&mut client, "the demo starts over").await?;
        wait_for_end(&status)
    })
}

/// What asks the demo to end: Ctrl-C, SIGTERM, or the end of its terminal.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let on = |kind| signal(kind).map_err(|e| Failure::from(ApiError::failed(format!("signals cannot be received: {e}"), "")));
        Ok(Self { interrupt: on(SignalKind::interrupt())?, terminate: on(SignalKind::terminate())?, hangup: on(SignalKind::hangup())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
