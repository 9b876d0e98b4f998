//! Deadlines under clocks that jump: boot time shifted by a time namespace (root), the wall clock turned in the runner's hands.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use quarterdeck::base::clock::{Clock, SystemClock};
use quarterdeck::base::duration::Span;
use quarterdeck::domain::attempt::EndedBy;
use quarterdeck::domain::run::{RunState, Verdict};
use quarterdeck::pipeline::plan::{Retry, RetryOn};
use quarterdeck::runner::{Runner, RunnerConfig};
use serde_json::json;

use super::bounds::kill_engine;
use crate::runner::{Estate, end, eventually, order, plan, stage};
use crate::shim::{Attempt, finish};
use crate::support::home::EXE;
use crate::support::{Foreground, Home, skip, until};

const HOUR_US: u64 = 3_600_000_000;

/// `unshare` with both clocks shifted; none where this machine does not allow it.
fn shifted(test: &str, boot_s: i64, monotonic_s: i64) -> Option<Vec<String>> {
    let words: Vec<String> =
        ["unshare", "--time", "--boottime", &boot_s.to_string(), "--monotonic", &monotonic_s.to_string()].map(str::to_owned).into();
    match Command::new(&words[0]).args(&words[1..]).arg("true").output() {
        Ok(o) if o.status.success() => Some(words),
        Ok(o) => {
            skip(test, &format!("no time namespace: {}", String::from_utf8_lossy(&o.stderr).trim()));
            None
        }
        Err(e) => {
            skip(test, &format!("unshare (util-linux): {e}"));
            None
        }
    }
}

#[test]
fn i11_deadlines_stand_on_boot_time_under_a_shifted_clock() {
    let Some(slept) = shifted("invariants.time_namespace", 7_200, 0) else { return };
    let Some(monotonic) = shifted("invariants.time_namespace", 0, 7_200) else { return };
    let deadline = |script: &str| {
        let mut a = Attempt::shell(script);
        (a.spec.boot_id, a.spec.deadline_boot_us) = (SystemClock.boot_id(), Some(SystemClock.boot_us() + HOUR_US));
        a.create();
        a
    };
    // Two hours of suspend: the deadline, an hour from now, has passed.
    let a = deadline("exec sleep 1000");
    assert!(finish(a.start_under(&slept)).success());
    assert_eq!(a.status().ended_by, EndedBy::Timeout);
    // The monotonic clock alone says nothing about deadlines.
    let a = deadline("exit 0");
    assert!(finish(a.start_under(&monotonic)).success());
    assert_eq!((a.status().ended_by, a.status().code), (EndedBy::Itself, Some(0)));
    // A limit from the start counts from the start, on whatever clock.
    for under in [&slept, &monotonic] {
        let mut a = Attempt::shell("exec sleep 1000");
        a.spec.timeout_ms = Some(300);
        a.create();
        assert!(finish(a.start_under(under)).success());
        let s = a.status();
        assert_eq!(s.ended_by, EndedBy::Timeout);
        assert!(s.boot_us_ended - s.boot_us_started >= 300_000, "not before its time: {s:?}");
    }
}

/// An engine under `prefix` in place of the one that runs.
fn next_engine(home: &Home, prefix: &[String]) -> Foreground {
    kill_engine(home);
    let plain = home.command(["engine", "run"]);
    let mut c = Command::new(&prefix[0]);
    c.args(&prefix[1..]).arg(EXE).args(plain.get_args()).current_dir(home.root()).env_clear();
    c.envs(plain.get_envs().filter_map(|(k, v)| Some((k, v?))));
    let engine = Foreground::start(c);
    until("the next engine to answer", || home.qd(["engine", "status"]).code == 0);
    engine
}

#[test]
fn a_run_that_waits_keeps_its_limit_over_a_suspend_and_a_restart() {
    let Some(slept) = shifted("invariants.time_namespace", 7_200, 0) else { return };
    let Some(monotonic) = shifted("invariants.time_namespace", 0, 7_200) else { return };
    let home = Home::new();
    home.pipeline(
        "again",
        "format: 1\nname: again\noptions: {timeout: 1h}\nstages:\n  - name: a\n    retry: {attempts: 2, delay: 50m}\n    run: exit 1\n",
    );
    home.qd(["run", "again"]).expect(0);
    let row = || home.json(&["get", "runs"])["rows"][0].clone();
    let waits = || home.qd(["why", "again#1"]).stdout.contains("attempt 2 of 2");
    until("the retry to be waited for", waits);
    {
        let _engine = next_engine(&home, &monotonic);
        until("it to wait again", waits);
        assert_eq!(row()["verdict"], json!(null), "an hour of boot time has not passed: {}", row());
    }
    home.qd(["engine", "start"]).expect(0);
    let _engine = next_engine(&home, &slept);
    until("the run's limit to be noticed", || row()["verdict"] == json!("failure"));
    assert!(row()["detail"].as_str().unwrap().contains("limit of 1h"), "{}", row());
}

/// The machine's clocks, each turned by so many microseconds.
#[derive(Default)]
struct Hands {
    wall_us: AtomicI64,
    boot_us: AtomicI64,
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        let us = Timestamp::now().as_microsecond() + self.wall_us.load(Ordering::SeqCst);
        Timestamp::from_microsecond(us).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn boot_us(&self) -> u64 {
        SystemClock.boot_us().saturating_add_signed(self.boot_us.load(Ordering::SeqCst))
    }

    fn boot_id(&self) -> String {
        SystemClock.boot_id()
    }
}

const DAY_US: i64 = 24 * HOUR_US as i64;

fn turned(e: &Estate) -> (Runner, Arc<Hands>) {
    let hands = Arc::new(Hands::default());
    (Runner::open(RunnerConfig { clock: hands.clone(), ..e.config() }).unwrap(), hands)
}

/// Something happens: whoever waits for a timer that was set before the jump looks again.
async fn nudge(r: &Runner) {
    let run = r.submit(order(plan("nudge", vec![stage("a", &[], "true")]))).await.unwrap();
    end(r, &run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i11_a_wall_clock_that_jumps_moves_no_deadline() {
    let e = Estate::new();
    let (r, hands) = turned(&e);
    let run = r.submit(order(plan("n", vec![stage("a", &[], "until [ -e \"$HERE/go\" ]; do sleep 0.02; done")]))).await.unwrap();
    eventually("it runs", async || r.store().run(&run).unwrap().started_us.is_some()).await;
    for jump in [DAY_US, -DAY_US, 0] {
        hands.wall_us.store(jump, Ordering::SeqCst);
        nudge(&r).await;
        assert_eq!(r.store().run(&run).unwrap().state, RunState::Running, "a wall clock moved by {jump} us ends nothing");
    }
    hands.wall_us.store(-DAY_US, Ordering::SeqCst);
    std::fs::write(e.file("go"), "").unwrap();
    let row = end(&r, &run).await;
    assert_eq!((row.verdict, row.duration_ms()), (Some(Verdict::Success), Some(0)), "an end before the start shows no negative time");
    r.shutdown().await;
}

/// A stage that fails once and is tried again after `delay`.
fn again(delay: Span) -> quarterdeck::pipeline::plan::Plan {
    let retry = Retry { attempts: 2, delay, backoff: 1.0, on: vec![RetryOn::Failure] };
    let script = "echo try >> \"$HERE/tries\"; [ $(wc -l < \"$HERE/tries\") -ge 2 ]";
    plan("n", vec![quarterdeck::pipeline::plan::Stage { retry: Some(retry), ..stage("a", &[], script) }])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_comes_after_its_delay_although_the_wall_clock_is_set_back() {
    let e = Estate::new();
    let (r, hands) = turned(&e);
    let run = r.submit(order(again(Span::from_ms(1_500)))).await.unwrap();
    eventually("the first try failed", async || r.store().run(&run).unwrap().started_us.is_some() && waits(&r, &run).await).await;
    hands.wall_us.store(-DAY_US, Ordering::SeqCst);
    nudge(&r).await;
    assert_eq!(end(&r, &run).await.verdict, Some(Verdict::Success));
    assert_eq!(e.lines("tries").len(), 2);
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_does_not_come_early_because_the_wall_clock_is_set_forward_and_boot_time_ends_the_run() {
    let e = Estate::new();
    let (r, hands) = turned(&e);
    let run = r.submit(order(again(Span::from_secs(3_000)))).await.unwrap();
    eventually("the first try failed", async || waits(&r, &run).await).await;
    hands.wall_us.store(DAY_US, Ordering::SeqCst);
    nudge(&r).await;
    assert!(waits(&r, &run).await, "its delay has not passed");
    // Two hours of suspend, in which the run's limit of one hour has passed.
    hands.boot_us.store(2 * HOUR_US as i64, Ordering::SeqCst);
    nudge(&r).await;
    let row = end(&r, &run).await;
    assert_eq!(row.verdict, Some(Verdict::Failure));
    assert!(row.detail.contains("limit of 1h"), "{}", row.detail);
    assert_eq!(e.lines("tries").len(), 1);
    r.shutdown().await;
}

async fn waits(r: &Runner, run: &quarterdeck::domain::run::RunRef) -> bool {
    use quarterdeck::domain::reason::Reason;
    r.why(run).await.is_ok_and(|all| all.iter().any(|w| matches!(w, Reason::Retry { .. })))
}
