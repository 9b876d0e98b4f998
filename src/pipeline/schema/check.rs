//! A tree against the registry: unknown, missing and misplaced keys, shapes and single values.

use super::scalar::scalar;
use super::ty::{Context, Key, Status, Ty};
use super::{contexts, keys};
use crate::base::suggest;
use crate::pipeline::diagnostic::{Loc, Sink, show};
use crate::pipeline::reader::{Kind, Node, Word, glued};

/// Reports everything in `root` that the registry does not allow.
pub fn check(root: &Node, sink: &mut Sink<'_>) {
    mapping(root, &keys::FILE, "the file", sink);
}

fn mapping(node: &Node, context: &'static Context, place: &str, sink: &mut Sink<'_>) {
    let Kind::Map(entries) = &node.kind else {
        let help = match context.keys.iter().find(|k| k.required).or_else(|| context.keys.first()) {
            _ if equals(node) => EQUALS.to_owned(),
            Some(k) => format!("write keys below it, such as `{}:`", k.name),
            None => "write `NAME: value` below it".to_owned(),
        };
        let at = if node.is_empty() { Loc::at(sink.text, node.at.start..node.at.start) } else { node.at };
        sink.error(at, "schema.type", format!("{place} must be a mapping ({}), this is {}", context.noun, node.noun()), help);
        return;
    };
    if too_many(entries.len(), node, place, sink) {
        return;
    }
    let mut later = false;
    for (word, value) in entries {
        if sink.full() {
            return;
        }
        match context.key(&word.text) {
            Some(Key { status: Status::Later { what, instead }, .. }) => {
                later = true;
                sink.error(
                    word.at,
                    "schema.later",
                    format!("this version has no {what} yet"),
                    format!("a later version brings `{}:`; until then {instead}", word.text),
                );
            }
            Some(key) => value_of(value, key.ty, &format!("`{}`", key.name), word, sink),
            None => free(word, value, context, sink),
        }
    }
    if later {
        // What is missing beside it cannot be judged: the key of a later version may stand for it.
        return;
    }
    for key in context.keys.iter().filter(|k| k.required && !entries.iter().any(|(w, _)| w.text == k.name)) {
        let first = entries.first().map_or(node.at, |(w, _)| w.at);
        let help = misspelt(key.name, entries, context)
            .map_or_else(|| format!("add `{}:` ({})", key.name, key.doc), |w| format!("is `{w}` meant to be `{}`?", key.name));
        sink.error(first, "schema.missing-key", format!("{} lacks `{}`", context.noun, key.name), help);
    }
}

const EQUALS: &str = "write `NAME: value`, not `NAME = value`";

/// `NAME = value`, as other files have it.
fn equals(node: &Node) -> bool {
    let name = node.text().and_then(|t| t.split_once('=')).map_or("", |(name, _)| name.trim_end());
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// Items of one list or keys of one mapping. More is no pipeline, and would make later checks slow.
const MAX_ITEMS: usize = 10_000;

fn too_many(n: usize, node: &Node, place: &str, sink: &mut Sink<'_>) -> bool {
    if n > MAX_ITEMS {
        sink.error(
            node.at,
            "schema.many",
            format!("{place} has {n} items, the limit is {MAX_ITEMS}"),
            "move data out of the pipeline, into a file that a step reads",
        );
    }
    n > MAX_ITEMS
}

fn misspelt<'a>(wanted: &str, entries: &'a [(Word, Node)], context: &Context) -> Option<&'a str> {
    suggest::nearest(wanted, entries.iter().map(|(w, _)| w.text.as_str()).filter(|w| context.key(w).is_none()))
}

fn free(word: &Word, value: &Node, context: &'static Context, sink: &mut Sink<'_>) {
    let name = show(&word.text);
    let Some((name_ty, ty, _)) = context.free else {
        return unknown(word, context, sink);
    };
    // `max_paralel: 4` in a matrix is a slip, not a matrix key.
    if let Some(near) = suggest::nearest(&word.text, context.here().map(|k| k.name))
        && shape(value, ty).is_err()
    {
        sink.error(word.at, "schema.unknown-key", format!("{} has no key `{name}`", context.noun), format!("did you mean `{near}`?"));
        return;
    }
    if let Err(w) = scalar(name_ty, &word.text) {
        sink.error(word.at, "schema.name", w.message, w.help);
    }
    value_of(value, ty, &format!("`{name}`"), word, sink);
}

fn unknown(word: &Word, context: &'static Context, sink: &mut Sink<'_>) {
    let known: Vec<&str> = context.here().map(|k| k.name).collect();
    let elsewhere: Vec<&str> =
        contexts().iter().filter(|c| c.name != context.name && c.key(&word.text).is_some()).map(|c| c.noun).collect();
    let help = if let Some(near) = suggest::nearest(&word.text, known.iter().copied()) {
        format!("did you mean `{near}`?")
    } else if !elsewhere.is_empty() {
        format!("`{}` belongs to {}: look at the indent", word.text, elsewhere.join(", "))
    } else {
        format!("known here: {}", known.join(", "))
    };
    // The only nouns with an article of theirs are many.
    let has = if context.noun.starts_with("the ") { "have" } else { "has" };
    sink.error(word.at, "schema.unknown-key", format!("{} {has} no key `{}`", context.noun, show(&word.text)), help);
}

/// Whether the outer form of a value fits, else what was expected.
fn shape(node: &Node, ty: &Ty) -> Result<(), &'static str> {
    match (&node.kind, ty) {
        (_, Ty::Any) => Ok(()),
        (Kind::Map(_), Ty::Map(_) | Ty::Either(..)) => Ok(()),
        (Kind::Map(_), Ty::OneOrMore(t)) => shape(node, t),
        (Kind::Seq(_), Ty::List(_) | Ty::OneOrMore(_)) => Ok(()),
        (Kind::Scalar { .. }, Ty::Map(_)) => Err("a mapping"),
        (Kind::Scalar { .. }, Ty::List(_)) => Err("a list"),
        (Kind::Scalar { .. }, Ty::OneOrMore(t)) => shape(node, t),
        (Kind::Scalar { .. }, _) => Ok(()),
        (_, Ty::Map(_)) => Err("a mapping"),
        (_, Ty::List(_)) => Err("a list"),
        (_, Ty::Either(..)) => Err("a value or a mapping"),
        _ => Err("a single value"),
    }
}

fn value_of(node: &Node, ty: &'static Ty, place: &str, key: &Word, sink: &mut Sink<'_>) {
    if node.is_refused() {
        return;
    }
    if node.is_empty() && !matches!(ty, Ty::Any | Ty::Text | Ty::Template) {
        sink.error(key.at, "schema.empty", format!("{place} has no value"), format!("write one ({}), or leave the key out", ty.describe()));
        return;
    }
    if let Err(expected) = shape(node, ty) {
        let at = if matches!(node.kind, Kind::Scalar { .. }) { node.at } else { key.at };
        let help = match (&node.kind, ty) {
            (Kind::Scalar { text, .. }, Ty::Map(_)) if glued(text).is_some() => {
                let colon = glued(text).unwrap_or_default();
                format!("a blank is missing behind `:`: write `{}: {}`", show(&text[..colon]), show(&text[colon + 1..]))
            }
            (Kind::Scalar { .. }, Ty::Map(_)) if equals(node) => EQUALS.to_owned(),
            (Kind::Scalar { text, .. }, Ty::List(_)) => format!("write [{}]", show(text)),
            (Kind::Seq(_), Ty::Map(_)) => format!("it takes: {}: take out the dashes", ty.describe()),
            (Kind::Map(_), Ty::Text | Ty::Line | Ty::Script | Ty::Template | Ty::Expr) => {
                "a text with `: ` or `{` in it needs quotes".to_owned()
            }
            (Kind::Map(entries), Ty::List(_) | Ty::OneOrMore(_)) if entries.first().is_some_and(|(w, _)| w.text.starts_with('-')) => {
                let first = entries.first().map_or("", |(w, _)| w.text.trim_start_matches('-'));
                format!("an item begins with a dash and a blank: `- {}:`", show(first))
            }
            (Kind::Map(_), Ty::List(_)) => format!("it takes: {}: each begins with a dash and a blank", ty.describe()),
            _ => format!("it takes: {}", ty.describe()),
        };
        sink.error(at, "schema.type", format!("{place} must be {expected}, this is {}", node.noun()), help);
        return;
    }
    match (&node.kind, ty) {
        (_, Ty::Any) => {}
        (Kind::Map(_), Ty::Map(c) | Ty::Either(_, c)) => mapping(node, c, place, sink),
        (Kind::Map(_), Ty::OneOrMore(t)) => value_of(node, t, place, key, sink),
        (Kind::Seq(items), Ty::List(t) | Ty::OneOrMore(t)) => {
            if too_many(items.len(), node, place, sink) {
                return;
            }
            for item in items {
                if sink.full() {
                    return;
                }
                let at = Word { text: key.text.clone(), at: if item.is_empty() { key.at } else { item.at } };
                value_of(item, t, &format!("an item of {place}"), &at, sink);
            }
        }
        (Kind::Scalar { text, .. }, _) => {
            if let Err(w) = scalar(ty, text) {
                sink.error(node.at, w.code, format!("{place}: {}", w.message), w.help);
            }
        }
        _ => {}
    }
}
