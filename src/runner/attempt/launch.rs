//! How the shim of an attempt is started: forked by the forkserver, or by exec, where asked for in a systemd scope of its own.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

use super::forkserver::{ForkError, Forked, Forkserver};
use super::{AttemptError, scope};

/// How long the shim may take to read its secrets before the engine gives up on it.
const SECRETS_DEADLINE: Duration = Duration::from_secs(20);

/// How shims are started: the binary, and what stands between engine and shim.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// The quarterdeck binary, absolute.
    pub exe: PathBuf,
    /// Words put before the shim's own command line, such as `systemd-run --user --scope …`; empty = started directly. See
    /// [`Launcher::of_this_machine`].
    pub prefix: Vec<String>,
    /// Forks the shims, where no prefix asks for an exec.
    pub forkserver: Option<Forkserver>,
}

/// A shim that this engine started and must wait for. Dropping it leaves the shim alone.
#[derive(Debug)]
pub struct Spawned {
    pub pid: i32,
    end: End,
}

#[derive(Debug)]
enum End {
    Child(Child),
    Forked(Forked),
}

impl Spawned {
    /// Resolves when the shim has ended, or its attempt where it goes on to another, with the exit code; without one where it was killed.
    /// The verdict is in the directory, not here: call [`observe`](super::observe).
    pub async fn wait(&mut self) -> io::Result<Option<i32>> {
        match &mut self.end {
            End::Child(child) => Ok(child.wait().await?.code()),
            End::Forked(forked) => Ok(forked.ended().await),
        }
    }
}

/// Starts a shim by exec. See [`Launcher::spawn`].
pub async fn spawn(exe: &Path, dir: &Path, secrets: Vec<(String, Zeroizing<Vec<u8>>)>) -> Result<Spawned, AttemptError> {
    Launcher { exe: exe.to_owned(), prefix: Vec::new(), forkserver: None }.spawn(dir, secrets).await
}

impl Launcher {
    /// The launcher for this machine: with scopes where a trial scope really came up, else with a forkserver. Takes up to 5 s where a manager
    /// hangs.
    pub async fn of_this_machine(exe: PathBuf) -> Self {
        let probes = scope::probe();
        if let (Some(manager), Some(program)) = (scope::manager(&probes), &probes.systemd_run) {
            let prefix = scope::prefix(manager, program);
            if scope::trial(&prefix).await {
                return Self { exe, prefix, forkserver: None };
            }
        }
        // A scope is made around an exec; without one, shims are forked.
        Self { forkserver: Some(Forkserver::start(exe.clone())), exe, prefix: Vec::new() }
    }

    /// Starts the shim of a directory made by [`create`](super::create), and hands it the values of the secrets that its spec
    /// names over a pipe. Needs a tokio runtime. The shim leads its own session, inherits no descriptor, and outlives this process.
    ///
    /// On an error other than `Spawn` the shim may still be there: observe and decide, as for any other attempt.
    pub async fn spawn(&self, dir: &Path, secrets: Vec<(String, Zeroizing<Vec<u8>>)>) -> Result<Spawned, AttemptError> {
        if let Some(forkserver) = self.forkserver.as_ref().filter(|_| self.prefix.is_empty()) {
            match fork(forkserver, dir, &secrets).await {
                Err(Fork::Not(why)) => tracing::debug!(error = %why, "not forked; started by exec"),
                Err(Fork::Failed(e)) => return Err(e),
                Ok(spawned) => return Ok(spawned),
            }
        }
        self.exec(dir, &secrets).await
    }

    /// As [`Launcher::spawn`] without secrets, where a shim that has ended an attempt is at hand: then nothing has to be waited for.
    pub fn order(&self, dir: &Path) -> Option<Spawned> {
        let forked = self.forkserver.as_ref().filter(|_| self.prefix.is_empty())?.order(dir)?;
        Some(Spawned { pid: forked.pid, end: End::Forked(forked) })
    }

    async fn exec(&self, dir: &Path, secrets: &[(String, Zeroizing<Vec<u8>>)]) -> Result<Spawned, AttemptError> {
        let unique = scope::unique(dir);
        let mut words = self.prefix.iter().map(|w| w.replace(scope::UNIQUE, &unique));
        let mut command = match words.next() {
            Some(first) => {
                let mut c = Command::new(first);
                c.args(words).arg(&self.exe);
                c
            }
            None => Command::new(&self.exe),
        };
        command.arg("shim").arg(dir).current_dir("/").env_clear().envs(scope::inherited()).kill_on_drop(false);
        command.stdin(if secrets.is_empty() { Stdio::null() } else { Stdio::piped() }).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|source| AttemptError::Spawn { exe: self.exe.clone(), source })?;
        let pid = child.id().map_or(0, |p| p as i32);
        if let Some(pipe) = child.stdin.take() {
            hand_over(pipe, secrets).await?;
        }
        Ok(Spawned { pid, end: End::Child(child) })
    }
}

enum Fork {
    /// Certainly no shim: an exec may start it.
    Not(io::Error),
    Failed(AttemptError),
}

async fn fork(forkserver: &Forkserver, dir: &Path, secrets: &[(String, Zeroizing<Vec<u8>>)]) -> Result<Spawned, Fork> {
    let (theirs, ours) = if secrets.is_empty() {
        (None, None)
    } else {
        let (theirs, ours) = secrets_pipe().map_err(Fork::Not)?;
        (Some(theirs), Some(ours))
    };
    let forked = forkserver.fork(dir, theirs).await.map_err(|e| match e {
        ForkError::Not(why) => Fork::Not(why),
        ForkError::Unknown(_) => Fork::Failed(AttemptError::Unclear { why: e.to_string() }),
    })?;
    if let Some(pipe) = ours {
        hand_over(pipe, secrets).await.map_err(Fork::Failed)?;
    }
    Ok(Spawned { pid: forked.pid, end: End::Forked(forked) })
}

fn secrets_pipe() -> io::Result<(OwnedFd, pipe::Sender)> {
    let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    Ok((theirs, pipe::Sender::from_owned_fd(ours)?))
}

async fn hand_over(mut pipe: impl AsyncWrite + Unpin, secrets: &[(String, Zeroizing<Vec<u8>>)]) -> Result<(), AttemptError> {
    let mut bytes = Zeroizing::new(Vec::new());
    encode_secrets(secrets, &mut bytes);
    let sent = tokio::time::timeout(SECRETS_DEADLINE, async {
        pipe.write_all(&bytes).await?;
        pipe.shutdown().await
    });
    match sent.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(e)) => Err(AttemptError::Secrets { why: e.to_string() }),
        Err(_) => Err(AttemptError::Secrets { why: format!("it did not read them within {} s", SECRETS_DEADLINE.as_secs()) }),
    }
}

/// The stream that the shim reads: per secret the lengths of name and value (u32, little endian), name, value. End of file ends it.
fn encode_secrets(secrets: &[(String, Zeroizing<Vec<u8>>)], out: &mut Vec<u8>) {
    // At once, so that growing does not leave copies behind in freed memory.
    out.reserve_exact(secrets.iter().map(|(n, v)| 8 + n.len() + v.len()).sum());
    for (name, value) in secrets {
        out.extend((name.len() as u32).to_le_bytes());
        out.extend((value.len() as u32).to_le_bytes());
        out.extend(name.as_bytes());
        out.extend(value.iter());
    }
}
