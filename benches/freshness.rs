//! A look at 16 repositories with three replicas each, where nothing moved: requests, bytes of bodies, time.
//!
//! Sixty-four places on four servers, as `quarterdeck why REPOSITORY` looks at them: at once, with a sample of the packages of each place.
//! (A look that is merely due asks once a place.)
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/mod.rs"]
mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;

use common::{Samples, ms, size};
use quarterdeck::demo::catalogue::{Repo, compose};
use quarterdeck::demo::publish::{self, Index, repo_dir};
use quarterdeck::demo::upstream::{Options, Upstream};
use support::home::Home;

const US: &str = "quarterdeck";
const DCS: [&str; 3] = ["alder", "birch", "cedar"];

fn main() {
    let mut samples = Samples::new("freshness");
    let pairs = size(16, 2);
    let served = tempfile::tempdir().expect("a temporary directory");
    let made = served.path().join("made");
    std::fs::create_dir(&made).expect("a directory");
    publish::publish(&made, &compose(1, 1), &mut Index::new(1), &mut |_| Ok(())).expect("a compose");
    let servers: Vec<(&str, Upstream)> = ["upstream"]
        .into_iter()
        .chain(DCS)
        .map(|place| {
            let root = served.path().join(place);
            for i in 0..pairs {
                copy(&repo_dir(&made, Repo::BaseOS), &root.join(format!("r{i}")));
            }
            (place, Upstream::start(&root, Options::default()).expect("a server"))
        })
        .collect();
    let home = Home::new();
    home.site(&site(&servers, pairs));
    let rows = || home.json(&["get", "mirrors"])["rows"].as_array().cloned().unwrap_or_default();
    let fresh = |r: &serde_json::Value| r["dc"].is_string() && r["freshness"] == "fresh";
    support::wait::until("every replica to be fresh", || rows().into_iter().filter(fresh).count() == pairs * DCS.len());
    for _ in 0..size(20, 1) {
        servers.iter().for_each(|(_, s)| s.counters().reset());
        let (took, ()) = ms(|| look(&home, pairs));
        let sum = |f: fn(&Upstream) -> u64| servers.iter().map(|(_, s)| f(s)).sum::<u64>() as f64;
        let version = env!("CARGO_PKG_VERSION");
        samples.add(US, version, "a look at all pairs", "ms", took);
        samples.add(US, version, "requests", "requests", sum(|s| s.counters().requests()));
        samples.add(US, version, "bytes of bodies", "bytes", sum(|s| s.counters().bytes()));
    }
    println!(
        "  {pairs} pairs, {} places: {} requests, {} bytes of bodies",
        pairs * 4,
        samples.median(US, "requests"),
        samples.median(US, "bytes of bodies")
    );
    samples.finish();
}

/// Asks for all of them at the same time.
fn look(home: &Home, pairs: usize) {
    let asked: Vec<_> = (0..pairs)
        .map(|i| {
            let mut command = home.command(["why", &format!("r{i}")]);
            command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the command starts")
        })
        .collect();
    for mut child in asked {
        assert!(child.wait().expect("it ends").success());
    }
}

fn site(servers: &[(&str, Upstream)], pairs: usize) -> String {
    let mut text = String::from("time_zone = \"UTC\"\n");
    for i in 0..pairs {
        let url = |s: &Upstream| format!("{}/r{i}/", s.url());
        let replicas: Vec<String> = servers[1..].iter().map(|(dc, s)| format!("\"{dc}={}\"", url(s))).collect();
        let _ = writeln!(
            text,
            "[repos.r{i}]\nupstream = [\"{}\"]\nwriter = \"external\"\nos = \"el9\"\nreplicas = [{}]",
            url(&servers[0].1),
            replicas.join(", ")
        );
    }
    text
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a repository") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("a copy");
        }
    }
}
