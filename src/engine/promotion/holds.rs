//! Holds in the engine: made, extended and dropped by people, with an entry each; the rows of `get holds`. What they change of the content is
//! laid over a candidate by its soak, never over a tree in place.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::save::from_stale;
use super::wish::Wish;
use super::{closed as closure, roots};
use crate::action::{Action, Target};
use crate::api::ApiError;
use crate::api::types::{Do, Done};
use crate::base::sanitise;
use crate::config::Site;
use crate::domain::decision::{Detail, Kind as Decided, NewDecision};
use crate::domain::level::Level;
use crate::domain::promotion::Lane;
use crate::domain::promotion::hold::{self, Hold, Kind, Terms};
use crate::engine::asked::ahead;
use crate::engine::blocking::blocking;
use crate::engine::entry;
use crate::engine::guard::Caller;
use crate::engine::rows::{self, Row};
use crate::engine::state::Engine;
use crate::store::{DecisionEdit, HoldSave, Note};

pub const HOLDS: &[&str] = &[
    "hold",
    "kind",
    "os",
    "package",
    "nevra",
    "state",
    "owner",
    "reason",
    "by",
    "made",
    "until",
    "recheck",
    "ended",
    "how",
    "source",
    "promotion",
    "served",
];

/// Rows, newest first. Blocks.
pub fn table(engine: &Engine) -> Result<Vec<Row>, ApiError> {
    let now_us = engine.now_us();
    let row = |h: &Hold| {
        let value = json!({
            "hold": h.id, "kind": h.kind.as_str(), "os": h.os, "package": h.package, "nevra": h.nevra, "state": h.state(now_us).as_str(), "owner": h.owner,
            "reason": h.reason, "by": h.who.name, "made": rows::time(h.made_us), "until": rows::time(h.until_us),
            "recheck": rows::time(h.recheck_us), "ended": rows::time_opt(h.ended_us), "how": h.ended,
            "source": h.source, "promotion": h.promotion, "served": rows::time_opt(h.served_us),
        });
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    };
    Ok(engine.store.holds()?.iter().map(row).collect())
}

/// What speaks against it. Blocks.
pub fn check(engine: &Engine, site: &Site, action: &Action, request: &Do) -> Result<(Wish, Level), ApiError> {
    let wish = |os: &str| Wish { promotion: None, os: os.to_owned(), side: String::new(), alone: false, gate: None };
    if action.target == Target::Os {
        roots::table(site, &request.target)?;
        return Ok((wish(&request.target), action.level));
    }
    let held = find(engine, &request.target)?;
    Ok((wish(&held.os), action.level))
}

fn find(engine: &Engine, number: &str) -> Result<Hold, ApiError> {
    let all = engine.store.holds()?;
    let held = all.into_iter().find(|h| h.id.to_string() == number);
    let held = held.ok_or_else(|| ApiError::bad(format!("there is no hold {}", sanitise::cell(number)), "quarterdeck get holds"))?;
    match held.ended_us {
        None => Ok(held),
        Some(_) => Err(ApiError::refused(format!("hold {} of {} is over: {}", held.id, held.package, held.ended), "make a new one")),
    }
}

/// Carries it out.
pub async fn perform(engine: &Arc<Engine>, caller: &Caller, action: &'static Action, request: &Do) -> Result<Done, ApiError> {
    let now_us = engine.now_us();
    let (mut held, was) = match action.id {
        "hold-add" => {
            let made = new(engine, caller, request)?;
            let (engine, held) = (engine.clone(), made.clone());
            blocking(move || closed(&engine, &held)).await?;
            (made, None)
        }
        _ => {
            let (engine, target) = (engine.clone(), request.target.clone());
            let held = blocking(move || find(&engine, &target)).await?;
            let until = held.until_us;
            (held, Some(until))
        }
    };
    if action.id == "hold-drop" && held.kind == Kind::Oob {
        let how = if held.served_us.is_some() { "promote-rollback" } else { "promote-veto" };
        return Err(ApiError::refused(
            format!("{} belongs to {}, which brings it", held.nevra, held.promotion),
            format!("quarterdeck do {how} {}", held.promotion),
        ));
    }
    match action.id {
        "hold-drop" => {
            held.ended_us = Some(now_us);
            held.ended = format!("dropped by {}: {}", caller.actor.name, request.reason);
        }
        "hold-extend" => {
            held.until_us = ahead(request.with.get("until").map_or("", String::as_str), engine.now_us())?;
            // The rule counts from now: a hold that is looked at may go on, and never for longer than a new one.
            let made_us = if held.kind == Kind::Oob { held.made_us } else { now_us };
            let fresh = Hold { made_us, recheck_us: held.recheck_us.min(held.until_us), ..held.clone() };
            hold::check(&fresh).map_err(unfit)?;
            held.recheck_us = fresh.recheck_us.max(now_us + (held.until_us - now_us) / 2);
        }
        _ => {}
    }
    let subject = format!("hold {} {}", held.os, held.package);
    let decision = match action.id {
        "hold-drop" => DecisionEdit::TakeBack { kind: Decided::Hold, subject: subject.clone() },
        _ => DecisionEdit::Make(Box::new(NewDecision {
            kind: Decided::Hold,
            subject: subject.clone(),
            sha: String::new(),
            who: None,
            why: request.reason.clone(),
            until_us: Some(held.until_us),
            detail: Detail::default(),
        })),
    };
    let record = entry::record(caller, action, &subject, &request.reason, "done".into(), false);
    let note = Note { at_us: now_us, record, decision: Some(decision) };
    let saved = engine.store.save_hold(HoldSave { hold: held, was_until_us: was, note }).await.map_err(from_stale)?;
    // What is open may have to be taken again.
    engine.promotions.wake.notify_one();
    let message = match action.id {
        "hold-extend" if saved.kind == Kind::Oob => format!("{} until {}", saved.nevra, rows::time(saved.until_us)),
        "hold-drop" => format!("hold {} of {} is over: the next candidate has what upstream says", saved.id, saved.package),
        _ => format!(
            "hold {} of {} until {}: the next candidate keeps it as it is served",
            saved.id,
            saved.package,
            rows::time(saved.until_us)
        ),
    };
    Ok(Done { run: None, message, single_person: false })
}

/// Whether the next candidate still installs with it. Blocks.
fn closed(engine: &Engine, held: &Hold) -> Result<(), ApiError> {
    let all = engine.store.holds()?;
    if let Some(old) = all.iter().find(|h| h.kind == held.kind && h.os == held.os && h.package == held.package && h.ended_us.is_none()) {
        let message = format!("{} of {} is held already: hold {}", held.package, held.os, old.id);
        return Err(ApiError::refused(message, format!("quarterdeck do hold-extend {} gives it more time", old.id)));
    }
    let names =
        all.iter().filter(|h| h.kind == Kind::Hold && h.os == held.os && h.holds(held.made_us)).map(|h| h.package.clone()).collect();
    let open = engine.store.promotions()?.into_iter().find(|p| p.os == held.os && p.lane == Lane::Quarter && p.state.is_before_start());
    closure::holds(&*engine.site()?, &held.os, open.as_ref(), false, &names, Some(&held.package))
}

fn unfit(e: hold::Unfit) -> ApiError {
    ApiError::bad(e.to_string(), "quarterdeck actions says what a hold needs")
}

fn text(request: &Do, name: &str) -> String {
    request.with.get(name).map(|t| sanitise::cell(t)).unwrap_or_default()
}

/// What a request says of owner, reason and times. `longest`: how long it lasts where nobody says until when; none = somebody must.
pub fn terms(engine: &Engine, caller: &Caller, request: &Do, longest: Option<i64>) -> Result<Terms, ApiError> {
    let (now_us, until, recheck, owner) = (engine.now_us(), text(request, "until"), text(request, "recheck"), text(request, "owner"));
    let until_us = match longest.filter(|_| until.is_empty()) {
        Some(longest) => now_us + longest,
        None => ahead(&until, now_us)?,
    };
    Ok(Terms {
        os: request.target.clone(),
        owner: if owner.is_empty() { caller.actor.name.clone() } else { owner },
        reason: request.reason.clone(),
        who: caller.actor.clone(),
        made_us: now_us,
        until_us,
        recheck_us: if recheck.is_empty() { now_us + (until_us - now_us) / 2 } else { ahead(&recheck, now_us)? },
    })
}

fn new(engine: &Arc<Engine>, caller: &Caller, request: &Do) -> Result<Hold, ApiError> {
    let made = Hold::new(Kind::Hold, text(request, "package"), terms(engine, caller, request, None)?);
    hold::check(&made).map_err(unfit)?;
    Ok(made)
}
