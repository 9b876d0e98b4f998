//! Waiting for people without files or processes: quorum, refusal, expiry, cancel, void approvals, and what a restart finds.

use indexmap::IndexMap;

use super::active::{ActiveRun, Around};
use super::approval::{self, Vote, Voted};
use super::now::Now;
use super::testing::*;
use super::wait;
use crate::base::duration::Span;
use crate::domain::actor::Actor;
use crate::domain::audit::Record;
use crate::domain::decision::{Decision, Kind};
use crate::domain::reason::Reason;
use crate::domain::run::{RunState, Verdict};
use crate::pipeline::plan::{Answer, Approve, Plan, Question, Stage};
use crate::runner::config::RunnerError;
use crate::runner::content::Reading;
use crate::store::{CancelMark, DecisionEdit, Note, Op};

fn rules(quorum: u32, not_requester: bool) -> Approve {
    Approve { roles: vec!["operator".into()], quorum, not_requester, expires: Span::from_secs(100), show: Vec::new(), ask: Vec::new() }
}

fn asks(name: &str, needs: &[u32], approve: Approve) -> Stage {
    Stage { cells: Vec::new(), approve: Some(approve), ..stage(name, needs) }
}

fn person(name: &str, uid: u32) -> Actor {
    Actor::person(name, uid, Some(uid))
}

fn vote(who: Actor, approve: bool, why: &str) -> Vote {
    let record =
        Record { who, action: "approve".into(), subject: String::new(), reason: why.into(), result: "done".into(), single_person: false };
    Vote { approve, stage: None, sha: None, answers: IndexMap::new(), single_person: false, record }
}

/// Runs what is ready, asks what is to be asked, to the fixed point.
fn go(r: &mut ActiveRun, at: &mut i64, ops: &mut Vec<Op>) {
    loop {
        r.settle(&now(*at), ops);
        let asked: Vec<u32> = r.view(false).stages.iter().filter(|s| s.asks).map(|s| s.stage).collect();
        let ran = if r.state == RunState::Done { Vec::new() } else { drive(r, at, &mut |_, _| Verdict::Success) };
        for s in &asked {
            r.ask(*s, &now(*at), ops);
        }
        if asked.is_empty() && ran.is_empty() {
            return;
        }
    }
}

fn cast(r: &mut ActiveRun, v: &Vote, at: i64, ops: &mut Vec<Op>) -> Result<Voted, RunnerError> {
    r.settle(&now(at), ops);
    let voted = r.decide(v, &now(at), ops)?;
    r.settle(&now(at), ops);
    Ok(voted)
}

fn waiting(plan: Plan) -> (ActiveRun, i64, Vec<Op>) {
    let mut r = run(1, plan);
    r.requested_by = person("ann", 1000);
    let (mut at, mut ops) = (0, Vec::new());
    go(&mut r, &mut at, &mut ops);
    assert_eq!(r.state, RunState::Waiting);
    (r, at, ops)
}

fn three(approve: Approve) -> Plan {
    plan(vec![stage("a", &[]), asks("agree", &[0], approve), stage("b", &[1])])
}

fn refusal(e: RunnerError) -> String {
    match e {
        RunnerError::Refused { .. } | RunnerError::BadAnswer { .. } => e.to_string(),
        other => panic!("{other}"),
    }
}

/// The decision rows that a store would hold after these changes.
fn rows(ops: &[Op]) -> Vec<Decision> {
    let mut out: Vec<Decision> = Vec::new();
    for op in ops {
        match op {
            Op::Note(note) => {
                let Note { at_us, record, decision: Some(DecisionEdit::Make(new)) } = &**note else { continue };
                if new.kind == Kind::Request {
                    out.retain(|d| d.subject != new.subject);
                }
                out.push(Decision {
                    id: 1,
                    kind: new.kind,
                    subject: new.subject.clone(),
                    sha: Some(new.sha.clone()),
                    who: new.who.clone().unwrap_or(record.who.clone()),
                    why: new.why.clone(),
                    at_us: *at_us,
                    until_us: new.until_us,
                    ended_us: None,
                    detail: new.detail.clone(),
                });
            }
            Op::Close { subject, .. } => out.retain(|d| d.kind != Kind::Request || d.subject != *subject),
            _ => {}
        }
    }
    out
}

#[test]
fn a_stage_waits_without_executor_or_lock_until_enough_people_agree() {
    let (mut r, at, mut ops) = waiting(three(rules(2, true)));
    assert!(r.stages.iter().all(|s| s.running == 0 && !s.locked) && r.view(false).stages.is_empty());
    let ann = refusal(cast(&mut r, &vote(person("ann", 1000), true, ""), at, &mut ops).unwrap_err());
    assert!(ann.contains("ann asked for it"), "{ann}");
    assert_eq!(
        cast(&mut r, &vote(person("bob", 1001), true, "looks fine"), at, &mut ops).unwrap(),
        Voted { subject: "p#1/agree".into(), given: 1, quorum: 2, again: false, over: false }
    );
    let before = ops.len();
    assert!(cast(&mut r, &vote(person("bob", 1001), true, ""), at, &mut ops).unwrap().again);
    assert_eq!(ops.len(), before, "the same word twice is written once");
    let sudo = Actor::person("root", 0, Some(1001));
    assert!(refusal(cast(&mut r, &vote(sudo, true, ""), at, &mut ops).unwrap_err()).contains("login uid of bob"));
    let Reason::Approval(asked) = r.stages[1].wait.as_ref().unwrap().reason() else { panic!() };
    assert_eq!((asked.given.as_slice(), asked.not.as_deref(), asked.quorum), (&["bob".to_owned()][..], Some("ann"), 2));
    assert!(asked.to_string().contains("1 of 2 missing, by operator, not by ann; approved by bob; until 1970"), "{asked}");
    assert!(cast(&mut r, &vote(person("cal", 1002), true, ""), at, &mut ops).unwrap().over);
    assert_eq!((r.state, r.stages[1].verdict), (RunState::Running, Some(Verdict::Success)));
    assert_eq!(r.stages[1].detail, "approved by bob, cal");
    let mut at = at;
    go(&mut r, &mut at, &mut ops);
    assert_eq!(r.outcome.unwrap().verdict, Verdict::Success);
    let pauses: Vec<bool> = ops.iter().filter_map(|o| if let Op::Pause { on, .. } = o { Some(*on) } else { None }).collect();
    assert_eq!(pauses, [true, false], "the time of people is counted apart");
}

#[test]
fn a_denial_an_expiry_and_a_cancel_end_it_and_say_so() {
    let (mut r, at, mut ops) = waiting(three(rules(2, false)));
    cast(&mut r, &vote(person("bob", 1001), true, ""), at, &mut ops).unwrap();
    assert!(cast(&mut r, &vote(person("cal", 1002), false, "not before the freeze"), at, &mut ops).unwrap().over);
    let o = r.outcome.clone().unwrap();
    assert_eq!((o.verdict, o.detail.as_str()), (Verdict::Failure, "stage `agree`: denied by cal: not before the freeze"));
    assert_eq!((o.failed_stage.as_deref(), r.stages[2].verdict), (Some("agree"), Some(Verdict::Skipped)));
    assert!(rows(&ops).iter().all(|d| d.kind != Kind::Request), "nothing is asked for any more");

    let (mut r, at, mut ops) = waiting(three(rules(2, false)));
    cast(&mut r, &vote(person("bob", 1001), true, ""), at, &mut ops).unwrap();
    assert_eq!(r.expires_us(&now(at)), Some(100_000_000));
    let late = refusal(cast(&mut r, &vote(person("cal", 1002), true, ""), at + 100, &mut ops).unwrap_err());
    assert!(late.contains("stage `agree` has ended: failure: expired: 1 of 2 approved (bob) within 1m40s"), "{late}");
    assert_eq!(r.outcome.clone().unwrap().verdict, Verdict::Failure);
    let told = ops.iter().any(|o| matches!(o, Op::Note(n) if n.record.action == "expire" && n.record.subject == "p#1/agree"));
    assert!(told, "an expiry is in the audit chain");

    let (mut r, at, mut ops) = waiting(three(rules(1, false)));
    r.cancel = Some(CancelMark { by: "ann".into(), why: "wrong".into(), at_us: 0, force: false });
    r.settle(&now(at), &mut ops);
    let o = r.outcome.clone().unwrap();
    assert_eq!(
        (o.verdict, o.detail.as_str(), r.stages[1].verdict),
        (Verdict::Cancelled, "cancelled by ann: wrong", Some(Verdict::Cancelled))
    );
    assert_eq!(r.stages[1].detail, "the run was cancelled while it waited for people");
    assert!(rows(&ops).is_empty());
}

#[test]
fn a_wall_clock_that_jumps_moves_no_expiry_and_a_reboot_goes_by_the_wall() {
    let (mut r, at, mut ops) = waiting(three(rules(1, false)));
    let jumped = Now { us: 10_000_000_000, boot_us: (at as u64 + 99) * 1_000_000, boot_id: "boot".into() };
    r.settle(&jumped, &mut ops);
    assert_eq!(r.state, RunState::Waiting, "99 s have gone by, whatever the wall clock says");
    let rebooted = |s: i64| Now { us: (at + s) * 1_000_000, boot_us: 5, boot_id: "next".into() };
    r.settle(&rebooted(99), &mut ops);
    assert_eq!(r.state, RunState::Waiting);
    r.settle(&rebooted(100), &mut ops);
    assert!(r.outcome.unwrap().detail.contains("expired"));
}

#[test]
fn the_limit_of_the_run_goes_on_counting_while_people_think() {
    let (mut r, at, mut ops) = waiting(Plan { timeout: Span::from_secs(50), ..three(rules(1, false)) });
    r.settle(&now(at + 60), &mut ops);
    let o = r.outcome.unwrap();
    assert_eq!((o.verdict, o.detail.as_str()), (Verdict::Failure, "the run's limit of 50s was reached"));
}

#[test]
fn answers_reach_later_stages_typed_and_wrong_ones_name_the_question() {
    let ask = vec![
        Question {
            name: "ticket".into(),
            description: String::new(),
            default: None,
            answer: Answer::String { pattern: Some("^CHG[0-9]+$".into()), min: None, max: None },
        },
        Question { name: "reboot".into(), description: String::new(), default: Some("false".into()), answer: Answer::Bool },
    ];
    let (mut r, at, mut ops) = waiting(three(Approve { ask, ..rules(2, false) }));
    let with = |who, pairs: &[(&str, &str)]| Vote {
        answers: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ..vote(who, true, "")
    };
    let bob = || person("bob", 1001);
    for (pairs, words) in [
        (&[][..], "question `ticket` must be answered"),
        (&[("ticket", "42")], "question `ticket`: `42` must be a text that matches"),
        (&[("ticket", "CHG1"), ("reboot", "maybe")], "question `reboot`: `maybe` must be true or false"),
        (&[("ticket", "CHG1"), ("rebot", "true")], "there is no question `rebot`"),
    ] {
        let e = refusal(cast(&mut r, &with(bob(), pairs), at, &mut ops).unwrap_err());
        assert!(e.contains(words), "{e}");
    }
    assert!(r.stages[1].wait.as_ref().unwrap().given.is_empty(), "what is refused leaves nothing");
    cast(&mut r, &with(bob(), &[("ticket", "CHG1")]), at, &mut ops).unwrap();
    let other = refusal(cast(&mut r, &with(person("cal", 1002), &[("ticket", "CHG2")]), at, &mut ops).unwrap_err());
    assert!(other.contains("answered `CHG1` by who approved before"), "{other}");
    cast(&mut r, &vote(person("cal", 1002), true, ""), at, &mut ops).unwrap();
    assert_eq!(r.stages[1].outputs["ticket"], "CHG1");
    let facts = r.facts(true);
    assert_eq!(crate::pipeline::expr::decide(Some("not approve.reboot and approve.ticket == \"CHG1\""), &facts), Ok(true));
    assert_eq!(ops.iter().filter(|o| matches!(o, Op::Answer { stage: 1, .. })).count(), 2);
}

#[test]
fn an_approval_is_bound_to_what_was_approved() {
    let (mut r, at, mut ops) = waiting(three(rules(2, false)));
    let sha = r.stages[1].wait.as_ref().unwrap().sha.clone();
    let seen = |sha: &str| Vote { sha: Some(sha.to_owned()), ..vote(person("bob", 1001), true, "") };
    let old = refusal(cast(&mut r, &seen("0123"), at, &mut ops).unwrap_err());
    assert!(old.contains("has moved") && old.contains(approval::short(&sha)), "{old}");
    cast(&mut r, &seen(&sha[..12]), at, &mut ops).unwrap();

    // The same run, asked again after it was resumed: other outputs, other inputs, another pass each make another sha.
    let mut shas = vec![sha.clone()];
    for change in 0..3 {
        let mut again = run(1, three(rules(2, false)));
        match change {
            0 => again.round = 1,
            1 => drop(again.stages[0].outputs.insert("n".into(), "2".into())),
            _ => {
                again.before = Around::Done;
                again.readings_before.insert("el9".into(), Reading { fp: Some("f1".into()), ..Reading::default() });
            }
        }
        let (mut at, mut more) = (0, Vec::new());
        go(&mut again, &mut at, &mut more);
        let wait = again.stages[1].wait.as_ref().unwrap();
        assert!(!shas.contains(&wait.sha), "change {change}");
        shas.push(wait.sha.clone());
        // Rows of both askings: the earlier approval is void.
        let mut all = rows(&ops);
        all.retain(|d| d.kind == Kind::Approve);
        all.extend(rows(&more));
        again.stages[1].wait = None;
        again.restore_waits(&all);
        assert!(again.stages[1].wait.as_ref().unwrap().given.is_empty(), "change {change}");
    }
}

#[test]
fn a_restart_finds_what_was_asked_and_who_had_approved() {
    let (mut r, at, mut ops) = waiting(three(rules(2, false)));
    cast(&mut r, &vote(person("bob", 1001), true, "fine"), at, &mut ops).unwrap();
    let wait = r.stages[1].wait.clone();
    r.stages[1].wait = None;
    r.restore_waits(&rows(&ops));
    assert_eq!(r.stages[1].wait, wait);
    // A stage that began to wait and has no request could never be answered: it asks again.
    r.restore_waits(&[]);
    r.stages[1].wait = None;
    r.restore_waits(&[]);
    let mut at = at;
    go(&mut r, &mut at, &mut ops);
    assert!(r.stages[1].wait.is_some());
}

#[test]
fn several_stages_that_wait_are_told_apart() {
    let two = plan(vec![asks("ops", &[], rules(1, false)), asks("security", &[], rules(1, false)), stage("b", &[0, 1])]);
    let (mut r, at, mut ops) = waiting(two);
    let which = refusal(cast(&mut r, &vote(person("bob", 1001), true, ""), at, &mut ops).unwrap_err());
    assert!(which.contains("`ops` and `security`") && which.contains("-p stage="), "{which}");
    let at_stage = |s: &str| Vote { stage: Some(s.to_owned()), ..vote(person("bob", 1001), true, "") };
    assert!(cast(&mut r, &at_stage("security"), at, &mut ops).unwrap().over);
    assert_eq!(r.state, RunState::Waiting);
    assert!(refusal(cast(&mut r, &at_stage("security"), at, &mut ops).unwrap_err()).contains("does not wait at stage `security`"));
    assert!(cast(&mut r, &vote(person("bob", 1001), true, ""), at, &mut ops).unwrap().over, "one is left");
}

fn held() -> (ActiveRun, Vec<Op>) {
    let mut r = run(1, plan(vec![stage("a", &[])]));
    let request = wait::hold("p#1", "ab", Default::default(), "kernel", &now(0));
    let record = vote(person("ann", 1000), true, "kernel").record;
    let ops = vec![Op::Note(Box::new(Note { at_us: 0, record, decision: Some(DecisionEdit::Make(Box::new(request))) }))];
    r.restore_waits(&rows(&ops));
    (r, ops)
}

#[test]
fn a_start_waits_for_a_second_person_and_nothing_of_it_begins_before() {
    let (mut r, mut ops) = held();
    r.settle(&now(1), &mut ops);
    assert!(r.view(false).stages.is_empty() && r.state == RunState::Queued);
    assert!(r.view(true).other[0].1.to_string().starts_with("its start waits for a second person: 1 of 1 missing"));
    assert!(refusal(cast(&mut r, &vote(person("ann", 1000), true, ""), 2, &mut ops).unwrap_err()).contains("ann asked for it"));
    assert!(cast(&mut r, &vote(person("bob", 1001), true, ""), 2, &mut ops).unwrap().over);
    assert_eq!(drive(&mut r, &mut 3, &mut |_, _| Verdict::Success), ["a"]);

    let (mut r, mut ops) = held();
    assert!(cast(&mut r, &vote(person("bob", 1001), false, "no"), 2, &mut ops).unwrap().over);
    let o = r.outcome.clone().unwrap();
    assert_eq!((r.state, o.verdict, o.detail.as_str(), r.started_us), (RunState::Done, Verdict::Cancelled, "denied by bob: no", None));

    let (mut r, mut ops) = held();
    r.settle(&now(86_400), &mut ops);
    let o = r.outcome.clone().unwrap();
    assert_eq!((o.verdict, o.detail.as_str()), (Verdict::Cancelled, "expired: 0 of 1 approved (nobody) within 1d"));

    let (mut r, mut ops) = held();
    r.cancel = Some(CancelMark { by: "ann".into(), why: String::new(), at_us: 0, force: false });
    r.settle(&now(1), &mut ops);
    assert_eq!(r.outcome.clone().unwrap().detail, "cancelled by ann");
    assert!(rows(&ops).is_empty(), "the request is closed");
}
