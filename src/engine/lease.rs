//! The leases of consoles that are armed: each belongs to one connection, has a reason, and ends with its time or its connection.
//!
//! Held in memory only: an engine that ends takes every connection with it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use super::guard::{Caller, Lease as Standing};
use super::rows::time;
use crate::api::types::Armed;
use crate::base::clock::Clock;

/// One connection of the socket. Ids are never used twice by one engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection(u64);

impl std::fmt::Display for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What one connection is armed with.
#[derive(Debug, Clone)]
pub struct Lease {
    pub caller: Caller,
    pub reason: String,
    /// Since boot: the wall clock may be set back, and nobody is armed for longer by that.
    ends_us: u64,
    /// The same as people read it.
    until_us: i64,
    given_back: bool,
}

/// Every open connection, with its lease where it ever had one.
#[derive(Debug, Default)]
pub struct Leases {
    inner: Mutex<(u64, BTreeMap<Connection, Option<Lease>>)>,
}

impl Leases {
    fn lock(&self) -> MutexGuard<'_, (u64, BTreeMap<Connection, Option<Lease>>)> {
        match self.inner.lock() {
            Ok(l) => l,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    /// A connection was accepted.
    pub fn open(&self) -> Connection {
        let mut inner = self.lock();
        inner.0 += 1;
        let id = Connection(inner.0);
        inner.1.insert(id, None);
        id
    }

    /// What the guard must know. A connection that was armed once is a console's for ever, whatever its requests say.
    pub fn standing(&self, at: Connection, console: bool, boot_us: u64) -> Standing {
        match self.lock().1.get(&at) {
            Some(Some(l)) if l.given_back => Standing::Lacking("this console has given its lease back"),
            Some(Some(l)) if l.ends_us <= boot_us => Standing::Lacking("the time that this console was armed for is over"),
            Some(Some(_)) => Standing::Held,
            _ if console => Standing::Lacking("this console is not armed"),
            _ => Standing::NotAsked,
        }
    }

    /// Whether this connection is armed now.
    pub fn is_armed(&self, at: Connection, boot_us: u64) -> bool {
        matches!(self.lock().1.get(&at), Some(Some(l)) if l.live(boot_us))
    }

    /// False where the connection is gone: nobody could ever use or end the lease.
    pub fn grant(&self, at: Connection, lease: Lease) -> bool {
        match self.lock().1.get_mut(&at) {
            Some(place) => {
                *place = Some(lease);
                true
            }
            None => false,
        }
    }

    /// The lease that was given back, where there was one.
    pub fn give_back(&self, at: Connection, boot_us: u64) -> Option<Lease> {
        let mut inner = self.lock();
        let lease = inner.1.get_mut(&at)?.as_mut().filter(|l| l.live(boot_us))?;
        lease.given_back = true;
        Some(lease.clone())
    }

    /// The connection is gone, and the lease that it still had with it.
    pub fn close(&self, at: Connection, boot_us: u64) -> Option<Lease> {
        self.lock().1.remove(&at)?.filter(|l| l.live(boot_us))
    }

    /// Who is armed now.
    pub fn armed(&self, boot_us: u64) -> Vec<Armed> {
        self.lock().1.iter().filter_map(|(at, l)| Some(l.as_ref().filter(|l| l.live(boot_us))?.shown(*at))).collect()
    }
}

impl Lease {
    /// For so long, on these clocks.
    pub fn new(caller: Caller, reason: String, length: Duration, clock: &dyn Clock) -> Self {
        let us = u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
        let until_us = clock.now().as_microsecond().saturating_add(i64::try_from(us).unwrap_or(i64::MAX));
        Self { caller, reason, ends_us: clock.boot_us().saturating_add(us), until_us, given_back: false }
    }

    /// RFC 3339, for people.
    pub fn until(&self) -> String {
        time(self.until_us)
    }

    fn live(&self, boot_us: u64) -> bool {
        !self.given_back && self.ends_us > boot_us
    }

    /// As clients are told of it.
    pub fn shown(&self, at: Connection) -> Armed {
        Armed { lease: at.0, who: self.caller.actor.name.clone(), reason: self.reason.clone(), until: self.until() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::ManualClock;
    use crate::domain::actor::Actor;

    fn clock() -> ManualClock {
        ManualClock::new(jiff::Timestamp::UNIX_EPOCH, "b")
    }

    fn lease(us: u64) -> Lease {
        let actor = Actor::person("ann", 1000, Some(1000));
        let caller = Caller { actor, known: true, owner: true, groups: Vec::new() };
        Lease::new(caller, "why".into(), Duration::from_micros(us), &clock())
    }

    #[test]
    fn a_clock_that_is_set_back_arms_nobody_for_longer() {
        let (all, clock) = (Leases::default(), clock());
        clock.set_wall("2026-11-27T12:00:00Z".parse().unwrap());
        let a = all.open();
        let caller = lease(1).caller;
        all.grant(a, Lease::new(caller, "why".into(), Duration::from_secs(900), &clock));
        assert_eq!(all.armed(clock.boot_us())[0].until, "2026-11-27T12:15:00.000Z");
        clock.set_wall("2026-11-27T06:00:00Z".parse().unwrap());
        clock.advance_us(899 * 1_000_000);
        assert_eq!(all.standing(a, true, clock.boot_us()), Standing::Held);
        clock.advance_us(1_000_000);
        assert!(matches!(all.standing(a, true, clock.boot_us()), Standing::Lacking(_)) && !all.is_armed(a, clock.boot_us()));
    }

    #[test]
    fn a_lease_belongs_to_one_connection_and_ends_with_its_time() {
        let all = Leases::default();
        let (a, b) = (all.open(), all.open());
        assert_eq!(all.standing(a, false, 0), Standing::NotAsked, "a command line");
        assert!(matches!(all.standing(a, true, 0), Standing::Lacking(_)));
        assert!(all.grant(a, lease(10)));
        assert_eq!(all.standing(a, true, 9), Standing::Held);
        assert!(matches!(all.standing(b, true, 9), Standing::Lacking(_)), "another connection");
        assert!(matches!(all.standing(a, true, 10), Standing::Lacking(_)), "the time is over");
        assert!(matches!(all.standing(a, false, 10), Standing::Lacking(_)), "once a console, always a console");
        assert_eq!((all.armed(9).len(), all.armed(10).len()), (1, 0));
    }

    #[test]
    fn what_is_given_back_or_closed_is_gone() {
        let all = Leases::default();
        let a = all.open();
        assert!(all.grant(a, lease(10)));
        assert!(all.give_back(a, 5).is_some() && all.give_back(a, 5).is_none());
        assert!(matches!(all.standing(a, true, 5), Standing::Lacking(_)));
        assert!(all.close(a, 5).is_none(), "it was given back before");
        assert!(!all.grant(a, lease(10)), "nobody is there any more");
        assert_eq!(all.standing(a, false, 5), Standing::NotAsked);
    }
}
