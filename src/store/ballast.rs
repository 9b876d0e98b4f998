//! Sixteen MiB set aside beside the store, given up when the disk is full so that verdicts can still be written. And free space.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{Store, StoreError};

const BALLAST: &str = "ballast";
const BYTES: u64 = 16 << 20;
/// Less than this is a full disk, whatever the error says: it has other faces too, such as a side file that cannot be made or grown.
const NEXT_TO_NOTHING: Space = Space { free_bytes: 1 << 20, free_inodes: 8 };

/// Free space of the state directory's file system, as this user may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub free_bytes: u64,
    /// `u64::MAX` where the file system does not count inodes.
    pub free_inodes: u64,
}

impl Store {
    /// Asks the kernel; cheap enough for every decision.
    pub fn space(&self) -> std::io::Result<Space> {
        space(self.dir())
    }

    /// Sets the ballast aside where there is ample space; without it nothing is wrong yet.
    pub fn load_ballast(&self, floor_bytes: u64) {
        let path = self.dir().join(BALLAST);
        let ample = self.space().is_ok_and(|s| s.free_bytes > floor_bytes.saturating_add(2 * BYTES));
        if !ample || path.metadata().is_ok_and(|m| m.len() >= BYTES) {
            return;
        }
        let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).and_then(|f| {
            // Real blocks, not a hole; a file system that cannot do it has no ballast.
            rustix::fs::fallocate(&f, rustix::fs::FallocateFlags::empty(), 0, BYTES).map_err(std::io::Error::from)
        });
        if let Err(e) = made {
            tracing::debug!(error = %e, "no ballast file");
            let _ = std::fs::remove_file(&path);
        }
    }

    /// Gives the ballast up, if it is a full disk that an error comes from. True where there was one.
    pub fn give_up_ballast(&self, error: &StoreError) -> bool {
        give_up(self.dir(), error)
    }

    /// Proves that the store can be written again: a real commit.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.write(|tx| {
            tx.execute("INSERT INTO meta (key, value) VALUES ('probe', 1) ON CONFLICT (key) DO UPDATE SET value = value + 1", [])?;
            Ok(())
        })
        .await
    }
}

fn space(dir: &Path) -> std::io::Result<Space> {
    let s = rustix::fs::statvfs(dir)?;
    let free_inodes = if s.f_files == 0 { u64::MAX } else { s.f_favail };
    Ok(Space { free_bytes: s.f_bavail.saturating_mul(s.f_frsize), free_inodes })
}

pub(super) fn give_up(dir: &Path, error: &StoreError) -> bool {
    let little = |s: Space| s.free_bytes < NEXT_TO_NOTHING.free_bytes || s.free_inodes < NEXT_TO_NOTHING.free_inodes;
    let gone = (error.is_no_space() || space(dir).is_ok_and(little)) && remove(&dir.join(BALLAST));
    if gone {
        tracing::warn!("the disk is full: the ballast file was given up");
    }
    gone
}

fn remove(path: &Path) -> bool {
    std::fs::remove_file(path).is_ok()
}
