//! A file system in user space over a directory: what it cannot do (exchange two names, share memory) is absent for real.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mount of bindfs. Dropped, it is gone.
pub struct Fuse(PathBuf);

impl Fuse {
    /// Shows `real` at `mount`; None where this machine has no bindfs or no FUSE, and then the test called `name` is skipped.
    pub fn over(name: &str, real: &Path, mount: &Path) -> Option<Self> {
        if !super::have_program("bindfs") {
            super::skip(name, "bindfs is not installed");
            return None;
        }
        let mounted = Command::new("bindfs").arg(real).arg(mount).output().unwrap();
        if !mounted.status.success() {
            super::skip(name, &format!("bindfs cannot mount: {}", String::from_utf8_lossy(&mounted.stderr)));
            return None;
        }
        Some(Self(mount.to_owned()))
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        for tool in ["fusermount3", "fusermount", "umount"] {
            let mut c = Command::new(tool);
            if tool != "umount" {
                c.arg("-u");
            }
            if c.arg(&self.0).output().is_ok_and(|o| o.status.success()) {
                return;
            }
        }
    }
}
