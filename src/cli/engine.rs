//! `engine run|start|status|stop|drain`: be the engine, or speak to it.

use std::io::Write;

use super::Ctx;
use super::args::{Consent, Engine as Command};
use super::connect::{self, Start};
use super::failure::{Failure, Outcome, from_config};
use super::out::Out;
use super::run::{Request, ask, ask_at};
use super::times;
use crate::api::types::{Rows, Status};
use crate::api::{ApiError, Code};
use crate::base::duration::Span;
use crate::config::{Dirs, Site};
use crate::domain::filter::cell;
use crate::engine::{Options, StartError, run as run_engine, status};
use crate::store::StoreError;
use crate::store::holder::holder;

pub fn run(ctx: &Ctx, out: &mut Out, command: Command) -> Outcome {
    match command {
        Command::Run { detached } => be(ctx, out, detached),
        Command::Start => {
            let site = ctx.site(out)?;
            let status = connect::block_on(connect::read::<Status>(ctx, &site, "/v1/status"))?;
            show(out, &status);
            Ok(())
        }
        Command::Status => {
            let site = ctx.site_to_look(out)?;
            let status = connect::block_on(connect::read_from::<Status>(ctx, &site, "/v1/status", Start::Never))?;
            show(out, &status);
            Ok(())
        }
        Command::Stop(c) => {
            let site = ctx.site_to_look(out)?;
            let pid = stop(ctx, &site, c.consent)?;
            tell(out, &format!("the engine (pid {pid}) has ended"));
            Ok(())
        }
        Command::Drain { off, until_idle, deadline, consent } => {
            // Said twice it is as said once: nobody asks for what is already so.
            let site = ctx.site(out)?;
            let status = connect::block_on(connect::read::<Status>(ctx, &site, "/v1/status"))?;
            if status.draining != off {
                if !until_idle {
                    tell(out, if off { "it was not drained" } else { "it was drained already" });
                }
            } else {
                let done = ask(ctx, out, Request::new(if off { "undrain" } else { "drain" }, "", consent), Start::OnDemand)?;
                if !until_idle || !out.json {
                    out.done(&done);
                }
            }
            if until_idle { idle(ctx, out, &site, deadline) } else { Ok(()) }
        }
    }
}

/// What became of a command that has no more to say than this.
fn tell(out: &Out, message: &str) {
    if out.json {
        out.value(&serde_json::json!({"message": message}));
    } else {
        out.line(message);
    }
}

/// How often a drained engine is asked what still runs.
const LOOK: std::time::Duration = std::time::Duration::from_millis(500);

/// Waits until no run is at work. One that waits for people holds nothing, and may do so for days.
fn idle(ctx: &Ctx, out: &Out, site: &Site, deadline: Option<Span>) -> Outcome {
    let began = std::time::Instant::now();
    loop {
        let path = "/v1/get/runs?filter=state%3Drunning&limit=1000";
        let rows = connect::block_on(connect::read::<Rows>(ctx, site, path))?.rows;
        if rows.is_empty() {
            tell(out, "nothing runs");
            return Ok(());
        }
        if let Some(limit) = deadline.filter(|d| began.elapsed() >= std::time::Duration::from_millis(d.ms())) {
            let names: Vec<String> = rows.iter().filter_map(|r| r.get("run").map(cell)).take(10).collect();
            let more = if rows.len() > names.len() { format!(" and {} more", rows.len() - names.len()) } else { String::new() };
            return Err(ApiError::failed(
                format!("after {limit} still at work: {}{more}", names.join(", ")),
                "the engine stays drained; cancel them, wait on, or let it start again: quarterdeck engine drain --off",
            )
            .into());
        }
        std::thread::sleep(LOOK);
    }
}

/// An engine that is asked to end has done so within this.
const END: std::time::Duration = std::time::Duration::from_secs(15);

/// Ends the engine; its pid. One that is ending already, whoever asked it to, has no ear any more and still has its store: its end is waited for.
fn stop(ctx: &Ctx, site: &Site, consent: Consent) -> Result<String, Failure> {
    let deadline = std::time::Instant::now() + END;
    let mut seen: Option<String> = None;
    let status = loop {
        let holder = holder(&ctx.dirs.state);
        let silent = match connect::block_on(connect::read_from::<Status>(ctx, site, "/v1/status", Start::Never)) {
            Ok(status) => break status,
            Err(e) => e,
        };
        match (holder, seen.take()) {
            _ if silent.error.code != Code::NoEngine => return Err(silent),
            (None, Some(pid)) => return Ok(pid),
            (None, None) => return Err(silent),
            (Some(_), _) if std::time::Instant::now() > deadline => return Err(silent),
            (Some(pid), _) => seen = Some(pid),
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    };
    match ask_at(ctx, site, &Request::new("stop", "", consent), Start::Never) {
        Ok(_) => wait_for_end(&status)?,
        // It went before it could be asked.
        Err(e) if e.error.code == Code::NoEngine => wait_for_end(&status).map_err(|_| e)?,
        Err(e) => return Err(e),
    }
    Ok(status.pid.to_string())
}

/// The engine has said yes; what follows is seen by its process.
pub fn wait_for_end(status: &Status) -> Outcome {
    let proc = format!("/proc/{}/stat", status.pid);
    let alive =
        || std::fs::read_to_string(&proc).is_ok_and(|s| !s.rsplit(')').next().is_some_and(|r| r.trim_start().starts_with(['Z', 'X'])));
    let deadline = std::time::Instant::now() + END;
    while alive() {
        if std::time::Instant::now() > deadline {
            return Err(ApiError::failed(
                format!("the engine (pid {}) was asked to end, and still runs", status.pid),
                "look at its log in STATE/logs",
            )
            .into());
        }
        std::thread::sleep(std::time::Duration::from_millis(3));
    }
    Ok(())
}

fn show(out: &Out, s: &Status) {
    if out.json {
        out.value(s);
        return;
    }
    let now = jiff::Timestamp::now();
    let kind = if s.private { "private" } else { "shared" };
    let mode = [(s.draining, "draining"), (s.read_only, "read-only")]
        .iter()
        .filter(|(on, _)| *on)
        .map(|(_, w)| format!(", {w}"))
        .collect::<String>();
    out.line(format!(
        "engine {} ({kind}{mode}), pid {}, up since {} ({})",
        s.version,
        s.pid,
        times::absolute(Some(&s.started), &out.zone, now),
        times::age(Some(&s.started), now)
    ));
    out.line(format!("socket  {}", s.socket));
    out.line(format!("state   {}", s.state_dir));
    out.line(format!("running {}", s.runs_running));
    if !s.low_disk.is_empty() {
        let why = crate::base::sanitise::cell(s.low_disk.trim_start_matches("low disk: "));
        out.line(format!("disk    {}", out.paint(super::out::Tone::Bad, &format!("nothing new starts: {why}"))));
    }
    if !s.drain_reason.is_empty() {
        out.line(format!("drained {}", crate::base::sanitise::cell(&s.drain_reason)));
    }
    if !s.scheduler.is_empty() {
        let tone = if s.scheduler.starts_with("dead") { super::out::Tone::Bad } else { super::out::Tone::Dim };
        let next =
            s.next_due.as_deref().map(|t| format!(", next {} ({})", times::absolute(Some(t), &out.zone, now), times::age(Some(t), now)));
        let looked = s.scheduler_looked.as_deref().map(|t| format!(", looked {}", times::age(Some(t), now))).unwrap_or_default();
        let words = crate::base::sanitise::cell(&s.scheduler);
        out.line(format!("schedule {}{}{looked}", out.paint(tone, &words), next.unwrap_or_default()));
    }
    if !s.site_error.is_empty() {
        out.line(format!(
            "{}\n{}",
            out.paint(super::out::Tone::Bad, "the site file is broken; nothing can be changed:"),
            crate::base::sanitise::lines(&s.site_error)
        ));
    }
}

fn be(ctx: &Ctx, out: &Out, detached: bool) -> Outcome {
    // Whoever started us named every directory, and has judged before which of them must be there.
    let dirs = Dirs { explicit: ctx.dirs.explicit && !detached, ..ctx.dirs.clone() };
    let exe = std::env::current_exe().map_err(|e| ApiError::failed(format!("where is our own program? {e}"), ""))?;
    // A site file that cannot be read keeps the engine from starting anyway.
    let shared = ctx.dirs.load(ctx.uid).map_or(true, |site| dirs.socket(&site).1);
    let people = super::demo::people::of(&dirs.state, shared);
    let options = Options { dirs, uid: ctx.uid, log_level: ctx.global.log_level.clone(), detached, people, exe };
    let json = out.json;
    let printer = out.clone();
    let result = run_engine(&options, move |engine| {
        if !detached {
            match status::of(engine) {
                Ok(status) if json => printer.value(&status),
                Ok(status) => printer.line(format!("engine {} ready, pid {}, socket {}", status.version, status.pid, status.socket)),
                Err(e) => printer.note(&e.to_string()),
            }
            return;
        }
        // Whoever started us reads our standard error until it closes: that says ready. It must not be held open for ever either.
        let _ = std::io::stderr().flush();
        if let Ok(null) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
            let _ = rustix::stdio::dup2_stderr(&null);
        }
    });
    result.map_err(|e| start_failure(&e, detached))
}

fn start_failure(e: &StartError, detached: bool) -> Failure {
    if e.is_held() && detached {
        return Failure { exit: connect::HELD, ..ApiError::refused(e.to_string(), "").into() };
    }
    match e {
        StartError::Config(e) => from_config(e).into(),
        StartError::Socket(crate::engine::SocketError::Unusable { help, .. }) => ApiError::refused(e.to_string(), help.as_str()).into(),
        StartError::Runner(crate::runner::RunnerError::Store(s)) if refusal(s) => ApiError::refused(e.to_string(), "").into(),
        StartError::Runner(crate::runner::RunnerError::Store(s)) => ApiError::no_engine(e.to_string(), s.help()).into(),
        _ => ApiError::new(Code::NoEngine, e.to_string(), "").into(),
    }
}

/// The store is there, and is not for us.
fn refusal(e: &StoreError) -> bool {
    matches!(
        e,
        StoreError::Permissions { .. }
            | StoreError::NetworkFs { .. }
            | StoreError::Held { .. }
            | StoreError::Newer { .. }
            | StoreError::Foreign { .. }
    )
}
