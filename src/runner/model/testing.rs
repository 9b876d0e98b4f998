//! Small plans and a hand-turned clock for the pure tests of this room.

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;

use super::active::ActiveRun;
use super::moves::{Ended, Ticket};
use super::now::Now;
use crate::base::duration::Span;
use crate::domain::attempt::EndedBy;
use crate::domain::level::Level;
use crate::domain::run::{RunRef, Verdict};
use crate::pipeline::plan::{Action, Cell, FORMAT, Keep, Lock, LockMode, LogCap, Plan, PostWhen, Stage, StageKind, Step};
use crate::store::{End, Op};

pub fn step(name: &str, script: &str) -> Step {
    Step {
        name: name.into(),
        action: Action::Shell { script: script.into(), interpreter: Vec::new() },
        env: BTreeMap::new(),
        secrets: Vec::new(),
        artifacts: Vec::new(),
        timeout: None,
        stall: None,
        grace: Span::from_secs(1),
        daemon_allowed: false,
    }
}

pub fn stage(name: &str, needs: &[u32]) -> Stage {
    Stage {
        needs: needs.to_vec(),
        ..Stage::bare(name, StageKind::Work, vec![Cell { key: String::new(), matrix: IndexMap::new(), steps: vec![step("do", "true")] }])
    }
}

pub fn post(name: &str, when: PostWhen, of: Option<u32>) -> Stage {
    Stage { kind: StageKind::Post { when, of }, ..stage(name, &[]) }
}

pub fn matrix(name: &str, cells: u32) -> Stage {
    let cell = |n| Cell { key: format!("n={n}"), matrix: IndexMap::from([("n".into(), format!("{n}"))]), steps: vec![step("do", "true")] };
    Stage { cells: (0..cells).map(cell).collect(), ..stage(name, &[]) }
}

pub fn exclusive(name: &str) -> Lock {
    Lock { name: name.into(), mode: LockMode::Exclusive, slots: 1 }
}

pub fn plan(stages: Vec<Stage>) -> Plan {
    Plan {
        format: FORMAT,
        pipeline: "p".into(),
        description: String::new(),
        source_sha256: String::new(),
        time_zone: "UTC".into(),
        parameters: IndexMap::new(),
        run_name: String::new(),
        danger: Level::L1,
        priority: 0,
        concurrency: None,
        timeout: Span::from_secs(3_600),
        env: BTreeMap::new(),
        reads: Vec::new(),
        writes: Vec::new(),
        keep: Keep { runs: 10, days: None, pin: Vec::new() },
        log: LogCap { max_bytes: 1 << 20, kill_on_limit: false, patterns: Default::default() },
        uses: Vec::new(),
        labels: Vec::new(),
        trigger: None,
        stages,
    }
}

pub fn ticket(fence: u64) -> Ticket<'static> {
    Ticket { fence, id: "id", token: "token", dir: "dir" }
}

pub fn now(s: i64) -> Now {
    Now { us: s * 1_000_000, boot_us: (s * 1_000_000) as u64, boot_id: "boot".into() }
}

pub fn run(number: u64, plan: Plan) -> ActiveRun {
    ActiveRun::new(number as i64, RunRef::new("p", number), crate::domain::actor::Actor::engine("t"), Arc::new(plan), 0)
}

pub fn ended(r: &ActiveRun, stage: u32, cell: u32, verdict: Verdict, code: Option<i32>) -> Ended {
    let c = &r.stages[stage as usize].cells[cell as usize];
    let end = End {
        fence: c.fence.unwrap(),
        run: r.id,
        stage,
        cell,
        step: c.step,
        verdict: Some(verdict),
        code,
        detail: code.map(|c| format!("exit code {c}")).unwrap_or_default(),
        ..End::default()
    };
    Ended {
        end,
        ended_by: if verdict == Verdict::Cancelled { EndedBy::Cancel } else { EndedBy::Itself },
        left: Vec::new(),
        refresh: Vec::new(),
    }
}

/// Claims every ready cell and ends it with what `verdict` says, until nothing moves; returns the names in the order they ran.
pub fn drive(r: &mut ActiveRun, at: &mut i64, verdict: &mut dyn FnMut(&str, u32) -> Verdict) -> Vec<String> {
    let mut ran = Vec::new();
    let mut ops: Vec<Op> = Vec::new();
    let mut fence = 1_000 * r.id as u64;
    r.settle(&now(*at), &mut ops);
    loop {
        let ready: Vec<(u32, u32)> =
            r.view(false).stages.iter().flat_map(|s| s.ready.iter().map(|c| (s.stage, *c)).collect::<Vec<_>>()).collect();
        let Some((stage, cell)) = ready.first().copied() else { return ran };
        *at += 1;
        fence += 1;
        r.claim((stage, cell), &ticket(fence), &now(*at), &mut ops).unwrap();
        r.settle(&now(*at), &mut ops);
        let name = r.plan.stages[stage as usize].name.clone();
        let v = verdict(&name, cell);
        ran.push(name);
        let e = ended(r, stage, cell, v, (v == Verdict::Success).then_some(0));
        let mut effects = Vec::new();
        assert!(r.ended(stage, cell, &e, &now(*at), &mut ops, &mut effects));
        r.settle(&now(*at), &mut ops);
    }
}
