//! Green, red, retried, cancelled, parallel, locked: each with its rows and its files.

use quarterdeck::base::duration::Span;
use quarterdeck::domain::reason::Reason;
use quarterdeck::domain::run::{RunState, StepState, Verdict};
use quarterdeck::pipeline::plan::{Action, Artifact, Concurrency, OnConflict, PostWhen, Retry, SecretUse, Stage, StageKind};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_green_run_has_its_stages_outputs_artifacts_and_environment() {
    let e = Estate::new();
    let r = e.open();
    let mut build = stage(
        "build it",
        &[],
        "echo made > out.bin; printf '%s\\n' '{\"type\":\"output\",\"name\":\"sum\",\"value\":\"42\"}' '{\"type\":\"detail\",\"text\":\"built\"}' >> \"$QD_REPORT\"",
    );
    build.cells[0].steps[0].artifacts = vec![Artifact { path: "*.bin".into(), tests: None }];
    let check =
        stage("check", &[0], "test \"$QD_OUT_BUILD_IT_SUM\" = 42; test -f out.bin; test \"$QD_RUN\" = green#1; echo \"$who\" > $HERE/who");
    let mut p = plan("green", vec![build, check]);
    p.parameters.insert("who".into(), "ann; rm -rf /".into());
    let run = r.submit(order(p)).await.unwrap();
    assert_eq!(run.to_string(), "green#1");
    let row = end(&r, &run).await;
    assert_eq!((row.verdict, row.detail.as_str(), row.state), (Some(Verdict::Success), "", RunState::Done), "{row:?}");
    assert!(row.started_us >= Some(row.created_us) && row.ended_us >= row.started_us);
    let s = r.run_summary(&run).unwrap();
    assert_eq!(
        s.stages.iter().map(|s| (s.name.as_str(), s.verdict)).collect::<Vec<_>>(),
        [("build it", Some(Verdict::Success)), ("check", Some(Verdict::Success))]
    );
    assert_eq!((s.stages[0].steps[0].exit_code, s.stages[0].steps[0].detail.as_str()), (Some(0), "built"));
    assert!(s.stages.iter().all(|s| s.duration_ms.is_some()));
    let kept = r.store().artifacts(&run).unwrap();
    assert_eq!((kept[0].path.as_str(), kept[0].size_bytes), ("out.bin", 5));
    assert_eq!(std::fs::read(e.state().join("runs/green/1/artifacts/out.bin")).unwrap(), b"made\n");
    assert_eq!(e.lines("who"), ["ann; rm -rf /"], "a value reaches the shell as a value");
    assert_eq!(r.why(&run).await.unwrap(), [Reason::Ended { verdict: Verdict::Success }]);
    assert_eq!(r.store().locks().unwrap(), []);
    let a = r.store().attempts(&run).unwrap();
    assert!(a.iter().all(|a| a.state == StepState::Done && a.verdict == Some(Verdict::Success) && a.started_us.is_some()));
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_red_run_says_where_and_what_follows_is_skipped() {
    let e = Estate::new();
    let r = e.open();
    let mut two = stage("b", &[0], "exit 7");
    two.cells[0].steps.push(step("never", "touch $HERE/never"));
    let post = Stage {
        kind: StageKind::Post { when: PostWhen::Failure, of: None },
        ..stage("tell", &[], "echo \"$QD_VERDICT $QD_FAILED_STAGE\" > $HERE/told")
    };
    let run = r.submit(order(plan("red", vec![stage("a", &[], "true"), two, stage("c", &[1], "touch $HERE/never"), post]))).await.unwrap();
    let row = end(&r, &run).await;
    assert_eq!((row.verdict, row.exit_code), (Some(Verdict::Failure), Some(7)));
    assert_eq!((row.failed_stage.as_deref(), row.failed_step.as_deref()), (Some("b"), Some("do")));
    assert!(row.detail.contains("stage `b`") && row.detail.contains("exit code 7"), "{}", row.detail);
    assert!(!e.file("never").exists());
    assert_eq!(e.lines("told"), ["failure b"]);
    let steps = r.store().steps(&run).unwrap();
    let verdict = |stage: &str, step: &str| steps.iter().find(|s| s.stage == stage && s.name == step).unwrap().verdict;
    assert_eq!(verdict("b", "never"), Some(Verdict::Skipped));
    assert_eq!(verdict("c", "do"), Some(Verdict::Skipped));
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_keeps_each_attempt_and_its_log() {
    let e = Estate::new();
    let r = e.open();
    let mut s = stage("flaky", &[], "echo try >> $HERE/tries; test $(wc -l < $HERE/tries) -ge 3");
    s.retry = Some(Retry { attempts: 3, delay: Span::from_ms(50), backoff: 1.0, on: vec![] });
    let run = r.submit(order(plan("flaky", vec![s]))).await.unwrap();
    assert_eq!(end(&r, &run).await.verdict, Some(Verdict::Success));
    let a = r.store().attempts(&run).unwrap();
    assert_eq!(
        a.iter().map(|a| (a.number, a.verdict.unwrap())).collect::<Vec<_>>(),
        [(1, Verdict::Failure), (2, Verdict::Failure), (3, Verdict::Success)]
    );
    assert!(a.iter().all(|a| e.state().join(&a.dir).join("log").exists()));
    assert_eq!(e.lines("tries").len(), 3);
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_matrix_runs_beside_itself_in_workspaces_of_its_own() {
    let e = Estate::new();
    let r = e.open();
    let m = matrix(
        "m",
        &[],
        &["os=a", "os=b", "os=c"],
        "test ! -e mine; echo \"$matrix_os\" > mine; echo \"$matrix_os $QD_CELL\" >> $HERE/cells",
    );
    let run = r.submit(order(plan("matrix", vec![m]))).await.unwrap();
    let row = end(&r, &run).await;
    assert_eq!(row.verdict, Some(Verdict::Success), "{row:?}");
    let mut cells = e.lines("cells");
    cells.sort();
    assert_eq!(cells, ["a os=a", "b os=b", "c os=c"]);
    assert_eq!(r.run_summary(&run).unwrap().stages[0].steps[1].name, "do (os=b)");
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fail_fast_ends_the_sibling_that_runs_and_the_one_that_waits() {
    let e = Estate::new();
    let r = e.open();
    let script = "if [ $matrix_n = 2 ]; then while [ ! -e $HERE/one ]; do sleep 0.02; done; exit 3; fi; touch $HERE/one; sleep 600";
    let m = Stage { fail_fast: true, ..matrix("m", &[], &["n=1", "n=2", "n=3"], script) };
    let run = r.submit(order(plan("fast", vec![m]))).await.unwrap();
    let row = end(&r, &run).await;
    assert_eq!((row.verdict, row.exit_code), (Some(Verdict::Failure), Some(3)), "{row:?}");
    let v: Vec<_> = r.store().steps(&run).unwrap().iter().map(|s| s.verdict.unwrap()).collect();
    assert_eq!(v, [Verdict::Cancelled, Verdict::Failure, Verdict::Skipped]);
    assert_eq!(r.store().attempts(&run).unwrap().len(), 2);
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_is_durable_ends_the_step_and_runs_the_post_stage() {
    let e = Estate::new();
    let r = e.open();
    let post = Stage { kind: StageKind::Post { when: PostWhen::Always, of: None }, ..stage("clean", &[], "touch $HERE/clean") };
    let run =
        r.submit(order(plan("long", vec![stage("a", &[], "touch $HERE/on; sleep 600"), stage("b", &[0], "true"), post]))).await.unwrap();
    eventually("the step runs", async || e.file("on").exists()).await;
    r.cancel(&run, &ann(), "enough", false, None).await.unwrap();
    assert_eq!(r.store().run(&run).unwrap().cancel_by.as_deref(), Some("ann"), "durable when cancel returns");
    let row = end(&r, &run).await;
    assert_eq!((row.verdict, row.detail.as_str()), (Some(Verdict::Cancelled), "cancelled by ann: enough"));
    assert!(e.file("clean").exists());
    assert!(matches!(r.cancel(&run, &ann(), "", false, None).await, Err(quarterdeck::runner::RunnerError::Refused { .. })));
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i5_two_holders_of_an_exclusive_lock_never_overlap_and_the_holder_is_named() {
    let e = Estate::new();
    let r = e.open();
    // Truth comes from the steps: each says when it holds, and finds nobody else inside.
    let script = "test ! -e $HERE/inside; touch $HERE/inside; echo in >> $HERE/trace; while [ -e $HERE/hold ]; do sleep 0.02; done; rm $HERE/inside; echo out >> $HERE/trace";
    let locked = || Stage { locks: vec![lock("mirror")], ..stage("sync", &[], script) };
    std::fs::write(e.file("hold"), "").unwrap();
    let first = r.submit(order(plan("one", vec![locked()]))).await.unwrap();
    eventually("the first holds it", async || e.file("inside").exists()).await;
    let second = r.submit(order(plan("two", vec![locked()]))).await.unwrap();
    let why = r.why(&second).await.unwrap();
    assert!(matches!(&why[0], Reason::Lock { name, holder, .. } if name == "mirror" && *holder == first), "{why:?}");
    let queue = r.queue().await.unwrap();
    assert!(queue[1].blocked.as_ref().unwrap().to_string().contains("held by one#1, stage `sync`"), "{queue:?}");
    assert_eq!(r.store().locks().unwrap()[0].run, Some(first.clone()));
    std::fs::remove_file(e.file("hold")).unwrap();
    assert_eq!(end(&r, &first).await.verdict, Some(Verdict::Success));
    assert_eq!(end(&r, &second).await.verdict, Some(Verdict::Success));
    assert_eq!(e.lines("trace"), ["in", "out", "in", "out"]);
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_queue_refuse_or_replace_as_they_say() {
    let e = Estate::new();
    let r = e.open();
    let grouped = |name: &str, on_conflict| {
        let mut p = plan(name, vec![stage("a", &[], "while [ -e $HERE/hold ]; do sleep 0.02; done")]);
        p.concurrency = Some(Concurrency { group: name.into(), limit: 1, on_conflict });
        order(p)
    };
    std::fs::write(e.file("hold"), "").unwrap();
    let one = r.submit(grouped("refuse", OnConflict::Refuse)).await.unwrap();
    let refused = r.submit(grouped("refuse", OnConflict::Refuse)).await.unwrap_err().to_string();
    assert!(refused.contains("refuse#1"), "{refused}");
    let old = r.submit(grouped("newest", OnConflict::CancelOlder)).await.unwrap();
    let new = r.submit(grouped("newest", OnConflict::CancelOlder)).await.unwrap();
    let row = end(&r, &old).await;
    assert!(row.verdict == Some(Verdict::Cancelled) && row.detail.contains("newest#2"), "{row:?}");
    let q1 = r.submit(grouped("queue", OnConflict::Queue)).await.unwrap();
    let q2 = r.submit(grouped("queue", OnConflict::Queue)).await.unwrap();
    std::fs::remove_file(e.file("hold")).unwrap();
    for run in [&one, &new, &q1, &q2] {
        assert_eq!(end(&r, run).await.verdict, Some(Verdict::Success), "{run}");
    }
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_blocks_and_a_present_one_is_masked_everywhere() {
    let e = Estate::new();
    let r = e.open();
    let mut s = stage(
        "use",
        &[],
        "v=$(cat \"$QD_SECRETS_DIR/token\"); echo \"$v\"; printf '{\"type\":\"output\",\"name\":\"x\",\"value\":\"%s\"}\\n' \"$v\" >> \"$QD_REPORT\"",
    );
    s.cells[0].steps[0].secrets = vec![SecretUse { name: "token".into(), env: false }];
    let run = r.submit(order(plan("secret", vec![s]))).await.unwrap();
    eventually(
        "it is blocked by its secret",
        async || matches!(r.why(&run).await.unwrap().as_slice(), [Reason::Secret { name, .. }, ..] if name == "token"),
    )
    .await;
    assert_eq!(r.store().attempts(&run).unwrap(), [], "nothing was claimed");
    r.cancel(&run, &ann(), "", false, None).await.unwrap();
    assert_eq!(end(&r, &run).await.verdict, Some(Verdict::Cancelled));
    e.world.set_secret("token", "hunter2-hunter2");
    let again = r.resume(&run, None).await.unwrap();
    assert_eq!(again.again, ["use"]);
    let row = end(&r, &run).await;
    assert_eq!((row.verdict, row.round), (Some(Verdict::Success), 1), "{row:?}");
    r.shutdown().await;
    let mut seen = 0;
    let mut dirs = vec![e.state()];
    while let Some(d) = dirs.pop() {
        for f in std::fs::read_dir(d).unwrap().flatten() {
            if f.path().is_dir() {
                dirs.push(f.path());
            } else if f.file_name() != "report" {
                // The report is the step's own file; what is taken in from it is not.
                seen += 1;
                let bytes = std::fs::read(f.path()).unwrap();
                assert!(!bytes.windows(15).any(|w| w == b"hunter2-hunter2"), "{:?}", f.path());
            }
        }
    }
    assert!(seen > 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn i5_holds_for_stages_that_look_up_secrets_before_they_take_their_lock() {
    let mut e = Estate::new();
    e.executors = 4;
    e.world.set_secret("token", "hunter2-hunter2");
    let r = e.open();
    let script = "test ! -e $HERE/inside; touch $HERE/inside; sleep 0.05; rm $HERE/inside";
    let mut s = Stage { locks: vec![lock("mirror")], ..stage("sync", &[], script) };
    s.cells[0].steps[0].secrets = vec![SecretUse { name: "token".into(), env: false }];
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push(r.submit(order(plan("p", vec![s.clone()]))).await.unwrap());
    }
    for run in &runs {
        let row = end(&r, run).await;
        assert_eq!(row.verdict, Some(Verdict::Success), "{row:?}");
    }
    r.shutdown().await;
}

const DAYS_US: i64 = 3 * 86_400 * 1_000_000;

/// Moves what has happened so far into the past.
fn days_ago(e: &Estate) {
    let store = rusqlite::Connection::open(e.state().join("state.db")).unwrap();
    for (table, columns) in [("run", &["created_us", "started_us", "ended_us", "limit_us"][..]), ("stage", &["started_us", "ended_us"])] {
        let set: Vec<String> = columns.iter().map(|c| format!("{c} = {c} - {DAYS_US}")).collect();
        store.execute_batch(&format!("UPDATE {table} SET {}", set.join(", "))).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_run_took_as_long_as_its_last_pass_wherever_that_is_told() {
    let e = Estate::new();
    let r = e.open();
    let parts = || {
        vec![
            stage("a", &[], "true"),
            stage("b", &[0], "echo b >> $HERE/trace; while [ -e $HERE/hold ]; do sleep 0.02; done; [ -e $HERE/fixed ]"),
        ]
    };
    let run = r.submit(order(plan("p", parts()))).await.unwrap();
    let first = end(&r, &run).await;
    assert_eq!((first.verdict, first.round_us), (Some(Verdict::Failure), first.started_us));
    std::fs::write(e.file("fixed"), "").unwrap();
    let good = r.submit(order(plan("p", parts()))).await.unwrap();
    assert_eq!(end(&r, &good).await.verdict, Some(Verdict::Success));
    r.shutdown().await;
    days_ago(&e);
    let r = e.open();
    let before = r.store().run(&run).unwrap();
    std::fs::write(e.file("hold"), "").unwrap();
    r.resume(&run, None).await.unwrap();
    eventually("it runs", async || e.lines("trace").len() == 3).await;
    let eta = r.eta(&run).unwrap().unwrap();
    assert!(eta.elapsed_ms < DAYS_US as u64 / 1_000, "{eta:?}");
    std::fs::remove_file(e.file("hold")).unwrap();
    let row = end(&r, &run).await;
    assert_eq!((row.verdict, row.round, row.started_us), (Some(Verdict::Success), 1, before.started_us), "{row:?}");
    assert!(row.round_us > before.ended_us && row.ended_us >= row.round_us, "{row:?}");
    assert!(row.duration_ms().is_some_and(|ms| ms < DAYS_US as u64 / 1_000), "{row:?}");
    let s = r.run_summary(&run).unwrap();
    assert_eq!((s.round, s.round_us), (1, row.round_us));
    let ended = r.store().totals().unwrap().ended;
    let sum: u64 = ended.iter().map(|t| t.sum_us).sum();
    assert!(sum < DAYS_US as u64, "the metrics count the passes: {ended:?}");
    // A resume that waits in the queue has not begun, and one that is cancelled there took no time.
    let held = r.submit(order(plan("q", vec![stage("a", &[], "exit 1")]))).await.unwrap();
    end(&r, &held).await;
    r.drain(Some((&ann(), "")), None).await.unwrap();
    r.resume(&held, None).await.unwrap();
    let waits = r.store().run(&held).unwrap();
    assert_eq!((waits.state, waits.round_us, waits.started_us.is_some()), (RunState::Queued, None, true));
    r.cancel(&held, &ann(), "", false, None).await.unwrap();
    let row = end(&r, &held).await;
    assert_eq!((row.verdict, row.duration_ms()), (Some(Verdict::Cancelled), None));
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resume_keeps_what_succeeded_and_retry_reruns_only_failed_cells() {
    let e = Estate::new();
    let r = e.open();
    let a = stage("a", &[], "echo a >> $HERE/trace");
    let m = matrix("m", &[0], &["n=1", "n=2"], "echo m$matrix_n >> $HERE/trace; [ $matrix_n = 1 ] || [ -e $HERE/fixed ]");
    let m = Stage { timeout: Some(Span::from_secs(3_600)), ..m };
    let b = stage("b", &[1], "echo b >> $HERE/trace");
    let p = plan("resume", vec![a, m, b]);
    let run = r.submit(order(p)).await.unwrap();
    assert_eq!(end(&r, &run).await.verdict, Some(Verdict::Failure));
    // All of it was days ago: what a stage may take is counted anew.
    r.shutdown().await;
    days_ago(&e);
    let r = e.open();
    let would = r.plan_resume(&run, false).unwrap();
    assert_eq!((would.again, would.kept), (vec!["m".into(), "b".into()], vec!["a".to_owned()]));
    std::fs::write(e.file("fixed"), "").unwrap();
    std::fs::remove_file(e.file("trace")).unwrap();
    let did = r.retry(&run, None).await.unwrap();
    assert_eq!(did.again, ["m (n=2)", "b"]);
    let row = end(&r, &run).await;
    assert_eq!((row.verdict, row.failed_stage), (Some(Verdict::Success), None));
    assert_eq!(e.lines("trace"), ["m2", "b"]);
    let took = r.run_summary(&run).unwrap().stages[1].duration_ms;
    assert!(took.is_some_and(|ms| ms < DAYS_US as u64 / 1_000), "{took:?}");
    assert!(r.resume(&run, None).await.unwrap_err().to_string().contains("has succeeded"));
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_holds_new_runs_survives_a_restart_and_is_explained() {
    let e = Estate::new();
    let r = e.open();
    r.drain(Some((&ann(), "upgrade")), None).await.unwrap();
    let run = r.submit(order(plan("d", vec![stage("a", &[], "true")]))).await.unwrap();
    assert!(matches!(r.why(&run).await.unwrap().as_slice(), [Reason::Drained { by, .. }, ..] if by == "ann"));
    r.shutdown().await;
    let r = e.open();
    assert!(matches!(r.why(&run).await.unwrap().as_slice(), [Reason::Drained { why, .. }, ..] if why == "upgrade"));
    r.drain(None, None).await.unwrap();
    assert_eq!(end(&r, &run).await.verdict, Some(Verdict::Success));
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_over_its_time_fails_and_a_shim_that_cannot_start_is_said() {
    let mut e = Estate::new();
    let r = e.open();
    let mut p = plan("slow", vec![stage("a", &[], "sleep 600"), stage("b", &[0], "true")]);
    p.timeout = Span::from_ms(300);
    let run = r.submit(order(p)).await.unwrap();
    let row = end(&r, &run).await;
    assert_eq!(row.verdict, Some(Verdict::Failure), "{row:?}");
    assert!(row.detail.contains("limit of 300ms"), "{}", row.detail);
    r.shutdown().await;
    e.exe = e.file("no-such-binary");
    let r = e.open();
    let run = r.submit(order(plan("nowhere", vec![stage("a", &[], "true")]))).await.unwrap();
    let blocked =
        async || r.why(&run).await.unwrap().iter().any(|w| matches!(w, Reason::Spawn { why, .. } if why.contains("no-such-binary")));
    eventually("the reason names the binary", blocked).await;
    r.cancel(&run, &ann(), "", false, None).await.unwrap();
    assert_eq!(end(&r, &run).await.verdict, Some(Verdict::Cancelled));
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i4_numbers_go_on_causes_are_taken_once_and_retention_keeps_what_is_pinned() {
    let e = Estate::new();
    let r = e.open();
    let quick = || {
        let mut p = plan("n", vec![stage("a", &[], "true")]);
        p.keep.runs = 1;
        order(p)
    };
    let mut runs = Vec::new();
    for _ in 0..4 {
        let run = r.submit(quick()).await.unwrap();
        end(&r, &run).await;
        runs.push(run);
    }
    let caused = || Submit { cause: Some("upstream:n#4:0:x".into()), ..order(plan("x", vec![stage("a", &[], "true")])) };
    let x = r.submit(caused()).await.unwrap();
    assert_eq!(r.submit(caused()).await.unwrap(), x, "one run a cause");
    end(&r, &x).await;
    let copies = |e: &Estate| std::fs::read_dir(e.state().join("backups")).map_or(0, Iterator::count);
    r.pin(&runs[1], &ann(), "evidence", true, None).await.unwrap();
    assert_eq!(r.sweep().await.unwrap(), [], "upstream triggers have not looked at any yet");
    for ended in r.store().unoffered(100).unwrap() {
        r.store().offered(&ended, Vec::new()).await.unwrap();
    }
    let gone = r.sweep().await.unwrap();
    assert_eq!(gone.iter().map(|r| r.number).collect::<Vec<_>>(), [3, 1], "2 is pinned, 4 is the newest");
    assert!(!e.state().join("runs/n/1").exists() && e.state().join("runs/n/2").exists());
    assert_eq!(copies(&e), 1, "one whole copy a day");
    assert!(r.store().run(&runs[0]).is_err());
    let next = r.submit(quick()).await.unwrap();
    assert_eq!(next.number, 5);
    end(&r, &next).await;
    assert!(r.eta(&next).unwrap().is_none(), "it has ended");
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_cannot_run_is_refused_before_it_has_a_number() {
    let e = Estate::new();
    let r = e.open();
    for (bad, why) in [
        (plan("../up", vec![stage("a", &[], "true")]), "no pipeline name"),
        (plan("p", vec![]), "no stage"),
        (plan("p", vec![stage("a", &[0], "true")]), "come before"),
        (plan("p", vec![Stage { locks: vec![lock("l"), lock("l")], ..stage("a", &[], "true") }]), "twice"),
    ] {
        let said = r.submit(order(bad)).await.unwrap_err().to_string();
        assert!(said.contains(why), "{said}");
    }
    let mut late = stage("a", &[], "true");
    late.cells[0].steps[0].action =
        Action::Native { kind: "shell".into(), with: serde_json::from_str(r#"{"x": "${stages.none.outputs.y}"}"#).unwrap() };
    let run = r.submit(order(plan("late", vec![late]))).await.unwrap();
    assert_eq!(run.number, 1);
    let row = end(&r, &run).await;
    assert!(row.verdict == Some(Verdict::Failure) && row.detail.contains("stages.none.outputs.y"), "{row:?}");
    assert_eq!(r.store().attempts(&run).unwrap(), [], "and nothing of it ran");
    r.shutdown().await;
}
