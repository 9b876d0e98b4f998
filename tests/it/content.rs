//! `content/closure` and `content/unpack` on the demo's repositories and on those of rpmbuild and createrepo_c, beside dnf's own judgement.

use std::path::{Path, PathBuf};
use std::process::Command;

use quarterdeck::demo::catalogue::Repo as DemoRepo;
use quarterdeck::demo::{Estate, estate, publish};

use crate::demo_tools::{dnf, have};
use crate::mirror::{step, told};
use crate::support::home::{Out, run};

struct Judge {
    dir: tempfile::TempDir,
}

impl Judge {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn report(&self) -> PathBuf {
        self.dir.path().join("report")
    }

    fn run(&self, kind: &str, with: &[&str]) -> Out {
        run(step(kind, with, Path::new("/nowhere"), &self.report()))
    }

    fn demo(&self) -> [String; 2] {
        let estate = Estate::start(&self.dir.path().join("d"), 21).unwrap();
        let up = estate.places().upstream_dir();
        DemoRepo::ALL.map(|r| format!("tree={}={}", r.id(), publish::repo_dir(&up, r).display()))
    }
}

#[test]
fn the_demo_is_closed_and_one_half_of_it_is_not() {
    let j = Judge::new();
    let [base, app] = j.demo();
    let out = j.run("content/closure", &[&base, &app, "set=el9"]).expect(0);
    let (detail, outputs) = told(&j.report());
    assert!(detail.starts_with("closed: ") && out.stdout.contains("closed: "), "{detail} {out:?}");
    assert_eq!((outputs["fact.set"].as_str(), outputs["unmet"].as_str()), ("el9", "0"));
    let both = outputs["fp"].clone();
    let out = j.run("content/closure", &[&app]).expect(1);
    assert!(out.stderr.contains(" needs ") && out.stderr.contains("next:"), "{out:?}");
    // Given as extra, the other half provides and is not judged, and the content is the half's own.
    j.run("content/closure", &[&app, &base.replace("tree=", "extra=")]).expect(0);
    assert_ne!(told(&j.report()).1["fp"], both);
    // The order of repositories is no content.
    j.run("content/closure", &[&app, &base]).expect(0);
    assert_eq!(told(&j.report()).1["fp"], both);
    j.run("content/closure", &["tree=/nowhere/at/all"]).expect(1);
}

#[test]
fn every_package_of_the_demo_unpacks_and_a_damaged_one_is_named() {
    let j = Judge::new();
    let [base, app] = j.demo();
    j.run("content/unpack", &[&base, &app]).expect(0);
    let (detail, outputs) = told(&j.report());
    assert!(detail.contains("packages unpacked") && !detail.contains("without") && !detail.contains("cannot be opened"), "{detail}");
    assert_eq!(outputs["damaged"], "0");
    let tree = PathBuf::from(base.rsplit('=').next().unwrap());
    let victim = std::fs::read_dir(tree.join("Packages"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.to_string_lossy().contains("/bash-"))
        .unwrap();
    let good = std::fs::read(&victim).unwrap();
    for (at, what) in [(good.len() - 5, "flip"), (good.len() / 2, "flip"), (200, "flip"), (good.len() / 2, "cut"), (0, "cut")] {
        let mut bad = good.clone();
        if what == "cut" {
            bad.truncate(at)
        } else {
            bad[at] ^= 4
        }
        std::fs::write(&victim, bad).unwrap();
        let out = j.run("content/unpack", &[&base]).expect(1);
        assert!(out.stderr.contains("Packages/bash-") && out.stderr.contains("1 of "), "{what} {at}: {out:?}");
    }
    std::fs::remove_file(&victim).unwrap();
    j.run("content/unpack", &[&base]).expect(1);
}

/// Builds a package; `None` where rpmbuild is absent.
fn rpmbuild(work: &Path, out: &Path, name: &str, compression: &str, tags: &str, files: &str) {
    let spec = work.join(format!("{name}.spec"));
    let text = format!(
        "Name: {name}\nVersion: 1.5\nRelease: 2.el9\nSummary: s\nLicense: MIT\nBuildArch: noarch\n{tags}\n%description\nd\n%install\n\
         mkdir -p %{{buildroot}}/usr/share/{name} %{{buildroot}}/opt/{name}\nfor i in 1 2 3; do seq 1 4000 > %{{buildroot}}/usr/share/{name}/f$i; echo $i >> %{{buildroot}}/usr/share/{name}/f$i; done\n\
         ln %{{buildroot}}/usr/share/{name}/f1 %{{buildroot}}/usr/share/{name}/hard\nln -s f2 %{{buildroot}}/usr/share/{name}/soft\n: > %{{buildroot}}/usr/share/{name}/empty\necho x > %{{buildroot}}/opt/{name}/only-in-filelists\n\
         %files\n/usr/share/{name}\n/opt/{name}\n{files}\n"
    );
    std::fs::write(&spec, text).unwrap();
    let result = Command::new("rpmbuild")
        .args([
            "-bb",
            "--quiet",
            "--define",
            &format!("_topdir {}", work.join("top").display()),
            "--define",
            &format!("_rpmdir {}", out.display()),
        ])
        .args([
            "--define",
            "_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
            "--define",
            &format!("_binary_payload {compression}"),
        ])
        .args(["--define", &format!("_dbpath {}", work.join("db").display()), "--define", "_build_id_links none"])
        .arg(&spec)
        .output()
        .unwrap();
    assert!(result.status.success(), "{}", String::from_utf8_lossy(&result.stderr));
}

fn createrepo(dir: &Path) {
    let out = Command::new("createrepo_c").arg("-q").arg(dir).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn rpmbuild_s_own_packages_of_every_compression_unpack_with_hardlinks_and_all() {
    if !have("content.rpmbuild", &["rpmbuild", "createrepo_c"]) {
        return;
    }
    let j = Judge::new();
    let (work, tree) = (j.dir.path().join("w"), j.dir.path().join("tree"));
    std::fs::create_dir_all(&work).unwrap();
    for (name, compression) in
        [("packed-gz", "w6.gzdio"), ("packed-xz", "w2.xzdio"), ("packed-zst", "w3.zstdio"), ("packed-not", "w.ufdio")]
    {
        rpmbuild(&work, &tree.join("Packages"), name, compression, "", "%ghost /var/log/packed.log");
    }
    createrepo(&tree);
    let out = j.run("content/unpack", &[&format!("tree={}", tree.display())]).expect(0);
    let (detail, _) = told(&j.report());
    assert!(detail.starts_with("4 packages unpacked") && !detail.contains(';'), "{detail} {out:?}");
    // createrepo_c run again writes other metadata; the content is the same.
    let fp = told(&j.report()).1["fp"].clone();
    let md = told(&j.report()).1["md"].clone();
    createrepo(&tree);
    let repomd = tree.join("repodata/repomd.xml");
    let text = std::fs::read_to_string(&repomd).unwrap();
    std::fs::write(&repomd, text.replace("<revision>", "<revision>9")).unwrap();
    j.run("content/unpack", &[&format!("tree={}", tree.display())]).expect(0);
    assert_eq!(told(&j.report()).1["fp"], fp);
    assert_ne!(told(&j.report()).1["md"], md);
}

/// `createrepo_c`, at a moment of its own: the revision is the clock's second, which two runs may share.
fn createrepo_at(dir: &Path, revision: &str) {
    let out = Command::new("createrepo_c").args(["-q", "--revision", revision]).arg(dir).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn fp_and_md_one_set_described_twice_is_one_content_and_a_package_replaced_under_its_name_is_another() {
    if !have("content.fp_md", &["rpmbuild", "createrepo_c"]) {
        return;
    }
    let j = Judge::new();
    let (work, tree) = (j.dir.path().join("w"), j.dir.path().join("tree"));
    std::fs::create_dir_all(&work).unwrap();
    for name in ["steady", "replaced"] {
        rpmbuild(&work, &tree.join("Packages"), name, "w1.gzdio", "", "");
    }
    let read = || {
        j.run("content/unpack", &[&format!("tree={}", tree.display())]).expect(0);
        let outputs = told(&j.report()).1;
        let open = crate::demo_tools::document(&tree, "primary");
        (outputs["fp"].clone(), outputs["md"].clone(), open)
    };
    createrepo_at(&tree, "1");
    let (fp, md, primary) = read();
    // Times of files are part of the metadata, and of no package.
    for entry in std::fs::read_dir(tree.join("Packages")).unwrap() {
        let file = std::fs::File::options().append(true).open(entry.unwrap().path()).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).unwrap();
    }
    createrepo_at(&tree, "2");
    let (fp_again, md_again, primary_again) = read();
    assert_ne!((&md_again, &primary_again), (&md, &primary), "the metadata is other, the list of packages too");
    assert!(md_again != md && primary_again != primary);
    assert_eq!(fp_again, fp, "and the content is the same");
    // Other bytes under the same name, epoch, version, release and architecture.
    let names = |text: &str| crate::demo_tools::packages_of(text).into_keys().collect::<Vec<_>>();
    rpmbuild(&work, &tree.join("Packages"), "replaced", "w1.gzdio", "Provides: something-else", "");
    createrepo_at(&tree, "2");
    let (fp_other, _, primary_other) = read();
    assert_eq!(names(&primary_other), names(&primary));
    assert_ne!(fp_other, fp);
}

#[test]
fn closure_says_what_dnf_repoclosure_says() {
    if !have("content.closure", &["rpmbuild", "createrepo_c", "dnf"]) {
        return;
    }
    let j = Judge::new();
    let (work, tree) = (j.dir.path().join("w"), j.dir.path().join("tree"));
    std::fs::create_dir_all(&work).unwrap();
    let build = |name: &str, tags: &str| rpmbuild(&work, &tree.join("Packages"), name, "w1.gzdio", tags, "");
    build("base", "Provides: virtual = 2.0\nProvides: bare\nProvides: range >= 3\nAutoReq: no");
    build(
        "good",
        "Requires: base >= 1.5\nRequires: base = 1.5-2.el9\nRequires: virtual > 1\nRequires: bare >= 99\nRequires: /opt/base/only-in-filelists\nRequires: (base or nothing)\nRequires: (base and virtual)\nRequires: (base with virtual)\nRequires: range < 4\nRecommends: nothing-weak",
    );
    build("old", "Requires: base >= 1.6");
    build("newer", "Requires: base < 1:0.1");
    build("pathless", "Requires: /opt/base/not-there");
    build("rich", "Requires: (nothing or nowhere)");
    build("both", "Requires: (base with bare-not)");
    build("epoch", "Requires: virtual = 1:2.0");
    createrepo(&tree);
    let out = j.run("content/closure", &[&format!("tree={}", tree.display())]).expect(1);
    let ours: std::collections::BTreeSet<&str> =
        out.stderr.lines().filter_map(|l| l.strip_prefix("unmet: ")?.split("-0:").next()).collect();
    let theirs = dnf(&j.dir.path().join("dnf"), &[("r", format!("file://{}", tree.display()))], &["repoclosure"]);
    let said = format!("{}{}", theirs.stdout, theirs.stderr);
    let theirs: std::collections::BTreeSet<&str> =
        said.lines().filter_map(|l| l.strip_prefix("package: ")?.split("-1.5-").next()).collect();
    assert_eq!(ours, theirs, "{out:?}\n{said}");
    assert_eq!(ours.into_iter().collect::<Vec<_>>(), ["both", "epoch", "old", "pathless", "rich"], "`newer` is met: 1.5 < 1:0.1");
}

#[test]
fn the_inspector_passes_what_a_distribution_may_have_and_holds_back_what_nobody_waives() {
    let j = Judge::new();
    let demo = Estate::start(&j.dir.path().join("d"), 21).unwrap();
    let dir = |r: DemoRepo| publish::repo_dir(&demo.places().upstream_dir(), r);
    let trees = DemoRepo::ALL.map(|r| format!("tree={}={}", r.id(), dir(r).display()));
    j.run("content/inspect", &[&trees[0], &trees[1], "set=el9"]).expect(0);
    let (detail, outputs) = told(&j.report());
    assert!(detail.contains("packages inspected: 0 BAD, 0 VERIFY"), "{detail}");
    assert_eq!((outputs["fact.set"].as_str(), outputs["open"].as_str()), ("el9", "0"));
    let fp = outputs["fp"].clone();
    j.run("content/closure", &[&trees[0], &trees[1]]).expect(0);
    assert_eq!(told(&j.report()).1["fp"], fp, "every judge is of the same content");
    // What goes back behind what is served is asked about.
    let old = j.dir.path().join("old");
    let copied = Command::new("cp").arg("-a").arg(dir(DemoRepo::ALL[0])).arg(&old).status().unwrap();
    assert!(copied.success());
    estate::advance(&j.dir.path().join("d")).unwrap();
    let (new, old) = (dir(DemoRepo::ALL[0]), old.display().to_string());
    j.run("content/inspect", &[&format!("tree=b={}", new.display()), &format!("before=b={old}")]).expect(0);
    let out = j.run("content/inspect", &[&format!("tree=b={old}"), &format!("before=b={}", new.display())]).expect(1);
    assert!(out.stderr.contains("VERIFY") && out.stderr.contains("is older than") && out.stderr.contains("/upgrade"), "{out:?}");
    // A package that is another one than its metadata says.
    let packages = |of: &Path| {
        let mut all: Vec<_> = std::fs::read_dir(of.join("Packages")).unwrap().map(|e| e.unwrap().path()).collect();
        all.sort();
        all
    };
    let all = packages(Path::new(&old));
    std::fs::copy(&all[1], &all[0]).unwrap();
    let out = j.run("content/inspect", &[&format!("tree=b={old}")]).expect(1);
    assert!(out.stderr.contains("BAD its header says that it is"), "{out:?}");
    std::fs::write(&all[0], b"no package").unwrap();
    let out = j.run("content/inspect", &[&format!("tree=b={old}")]).expect(1);
    assert!(out.stderr.contains("BAD it is too short for a package"), "{out:?}");
}

#[test]
fn the_inspector_sees_rights_and_places_in_packages_of_rpmbuild() {
    if !have("content.inspect", &["rpmbuild", "createrepo_c"]) {
        return;
    }
    let j = Judge::new();
    let (work, tree) = (j.dir.path().join("w"), j.dir.path().join("tree"));
    std::fs::create_dir_all(&work).unwrap();
    rpmbuild(&work, &tree.join("Packages"), "open", "w1.gzdio", "", "%attr(0666, root, root) /usr/share/open/f1");
    rpmbuild(&work, &tree.join("Packages"), "fine", "w1.gzdio", "", "");
    rpmbuild(&work, &tree.join("Packages"), "owned", "w1.gzdio", "", "%attr(4755, daemon, daemon) /usr/share/owned/f2");
    createrepo(&tree);
    let at = format!("tree={}", tree.display());
    let out = j.run("content/inspect", &[&at]).expect(1);
    let said = &out.stderr;
    assert!(said.contains("everybody may write /usr/share/open/f1") && said.contains("2 of 1 BAD, 1 VERIFY"), "{out:?}");
    assert!(out.stderr.contains("waive: [\"open/permissions\"]"), "{out:?}");
    j.run("content/inspect", &[&at, "waive=open/permissions"]).expect(1);
    j.run("content/inspect", &[&at, "waive=open/permissions", "waive=owned/permissions"]).expect(0);
    let (detail, outputs) = told(&j.report());
    assert!(detail.contains("1 BAD, 1 VERIFY") && detail.ends_with("waived"), "{detail}");
    assert_eq!((outputs["bad"].as_str(), outputs["open"].as_str()), ("1", "0"));
}
