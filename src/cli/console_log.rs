//! The console's own log: a daily file beside the engine's, never the terminal. Where there can be none, the console works without.

use std::path::Path;

use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;

/// Files kept.
const FILES: usize = 7;
const PREFIX: &str = "console";

/// Starts it where the site has a state directory already: a look at a saved state makes none. What is queued is written when the guard goes.
pub fn start(state: &Path, level: &str) -> Option<WorkerGuard> {
    if !state.is_dir() {
        return None;
    }
    let dir = state.join("logs");
    let appender = crate::engine::logging::daily(&dir, PREFIX, FILES).ok()?;
    let (writer, worker) = tracing_appender::non_blocking(appender);
    let levels = EnvFilter::try_new(level).ok()?;
    tracing_subscriber::fmt().with_env_filter(levels).with_writer(writer).with_ansi(false).try_init().ok()?;
    Some(worker)
}
