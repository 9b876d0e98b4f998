//! Calls of a command of the site that tells people: without a shell, with a small environment, for a minute at most, a few at once.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::logging::SecretFilter;
use crate::base::sanitise;

const LIMIT: Duration = Duration::from_secs(60);
/// Commands at once.
const AT_ONCE: usize = 4;
/// Calls that wait for their turn; beyond, one is dropped, and said so in the log.
const WAITING: usize = 200;
/// What the command inherits. The engine's own environment may hold credentials that the site reads from it.
const INHERITED: [&str; 8] = ["PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "XDG_RUNTIME_DIR"];

/// Name and value of what the command is told.
pub type Told = Vec<(&'static str, String)>;

/// How many are under way.
pub struct Callers {
    slots: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Default for Callers {
    fn default() -> Self {
        Self { slots: Arc::new(Semaphore::new(AT_ONCE)), waiting: Arc::default() }
    }
}

impl Callers {
    /// Runs it; what it says and how it ends is in the engine's log.
    pub async fn call(&self, filter: &SecretFilter, argv: &[String], told: &Told) {
        let event = told.first().map(|(_, v)| v.clone()).unwrap_or_default();
        if self.waiting.fetch_add(1, Ordering::SeqCst) >= WAITING {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            tracing::error!(%event, "on_failure: too many calls wait; nobody is told of this one");
            return;
        }
        let slot = self.slots.clone().acquire_owned().await;
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        run(filter, argv, told, &event).await;
        drop(slot);
    }
}

async fn run(filter: &SecretFilter, argv: &[String], told: &Told, event: &str) {
    let Some((program, args)) = argv.split_first() else { return };
    let mut command = tokio::process::Command::new(program);
    command.args(args).env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).kill_on_drop(true);
    for name in INHERITED {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    // What a run says may come from far away; as variables it reaches no shell unless the command makes it so.
    for (name, value) in told {
        command.env(name, filter.clean(&sanitise::cell(value)));
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(e) => return tracing::warn!(%event, "on_failure: `{program}` cannot be started: {e}"),
    };
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    match tokio::time::timeout(LIMIT, child.wait()).await {
        Ok(Ok(status)) if status.success() => tracing::info!(%event, "on_failure: told"),
        Ok(Ok(status)) => tracing::warn!(%event, "on_failure: `{program}` ended with {status}"),
        Ok(Err(e)) => tracing::warn!(%event, "on_failure: `{program}` was lost: {e}"),
        Err(_) => {
            // Not waited for yet, so the number is still its own.
            if let Some(group) = group {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            tracing::warn!(%event, "on_failure: `{program}` was ended after {} s", LIMIT.as_secs());
        }
    }
}
