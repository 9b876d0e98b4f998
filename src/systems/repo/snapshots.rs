//! Snapshots and pointers as readers find them below the roots of a site: by name, by pointer, by fingerprint. Writes nothing.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{RepoAt, RepoError, Tree};
use crate::domain::snapshot::plain;

/// A manifest names a few dozen repositories.
const MAX: u64 = 1 << 20;
/// Directories below a root that may be roots of snapshots themselves.
const MAX_DIRS: usize = 1000;

/// What a snapshot says of itself, as far as readers care.
#[derive(Debug, Clone, Deserialize)]
struct Manifest {
    id: String,
    #[serde(default)]
    set: String,
    fp: String,
    #[serde(default)]
    made_us: i64,
    repos: Vec<Part>,
}

#[derive(Debug, Clone, Deserialize)]
struct Part {
    name: String,
    #[serde(default)]
    packages: u64,
    #[serde(default)]
    bytes: u64,
}

/// A snapshot on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub id: String,
    pub set: String,
    pub fp: String,
    /// `ROOT/snapshots/ID`.
    pub path: PathBuf,
    pub repos: Vec<RepoAt>,
    /// Microseconds since 1970 UTC; none where it does not say.
    pub made_us: Option<i64>,
    pub packages: u64,
    pub bytes: u64,
}

/// The roots of snapshots at and one level below these directories.
pub fn roots(dirs: &[PathBuf]) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for dir in dirs {
        let below = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).take(MAX_DIRS);
        for at in std::iter::once(dir.clone()).chain(below) {
            if at.join("snapshots").is_dir() && !out.contains(&at) {
                out.push(at);
            }
        }
    }
    out.sort();
    out
}

/// The snapshot at a directory; none where it says nothing of itself.
pub fn at(path: &Path) -> Option<Snapshot> {
    let tree = Tree::open_to_read(path).ok()?;
    let bytes = tree.read_small(".quarterdeck/snapshot.json", MAX).ok()??;
    let manifest: Manifest = serde_json::from_slice(&bytes).ok()?;
    let repos = manifest.repos.iter().filter(|p| plain(&p.name));
    let repos = repos.map(|p| RepoAt { name: p.name.clone(), at: path.join(&p.name).display().to_string() }).collect();
    let sum = |of: fn(&Part) -> u64| manifest.repos.iter().map(of).fold(0u64, u64::saturating_add);
    Some(Snapshot {
        made_us: (manifest.made_us > 0).then_some(manifest.made_us),
        packages: sum(|p| p.packages),
        bytes: sum(|p| p.bytes),
        id: manifest.id,
        set: manifest.set,
        fp: manifest.fp,
        path: path.to_owned(),
        repos,
    })
}

/// Every snapshot of the roots.
pub fn all(roots: &[PathBuf]) -> Vec<Snapshot> {
    let mut out: Vec<Snapshot> = Vec::new();
    for root in roots {
        let entries = std::fs::read_dir(root.join("snapshots")).into_iter().flatten().flatten();
        let mut names: Vec<PathBuf> = entries.map(|e| e.path()).collect();
        names.sort();
        out.extend(names.iter().filter_map(|p| at(p)));
    }
    out
}

/// The pointers of a root that lead to a snapshot of it, or to one repository of one: name and snapshot, by name.
pub fn pointers(root: &Path) -> Vec<(String, String)> {
    let Ok(own) = std::fs::canonicalize(root.join("snapshots")) else { return Vec::new() };
    let mut out = Vec::new();
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten().take(MAX_DIRS) {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let link = entry.file_type().is_ok_and(|t| t.is_symlink());
        let Some(real) = std::fs::canonicalize(entry.path()).ok().filter(|_| link && plain(&name)) else { continue };
        let id = real.strip_prefix(&own).ok().and_then(|p| p.components().next()).and_then(|c| c.as_os_str().to_str().map(str::to_owned));
        out.extend(id.map(|id| (name, id)));
    }
    out.sort();
    out
}

/// What a pointer leads to: the snapshot, or the one repository of it.
pub fn pointer(root: &Path, name: &str) -> Option<Vec<RepoAt>> {
    let link = root.join(name);
    if !plain(name) || name == "snapshots" || !link.is_dir() {
        return None;
    }
    let real = std::fs::canonicalize(&link).ok()?;
    // The snapshot itself, or one of its repositories.
    for dir in real.ancestors().take(2) {
        if let Some(snapshot) = at(dir) {
            let own = real.strip_prefix(dir).ok().and_then(|p| p.to_str()).unwrap_or_default().to_owned();
            return Some(snapshot.repos.into_iter().filter(|r| own.is_empty() || r.name == own).collect());
        }
    }
    repos_at(&link).ok()
}

/// The repositories of a directory: itself, those that its snapshot's manifest names, or those that lie in it, four levels down at most.
pub fn repos_at(path: &Path) -> Result<Vec<RepoAt>, RepoError> {
    let shown = path.display().to_string();
    let name = |p: &Path| p.file_name().map_or_else(|| shown.clone(), |n| n.to_string_lossy().into_owned());
    if path.join("repodata/repomd.xml").is_file() {
        return Ok(vec![RepoAt { name: name(path), at: shown }]);
    }
    if let Some(snapshot) = at(path) {
        return Ok(snapshot.repos);
    }
    let mut found = Vec::new();
    let mut level: Vec<(String, PathBuf)> = vec![(String::new(), path.to_owned())];
    for _ in 0..4 {
        let mut next = Vec::new();
        for (rel, dir) in level {
            let mut entries: Vec<_> = std::fs::read_dir(&dir).into_iter().flatten().flatten().take(MAX_DIRS).collect();
            entries.sort_by_key(std::fs::DirEntry::file_name);
            for entry in entries {
                let Ok(base) = entry.file_name().into_string() else { continue };
                if base.starts_with('.') || !entry.path().is_dir() {
                    continue;
                }
                let rel = if rel.is_empty() { base } else { format!("{rel}/{base}") };
                if entry.path().join("repodata/repomd.xml").is_file() {
                    found.push(RepoAt { name: rel, at: entry.path().display().to_string() });
                } else if next.len() < MAX_DIRS {
                    next.push((rel, entry.path()));
                }
            }
        }
        level = next;
    }
    if found.is_empty() { Err(RepoError::Absent { at: shown }) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repo(dir: &Path) {
        std::fs::create_dir_all(dir.join("repodata")).unwrap();
        std::fs::write(dir.join("repodata/repomd.xml"), "<repomd/>").unwrap();
    }

    fn names(repos: &[RepoAt]) -> Vec<&str> {
        repos.iter().map(|r| r.name.as_str()).collect()
    }

    #[test]
    fn snapshots_pointers_and_trees_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("mirror/el9");
        let snapshot = root.join("snapshots/20260403-abababababab");
        repo(&snapshot.join("baseos"));
        repo(&snapshot.join("appstream"));
        std::fs::create_dir(snapshot.join(".quarterdeck")).unwrap();
        let text = r#"{"format":1,"id":"20260403-abababababab","set":"el9","fp":"abab","md":"x","made":"","made_us":7,
            "repos":[{"name":"baseos","packages":12,"bytes":99},{"name":"appstream"},{"name":"../../etc"}]}"#;
        std::fs::write(snapshot.join(".quarterdeck/snapshot.json"), text).unwrap();
        std::os::unix::fs::symlink("snapshots/20260403-abababababab", root.join("stable")).unwrap();
        std::os::unix::fs::symlink("snapshots/20260403-abababababab/baseos", root.join("base")).unwrap();
        let found = roots(&[dir.path().join("mirror")]);
        assert_eq!(found, std::slice::from_ref(&root));
        let s = &all(&found)[0];
        assert_eq!((s.id.as_str(), s.set.as_str(), names(&s.repos)), ("20260403-abababababab", "el9", vec!["baseos", "appstream"]));
        assert_eq!((s.made_us, s.packages), (Some(7), 12));
        let led = |name: &str| (name.to_owned(), "20260403-abababababab".to_owned());
        assert_eq!(pointers(&root), [led("base"), led("stable")]);
        assert_eq!(names(&pointer(&root, "stable").unwrap()), ["baseos", "appstream"]);
        assert_eq!(names(&pointer(&root, "base").unwrap()), ["baseos"]);
        assert!(pointer(&root, "none").is_none() && pointer(&root, "snapshots").is_none() && pointer(&root, "../x").is_none());
        assert_eq!(names(&repos_at(&snapshot).unwrap()), ["baseos", "appstream"]);
        assert_eq!(names(&repos_at(&snapshot.join("baseos")).unwrap()), ["baseos"]);
        repo(&dir.path().join("up/BaseOS/x86_64/os"));
        assert_eq!(names(&repos_at(&dir.path().join("up")).unwrap()), ["BaseOS/x86_64/os"]);
        assert!(repos_at(&dir.path().join("mirror/el9/none")).is_err());
    }
}
