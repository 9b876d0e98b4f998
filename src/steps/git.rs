//! `git/checkout`: one reference of a repository into a directory, by the machine's own `git`, and the commit that it was.
//!
//! Nothing of the far end runs here: no hooks, no templates, no submodules, no `ext::` transport. Nothing waits for a keyboard.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine;
use zeroize::Zeroizing;

use super::mirror::credentials;
use super::report::Report;
use crate::domain::git;
use crate::domain::report::Fact;
use crate::steps::env::StepEnv;
use crate::steps::error::StepError;
use crate::steps::with::With;
use crate::systems::git as remote;
use crate::wire::{address, excerpt};

/// In `.git` of a directory that this step made: such a directory may be made anew.
const MARK: &str = "quarterdeck";
/// Of what git says, the end is kept.
const SAID: usize = 16 << 10;

pub fn run(with: &With, env: &StepEnv, report: &Report) -> Result<(), StepError> {
    let url = check_url(with.text("url").unwrap_or_default())?;
    let reference = check_ref(with.text("ref").unwrap_or("HEAD"))?;
    let dest = place(with.text("dest").unwrap_or("source"), env)?;
    let timeout = with.span("timeout").map_or(Duration::from_secs(600), |s| s.as_duration());
    if timeout < Duration::from_secs(1) {
        return Err(StepError::input("`timeout` is shorter than 1s", "git answers no sooner; default 10m"));
    }
    let git = Git {
        dest: &dest,
        timeout,
        header: match with.text("credentials") {
            Some(name) => {
                let c = credentials(name, env)?;
                let pair = Zeroizing::new(format!("{}:{}", c.user, c.password.as_str()));
                Some(Zeroizing::new(format!("Authorization: Basic {}", base64::engine::general_purpose::STANDARD.encode(pair.as_bytes()))))
            }
            None => None,
        },
    };
    prepare(&git)?;
    report.say(&format!("fetching {reference} of {}", address::shown_text(url)));
    let depth = with.int("depth").unwrap_or(1);
    let depth_arg = format!("--depth={depth}");
    let mut fetch = vec!["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--force"];
    if depth > 0 {
        fetch.push(&depth_arg);
    }
    let ask = |git: &Git, fetch: &[&str]| git.call(&fetch.iter().copied().chain(["--", url, reference]).collect::<Vec<_>>());
    let target = match ask(&git, &fetch) {
        // A repository served as plain files knows no shallow history: then all of it comes.
        Err(e) if depth > 0 && e.to_string().contains("shallow") => {
            ask(&git, &fetch[..fetch.len() - 1]).map(|_| "FETCH_HEAD".to_owned())?
        }
        Ok(_) => "FETCH_HEAD".to_owned(),
        // Servers may refuse to send a bare commit: then all branches come, and the commit is among them.
        Err(StepError::FarEnd { .. }) if git::is_commit(reference) => {
            git.call(&[
                "fetch",
                "--quiet",
                "--no-recurse-submodules",
                "--force",
                "--",
                url,
                "+refs/heads/*:refs/remotes/origin/*",
                "+refs/tags/*:refs/tags/*",
            ])?;
            reference.to_owned()
        }
        // No server knows the beginning of a commit; a branch of that name could have been meant.
        Err(StepError::FarEnd { .. }) if git::is_short_commit(reference) => {
            return Err(StepError::far_end(
                format!(
                    "{} has no branch or tag `{reference}`, and a commit is asked for by all of its 40 digits",
                    address::shown_text(url)
                ),
                format!("git rev-parse {reference}, in a clone, shows them"),
            ));
        }
        Err(e) => return Err(e),
    };
    let commit = git.call(&["rev-parse", "--verify", "--quiet", &format!("{target}^{{commit}}")]).map_err(|e| match e {
        // Every branch and tag came, and the commit is on none of them.
        StepError::Failed { .. } if git::is_commit(reference) => StepError::failed(
            format!("{} has no commit {reference} on any branch or tag", address::shown_text(url)),
            "somebody may have pushed over it: look at what there is with git ls-remote, and give another ref",
        ),
        e => e,
    })?;
    let commit = commit.trim().to_owned();
    if !git::is_commit(&commit) {
        return Err(StepError::failed(
            format!("git names no commit for {reference}: `{}`", excerpt(&commit)),
            "look at the reference: git ls-remote shows what there is",
        ));
    }
    git.call(&["checkout", "--quiet", "--force", "--detach", &commit])?;
    report.fact(Fact::Commit { url: address::shown_text(url), reference: reference.to_owned(), commit: commit.clone() });
    report.output("commit", &commit);
    let detail = format!("{reference} is {}", &commit[..12]);
    report.detail(&detail);
    report.summary(&format!("{}: {detail}, in {}", address::shown_text(url), dest.display()));
    report.finish()
}

fn check_url(url: &str) -> Result<&str, StepError> {
    match git::check_url(url) {
        Ok(()) => Ok(url),
        Err(why) => Err(StepError::input(
            format!("`{}` cannot be checked out: {why}", address::shown_text(url)),
            "give https, http, ssh or git, user@host:path, or an absolute path",
        )),
    }
}

fn check_ref(name: &str) -> Result<&str, StepError> {
    if git::is_reference(name) {
        return Ok(name);
    }
    Err(StepError::input(format!("`{}` is not a reference", excerpt(name)), "give a branch, a tag or a full commit"))
}

/// Where the checkout comes to lie. Inside a run that is the workspace, whatever links lead out of it: the step empties what it made before,
/// and writes what a far end says. By hand it is where the person says.
fn place(dest: &str, env: &StepEnv) -> Result<PathBuf, StepError> {
    let path = env.path(dest);
    let Some(workspace) = &env.workspace else { return Ok(path) };
    let outside = || {
        StepError::refused(
            format!("dest `{}` is outside the workspace of this run", excerpt(dest)),
            "give a directory inside it, such as dest: source; a later step may copy what it needs elsewhere",
        )
    };
    // Links are followed as far as there is anything; behind that, `..` could lead anywhere.
    let (mut there, mut rest) = (path.as_path(), Vec::new());
    let real = loop {
        match there.canonicalize() {
            Ok(real) => break real,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && there.symlink_metadata().is_err() => {
                match (there.parent(), there.file_name()) {
                    (Some(up), Some(name)) => {
                        rest.push(name);
                        there = up;
                    }
                    _ => {
                        let what = format!("dest `{}` has `..` behind a directory that is not there", excerpt(dest));
                        return Err(StepError::refused(what, "leave the `..` out"));
                    }
                }
            }
            // A link to nowhere, or a file on the way.
            Err(e) => return Err(StepError::refused(format!("dest {}: {e}", there.display()), "choose another dest")),
        }
    };
    let root =
        workspace.canonicalize().map_err(|e| StepError::failed(format!("{}: {e}", workspace.display()), "is the workspace gone?"))?;
    if real.starts_with(&root) { Ok(rest.iter().rev().fold(real, |at, name| at.join(name))) } else { Err(outside()) }
}

fn prepare(git: &Git<'_>) -> Result<(), StepError> {
    let dest = git.dest;
    let io = |what: &str, e: std::io::Error| {
        StepError::failed(format!("cannot {what} {}: {e}", dest.display()), "look at the workspace's disk and permissions")
    };
    match std::fs::symlink_metadata(dest) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(io("look at", e)),
        Ok(meta) if !meta.is_dir() => {
            return Err(StepError::refused(format!("{} is not a directory", dest.display()), "choose another dest"));
        }
        Ok(_) if dest.join(".git").join(MARK).is_file() => std::fs::remove_dir_all(dest).map_err(|e| io("remove", e))?,
        Ok(_) if std::fs::read_dir(dest).map_err(|e| io("read", e))?.next().is_some() => {
            return Err(StepError::refused(
                format!("{} is not empty, and no checkout of quarterdeck", dest.display()),
                "choose another dest, or empty it",
            ));
        }
        Ok(_) => {}
    }
    std::fs::create_dir_all(dest).map_err(|e| io("make", e))?;
    git.call(&["init", "--quiet", "--template="])?;
    std::fs::write(dest.join(".git").join(MARK), b"made by git/checkout\n").map_err(|e| io("write to", e))
}

struct Git<'a> {
    dest: &'a Path,
    timeout: Duration,
    header: Option<Zeroizing<String>>,
}

impl Git<'_> {
    /// Runs git; its standard output. Failing of `fetch` is the far end's, of all else ours.
    fn call(&self, args: &[&str]) -> Result<String, StepError> {
        let verb = args.first().copied().unwrap_or_default();
        let mut child = remote::command(self.dest, args, self.header.as_ref().map(|h| h.as_str())).spawn().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                StepError::failed("git is not installed", "install it (dnf install git), or leave the stage out")
            }
            _ => StepError::failed(format!("git cannot be started: {e}"), "look at the process limit (ulimit -u)"),
        })?;
        let out = child.stdout.take().map(|mut s| std::thread::spawn(move || tail(&mut s)));
        let err = child.stderr.take().map(|mut s| std::thread::spawn(move || tail(&mut s)));
        let deadline = Instant::now() + self.timeout;
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
                _ => {
                    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
                        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
                    }
                    let _ = child.wait();
                    break None;
                }
            }
        };
        let text = |t: Option<std::thread::JoinHandle<String>>| t.and_then(|t| t.join().ok()).unwrap_or_default();
        let (out, err) = (text(out), text(err));
        let Some(status) = status else {
            return Err(StepError::far_end(
                format!("git {verb} was not done after {} s", self.timeout.as_secs()),
                "look at the far end, or give a longer timeout",
            ));
        };
        if status.success() {
            return Ok(out);
        }
        let said = err.lines().map(str::trim).filter(|l| !l.is_empty()).map(remote::redacted).collect::<Vec<_>>().join("; ");
        let what = format!("git {verb} failed ({status}): {}", excerpt(&said));
        Err(if verb == "fetch" {
            StepError::far_end(what, "try by hand: git ls-remote -- URL REF")
        } else {
            StepError::failed(what, "look at the repository and the workspace's disk")
        })
    }
}

fn tail(from: &mut impl Read) -> String {
    let (mut kept, mut buf) = (Vec::new(), [0; 4096]);
    while let Ok(n) = from.read(&mut buf) {
        if n == 0 {
            break;
        }
        kept.extend_from_slice(&buf[..n]);
        if kept.len() > 2 * SAID {
            kept.drain(..kept.len() - SAID);
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_address_is_told_without_its_password() {
        let e = check_url("ftp://u:hunter2@h/x").unwrap_err().to_string();
        assert!(!e.contains("hunter2"), "{e}");
        assert!(check_ref("--upload-pack=x").is_err() && check_ref("main").is_ok());
    }
}
