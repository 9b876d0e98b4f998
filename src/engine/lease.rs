//! Arming: a lease that one connection of a console holds. It has a reason, lasts an hour at most, and never longer than the connection.
//!
//! Held in memory only: an engine that ends takes every connection with it. What a person did with it is in the audit chain: when it began and
//! until when, and that it was given back or ended with its connection.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;

use super::act;
use super::blocking::blocking;
use super::guard::{self, Ask, Caller, Lease as Standing};
use super::model::Edit;
use super::state::Engine;
use crate::action::{self, Action};
use crate::api::ApiError;
use crate::api::types::{Arm, Armed, Done};
use crate::base::sanitise;
use crate::domain::level::Level;
use crate::store::Note;

/// No lease lasts longer.
pub const LONGEST: Duration = Duration::from_secs(60 * 60);
const MAX_REASON: usize = 1_000;
/// The table of the event stream whose rows are leases.
const TABLE: &str = "armed";

/// One connection of the socket. Ids are never used twice by one engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection(u64);

#[derive(Debug, Clone)]
struct Lease {
    caller: Caller,
    reason: String,
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
    pub fn standing(&self, at: Connection, console: bool, now_us: i64) -> Standing {
        match self.lock().1.get(&at) {
            Some(Some(l)) if l.given_back => Standing::Lacking("this console has given its lease back"),
            Some(Some(l)) if l.until_us <= now_us => Standing::Lacking("the time that this console was armed for is over"),
            Some(Some(_)) => Standing::Held,
            _ if console => Standing::Lacking("this console is not armed"),
            _ => Standing::NotAsked,
        }
    }

    /// Whether this connection is armed now.
    pub fn is_armed(&self, at: Connection, now_us: i64) -> bool {
        matches!(self.lock().1.get(&at), Some(Some(l)) if l.live(now_us))
    }

    /// False where the connection is gone: nobody could ever use or end the lease.
    fn grant(&self, at: Connection, lease: Lease) -> bool {
        match self.lock().1.get_mut(&at) {
            Some(place) => {
                *place = Some(lease);
                true
            }
            None => false,
        }
    }

    /// The lease that was given back, where there was one.
    fn give_back(&self, at: Connection, now_us: i64) -> Option<Lease> {
        let mut inner = self.lock();
        let lease = inner.1.get_mut(&at)?.as_mut().filter(|l| l.live(now_us))?;
        lease.given_back = true;
        Some(lease.clone())
    }

    /// The connection is gone, and the lease that it still had with it.
    fn close(&self, at: Connection, now_us: i64) -> Option<Lease> {
        self.lock().1.remove(&at)?.filter(|l| l.live(now_us))
    }

    /// Who is armed now.
    pub fn armed(&self, now_us: i64) -> Vec<Armed> {
        self.lock().1.iter().filter_map(|(at, l)| Some(shown(*at, l.as_ref().filter(|l| l.live(now_us))?))).collect()
    }
}

impl Lease {
    fn live(&self, now_us: i64) -> bool {
        !self.given_back && self.until_us > now_us
    }
}

fn shown(at: Connection, lease: &Lease) -> Armed {
    Armed { lease: at.0, who: lease.caller.actor.name.clone(), reason: lease.reason.clone(), until: super::rows::time(lease.until_us) }
}

/// Grants a lease to this connection, or says why not. A second one replaces the first.
pub async fn arm(engine: &Arc<Engine>, caller: Caller, at: Connection, ask: Arm) -> Result<Armed, ApiError> {
    let reason = sanitise::cell(&ask.reason).trim().to_owned();
    let judged = {
        let (engine, caller, reason) = (engine.clone(), caller.clone(), reason.clone());
        blocking(move || Ok(judge(&engine, &caller, &action::ARM, &reason, ask.seconds))).await?
    };
    if let Err(e) = judged {
        return Err(act::told(engine, &caller, &action::ARM, "", &reason, e).await);
    }
    let engine = engine.clone();
    // On a task of its own, as every act: the entry and the lease belong together, whatever becomes of the connection.
    let work = tokio::spawn(async move {
        let now = engine.now_us();
        let length = Duration::from_secs(ask.seconds);
        let until_us = now.saturating_add(i64::try_from(length.as_micros()).unwrap_or(i64::MAX));
        let lease = Lease { caller, reason, until_us, given_back: false };
        record(&engine, &action::ARM, &lease, format!("done: until {}", super::rows::time(until_us))).await?;
        if !engine.leases.grant(at, lease.clone()) {
            return Err(ApiError::no_engine("the connection ended while it was being armed", "connect, and arm again"));
        }
        publish(&engine, at, Some(&lease));
        let (timer, armed) = (engine.clone(), shown(at, &lease));
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(length) => publish(&timer, at, None),
                () = timer.stopped() => {}
            }
        });
        Ok(armed)
    });
    work.await.unwrap_or_else(|e| Err(ApiError::failed(format!("the request ended in the middle: {e}"), "look at the engine's log")))
}

fn judge(engine: &Engine, caller: &Caller, action: &'static Action, reason: &str, seconds: u64) -> Result<(), ApiError> {
    let site = engine.site()?;
    let ask = Ask { action, subject: "console", reason, confirm: None, lease: Standing::NotAsked };
    guard::decide(engine.ground(&site), caller, &ask, || {
        if reason.is_empty() {
            return Err(ApiError::refused("arming needs a reason", ":arm 15m REASON"));
        }
        if reason.len() > MAX_REASON {
            return Err(ApiError::bad(format!("the reason is longer than {MAX_REASON} bytes"), "say it shorter"));
        }
        if seconds == 0 || seconds > LONGEST.as_secs() {
            let most = LONGEST.as_secs() / 60;
            return Err(ApiError::refused(
                format!("a console is armed for 1 s to {most} min"),
                ":arm 15m REASON; arm again when it is over",
            ));
        }
        Ok(Level::L1)
    })
    .map(drop)
}

/// Gives the lease of this connection back.
pub async fn disarm(engine: &Arc<Engine>, at: Connection) -> Result<Done, ApiError> {
    let Some(lease) = engine.leases.give_back(at, engine.now_us()) else {
        return Err(ApiError::refused("this connection is not armed", "nothing to do"));
    };
    publish(engine, at, None);
    let engine = engine.clone();
    let work = tokio::spawn(async move { record(&engine, &action::DISARM, &lease, "done".into()).await });
    work.await.unwrap_or_else(|e| Err(ApiError::failed(format!("the request ended in the middle: {e}"), "look at the engine's log")))?;
    Ok(Done { run: None, message: "read-only again".into(), single_person: false })
}

/// The connection has ended: so has its lease.
pub async fn closed(engine: &Engine, at: Connection) {
    let Some(lease) = engine.leases.close(at, engine.now_us()) else { return };
    publish(engine, at, None);
    if let Err(e) = record(engine, &action::DISARM, &lease, "done: its connection ended".into()).await {
        tracing::warn!(who = %lease.caller.actor.name, "the end of a lease could not be recorded: {e}");
    }
}

async fn record(engine: &Engine, action: &Action, lease: &Lease, result: String) -> Result<(), ApiError> {
    let record = act::record(&lease.caller, action, "console", &lease.reason, result, false);
    engine.store.audit(Note { at_us: engine.now_us(), record, decision: None }).await?;
    Ok(())
}

/// Tells every client.
fn publish(engine: &Engine, at: Connection, lease: Option<&Lease>) {
    let id = at.0.to_string();
    let row = lease.and_then(|l| match serde_json::to_value(shown(at, l)) {
        Ok(Value::Object(row)) => Some(row),
        _ => None,
    });
    engine.model.publish(vec![match row {
        Some(row) => Edit::Upsert { table: TABLE.into(), id, row },
        None => Edit::Delete { table: TABLE.into(), id },
    }]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::actor::Actor;

    fn lease(until_us: i64) -> Lease {
        let actor = Actor::person("ann", 1000, Some(1000));
        let caller = Caller { actor, known: true, owner: true, groups: Vec::new() };
        Lease { caller, reason: "why".into(), until_us, given_back: false }
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
