//! Post steps that tell people: whether the site has such a command, and fields that can be variables of it.

use super::texts::templates;
use crate::base::suggest;
use crate::pipeline::catalog::Catalog;
use crate::pipeline::diagnostic::{Sink, show};
use crate::pipeline::model::{At, Pairs};
use crate::pipeline::schema::{Ty, scalar};
use crate::pipeline::scope::Scope;

pub(super) fn lint(to: &At<String>, with: &Pairs, scope: &Scope<'_>, catalog: &Catalog, sink: &mut Sink<'_>) {
    templates(with, scope, sink);
    let seen = show(&to.value);
    if !catalog.notifiers.contains_key(&to.value) {
        let help = suggest::meant(
            &to.value,
            catalog.notifiers.keys().map(String::as_str),
            format!("add [notify.{seen}] with `command` to the site file; a command of the pipeline's own is a `run:`"),
        );
        sink.error(to.at, "ref.notify", format!("the site has no [notify.{seen}]"), help);
    }
    for (word, node) in with {
        if scalar(&Ty::EnvName, &format!("notify_{}", word.text)).is_err() {
            let help = "letters, digits and `_`: it reaches the command as notify_FIELD";
            sink.error(word.at, "notify.field", format!("`{}` cannot be part of the name of a variable", show(&word.text)), help);
        }
        if node.text().is_none() {
            sink.error(node.at, "notify.field", format!("`{}` must be a single value", show(&word.text)), "write one text");
        }
    }
}
