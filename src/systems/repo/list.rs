//! Repositories into package lists, and the changelogs of chosen source packages. Files on disk are read as streams: a list costs its own
//! few megabytes, whatever the metadata does.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use super::{Origin, RepoAt, RepoError};
use crate::domain::changelog;
use crate::domain::content::{CONTENT_TYPES, content_type};
use crate::domain::packages::{Builder, Entry, PackageList, Stream};
use crate::wire::repomd::{self, Data};
use crate::wire::{modules, other, primary};

use super::read::open_checksum;

/// Reads the packages of a set. Either all of it, or the reason of the first repository that could not be read, with its name.
pub async fn read_list(repos: &[RepoAt]) -> Result<PackageList, (String, RepoError)> {
    let mut all = Builder::new();
    for repo in repos {
        read_into(repo, &mut all).await.map_err(|e| (repo.name.clone(), e))?;
    }
    Ok(all.finish())
}

/// A publish may pass between repomd.xml and its files; the second look finds them together. What the first look took in is dropped.
async fn read_into(repo: &RepoAt, all: &mut Builder) -> Result<(), RepoError> {
    let origin = Origin::open(&repo.at)?;
    let mark = all.mark();
    match read_once(&repo.name, &origin, all).await {
        Ok(()) => Ok(()),
        Err(_) => {
            all.rewind(mark);
            read_once(&repo.name, &origin, all).await
        }
    }
}

async fn read_once(name: &str, origin: &Origin, all: &mut Builder) -> Result<(), RepoError> {
    let raw = origin.repomd().await?;
    let repomd = repomd::parse(&raw).map_err(|source| RepoError::Wire { at: origin.shown(), source })?;
    for data in &repomd.data {
        let ty = content_type(&data.ty);
        if data.ty == "primary" {
            packages(name, origin, data, all).await?;
        } else if CONTENT_TYPES.contains(&ty) {
            let sum = match data.open() {
                Some(sum) => sum.hex.clone(),
                None => origin.scan(data, "a metadata file", |open| open_checksum(open)).await?,
            };
            all.metadata(name, &data.ty, &sum);
            // Compressed twins hold the same documents.
            if data.ty == "modules" {
                streams(name, origin, data, all).await?;
            }
        }
    }
    Ok(())
}

/// Open bytes of a package in primary at the least, nearly: those with few dependencies and files take as many.
const PACKAGE_BYTES: u64 = 2048;

async fn packages(name: &str, origin: &Origin, data: &Data, all: &mut Builder) -> Result<(), RepoError> {
    all.expect((data.open_size.unwrap_or(0) / PACKAGE_BYTES) as usize);
    let read = |open: &mut dyn std::io::BufRead| {
        primary::read(open, false, |p| {
            let entry = Entry {
                name: &p.name,
                epoch: &p.epoch,
                version: &p.version,
                release: &p.release,
                arch: &p.arch,
                checksum: &p.checksum.hex,
                size: p.size,
                source_rpm: &p.source_rpm,
                stream: "",
            };
            all.package(name, &entry).map_err(|e| e.to_string())
        })
    };
    origin.scan(data, "primary.xml", read).await.map(drop)
}

async fn streams(repo: &str, origin: &Origin, data: &Data, all: &mut Builder) -> Result<(), RepoError> {
    let read = |open: &mut dyn std::io::BufRead| {
        modules::read(open, |m| {
            for nevra in &m.artifacts {
                all.belongs(nevra, &m.name, &m.stream).map_err(|e| e.to_string())?;
            }
            let (name, stream, version, context, arch) = (m.name, m.stream, m.version, m.context, m.arch);
            all.stream(Stream { repo: repo.to_owned(), name, stream, version, context, arch });
            Ok(())
        })
    };
    origin.scan(data, "modules.yaml", read).await
}

/// Entries that are kept of one source package, and the bytes of all: a hostile file ends there, not in a full memory.
const MAX_ENTRIES: usize = 1000;
const MAX_BYTES: usize = 64 << 20;

/// The changelogs of source packages, by their file names as primary has them. A source that a repository tells nothing of is absent.
pub type Changelogs = HashMap<String, Vec<changelog::Entry>>;

/// Reads the changelogs of the wanted source packages: those of the first package of each. A repository without `other` tells nothing.
pub async fn read_changelogs(repos: &[RepoAt], list: &PackageList, wanted: &HashSet<&str>) -> Result<Changelogs, (String, RepoError)> {
    let mut out = Changelogs::new();
    let mut bytes = 0usize;
    for repo in repos {
        // One package of each source is enough: they share the changelog.
        let mut asked: HashSet<&str> = HashSet::new();
        let mut of: HashMap<String, &str> = HashMap::new();
        let mut rpm = String::new();
        for p in list.iter().filter(|p| p.repo == repo.name) {
            rpm.clear();
            let _ = write!(rpm, "{}", p.source_rpm);
            let Some(source) = wanted.get(rpm.as_str()).copied() else { continue };
            if !out.contains_key(source) && asked.insert(source) {
                of.insert(p.checksum.to_string(), source);
            }
        }
        if of.is_empty() {
            continue;
        }
        let read = async {
            let origin = Origin::open(&repo.at)?;
            let raw = origin.repomd().await?;
            let repomd = repomd::parse(&raw).map_err(|source| RepoError::Wire { at: origin.shown(), source })?;
            let Some(data) = repomd.find("other") else { return Ok(()) };
            let work = |open: &mut dyn std::io::BufRead| {
                other::read(
                    open,
                    |p| of.contains_key(p.pkgid.as_str()),
                    |p, e| {
                        let Some(source) = of.get(p.pkgid.as_str()) else { return Ok(()) };
                        let entries = out.entry((*source).to_owned()).or_default();
                        bytes += e.author.len() + e.text.len();
                        if bytes > MAX_BYTES {
                            return Err(format!("the changelogs have more than {} MiB", MAX_BYTES >> 20));
                        }
                        if entries.len() < MAX_ENTRIES {
                            entries.push(changelog::Entry { date: e.date, author: e.author.clone(), text: e.text.clone() });
                        }
                        Ok(())
                    },
                )
            };
            origin.scan(data, "other.xml", work).await
        };
        read.await.map_err(|e: RepoError| (repo.name.clone(), e))?;
    }
    Ok(out)
}
