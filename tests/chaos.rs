//! Chaos: kill -9 of engine, shim, step and client, again and again, in several estates at once; then the invariants.
//!
//!     cargo test --test chaos                                       a few rounds, as part of `cargo test`
//!     QD_CHAOS_ROUNDS=200 cargo test --test chaos                   what CI runs
//!     QD_CHAOS_ROUNDS=1000 QD_CHAOS_REPORT=FILE cargo test --test chaos
//!
//! `QD_CHAOS_SEED` repeats the choices of a run (not the scheduler's), `QD_CHAOS_ESTATES` sets how many estates run at once (3),
//! `QD_CHAOS_SETTLE_S` how long a run may take to its verdict (120), `QD_CHAOS_ONLY=power|points` narrows the rounds. From 100 rounds on, a
//! reachable cell with fewer than three kills makes the run red, and so does a crash point that was never reached.
//!
//! The truth is what the steps fsync about themselves (`journal`) and the file tree. The store is only asked what it claims.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "chaos/cells.rs"]
mod cells;
#[path = "chaos/check.rs"]
mod check;
#[path = "chaos/estate.rs"]
mod estate;
#[path = "chaos/fault.rs"]
mod fault;
#[path = "chaos/full.rs"]
mod full;
#[path = "chaos/journal.rs"]
mod journal;
#[path = "chaos/pipelines.rs"]
mod pipelines;
#[path = "chaos/power.rs"]
mod power;
#[path = "it/support/mod.rs"]
mod support;
#[path = "chaos/tree.rs"]
mod tree;
#[path = "chaos/view.rs"]
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cells::Tally;
use check::Violation;
use estate::Estate;
use fault::{Libraries, POINTS, Rng, Round};

/// From here on the report is judged for its cells too.
const FULL: usize = 100;
const LEAST: u32 = 3;

struct Plan {
    rounds: Vec<Round>,
    seed: u64,
    estates: usize,
    settle: Duration,
    libraries: Libraries,
    /// Rounds on a disk that fills.
    full: usize,
    /// `QD_CHAOS_ONLY` narrows the rounds.
    narrowed: bool,
}

impl Plan {
    /// Whether thin cells and unvisited points make this run red.
    fn judged(&self) -> bool {
        self.rounds.len() >= FULL && !self.narrowed
    }
}

#[derive(Default)]
struct Report {
    tally: Tally,
    cuts: u32,
    forgotten: u32,
    full: usize,
    missed: BTreeMap<String, u32>,
    points: BTreeMap<&'static str, u32>,
    done: usize,
    runs: usize,
    cancelled: usize,
    approvals: usize,
    attempts: usize,
    verdicts: BTreeMap<String, usize>,
    /// Of occurrences of the clock.
    outcomes: BTreeMap<String, usize>,
    violations: BTreeSet<Violation>,
}

fn main() -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("step") => journal::step(&args[1..]),
        // What a test runner asks of every program.
        Some("--list") => return std::process::ExitCode::SUCCESS,
        _ => {}
    }
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let plan = plan(scratch.path());
    println!("chaos: {} rounds, {} estates, seed {}", plan.rounds.len(), plan.estates, plan.seed);
    let from = Instant::now();
    let report = Mutex::new(Report::default());
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|s| {
        for n in 0..plan.estates {
            let (plan, report, next, stop) = (&plan, &report, &next, &stop);
            s.spawn(move || work(plan, n as u64, next, stop, report));
        }
        if plan.full > 0 {
            let (plan, report) = (&plan, &report);
            s.spawn(move || match full::run(plan.full, plan.seed, plan.settle) {
                Ok(found) => {
                    let mut r = report.lock().expect("no thread of ours panicked");
                    r.full = plan.full;
                    r.violations.extend(found);
                }
                Err(why) => support::skip("chaos.full_disk", &format!("no small disk to fill: {why}")),
            });
        }
    });
    let report = report.into_inner().expect("no thread of ours panicked");
    let (text, red) = judge(&plan, &report, from.elapsed());
    println!("{text}");
    if let Some(path) = std::env::var_os("QD_CHAOS_REPORT") {
        std::fs::write(&path, &text).expect("the report is written");
    }
    if red { std::process::ExitCode::FAILURE } else { std::process::ExitCode::SUCCESS }
}

fn plan(scratch: &std::path::Path) -> Plan {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let count = number("QD_CHAOS_ROUNDS").unwrap_or(12) as usize;
    let seed = number("QD_CHAOS_SEED").unwrap_or_else(|| journal::boot_us() ^ u64::from(std::process::id()));
    let only = std::env::var("QD_CHAOS_ONLY").unwrap_or_default();
    let there = |built: Result<_, String>, test: &str| built.map_err(|why| support::skip(test, &why)).ok();
    let libraries =
        Libraries { power: there(power::build(scratch), "chaos.power"), clock: there(power::preload(scratch, "clock"), "chaos.clock") };
    let mut rng = Rng(seed);
    let mut aims = Vec::new();
    let mut rounds = Vec::new();
    for n in 0..count {
        rounds.push(match only.as_str() {
            "power" => Round::PowerCut,
            _ if only.is_empty() && n % 12 == 5 => Round::PowerCut,
            _ if only.is_empty() && n % 6 == 3 => Round::Chance,
            _ => {
                if aims.is_empty() {
                    aims = cells::reachable();
                }
                let at = rng.below(aims.len() as u64) as usize;
                Round::Aim(aims.swap_remove(at))
            }
        });
    }
    Plan {
        rounds,
        seed,
        estates: number("QD_CHAOS_ESTATES").unwrap_or(3).clamp(1, 16) as usize,
        settle: Duration::from_secs(number("QD_CHAOS_SETTLE_S").unwrap_or(120)),
        libraries,
        full: if only.is_empty() { (count / 50).clamp(2, 10) } else { 0 },
        narrowed: !only.is_empty(),
    }
}

/// One estate takes round after round. After a violation its world is not trusted any more, and the run ends.
fn work(plan: &Plan, n: u64, next: &AtomicUsize, stop: &AtomicBool, report: &Mutex<Report>) {
    let mut rng = Rng(plan.seed ^ (n + 1).wrapping_mul(0x9e37_79b9));
    let mut estate = Estate::new(1 + n);
    loop {
        let at = next.fetch_add(1, Ordering::SeqCst);
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let (visits, more) = {
            let r = report.lock().expect("no thread of ours panicked");
            (r.points.clone(), more(plan, at, &r, &mut rng))
        };
        let Some(round) = plan.rounds.get(at).copied().or(more) else { break };
        let outcome = fault::run(&mut estate, round, &mut rng, &plan.libraries, &visits);
        let settled = outcome.and_then(|o| settled(&mut estate, plan.settle).map(|e| (o, e)));
        let (settled, evidence) = match settled {
            Ok((o, e)) => (Some(o), Ok(e)),
            Err(why) => (None, Err(why)),
        };
        let mut found = Vec::new();
        match &evidence {
            Ok(e) => found.extend(check::check(e)),
            Err(why) => found.push(Violation { invariant: "I2", what: why.clone() }),
        }
        for tree in [estate.tree(), estate.stable()] {
            found.extend(
                tree::torn(&tree).into_iter().map(|what| Violation { invariant: "torn", what: format!("{}: {what}", tree.display()) }),
            );
        }
        let mut r = report.lock().expect("no thread of ours panicked");
        r.done += 1;
        if let Some(o) = settled {
            r.tally.merge(&o.tally);
            r.cuts += o.cuts;
            r.forgotten += o.forgotten;
            for point in o.points {
                *r.points.entry(point).or_default() += 1;
            }
            for missed in o.missed {
                *r.missed.entry(missed).or_default() += 1;
            }
        }
        if !found.is_empty() {
            println!("round {at} ({round:?}) in {}:", estate.home.root().display());
            for v in found.iter().take(20) {
                println!("  {}: {}", v.invariant, v.what);
            }
            r.violations.extend(found);
            stop.store(true, Ordering::SeqCst);
        }
        if r.done.is_multiple_of(50) {
            println!("chaos: {} of {} rounds", r.done, plan.rounds.len());
        }
    }
    // The last word of the estate: what the command line says must be what the store claimed.
    if let (false, Ok((evidence, told))) = (stop.load(Ordering::SeqCst), last_word(&mut estate, plan.settle)) {
        let rows = serde_json::from_str::<serde_json::Value>(&told.stdout).ok().and_then(|v| v["rows"].as_array().map(Vec::len));
        let mut r = report.lock().expect("no thread of ours panicked");
        if rows != Some(evidence.runs.len()) {
            let what = format!("`get runs` shows {rows:?} runs, the store holds {}: {told:?}", evidence.runs.len());
            r.violations.insert(Violation { invariant: "I4", what });
        }
        match (estate.audited("run"), estate.audited("approve")) {
            (Ok(runs), Ok(approvals)) => {
                r.approvals += approvals.len();
                let by_clock = evidence.occurrences.iter().filter(|o| matches!(o.outcome.as_str(), "ran" | "late"));
                let by_clock = by_clock.filter_map(|o| Some((o.pipeline.clone(), o.run?, check::NOBODY.to_owned())));
                let by_stage = evidence.runs.iter().filter(|r| r.parent().is_some());
                let by_stage = by_stage.map(|r| (r.pipeline.clone(), r.number, check::NOBODY.to_owned()));
                let promised: Vec<_> = estate.told.iter().cloned().chain(by_clock).chain(by_stage).collect();
                r.violations.extend(check::audited(&promised, &runs));
                r.violations.extend(check::agreed(&evidence.runs, &approvals));
            }
            (Err(what), _) | (_, Err(what)) => drop(r.violations.insert(Violation { invariant: "I16", what })),
        }
        r.cancelled += estate.cancelled.len();
        estate::outcomes(&evidence, &mut r.outcomes);
        r.runs += evidence.runs.len();
        r.attempts += evidence.attempts.len();
        for run in evidence.runs {
            *r.verdicts.entry(run.verdict).or_default() += 1;
        }
    }
    if std::env::var_os("QD_KEEP").is_some() {
        estate.home.keep();
    }
}

/// Evidence once every run has its verdict. The request of a client that was killed may still lie in the engine's queue and become a run
/// after the look: then that one is waited for as well.
fn settled(estate: &mut Estate, limit: Duration) -> Result<check::Evidence, String> {
    loop {
        estate.settle(limit)?;
        // The clock fires on: what was looked at while nothing began or ended belongs together.
        let before = estate.pulse();
        let evidence = estate.evidence()?;
        if evidence.runs.iter().all(|r| r.state == "done") && before.is_some_and(|p| p.1 == 0) && before == estate.pulse() {
            return Ok(evidence);
        }
    }
}

/// Evidence, and what the command line says of the same state.
fn last_word(estate: &mut Estate, limit: Duration) -> Result<(check::Evidence, support::Out), String> {
    loop {
        let evidence = settled(estate, limit)?;
        let before = estate.pulse();
        let told = estate.home.qd(["--json", "get", "runs", "--limit", "100000"]);
        if before == estate.pulse() && before.is_some_and(|p| p.0 == evidence.runs.len() as i64) {
            return Ok((evidence, told));
        }
    }
}

/// Chance may leave a cell thin or a point unvisited: up to half as many rounds again go there, before that is called red.
fn more(plan: &Plan, at: usize, r: &Report, rng: &mut Rng) -> Option<Round> {
    if !plan.judged() || at >= plan.rounds.len() + plan.rounds.len() / 2 {
        return None;
    }
    let thin = r.tally.thin(LEAST);
    if !thin.is_empty() {
        return Some(Round::Aim(rng.pick(&thin)));
    }
    let unseen: Vec<cells::Cell> =
        POINTS.iter().filter(|p| !p.elsewhere() && !r.points.contains_key(p.name)).map(|p| (p.owner, p.doing)).collect();
    (!unseen.is_empty()).then(|| Round::Aim(rng.pick(&unseen)))
}

/// The report, and whether the run is red.
fn judge(plan: &Plan, r: &Report, took: Duration) -> (String, bool) {
    let mut text = String::new();
    let mut line = |l: String| {
        text.push_str(&l);
        text.push('\n');
    };
    line(format!("quarterdeck {} chaos report, {}", env!("CARGO_PKG_VERSION"), jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC")));
    line(format!(
        "kernel {}, {} processors",
        read("/proc/sys/kernel/osrelease"),
        std::thread::available_parallelism().map_or(0, usize::from)
    ));
    line(format!("rounds {} of {}, estates {}, seed {}, {} s", r.done, plan.rounds.len(), plan.estates, plan.seed, took.as_secs()));
    line(format!(
        "runs {}, of which {} were asked to cancel, approvals {}, attempts {}, kills {}, power cuts {} ({} files forgotten)",
        r.runs,
        r.cancelled,
        r.approvals,
        r.attempts,
        r.tally.total(),
        r.cuts,
        r.forgotten
    ));
    line(format!("verdicts {:?}", r.verdicts));
    line(format!("occurrences of the clock {:?}", r.outcomes));
    line(String::new());
    line(r.tally.to_string());
    line("crash points reached:".into());
    for p in POINTS.iter().filter(|p| !p.elsewhere()) {
        line(format!("  {:<24} {:>4}  {} / {}", p.name, r.points.get(p.name).copied().unwrap_or(0), p.owner, p.doing));
    }
    if !r.missed.is_empty() {
        line(format!("moments that did not come: {:?}", r.missed));
    }
    let mut red = r.done < plan.rounds.len();
    if plan.judged() && !red {
        for thin in r.tally.thin(LEAST) {
            let (target, doing, kills) = (thin.0, thin.1, r.tally.of(thin));
            line(format!("RED: a cell that can be reached has fewer than {LEAST} kills: {target} / {doing}: {kills}"));
            red = true;
        }
        for p in POINTS.iter().filter(|p| !p.elsewhere() && !r.points.contains_key(p.name)) {
            line(format!("RED: the crash point {} was never reached", p.name));
            red = true;
        }
    } else {
        line(format!("cells are not judged below {FULL} rounds, nor where the run ended early"));
    }
    if plan.judged() && !red {
        for outcome in ["ran", "late", "coalesced", "skipped"].iter().filter(|o| !r.outcomes.contains_key(**o)) {
            line(format!("RED: no occurrence was ever {outcome}: the harness did not try it"));
            red = true;
        }
    }
    for v in &r.violations {
        line(format!("RED: {}: {}", v.invariant, v.what));
        red = true;
    }
    line(if red { "RED".into() } else { "green: I1 I2 I3 I4 I5 I6 I7 I9 I10 I13 I15 I16 I18 hold".into() });
    (text, red)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).map(|t| t.trim().to_owned()).unwrap_or_default()
}
