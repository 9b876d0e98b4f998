//! `mirror/snapshot` and `mirror/gc`: whole or absent, refused where somebody writes, removed where nobody refers.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Repo, read_whole, run, snapshot, step, told};
use crate::support::home::Out;

/// Two trees of one content set, and a root of snapshots beside them.
pub struct Trees {
    pub dir: tempfile::TempDir,
}

impl Trees {
    pub fn new() -> Self {
        let t = Self { dir: tempfile::tempdir().unwrap() };
        t.compose(1);
        t
    }

    /// Another compose in both trees: some packages stay, some come, some go.
    pub fn compose(&self, n: u8) {
        for name in ["base", "app"] {
            let mut repo = Repo::of(&[("steady1.rpm", 700), ("steady2.rpm", 700)]);
            repo.timestamp += u64::from(n);
            repo.put(&format!("{name}-{n}.rpm"), 900, n);
            repo.write(&self.tree(name));
        }
    }

    pub fn tree(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub fn command(&self, kind: &str, with: &[&str]) -> Command {
        let root = format!("root={}", self.root().display());
        let mut all = vec![root.as_str()];
        let trees = ["base", "app"].map(|n| format!("tree={n}={}", self.tree(n).display()));
        if kind == "mirror/snapshot" {
            all.extend(trees.iter().map(String::as_str));
        }
        all.extend(with);
        step(kind, &all, Path::new(""), &self.report())
    }

    pub fn report(&self) -> PathBuf {
        self.dir.path().join("report")
    }

    pub fn step(&self, kind: &str, with: &[&str]) -> Out {
        run(self.command(kind, with))
    }

    pub fn told(&self) -> (String, BTreeMap<String, String>) {
        told(&self.report())
    }

    /// Takes a snapshot, and gives its name.
    pub fn take(&self) -> String {
        self.step("mirror/snapshot", &["set=el9"]).expect(0);
        self.told().1["id"].clone()
    }

    pub fn ids(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.root().join("snapshots")).into_iter().flatten();
        let mut out: Vec<String> = entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        out.sort();
        out
    }

    pub fn whole(&self, id: &str) {
        for name in ["base", "app"] {
            let at = self.root().join("snapshots").join(id).join(name);
            assert_eq!(read_whole(&at, || ()), Ok(3), "{}", at.display());
        }
    }
}

#[test]
fn packages_are_linked_metadata_is_copied_and_the_same_content_is_the_same_snapshot() {
    let t = Trees::new();
    std::fs::write(t.tree("base").join("COMPOSE_ID"), "CentOS-Stream-9-20260403.1").unwrap();
    let id = t.take();
    let (detail, outputs) = t.told();
    assert!(id.ends_with(&outputs["fp"][..12]) && detail.contains(&id), "{detail} {outputs:?}");
    assert_eq!((outputs["packages"].as_str(), outputs["fact.set"].as_str()), ("6", "el9"));
    assert_eq!(outputs["fact.fp"], outputs["fp"]);
    t.whole(&id);
    let at = t.root().join("snapshots").join(&id).join("base");
    let inode = |p: PathBuf| std::fs::metadata(p).unwrap().ino();
    assert_eq!(inode(at.join("Packages/steady1.rpm")), inode(t.tree("base").join("Packages/steady1.rpm")));
    assert_ne!(inode(at.join("repodata/repomd.xml")), inode(t.tree("base").join("repodata/repomd.xml")));
    assert_eq!(std::fs::read_to_string(at.join("COMPOSE_ID")).unwrap(), "CentOS-Stream-9-20260403.1");
    t.step("mirror/snapshot", &["set=el9"]).expect(0);
    assert_eq!((t.told().0.as_str(), t.told().1["id"].clone()), ("no-change", id.clone()));
    let before = snapshot(&t.root());
    t.compose(2);
    let second = t.take();
    assert_ne!(second, id);
    t.whole(&id);
    t.whole(&second);
    assert!(before.iter().all(|(k, v)| snapshot(&t.root()).get(k) == Some(v)), "the first one did not change");
    // Rewritten in place, as dnf does: the snapshot with those bytes is damaged, and another one is made beside it.
    let package = t.tree("base").join("Packages/steady1.rpm");
    let good = std::fs::read(&package).unwrap();
    std::fs::write(&package, vec![7u8; 700]).unwrap();
    t.step("mirror/snapshot", &[]).expect(1);
    std::fs::remove_file(&package).unwrap();
    std::fs::write(&package, good).unwrap();
    let third = t.take();
    assert_eq!(third, format!("{second}-2"));
    t.whole(&third);
}

/// Stops a snapshot at a point, changes a tree, lets it go on.
fn meanwhile(t: &Trees, point: &str, change: impl FnOnce()) -> Out {
    let once = t.dir.path().join(format!("once-{point}"));
    let _ = std::fs::remove_file(&once);
    let mut c = t.command("mirror/snapshot", &[]);
    c.env("QD_CRASH_AT", point).env("QD_CRASH_SIGNAL", "STOP").env("QD_CRASH_ONCE", &once);
    let child = c.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stat = format!("/proc/{}/stat", child.id());
    let stopped =
        || std::fs::read_to_string(&stat).is_ok_and(|s| s.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T')));
    crate::support::until("the snapshot stands still", || once.exists() && stopped());
    change();
    let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::CONT);
    let out = child.wait_with_output().unwrap();
    Out {
        code: out.status.code().unwrap_or(-9),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

#[test]
fn a_tree_that_a_foreign_reposync_writes_makes_no_snapshot_and_what_moved_is_told() {
    for point in ["snapshot.linked", "snapshot.linked:2"] {
        type Change = fn(&Trees);
        let changes: [(&str, Change); 6] = [
            // reposync: metadata first, then packages under their final names.
            ("repodata/repomd.xml", |t| t.compose(2)),
            ("Packages/app-9.rpm is new", |t| std::fs::write(t.tree("app").join("Packages/app-9.rpm"), "half").unwrap()),
            ("steady1.rpm changed", |t| {
                let at = t.tree("base").join("Packages/steady1.rpm");
                let mut bytes = std::fs::read(&at).unwrap();
                bytes[5] ^= 1;
                std::fs::write(&at, bytes).unwrap();
            }),
            ("steady2.rpm is gone", |t| std::fs::remove_file(t.tree("app").join("Packages/steady2.rpm")).unwrap()),
            ("steady2.rpm changed", |t| {
                let at = t.tree("base").join("Packages/steady2.rpm");
                let bytes = std::fs::read(&at).unwrap();
                std::fs::remove_file(&at).unwrap();
                std::fs::write(&at, bytes).unwrap();
            }),
            ("repodata/new.xml.gz is new", |t| std::fs::write(t.tree("base").join("repodata/new.xml.gz"), "x").unwrap()),
        ];
        for (words, change) in changes {
            let t = Trees::new();
            let out = meanwhile(&t, point, || change(&t)).expect(4);
            assert!(out.stderr.contains(words) && out.stderr.contains("being written by somebody else"), "{words}: {out:?}");
            assert!(t.ids().is_empty(), "{words}");
            assert!(!t.root().join(".quarterdeck/building").exists(), "{words}");
        }
    }
    let t = Trees::new();
    meanwhile(&t, "snapshot.linked", || ()).expect(0);
    assert_eq!(t.ids().len(), 1, "standing still alone is no reason");
}

#[test]
fn our_own_sync_is_kept_away_and_a_busy_tree_is_refused_by_name() {
    let t = Trees::new();
    let owner = t.tree("base").join(".quarterdeck/owner");
    std::fs::create_dir(owner.parent().unwrap()).unwrap();
    std::fs::write(&owner, "{\"writer\":\"quarterdeck\",\"run\":\"nightly-repo-updates#41\"}").unwrap();
    let file = std::fs::File::open(&owner).unwrap();
    file.lock().unwrap();
    let out = t.step("mirror/snapshot", &[]).expect(4);
    assert!(out.stderr.contains("nightly-repo-updates#41"), "{out:?}");
    assert!(t.ids().is_empty());
    file.unlock().unwrap();
    t.take();
}

#[test]
fn killed_at_any_point_a_snapshot_is_whole_or_absent() {
    for point in ["snapshot.linked", "snapshot.linked:2", "snapshot.verified", "snapshot.durable", "snapshot.named"] {
        let t = Trees::new();
        let mut c = t.command("mirror/snapshot", &[]);
        c.env("QD_CRASH_AT", point);
        assert_eq!(run(c).code, -9, "{point}");
        assert_eq!(t.ids().len(), usize::from(point == "snapshot.named"), "{point}");
        let id = t.take();
        assert_eq!(t.ids(), std::slice::from_ref(&id), "{point}");
        t.whole(&id);
        assert!(!t.root().join(".quarterdeck/building").exists(), "{point}");
    }
}

#[test]
fn a_hostile_tree_is_refused_and_nothing_outside_is_read_or_linked() {
    type Plant = fn(&Trees, &Path);
    let plants: [(&str, Plant); 5] = [
        ("symbolic link", |t, victim| {
            let at = t.tree("base").join("Packages/steady1.rpm");
            std::fs::remove_file(&at).unwrap();
            symlink(victim, at).unwrap();
        }),
        ("symbolic link", |t, victim| {
            std::fs::rename(t.tree("base").join("Packages"), victim.with_extension("d")).unwrap();
            symlink(victim.with_extension("d"), t.tree("base").join("Packages")).unwrap();
        }),
        ("not a regular file", |t, _| {
            let at = t.tree("base").join("Packages/steady1.rpm");
            std::fs::remove_file(&at).unwrap();
            let mode = rustix::fs::Mode::from_raw_mode(0o644);
            rustix::fs::mknodat(rustix::fs::CWD, &at, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        }),
        ("leaves the repository", |t, _| {
            let mut repo = Repo::of(&[("steady1.rpm", 700)]);
            repo.put("../../../victim", 10, 0);
            repo.write(&t.tree("base").join("x/y/z"));
            std::fs::remove_dir_all(t.tree("base").join("repodata")).unwrap();
            std::fs::rename(t.tree("base").join("x/y/z/repodata"), t.tree("base").join("repodata")).unwrap();
        }),
        ("control character", |t, _| {
            let mut repo = Repo::of(&[("steady1.rpm", 700)]);
            repo.put("a&#10;b.rpm", 10, 0);
            repo.write(&t.tree("base"));
        }),
    ];
    for (words, plant) in plants {
        let t = Trees::new();
        let victim = t.dir.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        plant(&t, &victim);
        let out = t.step("mirror/snapshot", &[]);
        assert!([1, 4].contains(&out.code) && out.stderr.contains(words), "{words}: {out:?}");
        assert!(t.ids().is_empty() && !out.stderr.contains('\u{1b}'), "{words}");
        let seen = run(step("mirror/verify", &[&format!("tree={}", t.tree("base").display())], Path::new(""), &t.report()));
        assert_eq!(seen.code, 1, "{words}: {seen:?}");
        assert_eq!(std::fs::metadata(&victim).unwrap().nlink(), 1, "{words}");
    }
    // The root is no repository, and never lies in one, and never in a snapshot.
    let t = Trees::new();
    let id = t.take();
    for root in [t.tree("base"), t.tree("base").join("snaps"), t.root().join("snapshots").join(&id).join("deep")] {
        let tree = format!("tree=base={}", t.tree("base").display());
        let out = run(step("mirror/snapshot", &[&tree, &format!("root={}", root.display())], Path::new(""), &t.report()));
        assert_eq!(out.code, 4, "{}: {out:?}", root.display());
    }
}

#[test]
fn a_sync_never_writes_into_a_snapshot_though_a_pointer_leads_there() {
    let w = super::World::new(&Repo::of(&[("a.rpm", 900)]));
    let t = Trees::new();
    let id = t.take();
    t.step("mirror/switch", &[&format!("to={id}")]).expect(0);
    let before = snapshot(&t.root());
    for dest in [t.root().join("stable/base"), t.root().join("snapshots").join(&id).join("base"), t.root().join("stable/new")] {
        let url = format!("url={}", w.upstream.url());
        let out = run(step("mirror/sync", &[&url], &dest, &t.report())).expect(4);
        assert!(out.stderr.contains("snapshots are never written"), "{out:?}");
    }
    assert_eq!(snapshot(&t.root()), before);
}

/// A small disk of its own; unmounted with the value.
pub struct Disk(pub PathBuf);

impl Disk {
    pub fn mount(name: &str, at: &Path, options: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(at).output();
        if !mounted.is_ok_and(|o| o.status.success()) {
            crate::support::skip(name, "this user may not mount a tmpfs");
            return None;
        }
        Some(Self(at.to_owned()))
    }

    /// Takes all that is left, bytes and inodes.
    pub fn fill(&self) {
        use std::io::Write;
        let mut i = 0;
        std::fs::create_dir_all(self.0.join("fill")).unwrap();
        let mut f = std::fs::File::create(self.0.join("fill/bytes")).unwrap();
        for chunk in [1 << 16, 4096, 1] {
            while f.write_all(&vec![b'x'; chunk]).is_ok() {}
        }
        while std::fs::write(self.0.join("fill").join(i.to_string()), "").is_ok() {
            i += 1;
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn another_file_system_and_a_full_one_are_refused_before_anything_is_written() {
    let t = Trees::new();
    let Some(_disk) = Disk::mount("mirror::snapshots::disk", &t.root(), "size=64m,nr_inodes=400") else { return };
    let out = t.step("mirror/snapshot", &[]).expect(4);
    assert!(out.stderr.contains("another file system") && out.stderr.contains("packages=copy") && out.stderr.contains("KiB"), "{out:?}");
    t.step("mirror/snapshot", &["packages=copy"]).expect(0);
    t.whole(&t.told().1["id"]);
    assert_eq!(std::fs::metadata(t.tree("base").join("Packages/steady1.rpm")).unwrap().nlink(), 1);
    for (words, options) in [("are free", "size=16m"), ("inodes", "size=64m,nr_inodes=20")] {
        let t = Trees::new();
        let Some(_disk) = Disk::mount("mirror::snapshots::disk", &t.root(), options) else { return };
        let out = t.step("mirror/snapshot", &["packages=copy"]).expect(4);
        assert!(out.stderr.contains(words) && out.stderr.contains("nothing was written"), "{options}: {out:?}");
        assert!(t.ids().is_empty() && !t.root().join(".quarterdeck/building").exists(), "{options}");
    }
}

/// As if the last check had been a day ago, on an earlier boot of the machine.
fn a_day_later(t: &Trees) {
    let file = t.root().join(".quarterdeck/gc.json");
    let mut seen: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for (_, moment) in seen.as_object_mut().unwrap() {
        moment["wall_us"] = (moment["wall_us"].as_i64().unwrap() - 25 * 3_600_000_000).into();
        moment["boot_id"] = "another".into();
    }
    std::fs::write(&file, seen.to_string()).unwrap();
}

#[test]
fn a_collection_killed_at_any_point_leaves_no_half_snapshot_under_its_name() {
    for point in ["gc.checked", "gc.moved", "gc.removed"] {
        let t = Trees::new();
        let mut ids = Vec::new();
        for n in 1..=4 {
            t.compose(n);
            ids.push(t.take());
        }
        t.step("mirror/switch", &[&format!("to={}", ids[0])]).expect(0);
        t.step("mirror/gc", &["keep=1"]).expect(0);
        assert_eq!((t.told().1["resting"].as_str(), t.told().1["removed"].as_str()), ("2", "0"));
        a_day_later(&t);
        let mut c = t.command("mirror/gc", &["keep=1"]);
        c.env("QD_CRASH_AT", point);
        assert_eq!(run(c).code, -9, "{point}");
        t.ids().iter().for_each(|id| t.whole(id));
        t.step("mirror/gc", &["keep=1"]).expect(0);
        let mut left = vec![ids[0].clone(), ids[3].clone()];
        left.sort();
        assert_eq!(t.ids(), left, "{point}");
        t.ids().iter().for_each(|id| t.whole(id));
        let trash = t.root().join(".quarterdeck/trash");
        assert!(std::fs::read_dir(trash).unwrap().next().is_none(), "{point}");
    }
}

#[test]
fn a_package_that_is_not_there_is_refused_with_what_was_meant() {
    let t = Trees::new();
    let id = t.take();
    let (base, source) = (format!("base={id}"), format!("source=base={}", t.tree("base").display()));
    let other = format!("source=bsae={}", t.tree("base").display());
    for (source, nevra, found, next) in [
        (&source, "steady1-0:1-2.noarch", "is in none of the sources", "there is steady1-0:1-1.noarch"),
        (&source, "staedy1-0:1-1.noarch", "is in none of the sources", "did you mean `steady1`?"),
        (&source, "quite-another-0:1-1.noarch", "is in none of the sources", "quarterdeck diff"),
        (&other, "steady1-0:1-1.noarch", "the snapshot has no repository bsae", "the snapshot has base, app"),
    ] {
        let out = t.step("mirror/overlay", &[&base, source, &format!("add={nevra}")]).expect(1);
        assert!(out.stderr.contains(found) && out.stderr.contains(next), "{nevra}: {out:?}");
    }
    let out = t.step("mirror/overlay", &[&base, &format!("from={id}"), "hold=staedy2"]).expect(1);
    assert!(out.stderr.contains("it cannot be held") && out.stderr.contains("did you mean `steady2`?"), "{out:?}");
}
