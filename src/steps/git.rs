//! `git/checkout`: one reference of a repository into a directory, by the machine's own `git`, and the commit that it was.
//!
//! Nothing of the far end runs here: no hooks, no templates, no submodules, no `ext::` transport. Nothing waits for a keyboard.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use zeroize::Zeroizing;

use super::mirror::{credentials, no_password};
use super::report::Report;
use super::{StepEnv, StepError, With};
use crate::domain::report::Fact;
use crate::wire::{address, excerpt};

/// In `.git` of a directory that this step made: such a directory may be made anew.
const MARK: &str = "quarterdeck";
/// Of what git says, the end is kept.
const SAID: usize = 16 << 10;

pub fn run(with: &With, env: &StepEnv, report: &Report) -> Result<(), StepError> {
    let url = check_url(with.text("url").unwrap_or_default())?;
    let reference = check_ref(with.text("ref").unwrap_or("HEAD"))?;
    let dest = env.path(with.text("dest").unwrap_or("source"));
    let git = Git {
        dest: &dest,
        timeout: with.span("timeout").map_or(Duration::from_secs(600), |s| s.as_duration()),
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
        Err(StepError::FarEnd { .. }) if is_commit(reference) => {
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
        Err(e) => return Err(e),
    };
    let commit = git.call(&["rev-parse", "--verify", "--quiet", &format!("{target}^{{commit}}")])?.trim().to_owned();
    if !is_commit(&commit) {
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

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Addresses of a kind that only reads: no `ext::`, nothing that git would take for an option.
fn check_url(url: &str) -> Result<&str, StepError> {
    let bad = |why: &str| {
        Err(StepError::input(
            format!("`{}` cannot be checked out: {why}", address::shown_text(url)),
            "give https, http, ssh or git, user@host:path, or an absolute path",
        ))
    };
    if url.starts_with('-') {
        return bad("it starts with `-`");
    }
    if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return bad("it holds a blank or a control character");
    }
    if url.contains("::") && !url.contains("://") {
        return bad("remote helpers are not allowed");
    }
    if let Ok(parsed) = url::Url::parse(url) {
        no_password(&parsed)?;
    }
    if let Some((scheme, rest)) = url.split_once("://") {
        if rest.starts_with('-') || rest.split_once('@').is_some_and(|(_, host)| host.starts_with('-')) {
            return bad("its host starts with `-`");
        }
        return if matches!(scheme, "https" | "http" | "ssh" | "git" | "file") { Ok(url) } else { bad("its scheme is not known") };
    }
    let scp =
        url.split_once(':').is_some_and(|(host, path)| !host.is_empty() && !host.contains('/') && !path.is_empty() && !host.contains("@-"));
    if scp || url.starts_with('/') { Ok(url) } else { bad("it is neither an address nor an absolute path") }
}

/// The rules of git check-ref-format that matter on a command line.
fn check_ref(name: &str) -> Result<&str, StepError> {
    let forbidden = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    if name.starts_with(['-', '/', '+'])
        || name.contains("..")
        || name.contains("@{")
        || name.chars().any(forbidden)
        || name.ends_with(['/', '.'])
    {
        return Err(StepError::input(format!("`{}` is not a reference", excerpt(name)), "give a branch, a tag or a full commit"));
    }
    Ok(name)
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
    fn command(&self, args: &[&str]) -> Command {
        let mut c = Command::new("git");
        c.args(args).current_dir(self.dest).env_clear().process_group(0);
        for kept in [
            "PATH",
            "HOME",
            "USER",
            "LOGNAME",
            "SSH_AUTH_SOCK",
            "KRB5CCNAME",
            "TMPDIR",
            "http_proxy",
            "https_proxy",
            "no_proxy",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "NO_PROXY",
            "SSL_CERT_FILE",
            "QD_TOKEN",
        ] {
            if let Some(value) = std::env::var_os(kept) {
                c.env(kept, value);
            }
        }
        c.env("LC_ALL", "C.UTF-8").env("GIT_TERMINAL_PROMPT", "0").env("GIT_ASKPASS", "true").env("SSH_ASKPASS", "true");
        c.env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=15").env("GIT_ALLOW_PROTOCOL", "https:http:ssh:git:file");
        c.env("GIT_HTTP_LOW_SPEED_LIMIT", "1000").env("GIT_HTTP_LOW_SPEED_TIME", "30").env("GIT_LFS_SKIP_SMUDGE", "1");
        let mut config = vec![
            ("core.hooksPath", "/dev/null"),
            ("core.fsmonitor", "false"),
            ("protocol.ext.allow", "never"),
            ("submodule.recurse", "false"),
            ("advice.detachedHead", "false"),
            ("maintenance.auto", "false"),
            ("gc.auto", "0"),
        ];
        if let Some(header) = &self.header {
            // In the environment, not in argv: argv is everybody's to read.
            config.push(("http.extraHeader", header.as_str()));
        }
        c.env("GIT_CONFIG_COUNT", config.len().to_string());
        for (i, (key, value)) in config.iter().enumerate() {
            c.env(format!("GIT_CONFIG_KEY_{i}"), key).env(format!("GIT_CONFIG_VALUE_{i}"), value);
        }
        c.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        c
    }

    /// Runs git; its standard output. Failing of `fetch` is the far end's, of all else ours.
    fn call(&self, args: &[&str]) -> Result<String, StepError> {
        let verb = args.first().copied().unwrap_or_default();
        let mut child = self.command(args).spawn().map_err(|e| match e.kind() {
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
        let said = err.lines().map(str::trim).filter(|l| !l.is_empty()).map(redacted).collect::<Vec<_>>().join("; ");
        let what = format!("git {verb} failed ({status}): {}", excerpt(&said));
        Err(if verb == "fetch" {
            StepError::far_end(what, "try by hand: git ls-remote -- URL REF")
        } else {
            StepError::failed(what, "look at the repository and the workspace's disk")
        })
    }
}

/// Addresses in what git says, without their passwords.
fn redacted(line: &str) -> String {
    line.split(' ')
        .map(|w| {
            if w.contains("://") && w.contains('@') {
                format!("'{}'", address::shown_text(w.trim_matches(['\'', '"', ':'])))
            } else {
                w.to_owned()
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
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
    fn addresses_that_git_could_take_for_something_else_are_refused() {
        for good in ["https://h/x.git", "ssh://git@h:22/x", "git@h:team/x.git", "/srv/git/x.git", "file:///srv/x"] {
            assert!(check_url(good).is_ok(), "{good}");
        }
        for bad in [
            "--upload-pack=touch /tmp/x",
            "-x",
            "ext::sh -c id",
            "ext::id",
            "fd::7",
            "ssh://-oProxyCommand=id/x",
            "ssh://u@-oProxyCommand=x/",
            "a@-oX:y",
            "relative/x",
            "ftp://h/x",
            "http://h/a b",
            "x\ny",
            "",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
        let e = check_url("ftp://u:hunter2@h/x").unwrap_err().to_string();
        assert!(!e.contains("hunter2"), "{e}");
        assert!(!redacted("fatal: unable to access 'https://u:hunter2@h/x/': 404").contains("hunter2"));
    }

    #[test]
    fn references_are_names_and_nothing_else() {
        for good in ["main", "v1.2", "feature/x", "HEAD", "refs/heads/main", "0123456789abcdef0123456789abcdef01234567"] {
            assert!(check_ref(good).is_ok(), "{good}");
        }
        for bad in ["-x", "--upload-pack=x", "a..b", "a:b", "+a", "a b", "a^", "a~1", "a*", "/x", "x/", "@{u}", "a\\b"] {
            assert!(check_ref(bad).is_err(), "{bad}");
        }
    }
}
