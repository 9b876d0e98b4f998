//! Secrets in files: a regular file of our own, mode 0600 or stricter, reached without a link.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::{MAX_BYTES, SecretError, fit};

/// Reads the file. One line ending at its very end is not part of the value.
pub fn read(name: &str, path: &Path, uid: u32) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let refuse = |why: String| SecretError::File { name: name.to_owned(), path: path.display().to_string(), why };
    // NOFOLLOW refuses a link at the end of the path, NONBLOCK a pipe that would wait; what is judged is what was opened.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| match e {
        Errno::NOENT => refuse("does not exist".into()),
        Errno::LOOP => refuse("is a symbolic link: name the file itself".into()),
        Errno::ACCESS => refuse(format!("may not be read by uid {uid}: check its owner and the directories above it")),
        e => refuse(format!("cannot be opened: {e}")),
    })?;
    let mut file = std::fs::File::from(fd);
    let meta = file.metadata().map_err(|e| refuse(format!("cannot be looked at: {e}")))?;
    if !meta.is_file() {
        return Err(refuse("is not a regular file".into()));
    }
    if meta.uid() != uid {
        return Err(refuse(format!("belongs to uid {}, not to you (uid {uid}): chown {uid} {}", meta.uid(), path.display())));
    }
    if meta.mode() & 0o077 != 0 {
        let mode = meta.mode() & 0o7777;
        return Err(refuse(format!("can be read or written by others (mode {mode:04o}): chmod 600 {}", path.display())));
    }
    let mut value = Zeroizing::new(Vec::with_capacity(MAX_BYTES.min(meta.len() as usize + 1)));
    file.by_ref().take(MAX_BYTES as u64 + 1).read_to_end(&mut value).map_err(|e| refuse(format!("cannot be read: {e}")))?;
    if value.last() == Some(&b'\n') {
        value.pop();
        if value.last() == Some(&b'\r') {
            value.pop();
        }
    }
    fit(name, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn uid() -> u32 {
        rustix::process::getuid().as_raw()
    }

    #[test]
    fn only_a_private_regular_file_of_our_own_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let chmod = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let why = |p: &Path| read("t", p, uid()).unwrap_err().to_string();
        assert!(why(&path).contains("does not exist"));
        std::fs::write(&path, "line one\nline two\r\n").unwrap();
        chmod(0o600);
        assert_eq!(read("t", &path, uid()).unwrap().as_slice(), b"line one\nline two");
        chmod(0o400);
        assert!(read("t", &path, uid()).is_ok());
        for mode in [0o640, 0o604, 0o602, 0o620] {
            chmod(mode);
            let text = why(&path);
            assert!(text.contains(&format!("mode {mode:04o}")) && text.contains("chmod 600") && !text.contains("line one"), "{text}");
        }
        chmod(0o600);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(why(&link).contains("symbolic link"));
        assert!(why(dir.path()).contains("not a regular file"));
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        assert!(why(&pipe).contains("not a regular file"));
        assert!(read("t", &path, uid() + 1).unwrap_err().to_string().contains("not to you"));
    }

    #[test]
    fn values_that_cannot_be_masked_are_refused_without_being_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        for (value, words) in [("", "empty"), ("\n", "empty"), ("abc12", "fewer than 6"), ("abc\0defg", "NUL")] {
            std::fs::write(&path, value).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            let text = read("t", &path, uid()).unwrap_err().to_string();
            assert!(text.contains(words) && !text.contains("abc"), "{text}");
        }
        std::fs::write(&path, vec![b'x'; MAX_BYTES + 1]).unwrap();
        assert!(read("t", &path, uid()).unwrap_err().to_string().contains("larger than"));
    }
}
