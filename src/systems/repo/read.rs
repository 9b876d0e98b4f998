//! Repositories into readings: every package of primary, the open-checksums of modules, group and updateinfo, folded into one fingerprint.

use std::io::BufRead;

use super::{Origin, RepoError, digest};
use crate::domain::content::{CONTENT_TYPES, Collector, Reading, content_type, hex};
use crate::wire::primary::{self, Package};
use crate::wire::repomd::{self, Repomd};
use crate::wire::{WireError, decompress};
use sha2::{Digest, Sha256};

/// A repository of a set: the name that the fingerprint knows it by, and where it lies (a path or an address).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoAt {
    pub name: String,
    pub at: String,
}

/// Reads the set. What cannot be read makes the whole set unknown, with the reason. `known` is an earlier reading: where the md is
/// still the same, no package list is read and the earlier fingerprint holds.
pub async fn read_set(repos: &[RepoAt], known: Option<&Reading>) -> Reading {
    if repos.is_empty() {
        return Reading::unknown("the set names no repository");
    }
    let mut opened = Vec::with_capacity(repos.len());
    let mut md = Collector::new();
    for repo in repos {
        let found = async {
            let origin = Origin::open(&repo.at)?;
            let bytes = origin.repomd().await?;
            Ok::<_, RepoError>((origin, bytes))
        };
        match found.await {
            Ok((origin, bytes)) => {
                md.repomd(&repo.name, &sha256(&bytes));
                opened.push((repo, origin, bytes));
            }
            Err(e) => return Reading::unknown(format!("{}: {e}", repo.name)),
        }
    }
    let md = md.finish().md;
    if let Some(known) = known.filter(|k| k.md == md && k.fp.known().is_some()) {
        return known.clone();
    }
    let mut all = Collector::new();
    for (repo, origin, bytes) in opened {
        if let Err(e) = read_into(&repo.name, &origin, bytes, &mut all).await {
            return Reading { md, ..Reading::unknown(format!("{}: {e}", repo.name)) };
        }
    }
    Reading { md, ..all.finish() }
}

/// A publish may pass between repomd.xml and its files; the second look finds them together.
async fn read_into(name: &str, origin: &Origin, mut bytes: Vec<u8>, all: &mut Collector) -> Result<(), RepoError> {
    let at = origin.shown();
    for last in [false, true] {
        let repomd = repomd::parse(&bytes).map_err(|source| RepoError::Wire { at: at.clone(), source })?;
        match gather(origin, &repomd).await {
            Ok(files) => {
                let open = |index: usize| {
                    let held = files.iter().find(|(i, _)| *i == index).map(|(_, bytes)| bytes.as_slice());
                    Ok(Box::new(held.unwrap_or_default()) as Box<dyn BufRead>)
                };
                fold(name, &at, &repomd, open, all, |_| Ok(()))?;
                return Ok(());
            }
            Err(e) if last => return Err(e),
            Err(_) => bytes = origin.repomd().await?,
        }
    }
    Ok(())
}

/// The compressed bytes of the metadata files that the content depends on, by index in `repomd.data`, verified.
pub(super) type Files = Vec<(usize, Vec<u8>)>;

pub(super) async fn gather(origin: &Origin, repomd: &Repomd) -> Result<Files, RepoError> {
    let mut files = Files::new();
    for (index, data) in repomd.data.iter().enumerate() {
        let wanted = data.ty == "primary" || (CONTENT_TYPES.contains(&content_type(&data.ty)) && data.open().is_none());
        if wanted {
            files.push((index, origin.metadata(data).await?));
        }
    }
    Ok(files)
}

/// Folds one repository into the collector and hands every package to `row`. `open` gives the compressed bytes of a metadata file, by
/// its index in `repomd.data`: primary, and each content file without a stated open-checksum.
pub fn fold<'a>(
    name: &str,
    at: &str,
    repomd: &Repomd,
    mut open: impl FnMut(usize) -> Result<Box<dyn BufRead + 'a>, RepoError>,
    all: &mut Collector,
    mut row: impl FnMut(&Package) -> Result<(), String>,
) -> Result<u64, RepoError> {
    let wire = |source| RepoError::Wire { at: at.to_owned(), source };
    let mut count = 0;
    for (index, data) in repomd.data.iter().enumerate() {
        if data.ty == "primary" {
            let open = decompress::reader(open(index)?, "primary.xml", data.open_size).map_err(wire)?;
            count = primary::read(open, false, |p| {
                all.package(name, &p.nevra(), &p.checksum.hex, p.size);
                row(p)
            })
            .map_err(wire)?;
        } else if CONTENT_TYPES.contains(&content_type(&data.ty)) {
            match data.open() {
                Some(checksum) => all.metadata(name, &data.ty, &checksum.hex),
                None => {
                    let mut open = decompress::reader(open(index)?, "a metadata file", data.open_size).map_err(wire)?;
                    all.metadata(name, &data.ty, &open_checksum(&mut open).map_err(wire)?);
                }
            }
        }
    }
    Ok(count)
}

/// The sha256 of the open bytes, for compressed files whose repomd does not state it.
pub(super) fn open_checksum(open: &mut dyn BufRead) -> Result<String, WireError> {
    let what = "a metadata file";
    let read = digest::of_reader("sha256", open).map_err(|e| WireError::Read { what, why: e.to_string() })?;
    read.map(|(hex, _)| hex).ok_or_else(|| WireError::Missing { what, missing: "a digest".into() })
}

/// Lower-case hex of some bytes' sha256: the md of a `repomd.xml`.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
