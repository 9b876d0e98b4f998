//! Upstreams at their worst: every case ends in a defined way, says so in words, and leaves the served tree as it was.

use std::sync::Arc;
use std::time::Duration;

use quarterdeck::demo::faults::{Fault, Match};
use quarterdeck::demo::hostile::{TRICKS, Trick, repository};

use super::{Repo, World, read_whole, run, snapshot};

fn whole_repo() -> Repo {
    Repo::of(&[("a.rpm", 900), ("b.rpm", 900), ("c.rpm", 900)])
}

/// A mirror of compose one, and an upstream that has compose two.
fn behind() -> World {
    let mut repo = whole_repo();
    let world = World::new(&repo);
    world.sync(&[]).expect(0);
    repo.put("new.rpm", 900, 0);
    repo.write(&world.up());
    world
}

#[test]
fn every_fault_has_its_exit_code_and_its_words() {
    let status = |code| Fault::Status { code, retry_after: None };
    let package = || Match::EndsWith("new.rpm".into());
    let repomd = || Match::EndsWith("repomd.xml".into());
    let primary = || Match::EndsWith("primary.xml.gz".into());
    let cases: Vec<(Match, Fault, i32, &[&str])> = vec![
        (repomd(), status(404), 3, &["repomd.xml", "404", "not found"]),
        (repomd(), status(403), 3, &["403", "forbidden"]),
        (repomd(), status(503), 3, &["503", "trouble"]),
        (repomd(), Fault::Html, 1, &["not repomd.xml", "web page"]),
        (repomd(), Fault::Replace { body: Arc::new(b"<repomd><data".to_vec()) }, 1, &["repomd.xml"]),
        (repomd(), Fault::Replace { body: Arc::new(Vec::new()) }, 1, &["empty"]),
        (repomd(), Fault::RedirectLoop, 3, &["redirect"]),
        (repomd(), Fault::Redirect { to: "ftp://h/x".into() }, 3, &["ftp"]),
        (repomd(), Fault::Redirect { to: "repomd.xml".into() }, 3, &["redirect loop"]),
        (repomd(), Fault::Mute, 3, &["stalled"]),
        (repomd(), Fault::Stall { after: 10 }, 3, &["stalled"]),
        (repomd(), Fault::Hangup, 3, &["repomd.xml"]),
        (repomd(), Fault::Truncate { keep: 100 }, 3, &["cut off"]),
        (repomd(), Fault::Endless { chunk: 65_536 }, 1, &["repomd.xml: the answer is larger than 4.0 MiB"]),
        (primary(), Fault::Html, 1, &["primary.xml.gz", "push"]),
        (primary(), status(404), 1, &["primary.xml.gz", "push"]),
        (primary(), Fault::FlipBit { at: 20 }, 1, &["primary.xml.gz", "expected sha256"]),
        (primary(), Fault::Endless { chunk: 65_536 }, 1, &["larger than"]),
        (package(), status(404), 3, &["Packages/new.rpm", "404"]),
        (package(), status(503), 3, &["Packages/new.rpm", "503"]),
        (package(), Fault::Html, 1, &["Packages/new.rpm", "web page"]),
        (package(), Fault::FlipBit { at: 450 }, 1, &["Packages/new.rpm", "expected sha256", "got"]),
        (package(), Fault::Truncate { keep: 400 }, 3, &["Packages/new.rpm", "cut off"]),
        (package(), Fault::Endless { chunk: 4096 }, 1, &["larger than 900 B"]),
        (package(), Fault::Stall { after: 5 }, 3, &["Packages/new.rpm", "stalled"]),
        (package(), Fault::RedirectLoop, 3, &["redirect"]),
    ];
    let world = behind();
    let before = snapshot(&world.dest());
    for (matches, fault, code, words) in cases {
        world.upstream.faults().clear();
        world.upstream.faults().always(matches, fault.clone());
        let out = world.sync(&["stall=300ms", "attempts=2"]);
        assert_eq!(out.code, code, "{fault:?}: {out:?}");
        for word in words {
            assert!(out.stderr.contains(word), "{fault:?} lacks `{word}`: {}", out.stderr);
        }
        assert!(out.stderr.contains("next:"), "{fault:?}: {}", out.stderr);
        assert_eq!(world.told().0, out.stderr.split("mirror/sync: ").last().unwrap().lines().next().unwrap(), "{fault:?}");
        assert_eq!(snapshot(&world.dest()), before, "{fault:?}");
    }
    world.upstream.faults().clear();
    world.sync(&[]).expect(0);
    assert_eq!(read_whole(&world.dest(), || ()), Ok(4));
}

#[test]
fn what_heals_by_itself_is_asked_again() {
    let package = || Match::EndsWith("new.rpm".into());
    for (matches, fault) in [
        (Match::EndsWith("repomd.xml".into()), Fault::Status { code: 503, retry_after: Some(0) }),
        (package(), Fault::Status { code: 503, retry_after: Some(0) }),
        (package(), Fault::Truncate { keep: 400 }),
        (package(), Fault::FlipBit { at: 450 }),
        (package(), Fault::Html),
        (package(), Fault::Hangup),
        (package(), Fault::Stall { after: 5 }),
        (Match::EndsWith("primary.xml.gz".into()), Fault::FlipBit { at: 20 }),
        (package(), Fault::NoLength),
        (package(), Fault::Trickle { bytes: 100, every: Duration::from_millis(1) }),
    ] {
        let world = behind();
        world.upstream.faults().times(1, matches, fault.clone());
        let out = world.sync(&["stall=300ms"]);
        assert_eq!(out.code, 0, "{fault:?}: {out:?}");
        assert!(world.upstream.faults().hits() == 1, "{fault:?}");
        assert_eq!(read_whole(&world.dest(), || ()), Ok(4), "{fault:?}");
    }
}

#[test]
fn a_push_that_ends_while_we_look_is_waited_for() {
    let mut repo = whole_repo();
    let world = World::new(&repo);
    world.sync(&[]).expect(0);
    repo.put("new.rpm", 900, 0);
    // repomd.xml of the push is there, its primary is not yet.
    repo.write(&world.up());
    world.upstream.faults().times(2, Match::EndsWith("primary.xml.gz".into()), Fault::Status { code: 404, retry_after: None });
    let out = world.sync(&[]).expect(0);
    assert!(out.stderr.contains("middle of a push"), "{out:?}");
    assert_eq!(read_whole(&world.dest(), || ()), Ok(4));
}

#[test]
fn every_lie_of_a_repository_has_its_exit_code_and_its_words() {
    for &trick in TRICKS {
        let dir = tempfile::tempdir().unwrap();
        let up = dir.path().join("up/deep/er");
        repository(&up, trick).unwrap();
        let upstream = quarterdeck::demo::upstream::Upstream::start(&up, Default::default()).unwrap();
        let world = World { dir, upstream };
        let out = world.sync(&["attempts=1"]);
        let (code, word) = expected(trick);
        assert_eq!(out.code, code, "{trick:?}: {out:?}");
        assert!(out.stderr.contains(word), "{trick:?} lacks `{word}`: {}", out.stderr);
        assert!(!out.stderr.contains('\u{7f}') && !out.stderr.contains('\u{1b}') && out.stderr.len() < 3000, "{trick:?}: {}", out.stderr);
        assert_eq!(world.dest().join("repodata/repomd.xml").exists(), code == 0, "{trick:?}");
        let mut top: Vec<_> = std::fs::read_dir(world.dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        top.sort();
        assert_eq!(top, ["mirror", "report", "up"], "{trick:?}");
    }
}

fn expected(trick: Trick) -> (i32, &'static str) {
    match trick {
        // Nothing was there before, so nothing shrank; a wrong number in a head line harms nobody.
        Trick::None | Trick::Empty | Trick::CountLies => (0, ""),
        Trick::DotDot | Trick::EncodedDotDot | Trick::MetadataDotDot => (1, "leaves the repository"),
        Trick::Absolute => (1, "absolute"),
        Trick::OtherHost => (3, "404"),
        Trick::OverMetadata => (1, "repodata/"),
        Trick::OverOwner => (1, ".quarterdeck"),
        Trick::ControlCharacters => (1, "control character"),
        Trick::LongName => (1, "longer than"),
        Trick::TwoOfOneName => (1, "two packages have the name"),
        Trick::Missing | Trick::MidPush => (3, "404"),
        Trick::Short => (1, "bytes"),
        Trick::Altered => (1, "expected sha256"),
        Trick::Bomb => (1, "bomb"),
        Trick::MetadataAltered => (1, "does not fit repomd.xml"),
        Trick::RepomdCut | Trick::PrimaryCut => (1, "ends in the middle"),
        Trick::Entities => (1, "document type"),
        Trick::NoPrimary => (1, "primary"),
        Trick::UnknownChecksum => (1, "crc32"),
    }
}

#[test]
fn a_repository_that_shrank_needs_a_word_from_a_person() {
    let names: Vec<String> = (0..10).map(|i| format!("p{i}.rpm")).collect();
    let mut repo = Repo::of(&names.iter().map(|n| (n.as_str(), 500)).collect::<Vec<_>>());
    let world = World::new(&repo);
    world.sync(&[]).expect(0);
    let before = snapshot(&world.dest());
    for n in &names[..3] {
        repo.packages.remove(n);
    }
    repo.write(&world.up());
    let out = world.sync(&[]).expect(4);
    assert!(
        out.stderr.contains("from 10 packages") && out.stderr.contains("to 7 packages") && out.stderr.contains("shrink=allow"),
        "{out:?}"
    );
    assert_eq!(snapshot(&world.dest()), before);
    world.sync(&["shrink=30"]).expect(0);
    repo.packages.clear();
    repo.write(&world.up());
    let out = world.sync(&["shrink=100%"]).expect(4);
    assert!(out.stderr.contains("an empty repository is never taken for a percentage") && !out.stderr.contains("100 %"), "{out:?}");
    let out = world.sync(&["shrink=101%"]).expect(2);
    assert!(out.stderr.contains("`shrink` is `101%`"), "{out:?}");
    world.sync(&["shrink=allow"]).expect(0);
    assert_eq!(read_whole(&world.dest(), || ()), Ok(0));
}

#[test]
fn wrong_use_is_told_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("m");
    for (with, word) in [
        (&["url=ftp://h/x"][..], "http or https"),
        (&["url=http://user:hunter2@"], "cannot be used"),
        (&["urll=http://h/x"], "did you mean `url`"),
        (&["url=http://h/x", "parallel=many"], "whole number"),
        (&[], "`url` is required"),
    ] {
        let out = run(super::step("mirror/sync", with, &dest, &dir.path().join("report"))).expect(2);
        assert!(out.stderr.contains(word) && !out.stderr.contains("hunter2"), "{with:?}: {out:?}");
        assert!(!dest.exists(), "{with:?}");
    }
}

/// Writes one more metadata file, and names it in `repomd.xml` under its checksum.
fn with_metadata(up: &std::path::Path, ty: &str, name: &str, bytes: &[u8]) {
    let (sum, at) = (super::sha256(bytes), up.join("repodata/repomd.xml"));
    let file = format!("{sum}-{name}");
    std::fs::write(up.join("repodata").join(&file), bytes).unwrap();
    let data = format!(
        "<data type=\"{ty}\"><checksum type=\"sha256\">{sum}</checksum><location href=\"repodata/{file}\"/><size>{}</size></data></repomd>",
        bytes.len()
    );
    let text = std::fs::read_to_string(&at).unwrap().replace("</repomd>", &data);
    std::fs::write(&at, text).unwrap();
}

#[test]
fn two_metadata_files_of_the_same_bytes_are_both_served() {
    let world = World::new(&whole_repo());
    for (ty, name) in [("group", "comps.xml"), ("productid", "productid"), ("group_plain", "more-comps.xml")] {
        with_metadata(&world.up(), ty, name, b"<comps/>");
    }
    world.sync(&[]).expect(0);
    assert_eq!(snapshot(&world.dest()), snapshot(&world.up()));
}

#[test]
fn what_dnf_cannot_read_does_not_take_the_place_of_what_it_can() {
    let world = behind();
    let before = snapshot(&world.dest());
    let at = world.up().join("repodata/repomd.xml");
    let good = std::fs::read_to_string(&at).unwrap();
    let sum = good.split("<checksum type=\"sha256\">").nth(1).unwrap()[..64].to_owned();
    for (bad, words) in [
        (good.replacen(&sum, &sum.to_uppercase(), 1), "a checksum of `primary` in small letters"),
        (good.replace("<revision>x", "<revision>\u{1b}"), "a control character (0x1b), which dnf refuses"),
        (good.replace("<revision>x", "<revision>&#7;"), "`&#7;` is no character"),
    ] {
        std::fs::write(&at, bad).unwrap();
        let out = world.sync(&["attempts=1"]).expect(1);
        assert!(out.stderr.contains(words) && out.stderr.contains("next:"), "{words}: {out:?}");
        assert_eq!(snapshot(&world.dest()), before, "{words}");
    }
    std::fs::write(&at, good).unwrap();
    world.sync(&[]).expect(0);
}
