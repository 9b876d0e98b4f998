//! `.quarterdeck/owner`: who writes a tree, under a kernel lock that the writing step holds; a second writer or a foreign one is refused.

use std::fs::File;
use std::io::{self, Read, Seek, Write};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::tree::{Tree, TreeError};
use crate::base::locks;

pub const FILE: &str = ".quarterdeck/owner";

/// What the file says. The lock alone says whether somebody writes now; the text says who wrote last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// `quarterdeck`; any other word is a foreign writer.
    pub writer: String,
    #[serde(default)]
    pub run: Option<String>,
    #[serde(default)]
    pub host: String,
    #[serde(default)]
    pub pid: u32,
    /// RFC 3339, UTC.
    #[serde(default)]
    pub since: String,
}

/// Why the tree may not be written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OwnerError {
    #[error("{tree} is being written by {holder}")]
    Busy { tree: String, holder: String },
    #[error("{tree} belongs to another writer: {writer}")]
    Foreign { tree: String, writer: String },
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// The lock; it is released when this is dropped or the process dies.
pub struct Lease {
    _file: File,
}

/// Takes the tree for writing, or names who has it.
pub fn take(tree: &Tree, me: &Owner) -> Result<Lease, OwnerError> {
    let at = tree.path().display().to_string();
    if tree.list("")?.iter().any(|n| n == ".origin") && !tree.list("")?.iter().any(|n| n == ".quarterdeck") {
        return Err(OwnerError::Foreign { tree: at, writer: "cobbler (its .origin/ directory is there)".into() });
    }
    let mut file = tree.open_own(FILE)?;
    let io = |what, e: io::Error| TreeError::Io { what, at: format!("{at}/{FILE}"), cause: e.to_string(), kind: e.kind() };
    let mut text = String::new();
    let read = |file: &mut File, text: &mut String| {
        text.clear();
        file.rewind().and_then(|()| Read::by_ref(file).take(4096).read_to_string(text)).map_err(|e| io("read", e))
    };
    if let Err(e) = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if e != rustix::io::Errno::WOULDBLOCK {
            return Err(io("lock", e.into()).into());
        }
        let _ = read(&mut file, &mut text);
        return Err(OwnerError::Busy { tree: at, holder: holder(&text) });
    }
    read(&mut file, &mut text)?;
    if !text.trim().is_empty() {
        match serde_json::from_str::<Owner>(&text) {
            Ok(owner) if owner.writer == me.writer => {}
            Ok(owner) => return Err(OwnerError::Foreign { tree: at, writer: crate::wire::excerpt(&owner.writer) }),
            Err(_) if ours(&text) => {}
            Err(_) => return Err(OwnerError::Foreign { tree: at, writer: crate::wire::excerpt(text.trim()) }),
        }
    }
    let mut line = serde_json::to_vec(me).map_err(|e| io("write", e.into()))?;
    line.push(b'\n');
    // Written over, and cut after: a kill in between leaves our name, never an empty file.
    let written = file.rewind().and_then(|()| file.write_all(&line)).and_then(|()| file.set_len(line.len() as u64));
    written.map_err(|e| io("write", e))?;
    Ok(Lease { _file: file })
}

/// Whether the text of an owner file is ours. A crash while it was written leaves the start of it, or zeros, or nothing; anything else is
/// somebody's name.
pub fn ours(text: &str) -> bool {
    match serde_json::from_str::<Owner>(text) {
        Ok(owner) => owner.writer == "quarterdeck",
        Err(_) => text.starts_with("{\"writer\":\"quarterdeck\"") || text.trim().is_empty() || text.bytes().all(|b| b == 0),
    }
}

/// Whether a tree carries our mark; `false` where it carries none.
pub fn marked(tree: &Tree) -> Result<bool, TreeError> {
    Ok(tree.read_small(FILE, 4096)?.is_some_and(|text| ours(&String::from_utf8_lossy(&text))))
}

/// Whether somebody holds the tree's lock, found without touching it: a momentary lock of ours could turn a writer away. `false` where
/// the kernel does not tell.
pub fn is_held(tree: &Tree) -> bool {
    let Ok(Some(mark)) = tree.mark(FILE) else { return false };
    let Ok(device) = tree.device(".quarterdeck") else { return false };
    locks::is_held(device, mark.ino)
}

fn holder(text: &str) -> String {
    match serde_json::from_str::<Owner>(text) {
        Ok(o) => {
            let run = o.run.map_or_else(|| "a step started by hand".to_owned(), |r| format!("run {r}"));
            crate::wire::excerpt(&format!("{run} (pid {} on {}, since {})", o.pid, o.host, o.since))
        }
        Err(_) => "an unknown process".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> Owner {
        Owner {
            writer: "quarterdeck".into(),
            run: Some("nightly#7".into()),
            host: "jump1".into(),
            pid: 4711,
            since: "2026-11-25T01:30:00Z".into(),
        }
    }

    #[test]
    fn one_writer_at_a_time_and_the_second_learns_who() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        let lease = take(&tree, &me()).unwrap();
        let busy = take(&tree, &me()).err().unwrap().to_string();
        assert!(is_held(&tree));
        assert!(busy.contains("nightly#7") && busy.contains("4711") && busy.contains("jump1"), "{busy}");
        drop(lease);
        assert!(!is_held(&tree));
        assert!(take(&tree, &me()).is_ok());
    }

    #[test]
    fn a_tree_of_another_writer_is_refused() {
        for text in [r#"{"writer":"cobbler"}"#, "cobbler", "external: rsync on mirror1"] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir(dir.path().join(".quarterdeck")).unwrap();
            std::fs::write(dir.path().join(FILE), text).unwrap();
            let tree = Tree::open(dir.path()).unwrap();
            assert!(matches!(take(&tree, &me()), Err(OwnerError::Foreign { .. })), "{text}");
            assert_eq!(std::fs::read_to_string(dir.path().join(FILE)).unwrap(), text);
            assert!(!marked(&tree).unwrap(), "{text}");
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".origin")).unwrap();
        assert!(matches!(take(&Tree::open(dir.path()).unwrap(), &me()), Err(OwnerError::Foreign { .. })));
        assert!(!dir.path().join(".quarterdeck").exists());
    }

    #[test]
    fn what_a_crash_left_of_our_own_text_is_no_stranger() {
        for text in ["", "\n", "{\"writer\":\"quarterdeck\",\"ru", "\0\0\0"] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir(dir.path().join(".quarterdeck")).unwrap();
            std::fs::write(dir.path().join(FILE), text).unwrap();
            let tree = Tree::open(dir.path()).unwrap();
            assert!(marked(&tree).unwrap(), "{text:?}");
            assert!(take(&tree, &me()).is_ok(), "{text:?}");
        }
    }
}
