//! A long history without running it: finished runs written through the store's own functions, as the runner writes them.
//!
//! Only for stores that no engine holds. Attempts have rows and no directories: nothing of them is on the disk but in the store.

use std::path::Path;

use quarterdeck::domain::actor::Actor;
use quarterdeck::domain::run::{RunRef, RunState, StepKey, StepState, Verdict};
use quarterdeck::pipeline::freeze::{FreezeCtx, freeze};
use quarterdeck::pipeline::{Catalog, plan::Plan};
use quarterdeck::store::{Claim, End, NewRun, NewStep, Op, OpenOptionsStore, RunId, RunSet, StageSet, StepSet, Store};
use sha2::{Digest, Sha256};

/// Two stages of one step, kept for ever.
const FILE: &str = "format: 1\nname: NAME\noptions: {keep: {runs: 100000}}\nstages:\n  - name: fetch\n    run: 'true'\n  - name: publish\n    run: 'true'\n";
/// Runs that are written at once: a few commits of the writer.
const AT_ONCE: usize = 250;
/// 2026-01-01, in microseconds; a run each minute from then on.
const EPOCH_US: i64 = 1_767_225_600_000_000;
const MINUTE_US: i64 = 60_000_000;

/// The pipelines of the history, one after the other.
pub const PIPELINES: [&str; 4] = ["nightly-repo-updates", "mirror-baseos", "canary", "compose"];

/// What run `n` of the history ended with: one in ten is red.
pub fn verdict(n: usize) -> Verdict {
    if n % 10 == 9 { Verdict::Failure } else { Verdict::Success }
}

fn plan(name: &str) -> Plan {
    let text = FILE.replace("NAME", name);
    let catalog = Catalog { time_zone: "UTC".into(), ..Catalog::default() };
    let (file, found) = quarterdeck::pipeline::load(&text, &format!("{name}.yml"), &catalog);
    let file = file.unwrap_or_else(|| panic!("the pipeline of the history has errors: {found:?}"));
    freeze(&file, &catalog, &Default::default(), &FreezeCtx::NOTHING).expect("it freezes")
}

/// Adds `n` finished runs to the store in `state`, which is made where it is absent. Blocks; needs no runtime.
pub fn load(state: &Path, n: usize) {
    let store = Store::open(&OpenOptionsStore { dir: state.to_owned(), network_state: false, now_us: EPOCH_US, boot_id: "history".into() })
        .expect("the store opens");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let plans: Vec<(String, String, Plan)> = PIPELINES
            .iter()
            .map(|name| {
                let plan = plan(name);
                let json = serde_json::to_string(&plan).expect("a plan is JSON");
                let sha = Sha256::digest(json.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
                (json, sha, plan)
            })
            .collect();
        let mut fence = store.load_open().expect("the store is read").fence;
        let from = store.runs(&quarterdeck::store::RunsQuery { limit: 1, ..Default::default() }).expect("the store is read").len();
        assert_eq!(from, 0, "a history begins in an empty store");
        for begin in (0..n).step_by(AT_ONCE) {
            let these = begin..n.min(begin + AT_ONCE);
            let queued = futures_util::future::join_all(these.clone().map(|i| store.submit(new(i, &plans[i % PIPELINES.len()])))).await;
            let mut ends = Vec::new();
            for (i, queued) in these.zip(queued) {
                let queued = queued.expect("the run is queued");
                ends.push(store.apply(1, life(i, queued.id, &queued.run, &mut fence)));
            }
            for end in futures_util::future::join_all(ends).await {
                end.expect("the run ends");
            }
        }
    });
}

fn new(i: usize, (json, sha, plan): &(String, String, Plan)) -> NewRun {
    NewRun {
        pipeline: plan.pipeline.clone(),
        title: Vec::new(),
        plan_json: json.clone(),
        plan_sha256: sha.clone(),
        requested_by: Actor::person("ann", 1000, Some(1000)),
        reason: String::new(),
        trigger: "manual".into(),
        cause: None,
        replay_of: None,
        priority: 0,
        group: None,
        stages: plan.stages.iter().map(|s| s.name.clone()).collect(),
        steps: plan
            .steps()
            .map(|(stage, cell, step, s)| NewStep { key: StepKey { stage, cell, step }, cell: String::new(), name: s.name.clone() })
            .collect(),
        uses: Vec::new(),
        inputs: Vec::new(),
        now_us: EPOCH_US + i as i64 * MINUTE_US,
        note: None,
        parent: None,
    }
}

/// Everything between queueing and the verdict.
fn life(i: usize, id: RunId, run: &RunRef, fence: &mut u64) -> Vec<Op> {
    let (at_us, verdict) = (EPOCH_US + i as i64 * MINUTE_US, verdict(i));
    let mut ops = Vec::new();
    for stage in 0..2u32 {
        let key = StepKey { stage, cell: 0, step: 0 };
        let ended_us = at_us + i64::from(stage + 1) * 7_345_678;
        // A red run fails in its second stage.
        let verdict = if stage == 1 { verdict } else { Verdict::Success };
        let code = i32::from(verdict != Verdict::Success);
        let detail = if code == 0 { String::new() } else { "exit code 1".to_owned() };
        *fence += 1;
        ops.push(Op::Claim(Claim {
            fence: *fence,
            id: format!("history-{fence}"),
            token: format!("{fence:032x}"),
            run: id,
            key,
            number: 1,
            dir: format!("runs/{}/{}/attempts/{fence}", run.pipeline, run.number),
            at_us,
        }));
        ops.push(Op::End(Box::new(End {
            fence: *fence,
            run: id,
            stage,
            verdict: Some(verdict),
            code: Some(code),
            detail: detail.clone(),
            started_us: Some(at_us),
            ended_us,
            log_bytes: 12_345,
            log_sha256: format!("{fence:064x}"),
            max_rss_kib: 4_321,
            cpu_us: 12_345,
            ..End::default()
        })));
        ops.push(Op::Step(StepSet {
            run: id,
            key,
            was_fence: Some(*fence),
            state: StepState::Done,
            verdict: Some(verdict),
            detail: detail.clone(),
            exit_code: Some(code),
            attempts: 1,
            not_before_us: None,
            started_us: Some(at_us),
            ended_us: Some(ended_us),
            fence: Some(*fence),
        }));
        ops.push(Op::Stage(StageSet {
            run: id,
            stage,
            state: StepState::Done,
            verdict: Some(verdict),
            blocked: false,
            detail,
            started_us: Some(at_us),
            ended_us: Some(ended_us),
        }));
    }
    let failed = verdict != Verdict::Success;
    ops.push(Op::Run(Box::new(RunSet {
        run: id,
        was: RunState::Queued,
        state: RunState::Done,
        verdict: Some(verdict),
        detail: if failed { "publish: exit code 1".into() } else { String::new() },
        exit_code: failed.then_some(1),
        failed_stage: failed.then(|| "publish".into()),
        failed_step: failed.then(|| "publish".into()),
        started_us: Some(at_us),
        ended_us: Some(at_us + 2 * 7_345_678),
        limit: None,
        timed_out: false,
        fp_before: Some("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into()),
        fp_after: Some("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into()),
        round: 0,
    })));
    ops
}
