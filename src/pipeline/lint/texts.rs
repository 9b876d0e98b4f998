//! Texts that name things: conditions and templates, each in the scope of its place.

use crate::pipeline::diagnostic::Sink;
use crate::pipeline::expr::{self, Bad, Names, Template, Type};
use crate::pipeline::reader::{Kind, Node, Word};
use crate::pipeline::scope::{Place, Scope};
use crate::pipeline::when;

pub(super) fn condition(node: &Node, scope: &Scope<'_>, sink: &mut Sink<'_>) {
    let Some(text) = node.text() else { return };
    match expr::parse(text) {
        Ok(e) => {
            for bad in expr::check(&e, scope) {
                report(node, bad, "expr.name", sink);
            }
            if let Err(bad) = when::split(&e) {
                report(node, bad, "expr.matrix", sink);
            }
        }
        Err(bad) => report(node, bad, "expr.syntax", sink),
    }
}

pub(super) fn templates(pairs: &[(Word, Node)], scope: &Scope<'_>, sink: &mut Sink<'_>) {
    for (_, node) in pairs {
        values(node, &mut |n| template(n, scope, sink));
    }
}

pub(super) fn template(node: &Node, scope: &Scope<'_>, sink: &mut Sink<'_>) {
    let Some(text) = node.text() else { return };
    match Template::parse(text) {
        Ok(t) => {
            for (path, range) in t.paths() {
                match scope.type_of(path) {
                    Ok(Type::List) if t.whole().is_none() || scope.place != Place::Step => {
                        report(
                            node,
                            Bad::new(
                                range.clone(),
                                format!("`{path}` is a list and cannot stand inside a text"),
                                "make it the whole value of a field of `with:`",
                            ),
                            "expr.type",
                            sink,
                        );
                    }
                    Ok(_) => {}
                    Err(bad) => report(node, Bad { span: range.clone(), ..bad }, "expr.name", sink),
                }
            }
        }
        Err(bad) => report(node, bad, "expr.syntax", sink),
    }
}

/// Every single value below a node.
fn values(node: &Node, see: &mut dyn FnMut(&Node)) {
    match &node.kind {
        Kind::Scalar { .. } => see(node),
        Kind::Seq(items) => items.iter().for_each(|n| values(n, see)),
        Kind::Map(entries) => entries.iter().for_each(|(_, n)| values(n, see)),
    }
}

fn report(node: &Node, bad: Bad, code: &str, sink: &mut Sink<'_>) {
    let at = node.locate(sink.text, bad.span);
    sink.error(at, code, bad.message, bad.help);
}
