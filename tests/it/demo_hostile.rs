//! mirror/sync against every hostile repository and every fault of the demo's upstream: whatever upstream does, the tree that
//! is served stays whole, nothing is written outside it, and the message says what was wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use quarterdeck::demo::faults::{Fault, Match};
use quarterdeck::demo::hostile::{PACKAGES, TRICKS, Trick, large, repository};
use quarterdeck::demo::upstream::{Options, Upstream};

use crate::demo_tools::{document, packages_of};
use crate::support::home::{EXE, Out, run};
use crate::support::until;

struct Bench {
    _top: tempfile::TempDir,
    server: Upstream,
    served: PathBuf,
    outside: PathBuf,
    dest: PathBuf,
}

impl Bench {
    /// An upstream that is still honest, and where its mirror will be: three directories deep, so that `../..` stays ours.
    fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        let (served, outside) = (top.path().join("up/r"), top.path().join("area"));
        let dest = outside.join("mirror/x/r");
        std::fs::create_dir_all(&dest).unwrap();
        repository(&served, Trick::None).unwrap();
        let server = Upstream::start(&top.path().join("up"), Options::default()).unwrap();
        Self { _top: top, server, served, outside, dest }
    }

    fn become_hostile(&self, trick: Trick) {
        std::fs::remove_dir_all(&self.served).unwrap();
        repository(&self.served, trick).unwrap();
    }

    fn sync(&self, more: &[&str]) -> Out {
        run(self.command(more))
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut c = Command::new(EXE);
        c.args(["step", "mirror/sync", "--with", &format!("url={}/r", self.server.url())]);
        c.args(["--with", &format!("dest={}", self.dest.display())]);
        let usual = ["attempts=2", "stall=1s"];
        let unsaid = |w: &&&str| !more.iter().any(|m| m.split('=').next() == w.split('=').next());
        for with in usual.iter().filter(unsaid).chain(more) {
            c.args(["--with", with]);
        }
        c
    }

    /// What readers can see: the repository's own files, by path.
    fn visible(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut out = BTreeMap::new();
        for sub in ["repodata", "Packages"] {
            if let Ok(list) = std::fs::read_dir(self.dest.join(sub)) {
                for e in list.map(Result::unwrap).filter(|e| e.file_type().unwrap().is_file()) {
                    out.insert(Path::new(sub).join(e.file_name()), std::fs::read(e.path()).unwrap());
                }
            }
        }
        out
    }

    /// Names in the directories around the mirror.
    fn around(&self) -> Vec<PathBuf> {
        let mut out = Vec::new();
        for dir in [&self.outside, &self.outside.join("mirror"), &self.outside.join("mirror/x")] {
            out.extend(std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()));
        }
        out.sort();
        out
    }

    /// Every package that the served metadata names is there and has its checksum.
    fn whole(&self) -> usize {
        let listed = packages_of(&document(&self.dest, "primary"));
        for (nevra, f) in &listed {
            let href = f["package/location@href"].first().unwrap();
            let bytes = std::fs::read(self.dest.join(href)).unwrap_or_else(|e| panic!("{nevra}: {e}"));
            assert_eq!(&quarterdeck::demo::files::sha256(&bytes), f["package/checksum"].first().unwrap(), "{nevra}");
        }
        listed.len()
    }
}

/// A failure is exit 1, 3 or 4, and tells at least where it was and what to do.
fn told(what: &str, out: &Out) {
    assert!(matches!(out.code, 1 | 3 | 4), "{what}: {out:?}");
    assert!(out.stderr.contains("mirror/sync:") && out.stderr.contains("next:"), "{what}: {out:?}");
    assert!(!out.stderr.contains('\u{1b}') && !out.stdout.contains('\u{1b}'), "{what}: {out:?}");
}

/// Runs `case` for each item, all at the same time: most of it is waiting. Fails with what failed first.
fn each<T: Sync>(items: &[T], case: impl Fn(&T) + Sync) {
    std::thread::scope(|s| {
        let all: Vec<_> = items.iter().map(|item| s.spawn(|| case(item))).collect();
        let failed: Vec<_> = all.into_iter().filter_map(|t| t.join().err()).collect();
        if let Some(first) = failed.into_iter().next() {
            std::panic::resume_unwind(first);
        }
    });
}

#[test]
fn a_mirror_stays_whole_whatever_repository_upstream_turns_into() {
    each(TRICKS, |trick| {
        let b = Bench::new();
        b.sync(&[]).expect(0);
        assert_eq!(b.whole(), PACKAGES);
        let (served, around) = (b.visible(), b.around());
        b.become_hostile(*trick);
        told(&format!("{trick:?}"), &b.sync(&[]));
        for (path, bytes) in &served {
            assert_eq!(b.visible().get(path), Some(bytes), "{trick:?}: {}", path.display());
        }
        assert_eq!(b.whole(), PACKAGES, "{trick:?}");
        assert_eq!(b.around(), around, "{trick:?}");
        // Honest again: the next sync needs no help.
        b.become_hostile(Trick::None);
        b.sync(&[]).expect(0);
        assert_eq!(b.whole(), PACKAGES, "{trick:?}");
    });
}

#[test]
fn a_new_mirror_of_a_hostile_repository_publishes_nothing() {
    let tricks: Vec<Trick> = TRICKS.iter().copied().filter(|t| *t != Trick::Empty).collect();
    each(&tricks, |trick| {
        let b = Bench::new();
        b.become_hostile(*trick);
        let around = b.around();
        told(&format!("{trick:?}"), &b.sync(&[]));
        assert!(!b.dest.join("repodata/repomd.xml").exists(), "{trick:?}");
        assert_eq!(b.around(), around, "{trick:?}");
    });
}

#[test]
fn a_wrong_number_of_packages_in_a_head_line_harms_nobody() {
    let b = Bench::new();
    b.become_hostile(Trick::CountLies);
    b.sync(&[]).expect(0);
    assert_eq!(b.whole(), PACKAGES);
}

#[test]
fn an_upstream_that_shrank_to_nothing_is_followed_only_when_told_to() {
    let b = Bench::new();
    b.sync(&[]).expect(0);
    b.become_hostile(Trick::Empty);
    told("shrink", &b.sync(&[]));
    b.sync(&["shrink=allow"]).expect(0);
    assert_eq!(b.whole(), 0);
}

#[test]
fn what_goes_wrong_on_the_wire_is_told_and_leaves_the_tree_as_it_was() {
    let rpm = || Match::EndsWith(".rpm".into());
    let md = || Match::EndsWith("repomd.xml".into());
    let cases: Vec<(&str, Match, Fault)> = vec![
        ("404 of the repository", md(), Fault::Status { code: 404, retry_after: None }),
        ("503 for ever", md(), Fault::Status { code: 503, retry_after: Some(0) }),
        ("HTML instead of repomd", md(), Fault::Html),
        ("redirects for ever", md(), Fault::RedirectLoop),
        ("a redirect to a file", md(), Fault::Redirect { to: "file:///etc/passwd".into() }),
        ("repomd without an end", md(), Fault::Endless { chunk: 1 << 16 }),
        ("no answer", md(), Fault::Mute),
        ("hang-up", md(), Fault::Hangup),
        ("404 of a package", rpm(), Fault::Status { code: 404, retry_after: None }),
        ("HTML instead of a package", rpm(), Fault::Html),
        ("a package cut short", rpm(), Fault::Truncate { keep: 1500 }),
        ("a bit of a package", rpm(), Fault::FlipBit { at: 2000 }),
        ("a package that stalls", rpm(), Fault::Stall { after: 1000 }),
        ("a package without an end", rpm(), Fault::Endless { chunk: 1 << 16 }),
        ("another package", rpm(), Fault::Replace { body: Arc::new(vec![1; 3000]) }),
        ("a bit of the metadata", Match::EndsWith("primary.xml.gz".into()), Fault::FlipBit { at: 300 }),
        ("metadata without an end", Match::EndsWith("primary.xml.gz".into()), Fault::Endless { chunk: 1 << 16 }),
    ];
    each(&cases, |(what, matches, fault)| {
        let b = Bench::new();
        b.server.faults().always(matches.clone(), fault.clone());
        told(what, &b.sync(&[]));
        assert!(!b.dest.join("repodata/repomd.xml").exists(), "{what}");
        b.server.faults().clear();
        b.sync(&[]).expect(0);
        assert_eq!(b.whole(), PACKAGES, "{what}");
    });
}

#[test]
fn what_a_second_try_can_mend_is_mended() {
    let all = || Match::Contains("/r/".into());
    let rpm = || Match::EndsWith(".rpm".into());
    for (what, times, matches, fault) in [
        ("503 and Retry-After", 1, all(), Fault::Status { code: 503, retry_after: Some(1) }),
        ("hang-up", 1, rpm(), Fault::Hangup),
        ("a cut package", 3, rpm(), Fault::Truncate { keep: 1500 }),
        ("a package from its beginning when its end was asked for", 1, rpm(), Fault::IgnoreRange),
        ("no length", 9, rpm(), Fault::NoLength),
        ("a trickle", 9, rpm(), Fault::Trickle { bytes: 700, every: Duration::from_millis(2) }),
    ] {
        let b = Bench::new();
        b.server.faults().times(times, matches, fault);
        let out = b.sync(&["attempts=4"]);
        assert_eq!(out.code, 0, "{what}: {out:?}");
        assert!(b.server.faults().hits() > 0, "{what}");
        assert_eq!(b.whole(), PACKAGES, "{what}");
    }
}

#[test]
fn half_a_package_on_disk_is_resumed_and_a_lying_range_does_no_harm() {
    let b = Bench::new();
    std::fs::remove_dir_all(&b.served).unwrap();
    large(&b.served, 3).unwrap();
    let rpm = || Match::EndsWith(".rpm".into());
    b.server.faults().always(rpm(), Fault::Truncate { keep: 2 << 20 });
    told("cut", &b.sync(&["attempts=1"]));
    // The rest is asked for, and the beginning given again as if it were the rest; then the file as it is.
    b.server.faults().clear();
    b.server.faults().times(1, rpm(), Fault::WrongRange);
    b.sync(&["attempts=3"]).expect(0);
    assert_eq!(b.whole(), 1);
    assert!(b.server.counters().status(206) > 0, "nothing was resumed");
}

#[test]
fn a_resumed_package_costs_only_its_rest_and_survives_a_kill() {
    let b = Bench::new();
    std::fs::remove_dir_all(&b.served).unwrap();
    large(&b.served, 3).unwrap();
    b.server.faults().times(1, Match::EndsWith(".rpm".into()), Fault::Stall { after: 2 << 20 });
    let mut child = b.command(&["stall=60s"]).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    until("two thirds to be sent", || b.server.counters().bytes() >= 2 << 20);
    let part = || {
        let list = std::fs::read_dir(b.dest.join(".quarterdeck/partial")).into_iter().flatten();
        list.filter_map(|e| e.ok()?.metadata().ok()).map(|m| m.len()).max().unwrap_or(0)
    };
    until("a part on disk", || part() >= 1 << 20);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!b.dest.join("repodata/repomd.xml").exists());
    b.server.counters().reset();
    b.sync(&[]).expect(0);
    assert_eq!((b.whole(), b.server.counters().status(206)), (1, 1));
    assert!(b.server.counters().bytes() < (2 << 20) + 100_000, "{} bytes", b.server.counters().bytes());
}
