//! How fresh each place of a repository is: what a look found, judged against what its own upstream publishes. Pure; the clock is a number.
//!
//! *Behind* is counted in composes of that upstream, never in days: an upstream that publishes nothing makes nobody late. A place is
//! `upstream`, `tree`, `stable`, or the name of a datacentre.

mod judge;
mod light;
mod roll;
mod signed;
#[cfg(test)]
mod tests;

pub use judge::{Judged, Rules, Up, Verified, judge, judge_upstream};
pub use light::Light;
pub use roll::{Agreement, agreement, order, rank, word};
pub use signed::{Doubt, Signed, doubt};

use serde::{Deserialize, Serialize};

/// A first disagreement of metadata and packages may be a push that is on its way: so long it is amber, then red. Microseconds.
pub const DOUBT_US: i64 = 30 * 60 * 1_000_000;
/// Losing more than this part of its packages at once is no compose. The same as `mirror/sync` refuses.
pub const SHRINK_PERCENT: u64 = 20;

/// What hinders a look at a place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "why", rename_all = "kebab-case")]
pub enum Trouble {
    #[default]
    None,
    /// No answer, or none that HTTP knows.
    Silent(String),
    /// There is no repository.
    Gone(String),
    /// What `repomd.xml` says of its files is not true, or it is no `repomd.xml`.
    Torn(String),
    /// It changed while it was looked at.
    Moved,
}

impl Trouble {
    pub fn why(&self) -> &str {
        match self {
            Self::Silent(why) | Self::Gone(why) | Self::Torn(why) => why,
            Self::None | Self::Moved => "",
        }
    }

    /// The words of two failures may differ where the failure is the same.
    pub fn same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// What the last look at a place found. A field that could not be read keeps what was read of it before; `trouble` says that it is old.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Where, without what is secret in an address.
    pub at: String,
    /// sha256 of `repomd.xml`.
    pub md: Option<String>,
    /// The md of the upstream metadata that its own was made from, where its writer keeps it (Cobbler does).
    pub origin: Option<String>,
    pub fp: Option<String>,
    pub packages: u64,
    pub bytes: u64,
    /// The architecture of most of its packages; empty where it was not read.
    #[serde(default)]
    pub arch: String,
    /// The youngest timestamp in `repomd.xml`, epoch seconds.
    pub newest: Option<u64>,
    /// The revision that `repomd.xml` states; empty where it states none, and where an older version looked.
    #[serde(default)]
    pub revision: String,
    /// A label; empty where there is none.
    pub compose: String,
    pub trouble: Trouble,
    /// Of `sampled` packages that were asked for: not there, and of another size.
    pub missing: u64,
    pub short: u64,
    pub sampled: u64,
    /// Packages that upstream has and this place has not, and the other way round.
    pub lacking: u64,
    pub surplus: u64,
    /// Packages that it had before it lost too many of them; 0 where it did not.
    pub was: u64,
    /// The snapshot that it leads to.
    pub snapshot: Option<String>,
    /// A writer holds its lock.
    pub held: bool,
    /// The first thing that is wrong, in words.
    pub first: String,
    /// Since when its metadata and its packages disagree, microseconds since 1970.
    pub suspect_us: Option<i64>,
    /// Who signed its metadata; asked of upstreams only, and of older versions nobody.
    #[serde(default)]
    pub signed: Signed,
    /// The key that had signed it before another one, or none, came.
    #[serde(default)]
    pub key_before: Option<String>,
}

impl Observed {
    /// Whether this is news beside what was known.
    pub fn is_news(&self, before: &Self) -> bool {
        let still = Self {
            trouble: if self.trouble.same_kind(&before.trouble) { self.trouble.clone() } else { before.trouble.clone() },
            sampled: self.sampled,
            first: self.first.clone(),
            // It follows from the content, and older versions did not keep it.
            arch: self.arch.clone(),
            revision: self.revision.clone(),
            ..before.clone()
        };
        *self != still
    }

    /// Its metadata and its packages agree, as far as was looked.
    pub fn is_whole(&self) -> bool {
        self.trouble == Trouble::None && self.missing + self.short == 0 && self.was == 0
    }

    /// Begins or ends the doubt, as of `now_us`.
    pub fn doubted(mut self, before: Option<&Self>, now_us: i64) -> Self {
        let other = self.trouble == Trouble::None && matches!(self.signed, Signed::Bad(_));
        let doubtful = other || matches!(self.trouble, Trouble::Torn(_)) || self.missing + self.short > 0;
        self.suspect_us = match (doubtful, before.and_then(|b| b.suspect_us), &self.trouble) {
            (true, since, _) => Some(since.unwrap_or(now_us)),
            // Whoever does not answer has not become whole by that.
            (false, since, Trouble::Silent(_) | Trouble::Moved) => since,
            (false, ..) => None,
        };
        self
    }
}

impl Observed {
    /// Remembers how many packages it had before it lost too many of them at once, until they are back or it has moved on from there.
    pub fn mourned(mut self, before: Option<&Self>) -> Self {
        let Some(before) = before else { return self };
        self.was = match self.trouble {
            Trouble::Gone(_) => before.was.max(before.packages),
            Trouble::None if shrank(before.packages, self.packages) => before.packages.max(before.was),
            Trouble::None if self.fp == before.fp && shrank(before.was, self.packages) => before.was,
            Trouble::None => 0,
            _ => before.was,
        };
        self
    }
}

/// One content that upstream had: a compose, whatever its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compose {
    pub fp: String,
    pub md: String,
    pub compose: String,
    pub newest: Option<u64>,
    pub packages: u64,
    /// When we saw it first, microseconds since 1970.
    pub seen_us: i64,
}

/// The composes among observations of an upstream, given oldest first; newest first. Metadata that was made again over the same packages is
/// none.
pub fn composes(observed: impl IntoIterator<Item = (i64, Observed)>) -> Vec<Compose> {
    let mut out: Vec<Compose> = Vec::new();
    for (at_us, o) in observed {
        let (Some(fp), Some(md), true) = (&o.fp, &o.md, o.is_whole()) else { continue };
        match out.last_mut().filter(|last| last.fp == *fp) {
            Some(last) => {
                last.md.clone_from(md);
                last.newest = o.newest;
            }
            None => out.push(Compose {
                fp: fp.clone(),
                md: md.clone(),
                compose: o.compose,
                newest: o.newest,
                packages: o.packages,
                seen_us: at_us,
            }),
        }
    }
    out.reverse();
    out
}

/// Whether so many packages are gone that it is no compose.
pub fn shrank(before: u64, after: u64) -> bool {
    before > 0 && (after == 0 || after * 100 < before * (100 - SHRINK_PERCENT))
}
