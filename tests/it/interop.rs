//! The genuine tools agree with what the demo builds and serves, and with our mirror of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use quarterdeck::demo::catalogue::{Compose, Package, Repo, compose};
use quarterdeck::demo::upstream::{self, Upstream};
use quarterdeck::demo::{Estate, advance, publish};

use crate::demo_tools::{Fields, dnf, dnf_nevras, document, have, packages_of, tool};
use crate::support::home::{EXE, Out, run};

fn nevras(c: &Compose) -> BTreeSet<String> {
    c.packages.iter().map(Package::nevra).collect()
}

fn rpm_files(repo: &Path) -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = std::fs::read_dir(repo.join("Packages")).unwrap().map(|e| e.unwrap().path()).collect();
    out.sort();
    out
}

#[test]
fn rpm_reads_and_verifies_every_package_of_the_demo() {
    if !have("interop.rpm", &["rpm"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let estate = Estate::start(&dir.path().join("d"), 11).unwrap();
    let c = compose(11, 1);
    let mut seen = BTreeSet::new();
    for repo in Repo::ALL {
        let files = rpm_files(&publish::repo_dir(&estate.places().upstream_dir(), repo));
        let args = |first: &[&str]| first.iter().map(std::ffi::OsString::from).chain(files.iter().map(Into::into)).collect::<Vec<_>>();
        let format = "%{NAME}-%{EPOCHNUM}:%{VERSION}-%{RELEASE}.%{ARCH}|%{SOURCERPM}|%{BUILDTIME}|%{CHANGELOGTEXT}\\n";
        for line in tool("rpm", args(&["-qp", "--nosignature", "--qf", format])).lines().filter(|l| l.contains('|')) {
            let part: Vec<&str> = line.split('|').collect();
            let p = c.packages.iter().find(|p| p.nevra() == part[0]).unwrap_or_else(|| panic!("{line}"));
            assert_eq!((part[1], part[2]), (p.source_rpm.as_str(), p.build_time.to_string().as_str()));
            seen.insert(part[0].to_owned());
        }
        let checked = tool("rpm", args(&["-K", "--nosignature"]));
        assert_eq!(checked.lines().filter(|l| l.ends_with(": digests OK")).count(), files.len(), "{checked}");
        // Unpacked by rpm's own reader, to the last byte.
        for file in &files {
            let out = std::process::Command::new("rpm2cpio").arg(file).output().unwrap();
            assert!(
                out.status.success() && out.stdout.starts_with(b"070701"),
                "{file:?}: {} {:?} {:?}",
                out.status,
                out.stderr,
                &out.stdout.get(..16)
            );
            assert!(memchr::memmem::find(&out.stdout, b"TRAILER!!!").is_some(), "{file:?}");
        }
    }
    assert_eq!(seen, nevras(&c));
    let bash = publish::repo_dir(&estate.places().upstream_dir(), Repo::BaseOS).join("Packages");
    let bash =
        rpm_files(bash.parent().unwrap()).into_iter().find(|f| f.file_name().unwrap().to_string_lossy().starts_with("bash-")).unwrap();
    let requires = tool("rpm", [std::ffi::OsStr::new("-qp"), "--nosignature".as_ref(), "--requires".as_ref(), bash.as_os_str()]);
    assert!(requires.contains("libtinfo.so.6()(64bit)") && requires.contains("filesystem >= 3"), "{requires}");
}

#[test]
fn dnf_sees_the_demos_packages_groups_modules_and_advisories_and_nothing_unresolved() {
    if !have("interop.dnf", &["dnf"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("d");
    let estate = Estate::start(&home, 12).unwrap();
    let repos: Vec<(&str, String)> = Repo::ALL.iter().map(|r| (r.id(), estate.repo_url(*r))).collect();
    for n in 1..=3 {
        if n > 1 {
            assert_eq!(advance(&home).unwrap().number, n);
        }
        let work = dir.path().join(format!("work{n}"));
        assert_eq!(dnf_nevras(&work, &repos), nevras(&compose(12, n)), "compose {n}");
        let closure = dnf(&work, &repos, &["repoclosure"]).expect(0);
        assert_eq!(closure.stdout.trim(), "", "compose {n}");
    }
    let work = dir.path().join("work3");
    let groups = dnf(&work, &repos, &["group", "list", "--hidden", "-v"]).expect(0).stdout;
    assert!(groups.contains("Basic Web Server") && groups.contains("Core"), "{groups}");
    let modules = dnf(&work, &repos, &["module", "list"]).expect(0).stdout;
    assert!(modules.contains("nodejs") && modules.contains("20 [d]"), "{modules}");
    let advisories = dnf(&work, &repos, &["updateinfo", "list", "--all", "--with-cve"]).expect(0).stdout;
    let known = compose(12, 3).advisories;
    assert!(!known.is_empty());
    let text = Repo::ALL.map(|r| document(&publish::repo_dir(&estate.places().upstream_dir(), r), "updateinfo")).concat();
    assert!(known.iter().all(|a| text.contains(&a.id)), "{advisories}\n{text}");
}

/// What two descriptions of one package may differ in: nothing but where the file lies and when it was written.
fn comparable(documents: BTreeMap<String, Fields>) -> BTreeMap<String, Fields> {
    documents
        .into_iter()
        .map(|(nevra, mut f)| {
            f.retain(|k, _| k != "package/location@href" && k != "package/time@file");
            (nevra, f)
        })
        .collect()
}

#[test]
fn createrepo_describes_the_same_packages_in_every_field() {
    if !have("interop.createrepo", &["createrepo_c"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("d");
    let estate = Estate::start(&home, 13).unwrap();
    for repo in Repo::ALL {
        let ours = publish::repo_dir(&estate.places().upstream_dir(), repo);
        let copy = dir.path().join(repo.id());
        std::fs::create_dir_all(copy.join("Packages")).unwrap();
        for f in rpm_files(&ours) {
            std::fs::copy(&f, copy.join("Packages").join(f.file_name().unwrap())).unwrap();
        }
        tool("createrepo_c", [std::ffi::OsStr::new("-q"), "--no-database".as_ref(), copy.as_os_str()]);
        for kind in ["primary", "filelists", "other"] {
            let (a, b) = (comparable(packages_of(&document(&ours, kind))), comparable(packages_of(&document(&copy, kind))));
            assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
            assert!(!a.is_empty());
            for (nevra, fields) in &a {
                let other = &b[nevra];
                for key in fields.keys().chain(other.keys()) {
                    assert_eq!(fields.get(key), other.get(key), "{kind} {nevra} {key}");
                }
            }
        }
    }
}

/// Builds `spec` (name, text) with rpmbuild into `out`.
fn rpmbuild(work: &Path, name: &str, spec: &str, out: &Path) {
    std::fs::create_dir_all(work).unwrap();
    std::fs::create_dir_all(out).unwrap();
    let file = work.join(format!("{name}.spec"));
    std::fs::write(&file, spec).unwrap();
    let define = |k: &str, v: String| format!("{k} {v}");
    let mut args = vec!["-bb".to_owned(), "--quiet".to_owned(), "--target".to_owned(), "x86_64".to_owned()];
    for (k, v) in [
        ("_topdir", work.join("top").display().to_string()),
        ("_dbpath", work.join("db").display().to_string()),
        ("_rpmdir", out.display().to_string()),
        ("_build_name_fmt", "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm".to_owned()),
        ("debug_package", "%{nil}".to_owned()),
        ("_build_id_links", "none".to_owned()),
        ("__os_install_post", "%{nil}".to_owned()),
    ] {
        args.push("--define".to_owned());
        args.push(define(k, v));
    }
    args.push(file.display().to_string());
    tool("rpmbuild", args);
}

/// A repository that our code had no hand in: rpmbuild and createrepo_c, with sub-packages, file requires, a rich
/// dependency, noarch, scriptlets, ghosts and a changelog.
pub fn foreign_repository(dir: &Path) -> PathBuf {
    let repo = dir.join("foreign");
    let packages = repo.join("Packages");
    let work = dir.join("build");
    rpmbuild(&work, "anchor", ANCHOR, &packages);
    rpmbuild(&work, "rope", ROPE, &packages);
    tool("createrepo_c", [std::ffi::OsStr::new("-q"), repo.as_os_str()]);
    repo
}

const ANCHOR: &str = r"
Name:      anchor
Epoch:     2
Version:   1.4~rc1
Release:   3.el9
Summary:   Holds <fast> & true
License:   MIT
Requires:  anchor-libs%{?_isa} = %{epoch}:%{version}-%{release}
Requires:  /usr/bin/splice
Requires(post): rope
Provides:  holding-gear = 1.4
%description
A stand-in with everything that a header can say.
%package libs
Summary:   Libraries of anchor
%description libs
Libraries.
%package doc
Summary:   Documentation of anchor
BuildArch: noarch
%description doc
Documentation.
%post
true
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/usr/lib64 %{buildroot}/usr/share/doc/anchor-doc %{buildroot}/etc %{buildroot}/var/lib/anchor
head -c 9000 /dev/urandom > %{buildroot}/usr/bin/anchor
head -c 20000 /dev/urandom > %{buildroot}/usr/lib64/libanchor.so.1
echo text > %{buildroot}/usr/share/doc/anchor-doc/manual
echo drop=deep > %{buildroot}/etc/anchor.conf
ln -s anchor %{buildroot}/usr/bin/drop
%files
%attr(0755,root,root) /usr/bin/anchor
/usr/bin/drop
%config(noreplace) /etc/anchor.conf
%dir /var/lib/anchor
%ghost /var/lib/anchor/state
%files libs
/usr/lib64/libanchor.so.1
%files doc
/usr/share/doc/anchor-doc
%changelog
* Thu Jan 01 2026 Rel <rel-01@ops.example> - 2:1.4~rc1-3
- Fix CVE-2026-90001 & <more>
";

const ROPE: &str = r"
Name:      rope
Version:   0.9^git20260101
Release:   1.el9
Summary:   Rope
License:   MIT
BuildArch: noarch
Requires:  (anchor-doc if anchor)
Provides:  /bin/sh
%description
Rope.
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/usr/share/rope
echo '#!/usr/bin/splice' > %{buildroot}/usr/share/rope/knots
echo > %{buildroot}/usr/bin/splice
%files
%attr(0755,root,root) /usr/bin/splice
/usr/share/rope
";

#[test]
fn a_repository_of_rpmbuild_and_createrepo_is_served_as_it_is() {
    if !have("interop.rpmbuild", &["rpmbuild", "createrepo_c", "dnf"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let repo = foreign_repository(dir.path());
    let server = Upstream::start(dir.path(), upstream::Options::default()).unwrap();
    let served = [("served", format!("{}/foreign", server.url()))];
    let local = [("local", format!("file://{}", repo.display()))];
    let seen = dnf_nevras(&dir.path().join("w1"), &served);
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert_eq!(seen, dnf_nevras(&dir.path().join("w2"), &local));
    let mirror = dir.path().join("mirror");
    mirror_sync(&served[0].1, &mirror).expect(0);
    let mirrored = [("mirrored", format!("file://{}", mirror.display()))];
    assert_eq!(seen, dnf_nevras(&dir.path().join("w3"), &mirrored));
    for kind in ["primary", "filelists", "other"] {
        assert_eq!(document(&repo, kind), document(&mirror, kind));
    }
    let closure = dnf(&dir.path().join("w3"), &mirrored, &["repoclosure"]).expect(0);
    assert_eq!(closure.stdout.trim(), "");
}

fn mirror_sync(url: &str, dest: &Path) -> Out {
    let mut c = Command::new(EXE);
    c.args(["step", "mirror/sync", "--with", &format!("url={url}"), "--with", &format!("dest={}", dest.display())]);
    run(c)
}

/// Types of metadata that a repository has, and their checksums before compression.
fn types(repo: &Path) -> BTreeSet<String> {
    let repomd = std::fs::read_to_string(repo.join("repodata/repomd.xml")).unwrap();
    repomd.split("<data type=\"").skip(1).map(|d| d.split("</checksum>").next().unwrap().to_owned()).collect()
}

#[test]
fn the_mirror_of_the_demo_is_what_upstream_is_for_every_tool() {
    if !have("interop.mirror", &["rpm", "dnf", "createrepo_c"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("d");
    let estate = Estate::start(&home, 14).unwrap();
    let upstream: Vec<(&str, String)> = Repo::ALL.iter().map(|r| (r.id(), estate.repo_url(*r))).collect();
    let mirror: Vec<(&str, String)> =
        Repo::ALL.iter().map(|r| (r.id(), format!("file://{}", estate.places().tree(*r).display()))).collect();
    for n in 1..=2 {
        for (repo, (_, url)) in Repo::ALL.iter().zip(&upstream) {
            mirror_sync(url, &estate.places().tree(*repo)).expect(0);
            let up = publish::repo_dir(&estate.places().upstream_dir(), *repo);
            assert_eq!(types(&up), types(&estate.places().tree(*repo)), "{repo:?} compose {n}");
        }
        let (w1, w2) = (dir.path().join(format!("u{n}")), dir.path().join(format!("m{n}")));
        let seen = dnf_nevras(&w2, &mirror);
        assert_eq!(seen, dnf_nevras(&w1, &upstream));
        assert_eq!(seen, nevras(&compose(14, n)));
        assert_eq!(dnf(&w2, &mirror, &["repoclosure"]).expect(0).stdout.trim(), "");
        if n == 1 {
            // Unchanged: one request a repository, and no package.
            estate.upstream().counters().reset();
            for (repo, (_, url)) in Repo::ALL.iter().zip(&upstream) {
                let out = mirror_sync(url, &estate.places().tree(*repo)).expect(0);
                assert!(out.stdout.contains("no-change"), "{out:?}");
            }
            let c = estate.upstream().counters();
            assert_eq!((c.requests(), c.status(304), c.ending(".rpm")), (2, 2, 0));
            advance(&home).unwrap();
        }
    }
    for repo in Repo::ALL {
        let tree = estate.places().tree(repo);
        let files: Vec<PathBuf> =
            packages_of(&document(&tree, "primary")).values().map(|f| tree.join(f["package/location@href"].first().unwrap())).collect();
        let args = ["-K", "--nosignature"].map(std::ffi::OsString::from).into_iter().chain(files.iter().map(Into::into));
        assert_eq!(tool("rpm", args).lines().filter(|l| l.ends_with(": digests OK")).count(), files.len());
        // What createrepo_c finds in the mirrored files is what the mirrored metadata says.
        let copy = dir.path().join(format!("again-{}", repo.id()));
        std::fs::create_dir_all(copy.join("Packages")).unwrap();
        for f in &files {
            std::fs::copy(f, copy.join("Packages").join(f.file_name().unwrap())).unwrap();
        }
        tool("createrepo_c", [std::ffi::OsStr::new("-q"), copy.as_os_str()]);
        let (a, b) = (packages_of(&document(&tree, "primary")), packages_of(&document(&copy, "primary")));
        assert_eq!(comparable(a), comparable(b));
    }
}

fn rpms_below(dir: &Path, out: &mut std::collections::BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() {
            rpms_below(&path, out);
        } else if name.ends_with(".rpm") {
            out.insert(name, std::fs::read(path).unwrap());
        }
    }
}

#[test]
fn dnf_fetches_from_a_mirror_whose_upstream_replaced_packages_under_their_names() {
    if !have("interop.same_name", &["dnf", "createrepo_c"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (up, mirror, got) = (dir.path().join("up"), dir.path().join("mirror"), dir.path().join("got"));
    std::fs::create_dir_all(up.join("Packages")).unwrap();
    let some: Vec<Package> = compose(31, 1).packages.into_iter().filter(|p| p.repo == Repo::BaseOS).take(8).collect();
    let publish = |replaced: usize| {
        for (i, p) in some.iter().enumerate() {
            let built = quarterdeck::demo::rpms::build(p, u64::from(i < replaced)).unwrap();
            std::fs::write(up.join("Packages").join(p.file_name()), built.bytes).unwrap();
        }
        tool("createrepo_c", [std::ffi::OsStr::new("-q"), "--database".as_ref(), up.as_os_str()]);
    };
    publish(0);
    let server = Upstream::start(&up, upstream::Options::default()).unwrap();
    mirror_sync(&server.url(), &mirror).expect(0);
    publish(5);
    mirror_sync(&server.url(), &mirror).expect(0);
    let lists = |repo: &Path| types(repo).iter().filter(|t| t.starts_with("primary")).count();
    assert_eq!((lists(&up), lists(&mirror)), (2, 1), "a list in another form would lead its readers astray");
    let served = Upstream::start(&mirror, upstream::Options::default()).unwrap();
    let ours = [("ours", served.url())];
    let work = dir.path().join("w1");
    assert_eq!(dnf_nevras(&work, &ours), dnf_nevras(&dir.path().join("w2"), &[("theirs", server.url())]));
    let path = format!("--download-path={}", got.display());
    dnf(&work, &ours, &["reposync", &path]).expect(0);
    let (mut theirs, mut fetched) = Default::default();
    rpms_below(&up, &mut theirs);
    rpms_below(&got, &mut fetched);
    assert_eq!(theirs.len(), 8);
    assert!(theirs == fetched, "{:?} against {:?}", theirs.keys(), fetched.keys());
}
