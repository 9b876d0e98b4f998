//! INVALID and `no-change`, with real steps that write and a stranger that moves what the run reads.

use quarterdeck::domain::reason::Reason;
use quarterdeck::domain::run::Verdict;
use quarterdeck::pipeline::plan::Stage;

use super::*;

fn reader(script: &str) -> Stage {
    Stage { reads: vec!["el9".into()], locks: vec![lock("content:el9")], ..stage("test", &[], script) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_writer_that_moves_the_set_during_the_run_makes_it_invalid() {
    let e = Estate::new();
    let r = e.open();
    let set = e.file("el9");
    std::fs::write(&set, "fp-before").unwrap();
    e.world.set_content("el9", set.to_str().unwrap());
    let run = r.submit(order(plan("canary", vec![reader("touch $HERE/on; while [ ! -e $HERE/go ]; do sleep 0.02; done")]))).await.unwrap();
    eventually("the step runs", async || e.file("on").exists()).await;
    // A stranger, who asks nobody for a lock.
    std::fs::write(&set, "fp-after").unwrap();
    std::fs::write(e.file("go"), "").unwrap();
    let row = end(&r, &run).await;
    assert_eq!(row.verdict, Some(Verdict::Invalid), "every step passed, and it is not green");
    assert!(row.detail.contains("`el9`") && row.detail.contains("fp-before") && row.detail.contains("fp-after"), "{}", row.detail);
    assert_eq!((row.fp_before.as_deref(), row.fp_after.as_deref()), (Some("fp-before"), Some("fp-after")));
    assert!(r.resume(&run, None).await.unwrap_err().to_string().contains("moved"), "no part of it can be kept");
    let again = r.submit(order(plan("canary", vec![reader("true")]))).await.unwrap();
    assert_eq!(end(&r, &again).await.verdict, Some(Verdict::Success));
    e.world.set_content("el9", "/nowhere/at/all");
    let unknown = r.submit(order(plan("canary", vec![reader("true")]))).await.unwrap();
    let row = end(&r, &unknown).await;
    assert!(row.verdict == Some(Verdict::Invalid) && row.detail.contains("nobody can read it"), "{row:?}");
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_is_judged_by_its_own_last_word_and_no_change_is_proved() {
    let e = Estate::new();
    let r = e.open();
    let set = e.file("el9");
    e.world.set_content("el9", set.to_str().unwrap());
    let script = "echo \"$fp\" > $HERE/el9; printf '{\"type\":\"fact\",\"kind\":\"content\",\"set\":\"el9\",\"fp\":\"%s\",\"md\":\"m\"}\\n' \"$says\" >> \"$QD_REPORT\"";
    let sync = |fp: &str, says: &str| {
        let w = Stage { writes: vec!["el9".into()], locks: vec![lock("content:el9")], ..stage("sync", &[], script) };
        let mut p = plan("sync", vec![w]);
        p.parameters.insert("fp".into(), fp.into());
        p.parameters.insert("says".into(), says.into());
        order(p)
    };
    for (fp, says, verdict, detail) in [
        ("1", "1", Verdict::Success, ""),
        ("1", "1", Verdict::Success, "no-change"),
        ("2", "2", Verdict::Success, ""),
        ("3", "other", Verdict::Invalid, "somebody else"),
    ] {
        let run = r.submit(sync(fp, says)).await.unwrap();
        let row = end(&r, &run).await;
        assert!(row.verdict == Some(verdict) && row.detail.contains(detail), "{row:?}");
        assert!(!detail.is_empty() || row.detail.is_empty(), "{row:?}");
    }
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_writer_waits_until_the_reading_after_the_work_is_done() {
    let e = Estate::new();
    let r = e.open();
    let set = e.file("el9");
    std::fs::write(&set, "0").unwrap();
    e.world.set_content("el9", set.to_str().unwrap());
    // Readers and writers of one set, many at once: with the locks kept over the readings no reader is ever invalid.
    let writer = |i: u32| Stage {
        writes: vec!["el9".into()],
        locks: vec![lock("content:el9")],
        ..stage("w", &[], &format!("echo {i} > $HERE/el9"))
    };
    let mut runs = Vec::new();
    for i in 0..6 {
        let s = if i % 2 == 0 { reader("true") } else { writer(i) };
        runs.push(r.submit(order(plan("mixed", vec![s]))).await.unwrap());
    }
    for run in &runs {
        let row = end(&r, run).await;
        assert_eq!(row.verdict, Some(Verdict::Success), "{row:?} {:?}", r.why(run).await.unwrap());
        assert!(matches!(r.why(run).await.unwrap()[0], Reason::Ended { .. }));
    }
    r.shutdown().await;
}
