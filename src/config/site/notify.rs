//! `[notify.NAME]`: commands that tell people, and the secrets that each gets. Pipelines name one; they say neither program nor secret.

use std::collections::BTreeMap;

use super::secrets::Secret;
use super::values::argv;
use crate::base::suggest;
use crate::config::read::{Entry, Notes, Table};
use crate::pipeline::catalog::Notifier;

pub(super) fn read(
    table: &Table<'_, '_, '_>,
    entry: &Entry<'_, '_>,
    known: &BTreeMap<String, Secret>,
    notes: &Notes<'_>,
) -> Option<Notifier> {
    let command = match table.text("command") {
        Some(command) => argv(&command, notes),
        None => {
            if !table.has("command") {
                let name = &entry.name.value;
                notes.add(entry.name.span.clone(), format!("[notify.{name}] has no command"), "add command = \"program argument …\"");
            }
            None
        }
    };
    let secrets = table.texts("secrets").unwrap_or_default();
    for s in secrets.iter().filter(|s| !known.contains_key(&s.value)) {
        let help =
            suggest::meant(&s.value, known.keys().map(String::as_str), format!("add it below [secrets]: {} = \"file:/path\"", s.value));
        notes.add(s.span.clone(), format!("no secret `{}` in this file", s.value), help);
    }
    Some(Notifier { command: command?, secrets: secrets.into_iter().map(|s| s.value).collect() })
}
