//! Two parts of a package that a list holds in fewer bytes than their texts have: the checksum of its file, and the name of its source. Pure.

use std::cmp::Ordering;
use std::fmt;

use super::source_of;
use crate::domain::version::EvrRef;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Hex digest of a file. Even numbers of lower-case digits are held in half their bytes, whatever else came as it came.
#[derive(Clone, Copy)]
pub struct Sum<'a> {
    raw: &'a [u8],
    packed: bool,
}

impl<'a> Sum<'a> {
    /// What `pack` made.
    pub(super) const fn new(raw: &'a [u8], packed: bool) -> Self {
        Self { raw, packed }
    }

    /// Appends a checksum; whether it was packed.
    pub(super) fn pack(text: &str, to: &mut Vec<u8>) -> bool {
        let digit = |b: u8| match b {
            b'0'..=b'9' => Some(b - b'0'),
            b'a'..=b'f' => Some(b - b'a' + 10),
            _ => None,
        };
        let start = to.len();
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let whole = rest.is_empty() && pairs.iter().all(|[a, b]| digit(*a).zip(digit(*b)).map(|(a, b)| to.push((a << 4) | b)).is_some());
        if !whole {
            to.truncate(start);
            to.extend_from_slice(text.as_bytes());
        }
        whole
    }

    /// Appends the digits as they came.
    pub fn append(self, to: &mut Vec<u8>) {
        if !self.packed {
            return to.extend_from_slice(self.raw);
        }
        to.reserve(2 * self.raw.len());
        for b in self.raw {
            to.extend_from_slice(&[DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]);
        }
    }

    fn digits(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 * self.raw.len());
        self.append(&mut out);
        out
    }
}

impl Ord for Sum<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        // Digits of packed sums are in the order of their bytes.
        if self.packed == other.packed { self.raw.cmp(other.raw) } else { self.digits().cmp(&other.digits()) }
    }
}

impl PartialOrd for Sum<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Sum<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Sum<'_> {}

impl fmt::Display for Sum<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.packed {
            return f.write_str(std::str::from_utf8(self.raw).unwrap_or_default());
        }
        self.raw.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Sum<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// File name of the source of a package.
#[derive(Clone, Copy)]
pub enum SourceRpm<'a> {
    /// As it was stated; empty where nobody said.
    Text(&'a str),
    /// `NAME-VERSION-RELEASE.src.rpm` of the package's own version, NAME the head of its name: what most packages have.
    Own { name: &'a str, version: &'a str, release: &'a str },
}

impl<'a> SourceRpm<'a> {
    /// How much of the package's name is the name of its source, where the rest follows from the package.
    pub(super) fn head(source: &str, name: &str, version: &str, release: &str) -> Option<usize> {
        let body = source.strip_suffix(".src.rpm")?.strip_suffix(release)?.strip_suffix('-')?;
        let head = body.strip_suffix(version)?.strip_suffix('-')?;
        // With a dash in them a file name says something else than its parts do.
        let plain = |part: &str| !part.is_empty() && !part.contains('-');
        (!head.is_empty() && plain(version) && plain(release) && name.starts_with(head)).then_some(head.len())
    }

    /// Name and version of the source; none where the file name is no such name.
    pub fn parts(self) -> Option<(&'a str, EvrRef<'a>)> {
        match self {
            Self::Text(text) => source_of(text),
            Self::Own { name, version, release } => Some((name, EvrRef { epoch: "", version, release })),
        }
    }
}

impl fmt::Display for SourceRpm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Own { name, version, release } => write!(f, "{name}-{version}-{release}.src.rpm"),
        }
    }
}

impl fmt::Debug for SourceRpm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kept(text: &str) -> (Vec<u8>, bool) {
        let mut raw = b"before".to_vec();
        let packed = Sum::pack(text, &mut raw);
        (raw.split_off(6), packed)
    }

    #[test]
    fn a_sha256_takes_32_bytes_and_what_is_no_digest_stays_as_it_is() {
        let hex = "0123456789abcdef".repeat(4);
        assert_eq!((kept(&hex).0.len(), kept(&hex).1), (32, true));
        for odd in ["abc", "ABCD", "xy", "ab\u{e9}0", "abcg"] {
            let (raw, packed) = kept(odd);
            assert_eq!((raw.as_slice(), packed, Sum::new(&raw, packed).to_string()), (odd.as_bytes(), false, odd.to_owned()));
        }
    }

    #[test]
    fn a_source_follows_from_its_package_or_is_kept_as_stated() {
        let head = |source| SourceRpm::head(source, "glibc-langpack-de", "2.34", "5.el9");
        assert_eq!(head("glibc-2.34-5.el9.src.rpm"), Some(5));
        assert_eq!(head("glibc-langpack-de-2.34-5.el9.src.rpm"), Some(17));
        for other in ["glibc-2.34-6.el9.src.rpm", "glibc-2.34-5.el9.nosrc.rpm", "libc-2.34-5.el9.src.rpm", "-2.34-5.el9.src.rpm", ""] {
            assert_eq!(head(other), None, "{other}");
        }
        assert_eq!(SourceRpm::head("a-1-2-3.src.rpm", "a", "1-2", "3"), None);
    }

    proptest! {
        #[test]
        fn sums_read_and_compare_as_their_texts(a in "[0-9a-f]{0,6}|[0-9a-zA-Z]{0,5}", b in "[0-9a-f]{0,6}|[0-9a-zA-Z]{0,5}") {
            let (x, y) = (kept(&a), kept(&b));
            let (x, y) = (Sum::new(&x.0, x.1), Sum::new(&y.0, y.1));
            prop_assert_eq!((x.to_string(), x.digits()), (a.clone(), a.clone().into_bytes()));
            prop_assert_eq!((x.cmp(&y), x == y), (a.cmp(&b), a == b));
        }

        #[test]
        fn a_source_is_split_the_same_way_however_it_is_kept(name in "[a-c-]{0,4}", own in "[a-c-]{0,5}", version in "[1-2-]{0,3}", release in "[1-2.-]{0,3}") {
            let text = format!("{own}-{version}-{release}.src.rpm");
            if let Some(n) = SourceRpm::head(&text, &name, &version, &release) {
                let kept = SourceRpm::Own { name: &name[..n], version: &version, release: &release };
                prop_assert_eq!(kept.to_string(), text.clone());
                let plain = |s: SourceRpm<'_>| s.parts().map(|(n, e)| (n.to_owned(), e.version.to_owned(), e.release.to_owned()));
                prop_assert_eq!(plain(kept), plain(SourceRpm::Text(&text)));
            }
        }
    }
}
