//! Stages that are runs of other pipelines, and pins: the moves of their cells, without a store.

use indexmap::IndexMap;

use super::active::{ActiveRun, CellState};
use super::building::ChildEnd;
use super::effect::Effect;
use super::testing::{matrix, now, plan, run, stage, step};
use crate::base::duration::Span;
use crate::domain::run::{RunRef, RunState, StepState, Verdict};
use crate::pipeline::plan::{Action, Stage};
use crate::store::{CancelMark, Op};

fn build(wait: bool) -> Action {
    Action::Build { pipeline: "c".into(), parameters: IndexMap::from([("n".to_owned(), "${run.number}".to_owned())]), wait }
}

fn built(name: &str, wait: bool) -> Stage {
    let mut s = stage(name, &[]);
    s.cells[0].steps = vec![crate::pipeline::plan::Step { action: build(wait), ..step(name, "") }];
    s
}

fn child(n: u64) -> RunRef {
    RunRef::new("c", n)
}

fn end(n: u64, verdict: Verdict, detail: &str) -> ChildEnd {
    ChildEnd { run: child(n), verdict, detail: detail.into(), exit_code: None }
}

/// A run whose first stage is built and whose second is work.
fn begun(first: Stage) -> ActiveRun {
    let mut r = run(7, plan(vec![first, stage("then", &[0])]));
    r.settle(&now(1), &mut Vec::new());
    assert!(r.view(false).stages[0].builds);
    let wanted = r.want_child(0, 0, &now(2), &mut Vec::new()).unwrap();
    assert_eq!((wanted.pipeline.as_str(), &wanted.parameters[..]), ("c", &[("n".to_owned(), "7".to_owned())][..]));
    r
}

fn states(ops: &[Op]) -> Vec<StepState> {
    ops.iter().filter_map(|o| if let Op::Step(s) = o { Some(s.state) } else { None }).collect()
}

#[test]
fn the_verdict_of_the_run_is_that_of_its_stage() {
    for (verdict, stage_is, run_is) in [
        (Verdict::Success, Verdict::Success, None),
        (Verdict::Failure, Verdict::Failure, Some(Verdict::Failure)),
        (Verdict::Invalid, Verdict::Invalid, Some(Verdict::Invalid)),
        (Verdict::Lost, Verdict::Lost, Some(Verdict::Lost)),
        (Verdict::Cancelled, Verdict::Cancelled, Some(Verdict::Cancelled)),
    ] {
        let mut r = begun(built("b", true));
        let (mut ops, mut effects) = (Vec::new(), Vec::new());
        assert_eq!(r.stages[0].running, 0, "it holds no executor");
        assert!(r.child_known(0, 0, &child(5), &now(3), &mut ops));
        assert_eq!(states(&ops), [StepState::Running]);
        assert!(r.settle(&now(4), &mut ops).is_empty() && r.state == RunState::Running);
        assert!(!r.child_ended(0, 0, &end(6, verdict, ""), &now(5), &mut ops, &mut effects), "another run is none of its business");
        assert!(r.child_ended(0, 0, &end(5, verdict, "why"), &now(5), &mut ops, &mut effects));
        assert!(!r.child_ended(0, 0, &end(5, verdict, "why"), &now(5), &mut ops, &mut effects), "one end, once");
        r.settle(&now(6), &mut ops);
        assert_eq!((r.stages[0].verdict, r.stages[0].detail.as_str()), (Some(stage_is), "c#5: why"));
        assert_eq!(r.stages[0].outputs.get("run").map(String::as_str), Some("c#5"));
        match run_is {
            None => assert_eq!(r.view(false).stages[0].name, "then"),
            Some(v) => {
                let out = r.outcome.as_ref().unwrap();
                assert_eq!((out.verdict, out.failed_stage.as_deref(), out.detail.as_str()), (v, Some("b"), "stage `b`: c#5: why"));
            }
        }
    }
}

#[test]
fn an_end_that_comes_before_the_answer_counts_and_the_answer_then_does_not() {
    let mut r = begun(built("b", true));
    let (mut ops, mut effects) = (Vec::new(), Vec::new());
    assert!(r.child_ended(0, 0, &end(5, Verdict::Success, ""), &now(3), &mut ops, &mut effects));
    assert!(!r.child_known(0, 0, &child(5), &now(4), &mut ops));
    r.settle(&now(5), &mut ops);
    assert_eq!((r.stages[0].verdict, r.stages[0].detail.as_str()), (Some(Verdict::Success), "c#5"));
}

#[test]
fn what_is_not_waited_for_succeeds_once_it_is_queued() {
    let mut r = begun(built("b", false));
    let mut ops = Vec::new();
    assert!(r.child_known(0, 0, &child(5), &now(3), &mut ops));
    r.settle(&now(4), &mut ops);
    assert_eq!((r.stages[0].verdict, r.stages[0].detail.as_str()), (Some(Verdict::Success), "c#5, not waited for"));
}

#[test]
fn a_cancel_asks_the_run_that_is_waited_for_once_and_waits_for_its_end() {
    let mut r = begun(built("b", true));
    let mut ops = Vec::new();
    r.child_known(0, 0, &child(5), &now(3), &mut ops);
    let mark = |force| Some(CancelMark { by: "ann".into(), why: String::new(), at_us: 0, force });
    r.cancel = mark(false);
    let asked = |effects: Vec<Effect>| -> Vec<(RunRef, bool)> {
        effects
            .into_iter()
            .filter_map(|e| if let Effect::CancelChild { child, force, .. } = e { Some((child, force)) } else { None })
            .collect()
    };
    assert_eq!(asked(r.settle(&now(4), &mut ops)), [(child(5), false)]);
    assert_eq!(asked(r.settle(&now(5), &mut ops)), []);
    assert_eq!((r.state, r.stages[1].verdict), (RunState::Running, Some(Verdict::Skipped)));
    r.cancel = mark(true);
    assert_eq!(asked(r.settle(&now(6), &mut ops)), [(child(5), true)]);
    r.child_ended(0, 0, &end(5, Verdict::Cancelled, "cancelled by ann"), &now(7), &mut ops, &mut Vec::new());
    r.settle(&now(8), &mut ops);
    let out = r.outcome.as_ref().unwrap();
    assert_eq!((out.verdict, out.detail.as_str()), (Verdict::Cancelled, "cancelled by ann"));
    // What was meant and does not exist yet ends as cancelled when its start is refused.
    let mut r = begun(built("b", true));
    r.cancel = mark(false);
    assert_eq!(asked(r.settle(&now(4), &mut ops)), []);
    r.child_refused(0, 0, "the run that would wait for it was cancelled", &now(5), &mut ops, &mut Vec::new());
    r.settle(&now(6), &mut ops);
    assert_eq!((r.stages[0].verdict, r.outcome.as_ref().map(|o| o.verdict)), (Some(Verdict::Cancelled), Some(Verdict::Cancelled)));
}

#[test]
fn the_limit_of_the_stage_cancels_the_run_and_is_a_failure() {
    let mut r = begun(Stage { timeout: Some(Span::from_secs(60)), ..built("b", true) });
    let mut ops = Vec::new();
    r.child_known(0, 0, &child(5), &now(3), &mut ops);
    assert_eq!(r.child_limit_us(&now(32)), Some(30_000_000), "begun at 2, asked at 32");
    assert!(r.settle(&now(61), &mut ops).is_empty());
    let effects = r.settle(&now(62), &mut ops);
    assert!(matches!(&effects[..], [Effect::CancelChild { child: c, by, .. }] if *c == child(5) && by == "engine"), "{effects:?}");
    assert_eq!((r.child_limit_us(&now(63)), r.settle(&now(63), &mut ops)), (None, Vec::new()));
    r.child_ended(0, 0, &end(5, Verdict::Cancelled, "x"), &now(64), &mut ops, &mut Vec::new());
    r.settle(&now(65), &mut ops);
    assert_eq!(r.stages[0].verdict, Some(Verdict::Failure));
    assert!(r.stages[0].detail.contains("limit of 1m was reached"), "{}", r.stages[0].detail);
}

#[test]
fn a_matrix_starts_a_run_for_each_cell_and_fail_fast_cancels_the_others() {
    let mut s = matrix("b", 3);
    for c in &mut s.cells {
        c.steps = vec![crate::pipeline::plan::Step { action: build(true), ..step("b", "") }];
    }
    (s.fail_fast, s.max_parallel) = (true, Some(2));
    let mut r = run(7, plan(vec![s]));
    let mut ops = Vec::new();
    r.settle(&now(1), &mut ops);
    for cell in 0..2 {
        r.want_child(0, cell, &now(2), &mut ops).unwrap();
        r.child_known(0, cell, &child(u64::from(cell) + 1), &now(3), &mut ops);
    }
    assert_eq!(r.view(false).stages[0].running, 2, "max_parallel counts what is waited for");
    let mut effects = Vec::new();
    r.child_ended(0, 0, &end(1, Verdict::Failure, "no"), &now(4), &mut ops, &mut effects);
    assert!(matches!(&effects[..], [Effect::CancelChild { child: c, .. }] if *c == child(2)), "{effects:?}");
    r.child_ended(0, 1, &end(2, Verdict::Cancelled, ""), &now(5), &mut ops, &mut effects);
    r.settle(&now(6), &mut ops);
    assert_eq!((r.stages[0].verdict, r.stages[0].detail.as_str()), (Some(Verdict::Failure), "c#1: no"));
}

#[test]
fn what_cannot_be_started_now_is_tried_again_and_its_row_goes_back() {
    let mut r = begun(built("b", true));
    let mut ops = Vec::new();
    r.child_later(0, 0, "the site file is broken", 9_000_000, &mut ops);
    assert_eq!(states(&ops), [StepState::Pending]);
    assert_eq!(r.stages[0].cells[0].state, CellState::Waiting(9_000_000));
    r.settle(&now(9), &mut ops);
    assert_eq!(r.stages[0].cells[0].state, CellState::Ready);
    assert!(r.want_child(0, 0, &now(10), &mut ops).is_some());
}

#[test]
fn an_end_without_an_attempt_leads_to_the_next_step() {
    let mut s = stage("p", &[]);
    let pin = crate::pipeline::plan::Step { action: Action::Pin { run: "c#1".into() }, ..step("pin", "") };
    s.cells[0].steps = vec![pin, step("do", "true")];
    let mut r = run(7, plan(vec![s]));
    let (mut ops, mut effects) = (Vec::new(), Vec::new());
    r.settle(&now(1), &mut ops);
    let key = crate::domain::run::StepKey { stage: 0, cell: 0, step: 0 };
    r.finish(key, Verdict::Success, "c#1 is kept".into(), None, &now(2), &mut ops, &mut effects);
    assert_eq!((r.stages[0].cells[0].step, r.stages[0].cells[0].state), (1, CellState::Ready));
    assert!(ops.iter().any(|o| matches!(o, Op::Step(s) if s.state == StepState::Done && s.detail == "c#1 is kept")));
}
