//! Repositories of git, through the machine's own `git`: how it is called so that nothing of the far end runs here, and which commit a
//! reference is now.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt;

use crate::domain::git::{commit_of, meanings};
use crate::wire::{address, excerpt};

/// Of an answer so much is read at most; more is no list of a few references.
const ANSWER: u64 = 256 << 10;
/// Variables of ours that git is given.
const KEPT: [&str; 15] = [
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
];

/// Why a repository could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GitError {
    #[error("git cannot be started: {0}; is it installed?")]
    Start(String),
    #[error("git did not answer within {0} s")]
    Slow(u64),
    #[error("git failed: {0}")]
    Failed(String),
    #[error("there is no `{0}` in it")]
    NoReference(String),
}

/// `git ARGS…` in `dir`: no hooks, no templates, no submodules, no `ext::` transport, and nothing that waits for a keyboard. It is in a
/// process group of its own, for its helpers must end with it. `header` is sent with every request.
pub fn command(dir: &Path, args: &[&str], header: Option<&str>) -> Command {
    use std::os::unix::process::CommandExt;
    let mut c = Command::new("git");
    c.args(args).current_dir(dir).env_clear().process_group(0);
    for kept in KEPT {
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
    if let Some(header) = header {
        // In the environment, not in argv: argv is everybody's to read.
        config.push(("http.extraHeader", header));
    }
    c.env("GIT_CONFIG_COUNT", config.len().to_string());
    for (i, (key, value)) in config.iter().enumerate() {
        c.env(format!("GIT_CONFIG_KEY_{i}"), key).env(format!("GIT_CONFIG_VALUE_{i}"), value);
    }
    c.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    c
}

/// Ends git and all its helpers, whatever way it is left.
struct Group(Option<rustix::process::Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// The commit that `reference` is now. Address and reference have passed `domain::git`. Dropped, it ends what it started.
pub async fn look(url: &str, reference: &str, limit: Duration) -> Result<String, GitError> {
    let names = meanings(reference);
    let args: Vec<&str> = ["ls-remote", "--quiet", "--", url].into_iter().chain(names.iter().map(String::as_str)).collect();
    let mut command = tokio::process::Command::from(command(Path::new("/"), &args, None));
    let mut child = command.kill_on_drop(true).spawn().map_err(|e| GitError::Start(e.to_string()))?;
    let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw));
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let asked = async {
        let (mut answer, mut said) = (Vec::new(), Vec::new());
        let (read, complained) = tokio::join!(
            async {
                match out {
                    Some(o) => o.take(ANSWER).read_to_end(&mut answer).await,
                    None => Ok(0),
                }
            },
            async {
                match err {
                    Some(e) => e.take(ANSWER).read_to_end(&mut said).await,
                    None => Ok(0),
                }
            }
        );
        read.and(complained).map_err(|e| GitError::Failed(e.to_string()))?;
        let status = child.wait().await.map_err(|e| GitError::Failed(e.to_string()))?;
        Ok((status, answer, said))
    };
    let (status, answer, said) = tokio::time::timeout(limit, asked).await.map_err(|_| GitError::Slow(limit.as_secs()))??;
    // It has been waited for: its number may be somebody else's by now.
    group.0 = None;
    if !status.success() {
        let said = String::from_utf8_lossy(&said);
        let said = said.lines().map(str::trim).filter(|l| !l.is_empty()).map(redacted).collect::<Vec<_>>().join("; ");
        return Err(GitError::Failed(excerpt(&said)));
    }
    commit_of(&String::from_utf8_lossy(&answer), reference).ok_or_else(|| GitError::NoReference(excerpt(reference)))
}

/// Addresses in what git says, without their passwords.
pub fn redacted(line: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_is_shown_without_passwords() {
        assert!(!redacted("fatal: unable to access 'https://u:hunter2@h/x/': 404").contains("hunter2"));
    }

    #[tokio::test]
    async fn a_repository_that_is_not_there_is_an_error_with_what_git_said() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone.git");
        match look(&gone.to_string_lossy(), "main", Duration::from_secs(60)).await {
            Err(GitError::Failed(said)) => assert!(said.contains("gone.git"), "{said}"),
            // A machine without git.
            Err(GitError::Start(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}
