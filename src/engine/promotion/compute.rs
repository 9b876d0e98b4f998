//! From what was looked at to the plan, its gates and its sha. Called at creation, before every switch, at every start, resume and rollback.

use super::roots::{self, Dc};
use super::{blast, closed, look};
use crate::api::ApiError;
use crate::config::{self, Site};
use crate::domain::nevra::Nevra;
use crate::domain::promotion::gate::Judged;
use crate::domain::promotion::hold::{self, Hold};
use crate::domain::promotion::judge::judge;
use crate::domain::promotion::plan::{self, Addition, Blast, FORMAT, Move, Plan};
use crate::domain::promotion::pointer::Led;
use crate::domain::promotion::state::State;
use crate::domain::promotion::{Lane, Promotion};
use crate::engine::contents;
use crate::engine::state::Engine;
use crate::store::{GateRow, PlanRow};
use crate::systems::repo::list::read_list;

/// A plan as it is now.
#[derive(Debug, Clone)]
pub struct Computed {
    pub plan: Plan,
    pub sha: String,
    pub gates: Vec<Judged>,
    pub roots: Vec<Dc>,
    pub at_us: i64,
}

/// Looks at everything and computes. Blocks.
pub fn compute(engine: &Engine, site: &Site, p: &Promotion) -> Result<Computed, ApiError> {
    let table = roots::table(site, &p.os)?;
    let mut roots = roots::of(table, p);
    if p.is_past_switch() {
        under(engine, p, &mut roots)?;
    }
    let pipelines = look::pipelines(engine, site)?;
    let facts = look::facts(engine, table, p, &roots, &pipelines)?;
    let mut gates = judge(&facts, &look::rules(table), &p.waivers);
    gates.retain(|j| !p.lane.skips().contains(&j.gate));
    let holds = engine.store.holds()?;
    let last = engine.store.promotion_plans(&p.id)?;
    let last = last.last().and_then(|r| serde_json::from_str::<Plan>(&r.json).ok());
    let mut plan = assemble(table, p, &roots, &gates, &holds, facts.now_us);
    plan.blast = blast::of(engine, site, table, p, &roots, &pipelines, last.as_ref());
    plan.additions = additions(&holds, p, &roots);
    Ok(Computed { sha: plan.sha(), plan, gates, roots, at_us: facts.now_us })
}

/// Once its pointers have moved, an addition may be laid over what it serves: for its own plan that is what is below the addition.
fn under(engine: &Engine, p: &Promotion, roots: &mut [Dc]) -> Result<(), ApiError> {
    let all = engine.store.promotions()?;
    // Newest first, so that one upon the other is taken off in order.
    for lane in all.iter().filter(|o| o.lane == Lane::Oob && o.os == p.os && o.started_us > p.started_us) {
        for dc in roots.iter_mut() {
            let Some(t) = lane.taken_of(&dc.name).filter(|t| dc.led.snapshot() == Some(t.id.as_str())) else { continue };
            dc.led = Led::Snapshot(t.base.clone());
            dc.led_fp = Some(t.base_fp.clone());
        }
    }
    Ok(())
}

/// What becomes of the additions that are served: read from the candidate's own lists.
fn additions(holds: &[Hold], p: &Promotion, roots: &[Dc]) -> Vec<Addition> {
    if hold::additions(holds, p, None).is_empty() {
        return Vec::new();
    }
    let repos = roots.first().and_then(|dc| closed::of_snapshot(dc, &p.taken_of(&dc.name)?.id));
    let list = repos.and_then(|repos| {
        let read = contents::read(async { read_list(&repos).await.map_err(|(name, e)| contents::from_repo(&name, &e)) });
        read.inspect_err(|e| tracing::warn!(promotion = %p.id, "the candidate's list: {e}")).ok()
    });
    let Some(list) = list else { return hold::additions(holds, p, None) };
    let newest = |wanted: &Nevra| {
        let same = list.iter().filter(|p| p.name == wanted.name && p.arch == wanted.arch);
        same.filter_map(|p| Nevra::parse(p.nevra).ok()).max_by(Nevra::cmp_evr)
    };
    hold::additions(holds, p, Some(&newest))
}

fn assemble(table: &config::Promotion, p: &Promotion, roots: &[Dc], gates: &[Judged], holds: &[Hold], now_us: i64) -> Plan {
    let lines = hold::lines(holds, p, now_us);
    Plan {
        format: FORMAT,
        promotion: p.id.clone(),
        os: p.os.clone(),
        set: p.set.clone(),
        author: p.author.name.clone(),
        change: p.change.clone(),
        base_fp: p.base_fp().map(str::to_owned),
        overlay: p.overlay.clone(),
        overlay_wanted: hold::overlay(&lines),
        lines,
        additions: Vec::new(),
        skips: p.lane.skips().iter().map(|g| format!("{g} {}", g.title())).collect(),
        moves: roots.iter().map(|dc| way(table, p, dc)).collect(),
        gates: plan::gate_lines(gates),
        approvals: Plan::sides(),
        blast: Blast::default(),
        undo: roots.iter().map(|dc| undo(table, p, dc)).collect(),
        not_undone: not_undone(),
    }
}

fn way(table: &config::Promotion, p: &Promotion, dc: &Dc) -> Move {
    let taken = p.taken_of(&dc.name);
    let to = taken.map(|t| t.id.clone());
    let (from, from_fp) = from(p, dc, to.as_deref());
    Move {
        dc: dc.name.clone(),
        root: dc.root.clone(),
        pointer: table.pointer.clone(),
        from,
        from_fp,
        over: taken.filter(|_| p.lane == Lane::Oob).map(|t| t.base.clone()),
        to_fp: to.as_ref().and_then(|id| dc.snapshots.get(id)).map(|m| m.fp.clone()),
        to,
    }
}

/// What a pointer is said to come from. Our own switch does not move the plan; anybody else's does.
fn from(p: &Promotion, dc: &Dc, to: Option<&str>) -> (Led, Option<String>) {
    let now = || (dc.led.clone(), dc.led_fp.clone());
    let Some(before) = p.before.iter().find(|b| b.dc == dc.name) else { return now() };
    let there = to.is_some() && dc.led.snapshot() == to;
    // Between a switch and its record there is a moment; after the record the pointer must be where it was put.
    let ours = there && (before.switched || p.state.is_moving() || p.state == State::Halted);
    if ours { (before.from.clone(), before.from_fp.clone()) } else { now() }
}

fn undo(table: &config::Promotion, p: &Promotion, dc: &Dc) -> String {
    let taken = p.taken_of(&dc.name).map(|t| t.id.as_str());
    let back = match from(p, dc, taken).0 {
        Led::Snapshot(id) => format!("back to {id}"),
        Led::Directory => "back to the directory, adopted as a snapshot".to_owned(),
        Led::Nothing => "nothing was served before: it goes on leading to the candidate".to_owned(),
        Led::Other(at) => format!("it leads to {at}: no way back is known"),
        Led::Unknown => "unknown".to_owned(),
    };
    format!("{}: {}/{} {back}", dc.name, dc.root, table.pointer)
}

/// What no pointer takes back.
fn not_undone() -> Vec<String> {
    [
        "packages that hosts have installed meanwhile stay: dnf history undo, while the snapshot before is there",
        "data that new packages have converted, and firmware",
        "images, ISO and bundles that were made or shipped of it",
    ]
    .map(str::to_owned)
    .to_vec()
}

impl Computed {
    /// The plan as the store keeps it.
    pub fn row(&self, why: &str) -> PlanRow {
        let json = serde_json::to_string(&self.plan).unwrap_or_default();
        PlanRow { version: 0, sha: self.sha.clone(), json, at_us: self.at_us, why: why.to_owned() }
    }

    pub fn gate_rows(&self) -> Vec<GateRow> {
        let row = |j: &Judged| GateRow {
            gate: j.gate.to_string(),
            result: j.outcome.to_string(),
            detail: j.detail.clone(),
            evidence: serde_json::to_string(&j.evidence).unwrap_or_default(),
        };
        self.gates.iter().map(row).collect()
    }

    /// Why it is not READY, in sentences; empty = it is.
    pub fn hindrances(&self) -> Vec<String> {
        let mut out = self.plan.obstacles();
        for j in self.gates.iter().filter(|j| !j.outcome.passes()) {
            out.push(format!("{} {}: {}: {}", j.gate, j.gate.title(), j.outcome, j.detail));
        }
        out
    }
}

/// Behind the last switch: whether a pointer, or what a snapshot says of itself, is not as it was agreed to.
pub fn left(engine: &Engine, p: &Promotion, now: &Computed) -> Result<Option<Vec<String>>, ApiError> {
    let Some(old) = agreed(engine, p)? else { return moved(engine, p, now).map(Some) };
    if old.moves == now.plan.moves {
        return Ok(None);
    }
    let served = Plan { moves: now.plan.moves.clone(), ..old.clone() };
    Ok(Some(plan::moved(&old, &served, 20)))
}

/// The newest plan with the sha that was agreed to.
fn agreed(engine: &Engine, p: &Promotion) -> Result<Option<Plan>, ApiError> {
    let old = engine.store.promotion_plans(&p.id)?;
    Ok(old.iter().rev().find(|r| r.sha == p.sha).and_then(|r| serde_json::from_str::<Plan>(&r.json).ok()))
}

/// What differs from the plan that was agreed to, newest version with this sha.
pub fn moved(engine: &Engine, p: &Promotion, now: &Computed) -> Result<Vec<String>, ApiError> {
    Ok(match agreed(engine, p)? {
        Some(old) => plan::moved(&old, &now.plan, 20),
        None => vec!["the plan that was agreed to cannot be read".to_owned()],
    })
}
