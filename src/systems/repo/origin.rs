//! Where a repository is read from: a directory or an HTTP address, behind one set of questions.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::{RepoError, Tree, digest};
use crate::wire::http::{Ask, Client, Patience};
use crate::wire::location::Location;
use crate::wire::repomd::{self, Data};
use crate::wire::{HttpError, WireError, address, decompress, excerpt};

/// Compressed metadata larger than this is no metadata.
pub const MAX_METADATA: u64 = 1 << 30;
/// For one metadata file; the stall limit is separate.
pub const METADATA_BUDGET: Duration = Duration::from_secs(600);
pub const REPOMD_BUDGET: Duration = Duration::from_secs(60);

pub enum Origin {
    Local(Tree),
    Http { client: Client, base: Url },
}

impl Origin {
    /// A path or an http(s) address.
    pub fn open(at: &str) -> Result<Self, RepoError> {
        let path = match scheme(at).as_deref() {
            Some("http" | "https") => {
                let base = address::parse(at).map_err(|e| RepoError::Address(e.to_string()))?;
                return Ok(Self::Http { client: Client::new(Patience::default(), None, 4)?, base });
            }
            None => PathBuf::from(at),
            // `file://HOST/x` would be a path from wherever this runs.
            Some("file") if at["file://".len()..].starts_with('/') => PathBuf::from(&at["file://".len()..]),
            Some(_) => return Err(RepoError::Address(format!("`{}` is neither a directory nor an http address", address::shown_text(at)))),
        };
        match Tree::open_to_read(&path) {
            Ok(tree) => Ok(Self::Local(tree)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(RepoError::Absent { at: at.to_owned() }),
            Err(e) => Err(e.into()),
        }
    }

    /// For messages.
    pub fn shown(&self) -> String {
        match self {
            Self::Local(tree) => tree.path().display().to_string(),
            Self::Http { base, .. } => address::shown(base),
        }
    }

    /// The bytes of `repodata/repomd.xml`.
    pub async fn repomd(&self) -> Result<Vec<u8>, RepoError> {
        match self {
            Self::Local(tree) => {
                tree.read_small("repodata/repomd.xml", repomd::MAX_BYTES)?.ok_or_else(|| RepoError::Absent { at: self.shown() })
            }
            Self::Http { client, base } => {
                let mut url = base.clone();
                url.set_path(&format!("{}repodata/repomd.xml", base.path()));
                match client.get(&url, Ask::Whole, REPOMD_BUDGET).await {
                    Ok(response) => Ok(response.collect(repomd::MAX_BYTES).await?),
                    Err(e) if e.status() == Some(404) => Err(RepoError::Absent { at: self.shown() }),
                    Err(e) => Err(e.into()),
                }
            }
        }
    }

    /// The bytes of a metadata file as they lie there, size and checksum verified.
    pub async fn metadata(&self, data: &Data) -> Result<Vec<u8>, RepoError> {
        let bytes = self.file(&data.location, data.size.unwrap_or(MAX_METADATA)).await?;
        verify(data, &bytes, &format!("{}{}", self.shown(), data.location))?;
        Ok(bytes)
    }

    /// Hands the open bytes of a metadata file to `work`. What `work` made counts only where size and checksum of the whole file are those
    /// of the metadata. A file on disk is read as a stream, and never held whole.
    pub async fn scan<T>(
        &self,
        data: &Data,
        what: &'static str,
        work: impl FnOnce(&mut dyn BufRead) -> Result<T, WireError>,
    ) -> Result<T, RepoError> {
        let at = format!("{}/{}", self.shown().trim_end_matches('/'), data.location);
        let wire = |source| RepoError::Wire { at: at.clone(), source };
        let Self::Local(tree) = self else {
            let bytes = self.metadata(data).await?;
            let mut open = decompress::reader(bytes.as_slice(), what, data.open_size).map_err(wire)?;
            return work(&mut open).map_err(wire);
        };
        let file = match tree.open_read(data.location.as_str()) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(RepoError::Absent { at }),
            other => other?,
        };
        let hasher = digest::Hasher::new(&data.checksum.algorithm);
        let hasher = hasher.ok_or_else(|| RepoError::Algorithm { at: at.clone(), algorithm: data.checksum.algorithm.clone() })?;
        let mut hashed = Hashed { inner: BufReader::with_capacity(32 << 10, file.take(MAX_METADATA)), hasher };
        let made = decompress::reader(&mut hashed, what, data.open_size).and_then(|mut open| {
            let made = work(&mut open)?;
            // What comes behind the last element belongs to the file too.
            std::io::copy(&mut open, &mut std::io::sink()).map_err(|e| WireError::Read { what, why: excerpt(&e.to_string()) })?;
            Ok(made)
        });
        let rest = std::io::copy(&mut hashed, &mut std::io::sink());
        rest.map_err(|e| wire(WireError::Read { what, why: e.to_string() }))?;
        let got = hashed.hasher.finish();
        if got != data.checksum.hex {
            return Err(RepoError::Checksum { file: at, expected: data.checksum.hex.clone(), got });
        }
        made.map_err(wire)
    }

    async fn file(&self, location: &Location, max: u64) -> Result<Vec<u8>, RepoError> {
        match self {
            Self::Local(tree) => {
                let bytes = tree.read_small(location.as_str(), max.min(MAX_METADATA))?;
                bytes.ok_or_else(|| RepoError::Absent { at: format!("{}/{location}", self.shown()) })
            }
            Self::Http { client, base } => {
                let response = client.get(&address::join(base, location), Ask::Whole, METADATA_BUDGET).await?;
                Ok(response.collect(max.min(MAX_METADATA)).await?)
            }
        }
    }
}

/// Hashes what is taken out of it.
struct Hashed<R> {
    inner: R,
    hasher: digest::Hasher,
}

impl<R: BufRead> Read for Hashed<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.hasher.update(&buf[..n]);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Hashed<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        // The bytes are still held: filling again gives them without reading.
        if let Ok(held) = self.inner.fill_buf() {
            self.hasher.update(&held[..n.min(held.len())]);
        }
        self.inner.consume(n);
    }
}

/// Size and checksum of a metadata file, as repomd states them.
pub fn verify(data: &Data, bytes: &[u8], at: &str) -> Result<(), RepoError> {
    let Some(got) = digest::of_bytes(&data.checksum.algorithm, bytes) else {
        return Err(RepoError::Algorithm { at: at.to_owned(), algorithm: data.checksum.algorithm.clone() });
    };
    if got != data.checksum.hex {
        return Err(RepoError::Checksum { file: at.to_owned(), expected: data.checksum.hex.clone(), got });
    }
    Ok(())
}

impl RepoError {
    /// What lies behind is a far end that did not answer as it should.
    pub const fn is_far_end(&self) -> bool {
        matches!(self, Self::Http(_))
    }

    pub const fn http(&self) -> Option<&HttpError> {
        match self {
            Self::Http(e) => Some(e),
            _ => None,
        }
    }
}

/// The scheme of an address, in lower case; none of a path.
fn scheme(at: &str) -> Option<String> {
    let (scheme, _) = at.split_once("://")?;
    let word = !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    word.then(|| scheme.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_nobody_reads_is_no_path() {
        for at in ["ftp://u:hunter2@h/x", "rsync://h/x", "s3://b/x", "file://host/x"] {
            let Err(RepoError::Address(why)) = Origin::open(at) else { panic!("{at}") };
            assert!(why.contains("neither a directory nor an http address") && !why.contains("hunter2"), "{why}");
        }
        assert!(matches!(Origin::open("/nowhere/x"), Err(RepoError::Absent { .. })));
        assert!(matches!(Origin::open("FILE:///nowhere/x"), Err(RepoError::Absent { .. })));
        assert!(matches!(Origin::open("/nowhere/a b://c"), Err(RepoError::Absent { .. })));
        assert!(matches!(Origin::open("HTTP://h/x"), Ok(Origin::Http { .. })));
    }
}
