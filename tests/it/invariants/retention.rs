//! I17: whatever the rules say, a run that is pinned, open, held, caused or replayed by an open one, or not yet looked at, stays with its files.

use quarterdeck::runner::Submit;

use crate::runner::{Estate, ann, end, eventually, order, plan, stage};

#[tokio::test(flavor = "multi_thread")]
async fn i17_pinned_running_and_referenced_runs_outlive_every_sweep() {
    let mut e = Estate::new();
    e.executors = 8;
    let r = e.open();
    let made = |script: &str, submit: &dyn Fn(Submit) -> Submit| {
        let mut p = plan("n", vec![stage("a", &[], script)]);
        p.keep.runs = 0;
        submit(order(p))
    };
    let quick = || made("true", &|s| s);
    let mut ended = Vec::new();
    for _ in 0..5 {
        let run = r.submit(quick()).await.unwrap();
        end(&r, &run).await;
        ended.push(run);
    }
    let [plain, pinned, replayed, causing, unoffered] = &ended[..] else { panic!("five") };
    r.pin(pinned, &ann(), "evidence", true, None).await.unwrap();
    for end in r.store().unoffered(100).unwrap() {
        if end.run != *unoffered {
            r.store().offered(&end, Vec::new()).await.unwrap();
        }
    }
    let hold = "until [ -e \"$HERE/go\" ]; do sleep 0.02; done";
    let replay = r.submit(made(hold, &|s| Submit { replay_of: Some(replayed.clone()), ..s })).await.unwrap();
    let caused = r.submit(made(hold, &|s| Submit { cause: Some(format!("upstream:{causing}:0:n")), ..s })).await.unwrap();
    eventually("both to run", async || {
        r.store().run(&replay).unwrap().started_us.is_some() && r.store().run(&caused).unwrap().started_us.is_some()
    })
    .await;
    assert_eq!(r.sweep().await.unwrap(), std::slice::from_ref(plain));
    assert!(r.sweep().await.unwrap().is_empty(), "a second look finds nothing more");
    for kept in [pinned, replayed, causing, unoffered, &replay, &caused] {
        assert!(r.store().run(kept).is_ok(), "{kept}");
        assert!(e.state().join(format!("runs/n/{}", kept.number)).is_dir(), "{kept}: its files");
    }
    // A crash between the files and the rows, and one right after the rule was asked: pins and references are looked at again with the row.
    assert!(r.store().forget(ended.clone()).await.unwrap().is_empty());
    std::fs::write(e.file("go"), "").unwrap();
    for run in [&replay, &caused] {
        end(&r, run).await;
    }
    for end in r.store().unoffered(100).unwrap() {
        r.store().offered(&end, Vec::new()).await.unwrap();
    }
    let mut gone = r.sweep().await.unwrap();
    gone.sort();
    assert_eq!(gone, [replayed, causing, unoffered, &replay, &caused].map(Clone::clone), "nothing refers to them any more");
    r.pin(pinned, &ann(), "", false, None).await.unwrap();
    assert_eq!(r.sweep().await.unwrap(), std::slice::from_ref(pinned));
    let next = r.submit(quick()).await.unwrap();
    assert_eq!(next.number, 8, "I4: no number comes back");
    end(&r, &next).await;
    r.shutdown().await;
}
