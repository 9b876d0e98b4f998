//! Builds the demo's packages with the `rpm` crate: unsigned, and the same bytes for the same seed on any machine.

use rpm::{BuildConfig, CompressionWithLevel, Dependency, DependencyFlags, FileOptions, Header, HeaderEntry, IndexData};
use rpm::{IndexSignatureTag, IndexTag, PackageBuilder, PackageMetadata, RpmFormat, SignatureHeaderBuilder};

use super::Error;
use super::catalogue::{Dep, FileKind, Op, Package};
use super::seed::Rng;

/// A package file and its header, read back by the crate that wrote it.
#[derive(Debug)]
pub struct Built {
    pub bytes: Vec<u8>,
    pub metadata: PackageMetadata,
}

/// Builds `package`. The content of its files comes from `seed`, its name and its version.
pub fn build(package: &Package, seed: u64) -> Result<Built, Error> {
    let fail = |source: rpm::Error| Error::Rpm { name: package.file_name(), source: Box::new(source) };
    let mut draft = builder(package, seed).map_err(fail)?.build().map_err(fail)?;
    finish(&mut draft, package).map_err(fail)?;
    let mut bytes = Vec::with_capacity(draft.payload.len() + 16_384);
    draft.write(&mut bytes).map_err(fail)?;
    Ok(Built { bytes, metadata: draft.metadata })
}

fn builder(package: &Package, seed: u64) -> Result<PackageBuilder, rpm::Error> {
    let when = u32::try_from(package.build_time).unwrap_or(u32::MAX);
    let mut b = PackageBuilder::new(&package.name, &package.version, &package.license, package.arch.as_str(), &package.summary);
    // Level 3 everywhere: small enough, and sixty of them build in a second. Noarch ones are gzip, so that both are read.
    let compression = match package.arch {
        super::catalogue::Arch::Noarch => CompressionWithLevel::Gzip(3),
        super::catalogue::Arch::X86_64 => CompressionWithLevel::Zstd(3),
    };
    b.using_config(BuildConfig::v4().source_date(when).compression(compression).reserved_space(None));
    b.release(package.release.clone())
        .url(format!("https://{}.ops.example/", package.source))
        .vendor("quarterdeck demo")
        .packager("quarterdeck demo <demo@ops.example>")
        .build_host("builder-03.ops.example")
        .description(format!("{}.\nInvented by the quarterdeck demo: there is nothing in it but numbers.", package.summary));
    if let Some(epoch) = package.epoch {
        b.epoch(epoch);
    }
    for d in &package.requires {
        b.requires(dependency(d));
    }
    for d in &package.provides {
        b.provides(dependency(d));
    }
    for c in &package.changelog {
        b.add_changelog_entry(&c.author, &c.text, u32::try_from(c.time).unwrap_or(u32::MAX));
    }
    for f in &package.files {
        let size = match &f.kind {
            FileKind::Regular { size, .. } | FileKind::Config { size } | FileKind::Doc { size } | FileKind::License { size } => *size,
            FileKind::Dir | FileKind::Ghost | FileKind::Symlink { .. } => 0,
        };
        let data = || content(package, seed, &f.path, size);
        match &f.kind {
            FileKind::Regular { mode, .. } => b.with_file_contents(data(), FileOptions::new(&f.path).permissions(*mode))?,
            FileKind::Config { .. } => b.with_file_contents(data(), FileOptions::new(&f.path).permissions(0o644).config().noreplace())?,
            FileKind::Doc { .. } => b.with_file_contents(data(), FileOptions::new(&f.path).permissions(0o644).doc())?,
            FileKind::License { .. } => b.with_file_contents(data(), FileOptions::new(&f.path).permissions(0o644).license())?,
            FileKind::Dir => b.with_dir_entry(FileOptions::dir(&f.path).permissions(0o755))?,
            FileKind::Ghost => b.with_ghost(FileOptions::ghost(&f.path).permissions(0o644))?,
            FileKind::Symlink { target } => b.with_symlink(FileOptions::symlink(&f.path, target))?,
        };
    }
    Ok(b)
}

fn dependency(d: &Dep) -> Dependency {
    let mut flags = match &d.version {
        Some((Op::Eq, _)) => DependencyFlags::EQUAL,
        Some((Op::Ge, _)) => DependencyFlags::GE,
        None => DependencyFlags::ANY,
    };
    if d.pre {
        flags |= DependencyFlags::SCRIPT_PRE;
    }
    Dependency { name: d.name.clone(), flags, version: d.version.as_ref().map(|v| v.1.clone()).unwrap_or_default() }
}

/// A line that says what it is, then bytes that do not compress: sizes on the wire are what the catalogue says.
fn content(package: &Package, seed: u64, path: &str, size: usize) -> Vec<u8> {
    let mut out = format!("{} {} of the quarterdeck demo\n", package.nevra(), path).into_bytes();
    let key = format!("{} {path}", package.nevra());
    out.extend(Rng::new(seed, &key, 0).bytes(size.saturating_sub(out.len())));
    out
}

/// Sets what the builder leaves open (source package, build time, module label), and the digests over the new header.
fn finish(draft: &mut rpm::Package, package: &Package) -> Result<(), rpm::Error> {
    let replaced = [IndexTag::RPMTAG_SOURCERPM as u32, IndexTag::RPMTAG_BUILDTIME as u32, IndexTag::RPMTAG_HEADERIMMUTABLE as u32];
    let mut entries: Vec<HeaderEntry> = draft
        .metadata
        .header
        .get_all_entries()?
        .into_iter()
        .filter(|(tag, _)| !replaced.contains(tag))
        .map(|(tag, data)| HeaderEntry::new(tag, data))
        .collect();
    entries.push(HeaderEntry::new(IndexTag::RPMTAG_SOURCERPM as u32, IndexData::StringTag(package.source_rpm.clone())));
    // The builder takes the clock's time when the date asked for lies ahead of it: a wrong clock must not change bytes.
    let built = u32::try_from(package.build_time).unwrap_or(u32::MAX);
    entries.push(HeaderEntry::new(IndexTag::RPMTAG_BUILDTIME as u32, IndexData::Int32(vec![built])));
    if let Some(module) = &package.module {
        entries.push(HeaderEntry::new(IndexTag::RPMTAG_MODULARITYLABEL as u32, IndexData::StringTag(module.clone())));
    }
    draft.metadata.header = Header::from_entries(entries, IndexTag::RPMTAG_HEADERIMMUTABLE);
    let header = draft.metadata.header_bytes()?;
    let signature = SignatureHeaderBuilder::new()
        .format(RpmFormat::V4)
        .reserved_space(None)
        .set_content_length((header.len() + draft.payload.len()) as u64)
        .calculate_digests(&header)
        .build()?;
    // The payload's size before compression: rpm2cpio takes a package without it for a damaged one.
    let own = IndexSignatureTag::HEADER_SIGNATURES;
    let mut entries: Vec<HeaderEntry> = signature
        .get_all_entries()?
        .into_iter()
        .filter(|(tag, _)| *tag != own as u32)
        .map(|(tag, data)| HeaderEntry::new(tag, data))
        .collect();
    let size = unpacked_size(&draft.payload).map_err(rpm::Error::Io)?;
    entries.push(HeaderEntry::new(IndexSignatureTag::RPMSIGTAG_PAYLOADSIZE as u32, IndexData::Int32(vec![size])));
    draft.metadata.signature = Header::from_entries(entries, own);
    Ok(())
}

fn unpacked_size(payload: &[u8]) -> std::io::Result<u32> {
    let mut sink = std::io::sink();
    let size = if payload.starts_with(&[0x1f, 0x8b]) {
        std::io::copy(&mut flate2::read::GzDecoder::new(payload), &mut sink)?
    } else {
        std::io::copy(&mut zstd::Decoder::new(payload)?, &mut sink)?
    };
    u32::try_from(size).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::catalogue::compose;

    #[test]
    fn a_package_is_the_same_bytes_each_time_and_its_digests_hold() {
        for p in compose(1, 1).packages.iter().filter(|p| ["bash", "openssl-libs", "nodejs", "setup", "systemd"].contains(&p.name.as_str()))
        {
            let a = build(p, 1).unwrap();
            let b = build(p, 1).unwrap();
            assert_eq!(a.bytes, b.bytes, "{}", p.nevra());
            assert_ne!(a.bytes, build(p, 2).unwrap().bytes);
            let read = rpm::Package::parse(&mut a.bytes.as_slice()).unwrap();
            read.verify_digests().unwrap();
            assert_eq!(read.metadata.get_source_rpm().unwrap(), p.source_rpm);
            assert_eq!(read.metadata.get_build_time().unwrap(), p.build_time as u64);
            assert!(!read.metadata.is_source_package());
            let paths: Vec<_> = read.files().unwrap().map(|f| f.unwrap().metadata.path()).collect();
            assert!(!paths.is_empty());
        }
    }
}
