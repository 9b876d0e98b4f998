//! Readers that straddle a switch: they hold the metadata of what was served, and ask for its files where another snapshot is served now.
//!
//! Before the pointer moves, the files that the present snapshot names get a second name in the next one, where nothing has that name.
//! The next one's own files are not touched; the list of what was laid is kept, and `mirror/gc` takes it away when readers have settled.
//! Where both have the same name for different bytes nothing can be done: such names are counted and told.

use std::collections::{BTreeMap, BTreeSet};

use super::root::Carried;
use super::state::REPOMD;
use crate::domain::content::Collector;
use crate::steps::error::StepError;
use crate::systems::repo::inventory;
use crate::systems::repo::links::Named;
use crate::systems::repo::{Origin, Tree, TreeError};

/// What was laid.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Laid {
    pub files: u64,
    /// Names that mean other bytes in the next snapshot: readers that straddle may find a wrong checksum, and ask again.
    pub clashes: u64,
}

/// Repositories below a directory of the root: itself, or its subdirectories.
pub fn repositories(tree: &Tree, dir: &str) -> Result<Vec<String>, StepError> {
    if tree.named(&format!("{dir}/{REPOMD}"))? == Named::File {
        return Ok(vec![String::new()]);
    }
    let mut out = Vec::new();
    for name in tree.list(dir)? {
        if tree.named(&format!("{dir}/{name}"))? == Named::Directory && tree.named(&format!("{dir}/{name}/{REPOMD}"))? == Named::File {
            out.push(name);
        }
    }
    out.sort();
    Ok(out)
}

/// Lays the files of `from` beside those of `to`; both are directories of the root. `snapshot` is the one that `to` is or lies in.
pub fn lay(tree: &Tree, from: &str, to: &str, snapshot: &str, now_us: i64) -> Result<Laid, StepError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|e| StepError::failed(format!("no runtime: {e}"), "see whether the process limit is reached (ulimit -u)"))?;
    let mut laid = Laid::default();
    let mut todo: Vec<(String, String)> = Vec::new();
    for repo in repositories(tree, from)? {
        let at = |base: &str| if repo.is_empty() { base.to_owned() } else { format!("{base}/{repo}") };
        let (old, new) = (at(from), at(to));
        if tree.named(&new)? != Named::Directory {
            continue;
        }
        let origin = Origin::Local(tree.beneath(&old)?);
        // What is served now and cannot be read has no readers that we could serve.
        let Ok(inventory) = runtime.block_on(inventory::read("-", &origin, &mut Collector::new())) else { continue };
        let next = Origin::Local(tree.beneath(&new)?);
        // An adopted directory may be no whole repository: going back to it must still be possible.
        let Ok(theirs) = runtime.block_on(inventory::read("-", &next, &mut Collector::new())) else { continue };
        let names = |i: &inventory::Inventory| -> BTreeMap<String, String> {
            let packages = i.shelf.packages.iter().map(|w| (w.location.to_string(), w.checksum.hex.clone()));
            packages.chain(i.repomd.data.iter().map(|d| (d.location.to_string(), d.checksum.hex.clone()))).collect()
        };
        let theirs = names(&theirs);
        for (path, hex) in names(&inventory) {
            let other = theirs.get(&path);
            if other == Some(&hex) {
                continue;
            }
            let place = format!("{new}/{path}");
            match tree.named(&place)? {
                Named::Nothing => todo.push((format!("{old}/{path}"), place)),
                // Laid by an earlier switch, or a clash.
                _ if other.is_some() => laid.clashes += 1,
                _ => {}
            }
        }
    }
    note(tree, snapshot, &todo, now_us)?;
    let mut dirs = BTreeSet::new();
    for (source, place) in todo {
        match tree.link_from(tree, &source, &place) {
            Ok(()) => laid.files += 1,
            // What is missing there was never there for its readers.
            Err(TreeError::Io { kind: std::io::ErrorKind::NotFound | std::io::ErrorKind::AlreadyExists, .. }) => continue,
            Err(e) => return Err(e.into()),
        }
        dirs.insert(place.rsplit_once('/').map_or(String::new(), |(d, _)| d.to_owned()));
    }
    dirs.iter().try_for_each(|d| tree.sync_dir(d))?;
    Ok(laid)
}

/// The list first: what is laid without a line in it would stay for ever.
fn note(tree: &Tree, snapshot: &str, todo: &[(String, String)], now_us: i64) -> Result<(), StepError> {
    if todo.is_empty() {
        return Ok(());
    }
    let mut carried = Carried::load(tree, snapshot)?;
    let known: BTreeSet<String> = carried.files.iter().cloned().collect();
    let head = format!("{snapshot}/");
    let new = todo.iter().filter_map(|(_, place)| place.strip_prefix(&head).map(str::to_owned)).filter(|p| !known.contains(p));
    let new: Vec<String> = new.collect();
    carried.files.extend(new);
    carried.at_us = now_us;
    Ok(carried.store(tree, snapshot)?)
}

/// Takes away what was laid beside a snapshot's own files. Gives the number of names that went.
pub fn clear(tree: &Tree, snapshot: &str) -> Result<u64, StepError> {
    let carried = Carried::load(tree, snapshot)?;
    let mut gone = 0;
    for file in &carried.files {
        gone += u64::from(tree.remove(&format!("{snapshot}/{file}"))?);
    }
    Carried::default().store(tree, snapshot)?;
    Ok(gone)
}
