//! Secrets in files: a regular file of our own, mode 0600 or stricter, reached without a link.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::{Kind, MAX_BYTES, SecretError, fit};

/// Whose file may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Only this uid's, and only where nobody else can read it.
    Owner(u32),
    /// As systemd lays credentials out for this uid: its own or root's. Access by a list shows as read permission of the group.
    Systemd(u32),
}

/// Reads the file. One line ending at its very end is not part of the value.
pub fn read(name: &str, path: &Path, trust: Trust) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let say = |kind, why: String| SecretError::new(name, kind, format!("file {} {why}", path.display()));
    let refuse = |why: String| say(Kind::Unfit, why);
    let (Trust::Owner(uid) | Trust::Systemd(uid)) = trust;
    let loaded = matches!(trust, Trust::Systemd(_));
    // NOFOLLOW refuses a link at the end of the path, NONBLOCK a pipe that would wait; what is judged is what was opened.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| match e {
        Errno::NOENT => say(Kind::Absent, "does not exist".into()),
        Errno::LOOP => refuse("is a symbolic link: name the file itself".into()),
        Errno::ACCESS => refuse(format!("may not be read by uid {uid}: check its owner and the directories above it")),
        e => refuse(format!("cannot be opened: {e}")),
    })?;
    let mut file = std::fs::File::from(fd);
    let meta = file.metadata().map_err(|e| refuse(format!("cannot be looked at: {e}")))?;
    if !meta.is_file() {
        return Err(refuse("is not a regular file".into()));
    }
    if meta.uid() != uid && !(loaded && meta.uid() == 0) {
        return Err(refuse(format!("belongs to uid {}, not to you (uid {uid}): chown {uid} {}", meta.uid(), path.display())));
    }
    let others = if loaded { 0o037 } else { 0o077 };
    if meta.mode() & others != 0 {
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
        let why = |p: &Path| read("t", p, Trust::Owner(uid())).unwrap_err().to_string();
        assert!(why(&path).contains("does not exist"));
        std::fs::write(&path, "line one\nline two\r\n").unwrap();
        chmod(0o600);
        assert_eq!(read("t", &path, Trust::Owner(uid())).unwrap().as_slice(), b"line one\nline two");
        chmod(0o400);
        assert!(read("t", &path, Trust::Owner(uid())).is_ok());
        for mode in [0o640, 0o604, 0o602, 0o620] {
            chmod(mode);
            let text = why(&path);
            assert!(text.contains(&format!("mode {mode:04o}")) && text.contains("chmod 600") && !text.contains("line one"), "{text}");
        }
        chmod(0o440);
        assert!(read("t", &path, Trust::Systemd(uid())).is_ok());
        assert_eq!(read("t", &path, Trust::Systemd(uid() + 1)).is_ok(), uid() == 0, "root's own is believed, a stranger's is not");
        for mode in [0o444, 0o460, 0o604] {
            chmod(mode);
            assert_eq!(read("t", &path, Trust::Systemd(uid())).unwrap_err().kind(), Kind::Unfit, "{mode:o}");
        }
        chmod(0o600);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(why(&link).contains("symbolic link"));
        assert!(why(dir.path()).contains("not a regular file"));
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        assert!(why(&pipe).contains("not a regular file"));
        assert!(read("t", &path, Trust::Owner(uid() + 1)).unwrap_err().to_string().contains("not to you"));
    }

    #[test]
    fn values_that_cannot_be_masked_are_refused_without_being_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        for (value, words) in [
            ("", "empty"),
            ("\n", "empty"),
            ("abc12", "fewer than 6"),
            ("\u{e4}\u{f6}\u{fc}", "fewer than 6"),
            ("          ", "nothing but blanks"),
            ("abc\0defg", "NUL"),
        ] {
            std::fs::write(&path, value).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            let text = read("t", &path, Trust::Owner(uid())).unwrap_err().to_string();
            assert!(text.contains(words) && !text.contains("abc"), "{text}");
        }
        std::fs::write(&path, vec![b'x'; MAX_BYTES + 1]).unwrap();
        assert!(read("t", &path, Trust::Owner(uid())).unwrap_err().to_string().contains("larger than"));
    }
}
