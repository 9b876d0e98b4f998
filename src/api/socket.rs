//! Reaching a Unix socket: paths of any length, and whose socket it is before a byte is sent.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// `sun_path` holds this much, its NUL included.
const SUN_PATH: usize = 108;

/// A path for `connect` or `bind` that fits; keep the descriptor open until the call is done.
///
/// A longer path is reached through its directory's descriptor in `/proc/self/fd`.
pub fn short(path: &Path) -> io::Result<(PathBuf, Option<OwnedFd>)> {
    if path.as_os_str().len() < SUN_PATH {
        return Ok((path.to_owned(), None));
    }
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no file name"));
    };
    let fd = rustix::fs::open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd())).join(name), Some(fd)))
}

/// What stands at a socket's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Nothing,
    /// A socket that `uid` made.
    Socket {
        uid: u32,
    },
    /// Something else.
    Other,
}

/// Looks without following a link.
pub fn look(path: &Path) -> io::Result<Found> {
    match std::fs::symlink_metadata(path) {
        Ok(m) if m.file_type().is_socket() => Ok(Found::Socket { uid: m.uid() }),
        Ok(_) => Ok(Found::Other),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Found::Nothing),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn a_path_longer_than_the_kernel_takes_is_reached_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(90)).join("e".repeat(90));
        std::fs::create_dir_all(&deep).unwrap();
        let path = deep.join("engine.sock");
        assert!(UnixListener::bind(&path).is_err());
        assert_eq!(look(&path).unwrap(), Found::Nothing);
        let (p, _fd) = short(&path).unwrap();
        let _listener = UnixListener::bind(p).unwrap();
        let (p, _fd2) = short(&path).unwrap();
        UnixStream::connect(p).unwrap();
        assert_eq!(look(&path).unwrap(), Found::Socket { uid: rustix::process::getuid().as_raw() });
        std::os::unix::fs::symlink(&path, deep.join("link")).unwrap();
        assert_eq!(look(&deep.join("link")).unwrap(), Found::Other);
    }
}
