//! Reading typed values out of a mapping whose context is known. What the schema has refused reads as absent.

use super::At;
use crate::base::duration::Span;
use crate::domain::level::Level;
use crate::pipeline::diagnostic::Loc;
use crate::pipeline::reader::{Kind, Node, Word};
use crate::pipeline::schema::{Context, Status};

/// A mapping and what it is.
#[derive(Clone, Copy)]
pub(super) struct Fields<'n> {
    pub entries: &'n [(Word, Node)],
    pub at: Loc,
    context: &'static Context,
}

impl<'n> Fields<'n> {
    pub fn new(node: &'n Node, context: &'static Context) -> Self {
        let entries: &[(Word, Node)] = match &node.kind {
            Kind::Map(e) => e,
            _ => &[],
        };
        Self { entries, at: entries.first().map_or(node.at, |(w, _)| w.at), context }
    }

    pub fn get(&self, key: &str) -> Option<&'n Node> {
        debug_assert!(self.context.key(key).is_some(), "{} has no key {key} in the registry", self.context.name);
        self.entries.iter().find(|(w, _)| w.text == key).map(|(_, n)| n).filter(|n| !n.is_empty())
    }

    pub fn key_at(&self, key: &str) -> Loc {
        self.entries.iter().find(|(w, _)| w.text == key).map_or(self.at, |(w, _)| w.at)
    }

    /// A key of a later version stands here, so that nothing about the rest can be judged.
    pub fn later(&self) -> bool {
        self.entries.iter().any(|(w, _)| self.context.key(&w.text).is_some_and(|k| matches!(k.status, Status::Later { .. })))
    }

    pub fn has_only(&self, keys: &Context) -> bool {
        self.entries.iter().all(|(w, _)| keys.key(&w.text).is_some())
    }

    pub fn text(&self, key: &str) -> Option<At<String>> {
        self.get(key).and_then(text)
    }

    pub fn flag(&self, key: &str) -> bool {
        self.get(key).and_then(Node::text) == Some("true")
    }

    pub fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.get(key)?.text()?.parse().ok()
    }

    pub fn span(&self, key: &str) -> Option<At<Span>> {
        let node = self.get(key)?;
        Some(At::new(node.text()?.parse().ok()?, node.at))
    }

    pub fn level(&self, key: &str) -> Option<At<Level>> {
        let t = self.text(key)?;
        Some(At::new(t.value.parse().ok()?, t.at))
    }

    pub fn map(&self, key: &str, context: &'static Context) -> Option<Fields<'n>> {
        self.get(key).filter(|n| matches!(n.kind, Kind::Map(_))).map(|n| Fields::new(n, context))
    }

    /// The items of a list; a single value is a list of one.
    pub fn items(&self, key: &str) -> &'n [Node] {
        self.get(key).map_or(&[], items)
    }

    pub fn texts(&self, key: &str) -> Vec<At<String>> {
        self.items(key).iter().filter_map(text).collect()
    }

    pub fn pairs(&self, key: &str) -> Vec<(Word, Node)> {
        match self.get(key).map(|n| &n.kind) {
            Some(Kind::Map(entries)) => entries.clone(),
            _ => Vec::new(),
        }
    }

    /// A command with its arguments: a list, or one text split as a shell would.
    pub fn words(&self, key: &str) -> Option<Vec<String>> {
        let node = self.get(key)?;
        match &node.kind {
            Kind::Scalar { text, .. } => shell_words::split(text).ok().filter(|w| !w.is_empty()),
            _ => Some(items(node).iter().filter_map(|n| n.text().map(str::to_owned)).collect()),
        }
    }
}

pub(super) fn text(node: &Node) -> Option<At<String>> {
    node.text().map(|t| At::new(t.to_owned(), node.at))
}

pub(super) fn items(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::Seq(items) => items,
        _ => std::slice::from_ref(node),
    }
}
