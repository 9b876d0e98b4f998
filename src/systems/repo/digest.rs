//! Digests of files by the algorithm that the metadata names.

use std::io::{self, Read};

use sha1::Digest as _;
use sha2::Digest as _;

use crate::domain::content::hex;
use crate::wire::openpgp;

/// A running digest.
pub enum Hasher {
    Sha1(sha1::Sha1),
    Sha224(sha2::Sha224),
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// `None` for algorithms that are not supported (md5: no repository that is still served needs it).
    pub fn new(algorithm: &str) -> Option<Self> {
        Some(match algorithm {
            "sha256" => Self::Sha256(sha2::Sha256::default()),
            "sha512" => Self::Sha512(sha2::Sha512::default()),
            "sha384" => Self::Sha384(sha2::Sha384::default()),
            "sha224" => Self::Sha224(sha2::Sha224::default()),
            // createrepo's `sha` is SHA-1; repositories of EL5 and EL6 times use it.
            "sha" | "sha1" => Self::Sha1(sha1::Sha1::default()),
            _ => return None,
        })
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(h) => sha1::Digest::update(h, bytes),
            Self::Sha224(h) => sha2::Digest::update(h, bytes),
            Self::Sha256(h) => sha2::Digest::update(h, bytes),
            Self::Sha384(h) => sha2::Digest::update(h, bytes),
            Self::Sha512(h) => sha2::Digest::update(h, bytes),
        }
    }

    /// Lower-case hex.
    pub fn finish(self) -> String {
        match self {
            Self::Sha1(h) => hex(&h.finalize()),
            Self::Sha224(h) => hex(&h.finalize()),
            Self::Sha256(h) => hex(&h.finalize()),
            Self::Sha384(h) => hex(&h.finalize()),
            Self::Sha512(h) => hex(&h.finalize()),
        }
    }
}

/// Reads to the end; the digest and the number of bytes. `None` for an unsupported algorithm.
pub fn of_reader(algorithm: &str, mut input: impl Read) -> io::Result<Option<(String, u64)>> {
    let Some(mut hasher) = Hasher::new(algorithm) else { return Ok(None) };
    let (mut buf, mut total) = (vec![0; 128 << 10], 0u64);
    loop {
        let n = match input.read(&mut buf) {
            Ok(0) => return Ok(Some((hasher.finish(), total))),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        hasher.update(&buf[..n]);
        total += n as u64;
    }
}

/// The digest of bytes in memory; `None` for an unsupported algorithm.
pub fn of_bytes(algorithm: &str, bytes: &[u8]) -> Option<String> {
    let mut hasher = Hasher::new(algorithm)?;
    hasher.update(bytes);
    Some(hasher.finish())
}

/// Whether a detached signature can be of these bytes, as far as its digest's first two bytes tell: `Some(false)` is certain, and needs no key;
/// `Some(true)` verifies nothing. None where it does not say.
pub fn may_sign(signature: &[u8], bytes: &[u8]) -> Option<bool> {
    let claim = openpgp::claim(signature)?;
    let mut hasher = Hasher::new(claim.algorithm)?;
    [&claim.salt, bytes, &claim.trailer].into_iter().for_each(|part| hasher.update(part));
    Some(hasher.finish().starts_with(&hex(&claim.left)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        for (algorithm, start) in [
            ("sha1", "a9993e36"),
            ("sha", "a9993e36"),
            ("sha224", "23097d22"),
            ("sha256", "ba7816bf"),
            ("sha384", "cb00753f"),
            ("sha512", "ddaf35a1"),
        ] {
            assert!(of_bytes(algorithm, b"abc").unwrap().starts_with(start), "{algorithm}");
            let (got, size) = of_reader(algorithm, &b"abc"[..]).unwrap().unwrap();
            assert_eq!((got, size), (of_bytes(algorithm, b"abc").unwrap(), 3));
        }
        assert!(of_bytes("md5", b"abc").is_none());
    }
}
