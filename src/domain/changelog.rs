//! Changelogs of source packages: what was written between two builds, and the CVE ids in it. Pure.
//!
//! A repository keeps only the newest entries of each package, so what is absent is unknown: every answer says how much it knows.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::version::EvrRef;

/// One entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// Epoch seconds; 0 where it is unknown.
    pub date: u64,
    /// `Name <mail> - VERSION-RELEASE` by custom.
    pub author: String,
    pub text: String,
}

/// How much is known of what changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Known {
    /// Nothing: there is no changelog to read.
    #[default]
    Unknown,
    /// At least these: the changelog was cut before the older build.
    Partial,
    /// The changelog reaches back to the older build.
    Complete,
}

impl Known {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Partial => "partial",
            Self::Complete => "complete",
        }
    }
}

/// What was written between two builds of one source package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Between {
    pub known: Known,
    /// Newest first.
    pub entries: Vec<Entry>,
    /// Each once, in natural order.
    pub cves: Vec<String>,
}

/// Compares the changelog of the newer build with that of the older one, whose version is `older`.
pub fn between(old: Option<&[Entry]>, new: Option<&[Entry]>, older: EvrRef<'_>) -> Between {
    let Some(new) = new.filter(|n| !n.is_empty()) else { return Between::default() };
    let old: HashSet<&Entry> = old.into_iter().flatten().collect();
    let shared = new.iter().any(|e| old.contains(e));
    let mut reached = shared;
    let mut entries: Vec<Entry> = Vec::new();
    for e in new {
        if old.contains(e) {
            continue;
        }
        // Without a common entry the version that the author signed with is the only witness.
        if !shared && let Some(version) = signed(&e.author) {
            let signed = EvrRef { epoch: "", version: version.version, release: version.release };
            let bare = EvrRef { epoch: "", ..older };
            if signed.compare_loosely(bare).is_le() {
                reached = true;
                continue;
            }
        }
        entries.push(e.clone());
    }
    entries.sort_by_key(|e| std::cmp::Reverse(e.date));
    let mut cves: Vec<String> = entries.iter().flat_map(|e| cves(&e.text)).collect();
    cves.sort_by(|a, b| order(a).cmp(&order(b)));
    cves.dedup();
    Between { known: if reached { Known::Complete } else { Known::Partial }, entries, cves }
}

/// The version behind the last dash-and-blank of an author's line: `5.1.8-6` of `A B <a@b> - 5.1.8-6`, `1:2-3` without its epoch.
fn signed(author: &str) -> Option<EvrRef<'_>> {
    let word = author.trim_end().rsplit([' ', '>']).next()?;
    let word = word.split_once(':').map_or(word, |(_, v)| v);
    let (version, release) = word.rsplit_once('-')?;
    let good = version.starts_with(|c: char| c.is_ascii_alphanumeric()) && release.starts_with(|c: char| c.is_ascii_digit());
    good.then_some(EvrRef { epoch: "", version, release })
}

/// Year and number, so that CVE-2024-9999 comes before CVE-2024-10000.
fn order(cve: &str) -> (u32, u64, &str) {
    let mut parts = cve.split('-').skip(1);
    let year = parts.next().and_then(|y| y.parse().ok()).unwrap_or(0);
    (year, parts.next().and_then(|n| n.parse().ok()).unwrap_or(0), cve)
}

/// CVE ids in a text, in upper case, as they come.
pub fn cves(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| rest.windows(4).position(|w| w.eq_ignore_ascii_case(b"cve-"))) {
        let start = at + found;
        at = start + 4;
        if start > 0 && bytes[start - 1].is_ascii_alphanumeric() {
            continue;
        }
        let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        if digits(at) != 4 || bytes.get(at + 4) != Some(&b'-') {
            continue;
        }
        let number = digits(at + 5);
        // The rule: at least four digits, no end but a sane one.
        if (4..=12).contains(&number) {
            out.push(text[start..at + 5 + number].to_ascii_uppercase());
            at += 5 + number;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn e(date: u64, author: &str, text: &str) -> Entry {
        Entry { date, author: author.into(), text: text.into() }
    }

    const OLD: EvrRef<'_> = EvrRef { epoch: "0", version: "5.1", release: "2.el9" };

    #[test]
    fn ids_are_found_as_people_write_them() {
        let text = "- Fix CVE-2024-12345, cve-2023-0001 (CVE-2022-1)\nCVE-2021-44228/CVE-2021-45046; xCVE-2020-1111 CVE-20-1111 CVE-2019-";
        assert_eq!(cves(text), ["CVE-2024-12345", "CVE-2023-0001", "CVE-2021-44228", "CVE-2021-45046"]);
        assert!(cves("").is_empty() && cves("cve-").is_empty());
    }

    #[test]
    fn a_common_entry_makes_it_complete() {
        let old = [e(1, "A - 5.1-1", "first"), e(2, "A - 5.1-2", "second CVE-2020-0001")];
        let new = [old[1].clone(), e(3, "A - 5.1-3", "third CVE-2024-1000"), e(4, "B - 5.1-4", "CVE-2024-9990 and CVE-2024-1000")];
        let got = between(Some(&old), Some(&new), OLD);
        assert_eq!((got.known, got.entries.len(), got.entries[0].date), (Known::Complete, 2, 4));
        assert_eq!(got.cves, ["CVE-2024-1000", "CVE-2024-9990"]);
    }

    #[test]
    fn without_one_the_signed_version_is_the_witness_and_a_cut_is_told() {
        let new = [e(1, "A <a@b> - 5.1-2", "CVE-2020-0001"), e(2, "A <a@b> - 5.1-3", "CVE-2024-1000")];
        let got = between(None, Some(&new), OLD);
        assert_eq!((got.known, got.cves.as_slice()), (Known::Complete, &["CVE-2024-1000".to_owned()][..]));
        let cut = between(None, Some(&new[1..]), OLD);
        assert_eq!((cut.known, cut.entries.len()), (Known::Partial, 1));
        let unsigned = between(Some(&[e(9, "Z", "z")]), Some(&[e(2, "A", "CVE-2024-1000")]), OLD);
        assert_eq!((unsigned.known, unsigned.cves.len()), (Known::Partial, 1));
        for none in [None, Some(&[][..])] {
            assert_eq!(between(Some(&new), none, OLD).known, Known::Unknown);
        }
        assert!(between(Some(&new), Some(&new), OLD).entries.is_empty());
    }

    proptest! {
        #[test]
        fn arbitrary_texts_never_panic(text in "\\PC{0,60}|(cve-|CVE-|[0-9]{1,6}|-| |é){0,20}") {
            for id in cves(&text) {
                prop_assert!(id.starts_with("CVE-") && id.is_ascii());
            }
            let all = [e(1, &text, &text)];
            let _ = between(None, Some(&all), OLD);
        }
    }
}
