//! The engine's side of one attempt: its directory, the evidence it leaves, cancelling it.
//!
//! Nothing here decides: `recovery` does. Starting the shim is `launch`, killing what a dead one left behind is `survivors`.

pub mod artifacts;
pub mod forkserver;
pub mod ingest;
pub mod inputs;
pub mod junit;
pub mod launch;
pub mod live;
#[cfg(test)]
mod live_tests;
pub mod place;
pub mod recovery;
pub mod scope;
pub mod survivors;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::de::DeserializeOwned;

use crate::base::clock::Clock;
use crate::base::{crash, durable, proc, sys};
use crate::domain::attempt::{CancelIntent, FORMAT, Spec, Started, Status, file};
use recovery::Evidence;
use recovery::Found;

/// What went wrong between the engine and an attempt directory.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    #[error("attempt directory {dir} exists already: this attempt was started before; decide from what it holds")]
    Exists { dir: PathBuf },
    #[error("cannot {what} {path}: {source}")]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot start the supervisor {exe}: {source}")]
    Spawn { exe: PathBuf, source: io::Error },
    #[error("the supervisor may or may not have been started: {why}")]
    Unclear { why: String },
    #[error("{path} has format {found}, this version reads up to {FORMAT}: a newer quarterdeck wrote it")]
    Newer { path: PathBuf, found: u32 },
    #[error("cannot hand the secrets to the supervisor: {why}")]
    Secrets { why: String },
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AttemptError {
    let path = path.to_owned();
    move |source| AttemptError::Io { what, path, source }
}

/// Makes the attempt directory (0700; it must not exist, its parent must) with `spec.json`, durable on return.
pub fn create(dir: &Path, spec: &Spec) -> Result<(), AttemptError> {
    DirBuilder::new().mode(0o700).create(dir).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => AttemptError::Exists { dir: dir.to_owned() },
        _ => io_error("make the attempt directory", dir)(e),
    })?;
    crash::point("attempt.dir");
    // Here already, so that giving the attempt up needs no inode on a full disk.
    let lock_path = dir.join(file::LOCK);
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&lock_path).map_err(io_error("make", &lock_path))?;
    let path = dir.join(file::SPEC);
    let text = serde_json::to_vec(spec).map_err(io::Error::from).map_err(io_error("encode", &path))?;
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).and_then(|mut f| {
        f.write_all(&text)?;
        f.sync_all()
    });
    written.map_err(io_error("write", &path))?;
    crash::point("attempt.spec");
    durable::sync_dir(dir).map_err(io_error("sync", dir))
}

/// Reads the evidence. A missing directory or file is evidence; one that cannot be looked at is an error, for it proves nothing.
pub fn observe(dir: &Path, clock: &dyn Clock) -> Result<Evidence, AttemptError> {
    // The order matters: see `Evidence`.
    let lock_path = dir.join(file::LOCK);
    let lock_held = match File::open(&lock_path) {
        Ok(f) => sys::lock_is_held(f.as_fd()).map_err(io_error("query the lock", &lock_path))?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => false,
        Err(e) => return Err(io_error("open", &lock_path)(e)),
    };
    let started = read_json::<Started>(&dir.join(file::STARTED))?;
    let status = read_status(dir)?;
    let booted_at = clock.now().checked_sub(Duration::from_micros(clock.boot_us())).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    Ok(Evidence { lock_held, started, status, boot_id: clock.boot_id(), booted_at })
}

/// A shim holds the lock. Says nothing about its files, and so holds for every format.
pub fn is_alive(dir: &Path) -> Result<bool, AttemptError> {
    let path = dir.join(file::LOCK);
    match File::open(&path) {
        Ok(f) => sys::lock_is_held(f.as_fd()).map_err(io_error("query the lock", &path)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(io_error("open", &path)(e)),
    }
}

/// Why a shim refused to start, for people: a full disk, secrets that did not arrive. Only meaningful when the attempt never started.
pub fn read_refusal(dir: &Path) -> Option<String> {
    std::fs::read_to_string(dir.join(file::REFUSED)).ok().filter(|t| !t.is_empty())
}

/// Reads the spec of an attempt.
pub fn read_spec(dir: &Path) -> Result<Found<Spec>, AttemptError> {
    read_json(&dir.join(file::SPEC))
}

/// Reads the evidence that the command may have run.
pub fn read_started(dir: &Path) -> Result<Found<Started>, AttemptError> {
    read_json(&dir.join(file::STARTED))
}

/// Reads the verdict. Where it is whole it wins over whatever else there is: see [`recovery::decide`].
pub fn read_status(dir: &Path) -> Result<Found<Status>, AttemptError> {
    read_json(&dir.join(file::STATUS))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Found<T>, AttemptError> {
    #[derive(serde::Deserialize)]
    struct Format {
        format: u32,
    }
    let bytes = match std::fs::read(path) {
        Ok(b) => b,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Absent),
        Err(e) => return Err(io_error("read", path)(e)),
    };
    match serde_json::from_slice::<T>(&bytes) {
        Ok(value) => match serde_json::from_slice::<Format>(&bytes) {
            Ok(f) if f.format > FORMAT => Err(AttemptError::Newer { path: path.to_owned(), found: f.format }),
            _ => Ok(Found::Whole(value)),
        },
        Err(e) => match serde_json::from_slice::<Format>(&bytes) {
            Ok(f) if f.format > FORMAT => Err(AttemptError::Newer { path: path.to_owned(), found: f.format }),
            _ => Ok(Found::Damaged(format!("{e} ({} bytes)", bytes.len()))),
        },
    }
}

/// Closes an attempt that never started: from now on no late shim can start its command. `false` where a shim holds the lock or has left
/// evidence after all: then observe and decide again. Idempotent. Also removes what such a shim left in memory-backed places.
pub fn retire(dir: &Path) -> Result<bool, AttemptError> {
    let lock_path = dir.join(file::LOCK);
    let lock = match OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&lock_path) {
        Ok(f) => f,
        // No directory, no shim: `create` makes it whole before the spawn.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(e) => return Err(io_error("open", &lock_path)(e)),
    };
    if !sys::try_lock_exclusive(lock.as_fd()).map_err(io_error("lock", &lock_path))? {
        return Ok(false);
    }
    let done = retire_locked(dir);
    sys::unlock(lock.as_fd()).map_err(io_error("unlock", &lock_path))?;
    done
}

fn retire_locked(dir: &Path) -> Result<bool, AttemptError> {
    let exists = |name| dir.join(name).try_exists().map_err(io_error("look for", &dir.join(name)));
    if exists(file::STARTED)? || exists(file::STATUS)? {
        return Ok(false);
    }
    // Not fsynced: after a power cut there is no late shim left either.
    survivors::remove_traces(dir);
    let mark = dir.join(file::RETIRED);
    if File::create(&mark).is_err() {
        // No inode left: the spec becomes the mark, for no shim starts without one.
        std::fs::rename(dir.join(file::SPEC), &mark).map_err(io_error("write", &mark))?;
    }
    Ok(true)
}

/// Writes the durable wish to end the attempt; its shim sees it within a second, also with this engine dead. A wish with `force` is never
/// weakened by a later one without.
pub fn cancel(dir: &Path, intent: &CancelIntent) -> Result<(), AttemptError> {
    let path = dir.join(file::CANCEL);
    let forced = matches!(read_json::<CancelIntent>(&path)?, Found::Whole(old) if old.force);
    let intent = CancelIntent { force: intent.force || forced, ..intent.clone() };
    let text = serde_json::to_vec(&intent).map_err(io::Error::from).map_err(io_error("encode", &path))?;
    durable::replace(&path, &text, 0o600).map_err(io_error("write", &path))?;
    wake(dir);
    Ok(())
}

/// Makes a running shim look at once. A hint and nothing more: the wish is in the file.
fn wake(dir: &Path) {
    if let Ok(Found::Whole(started)) = read_started(dir)
        && let Some(pid) = Pid::from_raw(started.shim.pid)
        && let Ok(fd) = pidfd_open(pid, PidfdFlags::empty())
        && proc::stat(started.shim.pid).is_some_and(|s| s.start_time == started.shim.start_time)
    {
        let _ = pidfd_send_signal(&fd, Signal::HUP);
    }
}

/// The lock of an attempt whose shim is watched is looked at so often beside.
const GONE_ON: Duration = Duration::from_secs(5);

/// Resolves when no shim holds the lock (any more): for shims of an earlier engine. At once by a pidfd where `started.json` names the
/// shim, else by a thread that waits for the lock.
pub async fn watch(dir: &Path) -> Result<(), AttemptError> {
    let lock_path = dir.join(file::LOCK);
    let lock = match File::open(&lock_path) {
        Ok(f) => f,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(io_error("open", &lock_path)(e)),
    };
    if !sys::lock_is_held(lock.as_fd()).map_err(io_error("query the lock", &lock_path))? {
        return Ok(());
    }
    if let Found::Whole(started) = read_json::<Started>(&dir.join(file::STARTED))? {
        let (pid, start_time) = (started.shim.pid, started.shim.start_time);
        // Opened first and compared then, or the pid could be somebody else's by now.
        if let Some(fd) = Pid::from_raw(pid).and_then(|p| pidfd_open(p, PidfdFlags::NONBLOCK).ok())
            && proc::stat(pid).is_some_and(|s| s.start_time == start_time)
            && let Ok(fd) = sys::watch_readable(fd)
        {
            loop {
                tokio::select! {
                    ended = fd.readable() => {
                        ended.map_err(io_error("watch the supervisor of", dir)).map(drop)?;
                        break;
                    }
                    // It may have gone on to another attempt, for an engine that has not ended yet.
                    () = tokio::time::sleep(GONE_ON) => {
                        if !sys::lock_is_held(lock.as_fd()).map_err(io_error("query the lock", &lock_path))? {
                            return Ok(());
                        }
                    }
                }
            }
            // A child still held at the gate may keep the lock a moment longer; the thread below waits that out.
            if !sys::lock_is_held(lock.as_fd()).map_err(io_error("query the lock", &lock_path))? {
                return Ok(());
            }
        }
    }
    wait_for_lock(lock).await.map_err(io_error("wait for the lock", &lock_path))
}

/// A thread of its own, small and detached: the blocking pool would be full with some hundred adopted shims.
async fn wait_for_lock(lock: File) -> io::Result<()> {
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("qd-watch".into()).stack_size(64 * 1024).spawn(move || {
        // The lock goes with the file. Nobody listens any more: nothing to do.
        let _ = tell.send(sys::wait_lock_shared(lock.as_fd()));
    })?;
    told.await.unwrap_or_else(|_| Err(io::Error::other("the watching thread ended early")))
}
