//! `GET /metrics`: what the engine knows of itself, as Prometheus reads it. Every label comes from a closed list but the pipeline, which is
//! bounded here.

mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use text::CONTENT_TYPE;
use text::{Kind, Text};

use super::blocking::blocking;
use super::scheduler::State;
use super::state::Engine;
use crate::api::ApiError;
use crate::domain::rows::QueueRow;
use crate::domain::run::RunState;
use crate::store::totals::{BOUNDS_S, EndedTotal, Totals};

/// Pipelines with a label of their own; the others, those with the fewest runs, are counted as one.
const PIPELINES: usize = 100;
/// No pipeline has this name: names begin with a letter or a digit.
const OTHERS: &str = "_other";

/// Everything that a page shows, at one moment.
struct Facts {
    version: &'static str,
    started_us: i64,
    totals: Totals,
    sizes: Vec<(&'static str, u64)>,
    free_bytes: Option<u64>,
    queue: Vec<QueueRow>,
    busy: u64,
    executors: Option<u32>,
    draining: bool,
    read_only: Option<bool>,
    schedule: State,
    /// Requests and bytes of looks at mirrors.
    looks: (u64, u64),
}

/// The page.
pub async fn page(engine: &Arc<Engine>) -> Result<String, ApiError> {
    let queue = engine.runner.queue().await?;
    let (busy, _) = engine.runner.busy().await?;
    let engine = engine.clone();
    blocking(move || {
        let site = engine.watch.current().ok();
        let facts = Facts {
            version: env!("CARGO_PKG_VERSION"),
            started_us: engine.started_us,
            totals: engine.store.totals()?,
            sizes: engine.store.size_bytes(),
            free_bytes: engine.store.space().ok().map(|s| s.free_bytes),
            queue,
            busy: busy as u64,
            executors: site.as_ref().map(|s| s.executors),
            draining: engine.store.drain()?.is_some(),
            read_only: site.as_ref().map(|s| s.read_only),
            schedule: engine.schedule.state(),
            looks: (engine.freshness.meter.requests(), engine.freshness.meter.bytes()),
        };
        Ok(render(&facts))
    })
    .await
}

fn render(f: &Facts) -> String {
    let mut t = Text::default();
    let flag = |on: bool| if on { 1.0 } else { 0.0 };
    t.family("quarterdeck_build_info", Kind::Gauge, "Version of the engine; always 1.").sample(&[("version", f.version)], 1.0);
    let started = f.started_us as f64 / 1e6;
    t.single("quarterdeck_engine_start_time_seconds", Kind::Gauge, "Start of the engine, in seconds since 1970 UTC.", started);
    t.single("quarterdeck_engine_draining", Kind::Gauge, "1 while nothing new is started.", flag(f.draining));
    // A site file that is broken says nothing; a metric that is absent says that too.
    if let Some(read_only) = f.read_only {
        t.single("quarterdeck_site_read_only", Kind::Gauge, "1 where the site file forbids every change.", flag(read_only));
    }
    t.single("quarterdeck_site_broken", Kind::Gauge, "1 while the site file cannot be read.", flag(f.read_only.is_none()));
    runs(&mut t, &f.totals);
    queue(&mut t, &f.queue);
    scheduler(&mut t, &f.schedule);
    t.single("quarterdeck_executors_busy", Kind::Gauge, "Step attempts that run.", f.busy as f64);
    if let Some(n) = f.executors {
        t.single("quarterdeck_executors", Kind::Gauge, "Step attempts that may run at once.", f64::from(n));
    }
    t.single("quarterdeck_locks_held", Kind::Gauge, "Locks with at least one holder.", f.totals.locks_held as f64);
    let mut store = t.family("quarterdeck_store_size_bytes", Kind::Gauge, "Size of the store's files.");
    for (part, bytes) in &f.sizes {
        store.sample(&[("part", part)], *bytes as f64);
    }
    if let Some(free) = f.free_bytes {
        t.single("quarterdeck_state_free_bytes", Kind::Gauge, "Free space of the state directory's file system.", free as f64);
    }
    t.single("quarterdeck_log_bytes_total", Kind::Counter, "Log of ended step attempts, as it was written.", f.totals.log_bytes as f64);
    t.single("quarterdeck_mirror_requests_total", Kind::Counter, "Requests to upstreams and replicas.", f.looks.0 as f64);
    t.single("quarterdeck_mirror_bytes_total", Kind::Counter, "Bytes of their answers' bodies.", f.looks.1 as f64);
    let dropped = f.totals.log_dropped_bytes as f64;
    t.single("quarterdeck_log_dropped_bytes_total", Kind::Counter, "Log of ended step attempts beyond their limit.", dropped);
    t.single("quarterdeck_audit_entries_total", Kind::Counter, "Entries of the audit chain.", f.totals.audit_entries as f64);
    t.finish()
}

/// Pipelines that get a label of their own: those that ran most, by name where they are equal.
fn named(ended: &[EndedTotal]) -> BTreeSet<&str> {
    let mut runs: BTreeMap<&str, u64> = BTreeMap::new();
    for e in ended {
        *runs.entry(&e.pipeline).or_default() += e.runs;
    }
    let mut order: Vec<(&str, u64)> = runs.into_iter().collect();
    order.sort_by_key(|(name, n)| (std::cmp::Reverse(*n), *name));
    order.into_iter().take(PIPELINES).map(|(name, _)| name).collect()
}

fn runs(t: &mut Text, totals: &Totals) {
    let named = named(&totals.ended);
    let label = |e: &EndedTotal| if named.contains(e.pipeline.as_str()) { e.pipeline.clone() } else { OTHERS.to_owned() };
    let mut ends: BTreeMap<(String, String), u64> = BTreeMap::new();
    #[derive(Default)]
    struct Took {
        within: [u64; BOUNDS_S.len()],
        beyond: u64,
        sum_us: u64,
    }
    let mut took: BTreeMap<String, Took> = BTreeMap::new();
    for e in &totals.ended {
        *ends.entry((label(e), e.verdict.clone())).or_default() += e.runs;
        let t = took.entry(label(e)).or_default();
        t.sum_us = t.sum_us.saturating_add(e.sum_us);
        match e.upto_s.and_then(|b| BOUNDS_S.iter().position(|x| *x == b)) {
            Some(i) => t.within[i] += e.runs,
            None => t.beyond += e.runs,
        }
    }
    let mut family = t.family("quarterdeck_runs_ended_total", Kind::Counter, "Ends of runs; one that is resumed ends again.");
    for ((pipeline, verdict), n) in &ends {
        family.sample(&[("pipeline", pipeline), ("verdict", verdict)], *n as f64);
    }
    let mut family = t.family("quarterdeck_run_duration_seconds", Kind::Histogram, "From the first step of a run to its end.");
    for (pipeline, took) in &took {
        let buckets: Vec<(i64, u64)> = BOUNDS_S.into_iter().zip(took.within).collect();
        family.histogram(&[("pipeline", pipeline)], &buckets, took.beyond, took.sum_us as f64 / 1e6);
    }
    let mut family = t.family("quarterdeck_runs_open", Kind::Gauge, "Runs that have not ended, by state.");
    for (state, n) in &totals.open {
        family.sample(&[("state", state.as_str())], *n as f64);
    }
}

fn queue(t: &mut Text, rows: &[QueueRow]) {
    let waiting = rows.iter().filter(|r| r.state == RunState::Queued).count();
    t.single("quarterdeck_queue_length", Kind::Gauge, "Runs of which no step has begun.", waiting as f64);
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    for kind in rows.iter().filter_map(|r| Some(r.blocked.as_ref()?.kind())) {
        *reasons.entry(kind).or_default() += 1;
    }
    let mut family = t.family("quarterdeck_runs_blocked", Kind::Gauge, "Open runs that something holds back, by their first reason.");
    for (reason, n) in reasons {
        family.sample(&[("reason", &reason)], n as f64);
    }
}

/// A heartbeat that stands still while `firing` is 1 is a scheduler that died: the alert that a missed night needs.
fn scheduler(t: &mut Text, s: &State) {
    let firing = s.off.is_none() && s.dead.is_none() && s.trouble.is_none();
    t.single("quarterdeck_scheduler_firing", Kind::Gauge, "1 while this engine fires schedules.", if firing { 1.0 } else { 0.0 });
    let mut at = |name, help, us: Option<i64>| {
        if let Some(us) = us {
            t.single(name, Kind::Gauge, help, us as f64 / 1e6);
        }
    };
    at("quarterdeck_scheduler_heartbeat_timestamp_seconds", "End of the scheduler's last look, in seconds since 1970 UTC.", s.beat_us);
    at("quarterdeck_scheduler_next_timestamp_seconds", "When the next trigger is due, in seconds since 1970 UTC.", s.next_us());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheduler_tells_whether_it_fires_and_when_it_looked_last() {
        let page = |s: &State| {
            let mut t = Text::default();
            scheduler(&mut t, s);
            t.finish()
        };
        let on = page(&State { beat_us: Some(1_500_000), ..State::default() });
        assert!(on.contains("_firing 1\n") && on.contains("_heartbeat_timestamp_seconds 1.5\n") && !on.contains("_next_"), "{on}");
        for s in [State { off: Some("x".into()), ..State::default() }, State { dead: Some("x".into()), ..State::default() }] {
            let off = page(&s);
            assert!(off.contains("_firing 0\n") && !off.contains("heartbeat"), "{off}");
        }
    }

    fn ended(pipeline: &str, runs: u64) -> EndedTotal {
        EndedTotal { pipeline: pipeline.into(), verdict: "success".into(), upto_s: Some(5), runs, sum_us: runs * 2_000_000 }
    }

    #[test]
    fn however_many_pipelines_there_are_the_page_stays_small_and_loses_no_run() {
        let totals = Totals { ended: (0..1_000).map(|i| ended(&format!("p{i:04}"), 1 + i)).collect(), ..Totals::default() };
        let mut t = Text::default();
        runs(&mut t, &totals);
        let page = t.finish();
        let counts: Vec<f64> = page
            .lines()
            .filter(|l| l.starts_with("quarterdeck_runs_ended_total{"))
            .map(|l| l.rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!((counts.len(), counts.iter().sum::<f64>()), (PIPELINES + 1, 500_500.0));
        assert!(page.contains("{pipeline=\"p0999\",verdict=\"success\"} 1000") && page.contains("{pipeline=\"_other\","));
    }
}
