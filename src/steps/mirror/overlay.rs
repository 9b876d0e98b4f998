//! `mirror/overlay`: a snapshot of a snapshot, in which some packages are those of another one. Nothing is edited in place: the trees are put
//! together under `.quarterdeck/overlay` of the root, packages hardlinked, metadata written anew element by element, and then
//! `mirror/snapshot` takes them in like any others, every byte verified.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::root::{Root, SNAPSHOTS};
use super::snapshot;
use super::splice;
use crate::base::crash;
use crate::domain::promotion::hold::package_name;
use crate::domain::snapshot::plain;
use crate::steps::report::Report;
use crate::steps::{StepEnv, StepError, With};
use crate::systems::repo::read::sha256;
use crate::systems::repo::{Tree, TreeError};
use crate::wire::repomd::{self, Data};
use crate::wire::{WireError, decompress, location, primary};

/// Where the trees are put together, under the root's lock only while they are made.
const OVERLAY: &str = ".quarterdeck/overlay";
/// The documents that list packages; the others are copied.
const LISTS: [&str; 3] = ["primary", "filelists", "other"];
const MAX: u64 = 1 << 30;

pub fn run(with: &With, env: &StepEnv, report: &Report) -> Result<(), StepError> {
    let (base, from) = (with.text("base").unwrap_or_default().to_owned(), with.text("from").unwrap_or_default().to_owned());
    let holds: BTreeSet<String> = with.list("hold").iter().flat_map(|h| h.split_whitespace()).map(str::to_owned).collect();
    if let Some(bad) = holds.iter().find(|h| !package_name(h)) {
        return Err(StepError::input(
            format!("`{}` cannot be the name of a package", crate::wire::excerpt(bad)),
            "give names, as rpm -q has them",
        ));
    }
    for id in [&base, &from] {
        if !plain(id) {
            return Err(StepError::input(
                format!("`{}` is no snapshot", crate::wire::excerpt(id)),
                "give the name of a snapshot of this root",
            ));
        }
    }
    if holds.is_empty() {
        return Err(StepError::input("nothing is held", "name packages: hold=NAME"));
    }
    let trees = {
        let root = Root::open(with, env, false)?;
        make(&root, &base, &from, &holds, report)?
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

/// The trees, as `mirror/snapshot` wants them: `tree=NAME=PATH`.
fn make(root: &Root, base: &str, from: &str, holds: &BTreeSet<String>, report: &Report) -> Result<Vec<String>, StepError> {
    let tree = &root.tree;
    tree.remove_tree(OVERLAY, |_| ())?;
    let missing =
        |id: &str| StepError::input(format!("there is no snapshot {id} in {}", tree.path().display()), "make one: mirror/snapshot");
    let manifest = root.manifest(base)?.ok_or_else(|| missing(base))?;
    let served = root.manifest(from)?.ok_or_else(|| missing(from))?;
    for m in [&manifest, &served] {
        if let Some(first) = root.damaged(m)?.first() {
            return Err(StepError::refused(format!("snapshot {} is damaged: {first} is the first", m.id), "take it again"));
        }
    }
    let (mut trees, mut seen) = (Vec::new(), BTreeSet::new());
    for part in &manifest.repos {
        let other = served.repos.iter().any(|p| p.name == part.name).then(|| format!("{SNAPSHOTS}/{from}/{}", part.name));
        repo(tree, &format!("{SNAPSHOTS}/{base}/{}", part.name), other.as_deref(), &format!("{OVERLAY}/{}", part.name), holds, &mut seen)?;
        trees.push(format!("tree={}={}", part.name, tree.path().join(OVERLAY).join(&part.name).display()));
    }
    let unseen: Vec<&String> = holds.difference(&seen).collect();
    if let Some(first) = unseen.first() {
        return Err(StepError::failed(
            format!("nothing by the name {first} is served from snapshot {from}: it cannot be held"),
            "drop the hold, or name a package that is served now",
        ));
    }
    for name in holds {
        report.say(&format!("held as in {from}: {name}"));
    }
    Ok(trees)
}

fn wire(at: &str) -> impl Fn(WireError) -> StepError + '_ {
    move |e| StepError::failed(format!("{at}: {e}"), "the snapshot's metadata is damaged: take it again")
}

/// A package of a repository, by its checksum.
struct Package {
    name: String,
    location: String,
}

struct Repo {
    raw: Vec<u8>,
    repomd: repomd::Repomd,
    lists: BTreeMap<String, Vec<u8>>,
    packages: BTreeMap<String, Package>,
}

fn read(tree: &Tree, at: &str) -> Result<Repo, StepError> {
    let raw = tree.read_small(&format!("{at}/repodata/repomd.xml"), repomd::MAX_BYTES)?;
    let raw = raw.ok_or_else(|| StepError::failed(format!("{at} holds no repository"), "take the snapshot again"))?;
    let parsed = repomd::parse(&raw).map_err(wire(at))?;
    let mut lists = BTreeMap::new();
    for data in parsed.data.iter().filter(|d| LISTS.contains(&d.ty.as_str())) {
        let packed = tree.read_small(&format!("{at}/{}", data.location), MAX)?.unwrap_or_default();
        let mut open = Vec::new();
        decompress::reader(packed.as_slice(), "metadata", data.open_size)
            .map_err(wire(at))?
            .take(MAX)
            .read_to_end(&mut open)
            .map_err(|e| StepError::failed(format!("{at}/{}: {e}", data.location), "take the snapshot again"))?;
        lists.insert(data.ty.clone(), open);
    }
    let mut packages = BTreeMap::new();
    let list = lists.get("primary").ok_or_else(|| StepError::failed(format!("{at} has no list of packages"), "take the snapshot again"))?;
    primary::read(list.as_slice(), false, |p| {
        let location = location::check(&p.href).map_err(|e| e.to_string())?.as_str().to_owned();
        packages.insert(p.checksum.hex.clone(), Package { name: p.name.clone(), location });
        Ok(())
    })
    .map_err(wire(at))?;
    Ok(Repo { raw, repomd: parsed, lists, packages })
}

/// One repository with the held packages of the other one in the place of its own.
fn repo(
    tree: &Tree,
    base: &str,
    other: Option<&str>,
    to: &str,
    holds: &BTreeSet<String>,
    seen: &mut BTreeSet<String>,
) -> Result<(), StepError> {
    let ours = read(tree, base)?;
    let theirs = other.map(|o| read(tree, o)).transpose()?;
    let held: BTreeMap<&String, &Package> = theirs.iter().flat_map(|t| &t.packages).filter(|(_, p)| holds.contains(&p.name)).collect();
    // What is not served from here stays as upstream has it here.
    let names: BTreeSet<&str> = held.values().map(|p| p.name.as_str()).collect();
    seen.extend(names.iter().map(|n| (*n).to_owned()));
    let kept: BTreeMap<&String, &Package> = ours.packages.iter().filter(|(_, p)| !names.contains(p.name.as_str())).collect();
    tree.make_dir(&format!("{to}/repodata"))?;
    for (from, list) in [(Some(base), &kept), (other, &held)] {
        let Some(from) = from else { continue };
        for p in list.values() {
            match tree.link_from(tree, &format!("{from}/{}", p.location), &format!("{to}/{}", p.location)) {
                Ok(()) => {}
                Err(TreeError::Io { kind: std::io::ErrorKind::AlreadyExists, .. }) => {
                    return Err(StepError::failed(
                        format!("{} is the name of two packages", p.location),
                        "hold a package whose files have other names",
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
