//! What nobody asks for and every engine does: a daily copy of the store, and the removal of runs that no retention rule keeps.

use std::sync::Arc;
use std::time::Duration;

use super::state::Engine;

/// The rule is looked at so often; most looks find nothing to do.
const EVERY: Duration = Duration::from_secs(3_600);

/// Sweeps at the start and every hour until the engine stops.
pub async fn serve(engine: Arc<Engine>) {
    loop {
        match engine.runner.sweep().await {
            Ok(gone) if gone.is_empty() => {}
            Ok(gone) => tracing::info!(runs = gone.len(), "retention removed runs"),
            // A full disk, for example: the next look comes.
            Err(e) => tracing::warn!(error = %e, "retention could not be done"),
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = engine.stopped() => return,
        }
    }
}
