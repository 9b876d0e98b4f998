//! What an ended run sets off: pipelines whose trigger names it upstream, and the site's `[on_failure]` command.
//!
//! Durable and idempotent: the store keeps every end until it was looked at, and a downstream run is unique by its cause.

use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::oneshot;

use super::blocking::blocking;
use super::catalog::Judged;
use super::state::Engine;
use super::{on_failure, plan};
use crate::api::{ApiError, Code};
use crate::config::Site;
use crate::domain::actor::Actor;
use crate::domain::audit::Record;
use crate::domain::level::Level;
use crate::domain::run::{RunRef, Verdict};
use crate::pipeline::File;
use crate::pipeline::model::{Trigger, TriggerKind, UpstreamOn};
use crate::pipeline::plan::Plan;
use crate::runner::Submit;
use crate::store::{EndedRun, Note};

/// Ends looked at in one go.
const BATCH: usize = 100;
/// Where an end could not be looked at (the site file is broken), the next try.
const AGAIN: Duration = Duration::from_secs(10);
/// Looks follow each other no faster: of many runs that end in a row, those of one look are marked with one commit.
const PACE: Duration = Duration::from_millis(50);
/// Runs that set each other off in one chain; a longer one is a circle.
const CHAIN: usize = 20;

/// Looks at ends until the engine stops. `first` hears of the first look, however it went.
pub async fn follow(engine: Arc<Engine>, first: oneshot::Sender<()>) {
    let mut changes = engine.runner.subscribe();
    let mut first = Some(first);
    loop {
        let pause = tokio::time::Instant::now() + PACE;
        let clean = sweep(&engine).await;
        drop(first.take());
        let again = async {
            match clean {
                true => std::future::pending().await,
                false => tokio::time::sleep(AGAIN).await,
            }
        };
        tokio::pin!(again);
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    Ok(c) if c.table != "ends" => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                },
                () = &mut again => break,
                () = engine.stopped() => return,
            }
        }
        tokio::select! {
            () = tokio::time::sleep_until(pause) => {}
            () = engine.stopped() => return,
        }
        // Told of meanwhile: seen by the look that comes.
        while changes.try_recv().is_ok() {}
    }
}

/// Looks at every end that waits. False: something must be tried again.
async fn sweep(engine: &Arc<Engine>) -> bool {
    loop {
        let waiting = {
            let engine = engine.clone();
            blocking(move || engine.store.unoffered(BATCH).map_err(ApiError::from)).await
        };
        let waiting = match waiting {
            Ok(w) if w.is_empty() => return true,
            Ok(w) => w,
            Err(e) => {
                tracing::error!("ends of runs cannot be read: {e}");
                return false;
            }
        };
        // After the ends: a file that was edited before one of them is seen by it.
        let files = {
            let engine = engine.clone();
            blocking(move || Files::read(&engine)).await
        };
        let files = match files {
            Ok(files) => Arc::new(files),
            Err(e) => {
                tracing::error!("downstream pipelines wait: {e}");
                return false;
            }
        };
        let (mut quiet, mut failed) = (Vec::new(), false);
        for ended in waiting {
            match offer(engine, &files, &ended).await {
                Ok(Some(refused)) => quiet.push((ended, refused)),
                Ok(None) => {}
                Err(e) => {
                    tracing::error!(run = %ended.run, "its downstream pipelines wait: {e}");
                    failed = true;
                    break;
                }
            }
        }
        if let Err(e) = engine.store.all_offered(quiet).await {
            tracing::error!("ends of runs cannot be marked as looked at: {e}");
            return false;
        }
        if failed {
            return false;
        }
    }
}

/// Starts what this end sets off, then marks it as looked at. One that set off nothing is left to be marked with others: the refusals that go
/// with its mark.
async fn offer(engine: &Arc<Engine>, files: &Arc<Files>, ended: &EndedRun) -> Result<Option<Vec<Note>>, ApiError> {
    let site = &files.site;
    let plans = match files.about(&ended.run.pipeline).next() {
        None => Vec::new(),
        Some(_) => {
            let (engine, files, ended) = (engine.clone(), files.clone(), ended.clone());
            blocking(move || downstream(&engine, &files, &ended)).await?
        }
    };
    let reason = format!("{} ended: {}", ended.run, ended.verdict);
    let note = |subject: &str, result: String| {
        let who = Actor::engine("upstream");
        let record =
            Record { who, action: "run".into(), subject: subject.to_owned(), reason: reason.clone(), result, single_person: false };
        Note { at_us: engine.now_us(), record, decision: None }
    };
    let (mut refused, mut acted) = (Vec::new(), false);
    for (pipeline, plan) in plans {
        let cause = format!("upstream:{}:{}:{pipeline}", ended.run, ended.round);
        let refusal = match plan {
            _ if site.read_only => Some("the site is read-only".to_owned()),
            Err(e) => Some(e.to_string()),
            Ok(p) if p.danger == Level::L3 => Some("it is L3: nothing starts it but people".to_owned()),
            Ok(_) if chain(engine, &ended.run).await? >= CHAIN => {
                Some(format!("{CHAIN} runs set each other off in one chain: is it a circle?"))
            }
            Ok(plan) => {
                let submit = Submit {
                    plan,
                    requested_by: Actor::engine("upstream"),
                    reason: reason.clone(),
                    trigger: "upstream".into(),
                    cause: Some(cause),
                    replay_of: None,
                    note: Some(note(&pipeline, "done".into())),
                };
                match engine.runner.submit(submit).await.map_err(ApiError::from) {
                    Ok(run) => {
                        acted = true;
                        tracing::info!(upstream = %ended.run, %run, "upstream trigger");
                        None
                    }
                    // A full group refuses for good; a store that cannot be written, or an engine that ends, is tried again.
                    Err(e) if matches!(e.code, Code::Failed | Code::NoEngine) => return Err(e),
                    Err(e) => Some(e.to_string()),
                }
            }
        };
        if let Some(why) = refusal {
            tracing::warn!(upstream = %ended.run, %pipeline, "upstream trigger refused: {why}");
            refused.push(note(&pipeline, format!("refused: {why}")));
        }
    }
    if matches!(ended.verdict, Verdict::Failure | Verdict::Lost | Verdict::Invalid)
        && let Some(argv) = site.on_failure.clone()
    {
        on_failure::start(engine.clone(), argv, ended.run.clone());
        acted = true;
    }
    if !acted {
        return Ok(Some(refused));
    }
    engine.store.offered(ended, refused).await.map(|()| None).map_err(ApiError::from)
}

type Downstream = Vec<(String, Result<Plan, ApiError>)>;

/// The site and those of its pipelines that can be used, as they are at one look.
struct Files {
    site: Arc<Site>,
    judged: Vec<Arc<Judged>>,
}

impl Files {
    /// Blocks.
    fn read(engine: &Engine) -> Result<Self, ApiError> {
        let site = engine.site()?;
        let (dirs, uid) = (engine.watch.dirs(), engine.watch.uid());
        let catalog = engine.memo.catalog(dirs, &site, uid)?;
        let judge = |name: &String| engine.memo.judge(dirs, name, uid, &catalog).inspect_err(|e| tracing::warn!("{e}")).ok();
        let judged = catalog.pipelines.iter().filter_map(judge).collect();
        Ok(Self { site, judged })
    }

    /// Files with a trigger that names `pipeline`.
    fn about<'a>(&'a self, pipeline: &'a str) -> impl Iterator<Item = (&'a str, &'a File)> {
        let named = move |t: &Trigger| matches!(&t.kind, TriggerKind::Upstream { pipeline: p, .. } if p.value == pipeline);
        let of = |j: &'a Arc<Judged>| Some((j.source.name.as_str(), j.file.as_ref()?));
        self.judged.iter().filter_map(of).filter(move |(_, f)| f.triggers.iter().any(named))
    }
}

/// Pipelines that name this end, each with its plan or why it has none. Blocks.
fn downstream(engine: &Engine, files: &Files, ended: &EndedRun) -> Result<Downstream, ApiError> {
    let stages = engine.store.stages(&ended.run)?;
    let verdict_of = |stage: &str| stages.iter().find(|s| s.name == stage).and_then(|s| s.verdict);
    let mut out = Vec::new();
    for (name, file) in files.about(&ended.run.pipeline) {
        if file.triggers.iter().any(|t| fires(&t.kind, &ended.run.pipeline, ended.verdict, &verdict_of)) {
            out.push((name.to_owned(), plan::of_trigger(engine, &files.site, name, &IndexMap::new(), Some(&ended.run))));
        }
    }
    Ok(out)
}

fn fires(kind: &TriggerKind, pipeline: &str, verdict: Verdict, verdict_of: &dyn Fn(&str) -> Option<Verdict>) -> bool {
    let TriggerKind::Upstream { pipeline: wanted, stage, on } = kind else { return false };
    if wanted.value != pipeline {
        return false;
    }
    let judged = match stage {
        None => Some(verdict),
        // A stage that never ran says nothing.
        Some(s) => verdict_of(&s.value).filter(|v| *v != Verdict::Skipped),
    };
    match (judged, on) {
        (None, _) => false,
        (Some(_), UpstreamOn::Any) => true,
        (Some(v), UpstreamOn::Success) => v == Verdict::Success,
        (Some(v), UpstreamOn::Failure) => v != Verdict::Success,
    }
}

/// How many runs set each other off before this one.
async fn chain(engine: &Arc<Engine>, run: &RunRef) -> Result<usize, ApiError> {
    let (engine, mut run) = (engine.clone(), run.clone());
    blocking(move || {
        for length in 1..=CHAIN {
            let row = engine.store.run(&run)?;
            let before = row
                .cause
                .as_deref()
                .and_then(|c| c.strip_prefix("upstream:"))
                .and_then(|c| c.split(':').next())
                .and_then(|r| r.parse().ok());
            match before {
                Some(b) => run = b,
                None => return Ok(length),
            }
        }
        Ok(CHAIN)
    })
    .await
}

/// A trigger in words, for lists.
pub fn words(t: &Trigger) -> String {
    match &t.kind {
        TriggerKind::Cron { pattern } => format!("cron {}", pattern.value),
        TriggerKind::Every { every, .. } => format!("every {every}"),
        TriggerKind::Upstream { pipeline, stage, on } => {
            let on = match on {
                UpstreamOn::Success => "success",
                UpstreamOn::Failure => "failure",
                UpstreamOn::Any => "end",
            };
            let stage = stage.as_ref().map(|s| format!(", stage {}", s.value)).unwrap_or_default();
            format!("after {on} of {}{stage}", pipeline.value)
        }
        TriggerKind::Git { url, reference, .. } => format!("git {reference} of {}", url.value),
        TriggerKind::Manual => "manual".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Catalog;

    #[test]
    fn a_trigger_fires_for_the_pipeline_the_stage_and_the_end_that_it_names() {
        let kind = |text: &str| {
            let file = format!("format: 1\nname: x\ntriggers:\n  - {text}\nstages:\n  - name: a\n    run: echo\n");
            let catalog = Catalog { pipelines: vec!["up".into()], time_zone: "UTC".into(), ..Catalog::default() };
            let (file, found) = crate::pipeline::load(&file, "x.yml", &catalog);
            file.unwrap_or_else(|| panic!("{found:?}")).triggers[0].kind.clone()
        };
        let verdict_of = |stage: &str| match stage {
            "good" => Some(Verdict::Success),
            "bad" => Some(Verdict::Failure),
            "left out" => Some(Verdict::Skipped),
            _ => None,
        };
        for (text, pipeline, verdict, expected) in [
            ("{upstream: up, on: success}", "up", Verdict::Success, true),
            ("{upstream: up, on: success}", "down", Verdict::Success, false),
            ("{upstream: up, on: success}", "up", Verdict::Invalid, false),
            ("{upstream: up, on: failure}", "up", Verdict::Lost, true),
            ("{upstream: up, on: failure}", "up", Verdict::Success, false),
            ("{upstream: up, on: any}", "up", Verdict::Cancelled, true),
            ("{upstream: up, on: success, stage: good}", "up", Verdict::Failure, true),
            ("{upstream: up, on: success, stage: bad}", "up", Verdict::Failure, false),
            ("{upstream: up, on: any, stage: left out}", "up", Verdict::Success, false),
            ("{upstream: up, on: any, stage: gone}", "up", Verdict::Success, false),
            ("cron: 30 1 * * *", "up", Verdict::Success, false),
        ] {
            assert_eq!(fires(&kind(text), pipeline, verdict, &verdict_of), expected, "{text} {pipeline} {verdict}");
        }
    }
}
