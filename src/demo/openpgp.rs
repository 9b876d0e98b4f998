//! Signs the metadata of the demo's upstreams with keys of their own: OpenPGP version 4, Ed25519. The keys come from the seed, so they protect nothing;
//! what they sign is signed truly, and `gpgv` says so.

use std::path::{Path, PathBuf};

use base64::Engine;
use ring::signature::{Ed25519KeyPair, KeyPair};
use sha1::Digest as _;
use sha2::Digest as _;

use super::Error;
use super::files::put_if_changed;

/// When the keys were made: 2020-01-01. No clock of a demo is before it.
const MADE: u32 = 1_577_836_800;
/// EdDSA, and its curve's name.
const ALGORITHM: u8 = 22;
const CURVE: [u8; 9] = [0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01];
const SHA256: u8 = 8;

/// Who signs: each upstream has a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// The composes of Stream.
    Stream,
    /// Repositories of the site's own.
    Site,
    /// Everybody else.
    Other,
}

impl Signer {
    const ALL: [Self; 3] = [Self::Stream, Self::Site, Self::Other];

    const fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Site => "ops",
            Self::Other => "third-party",
        }
    }
}

/// Where the public key of a signer lies, below the demo's own directory.
pub fn public_key(own: &Path, signer: Signer) -> PathBuf {
    own.join("keys").join(format!("RPM-GPG-KEY-{}", signer.name()))
}

/// Writes the public keys.
pub fn write_keys(own: &Path, seed: u64) -> Result<(), Error> {
    super::files::mkdir(&own.join("keys"))?;
    let write = |s| put_if_changed(&public_key(own, s), Key::of(seed, s)?.public().as_bytes(), i64::from(MADE));
    Signer::ALL.into_iter().try_for_each(write)
}

/// A key that signs.
pub struct Key {
    pair: Ed25519KeyPair,
    /// The body of its packet.
    body: Vec<u8>,
    print: [u8; 20],
    user: String,
}

impl Key {
    pub fn of(seed: u64, signer: Signer) -> Result<Self, Error> {
        let secret = sha2::Sha256::digest(format!("quarterdeck demo {} {seed}", signer.name()));
        let pair = Ed25519KeyPair::from_seed_unchecked(&secret).map_err(|e| Error::Past { why: format!("its signing key: {e}") })?;
        let mut point = vec![0x40];
        point.extend(pair.public_key().as_ref());
        let mut body = vec![4];
        body.extend(MADE.to_be_bytes());
        body.extend([ALGORITHM, CURVE.len() as u8]);
        body.extend(CURVE);
        body.extend(number(&point));
        let print = sha1::Sha1::digest(framed(0x99, &body)).into();
        let user = format!("quarterdeck demo {} <{}@ops.example>", signer.name(), signer.name());
        Ok(Self { pair, body, print, user })
    }

    /// A detached signature in armour. `at`: seconds since 1970; before the key was made, it is of then.
    pub fn sign(&self, bytes: &[u8], at: i64) -> String {
        let at = u32::try_from(at).unwrap_or(MADE).max(MADE);
        armoured("SIGNATURE", &packet(2, &self.signature(0x00, bytes, at)))
    }

    /// The public key with its user, in armour.
    fn public(&self) -> String {
        let mut signed = framed(0x99, &self.body);
        signed.push(0xb4);
        signed.extend((self.user.len() as u32).to_be_bytes());
        signed.extend(self.user.as_bytes());
        let mut all = packet(6, &self.body);
        all.extend(packet(13, self.user.as_bytes()));
        all.extend(packet(2, &self.signature(0x13, &signed, MADE)));
        armoured("PUBLIC KEY BLOCK", &all)
    }

    fn signature(&self, ty: u8, bytes: &[u8], at: u32) -> Vec<u8> {
        let mut hashed = vec![5, 2];
        hashed.extend(at.to_be_bytes());
        hashed.extend([22, 33, 4]);
        hashed.extend(self.print);
        if ty == 0x13 {
            // What it may do: certify and sign.
            hashed.extend([2, 27, 3]);
        }
        let mut head = vec![4, ty, ALGORITHM, SHA256];
        head.extend((hashed.len() as u16).to_be_bytes());
        head.extend(&hashed);
        let mut digest = sha2::Sha256::new();
        digest.update(bytes);
        digest.update(&head);
        digest.update([4, 0xff]);
        digest.update((head.len() as u32).to_be_bytes());
        let digest = digest.finalize();
        let made = self.pair.sign(&digest);
        let (r, s) = made.as_ref().split_at(32);
        let mut out = head;
        out.extend([0, 10, 9, 16]);
        out.extend(&self.print[12..]);
        out.extend(&digest[..2]);
        out.extend(number(r));
        out.extend(number(s));
        out
    }
}

/// Tag, length in two bytes, body: what digests are made over.
fn framed(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend((body.len() as u16).to_be_bytes());
    out.extend(body);
    out
}

fn packet(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0xc0 | tag];
    match body.len() {
        n @ 0..192 => out.push(n as u8),
        n => out.extend([((n - 192) / 256 + 192) as u8, ((n - 192) % 256) as u8]),
    }
    out.extend(body);
    out
}

/// A number with its length in bits, without zeros in front.
fn number(bytes: &[u8]) -> Vec<u8> {
    let at = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
    let bytes = &bytes[at..];
    let bits = bytes.first().map_or(0, |b| bytes.len() * 8 - b.leading_zeros() as usize);
    let mut out = (bits as u16).to_be_bytes().to_vec();
    out.extend(bytes);
    out
}

fn armoured(what: &str, bytes: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|l| std::str::from_utf8(l).ok()).collect();
    let sum = base64::engine::general_purpose::STANDARD.encode(&crc24(bytes).to_be_bytes()[1..]);
    format!("-----BEGIN PGP {what}-----\n\n{}\n={sum}\n-----END PGP {what}-----\n", lines.join("\n"))
}

fn crc24(bytes: &[u8]) -> u32 {
    let mut crc: u32 = 0x00b7_04ce;
    for b in bytes {
        crc ^= u32::from(*b) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0186_4cfb;
            }
        }
    }
    crc & 0x00ff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_no_zeros_in_front_and_its_length_in_bits() {
        assert_eq!(number(&[0, 0, 1, 2]), [0, 9, 1, 2]);
        assert_eq!(number(&[0x80]), [0, 8, 0x80]);
        assert_eq!(number(&[0]), [0, 0]);
    }

    #[test]
    fn the_checksum_of_armour_is_the_one_of_the_standard() {
        // Of nothing, as RFC 4880 begins; and the check value of CRC-24/OPENPGP.
        assert_eq!((crc24(b""), crc24(b"123456789")), (0x00b7_04ce, 0x0021_cf02));
    }

    #[test]
    fn the_same_seed_signs_the_same_and_another_key_does_not() {
        let key = |seed, who| Key::of(seed, who).unwrap();
        let sign = |seed, who| key(seed, who).sign(b"x", 1_700_000_000);
        assert_eq!(sign(1, Signer::Stream), sign(1, Signer::Stream));
        assert_ne!(sign(1, Signer::Stream), sign(1, Signer::Other));
        assert_ne!(key(1, Signer::Stream).print, key(2, Signer::Stream).print);
    }
}
