//! The files that the shim proves things with: the lock, `started.json`, `status.json`; and the wish to cancel, which it only reads.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

use crate::base::{crash, durable, sys};
use crate::domain::attempt::{CancelIntent, Started, Status, file};

/// Set aside at the start, so that a full disk cannot take the verdict: the largest status fits.
const RESERVED: u64 = 32 << 10;

/// Takes the attempt's lock for the rest of this process's life. `None`: another shim has it.
pub fn lock(dir: &Path) -> io::Result<Option<File>> {
    let lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(dir.join(file::LOCK))?;
    Ok(sys::try_lock_exclusive(lock.as_fd())?.then_some(lock))
}

/// Whether this attempt is over or was started before: at most one start, whoever spawned us.
pub fn is_used(dir: &Path) -> io::Result<bool> {
    for name in [file::RETIRED, file::STARTED, file::STATUS] {
        if dir.join(name).try_exists()? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Cuts a file to `max` bytes; false where it cannot be, or is no file any more: the step could have put a pipe or a link in its place.
pub fn cut(path: &Path, max: u64) -> bool {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new().write(true).custom_flags(flags.bits() as i32).open(path);
    file.is_ok_and(|f| f.metadata().is_ok_and(|m| m.is_file() && m.len() > max) && f.set_len(max).is_ok())
}

/// `started.json`, durable.
pub fn write_started(dir: &Path, started: &Started) -> io::Result<()> {
    let (path, tmp) = (dir.join(file::STARTED), dir.join("started.json.tmp"));
    let mut f = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&tmp)?;
    f.write_all(&serde_json::to_vec(started)?)?;
    if !cfg!(feature = "broken-no-fsync") {
        f.sync_all()?;
    }
    crash::point("shim.started.tmp");
    std::fs::rename(&tmp, &path)?;
    if cfg!(feature = "broken-no-fsync") { Ok(()) } else { durable::sync_dir(dir) }
}

/// The file that becomes `status.json`: it exists, with room for the verdict, before the command does.
#[derive(Debug)]
pub struct StatusFile {
    file: File,
    dir: PathBuf,
    tmp: PathBuf,
}

impl StatusFile {
    pub fn reserve(dir: &Path) -> io::Result<Self> {
        let tmp = dir.join("status.json.tmp");
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&tmp)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, RESERVED) {
            Ok(()) => {}
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.write_all_at(&[b' '; RESERVED as usize], 0)?,
            Err(e) => return Err(e.into()),
        }
        Ok(Self { file, dir: dir.to_owned(), tmp })
    }

    /// Whether there is still a directory to write to.
    pub fn has_place(&self) -> bool {
        self.dir.is_dir()
    }

    /// Writes the verdict: file, fsync, rename, fsync of the directory. May be called again after an error.
    pub fn write(&self, status: &Status) -> io::Result<()> {
        let text = serde_json::to_vec(status)?;
        self.file.write_all_at(&text, 0)?;
        self.file.set_len(text.len() as u64)?;
        self.file.sync_all()?;
        crash::point("shim.status.tmp");
        let path = self.dir.join(file::STATUS);
        match std::fs::rename(&self.tmp, &path) {
            Ok(()) => {}
            // An earlier call came so far, or the step removed the file under its supervisor.
            Err(e) if e.kind() == io::ErrorKind::NotFound && path.try_exists()? => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => durable::replace(&path, &text, 0o600)?,
            Err(e) => return Err(e),
        }
        crash::point("shim.status");
        durable::sync_dir(&self.dir)
    }
}

/// The wish to cancel, where there is one. One that cannot be understood is a wish all the same, without force.
pub fn read_cancel(dir: &Path) -> Option<CancelIntent> {
    let bytes = std::fs::read(dir.join(file::CANCEL)).ok()?;
    Some(serde_json::from_slice(&bytes).unwrap_or_else(|_| CancelIntent {
        format: 1,
        who: "unknown".into(),
        why: String::new(),
        force: false,
    }))
}
