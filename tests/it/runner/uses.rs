//! Runs that depend on others: inputs by digest, and retention that never removes what is still needed (I17).

use quarterdeck::domain::run::Verdict;
use quarterdeck::pipeline::plan::{Artifact, Input, InputFile};

use super::*;

fn maker(pipeline: &str) -> Submit {
    let mut s = stage("make", &[], "echo bytes > a.iso");
    s.cells[0].steps[0].artifacts = vec![Artifact { path: "a.iso".into(), tests: None }];
    let mut p = plan(pipeline, vec![s]);
    p.keep.runs = 1;
    order(p)
}

/// A run whose first stage gets `a.iso` of `from` and runs `script`.
fn user(r: &Runner, from: &RunRef, script: &str) -> Submit {
    let kept = r.store().artifacts(from).unwrap().remove(0);
    let file = InputFile { path: kept.path, place: "in/a.iso".into(), sha256: kept.sha256, size_bytes: kept.size_bytes };
    let mut s = stage("use", &[], script);
    s.inputs = vec![Input { from: from.clone(), pattern: "a.iso".into(), files: vec![file] }];
    let mut p = plan("user", vec![s]);
    p.uses = vec![from.clone()];
    order(p)
}

async fn looked_at(r: &Runner) {
    for ended in r.store().unoffered(100).unwrap() {
        r.store().offered(&ended, Vec::new()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i17_a_run_that_an_open_or_a_pinned_run_uses_is_never_removed() {
    let e = Estate::new();
    let r = e.open();
    let first = r.submit(maker("m")).await.unwrap();
    assert_eq!(end(&r, &first).await.verdict, Some(Verdict::Success));
    let second = r.submit(maker("m")).await.unwrap();
    end(&r, &second).await;
    looked_at(&r).await;
    let open = r.submit(user(&r, &first, "cat in/a.iso > $HERE/got; while [ ! -e $HERE/go ]; do sleep 0.02; done")).await.unwrap();
    assert_eq!(r.sweep().await.unwrap(), [], "an open run uses the first");
    eventually("the step has its input", async || e.lines("got") == ["bytes"]).await;
    std::fs::write(e.file("go"), "").unwrap();
    assert_eq!(end(&r, &open).await.verdict, Some(Verdict::Success));
    looked_at(&r).await;
    r.pin(&open, &ann(), "evidence", true, None).await.unwrap();
    assert_eq!(r.sweep().await.unwrap(), [], "a pinned run used it");
    let sha256 = r.store().artifacts(&first).unwrap()[0].sha256.clone();
    let roles: Vec<(String, String)> =
        r.store().fingerprints(Some(&sha256), 100).unwrap().into_iter().map(|f| (f.run.to_string(), f.role)).collect();
    assert!(roles.contains(&("user#1".into(), "used".into())) && roles.contains(&("m#1".into(), "made".into())), "{roles:?}");
    r.pin(&open, &ann(), "", false, None).await.unwrap();
    assert_eq!(r.sweep().await.unwrap(), std::slice::from_ref(&first), "now nothing needs it");
    // What is gone cannot be used any more, and the run is refused before it has a number.
    let mut late = plan("late", vec![stage("a", &[], "true")]);
    late.uses = vec![first];
    let said = r.submit(order(late)).await.unwrap_err().to_string();
    assert!(said.contains("cannot use run m#1"), "{said}");
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i17_nothing_begins_to_depend_on_a_run_that_retention_is_removing() {
    let e = Estate::new();
    let r = e.open();
    let mut runs = Vec::new();
    for _ in 0..2 {
        let run = r.submit(maker("m")).await.unwrap();
        end(&r, &run).await;
        runs.push(run);
    }
    looked_at(&r).await;
    // As a sweep that dies between settling what goes and removing it.
    let order = user(&r, &runs[0], "true");
    assert_eq!(r.store().condemn(vec![runs[0].clone()]).await.unwrap(), std::slice::from_ref(&runs[0]));
    let pinned = r.pin(&runs[0], &ann(), "late", true, None).await.unwrap_err().to_string();
    assert!(pinned.contains("being removed"), "{pinned}");
    assert!(r.submit(order).await.unwrap_err().to_string().contains("cannot use run m#1"));
    assert_eq!(r.sweep().await.unwrap(), std::slice::from_ref(&runs[0]), "the next sweep ends it");
    assert!(!e.state().join("runs/m/1").exists());
    // A pinned one is never condemned.
    r.pin(&runs[1], &ann(), "kept", true, None).await.unwrap();
    assert_eq!(r.store().condemn(vec![runs[1].clone()]).await.unwrap(), []);
    r.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_that_changed_or_went_fails_the_step_before_its_command_runs() {
    let e = Estate::new();
    let r = e.open();
    let made = r.submit(maker("m")).await.unwrap();
    end(&r, &made).await;
    let kept = e.state().join("runs/m/1/artifacts/a.iso");
    for (spoil, why) in [("changed", "has changed since it was kept"), ("gone", "is not there any more")] {
        let order = user(&r, &made, "touch $HERE/ran");
        match spoil {
            "gone" => std::fs::remove_file(&kept).unwrap(),
            _ => std::fs::write(&kept, "other").unwrap(),
        }
        let run = r.submit(order).await.unwrap();
        let row = end(&r, &run).await;
        assert!(row.verdict == Some(Verdict::Failure) && row.detail.contains("a.iso of m#1") && row.detail.contains(why), "{row:?}");
        assert!(!e.file("ran").exists(), "{spoil}");
    }
    let roles: Vec<String> = r.store().fingerprints(None, 100).unwrap().into_iter().map(|f| f.role).collect();
    assert!(!roles.contains(&"used".to_owned()) && roles.contains(&"wanted".to_owned()), "{roles:?}");
    r.shutdown().await;
}
