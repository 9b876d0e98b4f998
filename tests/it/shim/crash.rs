//! A shim killed at every named point: what the evidence says, and that the command runs at most once.

use quarterdeck::base::clock::SystemClock;
use quarterdeck::domain::attempt::{CancelIntent, EndedBy, file};
use quarterdeck::runner::attempt::recovery::{Decision, decide};
use quarterdeck::runner::attempt::{self, survivors};

use super::{Attempt, finish};
use crate::support::wait::until;

/// Each start appends a line, durable enough for this test: the process table is not asked.
const SCRIPT: &str = "echo start >> starts\necho out\nexit 0";

fn starts(a: &Attempt) -> usize {
    std::fs::read_to_string(a.work("starts")).unwrap_or_default().lines().count()
}

/// Points before the evidence: the command has not run, and never will once the attempt is retired.
#[test]
fn before_the_evidence_the_command_never_ran_i1() {
    for point in ["shim.begin", "shim.locked", "shim.reserved", "shim.secrets", "shim.prepared", "shim.forked", "shim.started.tmp"] {
        let a = Attempt::shell(SCRIPT).crash_at(point);
        a.create();
        assert!(!finish(a.start()).success(), "{point}");
        until(&format!("{point}: the held child to leave"), || !matches!(a.decide(), Decision::Adopt));
        assert_eq!(a.decide(), Decision::NeverStarted, "{point}");
        assert_eq!(starts(&a), 0, "{point}");
        a.assert_nobody_left();
        assert!(attempt::retire(a.dir()).unwrap(), "{point}");
        assert!(attempt::retire(a.dir()).unwrap(), "{point}: retiring is idempotent");
        // A late shim of the same attempt, as one that was slow to start: it must not run the command.
        let late = a.without_crash();
        assert_eq!(finish(late.start()).code(), Some(75), "{point}");
        assert_eq!(starts(&late), 0, "{point}");
        assert_eq!(late.decide(), Decision::NeverStarted, "{point}");
        let left = std::fs::read_dir("/dev/shm").unwrap().flatten().any(|e| e.file_name().to_string_lossy().contains(&late.spec.token));
        assert!(!left, "{point}: secrets directory left behind");
        if let Some(parent) = quarterdeck::base::proc::own_cgroup2().unwrap() {
            let cgroup = parent.join(quarterdeck::runner::shim::contain::cgroup_name(&late.spec.attempt, late.spec.fence));
            assert!(!cgroup.exists(), "{point}: cgroup left behind");
        }
    }
}

/// Points between evidence and verdict: lost, said why; nobody is left; a second shim does not start the command again.
#[test]
fn between_evidence_and_verdict_it_is_lost_and_nothing_runs_on_i1_i6() {
    for point in
        ["shim.started", "shim.gate", "shim.exited", "shim.drained", "shim.sweeping", "shim.swept", "shim.scrubbed", "shim.status.tmp"]
    {
        let a = Attempt::shell("echo start >> starts\n(setsid sleep 1000 </dev/null >/dev/null 2>&1 &)\nexit 0").crash_at(point);
        a.create();
        assert!(!finish(a.start()).success(), "{point}");
        let lost = |a: &Attempt| match a.decide() {
            Decision::Lost { why, survivors_possible: true } => why,
            other => panic!("{point}: {other:?}"),
        };
        until(&format!("{point}: the lock to be free"), || !matches!(a.decide(), Decision::Adopt));
        assert_eq!(lost(&a), "supervisor killed", "{point}");
        assert!(!attempt::retire(a.dir()).unwrap(), "{point}: it was started, so it cannot be retired");
        let stopped = survivors::stop_survivors(a.dir()).unwrap();
        assert!(stopped.left.is_empty(), "{point}: {stopped:?}");
        a.assert_nobody_left();
        if let Some(cgroup) = a.started().and_then(|s| s.cgroup) {
            assert!(!std::path::Path::new(&cgroup).exists(), "{point}: {cgroup} left behind");
        }
        let before = starts(&a);
        let again = a.without_crash();
        assert_eq!(finish(again.start()).code(), Some(75), "{point}");
        assert_eq!(starts(&again), before, "{point}");
        assert!(before <= 1, "{point}");
    }
}

/// Once the verdict has its name it wins, whatever happened to the shim afterwards.
#[test]
fn a_written_verdict_always_wins_i3() {
    for point in ["shim.status", "shim.done"] {
        let a = Attempt::shell("exit 7").crash_at(point);
        a.create();
        assert!(!finish(a.start()).success(), "{point}");
        assert_eq!(a.status().code, Some(7), "{point}");
    }
}

#[test]
fn two_shims_of_one_attempt_start_it_once_i1() {
    let a = Attempt::shell("echo start >> starts; touch up; sleep 1000");
    a.create();
    let first = a.start();
    a.until_work("up");
    assert_eq!(finish(a.start()).code(), Some(75));
    assert_eq!(a.decide(), Decision::Adopt);
    assert!(!attempt::retire(a.dir()).unwrap());
    attempt::cancel(a.dir(), &CancelIntent { format: 1, who: "anna".into(), why: "test".into(), force: true }).unwrap();
    assert!(finish(first).success());
    assert_eq!(starts(&a), 1);
    assert_eq!(finish(a.start()).code(), Some(75));
    assert_eq!(starts(&a), 1);
}

#[test]
fn the_whole_matrix_is_reached_by_real_directories() {
    let a = Attempt::shell("exit 0");
    assert_eq!(a.decide(), Decision::NeverStarted, "no directory");
    a.create();
    assert_eq!(a.decide(), Decision::NeverStarted, "spec only");
    assert!(matches!(attempt::create(a.dir(), &a.spec), Err(attempt::AttemptError::Exists { .. })));
    assert!(finish(a.start()).success());
    assert_eq!(a.status().ended_by, EndedBy::Itself);
    // The host rebooted: another boot id in the evidence, and the verdict gone.
    let started = a.dir().join(file::STARTED);
    let text = std::fs::read_to_string(&started).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["boot_id"] = "another".into();
    std::fs::write(&started, value.to_string()).unwrap();
    let status = std::fs::read(a.dir().join(file::STATUS)).unwrap();
    std::fs::remove_file(a.dir().join(file::STATUS)).unwrap();
    assert!(matches!(a.decide(), Decision::Lost { why, survivors_possible: false } if why.starts_with("host rebooted at ")));
    // Damaged files are named, never taken for absent.
    std::fs::write(a.dir().join(file::STATUS), &status[..status.len() / 2]).unwrap();
    assert!(matches!(a.decide(), Decision::Lost { why, .. } if why.contains("status.json cannot be read")));
    std::fs::write(a.dir().join(file::STATUS), br#"{"format": 2, "new": true}"#).unwrap();
    assert!(attempt::observe(a.dir(), &SystemClock).unwrap_err().to_string().contains("newer quarterdeck"));
    // What cannot be looked at proves nothing.
    std::fs::remove_file(a.dir().join(file::STATUS)).unwrap();
    std::fs::create_dir(a.dir().join(file::STATUS)).unwrap();
    assert!(attempt::observe(a.dir(), &SystemClock).map(|e| decide(&e)).is_err());
}

/// The shim dies on a rung of the ladder: lost, and the engine takes over the rest of it.
#[test]
fn on_the_ladder_the_engine_takes_over_i10() {
    for (point, force) in [("shim.term", false), ("shim.kill", true)] {
        let a = Attempt::shell("trap '' TERM; touch up; while :; do sleep 1; done").crash_at(point);
        a.create();
        let shim = a.start();
        a.until_work("up");
        attempt::cancel(a.dir(), &CancelIntent { format: 1, who: "anna".into(), why: String::new(), force }).unwrap();
        assert!(!finish(shim).success(), "{point}");
        assert!(matches!(a.decide(), Decision::Lost { survivors_possible: true, .. }), "{point}");
        assert!(survivors::stop_survivors(a.dir()).unwrap().left.is_empty());
        a.assert_nobody_left();
    }
}
