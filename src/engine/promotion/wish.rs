//! What people want of promotions: read out of a request, before anybody judges it.

use indexmap::IndexMap;

use crate::api::ApiError;
use crate::api::types::Do;
use crate::base::sanitise;
use crate::domain::promotion::gate::Gate;
use crate::domain::promotion::{Pending, Promotion, Work, is_name};
use crate::engine::guard::Caller;
use crate::engine::state::Engine;

/// What somebody wants of promotions, once the guard has let it pass.
#[derive(Debug, Clone)]
pub struct Wish {
    /// None: a new one is to be made.
    pub promotion: Option<Promotion>,
    pub os: String,
    /// Of an approval.
    pub side: String,
    /// It stands for all that are needed.
    pub alone: bool,
    pub gate: Option<Gate>,
}

/// Commands of runs that mean a promotion where their target is one.
pub fn translated(request: &Do) -> Option<&'static str> {
    if !is_name(&request.target) {
        return None;
    }
    Some(match request.action.as_str() {
        "approve" => "promote-approve",
        "deny" => "promote-veto",
        "cancel" => "promote-halt",
        "resume" | "retry" => "promote-resume",
        _ => return None,
    })
}

/// What must be typed to confirm it: `promote el9` for a start, else the target.
pub fn confirm_name(engine: &Engine, request: &Do) -> Option<String> {
    if request.action != "promote-start" {
        return None;
    }
    let p = engine.store.promotion(&request.target).ok()??;
    Some(format!("promote {}", p.os))
}

/// The promotion of a name.
pub fn find(engine: &Engine, id: &str) -> Result<Promotion, ApiError> {
    let found = engine.store.promotion(id)?;
    found.ok_or_else(|| ApiError::bad(format!("there is no promotion {}", sanitise::cell(id)), "quarterdeck get promotions"))
}

/// Refuses where the plan is no longer the one that was seen.
pub fn wanted_sha(p: &Promotion, with: &IndexMap<String, String>) -> Result<(), ApiError> {
    let Some(seen) = with.get("sha") else { return Ok(()) };
    if seen.len() >= 8 && p.sha.starts_with(seen.as_str()) {
        return Ok(());
    }
    let shown: String = seen.chars().take(12).collect();
    Err(ApiError::refused(
        format!("the plan of {} is {} now, not {shown}", p.id, p.sha.get(..12).unwrap_or("none")),
        format!("look at it as it is now: quarterdeck why {}", p.id),
    ))
}

/// Work that somebody asks for, with a cause that no other has.
pub fn pending(caller: &Caller, request: &Do, p: &Promotion, what: Work) -> Pending {
    let word = match what {
        Work::Soak => "soak",
        Work::Switch => "switch",
        Work::Undo => "undo",
    };
    let cause = format!("promotion:{}:{word}:{}", p.id, p.version + 1);
    Pending { what, cause, who: caller.actor.clone(), reason: request.reason.clone(), retake: false, round: None }
}
