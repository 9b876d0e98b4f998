//! What is shown of promotions: the rows of `get promotions` and `get holds`, the document of one (all that its screen shows), and `why`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::compute::compute;
use super::{additions, look, roots, texts};
use crate::api::ApiError;
use crate::config::Site;
use crate::domain::promotion::gate::{Judged, Outcome};
use crate::domain::promotion::plan::{GateLine, Plan};
use crate::domain::promotion::state::State;
use crate::domain::promotion::{Promotion, roles_of};
use crate::domain::run::StepState;
use crate::engine::model::Edit;
use crate::engine::rows::{self, Row};
use crate::engine::state::Engine;
use crate::store::{GateRow, PlanRow};

pub const PROMOTIONS: &[&str] = &[
    "promotion",
    "os",
    "set",
    "state",
    "from",
    "from_fp",
    "to",
    "to_fp",
    "holds",
    "gates",
    "passed",
    "waived",
    "failed",
    "no_source",
    "sha",
    "missing",
    "author",
    "change",
    "reason",
    "created",
    "soak",
    "closed",
    "run",
    "halted_in",
    "switched",
    "datacentres",
    "moved",
    "detail",
    "lane",
    "additions",
];

/// The plan as it was computed last; of what is over, the one that its people agreed to.
fn plan_row<'a>(p: &Promotion, plans: &'a [PlanRow]) -> Option<&'a PlanRow> {
    let agreed = || plans.iter().rev().find(|r| r.sha == p.sha);
    if p.state.is_over() { agreed().or(plans.last()) } else { plans.last() }
}

fn last_plan(p: &Promotion, plans: &[PlanRow]) -> Option<Plan> {
    plan_row(p, plans).and_then(|r| serde_json::from_str(&r.json).ok())
}

fn one_or_many<'a>(items: impl Iterator<Item = Option<&'a str>>) -> Option<String> {
    let mut all: Vec<&str> = items.flatten().collect();
    all.sort_unstable();
    all.dedup();
    (!all.is_empty()).then(|| all.join(" "))
}

/// A flat row, from the plan as it was computed last.
pub fn row(p: &Promotion, plan: Option<&Plan>, now_us: i64) -> Row {
    let moves = plan.map(|p| p.moves.as_slice()).unwrap_or_default();
    let gates = plan.map(|p| p.gates.as_slice()).unwrap_or_default();
    let count = |f: fn(&Outcome) -> bool| gates.iter().filter(|g| f(&g.outcome)).count();
    let missing = if p.state.is_before_start() { p.missing(&p.sha, now_us).join(" ") } else { String::new() };
    let value = json!({
        "promotion": p.id, "os": p.os, "set": p.set, "state": p.state,
        "from": one_or_many(moves.iter().map(|m| Some(m.from.words()))), "from_fp": one_or_many(moves.iter().map(|m| m.from_fp.as_deref())),
        "to": one_or_many(moves.iter().map(|m| m.to.as_deref())), "to_fp": one_or_many(moves.iter().map(|m| m.to_fp.as_deref())),
        "holds": plan.map_or(0, |p| p.lines.len()),
        "gates": gates.len(), "passed": count(Outcome::passes), "waived": count(|o| *o == Outcome::Waived),
        "failed": count(|o| *o == Outcome::Fail), "no_source": count(|o| matches!(o, Outcome::NoSource { .. })),
        "sha": p.sha, "missing": missing, "author": p.author.name, "change": p.change, "reason": p.reason,
        "created": rows::time(p.created_us), "soak": rows::time_opt(p.soak_us), "closed": rows::time_opt(p.closed_us),
        "run": p.watching.as_ref().map(|(_, r)| r).or(p.undo_run.as_ref()).or(p.run.as_ref()).or(p.soak_run.as_ref()),
        "halted_in": p.halted_in, "switched": p.before.iter().filter(|b| b.switched).count(), "datacentres": moves.len(),
        "moved": p.moved.join("; "), "detail": p.notes.last().map(|n| n.text.as_str()), "lane": p.lane,
        "additions": plan.map_or(0, |p| p.additions.len()),
    });
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Newest first. Blocks.
pub fn table(engine: &Engine) -> Result<Vec<Row>, ApiError> {
    let all = engine.store.promotions()?;
    all.iter()
        .map(|p| {
            let plans = engine.store.promotion_plans(&p.id)?;
            Ok(row(p, last_plan(p, &plans).as_ref(), engine.now_us()))
        })
        .collect()
}

/// Tells the event stream.
pub fn publish(engine: &Engine, p: &Promotion) {
    let plans = engine.store.promotion_plans(&p.id).unwrap_or_default();
    engine.model.publish(vec![Edit::Upsert {
        table: "promotions".into(),
        id: p.id.clone(),
        row: row(p, last_plan(p, &plans).as_ref(), engine.now_us()),
    }]);
}

/// Of what is over: the plan that its people agreed to, and its gates as they were judged then. Today both would be of what is served since.
fn then(p: &Promotion, plans: &[PlanRow], results: &[(u64, GateRow)]) -> Option<(Plan, Vec<Judged>, i64)> {
    let row = plan_row(p, plans).filter(|_| p.state.is_over())?;
    let plan: Plan = serde_json::from_str(&row.json).ok()?;
    let detail = |gate: &str| results.iter().find(|(v, g)| *v == row.version && g.gate == gate).map(|(_, g)| g.detail.clone());
    let judged = |g: &GateLine| {
        let detail = detail(&g.gate).unwrap_or_default();
        Some(Judged { gate: g.gate.parse().ok()?, outcome: g.outcome.clone(), detail, evidence: g.evidence.clone() })
    };
    let gates = plan.gates.iter().filter_map(judged).collect();
    Some((plan, gates, row.at_us))
}

fn gates(judged: &[Judged]) -> Value {
    let gate = |j: &Judged| {
        let (add, accepted) = match &j.outcome {
            Outcome::NoSource { add, accepted } => (Some(add), accepted.as_ref()),
            _ => (None, None),
        };
        json!({
            "gate": j.gate, "title": j.gate.title(), "owner": j.gate.owner(), "result": j.outcome.word(), "passes": j.outcome.passes(),
            "text": j.outcome.to_string(), "detail": j.detail, "evidence": j.evidence, "add": add, "accepted": accepted,
        })
    };
    judged.iter().map(gate).collect()
}

/// Everything that its screen shows, with the plan as it is at this moment. Blocks.
pub fn document(engine: &Engine, p: &Promotion) -> Result<Value, ApiError> {
    let site = engine.site()?;
    let now = compute(engine, &site, p)?;
    let plans = engine.store.promotion_plans(&p.id)?;
    let results = engine.store.gate_results(&p.id)?;
    let then = then(p, &plans, &results);
    let (plan, judged) = then.as_ref().map_or((&now.plan, &now.gates), |(plan, gates, _)| (plan, gates));
    let fp = |f: fn(&crate::domain::promotion::plan::Move) -> Option<&String>| plan.moves.iter().find_map(f).cloned();
    let compose = |fp: Option<&str>| -> Result<Option<String>, ApiError> {
        let known = fp.map(|fp| engine.store.content(&p.set, fp)).transpose()?;
        Ok(known.flatten().map(|c| c.compose).filter(|c| !c.is_empty()))
    };
    let from_compose = compose(fp(|m| m.from_fp.as_ref()).as_deref())?;
    // With holds laid over it a candidate is content of its own; its compose is that of what was taken.
    let to_compose = compose(p.base_fp())?;
    let mut doc = json!({
        "promotion": p.id, "os": p.os, "set": p.set, "state": p.state, "author": p.author.name, "reason": p.reason, "change": p.change,
        "created": rows::time(p.created_us), "soak": rows::time_opt(p.soak_us), "closed": rows::time_opt(p.closed_us),
        "sha": p.sha, "sha_now": now.sha, "has_moved": !p.sha.is_empty() && p.sha != now.sha && !p.state.is_over(), "moved": p.moved,
        "hindrances": now.hindrances(), "halted_in": p.halted_in, "runs": {"soak": p.soak_run, "switch": p.run, "undo": p.undo_run},
        "gates": gates(judged), "gates_at": then.as_ref().map(|(.., at)| rows::time(*at)), "moves": moves(p, plan, &now.roots), "holds": plan.lines,
        "calendar": roots::table(&site, &p.os).map_or(Value::Null, |t| look::calendar_ahead(engine, t, engine.now_us())),
        "lane": p.lane, "skips": plan.skips, "additions": plan.additions,
        "changes": {"from_fp": fp(|m| m.from_fp.as_ref()), "to_fp": fp(|m| m.to_fp.as_ref()), "from_compose": from_compose,
            "to_compose": to_compose},
        "blast": plan.blast, "undo": plan.undo, "not_undone": plan.not_undone,
        "approvals": approvals(p), "missing": p.missing(&p.sha, engine.now_us()), "waivers": waivers(p, engine.now_us()),
        "at_work": p.watching.as_ref().map(|(_, run)| run), "asks": p.watching.as_ref().map(|(_, run)| asked(engine, run)).transpose()?.flatten(),
        "start": format!("promote {}", p.os), "sequence": sequence(engine, p), "notes": notes(p), "plan": plan,
    });
    if let Value::Object(map) = &mut doc {
        map.insert("plans".into(), versions(&plans, &results).into());
    }
    Ok(doc)
}

/// Its pointers: where each leads by the plan, and where it leads now.
fn moves(p: &Promotion, plan: &Plan, roots: &[roots::Dc]) -> Vec<Value> {
    plan
        .moves
        .iter()
        .filter_map(|m| Some((m, roots.iter().find(|dc| dc.name == m.dc)?)))
        .map(|(m, dc)| {
            let before = p.before.iter().find(|b| b.dc == m.dc);
            json!({
                "dc": m.dc, "root": m.root, "pointer": m.pointer, "from": m.from.words(), "from_fp": m.from_fp, "to": m.to, "to_fp": m.to_fp,
                "now": dc.led.words(), "now_fp": dc.led_fp, "switched": before.is_some_and(|b| b.switched), "free_bytes": dc.free_bytes,
                "packages": m.to.as_ref().and_then(|id| dc.snapshots.get(id)).map(|s| s.repos.iter().map(|r| r.packages).sum::<u64>()),
                "size_bytes": m.to.as_ref().and_then(|id| dc.snapshots.get(id)).map(roots::Manifest::bytes), "why": dc.why,
            })
        })
        .collect()
}

/// The stages of its runs.
fn sequence(engine: &Engine, p: &Promotion) -> Vec<Value> {
    let mut stages = Vec::new();
    for run in [&p.soak_run, &p.run, &p.undo_run].into_iter().flatten() {
        let Ok(run) = run.parse::<crate::domain::run::RunRef>() else { continue };
        for s in engine.store.stages(&run).unwrap_or_default() {
            stages.push(json!({
                "run": run, "stage": s.name, "state": s.state, "verdict": s.verdict, "detail": s.detail, "started": rows::time_opt(s.started_us),
                "ended": rows::time_opt(s.ended_us),
            }));
        }
    }
    stages
}

fn notes(p: &Promotion) -> Vec<Value> {
    p.notes.iter().map(|n| json!({"at": rows::time(n.at_us), "state": n.state, "who": n.who, "text": n.text})).collect()
}

fn approvals(p: &Promotion) -> Vec<Value> {
    p
        .approvals
        .iter()
        .map(|a| json!({"side": a.side, "who": a.who.name, "at": rows::time(a.at_us), "until": rows::time(a.until_us()), "comment": a.comment, "sha": a.sha, "single_person": a.single_person}))
        .collect()
}

fn waivers(p: &Promotion, now_us: i64) -> Vec<Value> {
    p
        .waivers
        .iter()
        .map(|w| {
            json!({
                "gate": w.gate, "who": w.who.name, "second": w.second.as_ref().map(|s| &s.name), "reason": w.reason, "at": rows::time(w.at_us),
                "until": rows::time(w.until_us), "holds": w.holds(now_us), "single_person": w.single_person,
            })
        })
        .collect()
}

/// Its plans, each with what its gates said then.
fn versions(plans: &[PlanRow], results: &[(u64, GateRow)]) -> Vec<Value> {
    let gates = |version: u64| -> Vec<Value> {
        let of = results.iter().filter(|(v, _)| *v == version);
        of.map(|(_, g)| json!({"gate": g.gate, "result": g.result, "detail": g.detail})).collect()
    };
    plans
        .iter()
        .map(|r| json!({"version": r.version, "sha": r.sha, "at": rows::time(r.at_us), "why": r.why, "gates": gates(r.version)}))
        .collect()
}

/// A side of the approvals, with those whom the site file names for it.
fn who(site: &Site, side: &str) -> String {
    let roles = site.roles.iter().flatten().filter(|(role, _)| roles_of(side).contains(&role.as_str()));
    let names: BTreeSet<&str> = roles.flat_map(|(_, who)| who).map(String::as_str).collect();
    match names.is_empty() {
        true => side.to_owned(),
        false => format!("{side} ({})", names.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

/// The stage at which the run of a promotion waits for people, and what they do there. Blocks.
fn asked(engine: &Engine, run: &str) -> Result<Option<(String, &'static str)>, ApiError> {
    let Ok(run) = run.parse() else { return Ok(None) };
    let stages = engine.store.stages(&run)?;
    let open = stages.into_iter().find(|s| s.state != StepState::Done && s.started_us.is_some() && texts::by_hand(&s.name).is_some());
    Ok(open.and_then(|s| texts::by_hand(&s.name).map(|what| (s.name, what))))
}

/// Why it is where it is, in sentences; the first matters most. Blocks.
pub fn why(engine: &Engine, p: &Promotion) -> Result<Vec<String>, ApiError> {
    let mut out = Vec::new();
    let last = p.notes.last().map(|n| n.text.clone()).unwrap_or_default();
    if !p.moved.is_empty() && p.state.is_before_start() {
        out.push(format!("it has moved: {}", p.moved.join("; ")));
    }
    match p.state {
        State::Draft | State::Gated if p.watching.is_some() => {
            let run = p.watching.as_ref().map(|(_, run)| run.as_str()).unwrap_or_default();
            out.push(format!("{run} takes its candidate, and its gates are judged behind it: quarterdeck why '{run}'"));
        }
        State::Draft => out.push(format!("its candidate is not taken: {last}; quarterdeck do promote-soak {}", p.id)),
        State::Gated => {
            let now = compute(engine, &*engine.site()?, p)?;
            out.extend(now.hindrances());
            let gates: Vec<String> = now.gates.iter().filter(|j| !j.outcome.passes()).map(|j| j.gate.to_string()).collect();
            if let Some(first) = gates.first() {
                out.push(format!(
                    "a gate that cannot pass is waived by its owner and a second person: quarterdeck do promote-waive {0} --with gate={first} --reason T --confirm {0}",
                    p.id
                ));
            }
        }
        State::Ready => {
            let site = engine.site()?;
            let sides: Vec<String> = p.missing(&p.sha, engine.now_us()).into_iter().map(|side| who(&site, side)).collect();
            let sides = sides.join(" and ");
            out.push(format!(
                "every gate passes; it waits for the approval of {sides}, by two people, at least one of them not its author {}",
                p.author.name
            ));
            out.push(format!("quarterdeck approve {} -p sha={}", p.id, p.sha.get(..12).unwrap_or_default()));
        }
        State::Approved => {
            out.push(format!("it waits for its start: quarterdeck do promote-start {0} --confirm 'promote {1}' --reason T", p.id, p.os))
        }
        State::Switching | State::Imaging | State::Waving => match (&p.watching, &p.pending) {
            (Some((_, run)), _) => out.push(match asked(engine, run)? {
                Some((stage, what)) => format!("it waits for people: {what}, then say so: quarterdeck approve '{run}' -p stage='{stage}'"),
                None => format!("{run} is at work: quarterdeck why '{run}'"),
            }),
            (None, Some(_)) => out.push("its run begins".to_owned()),
            (None, None) => out.push(last.clone()),
        },
        State::Halted => {
            out.push(last.clone());
            out.push(format!("quarterdeck do promote-resume {0} --reason T --confirm {0}; or promote-rollback", p.id));
        }
        State::Closed | State::RolledBack | State::Vetoed | State::Expired => out.push(last.clone()),
    }
    out.extend(additions::why(engine, p)?);
    for b in &p.before {
        let now = match (b.switched, p.state) {
            (true, _) => "switched",
            (false, State::RolledBack) => "taken back",
            (false, _) => "not switched",
        };
        out.push(format!("{}: {now}", b.dc));
    }
    if let Some((_, run)) = p.watching.as_ref().filter(|_| p.state == State::Halted || p.state == State::Closed) {
        out.push(format!("{run} is at work"));
    }
    Ok(out)
}
