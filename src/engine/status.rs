//! What `GET /v1/status` says: the engine, its scheduler, who is armed, what somebody looks after, and how far ends answer.

use super::rows::time;
use super::state::Engine;
use super::{acks, sources};
use crate::api::ApiError;
use crate::api::types::Status;
use crate::config::{SecondPerson, Site};
use crate::domain::run::RunState;
use crate::store::RunsQuery;

/// Blocks.
pub fn of(engine: &Engine) -> Result<Status, ApiError> {
    let running = RunsQuery { states: vec![RunState::Running, RunState::Waiting], limit: 1_000_000, ..RunsQuery::default() };
    let position = engine.model.position();
    let site = engine.watch.current();
    let schedule = engine.schedule.state();
    let drain = engine.store.drain()?;
    Ok(Status {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        socket: engine.socket.display().to_string(),
        started: time(engine.started_us),
        runs_running: engine.store.runs(&running)?.len() as u64,
        state_dir: engine.watch.dirs().state.display().to_string(),
        private: engine.private,
        draining: drain.is_some(),
        drain_reason: drain.map(|d| drained_by(&d.by, &d.why)).unwrap_or_default(),
        scheduler: schedule.words(),
        scheduler_looked: schedule.beat_us.map(time),
        next_due: schedule.next_us().map(time),
        executors: engine.executors(),
        executors_busy: engine.store.busy()?.len() as u64,
        free_bytes: engine.store.space().ok().map(|s| s.free_bytes),
        low_disk: engine.runner.low_disk().map(|r| r.to_string()).unwrap_or_default(),
        read_only: site.as_ref().is_ok_and(|s| s.read_only),
        second_person: site.as_ref().map(|s| second_person(engine, s).to_owned()).unwrap_or_default(),
        links: site.as_ref().map(|s| links(s)).unwrap_or_default(),
        epoch: position.epoch,
        revision: position.revision,
        you: String::new(),
        armed: engine.leases.armed(engine.clock.boot_us()),
        acks: acks::shown(engine)?,
        sources: sources::all(engine),
        site_error: site.err().map(|e| e.to_string()).unwrap_or_default(),
    })
}

/// As the guard will decide.
fn second_person(engine: &Engine, site: &Site) -> &'static str {
    match (engine.one_user(site), site.second_person) {
        (false, _) => "asked",
        (true, SecondPerson::None) => "single",
        (true, SecondPerson::Required) => "refused",
    }
}

/// Who drained the engine and, where they said so, why.
fn drained_by(who: &str, why: &str) -> String {
    if why.trim().is_empty() { format!("by {who}") } else { format!("by {who}: {why}") }
}

/// Addresses of the site file, each once and without what a person logs in with.
fn links(site: &Site) -> Vec<String> {
    let all = site.repos.values().flat_map(|r| r.upstream.iter().chain(r.replicas.iter().map(|x| &x.at)));
    let mut out: Vec<String> = all.filter(|u| u.starts_with("http") && !u.contains(['@', '\u{1b}'])).cloned().collect();
    out.sort();
    out.dedup();
    out
}
