//! What the site's `[on_failure]` command is told: of each run that ended badly, of a scheduled run that is late or was missed, and of a scheduler
//! that died.

use std::sync::Arc;

use super::callers::Told;
use super::rows::time;
use super::state::Engine;
use crate::config::Site;
use crate::domain::occurrence::Occurrence;
use crate::domain::run::RunRef;

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
        engine.callers.call(&engine.filter, &argv, &told).await;
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
        ("QD_SCHEDULED_FOR", time(scheduled_us)),
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
            engine.callers.call(&engine.filter, &argv, &told).await;
        }
    });
}
