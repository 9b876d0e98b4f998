//! Keeping a step's artifacts: files of the workspace that match its patterns, copied into the run's directory with their sha256.
//!
//! Only regular files count; no link is followed, so a planted one brings nothing in from outside. Copies, not hard links: a later
//! step may go on writing the original. What cannot be kept is a note, never a change of the verdict.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use glob::Pattern;
use sha2::{Digest, Sha256};

use crate::domain::artifact::{MATCH, is_outside};
use crate::store::NewArtifact;

/// Files that one step may keep.
const MAX_FILES: usize = 10_000;
/// Files and directories that are looked at for one step.
const MAX_SEEN: usize = 200_000;

/// What else was found under a pattern that no file matches.
#[derive(Debug, Clone, Copy)]
enum Other {
    Nothing,
    Directory,
    Link,
}

/// Copies what matches `patterns` from `workspace` to `to`/`prefix`. The second list is notes for people.
pub fn keep(workspace: &Path, patterns: &[String], to: &Path, prefix: &str) -> (Vec<NewArtifact>, Vec<String>) {
    let (mut kept, mut notes) = (Vec::new(), Vec::new());
    if patterns.is_empty() {
        return (kept, notes);
    }
    let mut wanted = Vec::new();
    for p in patterns {
        let text = p.strip_prefix("./").unwrap_or(p);
        if is_outside(text) {
            notes.push(format!("artifact `{p}` is outside the workspace: not kept"));
            continue;
        }
        match Pattern::new(text) {
            Ok(pattern) => wanted.push((p, pattern, 0usize, Other::Nothing)),
            Err(e) => notes.push(format!("artifact `{p}` is no pattern: {e}")),
        }
    }
    let mut seen = 0;
    let mut dirs = vec![PathBuf::new()];
    while let Some(dir) = dirs.pop() {
        let Ok(entries) = fs::read_dir(workspace.join(&dir)) else { continue };
        let mut names: Vec<_> = entries.flatten().map(|e| e.file_name()).collect();
        names.sort();
        for name in names {
            seen += 1;
            if seen > MAX_SEEN {
                notes.push(format!("the workspace has more than {MAX_SEEN} files: the rest was not looked at for artifacts"));
                return (kept, notes);
            }
            let rel = dir.join(&name);
            let Ok(meta) = fs::symlink_metadata(workspace.join(&rel)) else { continue };
            if meta.is_dir() {
                let text = rel.to_string_lossy();
                for (p, pattern, _, other) in &mut wanted {
                    let named =
                        pattern.matches_with(&text, MATCH) || p.strip_suffix('/').is_some_and(|d| d.trim_start_matches("./") == text);
                    if named {
                        *other = Other::Directory;
                    }
                }
                dirs.push(rel);
                continue;
            }
            let text = rel.to_string_lossy();
            let mut hit = false;
            for (_, pattern, n, other) in &mut wanted {
                if pattern.matches_with(&text, MATCH) {
                    *n += usize::from(meta.is_file());
                    if !meta.is_file() {
                        *other = Other::Link;
                    }
                    hit |= meta.is_file();
                }
            }
            if !hit {
                continue;
            }
            if rel.to_str().is_none() {
                notes.push(format!("artifact {text} could not be kept: its name is not UTF-8"));
                continue;
            }
            if kept.len() == MAX_FILES {
                notes.push(format!("more than {MAX_FILES} artifacts: the rest was not kept"));
                return (kept, notes);
            }
            let path = format!("{prefix}{text}");
            let place = to.join(&path);
            match copy(&workspace.join(&rel), &place, &PathBuf::from(format!("{}.part", place.display()))) {
                Ok((sha256, size_bytes)) => kept.push(NewArtifact { path, sha256, size_bytes }),
                Err(e) => notes.push(format!("artifact {text} could not be kept: {e}")),
            }
        }
    }
    for (p, _, _, other) in wanted.iter().filter(|(_, _, n, _)| *n == 0) {
        let but = match other {
            Other::Nothing => String::new(),
            Other::Directory => format!(": it is a directory; `{}/**` is what lies in it", p.trim_end_matches('/')),
            // Whoever names a link means what is behind it, which may lie anywhere.
            Other::Link => ": links, pipes and the like are not kept".to_owned(),
        };
        notes.push(format!("no file matches artifact `{p}`{but}"));
    }
    (kept, notes)
}

/// Copies one file by way of `tmp` beside it, durable on return: its sha256 and size. No link is followed at its name.
pub(in crate::runner) fn copy(from: &Path, to: &Path, tmp: &Path) -> io::Result<(String, u64)> {
    // The name may have become a link or a pipe since it was looked at.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let mut source = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(from)?;
    if !source.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if let Some(dir) = to.parent() {
        fs::create_dir_all(dir)?;
    }
    let copied = write(&mut source, tmp).and_then(|v| fs::rename(tmp, to).map(|()| v));
    if copied.is_err() {
        let _ = fs::remove_file(tmp);
    }
    copied
}

fn write(source: &mut File, to: &Path) -> io::Result<(String, u64)> {
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to)?;
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0u64, vec![0u8; 1 << 16]);
    loop {
        let n = source.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
        out.write_all(&buffer[..n])?;
        size += n as u64;
    }
    // The row that names it is durable in a moment; its bytes must be so before.
    out.sync_all()?;
    Ok((hash.finalize().iter().map(|b| format!("{b:02x}")).collect(), size))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn matching_files_are_copied_with_their_digest_and_links_bring_nothing_in() {
        let dir = tempfile::tempdir().unwrap();
        let (ws, to) = (dir.path().join("ws"), dir.path().join("kept"));
        fs::create_dir_all(ws.join("out/deep")).unwrap();
        fs::write(ws.join("out/a.iso"), "abc").unwrap();
        fs::write(ws.join("out/deep/b.iso"), "b").unwrap();
        fs::write(dir.path().join("secret.iso"), "outside").unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret.iso"), ws.join("out/link.iso")).unwrap();
        std::os::unix::fs::symlink(dir.path(), ws.join("up")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, ws.join("out/pipe.iso"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        let patterns = ["out/*.iso", "up/*.iso", "../secret.iso", "/etc/passwd", "none-*"].map(str::to_owned);
        let (kept, notes) = keep(&ws, &patterns, &to, "");
        assert_eq!(kept.len(), 1, "{kept:?}");
        assert_eq!(kept[0].path, "out/a.iso");
        assert_eq!((kept[0].size_bytes, &kept[0].sha256[..8]), (3, "ba7816bf"));
        assert_eq!(fs::read(to.join("out/a.iso")).unwrap(), b"abc");
        assert_eq!(notes.len(), 4, "{notes:?}");
        let (deep, _) = keep(&ws, &["**/*.iso".to_owned()], &to, "1-s/2-c/");
        assert_eq!(deep.iter().map(|a| a.path.as_str()).collect::<Vec<_>>(), ["1-s/2-c/out/a.iso", "1-s/2-c/out/deep/b.iso"]);
        // The original may go on changing; what was kept does not.
        fs::write(ws.join("out/a.iso"), "xyz").unwrap();
        assert_eq!(fs::read(to.join("out/a.iso")).unwrap(), b"abc");
    }

    #[test]
    fn a_directory_that_is_named_is_told_how_to_be_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (work, to) = (dir.path().join("work"), dir.path().join("kept"));
        fs::create_dir_all(work.join("out/deep")).unwrap();
        fs::write(work.join("out/deep/a"), "x").unwrap();
        for (pattern, wanted) in [("out", "`out/**`"), ("out/deep/", "`out/deep/**`"), ("./out/", "`./out/**`")] {
            let (kept, notes) = keep(&work, &[pattern.to_owned()], &to, "");
            assert!(kept.is_empty() && notes.len() == 1 && notes[0].contains(wanted), "{pattern}: {notes:?}");
        }
        assert_eq!(keep(&work, &["out/**".to_owned()], &to, "").0.len(), 1);
    }

    #[test]
    fn a_link_that_is_named_is_not_kept_and_the_note_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let (work, to) = (dir.path().join("work"), dir.path().join("kept"));
        fs::create_dir_all(&work).unwrap();
        fs::write(work.join("report.txt"), "x").unwrap();
        std::os::unix::fs::symlink("report.txt", work.join("latest.txt")).unwrap();
        let keep = |pattern: &str| keep(&work, &[pattern.to_owned()], &to, "");
        let (kept, notes) = keep("latest.txt");
        assert!(kept.is_empty() && notes.len() == 1 && notes[0].contains("links, pipes"), "{notes:?}");
        let (kept, notes) = keep("*.txt");
        assert_eq!((kept.len(), notes.len()), (1, 0), "a file was found: {notes:?}");
        let strange = std::ffi::OsStr::from_bytes(b"caf\xe9.xml");
        fs::write(work.join(strange), "x").unwrap();
        let (kept, notes) = keep("*.xml");
        assert!(
            kept.is_empty() && notes.len() == 1 && notes[0].contains("not UTF-8"),
            "what was asked for is not lost in silence: {notes:?}"
        );
        let (kept, notes) = keep("*.log");
        assert_eq!((kept.len(), notes), (0, vec!["no file matches artifact `*.log`".to_owned()]));
    }
}
