//! `mirror/verify`: every state of a tree, at the level at which it can be seen, on disk and over HTTP.

use std::collections::BTreeMap;
use std::path::Path;

use quarterdeck::demo::upstream::{Options, Upstream};

use super::snapshots::Trees;
use super::{Repo, World, run, step, told};
use crate::support::home::Out;

fn world() -> World {
    World::new(&Repo::of(&[("a.rpm", 900), ("b.rpm", 900), ("c.rpm", 900)]))
}

/// Looks at the mirror of a world, or at what else is named.
pub(super) fn look(w: &World, with: &[&str]) -> (Out, BTreeMap<String, String>) {
    let tree = format!("tree={}", w.dest().display());
    let mut all = vec![];
    if !with.iter().any(|x| x.starts_with("tree=")) {
        all.push(tree.as_str());
    }
    all.extend(with);
    let report = w.dir.path().join("report");
    let out = run(step("mirror/verify", &all, Path::new(""), &report));
    (out, told(&report).1)
}

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn metadata(dir: &Path) -> std::path::PathBuf {
    let found = std::fs::read_dir(dir.join("repodata")).unwrap().map(|e| e.unwrap().path());
    found.into_iter().find(|p| p.to_string_lossy().ends_with("primary.xml.gz")).unwrap()
}

#[test]
fn each_damage_is_found_at_its_level_and_not_before() {
    type Harm = fn(&Path);
    // What is done, what the level finds: metadata, presence, checksums; `-` = nothing.
    let harms: [(&str, Harm, [&str; 3]); 7] = [
        ("nothing", |_| (), ["in-sync", "in-sync", "in-sync"]),
        ("bit flip", |d| flip(&d.join("Packages/a.rpm")), ["in-sync", "in-sync", "damaged"]),
        ("short", |d| std::fs::write(d.join("Packages/a.rpm"), "cut").unwrap(), ["in-sync", "partial", "partial"]),
        ("missing", |d| std::fs::remove_file(d.join("Packages/a.rpm")).unwrap(), ["in-sync", "partial", "partial"]),
        (
            "truncated metadata",
            |d| {
                let at = metadata(d);
                let bytes = std::fs::read(&at).unwrap();
                std::fs::write(&at, &bytes[..bytes.len() / 2]).unwrap();
            },
            ["damaged", "damaged", "damaged"],
        ),
        ("missing metadata", |d| std::fs::remove_file(metadata(d)).unwrap(), ["partial", "partial", "partial"]),
        ("cut repomd", |d| std::fs::write(d.join("repodata/repomd.xml"), "<?xml version=\"1.0\"?><repomd><data").unwrap(), ["damaged"; 3]),
    ];
    for (name, harm, want) in harms {
        let w = world();
        w.sync(&[]).expect(0);
        harm(&w.dest());
        let served = Upstream::start(&w.dest(), Options::default()).unwrap();
        for at in [w.dest().display().to_string(), served.url()] {
            for (level, want) in ["metadata", "presence", "checksums"].into_iter().zip(want) {
                let (tree, upstream) = (format!("tree=m={at}"), format!("upstream={}", w.upstream.url()));
                let (out, told) = look(&w, &[&tree, &upstream, &format!("level={level}")]);
                assert_eq!(told["state"], want, "{name} at {level} of {at}: {out:?}");
                assert_eq!(out.code, i32::from(want != "in-sync"), "{name} at {level} of {at}: {out:?}");
            }
        }
    }
}

#[test]
fn extra_packages_are_counted_and_fail_where_that_is_asked_for() {
    let w = world();
    w.sync(&[]).expect(0);
    std::fs::write(w.dest().join("Packages/stranger.rpm"), "x").unwrap();
    std::fs::write(w.dest().join("Packages/new\nline\u{1b}[31m.rpm"), "x").unwrap();
    let (out, told) = look(&w, &[]);
    assert_eq!((out.code, told["extra"].as_str()), (0, "2"), "{out:?}");
    assert!(out.stderr.contains("Packages/stranger.rpm is extra") && !out.stderr.contains('\u{1b}'), "{out:?}");
    let (out, _) = look(&w, &["strict=true"]);
    assert_eq!(out.code, 1, "{out:?}");
    assert_eq!(look(&w, &["level=metadata"]).1["extra"], "0");
    // What a sync keeps for readers of the cycle before is no stranger.
    let w = world();
    w.sync(&[]).expect(0);
    Repo::of(&[("b.rpm", 900), ("c.rpm", 900), ("d.rpm", 900)]).write(&w.up());
    w.sync(&["shrink=allow"]).expect(0);
    assert!(w.dest().join("Packages/a.rpm").exists());
    assert_eq!(look(&w, &["strict=true"]).1["extra"], "0");
}

#[test]
fn the_relation_to_upstream_is_told_in_words_and_numbers() {
    let w = world();
    let up = format!("upstream={}", w.upstream.url());
    assert_eq!(look(&w, &[&up]).1["state"], "unknown");
    assert_eq!(look(&w, &[&up]).0.code, 1, "a tree that is not there is not whole");
    w.sync(&[]).expect(0);
    let (out, told) = look(&w, &[]);
    assert_eq!((out.code, told["state"].as_str()), (0, "unknown"), "nobody was asked: {out:?}");
    let mut next = Repo::of(&[("a.rpm", 900), ("b.rpm", 900), ("c.rpm", 900), ("d.rpm", 900), ("e.rpm", 900)]);
    next.timestamp += 100;
    next.write(&w.up());
    let (out, told) = look(&w, &[&up]);
    assert_eq!((out.code, told["state"].as_str(), told["behind"].as_str()), (0, "behind", "2"), "{out:?}");
    assert_eq!(look(&w, &[&up, "expect=in-sync"]).0.code, 1);
    // The same packages under metadata that was made anew: the fingerprint decides.
    w.sync(&[]).expect(0);
    next.timestamp += 100;
    next.write(&w.up());
    assert_eq!(look(&w, &[&up]).1["state"], "in-sync");
    next.packages.remove("e.rpm");
    next.timestamp = 1_600_000_000;
    next.write(&w.up());
    let (out, told) = look(&w, &[&up]);
    assert_eq!(told["state"], "ahead");
    assert!(out.stdout.contains("ahead, 1 package that upstream has not"), "{out:?}");
    let gone = format!("upstream=http://127.0.0.1:{}/", crate::support::free_port());
    let (out, told) = look(&w, &[&gone]);
    assert_eq!((out.code, told["state"].as_str()), (3, "unreachable"), "{out:?}");
    let said = "unreachable, its upstream could not be asked, the tree itself is whole, 5 packages (";
    assert!(out.stdout.contains(said) && out.stderr.contains(said), "{out:?}");
    assert_eq!(look(&w, &[&gone, &up]).1["state"], "ahead", "the next one is asked");
    // Metadata that was made anew here is younger than upstream's; what upstream has besides is lacking all the same.
    let mut older = Repo::of(&[("a.rpm", 900), ("b.rpm", 900), ("c.rpm", 900), ("d.rpm", 900), ("e.rpm", 900), ("f.rpm", 900)]);
    older.timestamp = 1_600_000_000;
    older.write(&w.up());
    let (out, told) = look(&w, &[&up]);
    assert_eq!((told["state"].as_str(), told["behind"].as_str()), ("behind", "1"), "{out:?}");
    older.packages.remove("f.rpm");
    older.packages.remove("e.rpm");
    older.write(&w.up());
    assert_eq!(look(&w, &[&up]).1["state"], "ahead");
    let (out, told) = look(&w, &[&gone.replace("upstream", "tree")]);
    assert_eq!((out.code, told["state"].as_str()), (3, "unreachable"), "{out:?}");
    let file = std::fs::File::open(w.dest().join(".quarterdeck/owner")).unwrap();
    file.lock().unwrap();
    let (out, told) = look(&w, &[]);
    assert_eq!((out.code, told["state"].as_str()), (0, "syncing"), "{out:?}");
    drop(file);
    // Cobbler keeps upstream's metadata beside its own.
    let kept = w.dest().join(".origin/repodata");
    std::fs::create_dir_all(&kept).unwrap();
    std::fs::copy(w.up().join("repodata/repomd.xml"), kept.join("repomd.xml")).unwrap();
    assert_eq!(look(&w, &[&up]).1["state"], "in-sync");
}

#[test]
fn a_snapshot_is_pinned_under_its_name_and_several_trees_are_judged_together() {
    let t = Trees::new();
    let id = t.take();
    t.step("mirror/switch", &[&format!("to={id}")]).expect(0);
    let trees = ["base", "app"].map(|n| format!("tree={n}={}", t.root().join("stable").join(n).display()));
    let look = |more: &[&str]| {
        let all: Vec<&str> = trees.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let out = run(step("mirror/verify", &all, Path::new(""), &t.report()));
        (out, told(&t.report()).1)
    };
    let (out, outputs) = look(&["expect=pinned", "set=el9-stable", "level=checksums"]);
    assert_eq!(out.code, 0, "{out:?}");
    assert!(out.stdout.contains(&format!("snapshot {id}")), "{out:?}");
    assert_eq!((outputs["fact.set"].as_str(), outputs["packages"].as_str()), ("el9-stable", "6"));
    assert!(id.ends_with(&outputs["fp"][..12]), "the same content has the same fingerprint: {outputs:?}");
    flip(&t.root().join("stable/app/Packages/steady1.rpm"));
    let (out, outputs) = look(&["expect=pinned", "level=checksums"]);
    assert_eq!((out.code, outputs["state"].as_str(), outputs["damaged"].as_str()), (1, "damaged", "1"), "{out:?}");
    let report = std::fs::read_to_string(t.report()).unwrap();
    let facts: Vec<serde_json::Value> =
        report.lines().map(|l| serde_json::from_str(l).unwrap()).filter(|v: &serde_json::Value| v["kind"] == "mirror").collect();
    assert_eq!(facts.len(), 2);
    assert_eq!((&facts[0]["state"], &facts[1]["state"]), (&"pinned".into(), &"damaged".into()));
}

#[test]
fn huge_and_lying_metadata_is_bounded() {
    use std::io::Write;
    // A repomd that is too large, and a primary that opens to more than it says.
    let w = world();
    w.sync(&[]).expect(0);
    let repomd = w.dest().join("repodata/repomd.xml");
    let mut text = std::fs::read_to_string(&repomd).unwrap();
    text.push_str(&" ".repeat(5 << 20));
    std::fs::write(&repomd, text).unwrap();
    let (out, told) = look(&w, &[]);
    assert_eq!((out.code, told["state"].as_str()), (1, "damaged"), "{out:?}");
    let w = world();
    w.sync(&[]).expect(0);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gz.write_all(b"<?xml version=\"1.0\"?><metadata packages=\"1\">").unwrap();
    for _ in 0..64 {
        gz.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    gz.write_all(b"</metadata>").unwrap();
    let bytes = gz.finish().unwrap();
    let sum = super::sha256(&bytes);
    std::fs::write(w.dest().join(format!("repodata/{sum}-primary.xml.gz")), &bytes).unwrap();
    let repomd = format!(
        "<?xml version=\"1.0\"?><repomd xmlns=\"http://linux.duke.edu/metadata/repo\"><data type=\"primary\"><checksum type=\"sha256\">{sum}</checksum>\
         <open-checksum type=\"sha256\">{sum}</open-checksum><location href=\"repodata/{sum}-primary.xml.gz\"/><size>{}</size><open-size>100</open-size></data></repomd>",
        bytes.len()
    );
    std::fs::write(w.dest().join("repodata/repomd.xml"), repomd).unwrap();
    let (out, told) = look(&w, &[]);
    assert_eq!((out.code, told["state"].as_str()), (1, "damaged"), "{out:?}");
    assert!(look(&w, &["level=nonsense"]).0.code == 2 && look(&w, &["expect=fine"]).0.code == 2 && look(&w, &["parallel=0"]).0.code == 2);
}
