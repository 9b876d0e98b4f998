//! Where the snapshots and pointers of a site lie: the roots of its datacentres, and those below `[mirror] roots`. Reads only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::{Promotion, Site};
use crate::systems::repo::snapshots::{self, Snapshot};

/// A directory of snapshots and pointers.
pub struct Root<'a> {
    /// The datacentre, else the name of the directory.
    pub place: String,
    pub path: PathBuf,
    /// OS and table of the promotion that moves its pointers.
    pub promoted: Option<(&'a str, &'a Promotion)>,
}

/// What a root holds now.
#[derive(Debug, Default)]
pub struct Held {
    pub snapshots: Vec<Snapshot>,
    /// Snapshot → pointers that lead to it.
    pub pointers: BTreeMap<String, Vec<String>>,
}

impl Root<'_> {
    /// Reads it now; one that is not there holds nothing.
    pub fn held(&self) -> Held {
        let mut out = Held { snapshots: snapshots::all(std::slice::from_ref(&self.path)), pointers: BTreeMap::new() };
        for (name, id) in snapshots::pointers(&self.path) {
            out.pointers.entry(id).or_default().push(name);
        }
        out
    }

    /// Whether it is the root itself, or a name of it.
    fn is(&self, path: &Path) -> bool {
        let real = |p: &Path| std::fs::canonicalize(p).unwrap_or_else(|_| p.to_owned());
        real(&self.path) == real(path)
    }
}

/// Every root once, those of promotions first, in the order of their switches.
pub fn roots(site: &Site) -> Vec<Root<'_>> {
    let mut out: Vec<Root<'_>> = Vec::new();
    for (os, table) in &site.promotion {
        for dc in &table.dcs {
            out.push(Root { place: dc.name.clone(), path: dc.root.clone(), promoted: Some((os, table)) });
        }
    }
    for path in snapshots::roots(&site.mirror_roots) {
        if !out.iter().any(|r| r.is(&path)) {
            let place = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
            out.push(Root { place, path, promoted: None });
        }
    }
    out
}
