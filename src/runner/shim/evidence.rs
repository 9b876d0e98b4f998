//! The files that the shim proves things with: the lock, `started.json`, `status.json`; and the wish to cancel, which it only reads.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

use crate::base::{crash, durable, sys};
use crate::domain::attempt::{CancelIntent, Started, Status, file};

/// Set aside at the start, so that a full disk cannot take the verdict: one block, which nearly every status fits in, and of which nothing has
/// to be given back. What is longer is shortened where there is no room for it; see [`StatusFile::write`].
const RESERVED: u64 = 4 << 10;
/// Survivors named in a status that must fit there, and bytes of its sentence; the first pair that fits.
const SHORTER: [(usize, usize); 3] = [(4, 512), (0, 512), (0, 0)];

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
        // The length stays zero: nothing has to be cut off behind the verdict.
        match rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, RESERVED) {
            Ok(()) => {}
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.write_all_at(&[b' '; RESERVED as usize], 0)?,
            Err(e) => return Err(e.into()),
        }
        Ok(Self { file, dir: dir.to_owned(), tmp })
    }

    /// The bytes in the file, and nothing behind them.
    fn put(&self, text: &[u8]) -> io::Result<()> {
        self.file.write_all_at(text, 0)?;
        if self.file.metadata()?.len() > text.len() as u64 { self.file.set_len(text.len() as u64) } else { Ok(()) }
    }

    /// Whether there is still a directory to write to.
    pub fn has_place(&self) -> bool {
        self.dir.is_dir()
    }

    /// Writes the verdict: file, fsync, rename, fsync of the directory. May be called again after an error.
    pub fn write(&self, status: &Status) -> io::Result<()> {
        let mut text = serde_json::to_vec(status)?;
        match self.put(&text) {
            // The verdict fits for certain; the whole list of those left behind need not.
            Err(e) if text.len() as u64 > RESERVED && is_no_room(&e) => {
                text = shortened(status)?;
                self.put(&text)?;
            }
            done => done?,
        }
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

fn is_no_room(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::WriteZero)
}

/// The same verdict in [`RESERVED`] bytes at most.
fn shortened(status: &Status) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for (survivors, bytes) in SHORTER {
        let mut s = status.clone();
        let more = s.left_running.len().saturating_sub(survivors);
        s.left_running.truncate(survivors);
        if s.detail.len() > bytes {
            let end = (0..=bytes).rev().find(|i| s.detail.is_char_boundary(*i)).unwrap_or(0);
            s.detail.truncate(end);
            s.detail.push('…');
        }
        if more > 0 {
            s.detail.push_str(&format!(" (the disk is full: {more} of those left running are not listed)"));
        }
        text = serde_json::to_vec(&s)?;
        if text.len() as u64 <= RESERVED {
            break;
        }
    }
    Ok(text)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::attempt::{EndedBy, ProcessId, Survivor};

    fn status(survivors: usize, command: &str, detail: String) -> Status {
        let left = Survivor { process: ProcessId { pid: i32::MAX, start_time: u64::MAX }, command: command.repeat(200) };
        Status {
            format: 1,
            fence: u64::MAX,
            code: Some(1),
            signal: None,
            core: false,
            oom: false,
            ended_by: EndedBy::LogLimit,
            detail,
            boot_us_started: u64::MAX,
            boot_us_ended: u64::MAX,
            wall_us_ended: i64::MIN,
            user_cpu_us: u64::MAX,
            system_cpu_us: u64::MAX,
            max_rss_kib: u64::MAX,
            log_bytes: u64::MAX,
            log_dropped_bytes: u64::MAX,
            log_sha256: "f".repeat(64),
            left_running: vec![left; survivors],
        }
    }

    #[test]
    fn a_shortened_verdict_fits_into_what_was_set_aside_and_is_the_same_verdict() {
        for (survivors, command) in [(0, ""), (40, "x"), (40, "\u{1f600}"), (40, "\"")] {
            for detail in [String::new(), "\u{1}".repeat(60_000), "ü".repeat(20_000)] {
                let whole = status(survivors, command, detail);
                let text = shortened(&whole).unwrap();
                assert!(text.len() as u64 <= RESERVED, "{} bytes", text.len());
                let s: Status = serde_json::from_slice(&text).unwrap();
                assert_eq!((s.fence, s.code, s.ended_by, s.log_bytes), (whole.fence, whole.code, whole.ended_by, whole.log_bytes));
                let told = s.left_running.len() == survivors || s.detail.contains("are not listed");
                assert!(told, "{}", s.detail);
            }
        }
    }

    #[test]
    fn the_verdict_is_alone_in_its_file_and_its_room_was_there_before() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let file = StatusFile::reserve(dir.path()).unwrap();
        let tmp = std::fs::metadata(dir.path().join("status.json.tmp")).unwrap();
        assert!(tmp.blocks() * 512 >= RESERVED || tmp.len() == RESERVED);
        for (survivors, words) in [(40, 4), (1, 1)] {
            let whole = status(survivors, "ab", "x".repeat(words));
            file.write(&whole).unwrap();
            let read: Status = serde_json::from_slice(&std::fs::read(dir.path().join(file::STATUS)).unwrap()).unwrap();
            assert_eq!(read, whole, "the whole of it, and nothing of a longer one before");
        }
    }
}
