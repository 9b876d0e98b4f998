//! The site's `[on_failure]` command: told of each run that ended badly, without a shell, for a minute at most.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use super::state::Engine;
use crate::domain::run::RunRef;

const LIMIT: Duration = Duration::from_secs(60);

/// Starts it in the background; what it says and how it ends is in the engine's log.
pub fn start(engine: Arc<Engine>, argv: Vec<String>, run: RunRef) {
    tokio::spawn(async move {
        let Some((program, args)) = argv.split_first() else { return };
        let row = {
            let (engine, run) = (engine.clone(), run.clone());
            tokio::task::spawn_blocking(move || engine.store.run(&run)).await
        };
        let Ok(Ok(row)) = row else { return };
        let mut command = tokio::process::Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        // What a run says may come from far away; as variables it reaches no shell unless the command makes it so.
        command
            .env("QD_RUN", run.to_string())
            .env("QD_PIPELINE", &run.pipeline)
            .env("QD_RUN_NUMBER", run.number.to_string())
            .env("QD_VERDICT", row.verdict.map_or("", |v| v.as_str()))
            .env("QD_FAILED_STAGE", row.failed_stage.unwrap_or_default())
            .env("QD_FAILED_STEP", row.failed_step.unwrap_or_default())
            .env("QD_DETAIL", crate::base::sanitise::cell(&row.detail));
        match tokio::time::timeout(LIMIT, async { command.spawn()?.wait().await }).await {
            Ok(Ok(status)) if status.success() => tracing::info!(%run, "on_failure: told"),
            Ok(Ok(status)) => tracing::warn!(%run, "on_failure: `{program}` ended with {status}"),
            Ok(Err(e)) => tracing::warn!(%run, "on_failure: `{program}` cannot be started: {e}"),
            Err(_) => tracing::warn!(%run, "on_failure: `{program}` was ended after {} s", LIMIT.as_secs()),
        }
    });
}
