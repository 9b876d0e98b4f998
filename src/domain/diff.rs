//! What differs between two contents: packages up, down, new, gone; the same by source package; module streams, metadata, size. Pure.
//!
//! Packages are compared by name, architecture and module stream. Where a side has several versions of one, the newest ones are compared,
//! and older copies that came or went are counted. Two lists of different packages never give an empty answer.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::packages::{Package, PackageList, Stream, Sum};
use super::text_form::text_form;

/// How something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    Up,
    Down,
    New,
    Gone,
    /// The same name and version, other bytes.
    Rebuilt,
    /// The same package in another repository.
    Moved,
    /// The newest version is the same; older copies beside it came or went.
    Copies,
}

text_form!(Change {
    Up = "up",
    Down = "down",
    New = "new",
    Gone = "gone",
    Rebuilt = "rebuilt",
    Moved = "moved",
    Copies = "copies",
});

/// One package that differs.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    pub change: Change,
    pub old: Option<Package<'a>>,
    pub new: Option<Package<'a>>,
}

impl<'a> Row<'a> {
    /// The side that there is, the new one first.
    pub fn either(&self) -> Option<Package<'a>> {
        self.new.or(self.old)
    }
}

/// A source package of which something differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub name: String,
    /// Of the source itself: `up`, `down`, `new`, `gone`; for the same version what its packages did, the first of them in `Change`'s order.
    pub change: Change,
    /// `EPOCH:VERSION-RELEASE` of each side, the newest where there are several; empty where the side has none.
    pub old: String,
    pub new: String,
    /// File names of the source packages, for their changelogs.
    pub old_rpm: String,
    pub new_rpm: String,
    /// Packages that differ.
    pub packages: u32,
    /// Bytes of those, on either side.
    pub old_bytes: u64,
    pub new_bytes: u64,
}

/// A stream of modules that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRow {
    pub change: Change,
    pub name: String,
    pub stream: String,
    /// Newest version of each side; empty where there is none.
    pub old: String,
    pub new: String,
}

/// A metadata file of the content that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataRow {
    pub change: Change,
    pub repo: String,
    pub ty: String,
}

/// The whole difference.
#[derive(Debug, Clone, Default)]
pub struct Diff<'a> {
    /// By name, then architecture.
    pub packages: Vec<Row<'a>>,
    /// By name.
    pub sources: Vec<Source>,
    pub streams: Vec<StreamRow>,
    pub metadata: Vec<MetadataRow>,
    /// Packages that are the same on both sides.
    pub same: u64,
    fetch: u64,
}

impl Diff<'_> {
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.streams.is_empty() && self.metadata.is_empty()
    }

    /// How many packages changed so.
    pub fn count(&self, change: Change) -> u64 {
        self.packages.iter().filter(|r| r.change == change).count() as u64
    }

    /// How many source packages changed so.
    pub fn count_sources(&self, change: Change) -> u64 {
        self.sources.iter().filter(|r| r.change == change).count() as u64
    }

    /// Bytes of package files that one needs who has the old side.
    pub fn fetch_bytes(&self) -> u64 {
        self.fetch
    }
}

/// A content that is to be compared: its packages, and the order in which they are. Making one is half of what a comparison costs, and needs no
/// other side: who reads two at once makes each where it was read.
#[derive(Debug)]
pub struct Side {
    list: PackageList,
    /// By key, versions from old to new. Numbers, not packages: of 20,000 of them the latter would be most of what a comparison takes.
    order: Vec<u32>,
}

impl Side {
    pub fn new(list: PackageList) -> Self {
        let mut order: Vec<u32> = (0..list.len() as u32).collect();
        // A sort that knows runs: of one repository the list is in this order but for a few. The name decides as a rule.
        order.sort_by(|x, y| {
            list.name(*x).cmp(list.name(*y)).then_with(|| {
                let (x, y) = (list.at(*x), list.at(*y));
                let rest = || x.evr.compare(y.evr).then_with(|| (x.repo, x.nevra, x.checksum).cmp(&(y.repo, y.nevra, y.checksum)));
                key(&x).cmp(&key(&y)).then_with(rest)
            })
        });
        Self { list, order }
    }

    pub const fn list(&self) -> &PackageList {
        &self.list
    }

    /// The packages of one key, from a place of the order on.
    fn group<'a>(&'a self, from: usize, to: &mut Vec<Package<'a>>) {
        to.clear();
        for n in &self.order[from..] {
            if to.first().is_some_and(|first| first.name != self.list.name(*n)) {
                break;
            }
            let p = self.list.at(*n);
            if to.first().is_some_and(|first| key(first) != key(&p)) {
                break;
            }
            to.push(p);
        }
    }
}

/// Compares two contents. Where they have no repository's name in common, in which one a package lies says nothing.
pub fn diff<'a>(a: &'a Side, b: &'a Side) -> Diff<'a> {
    let (old, new) = (&a.list, &b.list);
    let named = old.repos().any(|r| new.repos().any(|n| n == r));
    let mut out = Diff::default();
    let mut fresh: BTreeMap<Sum<'_>, u64> = BTreeMap::new();
    let (mut olds, mut news) = (Vec::new(), Vec::new());
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        a.group(i, &mut olds);
        b.group(j, &mut news);
        if let (Some(x), Some(y)) = (olds.first(), news.first()) {
            match key(x).cmp(&key(y)) {
                Ordering::Less => news.clear(),
                Ordering::Equal => {}
                Ordering::Greater => olds.clear(),
            }
        }
        (i, j) = (i + olds.len(), j + news.len());
        fresh.extend(news.iter().filter(|n| !olds.iter().any(|o| o.checksum == n.checksum)).map(|n| (n.checksum, n.size)));
        match one(&olds, &news, named) {
            Some(row) => out.packages.push(row),
            None => out.same += news.len() as u64,
        }
    }
    if !fresh.is_empty() {
        // The same file under another stream, say: one has it.
        old.iter().for_each(|p| _ = fresh.remove(&p.checksum));
    }
    out.fetch = fresh.values().fold(0, |sum, size| sum.saturating_add(*size));
    out.sources = sources(&out.packages);
    out.streams = streams(old, new);
    out.metadata = metadata(old, new);
    out
}

fn key<'a>(p: &Package<'a>) -> (&'a str, &'a str, &'a str) {
    (p.name, p.arch, p.stream)
}

/// One name, architecture and stream on both sides; none where nothing differs.
fn one<'a>(old: &[Package<'a>], new: &[Package<'a>], named: bool) -> Option<Row<'a>> {
    let row = |change, old, new| Some(Row { change, old, new });
    let (Some(o), Some(n)) = (old.last().copied(), new.last().copied()) else {
        let change = if new.is_empty() { Change::Gone } else { Change::New };
        return row(change, old.last().copied(), new.last().copied());
    };
    let same = |x: &Package<'_>, y: &Package<'_>| (x.nevra, x.checksum) == (y.nevra, y.checksum) && (!named || x.repo == y.repo);
    if old.len() == new.len() && old.iter().zip(new).all(|(x, y)| same(x, y)) {
        return None;
    }
    match n.evr.compare(o.evr) {
        Ordering::Greater => return row(Change::Up, Some(o), Some(n)),
        Ordering::Less => return row(Change::Down, Some(o), Some(n)),
        Ordering::Equal => {}
    }
    // The newest copies, of which there may be several: in two repositories, or spelt differently.
    let newest = |all: &[Package<'a>], of: Package<'a>| -> Vec<Package<'a>> {
        all.iter().rev().take_while(|p| p.evr.compare(of.evr).is_eq()).copied().collect()
    };
    let (os, ns) = (newest(old, o), newest(new, n));
    let fresh = ns.iter().find(|p| !os.iter().any(|q| q.checksum == p.checksum));
    let lost = os.iter().find(|p| !ns.iter().any(|q| q.checksum == p.checksum));
    if let (Some(fresh), Some(lost)) = (fresh, lost) {
        return row(Change::Rebuilt, Some(*lost), Some(*fresh));
    }
    let came = ns.iter().find(|p| named && !os.iter().any(|q| q.repo == p.repo));
    let went = os.iter().find(|p| !ns.iter().any(|q| q.repo == p.repo));
    if let (Some(came), Some(went)) = (came, went) {
        return row(Change::Moved, Some(*went), Some(*came));
    }
    row(Change::Copies, Some(o), Some(n))
}

/// Name of the source, and whether it was stated.
pub fn source_name<'a>(p: &Package<'a>) -> &'a str {
    if p.arch == "src" || p.arch == "nosrc" {
        return p.name;
    }
    p.source_rpm.parts().map_or(p.name, |(name, _)| name)
}

fn evr(p: &Package<'_>) -> String {
    // A source's file name has no epoch: that of its packages is taken.
    let (version, release) = p.source_rpm.parts().map_or((p.evr.version, p.evr.release), |(_, e)| (e.version, e.release));
    format!("{}:{version}-{release}", p.evr.epoch)
}

#[derive(Default)]
struct Group<'a> {
    old: Option<Package<'a>>,
    new: Option<Package<'a>>,
    /// What its packages did.
    first: Option<Change>,
    packages: u32,
    old_bytes: u64,
    new_bytes: u64,
}

fn source_order(x: &Package<'_>, y: &Package<'_>) -> Ordering {
    match (x.source_rpm.parts(), y.source_rpm.parts()) {
        (Some((_, a)), Some((_, b))) => {
            let with = |epoch, e| super::version::EvrRef { epoch, ..e };
            with(x.evr.epoch, a).compare(with(y.evr.epoch, b))
        }
        _ => x.evr.compare(y.evr),
    }
}

/// Rows by source. A package whose source was renamed counts for both.
fn sources(rows: &[Row<'_>]) -> Vec<Source> {
    let mut groups: BTreeMap<&str, Group<'_>> = BTreeMap::new();
    // Where only older copies came or went, the newest version says nothing of what the others did.
    let (copies, moved): (Vec<&Row<'_>>, Vec<&Row<'_>>) = rows.iter().partition(|r| r.change == Change::Copies);
    for row in moved.into_iter().chain(copies) {
        for (p, is_new) in [(row.old, false), (row.new, true)] {
            let Some(p) = p else { continue };
            let group = groups.entry(source_name(&p)).or_default();
            let (place, bytes) = if is_new { (&mut group.new, &mut group.new_bytes) } else { (&mut group.old, &mut group.old_bytes) };
            if place.is_none_or(|held| row.change != Change::Copies && source_order(&held, &p).is_lt()) {
                *place = Some(p);
            }
            *bytes = bytes.saturating_add(p.size);
            group.first = Some(group.first.map_or(row.change, |c| c.min(row.change)));
        }
        let names = [row.old, row.new].into_iter().flatten().map(|p| source_name(&p));
        let mut counted: Option<&str> = None;
        for name in names {
            if counted != Some(name)
                && let Some(group) = groups.get_mut(name)
            {
                group.packages += 1;
                counted = Some(name);
            }
        }
    }
    groups.into_iter().map(|(name, g)| source(name, &g)).collect()
}

fn source(name: &str, g: &Group<'_>) -> Source {
    let first = g.first.unwrap_or(Change::Copies);
    let change = match (&g.old, &g.new) {
        (Some(old), Some(new)) => match source_order(new, old) {
            Ordering::Greater => Change::Up,
            Ordering::Less => Change::Down,
            Ordering::Equal => first,
        },
        (None, _) => Change::New,
        (_, None) => Change::Gone,
    };
    let text = |p: &Option<Package<'_>>| p.as_ref().map(evr).unwrap_or_default();
    let rpm = |p: &Option<Package<'_>>| p.map(|p| p.source_rpm.to_string()).unwrap_or_default();
    Source {
        name: name.to_owned(),
        change,
        old: text(&g.old),
        new: text(&g.new),
        old_rpm: rpm(&g.old),
        new_rpm: rpm(&g.new),
        packages: g.packages,
        old_bytes: g.old_bytes,
        new_bytes: g.new_bytes,
    }
}

/// Newest build of each stream; versions of modules are numbers, as texts or not.
fn streams(old: &PackageList, new: &PackageList) -> Vec<StreamRow> {
    let newest = |list: &PackageList| -> BTreeMap<(String, String), String> {
        let mut out: BTreeMap<(String, String), String> = BTreeMap::new();
        for s in &list.streams {
            let Stream { name, stream, version, .. } = s;
            let held = out.entry((name.clone(), stream.clone())).or_default();
            if number_order(held, version).is_lt() {
                held.clone_from(version);
            }
        }
        out
    };
    let (a, b) = (newest(old), newest(new));
    let mut out = Vec::new();
    for (key, old) in &a {
        match b.get(key) {
            Some(new) if new == old => {}
            Some(new) => {
                let change = if number_order(old, new).is_lt() { Change::Up } else { Change::Down };
                out.push(stream_row(change, key, old, new));
            }
            None => out.push(stream_row(Change::Gone, key, old, "")),
        }
    }
    out.extend(b.iter().filter(|(k, _)| !a.contains_key(*k)).map(|(k, new)| stream_row(Change::New, k, "", new)));
    out.sort_by(|x, y| (&x.name, &x.stream).cmp(&(&y.name, &y.stream)));
    out
}

fn number_order(a: &str, b: &str) -> Ordering {
    let bare = |t: &str| t.trim_start_matches('0').to_owned();
    let (x, y) = (bare(a), bare(b));
    x.len().cmp(&y.len()).then_with(|| x.cmp(&y))
}

fn stream_row(change: Change, (name, stream): &(String, String), old: &str, new: &str) -> StreamRow {
    StreamRow { change, name: name.clone(), stream: stream.clone(), old: old.to_owned(), new: new.to_owned() }
}

fn metadata(old: &PackageList, new: &PackageList) -> Vec<MetadataRow> {
    let map = |list: &PackageList| -> BTreeMap<(String, String), Vec<String>> {
        let mut out: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for m in &list.metadata {
            out.entry((m.repo.clone(), m.ty.clone())).or_default().push(m.open_checksum.clone());
        }
        out
    };
    let (a, b) = (map(old), map(new));
    let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).cloned().collect();
    let rows = keys.into_iter().filter_map(|key| {
        let change = match (a.get(&key), b.get(&key)) {
            (Some(x), Some(y)) if x == y => return None,
            (Some(_), Some(_)) => Change::Rebuilt,
            (None, _) => Change::New,
            (_, None) => Change::Gone,
        };
        Some(MetadataRow { change, repo: key.0, ty: key.1 })
    });
    rows.collect()
}

#[cfg(test)]
mod tests;
