//! What the roots of a promotion's datacentres hold, read from their disks: pointers, snapshots, room; and the trees that they are filled from.
//! Blocks; decides nothing.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::api::ApiError;
use crate::config::{self, Site};
use crate::domain::promotion::Promotion;
use crate::domain::promotion::pointer::Led;
use crate::systems::repo::links::Named;
use crate::systems::repo::read::sha256;
use crate::systems::repo::{Tree, TreeError};
use crate::wire::repomd;

const SNAPSHOTS: &str = "snapshots";
const REPOMD: &str = "repodata/repomd.xml";
/// A manifest names repositories, not packages.
const MAX_MANIFEST: u64 = 4 << 20;

/// What one datacentre's root holds.
#[derive(Debug, Clone)]
pub struct Dc {
    pub name: String,
    pub root: String,
    pub led: Led,
    /// Why it is unknown.
    pub why: String,
    pub led_fp: Option<String>,
    /// Snapshots that the promotion names, as they say of themselves.
    pub snapshots: BTreeMap<String, Manifest>,
    pub free_bytes: Option<u64>,
}

/// What a snapshot says of itself, as far as a plan needs it.
#[derive(Debug, Clone, Deserialize)]
pub struct Manifest {
    pub id: String,
    pub fp: String,
    #[serde(default)]
    pub md: String,
    #[serde(default)]
    pub made_us: i64,
    #[serde(default)]
    pub repos: Vec<Part>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Part {
    pub name: String,
    #[serde(default)]
    pub md: String,
    #[serde(default)]
    pub packages: u64,
    #[serde(default)]
    pub bytes: u64,
}

impl Manifest {
    pub fn bytes(&self) -> u64 {
        self.repos.iter().map(|r| r.bytes).sum()
    }
}

/// The site's table for an OS major.
pub fn table<'a>(site: &'a Site, os: &str) -> Result<&'a config::Promotion, ApiError> {
    site.promotion.get(os).ok_or_else(|| {
        let known: Vec<&str> = site.promotion.keys().map(String::as_str).collect();
        let help = match known.is_empty() {
            true => format!("add a table [promotion.{os}] to site.toml"),
            false => format!("there are: {}", known.join(" ")),
        };
        ApiError::bad(format!("the site promotes no `{}`", crate::base::sanitise::cell(os)), help)
    })
}

/// Looks at every root of a promotion.
pub fn of(table: &config::Promotion, p: &Promotion) -> Vec<Dc> {
    table.dcs.iter().map(|dc| root(&dc.name, &dc.root, &table.pointer, p)).collect()
}

fn root(name: &str, path: &Path, pointer: &str, p: &Promotion) -> Dc {
    let shown = path.display().to_string();
    let mut out = Dc {
        name: name.to_owned(),
        root: shown,
        led: Led::Unknown,
        why: String::new(),
        led_fp: None,
        snapshots: BTreeMap::new(),
        free_bytes: None,
    };
    let tree = match Tree::open_to_read(path) {
        Ok(tree) => tree,
        // The first snapshot makes it.
        Err(TreeError::Io { kind: std::io::ErrorKind::NotFound, .. }) => {
            out.led = Led::Nothing;
            return out;
        }
        Err(e) => {
            out.why = e.to_string();
            return out;
        }
    };
    match led(&tree, pointer) {
        Ok(led) => out.led = led,
        Err(e) => out.why = e.to_string(),
    }
    out.free_bytes = tree.space().ok().map(|s| s.bytes);
    let taken = p.taken_of(name);
    let before = p.before.iter().find(|b| b.dc == name).and_then(|b| b.from.snapshot());
    let ids = [out.led.snapshot(), before, taken.map(|t| t.base.as_str()), taken.map(|t| t.id.as_str())];
    for id in ids.into_iter().flatten() {
        if let Some(m) = manifest(&tree, id) {
            out.snapshots.insert(id.to_owned(), m);
        }
    }
    out.led_fp = out.led.snapshot().and_then(|id| out.snapshots.get(id)).map(|m| m.fp.clone());
    out
}

/// Where a pointer of a root leads.
fn led(tree: &Tree, pointer: &str) -> Result<Led, TreeError> {
    Ok(match tree.named(pointer)? {
        Named::Nothing => Led::Nothing,
        Named::Directory => Led::Directory,
        Named::File | Named::Other => Led::Other("something that is neither a link nor a directory".into()),
        Named::Link(text) => match text.split('/').collect::<Vec<_>>().as_slice() {
            [SNAPSHOTS, id] if crate::domain::snapshot::plain(id) && tree.named(&text)? == Named::Directory => {
                Led::Snapshot((*id).to_owned())
            }
            _ => Led::Other(crate::base::sanitise::cell(&text)),
        },
    })
}

/// None: it is not there, or says nothing that can be believed: what it says it holds must lie beside it.
fn manifest(tree: &Tree, id: &str) -> Option<Manifest> {
    let bytes = tree.read_small(&format!("{SNAPSHOTS}/{id}/.quarterdeck/snapshot.json"), MAX_MANIFEST).ok()??;
    let m: Manifest = serde_json::from_slice(&bytes).ok()?;
    let known = m.id == id && m.fp.len() == 64 && m.fp.bytes().all(|b| b.is_ascii_hexdigit());
    // `rm -r snapshots/ID/*` leaves the hidden directory that says what was there.
    let there = |part: &Part| {
        let at = format!("{SNAPSHOTS}/{id}/{}/{REPOMD}", part.name);
        let own = || tree.read_small(&at, repomd::MAX_BYTES).ok().flatten().is_some_and(|raw| sha256(&raw) == part.md);
        part.md.is_empty() || (crate::domain::snapshot::plain(&part.name) && own())
    };
    (known && m.repos.iter().all(there)).then_some(m)
}

/// Trees that a datacentre is filled from: `REPO=PATH`.
pub fn trees(site: &Site, table: &config::Promotion, dc: &config::Dc) -> Vec<String> {
    if !dc.trees.is_empty() {
        return dc.trees.clone();
    }
    let repos = site.content.get(&table.set).map(|c| c.repos.clone()).unwrap_or_default();
    repos.iter().map(|r| format!("{r}={}", site.repos.get(r).map(|r| r.tree.clone()).unwrap_or_default())).collect()
}

/// The repository that something comes into, and the tree of a datacentre that has it. `REPO`, or `REPO=PATH`.
pub fn place(site: &Site, table: &config::Promotion, dc: &config::Dc, source: &str) -> Option<(String, String)> {
    if let Some((repo, path)) = source.split_once('=') {
        return Some((repo.to_owned(), path.to_owned()));
    }
    let trees = trees(site, table, dc);
    let own = trees.iter().filter_map(|t| t.split_once('=')).find(|(repo, path)| *repo == source && !path.is_empty());
    own.map(|(repo, path)| (repo.to_owned(), path.to_owned()))
}
