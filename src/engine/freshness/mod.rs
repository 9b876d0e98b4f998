//! Looks at the places of repositories: upstream, our tree, stable, and the replicas of the datacentres, each far end for everybody once.
//!
//! Only repositories with `replicas` are looked at; where the site has none, nothing is asked and nobody wakes. A sweep is due every five
//! minutes, every fifteen seconds while something is on its way, and at once when a run changed content or somebody asks.

pub mod board;
pub mod known;
pub mod rows;
mod signed;
mod sweep;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::broadcast::error::RecvError;

use super::aside::aside;
use super::blocking::blocking;
use super::scheduler::alarm::Alarm;
use super::state::Engine;
use crate::config::Site;
use crate::domain::report::Fact;
use crate::domain::run::{RunRef, RunState};
use crate::systems::repo::probe;

use board::RepoBoard;
pub use sweep::far_end;

/// Observations of an upstream that its history of composes is made from.
const PAST: usize = 500;
/// Without a site file that can be read, or without a client, a sweep is tried again so late.
const UNABLE_US: i64 = 60 * 1_000_000;
/// Who asks why waits so long for a look.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks at a repository now, for somebody who asks; what is slow to answer goes on without them. Nothing where it is not looked at.
pub async fn look_now(engine: &Engine, repo: &str) {
    let asked = engine.now_us();
    let fresh = &engine.freshness;
    if fresh.of(repo).is_none() {
        return;
    }
    fresh.look(Some(repo));
    let seen = async {
        loop {
            let told = fresh.looked.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if fresh.of(repo).is_none_or(|b| b.looked_us >= asked) {
                return;
            }
            told.await;
        }
    };
    let _ = tokio::time::timeout(PATIENCE, seen).await;
}

/// Repositories that are looked at.
fn looked_at(site: &Site) -> impl Iterator<Item = &String> {
    site.repos.iter().filter(|(_, r)| !r.replicas.is_empty()).map(|(name, _)| name)
}

/// Serves until the engine stops.
pub async fn serve(engine: Arc<Engine>) {
    let mut alarm = Alarm::new(vec![engine.watch.dirs().config.clone()]);
    let (mut refreshes, mut changes) = (engine.runner.refreshes(), engine.runner.subscribe());
    let mut client = None;
    loop {
        let site = {
            let engine = engine.clone();
            // A broken site file stops no look: what it said last goes on, and `doctor` tells.
            blocking(move || engine.site()).await.ok()
        };
        if let Some(site) = &site {
            take_in(&engine, site).await;
        }
        let now = engine.now_us();
        engine.freshness.clocks(now, engine.clock.boot_us());
        let (due, next) = engine.freshness.due(now);
        if let (Some(site), false) = (&site, due.is_empty()) {
            // Places may be directories of a mount that hangs, and a client reads all certificates of the machine.
            let (own, site, due, kept) = (engine.clone(), site.clone(), due.clone(), client.take());
            let looks = aside(move || async move {
                let made = || probe::client().inspect_err(|e| tracing::warn!("mirrors cannot be looked at: {e}")).ok();
                let client = kept.or_else(made)?;
                sweep::sweep(&own, &site, &client, &due).await;
                Some(client)
            });
            tokio::select! {
                done = looks => client = done.flatten(),
                () = engine.stopped() => return,
            }
            if client.is_some() {
                continue;
            }
        }
        // What is due and cannot be done waits for a file to change, or a minute.
        let at = if due.is_empty() { next } else { Some(now + UNABLE_US) };
        let at = at.and_then(|us| Timestamp::from_microsecond(us).ok());
        tokio::select! {
            _ = alarm.until(at) => alarm.look_at(),
            () = engine.freshness.wake.notified() => {}
            refresh = refreshes.recv() => match refresh {
                Ok(r) if matches!(r.source.as_str(), "repos" | "mirrors" | "content") => {
                    engine.freshness.look((!r.scope.is_empty()).then_some(r.scope.as_str()));
                }
                Ok(_) => {}
                // One of them may have been ours.
                Err(RecvError::Lagged(_)) => engine.freshness.look(None),
                Err(RecvError::Closed) => return,
            },
            change = changes.recv(), if next.is_some() => match change {
                Ok(c) if c.table == "runs" => {
                    if changed_content(&engine, c.id).await {
                        engine.freshness.look(None);
                    }
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => engine.freshness.look(None),
                Err(RecvError::Closed) => return,
            },
            () = engine.stopped() => return,
        }
    }
}

/// Whether this run has ended and said something of content, trees, snapshots or pointers.
async fn changed_content(engine: &Arc<Engine>, run: String) -> bool {
    let engine = engine.clone();
    let look = move || {
        let Ok(run) = run.parse::<RunRef>() else { return Ok(false) };
        let row = engine.store.run(&run)?;
        if row.state != RunState::Done {
            return Ok(false);
        }
        let facts = engine.store.facts(&run)?;
        Ok(facts.iter().any(|(_, json)| !matches!(serde_json::from_str(json), Ok(Fact::Commit { .. }) | Err(_))))
    };
    blocking(look).await.unwrap_or(false)
}

/// Repositories that are new get what the store knows of them; those that are gone are forgotten.
async fn take_in(engine: &Arc<Engine>, site: &Arc<Site>) {
    let wanted: BTreeSet<String> = looked_at(site).cloned().collect();
    let new = engine.freshness.keep(&wanted);
    if new.is_empty() {
        return;
    }
    let read = {
        let engine = engine.clone();
        let load = move || {
            let newest = engine.store.observations()?;
            let mut out = Vec::new();
            for name in new {
                let past = engine.store.observations_of(&name, "upstream", PAST)?;
                let own = newest.iter().filter(|o| o.repo == name).cloned().collect();
                out.push((name, RepoBoard::remembered(own, past)));
            }
            Ok(out)
        };
        blocking(load).await
    };
    match read {
        Ok(boards) => engine.freshness.remember(boards),
        Err(e) => tracing::warn!("what was known of mirrors cannot be read: {e}"),
    }
}
