//! The site's `[on_failure]` command: told of each run that ended badly, of a scheduled run that is late or was missed, and of a scheduler
//! that died. Without a shell, with a small environment, for a minute at most, a few at once.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::state::Engine;
use crate::base::sanitise;
use crate::config::Site;
use crate::domain::occurrence::Occurrence;
use crate::domain::run::RunRef;

const LIMIT: Duration = Duration::from_secs(60);
/// Commands at once.
const AT_ONCE: usize = 4;
/// Calls that wait for their turn; beyond, one is dropped, and said so in the log.
const WAITING: usize = 200;
/// What the command inherits. The engine's own environment may hold credentials that the site reads from it.
const INHERITED: [&str; 8] = ["PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "XDG_RUNTIME_DIR"];

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

/// Name and value of what the command is told.
type Told = Vec<(&'static str, String)>;

/// A run ended badly.
pub fn start(engine: Arc<Engine>, argv: Vec<String>, run: RunRef) {
    tokio::spawn(async move {
        let row = {
            let (engine, run) = (engine.clone(), run.clone());
            tokio::task::spawn_blocking(move || engine.store.run(&run)).await
        };
        let Ok(Ok(row)) = row else { return };
        let told = vec![
            ("QD_EVENT", "failed".to_owned()),
            ("QD_RUN", run.to_string()),
            ("QD_PIPELINE", run.pipeline.clone()),
            ("QD_RUN_NUMBER", run.number.to_string()),
            ("QD_TRIGGER", row.trigger),
            ("QD_REQUESTED_BY", row.requested_by),
            ("QD_VERDICT", row.verdict.map_or("", |v| v.as_str()).to_owned()),
            ("QD_FAILED_STAGE", row.failed_stage.unwrap_or_default()),
            ("QD_FAILED_STEP", row.failed_step.unwrap_or_default()),
            ("QD_DETAIL", row.detail),
        ];
        call(&engine, argv, told).await;
    });
}

/// An expected run is ten minutes late.
pub fn late(engine: &Arc<Engine>, o: &Occurrence, why: &str) {
    let mut told = of("late", &o.pipeline, &o.trigger, o.scheduled_us, why);
    if let Some(run) = &o.run {
        told.extend([("QD_RUN", run.to_string()), ("QD_RUN_NUMBER", run.number.to_string())]);
    }
    tell(engine, told);
}

/// Expected runs were missed and are not made up: one call for all of a trigger.
pub fn missed(engine: &Arc<Engine>, site: &Site, rows: &[Occurrence]) {
    let Some(last) = rows.last().filter(|_| site.on_failure.is_some()) else { return };
    let more = if rows.len() > 1 { format!("{} starts were missed, this one last: {}", rows.len(), last.why) } else { last.why.clone() };
    tell(engine, of("missed", &last.pipeline, &last.trigger, last.scheduled_us, &more));
}

/// The scheduler does not look any more, or fell over.
pub fn scheduler(engine: &Arc<Engine>, pipeline: &str, trigger: &str, scheduled_us: i64, why: &str) {
    tell(engine, of("scheduler-dead", pipeline, trigger, scheduled_us, why));
}

fn of(event: &str, pipeline: &str, trigger: &str, scheduled_us: i64, why: &str) -> Told {
    vec![
        ("QD_EVENT", event.to_owned()),
        ("QD_PIPELINE", pipeline.to_owned()),
        ("QD_TRIGGER", trigger.to_owned()),
        ("QD_SCHEDULED_FOR", super::rows::time(scheduled_us)),
        ("QD_DETAIL", why.to_owned()),
    ]
}

fn tell(engine: &Arc<Engine>, told: Told) {
    let engine = engine.clone();
    tokio::spawn(async move {
        let site = {
            let engine = engine.clone();
            tokio::task::spawn_blocking(move || engine.watch.current()).await
        };
        // With a broken site file nobody knows the command.
        if let Ok(Ok(site)) = site
            && let Some(argv) = site.on_failure.clone()
        {
            call(&engine, argv, told).await;
        }
    });
}

/// Runs it; what it says and how it ends is in the engine's log.
async fn call(engine: &Engine, argv: Vec<String>, told: Told) {
    let callers = &engine.callers;
    let event = told.first().map(|(_, v)| v.clone()).unwrap_or_default();
    if callers.waiting.fetch_add(1, Ordering::SeqCst) >= WAITING {
        callers.waiting.fetch_sub(1, Ordering::SeqCst);
        tracing::error!(%event, "on_failure: too many calls wait; nobody is told of this one");
        return;
    }
    let slot = callers.slots.clone().acquire_owned().await;
    callers.waiting.fetch_sub(1, Ordering::SeqCst);
    run(engine, &argv, &told, &event).await;
    drop(slot);
}

async fn run(engine: &Engine, argv: &[String], told: &Told, event: &str) {
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
        command.env(name, engine.filter.clean(&sanitise::cell(value)));
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
