//! What a repository's metadata says is there: every package by name, size and checksum, every name checked before it is a path of ours.

use std::collections::HashMap;

use super::read::{fold, gather, sha256};
use super::{Origin, RepoError, digest};
use crate::domain::content::Collector;
use crate::wire::excerpt;
use crate::wire::location::{self, Location};
use crate::wire::primary::Package;
use crate::wire::repomd::{self, Checksum, Repomd};

/// A package that the metadata names.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub location: Location,
    pub checksum: Checksum,
    /// 0 where it is not stated.
    pub size: u64,
}

/// Packages by location, each once.
#[derive(Debug, Default)]
pub struct Shelf {
    pub packages: Vec<Wanted>,
    seen: HashMap<String, usize>,
}

impl Shelf {
    /// Takes one row of primary in, or says why the whole list is no use.
    pub fn put(&mut self, p: &Package) -> Result<(), String> {
        if !p.base.is_empty() {
            return Err(format!("package {} lies at another address (xml:base): mirror that repository instead", excerpt(&p.name)));
        }
        let location = location::check(&p.href).map_err(|e| e.to_string())?;
        if matches!(location.components().next(), Some("repodata" | ".quarterdeck")) {
            return Err(format!("package {} would lie in {}/", excerpt(&p.name), location.components().next().unwrap_or_default()));
        }
        if digest::Hasher::new(&p.checksum.algorithm).is_none() {
            return Err(format!(
                "package {} has a checksum of kind `{}`, which is not supported",
                excerpt(&p.name),
                excerpt(&p.checksum.algorithm)
            ));
        }
        if let Some(&other) = self.seen.get(location.as_str()) {
            // createrepo lists a package twice when it is given twice; that is harmless, two contents for one name are not.
            if self.packages[other].checksum != p.checksum {
                return Err(format!("two packages have the name {location}"));
            }
            return Ok(());
        }
        self.seen.insert(location.as_str().to_owned(), self.packages.len());
        self.packages.push(Wanted { location, checksum: p.checksum.clone(), size: p.size });
        Ok(())
    }

    pub fn bytes(&self) -> u64 {
        self.packages.iter().fold(0u64, |sum, p| sum.saturating_add(p.size))
    }
}

/// One repository as its metadata describes it.
pub struct Inventory {
    /// sha256 of `repomd.xml`.
    pub md: String,
    /// The document itself.
    pub raw: Vec<u8>,
    pub repomd: Repomd,
    pub shelf: Shelf,
}

impl Inventory {
    /// Of a repository that was not read.
    pub fn empty() -> Self {
        Self { md: String::new(), raw: Vec::new(), repomd: Repomd { revision: String::new(), data: Vec::new() }, shelf: Shelf::default() }
    }
}

/// Reads a repository, primary verified; its packages go into `all` as well. What changes between two of its files is an error of one of
/// them: the caller knows whether somebody writes.
pub async fn read(name: &str, origin: &Origin, all: &mut Collector) -> Result<Inventory, RepoError> {
    let raw = origin.repomd().await?;
    let at = origin.shown();
    let md = sha256(&raw);
    let repomd = repomd::parse(&raw).map_err(|source| RepoError::Wire { at: at.clone(), source })?;
    let files = gather(origin, &repomd).await?;
    let mut shelf = Shelf::default();
    let open = |index: usize| {
        let held = files.iter().find(|(i, _)| *i == index).map(|(_, bytes)| bytes.as_slice());
        Ok(Box::new(held.unwrap_or_default()) as Box<dyn std::io::BufRead>)
    };
    fold(name, &at, &repomd, open, all, |p| shelf.put(p))?;
    all.repomd(name, &md);
    Ok(Inventory { md, raw, repomd, shelf })
}
