//! `[repos.NAME]`: where a repository comes from, who writes its tree, which datacentres serve it, and whether it still moves.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;

use jiff::civil::Date;

use super::super::read::{At, Notes, Table};
use super::trees::Named;
use crate::base::suggest;
use crate::domain::filter::WRITERS;
use crate::domain::run::valid_name;

/// A repository that the site mirrors or reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Repo {
    /// Addresses of the repository, in order of preference.
    pub upstream: Vec<String>,
    /// Addresses of documents that name such addresses, asked where `upstream` is not given.
    pub metalink: Option<String>,
    pub mirrorlist: Option<String>,
    pub tree: String,
    /// `quarterdeck`, `cobbler` or `external`: the only one that writes the tree.
    pub writer: String,
    /// What the hosts of each datacentre read.
    pub replicas: Vec<Replica>,
    /// Path or address of what is served as stable beside it; empty = not known here.
    pub stable: String,
    /// Its OS; empty = that of the content sets that hold it.
    pub os: String,
    /// The day from which upstream publishes no more.
    pub eol: Option<Date>,
    /// Why it is not to move.
    pub frozen: Option<String>,
    /// Public keys (ASCII armour) that upstream signs its metadata with; empty = a signature is only read.
    pub keys: Vec<PathBuf>,
}

/// What one datacentre serves of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// The datacentre.
    pub dc: String,
    pub at: String,
}

impl Repo {
    /// Whether it may be compared with anything.
    pub fn has_upstream(&self) -> bool {
        !self.upstream.is_empty() || self.metalink.is_some() || self.mirrorlist.is_some()
    }

    /// Why it stands still on this day; none = it moves.
    pub fn standstill(&self, today: Date) -> Option<String> {
        match (&self.frozen, self.eol) {
            (Some(why), _) => Some(why.clone()),
            (None, Some(day)) if day <= today => Some(format!("end of life since {day}")),
            _ => None,
        }
    }
}

/// Names of places that are no datacentre.
const PLACES: [&str; 3] = ["upstream", "tree", "stable"];

/// Values of one repository that are judged beside the rest of the file, with their places.
pub(super) struct Places {
    pub tree: Option<Named>,
    /// `writer = "cobbler"`.
    pub cobbler: Option<Range<usize>>,
}

pub(super) fn read(name: &At<String>, table: &Table<'_, '_, '_>, notes: &Notes<'_>) -> (Repo, Places) {
    let upstream = table.texts("upstream").unwrap_or_default();
    if upstream.is_empty()
        && let Some(list) = table.empty_list("upstream")
    {
        notes.add(list, "`upstream` names no address", "add one, or take the line out: then nobody compares this repository with anything");
    }
    for u in &upstream {
        address(&u.value, &u.span, notes);
    }
    let document = |key| {
        let text = table.text(key)?;
        if text.value.starts_with("file:") {
            notes.add(text.span.clone(), format!("`{key}` is read over http or https"), "write https://…");
        } else {
            address(&text.value, &text.span, notes);
        }
        if !upstream.is_empty() {
            notes.add(
                text.span,
                format!("`{key}` beside `upstream`: only one of them can be meant"),
                "keep one; several addresses go into `upstream`",
            );
        }
        Some(text.value)
    };
    let (metalink, mirrorlist) = (document("metalink"), document("mirrorlist"));
    if metalink.is_some() && mirrorlist.is_some() {
        notes.add(name.span.clone(), format!("`{}` has a metalink and a mirror list", name.value), "keep the metalink: it knows checksums");
    }
    let writer = table.text("writer");
    if let Some(w) = writer.as_ref().filter(|w| !WRITERS.contains(&w.value.as_str())) {
        let help = match suggest::nearest(&w.value, WRITERS) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("write one of \"{}\"", WRITERS.join("\", \"")),
        };
        notes.add(w.span.clone(), format!("`writer` cannot be \"{}\"", w.value), help);
    }
    let frozen = table.text("frozen").and_then(|why| {
        if why.value.trim().is_empty() {
            notes.add(why.span, "`frozen` says why, and there is nothing", "write frozen = \"the reason\", or take the line out");
            return None;
        }
        Some(why.value.trim().to_owned())
    });
    let tree = table.text("tree").and_then(|t| super::values::absolute(t, notes));
    let named = tree.as_ref().map(|t| Named::new(&name.value, &t.value, t.span.clone()));
    let cobbler = writer.as_ref().filter(|w| w.value == "cobbler").map(|w| w.span.clone());
    let repo = Repo {
        tree: tree.map(|t| t.value).unwrap_or_default(),
        writer: writer.map_or_else(|| "quarterdeck".to_owned(), |w| w.value),
        replicas: replicas(table.texts("replicas").unwrap_or_default(), notes),
        stable: table.text("stable").and_then(|t| place(t, notes)).unwrap_or_default(),
        os: table.text("os").map(|t| t.value).unwrap_or_default(),
        eol: table.moment("eol").and_then(|d| day(&d, notes)),
        upstream: upstream.into_iter().map(|t| t.value).collect(),
        keys: table.texts("keys").unwrap_or_default().into_iter().filter_map(|k| super::values::file("key", k, notes)).collect(),
        metalink,
        mirrorlist,
        frozen,
    };
    (repo, Places { tree: named, cobbler })
}

/// An address that a repository can be read from.
fn address(text: &str, span: &std::ops::Range<usize>, notes: &Notes<'_>) -> Option<url::Url> {
    // `file:x` and `file://x/y` are places that nobody means.
    let here = |p: &url::Url| p.scheme() != "file" || text.to_ascii_lowercase().starts_with("file:///");
    let url = url::Url::parse(text).ok().filter(|p| matches!(p.scheme(), "http" | "https" | "file") && here(p));
    match &url {
        None => notes.add(span.clone(), "this is no URL that can be read", "write http://…, https://… or file:///…"),
        Some(p) if p.password().is_some() => notes.add(
            span.clone(),
            "a URL in the site file must not hold a password",
            "take it out; credentials are secrets, see [secrets]",
        ),
        Some(_) => {}
    }
    url
}

/// A path or an address.
fn place(text: At<String>, notes: &Notes<'_>) -> Option<String> {
    if text.value.starts_with('/') {
        return super::values::absolute(text, notes).map(|t| t.value);
    }
    address(&text.value, &text.span, notes).map(|_| text.value)
}

/// `DATACENTRE=ADDRESS`, or an address alone: then the datacentre is called as its host.
fn replicas(list: Vec<At<String>>, notes: &Notes<'_>) -> Vec<Replica> {
    let (mut out, mut seen) = (Vec::new(), BTreeSet::new());
    for entry in list {
        // The `=` of a query stands behind a colon and a slash, which no name has.
        let (dc, at) = match entry.value.split_once('=') {
            Some((dc, at)) if !dc.contains([':', '/', '?']) => (Some(dc), at),
            _ => (None, entry.value.as_str()),
        };
        if let Some(dc) = dc.filter(|dc| !valid_name(dc) || PLACES.contains(dc)) {
            let help =
                "write \"DATACENTRE=ADDRESS\"; datacentres are lower case letters, digits and . _ -, but not upstream, tree or stable";
            notes.add(entry.span.clone(), format!("`{dc}` cannot be the name of a datacentre"), help);
            continue;
        }
        let Some(url) = address(at, &entry.span, notes) else { continue };
        let host = || match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            _ => "local".to_owned(),
        };
        let dc = dc.map_or_else(host, str::to_owned);
        if !seen.insert(dc.clone()) {
            let help = "give each replica its datacentre: \"alder=http://…\"";
            notes.add(entry.span.clone(), format!("two replicas are in `{dc}`"), help);
            continue;
        }
        out.push(Replica { dc, at: at.to_owned() });
    }
    out
}

fn day(text: &At<String>, notes: &Notes<'_>) -> Option<Date> {
    let day = text.value.parse::<Date>().ok();
    if day.is_none() {
        notes.add(text.span.clone(), format!("`{}` is no day", text.value), "write eol = 2024-05-31");
    }
    day
}
