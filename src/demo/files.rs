//! Writing into a tree that readers are reading: whole files under their final names, never a half one.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::Error;

/// Writes `bytes` beside `path` and renames. `mtime` in seconds since the epoch, where it matters.
/// The temporary name starts with a dot and ends in `.part`, so that no listing takes it for content.
pub fn put(path: &Path, bytes: &[u8], mtime: Option<i64>) -> Result<(), Error> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let tmp = path.with_file_name(format!(".{name}.part"));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&tmp).map_err(Error::io("creating", &tmp))?;
    file.write_all(bytes).map_err(Error::io("writing", &tmp))?;
    if let Some(t) = mtime {
        set_mtime(&file, t).map_err(Error::io("setting the time of", &tmp))?;
    }
    drop(file);
    std::fs::rename(&tmp, path).map_err(Error::io("renaming to", path))
}

/// As [`put`], but leaves a file alone that already holds these bytes: its inode, and so its validator, stays.
pub fn put_if_changed(path: &Path, bytes: &[u8], mtime: i64) -> Result<(), Error> {
    let same = std::fs::metadata(path).is_ok_and(|m| m.len() == bytes.len() as u64) && std::fs::read(path).is_ok_and(|old| old == bytes);
    if same { Ok(()) } else { put(path, bytes, Some(mtime)) }
}

fn set_mtime(file: &File, secs: i64) -> std::io::Result<()> {
    let t = SystemTime::UNIX_EPOCH + Duration::from_secs(secs.max(0) as u64);
    file.set_modified(t)
}

/// Creates `dir` and its parents.
pub fn mkdir(dir: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(dir).map_err(Error::io("creating the directory", dir))
}

/// Creates `dir` and its parents for their owner alone, whatever the umask: configuration that others can write is refused.
pub fn mkdir_private(dir: &Path) -> Result<(), Error> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(Error::io("creating the directory", dir))?;
    // One that was made by hand beforehand is open to all as a rule, and no engine works where others can write.
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).map_err(Error::io("closing the directory", dir))
}

/// Lower-case hex of a sha256.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex(&sha2::Sha256::digest(bytes))
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
