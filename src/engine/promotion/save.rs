//! What the engine does to a promotion by itself: looks at its plan again, writes it with its entries, and votes where only the engine decides.

use std::sync::Arc;

use indexmap::IndexMap;

use super::compute::{Computed, compute, moved};
use super::doc;
use crate::api::ApiError;
use crate::base::crash;
use crate::config::Site;
use crate::domain::actor::Actor;
use crate::domain::audit::Record;
use crate::domain::promotion::Promotion;
use crate::domain::run::RunRef;
use crate::engine::blocking::blocking;
use crate::engine::state::Engine;
use crate::runner::model::approval::Vote;
use crate::store::{Note, Save, StoreError};

pub async fn site_of(engine: &Arc<Engine>) -> Result<Arc<Site>, ApiError> {
    let engine = engine.clone();
    blocking(move || engine.site()).await
}

/// The plan as it is now.
pub async fn look_again(engine: &Arc<Engine>, p: &Promotion) -> Result<Computed, ApiError> {
    engine.promotions.uses.refresh(&*engine.clock, &*site_of(engine).await?).await;
    let (engine, p) = (engine.clone(), p.clone());
    blocking(move || compute(&engine, &*engine.site()?, &p)).await
}

pub async fn differs(engine: &Arc<Engine>, p: &Promotion, now: &Computed) -> Result<Vec<String>, ApiError> {
    let (engine, p, now) = (engine.clone(), p.clone(), now.clone());
    blocking(move || moved(&engine, &p, &now)).await
}

/// Writes it, and puts what it is now in the place of what it was.
pub async fn save(engine: &Arc<Engine>, save: Save) -> Result<Promotion, ApiError> {
    let saved = engine.store.save_promotion(save).await.map_err(from_stale)?;
    engine.promotions.wake.notify_one();
    doc::publish(engine, &saved);
    Ok(saved)
}

/// An entry of the chain for what it does by itself.
pub fn own(engine: &Engine, action: &str, p: &Promotion, text: &str) -> Note {
    let record = Record {
        who: Actor::engine("promotion"),
        action: action.to_owned(),
        subject: p.id.clone(),
        reason: text.chars().take(1_000).collect(),
        result: "done".into(),
        single_person: false,
    };
    Note { at_us: engine.now_us(), record, decision: None }
}

/// The engine's own word at one of its stages. One that came before is no fault.
pub async fn vote(engine: &Arc<Engine>, run: &RunRef, stage: &str, approve: bool, why: &str) -> Result<(), ApiError> {
    crash::point("promotion.checked");
    let record = Record {
        who: Actor::engine("promotion"),
        action: if approve { "approve" } else { "deny" }.into(),
        subject: format!("{run}/{stage}"),
        reason: why.chars().take(1_000).collect(),
        result: "done".into(),
        single_person: false,
    };
    let vote = Vote { approve, stage: Some(stage.to_owned()), sha: None, answers: IndexMap::new(), single_person: false, record };
    match engine.runner.decide(run, vote).await {
        Ok(_) => Ok(()),
        Err(e) => {
            tracing::debug!(%run, stage, "{e}");
            Ok(())
        }
    }
}

/// The store's words, where two acted at once.
pub fn from_stale(e: StoreError) -> ApiError {
    match e {
        StoreError::Stale { what } => {
            ApiError::refused(format!("{what}: somebody else was faster, nothing was written"), "look at it as it is now, and ask again")
        }
        e => e.into(),
    }
}
