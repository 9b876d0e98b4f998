//! `get versions`: every content that a set was seen to have, and where each stands now: the live trees, the pointers and the snapshots of every
//! datacentre. The links on disk are the truth; what is no longer on any disk is known by its kept package list, or by name alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::blocking::blocking;
use super::content::{LOOK, reading_age};
use super::contents;
use super::freshness::board::RepoBoard;
use super::paging::MOST;
use super::places::{self, Root};
use super::rows::{self, Row};
use super::state::Engine;
use crate::api::ApiError;
use crate::base::sanitise;
use crate::config::Site;
use crate::store::lists::Lists;
use crate::systems::repo::probe::own_label;
use crate::systems::repo::read::sha256;
use crate::systems::repo::{RepoAt, Tree, read_set};
use crate::wire::repomd;

pub const VERSIONS: &[&str] = &[
    "set",
    "os",
    "fp",
    "compose",
    "revision",
    "first_seen",
    "packages",
    "size_bytes",
    "stands",
    "latest",
    "stable",
    "candidate",
    "snapshots",
    "also",
    "word",
    "why",
];

/// One content of a set.
#[derive(Debug, Default)]
struct Version {
    os: String,
    compose: String,
    /// What the metadata of its youngest repository calls itself.
    revision: String,
    /// Repositories on this host that hold it.
    at: Vec<RepoAt>,
    first_us: Option<i64>,
    packages: Option<u64>,
    bytes: Option<u64>,
    /// Datacentres (or roots) whose live trees, stable and candidate hold it.
    latest: BTreeSet<String>,
    stable: BTreeSet<String>,
    candidate: BTreeSet<String>,
    /// `PLACE:ID`.
    snapshots: Vec<String>,
    /// Other pointers that lead to it: `PLACE/NAME`.
    also: Vec<String>,
    /// The set's own trees hold it now.
    own: bool,
    /// The word for a datacentre's live trees that hold it.
    live: String,
}

/// What live trees were seen to hold.
pub(super) struct Seen {
    pub fp: String,
    packages: Option<u64>,
    bytes: Option<u64>,
    /// The trees of their own that were read, where they are not the set's.
    apart: Vec<RepoAt>,
}

impl Seen {
    fn of(fp: String) -> Self {
        Self { fp, packages: None, bytes: None, apart: Vec::new() }
    }
}

/// By set and fingerprint.
type All = BTreeMap<(String, String), Version>;

/// The rows, and how old the oldest reading is in milliseconds.
pub async fn table(engine: &Arc<Engine>) -> Result<(Vec<Row>, u64), ApiError> {
    let site = {
        let engine = engine.clone();
        blocking(move || engine.site()).await?
    };
    for set in site.content.keys() {
        if engine.content.last(set).is_none() {
            let _ = tokio::time::timeout(LOOK, engine.content.look(set)).await;
        }
    }
    let engine = engine.clone();
    blocking(move || {
        let mut all = known(&engine)?;
        let (places, age) = live(&engine, &site, &mut all);
        on_disk(&site, &mut all);
        all.values_mut().for_each(|v| called(&engine, v));
        let lists = Lists::new(&engine.watch.dirs().state);
        let mut out: Vec<((String, i64, String), Row)> = Vec::new();
        for ((set, fp), v) in &all {
            let of = places.get(set).copied().unwrap_or(0).max(1);
            // Newest first within a set: what is live and was never seen before is the newest of all.
            let age = v.first_us.unwrap_or(if v.latest.is_empty() && !v.own { 0 } else { i64::MAX });
            out.push(((set.clone(), -age, fp.clone()), row(set, fp, v, of, lists.has(fp))));
        }
        out.sort_by(|a, b| a.0.cmp(&b.0));
        Ok((out.into_iter().map(|(_, row)| row).collect(), age))
    })
    .await
}

/// What the store has seen.
fn known(engine: &Engine) -> Result<All, ApiError> {
    let mut all = All::new();
    for c in engine.store.contents(None, MOST)? {
        let v = all.entry((c.set, c.fp)).or_default();
        (v.os, v.compose, v.first_us) = (c.os, c.compose, Some(c.first_seen_us));
        (v.packages, v.bytes) = (Some(c.packages), Some(c.bytes));
    }
    Ok(all)
}

/// Puts in what live trees hold. Returns how many places each set has, and the age of the oldest reading in milliseconds.
fn live(engine: &Engine, site: &Site, all: &mut All) -> (BTreeMap<String, usize>, u64) {
    let (mut places, mut age) = (BTreeMap::new(), 0);
    for (set, content) in &site.content {
        let last = engine.content.last(set);
        age = age.max(reading_age(engine.now_us(), last.as_ref().map(|(at, _)| *at)));
        let own = last.as_ref().and_then(|(_, r)| Some((r.fp.known()?.to_owned(), r)));
        if let Some((fp, reading)) = &own {
            let v = all.entry((set.clone(), fp.clone())).or_default();
            v.own = true;
            v.at = content.repos.iter().filter_map(|r| Some(RepoAt { name: r.clone(), at: site.repos.get(r)?.tree.clone() })).collect();
            v.os.clone_from(&content.os);
            v.packages = v.packages.or(Some(reading.packages));
            v.bytes = v.bytes.or(Some(reading.bytes));
        }
        let fp = own.as_ref().map(|(fp, _)| fp.as_str());
        let found: Vec<(String, Option<Seen>)> = match site.promotion.values().find(|p| p.set == *set && !p.dcs.is_empty()) {
            Some(table) => table.dcs.iter().map(|dc| (dc.name.clone(), of_dc(engine, set, &dc.name, &dc.trees, fp))).collect(),
            None => replicas(engine, site, &content.repos, fp).into_iter().map(|(dc, fp)| (dc, fp.map(Seen::of))).collect(),
        };
        places.insert(set.clone(), found.len());
        for (place, seen) in found {
            let Some(seen) = seen else { continue };
            let v = all.entry((set.clone(), seen.fp)).or_default();
            v.os.clone_from(&content.os);
            v.packages = v.packages.or(seen.packages);
            v.bytes = v.bytes.or(seen.bytes);
            if !seen.apart.is_empty() && v.live.is_empty() {
                v.live = format!("{set}@{place}");
                v.at = seen.apart;
            }
            v.latest.insert(place);
        }
    }
    (places, age)
}

/// What the live trees of a datacentre hold: those that its table names, else the set's own. None where they cannot be read.
pub(super) fn of_dc(engine: &Engine, set: &str, dc: &str, trees: &[String], own: Option<&str>) -> Option<Seen> {
    if trees.is_empty() {
        return own.map(|fp| Seen::of(fp.to_owned()));
    }
    let named = trees.iter().filter_map(|t| t.split_once('='));
    let repos: Vec<RepoAt> = named.map(|(name, at)| RepoAt { name: name.to_owned(), at: at.to_owned() }).collect();
    let key = format!("{set} {dc}");
    let before = engine.live.last(&key);
    let read = contents::read(async { Ok(tokio::time::timeout(LOOK, read_set(&repos, before.as_ref())).await.unwrap_or_default()) });
    let reading = read.unwrap_or_default();
    let fp = reading.fp.known()?.to_owned();
    let seen = Seen { fp, packages: Some(reading.packages), bytes: Some(reading.bytes), apart: repos };
    engine.live.keep(key, reading);
    Some(seen)
}

/// The datacentres that serve the set's repositories, and whether each serves what our own trees hold; of another content nobody has read the
/// whole.
fn replicas(engine: &Engine, site: &Site, repos: &[String], own: Option<&str>) -> Vec<(String, Option<String>)> {
    let boards: Vec<(&String, Option<RepoBoard>)> = repos.iter().map(|r| (r, engine.freshness.of(r))).collect();
    let dcs: BTreeSet<&str> =
        repos.iter().filter_map(|r| site.repos.get(r)).flat_map(|r| r.replicas.iter().map(|p| p.dc.as_str())).collect();
    let same = |dc: &str| {
        boards.iter().all(|(_, board)| {
            let of = |place: &str| board.as_ref().and_then(|b| b.place(place)).and_then(|p| p.observed.fp.clone());
            matches!((of(dc), of("tree")), (Some(a), Some(b)) if a == b)
        })
    };
    dcs.into_iter().map(|dc| (dc.to_owned(), own.filter(|_| same(dc)).map(str::to_owned))).collect()
}

/// Puts in the snapshots, and the pointers that lead to them.
fn on_disk(site: &Site, all: &mut All) {
    for root in places::roots(site) {
        let held = root.held();
        for s in &held.snapshots {
            let set = match (site.content.contains_key(&s.set), root.promoted) {
                (false, Some((_, table))) => table.set.clone(),
                _ => s.set.clone(),
            };
            let v = all.entry((set.clone(), s.fp.clone())).or_default();
            if v.os.is_empty() {
                v.os = site.content.get(&set).map(|c| c.os.clone()).or(root.promoted.map(|(os, _)| os.to_owned())).unwrap_or_default();
            }
            v.first_us = v.first_us.into_iter().chain(s.made_us).min();
            v.packages = v.packages.or(Some(s.packages));
            v.bytes = v.bytes.or(Some(s.bytes));
            if v.at.is_empty() {
                v.at.clone_from(&s.repos);
            }
            v.snapshots.push(format!("{}:{}", root.place, s.id));
            for name in held.pointers.get(&s.id).into_iter().flatten() {
                point(v, &root, name);
            }
        }
    }
}

fn point(v: &mut Version, root: &Root<'_>, name: &str) {
    let (stable, candidate) = root.promoted.map_or(("stable", "candidate"), |(_, t)| (t.pointer.as_str(), t.candidate.as_str()));
    let place = root.place.clone();
    if name == stable {
        v.stable.insert(place);
    } else if name == candidate {
        v.candidate.insert(place);
    } else {
        v.also.push(format!("{place}/{name}"));
    }
}

/// What people call it, where it was read before its label was known: as upstream called the same metadata, whoever saw it there, as a snapshot
/// of it says, and by its revision.
fn called(engine: &Engine, v: &mut Version) {
    let mut labels = BTreeSet::new();
    let mut newest: (u64, String) = (0, String::new());
    for repo in v.at.iter().filter(|r| r.at.starts_with('/')) {
        let raw = Tree::open_to_read(Path::new(&repo.at)).and_then(|t| t.read_small("repodata/repomd.xml", repomd::MAX_BYTES));
        let Some((raw, parsed)) = raw.ok().flatten().and_then(|raw| repomd::parse(&raw).ok().map(|p| (raw, p))) else { continue };
        if v.compose.is_empty() {
            let seen = engine.store.compose_of(&sha256(&raw)).unwrap_or_default();
            labels.insert(if seen.is_empty() { own_label(Path::new(&repo.at)).unwrap_or_default() } else { seen });
        }
        let age = parsed.newest().unwrap_or(0);
        if newest.1.is_empty() || age > newest.0 {
            newest = (age, parsed.revision);
        }
    }
    // Of repositories that were called differently, nobody has called the whole.
    if let (1, Some(label)) = (labels.len(), labels.pop_first()) {
        v.compose = label;
    }
    v.revision = newest.1;
}

fn row(set: &str, fp: &str, v: &Version, of: usize, listed: bool) -> Row {
    let words = |all: &BTreeSet<String>| all.iter().cloned().collect::<Vec<_>>().join(" ");
    let (word, why) = match () {
        // Trees and snapshots have the changelogs too, a list has not.
        () if !v.snapshots.is_empty() => (fp.to_owned(), ""),
        () if v.own => (format!("{set}@latest"), ""),
        () if !v.live.is_empty() => (v.live.clone(), ""),
        () if listed => (fp.to_owned(), ""),
        () => (String::new(), "its package list was not kept and no snapshot has it: it cannot be compared"),
    };
    let value = json!({
        "set": set, "os": v.os, "fp": fp, "compose": sanitise::cell(&v.compose), "revision": sanitise::cell(&v.revision),
        "first_seen": rows::time_opt(v.first_us),
        "packages": v.packages, "size_bytes": v.bytes, "stands": stands(v, of),
        "latest": words(&v.latest), "stable": words(&v.stable), "candidate": words(&v.candidate), "snapshots": v.snapshots.join(" "),
        "also": v.also.join(" "), "word": word, "why": why,
    });
    match value {
        Value::Object(map) => map,
        _ => Row::new(),
    }
}

/// `latest 2/3, stable 3/3`: in how many of the set's places; empty = nowhere any more.
fn stands(v: &Version, of: usize) -> String {
    let mut out = Vec::new();
    let mut put = |word: &str, n: usize| {
        if n > 0 {
            out.push(if n == 1 && of <= 1 { word.to_owned() } else { format!("{word} {n}/{}", of.max(n)) });
        }
    };
    put("stable", v.stable.len());
    put("candidate", v.candidate.len());
    put("latest", if v.latest.is_empty() { usize::from(v.own && of <= 1) } else { v.latest.len() });
    if v.own && v.latest.is_empty() && of > 1 {
        out.push("latest, in no datacentre".to_owned());
    }
    if out.is_empty() && !v.snapshots.is_empty() {
        out.push(format!("snapshot {}", v.snapshots.len()));
    }
    out.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_content_stands_is_said_in_places() {
        let names = |all: &[&str]| all.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<_>>();
        let v = |latest: &[&str], stable: &[&str], own, snapshots: &[&str]| Version {
            latest: names(latest),
            stable: names(stable),
            own,
            snapshots: snapshots.iter().map(|s| (*s).to_owned()).collect(),
            ..Version::default()
        };
        for (v, of, want) in [
            (v(&["alder", "birch"], &[], true, &[]), 3, "latest 2/3"),
            (v(&["alder"], &["alder", "birch", "cedar"], true, &["alder:x"]), 3, "stable 3/3, latest 1/3"),
            (v(&[], &[], true, &[]), 1, "latest"),
            (v(&[], &[], true, &[]), 3, "latest, in no datacentre"),
            (v(&[], &["el9"], false, &["el9:x"]), 1, "stable"),
            (v(&[], &[], false, &["alder:x", "birch:x"]), 3, "snapshot 2"),
            (v(&[], &[], false, &[]), 3, ""),
        ] {
            assert_eq!(stands(&v, of), want);
        }
        let gone = row("el9", "ab", &Version::default(), 1, false);
        assert_eq!((gone["word"].as_str(), gone["why"].as_str().unwrap().is_empty()), (Some(""), false));
        let kept = row("el9", "ab", &Version::default(), 1, true);
        assert_eq!(kept["word"], "ab");
        assert_eq!(kept.keys().map(String::as_str).collect::<Vec<_>>(), VERSIONS);
    }
}
