//! What the last publish left: `.quarterdeck/state.json`, written before the publish as `state.next.json` and named final after it.
//!
//! With it a later sync knows, without reading a package, whether the tree is still what was verified.

use serde::{Deserialize, Serialize};

use crate::steps::error::StepError;
use crate::systems::repo::read::sha256;
use crate::systems::repo::tree::Mark;
use crate::systems::repo::{Tree, TreeError};
use crate::wire::http::Validators;
use crate::wire::repomd;

const FORMAT: u32 = 1;
const FILE: &str = ".quarterdeck/state.json";
const NEXT: &str = ".quarterdeck/state.next.json";
pub const REPOMD: &str = "repodata/repomd.xml";
/// 400,000 packages need less.
const MAX: u64 = 256 << 20;

/// A file that was verified and published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub path: String,
    /// `ALGORITHM:HEX`.
    pub checksum: String,
    #[serde(flatten)]
    pub mark: Mark,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub format: u32,
    /// sha256 of the published `repomd.xml`.
    pub md: String,
    /// sha256 of upstream's; another one only where its metadata files had to be given hash names, or packages other places.
    pub origin_md: String,
    pub fp: String,
    /// sha256 of the upstream's address: validators of one server mean nothing to another.
    pub from: String,
    #[serde(default)]
    pub validators: Validators,
    /// Youngest timestamp in the metadata, epoch seconds.
    #[serde(default)]
    pub newest: Option<u64>,
    /// Wall time of the publish, epoch seconds.
    pub published: i64,
    pub packages: Vec<Held>,
    pub metadata: Vec<Held>,
    /// The signature of `repomd.xml` and the key beside it, where upstream has them and what is served is upstream's.
    #[serde(default)]
    pub signature: Vec<Held>,
    #[serde(default)]
    pub signature_validators: Validators,
    /// When upstream was asked for them last, epoch seconds.
    #[serde(default)]
    pub signature_asked: i64,
    /// Whether upstream is signed, or once was; none: nobody has asked.
    #[serde(default)]
    pub signed: Option<bool>,
    /// Files of the cycle before: they stay until the next publish.
    #[serde(default)]
    pub retired: Vec<String>,
    /// Files of the cycle before that one: they go as soon as readers have settled.
    #[serde(default)]
    pub doomed: Vec<String>,
}

impl State {
    pub const FORMAT: u32 = FORMAT;

    pub fn bytes(&self) -> u64 {
        self.packages.iter().map(|p| p.mark.size).sum()
    }

    /// Loads the state and finishes what a killed publish left half done: if the served `repomd.xml` is the next one, the publish
    /// happened; if not, it did not.
    pub fn load(tree: &Tree) -> Result<Option<Self>, StepError> {
        let served = tree.read_small(REPOMD, repomd::MAX_BYTES)?.map(|b| sha256(&b));
        if let Some(bytes) = tree.read_small(NEXT, MAX)? {
            let next: Option<Self> = serde_json::from_slice(&bytes).ok();
            if next.is_some_and(|n| n.format == FORMAT && Some(&n.md) == served.as_ref()) {
                tree.rename(NEXT, FILE)?;
            } else {
                tree.remove(NEXT)?;
            }
            tree.sync_dir(".quarterdeck")?;
        }
        let Some(bytes) = tree.read_small(FILE, MAX)? else { return Ok(None) };
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let format = serde_json::from_slice::<Format>(&bytes).map_or(FORMAT, |f| f.format);
        if format > FORMAT {
            return Err(StepError::refused(
                format!("{}/{FILE} has format {format}; this version reads {FORMAT}", tree.path().display()),
                "the tree was written by a newer quarterdeck: use that one",
            ));
        }
        // A damaged state costs a full verification, nothing else.
        Ok(serde_json::from_slice::<Self>(&bytes).ok())
    }

    /// Writes the state of a publish that is about to happen.
    pub fn write_next(&self, tree: &Tree) -> Result<(), StepError> {
        Ok(tree.replace(NEXT, &self.bytes_of()?)?)
    }

    /// The publish happened.
    pub fn confirm(tree: &Tree) -> Result<(), TreeError> {
        tree.rename(NEXT, FILE)?;
        tree.sync_dir(".quarterdeck")
    }

    /// Writes the state where nothing that is served changed.
    pub fn write(&self, tree: &Tree) -> Result<(), StepError> {
        Ok(tree.replace(FILE, &self.bytes_of()?)?)
    }

    fn bytes_of(&self) -> Result<Vec<u8>, StepError> {
        serde_json::to_vec(self)
            .map_err(|e| StepError::failed(format!("the mirror's state cannot be written: {e}"), "report this as a bug"))
    }

    /// Names of published files that are gone or not the ones that were verified. No package is read: size, time and inode tell.
    pub fn damaged(&self, tree: &Tree) -> Result<Vec<String>, TreeError> {
        let mut out = Vec::new();
        if tree.read_small(REPOMD, repomd::MAX_BYTES)?.is_none_or(|b| sha256(&b) != self.md) {
            out.push(REPOMD.to_owned());
        }
        for held in self.signature.iter().chain(&self.metadata).chain(&self.packages) {
            if tree.mark(&held.path)? != Some(held.mark) {
                out.push(held.path.clone());
            }
        }
        Ok(out)
    }
}

/// Files that a sync keeps for readers of the cycle before, read without mending anything: nobody but the writer may.
pub fn kept_for_readers(tree: &Tree) -> Vec<String> {
    read_only(tree).map(|s| s.retired.into_iter().chain(s.doomed).collect()).unwrap_or_default()
}

/// The md of upstream's `repomd.xml` from which the one with this md was made.
pub fn origin_of(tree: &Tree, md: &str) -> Option<String> {
    read_only(tree).filter(|s| s.md == md).map(|s| s.origin_md)
}

fn read_only(tree: &Tree) -> Option<State> {
    serde_json::from_slice(&tree.read_small(FILE, MAX).ok()??).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn sample(md: &str) -> State {
        State {
            format: FORMAT,
            md: md.into(),
            origin_md: md.into(),
            fp: "f".into(),
            from: "u".into(),
            validators: Validators::default(),
            newest: None,
            published: 0,
            packages: Vec::new(),
            metadata: Vec::new(),
            signature: Vec::new(),
            signature_validators: Validators::default(),
            signature_asked: 0,
            signed: None,
            retired: Vec::new(),
            doomed: Vec::new(),
        }
    }

    #[test]
    fn a_killed_publish_is_judged_by_what_is_served() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        tree.replace(REPOMD, b"old").unwrap();
        sample(&sha256(b"old")).write_next(&tree).unwrap();
        State::confirm(&tree).unwrap();
        sample(&sha256(b"new")).write_next(&tree).unwrap();
        assert_eq!(State::load(&tree).unwrap().unwrap().md, sha256(b"old"));
        sample(&sha256(b"new")).write_next(&tree).unwrap();
        tree.replace(REPOMD, b"new").unwrap();
        assert_eq!(State::load(&tree).unwrap().unwrap().md, sha256(b"new"));
        assert_eq!(State::load(&tree).unwrap().unwrap().md, sha256(b"new"));
        assert!(!dir.path().join(NEXT).exists());
    }

    #[test]
    fn changes_behind_our_back_are_seen_without_reading() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        tree.replace(REPOMD, b"md").unwrap();
        tree.replace("Packages/a.rpm", b"aaaa").unwrap();
        let mut s = sample(&sha256(b"md"));
        s.packages.push(Held {
            path: "Packages/a.rpm".into(),
            checksum: "sha256:x".into(),
            mark: tree.mark("Packages/a.rpm").unwrap().unwrap(),
        });
        assert!(s.damaged(&tree).unwrap().is_empty());
        tree.replace("Packages/a.rpm", b"aaaa").unwrap();
        assert_eq!(s.damaged(&tree).unwrap(), ["Packages/a.rpm"]);
        tree.remove("Packages/a.rpm").unwrap();
        assert_eq!(s.damaged(&tree).unwrap(), ["Packages/a.rpm"]);
    }

    #[test]
    fn a_newer_format_is_refused_and_a_damaged_state_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        tree.replace(FILE, b"{\"format\":9}").unwrap();
        assert_eq!(State::load(&tree).unwrap_err().exit(), crate::steps::error::Exit::Refused);
        tree.replace(FILE, b"{\"form").unwrap();
        assert!(State::load(&tree).unwrap().is_none());
    }
}
