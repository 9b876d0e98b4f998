//! The upstream's package list: read from staged metadata, every name checked, folded into the fingerprint on the way.

use std::collections::HashMap;
use std::io::BufReader;

use super::Sync;
use super::attempt::Offer;
use super::guard::Extent;
use crate::domain::content::Collector;
use crate::systems::repo::{RepoError, digest, read};
use crate::wire::location::{self, Location};
use crate::wire::repomd::Checksum;

/// A package to be mirrored.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub location: Location,
    pub checksum: Checksum,
    pub size: u64,
}

pub struct Listing {
    pub packages: Vec<Wanted>,
    pub fp: String,
    pub extent: Extent,
}

/// Reads primary from the staged (or kept) files. An error means that this upstream's metadata is no use.
pub fn read(sync: &Sync, offer: &Offer) -> Result<Listing, RepoError> {
    let mut all = Collector::new();
    let mut packages: Vec<Wanted> = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    let open = |index: usize| {
        let file = sync.tree.open_read(&offer.files[index].at)?;
        Ok(Box::new(BufReader::with_capacity(64 << 10, file)) as Box<dyn std::io::BufRead>)
    };
    read::fold(&sync.options.repo, &offer.shown, &offer.repomd, open, &mut all, |p| {
        if !p.base.is_empty() {
            return Err(format!(
                "package {} lies at another address (xml:base): mirror that repository instead",
                crate::wire::excerpt(&p.name)
            ));
        }
        let location = location::check(&p.href).map_err(|e| e.to_string())?;
        if location.components().next() == Some("repodata") {
            return Err(format!("package {} would lie in repodata/", crate::wire::excerpt(&p.name)));
        }
        if digest::Hasher::new(&p.checksum.algorithm).is_none() {
            return Err(format!(
                "package {} has a checksum of kind `{}`, which is not supported",
                crate::wire::excerpt(&p.name),
                p.checksum.algorithm
            ));
        }
        if let Some(&other) = seen.get(location.as_str()) {
            // createrepo lists a package twice when it is given twice; that is harmless, two contents for one name are not.
            if packages[other].checksum != p.checksum {
                return Err(format!("two packages have the name {location}"));
            }
            return Ok(());
        }
        seen.insert(location.as_str().to_owned(), packages.len());
        packages.push(Wanted { location, checksum: p.checksum.clone(), size: p.size });
        Ok(())
    })?;
    let reading = all.finish();
    let extent = Extent { packages: packages.len() as u64, bytes: packages.iter().map(|p| p.size).sum() };
    Ok(Listing { packages, fp: reading.fp.known().unwrap_or_default().to_owned(), extent })
}
