//! Deadlines with nobody listening: these shims have no engine, so whatever fires, fires without one.

use quarterdeck::base::clock::{Clock, SystemClock};
use quarterdeck::domain::attempt::EndedBy;

use super::Attempt;

#[test]
fn the_timeout_fires_without_an_engine_i11() {
    let mut a = Attempt::shell("trap '' TERM; while :; do sleep 1; done");
    (a.spec.timeout_ms, a.spec.grace_ms) = (Some(200), 50);
    let s = a.run();
    assert_eq!((s.ended_by, s.signal), (EndedBy::Timeout, Some(9)));
    assert!(s.detail.contains("200ms"), "{}", s.detail);
    assert!(s.boot_us_ended - s.boot_us_started >= 200_000, "not before its time");
    a.assert_nobody_left();
}

#[test]
fn the_deadline_of_the_run_holds_and_one_of_another_boot_does_not() {
    let mut a = Attempt::shell("exec sleep 1000");
    a.spec.boot_id = SystemClock.boot_id();
    a.spec.deadline_boot_us = Some(SystemClock.boot_us() + 100_000);
    let s = a.run();
    assert_eq!((s.ended_by, s.signal), (EndedBy::Timeout, Some(15)));
    assert!(s.detail.contains("stage or run"), "{}", s.detail);

    let mut a = Attempt::shell("exit 0");
    (a.spec.boot_id, a.spec.deadline_boot_us) = ("another".into(), Some(1));
    assert_eq!(a.run().ended_by, EndedBy::Itself);
}

#[test]
fn a_deadline_that_has_passed_ends_the_step_at_once() {
    let mut a = Attempt::shell("exec sleep 1000");
    a.spec.deadline_boot_us = Some(1);
    assert_eq!(a.run().ended_by, EndedBy::Timeout);
}

#[test]
fn silence_is_a_stall_and_output_or_progress_is_not_i11() {
    let mut a = Attempt::shell("echo one; exec sleep 1000");
    a.spec.stall_ms = Some(300);
    let s = a.run();
    assert_eq!((s.ended_by, s.signal), (EndedBy::Stall, Some(15)));

    let mut a = Attempt::shell("for i in 1 2 3 4 5 6; do echo $i; sleep 0.5; done");
    a.spec.stall_ms = Some(2_500);
    assert_eq!((a.run().code, a.status().ended_by), (Some(0), EndedBy::Itself));

    let mut a =
        Attempt::shell("for i in 1 2 3 4 5 6 7 8; do echo '{\"type\":\"detail\",\"text\":\"x\"}' >> \"$QD_REPORT\"; sleep 0.5; done");
    a.spec.stall_ms = Some(3_000);
    assert_eq!((a.run().code, a.status().ended_by), (Some(0), EndedBy::Itself));
}
