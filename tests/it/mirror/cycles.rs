//! The good days: first sync, nothing new, next compose, what is kept and what goes.

use quarterdeck::demo::catalogue::Repo as DemoRepo;
use quarterdeck::demo::faults::{Fault, Match};
use quarterdeck::demo::{Estate, advance};

use super::{Repo, World, read_whole, run, snapshot, step, told};

#[test]
fn the_demo_s_repository_is_mirrored_whole_and_the_second_run_asks_one_question() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("d");
    let estate = Estate::start(&home, 5).unwrap();
    let (dest, report) = (dir.path().join("el9-base"), dir.path().join("report"));
    let sync = || run(step("mirror/sync", &[&format!("url={}", estate.repo_url(DemoRepo::BaseOS)), "set=el9"], &dest, &report));
    let out = sync().expect(0);
    let (detail, first) = told(&report);
    let count = read_whole(&dest, || ()).unwrap();
    assert_eq!(first["packages"], count.to_string());
    assert_eq!(first["downloaded"], count.to_string());
    assert_eq!(first["fact.set"], "el9");
    assert_eq!(first["fact.fp"], first["fp"]);
    assert!(detail.contains("packages") && out.stdout.contains("md "), "{detail} {out:?}");
    // All metadata is kept as upstream has it, byte for byte, and what signs it.
    let up = quarterdeck::demo::publish::repo_dir(&estate.places().upstream_dir(), DemoRepo::BaseOS);
    let ours = snapshot(&dest);
    for (path, digest) in snapshot(&up.join("repodata")) {
        assert_eq!(ours.get(&format!("repodata/{path}")), Some(&digest), "{path}");
    }
    let repomd = std::fs::read_to_string(dest.join("repodata/repomd.xml")).unwrap();
    for ty in ["primary", "filelists", "other", "group", "updateinfo"] {
        assert!(repomd.contains(&format!("type=\"{ty}\"")), "{ty}: {repomd}");
    }

    let counters = estate.upstream().counters();
    counters.reset();
    sync().expect(0);
    let (detail, second) = told(&report);
    assert_eq!((detail.as_str(), &second["fp"], &second["downloaded"]), ("no-change", &first["fp"], &"0".to_owned()));
    assert_eq!((counters.requests(), counters.status(304)), (1, 1));
    assert!(counters.bytes() < 1000, "{}", counters.bytes());
    assert_eq!(snapshot(&dest), ours);

    advance(&home).unwrap();
    counters.reset();
    sync().expect(0);
    let (_, third) = told(&report);
    assert_ne!(third["fp"], first["fp"]);
    assert_eq!(counters.ending(".rpm").to_string(), third["downloaded"]);
    let now = snapshot(&dest);
    for path in ours.keys().filter(|p| !p.starts_with("repodata/repomd.xml")) {
        assert!(now.contains_key(path), "{path} must stay one cycle");
    }
    read_whole(&dest, || ()).unwrap();
}

#[test]
fn what_leaves_the_repository_stays_one_cycle_and_strangers_stay_for_ever() {
    let mut repo = Repo::of(&[("a.rpm", 900), ("b.rpm", 900), ("c.rpm", 900), ("d.rpm", 900), ("e.rpm", 900), ("f.rpm", 900)]);
    let world = World::new(&repo);
    world.sync(&[]).expect(0);
    std::fs::write(world.dest().join("Packages/stranger.rpm"), "not ours").unwrap();
    std::fs::write(world.dest().join("README"), "hello").unwrap();
    let has = |name: &str| world.dest().join("Packages").join(name).exists();
    let metadata = || std::fs::read_dir(world.dest().join("repodata")).unwrap().count();
    repo.packages.remove("a.rpm");
    repo.write(&world.up());
    world.sync(&[]).expect(0);
    assert!(has("a.rpm") && metadata() == 3, "one cycle more");
    world.sync(&[]).expect(0);
    assert!(has("a.rpm"), "a run without change is no cycle");
    repo.put("g.rpm", 800, 0);
    repo.write(&world.up());
    world.sync(&[]).expect(0);
    assert!(!has("a.rpm") && has("g.rpm") && metadata() == 3);
    assert!(has("stranger.rpm") && world.dest().join("README").exists());
    // A package that comes back before it is removed is not removed.
    repo.packages.remove("b.rpm");
    repo.write(&world.up());
    world.sync(&[]).expect(0);
    repo.put("b.rpm", 900, 0);
    repo.write(&world.up());
    world.sync(&[]).expect(0);
    assert!(has("b.rpm"));
    read_whole(&world.dest(), || ()).unwrap();
}

#[test]
fn metadata_with_plain_names_is_served_under_names_that_cannot_tear() {
    let mut repo = Repo { plain_names: true, ..Repo::of(&[("a.rpm", 500), ("b.rpm", 500)]) };
    let world = World::new(&repo);
    world.sync(&[]).expect(0);
    let fp = world.told().1["fp"].clone();
    let named = Repo { plain_names: false, ..repo.clone() };
    let other = World::new(&named);
    other.sync(&[&format!("repo={}", "mirror")]).expect(0);
    assert_eq!(other.told().1["fp"], fp, "names of metadata are no content");
    assert!(!world.dest().join("repodata/primary.xml.gz").exists());
    let old = std::fs::read_to_string(world.dest().join("repodata/repomd.xml")).unwrap();
    assert!(old.contains("-primary.xml.gz\"/>"), "{old}");
    repo.put("c.rpm", 500, 0);
    repo.write(&world.up());
    // A reader that took repomd.xml before the publish reads its files after it.
    let read = read_whole(&world.dest(), || {
        world.sync(&[]).expect(0);
    });
    assert_eq!(read, Ok(2));
    assert_eq!(read_whole(&world.dest(), || ()), Ok(3));
    world.upstream.counters().reset();
    world.sync(&[]).expect(0);
    assert_eq!((world.told().0.as_str(), world.upstream.counters().requests()), ("no-change", 1));
}

#[test]
fn a_large_package_is_resumed_where_it_was_cut() {
    let repo = Repo::of(&[("small.rpm", 3000), ("large.rpm", 3 << 20)]);
    let world = World::new(&repo);
    world.upstream.faults().times(1, Match::EndsWith("large.rpm".into()), Fault::Truncate { keep: 2 << 20 });
    world.sync(&["attempts=1"]).expect(3);
    assert!(!world.dest().join("repodata").exists() && !world.dest().join("Packages").exists(), "nothing is served yet");
    world.upstream.counters().reset();
    world.sync(&[]).expect(0);
    let c = world.upstream.counters();
    assert_eq!(c.status(206), 1);
    assert!(c.bytes() < (1 << 20) + 200_000, "{} bytes came again", c.bytes());
    assert_eq!(c.ending("small.rpm"), 0, "what was complete is not fetched again");
    assert_eq!(read_whole(&world.dest(), || ()), Ok(2));
    assert_eq!(std::fs::read_dir(world.dest().join(".quarterdeck/new")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(world.dest().join(".quarterdeck/partial")).unwrap().count(), 0);
}

#[test]
fn a_part_that_does_not_fit_is_fetched_whole() {
    for fault in [Fault::IgnoreRange, Fault::WrongRange, Fault::OtherRange, Fault::LessRange] {
        let mut repo = Repo::of(&[("large.rpm", 2 << 20)]);
        let world = World::new(&repo);
        world.upstream.faults().times(1, Match::EndsWith("large.rpm".into()), Fault::Truncate { keep: 1 << 20 });
        world.sync(&["attempts=1"]).expect(3);
        // A server that means it is not asked for the same range again.
        world.upstream.faults().times(2, Match::EndsWith("large.rpm".into()), fault.clone());
        world.sync(&[]).expect(0);
        world.upstream.faults().clear();
        assert_eq!(read_whole(&world.dest(), || ()), Ok(1), "{fault:?}");
        // The part on our disk is damaged.
        repo.put("large.rpm", 2 << 20, 9);
        repo.write(&world.up());
        world.upstream.faults().times(1, Match::EndsWith("large.rpm".into()), Fault::Truncate { keep: 1 << 20 });
        world.sync(&["attempts=1"]).expect(3);
        let part = std::fs::read_dir(world.dest().join(".quarterdeck/partial"))
            .unwrap()
            .map(|e| e.unwrap().path())
            .find(|p| p.extension().is_none())
            .unwrap();
        let mut bytes = std::fs::read(&part).unwrap();
        bytes[77] ^= 1;
        std::fs::write(&part, bytes).unwrap();
        world.sync(&[]).expect(0);
        assert_eq!(read_whole(&world.dest(), || ()), Ok(1), "{fault:?}");
    }
}

#[test]
fn several_upstreams_are_used_in_order_and_packages_may_come_from_any() {
    let mut repo = Repo::of(&[("a.rpm", 700), ("b.rpm", 700), ("c.rpm", 700)]);
    let (one, two) = (World::new(&repo), World::new(&repo));
    let second = format!("url={}", two.upstream.url());
    std::fs::remove_file(one.up().join("Packages/b.rpm")).unwrap();
    one.sync(&[&second]).expect(0);
    assert_eq!(two.upstream.counters().requests(), 1, "only the missing package");
    assert_eq!(read_whole(&one.dest(), || ()), Ok(3));
    // The first is gone, the second answers, and is newer.
    one.upstream.faults().always(Match::All, Fault::Status { code: 404, retry_after: None });
    repo.put("d.rpm", 700, 0);
    repo.timestamp += 100;
    repo.write(&two.up());
    let out = one.sync(&[&second]).expect(0);
    assert!(out.stderr.contains("upstream 1 of 2") && out.stderr.contains("404"), "{out:?}");
    assert_eq!(read_whole(&one.dest(), || ()), Ok(4));
    // A stand-in that lags does not take the mirror back.
    let before = snapshot(&one.dest());
    repo.packages.remove("d.rpm");
    repo.timestamp -= 50;
    repo.write(&two.up());
    let out = one.sync(&[&second]).expect(1);
    assert!(out.stderr.contains("older than what is already here"), "{out:?}");
    assert_eq!(snapshot(&one.dest()), before);
}
