//! What moves a promotion on by itself: gates judged again, runs started that were decided, checks before each switch answered, ends taken in.
//!
//! Everything that it knows is in the store; after a kill it reads that again and goes on. What was decided is written before it is done, and
//! a run is known by its cause, so nothing is started twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;

use super::compute::{Computed, compute, moved};
use super::roots::{self, Dc};
use super::save::{differs, look_again, own, save, site_of, vote};
use super::{additions, back, texts};
use crate::api::ApiError;
use crate::base::crash;
use crate::domain::actor::Actor;
use crate::domain::promotion::hold;
use crate::domain::promotion::plan::Line;
use crate::domain::promotion::state::{Act, State};
use crate::domain::promotion::{EXPIRES_US, Lane, Pending, Promotion, Taken, Work};
use crate::domain::report::Fact;
use crate::domain::rows::{RunRow, StageRow};
use crate::domain::run::{RunRef, RunState, StepState, Verdict};
use crate::engine::blocking::blocking;
use crate::engine::state::Engine;
use crate::pipeline::plan::Plan;
use crate::runner::Submit;
use crate::store::Save;

/// Gates of what is open are judged so often beside what wakes this.
const EVERY: Duration = Duration::from_secs(60);
/// After something failed.
const AGAIN: Duration = Duration::from_secs(5);

/// Drives until the engine stops.
pub async fn serve(engine: Arc<Engine>) {
    let mut changes = engine.runner.subscribe();
    loop {
        let next = match round(&engine).await {
            Ok(0) => None,
            Ok(_) => Some(EVERY),
            Err(e) => {
                tracing::warn!("promotions wait: {e}");
                Some(AGAIN)
            }
        };
        let timer = async {
            match next {
                Some(after) => tokio::time::sleep(after).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(timer);
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    // With nothing open, runs are no news.
                    Ok(c) if next.is_none() || !matches!(c.table, "runs" | "stages" | "decisions") => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                },
                () = &mut timer => break,
                () = engine.promotions.wake.notified() => break,
                () = engine.stopped() => return,
            }
        }
    }
}

/// Looks at every promotion that is open, or whose run is awaited; how many there are.
async fn round(engine: &Arc<Engine>) -> Result<usize, ApiError> {
    let _turn = engine.promotions.turn.lock().await;
    let open = {
        let engine = engine.clone();
        blocking(move || {
            let all = engine.store.promotions()?;
            Ok(all.into_iter().filter(|p| !p.state.is_over() || p.pending.is_some() || p.watching.is_some()).collect::<Vec<_>>())
        })
        .await?
    };
    let n = open.len();
    for p in open {
        let id = p.id.clone();
        if let Err(e) = advance(engine, p).await {
            tracing::warn!(promotion = %id, "{e}");
        }
    }
    Ok(n)
}

/// Takes one promotion as far as it goes by itself. The caller has the turn.
pub async fn advance(engine: &Arc<Engine>, p: Promotion) -> Result<Promotion, ApiError> {
    let p = begin(engine, p).await?;
    let p = watch(engine, p).await?;
    if p.state.is_before_start() && p.watching.is_none() { judge(engine, p).await } else { Ok(p) }
}

/// What was decided, put in order; or what stands against it now.
enum Planned {
    Run(Box<Plan>, Vec<Dc>),
    /// Every pointer leads to what it led to before.
    Nothing,
    /// An input moved between the decision and this moment.
    Moved(Box<Computed>),
}

/// Looks at everything once more, and writes the run. Blocks.
fn planned(engine: &Engine, p: &Promotion, pending: &Pending, lines: &[Line]) -> Result<Planned, ApiError> {
    let site = engine.site()?;
    let table = roots::table(&site, &p.os)?;
    let roots = roots::of(table, p);
    let text = match pending.what {
        Work::Soak if p.lane == Lane::Oob => texts::added(&site, table, p, &roots, lines)?,
        Work::Soak => {
            let held: Vec<String> = lines.iter().map(|l| l.package.clone()).collect();
            texts::soak(&site, table, p, &roots, &held, !pending.retake && !p.taken.is_empty())?
        }
        Work::Switch => {
            let now = compute(engine, &site, p)?;
            if halts(engine, p, &now)?.is_some() {
                return Ok(Planned::Moved(Box::new(now)));
            }
            texts::switches(p, &now.plan.moves, &now.roots)
        }
        Work::Undo => {
            if let Some(why) = back::hindrance(p, &roots, None) {
                return Err(ApiError::refused(why, "look who moved it, and put it right by hand or by a new promotion"));
            }
            match texts::undo(p, table, &roots) {
                Some(text) => text,
                None => return Ok(Planned::Nothing),
            }
        }
    };
    Ok(Planned::Run(Box::new(texts::frozen(engine, &site, p.lane, pending.what, &text)?), roots))
}

/// Starts the run that was decided, if there is one.
async fn begin(engine: &Arc<Engine>, mut p: Promotion) -> Result<Promotion, ApiError> {
    let Some(pending) = p.pending.clone() else { return Ok(p) };
    if let (Some(round), Some(run)) = (pending.round, p.run.clone()) {
        return again(engine, p, round, run).await;
    }
    let lines = hold::lines(&additions::holds(engine).await?, &p, engine.now_us());
    let overlay = hold::overlay(&lines);
    let looked = {
        let (engine, p, pending, lines) = (engine.clone(), p.clone(), pending.clone(), lines);
        blocking(move || planned(&engine, &p, &pending, &lines)).await
    };
    // Its run may be there already: then nothing is judged here, it is known by its cause and goes on.
    let there = {
        let (engine, cause) = (engine.clone(), pending.cause.clone());
        blocking(move || Ok(engine.store.run_of_cause(&cause)?)).await?
    };
    let was = p.version;
    let (plan, roots) = match looked {
        Ok(Planned::Run(plan, roots)) => (*plan, roots),
        Ok(Planned::Moved(_)) | Err(_) if there.is_some() => {
            // A soak takes what it was begun with, and that cannot be said now: it is looked at again.
            if let (Work::Soak, Err(e)) = (pending.what, looked) {
                return Err(e);
            }
            begun(&mut p, pending.what, &there.map(|r| r.to_string()).unwrap_or_default(), engine.now_us());
            return save(engine, Save::new(Some(was), p)).await;
        }
        Ok(Planned::Moved(now)) => {
            p.pending = None;
            return send_back(engine, p, &now).await;
        }
        Ok(Planned::Nothing) => return nothing_to_take_back(engine, p).await,
        Err(e) => return not_begun(engine, p, &e).await,
    };
    let submit = Submit {
        plan,
        requested_by: pending.who.clone(),
        reason: pending.reason.clone(),
        trigger: "promotion".into(),
        cause: Some(pending.cause.clone()),
        replay_of: None,
        note: None,
    };
    let run = engine.runner.submit(submit).await?.to_string();
    crash::point("promotion.begun");
    if pending.what == Work::Soak {
        p.overlay_next.clone_from(&overlay);
        if p.lane == Lane::Oob {
            p.taken = roots.iter().filter_map(additions::base).collect();
        }
    }
    begun(&mut p, pending.what, &run, engine.now_us());
    save(engine, Save::new(Some(was), p)).await
}

/// The run that was decided is there, and is watched from now on.
fn begun(p: &mut Promotion, what: Work, run: &str, now_us: i64) {
    let of = match what {
        Work::Soak => &mut p.soak_run,
        Work::Switch => &mut p.run,
        Work::Undo => &mut p.undo_run,
    };
    *of = Some(run.to_owned());
    p.pending = None;
    p.watching = Some((what, run.to_owned()));
    p.note("engine", format!("run {run}"), now_us);
}

/// A kill came between the last pointer and its record.
async fn nothing_to_take_back(engine: &Arc<Engine>, mut p: Promotion) -> Result<Promotion, ApiError> {
    let was = p.version;
    p.pending = None;
    for b in &mut p.before {
        b.switched = false;
    }
    let _ = p.go(Act::RollBack, "engine", "every pointer leads to what it led to before", engine.now_us());
    let holds = additions::taken_back(engine, &p).await?;
    save(engine, Save { holds, ..Save::new(Some(was), p) }).await
}

/// A decision that cannot be carried out is told, and not tried for ever.
async fn not_begun(engine: &Arc<Engine>, mut p: Promotion, e: &ApiError) -> Result<Promotion, ApiError> {
    let was = p.version;
    p.pending = None;
    p.note("engine", format!("not begun: {e}"), engine.now_us());
    if p.state.is_moving() {
        let _ = p.go(Act::Halt, "engine", e.message.clone(), engine.now_us());
    }
    save(engine, Save::new(Some(was), p)).await
}

/// Takes up the run of a promotion that was halted. `round`: the pass of it that had ended when that was decided.
async fn again(engine: &Arc<Engine>, mut p: Promotion, round: u32, run: String) -> Result<Promotion, ApiError> {
    let name: RunRef = run.parse().map_err(|e: crate::domain::run::BadRunRef| ApiError::failed(e.to_string(), ""))?;
    let row = {
        let (engine, name) = (engine.clone(), name.clone());
        blocking(move || Ok(engine.store.run(&name)?)).await?
    };
    let was = p.version;
    p.pending = None;
    if row.round == round && row.state == RunState::Done {
        // Days may lie between the decision and this moment: an engine was dead.
        let now = look_again(engine, &p).await?;
        if halted(engine, &p, &now).await?.is_some() {
            return send_back(engine, p, &now).await;
        }
        if let Err(e) = engine.runner.resume(&name, None).await {
            let e = ApiError::from(e);
            p.note("engine", format!("not resumed: {e}"), engine.now_us());
            let _ = p.go(Act::Halt, "engine", e.message, engine.now_us());
            return save(engine, Save::new(Some(was), p)).await;
        }
    }
    crash::point("promotion.resumed");
    p.watching = Some((Work::Switch, run));
    save(engine, Save::new(Some(was), p)).await
}

/// What ends the leave of a promotion to move pointers: its plan moved, or its approvals are over. Blocks.
pub fn halts(engine: &Engine, p: &Promotion, now: &Computed) -> Result<Option<Vec<String>>, ApiError> {
    if p.is_past_switch() {
        // A verdict that grew old and a calendar that closed say nothing any more: what is served is what its people work with.
        return super::compute::left(engine, p, now);
    }
    if now.sha != p.sha {
        return moved(engine, p, now).map(Some);
    }
    let needed = p.state == State::Switching || (p.state == State::Halted && p.halted_in == Some(State::Switching));
    Ok((needed && !p.approved(&p.sha, now.at_us)).then(|| vec!["its approvals are over".to_owned()]))
}

/// As `halts`, off this thread.
pub async fn halted(engine: &Arc<Engine>, p: &Promotion, now: &Computed) -> Result<Option<Vec<String>>, ApiError> {
    let (engine, p, now) = (engine.clone(), p.clone(), now.clone());
    blocking(move || halts(&engine, &p, &now)).await
}

type Looked = (RunRow, Vec<StageRow>, Vec<Fact>);

async fn looked(engine: &Arc<Engine>, name: &str) -> Result<Looked, ApiError> {
    let (engine, name) = (engine.clone(), name.to_owned());
    blocking(move || {
        let run: RunRef = name.parse().map_err(|e: crate::domain::run::BadRunRef| ApiError::failed(e.to_string(), ""))?;
        let row = engine.store.run(&run)?;
        let stages = engine.store.stages(&run)?;
        let facts = engine.store.facts_of_kind("snapshot", 10_000)?;
        let facts = facts.into_iter().filter(|f| f.run == run).filter_map(|f| serde_json::from_str(&f.json).ok()).collect();
        Ok((row, stages, facts))
    })
    .await
}

/// Looks at the run that is awaited, and takes in what it has done.
async fn watch(engine: &Arc<Engine>, p: Promotion) -> Result<Promotion, ApiError> {
    let Some((what, name)) = p.watching.clone() else { return Ok(p) };
    let (row, stages, facts) = looked(engine, &name).await?;
    match what {
        Work::Soak => soaked(engine, p, &row, &facts).await,
        Work::Switch => switched(engine, p, &row, &stages).await,
        Work::Undo => back::undone(engine, p, &row, &stages).await,
    }
}

async fn soaked(engine: &Arc<Engine>, mut p: Promotion, row: &RunRow, facts: &[Fact]) -> Result<Promotion, ApiError> {
    let Some(verdict) = row.verdict.filter(|_| row.state == RunState::Done) else { return Ok(p) };
    let (was, now_us) = (p.version, engine.now_us());
    p.watching = None;
    if verdict != Verdict::Success {
        p.note("engine", format!("the soak took nothing: {} is {verdict}: {}", row.run, row.detail), now_us);
        return save(engine, Save::new(Some(was), p)).await;
    }
    let site = site_of(engine).await?;
    let table = roots::table(&site, &p.os)?;
    let told = facts.iter().filter_map(|f| if let Fact::Snapshot { root, .. } = f { Some(root.clone()) } else { None });
    let real = real_paths(table.dcs.iter().map(|dc| dc.root.display().to_string()).chain(told).collect()).await?;
    let same = |at: &str, root: &str| at == root || real.get(at).is_some_and(|at| real.get(root) == Some(at));
    let mut taken = Vec::new();
    for dc in &table.dcs {
        let root = dc.root.display().to_string();
        // Newest first: of a step that ran twice, its last word.
        let mut found = facts.iter().filter_map(|f| match f {
            Fact::Snapshot { root: at, id, fp, .. } if same(at, &root) => Some((id.clone(), fp.clone())),
            _ => None,
        });
        // With an overlay its snapshot is the last word, and what it was made of the one before, or was taken by an earlier soak.
        let last = found.next();
        let old = p.taken_of(&dc.name).map(|t| (t.base.clone(), t.base_fp.clone()));
        let (base, id) = match (p.overlay_next.is_empty(), last) {
            // An addition lies over what was served, and that was noted when its run began.
            (_, last) if p.lane == Lane::Oob => (old, last),
            (true, last) => (last.clone().or_else(|| old.clone()), last.or(old)),
            (false, last) => (found.next().or(old), last),
        };
        if let (Some((base, base_fp)), Some((id, fp))) = (base, id) {
            taken.push(Taken { dc: dc.name.clone(), base, base_fp, id, fp });
        }
    }
    let text =
        format!("candidate taken by {}: {}", row.run, taken.iter().map(|t| format!("{} {}", t.dc, t.id)).collect::<Vec<_>>().join(", "));
    p.taken = taken;
    p.overlay = std::mem::take(&mut p.overlay_next);
    p.soak_us = row.ended_us;
    let note = own(engine, "promote-soak", &p, &text);
    if let Err(e) = p.go(Act::Pin, "engine", text, now_us) {
        p.note("engine", format!("a soak ended late: {e}"), now_us);
    }
    p.approvals.clear();
    p.sha.clear();
    let saved = save(engine, Save { void: true, notes: vec![note], ..Save::new(Some(was), p) }).await?;
    crash::point("promotion.pinned");
    judge(engine, saved).await
}

/// Where directories really lie; those that cannot be looked at are left out.
async fn real_paths(all: BTreeSet<String>) -> Result<BTreeMap<String, PathBuf>, ApiError> {
    blocking(move || Ok(all.into_iter().filter_map(|path| std::fs::canonicalize(&path).ok().map(|real| (path, real))).collect())).await
}

fn ended_well(stages: &[StageRow], name: &str) -> bool {
    stages.iter().any(|s| s.name == name && s.state == StepState::Done && s.verdict == Some(Verdict::Success))
}

/// The stage of ours at which a run waits, and its datacentre.
async fn switched(engine: &Arc<Engine>, mut p: Promotion, row: &RunRow, stages: &[StageRow]) -> Result<Promotion, ApiError> {
    let (was, now_us) = (p.version, engine.now_us());
    let before = p.clone();
    for b in &mut p.before {
        b.switched |= ended_well(stages, &format!("{}{}", texts::SWITCHING, b.dc));
    }
    let mut notes = Vec::new();
    let all = !p.before.is_empty() && p.before.iter().all(|b| b.switched);
    for (act, state, when, text) in [
        (Act::Switched, State::Switching, all, "every pointer leads to the candidate: people build its images, and say so"),
        (
            Act::Imaged,
            State::Imaging,
            p.lane == Lane::Oob || (ended_well(stages, texts::IMAGES) && ended_well(stages, texts::ISO)),
            if p.lane == Lane::Oob {
                "an addition waits for no image: people take it to the hosts, and say so"
            } else {
                "images and ISO are said to be done: people take it to the hosts, and say so"
            },
        ),
        (Act::Close, State::Waving, row.verdict == Some(Verdict::Success), "closed"),
    ] {
        if p.state == state && when && p.go(act, "engine", text, now_us).is_ok() {
            notes.push(own(engine, "promotion", &p, text));
        }
    }
    let done = row.state == RunState::Done;
    if done {
        p.watching = None;
        if p.state.is_moving() && row.verdict != Some(Verdict::Success) {
            let text = format!("{} is {}: {}", row.run, row.verdict.map_or("over", Verdict::as_str), row.detail);
            notes.push(own(engine, "promote-halt", &p, &text));
            let _ = p.go(Act::Halt, "engine", text, now_us);
        }
    }
    if p != before {
        let holds = additions::moved_on(engine, &before, &mut p).await?;
        p = save(engine, Save { notes, holds, ..Save::new(Some(was), p) }).await?;
        crash::point("promotion.recorded");
    }
    if done {
        return Ok(p);
    }
    if !p.state.is_moving() {
        // Halted, or sent back to its gates: nothing new starts. A switch that has begun is finished.
        if let Some((stage, _)) = texts::at_check(stages) {
            vote(engine, &row.run, &stage, false, &format!("{} is {}", p.id, p.state)).await?;
        } else if row.cancel_by.is_none() {
            let why = format!("{} is {}", p.id, p.state);
            let _ = engine.runner.cancel(&row.run, &Actor::engine("promotion"), &why, false, None).await;
        }
        return Ok(p);
    }
    if p.state != State::Switching {
        return Ok(p);
    }
    // Whatever it is at: a moved input halts at once, and not first at the next datacentre.
    let now = look_again(engine, &p).await?;
    let check = texts::at_check(stages);
    match (halted(engine, &p, &now).await?, check) {
        (None, Some((stage, dc))) => {
            vote(engine, &row.run, &stage, true, &format!("the plan has not moved before {dc}")).await?;
            Ok(p)
        }
        (None, None) => Ok(p),
        (Some(_), check) => {
            let p = send_back(engine, p, &now).await?;
            if let Some((stage, dc)) = check {
                vote(engine, &row.run, &stage, false, &format!("moved before {dc}: {}", p.moved.join("; "))).await?;
            }
            Ok(p)
        }
    }
}

/// A moved input: back to the gates, with what moved. Approvals of what was are over.
pub async fn send_back(engine: &Arc<Engine>, mut p: Promotion, now: &Computed) -> Result<Promotion, ApiError> {
    let (was, at_us) = (p.version, engine.now_us());
    p.moved = match halted(engine, &p, now).await? {
        Some(moved) => moved,
        None => differs(engine, &p, now).await?,
    };
    let text = format!("moved: {}", p.moved.join("; "));
    let note = own(engine, "promotion", &p, &text);
    p.go(Act::Move, "engine", text, at_us).map_err(|e| ApiError::refused(format!("{}: {e}", p.id), ""))?;
    p.approvals.clear();
    p.sha.clone_from(&now.sha);
    let (plan, gates) = (Some(now.row("an input moved")), now.gate_rows());
    save(engine, Save { plan, gates, void: true, notes: vec![note], ..Save::new(Some(was), p) }).await
}

/// Judges the gates of what has not begun, and moves it between GATED, READY and APPROVED.
pub async fn judge(engine: &Arc<Engine>, p: Promotion) -> Result<Promotion, ApiError> {
    let (was, now_us) = (p.version, engine.now_us());
    let over = match p.lane {
        Lane::Quarter => (now_us.saturating_sub(p.created_us) > EXPIRES_US).then_some("not started within 90 days"),
        Lane::Oob => additions::is_over(engine, &p).await?.then_some("not started before its additions ended"),
    };
    if let Some(why) = over.filter(|_| !p.has_switched()) {
        let mut p = p;
        let note = own(engine, "promotion", &p, "expired");
        p.go(Act::Expire, "engine", why, now_us).map_err(|e| ApiError::failed(e.to_string(), ""))?;
        let holds = additions::ended(engine, &p, &format!("{} expired", p.id)).await?;
        return save(engine, Save { void: true, notes: vec![note], holds, ..Save::new(Some(was), p) }).await;
    }
    if p.state == State::Draft {
        return Ok(p);
    }
    let now = look_again(engine, &p).await?;
    let before = p.clone();
    let mut p = p;
    let mut saved = Save::new(Some(was), p.clone());
    let ready = now.plan.ready();
    if now.sha != p.sha {
        if matches!(p.state, State::Ready | State::Approved) {
            p.moved = differs(engine, &p, &now).await?;
            let text = format!("moved: {}", p.moved.join("; "));
            saved.notes.push(own(engine, "promotion", &p, &text));
            let _ = p.go(Act::Move, "engine", text, now_us);
        }
        saved.void = !p.approvals.is_empty();
        p.approvals.clear();
        p.sha.clone_from(&now.sha);
        saved.plan = Some(now.row("its inputs were looked at"));
        saved.gates = now.gate_rows();
    }
    let over = |p: &Promotion| !p.approvals.is_empty() && p.approvals.iter().any(|a| !a.counts(&p.sha, now_us));
    if matches!(p.state, State::Ready | State::Approved) && over(&p) {
        let text = "an approval is over: nothing was started within 14 days of it";
        saved.notes.push(own(engine, "promotion", &p, text));
        saved.void = true;
        p.approvals.clear();
        p.moved = vec![text.to_owned()];
        let _ = p.go(Act::Move, "engine", text, now_us);
    }
    if p.state == State::Gated && ready {
        p.moved.clear();
        let _ = p.go(Act::Pass, "engine", "every gate passes", now_us);
        saved.notes.push(own(engine, "promotion", &p, "READY"));
    }
    if p.state == State::Ready && p.approved(&p.sha, now_us) {
        let _ = p.go(Act::Agree, "engine", "approvals suffice", now_us);
        saved.notes.push(own(engine, "promotion", &p, "APPROVED"));
    }
    if p == before {
        return Ok(p);
    }
    saved.promotion = p;
    save(engine, saved).await
}
