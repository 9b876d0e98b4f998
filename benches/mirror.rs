//! `mirror/sync` of 2,000 packages beside `dnf reposync` and `wget`: the same server, the same run; cold, and with nothing new.
//!
//! wget is the floor: it checks nothing and publishes nothing. Requests and bytes are counted by the server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "common/mod.rs"]
mod common;
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Samples, ms, size};
use quarterdeck::demo::catalogue::{Arch, File, FileKind, Package, Repo};
use quarterdeck::demo::metadata::{Entry, describe, repodata};
use quarterdeck::demo::rpms;
use quarterdeck::demo::upstream::{Options, Upstream};
use support::home::Home;

const US: &str = "quarterdeck mirror/sync";
const REPOSYNC: &str = "dnf reposync";
const WGET: &str = "wget";
const COLD: &str = "cold";
const SAME: &str = "unchanged";

fn main() {
    let mut samples = Samples::new("mirror");
    let served = tempfile::tempdir().expect("a temporary directory");
    let n = size(2_000, 40);
    build(served.path(), n);
    let upstream = Upstream::start(served.path(), Options::default()).expect("the upstream starts");
    let work = tempfile::tempdir().expect("a temporary directory");
    for round in 0..size(5, 1) {
        ours(&mut samples, &upstream, n);
        if plugin_is_there() {
            reposync(&mut samples, &upstream, &work.path().join(format!("dnf{round}")), n);
        } else {
            support::skip("bench.reposync", "dnf reposync is not installed (Debian: dnf, dnf-plugins-core)");
        }
        if support::have_program("wget") {
            wget(&mut samples, &upstream, &work.path().join(format!("wget{round}")), n);
        } else {
            support::skip("bench.wget", "wget is not installed");
        }
    }
    samples.ratio(COLD, US, REPOSYNC, "at most 0.5");
    samples.ratio(COLD, US, WGET, "none: wget checks nothing");
    samples.ratio(SAME, US, REPOSYNC, "below 1");
    println!(
        "  unchanged: {} requests, {} bytes of bodies   (budget: 1 request, below 1,000 bytes)",
        samples.median(US, "requests, unchanged"),
        samples.median(US, "bytes of bodies, unchanged")
    );
    samples.finish();
}

/// `n` packages of about 10 kB with their metadata, as one repository.
fn build(dir: &Path, n: usize) {
    let packages = dir.join("Packages");
    std::fs::create_dir_all(&packages).expect("Packages");
    std::fs::create_dir_all(dir.join("repodata")).expect("repodata");
    let entries: Vec<Entry> = (0..n)
        .map(|i| {
            let package = package(i);
            let built = rpms::build(&package, 7).expect("the package is built");
            let href = format!("Packages/{}", package.file_name());
            std::fs::write(dir.join(&href), &built.bytes).expect("written");
            describe(&built.bytes, &built.metadata, &href, package.build_time).expect("described")
        })
        .collect();
    let all = repodata(&entries.iter().collect::<Vec<_>>(), Vec::new(), 1_774_926_000);
    for data in &all.data {
        std::fs::write(dir.join("repodata").join(&data.file), &data.bytes).expect("metadata");
    }
    std::fs::write(dir.join("repodata/repomd.xml"), &all.repomd).expect("repomd.xml");
}

fn package(i: usize) -> Package {
    Package {
        repo: Repo::BaseOS,
        name: format!("bench-{i:04}"),
        epoch: None,
        version: "1.0".into(),
        release: "1.el9".into(),
        arch: Arch::X86_64,
        source: format!("bench-{i:04}"),
        source_rpm: format!("bench-{i:04}-1.0-1.el9.src.rpm"),
        module: None,
        summary: "a package of the bench".into(),
        license: "MIT".into(),
        build_time: 1_774_926_000,
        requires: Vec::new(),
        provides: Vec::new(),
        files: vec![File { path: format!("/usr/share/bench-{i:04}/blob"), kind: FileKind::Regular { mode: 0o644, size: 8_000 } }],
        changelog: Vec::new(),
    }
}

/// One tool, cold and then unchanged: time, requests and bytes.
fn both(samples: &mut Samples, upstream: &Upstream, who: (&str, &str), mut sync: impl FnMut(), check: impl Fn()) {
    for metric in [COLD, SAME] {
        upstream.counters().reset();
        let (took, ()) = ms(&mut sync);
        check();
        samples.add(who.0, who.1, metric, "ms", took);
        samples.add(who.0, who.1, &format!("requests, {metric}"), "requests", upstream.counters().requests() as f64);
        samples.add(who.0, who.1, &format!("bytes of bodies, {metric}"), "bytes", upstream.counters().bytes() as f64);
    }
}

fn count(dir: &Path) -> usize {
    let mut dirs: Vec<PathBuf> = vec![dir.to_owned()];
    let mut found = 0;
    while let Some(dir) = dirs.pop() {
        for e in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            match e.file_type() {
                Ok(t) if t.is_dir() => dirs.push(e.path()),
                _ if e.file_name().to_string_lossy().ends_with(".rpm") => found += 1,
                _ => {}
            }
        }
    }
    found
}

fn run(mut command: Command) {
    let out = command.stdin(Stdio::null()).output().expect("the tool starts");
    assert!(out.status.success(), "{command:?}: {}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
}

fn ours(samples: &mut Samples, upstream: &Upstream, n: usize) {
    let home = Home::new();
    let dest = home.root().join("tree");
    let sync = || {
        let (url, dest) = (format!("url={}/", upstream.url()), format!("dest={}", dest.display()));
        run(home.command(["step", "mirror/sync", "--with", &url, "--with", &dest]));
    };
    both(samples, upstream, (US, env!("CARGO_PKG_VERSION")), sync, || assert_eq!(count(&dest), n));
}

fn plugin_is_there() -> bool {
    support::have_program("dnf")
        && Command::new("dnf").args(["--releasever=9", "reposync", "--help"]).output().is_ok_and(|o| o.status.success())
}

fn reposync(samples: &mut Samples, upstream: &Upstream, dir: &Path, n: usize) {
    let version = common::version("dnf");
    let sync = || {
        let mut c = Command::new("dnf");
        c.args(["--releasever=9", "--setopt=reposdir=/dev/null", "--setopt=keepcache=False"])
            .arg(format!("--setopt=cachedir={}", dir.join("cache").display()))
            .arg(format!("--setopt=logdir={}", dir.join("log").display()))
            .arg(format!("--repofrompath=bench,{}/", upstream.url()))
            .args(["--repoid=bench", "reposync", "--refresh", "--download-metadata", "--norepopath", "-p"])
            .arg(dir.join("tree"));
        run(c);
    };
    both(samples, upstream, (REPOSYNC, &version), sync, || assert_eq!(count(&dir.join("tree")), n));
}

fn wget(samples: &mut Samples, upstream: &Upstream, dir: &Path, n: usize) {
    let version = common::version("wget");
    std::fs::create_dir_all(dir).expect("directory");
    let sync = || {
        let mut c = Command::new("wget");
        c.args(["-q", "-r", "-l", "inf", "-N", "-np", "-nH", "-P"]).arg(dir).arg(format!("{}/", upstream.url()));
        run(c);
    };
    both(samples, upstream, (WGET, &version), sync, || assert_eq!(count(dir), n));
}
