//! Repositories that are wrong on purpose, written to a directory for the upstream to serve: what a mirror must refuse,
//! or survive. Each trick is one lie; everything else about the repository is true.

use std::path::Path;

use super::catalogue::{self, FileKind, Package, Repo};
use super::files::{mkdir, put};
use super::metadata::{self, Data, Entry, Repodata};
use super::{Error, faults, rpms};

/// What is wrong with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trick {
    /// Nothing: the control.
    None,
    /// No package at all, in well-formed metadata.
    Empty,
    /// A package whose location is `../../outside.rpm`.
    DotDot,
    /// A package whose location is `Packages/%2e%2e/%2e%2e/outside.rpm`.
    EncodedDotDot,
    /// A package whose location is `/outside.rpm`.
    Absolute,
    /// A package whose location is a URL of another host.
    OtherHost,
    /// A package whose location is `repodata/repomd.xml`.
    OverMetadata,
    /// A package whose location is `.quarterdeck/owner`.
    OverOwner,
    /// A location with an escape sequence and a line feed in it.
    ControlCharacters,
    /// A location of 5,000 characters.
    LongName,
    /// Two packages with one location and different checksums.
    TwoOfOneName,
    /// A package listed and not there.
    Missing,
    /// A package shorter than primary says.
    Short,
    /// A package of the right size with other bytes.
    Altered,
    /// A metadata file whose location is `../primary.xml.gz`.
    MetadataDotDot,
    /// A primary that unpacks to 256 MiB, where its open-size says some thousand bytes.
    Bomb,
    /// A primary whose checksum in repomd.xml is another's.
    MetadataAltered,
    /// repomd.xml cut in the middle.
    RepomdCut,
    /// primary cut in the middle, its checksums true.
    PrimaryCut,
    /// primary with nested entity definitions.
    Entities,
    /// repomd.xml without a primary.
    NoPrimary,
    /// Checksums of a type that nobody knows.
    UnknownChecksum,
    /// `packages="N"` higher than what follows. Harmless: the number is a hint for progress bars, and wrong in real life too.
    CountLies,
    /// Metadata of the next push over the packages of this one: the newest package is not there yet.
    MidPush,
}

/// All of them that a mirror must refuse: neither `None` nor the harmless `CountLies`.
pub const TRICKS: &[Trick] = &[
    Trick::Empty,
    Trick::DotDot,
    Trick::EncodedDotDot,
    Trick::Absolute,
    Trick::OtherHost,
    Trick::OverMetadata,
    Trick::OverOwner,
    Trick::ControlCharacters,
    Trick::LongName,
    Trick::TwoOfOneName,
    Trick::Missing,
    Trick::Short,
    Trick::Altered,
    Trick::MetadataDotDot,
    Trick::Bomb,
    Trick::MetadataAltered,
    Trick::RepomdCut,
    Trick::PrimaryCut,
    Trick::Entities,
    Trick::NoPrimary,
    Trick::UnknownChecksum,
    Trick::MidPush,
];

/// How many packages a repository of this module has.
pub const PACKAGES: usize = 6;
const TIME: i64 = 1_774_926_000;

/// Writes a repository of [`PACKAGES`] small packages with one lie into `dir`. Gives the file names of the packages that
/// are listed truly and are there.
pub fn repository(dir: &Path, trick: Trick) -> Result<Vec<String>, Error> {
    let compose = catalogue::compose(1, 1);
    let mut small: Vec<_> = compose.of(Repo::BaseOS);
    small.sort_by_key(|p| p.files.len());
    // A lie about a file needs a file more than the honest repository has: its metadata must be new to a mirror.
    let more = usize::from(matches!(trick, Trick::Missing | Trick::Short | Trick::Altered | Trick::MidPush | Trick::MetadataAltered));
    let built = small.into_iter().take(PACKAGES + more).map(build).collect::<Result<Vec<_>, _>>()?;
    let packages = dir.join("Packages");
    mkdir(&packages)?;
    mkdir(&dir.join("repodata"))?;
    let mut entries: Vec<Entry> = built.iter().map(|(_, _, e)| e.clone()).collect();
    let last = entries.len() - 1;
    let moved = match trick {
        Trick::DotDot => Some("../../outside.rpm".to_owned()),
        Trick::EncodedDotDot => Some("Packages/%2e%2e/%2e%2e/outside.rpm".to_owned()),
        Trick::Absolute => Some("/outside.rpm".to_owned()),
        Trick::OtherHost => Some("http://192.0.2.1/outside.rpm".to_owned()),
        Trick::OverMetadata => Some("repodata/repomd.xml".to_owned()),
        Trick::OverOwner => Some(".quarterdeck/owner".to_owned()),
        Trick::ControlCharacters => Some("Packages/a&#10;b&#9;\u{7f}c.rpm".to_owned()),
        Trick::LongName => Some(format!("Packages/{}.rpm", "n".repeat(5000))),
        Trick::TwoOfOneName => Some(entries[0].href.clone()),
        _ => None,
    };
    if let Some(href) = moved {
        entries[last].relocate(&href);
    }
    if trick == Trick::Empty {
        entries.clear();
    }
    let mut good = Vec::new();
    for (i, (name, bytes, _)) in built.iter().enumerate() {
        let mut bytes = bytes.clone();
        match trick {
            Trick::Missing | Trick::MidPush if i == last => continue,
            Trick::Short if i == last => bytes.truncate(bytes.len() / 2),
            Trick::Altered if i == last => flip(&mut bytes),
            _ => {}
        }
        put(&packages.join(name), &bytes, Some(TIME))?;
        if i != last || matches!(trick, Trick::None | Trick::Bomb) {
            good.push(name.clone());
        }
    }
    let entries: Vec<&Entry> = entries.iter().collect();
    let repodata = lie(metadata::repodata(&entries, Vec::new(), TIME), trick);
    for d in &repodata.data {
        put(&dir.join("repodata").join(d.file.trim_start_matches("../")), &d.bytes, Some(TIME))?;
    }
    put(&dir.join("repodata/repomd.xml"), &repodata.repomd, Some(TIME))?;
    Ok(good)
}

/// Writes an honest repository of one package of `mib` MiB, for what only happens to big files.
pub fn large(dir: &Path, mib: usize) -> Result<(), Error> {
    let mut package = catalogue::compose(1, 1).packages.into_iter().find(|p| p.name == "tzdata");
    if let Some(file) = package.as_mut().and_then(|p| p.files.first_mut()) {
        file.kind = FileKind::Regular { mode: 0o644, size: mib << 20 };
    }
    mkdir(&dir.join("Packages"))?;
    mkdir(&dir.join("repodata"))?;
    let built = package.iter().map(build).collect::<Result<Vec<_>, _>>()?;
    for (name, bytes, _) in &built {
        put(&dir.join("Packages").join(name), bytes, Some(TIME))?;
    }
    let entries: Vec<&Entry> = built.iter().map(|(_, _, e)| e).collect();
    let repodata = metadata::repodata(&entries, Vec::new(), TIME);
    for d in &repodata.data {
        put(&dir.join("repodata").join(&d.file), &d.bytes, Some(TIME))?;
    }
    put(&dir.join("repodata/repomd.xml"), &repodata.repomd, Some(TIME))
}

fn build(p: &Package) -> Result<(String, Vec<u8>, Entry), Error> {
    let name = p.file_name();
    let built = rpms::build(p, 1)?;
    let entry = metadata::describe(&built.bytes, &built.metadata, &format!("Packages/{name}"), p.build_time)
        .map_err(|source| Error::Rpm { name: name.clone(), source: Box::new(source) })?;
    Ok((name, built.bytes, entry))
}

fn flip(bytes: &mut [u8]) {
    if let Some(b) = bytes.last_mut() {
        *b ^= 0x10;
    }
}

fn lie(mut repodata: Repodata, trick: Trick) -> Repodata {
    let open = |d: &Data| {
        let mut text = String::new();
        // What was compressed a moment ago unpacks.
        let _ = std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(d.bytes.as_slice()), &mut text);
        text
    };
    let primary = repodata.data.first().map(open).unwrap_or_default();
    let replaced = match trick {
        Trick::PrimaryCut => Some(primary[..primary.len() * 2 / 3].to_owned()),
        Trick::Entities => {
            let mut dtd = String::from("<!DOCTYPE metadata [<!ENTITY a0 \"aaaaaaaaaa\">");
            for i in 1..12 {
                dtd.push_str(&format!("<!ENTITY a{i} \"{}\">", format!("&a{};", i - 1).repeat(10)));
            }
            Some(primary.replacen("?>", &format!("?>{dtd}]>"), 1).replacen("<summary>", "<summary>&a11;", 1))
        }
        Trick::UnknownChecksum => Some(primary.replace("type=\"sha256\"", "type=\"crc32\"")),
        Trick::CountLies => Some(primary.replacen(&format!("packages=\"{PACKAGES}\""), "packages=\"60000\"", 1)),
        _ => None,
    };
    if let (Some(text), Some(slot)) = (replaced, repodata.data.first_mut()) {
        *slot = Data::gz("primary", "primary.xml", text.as_bytes());
    }
    if trick == Trick::Bomb
        && let Some(slot) = repodata.data.first_mut()
    {
        let bytes = faults::bomb(primary.replace("</metadata>", "").as_bytes(), b' ', 256);
        *slot = Data { file: format!("{}-primary.xml.gz", super::files::sha256(&bytes)), bytes, ..slot.clone() };
    }
    if trick == Trick::NoPrimary {
        repodata.data.retain(|d| d.kind != "primary");
    }
    if trick == Trick::MetadataDotDot
        && let Some(slot) = repodata.data.first_mut()
    {
        slot.file = format!("../{}", slot.file);
    }
    repodata.repomd = metadata::repomd(&repodata.data, TIME);
    match trick {
        Trick::RepomdCut => repodata.repomd.truncate(repodata.repomd.len() / 2),
        Trick::MetadataAltered => {
            if let Some(slot) = repodata.data.first_mut() {
                flip(&mut slot.bytes);
            }
        }
        _ => {}
    }
    repodata
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trick_but_none_changes_something() {
        let top = tempfile::tempdir().unwrap();
        let read = |t: Trick| {
            let dir = top.path().join(format!("{t:?}"));
            let good = repository(&dir, t).unwrap();
            let mut all = vec![std::fs::read(dir.join("repodata/repomd.xml")).unwrap()];
            for sub in ["Packages", "repodata"] {
                let mut names: Vec<_> = std::fs::read_dir(dir.join(sub)).unwrap().map(|e| e.unwrap().path()).collect();
                names.sort();
                all.extend(names.iter().map(|n| std::fs::read(n).unwrap()));
            }
            (all, good)
        };
        let (truth, good) = read(Trick::None);
        assert_eq!(good.len(), PACKAGES);
        for t in TRICKS.iter().chain(&[Trick::CountLies]) {
            assert_ne!(read(*t).0, truth, "{t:?}");
        }
        assert!(!top.path().join("outside.rpm").exists());
    }
}
