//! A repository's directory as a set of safe file operations: everything stays beneath the root, and links planted in it are never followed.
//!
//! Each directory on the way is opened by descriptor with `O_NOFOLLOW`, so that no exchange of a directory for a link can win a race.
//! (`openat2` would do it in one call, but kernels of EL8 lack it.)

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Why a file operation in a tree failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TreeError {
    #[error("{at} is a symbolic link; links inside a mirror are never followed")]
    Link { at: String },
    #[error("{at} is not a regular file")]
    NotAFile { at: String },
    #[error("cannot {what} {at}: {cause}")]
    Io { what: &'static str, at: String, cause: String, kind: io::ErrorKind },
}

impl TreeError {
    pub const fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Link { .. } | Self::NotAFile { .. } => io::ErrorKind::InvalidInput,
            Self::Io { kind, .. } => *kind,
        }
    }
}

/// What tells that a file is still the one that was verified. Cheap: no byte is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Mark {
    pub size: u64,
    pub mtime_ns: i64,
    pub ino: u64,
}

/// Free space of the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub bytes: u64,
    /// `None` where the file system has no fixed number of inodes (btrfs).
    pub inodes: Option<u64>,
}

pub struct Tree {
    pub(super) root: OwnedFd,
    path: PathBuf,
    dirs: Mutex<HashMap<String, Arc<OwnedFd>>>,
}

impl Tree {
    /// Opens an existing tree. Its own path may lead through links, but its last part may not be one: a pinned name would be
    /// written through to its snapshot.
    pub fn open(path: &Path) -> Result<Self, TreeError> {
        let root = rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        let root = root.map_err(|e| match rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => TreeError::Link { at: path.display().to_string() },
            _ => io_error("open", path.display().to_string(), e),
        })?;
        Ok(Self { root, path: path.to_owned(), dirs: Mutex::default() })
    }

    /// For readers: a last part that is a link is followed once, as web servers follow the pinned name of a snapshot.
    pub fn open_to_read(path: &Path) -> Result<Self, TreeError> {
        match Self::open(path) {
            Err(TreeError::Link { at }) => match std::fs::canonicalize(path) {
                Ok(real) => Self::open(&real),
                Err(e) => Err(TreeError::Io { what: "follow", at, cause: e.to_string(), kind: e.kind() }),
            },
            other => other,
        }
    }

    /// Makes the directory and those above it, then opens it.
    pub fn create(path: &Path) -> Result<Self, TreeError> {
        match Self::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir_all(path).map_err(|e| TreeError::Io {
                    what: "make directory",
                    at: path.display().to_string(),
                    cause: e.to_string(),
                    kind: e.kind(),
                })?;
                Self::open(path)
            }
            other => other,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Forgets the directories that it holds open: after one of them got another name.
    pub(super) fn forget(&self) {
        if let Ok(mut dirs) = self.dirs.lock() {
            dirs.clear();
        }
    }

    pub(super) fn shown(&self, rel: &str) -> String {
        self.path.join(rel).display().to_string()
    }

    pub(super) fn error(&self, what: &'static str, rel: &str, e: Errno) -> TreeError {
        io_error(what, self.shown(rel), e)
    }

    /// The descriptor of a directory of the tree; `""` is the root. Made where `make` says so.
    pub(super) fn dir(&self, rel: &str, make: bool) -> Result<Arc<OwnedFd>, TreeError> {
        if let Some(fd) = self.dirs.lock().ok().and_then(|d| d.get(rel).cloned()) {
            return Ok(fd);
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = if rel.is_empty() {
            rustix::fs::openat(&self.root, ".", flags, Mode::empty()).map_err(|e| self.error("open", rel, e))?
        } else {
            let (up, name) = rel.rsplit_once('/').unwrap_or(("", rel));
            let parent = self.dir(up, make)?;
            if name.is_empty() || name == "." || name == ".." {
                return Err(self.error("open", rel, Errno::INVAL));
            }
            match rustix::fs::openat(&*parent, name, flags, Mode::empty()) {
                Ok(fd) => fd,
                Err(Errno::NOENT) if make => {
                    let mode = if rel == ".quarterdeck" { 0o700 } else { 0o755 };
                    match rustix::fs::mkdirat(&*parent, name, Mode::from_raw_mode(mode)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(e) => return Err(self.error("make directory", rel, e)),
                    }
                    rustix::fs::openat(&*parent, name, flags, Mode::empty()).map_err(|e| self.not_a_dir(&parent, name, rel, e))?
                }
                Err(e) => return Err(self.not_a_dir(&parent, name, rel, e)),
            }
        };
        let fd = Arc::new(fd);
        if let Ok(mut dirs) = self.dirs.lock() {
            // A mirror has a few hundred directories; descriptors are worth more than that.
            if dirs.len() >= 256 {
                dirs.clear();
            }
            dirs.insert(rel.to_owned(), Arc::clone(&fd));
        }
        Ok(fd)
    }

    fn not_a_dir(&self, parent: &OwnedFd, name: &str, rel: &str, e: Errno) -> TreeError {
        match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => TreeError::Link { at: self.shown(rel) },
            _ => self.error("open", rel, e),
        }
    }

    pub(super) fn place<'a>(&self, rel: &'a str, make: bool) -> Result<(Arc<OwnedFd>, &'a str), TreeError> {
        let (dir, name) = rel.rsplit_once('/').unwrap_or(("", rel));
        if name.is_empty() || name == "." || name == ".." || name.contains('\0') {
            return Err(self.error("use", rel, Errno::INVAL));
        }
        Ok((self.dir(dir, make)?, name))
    }

    fn open_at(&self, rel: &str, flags: OFlags, make: bool) -> Result<File, TreeError> {
        let (dir, name) = self.place(rel, make)?;
        // O_NONBLOCK: a planted pipe must not hold us for ever; it has no meaning for regular files.
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = rustix::fs::openat(&*dir, name, flags, Mode::from_raw_mode(0o644)).map_err(|e| match e {
            Errno::LOOP => TreeError::Link { at: self.shown(rel) },
            e => self.error("open", rel, e),
        })?;
        let stat = rustix::fs::fstat(&fd).map_err(|e| self.error("look at", rel, e))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(TreeError::NotAFile { at: self.shown(rel) });
        }
        Ok(File::from(fd))
    }

    pub fn open_read(&self, rel: &str) -> Result<File, TreeError> {
        self.open_at(rel, OFlags::RDONLY, false)
    }

    /// A new file; directories on the way are made. An existing name is an error: nothing is ever opened for write under its final name.
    pub fn create_new(&self, rel: &str) -> Result<File, TreeError> {
        self.open_at(rel, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, true)
    }

    /// For files of our own under `.quarterdeck/` only.
    pub fn open_own(&self, rel: &str) -> Result<File, TreeError> {
        debug_assert!(rel.starts_with(".quarterdeck/"));
        self.open_at(rel, OFlags::RDWR | OFlags::CREATE, true)
    }

    /// A small file of at most `max` bytes; `None` where it does not exist.
    pub fn read_small(&self, rel: &str, max: u64) -> Result<Option<Vec<u8>>, TreeError> {
        let file = match self.open_read(rel) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut out = Vec::new();
        let read = file.take(max + 1).read_to_end(&mut out);
        let fail = |cause: String| TreeError::Io { what: "read", at: self.shown(rel), cause, kind: io::ErrorKind::Other };
        read.map_err(|e| fail(e.to_string()))?;
        if out.len() as u64 > max { Err(fail(format!("it is larger than {max} bytes"))) } else { Ok(Some(out)) }
    }

    /// The mark of a regular file; `None` where there is none.
    pub fn mark(&self, rel: &str) -> Result<Option<Mark>, TreeError> {
        let (dir, name) = match self.place(rel, false) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        match rustix::fs::statat(&*dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(self.error("look at", rel, e)),
            Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Ok(Some(mark_of(&stat))),
                FileType::Symlink => Err(TreeError::Link { at: self.shown(rel) }),
                _ => Err(TreeError::NotAFile { at: self.shown(rel) }),
            },
        }
    }

    /// Moves a file over whatever has the other name: readers see the old one or the new one.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), TreeError> {
        let (from_dir, from_name) = self.place(from, false)?;
        let (to_dir, to_name) = self.place(to, true)?;
        rustix::fs::renameat(&*from_dir, from_name, &*to_dir, to_name).map_err(|e| self.error("rename to", to, e))
    }

    /// Removes a name; `false` where it was gone already.
    pub fn remove(&self, rel: &str) -> Result<bool, TreeError> {
        let (dir, name) = match self.place(rel, false) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        match rustix::fs::unlinkat(&*dir, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(self.error("remove", rel, e)),
        }
    }

    /// Names in a directory of the tree; empty where there is none.
    pub fn list(&self, rel: &str) -> Result<Vec<String>, TreeError> {
        let dir = match self.dir(rel, false) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let entries = rustix::fs::Dir::read_from(&*dir).map_err(|e| self.error("list", rel, e))?;
        let mut out = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| self.error("list", rel, e))?;
            match entry.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => out.push(name.to_owned()),
            }
        }
        Ok(out)
    }

    /// Replaces a file so that a reader, now or after a power cut, sees the old one or the whole new one.
    pub fn replace(&self, rel: &str, bytes: &[u8]) -> Result<(), TreeError> {
        let tmp = format!("{rel}.tmp");
        self.remove(&tmp)?;
        let mut file = self.create_new(&tmp)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        written.map_err(|e| TreeError::Io { what: "write", at: self.shown(&tmp), cause: e.to_string(), kind: e.kind() })?;
        self.rename(&tmp, rel)?;
        self.sync_dir(rel.rsplit_once('/').map_or("", |(d, _)| d))
    }

    /// Makes the names of a directory durable.
    pub fn sync_dir(&self, rel: &str) -> Result<(), TreeError> {
        let dir = self.dir(rel, false)?;
        rustix::fs::fsync(&*dir).map_err(|e| self.error("sync", rel, e))
    }

    /// Makes everything on the tree's file system durable: for a thousand small files far cheaper than a thousand fsyncs.
    pub fn sync_all(&self) -> Result<(), TreeError> {
        rustix::fs::syncfs(&self.root).map_err(|e| self.error("sync", "", e))
    }

    pub fn space(&self) -> Result<Space, TreeError> {
        let v = rustix::fs::fstatvfs(&self.root).map_err(|e| self.error("look at", "", e))?;
        Ok(Space { bytes: v.f_bavail.saturating_mul(v.f_frsize), inodes: (v.f_files > 0).then_some(v.f_favail) })
    }

    /// Bytes of the file system, those that are taken too.
    pub fn capacity(&self) -> Result<u64, TreeError> {
        let v = rustix::fs::fstatvfs(&self.root).map_err(|e| self.error("look at", "", e))?;
        Ok(v.f_blocks.saturating_mul(v.f_frsize))
    }
}

/// The mark of an open file.
pub fn mark_of_file(file: &impl AsFd) -> io::Result<Mark> {
    Ok(mark_of(&rustix::fs::fstat(file)?))
}

pub(super) fn mark_of(stat: &rustix::fs::Stat) -> Mark {
    Mark {
        size: stat.st_size.max(0) as u64,
        mtime_ns: stat.st_mtime.saturating_mul(1_000_000_000) + stat.st_mtime_nsec as i64,
        ino: stat.st_ino,
    }
}

pub(super) fn io_error(what: &'static str, at: String, e: Errno) -> TreeError {
    let e = io::Error::from(e);
    TreeError::Io { what, at, cause: e.to_string(), kind: e.kind() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_refused_at_every_place() {
        let dir = tempfile::tempdir().unwrap();
        let (root, out) = (dir.path().join("tree"), dir.path().join("outside"));
        std::fs::create_dir_all(root.join("repodata")).unwrap();
        std::fs::create_dir(&out).unwrap();
        std::fs::write(out.join("victim"), "v").unwrap();
        symlink(&out, root.join("Packages")).unwrap();
        symlink(out.join("victim"), root.join("repodata/x.rpm")).unwrap();
        let tree = Tree::open(&root).unwrap();
        for rel in ["Packages/victim", "repodata/x.rpm"] {
            assert!(matches!(tree.open_read(rel), Err(TreeError::Link { .. })), "{rel}");
        }
        assert!(matches!(tree.create_new("Packages/new"), Err(TreeError::Link { .. })));
        assert!(matches!(tree.mark("repodata/x.rpm"), Err(TreeError::Link { .. })));
        assert!(matches!(tree.remove("Packages/victim"), Err(TreeError::Link { .. })));
        assert!(tree.create_new("repodata/x.rpm").is_err());
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1);
        symlink(&root, dir.path().join("pinned")).unwrap();
        assert!(matches!(Tree::open(&dir.path().join("pinned")), Err(TreeError::Link { .. })));
        assert!(Tree::open_to_read(&dir.path().join("pinned")).is_ok());
    }

    #[test]
    fn nothing_leaves_the_root_and_pipes_do_not_hang() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::create(&dir.path().join("a/b")).unwrap();
        for rel in ["../x", "x/../../y", "", ".", "..", "x/", "./x/./y/.."] {
            assert!(tree.create_new(rel).is_err(), "{rel}");
        }
        rustix::fs::mknodat(CWD, dir.path().join("a/b/pipe"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
        assert!(matches!(tree.open_read("pipe"), Err(TreeError::NotAFile { .. })));
    }

    #[test]
    fn a_replaced_file_is_another_inode() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        tree.replace("a", b"old").unwrap();
        std::fs::hard_link(dir.path().join("a"), dir.path().join("pinned")).unwrap();
        let before = tree.mark("a").unwrap().unwrap();
        tree.replace("a", b"new!").unwrap();
        let after = tree.mark("a").unwrap().unwrap();
        assert!(before != after && after.size == 4);
        assert_eq!(std::fs::read(dir.path().join("pinned")).unwrap(), b"old");
        assert!(tree.remove("a").unwrap() && !tree.remove("a").unwrap());
        assert_eq!(tree.read_small("a", 10).unwrap(), None);
        assert!(tree.read_small("pinned", 2).is_err());
    }
}
