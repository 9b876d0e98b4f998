//! `GET /v1/diff` and `diff --json`: two contents, and what differs. Flat rows, as `get` has them. Texts are the far end's: whoever shows them
//! makes them safe.

use serde::{Deserialize, Serialize};

use super::order::Page;

/// The whole answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffDoc {
    /// `diff`.
    pub what: String,
    pub a: SideDoc,
    pub b: SideDoc,
    /// True where both hold the same.
    pub equal: bool,
    pub packages: Counts,
    pub sources_changed: Counts,
    /// Bytes of packages that one has to fetch who has `a`.
    pub fetch_bytes: u64,
    /// CVE ids in the changelogs between the two, each once.
    pub cves: Vec<String>,
    /// Of sources that went up or down: how many changelogs are `complete`, `partial`, `unknown`. Absent is unknown.
    pub changelogs: Knowledge,
    /// Packages.
    pub rows: Vec<PackageDoc>,
    pub sources: Vec<SourceDoc>,
    pub streams: Vec<StreamDoc>,
    pub metadata: Vec<MetadataDoc>,
    /// Which part of the sources (or packages) it has; only where a part was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Page>,
}

/// One of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideDoc {
    /// As it was asked for.
    pub content: String,
    /// What that is: `tree`, `set`, `snapshot`, `pointer`, `list`, and its name or place.
    pub is: String,
    pub fp: String,
    pub packages: u64,
    pub size_bytes: u64,
    pub repos: Vec<String>,
}

/// How many changed how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub up: u64,
    pub down: u64,
    pub new: u64,
    pub gone: u64,
    /// The same version, other bytes.
    pub rebuilt: u64,
    /// The same package in another repository.
    pub moved: u64,
    /// Only older copies came or went.
    pub copies: u64,
    /// The same on both sides; 0 for sources, which are not counted.
    pub same: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Knowledge {
    pub complete: u64,
    pub partial: u64,
    pub unknown: u64,
}

/// A package that differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageDoc {
    pub change: String,
    pub name: String,
    pub arch: String,
    pub repo: String,
    pub source: String,
    /// `MODULE:STREAM`; empty as a rule.
    pub stream: String,
    /// `EPOCH:VERSION-RELEASE`; null where the side has none.
    pub old: Option<String>,
    pub new: Option<String>,
    pub old_repo: Option<String>,
    pub old_bytes: Option<u64>,
    pub new_bytes: Option<u64>,
}

/// A source package of which something differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceDoc {
    pub source: String,
    pub change: String,
    pub old: Option<String>,
    pub new: Option<String>,
    /// Packages of it that differ.
    pub packages: u32,
    pub old_bytes: u64,
    pub new_bytes: u64,
    /// `complete`, `partial` (cut: at least these), `unknown`; for `new` and `gone` there is nothing between.
    pub changelog: String,
    /// Of a source that went down: those that are lost.
    pub cves: Vec<String>,
    /// Newest first.
    pub entries: Vec<EntryDoc>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryDoc {
    /// RFC 3339; null where the changelog says none.
    pub date: Option<String>,
    pub author: String,
    pub text: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamDoc {
    pub change: String,
    pub module: String,
    pub stream: String,
    pub old: Option<String>,
    pub new: Option<String>,
}

/// A metadata file of the content: group, modules, updateinfo.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataDoc {
    pub change: String,
    pub repo: String,
    #[serde(rename = "type")]
    pub ty: String,
}
