//! What the scheduler shows of itself: its last look, what is due next, what is wrong. Others read it; only the scheduler writes it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use tokio::sync::Notify;

use super::calendars::Calendars;

/// `(pipeline, trigger)`.
pub type Key = (String, String);

/// What the ledger calls a reference of a git repository.
pub fn git_key(url: &str, reference: &str) -> String {
    format!("git {reference} of {url}")
}

/// What is known of one trigger beside its file and the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// When it is due next; none for what no clock fires.
    pub next_us: Option<i64>,
    /// What keeps it, or went wrong, now: a repository that does not answer, a start that is held.
    pub detail: String,
}

/// The state of the scheduler as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The end of the last look.
    pub beat_us: Option<i64>,
    /// Why this engine fires nothing.
    pub off: Option<String>,
    /// What stops the looks now: a broken site file, a full disk.
    pub trouble: Option<String>,
    /// The watch found that it does not look any more.
    pub dead: Option<String>,
    pub seen: BTreeMap<Key, Seen>,
}

impl State {
    /// In a few words, for `engine status`.
    pub fn words(&self) -> String {
        match (&self.off, &self.dead, &self.trouble) {
            (Some(why), _, _) => format!("off: {why}"),
            (None, Some(why), _) => format!("dead: {why}"),
            (None, None, Some(why)) => format!("waits: {why}"),
            _ => "on".to_owned(),
        }
    }

    pub fn next_us(&self) -> Option<i64> {
        self.seen.values().filter_map(|s| s.next_us).min()
    }
}

#[derive(Default)]
pub struct Board {
    state: Mutex<State>,
    pub calendars: Calendars,
    /// Rung after each look.
    pub looked: Notify,
}

impl Board {
    pub fn state(&self) -> State {
        self.lock().clone()
    }

    pub fn change(&self, edit: impl FnOnce(&mut State)) {
        edit(&mut self.lock());
        self.looked.notify_waiters();
    }

    /// As `change`, for the watch itself: nobody is woken.
    pub fn state_only(&self, edit: impl FnOnce(&mut State)) {
        edit(&mut self.lock());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        match self.state.lock() {
            Ok(s) => s,
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}
