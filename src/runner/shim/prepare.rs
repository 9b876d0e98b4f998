//! What is made before anything is forked: the secrets received and laid out, the masker, the command with its environment.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::base::crash;
use crate::base::mask::Masker;
use crate::domain::attempt::{EndedBy, Spec};

use super::child::{self, Ready};
use super::evidence;
use super::refused::{NotRun, refuse};
use super::secrets::{self, Secret};

/// Ready to be forked. What is laid out goes with the value.
pub struct Prepared {
    pub masker: Masker,
    pub secrets_dir: SecretsDir,
    pub ready: Ready,
}

/// Prepares the attempt in `dir`. The values of its secrets are gone on return, but from the masker and the environment.
pub fn prepare(dir: &Path, spec: &Spec, values: Vec<Secret>) -> Result<Prepared, NotRun> {
    let masker = Masker::new(values.iter().map(|s| (s.name.as_str(), s.value.as_slice())))
        .map_err(|e| NotRun::Verdict(EndedBy::Setup, e.to_string()))?;
    if let Some(wish) = evidence::read_cancel(dir) {
        return Err(NotRun::Verdict(EndedBy::Cancel, format!("cancelled by {} before it began", wish.who)));
    }
    let secrets_dir = SecretsDir::lay_out(dir, spec, &values)?;
    let ready = child::prepare(dir, spec, &secrets_dir.0, &values).map_err(|e| match e.kind() {
        io::ErrorKind::InvalidInput => NotRun::Verdict(EndedBy::Setup, e.to_string()),
        // The machine's fault, such as a full disk: no verdict on the step.
        _ => refuse("cannot write the script")(e).into(),
    })?;
    drop(values);
    touch(&spec.report);
    crash::point("shim.prepared");
    Ok(Prepared { masker, secrets_dir, ready })
}

/// The secrets of the step, gone with the value.
pub struct SecretsDir(PathBuf);

impl SecretsDir {
    fn lay_out(dir: &Path, spec: &Spec, values: &[Secret]) -> Result<Self, NotRun> {
        let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let places = secrets::places(runtime_dir, rustix::process::getuid().as_raw());
        match secrets::lay_out(&places, &secrets::directory_name(&spec.token), values) {
            Ok(made) => Ok(Self(made)),
            // Without secrets there is nothing to protect, but the variable must lead somewhere.
            Err(_) if values.is_empty() => {
                std::fs::create_dir(dir.join("secrets")).map_err(refuse("cannot make a directory"))?;
                Ok(Self(dir.join("secrets")))
            }
            Err(e) => Err(NotRun::Verdict(EndedBy::Setup, format!("no place in memory for the secrets: {e}"))),
        }
    }
}

impl Drop for SecretsDir {
    fn drop(&mut self) {
        secrets::remove(&self.0);
    }
}

/// The report exists before the step does: writing to it needs no new inode then.
fn touch(report: &str) {
    if !report.is_empty() {
        use std::os::unix::fs::OpenOptionsExt;
        let _ = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(report);
    }
}

/// Standard input, but only for as long as the engine may take.
struct Patient {
    until: Instant,
}

impl Read for Patient {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        let stdin = io::stdin();
        let wait = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let mut fds = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
        if poll(&mut fds, Some(&wait))? == 0 {
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        // Not through the standard library's buffer, which would keep a copy of the values.
        Ok(rustix::io::read(stdin.as_fd(), buf)?)
    }
}

/// The values of the secrets that the spec names, from standard input.
pub fn receive_secrets(spec: &Spec) -> io::Result<Vec<Secret>> {
    if spec.secrets.is_empty() {
        return Ok(Vec::new());
    }
    secrets::receive(&mut Patient { until: Instant::now() + secrets::DEADLINE }, &spec.secrets)
}
