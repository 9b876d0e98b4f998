//! `git/checkout` with the real git against local repositories, kind and unkind.

use std::path::Path;
use std::process::Command;

use crate::demo_tools::have;
use crate::mirror::{step, told};
use crate::support::home::{Out, run};

fn git(dir: &Path, args: &[&str]) -> String {
    let out = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"])
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

#[test]
fn a_reference_is_checked_out_and_its_commit_reported() {
    if !have("checkout", &["git"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let origin = dir.path().join("origin");
    std::fs::create_dir(&origin).unwrap();
    git(&origin, &["init", "-q"]);
    std::fs::write(origin.join("file"), "one").unwrap();
    git(&origin, &["add", "."]);
    git(&origin, &["commit", "-qm", "one"]);
    git(&origin, &["tag", "v1"]);
    let first = git(&origin, &["rev-parse", "HEAD"]);
    std::fs::write(origin.join("file"), "two").unwrap();
    git(&origin, &["commit", "-qam", "two"]);
    let second = git(&origin, &["rev-parse", "HEAD"]);
    let (dest, report) = (dir.path().join("out"), dir.path().join("report"));
    let checkout = |with: &[&str]| -> Out {
        let dest = format!("dest={}", dest.display());
        run(step("git/checkout", &[with, &[&dest]].concat(), Path::new(""), &report))
    };
    let url = format!("url={}", origin.display());
    // The first call makes the directory; the others make it anew. A bare commit comes by way of the branches where it must.
    for (reference, commit, text) in [("HEAD", &second, "two"), ("v1", &first, "one"), ("main", &second, "two"), (&first, &first, "one")] {
        let out = checkout(&[&url, &format!("ref={reference}")]).expect(0);
        assert_eq!(told(&report).1["commit"], *commit, "{reference}: {out:?}");
        assert_eq!(std::fs::read_to_string(dest.join("file")).unwrap(), text, "{reference}");
        assert!(std::fs::read_to_string(&report).unwrap().contains("\"kind\":\"commit\""));
    }
    let out = checkout(&[&url, "ref=no-such-branch"]).expect(3);
    assert!(out.stderr.contains("no-such-branch") && out.stderr.contains("next:"), "{out:?}");
    let out = checkout(&[&url, &format!("ref={}", &first[..12])]).expect(3);
    assert!(out.stderr.contains("all of its 40 digits") && out.stderr.contains(&format!("git rev-parse {}", &first[..12])), "{out:?}");
    let gone = "0123456789".repeat(4);
    let out = checkout(&[&url, &format!("ref={gone}")]).expect(1);
    assert!(out.stderr.contains(&format!("has no commit {gone} on any branch or tag")), "{out:?}");
    checkout(&[&format!("url={}", dir.path().join("nowhere").display())]).expect(3);
    checkout(&["url=--upload-pack=touch /tmp/x"]).expect(2);
    checkout(&[&url, "ref=--exec=x"]).expect(2);
    checkout(&["url=ext::sh -c true"]).expect(2);
}

#[test]
fn somebody_s_directory_is_left_alone_and_hooks_do_not_run() {
    if !have("checkout.hooks", &["git"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (origin, report) = (dir.path().join("origin"), dir.path().join("report"));
    std::fs::create_dir(&origin).unwrap();
    git(&origin, &["init", "-q"]);
    std::fs::write(origin.join("file"), "one").unwrap();
    git(&origin, &["add", "."]);
    git(&origin, &["commit", "-qm", "one"]);
    let url = format!("url={}", origin.display());
    let full = dir.path().join("full");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("precious"), "p").unwrap();
    let out = run(step("git/checkout", &[&url, &format!("dest={}", full.display())], Path::new(""), &report)).expect(4);
    assert!(out.stderr.contains("not empty"), "{out:?}");
    assert_eq!(std::fs::read_to_string(full.join("precious")).unwrap(), "p");
    // A user's own configuration that points at hooks and templates has no say.
    let home = dir.path().join("home");
    std::fs::create_dir_all(home.join("hooks")).unwrap();
    let trap = dir.path().join("trap");
    let hook = home.join("hooks/post-checkout");
    std::fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", trap.display())).unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(
        home.join(".gitconfig"),
        format!("[core]\n hooksPath = {}\n[init]\n templateDir = {}\n", home.join("hooks").display(), home.display()),
    )
    .unwrap();
    let mut command = step("git/checkout", &[&url, &format!("dest={}", dir.path().join("out").display())], Path::new(""), &report);
    command.env("HOME", &home);
    run(command).expect(0);
    assert!(!trap.exists());
}

#[test]
fn a_run_s_checkout_stays_in_its_workspace() {
    if !have("checkout.workspace", &["git"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (origin, work, away, report) =
        (dir.path().join("origin"), dir.path().join("work"), dir.path().join("away"), dir.path().join("report"));
    for made in [&origin, &work, &away] {
        std::fs::create_dir(made).unwrap();
    }
    git(&origin, &["init", "-q"]);
    std::fs::write(origin.join("file"), "one").unwrap();
    git(&origin, &["add", "."]);
    git(&origin, &["commit", "-qm", "one"]);
    std::os::unix::fs::symlink(&away, work.join("link")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("nowhere"), work.join("dangling")).unwrap();
    let inside = |dest: &str| {
        let mut command = step("git/checkout", &[&format!("url={}", origin.display()), &format!("dest={dest}")], Path::new(""), &report);
        command.env("QD_WORKSPACE", &work);
        run(command)
    };
    let absolute = away.join("x");
    for dest in ["..", "../x", "a/../../x", "link", "link/x", "dangling/x", "dangling", absolute.to_str().unwrap()] {
        let out = inside(dest).expect(4);
        assert!(out.stderr.contains("refused: dest") && out.stderr.contains("next:"), "{dest}: {out:?}");
        assert!(!dir.path().join("x").exists() && !dir.path().join("nowhere").exists(), "{dest}");
        assert_eq!(std::fs::read_dir(&away).unwrap().count(), 0, "{dest}");
    }
    for dest in ["source", "a/b/c", "a/../d", work.join("e").to_str().unwrap()] {
        inside(dest).expect(0);
    }
    assert!(["source", "a/b/c", "d", "e"].iter().all(|d| work.join(d).join("file").is_file()));
}
