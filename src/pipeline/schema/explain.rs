//! `explain KEY`: what a key or step kind means, from the registry and the catalogue.

use std::fmt::Write as _;

use super::contexts;
use super::ty::{Context, Key, Status, Ty};
use crate::base::suggest;
use crate::pipeline::catalog::{Catalog, FieldType, StepKind, Touches};

/// A word that nothing has, and what was probably meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    pub message: String,
    pub help: String,
}

/// The text for `word`: a key (`timeout`, `stage.timeout`), a section (`stage`) or a step kind (`mirror/sync`).
/// Without a word, the list of sections and kinds. `Err` says what was probably meant.
pub fn explain(word: Option<&str>, catalog: &Catalog) -> Result<String, Unknown> {
    let Some(word) = word else { return Ok(index(catalog)) };
    let all = contexts();
    if let Some(kind) = catalog.kinds.iter().find(|k| k.kind == word) {
        return Ok(step_kind(kind));
    }
    if let Some((kind, since)) = catalog.later_kinds.iter().find(|(k, _)| *k == word) {
        return Ok(format!("{kind}\n  This version lacks the step kind; it comes with {since}.\n"));
    }
    let (section, name) = word.rsplit_once('.').map_or((None, word), |(s, n)| (Some(s), n));
    let mut out = String::new();
    for context in section.map_or_else(|| all.clone(), |s| sections(s, &all)) {
        if let Some(key) = context.key(name) {
            entry(&mut out, context, key);
        }
    }
    if section.is_none()
        && let Some(context) = all.iter().find(|c| c.name == word)
    {
        if !out.is_empty() {
            out.push('\n');
        }
        self::section(&mut out, context);
    }
    if !out.is_empty() {
        return Ok(out);
    }
    let known = all.iter().flat_map(|c| c.keys.iter().map(|k| k.name).chain([c.name])).chain(catalog.kinds.iter().map(|k| k.kind));
    let near = match section {
        Some(path) => {
            let within = sections(path, &all);
            let keys: Vec<&str> = within.iter().flat_map(|c| c.keys.iter().map(|k| k.name)).collect();
            suggest::nearest(name, keys).map(|key| format!("{path}.{key}"))
        }
        None => None,
    }
    .or_else(|| suggest::nearest(word, known).map(str::to_owned));
    let help = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "quarterdeck pipeline explain lists them".to_owned(),
    };
    Err(Unknown { message: format!("no key, section or step kind `{word}`"), help })
}

/// `stage`, or the path of keys that leads there: `stages`, `options.keep`.
fn sections(path: &str, all: &[&'static Context]) -> Vec<&'static Context> {
    let mut here: Vec<&'static Context> = Vec::new();
    for (i, word) in path.split('.').enumerate() {
        let below = |contexts: &[&'static Context]| -> Vec<&'static Context> {
            let keys = contexts.iter().flat_map(|c| c.key(word).map(|k| k.ty).into_iter().chain(c.free.map(|(_, ty, _)| ty)));
            keys.flat_map(Ty::contexts).collect()
        };
        here = if i > 0 {
            below(&here)
        } else {
            match all.iter().find(|c| c.name == word) {
                Some(c) => vec![*c],
                None => below(&[&super::keys::FILE]),
            }
        };
    }
    here
}

fn entry(out: &mut String, context: &Context, key: &Key) {
    let need = if key.required { ", required" } else { "" };
    let _ = writeln!(out, "{}.{}{need}", context.name, key.name);
    match key.status {
        Status::Later { what, instead } => {
            let _ = writeln!(out, "  This version has no {what} yet. Until then {instead}.");
        }
        Status::Here => {
            let _ = writeln!(out, "  {}\n  Value: {}", sentence(key.doc), key.ty.describe());
            if let Some(words) = words(key.ty) {
                for (w, doc) in words {
                    let _ = writeln!(out, "    {w:<16} {doc}");
                }
            }
            for c in key.ty.contexts() {
                let free = c.free.map(|(.., doc)| format!("any name: {doc}"));
                let keys: Vec<String> = c.here().map(|k| k.name.to_owned()).chain(free).collect();
                let _ = writeln!(out, "  Keys: {}", keys.join(", "));
            }
        }
    }
}

fn words(ty: &Ty) -> Option<&'static [(&'static str, &'static str)]> {
    match ty {
        Ty::Word { words, .. } => Some(words),
        Ty::List(t) | Ty::OneOrMore(t) => words(t),
        _ => None,
    }
}

fn section(out: &mut String, context: &Context) {
    let _ = writeln!(out, "{} ({})", context.name, context.noun);
    if let Some((_, ty, doc)) = context.free {
        let _ = writeln!(out, "  {:<16} {doc}; {}", "NAME", ty.describe());
    }
    for key in context.here() {
        let _ = writeln!(out, "  {:<16} {}{}", key.name, if key.required { "required; " } else { "" }, key.doc);
    }
}

fn step_kind(kind: &StepKind) -> String {
    let mut out = format!("uses: {}\n  {}\n", kind.kind, sentence(kind.doc));
    if kind.touches == Touches::FarEnd {
        out.push_str("  It changes a far end: it runs only inside a run.\n");
    }
    for f in kind.with {
        let words;
        let ty = match f.ty {
            FieldType::Text => "text",
            FieldType::Bool => "true or false",
            FieldType::Int => "whole number",
            FieldType::Duration => "duration",
            FieldType::Path => "path",
            FieldType::Inside => "path in the workspace",
            FieldType::Word(all) => {
                words = all.join(" or ");
                words.as_str()
            }
            FieldType::List => "one value or a list",
            FieldType::FarEnd(_) => "name of a far end of the site file",
        };
        let _ = writeln!(out, "  {:<16} {}{ty}; {}", f.name, if f.required { "required; " } else { "" }, f.doc);
    }
    out
}

fn index(catalog: &Catalog) -> String {
    let mut out = String::from("Sections and their keys; `quarterdeck pipeline explain KEY` says more.\n\n");
    for c in contexts().iter().filter(|c| c.here().next().is_some()) {
        let _ = writeln!(out, "{:<12} {}", c.name, c.here().map(|k| k.name).collect::<Vec<_>>().join(" "));
    }
    if !catalog.kinds.is_empty() {
        let _ = writeln!(out, "\nStep kinds for `uses:`\n");
        for k in &catalog.kinds {
            let _ = writeln!(out, "{:<18} {}", k.kind, k.doc);
        }
    }
    out
}

fn sentence(doc: &str) -> String {
    let mut c = doc.chars();
    c.next().map_or_else(String::new, |first| first.to_uppercase().chain(c).collect())
}
