//! Whether a file or directory of the configuration may be believed: who owns it, and who else can write it.

use std::fs::Metadata;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use super::error::{ConfigError, NO_TEXT};
use crate::domain::run::valid_name;

/// No configuration file is larger; what is larger is not one.
const MAX_BYTES: u64 = 1 << 20;

/// Refuses a directory, and every directory above it, that somebody else could swap under us.
pub fn directory(path: &Path, uid: u32) -> Result<(), ConfigError> {
    open(path, uid).map(drop)
}

/// As [`directory`]; what is in it.
fn open(path: &Path, uid: u32) -> Result<std::fs::ReadDir, ConfigError> {
    let meta = stat(path, uid)?;
    if !meta.is_dir() {
        return Err(refuse(path, "it is not a directory", "move it away"));
    }
    judge(path, &meta, uid)?;
    let entries = std::fs::read_dir(path).map_err(|e| denied(path, uid, &e))?;
    for (above, meta) in all_above(path).map_err(|e| denied(path, uid, &e))? {
        let mode = meta.permissions().mode();
        if mode & 0o002 != 0 && mode & 0o1000 == 0 {
            let why = format!("everybody may write {} above it (mode {:04o}), and so replace it", above.display(), mode & 0o7777);
            return Err(refuse(path, &why, &format!("chmod o-w {}", above.display())));
        }
    }
    Ok(entries)
}

/// Every directory above `path` as it is really reached, nearest first. Asked at each request: only where a piece of the path is a link, or
/// none that stands for itself, are links looked up.
fn all_above(path: &Path) -> std::io::Result<Vec<(PathBuf, Metadata)>> {
    let walk = |p: &Path| p.ancestors().map(|a| Ok((a.to_owned(), a.symlink_metadata()?))).collect::<std::io::Result<Vec<_>>>();
    let plain = path.is_absolute() && path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
    let mut found = if plain { walk(path)? } else { Vec::new() };
    if found.is_empty() || found.iter().any(|(_, m)| m.is_symlink()) {
        found = walk(&path.canonicalize()?)?;
    }
    found.remove(0);
    Ok(found)
}

/// Names of the files `NAMEsuffix` of a directory that may be trusted, sorted; none where there is no directory. Files whose name is no name
/// of ours are left out.
pub fn names(dir: &Path, suffix: &str, uid: u32) -> Result<Vec<String>, ConfigError> {
    let entries = match open(dir, uid) {
        Ok(entries) => entries,
        Err(ConfigError::Missing { .. }) => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let unreadable = |e: std::io::Error| ConfigError::Unreadable { path: dir.to_owned(), why: e.to_string() };
    let mut out = Vec::new();
    for entry in entries {
        let name = entry.map_err(unreadable)?.file_name();
        if let Some(stem) = name.to_str().and_then(|n| n.strip_suffix(suffix)).filter(|s| valid_name(s)) {
            out.push(stem.to_owned());
        }
    }
    out.sort();
    Ok(out)
}

/// Reads a configuration file after the same questions. The file that was judged is the file that is read.
pub fn read(path: &Path, uid: u32) -> Result<String, ConfigError> {
    let unreadable = |why: String| ConfigError::Unreadable { path: path.into(), why };
    let meta = stat(path, uid)?;
    if !meta.is_file() {
        // Looked at before it is opened: opening a pipe would wait for ever.
        return Err(refuse(path, "it is not a regular file", "move it away"));
    }
    let mut file = std::fs::File::open(path).map_err(|e| denied(path, uid, &e))?;
    let meta = file.metadata().map_err(|e| unreadable(e.to_string()))?;
    judge(path, &meta, uid)?;
    if meta.len() > MAX_BYTES {
        return Err(refuse(path, "it is larger than 1 MiB", "no configuration file is so large; look what it is"));
    }
    let mut bytes = Vec::new();
    file.by_ref().take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|e| unreadable(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| {
        let line = e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        unreadable(format!("line {line} {NO_TEXT}"))
    })
}

fn stat(path: &Path, uid: u32) -> Result<Metadata, ConfigError> {
    std::fs::metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => ConfigError::Missing { path: path.into() },
        _ => denied(path, uid, &e),
    })
}

/// What may not be read is refused like what may not be trusted: nobody knows what it says, and no default may stand in for it.
fn denied(path: &Path, uid: u32, e: &std::io::Error) -> ConfigError {
    if e.kind() != std::io::ErrorKind::PermissionDenied {
        return ConfigError::Unreadable { path: path.into(), why: e.to_string() };
    }
    // The deepest place that can be looked at is the one that keeps us out.
    let Some((at, meta)) = path.ancestors().find_map(|p| Some((p, std::fs::metadata(p).ok()?))) else {
        return ConfigError::Unreadable { path: path.into(), why: e.to_string() };
    };
    let what = if at == path { String::new() } else { format!("{} has ", at.display()) };
    let (mode, owner, group) = (meta.permissions().mode() & 0o7777, meta.uid(), meta.gid());
    let why = format!("it cannot be read by uid {uid}: {e}: {what}mode {mode:04o}, uid {owner}, gid {group}");
    let rights = match (meta.is_dir(), owner == uid) {
        (true, true) => "u+rx",
        (true, false) => "g+rx",
        (false, true) => "u+r",
        (false, false) => "g+r",
    };
    let place = shell_words::quote(&at.to_string_lossy()).into_owned();
    // STATE/config: the engine refuses to start where others can reach STATE.
    let state = owner != uid && mode & 0o077 == 0 && path.strip_prefix(at).is_ok_and(|below| below.starts_with("config"));
    let help = match owner == uid {
        _ if state => "a state directory is its owner's alone: use your own, --state-dir DIR; an engine that others may ask has its \
                       configuration elsewhere (--config-dir DIR) and its socket in [engine] socket of site.toml"
            .to_owned(),
        true => format!("chmod {rights} {place}, or use another: --config-dir DIR, --state-dir DIR"),
        false => format!(
            "its owner lets a group of uid {uid} read it: chgrp GROUP {place}; chmod {rights} {place}\nor use another: --config-dir DIR, --state-dir DIR"
        ),
    };
    refuse(path, &why, &help)
}

fn judge(path: &Path, meta: &Metadata, uid: u32) -> Result<(), ConfigError> {
    let mode = meta.permissions().mode() & 0o7777;
    if meta.uid() != uid && meta.uid() != 0 {
        let why = format!("it belongs to uid {}, and you are uid {uid}: its owner could make you run anything", meta.uid());
        return Err(refuse(path, &why, &format!("chown it to yourself or root: chown {uid} {}", path.display())));
    }
    if mode & 0o002 != 0 {
        let why = format!("everybody may write it (mode {mode:04o}): anybody could make you run anything");
        return Err(refuse(path, &why, &format!("look what is in it, then: chmod o-w {}", path.display())));
    }
    Ok(())
}

fn refuse(path: &Path, why: &str, help: &str) -> ConfigError {
    ConfigError::Untrusted { path: path.into(), why: format!("refused: {why}"), help: help.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn me() -> u32 {
        rustix::process::getuid().as_raw()
    }

    #[test]
    fn nobody_is_told_to_open_a_state_directory() {
        let dir = tempfile::tempdir().unwrap();
        chmod(dir.path(), 0o700);
        let no = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let help = |file: &str| denied(&dir.path().join(file), me() + 1, &no).help().to_owned();
        assert!(help("config/site.toml").contains("its owner's alone") && !help("config").contains("chmod"));
        assert!(help("site.toml").contains("chmod g+rx"), "any other directory may be opened");
    }

    #[test]
    fn what_others_can_write_is_refused_and_the_cure_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("site.toml");
        std::fs::write(&file, "x = 1").unwrap();
        chmod(&file, 0o644);
        assert_eq!(read(&file, me()).unwrap(), "x = 1");
        chmod(&file, 0o646);
        let e = read(&file, me()).unwrap_err();
        assert!(e.to_string().contains("mode 0646") && e.help().contains("chmod o-w"), "{e}");
        chmod(dir.path(), 0o757);
        let e = directory(dir.path(), me()).unwrap_err();
        assert!(e.to_string().contains("everybody may write"), "{e}");
        let sub = dir.path().join("sub");
        std::fs::create_dir(&sub).unwrap();
        let e = directory(&sub, me()).unwrap_err();
        assert!(e.to_string().contains("above it"), "{e}");
        chmod(dir.path(), 0o1757);
        directory(&sub, me()).unwrap();
    }

    #[test]
    fn what_is_above_is_judged_where_a_link_leads_and_where_a_path_goes_up() {
        let dir = tempfile::tempdir().unwrap();
        let (open, closed) = (dir.path().join("open"), dir.path().join("closed"));
        std::fs::create_dir_all(open.join("conf")).unwrap();
        std::fs::create_dir_all(closed.join("conf")).unwrap();
        chmod(&open, 0o777);
        std::os::unix::fs::symlink(open.join("conf"), closed.join("there")).unwrap();
        std::os::unix::fs::symlink(&open, dir.path().join("by")).unwrap();
        directory(&closed.join("conf"), me()).unwrap();
        for bad in ["open/conf", "closed/there", "by/conf", "closed/../open/conf", "closed/./../by/conf"] {
            let e = directory(&dir.path().join(bad), me()).unwrap_err();
            assert!(
                e.to_string().contains("everybody may write") && e.help().contains(&format!("chmod o-w {}", open.display())),
                "{bad}: {e}"
            );
        }
        directory(&dir.path().join("open/../closed/conf"), me()).unwrap();
    }

    #[test]
    fn a_foreign_owner_a_pipe_and_bytes_that_are_no_text_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("site.toml");
        std::fs::write(&file, b"a = 1\nb = \"\xff\"\n").unwrap();
        let e = read(&file, me()).unwrap_err();
        assert!(e.to_string().contains("line 2 is not UTF-8"), "{e}");
        // Read as if we were somebody else; a file of root's would be trusted, so only a plain user's run can show it.
        if me() != 0 {
            assert!(read(&file, me() + 1).unwrap_err().to_string().contains("belongs to uid"));
        } else {
            std::os::unix::fs::chown(&file, Some(12_345), None).unwrap();
            assert!(read(&file, 0).unwrap_err().to_string().contains("belongs to uid 12345"));
        }
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0).unwrap();
        assert!(read(&pipe, me()).unwrap_err().to_string().contains("not a regular file"));
        assert!(matches!(read(&dir.path().join("none"), me()), Err(ConfigError::Missing { .. })));
    }
}
