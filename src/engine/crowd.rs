//! Who is in when the engine is full: a newcomer gets the place of the client that has been silent longest and holds nothing. Clients that are
//! being served, and consoles that are armed, are never sent away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::lease::Connection;

/// What one connection is at: kept by the connection itself, read by the crowd.
#[derive(Debug)]
pub struct Pulse {
    inner: Mutex<(bool, Instant)>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { inner: Mutex::new((false, Instant::now())) }
    }
}

impl Pulse {
    fn lock(&self) -> MutexGuard<'_, (bool, Instant)> {
        match self.inner.lock() {
            Ok(p) => p,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    /// A request is being served until its answer is written, or is not any more.
    pub fn serving(&self, on: bool) {
        *self.lock() = (on, Instant::now());
    }

    pub fn is_serving(&self) -> bool {
        self.lock().0
    }

    fn silent_since(&self) -> Option<Instant> {
        let (serving, since) = *self.lock();
        (!serving).then_some(since)
    }
}

#[derive(Debug)]
struct Member {
    pulse: Arc<Pulse>,
    leave: Arc<Notify>,
}

/// The connections that count.
#[derive(Debug)]
pub struct Crowd {
    most: usize,
    members: Mutex<BTreeMap<Connection, Member>>,
}

impl Crowd {
    pub fn new(most: usize) -> Self {
        Self { most, members: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Connection, Member>> {
        match self.members.lock() {
            Ok(m) => m,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    /// Room for one more, made where there is none; false where everybody who is in has a reason to be. `stays`: who holds something.
    pub fn has_room(&self, stays: impl Fn(Connection) -> bool) -> bool {
        self.lock().len() < self.most || self.send_away(stays)
    }

    /// Asks the one that was silent longest to leave; it does not count from now on. False where there is none.
    pub fn send_away(&self, stays: impl Fn(Connection) -> bool) -> bool {
        let mut members = self.lock();
        let silent = members.iter().filter_map(|(at, m)| Some((m.pulse.silent_since()?, *at))).filter(|(_, at)| !stays(*at));
        let Some((_, at)) = silent.min() else { return false };
        if let Some(gone) = members.remove(&at) {
            gone.leave.notify_one();
        }
        true
    }

    /// A newcomer is in. It ends when the answer is notified.
    pub fn enter(&self, at: Connection, pulse: Arc<Pulse>) -> Arc<Notify> {
        let leave = Arc::new(Notify::new());
        self.lock().insert(at, Member { pulse, leave: leave.clone() });
        leave
    }

    /// It went by itself, or was sent away.
    pub fn left(&self, at: Connection) {
        self.lock().remove(&at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::lease::Leases;

    #[test]
    fn the_longest_silent_one_that_holds_nothing_gives_way() {
        let (crowd, leases) = (Crowd::new(4), Leases::default());
        let ids: Vec<Connection> = (0..4).map(|_| leases.open()).collect();
        let pulses: Vec<Arc<Pulse>> = ids.iter().map(|_| Arc::new(Pulse::default())).collect();
        let leaves: Vec<Arc<Notify>> = ids.iter().zip(&pulses).map(|(at, p)| crowd.enter(*at, p.clone())).collect();
        let asked = |n: usize| {
            use futures_util::FutureExt;
            leaves[n].notified().now_or_never().is_some()
        };
        // The first is served, the second is armed, the third has just been answered.
        pulses[0].serving(true);
        pulses[2].serving(true);
        pulses[2].serving(false);
        let armed = |at: Connection| at == ids[1];
        assert!(crowd.has_room(armed) && asked(3) && !asked(2));
        // Three are in: nobody else is disturbed before it is full again.
        assert!(crowd.has_room(armed) && !asked(2));
        let newcomer = leases.open();
        crowd.enter(newcomer, Arc::new(Pulse::default())).notify_one();
        assert!(crowd.has_room(armed) && asked(2));
        crowd.left(newcomer);
        // A full house of people who are all at work.
        for _ in 0..2 {
            let pulse = Arc::new(Pulse::default());
            pulse.serving(true);
            crowd.enter(leases.open(), pulse);
        }
        assert!(!crowd.has_room(armed) && !asked(0) && !asked(1));
        crowd.left(ids[0]);
        assert!(crowd.has_room(armed));
    }
}
