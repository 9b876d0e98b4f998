//! The upstream's package list: read from staged metadata, every name checked, folded into the fingerprint on the way.

use std::collections::HashMap;
use std::io::BufReader;

use super::Sync;
use super::guard::Extent;
use super::offer::Offer;
use crate::domain::content::Collector;
use crate::systems::repo::inventory::{Shelf, Wanted};
use crate::systems::repo::{RepoError, read};

pub struct Listing {
    pub packages: Vec<Wanted>,
    pub fp: String,
    pub extent: Extent,
    /// Packages that lie elsewhere in our tree than upstream's name says, by index.
    pub moved: HashMap<usize, String>,
}

impl Listing {
    /// Where package `i` lies in our tree.
    pub fn at(&self, i: usize) -> &str {
        self.moved.get(&i).map_or_else(|| self.packages[i].location.as_str(), String::as_str)
    }
}

/// Reads primary from the staged (or kept) files. An error means that this upstream's metadata is no use.
pub fn read(sync: &Sync, offer: &Offer) -> Result<Listing, RepoError> {
    let mut all = Collector::new();
    let mut shelf = Shelf::default();
    let open = |index: usize| {
        let file = sync.tree.open_read(&offer.files[index].at)?;
        Ok(Box::new(BufReader::with_capacity(64 << 10, file)) as Box<dyn std::io::BufRead>)
    };
    read::fold(&sync.options.repo, &offer.shown, &offer.repomd, open, &mut all, |p| shelf.put(p))?;
    let reading = all.finish();
    let extent = Extent { packages: shelf.packages.len() as u64, bytes: shelf.bytes() };
    Ok(Listing { packages: shelf.packages, fp: reading.fp.known().unwrap_or_default().to_owned(), extent, moved: HashMap::new() })
}
