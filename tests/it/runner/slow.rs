//! A run that takes longer than nearly all good ones before it says so: once, to everybody who looks, and over a restart.

use quarterdeck::domain::reason::Reason;
use quarterdeck::domain::run::Verdict;

use super::*;

fn eager(e: &Estate) -> Runner {
    Runner::open(RunnerConfig { slow_from: Span::from_ms(50), ..e.config() }).unwrap()
}

async fn past(r: &Runner, runs: usize) {
    for _ in 0..runs {
        let run = r.submit(order(plan("p", vec![stage("a", &[], "true")]))).await.unwrap();
        assert_eq!(end(r, &run).await.verdict, Some(Verdict::Success));
    }
}

async fn waits(e: &Estate, r: &Runner) -> RunRef {
    let run =
        r.submit(order(plan("p", vec![stage("a", &[], "touch $HERE/on; while [ ! -e $HERE/go ]; do sleep 0.02; done")]))).await.unwrap();
    eventually("it runs", async || e.file("on").exists()).await;
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_past_the_p95_of_its_history_is_marked_told_and_marked_no_more_than_once() {
    let e = Estate::new();
    let r = eager(&e);
    past(&r, 3).await;
    let mut changes = r.subscribe();
    let run = waits(&e, &r).await;
    eventually("it is slow", async || r.store().run(&run).unwrap().slow_us.is_some()).await;
    let since = r.store().run(&run).unwrap().slow_us;
    let mut told = Vec::new();
    while let Ok(c) = changes.try_recv() {
        told.push((c.table, c.id));
    }
    assert!(told.contains(&("queue", run.to_string())) && told.contains(&("runs", run.to_string())), "{told:?}");
    let why = r.why(&run).await.unwrap();
    assert!(
        matches!(why[0], Reason::Running { .. }) && matches!(why[1], Reason::Slow { since_us, .. } if Some(since_us) == since),
        "{why:?}"
    );
    let queue = r.queue().await.unwrap();
    assert_eq!((queue[0].slow_us, queue[0].blocked.clone()), (since, None));
    let eta = r.eta(&run).unwrap().unwrap();
    assert!(eta.slow && eta.of.samples == 3, "{eta:?}");
    r.shutdown().await;
    let r = eager(&e);
    assert!(r.why(&run).await.unwrap().iter().any(|w| matches!(w, Reason::Slow { .. })), "over a restart");
    std::fs::write(e.file("go"), "").unwrap();
    let row = end(&r, &run).await;
    assert_eq!((row.verdict, row.slow_us), (Some(Verdict::Success), since), "it keeps the mark of the first time");
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_became_slow_while_no_engine_was_there_is_marked_by_the_next_one() {
    let e = Estate::new();
    let r = e.open();
    past(&r, 1).await;
    let run = waits(&e, &r).await;
    r.shutdown().await;
    let r = eager(&e);
    eventually("it is slow", async || r.store().run(&run).unwrap().slow_us.is_some()).await;
    std::fs::write(e.file("go"), "").unwrap();
    end(&r, &run).await;
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_a_past_is_never_slow() {
    let e = Estate::new();
    let r = eager(&e);
    let run = waits(&e, &r).await;
    // One that has a past is marked meanwhile: the first was looked at before it.
    let other = |script: &str| order(plan("q", vec![stage("a", &[], script)]));
    let quick = r.submit(other("true")).await.unwrap();
    end(&r, &quick).await;
    let second = r.submit(other("while [ ! -e $HERE/go ]; do sleep 0.02; done")).await.unwrap();
    eventually("the other is slow", async || r.store().run(&second).unwrap().slow_us.is_some()).await;
    assert!(r.store().run(&run).unwrap().slow_us.is_none() && r.eta(&run).unwrap().is_none());
    std::fs::write(e.file("go"), "").unwrap();
    end(&r, &run).await;
    end(&r, &second).await;
    r.shutdown().await;
}
