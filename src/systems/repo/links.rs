//! Names in a tree: hardlinks between trees, copies, pointers (symbolic links) that are exchanged atomically, directories that move.

use std::io;

use rustix::fs::{AtFlags, FileType, RenameFlags};
use rustix::io::Errno;

use super::tree::{Tree, TreeError};

/// What has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    Nothing,
    File,
    Directory,
    /// With its text.
    Link(String),
    /// A pipe, a device, a socket.
    Other,
}

/// How the names of two things were exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchange {
    Done,
    /// This file system, or this kernel, cannot do it in one step.
    Unsupported,
}

impl Tree {
    /// What has this name; links are not followed.
    pub fn named(&self, rel: &str) -> Result<Named, TreeError> {
        let (dir, name) = match self.place(rel, false) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Named::Nothing),
            other => other?,
        };
        match rustix::fs::statat(&*dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(Named::Nothing),
            Err(e) => Err(self.error("look at", rel, e)),
            Ok(stat) => Ok(match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Named::File,
                FileType::Directory => Named::Directory,
                FileType::Symlink => {
                    let text = rustix::fs::readlinkat(&*dir, name, Vec::new()).map_err(|e| self.error("read the link", rel, e))?;
                    Named::Link(text.to_string_lossy().into_owned())
                }
                _ => Named::Other,
            }),
        }
    }

    /// The number of the file system that a directory of the tree is on.
    pub fn device(&self, rel: &str) -> Result<u64, TreeError> {
        let dir = self.dir(rel, false)?;
        rustix::fs::fstat(&*dir).map(|s| s.st_dev).map_err(|e| self.error("look at", rel, e))
    }

    /// Makes a directory, and those above it.
    pub fn make_dir(&self, rel: &str) -> Result<(), TreeError> {
        self.dir(rel, true).map(drop)
    }

    /// Gives a regular file of another tree (or of this one) a second name here. An existing name is an error.
    pub fn link_from(&self, from: &Self, source: &str, rel: &str) -> Result<(), TreeError> {
        let (from_dir, from_name) = from.place(source, false)?;
        let (dir, name) = self.place(rel, true)?;
        // Without AT_SYMLINK_FOLLOW a link would be linked, and not what it leads to: `mark` refused it before, and the reader after.
        rustix::fs::linkat(&*from_dir, from_name, &*dir, name, AtFlags::empty()).map_err(|e| self.error("link", rel, e))
    }

    /// Copies a regular file of another tree to a new name here, sharing its blocks where the file system can. True where it shared.
    pub fn copy_from(&self, from: &Self, source: &str, rel: &str) -> Result<bool, TreeError> {
        let mut input = from.open_read(source)?;
        let mut output = self.create_new(rel)?;
        if rustix::fs::ioctl_ficlone(&output, &input).is_ok() {
            return Ok(true);
        }
        let failed = |e: io::Error| TreeError::Io { what: "copy to", at: self.shown(rel), cause: e.to_string(), kind: e.kind() };
        io::copy(&mut input, &mut output).map_err(failed)?;
        Ok(false)
    }

    /// A symbolic link under a name that was free.
    pub fn make_link(&self, text: &str, rel: &str) -> Result<(), TreeError> {
        let (dir, name) = self.place(rel, true)?;
        rustix::fs::symlinkat(text, &*dir, name).map_err(|e| self.error("make the link", rel, e))
    }

    /// Exchanges what two names mean, in one step: a reader of either finds the one or the other.
    pub fn exchange(&self, a: &str, b: &str) -> Result<Exchange, TreeError> {
        let (a_dir, a_name) = self.place(a, false)?;
        let (b_dir, b_name) = self.place(b, false)?;
        let done = match rustix::fs::renameat_with(&*a_dir, a_name, &*b_dir, b_name, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(Exchange::Done),
            // A mount point is busy, another file system is across: neither can be exchanged either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::BUSY | Errno::XDEV) => Ok(Exchange::Unsupported),
            Err(e) => Err(self.error("exchange", b, e)),
        };
        self.forget();
        done
    }

    /// Moves a directory to a name that is free; an existing one is an error, never merged or replaced.
    pub fn move_dir(&self, from: &str, to: &str) -> Result<(), TreeError> {
        let (from_dir, from_name) = self.place(from, false)?;
        let (to_dir, to_name) = self.place(to, true)?;
        let moved = match rustix::fs::renameat_with(&*from_dir, from_name, &*to_dir, to_name, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) if self.named(to)? == Named::Nothing => {
                rustix::fs::renameat(&*from_dir, from_name, &*to_dir, to_name)
            }
            other => other,
        };
        self.forget();
        moved.map_err(|e| self.error("move to", to, e))
    }

    /// Opens a directory of the tree as a tree of its own.
    pub fn beneath(&self, rel: &str) -> Result<Self, TreeError> {
        // Every part above is ours and no link: `dir` has just said so.
        self.dir(rel, false)?;
        Self::open(&self.path().join(rel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    fn two() -> (tempfile::TempDir, Tree, Tree) {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (Tree::create(&dir.path().join("a")).unwrap(), Tree::create(&dir.path().join("b")).unwrap());
        (dir, a, b)
    }

    #[test]
    fn names_are_told_apart_and_no_link_is_followed() {
        let (dir, a, b) = two();
        a.replace("p/x.rpm", b"bytes").unwrap();
        symlink("/etc/passwd", dir.path().join("a/l")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, dir.path().join("a/f"), rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0)
            .unwrap();
        assert_eq!(a.named("p").unwrap(), Named::Directory);
        assert_eq!(a.named("p/x.rpm").unwrap(), Named::File);
        assert_eq!(a.named("l").unwrap(), Named::Link("/etc/passwd".into()));
        assert_eq!(a.named("f").unwrap(), Named::Other);
        assert_eq!(a.named("q/none").unwrap(), Named::Nothing);
        b.link_from(&a, "p/x.rpm", "q/x.rpm").unwrap();
        assert!(b.link_from(&a, "p/x.rpm", "q/x.rpm").is_err(), "nothing is replaced");
        assert_eq!(std::fs::metadata(dir.path().join("a/p/x.rpm")).unwrap().nlink(), 2);
        b.copy_from(&a, "p/x.rpm", "q/y.rpm").unwrap();
        assert_eq!(std::fs::metadata(dir.path().join("b/q/y.rpm")).unwrap().nlink(), 1);
        assert!(b.copy_from(&a, "l", "q/z").is_err() && b.copy_from(&a, "f", "q/z").is_err());
        assert_eq!(a.device("").unwrap(), b.device("q").unwrap());
    }

    #[test]
    fn a_link_and_a_directory_exchange_their_names_or_nothing_happens() {
        let (dir, a, _) = two();
        a.replace("stable/x", b"old").unwrap();
        a.replace("snapshots/1/x", b"new").unwrap();
        a.make_link("snapshots/1", "tmp").unwrap();
        if a.exchange("tmp", "stable").unwrap() == Exchange::Unsupported {
            assert_eq!(a.named("stable").unwrap(), Named::Directory);
            return;
        }
        assert_eq!(std::fs::read(dir.path().join("a/stable/x")).unwrap(), b"new");
        assert_eq!(a.named("tmp").unwrap(), Named::Directory);
        a.move_dir("tmp", "snapshots/0").unwrap();
        assert_eq!(std::fs::read(dir.path().join("a/snapshots/0/x")).unwrap(), b"old");
        assert!(a.move_dir("snapshots/0", "snapshots/1").is_err(), "a directory that is there is not replaced");
        assert_eq!(a.read_small("snapshots/1/x", 9).unwrap().unwrap(), b"new");
    }
}
