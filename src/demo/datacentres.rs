//! The three datacentres: where each has its trees, and the pointer of what is promoted.

use std::path::{Path, PathBuf};

use super::catalogue::Repo;

/// The datacentres, each a directory and a listener of its own.
pub const DATACENTRES: [&str; 3] = ["alder", "birch", "cedar"];
/// The pair that each repository of the promoted set is served as.
pub const SERVED: [(Repo, &str); 2] = [(Repo::BaseOS, "base9"), (Repo::AppStream, "appstream9")];

/// Where a datacentre's directory is.
pub fn replica_dir(root: &Path, dc: &str) -> PathBuf {
    root.join(dc)
}

/// Where the snapshots and the pointers of a datacentre lie: beside its trees, for packages are linked, and served by its listener.
pub fn root(replicas: &Path, dc: &str) -> PathBuf {
    replica_dir(replicas, dc).join("el9")
}

/// Whether what a datacentre serves as stable is a snapshot.
pub fn is_led(replicas: &Path, dc: &str) -> bool {
    std::fs::symlink_metadata(root(replicas, dc).join("stable")).is_ok_and(|m| m.is_symlink())
}

/// What a datacentre serves as stable.
pub fn stable(replicas: &Path, dc: &str, repo: Repo) -> PathBuf {
    root(replicas, dc).join("stable").join(repo.id())
}
