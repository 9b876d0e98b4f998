//! Whether what somebody wants of a promotion may be done as it is now, and by them; the guard asks.

use super::wish::{Wish, find, wanted_sha};
use super::{holds, roots};
use crate::action::Action;
use crate::api::ApiError;
use crate::api::types::Do;
use crate::config::Site;
use crate::domain::level::Level;
use crate::domain::promotion::gate::Gate;
use crate::domain::promotion::state::{Act, next};
use crate::domain::promotion::{Lane, Promotion, SIDES, roles_of};
use crate::engine::guard::{self, Caller};
use crate::engine::state::Engine;

/// What speaks against it, and the level that it has. Blocks.
pub fn check(engine: &Engine, site: &Site, caller: &Caller, action: &Action, request: &Do) -> Result<(Wish, Level), ApiError> {
    if action.id.starts_with("hold-") {
        return holds::check(engine, site, action, request);
    }
    let mut wish = Wish { promotion: None, os: request.target.clone(), side: String::new(), alone: false, gate: None };
    if matches!(action.id, "promote" | "oob-add") {
        roots::table(site, &request.target)?;
        let lane = if action.id == "oob-add" { Lane::Oob } else { Lane::Quarter };
        let all = engine.store.promotions()?;
        let open = all.into_iter().find(|p| p.os == request.target && p.lane == lane && !p.state.is_over());
        if let Some(open) = open {
            let what = if lane == Lane::Oob { "one addition" } else { "one" };
            let help = format!("{what} of each OS major at a time: quarterdeck why {}", open.id);
            return Err(ApiError::refused(format!("{} of {} is open: {}", open.id, open.os, open.state), help));
        }
        return Ok((wish, action.level));
    }
    let p = find(engine, &request.target)?;
    let refused = |e: crate::domain::promotion::state::Refusal| {
        ApiError::refused(format!("{}: {}: {e}", action.title, p.id), format!("look: quarterdeck why {}", p.id))
    };
    let act = match action.id {
        "promote-soak" => Some(Act::Pin),
        "promote-start" => Some(Act::Start),
        "promote-halt" => Some(Act::Halt),
        "promote-resume" => Some(Act::Resume),
        "promote-rollback" => Some(Act::RollBack),
        "promote-veto" => Some(Act::Veto),
        _ => None,
    };
    // A way back that is on its way is halted like what it takes back; its promotion stays what it is.
    let back = action.id == "promote-halt" && p.is_going_back();
    if let Some(act) = act.filter(|_| !back) {
        next(p.state, act, p.halted_in).map_err(refused)?;
    }
    if action.id != "promote-halt"
        && let Some(run) = p.watching.as_ref().map(|(_, r)| r.clone()).or_else(|| p.pending.as_ref().map(|p| p.cause.clone()))
    {
        return Err(ApiError::refused(
            format!("{}: {run} is at work for {}", action.title, p.id),
            format!("what it waits for: quarterdeck why {}", p.id),
        ));
    }
    match action.id {
        "promote-approve" => side(engine, site, caller, &p, request, &mut wish)?,
        "promote-waive" => waiver(engine, site, caller, &p, request, &mut wish)?,
        "promote-veto" => {
            if request.reason.trim().is_empty() {
                return Err(ApiError::bad("a veto says why", "--reason TEXT"));
            }
            let roles: Vec<String> = SIDES.iter().flat_map(|s| roles_of(s)).map(|r| (*r).to_owned()).collect();
            guard::may_decide(engine.ground(site), caller, &roles, &p.id)?;
        }
        "promote-rollback" if p.before.is_empty() => {
            return Err(ApiError::refused(
                format!("{} has moved nothing: there is nothing to take back", p.id),
                "quarterdeck do promote-veto ends it",
            ));
        }
        "promote-rollback" => newest(engine, &p)?,
        _ => {}
    }
    wish.os.clone_from(&p.os);
    wish.promotion = Some(p);
    Ok((wish, action.level))
}

/// Only the newest that moved anything is taken back: an older one's way back is not what is served before it any more.
fn newest(engine: &Engine, p: &Promotion) -> Result<(), ApiError> {
    let all = engine.store.promotions()?;
    let after = |o: &&Promotion| match o.started_us {
        Some(started) => o.has_switched() && started > p.started_us.unwrap_or(p.created_us),
        // Of another lane, what has not begun rests on nothing that moves here.
        None => o.lane == p.lane && o.created_us > p.created_us && (!o.state.is_over() || o.has_switched()),
    };
    match all.iter().find(|o| o.os == p.os && o.id != p.id && after(o)) {
        None => Ok(()),
        Some(newer) => Err(ApiError::refused(
            format!("{} came after {}, and is {}", newer.id, p.id, newer.state),
            format!("end or roll back {} first", newer.id),
        )),
    }
}

/// The side that a caller approves for, and whether they may.
fn side(engine: &Engine, site: &Site, caller: &Caller, p: &Promotion, request: &Do, wish: &mut Wish) -> Result<(), ApiError> {
    use crate::domain::promotion::state::State;
    if p.state != State::Ready {
        let what =
            if p.state == State::Approved { "it is approved already" } else { "only what is READY, with every gate passed, is approved" };
        return Err(ApiError::refused(format!("{} is {}: {what}", p.id, p.state), format!("quarterdeck why {}", p.id)));
    }
    wanted_sha(p, &request.with)?;
    let ground = engine.ground(site);
    let own: Vec<&str> =
        SIDES.into_iter().filter(|s| ground.private || roles_of(s).iter().any(|r| guard::has_role(site, caller, r))).collect();
    let missing = p.missing(&p.sha, engine.now_us());
    let side = match request.with.get("side") {
        Some(s) => SIDES
            .into_iter()
            .find(|k| k == s)
            .ok_or_else(|| ApiError::bad(format!("no side `{}`", crate::base::sanitise::cell(s)), "side=ops or side=security"))?,
        None => match own.iter().filter(|s| missing.contains(s)).copied().collect::<Vec<_>>().as_slice() {
            [one] => one,
            [] => own.first().copied().unwrap_or("ops"),
            [first, ..] if ground.private => first,
            several => {
                return Err(ApiError::bad(format!("you may approve {} for {}", p.id, several.join(" and ")), "say for which: -p side=ops"));
            }
        },
    };
    let roles: Vec<String> = roles_of(side).iter().map(|r| (*r).to_owned()).collect();
    guard::may_decide(ground, caller, &roles, &p.id)?;
    wish.alone = guard::alone(ground, caller, true, &p.id)?;
    if !wish.alone {
        let given: Vec<_> = p.given(&p.sha, engine.now_us()).collect();
        if given.iter().any(|a| a.side == side) {
            return Err(ApiError::refused(format!("{side} has approved {} already", p.id), "nothing to do"));
        }
        crate::domain::person::counts(&caller.actor, None, given.iter().map(|a| &a.who))
            .map_err(|e| ApiError::refused(format!("{}: {e}", p.id), "somebody else must approve for this side"))?;
        // Both would be the author's own, or nobody's but theirs: the second must be another person.
        let author = crate::domain::person::shared(&caller.actor, &p.author).is_some();
        if author && given.iter().any(|a| crate::domain::person::shared(&a.who, &p.author).is_some()) {
            return Err(ApiError::refused(
                format!("{}: at least one approval must not be the author's", p.id),
                "somebody else must approve",
            ));
        }
    }
    wish.side = side.to_owned();
    Ok(())
}

fn waiver(engine: &Engine, site: &Site, caller: &Caller, p: &Promotion, request: &Do, wish: &mut Wish) -> Result<(), ApiError> {
    let text = request.with.get("gate").map(String::as_str).unwrap_or_default();
    let gate: Gate =
        text.parse().map_err(|()| ApiError::bad(format!("no gate `{}`", crate::base::sanitise::cell(text)), "--with gate=G1 to G10"))?;
    if !p.state.is_before_start() {
        return Err(ApiError::refused(format!("{} is {}: gates are waived before its start", p.id, p.state), ""));
    }
    let ground = engine.ground(site);
    let open = p.waivers.iter().rev().find(|w| w.gate == gate && w.second.is_none() && !w.single_person);
    match open {
        // The second word may be anybody's who may approve at all, but not the same person's.
        Some(first) => {
            let roles: Vec<String> = SIDES.iter().flat_map(|s| roles_of(s)).map(|r| (*r).to_owned()).collect();
            guard::may_decide(ground, caller, &roles, &format!("{} {gate}", p.id))?;
            if !ground.private {
                crate::domain::person::counts(&caller.actor, None, [&first.who])
                    .map_err(|e| ApiError::refused(format!("{} {gate}: {e}", p.id), "a second person must say the same"))?;
            }
        }
        None => guard::may_decide(ground, caller, &[gate.owner().to_owned()], &format!("{} {gate}", p.id))?,
    }
    wish.alone = guard::alone(ground, caller, true, &format!("{} {gate}", p.id))?;
    wish.gate = Some(gate);
    Ok(())
}
