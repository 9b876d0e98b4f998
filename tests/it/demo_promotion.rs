//! The promotion of the demo's el9 from its command line: a canary that judged the candidate, a datacentre that is behind, and the whole way.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::demo_nightly::Demo;
use crate::support::{have_program, skip, until_some};

const DCS: [&str; 3] = ["alder", "birch", "cedar"];

fn row(demo: &Demo) -> Value {
    demo.qd(&["--json", "get", "promotions"]).expect(0).json()["rows"][0].clone()
}

fn until(demo: &Demo, state: &str) -> Value {
    until_some(&format!("the promotion to be {state}, it is {}", row(demo)), || Some(row(demo)).filter(|p| p["state"] == state))
}

/// What each datacentre serves of a repository: the bytes of its `repomd.xml`.
fn served(demo: &Demo, at: &str) -> Vec<Vec<u8>> {
    let file = |dc| demo.state().join("replicas").join(dc).join(at).join("repodata/repomd.xml");
    DCS.map(|dc| std::fs::read(file(dc)).unwrap()).to_vec()
}

#[test]
fn el9_of_the_demo_goes_from_its_canary_to_stable_and_back() {
    let test = "el9_of_the_demo_goes_from_its_canary_to_stable_and_back";
    let demo = Demo::start();
    demo.qd(&["site", "check"]).expect(0);
    let old = served(&demo, "el9/stable/baseos");
    // The canary judges what the nightly has mirrored; the replicas have the same compose.
    demo.qd(&["demo", "advance"]).expect(0);
    demo.nightly();
    for canary in ["rpmcanary", "rpminspector"] {
        let green = || (!demo.runs(&format!("pipeline={canary} verdict=success")).is_empty()).then_some(());
        until_some(&format!("{canary} to be green"), green);
    }

    demo.qd(&["do", "promote", "el9", "--reason", "quarter"]).expect(0);
    let id = row(&demo)["promotion"].as_str().unwrap().to_owned();
    demo.qd(&["do", "promote-soak", &id]).expect(0);
    until(&demo, "GATED");
    let why = demo.qd(&["why", &id]).expect(0).stdout;
    assert!(why.contains("G1") && why.contains("cedar"), "cedar's last sync was ended half-way: {why}");
    let next = |command: &str| format!("quarterdeck --state-dir {} {command}", demo.state().display());
    assert!(why.contains(&next("run resync-replica")) && why.contains(&next(&format!("do promote-waive {id}"))), "{why}");
    let run = demo.qd(&["--json", "run", "resync-replica", "--wait"]).expect(0).json();
    assert_eq!(run["verdict"], "success", "{run}");
    demo.qd(&["do", "promote-soak", &id, "--with", "retake=true"]).expect(0);
    until(&demo, "READY");
    let socket = PathBuf::from(demo.ready["socket"].as_str().unwrap());
    let doc = crate::api::raw(&socket, "GET", &format!("/v1/promotions/{id}"), "").1;
    let result = |n: usize| doc["gates"][n - 1]["result"].as_str().unwrap().to_owned();
    assert_eq!([1, 2, 10].map(result), ["OK"; 3], "{:#}", doc["gates"]);
    // Both halves of it are judged by runs of their own.
    let rests_on = doc["gates"][3]["evidence"].to_string();
    assert!(
        result(4) == "OK" && rests_on.contains("canary:rpm green rpmcanary#") && rests_on.contains("canary:inspector green rpminspector#"),
        "{rests_on}"
    );

    // Two people: whoever sits at the demo, and one who lives in it. Neither stands for the other, and none for both.
    let said = demo.qd(&["approve", &id, "--comment", "looked"]).expect(0).stdout;
    assert!(said.contains("approved for ops") && said.contains("missing: security"), "{said}");
    demo.qd(&["approve", &id, "-p", "side=security"]).expect(4);
    demo.qd(&["do", "promote-start", &id, "--reason", "quarter", "--confirm", "promote el9"]).expect(4);
    demo.qd(&["demo", "as", "op-07", "do", "promote-veto", "PR-2025Q2-el9", "--reason", "x", "--confirm", "PR-2025Q2-el9"]).expect(4);
    demo.qd(&["demo", "as", "somebody", "get", "runs"]).expect(2);
    let said = demo.qd(&["demo", "as", "sec-02", "approve", &id, "--comment", "CVE list read"]).expect(0).stdout;
    assert!(said.contains("APPROVED") && !said.contains("single person"), "{said}");
    let given = crate::api::raw(&socket, "GET", &format!("/v1/promotions/{id}"), "").1["approvals"].clone();
    let who: Vec<(&str, &str, bool)> = given
        .as_array()
        .unwrap()
        .iter()
        .map(|a| (a["side"].as_str().unwrap(), a["who"].as_str().unwrap(), a["single_person"].as_bool().unwrap()))
        .collect();
    assert_eq!((who.len(), who[0].0, who[0].2, who[1]), (2, "ops", false, ("security", "sec-02", false)), "{given}");
    demo.qd(&["do", "promote-start", &id, "--reason", "quarter", "--confirm", "promote el9"]).expect(0);
    let run = until(&demo, "IMAGING")["run"].as_str().unwrap().to_owned();
    assert_eq!(served(&demo, "el9/stable/baseos"), served(&demo, "base9"), "stable is the compose that was soaked");
    assert_eq!(served(&demo, "el9/stable/appstream"), served(&demo, "appstream9"));
    for stage in ["Images", "ISO and bundles", "Waves"] {
        let stage = format!("stage={stage}");
        until_some(&stage, || (demo.qd(&["approve", &run, "-p", &stage]).code == 0).then_some(()));
    }
    until(&demo, "CLOSED");
    let out = demo.qd(&["do", "promote-rollback", &id, "--reason", "drill", "--confirm", &id]).expect(0);
    assert!(out.stdout.contains("not undone"), "{out:?}");
    until(&demo, "ROLLED-BACK");
    assert_eq!(served(&demo, "el9/stable/baseos"), old);

    let pack = demo.state().join("pack.tar.gz");
    demo.qd(&["evidence", &id, "-o", &pack.display().to_string()]).expect(0);
    let verify = "ssh-keygen -Y verify -f allowed_signers -I promotions@ops.example -n quarterdeck-evidence -s SHA256SUMS.sig < SHA256SUMS";
    let signed = have_program("ssh-keygen");
    let then = if signed { verify } else { "grep -q UNSIGNED README.txt" };
    let script = format!("tar xzf pack.tar.gz && cd evidence-{id} && sha256sum -c --strict SHA256SUMS && {then}");
    let out = Command::new("sh").arg("-ec").arg(script).current_dir(demo.state()).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    if !signed {
        skip(test, "no ssh-keygen: the signature is not verified");
    }
}
