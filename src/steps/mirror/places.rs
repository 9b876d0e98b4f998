//! Where each package lies in our tree: under upstream's name, unless readers of the metadata that is served find other bytes there. Such a
//! package lies in a directory named by its checksum beside that name, and the package list that is served says so.
//!
//! `DIR/FILE` becomes `DIR/HEX/FILE`, HEX the first 2, 8 or all digits of the checksum: two bytes strings never share a name, and clients, which
//! keep packages by their last part, see the file name they know. Where a package lies once it stays while it is served.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{BufReader, BufWriter, Write};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};

use super::Sync;
use super::fetch;
use super::listing::Listing;
use super::offer::{Metadata, Offer};
use super::packages::checksum_text;
use super::state::State;
use crate::steps::error::StepError;
use crate::systems::repo::digest::Hasher;
use crate::systems::repo::inventory::Wanted;
use crate::systems::repo::tree::mark_of_file;
use crate::systems::repo::{RepoError, TreeError};
use crate::wire::repomd::{self, Change, Checksum};
use crate::wire::{decompress, location, relocate};

/// Where the new package list is written.
const WRITTEN: &str = ".quarterdeck/primary.xml.gz";
/// Digits of the checksum that name the directory: the first that are free are taken.
const DIGITS: [usize; 3] = [2, 8, usize::MAX];

/// What readers may hold: by path the checksum, as far as it is known.
struct Served<'a> {
    state: HashMap<&'a str, &'a str>,
    /// What the tree's own metadata says, where that is not what the state says.
    found: &'a HashMap<String, String>,
    /// Kept for readers of earlier cycles.
    kept: HashSet<&'a str>,
}

impl Served<'_> {
    /// The metadata that is served names these bytes under this path.
    fn names(&self, path: &str, checksum: &str) -> bool {
        self.state.get(path).is_some_and(|c| *c == checksum) || self.found.get(path).is_some_and(|c| c == checksum)
    }

    /// It names the path, or named it a cycle ago.
    fn knows(&self, path: &str) -> bool {
        self.state.contains_key(path) || self.found.contains_key(path) || self.kept.contains(path)
    }
}

/// Settles where the packages of `listing` go that cannot have the name that upstream gives them.
pub fn settle(sync: &Sync, before: Option<&State>, found: &HashMap<String, String>, listing: &mut Listing) -> Result<(), StepError> {
    let held = before.into_iter().flat_map(|s| s.packages.iter().map(|h| (h.path.as_str(), h.checksum.as_str()))).collect();
    let kept = before.into_iter().flat_map(|s| s.retired.iter().chain(&s.doomed).map(String::as_str)).collect();
    let served = Served { state: held, found, kept };
    let upstream: HashSet<&str> = listing.packages.iter().map(|w| w.location.as_str()).collect();
    let mut taken: HashSet<String> = HashSet::new();
    let mut moved = HashMap::new();
    for (i, wanted) in listing.packages.iter().enumerate() {
        let checksum = checksum_text(wanted);
        if served.names(wanted.location.as_str(), &checksum) {
            continue;
        }
        let apart: Vec<String> = DIGITS.iter().filter_map(|n| place(wanted, *n)).filter(|p| !upstream.contains(p.as_str())).collect();
        if let Some(place) = apart.iter().find(|p| served.names(p, &checksum) && !taken.contains(*p)) {
            taken.insert(place.clone());
            moved.insert(i, place.clone());
            continue;
        }
        if free(sync, &served, wanted.location.as_str(), wanted)? {
            continue;
        }
        let mut choice = None;
        for place in apart {
            if choice.is_none() && !taken.contains(&place) && free(sync, &served, &place, wanted)? {
                choice = Some(place);
            }
        }
        let Some(place) = choice else {
            return Err(StepError::failed(
                format!("{}: there is no free name beside it for its new bytes", wanted.location),
                "an upstream that names packages so means no good: look at its metadata; the served tree is as it was",
            ));
        };
        taken.insert(place.clone());
        moved.insert(i, place);
    }
    if !moved.is_empty() {
        let first = moved.keys().min().map(|i| listing.packages[*i].location.to_string()).unwrap_or_default();
        let n = moved.len();
        sync.report.say(&format!(
            "{n} package{} under a name of other bytes that readers may still ask for, {first} is the first: each lies in a directory of its checksum",
            if n == 1 { "" } else { "s" }
        ));
    }
    listing.moved = moved;
    Ok(())
}

/// `DIR/HEX/FILE`; none where that is no name that readers would take.
fn place(wanted: &Wanted, digits: usize) -> Option<String> {
    let hex = wanted.checksum.hex.get(..digits.min(wanted.checksum.hex.len()))?;
    let name = wanted.location.file_name();
    let at = match wanted.location.as_str().rsplit_once('/') {
        Some((dir, _)) => format!("{dir}/{hex}/{name}"),
        None => format!("{hex}/{name}"),
    };
    location::check(&at).is_ok().then_some(at)
}

/// Whether the name may get these bytes: nobody asks for others there.
fn free(sync: &Sync, served: &Served<'_>, path: &str, wanted: &Wanted) -> Result<bool, TreeError> {
    if !served.knows(path) {
        // Nothing is there, or what nobody was told of.
        return Ok(true);
    }
    match sync.tree.mark(path) {
        Ok(None) => Ok(true),
        Ok(Some(_)) => Ok(fetch::check_file(sync, path, &wanted.checksum, wanted.job().size)?.is_some()),
        Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => Ok(false),
        Err(e) => Err(e),
    }
}

/// Writes the package list that says where the packages lie, and the `repomd.xml` that names it. Lists of packages in other forms, which no
/// client needs beside it, are left out of that. The same packages in the same places give the same bytes.
pub fn rewrite(sync: &Sync, offer: &mut Offer, listing: &Listing) -> Result<(), StepError> {
    if listing.moved.is_empty() {
        return Ok(());
    }
    let index = offer.repomd.data.iter().position(|d| d.ty == "primary").unwrap_or_default();
    let data = &offer.repomd.data[index];
    let bad =
        |source| StepError::failed(RepoError::Wire { at: offer.shown.clone(), source }.to_string(), "look at the upstream's metadata");
    let places: HashMap<&str, &str> =
        listing.moved.iter().map(|(i, place)| (listing.packages[*i].location.as_str(), place.as_str())).collect();
    sync.tree.remove(WRITTEN)?;
    let file = sync.tree.create_new(WRITTEN)?;
    let io = |e: std::io::Error| TreeError::Io { what: "write", at: WRITTEN.into(), cause: e.to_string(), kind: e.kind() };
    let input = BufReader::with_capacity(64 << 10, sync.tree.open_read(&offer.files[index].at)?);
    let input = decompress::reader(input, "primary.xml", data.open_size).map_err(bad)?;
    // No name and no time in the head: the same list is the same file.
    let packed: GzEncoder<_> = GzBuilder::new().mtime(0).write(Told::new(BufWriter::new(file)), Compression::default());
    let mut open = Told::new(packed);
    let to = |href: &str| location::check(href).ok().and_then(|l| places.get(l.as_str()).map(|p| (*p).to_owned()));
    relocate::primary(input, &mut open, to).map_err(bad)?;
    let (packed, open) = open.finish();
    let (file, closed) = packed.finish().map_err(io)?.finish();
    let file = file.into_inner().map_err(|e| io(e.into_error()))?;
    let name = format!("repodata/{}-primary.xml.gz", closed.checksum.hex);
    let ready = fetch::ready(&closed.checksum);
    sync.tree.rename(WRITTEN, &ready)?;
    let mark = mark_of_file(&file).map_err(io)?;
    let written = repomd::Written {
        ty: "primary".into(),
        location: name.clone(),
        checksum: closed.checksum.clone(),
        size: closed.bytes,
        open_checksum: open.checksum,
        open_size: open.bytes,
        timestamp: data.timestamp,
    };
    // The spans are those of the document as it will be served so far.
    let document = repomd::parse(&offer.raw).map_err(bad)?;
    let mut changes = BTreeMap::from([(index, Change::Replace(written))]);
    let other_form = |ty: &str| ty != "primary" && ty.starts_with("primary");
    changes.extend(document.data.iter().enumerate().filter(|(_, d)| other_form(&d.ty)).map(|(i, _)| (i, Change::Drop)));
    offer.raw = repomd::change(&offer.raw, &document, &changes);
    let checksum = format!("{}:{}", closed.checksum.algorithm, closed.checksum.hex);
    offer.files[index] = Metadata { at: ready, dest: name, mark, checksum };
    let mut kept = document.data.iter().map(|d| !other_form(&d.ty));
    offer.files.retain(|_| kept.next().unwrap_or(true));
    offer.repomd = repomd::parse(&offer.raw).map_err(bad)?;
    Ok(())
}

/// Hands on what is written, and tells how much it was and its sha256.
struct Told<W> {
    inner: W,
    hasher: Option<Hasher>,
    bytes: u64,
}

struct Tale {
    checksum: Checksum,
    bytes: u64,
}

impl<W: Write> Told<W> {
    fn new(inner: W) -> Self {
        Self { inner, hasher: Hasher::new("sha256"), bytes: 0 }
    }

    fn finish(self) -> (W, Tale) {
        let hex = self.hasher.map(Hasher::finish).unwrap_or_default();
        (self.inner, Tale { checksum: Checksum { algorithm: "sha256".into(), hex }, bytes: self.bytes })
    }
}

impl<W: Write> Write for Told<W> {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let n = self.inner.write(buf)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buf[..n]);
        }
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}
