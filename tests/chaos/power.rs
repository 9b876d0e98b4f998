//! A power cut without a power cut: the recorder (`power.c`) notes what engine and shims really synced; after everything was killed, the files of the
//! attempts that were not durable by then are forgotten, as a disk is allowed to do.
//!
//! Limits: the state database is left alone (SQLite's own tests cover it), and the boot id stays the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the recorder into `dir`.
pub fn build(dir: &Path) -> Result<PathBuf, String> {
    preload(dir, "power")
}

/// Builds a library to be preloaded, from `NAME.c`, into `dir`. Needs `cc`, as the bundled SQLite does.
pub fn preload(dir: &Path, name: &str) -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/chaos").join(name).with_extension("c");
    let target = dir.join(name).with_extension("so");
    let out = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&target).arg(&source).arg("-ldl").output();
    match out {
        Ok(o) if o.status.success() => Ok(target),
        Ok(o) => Err(format!("cc failed: {}", String::from_utf8_lossy(&o.stderr))),
        Err(e) => Err(format!("cc: {e}")),
    }
}

/// The evidence of an attempt that must survive a cut. A lock or a log may be lost.
const EVIDENCE: [&str; 3] = ["spec.json", "started.json", "status.json"];

/// Forgets what was not durable. `attempts`: attempt directories. Answers what was forgotten.
pub fn cut(ledger: &str, attempts: &[PathBuf]) -> Vec<PathBuf> {
    let durable = durable(ledger);
    let mut forgotten = Vec::new();
    for dir in attempts {
        for name in EVIDENCE {
            let path = dir.join(name);
            let size = std::fs::metadata(&path).map(|m| m.len());
            if let Ok(size) = size
                && durable.get(&path) != Some(&size)
                && std::fs::remove_file(&path).is_ok()
            {
                forgotten.push(path);
            }
        }
    }
    forgotten
}

/// Files whose name and whose bytes are both on the disk, with their size.
pub fn durable(ledger: &str) -> BTreeMap<PathBuf, u64> {
    // Bytes synced, by the name that the file has now; and names that a sync of their directory has not yet covered.
    let mut synced: BTreeMap<PathBuf, u64> = BTreeMap::new();
    let mut named: BTreeSet<PathBuf> = BTreeSet::new();
    for line in ledger.lines() {
        if let Some((size, path)) = line.strip_prefix("S ").and_then(|rest| rest.split_once(' ')) {
            let path = PathBuf::from(path);
            // A directory: every name in it is durable from now on.
            let children: Vec<PathBuf> = synced.keys().filter(|f| f.parent() == Some(&path)).cloned().collect();
            named.extend(children);
            synced.insert(path, size.parse().unwrap_or(0));
        } else if let Some((from, to)) = line.strip_prefix("R ").and_then(|rest| rest.split_once('\t')) {
            let (from, to) = (PathBuf::from(from), PathBuf::from(to));
            named.remove(&from);
            named.remove(&to);
            match synced.remove(&from) {
                Some(size) => synced.insert(to, size),
                None => synced.remove(&to),
            };
        }
    }
    synced.into_iter().filter(|(path, _)| named.contains(path)).collect()
}
