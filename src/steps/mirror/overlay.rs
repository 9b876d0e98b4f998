//! `mirror/overlay`: a snapshot of a snapshot, in which some packages are those of another one, or come in beside what is there from a tree.
//! Nothing is edited in place: the trees are put together under `.quarterdeck/overlay` of the root, packages hardlinked, metadata written anew element by element, and then
//! `mirror/snapshot` takes them in like any others, every byte verified.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::root::{Manifest, Root, SNAPSHOTS};
use super::snapshot;
use super::splice;
use crate::base::{crash, suggest};
use crate::domain::nevra::Nevra;
use crate::domain::promotion::hold::package_name;
use crate::domain::snapshot::plain;
use crate::steps::env::StepEnv;
use crate::steps::error::StepError;
use crate::steps::report::Report;
use crate::steps::with::With;
use crate::systems::repo::read::sha256;
use crate::systems::repo::{Tree, TreeError};
use crate::wire::repomd::{self, Data};
use crate::wire::{WireError, decompress, location, primary};

/// Where the trees are put together, under the root's lock only while they are made.
const OVERLAY: &str = ".quarterdeck/overlay";
/// The documents that list packages; the others are copied.
const LISTS: [&str; 3] = ["primary", "filelists", "other"];
const MAX: u64 = 1 << 30;
/// Versions that are named where another one is not there.
const NEAR: usize = 5;

/// What is laid over the base.
enum Change {
    /// These names stay as this snapshot has them.
    Hold { from: String, names: BTreeSet<String> },
    /// These packages come in beside what is there: repository to its tree.
    Add { sources: BTreeMap<String, PathBuf>, nevras: BTreeSet<String> },
}

fn change(with: &With, env: &StepEnv) -> Result<Change, StepError> {
    let words = |key: &str| with.list(key).iter().flat_map(|h| h.split_whitespace()).map(str::to_owned).collect::<BTreeSet<_>>();
    let (names, nevras) = (words("hold"), words("add"));
    match (names.is_empty(), nevras.is_empty()) {
        (true, true) => {
            Err(StepError::input("nothing is held and nothing added", "name packages: hold=NAME, or add=NEVRA with source=REPO=PATH"))
        }
        (false, false) => Err(StepError::input("packages are held and added in one step", "make one snapshot of the other")),
        (false, true) => {
            if let Some(bad) = names.iter().find(|h| !package_name(h)) {
                return Err(StepError::input(
                    format!("`{}` cannot be the name of a package", crate::wire::excerpt(bad)),
                    "give names, as rpm -q has them",
                ));
            }
            Ok(Change::Hold { from: snapshot_name(with.text("from").unwrap_or_default())?, names })
        }
        (true, false) => {
            let mut canonical = BTreeSet::new();
            for text in &nevras {
                let nevra =
                    Nevra::parse(text).map_err(|e| StepError::input(e.to_string(), "give the version that is meant, and no other"))?;
                canonical.insert(nevra.to_string());
            }
            let mut sources = BTreeMap::new();
            for item in with.list("source").iter().filter(|s| !s.is_empty()) {
                match item.split_once('=') {
                    Some((repo, path)) if plain(repo) && !path.is_empty() && !path.contains("://") => {
                        if sources.insert(repo.to_owned(), env.path(path)).is_some() {
                            return Err(StepError::input(format!("two sources for {repo}"), "give one tree for each repository"));
                        }
                    }
                    _ => {
                        return Err(StepError::input(
                            format!("`{}` is no source", crate::wire::excerpt(item)),
                            "give REPO=PATH of a tree on disk",
                        ));
                    }
                }
            }
            Ok(Change::Add { sources, nevras: canonical })
        }
    }
}

fn snapshot_name(id: &str) -> Result<String, StepError> {
    match plain(id) {
        true => Ok(id.to_owned()),
        false => {
            Err(StepError::input(format!("`{}` is no snapshot", crate::wire::excerpt(id)), "give the name of a snapshot of this root"))
        }
    }
}

pub fn run(with: &With, env: &StepEnv, report: &Report) -> Result<(), StepError> {
    let base = snapshot_name(with.text("base").unwrap_or_default())?;
    let change = change(with, env)?;
    let trees = {
        let root = Root::open(with, env, false)?;
        make(&root, &base, &change, report)?
    };
    crash::point("overlay.made");
    // Taken in like any tree; the root's lock is taken anew there.
    let mut args: Vec<String> = vec![format!("root={}", with.text("root").unwrap_or_default())];
    args.extend(trees);
    args.extend(with.text("set").map(|s| format!("set={s}")));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let taken = With::from_args(&args).map_err(|e| StepError::failed(e.to_string(), "report this as a bug"))?;
    let made = snapshot::run(&taken, env, report);
    let root = Root::open(with, env, false)?;
    root.tree.remove_tree(OVERLAY, |_| ())?;
    made
}

/// A snapshot that is there and whole.
fn whole(root: &Root, id: &str) -> Result<Manifest, StepError> {
    let missing = || StepError::input(format!("there is no snapshot {id} in {}", root.tree.path().display()), "make one: mirror/snapshot");
    let manifest = root.manifest(id)?.ok_or_else(missing)?;
    if let Some(first) = root.damaged(&manifest)?.first() {
        return Err(StepError::refused(format!("snapshot {id} is damaged: {first} is the first"), "take it again"));
    }
    Ok(manifest)
}

/// The trees, as `mirror/snapshot` wants them: `tree=NAME=PATH`.
fn make(root: &Root, base: &str, change: &Change, report: &Report) -> Result<Vec<String>, StepError> {
    let tree = &root.tree;
    tree.remove_tree(OVERLAY, |_| ())?;
    let manifest = whole(root, base)?;
    let (mut trees, mut seen) = (Vec::new(), BTreeSet::new());
    let served = match change {
        Change::Hold { from, .. } => Some(whole(root, from)?),
        Change::Add { .. } => None,
    };
    for part in &manifest.repos {
        let (at, to) = (format!("{SNAPSHOTS}/{base}/{}", part.name), format!("{OVERLAY}/{}", part.name));
        match change {
            Change::Hold { from, names } => {
                let there = served.iter().flat_map(|m| &m.repos).any(|p| p.name == part.name);
                let other = there.then(|| Other { tree, at: format!("{SNAPSHOTS}/{from}/{}/", part.name), replaces: true });
                repo(tree, &at, other.as_ref(), &to, &|p| names.contains(&p.name).then(|| p.name.clone()), &mut seen)?;
            }
            Change::Add { sources, nevras } => {
                let source = sources.get(&part.name).map(|path| Tree::open_to_read(path)).transpose()?;
                let other = source.as_ref().map(|tree| Other { tree, at: String::new(), replaces: false });
                repo(tree, &at, other.as_ref(), &to, &|p| nevras.contains(&p.nevra).then(|| p.nevra.clone()), &mut seen)?;
            }
        }
        trees.push(format!("tree={}={}", part.name, tree.path().join(OVERLAY).join(&part.name).display()));
    }
    let (wanted, told) = match change {
        Change::Hold { from, names } => (names, format!("held as in {from}")),
        Change::Add { nevras, .. } => (nevras, "added".to_owned()),
    };
    if let Some(first) = wanted.difference(&seen).next() {
        return Err(absent(root, &manifest, change, first));
    }
    for name in wanted {
        report.say(&format!("{told}: {name}"));
    }
    Ok(trees)
}

/// Why this package cannot be held or added, with what there is that may have been meant.
fn absent(root: &Root, manifest: &Manifest, change: &Change, first: &str) -> StepError {
    match change {
        Change::Hold { from, .. } => {
            let served = root.manifest(from).ok().flatten().into_iter().flat_map(|m| m.repos);
            let there = served.filter_map(|p| read(&root.tree, &format!("{SNAPSHOTS}/{from}/{}/", p.name)).ok());
            let names: BTreeSet<String> = there.flat_map(|r| r.packages.into_values().map(|p| p.name)).collect();
            let known = names.iter().map(String::as_str);
            StepError::failed(
                format!("nothing by the name {first} is served from snapshot {from}: it cannot be held"),
                suggest::meant(first, known, "drop the hold, or name a package that is served now"),
            )
        }
        Change::Add { sources, .. } => {
            let mut there: BTreeMap<String, (String, &str)> = BTreeMap::new();
            for (repo, path) in sources {
                let packages = Tree::open_to_read(path).map_err(StepError::from).and_then(|t| read(&t, "")).map(|r| r.packages);
                there.extend(packages.into_iter().flatten().map(|(_, p)| (p.nevra, (p.name, repo.as_str()))));
            }
            if let Some((_, repo)) = there.get(first) {
                let has: Vec<&str> = manifest.repos.iter().map(|p| p.name.as_str()).collect();
                return StepError::failed(
                    format!("{first} is in the source of {repo}, and the snapshot has no repository {repo}: it cannot be added"),
                    format!("the snapshot has {}: give the source by the name of one of them", has.join(", ")),
                );
            }
            let name = Nevra::parse(first).map(|n| n.name).unwrap_or_default();
            let mut same: Vec<&str> = there.iter().filter(|(_, (n, _))| *n == name).map(|(nevra, _)| nevra.as_str()).collect();
            let next = match same.len() {
                0 => {
                    let names: BTreeSet<&str> = there.values().map(|(n, _)| n.as_str()).collect();
                    suggest::meant(&name, names, "look whether the tree still has this version: quarterdeck diff")
                }
                n => {
                    same.truncate(NEAR);
                    format!("there is {}{}", same.join(", "), if n > NEAR { ", …" } else { "" })
                }
            };
            StepError::failed(format!("{first} is in none of the sources: it cannot be added"), next)
        }
    }
}

fn wire(at: &str) -> impl Fn(WireError) -> StepError + '_ {
    move |e| StepError::failed(format!("{at}: {e}"), "the snapshot's metadata is damaged: take it again")
}

/// A package of a repository, by its checksum.
struct Package {
    name: String,
    nevra: String,
    location: String,
}

/// The other repository: where it lies in a tree (empty, or with a slash at its end), and whether its packages stand in the place of ours.
struct Other<'a> {
    tree: &'a Tree,
    at: String,
    replaces: bool,
}

impl Other<'_> {
    /// A link, or a copy where the tree is on another file system; the snapshot that is made of it reads every byte.
    fn bring(&self, to: &Tree, from: &str, name: &str) -> Result<(), TreeError> {
        let from = format!("{}{from}", self.at);
        match to.link_from(self.tree, &from, name) {
            Err(TreeError::Io { kind: std::io::ErrorKind::CrossesDevices, .. }) => to.copy_from(self.tree, &from, name).map(drop),
            other => other,
        }
    }
}

struct Repo {
    raw: Vec<u8>,
    repomd: repomd::Repomd,
    lists: BTreeMap<String, Vec<u8>>,
    packages: BTreeMap<String, Package>,
}

/// `at` is empty, or ends with a slash.
fn read(tree: &Tree, at: &str) -> Result<Repo, StepError> {
    let shown = tree.path().join(at).display().to_string();
    let raw = tree.read_small(&format!("{at}repodata/repomd.xml"), repomd::MAX_BYTES)?;
    let raw = raw.ok_or_else(|| StepError::failed(format!("{shown} holds no repository"), "take the snapshot again"))?;
    let parsed = repomd::parse(&raw).map_err(wire(&shown))?;
    let mut lists = BTreeMap::new();
    for data in parsed.data.iter().filter(|d| LISTS.contains(&d.ty.as_str())) {
        let packed = tree.read_small(&format!("{at}{}", data.location), MAX)?.unwrap_or_default();
        let mut open = Vec::new();
        decompress::reader(packed.as_slice(), "metadata", data.open_size)
            .map_err(wire(&shown))?
            .take(MAX)
            .read_to_end(&mut open)
            .map_err(|e| StepError::failed(format!("{at}{}: {e}", data.location), "take the snapshot again"))?;
        lists.insert(data.ty.clone(), open);
    }
    let mut packages = BTreeMap::new();
    let list =
        lists.get("primary").ok_or_else(|| StepError::failed(format!("{shown} has no list of packages"), "take the snapshot again"))?;
    primary::read(list.as_slice(), false, |p| {
        let location = location::check(&p.href).map_err(|e| e.to_string())?.as_str().to_owned();
        packages.insert(p.checksum.hex.clone(), Package { name: p.name.clone(), nevra: p.nevra(), location });
        Ok(())
    })
    .map_err(wire(&shown))?;
    Ok(Repo { raw, repomd: parsed, lists, packages })
}

/// One repository with packages of the other one in the place of its own, or beside them. `takes` gives what a package is wanted as.
fn repo(
    tree: &Tree,
    base: &str,
    other: Option<&Other<'_>>,
    to: &str,
    takes: &dyn Fn(&Package) -> Option<String>,
    seen: &mut BTreeSet<String>,
) -> Result<(), StepError> {
    let ours = read(tree, &format!("{base}/"))?;
    let theirs = other.map(|o| read(o.tree, &o.at)).transpose()?;
    let mut held: BTreeMap<&String, &Package> = BTreeMap::new();
    for (sum, p) in theirs.iter().flat_map(|t| &t.packages) {
        let Some(wanted) = takes(p) else { continue };
        seen.insert(wanted);
        // What is there already is not there twice.
        if other.is_some_and(|o| o.replaces) || !ours.packages.contains_key(sum) {
            held.insert(sum, p);
        }
    }
    // What is not served from here stays as upstream has it here.
    let names: BTreeSet<&str> = held.values().filter(|_| other.is_some_and(|o| o.replaces)).map(|p| p.name.as_str()).collect();
    let kept: BTreeMap<&String, &Package> = ours.packages.iter().filter(|(_, p)| !names.contains(p.name.as_str())).collect();
    tree.make_dir(&format!("{to}/repodata"))?;
    let own = Other { tree, at: format!("{base}/"), replaces: false };
    for (from, list) in [(Some(&own), &kept), (other, &held)] {
        let Some(from) = from else { continue };
        for p in list.values() {
            match from.bring(tree, &p.location, &format!("{to}/{}", p.location)) {
                Ok(()) => {}
                Err(TreeError::Io { kind: std::io::ErrorKind::AlreadyExists, .. }) => {
                    return Err(StepError::failed(
                        format!("{} is the name of two packages", p.location),
                        "hold or add a package whose files have other names",
                    ));
                }
                Err(e) => return Err(e.into()),
            }
        }
    }
    let mut written = Vec::new();
    for data in &ours.repomd.data {
        if !LISTS.contains(&data.ty.as_str()) {
            // Other forms of the lists would tell of packages that are not there.
            if !LISTS.iter().any(|l| data.ty.starts_with(l)) && data.ty != "prestodelta" {
                tree.copy_from(tree, &format!("{base}/{}", data.location), &format!("{to}/{}", data.location))?;
                let entry = splice::entry_of(&ours.raw, data);
                written.push(entry.ok_or_else(|| StepError::failed(format!("{base}: its repomd.xml cannot be taken apart"), "report it"))?);
            }
            continue;
        }
        let document = |r: &Repo| r.lists.get(&data.ty).map(|l| splice::split(l)).transpose();
        let bad = |e: splice::Unclear| {
            StepError::failed(format!("{base}/{}: {e}", data.location), "this metadata cannot be taken apart: report it")
        };
        let mine = document(&ours).map_err(bad)?.unwrap_or_default();
        let other = theirs.as_ref().map(document).transpose().map_err(bad)?.flatten().unwrap_or_default();
        let joined =
            splice::join(&mine, &|id: &str| kept.contains_key(&id.to_owned()), &other, &|id: &str| held.contains_key(&id.to_owned()))
                .map_err(bad)?;
        written.push(list(tree, to, data, &joined)?);
    }
    let text = splice::repomd(&ours.repomd.revision, &written);
    tree.replace(&format!("{to}/repodata/repomd.xml"), text.as_bytes())?;
    Ok(())
}

/// Writes a list of packages; its entry in `repomd.xml`.
fn list(tree: &Tree, to: &str, data: &Data, open: &[u8]) -> Result<String, StepError> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::default());
    let packed =
        gz.write_all(open).and_then(|()| gz.finish()).map_err(|e| StepError::failed(e.to_string(), "see whether memory is short"))?;
    let sum = sha256(&packed);
    let location = format!("repodata/{sum}-{}.xml.gz", data.ty);
    tree.replace(&format!("{to}/{location}"), &packed)?;
    let stamp = data.timestamp.map(|t| format!("<timestamp>{t}</timestamp>")).unwrap_or_default();
    Ok(format!(
        "<data type=\"{}\"><checksum type=\"sha256\">{sum}</checksum><open-checksum type=\"sha256\">{}</open-checksum>\
         <location href=\"{location}\"/>{stamp}<size>{}</size><open-size>{}</open-size></data>",
        data.ty,
        sha256(open),
        packed.len(),
        open.len()
    ))
}
