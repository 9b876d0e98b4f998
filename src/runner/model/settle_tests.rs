//! A run's way through its plan, without files or processes: graph, `when`, post stages, retries, cancel, content.

use super::active::{ActiveRun, Around, CellState};
use super::effect::Effect;
use super::testing::*;
use crate::base::duration::Span;
use crate::domain::reason::Reason;
use crate::domain::run::{RunState, Verdict};
use crate::pipeline::plan::{PostWhen, Retry, RetryOn, Stage};
use crate::runner::content::{Reading, Readings};
use crate::store::{CancelMark, Limit, Op};

fn verdicts(r: &ActiveRun) -> Vec<(String, Option<Verdict>)> {
    r.plan.stages.iter().zip(&r.stages).map(|(s, n)| (s.name.clone(), n.verdict)).collect()
}

fn outcome(r: &ActiveRun) -> (Verdict, String) {
    assert_eq!(r.state, RunState::Done, "the run has not ended: {:?}", verdicts(r));
    let o = r.outcome.as_ref().unwrap();
    (o.verdict, o.detail.clone())
}

fn retry(attempts: u32, on: Vec<RetryOn>) -> Option<Retry> {
    Some(Retry { attempts, delay: Span::from_secs(10), backoff: 2.0, on })
}

fn mark() -> CancelMark {
    CancelMark { by: "ann".into(), why: "wrong branch".into(), at_us: 0, force: false }
}

#[test]
fn stages_follow_their_needs_and_a_green_run_is_green() {
    let mut r = run(1, plan(vec![stage("a", &[]), stage("b", &[0]), stage("c", &[0]), stage("d", &[1, 2])]));
    let ran = drive(&mut r, &mut 0, &mut |_, _| Verdict::Success);
    assert_eq!(ran, ["a", "b", "c", "d"]);
    assert_eq!(outcome(&r), (Verdict::Success, String::new()));
}

#[test]
fn what_needs_a_failed_stage_is_skipped_and_other_branches_go_on() {
    let mut r = run(1, plan(vec![stage("a", &[]), stage("b", &[0]), stage("c", &[1]), stage("d", &[])]));
    let ran = drive(&mut r, &mut 0, &mut |n, _| if n == "a" { Verdict::Failure } else { Verdict::Success });
    assert_eq!(ran, ["a", "d"]);
    let (v, detail) = outcome(&r);
    assert_eq!(v, Verdict::Failure);
    assert!(detail.contains("stage `a`"), "{detail}");
    assert_eq!(r.stages[2].verdict, Some(Verdict::Skipped));
    assert_eq!(r.outcome.unwrap().failed_step.as_deref(), Some("do"));
}

#[test]
fn the_stage_that_brought_the_verdict_is_named_not_the_first_that_was_red() {
    let always = Stage { when: Some("always".into()), ..stage("b", &[0]) };
    let mut r = run(1, plan(vec![stage("a", &[]), always, stage("c", &[])]));
    drive(&mut r, &mut 0, &mut |n, _| if n == "b" { Verdict::Lost } else { Verdict::Failure });
    let (v, detail) = outcome(&r);
    assert!(v == Verdict::Lost && detail.starts_with("stage `b`"), "{detail}");
    assert_eq!(r.outcome.unwrap().failed_stage.as_deref(), Some("b"));
}

#[test]
fn a_tolerated_failure_is_shown_and_the_run_goes_on() {
    let mut r = run(1, plan(vec![Stage { allow_failure: true, ..stage("a", &[]) }, stage("b", &[0])]));
    let ran = drive(&mut r, &mut 0, &mut |n, _| if n == "a" { Verdict::Failure } else { Verdict::Success });
    assert_eq!(ran, ["a", "b"]);
    assert_eq!(r.stages[0].verdict, Some(Verdict::Failure));
    assert_eq!(outcome(&r).0, Verdict::Success);
    let mut r = run(1, plan(vec![Stage { allow_failure: true, ..stage("a", &[]) }]));
    drive(&mut r, &mut 0, &mut |_, _| Verdict::Lost);
    assert_eq!(outcome(&r).0, Verdict::Lost, "lost is no failure that one could tolerate");
}

#[test]
fn a_stage_that_runs_whatever_happened_does_not_clear_the_way() {
    let when = |name: &str, need: u32, w: &str| Stage { when: Some(w.into()), ..stage(name, &[need]) };
    let stages = vec![
        stage("build", &[]),
        stage("test", &[0]),
        when("report", 1, "always"),
        stage("deploy", &[2]),
        when("mourn", 3, "failure"),
        when("cheer", 2, "success"),
    ];
    let mut r = run(1, plan(stages.clone()));
    let ran = drive(&mut r, &mut 0, &mut |n, _| if n == "test" { Verdict::Failure } else { Verdict::Success });
    assert_eq!(ran, ["build", "test", "report", "mourn"]);
    assert_eq!(outcome(&r).0, Verdict::Failure);
    let mut r = run(2, plan(stages));
    let ran = drive(&mut r, &mut 0, &mut |_, _| Verdict::Success);
    assert_eq!(ran, ["build", "test", "report", "deploy", "cheer"]);
}

#[test]
fn a_condition_may_ask_for_the_end_of_a_failed_need() {
    let when = |name: &str, w: &str| Stage { when: Some(w.into()), ..stage(name, &[0]) };
    let mut r = run(1, plan(vec![stage("a", &[]), when("always", "always"), when("bad", "failure"), when("good", "success")]));
    let ran = drive(&mut r, &mut 0, &mut |n, _| if n == "a" { Verdict::Failure } else { Verdict::Success });
    assert_eq!(ran, ["a", "always", "bad"]);
    let mut r = run(2, plan(vec![stage("a", &[]), when("no", "false"), stage("after", &[1])]));
    let ran = drive(&mut r, &mut 0, &mut |_, _| Verdict::Success);
    assert_eq!(ran, ["a", "after"], "a stage that its own condition skips holds nobody back");
    assert_eq!(outcome(&r).0, Verdict::Success);
}

#[test]
fn post_stages_see_the_verdict_and_run_one_after_the_other() {
    use PostWhen::{Always, Failure, Fixed, Success};
    let stages = || {
        vec![
            stage("a", &[]),
            post("a-always", Always, Some(0)),
            stage("b", &[0]),
            post("always", Always, None),
            post("success", Success, None),
            post("failure", Failure, None),
            post("fixed", Fixed, None),
        ]
    };
    let mut r = run(1, plan(stages()));
    r.previous = Some(Verdict::Failure);
    assert_eq!(drive(&mut r, &mut 0, &mut |_, _| Verdict::Success), ["a", "a-always", "b", "always", "success", "fixed"]);
    let mut r = run(2, plan(stages()));
    r.previous = Some(Verdict::Success);
    let ran = drive(&mut r, &mut 0, &mut |n, _| if n == "b" { Verdict::Failure } else { Verdict::Success });
    assert_eq!(ran, ["a", "a-always", "b", "always", "failure"]);
    assert_eq!(outcome(&r).0, Verdict::Failure);
    let mut r = run(3, plan(stages()));
    let ran = drive(&mut r, &mut 0, &mut |n, _| if n == "always" { Verdict::Failure } else { Verdict::Success });
    assert_eq!(ran, ["a", "a-always", "b", "always", "success"], "without a past nothing is fixed");
    let (v, detail) = outcome(&r);
    assert!(v == Verdict::Failure && detail.contains("post stage `always`"), "{detail}");
}

#[test]
fn a_post_stage_is_told_how_those_before_it_ended() {
    let mut r = run(
        1,
        plan(vec![
            stage("a", &[]),
            post("tell", PostWhen::Success, None),
            post("sorry", PostWhen::Failure, None),
            post("always", PostWhen::Always, None),
        ]),
    );
    let (mut ops, mut effects) = (Vec::new(), Vec::new());
    for (i, verdict, code) in [(0, Verdict::Success, 0), (1, Verdict::Failure, 4)] {
        r.settle(&now(i64::from(i)), &mut ops);
        r.claim((i, 0), &ticket(10 + u64::from(i)), &now(i64::from(i)), &mut ops).unwrap();
        let e = ended(&r, i, 0, verdict, Some(code));
        assert!(r.ended(i, 0, &e, &now(i64::from(i)), &mut ops, &mut effects));
    }
    r.settle(&now(3), &mut ops);
    let told = r.so_far().unwrap();
    assert_eq!(r.facts(true).run_verdict, Some(Verdict::Failure));
    assert_eq!((told.verdict, told.failed_stage.as_deref(), told.exit_code), (Verdict::Failure, Some("tell"), Some(4)));
    let ran = drive(&mut r, &mut 4, &mut |_, _| Verdict::Success);
    assert_eq!(ran, ["always"], "the work was a success: that decides which post stages run");
    let end = r.outcome.unwrap();
    assert_eq!((end.verdict, end.failed_step.as_deref(), end.exit_code), (Verdict::Failure, Some("do"), Some(4)));
    assert_eq!(end.detail, "post stage `tell`: exit code 4");
}

#[test]
fn a_post_stage_of_a_stage_is_told_how_that_one_ended() {
    let stages = || vec![stage("a", &[]), post("a: post", PostWhen::Always, Some(0)), stage("b", &[])];
    for (verdict, failed) in [(Verdict::Failure, "a"), (Verdict::Success, "")] {
        let mut r = run(1, plan(stages()));
        let (mut ops, mut effects) = (Vec::new(), Vec::new());
        r.settle(&now(0), &mut ops);
        assert_eq!(r.told(&r.plan.stages[1]), None, "nothing has ended yet");
        r.claim((0, 0), &ticket(10), &now(1), &mut ops).unwrap();
        let e = ended(&r, 0, 0, verdict, Some(i32::from(verdict == Verdict::Failure)));
        assert!(r.ended(0, 0, &e, &now(2), &mut ops, &mut effects));
        r.settle(&now(2), &mut ops);
        assert_eq!(r.told(&r.plan.stages[1]), Some((verdict, failed.to_owned())));
        assert_eq!(r.told(&r.plan.stages[2]), None, "work is told nothing");
    }
}

#[test]
fn a_stage_that_is_left_out_says_whether_its_own_condition_did_it() {
    let when = |name: &str, text: &str| Stage { when: Some(text.into()), ..stage(name, &[0]) };
    let stages = vec![stage("a", &[]), when("asked", "failure and not failure"), when("good", "success"), stage("plain", &[0])];
    let mut r = run(1, plan(stages));
    drive(&mut r, &mut 0, &mut |_, _| Verdict::Failure);
    let said: Vec<&str> = r.stages[1..].iter().map(|s| s.detail.as_str()).collect();
    let needs = "a stage that it needs did not succeed";
    assert_eq!(said, ["its `when` says no", needs, needs]);
}

#[test]
fn fail_fast_ends_the_siblings_and_the_stage_says_failure() {
    let mut r = run(1, plan(vec![Stage { fail_fast: true, ..matrix("m", 4) }]));
    let mut ops = Vec::new();
    r.settle(&now(0), &mut ops);
    for c in 0..2 {
        r.claim((0, c), &ticket(10 + u64::from(c)), &now(1), &mut ops).unwrap();
    }
    let mut effects = Vec::new();
    let e = ended(&r, 0, 1, Verdict::Failure, Some(3));
    r.ended(0, 1, &e, &now(2), &mut ops, &mut effects);
    assert_eq!(effects, [Effect::Cancel { fence: 10, force: false }]);
    r.settle(&now(2), &mut ops);
    assert!(r.stages[0].ready.is_empty() && r.state == RunState::Running);
    let e = ended(&r, 0, 0, Verdict::Cancelled, None);
    r.ended(0, 0, &e, &now(3), &mut ops, &mut effects);
    r.settle(&now(3), &mut ops);
    assert_eq!(outcome(&r).0, Verdict::Failure);
    assert_eq!(r.outcome.as_ref().unwrap().exit_code, Some(3));
}

#[test]
fn a_retry_waits_its_growing_time_without_holding_an_executor() {
    let mut r = run(1, plan(vec![Stage { retry: retry(3, vec![]), locks: vec![exclusive("l")], ..stage("a", &[]) }]));
    let mut ops = Vec::new();
    r.settle(&now(0), &mut ops);
    for (attempt, (at, next)) in [(0, 10), (10, 30)].into_iter().enumerate() {
        r.claim((0, 0), &ticket(5 + attempt as u64), &now(at), &mut ops).unwrap();
        let e = ended(&r, 0, 0, Verdict::Failure, Some(1));
        r.ended(0, 0, &e, &now(at), &mut ops, &mut Vec::new());
        r.settle(&now(at), &mut ops);
        assert_eq!((r.stages[0].running, r.stages[0].locked), (0, true), "the lock stays with the stage");
        r.settle(&now(next - 1), &mut ops);
        assert!(r.stages[0].ready.is_empty());
        r.settle(&now(next), &mut ops);
        assert_eq!(r.stages[0].ready.len(), 1, "attempt {attempt}");
    }
    r.claim((0, 0), &ticket(9), &now(30), &mut ops).unwrap();
    let e = ended(&r, 0, 0, Verdict::Failure, Some(1));
    r.ended(0, 0, &e, &now(31), &mut ops, &mut Vec::new());
    r.settle(&now(31), &mut ops);
    assert_eq!(outcome(&r).0, Verdict::Failure);
    assert!(ops.iter().any(|o| matches!(o, Op::Unlock { stage: 0, .. })));
}

#[test]
fn lost_is_retried_only_when_named_and_idempotent() {
    for (idempotent, on, again) in [
        (true, vec![RetryOn::Lost], true),
        (false, vec![RetryOn::Lost], false),
        (true, vec![], false),
        (true, vec![RetryOn::Failure], false),
    ] {
        let mut r = run(1, plan(vec![Stage { retry: retry(2, on.clone()), idempotent, ..stage("a", &[]) }]));
        let mut ops = Vec::new();
        r.settle(&now(0), &mut ops);
        r.claim((0, 0), &ticket(5), &now(0), &mut ops).unwrap();
        let e = ended(&r, 0, 0, Verdict::Lost, None);
        r.ended(0, 0, &e, &now(1), &mut ops, &mut Vec::new());
        r.settle(&now(1), &mut ops);
        assert_eq!(r.state == RunState::Running, again, "{idempotent} {on:?}");
    }
}

#[test]
fn a_cancel_ends_what_runs_skips_the_rest_and_still_runs_post_stages() {
    let mut r = run(
        1,
        plan(vec![stage("a", &[]), stage("b", &[0]), post("always", PostWhen::Always, None), post("failure", PostWhen::Failure, None)]),
    );
    let mut ops = Vec::new();
    r.settle(&now(0), &mut ops);
    r.claim((0, 0), &ticket(5), &now(0), &mut ops).unwrap();
    r.cancel = Some(mark());
    assert_eq!(r.settle(&now(1), &mut ops), [Effect::Cancel { fence: 5, force: false }]);
    let e = ended(&r, 0, 0, Verdict::Cancelled, None);
    r.ended(0, 0, &e, &now(2), &mut ops, &mut Vec::new());
    assert_eq!(drive(&mut r, &mut 3, &mut |_, _| Verdict::Success), ["always"]);
    assert_eq!(outcome(&r), (Verdict::Cancelled, "cancelled by ann: wrong branch".into()));
    assert_eq!(r.stages[1].verdict, Some(Verdict::Skipped));
}

#[test]
fn a_run_cancelled_in_the_queue_ends_at_once_and_runs_nothing() {
    let mut r = run(1, plan(vec![stage("a", &[]), post("always", PostWhen::Always, None)]));
    r.cancel = Some(mark());
    let effects = r.settle(&now(1), &mut Vec::new());
    assert_eq!(effects, [Effect::Ended(Verdict::Cancelled)]);
    assert_eq!(r.stages[1].verdict, Some(Verdict::Skipped));
}

#[test]
fn a_cancel_waits_for_an_uninterruptible_stage() {
    let mut r = run(1, plan(vec![Stage { uninterruptible: true, ..matrix("switch", 2) }, stage("b", &[0])]));
    let mut ops = Vec::new();
    r.settle(&now(0), &mut ops);
    r.claim((0, 0), &ticket(5), &now(0), &mut ops).unwrap();
    r.cancel = Some(mark());
    assert_eq!(r.settle(&now(1), &mut ops), []);
    let e = ended(&r, 0, 0, Verdict::Success, Some(0));
    r.ended(0, 0, &e, &now(2), &mut ops, &mut Vec::new());
    assert_eq!(drive(&mut r, &mut 3, &mut |_, _| Verdict::Success), ["switch"], "its other cell too");
    assert_eq!(outcome(&r).0, Verdict::Cancelled);
    // Nothing was left out by the cancel: then there is nothing to call cancelled.
    let mut r = run(2, plan(vec![Stage { uninterruptible: true, ..stage("switch", &[]) }]));
    r.settle(&now(0), &mut ops);
    r.claim((0, 0), &ticket(6), &now(0), &mut ops).unwrap();
    r.cancel = Some(mark());
    r.settle(&now(1), &mut ops);
    let e = ended(&r, 0, 0, Verdict::Success, Some(0));
    r.ended(0, 0, &e, &now(2), &mut ops, &mut Vec::new());
    r.settle(&now(2), &mut ops);
    assert_eq!(outcome(&r).0, Verdict::Success);
}

#[test]
fn a_cancel_does_not_wait_for_an_uninterruptible_stage_of_which_nothing_began() {
    for wait_ms in [None, Some(60_000)] {
        let mut r = run(1, plan(vec![Stage { uninterruptible: true, ..stage("switch", &[]) }]));
        let mut ops = Vec::new();
        r.settle(&now(0), &mut ops);
        r.claim((0, 0), &ticket(5), &now(0), &mut ops).unwrap();
        assert!(r.not_started((0, 0), 5, "its supervisor died first", wait_ms, &now(1), &mut ops));
        r.cancel = Some(mark());
        assert_eq!(r.settle(&now(1), &mut ops), [Effect::Ended(Verdict::Cancelled)]);
    }
    // A step that ran, and is to run again, is in the middle.
    let mut r = run(1, plan(vec![Stage { uninterruptible: true, retry: retry(2, vec![]), ..stage("switch", &[]) }]));
    let mut ops = Vec::new();
    r.settle(&now(0), &mut ops);
    r.claim((0, 0), &ticket(5), &now(0), &mut ops).unwrap();
    let e = ended(&r, 0, 0, Verdict::Failure, Some(1));
    r.ended(0, 0, &e, &now(1), &mut ops, &mut Vec::new());
    r.cancel = Some(mark());
    assert_eq!(r.settle(&now(1), &mut ops), []);
}

#[test]
fn the_run_s_time_limit_fails_it_and_a_reboot_keeps_the_wall_clock_end() {
    let mut r = run(1, plan(vec![stage("a", &[]), Stage { retry: retry(2, vec![]), ..stage("b", &[0]) }]));
    drive(&mut r, &mut 0, &mut |n, _| if n == "b" { Verdict::Failure } else { Verdict::Success });
    assert_eq!(r.state, RunState::Running, "b waits for its retry");
    let mut ops = Vec::new();
    r.settle(&now(3_700), &mut ops);
    let (v, detail) = outcome(&r);
    assert!(v == Verdict::Failure && detail.contains("limit of 1h"), "{v} {detail}");
    r.limit = Some(Limit { us: 100_000_000, boot_us: 7_000_000, boot_id: "old".into() });
    assert_eq!(r.limit_boot_us(&now(200)), Some(3_700_000_000), "100 s after the start, 3500 s are left of the hour");
}

fn readings(fp: &str) -> Readings {
    let fp = (fp != "?").then(|| fp.to_owned());
    Readings::from([("el9".to_owned(), Reading { fp, md: None, detail: String::new() })])
}

/// Runs a plan of one stage that reads or writes `el9`, with these readings around it.
fn around(stage: Stage, before: &str, after: &str, left: Option<&str>) -> ActiveRun {
    let mut r = run(1, plan(vec![stage]));
    let mut ops = Vec::new();
    r.settle(&now(0), &mut ops);
    assert!(r.view(false).stages[0].reads_first, "nothing starts before the first reading");
    r.begin_reading(0, &now(0), &mut ops);
    assert!(r.view(false).stages[0].gate.is_some());
    r.content_read(false, readings(before), &now(1), &mut ops);
    r.claim((0, 0), &ticket(5), &now(1), &mut ops).unwrap();
    let mut e = ended(&r, 0, 0, Verdict::Success, Some(0));
    e.left = left.map(|fp| ("el9".to_owned(), fp.to_owned())).into_iter().collect();
    r.ended(0, 0, &e, &now(2), &mut ops, &mut Vec::new());
    assert_eq!(r.settle(&now(2), &mut ops), [Effect::ReadContent { after: true }]);
    let unlocked = |ops: &[Op]| ops.iter().any(|o| matches!(o, Op::Unlock { .. }));
    assert!(!unlocked(&ops), "the lock stays until the reading is done");
    r.content_read(true, readings(after), &now(3), &mut ops);
    r.settle(&now(3), &mut ops);
    assert!(unlocked(&ops));
    assert_eq!(r.after, Around::Done);
    r
}

#[test]
fn moved_inputs_make_a_green_run_invalid_and_unchanged_output_is_no_change() {
    let locks = vec![exclusive("content:el9")];
    let reader = || Stage { reads: vec!["el9".into()], locks: locks.clone(), ..stage("r", &[]) };
    let writer = || Stage { writes: vec!["el9".into()], locks: locks.clone(), ..stage("w", &[]) };
    assert_eq!(outcome(&around(reader(), "1", "1", None)).0, Verdict::Success);
    let (v, why) = outcome(&around(reader(), "1", "2", None));
    assert!(v == Verdict::Invalid && why.contains("el9"), "{why}");
    assert_eq!(outcome(&around(reader(), "?", "?", None)).0, Verdict::Invalid);
    assert_eq!(outcome(&around(writer(), "1", "2", Some("2"))).0, Verdict::Success);
    assert_eq!(outcome(&around(writer(), "1", "3", Some("2"))).0, Verdict::Invalid, "a foreign writer");
    assert_eq!(outcome(&around(writer(), "1", "1", Some("1"))), (Verdict::Success, "no-change".into()));
    assert_eq!(outcome(&around(writer(), "?", "1", Some("1"))), (Verdict::Success, String::new()), "the first sync ever");
}

#[test]
fn an_attempt_that_never_started_does_not_count() {
    let mut r = run(1, plan(vec![Stage { retry: retry(2, vec![]), ..stage("a", &[]) }]));
    let mut ops = Vec::new();
    r.settle(&now(0), &mut ops);
    r.claim((0, 0), &ticket(5), &now(0), &mut ops).unwrap();
    assert!(r.not_started((0, 0), 5, "no room", Some(1_000), &now(1), &mut ops));
    assert!(!r.not_started((0, 0), 5, "again", None, &now(1), &mut ops), "once");
    assert_eq!(r.stages[0].cells[0].attempts, 0);
    r.settle(&now(2), &mut ops);
    assert_eq!(r.claim((0, 0), &ticket(6), &now(2), &mut ops).unwrap().1, 1);
    let stale = ended(&r, 0, 0, Verdict::Failure, Some(1));
    let mut old = stale.clone();
    old.end.fence = 5;
    assert!(!r.ended(0, 0, &old, &now(3), &mut ops, &mut Vec::new()), "a late word of the old fence changes nothing");
    assert!(r.ended(0, 0, &stale, &now(3), &mut ops, &mut Vec::new()));
    assert!(!r.ended(0, 0, &stale, &now(3), &mut ops, &mut Vec::new()), "I2: one end");
}

#[test]
fn a_secret_that_is_asked_for_again_is_still_what_the_run_waits_for() {
    let mut r = run(1, plan(vec![stage("a", &[])]));
    let mut ops = Vec::new();
    r.settle(&now(0), &mut ops);
    let told = |r: &ActiveRun| r.view(true).other.iter().map(|(_, why)| why.to_string()).collect::<Vec<_>>();
    r.stages[0].put(0, CellState::Preparing);
    assert_eq!(told(&r), ["starts: stage `a`"], "asked for the first time");
    let why = "secret `key`: command `pass` gave no answer within 10 s";
    r.hold(0, 0, Reason::Secret { name: "key".into(), why: why.into(), until_us: 0 }, 15_000_000);
    assert_eq!(told(&r), [why]);
    // A person has found that it can be had: no time is waited for.
    let secret = |named: &'static str| move |why: &Reason| matches!(why, Reason::Secret { name, .. } if name == named);
    r.ask_again(secret("another"));
    assert_eq!(r.stages[0].cells[0].state, CellState::Waiting(15_000_000));
    r.ask_again(secret("key"));
    assert_eq!(r.stages[0].cells[0].state, CellState::Ready);
    r.stages[0].put(0, CellState::Preparing);
    r.hold(0, 0, Reason::Secret { name: "key".into(), why: why.into(), until_us: 0 }, 15_000_000);
    r.settle(&now(15), &mut ops);
    assert_eq!(r.stages[0].cells[0].state, CellState::Ready);
    r.stages[0].put(0, CellState::Preparing);
    assert_eq!(told(&r), [why], "nobody has answered otherwise yet");
    r.prepared(0, 0, Vec::new(), 15_000_000);
    r.stages[0].put(0, CellState::Preparing);
    assert_eq!(told(&r), ["starts: stage `a`"]);
}
