//! The past that a demo begins with: five promotions that are over, whose evidence a stranger verifies; made once, whatever happens meanwhile.

use std::process::Command;

use serde_json::Value;

use crate::demo_nightly::Demo;
use crate::support::{Foreground, have_program, kill, skip, until, until_some};

const VERIFY: &str =
    "ssh-keygen -q -Y verify -f allowed_signers -I promotions@ops.example -n quarterdeck-evidence -s SHA256SUMS.sig < SHA256SUMS";

fn promotions(demo: &Demo) -> Vec<(String, String, String)> {
    let rows = demo.qd(&["--json", "get", "promotions"]).expect(0).json()["rows"].as_array().unwrap().clone();
    let text = |r: &Value, f: &str| r[f].as_str().unwrap_or_default().to_owned();
    rows.iter().map(|r| (text(r, "promotion"), text(r, "state"), text(r, "created"))).collect()
}

/// A file of an evidence pack that was unpacked.
fn file(demo: &Demo, id: &str, name: &str) -> Value {
    let path = demo.state().join(format!("evidence-{id}")).join(name);
    serde_json::from_slice(&std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).unwrap()
}

fn texts<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|v| v[field].as_str().unwrap_or_default()).collect()
}

#[test]
fn a_demo_begins_with_five_promotions_that_are_over_and_anybody_verifies_their_evidence() {
    let test = "a_demo_begins_with_five_promotions_that_are_over_and_anybody_verifies_their_evidence";
    let mut demo = Demo::start();
    let found = promotions(&demo);
    let names: Vec<(&str, &str)> = found.iter().map(|(id, state, _)| (id.as_str(), state.as_str())).collect();
    assert_eq!(
        names,
        [
            ("PR-2026Q2-el9", "CLOSED"),
            ("PR-2026Q1-el9", "ROLLED-BACK"),
            ("PR-2025Q4-el9", "CLOSED"),
            ("PR-2025Q3-el9", "CLOSED"),
            ("PR-2025Q2-el9", "CLOSED"),
        ]
    );
    assert!(found.iter().all(|(_, _, at)| at.as_str() < "2026-05"), "{found:?}");
    let signed = have_program("ssh-keygen");
    for (id, ..) in &found {
        demo.qd(&["evidence", id, "-o", &demo.state().join("pack.tar.gz").display().to_string()]).expect(0);
        let then = if signed { VERIFY } else { "grep -q UNSIGNED README.txt" };
        // The plan that was approved is the one whose bytes have that sha.
        let plans = "for f in plans/*.plan; do s=${f##*-}; sha256sum $f | grep -q ^${s%.plan}; done";
        let script = format!(
            "tar xzf pack.tar.gz && rm pack.tar.gz && cd evidence-{id} && sha256sum -c --quiet --strict SHA256SUMS && {plans} && {then}"
        );
        let out = Command::new("sh").arg("-ec").arg(script).current_dir(demo.state()).output().unwrap();
        assert!(out.status.success(), "{id}: {out:?}");
        let p = file(&demo, id, "promotion.json");
        let given = &p["approvals"];
        assert_eq!((texts(given, "side"), given[0]["sha"] == p["sha"]), (vec!["ops", "security"], true), "{given}");
        assert_eq!([given[0]["who"]["name"].as_str(), given[1]["who"]["name"].as_str()], [Some("op-07"), Some("sec-02")]);
        assert!(given.as_array().unwrap().iter().all(|a| a["single_person"] == false), "{given}");
        let audit = file(&demo, id, "audit.json");
        assert!(audit["chain"].as_str().unwrap().starts_with("whole"), "{}", audit["chain"]);
        assert!(texts(&audit["entries"], "result").iter().all(|r| *r == "done"), "nothing was refused on the way: {audit}");
        assert_eq!(texts(&audit["entries"], "action").iter().filter(|a| **a == "promote-start").count(), 1);
        // The first came from a plain directory: nobody can say what it brought. The others can.
        let changes = file(&demo, id, "changes.json");
        assert_eq!(changes["packages"]["up"].as_u64() > Some(3), id != "PR-2025Q2-el9", "{id}: {changes}");
        // Runs of that time, by the clock of that time, with logs whose digests are kept.
        let (files, dirs): (Vec<_>, Vec<_>) = std::fs::read_dir(demo.state().join(format!("evidence-{id}/runs")))
            .unwrap()
            .map(|e| e.unwrap().path())
            .partition(|p| p.is_file());
        let runs = if id == "PR-2026Q1-el9" { 3 } else { 2 };
        // Of each run what it did and what was planned, and a directory with the texts of its steps.
        assert_eq!((files.len(), dirs.len()), (2 * runs, runs), "{id}");
    }
    let story = |id: &str| texts(&file(&demo, id, "promotion.json")["notes"], "text").join("; ");
    assert!(
        story("PR-2025Q4-el9").contains("halted: image builders") && story("PR-2025Q4-el9").contains("resumed:"),
        "{}",
        story("PR-2025Q4-el9")
    );
    assert!(story("PR-2026Q1-el9").contains("rolled back by promotion-rollback#1"), "{}", story("PR-2026Q1-el9"));
    let waived = file(&demo, "PR-2025Q2-el9", "promotion.json")["waivers"][0].clone();
    assert_eq!((waived["gate"].as_str(), waived["second"]["name"].as_str()), (Some("G4"), Some("sec-02")), "{waived}");
    let log = demo.qd(&["--json", "log", "quarterly-promotion#3/Switch alder"]).expect(0).stdout;
    assert!(log.contains("\"time\":\"2025-10-13T14:"), "{log}");
    // What is over was judged then, and not on what is old today.
    let socket = std::path::PathBuf::from(demo.ready["socket"].as_str().unwrap());
    let doc = crate::api::raw(&socket, "GET", "/v1/promotions/PR-2025Q3-el9", "").1;
    assert!(doc["gates_at"].as_str().unwrap().starts_with("2025-07-13"), "{}", doc["gates_at"]);
    assert!(
        doc["gates"].as_array().unwrap().len() == 10 && doc["gates"].as_array().unwrap().iter().all(|g| g["passes"] == true),
        "{}",
        doc["gates"]
    );
    let canaries = ["canary:rpm green quarter-canary#1", "canary:inspector green quarter-inspector#1"];
    assert_eq!((&doc["gates"][3]["result"], &doc["gates"][3]["evidence"]), (&serde_json::json!("OK"), &serde_json::json!(canaries)));
    // And what it changed is told by what was served before it, not by what is served now.
    let led = |id: &str, side: &str| crate::api::raw(&socket, "GET", &format!("/v1/promotions/{id}"), "").1["changes"][side].clone();
    assert!(led("PR-2025Q3-el9", "to_fp").is_string());
    assert_eq!(led("PR-2025Q3-el9", "to_fp"), led("PR-2025Q4-el9", "from_fp"));
    // What is served is what the last of them brought, and each datacentre leads to it.
    for dc in ["alder", "birch", "cedar"] {
        let led = std::fs::read_link(demo.state().join("replicas").join(dc).join("el9/stable")).unwrap();
        assert!(led.to_string_lossy().contains("20260407"), "{}", led.display());
    }
    // What was mirrored then had the label of its compose, and its signature, which the snapshot keeps.
    // The one of today has its label once somebody has looked at its upstream.
    until_some("every content to be called by its compose", || {
        let seen = demo.qd(&["--json", "get", "versions"]).expect(0).json();
        let labels = texts(&seen["rows"], "compose");
        (labels.len() >= 5 && labels.iter().all(|l| l.starts_with("CentOS-Stream-9-202"))).then_some(())
    });
    assert!(demo.state().join("replicas/birch/el9/stable/baseos/repodata/repomd.xml.asc").is_file());
    // A pair is called otherwise in what is promoted: its snapshots are found all the same, and whose they are.
    let page = demo.qd(&["--json", "get", "mirrors", "base9"]).expect(0).json();
    let kept: Vec<(&str, bool)> = page["snapshots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| (s["place"].as_str().unwrap(), s["pointers"].as_array().unwrap().contains(&"stable".into())))
        .collect();
    assert_eq!(kept.iter().filter(|(dc, stable)| *stable && ["alder", "birch", "cedar"].contains(dc)).count(), 3, "{page}");
    let used = page["used_by"].as_array().unwrap();
    assert!(used.iter().any(|u| u["kind"] == "promotion" && u["how"].as_str().unwrap().ends_with("called baseos there")), "{page}");
    let other = demo.qd(&["--json", "get", "mirrors", "base10"]).expect(0).json();
    assert_eq!(other["snapshots"], serde_json::json!([]), "what is not promoted has none");
    crate::filters::cells_are_of_the_kind_of_their_column(&demo);
    // Made once.
    let runs = demo.runs("").len();
    demo.down();
    demo.up();
    assert_eq!((promotions(&demo), demo.runs("").len()), (found, runs));
    if !signed {
        skip(test, "no ssh-keygen: signatures are not verified");
    }
}

#[test]
fn a_past_that_was_cut_short_is_begun_anew() {
    let mut demo = Demo::place();
    let cut = Foreground::start(demo.command(&["--json", "demo", "--no-tui"]));
    until("the second promotion to be at work", || demo.state().join("runs/promotion-soak/2").is_dir());
    kill(cut.pid());
    drop(cut);
    assert!(!demo.state().join("config").exists(), "the engine of today has never run");
    demo.up();
    let found = promotions(&demo);
    assert_eq!((found.len(), found[0].1.as_str(), found[4].0.as_str()), (5, "CLOSED", "PR-2025Q2-el9"), "{found:?}");
    assert!(!demo.state().join("demo/past").exists(), "what only the past needed is gone");
}
