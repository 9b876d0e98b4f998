//! Attempt directories of format 1, as an older version left them, are understood for ever. Never regenerate the fixture: add another.

use std::path::PathBuf;

use quarterdeck::base::clock::SystemClock;
use quarterdeck::domain::attempt::{Command, Containment, EndedBy, FORMAT};
use quarterdeck::runner::attempt;
use quarterdeck::runner::attempt::recovery::{Decision, Found, decide};
use quarterdeck::runner::log::read::Log;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/attempt-format-1").join(name)
}

#[test]
fn a_finished_attempt_of_format_1_is_ingested_i19() {
    let dir = fixture("finished");
    let Found::Whole(spec) = attempt::read_spec(&dir).unwrap() else { panic!("spec") };
    assert_eq!(
        (spec.format, spec.fence, spec.run.to_string().as_str(), spec.step.as_str()),
        (1, 41, "nightly-repo-updates#165", "reposync")
    );
    assert!(matches!(&spec.command, Command::Shell { interpreter, .. } if interpreter == &["/bin/sh", "-eu"]));
    assert_eq!((spec.timeout_ms, spec.secrets.len(), spec.secrets[0].env, spec.log.kill_on_limit), (Some(7_200_000), 1, true, false));
    let Found::Whole(started) = attempt::read_started(&dir).unwrap() else { panic!("started") };
    assert_eq!((started.child.pid, started.child.start_time, started.containment), (4243, 8_812_345, Containment::Cgroup));
    let Decision::Ingest(status) = decide(&attempt::observe(&dir, &SystemClock).unwrap()) else { panic!("status") };
    assert_eq!((status.fence, status.code, status.ended_by), (41, Some(3), EndedBy::Itself));
    assert_eq!((status.log_bytes, status.log_dropped_bytes, status.left_running[0].process.pid), (37, 0, 4250));
    let log = Log::open(&dir).unwrap();
    let lines: Vec<_> = log.tail(9, 4096).unwrap().lines;
    assert_eq!(lines.iter().map(|l| l.offset).collect::<Vec<_>>(), [0, 11, 25]);
    assert_eq!(lines[0].bytes, b"[1/2] core");
    assert_eq!(
        lines.iter().map(|l| l.wall_us.unwrap()).collect::<Vec<_>>(),
        [1_764_036_000_000_000, 1_764_036_000_000_000, 1_764_036_001_500_000]
    );
    assert_eq!(log.from_time(1_764_036_001_000_000, 9, 99).unwrap().lines[0].bytes, b"cannot sync");
    assert_eq!(FORMAT, 1, "a newer format needs a fixture of its own beside this one");
}

#[test]
fn one_that_was_running_when_the_host_went_down_is_lost() {
    let evidence = attempt::observe(&fixture("rebooted"), &SystemClock).unwrap();
    assert!(matches!(decide(&evidence), Decision::Lost { why, survivors_possible: false } if why.starts_with("host rebooted at ")));
}
