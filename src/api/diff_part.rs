//! A comparison in parts: its tables as flat rows, and the document cut down to what a filter, an order and a page leave of it. Pure; the
//! engine and `quarterdeck diff` cut alike.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::ApiError;
use super::diff::{DiffDoc, MetadataDoc, PackageDoc, SourceDoc, StreamDoc};
use super::order::Page;
use super::order::sort_by;
use crate::domain::filter::{Filter, order_column};

type Row = Map<String, Value>;

/// Columns of source packages. `cves` has the ids with blanks between them, `fixes` what is known of them in words.
pub const SOURCES: &[&str] =
    &["source", "change", "old", "new", "packages", "old_bytes", "new_bytes", "grown_bytes", "cve_count", "cves", "fixes", "changelog"];
pub const PACKAGES: &[&str] =
    &["name", "arch", "change", "old", "new", "repo", "source", "stream", "old_repo", "old_bytes", "new_bytes", "grown_bytes"];
pub const STREAMS: &[&str] = &["module", "stream", "change", "old", "new"];
pub const METADATA: &[&str] = &["repo", "type", "change"];

/// The tables of a comparison, by the names under which they are asked for.
pub const TABLES: [&str; 4] = ["sources", "packages", "streams", "metadata"];

/// What is wanted of a comparison. It speaks of source packages, or of packages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    pub packages: bool,
    pub filter: String,
    /// `COL`, or `-COL`: backwards.
    pub sort: Option<String>,
    pub offset: Option<usize>,
    pub limit: Option<usize>,
}

impl Part {
    /// Nothing is left out and nothing is in another order.
    pub fn is_whole(&self) -> bool {
        self.filter.trim().is_empty() && self.sort.is_none() && self.offset.is_none() && self.limit.is_none()
    }
}

fn fields(value: Value) -> Row {
    match value {
        Value::Object(map) => map,
        _ => Row::new(),
    }
}

fn grown(old: u64, new: u64) -> i64 {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    signed(new).saturating_sub(signed(old))
}

impl SourceDoc {
    /// What is known of the fixes between the two, `most` ids named: absent is unknown, and a cut changelog says so. Empty for what is new or
    /// gone: there is nothing between.
    pub fn fixes(&self, most: usize) -> String {
        if !matches!(self.change.as_str(), "up" | "down") {
            return String::new();
        }
        let mut named: Vec<String> = self.cves.iter().take(most).cloned().collect();
        if self.cves.len() > most {
            named.push(format!("+{}", self.cves.len() - most));
        }
        let lost = if self.change == "down" && !named.is_empty() { "lost: " } else { "" };
        match (self.changelog.as_str(), named.is_empty()) {
            ("complete", true) => "none".to_owned(),
            ("complete", false) => format!("{lost}{}", named.join(" ")),
            ("partial", true) => "none seen, cut".to_owned(),
            ("partial", false) => format!("{lost}{}, cut", named.join(" ")),
            _ => "unknown".to_owned(),
        }
    }

    pub fn row(&self) -> Row {
        fields(json!({
            "source": self.source, "change": self.change, "old": self.old, "new": self.new, "packages": self.packages,
            "old_bytes": self.old_bytes, "new_bytes": self.new_bytes, "grown_bytes": grown(self.old_bytes, self.new_bytes),
            "cve_count": self.cves.len(), "cves": self.cves.join(" "), "fixes": self.fixes(usize::MAX), "changelog": self.changelog,
        }))
    }
}

impl PackageDoc {
    pub fn row(&self) -> Row {
        fields(json!({
            "name": self.name, "arch": self.arch, "change": self.change, "old": self.old, "new": self.new, "repo": self.repo,
            "source": self.source, "stream": self.stream, "old_repo": self.old_repo, "old_bytes": self.old_bytes, "new_bytes": self.new_bytes,
            "grown_bytes": grown(self.old_bytes.unwrap_or(0), self.new_bytes.unwrap_or(0)),
        }))
    }
}

fn stream(s: &StreamDoc) -> Row {
    fields(json!({"module": s.module, "stream": s.stream, "change": s.change, "old": s.old, "new": s.new}))
}

fn metadata(m: &MetadataDoc) -> Row {
    fields(json!({"repo": m.repo, "type": m.ty, "change": m.change}))
}

/// The columns of one of [`TABLES`]; none of another name.
pub fn columns(table: &str) -> Option<&'static [&'static str]> {
    Some(match table {
        "sources" => SOURCES,
        "packages" => PACKAGES,
        "streams" => STREAMS,
        "metadata" => METADATA,
        _ => return None,
    })
}

/// The rows of one of [`TABLES`] that pass, in order. `now` anchors relative times.
pub fn rows(doc: &DiffDoc, table: &str, filter: &str, sort: Option<&str>, now: Timestamp) -> Result<Vec<Row>, ApiError> {
    let columns = columns(table)
        .ok_or_else(|| ApiError::bad(format!("a comparison has no `{table}`"), format!("there are: {}", TABLES.join(" "))))?;
    let all: Vec<Row> = match table {
        "sources" => doc.sources.iter().map(SourceDoc::row).collect(),
        "packages" => doc.rows.iter().map(PackageDoc::row).collect(),
        "streams" => doc.streams.iter().map(stream).collect(),
        _ => doc.metadata.iter().map(metadata).collect(),
    };
    let order = order(&all, columns, filter, sort, now)?;
    let mut all: Vec<Option<Row>> = all.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|n| all.get_mut(n)?.take()).collect())
}

/// Places of the rows that pass, in the order that is wanted.
fn order(all: &[Row], columns: &[&str], filter: &str, sort: Option<&str>, now: Timestamp) -> Result<Vec<usize>, ApiError> {
    let filter = Filter::parse(filter, columns, now)?;
    let mut out: Vec<usize> = (0..all.len()).filter(|n| filter.is_empty() || filter.matches(&all[*n])).collect();
    if let Some((column, backwards)) = sort.map(|s| sort_by(s, columns)).transpose()? {
        let nothing = Value::Null;
        let cell = |n: &usize| all[*n].get(column).unwrap_or(&nothing);
        out.sort_by(|a, b| order_column(cell(a), cell(b), backwards));
    }
    Ok(out)
}

impl DiffDoc {
    /// What stands above the tables: both sides, counts, CVE ids, module streams and metadata, without a source or a package.
    pub fn head(&self) -> Self {
        Self {
            what: self.what.clone(),
            a: self.a.clone(),
            b: self.b.clone(),
            equal: self.equal,
            packages: self.packages,
            sources_changed: self.sources_changed,
            fetch_bytes: self.fetch_bytes,
            cves: self.cves.clone(),
            changelogs: self.changelogs,
            rows: Vec::new(),
            sources: Vec::new(),
            streams: self.streams.clone(),
            metadata: self.metadata.clone(),
            page: None,
        }
    }

    /// One source package with what was written between, and its packages.
    pub fn of_source(&self, name: &str) -> Self {
        let mut out = self.head();
        out.sources = self.sources.iter().filter(|s| s.source == name).cloned().collect();
        out.rows = self.rows.iter().filter(|p| p.source == name).cloned().collect();
        out
    }

    /// The document with the sources (or packages) that the part lets pass, in its order and no more of them than its page has. Of the other
    /// table what belongs to them stays. Counts and CVE ids stay those of the whole.
    pub fn part(&self, part: &Part, now: Timestamp) -> Result<Self, ApiError> {
        let table: Vec<Row> = match part.packages {
            true => self.rows.iter().map(PackageDoc::row).collect(),
            false => self.sources.iter().map(SourceDoc::row).collect(),
        };
        let columns = if part.packages { PACKAGES } else { SOURCES };
        let all = order(&table, columns, &part.filter, part.sort.as_deref(), now)?;
        let from = part.offset.unwrap_or(0).min(all.len());
        let shown: Vec<usize> = all.iter().skip(from).take(part.limit.unwrap_or(usize::MAX)).copied().collect();
        let mut out = self.head();
        out.page = Some(Page { offset: from as u64, total: all.len() as u64 });
        match part.packages {
            true => {
                out.rows = shown.iter().filter_map(|n| self.rows.get(*n).cloned()).collect();
                let names: HashSet<&str> = out.rows.iter().map(|p| p.source.as_str()).collect();
                out.sources = self.sources.iter().filter(|s| names.contains(s.source.as_str())).cloned().collect();
            }
            false => {
                out.sources = shown.iter().filter_map(|n| self.sources.get(*n).cloned()).collect();
                let names: HashSet<&str> = out.sources.iter().map(|s| s.source.as_str()).collect();
                out.rows = self.rows.iter().filter(|p| names.contains(p.source.as_str())).cloned().collect();
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doc() -> DiffDoc {
        let source = |name: &str, change: &str, changelog: &str, cves: &[&str], old_bytes, new_bytes| SourceDoc {
            source: name.into(),
            change: change.into(),
            changelog: changelog.into(),
            cves: cves.iter().map(|c| (*c).to_owned()).collect(),
            old_bytes,
            new_bytes,
            ..SourceDoc::default()
        };
        let package = |name: &str, source: &str| PackageDoc {
            name: name.into(),
            source: source.into(),
            arch: "x86_64".into(),
            change: "up".into(),
            ..PackageDoc::default()
        };
        DiffDoc {
            what: "diff".into(),
            cves: vec!["CVE-2026-90001".into()],
            sources: vec![
                source("bash", "up", "complete", &[], 10, 20),
                source("kernel", "up", "partial", &["CVE-2026-90001", "CVE-2026-90002"], 100, 50),
                source("nano", "new", "unknown", &[], 0, 5),
                source("zlib", "down", "complete", &["CVE-2026-90003"], 7, 7),
                source("tar", "up", "", &[], 7, 7),
            ],
            rows: vec![
                package("bash", "bash"),
                package("kernel-core", "kernel"),
                package("kernel-tools", "kernel"),
                package("nano", "nano"),
            ],
            ..DiffDoc::default()
        }
    }

    fn names(doc: &DiffDoc) -> (Vec<&str>, Vec<&str>) {
        (doc.sources.iter().map(|s| s.source.as_str()).collect(), doc.rows.iter().map(|p| p.name.as_str()).collect())
    }

    fn part(filter: &str, sort: Option<&str>, offset: Option<usize>, limit: Option<usize>) -> DiffDoc {
        let part = Part { packages: false, filter: filter.into(), sort: sort.map(str::to_owned), offset, limit };
        doc().part(&part, Timestamp::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn what_is_known_of_fixes_is_never_more_than_that() {
        let words: Vec<String> = doc().sources.iter().map(|s| s.fixes(1)).collect();
        assert_eq!(words, ["none", "CVE-2026-90001 +1, cut", "", "lost: CVE-2026-90003", "unknown"]);
    }

    #[test]
    fn a_part_has_its_sources_and_what_belongs_to_them() {
        let some = part("change=up cve_count>0", None, None, None);
        assert_eq!(names(&some), (vec!["kernel"], vec!["kernel-core", "kernel-tools"]));
        assert_eq!((some.page, some.cves.len()), (Some(Page { offset: 0, total: 1 }), 1));
        let sorted = part("", Some("-grown_bytes"), Some(1), Some(2));
        assert_eq!((names(&sorted).0, sorted.page), (vec!["nano", "zlib"], Some(Page { offset: 1, total: 5 })));
        let none = part("", None, Some(99), None);
        assert_eq!((names(&none).0.len(), none.page), (0, Some(Page { offset: 5, total: 5 })));
        let of = Part { packages: true, filter: "name~^kernel".into(), limit: Some(1), ..Part::default() };
        let packages = doc().part(&of, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(names(&packages), (vec!["kernel"], vec!["kernel-core"]));
        assert_eq!(names(&doc().of_source("kernel")), (vec!["kernel"], vec!["kernel-core", "kernel-tools"]));
    }

    #[test]
    fn a_column_that_is_none_is_told_and_every_column_is_in_its_row() {
        let bad = |p: Part| doc().part(&p, Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(bad(Part { filter: "nam=x".into(), packages: true, ..Part::default() }).help.contains("name"));
        assert!(bad(Part { sort: Some("sourc".into()), ..Part::default() }).help.contains("source"));
        for table in TABLES {
            let rows = rows(&doc(), table, "", None, Timestamp::UNIX_EPOCH).unwrap();
            for row in rows {
                assert_eq!(row.keys().map(String::as_str).collect::<Vec<_>>(), columns(table).unwrap(), "{table}");
            }
        }
        assert!(super::rows(&doc(), "x", "", None, Timestamp::UNIX_EPOCH).is_err());
    }
}
