//! A signed upstream: what signs `repomd.xml` is mirrored with it, in one step, and is never found beside another one.

use std::path::Path;

use quarterdeck::demo::faults::{Fault, Match};
use quarterdeck::demo::openpgp::{Key, Signer};
use quarterdeck::systems::repo::digest::may_sign;

use super::looks::look;
use super::{Repo, World, read_whole, run, snapshot};
use crate::demo_tools::{dnf, have};
use crate::signatures::sign as gpg_sign;

const ASC: &str = "repodata/repomd.xml.asc";
const KEY: &str = "repodata/repomd.xml.key";

fn signature(of: &[u8]) -> String {
    Key::of(1, Signer::Stream).unwrap().sign(of, 1_700_000_000)
}

/// Signs what an upstream publishes, after it.
fn sign(dir: &Path) {
    let repomd = std::fs::read(dir.join("repodata/repomd.xml")).unwrap();
    std::fs::write(dir.join(ASC), signature(&repomd)).unwrap();
}

fn compose(n: u8) -> Repo {
    Repo::of(&[("steady.rpm", 700), (&format!("kernel-{n}.rpm"), 800)])
}

fn publish(world: &World, n: u8) {
    compose(n).write(&world.up());
    sign(&world.up());
}

fn signed_world() -> World {
    let world = World::new(&compose(1));
    sign(&world.up());
    world.sync(&["shrink=allow"]).expect(0);
    world
}

/// What a tree serves as its signature is none, or of what it serves as `repomd.xml`.
fn fits(dir: &Path) -> Option<bool> {
    let asc = std::fs::read_to_string(dir.join(ASC)).ok()?;
    Some(asc == signature(&std::fs::read(dir.join("repodata/repomd.xml")).unwrap()))
}

/// Upstream was asked for its signature a day ago.
fn a_day_later(world: &World) {
    let at = world.dest().join(".quarterdeck/state.json");
    let mut state: serde_json::Value = serde_json::from_slice(&std::fs::read(&at).unwrap()).unwrap();
    state["signature_asked"] = (state["signature_asked"].as_i64().unwrap() - 86_400).into();
    std::fs::write(&at, state.to_string()).unwrap();
}

#[test]
fn a_signature_comes_with_what_it_signs_changes_with_it_and_goes_with_it() {
    let world = signed_world();
    assert_eq!(fits(&world.dest()), Some(true));
    std::fs::write(world.dest().join("repodata/notes"), "a stranger's").unwrap();
    std::fs::write(world.up().join(KEY), "-----BEGIN PGP PUBLIC KEY BLOCK-----\n").unwrap();
    publish(&world, 2);
    world.sync(&["shrink=allow"]).expect(0);
    assert_eq!((fits(&world.dest()), read_whole(&world.dest(), || ())), (Some(true), Ok(2)));
    let files = snapshot(&world.dest());
    assert!(files.contains_key(KEY) && files.contains_key("repodata/notes") && files.contains_key("Packages/kernel-1.rpm"), "{files:?}");
    // Nothing new: one question.
    world.upstream.counters().reset();
    world.sync(&[]).expect(0);
    assert_eq!((world.told().0.as_str(), world.upstream.counters().requests()), ("no-change", 1));
    assert_eq!(snapshot(&world.dest()), files);
    // A day later there are two, and neither answer has a body.
    a_day_later(&world);
    world.upstream.counters().reset();
    world.sync(&[]).expect(0);
    assert_eq!((world.told().0.as_str(), world.upstream.counters().requests(), world.upstream.counters().status(304)), ("no-change", 2, 2));
    // The same metadata, signed anew.
    a_day_later(&world);
    let repomd = std::fs::read(world.up().join("repodata/repomd.xml")).unwrap();
    let anew = Key::of(1, Signer::Site).unwrap().sign(&repomd, 1_700_000_001);
    std::fs::write(world.up().join(ASC), &anew).unwrap();
    world.sync(&[]).expect(0);
    assert_eq!(std::fs::read_to_string(world.dest().join(ASC)).unwrap(), anew);
    // Damaged here: the sync mends it.
    std::fs::write(world.dest().join(ASC), "x").unwrap();
    world.sync(&[]).expect(0);
    assert_eq!(std::fs::read_to_string(world.dest().join(ASC)).unwrap(), anew);
    // Upstream signs no more: none is left, and the log says so.
    std::fs::remove_file(world.up().join(ASC)).unwrap();
    compose(3).write(&world.up());
    let out = world.sync(&["shrink=allow"]).expect(0);
    assert!(out.stdout.contains("is not signed any more") || out.stderr.contains("is not signed any more"), "{out:?}");
    let files = snapshot(&world.dest());
    assert!(!files.contains_key(ASC) && !files.contains_key(KEY), "{files:?}");
    // It comes back a day later, around the same metadata.
    sign(&world.up());
    world.sync(&[]).expect(0);
    assert_eq!(fits(&world.dest()), Some(true));
}

#[test]
fn a_tree_of_a_version_that_mirrored_no_signature_gets_it_and_one_that_another_program_left_goes() {
    let world = World::new(&compose(1));
    world.sync(&[]).expect(0);
    let at = world.dest().join(".quarterdeck/state.json");
    let mut state: serde_json::Value = serde_json::from_slice(&std::fs::read(&at).unwrap()).unwrap();
    for key in ["signature", "signature_validators", "signature_asked", "signed"] {
        state.as_object_mut().unwrap().remove(key).unwrap();
    }
    std::fs::write(&at, state.to_string()).unwrap();
    sign(&world.up());
    world.sync(&[]).expect(0);
    assert_eq!(fits(&world.dest()), Some(true));

    let world = World::new(&compose(1));
    compose(2).write(&world.dest());
    sign(&world.dest());
    world.sync(&["shrink=allow"]).expect(0);
    assert_eq!(fits(&world.dest()), None, "it signs what is not served any more");
    // Where the site wants none of upstream's, one that somebody else made is his.
    sign(&world.dest());
    publish(&world, 3);
    world.sync(&["shrink=allow", "signature=none"]).expect(0);
    assert!(world.dest().join(ASC).exists() && fits(&world.dest()) == Some(false));
}

#[test]
fn a_pair_that_upstream_has_torn_is_not_taken() {
    let world = signed_world();
    compose(2).write(&world.up());
    let before = snapshot(&world.dest());
    let out = world.sync(&["shrink=allow"]).expect(1);
    for word in ["repomd.xml.asc is not the signature of its repomd.xml", "push", "signature: none", "next:"] {
        assert!(out.stderr.contains(word), "{word}: {out:?}");
    }
    assert_eq!(snapshot(&world.dest()), before);
    // A push that ends while the sync looks again.
    sign(&world.up());
    let other = signature(b"another").into_bytes();
    world.upstream.faults().times(1, Match::EndsWith(".asc".into()), Fault::Replace { body: other.into() });
    world.sync(&["shrink=allow"]).expect(0);
    assert_eq!(fits(&world.dest()), Some(true));
    // And one that took the signature away for a moment.
    publish(&world, 3);
    world.upstream.faults().times(1, Match::EndsWith(".asc".into()), Fault::Status { code: 404, retry_after: None });
    world.sync(&["shrink=allow"]).expect(0);
    assert_eq!(fits(&world.dest()), Some(true));
    // What is no signature is none; a server that is in trouble says nothing.
    let world = World::new(&compose(1));
    world.upstream.faults().always(Match::EndsWith(".asc".into()), Fault::Html);
    world.sync(&[]).expect(0);
    assert_eq!(fits(&world.dest()), None);
    let world = World::new(&compose(1));
    world.upstream.faults().always(Match::EndsWith(".asc".into()), Fault::Status { code: 503, retry_after: None });
    assert!(world.sync(&["attempts=1"]).expect(3).stderr.contains("repomd.xml.asc: HTTP 503"));
}

#[test]
fn metadata_that_had_to_be_rewritten_is_not_served_with_a_signature_of_other_bytes() {
    let world = World::new(&Repo { plain_names: true, ..compose(1) });
    sign(&world.up());
    let out = world.sync(&[]).expect(0);
    assert!(out.stdout.contains("is left out") || out.stderr.contains("is left out"), "{out:?}");
    assert_eq!((fits(&world.dest()), read_whole(&world.dest(), || ())), (None, Ok(2)));
    world.upstream.counters().reset();
    world.sync(&[]).expect(0);
    assert_eq!((world.told().0.as_str(), world.upstream.counters().requests()), ("no-change", 1));
}

#[test]
fn killed_at_any_point_no_signature_is_beside_another_document() {
    for point in ["mirror.pending", "mirror.metadata", "mirror.replaced", "mirror.paired", "mirror.published", "mirror.confirmed"] {
        let world = signed_world();
        publish(&world, 2);
        let mut command = world.command(&["shrink=allow"]);
        command.env("QD_CRASH_AT", point);
        assert_eq!(run(command).code, -9, "{point} was not reached");
        assert_eq!(fits(&world.dest()), Some(true), "{point}");
        read_whole(&world.dest(), || ()).unwrap_or_else(|e| panic!("{point}: torn: {e}"));
        world.sync(&["shrink=allow"]).expect(0);
        assert_eq!((fits(&world.dest()), read_whole(&world.dest(), || ())), (Some(true), Ok(2)), "{point}");
        assert!(world.dest().join("Packages/kernel-2.rpm").exists(), "{point}");
        world.sync(&[]).expect(0);
        assert_eq!(world.told().0, "no-change", "{point}");
    }
}

#[test]
fn a_look_finds_a_signature_that_is_torn_or_did_not_come() {
    let world = signed_world();
    let (tree, upstream) = (format!("tree=base={}", world.dest().display()), format!("upstream=base={}", world.upstream.url()));
    assert_eq!(look(&world, &[&tree, &upstream]).0.expect(0).code, 0);
    std::fs::remove_file(world.dest().join(ASC)).unwrap();
    let out = look(&world, &[&tree, &upstream]).0.expect(1);
    assert!(out.stderr.contains("repomd.xml.asc is missing: upstream has signed the same metadata"), "{out:?}");
    std::fs::write(world.dest().join(ASC), signature(b"another")).unwrap();
    let out = look(&world, &[&tree]).0.expect(1);
    assert!(out.stderr.contains("damaged") && out.stderr.contains("not the signature of its repomd.xml"), "{out:?}");
    world.sync(&[]).expect(0);
    look(&world, &[&tree, &upstream]).0.expect(0);
}

#[test]
fn real_dnf_verifies_the_mirror_as_it_verifies_upstream() {
    if !have("mirror.signed-dnf", &["dnf", "gpg", "gpgconf", "rpmbuild", "rpmsign"]) {
        return;
    }
    let world = World::new(&compose(1));
    let keys = world.dir.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    crate::signatures::packages(&keys);
    let publish = |n| {
        compose(n).write(&world.up());
        gpg_sign(&keys, &world.up().join("repodata/repomd.xml"));
    };
    let key = format!("--setopt=m.gpgkey=file://{}", keys.join("key.asc").display());
    let root = world.dir.path().join("snapshots");
    let takes = |cache: &str, at: &Path| {
        let url = format!("file://{}/", at.display());
        dnf(
            &world.dir.path().join(cache),
            &[("m", url)],
            &["-y", "--setopt=m.repo_gpgcheck=1", "--setopt=m.skip_if_unavailable=0", &key, "--refresh", "makecache"],
        )
    };
    publish(1);
    world.sync(&["shrink=allow"]).expect(0);
    takes("a", &world.dest()).expect(0);
    publish(2);
    world.sync(&["shrink=allow"]).expect(0);
    takes("a", &world.dest()).expect(0);
    // What is promoted of it is signed as well.
    let snap = |args: &[&str]| run(super::step(args[0], &args[1..], Path::new(""), &world.dir.path().join("report"))).expect(0);
    let (tree, at) = (format!("tree=m={}", world.dest().display()), format!("root={}", root.display()));
    snap(&["mirror/snapshot", &tree, &at]);
    let id = world.told().1["id"].clone();
    snap(&["mirror/switch", &at, "name=stable", &format!("to={id}")]);
    takes("b", &root.join("stable/m")).expect(0);
    let of = |dir: &Path| std::fs::read(dir.join("repodata/repomd.xml")).unwrap();
    let made = std::fs::read(world.dest().join(ASC)).unwrap();
    assert_eq!((may_sign(&made, &of(&world.dest())), may_sign(&made, b"another")), (Some(true), Some(false)));
    // And dnf would have noticed.
    let mut asc = std::fs::read_to_string(world.dest().join(ASC)).unwrap();
    asc = asc.replacen("\n\n", "\n\nAA", 1);
    std::fs::write(world.dest().join(ASC), asc).unwrap();
    assert_ne!(takes("c", &world.dest()).code, 0);
}
