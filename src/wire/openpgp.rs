//! Reads of a detached OpenPGP signature (`repomd.xml.asc`) who says to have made it. Believes nothing: a signature that nobody has verified may name
//! any key.

use base64::Engine;

use super::WireError;

/// A real one has a few hundred bytes.
pub const MAX_BYTES: u64 = 64 << 10;
const WHAT: &str = "the signature";
const BEGIN: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";
const TAG_SIGNATURE: u8 = 2;
const CREATED_BY: u8 = 16;
const FINGERPRINT: u8 = 33;
/// Of a signature over the bytes as they are.
const BINARY: u8 = 0;

/// The id of the key that the first signature names: sixteen hexadecimal digits, lower case. Armoured or binary.
pub fn issuer(bytes: &[u8]) -> Result<String, WireError> {
    let packets = packets(bytes)?;
    let body = first(&packets).ok_or_else(|| broken("it is no OpenPGP signature"))?;
    let id = named(body).ok_or_else(|| broken("it names no key"))?;
    Ok(id.iter().map(|b| format!("{b:02x}")).collect())
}

/// What a signature says of the bytes that it signs. Whoever digests `salt`, the bytes and `trailer` and gets another beginning than `left`
/// knows, without any key, that it signs others; the same beginning proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub algorithm: &'static str,
    pub salt: Vec<u8>,
    pub trailer: Vec<u8>,
    pub left: [u8; 2],
}

/// The claim of the first signature; none where it is of a kind that says nothing so simple.
pub fn claim(bytes: &[u8]) -> Option<Claim> {
    let packets = packets(bytes).ok()?;
    let body = first(&packets)?;
    let (&version, rest) = body.split_first()?;
    if version == 3 {
        let (&algorithm, left) = (rest.get(15)?, rest.get(16..18)?);
        let trailer = rest.get(1..6)?.to_vec();
        return (trailer[0] == BINARY).then_some(Claim {
            algorithm: digest(algorithm)?,
            salt: Vec::new(),
            trailer,
            left: left.try_into().ok()?,
        });
    }
    let width = match version {
        4 => 2,
        6 => 4,
        _ => return None,
    };
    let (&[ty, _, algorithm], rest) = rest.split_first_chunk()?;
    let (hashed, rest) = number(rest, width)?;
    let (plain, rest) = number(rest.get(hashed..)?, width)?;
    let (left, rest) = rest.get(plain..)?.split_first_chunk()?;
    let signed = body.get(..4 + width + hashed)?;
    let salt = match (version, rest.split_first()) {
        (6, Some((len, rest))) => rest.get(..usize::from(*len))?.to_vec(),
        (6, None) => return None,
        _ => Vec::new(),
    };
    let trailer = [signed, &[version, 0xff], &u32::try_from(signed.len()).ok()?.to_be_bytes()].concat();
    (ty == BINARY).then_some(Claim { algorithm: digest(algorithm)?, salt, trailer, left: *left })
}

const fn digest(id: u8) -> Option<&'static str> {
    Some(match id {
        2 => "sha1",
        8 => "sha256",
        9 => "sha384",
        10 => "sha512",
        11 => "sha224",
        _ => return None,
    })
}

fn packets(bytes: &[u8]) -> Result<Vec<u8>, WireError> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(WireError::Limit { what: WHAT, limit: format!("{MAX_BYTES} bytes") });
    }
    match std::str::from_utf8(bytes).ok().and_then(|t| t.find(BEGIN).map(|at| &t[at + BEGIN.len()..])) {
        Some(block) => dearmoured(block),
        None => Ok(bytes.to_vec()),
    }
}

fn broken(why: &str) -> WireError {
    WireError::Read { what: WHAT, why: why.to_owned() }
}

fn dearmoured(block: &str) -> Result<Vec<u8>, WireError> {
    let end = block.find(END).ok_or_else(|| broken("its armour has no end"))?;
    // Headers, a blank line, the bytes, and a checksum that begins with `=`.
    let body: String = block[..end].lines().map(str::trim).filter(|l| !l.contains(':') && !l.starts_with('=')).collect();
    base64::engine::general_purpose::STANDARD.decode(body).map_err(|_| broken("its base64 is damaged"))
}

/// The body of the first packet, where that is a signature.
fn first(bytes: &[u8]) -> Option<&[u8]> {
    let (&head, rest) = bytes.split_first().filter(|(head, _)| **head & 0x80 != 0)?;
    let (tag, len, rest) = if head & 0x40 != 0 {
        let (len, rest) = length(rest)?;
        (head & 0x3f, len, rest)
    } else {
        let width = match head & 3 {
            0 => 1,
            1 => 2,
            2 => 4,
            _ => return (head >> 2 & 0xf == TAG_SIGNATURE).then_some(rest),
        };
        let (len, rest) = number(rest, width)?;
        (head >> 2 & 0xf, len, rest)
    };
    (tag == TAG_SIGNATURE).then(|| rest.get(..len)).flatten()
}

fn number(bytes: &[u8], width: usize) -> Option<(usize, &[u8])> {
    let (n, rest) = bytes.split_at_checked(width)?;
    Some((n.iter().try_fold(0_usize, |n, b| n.checked_mul(256)?.checked_add(usize::from(*b)))?, rest))
}

/// A length of one, two or five bytes; one in parts is none of a signature.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    match first {
        0..192 => Some((usize::from(first), rest)),
        192..224 => rest.split_first().map(|(b, rest)| ((usize::from(first) - 192) * 256 + usize::from(*b) + 192, rest)),
        255 => number(rest, 4),
        _ => None,
    }
}

/// The key that a signature of version 3, 4 or 6 names.
fn named(body: &[u8]) -> Option<[u8; 8]> {
    let (&version, rest) = body.split_first()?;
    let width = match version {
        3 => return rest.get(6..14)?.try_into().ok(),
        4 | 5 => 2,
        6 => 4,
        _ => return None,
    };
    // Type, and two algorithms.
    let (len, rest) = number(rest.get(3..)?, width)?;
    let (hashed, rest) = rest.split_at_checked(len)?;
    let (len, rest) = number(rest, width)?;
    let (plain, _) = rest.split_at_checked(len)?;
    [(hashed, FINGERPRINT), (hashed, CREATED_BY), (plain, FINGERPRINT), (plain, CREATED_BY)]
        .into_iter()
        .find_map(|(area, of)| key(area, of))
}

fn key(mut area: &[u8], of: u8) -> Option<[u8; 8]> {
    while !area.is_empty() {
        let (len, rest) = length_of_part(area)?;
        let (part, rest) = rest.split_at_checked(len)?;
        let (&ty, body) = part.split_first()?;
        match (ty & 0x7f, body) {
            (CREATED_BY, id) if of == CREATED_BY => return id.try_into().ok(),
            // Of a key of version 4 the end, of later ones the beginning.
            (FINGERPRINT, [4, print @ ..]) if of == FINGERPRINT => return print.get(12..20)?.try_into().ok(),
            (FINGERPRINT, [_, print @ ..]) if of == FINGERPRINT => return print.get(..8)?.try_into().ok(),
            _ => area = rest,
        }
    }
    None
}

/// As `length`, but that the second form reaches to 254.
fn length_of_part(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    match first {
        0..192 => Some((usize::from(first), rest)),
        255 => number(rest, 4),
        _ => rest.split_first().map(|(b, rest)| ((usize::from(first) - 192) * 256 + usize::from(*b) + 192, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf x | gpg --detach-sign` with an Ed25519 key: version 4, fingerprint hashed, id beside it.
    fn version_4() -> Vec<u8> {
        let print: Vec<u8> = (1..=20).collect();
        let mut hashed = vec![22 + 1 - 1, FINGERPRINT, 4];
        hashed.extend(&print);
        hashed.extend([5, 2, 0x66, 0, 0, 0]);
        let mut body = vec![4, 0, 22, 8, 0, hashed.len() as u8];
        body.extend(&hashed);
        body.extend([0, 10, 9, CREATED_BY]);
        body.extend(&print[12..]);
        body.extend([0, 0, 0, 1, 1]);
        let mut out = vec![0xc0 | TAG_SIGNATURE, body.len() as u8];
        out.extend(&body);
        out
    }

    #[test]
    fn the_key_that_a_signature_names_is_told_whatever_its_form() {
        let id = "0d0e0f1011121314";
        let binary = version_4();
        assert_eq!(issuer(&binary).unwrap(), id);
        let armour = |bytes: &[u8]| {
            let text = base64::engine::general_purpose::STANDARD.encode(bytes);
            format!("{BEGIN}\nVersion: GnuPG v2\n\n{text}\n=abcd\n{END}\n").into_bytes()
        };
        assert_eq!(issuer(&armour(&binary)).unwrap(), id);
        // The old form of a packet, and a signature of version 3.
        let mut old = vec![0x80 | TAG_SIGNATURE << 2, 19, 3, 5, 0, 1, 2, 3, 4];
        old.extend([0xa, 0xb, 0xc, 0xd, 0xe, 0xf, 0x10, 0x11, 1, 8, 0, 0]);
        assert_eq!(issuer(&old).unwrap(), "0a0b0c0d0e0f1011");
    }

    #[test]
    fn what_is_no_signature_says_so() {
        for bad in [
            &b""[..],
            b"<html>proxy</html>",
            b"-----BEGIN PGP SIGNATURE-----\n\n!!!\n-----END PGP SIGNATURE-----",
            &[0xc2, 5, 4],
            &[0x99, 0, 1, 4],
        ] {
            assert!(issuer(bad).is_err(), "{bad:?}");
        }
        assert!(matches!(issuer(&vec![0xc2; MAX_BYTES as usize + 1]), Err(WireError::Limit { .. })));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = (issuer(&bytes), claim(&bytes));
            let mut one = version_4();
            for (i, b) in bytes.iter().enumerate().take(8) {
                let at = usize::from(*b) % one.len();
                one[at] ^= (i as u8).wrapping_mul(37) | 1;
            }
            let _ = (issuer(&one), claim(&one));
        }
    }
}
