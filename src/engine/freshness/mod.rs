//! Looks at the places of repositories: upstream, our tree, stable, and the replicas of the datacentres, each far end for everybody once.
//!
//! Only repositories with `replicas` are looked at; where the site has none, nothing is asked and nobody wakes. A sweep is due every five
//! minutes, every fifteen seconds while something is on its way, and at once when a run changed content or somebody asks.

mod board;
mod rows;
mod signed;
mod sweep;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;

use super::blocking::blocking;
use super::scheduler::alarm::Alarm;
use super::state::Engine;
use super::trees;
use crate::config::Site;
use crate::domain::report::Fact;
use crate::domain::run::{RunRef, RunState};
use crate::systems::repo::probe::{self, Meter};

pub use board::{IDLE_US, PlaceBoard, RepoBoard, STABLE, TREE, UPSTREAM};
pub use sweep::far_end;

pub use rows::{Given, mirror, repo, why};

/// What is due so soon after a sweep is swept along with it: one wake-up instead of two.
const GATHER_US: i64 = 30 * 1_000_000;
/// Observations of an upstream that its history of composes is made from.
const PAST: usize = 500;
/// Two looks that people ask for are so far apart at least.
const ASKED_US: i64 = 1_000_000;
/// Without a site file that can be read, or without a client, a sweep is tried again so late.
const UNABLE_US: i64 = 60 * 1_000_000;
/// Who asks why waits so long for a look.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known, and what was asked of far ends so far.
#[derive(Default)]
pub struct Freshness {
    inner: Mutex<Inner>,
    wake: Notify,
    /// Told after every look at a repository.
    looked: Notify,
    pub meter: Arc<Meter>,
}

#[derive(Default)]
struct Inner {
    repos: BTreeMap<String, RepoBoard>,
    /// Asked for out of turn.
    marked: BTreeSet<String>,
    swept_us: i64,
}

impl Freshness {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        match self.inner.lock() {
            Ok(l) => l,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    /// What is known of a repository; none where it is not looked at, or not yet.
    pub fn of(&self, repo: &str) -> Option<RepoBoard> {
        self.lock().repos.get(repo).cloned()
    }

    /// Looks at all that is known; nothing is told to the board meanwhile.
    pub fn with<T>(&self, look: impl FnOnce(&BTreeMap<String, RepoBoard>) -> T) -> T {
        look(&self.lock().repos)
    }

    /// Looks at a repository (at all of them without a name) as soon as may be.
    pub fn look(&self, repo: Option<&str>) {
        {
            let mut inner = self.lock();
            let names: Vec<String> = match repo {
                Some(name) => vec![name.to_owned()],
                None => inner.repos.keys().cloned().collect(),
            };
            inner.marked.extend(names);
        }
        self.wake.notify_one();
    }
}

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
        let (due, next) = due(&engine, now);
        if let (Some(site), false) = (&site, due.is_empty()) {
            if client.is_none() {
                client = probe::client().inspect_err(|e| tracing::warn!("mirrors cannot be looked at: {e}")).ok();
            }
            if let Some(client) = &client {
                tokio::select! {
                    () = sweep::sweep(&engine, site, client, &due) => {}
                    () = engine.stopped() => return,
                }
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
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            change = changes.recv(), if next.is_some() => match change {
                Ok(c) if c.table == "runs" => {
                    if changed_content(&engine, c.id).await {
                        engine.freshness.look(None);
                    }
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
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
    let new: Vec<String> = {
        let mut inner = engine.freshness.lock();
        inner.repos.retain(|name, _| wanted.contains(name));
        inner.marked.retain(|name| wanted.contains(name));
        wanted.iter().filter(|n| !inner.repos.contains_key(*n)).cloned().collect()
    };
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
        Ok(boards) => engine.freshness.lock().repos.extend(boards),
        Err(e) => tracing::warn!("what was known of mirrors cannot be read: {e}"),
    }
}

/// What is due now, with whether it was asked for; and when something will be next.
fn due(engine: &Engine, now: i64) -> (Vec<(String, bool)>, Option<i64>) {
    let mut inner = engine.freshness.lock();
    let first = inner.repos.values().map(|b| b.due_us).min();
    let asked = !inner.marked.is_empty();
    let soonest = inner.swept_us.saturating_add(ASKED_US);
    if asked && now < soonest {
        return (Vec::new(), Some(first.map_or(soonest, |f| f.min(soonest))));
    }
    let marked = std::mem::take(&mut inner.marked);
    let ripe = first.is_some_and(|f| f <= now);
    let due: Vec<(String, bool)> = inner
        .repos
        .iter()
        .filter(|(name, b)| marked.contains(*name) || (ripe && b.due_us <= now.saturating_add(GATHER_US)))
        .map(|(name, _)| (name.clone(), marked.contains(name)))
        .collect();
    if !due.is_empty() {
        inner.swept_us = now;
    }
    (due, first)
}

/// Takes the outcome of a look in, and tells who listens what it changed.
async fn settle(engine: &Arc<Engine>, site: &Arc<Site>, name: &str, board: RepoBoard) {
    let before = engine.freshness.of(name);
    let moved = before.as_ref().is_none_or(|b| b.differs(&board));
    engine.freshness.lock().repos.insert(name.to_owned(), board);
    engine.freshness.looked.notify_waiters();
    if !moved {
        return;
    }
    let made = {
        let (engine, site, name) = (engine.clone(), site.clone(), name.to_owned());
        blocking(move || trees::edits(&engine, &site, &name)).await
    };
    match made {
        Ok(edits) => drop(engine.model.publish(edits)),
        Err(e) => tracing::warn!("rows of {name} cannot be made: {e}"),
    }
}

/// A look that takes longer than this has failed: a place may have to give a package list of some ten megabytes.
const PLACE: Duration = Duration::from_secs(600);
