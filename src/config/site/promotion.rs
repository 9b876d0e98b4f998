//! `[promotion.OS]` and `[evidence]`: where the pointers of an OS major lie in each datacentre, what its gates want, and who signs the evidence.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::values::{absolute, file};
use crate::base::duration::Span;
use crate::base::suggest;
use crate::config::read::{At, Named, Notes, Table};
use crate::config::site::ContentSet;
use crate::domain::promotion::gate::{GATES, Gate};
use crate::domain::run::valid_name;
use crate::domain::snapshot::plain;

/// How one OS major is promoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotion {
    /// The content set whose live trees a soak takes.
    pub set: String,
    /// The pointer that is moved, and the one that leads to the candidate while it soaks.
    pub pointer: String,
    pub candidate: String,
    pub calendar: Option<String>,
    /// In the order in which they are switched.
    pub dcs: Vec<Dc>,
    pub age: Option<Span>,
    pub streak: Option<u32>,
    pub apart: Option<Span>,
    pub stale: Option<Span>,
    /// Why the site accepts that a gate has no source.
    pub without: BTreeMap<Gate, String>,
    /// What somebody should do where a gate does not pass: the page of a runbook, the name of a team.
    pub help: BTreeMap<Gate, String>,
    /// Public keys (ASCII armour) that packages must be signed with.
    pub keys: Vec<PathBuf>,
}

/// A datacentre: the root of its snapshots and pointers, and the trees that it is filled from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dc {
    pub name: String,
    pub root: PathBuf,
    /// `NAME=PATH`; empty = the trees of the set's repositories.
    pub trees: Vec<String>,
}

/// Who signs an evidence pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Private key that `ssh-keygen -Y sign` takes; never read by us.
    pub key: PathBuf,
    /// The name by which a verifier knows the key.
    pub identity: String,
}

/// A root of an OS major, and where the file says it.
pub(super) struct Root {
    pub os: String,
    pub at: PathBuf,
    pub span: Range<usize>,
}

impl Root {
    fn new(os: &At<String>, at: &At<String>) -> Self {
        Self { os: os.value.clone(), at: Path::new(&at.value).components().collect(), span: at.span.clone() }
    }
}

const POINTER: &str = "a pointer is one plain word, such as stable";

/// The promotions, and where each of their roots is said.
pub(super) fn read(
    root: &Table<'_, '_, '_>,
    notes: &Notes<'_>,
    sets: &BTreeMap<String, ContentSet>,
) -> (BTreeMap<String, Promotion>, Vec<Root>) {
    let (mut out, mut roots) = (BTreeMap::new(), Vec::new());
    for entry in root.tables_by_name("promotion") {
        let os = &entry.name;
        if !valid_name(&os.value) || os.value.len() > 40 {
            notes.add(os.span.clone(), format!("`{}` cannot be the name of an OS major", os.value), "write [promotion.el9]");
        }
        let Some(table) = root.entry("promotion", &entry) else { continue };
        let set = table.text("set");
        let held = set.as_ref().and_then(|s| sets.get(&s.value)).map(|s| s.repos.as_slice());
        match &set {
            None if !table.has("set") => {
                notes.add(
                    os.span.clone(),
                    format!("[promotion.{}] names no content set", os.value),
                    "add set = \"NAME\" of a [content.NAME]",
                );
            }
            Some(s) if held.is_none() => {
                let help = suggest::meant(&s.value, sets.keys().map(String::as_str), format!("add a table [content.{}]", s.value));
                notes.add(s.span.clone(), format!("no content set `{}` in this file", s.value), help);
            }
            _ => {}
        }
        let pointer = pointer(&table, "pointer", "stable", notes);
        let candidate = pointer_other(&table, &pointer, notes);
        let dcs = dcs(&table, os, held, notes, &mut roots);
        let promotion = Promotion {
            set: set.map(|s| s.value).unwrap_or_default(),
            pointer,
            candidate,
            calendar: table.text("calendar").map(|t| {
                notes.refers(Named::Calendar, t.clone());
                t.value
            }),
            dcs,
            age: span(&table, "age", notes),
            streak: table.int("streak", 1..=100),
            apart: span(&table, "apart", notes),
            stale: span(&table, "stale", notes),
            without: of_gates(&table, notes, "without", "say why it is accepted that this gate has no source"),
            help: of_gates(&table, notes, "help", "say what somebody should do where this gate does not pass"),
            keys: table.texts("keys").unwrap_or_default().into_iter().filter_map(|k| file("key", k, notes)).collect(),
        };
        table.close();
        out.insert(entry.name.value.clone(), promotion);
    }
    (out, roots)
}

fn pointer(table: &Table<'_, '_, '_>, key: &'static str, default: &str, notes: &Notes<'_>) -> String {
    let Some(text) = table.text(key) else { return default.to_owned() };
    if !plain(&text.value) || text.value == "snapshots" || text.value.ends_with(".previous") || text.value.len() > 80 {
        notes.add(text.span, format!("`{}` cannot be the name of a pointer", text.value), POINTER);
    }
    text.value
}

fn pointer_other(table: &Table<'_, '_, '_>, pointer_name: &str, notes: &Notes<'_>) -> String {
    let name = pointer(table, "candidate", "candidate", notes);
    if name == pointer_name
        && let Some(text) = table.text("candidate").or_else(|| table.text("pointer"))
    {
        notes.add(text.span, "the candidate has the pointer of what is promoted", "give them two names");
    }
    name
}

fn span(table: &Table<'_, '_, '_>, key: &'static str, notes: &Notes<'_>) -> Option<Span> {
    let text = table.text(key)?;
    match text.value.parse::<Span>() {
        Ok(span) => Some(span),
        Err(e) => {
            notes.add(text.span, format!("`{key}`: {e}"), "write a duration, such as 72h or 5d");
            None
        }
    }
}

fn dcs(table: &Table<'_, '_, '_>, os: &At<String>, held: Option<&[String]>, notes: &Notes<'_>, roots: &mut Vec<Root>) -> Vec<Dc> {
    let mut found = Vec::new();
    for entry in table.tables_by_name("dc") {
        let place = entry.name.span.start;
        if !plain(&entry.name.value) || entry.name.value.len() > 40 {
            notes.add(
                entry.name.span.clone(),
                format!("`{}` cannot be the name of a datacentre", entry.name.value),
                "write one plain word",
            );
        }
        let Some(dc) = table.entry("dc", &entry) else { continue };
        let root = dc.text("root").and_then(|r| absolute(r, notes));
        if root.is_none() && !dc.has("root") {
            notes.add(entry.name.span.clone(), format!("datacentre `{}` has no root", entry.name.value), "add root = \"/srv/…\"");
        }
        roots.extend(root.as_ref().map(|r| Root::new(os, r)));
        let trees = trees(&dc, held, notes);
        dc.close();
        found.push((place, Dc { name: entry.name.value, root: root.map(|r| r.value.into()).unwrap_or_default(), trees }));
    }
    // In the order of the file: that is the order of the switches.
    found.sort_by_key(|(place, _)| *place);
    let alone = table.text("root").and_then(|r| absolute(r, notes));
    let own = trees(table, held, notes);
    roots.extend(alone.as_ref().map(|r| Root::new(os, r)));
    match alone {
        Some(root) if found.is_empty() => vec![Dc { name: "local".into(), root: root.value.into(), trees: own }],
        Some(root) => {
            notes.add(
                root.span,
                "`root` stands beside datacentres that have their own",
                "take it out, or the [promotion.OS.dc.NAME] tables",
            );
            Vec::new()
        }
        None => {
            if found.is_empty() {
                let help = "add root = \"/srv/…\", or a table [promotion.OS.dc.NAME] with a root for each datacentre";
                notes.add(os.span.clone(), format!("[promotion.{}] says nowhere where its snapshots lie", os.value), help);
            }
            found.into_iter().map(|(_, dc)| dc).collect()
        }
    }
}

/// `held`: the repositories of the set, where there is one.
fn trees(table: &Table<'_, '_, '_>, held: Option<&[String]>, notes: &Notes<'_>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for t in table.texts("trees").unwrap_or_default() {
        match t.value.split_once('=') {
            Some((name, _)) if out.iter().any(|o| o.split_once('=').is_some_and(|(n, _)| n == name)) => {
                notes.add(t.span, format!("`{name}` has two trees here"), "take one out");
            }
            Some((name, path)) if plain(name) && path.starts_with('/') && !path.split('/').any(|p| p == "..") => {
                if let Some(held) = held.filter(|h| !h.iter().any(|r| r == name)) {
                    let help = suggest::meant(
                        name,
                        held.iter().map(String::as_str),
                        "a snapshot with other names than the set has is other content",
                    );
                    notes.doubt(t.span, format!("`{name}` is no repository of the set"), help);
                }
                out.push(t.value);
            }
            _ => notes.add(t.span, format!("`{}` is no tree", t.value), "write \"REPO=/absolute/path\""),
        }
    }
    out
}

fn of_gates(table: &Table<'_, '_, '_>, notes: &Notes<'_>, key: &'static str, what: &str) -> BTreeMap<Gate, String> {
    let mut out = BTreeMap::new();
    for entry in table.named(key) {
        let Some(reason) = entry.text(notes, "a text") else { continue };
        match entry.name.value.parse::<Gate>() {
            Ok(_) if reason.value.trim().is_empty() => {
                notes.add(reason.span, "the text is empty", what);
            }
            Ok(gate) => {
                out.insert(gate, reason.value);
            }
            Err(()) => {
                let names: Vec<String> = GATES.iter().map(ToString::to_string).collect();
                notes.add(entry.name.span, format!("no gate `{}`", entry.name.value), format!("there are: {}", names.join(" ")));
            }
        }
    }
    out
}

pub(super) fn evidence(root: &Table<'_, '_, '_>, notes: &Notes<'_>) -> Option<Evidence> {
    let (table, span) = root.table("evidence")?;
    let key = table.text("key").and_then(|k| file("key", k, notes));
    if key.is_none() && !table.has("key") {
        notes.add(span, "[evidence] has no key", "add key = \"/absolute/path\" of a private key for ssh-keygen -Y sign");
    }
    let identity = table.text("identity");
    if let Some(i) = identity.as_ref().filter(|i| i.value.is_empty() || i.value.contains(char::is_whitespace) || i.value.starts_with('-')) {
        notes.add(i.span.clone(), "`identity` is one word", "write identity = \"promotions@example.org\"");
    }
    table.close();
    Some(Evidence { key: key?, identity: identity.map_or_else(|| "quarterdeck".to_owned(), |i| i.value) })
}
