//! Signatures through the tools themselves: packages and metadata signed by a key that the test makes, unsigned, damaged, and signed by a stranger.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use quarterdeck::systems::signature::{Verdict, gpgv, rpmkeys};

use crate::demo_tools::have;

/// Generous: it is there so that a tool which hangs ends the test.
const LIMIT: Duration = Duration::from_secs(120);
const SPEC: &str = "Name: t\nVersion: 1\nRelease: 1\nSummary: s\nLicense: MIT\nBuildArch: noarch\n%description\nd\n%files\n";

/// A package that is signed, one that is not, and one that is damaged, with the public key in `key.asc`.
pub fn packages(dir: &Path) -> [PathBuf; 3] {
    let run = |program: &str, args: &[&str]| {
        let mut c = Command::new(program);
        c.args(args).current_dir(dir).env("HOME", dir).env("GNUPGHOME", dir.join("gpg")).env("LC_ALL", "C").stdin(Stdio::null());
        let out = c.output().unwrap();
        assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    };
    std::fs::DirBuilder::new().mode(0o700).create(dir.join("gpg")).unwrap();
    std::fs::write(dir.join("t.spec"), SPEC).unwrap();
    let (top, rpms) = (format!("_topdir {}", dir.join("top").display()), format!("_rpmdir {}", dir.display()));
    run("gpg", &["--batch", "--quiet", "--passphrase", "", "--quick-gen-key", "Test <t@example.org>", "rsa2048", "sign", "never"]);
    run("gpg", &["--batch", "--armor", "--output", "key.asc", "--export"]);
    run("rpmbuild", &["-bb", "--quiet", "--define", &top, "--define", &rpms, "--define", "_build_name_fmt %%{NAME}.rpm", "t.spec"]);
    let [signed, plain, damaged] = ["signed.rpm", "plain.rpm", "damaged.rpm"].map(|n| dir.join(n));
    std::fs::copy(dir.join("t.rpm"), &plain).unwrap();
    std::fs::rename(dir.join("t.rpm"), &signed).unwrap();
    run("rpmsign", &["--define", "_gpg_name Test", "--define", "__gpg /usr/bin/gpg", "--addsign", "signed.rpm"]);
    let mut bytes = std::fs::read(&signed).unwrap();
    let at = bytes.len() - 10;
    bytes[at] ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    run("gpg", &["--batch", "--armor", "--output", "plain.asc", "--detach-sign", "plain.rpm"]);
    // Its agent ends with its home, not some time later.
    run("gpgconf", &["--homedir", "gpg", "--kill", "all"]);
    [signed, plain, damaged]
}

/// A detached signature beside a file, by the key that [`packages`] made in `dir`.
pub fn sign(dir: &Path, file: &Path) {
    let mut asc = file.as_os_str().to_owned();
    asc.push(".asc");
    let run = |program: &str, args: &[&std::ffi::OsStr]| {
        let mut c = Command::new(program);
        c.args(args).current_dir(dir).env("HOME", dir).env("GNUPGHOME", dir.join("gpg")).env("LC_ALL", "C").stdin(Stdio::null());
        let out = c.output().unwrap();
        assert!(out.status.success(), "{program}: {}", String::from_utf8_lossy(&out.stderr));
    };
    let o = std::ffi::OsStr::new;
    run("gpg", &[o("--batch"), o("--yes"), o("--armor"), o("--output"), &asc, o("--detach-sign"), file.as_os_str()]);
    run("gpgconf", &[o("--homedir"), o("gpg"), o("--kill"), o("all")]);
}

#[test]
fn metadata_that_brings_a_signature_is_held_against_the_keys_of_the_site_too() {
    if !have("signatures.metadata", &TOOLS) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [signed, ..] = packages(dir.path());
    let mut repo = crate::mirror::Repo::of(&[]);
    repo.packages.insert("signed.rpm".into(), std::fs::read(signed).unwrap());
    let tree = dir.path().join("tree");
    repo.write(&tree);
    let repomd = tree.join("repodata/repomd.xml");
    sign(dir.path(), &repomd);
    let report = dir.path().join("report");
    let ask = |path: Option<&Path>| {
        let (tree, key) = (format!("tree=base={}", tree.display()), format!("key={}", dir.path().join("key.asc").display()));
        let mut c = crate::mirror::step("content/signatures", &[&tree, &key, "report-only=true"], Path::new(""), &report);
        path.map(|p| c.env("PATH", p));
        crate::support::home::run(c).expect(0);
        std::fs::read_to_string(&report).unwrap_or_default()
    };
    let told = ask(None);
    assert!(told.contains("\"checked\":1,\"metadata\":1,\"bad\":[]"), "{told}");
    // Without gpgv nobody knows, whatever rpmkeys says of the packages.
    let bin = dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let rpmkeys = String::from_utf8(Command::new("sh").args(["-c", "command -v rpmkeys"]).output().unwrap().stdout).unwrap();
    std::os::unix::fs::symlink(rpmkeys.trim(), bin.join("rpmkeys")).unwrap();
    let told = ask(Some(&bin));
    assert!(told.contains("\"checked\":0") && told.contains("\"tool\":\"gpgv\""), "{told}");
    // What was signed is not what is there now; and a file that is no signature is none.
    let good = std::fs::read(&repomd).unwrap();
    std::fs::write(&repomd, [good.clone(), b"<!-- -->\n".to_vec()].concat()).unwrap();
    assert!(ask(None).contains("\"bad\":[\"base/repodata/repomd.xml\"]"));
    std::fs::write(&repomd, &good).unwrap();
    std::fs::write(tree.join("repodata/repomd.xml.asc"), "no signature\n").unwrap();
    assert!(ask(None).contains("\"bad\":[\"base/repodata/repomd.xml\"]"));
}

#[test]
fn a_step_says_which_packages_are_signed_and_that_a_tool_is_missing() {
    if !have("signatures.step", &TOOLS) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [signed, plain, _] = packages(dir.path());
    let mut repo = crate::mirror::Repo::of(&[]);
    repo.packages.insert("signed.rpm".into(), std::fs::read(signed).unwrap());
    repo.write(&dir.path().join("good"));
    repo.packages.insert("plain.rpm".into(), std::fs::read(plain).unwrap());
    repo.write(&dir.path().join("mixed"));
    let report = dir.path().join("report");
    let ask = |tree: &str, more: &[&str], path: Option<&str>| {
        let (tree, key) = (format!("tree={}", dir.path().join(tree).display()), format!("key={}", dir.path().join("key.asc").display()));
        let mut c = crate::mirror::step("content/signatures", &[&[tree.as_str(), key.as_str()][..], more].concat(), Path::new(""), &report);
        path.map(|p| c.env("PATH", p));
        let out = crate::support::home::run(c);
        (out, std::fs::read_to_string(&report).unwrap_or_default())
    };
    let (out, told) = ask("good", &[], None);
    out.expect(0);
    assert!(told.contains("\"checked\":1,\"metadata\":0,\"bad\":[]") && told.contains("key.asc "), "{told}");
    let (out, told) = ask("mixed", &[], None);
    let out = out.expect(1);
    assert!(out.stderr.contains("1 of 2 packages") && told.contains("\"bad\":[\"plain.rpm\"]"), "{out:?} {told}");
    ask("mixed", &["report-only=true"], None).0.expect(0);
    // Without the tool nobody is told that anything is good.
    let (out, told) = ask("good", &["report-only=true"], Some("/nonexistent"));
    out.expect(0);
    assert!(told.contains("\"checked\":0") && told.contains("\"tool\":\"rpmkeys\""), "{told}");
    let (out, _) = ask("good", &[], Some("/nonexistent"));
    assert!(out.expect(1).stderr.contains("rpmkeys is not installed"));
}

pub const TOOLS: [&str; 7] = ["gpg", "gpg-agent", "gpgv", "gpgconf", "rpmbuild", "rpmsign", "rpmkeys"];

#[test]
fn a_key_of_the_test_tells_signed_from_unsigned_and_from_damaged() {
    if !have("signatures.tools", &TOOLS) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(told_apart());
}

async fn told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let all = packages(dir.path());
    let key = [dir.path().join("key.asc")];
    let db = rpmkeys::Database::new(&dir.path().join("keys"), &key, LIMIT).await.unwrap();
    let mut asked = all.to_vec();
    asked.push(dir.path().join("gone.rpm"));
    let got = db.check(&asked, LIMIT).await.unwrap();
    assert!(got[0].is_good() && got[1] == Verdict::Unsigned, "{got:?}");
    assert!(matches!(got[2], Verdict::Bad(_)) && matches!(got[3], Verdict::Unreadable(_)), "{got:?}");
    let home = dir.path().join("gpgv");
    std::fs::create_dir(&home).unwrap();
    let sign = dir.path().join("plain.asc");
    assert!(gpgv::verify(&home, &key, &sign, &all[1], LIMIT).await.unwrap().is_good());
    assert!(matches!(gpgv::verify(&home, &key, &sign, &all[2], LIMIT).await.unwrap(), Verdict::Bad(_)));
    assert_eq!(gpgv::verify(&home, &key, &dir.path().join("none.asc"), &all[1], LIMIT).await.unwrap(), Verdict::Unsigned);
    // With another key of the site the same signature is one of a stranger.
    let other = tempfile::tempdir().unwrap();
    packages(other.path());
    let stranger = [other.path().join("key.asc")];
    let db = rpmkeys::Database::new(&other.path().join("keys"), &stranger, LIMIT).await.unwrap();
    assert!(matches!(db.check(&all[..1], LIMIT).await.unwrap()[0], Verdict::UnknownKey(_)));
    let home = other.path().join("gpgv");
    std::fs::create_dir(&home).unwrap();
    assert!(matches!(gpgv::verify(&home, &stranger, &sign, &all[1], LIMIT).await.unwrap(), Verdict::UnknownKey(_)));
}
