//! Arming: granting a lease to one connection of a console, and its end. It has a reason, lasts an hour at most, and never longer than the connection.
//!
//! What a person did with it is in the audit chain: when it began and until when, and that it was given back or ended with its connection.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::blocking::blocking;
use super::entry;
use super::guard::{self, Ask, Caller, Lease as Standing};
use super::lease::{Connection, Lease};
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

/// Grants a lease to this connection, or says why not. A second one replaces the first.
pub async fn arm(engine: &Arc<Engine>, caller: Caller, at: Connection, ask: Arm) -> Result<Armed, ApiError> {
    let reason = sanitise::cell(&ask.reason).trim().to_owned();
    let judged = {
        let (engine, caller, reason) = (engine.clone(), caller.clone(), reason.clone());
        blocking(move || Ok(judge(&engine, &caller, &action::ARM, &reason, ask.seconds))).await?
    };
    if let Err(e) = judged {
        return Err(entry::told(engine, &caller, &action::ARM, "", &reason, e).await);
    }
    let engine = engine.clone();
    // On a task of its own, as every act: the entry and the lease belong together, whatever becomes of the connection.
    let work = tokio::spawn(async move {
        let length = Duration::from_secs(ask.seconds);
        let lease = Lease::new(caller, reason, length, &*engine.clock);
        record(&engine, &action::ARM, &lease, format!("done: until {}", lease.until())).await?;
        if !engine.leases.grant(at, lease.clone()) {
            return Err(ApiError::no_engine("the connection ended while it was being armed", "connect, and arm again"));
        }
        publish(&engine, at, Some(&lease));
        let (timer, armed) = (engine.clone(), lease.shown(at));
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
    let Some(lease) = engine.leases.give_back(at, engine.clock.boot_us()) else {
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
    let Some(lease) = engine.leases.close(at, engine.clock.boot_us()) else { return };
    publish(engine, at, None);
    if let Err(e) = record(engine, &action::DISARM, &lease, "done: its connection ended".into()).await {
        tracing::warn!(who = %lease.caller.actor.name, "the end of a lease could not be recorded: {e}");
    }
}

async fn record(engine: &Engine, action: &Action, lease: &Lease, result: String) -> Result<(), ApiError> {
    let record = entry::record(&lease.caller, action, "console", &lease.reason, result, false);
    engine.store.audit(Note { at_us: engine.now_us(), record, decision: None }).await?;
    Ok(())
}

/// Tells every client.
fn publish(engine: &Engine, at: Connection, lease: Option<&Lease>) {
    let id = at.to_string();
    let row = lease.and_then(|l| match serde_json::to_value(l.shown(at)) {
        Ok(Value::Object(row)) => Some(row),
        _ => None,
    });
    engine.model.publish(vec![match row {
        Some(row) => Edit::Upsert { table: TABLE.into(), id, row },
        None => Edit::Delete { table: TABLE.into(), id },
    }]);
}
