//! Pushes a compose into the upstream's tree as a mirror push does: packages, then hash-named metadata, then
//! `repomd.xml` by rename, then the label. What the compose before referred to stays for one cycle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};

use super::advisory;
use super::catalogue::{self, Compose, Package, Repo};
use super::files::{mkdir, put, put_if_changed};
use super::metadata::{self, Entry};
use super::openpgp::{Key, Signer};
use super::{Error, rpms};

/// Which part of the tree holds the composes.
pub const RELEASE: &str = "9-stream";

/// The directory of a repository below the upstream's root.
pub fn repo_dir(root: &Path, repo: Repo) -> PathBuf {
    root.join(repo_path(repo))
}

/// The path of a repository below the upstream's root, without slashes around it.
pub fn repo_path(repo: Repo) -> String {
    format!("{RELEASE}/{}/x86_64/os", repo.dir())
}

/// Metadata of packages already built, by file name, kept between composes.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Index {
    pub seed: u64,
    pub entries: BTreeMap<String, Entry>,
    /// The compose published last; 0 before the first.
    pub number: u32,
    /// What that compose refers to, by repository directory, and what the one before it did.
    present: BTreeMap<String, BTreeSet<String>>,
    before: BTreeMap<String, BTreeSet<String>>,
}

impl Index {
    /// Of an estate that has published nothing.
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }
}

/// What a publish did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Published {
    pub compose: String,
    pub number: u32,
    pub packages: usize,
    /// Packages built for this compose.
    pub built: usize,
    /// NEVRAs that the compose before did not have, and those that only it had.
    pub new: Vec<String>,
    pub gone: Vec<String>,
    /// Files removed because neither this compose nor the one before refers to them.
    pub removed: usize,
}

/// Publishes `compose` below `root`. `save` is given the index before the first reader sees a change and at the end:
/// interrupted anywhere, the same call with the index saved last finishes the work.
pub fn publish(
    root: &Path,
    compose: &Compose,
    index: &mut Index,
    save: &mut dyn FnMut(&Index) -> Result<(), Error>,
) -> Result<Published, Error> {
    let built = build_missing(root, compose, index)?;
    if index.number != compose.number {
        index.before = std::mem::take(&mut index.present);
        index.number = compose.number;
    }
    save(index)?;
    let key = Key::of(index.seed, Signer::Stream)?;
    let mut removed = 0;
    for repo in Repo::ALL {
        let dir = repo_dir(root, repo);
        let packages = compose.of(repo);
        let entries: Vec<&Entry> = packages.iter().filter_map(|p| index.entries.get(&p.file_name())).collect();
        let repodata = metadata::repodata(&entries, advisory::extra(compose, repo), compose.time);
        let mut present: BTreeSet<String> = entries.iter().map(|e| e.href.clone()).collect();
        mkdir(&dir.join("repodata"))?;
        for d in &repodata.data {
            let href = format!("repodata/{}", d.file);
            put_if_changed(&dir.join(&href), &d.bytes, compose.time)?;
            present.insert(href);
        }
        put_if_changed(&dir.join(".treeinfo"), treeinfo(repo, compose).as_bytes(), compose.time)?;
        // From here on readers see the new compose. Every file that it names is in its place.
        put_if_changed(&dir.join("repodata/repomd.xml"), &repodata.repomd, compose.time)?;
        put_if_changed(&dir.join("repodata/repomd.xml.asc"), key.sign(&repodata.repomd, compose.time).as_bytes(), compose.time)?;
        present.extend(["repodata/repomd.xml".to_owned(), "repodata/repomd.xml.asc".to_owned()]);
        let none = BTreeSet::new();
        removed += sweep(&dir, &present, index.before.get(repo.dir()).unwrap_or(&none))?;
        index.present.insert(repo.dir().to_owned(), present);
    }
    put_if_changed(&root.join(RELEASE).join("COMPOSE_ID"), compose.id.as_bytes(), compose.time)?;
    let kept: BTreeSet<String> = index
        .present
        .values()
        .chain(index.before.values())
        .flatten()
        .filter_map(|h| h.strip_prefix("Packages/"))
        .map(str::to_owned)
        .collect();
    index.entries.retain(|name, _| kept.contains(name));
    save(index)?;
    let nevras = |c: &Compose| c.packages.iter().map(Package::nevra).collect::<BTreeSet<_>>();
    let (now, then) =
        (nevras(compose), if compose.number > 1 { nevras(&catalogue::compose(index.seed, compose.number - 1)) } else { BTreeSet::new() });
    Ok(Published {
        compose: compose.id.clone(),
        number: compose.number,
        packages: compose.packages.len(),
        built,
        new: now.difference(&then).cloned().collect(),
        gone: then.difference(&now).cloned().collect(),
        removed,
    })
}

/// Builds every package that has no entry or no file, several at a time.
fn build_missing(root: &Path, compose: &Compose, index: &mut Index) -> Result<usize, Error> {
    for repo in Repo::ALL {
        mkdir(&repo_dir(root, repo).join("Packages"))?;
    }
    let place = |p: &Package| repo_dir(root, p.repo).join("Packages").join(p.file_name());
    let whole = |p: &Package| {
        let entry = index.entries.get(&p.file_name());
        entry.is_some_and(|e| std::fs::metadata(place(p)).is_ok_and(|m| m.is_file() && m.len() == e.size))
    };
    let missing: Vec<&Package> = compose.packages.iter().filter(|p| !whole(p)).collect();
    let list: Vec<(PathBuf, &Package)> = missing.iter().map(|p| (place(p), *p)).collect();
    for (_, (name, entry)) in build_all(&list, index.seed)? {
        index.entries.insert(name, entry);
    }
    Ok(missing.len())
}

/// Where a package was built, its file name, and what metadata says of it.
pub(super) type BuiltAt = (PathBuf, (String, Entry));

/// Builds these packages, each at its place, several at a time.
pub(super) fn build_all(list: &[(PathBuf, &Package)], seed: u64) -> Result<Vec<BuiltAt>, Error> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let work = || {
        while let Some((place, p)) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = build_one(p, seed, place).map(|built| (place.clone(), built));
            done.lock().unwrap_or_else(|e| e.into_inner()).push(result);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    std::thread::scope(|s| (0..threads).for_each(|_| drop(s.spawn(work))));
    done.into_inner().unwrap_or_else(|e| e.into_inner()).into_iter().collect()
}

fn build_one(p: &Package, seed: u64, path: &Path) -> Result<(String, Entry), Error> {
    let name = p.file_name();
    let built = rpms::build(p, seed)?;
    let entry = metadata::describe(&built.bytes, &built.metadata, &format!("Packages/{name}"), p.build_time)
        .map_err(|source| Error::Rpm { name: name.clone(), source: Box::new(source) })?;
    put(path, &built.bytes, Some(p.build_time))?;
    Ok((name, entry))
}

/// Removes what neither `present` nor `before` names. A file that is already gone is no error.
fn sweep(dir: &Path, present: &BTreeSet<String>, before: &BTreeSet<String>) -> Result<usize, Error> {
    let mut removed = 0;
    for sub in ["Packages", "repodata"] {
        let list = std::fs::read_dir(dir.join(sub)).map_err(Error::io("listing", dir))?;
        for item in list {
            let item = item.map_err(Error::io("listing", dir))?;
            let href = format!("{sub}/{}", item.file_name().to_string_lossy());
            if !present.contains(&href) && !before.contains(&href) {
                std::fs::remove_file(item.path()).map_err(Error::io("removing", &item.path()))?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

fn treeinfo(repo: Repo, compose: &Compose) -> String {
    format!(
        "[header]\ntype = productmd.treeinfo\nversion = 1.2\n\n[release]\nname = CentOS Stream\nshort = CentOS\nversion = 9\n\n\
         [tree]\narch = x86_64\nbuild_timestamp = {}\nplatforms = x86_64,xen\nvariants = {}\n",
        compose.time,
        repo.dir()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::catalogue::compose;
    use crate::demo::files::sha256;

    fn names(dir: &Path) -> BTreeSet<String> {
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn composes_follow_each_other_and_the_one_before_stays_readable() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = Index { seed: 1, ..Index::default() };
        let mut old = Vec::new();
        for n in 1..=6 {
            let c = compose(1, n);
            let p = publish(dir.path(), &c, &mut index, &mut |_| Ok(())).unwrap();
            assert_eq!(p.built, if n == 1 { c.packages.len() } else { p.built });
            assert!(n == 1 || p.built < 25, "only what is new is built: {}", p.built);
            for repo in Repo::ALL {
                let there = names(&repo_dir(dir.path(), repo).join("Packages"));
                let now: BTreeSet<_> = c.of(repo).iter().map(|p| p.file_name()).collect();
                let before: BTreeSet<String> =
                    if n == 1 { BTreeSet::new() } else { compose(1, n - 1).of(repo).iter().map(|p| p.file_name()).collect() };
                assert_eq!(there, now.union(&before).cloned().collect(), "{repo:?} compose {n}");
                let repodata = names(&repo_dir(dir.path(), repo).join("repodata"));
                for f in repodata.iter().filter(|f| !f.starts_with("repomd.xml")) {
                    let bytes = std::fs::read(repo_dir(dir.path(), repo).join("repodata").join(f)).unwrap();
                    assert!(f.starts_with(&sha256(&bytes)));
                }
            }
            let md = std::fs::read(repo_dir(dir.path(), Repo::BaseOS).join("repodata/repomd.xml")).unwrap();
            assert!(!old.contains(&md));
            old.push(md);
        }
    }

    #[test]
    fn publishing_again_changes_nothing_and_builds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = Index { seed: 4, ..Index::default() };
        publish(dir.path(), &compose(4, 1), &mut index, &mut |_| Ok(())).unwrap();
        publish(dir.path(), &compose(4, 2), &mut index, &mut |_| Ok(())).unwrap();
        let md = |d: &Path| std::fs::read(repo_dir(d, Repo::AppStream).join("repodata/repomd.xml")).unwrap();
        let first = md(dir.path());
        let again = publish(dir.path(), &compose(4, 2), &mut index, &mut |_| Ok(())).unwrap();
        assert_eq!((again.built, again.removed), (0, 0));
        assert_eq!(md(dir.path()), first);
        let other = tempfile::tempdir().unwrap();
        publish(other.path(), &compose(4, 2), &mut Index { seed: 4, ..Index::default() }, &mut |_| Ok(())).unwrap();
        assert_eq!(md(other.path()), first, "another machine makes the same bytes");
    }

    #[test]
    fn a_package_lost_from_disk_is_built_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = Index { seed: 1, ..Index::default() };
        let c = compose(1, 1);
        publish(dir.path(), &c, &mut index, &mut |_| Ok(())).unwrap();
        let path = repo_dir(dir.path(), Repo::BaseOS).join("Packages").join(c.of(Repo::BaseOS)[0].file_name());
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, b"short").unwrap();
        assert_eq!(publish(dir.path(), &c, &mut index, &mut |_| Ok(())).unwrap().built, 1);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
}
