//! What is known of every repository that is looked at, and what is to be looked at next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::board::RepoBoard;
use crate::systems::repo::probe::Meter;

/// What is due so soon after a sweep is swept along with it: one wake-up instead of two.
const GATHER_US: i64 = 30 * 1_000_000;
/// Two looks that people ask for are so far apart at least.
const ASKED_US: i64 = 1_000_000;

/// What is known, and what was asked of far ends so far.
#[derive(Default)]
pub struct Freshness {
    inner: Mutex<Inner>,
    /// Somebody asks for a look.
    pub wake: Notify,
    /// Told after every look at a repository.
    pub looked: Notify,
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

    /// Forgets all but these; those of them that nothing is known of.
    pub fn keep(&self, wanted: &BTreeSet<String>) -> Vec<String> {
        let mut inner = self.lock();
        inner.repos.retain(|name, _| wanted.contains(name));
        inner.marked.retain(|name| wanted.contains(name));
        wanted.iter().filter(|n| !inner.repos.contains_key(*n)).cloned().collect()
    }

    pub fn remember(&self, boards: Vec<(String, RepoBoard)>) {
        self.lock().repos.extend(boards);
    }

    /// Takes the outcome of a look in; whether it differs from what was known.
    pub fn settle(&self, name: &str, board: RepoBoard) -> bool {
        let mut inner = self.lock();
        let moved = inner.repos.get(name).is_none_or(|b| b.differs(&board));
        inner.repos.insert(name.to_owned(), board);
        drop(inner);
        self.looked.notify_waiters();
        moved
    }

    /// What is due now, with whether it was asked for; and when something will be next.
    pub fn due(&self, now: i64) -> (Vec<(String, bool)>, Option<i64>) {
        let mut inner = self.lock();
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
}
