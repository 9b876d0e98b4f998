//! What is promoted and taken back is seen by genuine dnf clients of each datacentre: those that ask anew, and one that still holds the metadata
//! of before and then wants a package of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use quarterdeck::demo::catalogue::{Compose, Package, Repo, compose};
use quarterdeck::demo::upstream::{Options, Upstream};
use quarterdeck::demo::{advance, publish};

use crate::demo_tools::{dnf, dnf_nevras, have};
use crate::promotion::{DCS, Estate, WITHOUT};
use crate::support::{skip, until_some};

const SEED: u64 = 17;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let done = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(done.success(), "{} to {}", from.display(), to.display());
}

/// Two composes of the demo, each kept as the trees `base` and `app`.
fn composes(dir: &Path) -> PathBuf {
    let (home, kept) = (dir.join("d"), dir.join("composes"));
    let estate = quarterdeck::demo::Estate::start(&home, SEED).unwrap();
    for n in 1..=2 {
        if n > 1 {
            advance(&home).unwrap();
        }
        for (repo, name) in [(Repo::BaseOS, "base"), (Repo::AppStream, "app")] {
            copy(&publish::repo_dir(&estate.places().upstream_dir(), repo), &kept.join(n.to_string()).join(name));
        }
    }
    kept
}

fn nevras(c: &Compose) -> BTreeSet<String> {
    c.packages.iter().map(Package::nevra).collect()
}

#[test]
fn real_dnf_clients_of_each_datacentre_see_a_promotion_and_its_way_back() {
    if !have("promotion.dnf", &["dnf"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let kept = composes(dir.path());
    let e = Estate::of(Box::new(move |n, name, at| copy(&kept.join(n.to_string()).join(name), at)), WITHOUT, "");
    let servers = DCS.map(|dc| Upstream::start(&e.root(dc), Options::default()).unwrap());
    let repos = |i: usize| ["base", "app"].map(|name| (name, format!("{}/stable/{name}/", servers[i].url())));
    let sees = |i: usize, round: &str| dnf_nevras(&dir.path().join(format!("{}-{round}", DCS[i])), &repos(i));
    let (old, new) = (nevras(&compose(SEED, 1)), nevras(&compose(SEED, 2)));
    assert_ne!(old, new);
    let id = e.approved();
    for (i, dc) in DCS.iter().enumerate() {
        assert_eq!(sees(i, "0"), old, "{dc}");
    }
    // One that has the metadata of before, and keeps it.
    let patient = dir.path().join("patient");
    assert_eq!(dnf_nevras(&patient, &repos(0)), old);
    let gone = old.difference(&new).next().unwrap().clone();
    e.start(&id).expect(0);
    e.until("IMAGING");
    for (i, dc) in DCS.iter().enumerate() {
        assert_eq!(sees(i, "1"), new, "{dc}");
    }
    let wanted = dir.path().join("wanted");
    let out = dnf(&patient, &repos(0), &["download", "--destdir", &wanted.display().to_string(), &gone]);
    match out.stderr.contains("No such command") {
        true => skip("promotion.dnf-download", "dnf has no download plugin (dnf-plugins-core)"),
        false => {
            assert_eq!(out.code, 0, "a client that straddles the switch: {out:?}");
            assert_eq!(std::fs::read_dir(&wanted).unwrap().count(), 1, "{gone}");
        }
    }
    e.people(&id);
    e.until("CLOSED");
    e.qd(&["do", "promote-rollback", &id, "--reason", "r", "--confirm", &id]).expect(0);
    until_some("the way back", || Some(e.promotion()).filter(|p| p["state"] == "ROLLED-BACK"));
    for (i, dc) in DCS.iter().enumerate() {
        assert_eq!(sees(i, "2"), old, "{dc}");
        // And one that has both behind it: it asks whether what it holds is still so.
        let again = dnf(
            &dir.path().join(format!("{dc}-1")),
            &repos(i),
            &["--refresh", "repoquery", "--qf", "%{name}-%{epoch}:%{version}-%{release}.%{arch}"],
        );
        assert_eq!(again.expect(0).stdout.lines().map(str::to_owned).collect::<BTreeSet<_>>(), old, "{dc}");
    }
}

#[test]
fn a_candidate_that_takes_back_a_fix_is_stopped_with_its_cve_id() {
    let dir = tempfile::tempdir().unwrap();
    let kept = composes(dir.path());
    // Upstream goes back: what is served is the second compose, and the candidate the first.
    let back = move |n: u8, name: &str, at: &Path| copy(&kept.join((3 - n).to_string()).join(name), at);
    let e = Estate::of(Box::new(back), WITHOUT, "");
    e.home.json(&["do", "promote", "el9", "--reason", "quarter"]);
    let id = e.promotion()["promotion"].as_str().unwrap().to_owned();
    e.qd(&["do", "promote-soak", &id]).expect(0);
    e.until("GATED");
    let gate = until_some("the gates to be judged", || Some(e.document(&id)["gates"][6].clone()).filter(|g| g["result"] == "FAIL"));
    let said = gate["detail"].as_str().unwrap();
    assert!(said.contains("goes back from") && said.contains("CVE-") && said.contains("would be open again"), "{gate}");
    let why = e.qd(&["why", &id]).expect(0).stdout;
    assert!(why.contains("G7 signatures: FAIL") && why.contains("next: hold it as it is served"), "{why}");
}
