//! Unsaved texts, kept so that the end of a console loses nothing: one file for each pipeline and console, for its owner alone. A text is
//! offered at the next opening once the console that kept it is gone.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::order::Draft;
use super::page::MOST;
use crate::base::durable;

/// Between the name of the pipeline and the process that keeps it; no name of a pipeline has it.
const BETWEEN: char = '~';

/// Where console `pid` keeps its text of `name`. It ends with `.yml`, so that a person's own editor knows what it is.
pub fn place(dir: &Path, name: &str, pid: u32) -> PathBuf {
    dir.join(format!("{name}{BETWEEN}{pid}.yml"))
}

/// Keeps a text. The directory is made where it is not there.
pub fn keep(dir: &Path, name: &str, pid: u32, text: &str) -> io::Result<PathBuf> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let path = place(dir, name, pid);
    durable::replace(&path, text.as_bytes(), 0o600)?;
    Ok(path)
}

/// Takes the text of a console away; none is fine.
pub fn forget(dir: &Path, name: &str, pid: u32) -> io::Result<()> {
    remove(&place(dir, name, pid))
}

pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Reads a kept text, or what an editor made of it. Links and what is no text are refused.
pub fn read(path: &Path) -> io::Result<String> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    file.take(MOST as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MOST {
        return Err(io::Error::other("it is larger than 1 MiB, and no pipeline is"));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
}

/// The newest text of `name` that a console left which is gone.
pub fn left(dir: &Path, name: &str, pid: u32, alive: &dyn Fn(u32) -> bool) -> Option<Draft> {
    let own = rustix::process::geteuid().as_raw();
    let mut found: Vec<(Timestamp, PathBuf)> = Vec::new();
    for entry in fs::read_dir(dir).ok()?.flatten() {
        let file = entry.file_name();
        let Some((of, rest)) = file.to_str().and_then(|f| f.strip_suffix(".yml")).and_then(|f| f.rsplit_once(BETWEEN)) else { continue };
        let Ok(keeper) = rest.parse::<u32>() else { continue };
        if of != name || keeper == pid || alive(keeper) {
            continue;
        }
        let Ok(meta) = fs::symlink_metadata(entry.path()) else { continue };
        if meta.is_file() && meta.uid() == own {
            found.push((Timestamp::from_second(meta.mtime()).unwrap_or_default(), entry.path()));
        }
    }
    found.sort();
    found.into_iter().rev().find_map(|(at, path)| Some(Draft { text: read(&path).ok()?, path, at }))
}

/// Whether a process of this number is there.
pub fn alive(pid: u32) -> bool {
    i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).is_some_and(|pid| {
        // Somebody else's is alive too.
        !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_text_is_kept_for_its_owner_and_offered_once_its_console_is_gone() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("drafts");
        assert_eq!(left(&dir, "one", 1, &|_| false), None);
        let path = keep(&dir, "one", 7, "old").unwrap();
        keep(&dir, "one", 7, "text").unwrap();
        keep(&dir, "one-more", 8, "other").unwrap();
        let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&dir)), (0o600, 0o700));
        assert_eq!(left(&dir, "one", 1, &|pid| pid == 7), None, "it still runs");
        assert_eq!(left(&dir, "one", 7, &|_| false), None, "it is our own");
        assert_eq!(left(&dir, "one", 1, &|_| false).map(|d| (d.text, d.path)), Some(("text".into(), path)));
        forget(&dir, "one", 7).unwrap();
        forget(&dir, "one", 7).unwrap();
        assert_eq!(left(&dir, "one", 1, &|_| false), None);
    }

    #[test]
    fn links_and_bytes_are_no_texts() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink("secret", place(dir.path(), "one", 3)).unwrap();
        fs::write(place(dir.path(), "one", 4), [0xff]).unwrap();
        assert_eq!(left(dir.path(), "one", 1, &|_| false), None);
        assert!(read(&place(dir.path(), "one", 3)).is_err());
    }
}
