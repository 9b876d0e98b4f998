//! A sync killed at every point of its course: the served tree is the old one or the new one, whole, and the next sync finishes the work.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Repo, World, read_whole, run, snapshot};

const POINTS: [&str; 11] = [
    "mirror.piece",
    "mirror.package",
    "mirror.package:2",
    "mirror.downloaded",
    "mirror.pending",
    "mirror.packages",
    "mirror.metadata",
    "mirror.replaced",
    "mirror.published",
    "mirror.confirmed",
    "mirror.sweep",
];

fn compose(n: u8) -> Repo {
    let mut repo = Repo::of(&[("steady1.rpm", 700), ("steady2.rpm", 700), ("steady3.rpm", 700), ("steady4.rpm", 700)]);
    for old in n.saturating_sub(1)..=n {
        repo.put(&format!("kernel-{old}.rpm"), 800, 0);
        // Large enough to come in pieces.
        repo.put(&format!("glibc-{old}.rpm"), 400 << 10, 0);
    }
    repo
}

#[test]
fn killed_at_any_point_the_tree_is_whole_and_the_next_sync_ends_the_work() {
    for point in POINTS {
        let world = World::new(&compose(1));
        world.sync(&[]).expect(0);
        compose(2).write(&world.up());
        world.sync(&["shrink=allow"]).expect(0);
        compose(3).write(&world.up());
        let old = std::fs::read(world.dest().join("repodata/repomd.xml")).unwrap();
        let mut command = world.command(&["shrink=allow"]);
        command.env("QD_CRASH_AT", point);
        let out = run(command);
        assert_eq!(out.code, -9, "{point} was not reached: {out:?}");
        read_whole(&world.dest(), || ()).unwrap_or_else(|e| panic!("{point}: torn: {e}"));
        let published = std::fs::read(world.dest().join("repodata/repomd.xml")).unwrap() != old;
        let late = ["mirror.published", "mirror.confirmed", "mirror.sweep"].contains(&point);
        assert_eq!(published, late, "{point}");
        // Readers of the old repository still find everything.
        world.upstream.counters().reset();
        world.sync(&["shrink=allow"]).expect(0);
        if !["mirror.piece", "mirror.package", "mirror.package:2"].contains(&point) {
            assert_eq!(world.upstream.counters().ending(".rpm"), 0, "{point}: nothing comes twice");
        }
        assert_eq!(read_whole(&world.dest(), || ()), Ok(8), "{point}");
        let tree = snapshot(&world.dest());
        assert!(!tree.contains_key("Packages/kernel-0.rpm") && tree.contains_key("Packages/kernel-1.rpm"), "{point}: {tree:?}");
        assert_eq!(tree.keys().filter(|k| k.starts_with("repodata/")).count(), 3, "{point}: {tree:?}");
        world.sync(&[]).expect(0);
        assert_eq!(world.told().0, "no-change", "{point}");
    }
}

#[test]
fn a_first_sync_killed_half_way_serves_nothing_until_it_is_whole() {
    for point in &POINTS[..8] {
        let world = World::new(&compose(1));
        let mut command = world.command(&[]);
        command.env("QD_CRASH_AT", point);
        assert_eq!(run(command).code, -9, "{point}");
        assert!(!world.dest().join("repodata/repomd.xml").exists(), "{point}");
        world.sync(&[]).expect(0);
        assert_eq!(read_whole(&world.dest(), || ()), Ok(8), "{point}");
    }
}

#[test]
fn readers_see_a_whole_repository_through_every_publish() {
    let world = World::new(&compose(1));
    world.sync(&[]).expect(0);
    let done = AtomicBool::new(false);
    let passes = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|n| {
                let (dest, done) = (world.dest(), &done);
                scope.spawn(move || {
                    let mut passes = 0u64;
                    while !done.load(Ordering::SeqCst) {
                        // A slow client, not a wait for anything: metadata now, packages later.
                        let pause = std::time::Duration::from_millis(n * 150);
                        if let Err(e) = read_whole(&dest, || std::thread::sleep(pause)) {
                            return Err(format!("torn after {passes} passes: {e}"));
                        }
                        passes += 1;
                    }
                    Ok(passes)
                })
            })
            .collect();
        for n in 2..8 {
            compose(n).write(&world.up());
            let mut command = world.command(&["shrink=allow", "settle=1s"]);
            if n % 3 == 0 {
                command.env("QD_CRASH_AT", "mirror.metadata");
            }
            run(command);
            world.sync(&["shrink=allow", "settle=1s"]).expect(0);
        }
        done.store(true, Ordering::SeqCst);
        readers.into_iter().map(|r| r.join().unwrap().unwrap()).collect::<Vec<_>>()
    });
    assert!(passes.iter().all(|p| *p > 3), "{passes:?}");
}
