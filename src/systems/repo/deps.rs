//! Dependencies of repositories, read into a world whose requirements can be judged.

use std::collections::{HashMap, HashSet};

use super::read::open_checksum;
use super::{Origin, RepoAt, RepoError};
use crate::domain::closure::{Number, World};
use crate::domain::content::{CONTENT_TYPES, Collector, content_type};
use crate::domain::dep::{Capability, Evr, Sense};
use crate::wire::primary::{self, Compare, Entry, Package};
use crate::wire::repomd::{self, Repomd};
use crate::wire::{WireError, filelists};

/// What is left to ask of a repository whose packages were read: its file lists.
pub struct Loaded {
    origin: Origin,
    repomd: Repomd,
    numbers: HashMap<String, Number>,
}

/// Which packages of a repository come into a world.
pub type Take<'a> = &'a (dyn Fn(&Package) -> bool + Sync);

/// Reads a repository's packages into the world. `checked`: their requirements count, and they are part of the content. A package that `take`
/// refuses is as if it were not there: so a hold is tried out before anything is built.
pub async fn load(world: &mut World, repo: &RepoAt, checked: bool, take: Take<'_>, all: &mut Collector) -> Result<Loaded, RepoError> {
    let origin = Origin::open(&repo.at)?;
    let raw = origin.repomd().await?;
    let wire = |source: WireError| RepoError::Wire { at: repo.at.clone(), source };
    let repomd = repomd::parse(&raw).map_err(wire)?;
    let data = repomd.find("primary").ok_or_else(|| wire(WireError::Missing { what: "repomd.xml", missing: "primary".into() }))?;
    if checked {
        all.repomd(&repo.name, &super::read::sha256(&raw));
        for content in repomd.data.iter().filter(|d| CONTENT_TYPES.contains(&content_type(&d.ty))) {
            // As every reading of this content does it, or the verdict would be of a content that nobody else knows.
            match content.open() {
                Some(sum) => all.metadata(&repo.name, &content.ty, &sum.hex),
                None => all.metadata(&repo.name, &content.ty, &origin.scan(content, "a metadata file", |open| open_checksum(open)).await?),
            }
        }
    }
    let mut numbers = HashMap::new();
    let work = |open: &mut dyn std::io::BufRead| {
        primary::read(open, true, |p| {
            if !take(p) {
                return Ok(());
            }
            let nevra = p.nevra();
            if checked {
                all.package(&repo.name, &nevra, &p.checksum.hex, p.size);
            }
            let number = world.package(nevra);
            numbers.insert(p.checksum.hex.clone(), number);
            p.provides.iter().for_each(|e| world.provide(number, capability(e)));
            if !p.arch.ends_with("src") && !p.provides.iter().any(|e| e.name == p.name) {
                world.provide(number, itself(p));
            }
            p.files.iter().for_each(|path| world.file(number, path));
            if checked {
                p.requires.iter().for_each(|e| world.require(number, capability(e)));
            }
            Ok(())
        })
    };
    origin.scan(data, "primary.xml", work).await?;
    Ok(Loaded { origin, repomd, numbers })
}

/// Looks the wanted paths up in the file lists of a repository.
pub async fn load_files(world: &mut World, from: &Loaded, wanted: &HashSet<String>) -> Result<(), RepoError> {
    // A repository without filelists has no more files to tell of.
    let Some(data) = from.repomd.find("filelists") else { return Ok(()) };
    let work = |open: &mut dyn std::io::BufRead| {
        filelists::read(open, |id, path| {
            if let (true, Some(number)) = (wanted.contains(path), from.numbers.get(id)) {
                world.file(*number, path);
            }
        })
    };
    from.origin.scan(data, "filelists.xml", work).await
}

/// A part of a set: a repository, and which of its packages belong to it.
pub struct Part<'a> {
    pub repo: RepoAt,
    pub take: Take<'a>,
}

/// The world of a set, file lists included where somebody requires a path: `parts` are judged, `extra` only provide.
pub async fn world(parts: &[Part<'_>], extra: &[RepoAt]) -> Result<World, (String, RepoError)> {
    let (mut world, mut all, mut held) = (World::default(), Collector::new(), Vec::new());
    for part in parts {
        let loaded = load(&mut world, &part.repo, true, part.take, &mut all).await;
        held.push((part.repo.name.clone(), loaded.map_err(|e| (part.repo.name.clone(), e))?));
    }
    for repo in extra {
        let loaded = load(&mut world, repo, false, &|_| true, &mut all).await;
        held.push((repo.name.clone(), loaded.map_err(|e| (repo.name.clone(), e))?));
    }
    let wanted = world.wanted_files();
    if !wanted.is_empty() {
        for (name, loaded) in &held {
            load_files(&mut world, loaded, &wanted).await.map_err(|e| (name.clone(), e))?;
        }
    }
    Ok(world)
}

/// A package provides itself, also where its metadata does not say so.
fn itself(p: &Package) -> Capability {
    let evr = Evr { epoch: p.epoch.clone(), version: p.version.clone(), release: p.release.clone() };
    Capability { name: p.name.clone(), range: Some((Sense::Eq, evr)) }
}

/// An entry of primary as a rule of dependencies knows it.
fn capability(entry: &Entry) -> Capability {
    let sense = entry.compare.map(|c| match c {
        Compare::Eq => Sense::Eq,
        Compare::Lt => Sense::Lt,
        Compare::Gt => Sense::Gt,
        Compare::Le => Sense::Le,
        Compare::Ge => Sense::Ge,
        Compare::Ne => Sense::Ne,
        Compare::Other => Sense::Other,
    });
    let evr = || Evr { epoch: entry.epoch.clone(), version: entry.version.clone(), release: entry.release.clone() };
    Capability { name: entry.name.clone(), range: sense.map(|s| (s, evr())) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use super::*;
    use crate::systems::repo::read::{read_set, sha256};

    /// A repository with these packages, and groups of which nobody states the open checksum.
    fn write(dir: &Path, packages: &str) {
        let repodata = dir.join("repodata");
        std::fs::create_dir_all(&repodata).unwrap();
        let mut groups = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        groups.write_all(b"<comps/>").unwrap();
        let primary = format!("<metadata>{packages}</metadata>").into_bytes();
        let mut repomd = "<repomd>".to_owned();
        for (ty, name, bytes) in [("primary", "primary.xml", primary), ("group", "comps.xml.gz", groups.finish().unwrap())] {
            let sum = sha256(&bytes);
            std::fs::write(repodata.join(name), bytes).unwrap();
            repomd += &format!("<data type=\"{ty}\"><checksum type=\"sha256\">{sum}</checksum><location href=\"repodata/{name}\"/></data>");
        }
        std::fs::write(repodata.join("repomd.xml"), repomd + "</repomd>").unwrap();
    }

    fn package(name: &str, arch: &str, requires: &str) -> String {
        let sum = sha256(name.as_bytes());
        format!(
            "<package type=\"rpm\"><name>{name}</name><arch>{arch}</arch><version epoch=\"1\" ver=\"2\" rel=\"3\"/><checksum type=\"sha256\">{sum}</checksum>\
             <location href=\"{name}.rpm\"/><format><rpm:requires>{requires}</rpm:requires></format></package>"
        )
    }

    #[test]
    fn what_was_judged_is_the_content_that_others_read_and_a_package_provides_itself() {
        let dir = tempfile::tempdir().unwrap();
        let needs = r#"<rpm:entry name="bare" flags="EQ" epoch="1" ver="2"/><rpm:entry name="gone"/>"#;
        write(dir.path(), &[package("user", "noarch", needs), package("bare", "x86_64", ""), package("gone", "src", "")].concat());
        let repo = RepoAt { name: "r".into(), at: dir.path().display().to_string() };
        let (mut world, mut all) = (World::default(), Collector::new());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.block_on(load(&mut world, &repo, true, &|_| true, &mut all)).unwrap();
        let (judged, read) = (all.finish(), runtime.block_on(read_set(std::slice::from_ref(&repo), None)));
        assert!(judged.fp.known().is_some());
        assert_eq!((judged.fp, judged.md), (read.fp, read.md));
        let unmet: Vec<String> = world.judge(|_| ()).unmet.into_iter().map(|f| f.requirement).collect();
        assert_eq!(unmet, ["gone"], "a source package is not installed");
    }
}
