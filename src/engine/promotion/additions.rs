//! The additions of the security lane while they last: what they are laid over, and what ends them: their promotion, its way back, or the next one.

use std::sync::Arc;

use super::roots::Dc;
use crate::api::ApiError;
use crate::domain::promotion::gate::LANE_SKIPS;
use crate::domain::promotion::hold::{Hold, Kind};
use crate::domain::promotion::plan::{Fate, Plan};
use crate::domain::promotion::state::State;
use crate::domain::promotion::{Lane, Promotion, Taken};
use crate::engine::blocking::blocking;
use crate::engine::rows;
use crate::engine::state::Engine;

/// What a datacentre serves now: what an addition is laid over.
pub fn base(dc: &Dc) -> Option<Taken> {
    let id = dc.led.snapshot()?;
    let m = dc.snapshots.get(id)?;
    Some(Taken { dc: dc.name.clone(), base: m.id.clone(), base_fp: m.fp.clone(), id: m.id.clone(), fp: m.fp.clone() })
}

/// Every hold and addition of the site. The engine has one thread, and a reader of the store may have to wait for another.
pub async fn holds(engine: &Arc<Engine>) -> Result<Vec<Hold>, ApiError> {
    let engine = engine.clone();
    blocking(move || Ok(engine.store.holds()?)).await
}

/// Those that a promotion of the security lane brings.
fn own(all: Vec<Hold>, p: &Promotion) -> impl Iterator<Item = Hold> {
    all.into_iter().filter(|h| p.lane == Lane::Oob && h.kind == Kind::Oob && h.promotion == p.id)
}

/// Every addition of it has ended before anything was served.
pub async fn is_over(engine: &Arc<Engine>, p: &Promotion) -> Result<bool, ApiError> {
    let now_us = engine.now_us();
    Ok(!own(holds(engine).await?, p).any(|h| h.holds(now_us)))
}

/// Its additions, ended.
pub async fn ended(engine: &Arc<Engine>, p: &Promotion, how: &str) -> Result<Vec<Hold>, ApiError> {
    let now_us = engine.now_us();
    let open = own(holds(engine).await?, p).filter(|h| h.ended_us.is_none());
    Ok(open.map(|h| Hold { ended_us: Some(now_us), ended: how.to_owned(), ..h }).collect())
}

/// What a step forward means for additions: those of the lane are served, and those that were served end with the promotion that closes.
pub async fn moved_on(engine: &Arc<Engine>, before: &Promotion, p: &mut Promotion) -> Result<Vec<Hold>, ApiError> {
    let now_us = engine.now_us();
    if p.lane == Lane::Oob && before.state == State::Switching && matches!(p.state, State::Imaging | State::Waving | State::Closed) {
        let open = own(holds(engine).await?, p).filter(|h| h.ended_us.is_none());
        return Ok(open.map(|h| Hold { served_us: Some(now_us), ..h }).collect());
    }
    if p.lane == Lane::Quarter && before.state != State::Closed && p.state == State::Closed {
        let (held, id) = (engine.clone(), p.id.clone());
        let (plans, all) = blocking(move || Ok((held.store.promotion_plans(&id)?, held.store.holds()?))).await?;
        let agreed = plans.iter().rev().find(|r| r.sha == p.sha).and_then(|r| serde_json::from_str::<Plan>(&r.json).ok());
        let mut out = Vec::new();
        for a in agreed.iter().flat_map(|plan| &plan.additions) {
            let how = fate(a.fate, &p.id, &a.by);
            out.extend(all.iter().filter(|h| h.id == a.id && h.ended_us.is_none()).map(|h| Hold {
                ended_us: Some(now_us),
                ended: how.clone(),
                ..h.clone()
            }));
            p.note("engine", format!("{}: {how}", a.nevra), now_us);
        }
        return Ok(out);
    }
    Ok(Vec::new())
}

fn fate(fate: Fate, id: &str, by: &str) -> String {
    match (fate, by) {
        (Fate::Absorbed, by) => format!("absorbed by {id}: {by}"),
        (Fate::Dropped, "") => format!("dropped by {id}, which has nothing by that name"),
        (Fate::Dropped, by) => format!("dropped by {id}: it has {by}"),
        (Fate::Unknown, _) => format!("ended by {id}"),
    }
}

/// What a way back means for additions: those of the lane are out, and those that its closing ended are served again.
pub async fn taken_back(engine: &Arc<Engine>, p: &Promotion) -> Result<Vec<Hold>, ApiError> {
    if p.lane == Lane::Oob {
        return ended(engine, p, &format!("taken out by the way back of {}", p.id)).await;
    }
    let by = [format!("absorbed by {}:", p.id), format!("dropped by {}", p.id), format!("ended by {}", p.id)];
    let ours = holds(engine)
        .await?
        .into_iter()
        .filter(|h| h.kind == Kind::Oob && h.os == p.os && by.iter().any(|b| h.ended.starts_with(b.as_str())));
    Ok(ours.map(|h| Hold { ended_us: None, ended: String::new(), ..h }).collect())
}

/// Sentences for `why`: what it adds and skips, and what becomes of what others have added. Blocks.
pub fn why(engine: &Engine, p: &Promotion) -> Result<Vec<String>, ApiError> {
    let now_us = engine.now_us();
    let mut out: Vec<String> = own(engine.store.holds()?, p)
        .map(|h| {
            let how = match (&h.ended_us, h.served_us) {
                (Some(_), _) => h.ended.clone(),
                (None, Some(_)) if !h.holds(now_us) => "served; its 48 h are over: the next promotion absorbs it or drops it".to_owned(),
                (None, Some(_)) => "served; the next promotion absorbs it or drops it".to_owned(),
                (None, None) => "not served yet".to_owned(),
            };
            format!("adds {} ({}, until {}): {how}", h.nevra, h.owner, rows::time(h.until_us))
        })
        .collect();
    if p.lane == Lane::Oob {
        let skipped: Vec<String> = LANE_SKIPS.iter().map(|g| format!("{g} {}", g.title())).collect();
        out.push(format!("the security lane skips {}", skipped.join("; ")));
    }
    if p.lane == Lane::Quarter && !p.state.is_over() {
        let plans = engine.store.promotion_plans(&p.id)?;
        let plan = plans.last().and_then(|r| serde_json::from_str::<Plan>(&r.json).ok());
        for a in plan.iter().flat_map(|p| &p.additions) {
            let by = match (a.fate, a.by.as_str()) {
                (Fate::Unknown, _) => "what the candidate has nobody knows yet".to_owned(),
                (_, "") => "the candidate has nothing by that name".to_owned(),
                (_, by) => format!("the candidate has {by}"),
            };
            out.push(format!("{} of {} is served: {} ({by})", a.nevra, a.promotion, a.fate.as_str()));
        }
    }
    Ok(out)
}
