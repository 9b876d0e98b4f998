//! The scheduler against a clock that is turned by hand: outages, jumps, gates, and one row for each time at which something was due.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::look::Scheduler;
use super::watch::Watch;
use crate::base::clock::{Clock, ManualClock};
use crate::domain::occurrence::{Cause, Occurrence, Outcome};
use crate::domain::run::RunState;
use crate::engine::state::Engine;
use crate::engine::status;
use crate::engine::testing;
use crate::pipeline::schedule::{Timer, When};
use crate::store::RunsQuery;

const BEGIN: &str = "2026-03-23T00:00:30Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

struct Bench {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { dir: testing::directory(), clock: Arc::new(ManualClock::new(at(BEGIN), "boot")) };
        bench.site("");
        bench
    }

    fn put(&self, path: &str, text: &str) {
        std::fs::write(self.dir.path().join("config").join(path), text).unwrap();
    }

    fn site(&self, more: &str) {
        self.put("site.toml", &format!("scheduler = \"private\"\ntime_zone = \"Europe/Berlin\"\n{more}"));
    }

    fn pipeline(&self, name: &str, head: &str) {
        self.put(&format!("pipelines/{name}.yml"), &format!("format: 1\nname: {name}\n{head}stages:\n  - name: a\n    run: echo a\n"));
    }

    fn engine(&self) -> Arc<Engine> {
        testing::engine(self.dir.path(), &self.clock)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn forward(&self, to: Timestamp) {
        self.clock.advance_us(to.as_microsecond() - self.now().as_microsecond());
    }
}

/// Cancels what is queued: what was started has begun and ended, as far as the ledger can see.
async fn clear(engine: &Arc<Engine>) {
    let open = RunsQuery { states: vec![RunState::Queued, RunState::Running, RunState::Waiting], limit: 10_000, ..RunsQuery::default() };
    for row in engine.store.runs(&open).unwrap() {
        let who = crate::domain::actor::Actor::engine("test");
        let _ = engine.runner.cancel(&row.run, &who, "", true, None).await;
        let _ = tokio::time::timeout(Duration::from_secs(60), engine.runner.wait(&row.run)).await;
    }
}

fn scheduler(engine: &Arc<Engine>) -> Scheduler {
    Scheduler::new(Timestamp::from_microsecond(engine.started_us).unwrap())
}

async fn end(engine: Arc<Engine>) {
    engine.stop();
    engine.runner.clone().shutdown().await;
    drop(engine);
}

fn ledger(engine: &Engine) -> Vec<Occurrence> {
    let mut all = engine.store.occurrences(100_000).unwrap();
    all.reverse();
    all
}

fn outcomes(engine: &Engine) -> Vec<(String, Outcome, Cause)> {
    let time = |o: &Occurrence| Timestamp::from_microsecond(o.scheduled_us).unwrap().strftime("%d %H:%M").to_string();
    ledger(engine).iter().map(|o| (time(o), o.outcome, o.cause)).collect()
}

/// Goes from due to due until `to`, as the timer would.
async fn live(bench: &Bench, engine: &Arc<Engine>, s: &mut Scheduler, to: Timestamp) {
    loop {
        let next = s.look(engine).await;
        clear(engine).await;
        match next {
            Some(next) if next <= to => bench.forward(next.max(bench.now())),
            _ => break,
        }
    }
    bench.forward(to.max(bench.now()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_week_of_outages_every_occurrence_has_exactly_one_row_i9() {
    let bench = Bench::new();
    bench.pipeline("hourly", "triggers:\n  - cron: 5 * * * *\n");
    bench.pipeline("nightly", "triggers:\n  - cron: 30 1,2,13 * * *\n    catch_up: {policy: once, within: 6h}\n");
    bench.pipeline("often", "triggers:\n  - every: 97m\n    anchor: 2026-03-01 00:07\n    catch_up: {policy: all, within: 5h, max: 2}\n");
    let timers = [
        ("hourly", When::Cron { pattern: "5 * * * *".into() }),
        ("nightly", When::Cron { pattern: "30 1,2,13 * * *".into() }),
        ("often", When::Every { every: "97m".parse().unwrap(), anchor: "2026-03-01T00:07".parse().unwrap() }),
    ]
    .map(|(name, when)| {
        let catch_up = crate::pipeline::model::CatchUp::Skip;
        (name, Timer { when, zone: "Europe/Berlin".into(), jitter: Default::default(), catch_up, calendars: Vec::new(), shift: false })
    });
    // Up and down over a week that holds the change to summer time: minutes and days.
    let (mut up, mut down) = ([7 * 60, 26 * 60, 13, 11 * 60, 19 * 60].iter().cycle(), [3, 95, 9 * 60, 31 * 60, 1].iter().cycle());
    let finish = at("2026-03-30T06:00:00Z");
    let mut outages = Vec::new();
    while bench.now() < finish {
        let engine = bench.engine();
        let mut s = scheduler(&engine);
        let until = bench.now().checked_add(SignedDuration::from_mins(*up.next().unwrap())).unwrap().min(finish);
        live(&bench, &engine, &mut s, until).await;
        s.look(&engine).await;
        clear(&engine).await;
        end(engine).await;
        let from = bench.now();
        bench.clock.advance_us(*down.next().unwrap() * 60_000_000);
        outages.push((from, bench.now()));
    }
    let engine = bench.engine();
    scheduler(&engine).look(&engine).await;
    let rows = ledger(&engine);
    let found: BTreeSet<(String, String, i64)> = rows.iter().map(|o| (o.pipeline.clone(), o.trigger.clone(), o.scheduled_us)).collect();
    assert_eq!(found.len(), rows.len());
    let mut wanted = BTreeSet::new();
    for (name, timer) in &timers {
        let ticker = timer.ticker(name).unwrap();
        let due = ticker.after(at(BEGIN)).take_while(|d| d.at <= bench.now()).map(|d| d.at.as_microsecond());
        wanted.extend(due.map(|us| (name.to_string(), timer.key(), us)));
    }
    assert!(wanted.len() > 250, "{}", wanted.len());
    assert_eq!(found, wanted);
    let down = |o: &Occurrence| outages.iter().any(|(a, b)| o.scheduled_us > a.as_microsecond() && o.scheduled_us < b.as_microsecond());
    for o in rows.iter().filter(|o| o.pipeline == "hourly") {
        let expected = if down(o) { (Outcome::Skipped, Cause::Missed) } else { (Outcome::Ran, Cause::None) };
        assert_eq!((o.outcome, o.cause), expected, "{o:?}");
        assert!(o.outcome != Outcome::Skipped || o.why.contains("no engine was running"), "{o:?}");
    }
    // A run belongs to one row that ran, and every row that ran has one.
    let ran = |o: &&Occurrence| matches!(o.outcome, Outcome::Ran | Outcome::Late);
    let runs: BTreeSet<String> = rows.iter().filter(ran).map(|o| o.run.as_ref().unwrap().to_string()).collect();
    assert_eq!(runs.len(), rows.iter().filter(ran).count());
    let all = engine.store.runs(&RunsQuery { limit: 10_000, ..RunsQuery::default() }).unwrap();
    assert_eq!(all.len(), runs.len());
    assert!(rows.iter().any(|o| o.outcome == Outcome::Coalesced) && rows.iter().any(|o| o.outcome == Outcome::Late));
    end(engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_seen_first_or_has_changed_owes_nothing_before_now() {
    let bench = Bench::new();
    bench.pipeline("p", "triggers:\n  - cron: 0 * * * *\n");
    let engine = bench.engine();
    let mut s = scheduler(&engine);
    s.look(&engine).await;
    bench.forward(at("2026-03-23T01:00:00Z"));
    s.look(&engine).await;
    assert_eq!(outcomes(&engine), [("23 01:00".into(), Outcome::Ran, Cause::None)]);
    clear(&engine).await;
    // While nobody looks the file changes, twice: neither the old nor the new trigger owes the hours between.
    bench.pipeline("p", "triggers:\n  - cron: 30 * * * *\n");
    bench.forward(at("2026-03-23T05:10:00Z"));
    s.look(&engine).await;
    bench.pipeline("p", "triggers:\n  - cron: 0 * * * *\n");
    bench.forward(at("2026-03-23T05:20:00Z"));
    s.look(&engine).await;
    assert_eq!(ledger(&engine).len(), 1);
    // Another zone is another trigger, another catch-up the same.
    bench.pipeline("p", "triggers:\n  - cron: 0 * * * *\n    catch_up: {policy: all}\n");
    bench.forward(at("2026-03-23T06:00:10Z"));
    s.look(&engine).await;
    assert_eq!(outcomes(&engine).last().unwrap(), &("23 06:00".into(), Outcome::Ran, Cause::None));
    clear(&engine).await;
    // Off and on again: what was due while it was off is nobody's.
    bench.put("site.toml", "scheduler = \"off\"\n");
    bench.forward(at("2026-03-23T07:00:10Z"));
    assert_eq!(s.look(&engine).await, None);
    assert!(status::of(&engine).unwrap().scheduler.contains("off: scheduler = \"off\""));
    bench.site("");
    bench.forward(at("2026-03-23T07:30:00Z"));
    s.look(&engine).await;
    assert_eq!(ledger(&engine).len(), 2);
    end(engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_repeats_nothing_and_loses_nothing_i9() {
    let bench = Bench::new();
    bench.pipeline("p", "triggers:\n  - cron: 0 * * * *\n");
    let engine = bench.engine();
    let mut s = scheduler(&engine);
    s.look(&engine).await;
    for hour in ["01", "02"] {
        bench.forward(at(&format!("2026-03-23T{hour}:00:00Z")));
        s.look(&engine).await;
        clear(&engine).await;
    }
    // Set back over an occurrence that ran: it does not run again.
    bench.clock.set_wall(at("2026-03-23T01:30:00Z"));
    s.look(&engine).await;
    bench.clock.set_wall(at("2026-03-23T02:00:00Z"));
    s.look(&engine).await;
    assert_eq!(engine.store.runs(&RunsQuery::default()).unwrap().len(), 2);
    // Far ahead by mistake, and back: what was said to be missed there has not come yet, and will run.
    bench.clock.set_wall(at("2026-03-24T00:30:00Z"));
    s.look(&engine).await;
    let missed = ledger(&engine).into_iter().filter(|o| o.cause == Cause::Missed).collect::<Vec<_>>();
    assert_eq!(missed.len(), 22);
    assert!(missed[0].why.contains("the clock jumped over it"));
    bench.clock.set_wall(at("2026-03-23T02:10:00Z"));
    s.look(&engine).await;
    bench.clock.set_wall(at("2026-03-23T03:00:00Z"));
    s.look(&engine).await;
    let ran = |h: &str| (format!("23 {h}:00"), Outcome::Ran, Cause::None);
    assert_eq!(outcomes(&engine), [ran("01"), ran("02"), ran("03")]);
    end(engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_engine_called_missed_before_its_time_is_taken_back_i9() {
    let bench = Bench::new();
    bench.pipeline("p", "triggers:\n  - cron: 0 * * * *\n");
    let engine = bench.engine();
    scheduler(&engine).look(&engine).await;
    // Its clock ran ahead, and it died between the row and the note of how far it had looked.
    let row = Occurrence {
        pipeline: "p".into(),
        trigger: engine.store.trigger_states().unwrap()[0].trigger.clone(),
        scheduled_us: at("2026-03-23T01:00:00Z").as_microsecond(),
        outcome: Outcome::Skipped,
        cause: Cause::Missed,
        why: "no engine was running".into(),
        run: None,
        decided_us: at("2026-03-23T02:10:00Z").as_microsecond(),
    };
    engine.store.record(vec![row], Vec::new()).await.unwrap();
    let mut next = scheduler(&engine);
    next.look(&engine).await;
    assert!(ledger(&engine).is_empty(), "it has not come yet");
    bench.forward(at("2026-03-23T01:00:00Z"));
    next.look(&engine).await;
    assert_eq!(outcomes(&engine), [("23 01:00".to_owned(), Outcome::Ran, Cause::None)]);
    end(engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_not_start_has_its_row_and_its_reason() {
    let bench = Bench::new();
    bench.put(
        "calendars/close.toml",
        "zone = \"UTC\"\nowner = \"finance\"\nreason = \"the books\"\n[[freeze]]\nfrom = \"2026-03-23 05:30\"\nto = \"2026-03-23 06:30\"\n",
    );
    let hourly = "triggers:\n  - cron: 0 * * * *\n";
    bench.pipeline("p", &format!("calendar: close\n{hourly}"));
    let engine = bench.engine();
    let mut s = scheduler(&engine);
    s.look(&engine).await;
    let hour = async |s: &mut Scheduler, h: &str| {
        bench.forward(at(&format!("2026-03-23T{h}:00:00Z")));
        s.look(&engine).await;
        ledger(&engine).pop().unwrap()
    };
    let first = hour(&mut s, "01").await;
    assert_eq!(first.outcome, Outcome::Ran);
    // Its run waits: the next occurrence has nothing to add.
    let second = hour(&mut s, "02").await;
    assert_eq!((second.outcome, &second.run), (Outcome::Coalesced, &first.run));
    clear(&engine).await;
    let who = crate::domain::actor::Actor::engine("ann");
    engine.runner.drain(Some((&who, "kernel")), None).await.unwrap();
    let o = hour(&mut s, "03").await;
    assert!(o.cause == Cause::Drained && o.why.contains("drained by ann: kernel"), "{o:?}");
    engine.runner.drain(None, None).await.unwrap();
    bench.site("read_only = true\n");
    assert_eq!(hour(&mut s, "04").await.cause, Cause::ReadOnly);
    bench.site("");
    bench.pipeline("p", &format!("calendar: close\ndanger: L3\n{hourly}"));
    assert_eq!(hour(&mut s, "05").await.cause, Cause::Danger);
    bench.pipeline("p", &format!("calendar: close\n{hourly}"));
    let o = hour(&mut s, "06").await;
    assert!(o.cause == Cause::Calendar && o.why.contains("close of finance: the books"), "{o:?}");
    // The calendar's file breaks: it holds as it was, over a restart too.
    bench.put("calendars/close.toml", "zone = \n");
    assert_eq!(hour(&mut s, "07").await.outcome, Outcome::Ran);
    clear(&engine).await;
    // A file that cannot be read any more: its trigger is still known, and accounted for.
    bench.put("pipelines/p.yml", "format: 1\nname: [\n");
    let o = hour(&mut s, "08").await;
    assert!(o.cause == Cause::Pipeline && o.why.contains("p.yml"), "{o:?}");
    bench.pipeline("p", &format!("{hourly}options: {{concurrency: {{group: g, limit: 1, on_conflict: refuse}}}}\n"));
    bench.pipeline("q", "options: {concurrency: {group: g, limit: 1}}\n");
    let plan = crate::engine::plan::of_pipeline(&engine, &engine.site().unwrap(), "q", &Default::default()).unwrap();
    engine.runner.submit(super::fire::submit(&engine, plan, "manual", String::new(), "x".into())).await.unwrap();
    let o = hour(&mut s, "09").await;
    assert!(o.cause == Cause::Group && o.why.contains("q#1"), "{o:?}");
    clear(&engine).await;
    // All of it is shown.
    let (rows, error) = super::schedule(&engine).unwrap();
    assert!(error.is_none() && rows.len() == 1, "{rows:?}");
    assert_eq!(rows[0].keys().map(String::as_str).collect::<Vec<_>>(), super::SCHEDULE);
    assert_eq!((rows[0]["last_outcome"].as_str(), rows[0]["next"].as_str()), (Some("skipped"), Some("2026-03-23T10:00:00.000Z")));
    let rows = super::occurrences(&engine, 100).unwrap();
    assert!(rows.len() == 9 && rows[0].keys().map(String::as_str).eq(super::OCCURRENCES.iter().copied()));
    end(engine).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_calendar_that_broke_while_no_engine_ran_holds_as_it_was_whole_last() {
    let bench = Bench::new();
    let frozen = "zone = \"UTC\"\nowner = \"o\"\nreason = \"r\"\n[[freeze]]\nfrom = \"2026-03-23\"\nto = \"2026-03-23\"\n";
    bench.put("calendars/c.toml", frozen);
    bench.pipeline("p", "calendar: c\ntriggers:\n  - cron: 0 * * * *\n");
    let engine = bench.engine();
    scheduler(&engine).look(&engine).await;
    end(engine).await;
    bench.put("calendars/c.toml", &frozen.replace("to =", "too ="));
    let engine = bench.engine();
    let mut s = scheduler(&engine);
    s.look(&engine).await;
    bench.forward(at("2026-03-23T01:00:00Z"));
    s.look(&engine).await;
    let o = ledger(&engine).pop().unwrap();
    assert!(o.cause == Cause::Calendar && o.why.contains("of o: r"), "{o:?}");
    let (rows, _) = super::schedule(&engine).unwrap();
    let detail = rows[0]["detail"].as_str().unwrap();
    assert!(detail.contains("c.toml:4:1"), "{detail}");
    let site = engine.site().unwrap();
    let freeze = {
        let engine = engine.clone();
        tokio::task::spawn_blocking(move || super::frozen(&engine, &site, "p")).await.unwrap().unwrap()
    };
    assert!(freeze.is_some_and(|f| f.reason == "r"), "people are held by it too");
    end(engine).await;
}

async fn written(path: &Path, wanted: &str) -> String {
    for _ in 0..12_000 {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.lines().any(|l| l.contains(wanted)) {
            return text;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody was told of {wanted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_told_of_what_is_late_missed_or_dead() {
    let bench = Bench::new();
    let (told, script) = (bench.dir.path().join("told"), bench.dir.path().join("tell"));
    std::fs::write(&script, format!("env >> {}\n", told.display())).unwrap();
    bench.site(&format!("[on_failure]\ncommand = \"/bin/sh {}\"\n", script.display()));
    bench.pipeline("p", "triggers:\n  - cron: 0 * * * *\n");
    let engine = bench.engine();
    let mut s = scheduler(&engine);
    s.look(&engine).await;
    bench.forward(at("2026-03-23T01:00:00Z"));
    s.look(&engine).await;
    let mut w = Watch::default();
    assert_eq!(w.check(&engine).await.unwrap(), Some(at("2026-03-23T01:10:00Z")));
    bench.forward(at("2026-03-23T01:10:00Z"));
    w.check(&engine).await.unwrap();
    let text = written(&told, "QD_EVENT=late").await;
    assert!(text.contains("QD_PIPELINE=p") && text.contains("QD_SCHEDULED_FOR=2026-03-23T01:00:00.000Z"), "{text}");
    assert!(!text.contains("CARGO"), "the engine's own environment stays its own: {text}");
    w.check(&engine).await.unwrap();
    assert!(engine.store.not_begun(0).unwrap().is_empty(), "told once");
    // Nobody looks for ten minutes after the next is due.
    bench.forward(at("2026-03-23T02:09:59Z"));
    w.check(&engine).await.unwrap();
    assert!(engine.schedule.state().dead.is_none());
    bench.forward(at("2026-03-23T02:10:00Z"));
    w.check(&engine).await.unwrap();
    assert!(status::of(&engine).unwrap().scheduler.starts_with("dead: "));
    written(&told, "QD_EVENT=scheduler-dead").await;
    s.look(&engine).await;
    assert_eq!(status::of(&engine).unwrap().scheduler, "on");
    written(&told, "QD_EVENT=missed").await;
    end(engine).await;
}
