//! The last resort: force ends, as lost, what no cancel can end, and nothing else; and what an attempt says later moves no verdict.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use quarterdeck::base::clock::{Clock, SystemClock};
use quarterdeck::domain::audit::Record;
use quarterdeck::domain::reason::Reason;
use quarterdeck::domain::run::Verdict;
use quarterdeck::pipeline::plan::Stage;
use quarterdeck::runner::RunnerError;
use quarterdeck::store::{ForceMark, Note, Op};

use super::*;
use crate::support::alive;

/// The machine's clock, with its wall hand turned.
#[derive(Default)]
struct Ahead(AtomicI64);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(Timestamp::now().as_microsecond() + self.0.load(Ordering::SeqCst)).unwrap()
    }

    fn boot_us(&self) -> u64 {
        SystemClock.boot_us()
    }

    fn boot_id(&self) -> String {
        SystemClock.boot_id()
    }
}

fn note(run: &RunRef) -> Note {
    let record = Record {
        who: ann(),
        action: "force-finish".into(),
        subject: run.to_string(),
        reason: "the disk of it is gone".into(),
        result: "done".into(),
        single_person: false,
    };
    Note { at_us: 1, record, decision: None }
}

async fn force(r: &Runner, run: &RunRef) -> Result<(), RunnerError> {
    r.force_finish(run, &ann(), "the disk of it is gone", note(run)).await
}

async fn refused(r: &Runner, run: &RunRef, words: &str) {
    match force(r, run).await {
        Err(e @ RunnerError::Refused { .. }) => assert!(e.to_string().contains(words), "{e}"),
        other => panic!("{other:?}"),
    }
}

fn holds() -> Stage {
    Stage { locks: vec![lock("tree")], ..stage("a", &[], "echo $$ > $HERE/pid; exec sleep 600") }
}

/// A run whose step runs, with the pid of that step and the directory of its attempt.
async fn running(e: &Estate, r: &Runner) -> (RunRef, i32, PathBuf) {
    let run = r.submit(order(plan("p", vec![holds()]))).await.unwrap();
    eventually("it runs", async || !e.lines("pid").is_empty()).await;
    let dir = e.state().join(&r.store().attempts(&run).unwrap()[0].dir);
    eventually("its start is written", async || dir.join("started.json").exists()).await;
    (run, e.lines("pid")[0].parse().unwrap(), dir)
}

fn shim(dir: &Path) -> i32 {
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.join("started.json")).unwrap()).unwrap();
    let pid = json["shim"]["pid"].as_i64().unwrap() as i32;
    assert!(crate::support::process::command_line(pid).contains(&*dir.to_string_lossy()), "this pid is our shim's");
    pid
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cancel_cannot_reach_is_killed_and_lost_with_its_reason_and_only_then_are_its_locks_free() {
    let e = Estate::new();
    let r = e.open();
    let (run, pid, dir) = running(&e, &r).await;
    let next = r.submit(order(plan("q", vec![Stage { locks: vec![lock("tree")], ..stage("a", &[], "true") }]))).await.unwrap();
    refused(&r, &run, "was not cancelled").await;
    refused(&r, &next, "was not cancelled").await;
    let aside = e.file("aside");
    std::fs::rename(&dir, &aside).unwrap();
    refused(&r, &run, "was not cancelled").await;
    r.cancel(&run, &ann(), "", false, None).await.unwrap();
    let why = r.why(&run).await.unwrap();
    assert!(matches!(&why[0], Reason::Beyond { why, .. } if why.contains("taken away")), "{why:?}");
    assert!(alive(pid), "the cancel did not reach it");
    assert!(matches!(r.why(&next).await.unwrap().as_slice(), [Reason::Lock { .. }, ..]));
    force(&r, &run).await.unwrap();
    let row = end(&r, &run).await;
    assert_eq!(row.verdict, Some(Verdict::Lost), "{row:?}");
    assert!(row.detail.contains("force-finished by ann: the disk of it is gone; lost: "), "{}", row.detail);
    assert!(!alive(pid), "killed before the verdict");
    assert_eq!(end(&r, &next).await.verdict, Some(Verdict::Success), "the lock is free");
    refused(&r, &run, "has ended").await;
    let fence = r.store().attempts(&run).unwrap()[0].fence;
    r.shutdown().await;
    // The attempt comes back and says something else: evidence, and no other verdict.
    std::fs::rename(&aside, &dir).unwrap();
    let status = serde_json::json!({
        "format": 1, "fence": fence, "code": 0, "boot_us_started": 1, "boot_us_ended": 2, "wall_us_ended": 3_000_000, "user_cpu_us": 0,
        "system_cpu_us": 0, "max_rss_kib": 0, "log_bytes": 0, "log_dropped_bytes": 0, "log_sha256": ""
    });
    std::fs::write(dir.join("status.json"), status.to_string()).unwrap();
    for _ in 0..2 {
        let r = e.open();
        eventually("its late end is written down", async || !r.store().facts(&run).unwrap().is_empty()).await;
        let facts = r.store().facts(&run).unwrap();
        assert!(facts.len() == 1 && facts[0].0 == "late-end" && facts[0].1.contains("exit code 0"), "{facts:?}");
        assert_eq!(r.store().run(&run).unwrap().verdict, Some(Verdict::Lost));
        let audit = r.store().audit_view(100).unwrap();
        assert!(audit.chain.is_ok());
        let results: Vec<_> = audit.entries.iter().filter(|e| e.record.action == "force-finish").map(|e| e.record.result.clone()).collect();
        assert_eq!(results.iter().filter(|r| r.contains("the verdict stays")).count(), 1, "{results:?}");
        r.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_does_not_answer_has_its_whole_ladder_first_and_a_crash_behind_the_mark_changes_nothing() {
    let e = Estate::new();
    let hands = Arc::new(Ahead::default());
    let turned = || RunnerConfig { clock: hands.clone(), ..e.config() };
    let r = Runner::open(turned()).unwrap();
    let (run, pid, dir) = running(&e, &r).await;
    let shim = shim(&dir);
    rustix::process::kill_process(rustix::process::Pid::from_raw(shim).unwrap(), rustix::process::Signal::STOP).unwrap();
    r.cancel(&run, &ann(), "", true, None).await.unwrap();
    refused(&r, &run, "can still end by itself: stage `a`: its processes have up to 1").await;
    hands.0.store(60_000_000, Ordering::SeqCst);
    assert!(matches!(&r.why(&run).await.unwrap()[0], Reason::Beyond { why, .. } if why.contains("does not end it")));
    assert!(alive(pid));
    r.shutdown().await;
    // The engine died behind the commit of the mark: the next one goes on from there.
    let options = quarterdeck::store::OpenOptionsStore { dir: e.state(), network_state: false, now_us: 1, boot_id: "b".into() };
    let store = quarterdeck::store::Store::open(&options).unwrap();
    let id = store.load_run(&run).unwrap().id;
    let mark = ForceMark { by: "ann".into(), why: "it hangs".into(), at_us: 2 };
    store.apply_alone(vec![Op::Force { run: id, round: 0, mark }], None).await.unwrap();
    drop(store);
    let r = Runner::open(turned()).unwrap();
    let row = end(&r, &run).await;
    assert_eq!(row.verdict, Some(Verdict::Lost), "{row:?}");
    assert!(row.detail.contains("force-finished by ann: it hangs; lost: "), "{}", row.detail);
    assert!(!alive(pid) && !alive(shim));
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn force_is_refused_where_an_end_is_in_sight() {
    let e = Estate::new();
    let r = e.open();
    let whole = Stage { uninterruptible: true, ..stage("switch", &[], "touch $HERE/on; while [ ! -e $HERE/go ]; do sleep 0.02; done") };
    let run = r.submit(order(plan("s", vec![whole]))).await.unwrap();
    eventually("it runs", async || e.file("on").exists()).await;
    r.cancel(&run, &ann(), "", true, None).await.unwrap();
    refused(&r, &run, "must not be interrupted").await;
    std::fs::write(e.file("go"), "").unwrap();
    assert_eq!(end(&r, &run).await.verdict, Some(Verdict::Success));
    r.shutdown().await;
}
