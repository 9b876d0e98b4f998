//! One round: a crowd of runs, one kill that is aimed or left to chance, a restart, and what it hit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use super::cells::{Cell, Doing, Tally, Target};
use super::estate::{Estate, attempt_of};
use super::support::process::{alive, command_line, kill, processes_with};
use super::view::{self, Attempt};

/// A place in the source at which a process can be held or killed: `tests/it/chaos_check.rs` holds the list to the source.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    pub name: &'static str,
    /// Whose process stands there, and what it is doing.
    pub owner: Target,
    pub doing: Doing,
    /// The pipeline that comes by; empty = nearly any; `-` = none of ours, see [`Point::elsewhere`].
    pub pipeline: &'static str,
}

impl Point {
    /// Reached by no pipeline here: `mirror.piece` needs a file of more than 256 KiB, `mirror.paired` a signed one, and `tests/it/mirror` kills there, as it does at
    /// every point of a snapshot, a switch and a collection; `tests/it/cobbler` kills a reposync;
    /// the acts of people between commit and effect are killed by `tests/it/audit` and `tests/it/runner/force`, promotions by `tests/it/promotion_kills`.
    pub fn elsewhere(&self) -> bool {
        self.pipeline == "-"
    }
}

const fn point(name: &'static str, owner: Target, doing: Doing, pipeline: &'static str) -> Point {
    Point { name, owner, doing, pipeline }
}

pub const POINTS: &[Point] = &[
    point("runner.submitted", Target::Engine, Doing::BeforeClaim, ""),
    point("runner.claimed", Target::Engine, Doing::Claimed, ""),
    point("attempt.dir", Target::Engine, Doing::Claimed, ""),
    point("attempt.spec", Target::Engine, Doing::Claimed, ""),
    point("runner.spec", Target::Engine, Doing::Claimed, ""),
    point("runner.spawned", Target::Engine, Doing::Claimed, ""),
    point("runner.ingest", Target::Engine, Doing::Ingest, ""),
    point("runner.verdict", Target::Engine, Doing::Ingest, ""),
    point("runner.run-ended", Target::Engine, Doing::Ingest, ""),
    point("audit.sealed", Target::Engine, Doing::BeforeClaim, "-"),
    point("runner.cancelled", Target::Engine, Doing::Running, "-"),
    point("runner.forced", Target::Engine, Doing::Running, "-"),
    point("runner.decided", Target::Engine, Doing::BeforeClaim, "-"),
    point("runner.drained", Target::Engine, Doing::BeforeClaim, "-"),
    point("runner.pinned", Target::Engine, Doing::BeforeClaim, "-"),
    point("runner.reopened", Target::Engine, Doing::BeforeClaim, "-"),
    point("runner.inputs", Target::Engine, Doing::Claimed, "-"),
    point("runner.child-wanted", Target::Engine, Doing::BetweenStages, "nest"),
    point("runner.child-started", Target::Engine, Doing::BetweenStages, "nest"),
    point("runner.child-ended", Target::Engine, Doing::Ingest, "nest"),
    point("overlay.made", Target::Engine, Doing::BeforeClaim, "-"),
    point("promotion.saved", Target::Engine, Doing::BeforeClaim, "-"),
    point("promotion.decided", Target::Engine, Doing::BeforeClaim, "-"),
    point("promotion.begun", Target::Engine, Doing::BeforeClaim, "-"),
    point("promotion.pinned", Target::Engine, Doing::BeforeClaim, "-"),
    point("promotion.recorded", Target::Engine, Doing::BeforeClaim, "-"),
    point("promotion.checked", Target::Engine, Doing::BeforeClaim, "-"),
    point("promotion.halted", Target::Engine, Doing::BeforeClaim, "-"),
    point("promotion.resumed", Target::Engine, Doing::BeforeClaim, "-"),
    point("promotion.packed", Target::Engine, Doing::BeforeClaim, "-"),
    point("retention.condemned", Target::Engine, Doing::BeforeClaim, "-"),
    point("retention.removed", Target::Engine, Doing::BeforeClaim, "-"),
    point("contents.forgotten", Target::Engine, Doing::BeforeClaim, "-"),
    point("scheduler.known", Target::Engine, Doing::CatchingUp, ""),
    point("scheduler.recorded", Target::Engine, Doing::CatchingUp, ""),
    point("scheduler.due", Target::Engine, Doing::Due, ""),
    point("scheduler.fired", Target::Engine, Doing::Fired, ""),
    point("shim.begin", Target::Shim, Doing::Claimed, ""),
    point("shim.locked", Target::Shim, Doing::Claimed, ""),
    point("shim.reserved", Target::Shim, Doing::Claimed, ""),
    point("shim.secrets", Target::Shim, Doing::Claimed, ""),
    point("shim.prepared", Target::Shim, Doing::Claimed, ""),
    point("shim.forked", Target::Shim, Doing::Claimed, ""),
    point("shim.started.tmp", Target::Shim, Doing::Claimed, ""),
    point("shim.started", Target::Shim, Doing::Started, ""),
    point("shim.gate", Target::Shim, Doing::Started, ""),
    point("shim.exited", Target::Shim, Doing::Draining, ""),
    point("shim.drained", Target::Shim, Doing::Draining, ""),
    point("shim.sweeping", Target::Shim, Doing::Draining, "stray"),
    point("shim.swept", Target::Shim, Doing::Draining, ""),
    point("shim.scrubbed", Target::Shim, Doing::Status, ""),
    point("shim.status.tmp", Target::Shim, Doing::Status, ""),
    point("shim.status", Target::Shim, Doing::Status, ""),
    point("shim.done", Target::Shim, Doing::Status, ""),
    point("shim.term", Target::Shim, Doing::Running, "late"),
    point("shim.kill", Target::Shim, Doing::Running, "late"),
    point("mirror.piece", Target::Step, Doing::Publish, "-"),
    point("mirror.package", Target::Step, Doing::Publish, "push"),
    point("mirror.downloaded", Target::Step, Doing::Publish, "push"),
    point("mirror.pending", Target::Step, Doing::Publish, "push"),
    point("mirror.packages", Target::Step, Doing::Publish, "push"),
    point("mirror.metadata", Target::Step, Doing::Publish, "push"),
    point("mirror.replaced", Target::Step, Doing::Publish, "push"),
    point("mirror.paired", Target::Step, Doing::Publish, "-"),
    point("mirror.published", Target::Step, Doing::Publish, "push"),
    point("mirror.confirmed", Target::Step, Doing::Publish, "push"),
    point("mirror.sweep", Target::Step, Doing::Publish, "push"),
    point("snapshot.linked", Target::Step, Doing::Publish, "promote"),
    point("snapshot.verified", Target::Step, Doing::Publish, "promote"),
    point("snapshot.durable", Target::Step, Doing::Publish, "promote"),
    point("snapshot.named", Target::Step, Doing::Publish, "promote"),
    point("verify.looked", Target::Step, Doing::Running, "-"),
    point("verify.told", Target::Step, Doing::Running, "-"),
    point("closure.judged", Target::Step, Doing::Running, "-"),
    point("switch.intended", Target::Step, Doing::Publish, "promote"),
    point("switch.prepared", Target::Step, Doing::Publish, "promote"),
    point("switch.switched", Target::Step, Doing::Publish, "promote"),
    point("switch.durable", Target::Step, Doing::Publish, "promote"),
    point("switch.adopted", Target::Step, Doing::Publish, "-"),
    point("switch.previous", Target::Step, Doing::Publish, "promote"),
    point("switch.recorded", Target::Step, Doing::Publish, "promote"),
    point("gc.checked", Target::Step, Doing::Publish, "-"),
    point("gc.moved", Target::Step, Doing::Publish, "-"),
    point("gc.removed", Target::Step, Doing::Publish, "-"),
    point("cobbler.intended", Target::Step, Doing::Running, "-"),
    point("cobbler.sent", Target::Step, Doing::Running, "-"),
    point("cobbler.begun", Target::Step, Doing::Running, "-"),
];

/// splitmix64: the whole run follows from its seed.
#[derive(Debug, Clone)]
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Round {
    /// Kill this, while it is doing that.
    Aim(Cell),
    /// Kill something, some time.
    Chance,
    /// Kill everything at once, and forget what was not synced.
    PowerCut,
}

/// What is preloaded into engines; none where it cannot be built.
#[derive(Debug, Default)]
pub struct Libraries {
    pub power: Option<PathBuf>,
    pub clock: Option<PathBuf>,
}

/// What a round leaves for the report.
#[derive(Debug, Default)]
pub struct Outcome {
    pub tally: Tally,
    pub cuts: u32,
    /// Files that a power cut took.
    pub forgotten: u32,
    /// Aimed rounds whose moment did not come.
    pub missed: Vec<String>,
    pub points: Vec<&'static str>,
}

/// What mixes with the run that is aimed at.
const CROWD: &[&str] = &["solo", "cells", "flaky", "posted", "good", "stray", "pool", "pool", "gate", "sync", "promote", "nest", "nest"];

/// How long a moment is waited for before the round counts as missed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The pipeline that comes by the moment that is wanted.
fn pipeline_for(doing: Doing, rng: &mut Rng) -> &'static str {
    match doing {
        Doing::Post => rng.pick(&["posted", "good"]),
        Doing::Publish => "sync",
        Doing::Draining => "stray",
        Doing::Started => "good",
        Doing::BetweenStages => rng.pick(&["gap", "nest"]),
        _ => rng.pick(&["solo", "cells", "flaky", "good"]),
    }
}

/// `visits`: how often each point was reached so far.
pub fn run(
    estate: &mut Estate,
    round: Round,
    rng: &mut Rng,
    libraries: &Libraries,
    visits: &BTreeMap<&'static str, u32>,
) -> Result<Outcome, String> {
    let mut out = Outcome::default();
    match round {
        Round::Aim(cell) => {
            // A held process is a moment for every target that exists then.
            let there = |p: &&Point| !p.elsewhere() && p.doing == cell.1 && (p.owner == cell.0 || cell.0 != Target::Shim);
            let points: Vec<&Point> = POINTS.iter().filter(there).collect();
            // Moments of microseconds can only be met where the process is held; others are met both ways.
            let narrow = matches!(cell.1, Doing::Claimed | Doing::Status | Doing::Ingest | Doing::Due | Doing::Fired | Doing::CatchingUp);
            if !points.is_empty() && (narrow || rng.one_in(2)) {
                // The least visited first, so that each is reached.
                let point = points.iter().min_by_key(|p| (visits.get(p.name).copied().unwrap_or(0), rng.next())).expect("not empty");
                at_point(estate, cell, point, libraries.clock.as_deref(), rng, &mut out)?;
            } else {
                at_moment(estate, cell, rng, &mut out)?;
            }
        }
        Round::Chance => by_chance(estate, rng, &mut out)?,
        Round::PowerCut => match libraries.power.as_deref() {
            Some(library) => power_cut(estate, library, rng, &mut out)?,
            None => by_chance(estate, rng, &mut out)?,
        },
    }
    Ok(out)
}

fn crowd(estate: &mut Estate, rng: &mut Rng) -> Result<(), String> {
    for _ in 0..rng.below(3) {
        let pipeline = rng.pick(CROWD);
        if matches!(pipeline, "sync" | "promote") {
            estate.advance();
        }
        let number = estate.submit(pipeline)?;
        if rng.one_in(5) {
            std::thread::sleep(Duration::from_millis(rng.below(80)));
            estate.cancel(pipeline, number)?;
            // A second wish, with force.
            if rng.one_in(3) {
                estate.cancel(pipeline, number)?;
            }
        }
    }
    Ok(())
}

/// Holds or kills a process at a named point; what is held may see another process die first.
fn at_point(estate: &mut Estate, cell: Cell, point: &Point, clock: Option<&Path>, rng: &mut Rng, out: &mut Outcome) -> Result<(), String> {
    let label = estate.token();
    let once = estate.home.root().join(format!("once-{label}"));
    let once_text = once.to_string_lossy().into_owned();
    let hold = cell.0 != point.owner || rng.one_in(2);
    let mut faults = vec![("QD_CRASH_AT", point.name), ("QD_CRASH_ONCE", once_text.as_str())];
    if hold {
        faults.push(("QD_CRASH_SIGNAL", "STOP"));
    }
    // What was due meanwhile is caught up with: an outage of one to three minutes, as the next engine's clock has it.
    let ahead = (61 + rng.below(120)).to_string();
    let (clock_text, catching_up) = (clock.map(|c| c.to_string_lossy().into_owned()), point.doing == Doing::CatchingUp);
    let outage = match &clock_text {
        Some(library) if catching_up || matches!(point.doing, Doing::Due | Doing::Fired) && rng.one_in(2) => {
            faults.extend([("LD_PRELOAD", library.as_str()), ("QD_CLOCK_AHEAD", ahead.as_str())]);
            true
        }
        _ => false,
    };
    if catching_up {
        estate.kill_engine();
        estate.reword_a_trigger();
    }
    let in_step = point.owner == Target::Step;
    let mut with = Vec::new();
    if in_step {
        // A step inherits nothing: its pipeline hands the words on.
        estate.ensure_engine(false)?;
        with = vec![("point", point.name), ("once", once_text.as_str()), ("hold", if hold { "STOP" } else { "KILL" })];
    } else {
        estate.start_engine(&faults)?;
    }
    if point.doing == Doing::Publish {
        // What was superseded twice is swept.
        estate.advance();
    }
    let pipeline = if point.pipeline.is_empty() { pipeline_for(cell.1, rng) } else { point.pipeline };
    let (mut client, token) = estate.client_with(pipeline, &with);
    let reached = wait(PATIENCE, || std::fs::read_to_string(&once).ok().filter(|t| t.ends_with('\n')));
    let Some(pid) = reached.as_deref().and_then(|t| t.split_whitespace().nth(1)?.parse::<i32>().ok()) else {
        out.missed.push(format!("{} / {} at {}", cell.0, cell.1, point.name));
        if outage {
            estate.kill_engine();
        }
        end(client);
        return estate.ensure_engine(false);
    };
    if hold && wait(PATIENCE, || stopped(pid).then_some(())).is_none() {
        return Err(format!("pid {pid} was to stand still at {}, and does not", point.name));
    }
    out.points.push(point.name);
    let owner_attempt = match point.owner {
        Target::Shim => attempt_of_shim(pid).into_iter().collect(),
        Target::Step => Some(attempt_of(pid)).filter(|id| !id.is_empty()).into_iter().collect(),
        _ => Vec::new(),
    };
    if !hold && point.owner != Target::Engine {
        // It dies right after it has said so: whatever of this run has no verdict then was hit.
        gone(pid);
        mark_open(estate, &token);
    }
    let engine_before = estate.engine_pid();
    let struck = match cell.0 {
        target if target == point.owner => {
            estate.hit.extend(owner_attempt.iter().cloned());
            kill(pid);
            true
        }
        Target::Engine => {
            estate.kill_engine();
            engine_before.is_some()
        }
        Target::Client => client.try_wait().is_ok_and(|s| s.is_none()) && client.kill().is_ok(),
        _ => kill_step(estate, &token, rng),
    };
    if struck {
        out.tally.add(cell);
    }
    let mut dead = cell.0 == point.owner;
    if hold && alive(pid) {
        // Held by us: it goes on as if nothing had been, or dies as well.
        if rng.one_in(3) {
            estate.hit.extend(owner_attempt);
            kill(pid);
            dead = true;
            out.tally.add((point.owner, point.doing));
        } else if let Some(p) = rustix::process::Pid::from_raw(pid) {
            let _ = rustix::process::kill_process(p, rustix::process::Signal::CONT);
        }
    }
    if dead {
        gone(pid);
    }
    if outage {
        // The next one finds the clock set back.
        estate.kill_engine();
    }
    estate.ensure_engine(rng.one_in(3))?;
    end(client);
    Ok(())
}

/// The file is written before the signal is raised: a CONT in between would be lost.
fn stopped(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|s| s.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['T', 't'])))
}

/// Waits until a process that was killed is really gone.
fn gone(pid: i32) {
    wait(Duration::from_secs(10), || (!alive(pid)).then_some(()));
}

/// The attempts of the run whose process we killed: that of `token`, or one of the clock's, which came first.
fn mark_open(estate: &mut Estate, token: &str) {
    let place = estate.find(token).map(|(pipeline, number, _)| (pipeline, number));
    for (pipeline, number) in open_runs(estate).into_iter().chain(place) {
        for a in view::attempts(&estate.run_dir(&pipeline, number), &estate.journal) {
            // A step's shim may have written the verdict on it already; the lock of a dead shim lives until the child at its gate has left.
            if a.native || a.push || !a.ended {
                estate.hit.insert(a.id);
            }
        }
    }
}

fn open_runs(estate: &Estate) -> Vec<(String, u64)> {
    let open = estate.open_runs().into_iter().flatten();
    open.filter_map(|r| r.rsplit_once('#').and_then(|(p, n)| Some((p.to_owned(), n.parse().ok()?)))).collect()
}

/// Waits until the run does what is wanted, and kills.
fn at_moment(estate: &mut Estate, cell: Cell, rng: &mut Rng, out: &mut Outcome) -> Result<(), String> {
    estate.ensure_engine(rng.one_in(3))?;
    if cell.1 == Doing::BetweenStages {
        estate.submit("hold")?;
    }
    crowd(estate, rng)?;
    if cell.1 == Doing::Publish {
        estate.advance();
    }
    let (client, token) = estate.client(pipeline_for(cell.1, rng));
    let start = Instant::now();
    let mut client = Some(client);
    loop {
        let place = estate.find(&token);
        let doing = match &place {
            None => Some(Doing::BeforeClaim),
            Some((pipeline, number, done)) => view::doing(&view::attempts(&estate.run_dir(pipeline, *number), &estate.journal), *done),
        };
        if doing == Some(cell.1) {
            if cell.1 != Doing::BeforeClaim {
                std::thread::sleep(Duration::from_micros(rng.below(3_000)));
            }
            if let Some(doing) = strike(estate, cell.0, &token, client.as_mut(), rng) {
                out.tally.add((cell.0, doing));
                break;
            }
        }
        if doing.is_none() || start.elapsed() > PATIENCE {
            out.missed.push(format!("{} / {}", cell.0, cell.1));
            break;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    estate.ensure_engine(rng.one_in(3))?;
    client.into_iter().for_each(end);
    Ok(())
}

fn by_chance(estate: &mut Estate, rng: &mut Rng, out: &mut Outcome) -> Result<(), String> {
    estate.ensure_engine(rng.one_in(3))?;
    crowd(estate, rng)?;
    if rng.one_in(3) {
        estate.drain_over_a_kill()?;
    }
    let pipeline = rng.pick(CROWD);
    if matches!(pipeline, "sync" | "promote") {
        estate.advance();
    }
    let (mut client, token) = estate.client(pipeline);
    for _ in 0..=rng.below(2) {
        std::thread::sleep(Duration::from_millis(rng.below(300)));
        let target = rng.pick(&Target::ALL);
        if let Some(doing) = strike(estate, target, &token, Some(&mut client), rng) {
            out.tally.add((target, doing));
        }
        estate.ensure_engine(rng.one_in(3))?;
        estate.approve()?;
    }
    end(client);
    Ok(())
}

/// Kills `target` of the run of `token`, and says what the run was doing right before; none where there was nothing to kill.
fn strike(estate: &mut Estate, target: Target, token: &str, client: Option<&mut Child>, rng: &mut Rng) -> Option<Doing> {
    let mut place = estate.find(token);
    // Where it waits for a run of another pipeline, that one is struck as often.
    if let Some(child) = place.as_ref().and_then(|(p, n, _)| estate.child_of(p, *n)).filter(|_| rng.one_in(2)) {
        place = Some((child.0, child.1, false));
    }
    let list = match &place {
        Some((pipeline, number, _)) => view::attempts(&estate.run_dir(pipeline, *number), &estate.journal),
        None => Vec::new(),
    };
    let doing = view::doing(&list, place.as_ref().is_some_and(|p| p.2))?;
    let active: Vec<&Attempt> = list.iter().filter(|a| a.doing() == Some(doing)).collect();
    match target {
        Target::Engine => {
            estate.engine_pid()?;
            estate.kill_engine();
        }
        Target::Client => {
            let client = client?;
            if client.try_wait().ok()?.is_some() {
                return None;
            }
            client.kill().ok()?;
        }
        Target::Shim => {
            let attempt = active.first()?;
            let pid = match attempt.shim {
                Some(shim) if view::is_same(shim) => shim.0,
                Some(_) => return None,
                None => *processes_with(&attempt.dir.to_string_lossy()).iter().find(|p| command_line(**p).contains(" shim "))?,
            };
            estate.hit.insert(attempt.id.clone());
            // A shim may have ended this attempt a moment ago and have begun another: stopped first, it says which one is hit.
            if let Some(p) = rustix::process::Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(p, rustix::process::Signal::STOP);
                wait(Duration::from_secs(1), || (stopped(pid) || !alive(pid)).then_some(()));
            }
            estate.hit.extend(attempt_of_shim(pid));
            kill(pid);
        }
        Target::Step => return kill_step_of(estate, &list, rng).then_some(doing),
    }
    Some(doing)
}

/// Kills the leader of a step, or where it has ended already one of the children that it left.
fn kill_step(estate: &mut Estate, token: &str, rng: &mut Rng) -> bool {
    let Some((pipeline, number, _)) = estate.find(token) else { return false };
    let list = view::attempts(&estate.run_dir(&pipeline, number), &estate.journal);
    kill_step_of(estate, &list, rng)
}

fn kill_step_of(estate: &mut Estate, list: &[Attempt], rng: &mut Rng) -> bool {
    let Some(attempt) = list.iter().rev().find(|a| a.doing().is_some() && a.child.is_some()) else { return false };
    let leader = attempt.child.filter(|c| view::is_same(*c) && alive(c.0));
    let pid = match leader {
        Some(child) if !attempt.said_end => child.0,
        _ => {
            let left: Vec<i32> = processes_with(&format!("QD_ATTEMPT_ID={}", attempt.id));
            if left.is_empty() {
                return false;
            }
            rng.pick(&left)
        }
    };
    estate.hit.insert(attempt.id.clone());
    kill(pid);
    true
}

/// A moment in the life of several runs, then darkness for engine, shims and steps at once.
fn power_cut(estate: &mut Estate, library: &Path, rng: &mut Rng, out: &mut Outcome) -> Result<(), String> {
    let label = estate.token();
    let ledger = estate.home.root().join(format!("ledger-{label}"));
    let (library, file) = (library.to_string_lossy().into_owned(), ledger.to_string_lossy().into_owned());
    estate.start_engine(&[("LD_PRELOAD", &library), ("QD_SYNC_LEDGER", &file)])?;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        let pipeline = rng.pick(&["solo", "cells", "good", "posted", "nest"]);
        estate.submit(pipeline)?;
        tokens.push(estate.told.last().map(|t| t.2.clone()).unwrap_or_default());
    }
    let chosen = rng.pick(&[0usize, 1, 2]);
    let wanted = |list: &[Attempt]| list.iter().any(|a| a.said_start && !a.ended);
    let start = Instant::now();
    loop {
        let place = estate.find(&tokens[chosen]);
        let list = place.as_ref().map(|(p, n, _)| view::attempts(&estate.run_dir(p, *n), &estate.journal)).unwrap_or_default();
        if wanted(&list) || place.is_some_and(|p| p.2) || start.elapsed() > PATIENCE {
            break;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    std::thread::sleep(Duration::from_micros(rng.below(20_000)));
    // Nobody may act on the death of another: engine first, then shims, then steps, again until all are gone.
    estate.kill_engine();
    estate.home.kill_everything();
    let mut places: BTreeMap<PathBuf, String> = BTreeMap::new();
    let asked: Vec<(String, u64)> = estate.told.iter().rev().take(3).map(|(pipeline, number, _)| (pipeline.clone(), *number)).collect();
    for (pipeline, number) in open_runs(estate).into_iter().chain(asked) {
        for a in view::attempts(&estate.run_dir(&pipeline, number), &estate.journal) {
            if !a.ended {
                estate.hit.insert(a.id.clone());
            }
            places.insert(a.dir, a.id);
        }
    }
    let text = std::fs::read_to_string(&ledger).unwrap_or_default();
    let dirs: Vec<PathBuf> = places.keys().cloned().collect();
    let forgotten = super::power::cut(&text, &dirs);
    out.forgotten += forgotten.len() as u32;
    // A verdict that was on its way to the disk is gone with it.
    estate.hit.extend(forgotten.iter().filter_map(|f| places.get(f.parent()?).cloned()));
    out.cuts += 1;
    estate.start_engine(&[])
}

fn attempt_of_shim(pid: i32) -> Option<String> {
    let line = command_line(pid);
    let dir = line.split(" shim ").nth(1)?;
    let spec: serde_json::Value = serde_json::from_slice(&std::fs::read(Path::new(dir.trim()).join("spec.json")).ok()?).ok()?;
    Some(spec["attempt"].as_str()?.to_owned()).filter(|id| !id.is_empty() || attempt_of(pid).is_empty())
}

fn wait<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(value) = probe() {
            return Some(value);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    None
}

/// A client that is still waiting is let go: its run goes on without it.
fn end(mut client: Child) {
    let start = Instant::now();
    while client.try_wait().is_ok_and(|s| s.is_none()) && start.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = client.kill();
    let _ = client.wait();
}
