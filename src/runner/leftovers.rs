//! What an ended attempt left behind where its shim could not clear up: a directory of secrets in memory, a cgroup. Removed once the store
//! says that the attempt has ended. Names of attempts that this store does not know are another engine's, and are left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::shim::{contain, secrets};
use crate::base::proc;
use crate::store::{Store, StoreError};

/// Looks, and removes what has nobody any more. Gives how many directories and cgroups went. Blocks.
pub fn sweep(store: &Store) -> Result<usize, StoreError> {
    let uid = rustix::process::getuid().as_raw();
    let places = secrets::places(std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from), uid);
    sweep_in(store, &places, proc::own_cgroup2().ok().flatten(), uid)
}

fn sweep_in(store: &Store, places: &[PathBuf], cgroups: Option<PathBuf>, uid: u32) -> Result<usize, StoreError> {
    let named = |p: &PathBuf| p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    let memory = places.iter().filter_map(|p| std::fs::read_dir(p).ok()).flatten().flatten().map(|e| e.path());
    let ours = |p: &PathBuf| std::fs::symlink_metadata(p).is_ok_and(|m| m.is_dir() && m.uid() == uid);
    for dir in memory.filter(|p| named(p).starts_with(secrets::PREFIX) && ours(p)) {
        found.entry(named(&dir)).or_default().push(dir);
    }
    // Shims start in the engine's own cgroup.
    let beneath = cgroups.and_then(|dir| std::fs::read_dir(dir).ok()).into_iter().flatten().flatten();
    for dir in beneath.map(|e| e.path()).filter(|p| contain::is_ours(p)) {
        found.entry(named(&dir)).or_default().push(dir);
    }
    if found.is_empty() {
        return Ok(0);
    }
    let names: BTreeSet<String> = found.keys().cloned().collect();
    let of = |id: &str, fence: u64, token: &str| [secrets::directory_name(token), contain::cgroup_name(id, fence)];
    let mut gone = 0;
    for (id, fence, token) in store.ended_attempts(move |id, fence, token| of(id, fence, token).iter().any(|n| names.contains(n)))? {
        for dir in of(&id, fence, &token).iter().filter_map(|n| found.remove(n)).flatten() {
            if contain::is_ours(&dir) {
                // One with members stays: a daemon that its step was allowed to leave.
                contain::remove(&dir);
            } else {
                secrets::remove(&dir);
            }
            gone += usize::from(!dir.exists());
        }
    }
    Ok(gone)
}
