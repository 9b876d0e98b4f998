//! Waiting for a run's end: one question that the engine holds until there is something to say.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;

use super::state::Engine;
use crate::api::ApiError;
use crate::domain::rows::Summary;
use crate::domain::run::{RunRef, RunState};

/// The run as it is when it has ended, when more than `ended` of its stages have, or after `patience`.
pub async fn summary(engine: &Arc<Engine>, run: &RunRef, patience: Duration, ended: Option<usize>) -> Result<Summary, ApiError> {
    // Joined before the first look, so that no end falls between.
    let (_, mut changes) = engine.model.join(None);
    let deadline = tokio::time::Instant::now() + patience;
    let id = run.to_string();
    loop {
        let (done, stages) = glance(engine, run).await?;
        if done || patience.is_zero() || ended.is_some_and(|seen| stages > seen) {
            return look(engine, run).await;
        }
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                () = tokio::time::sleep_until(deadline) => return look(engine, run).await,
                () = engine.stopped() => return look(engine, run).await,
            };
            match change {
                Ok(set) if set.upserts("runs", &id) => break,
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return look(engine, run).await,
            }
        }
    }
}

/// Whether the run has ended, and how many of its stages have. Asked at every change: without the steps, of which there may be thousands.
async fn glance(engine: &Arc<Engine>, run: &RunRef) -> Result<(bool, usize), ApiError> {
    let (engine, run) = (engine.clone(), run.clone());
    super::blocking::blocking(move || Ok((engine.store.run(&run)?.state == RunState::Done, engine.store.ended_stages(&run)?))).await
}

async fn look(engine: &Arc<Engine>, run: &RunRef) -> Result<Summary, ApiError> {
    let (engine, run) = (engine.clone(), run.clone());
    super::blocking::blocking(move || engine.runner.run_summary(&run).map_err(ApiError::from)).await
}
