//! The runner dies and comes back: what ran goes on, what ended meanwhile is taken in once, what was lost is called lost.

use quarterdeck::domain::run::{StepState, Verdict};
use quarterdeck::pipeline::plan::{Retry, RetryOn, Stage};
use quarterdeck::runner::attempt::{self, survivors};

use super::*;

/// Drops a runner as a crash would: no order, no waiting for attempts.
async fn crash(runner: Runner) {
    runner.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_a_step_that_runs_across_a_restart_runs_once_and_its_exit_code_is_known() {
    let e = Estate::new();
    let r = e.open();
    let script = "echo start >> $HERE/starts; while [ ! -e $HERE/go ]; do sleep 0.02; done; exit 7";
    let run = r.submit(order(plan("p", vec![stage("a", &[], script)]))).await.unwrap();
    eventually("it runs", async || !e.lines("starts").is_empty()).await;
    crash(r).await;
    let r = e.open();
    let open = r.store().attempts(&run).unwrap();
    assert_eq!(open.len(), 1);
    assert_ne!(open[0].state, StepState::Done);
    std::fs::write(e.file("go"), "").unwrap();
    let row = end(&r, &run).await;
    assert_eq!((row.verdict, row.exit_code), (Some(Verdict::Failure), Some(7)));
    assert_eq!(e.lines("starts").len(), 1);
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i3_an_end_that_nobody_listened_to_is_taken_in_at_the_next_start() {
    let e = Estate::new();
    let r = e.open();
    let script = "echo start >> $HERE/starts; while [ ! -e $HERE/go ]; do sleep 0.02; done; echo '{\"type\":\"output\",\"name\":\"x\",\"value\":\"1\"}' >> \"$QD_REPORT\"";
    let run = r.submit(order(plan("p", vec![stage("a", &[], script), stage("b", &[0], "test \"$QD_OUT_A_X\" = 1")]))).await.unwrap();
    eventually("it runs", async || !e.lines("starts").is_empty()).await;
    let dir = e.state().join(&r.store().attempts(&run).unwrap()[0].dir);
    crash(r).await;
    std::fs::write(e.file("go"), "").unwrap();
    attempt::watch(&dir).await.unwrap();
    assert!(dir.join("status.json").exists());
    let r = e.open();
    let row = end(&r, &run).await;
    assert_eq!(row.verdict, Some(Verdict::Success), "{row:?}");
    crash(r).await;
    // And once more: nothing is taken in twice.
    let r = e.open();
    let a = r.store().attempts(&run).unwrap();
    assert_eq!((a.len(), e.lines("starts").len()), (2, 1));
    assert_eq!(r.store().run(&run).unwrap(), row);
    r.shutdown().await;
}

fn kill_shim(dir: &Path) {
    let text = std::fs::read(dir.join("started.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let pid = json["shim"]["pid"].as_i64().unwrap() as i32;
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(line.contains(&*dir.to_string_lossy()), "this pid is our shim's");
    crate::support::kill(pid);
}

#[tokio::test(flavor = "multi_thread")]
async fn i2_a_killed_shim_is_lost_and_only_an_idempotent_step_that_says_so_starts_again() {
    let e = Estate::new();
    let r = e.open();
    let script = "echo start >> $HERE/$QD_PIPELINE; [ $(wc -l < $HERE/$QD_PIPELINE) = 2 ] || sleep 600";
    let plain = r.submit(order(plan("plain", vec![stage("a", &[], script)]))).await.unwrap();
    let mut s: Stage = stage("a", &[], script);
    s.idempotent = true;
    s.retry = Some(Retry { attempts: 2, delay: Span::from_ms(10), backoff: 1.0, on: vec![RetryOn::Lost] });
    let again = r.submit(order(plan("again", vec![s]))).await.unwrap();
    for (name, run) in [("plain", &plain), ("again", &again)] {
        let dir = e.state().join(format!("runs/{name}/1/attempts"));
        eventually("it runs", async || e.lines(name).len() == 1).await;
        let dir = std::fs::read_dir(dir).unwrap().next().unwrap().unwrap().path();
        eventually("its start is written", async || dir.join("started.json").exists()).await;
        kill_shim(&dir);
        let _ = run;
    }
    let row = end(&r, &plain).await;
    assert_eq!(row.verdict, Some(Verdict::Lost), "{row:?}");
    assert!(row.detail.contains("supervisor killed"), "{}", row.detail);
    let row = end(&r, &again).await;
    assert_eq!(row.verdict, Some(Verdict::Success), "{row:?}");
    let v: Vec<_> = r.store().attempts(&again).unwrap().iter().map(|a| a.verdict.unwrap()).collect();
    assert_eq!(v, [Verdict::Lost, Verdict::Success]);
    assert_eq!((e.lines("plain").len(), e.lines("again").len()), (1, 2));
    let gone = e.file("gone");
    let _ = gone;
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_without_a_directory_starts_again_under_a_new_fence() {
    let e = Estate::new();
    let r = e.open();
    let script = "echo start >> $HERE/starts; while [ ! -e $HERE/go ]; do sleep 0.02; done";
    let run = r.submit(order(plan("p", vec![stage("a", &[], script)]))).await.unwrap();
    eventually("it runs", async || !e.lines("starts").is_empty()).await;
    crash(r).await;
    // As if the engine had died between the claim and the directory: the attempt's files are put aside with their shim gone.
    let first = e.state().join("runs/p/1/attempts");
    let dir = std::fs::read_dir(&first).unwrap().next().unwrap().unwrap().path();
    kill_shim(&dir);
    attempt::watch(&dir).await.unwrap();
    survivors::stop_survivors(&dir).unwrap();
    std::fs::rename(&dir, e.file("aside")).unwrap();
    std::fs::write(e.file("go"), "").unwrap();
    let r = e.open();
    let row = end(&r, &run).await;
    assert_eq!(row.verdict, Some(Verdict::Success), "{row:?}");
    let a = r.store().attempts(&run).unwrap();
    assert_eq!(a.len(), 2);
    assert!(a[1].fence > a[0].fence && a[0].verdict == Some(Verdict::Skipped), "{a:?}");
    assert_eq!((a[0].number, a[1].number), (1, 2), "attempts of a step are counted through");
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_the_crash_interrupted_is_carried_on() {
    let e = Estate::new();
    let r = e.open();
    let run = r.submit(order(plan("p", vec![stage("a", &[], "touch $HERE/on; sleep 600")]))).await.unwrap();
    eventually("it runs", async || e.file("on").exists()).await;
    crash(r).await;
    // The wish reached the store, and the engine died before it reached the directory.
    let options = quarterdeck::store::OpenOptionsStore { dir: e.state(), network_state: false, now_us: 1, boot_id: "b".into() };
    // A child of another test may hold what it inherited, until it is a program of its own.
    let store = loop {
        match quarterdeck::store::Store::open(&options) {
            Ok(store) => break store,
            Err(quarterdeck::store::StoreError::Held { .. }) => tokio::task::yield_now().await,
            Err(e) => panic!("{e}"),
        }
    };
    let mark = quarterdeck::store::CancelMark { by: "ann".into(), why: String::new(), at_us: 2, force: true };
    assert!(store.mark_cancel(&run, mark, None).await.unwrap());
    drop(store);
    let r = e.open();
    assert_eq!(end(&r, &run).await.verdict, Some(Verdict::Cancelled));
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_runs_keep_their_order_and_locks_their_holders_across_a_restart() {
    let mut e = Estate::new();
    e.executors = 1;
    let r = e.open();
    let hold =
        Stage { locks: vec![lock("l")], ..stage("a", &[], "echo $QD_RUN >> $HERE/order; while [ ! -e $HERE/go ]; do sleep 0.02; done") };
    let mut runs = Vec::new();
    for priority in [0, 0, 5] {
        let mut p = plan("q", vec![hold.clone()]);
        p.priority = priority;
        runs.push(r.submit(order(p)).await.unwrap());
        // Were all three queued before the first has begun, the urgent one would rightly go first.
        eventually("the first runs", async || e.lines("order").len() == 1).await;
    }
    crash(r).await;
    let r = e.open();
    assert_eq!(r.store().locks().unwrap()[0].run.as_ref(), Some(&runs[0]));
    std::fs::write(e.file("go"), "").unwrap();
    for run in &runs {
        assert_eq!(end(&r, run).await.verdict, Some(Verdict::Success));
    }
    assert_eq!(e.lines("order"), ["q#1", "q#3", "q#2"], "the urgent one went ahead");
    r.shutdown().await;
}

/// A later version's plan, or damage: neither starts, and neither stays open for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_plan_cannot_be_read_says_so_and_can_be_cancelled() {
    let e = Estate::new();
    let r = e.open();
    let long = "echo on >> $HERE/on; sleep 600";
    let mut held = stage("a", &[], long);
    held.locks = vec![lock("mirror")];
    let (begun, other) = (order(plan("begun", vec![held.clone()])), order(plan("other", vec![held])));
    let begun = r.submit(begun).await.unwrap();
    eventually("it runs", async || e.lines("on").len() == 1).await;
    let other = r.submit(other).await.unwrap();
    crash(r).await;
    let db = rusqlite::Connection::open(e.state().join("state.db")).unwrap();
    db.execute("UPDATE plan SET json = '{\"format\": 99}' WHERE sha256 = (SELECT plan_sha256 FROM run WHERE pipeline = 'begun')", [])
        .unwrap();
    drop(db);
    let r = e.open();
    eventually("why says it", async || r.why(&begun).await.unwrap()[0].to_string().contains("plan cannot be read")).await;
    let row = r.queue().await.unwrap().into_iter().find(|q| q.run == begun).unwrap();
    let blocked = row.blocked.unwrap().to_string();
    assert!(blocked.contains("or cancel the run"), "{blocked}");
    let why = r.why(&other).await.unwrap()[0].to_string();
    assert!(why.contains("held by begun#1"), "its lock is still its own: {why}");
    r.cancel(&begun, &ann(), "make way", false, None).await.unwrap();
    let row = end(&r, &begun).await;
    assert_eq!(row.verdict, Some(Verdict::Cancelled), "{row:?}");
    assert!(row.detail.contains("cannot be read"), "{}", row.detail);
    eventually("the lock goes to the next", async || e.lines("on").len() == 2).await;
    let attempts = r.store().attempts(&begun).unwrap();
    assert_eq!((attempts.len(), attempts[0].verdict), (1, Some(Verdict::Cancelled)));
    assert!(e.state().join(&attempts[0].dir).join("status.json").exists(), "its shim was asked, and has ended");
    r.cancel(&other, &ann(), "", true, None).await.unwrap();
    end(&r, &other).await;
    r.shutdown().await;
}
