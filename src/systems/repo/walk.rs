//! Whole trees: a census of every name in one, and the removal of one. Nothing is followed out of the tree, whatever was planted in it.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::tree::{Mark, Tree, TreeError, mark_of};

/// Deeper is no repository.
const DEPTH: usize = 64;
/// More names are no repository either; the census stays below some hundred megabytes.
pub const NAMES: usize = 2_000_000;

/// What a name was at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File(Mark),
    /// A link, a pipe, a device, a socket: with its inode.
    Odd(u64),
}

/// Every name below a directory but directories themselves, and but what lies in `.quarterdeck` at the top. Names that are no UTF-8 stand
/// with their odd bytes replaced: they are for people and for comparing, never for opening.
pub type Census = BTreeMap<String, Kind>;

const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Tree {
    /// The census of the tree.
    pub fn census(&self) -> Result<Census, TreeError> {
        let mut out = Census::new();
        let mut todo = vec![(String::new(), self.open_dir("")?, 0usize)];
        while let Some((rel, dir, depth)) = todo.pop() {
            for name in names(&dir).map_err(|e| self.error("list", &rel, e))? {
                let text = name.to_string_lossy();
                if rel.is_empty() && text == ".quarterdeck" {
                    continue;
                }
                let path = if rel.is_empty() { text.into_owned() } else { format!("{rel}/{text}") };
                let stat = match rustix::fs::statat(&dir, name.as_c_str(), AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => stat,
                    // Gone since it was listed.
                    Err(Errno::NOENT) => continue,
                    Err(e) => return Err(self.error("look at", &path, e)),
                };
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::Directory if depth >= DEPTH => return Err(self.error("look into", &path, Errno::LOOP)),
                    FileType::Directory => match rustix::fs::openat(&dir, name.as_c_str(), DIR, Mode::empty()) {
                        Ok(fd) => todo.push((path, fd, depth + 1)),
                        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => {}
                        Err(e) => return Err(self.error("open", &path, e)),
                    },
                    FileType::RegularFile => drop(out.insert(path, Kind::File(mark_of(&stat)))),
                    _ => drop(out.insert(path, Kind::Odd(stat.st_ino))),
                }
                if out.len() > NAMES {
                    return Err(self.error("count the names of", "", Errno::TOOBIG));
                }
            }
        }
        Ok(out)
    }

    fn open_dir(&self, rel: &str) -> Result<OwnedFd, TreeError> {
        let dir = self.dir(rel, false)?;
        rustix::fs::openat(&*dir, ".", DIR, Mode::empty()).map_err(|e| self.error("open", rel, e))
    }

    /// Removes a directory with everything in it; links in it are removed as names. A mount point inside is refused, and stays. Calls
    /// `each` for every file, and gives the number of files back. Killed half way, the rest is removed by the next call.
    pub fn remove_tree(&self, rel: &str, mut each: impl FnMut(u64)) -> Result<u64, TreeError> {
        let (parent, name) = match self.place(rel, false) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            other => other?,
        };
        self.forget();
        let failed = |what: &'static str, e: Errno| self.error(what, rel, e);
        let top = match rustix::fs::openat(&*parent, name, DIR, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(0),
            Err(Errno::LOOP | Errno::NOTDIR) => {
                rustix::fs::unlinkat(&*parent, name, AtFlags::empty()).map_err(|e| failed("remove", e))?;
                return Ok(1);
            }
            Err(e) => return Err(failed("open", e)),
        };
        let device = rustix::fs::fstat(&top).map_err(|e| failed("look at", e))?.st_dev;
        let mut count = 0;
        empty(&top, device, 0, &mut |_| {
            count += 1;
            each(count);
        })
        .map_err(|e| failed("empty", e))?;
        rustix::fs::unlinkat(&*parent, name, AtFlags::REMOVEDIR).map_err(|e| failed("remove", e))?;
        Ok(count)
    }
}

fn empty(dir: &impl AsFd, device: u64, depth: usize, each: &mut impl FnMut(())) -> Result<(), Errno> {
    if depth > DEPTH {
        return Err(Errno::LOOP);
    }
    for name in names(dir)? {
        let name: &CStr = &name;
        match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) => each(()),
            Err(Errno::NOENT) => {}
            // Linux says EISDIR, POSIX EPERM.
            Err(Errno::ISDIR | Errno::PERM) => {
                let sub = rustix::fs::openat(dir, name, DIR, Mode::empty())?;
                if rustix::fs::fstat(&sub)?.st_dev != device {
                    return Err(Errno::XDEV);
                }
                empty(&sub, device, depth + 1, each)?;
                rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?;
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn names(dir: &impl AsFd) -> Result<Vec<CString>, Errno> {
    let mut out = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            out.push(entry.file_name().to_owned());
        }
    }
    Ok(out)
}

/// What differs between two censuses, in words, at most `most` of them; empty where nothing does.
pub fn moved(before: &Census, after: &Census, most: usize) -> Vec<String> {
    let shown = |path: &str| crate::wire::excerpt(path);
    let mut out = Vec::new();
    for (path, kind) in before {
        match after.get(path) {
            Some(now) if now == kind => {}
            Some(_) => out.push(format!("{} changed", shown(path))),
            None => out.push(format!("{} is gone", shown(path))),
        }
        if out.len() >= most {
            return out;
        }
    }
    out.extend(after.keys().filter(|p| !before.contains_key(*p)).take(most - out.len()).map(|p| format!("{} is new", shown(p))));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_hostile_tree_is_counted_and_removed_and_what_it_points_at_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (root, out) = (dir.path().join("root"), dir.path().join("outside"));
        std::fs::create_dir_all(root.join("s/Packages/deep")).unwrap();
        std::fs::create_dir_all(root.join(".quarterdeck")).unwrap();
        std::fs::write(root.join(".quarterdeck/owner"), "x").unwrap();
        std::fs::create_dir(&out).unwrap();
        std::fs::write(out.join("victim"), "v").unwrap();
        symlink(&out, root.join("s/dir-link")).unwrap();
        symlink(out.join("victim"), root.join("s/Packages/a.rpm")).unwrap();
        symlink("..", root.join("s/Packages/up")).unwrap();
        std::fs::write(root.join("s/Packages/new\nline\u{1b}[31m.rpm"), "n").unwrap();
        std::fs::write(root.join("s/Packages/deep").join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), "n").unwrap();
        let fifo = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, root.join("s/pipe"), FileType::Fifo, fifo, 0).unwrap();
        let tree = Tree::open(&root).unwrap();
        let before = tree.census().unwrap();
        assert_eq!(before.len(), 6, "{before:?}");
        assert_eq!(before.values().filter(|k| matches!(k, Kind::Odd(_))).count(), 4);
        assert!(moved(&before, &tree.census().unwrap(), 5).is_empty());
        std::fs::write(root.join("s/Packages/z.rpm"), "z").unwrap();
        std::fs::remove_file(root.join("s/pipe")).unwrap();
        std::fs::write(root.join("s/Packages/new\nline\u{1b}[31m.rpm"), "longer").unwrap();
        let told = moved(&before, &tree.census().unwrap(), 5);
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told.iter().all(|t| !t.contains('\n') && !t.contains('\u{1b}')), "{told:?}");
        assert_eq!(moved(&before, &tree.census().unwrap(), 1).len(), 1);
        assert_eq!(tree.remove_tree("s", |_| ()).unwrap(), 6);
        assert_eq!(tree.remove_tree("s", |_| ()).unwrap(), 0);
        assert_eq!(std::fs::read(out.join("victim")).unwrap(), b"v");
        symlink(&out, root.join("l")).unwrap();
        assert_eq!(tree.remove_tree("l", |_| ()).unwrap(), 1);
        assert!(out.join("victim").exists() && !root.join("l").exists());
        assert!(tree.remove_tree("../outside", |_| ()).is_err());
    }
}
