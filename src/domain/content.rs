//! What a repository or a content set holds, as one fingerprint (`fp`), and the cheap signal beside it (`md`).
//!
//! `fp` = sha256 over the sorted lines `REPO<TAB>NEVRA<TAB>package checksum` of all repositories, then the sorted lines
//! `REPO<TAB>TYPE<TAB>open-checksum` for modules, group and updateinfo; every line ends with a newline, every NEVRA carries
//! its epoch. `md` = sha256 of `repomd.xml`; for a set of several repositories, sha256 over the sorted lines `REPO<TAB>md`.
//! Digests of metadata files identify nothing: `createrepo_c` run twice on the same packages writes other ones.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A sha256 in lower-case hex, or unknown. **Unknown equals nothing, not even itself**: what could not be read agrees with nobody.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Option<String>", into = "Option<String>")]
pub enum Fingerprint {
    Known(String),
    #[default]
    Unknown,
}

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Known(a), Self::Known(b)) if a == b)
    }
}

impl From<Option<String>> for Fingerprint {
    fn from(value: Option<String>) -> Self {
        value.filter(|v| !v.is_empty()).map_or(Self::Unknown, Self::Known)
    }
}

impl From<Fingerprint> for Option<String> {
    fn from(value: Fingerprint) -> Self {
        match value {
            Fingerprint::Known(hex) => Some(hex),
            Fingerprint::Unknown => None,
        }
    }
}

impl Fingerprint {
    /// The sha256 of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::Known(hex(&Sha256::digest(bytes)))
    }

    pub fn known(&self) -> Option<&str> {
        match self {
            Self::Known(hex) => Some(hex),
            Self::Unknown => None,
        }
    }

    /// Twelve characters for a table cell, or `unknown`.
    pub fn short(&self) -> &str {
        self.known().map_or("unknown", |h| h.get(..12).unwrap_or(h))
    }
}

/// What was read of a content set at one moment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Reading {
    pub fp: Fingerprint,
    pub md: Fingerprint,
    /// Packages counted; 0 where nothing could be read.
    #[serde(default)]
    pub packages: u64,
    /// Sum of the package sizes, in bytes.
    #[serde(default)]
    pub bytes: u64,
    /// Why something is unknown; empty where everything was read.
    #[serde(default)]
    pub detail: String,
}

impl Reading {
    /// Nothing could be read, and why.
    pub fn unknown(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..Self::default() }
    }
}

/// Metadata types whose open-checksum belongs to the content; the others are derived from the packages.
pub const CONTENT_TYPES: [&str; 3] = ["modules", "group", "updateinfo"];

/// Collects the lines of one repository or of a whole set, in any order.
#[derive(Debug, Clone, Default)]
pub struct Collector {
    packages: Vec<String>,
    metadata: Vec<String>,
    repos: Vec<String>,
    bytes: u64,
}

impl Collector {
    pub fn new() -> Self {
        Self::default()
    }

    /// One package: `nevra` as `Nevra` prints it, `checksum` the hex digest of the whole file, `size` its bytes.
    pub fn package(&mut self, repo: &str, nevra: &str, checksum: &str, size: u64) {
        self.packages.push(format!("{repo}\t{nevra}\t{checksum}\n"));
        self.bytes = self.bytes.saturating_add(size);
    }

    /// One metadata file; types that are not in `CONTENT_TYPES` are ignored, compressed twins (`group_gz`) count as their type.
    pub fn metadata(&mut self, repo: &str, ty: &str, open_checksum: &str) {
        let ty = content_type(ty);
        if CONTENT_TYPES.contains(&ty) {
            self.metadata.push(format!("{repo}\t{ty}\t{open_checksum}\n"));
        }
    }

    /// The sha256 of one repository's `repomd.xml`.
    pub fn repomd(&mut self, repo: &str, md: &str) {
        self.repos.push(format!("{repo}\t{md}\n"));
    }

    /// Takes in what another one collected.
    pub fn absorb(&mut self, other: Self) {
        self.packages.extend(other.packages);
        self.metadata.extend(other.metadata);
        self.repos.extend(other.repos);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    pub fn finish(mut self) -> Reading {
        let fp = {
            self.packages.sort_unstable();
            self.metadata.sort_unstable();
            self.metadata.dedup();
            let mut hash = Sha256::new();
            self.packages.iter().chain(&self.metadata).for_each(|line| hash.update(line.as_bytes()));
            Fingerprint::Known(hex(&hash.finalize()))
        };
        let md = match self.repos.as_mut_slice() {
            [] => Fingerprint::Unknown,
            [one] => Fingerprint::from(one.trim_end().rsplit('\t').next().map(str::to_owned)),
            many => {
                many.sort_unstable();
                Fingerprint::of(many.concat().as_bytes())
            }
        };
        Reading { fp, md, packages: self.packages.len() as u64, bytes: self.bytes, detail: String::new() }
    }
}

/// The type that a repomd `<data type>` stands for: `group_gz` and `group_xz` are `group`, `modules_zck` is `modules`.
pub fn content_type(ty: &str) -> &str {
    ty.split_once('_').filter(|(_, tail)| matches!(*tail, "gz" | "xz" | "zck" | "zst" | "bz2")).map_or(ty, |(head, _)| head)
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)] as char, DIGITS[usize::from(b & 15)] as char]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unknown_equals_nothing_not_even_itself() {
        let unknown = Fingerprint::Unknown;
        assert!(unknown != unknown.clone());
        assert!(Fingerprint::of(b"x") != unknown);
        assert!(Fingerprint::of(b"x") == Fingerprint::of(b"x"));
        assert!(Reading::unknown("no answer").fp != Reading::unknown("no answer").fp);
        assert_eq!(Fingerprint::from(Some(String::new())).known(), None);
    }

    /// Made with coreutils: printf of the sorted lines | sha256sum.
    #[test]
    fn the_fingerprint_is_the_documented_sha256() {
        let mut c = Collector::new();
        c.metadata("base", "modules", "m1");
        c.metadata("base", "filelists", "never counted");
        c.package("base", "zlib-0:1.2-1.x86_64", "bb", 20);
        c.package("app", "nginx-1:1.2-1.x86_64", "cc", 30);
        c.package("base", "bash-0:5.1-1.x86_64", "aa", 10);
        c.repomd("base", "11");
        let r = c.finish();
        let text = "app\tnginx-1:1.2-1.x86_64\tcc\nbase\tbash-0:5.1-1.x86_64\taa\nbase\tzlib-0:1.2-1.x86_64\tbb\nbase\tmodules\tm1\n";
        assert!(r.fp == Fingerprint::of(text.as_bytes()));
        assert_eq!(r.fp.known().unwrap(), "dd84fd7c7c8e082cc40cfb28b95ac190d463a47867c544b39618cb9cc9606c6b");
        assert_eq!((r.packages, r.bytes, r.md.known().unwrap()), (3, 60, "11"));
    }

    #[test]
    fn compressed_twins_are_one_type_and_sets_have_one_md() {
        let mut c = Collector::new();
        c.metadata("b", "group", "g");
        c.metadata("b", "group_gz", "g");
        c.repomd("b", "2");
        c.repomd("a", "1");
        let r = c.finish();
        assert!(r.fp == Fingerprint::of(b"b\tgroup\tg\n"));
        assert!(r.md == Fingerprint::of(b"a\t1\nb\t2\n"));
        assert_eq!(Collector::new().finish().md.known(), None);
    }

    #[test]
    fn json_says_null_for_unknown() {
        let r = Reading { fp: Fingerprint::Known("ab".into()), ..Reading::default() };
        let text = serde_json::to_string(&r).unwrap();
        assert!(text.starts_with(r#"{"fp":"ab","md":null"#), "{text}");
        let back: Reading = serde_json::from_str(&text).unwrap();
        assert!(back.fp == r.fp && back.md != r.md);
    }

    proptest! {
        #[test]
        fn order_never_matters(lines in proptest::collection::vec(("[a-z]{1,4}", "[a-z]{1,8}", "[0-9a-f]{4}"), 0..40), turn in 0usize..40) {
            let mut turned = lines.clone();
            turned.rotate_left(if lines.is_empty() { 0 } else { turn % lines.len() });
            let fold = |all: &[(String, String, String)]| {
                let mut c = Collector::new();
                all.iter().for_each(|(r, n, s)| { c.package(r, n, s, 1); c.metadata(r, "group", s); });
                c.finish()
            };
            prop_assert!(fold(&lines).fp == fold(&turned).fp);
        }
    }
}
