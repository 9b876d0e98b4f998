//! The mirror's own tree: who may write it, links planted in it, hardlinks out of it, files that changed behind our back.

use std::os::unix::fs::{MetadataExt, symlink};

use super::{Repo, World, read_whole, snapshot};

fn world() -> World {
    World::new(&Repo::of(&[("a.rpm", 900), ("b.rpm", 900), ("c.rpm", 900)]))
}

#[test]
fn a_damaged_package_is_repaired_beside_and_its_hardlink_elsewhere_stays_as_it_was() {
    let w = world();
    w.sync(&[]).expect(0);
    let (package, pinned) = (w.dest().join("Packages/b.rpm"), w.dir.path().join("pinned.rpm"));
    let damaged = vec![7u8; 900];
    std::fs::write(&package, &damaged).unwrap();
    std::fs::hard_link(&package, &pinned).unwrap();
    let inode = std::fs::metadata(&package).unwrap().ino();
    w.upstream.counters().reset();
    let out = w.sync(&[]).expect(0);
    assert!(out.stderr.contains("Packages/b.rpm"), "{out:?}");
    assert_eq!(w.upstream.counters().ending(".rpm"), 1, "only the damaged one comes again");
    assert_eq!(read_whole(&w.dest(), || ()), Ok(3));
    assert_ne!(std::fs::metadata(&package).unwrap().ino(), inode);
    assert_eq!(std::fs::read(&pinned).unwrap(), damaged);
    assert_eq!(std::fs::metadata(&pinned).unwrap().nlink(), 1);
    w.sync(&[]).expect(0);
    assert_eq!(w.told().0, "no-change");
}

#[test]
fn a_package_or_metadata_that_vanished_comes_back_though_upstream_has_not_changed() {
    let w = world();
    w.sync(&[]).expect(0);
    let all = snapshot(&w.dest());
    for path in all.keys() {
        std::fs::remove_file(w.dest().join(path)).unwrap();
        w.sync(&[]).expect(0);
        assert_eq!(snapshot(&w.dest()), all, "{path}");
    }
    std::fs::remove_file(w.dest().join(".quarterdeck/state.json")).unwrap();
    w.upstream.counters().reset();
    w.sync(&[]).expect(0);
    assert_eq!(w.upstream.counters().ending(".rpm"), 0, "without the state everything is verified, nothing fetched");
    std::fs::write(w.dest().join(".quarterdeck/state.json"), "{\"format\":1,\"md\":").unwrap();
    w.sync(&[]).expect(0);
    w.sync(&[]).expect(0);
    assert_eq!(w.told().0, "no-change");
}

#[test]
fn links_planted_in_the_tree_are_never_followed() {
    for place in ["Packages", "repodata", "repodata/repomd.xml", "Packages/b.rpm", ".quarterdeck", ".quarterdeck/new", ".quarterdeck/owner"]
    {
        let w = world();
        let out = w.dir.path().join("victim");
        std::fs::create_dir(&out).unwrap();
        std::fs::write(out.join("file"), "precious").unwrap();
        let at = w.dest().join(place);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        let target =
            if place.contains(".rpm") || place.contains("xml") || place.contains("owner") { out.join("file") } else { out.clone() };
        symlink(&target, &at).unwrap();
        let said = w.sync(&[]).expect(4);
        assert!(said.stderr.contains("symbolic link"), "{place}: {said:?}");
        assert_eq!(std::fs::read_to_string(out.join("file")).unwrap(), "precious", "{place}");
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1, "{place}");
    }
    let w = world();
    std::fs::create_dir(w.dir.path().join("snap")).unwrap();
    symlink("snap", w.dest()).unwrap();
    w.sync(&[]).expect(4);
    assert_eq!(std::fs::read_dir(w.dir.path().join("snap")).unwrap().count(), 0, "a pinned name is not written through");
}

#[test]
fn a_second_writer_and_a_foreign_one_are_refused_by_name() {
    let w = world();
    w.sync(&[]).expect(0);
    let owner = w.dest().join(".quarterdeck/owner");
    let text = std::fs::read_to_string(&owner).unwrap();
    assert!(text.contains("\"writer\":\"quarterdeck\""), "{text}");
    let before = snapshot(&w.dest());
    {
        let file = std::fs::File::open(&owner).unwrap();
        file.lock().unwrap();
        std::fs::write(&owner, text.replace("\"run\":null", "\"run\":\"nightly-repo-updates#41\"")).unwrap();
        let out = w.sync(&[]).expect(4);
        assert!(out.stderr.contains("nightly-repo-updates#41") && out.stderr.contains("being written"), "{out:?}");
    }
    w.sync(&[]).expect(0);
    std::fs::write(&owner, "{\"writer\":\"cobbler\"}").unwrap();
    let out = w.sync(&[]).expect(4);
    assert!(out.stderr.contains("cobbler"), "{out:?}");
    let fresh = world();
    std::fs::create_dir_all(fresh.dest().join(".origin/repodata")).unwrap();
    assert!(fresh.sync(&[]).expect(4).stderr.contains("cobbler"));
    assert_eq!(snapshot(&w.dest()), before);
}

#[test]
fn a_tree_that_another_program_filled_is_taken_over_without_fetching_what_is_good() {
    let w = world();
    std::fs::create_dir(w.dest()).unwrap();
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(w.up().join("Packages"))
        .arg(w.up().join("repodata"))
        .arg(w.dest())
        .status()
        .unwrap();
    assert!(copied.success());
    std::fs::write(w.dest().join("Packages/c.rpm"), "cut").unwrap();
    w.sync(&[]).expect(0);
    assert_eq!(w.upstream.counters().ending(".rpm"), 1);
    assert_eq!(read_whole(&w.dest(), || ()), Ok(3));
}

#[test]
fn a_part_of_the_tree_on_another_file_system_is_told_as_that() {
    let w = world();
    w.sync(&[]).expect(0);
    for part in ["Packages", "repodata", ".quarterdeck"] {
        let at = w.dest().join(part);
        let Some(_disk) = super::snapshots::Disk::mount("mirror.other_file_system", &at, "size=8m") else { return };
        if part == ".quarterdeck" {
            std::fs::remove_file(w.dest().join("Packages/b.rpm")).unwrap();
        }
        let out = w.sync(&[]).expect(4);
        assert!(out.stderr.contains("is on another file system") && out.stderr.contains("findmnt"), "{part}: {out:?}");
    }
    w.sync(&[]).expect(0);
    assert_eq!(read_whole(&w.dest(), || ()), Ok(3));
}
