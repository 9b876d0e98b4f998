//! The root of snapshots: `ROOT/snapshots/ID/REPO`, pointers beside them, our mark and lock in `.quarterdeck/owner`, and what each
//! snapshot says of itself in `.quarterdeck/` of its own.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::crowd;
use super::state::Held;
use crate::domain::snapshot::plain;
use crate::steps::env::StepEnv;
use crate::steps::error::StepError;
use crate::steps::with::With;
use crate::systems::repo::links::Named;
use crate::systems::repo::owner::{self, Lease, Owner};
use crate::systems::repo::{Tree, TreeError, digest};

pub const SNAPSHOTS: &str = "snapshots";
/// Where a snapshot is put together; one at a time, under the root's lock.
pub const BUILDING: &str = ".quarterdeck/building";
/// 400,000 packages need less.
const MAX: u64 = 256 << 20;
pub const FORMAT: u32 = 1;

/// This step, as it signs the trees that it writes.
pub fn me(env: &StepEnv) -> Owner {
    Owner {
        writer: "quarterdeck".into(),
        run: env.run.clone(),
        host: std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned(),
        pid: std::process::id(),
        since: env.clock.now().to_string(),
    }
}

/// A root, held for writing.
pub struct Root {
    pub tree: Tree,
    _lease: Lease,
}

/// What a snapshot says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    pub id: String,
    pub set: String,
    pub fp: String,
    pub md: String,
    /// RFC 3339, UTC.
    pub made: String,
    pub made_us: i64,
    #[serde(default)]
    pub run: Option<String>,
    pub repos: Vec<Part>,
}

/// One repository of a snapshot; it lies in a directory of its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub name: String,
    /// The tree that it was taken from.
    pub from: String,
    pub md: String,
    pub packages: u64,
    pub bytes: u64,
}

/// Every file of one repository of a snapshot, as it was verified.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Files {
    pub format: u32,
    pub metadata: Vec<Held>,
    pub packages: Vec<Held>,
}

impl Root {
    /// Opens the root that `with` names, and takes its lock. Only `make` puts our mark where none is.
    pub fn open(with: &With, env: &StepEnv, make: bool) -> Result<Self, StepError> {
        let path = env.path(with.text("root").unwrap_or_default());
        if path.file_name().is_none() {
            return Err(StepError::input(
                format!("`{}` cannot be a root of snapshots", path.display()),
                "give a directory of its own, such as /srv/mirror/el9",
            ));
        }
        inside_snapshot(&path)?;
        let tree = if make { Tree::create(&path)? } else { open(&path)? };
        if tree.named("repodata")? != Named::Nothing {
            return Err(StepError::refused(
                format!("{} is a repository itself", path.display()),
                "give a directory of its own for the snapshots, on the same file system",
            ));
        }
        if !make && !owner::marked(&tree)? {
            return Err(StepError::refused(
                format!("{} has no mark of ours (.quarterdeck/owner)", path.display()),
                "only roots that mirror/snapshot made are touched: check the path",
            ));
        }
        let lease = owner::take(&tree, &me(env))?;
        Ok(Self { tree, _lease: lease })
    }

    /// Snapshots with what they say of themselves; `None` for a directory that says nothing, such as an adopted one.
    pub fn snapshots(&self) -> Result<Vec<(String, Option<Manifest>)>, StepError> {
        let mut out = Vec::new();
        for id in self.tree.list(SNAPSHOTS)? {
            let at = format!("{SNAPSHOTS}/{id}");
            if plain(&id) && self.tree.named(&at)? == Named::Directory {
                let manifest = self.manifest(&id)?;
                out.push((id, manifest));
            }
        }
        out.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(out)
    }

    pub fn manifest(&self, id: &str) -> Result<Option<Manifest>, StepError> {
        let Some(bytes) = self.tree.read_small(&format!("{SNAPSHOTS}/{id}/.quarterdeck/snapshot.json"), MAX)? else { return Ok(None) };
        let manifest: Option<Manifest> = serde_json::from_slice(&bytes).ok();
        match manifest {
            Some(m) if m.format > FORMAT => Err(StepError::refused(
                format!("snapshot {id} has format {}; this version reads {FORMAT}", m.format),
                "it was made by a newer quarterdeck: use that one",
            )),
            Some(m) => Ok(Some(m).filter(|m| m.id == id)),
            None => Ok(None),
        }
    }

    fn files(&self, id: &str, repo: &str) -> Result<Option<Files>, StepError> {
        let bytes = self.tree.read_small(&files_at(&format!("{SNAPSHOTS}/{id}"), repo), MAX)?;
        Ok(bytes.and_then(|b| serde_json::from_slice(&b).ok()))
    }

    /// Files of a snapshot that are gone or hold other bytes than were verified: metadata is read, packages only where size, time or
    /// inode say that they may have changed.
    pub fn damaged(&self, manifest: &Manifest) -> Result<Vec<String>, StepError> {
        let mut out = Vec::new();
        for part in &manifest.repos {
            let base = format!("{SNAPSHOTS}/{}/{}", manifest.id, part.name);
            let Some(files) = self.files(&manifest.id, &part.name)? else {
                out.push(format!("{base}: its list of files"));
                continue;
            };
            let all: Vec<(&Held, bool)> =
                files.metadata.iter().map(|h| (h, true)).chain(files.packages.iter().map(|h| (h, false))).collect();
            let judged = crowd::each(&all, crowd::usual(), |_| false, |_, (held, always)| good(&self.tree, &base, held, *always));
            out.extend(judged.into_iter().filter(|(_, good)| !good).map(|(i, _)| format!("{base}/{}", all[i].0.path)));
        }
        Ok(out)
    }
}

/// Where the list of files of a repository lies, below the directory of its snapshot.
pub fn files_at(snapshot: &str, repo: &str) -> String {
    format!("{snapshot}/.quarterdeck/files-{repo}.json")
}

fn good(tree: &Tree, base: &str, held: &Held, always: bool) -> bool {
    let at = format!("{base}/{}", held.path);
    match tree.mark(&at) {
        Ok(Some(mark)) if mark == held.mark && !always => true,
        Ok(Some(mark)) if mark.size == held.mark.size => {
            let Some((algorithm, hex)) = held.checksum.split_once(':') else { return false };
            let read = tree.open_read(&at).ok().and_then(|f| digest::of_reader(algorithm, f).ok()).flatten();
            read.is_some_and(|(got, _)| got == hex)
        }
        _ => false,
    }
}

fn open(path: &Path) -> Result<Tree, StepError> {
    Tree::open(path).map_err(|e| match e {
        TreeError::Io { kind: std::io::ErrorKind::NotFound, .. } => {
            StepError::failed(format!("there is no root of snapshots at {}", path.display()), "make the first snapshot: mirror/snapshot")
        }
        e => e.into(),
    })
}

/// A snapshot is never written: not through a pointer, and not by its own name.
pub fn inside_snapshot(path: &Path) -> Result<(), StepError> {
    // The part that is there; what is not there yet cannot be a link.
    let there = path.ancestors().find_map(|p| std::fs::canonicalize(p).ok());
    let Some(there) = there else { return Ok(()) };
    match there.ancestors().find(|p| p.join(".quarterdeck/snapshot.json").is_file()) {
        Some(snapshot) => Err(StepError::refused(
            format!("{} leads into the snapshot {}", path.display(), snapshot.display()),
            "snapshots are never written: give the tree that it was taken from, or another directory",
        )),
        None => Ok(()),
    }
}

/// The snapshot that a path leads into, through links or not.
pub fn snapshot_of(path: &Path) -> Option<String> {
    let real = std::fs::canonicalize(path).ok()?;
    let dir = real.ancestors().find(|p| p.join(".quarterdeck/snapshot.json").is_file())?;
    Some(crate::wire::excerpt(&dir.file_name()?.to_string_lossy()))
}

/// What a switch laid beside a snapshot's own files, for readers of the one before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// When the last of them were laid, microseconds since 1970 UTC.
    pub at_us: i64,
    /// Relative to the snapshot.
    pub files: Vec<String>,
}

const CARRIED: &str = ".quarterdeck/carried.json";

fn carried_at(snapshot: &str) -> String {
    if snapshot.is_empty() { CARRIED.to_owned() } else { format!("{snapshot}/{CARRIED}") }
}

impl Carried {
    pub fn load(tree: &Tree, snapshot: &str) -> Result<Self, TreeError> {
        let bytes = tree.read_small(&carried_at(snapshot), MAX)?.unwrap_or_default();
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    pub fn store(&self, tree: &Tree, snapshot: &str) -> Result<(), TreeError> {
        tree.replace(&carried_at(snapshot), &serde_json::to_vec(self).unwrap_or_default())
    }
}

/// Such files of the repository at `path`, relative to it.
pub fn carried_beside(path: &Path) -> Vec<String> {
    let found = || {
        let real = std::fs::canonicalize(path).ok()?;
        let dir = real.ancestors().find(|p| p.join(".quarterdeck/snapshot.json").is_file())?;
        let repo = real.strip_prefix(dir).ok()?.to_str()?.to_owned();
        let carried = Carried::load(&Tree::open(dir).ok()?, "").ok()?;
        let files = carried.files.into_iter();
        Some(files.filter_map(|f| f.strip_prefix(&repo).map(|f| f.trim_start_matches('/').to_owned())).collect::<Vec<_>>())
    };
    found().unwrap_or_default()
}
