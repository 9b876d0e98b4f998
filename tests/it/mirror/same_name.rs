//! An upstream that publishes other bytes under a name that it had already: who holds the old metadata finds the old bytes, who holds the new
//! the new ones, before, during and after the publish.

use std::path::Path;

use super::{Repo, World, read_whole, run, sha256, snapshot, step, told};

fn repo() -> Repo {
    Repo::of(&[("a.rpm", 900), ("b.rpm", 900), ("deep/er/c.rpm", 900)])
}

/// The fingerprint of what a mirror that never saw anything else would hold.
fn fp_of(repo: &Repo) -> String {
    let plain = World::new(repo);
    plain.sync(&["repo=mirror"]).expect(0);
    plain.told().1["fp"].clone()
}

fn state_of(world: &World) -> String {
    let report = world.dir.path().join("verify");
    let (tree, upstream) = (format!("tree={}", world.dest().display()), format!("upstream={}", world.upstream.url()));
    run(step("mirror/verify", &[&tree, &upstream, "level=checksums"], Path::new(""), &report));
    told(&report).1["state"].clone()
}

#[test]
fn readers_that_straddle_such_publishes_find_what_their_metadata_says() {
    let mut repo = repo();
    let world = World::new(&repo);
    world.sync(&[]).expect(0);
    for seed in 1..6 {
        // Another time the size stays the same.
        repo.put("a.rpm", 900 + usize::from(seed % 2), seed);
        repo.put("deep/er/c.rpm", 900, seed);
        repo.write(&world.up());
        let straddling = read_whole(&world.dest(), || drop(world.sync(&[]).expect(0)));
        assert_eq!(straddling, Ok(3), "old metadata at {seed}");
        assert_eq!(world.told().1["fp"], fp_of(&repo), "names of files are no content");
        assert_eq!(read_whole(&world.dest(), || ()), Ok(3), "new metadata at {seed}");
    }
    let counters = world.upstream.counters();
    counters.reset();
    world.sync(&[]).expect(0);
    assert_eq!((world.told().0.as_str(), counters.requests()), ("no-change", 1));
    assert!(counters.bytes() < 1000, "{}", counters.bytes());
    assert_eq!(state_of(&world), "in-sync");
    // One cycle is kept and no more.
    let versions = |name: &str| snapshot(&world.dest()).keys().filter(|k| k.ends_with(name)).count();
    assert_eq!((versions("a.rpm"), versions("b.rpm"), versions("c.rpm")), (2, 1, 2), "{:?}", snapshot(&world.dest()));
    // What stays as it is stays where it is, and is not fetched again.
    let before = snapshot(&world.dest());
    repo.put("e.rpm", 900, 0);
    repo.write(&world.up());
    counters.reset();
    world.sync(&[]).expect(0);
    assert_eq!(counters.ending(".rpm"), 1);
    let now = snapshot(&world.dest());
    let current = sha256(&repo.packages["a.rpm"]);
    let place = |tree: &std::collections::BTreeMap<String, String>| tree.iter().find(|(_, sum)| **sum == current).map(|(k, _)| k.clone());
    assert!(place(&before).is_some() && place(&before) == place(&now), "{now:?}");
    assert_eq!((versions("a.rpm"), read_whole(&world.dest(), || ())), (1, Ok(4)));
}

#[test]
fn old_bytes_that_come_back_and_names_that_are_exchanged_tear_nothing() {
    let mut repo = repo();
    let world = World::new(&repo);
    world.sync(&[]).expect(0);
    let (a, b) = (repo.packages["a.rpm"].clone(), repo.packages["b.rpm"].clone());
    let step = |repo: &Repo, what: &str| {
        repo.write(&world.up());
        assert_eq!(read_whole(&world.dest(), || drop(world.sync(&["shrink=allow"]).expect(0))), Ok(3), "{what}");
        assert_eq!(read_whole(&world.dest(), || ()).map(|n| n == repo.packages.len()), Ok(true), "{what}");
        assert_eq!(world.told().1["fp"], fp_of(repo), "{what}");
    };
    repo.packages.extend([("a.rpm".to_owned(), b.clone()), ("b.rpm".to_owned(), a.clone())]);
    step(&repo, "each has the bytes of the other");
    repo.packages.extend([("a.rpm".to_owned(), a), ("b.rpm".to_owned(), b)]);
    step(&repo, "and back");
    // Dropped and back with other bytes, while readers of the cycle before may still ask for the old ones.
    let c = repo.packages.remove("deep/er/c.rpm").unwrap();
    repo.put("d.rpm", 900, 0);
    step(&repo, "dropped");
    repo.put("deep/er/c.rpm", 900, 7);
    repo.packages.remove("d.rpm");
    step(&repo, "back with other bytes");
    assert!(snapshot(&world.dest()).values().any(|sum| *sum == sha256(&repo.packages["deep/er/c.rpm"])) && !c.is_empty());
}

#[test]
fn a_tree_that_another_program_filled_or_whose_state_is_lost_is_no_exception() {
    let mut repo = repo();
    let world = World::new(&repo);
    repo.write(&world.dest());
    for seed in 1..4 {
        repo.put("a.rpm", 900, seed);
        repo.write(&world.up());
        assert_eq!(read_whole(&world.dest(), || drop(world.sync(&[]).expect(0))), Ok(3), "{seed}");
        assert_eq!(read_whole(&world.dest(), || ()), Ok(3), "{seed}");
        std::fs::remove_file(world.dest().join(".quarterdeck/state.json")).unwrap();
    }
}

#[test]
fn damage_is_still_mended_in_its_place() {
    let mut repo = repo();
    let world = World::new(&repo);
    world.sync(&[]).expect(0);
    repo.put("a.rpm", 900, 1);
    repo.write(&world.up());
    world.sync(&[]).expect(0);
    let whole = snapshot(&world.dest());
    for path in whole.keys().filter(|k| k.ends_with(".rpm")) {
        std::fs::write(world.dest().join(path), "damaged").unwrap();
    }
    world.sync(&[]).expect(0);
    let now = snapshot(&world.dest());
    let named: Vec<&String> = whole.keys().filter(|k| k.ends_with(".rpm") && *k != "Packages/a.rpm").collect();
    assert_eq!(named.len(), 3);
    assert!(named.iter().all(|k| now[*k] == whole[*k]), "{now:?}");
    assert_eq!(now["repodata/repomd.xml"], whole["repodata/repomd.xml"]);
}

#[test]
fn killed_at_any_point_of_such_a_publish_nothing_is_torn() {
    let points = ["downloaded", "pending", "packages", "metadata", "replaced", "published", "confirmed"];
    for point in points.map(|p| format!("mirror.{p}")) {
        let mut repo = repo();
        let world = World::new(&repo);
        world.sync(&[]).expect(0);
        repo.put("a.rpm", 900, 1);
        repo.write(&world.up());
        let straddling = read_whole(&world.dest(), || {
            let mut command = world.command(&[]);
            command.env("QD_CRASH_AT", &point);
            assert_eq!(run(command).code, -9, "{point} was not reached");
            assert_eq!(read_whole(&world.dest(), || ()), Ok(3), "{point}");
            world.sync(&[]).expect(0);
        });
        assert_eq!(straddling, Ok(3), "{point}");
        assert_eq!(read_whole(&world.dest(), || ()), Ok(3), "{point}");
        assert_eq!((world.told().1["fp"].clone(), state_of(&world)), (fp_of(&repo), "in-sync".into()), "{point}");
    }
}
