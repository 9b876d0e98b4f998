//! What is known of every repository that is looked at, and what is to be looked at next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

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
    hanging: Mutex<BTreeMap<String, Hanging>>,
}

/// A directory that did not answer, and the mark of the questions that have not come back.
struct Hanging {
    since_us: i64,
    under_way: Weak<()>,
}

#[derive(Default)]
struct Inner {
    repos: BTreeMap<String, RepoBoard>,
    /// Asked for out of turn.
    marked: BTreeSet<String>,
    swept_us: i64,
    /// By how much the wall clock was ahead of the time since boot.
    ahead_us: Option<i64>,
}

impl Freshness {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        match self.inner.lock() {
            Ok(l) => l,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    /// Since when a directory hangs; none once its questions came back. While it does, it is not asked again: each asking would cost a thread.
    pub fn hangs(&self, at: &str) -> Option<i64> {
        let mut hanging = self.hanging.lock().unwrap_or_else(PoisonError::into_inner);
        hanging.retain(|_, h| h.under_way.strong_count() > 0);
        hanging.get(at).map(|h| h.since_us)
    }

    pub fn mark_hanging(&self, at: &str, since_us: i64, under_way: Weak<()>) {
        self.hanging.lock().unwrap_or_else(PoisonError::into_inner).insert(at.to_owned(), Hanging { since_us, under_way });
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

    /// Takes in what the clocks say. Looks are planned and their ages told by the wall clock, which may be set in between, by hours.
    pub fn clocks(&self, wall_us: i64, boot_us: u64) {
        let mut inner = self.lock();
        let ahead_us = wall_us.saturating_sub(i64::try_from(boot_us).unwrap_or(i64::MAX));
        let by_us = ahead_us - inner.ahead_us.replace(ahead_us).unwrap_or(ahead_us);
        inner.swept_us = inner.swept_us.min(wall_us);
        inner.repos.values_mut().for_each(|b| b.by_the_clock(wall_us, by_us));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::{Clock, ManualClock};

    #[test]
    fn a_clock_that_steps_back_stops_no_look() {
        let clock = ManualClock::new("2026-11-27T12:00:00Z".parse().unwrap(), "b");
        let fresh = Freshness::default();
        let now = || clock.now().as_microsecond();
        let due = || {
            fresh.clocks(now(), clock.boot_us());
            fresh.due(now()).0
        };
        let mut board = RepoBoard::default();
        board.plan(now());
        fresh.remember(vec![("base9".into(), board)]);
        assert!(due().is_empty());
        clock.set_wall("2026-11-27T06:00:00Z".parse().unwrap());
        // Somebody asks, and would have had to wait for six hours.
        fresh.look(Some("base9"));
        clock.advance_us(2 * ASKED_US);
        assert_eq!(due(), [("base9".to_owned(), true)]);
        // The next look comes as it always does.
        let mut board = fresh.of("base9").unwrap();
        board.plan(now());
        fresh.settle("base9", board);
        clock.set_wall("2026-11-27T01:00:00Z".parse().unwrap());
        assert!(due().is_empty());
        clock.advance_us(400 * 1_000_000);
        assert_eq!(due(), [("base9".to_owned(), false)]);
    }
}
