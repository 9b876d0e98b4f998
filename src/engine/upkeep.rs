//! What nobody asks for and every engine does: a daily copy of the store, the removal of runs that no retention rule keeps, of contents that nobody
//! needs and of what ended attempts left behind, and care for the logs of what has ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::oneshot;

use super::old_contents;
use super::state::Engine;
use crate::runner::leftovers;
use crate::runner::log::care;

/// The rule is looked at so often; most looks find nothing to do.
const EVERY: Duration = Duration::from_secs(3_600);

/// Rows of the ledger of scheduled starts are kept so long: a year, and what an audit after it needs.
const LEDGER_US: i64 = 400 * 86_400_000_000;

async fn forget(engine: &Engine) {
    let before = engine.now_us() - LEDGER_US;
    loop {
        match engine.store.forget_occurrences(before).await {
            Ok(0) => return,
            Ok(gone) => tracing::info!(rows = gone, "old rows of the ledger went"),
            Err(e) => return tracing::warn!(error = %e, "the ledger could not be shortened"),
        }
    }
}

async fn clear(engine: &Engine) {
    let store = engine.store.clone();
    match tokio::task::spawn_blocking(move || leftovers::sweep(&store)).await {
        Ok(Ok(0)) | Err(_) => {}
        Ok(Ok(gone)) => tracing::info!(gone, "what ended attempts left in memory and cgroups was removed"),
        Ok(Err(e)) => tracing::warn!(error = %e, "what ended attempts left behind could not be looked for"),
    }
}

/// Observations of mirrors are kept so long: two years of composes.
const OBSERVED_US: i64 = 730 * 86_400_000_000;

async fn forget_mirrors(engine: &Engine) {
    while let Ok(gone) = engine.store.forget_observations(engine.now_us() - OBSERVED_US).await {
        if gone == 0 {
            return;
        }
    }
}

async fn forget_contents(engine: &Arc<Engine>) {
    match old_contents::sweep(engine).await {
        Ok((0, 0)) => {}
        Ok((rows, lists)) => tracing::info!(rows, lists, "old contents were forgotten"),
        Err(e) => tracing::warn!(error = %e, "old contents could not be forgotten"),
    }
}

/// Sweeps at the start and every hour until the engine stops. The first round waits for `looked`: an end that no upstream trigger has looked at
/// keeps its run, and the one that a look frees a moment later would stay for an hour.
pub async fn serve(engine: Arc<Engine>, looked: oneshot::Receiver<()>) {
    tokio::select! {
        _ = looked => {}
        () = engine.stopped() => return,
    }
    loop {
        match engine.runner.sweep().await {
            Ok(gone) if gone.is_empty() => {}
            Ok(gone) => tracing::info!(runs = gone.len(), "retention removed runs"),
            // A full disk, for example: the next look comes.
            Err(e) => tracing::warn!(error = %e, "retention could not be done"),
        }
        forget(&engine).await;
        clear(&engine).await;
        forget_mirrors(&engine).await;
        forget_contents(&engine).await;
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = engine.stopped() => return,
        }
    }
}

/// Runs that end in a row are looked at together.
const GATHER: Duration = Duration::from_secs(1);
/// After a round that left something undone, such as on a full disk, the next one; else nothing wakes this.
const AGAIN: Duration = Duration::from_secs(600);

/// Cares for logs at the start, and whenever something about a run changed, until the engine stops.
pub async fn logs(engine: Arc<Engine>) {
    let mut changes = engine.runner.subscribe();
    loop {
        // Read anew for each round: the site file may have changed.
        let site = {
            let engine = engine.clone();
            tokio::task::spawn_blocking(move || engine.patterns()).await.unwrap_or_default()
        };
        match care::care(&engine.store, &site, || engine.is_stopping()).await {
            Ok(c) if c == care::Cared::default() => {}
            Ok(c) => tracing::info!(first_errors = c.errors, packed = c.packed, saved_bytes = c.saved_bytes, "logs cared for"),
            Err(e) => tracing::warn!(error = %e, "logs could not be cared for"),
        }
        let undone = {
            let store = engine.store.clone();
            let left = tokio::task::spawn_blocking(move || store.log_work(0, 1)).await;
            // What cannot be said is looked at again.
            !matches!(left, Ok(Ok(left)) if left.is_empty())
        };
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    Ok(c) if c.table == "runs" => break,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                },
                () = tokio::time::sleep(AGAIN), if undone => break,
                () = engine.stopped() => return,
            }
        }
        tokio::select! {
            () = tokio::time::sleep(GATHER) => {}
            () = engine.stopped() => return,
        }
        // Told of while it waited: seen by the look that comes.
        while changes.try_recv().is_ok() {}
    }
}
