//! Secrets: those that the site has, that the file lists, and that something asks for.

use crate::base::suggest::meant;
use crate::pipeline::catalog::Catalog;
use crate::pipeline::diagnostic::{Sink, show};
use crate::pipeline::model::{At, File, SecretUse, Step, StepAction};

/// The file's own list.
pub(super) fn listed(file: &File, catalog: &Catalog, sink: &mut Sink<'_>) {
    let listed = file.secrets.as_deref().unwrap_or_default();
    for (i, s) in listed.iter().enumerate() {
        if listed[..i].iter().any(|t| t.name.value == s.name.value) {
            sink.warning(s.name.at, "secret.twice", format!("secret `{}` stands here twice", show(&s.name.value)), "remove one");
            continue;
        }
        exists(&s.name, catalog, sink);
    }
}

/// What a stage or a step asks for.
pub(super) fn asked(uses: &[SecretUse], file: &File, catalog: &Catalog, sink: &mut Sink<'_>) {
    for (i, u) in uses.iter().enumerate() {
        if uses[..i].iter().any(|v| v.name.value == u.name.value) {
            sink.warning(u.name.at, "secret.twice", format!("secret `{}` stands here twice", show(&u.name.value)), "remove one");
        }
        match &file.secrets {
            Some(declared) if !declared.iter().any(|d| d.name.value == u.name.value) => {
                let known = declared.iter().map(|d| d.name.value.as_str());
                sink.error(
                    u.name.at,
                    "ref.secret",
                    format!("secret `{}` is not in the file's own list", show(&u.name.value)),
                    meant(&u.name.value, known, "add it to `secrets:` at the top"),
                );
            }
            Some(_) => {}
            None => exists(&u.name, catalog, sink),
        }
    }
}

fn exists(name: &At<String>, catalog: &Catalog, sink: &mut Sink<'_>) {
    if catalog.secrets.contains(&name.value) {
        return;
    }
    let known = catalog.secrets.iter().map(String::as_str);
    let otherwise = format!("add `{} = \"env:…\"`, `\"file:…\"` or `\"cmd:…\"` to [secrets] of the site file", name.value);
    sink.error(name.at, "ref.secret", format!("the site has no secret `{}`", show(&name.value)), meant(&name.value, known, otherwise));
}

/// What is listed, and asked for by nobody.
pub(super) fn unused(file: &File, catalog: &Catalog, sink: &mut Sink<'_>) {
    // What a later version's key would use cannot be seen.
    let Some(declared) = file.secrets.as_ref().filter(|_| !sink.has("schema.later")) else { return };
    let told = |step: &Step, name: &str| match &step.action {
        StepAction::Notify { to, .. } => catalog.notifiers.get(&to.value).is_some_and(|n| n.secrets.iter().any(|s| s == name)),
        _ => false,
    };
    let used = |name: &str| {
        file.all_steps().any(|(stage, step)| {
            told(step, name) || step.secrets.iter().chain(stage.iter().flat_map(|s| &s.secrets)).any(|u| u.name.value == name)
        })
    };
    for s in declared.iter().filter(|s| !used(&s.name.value)) {
        sink.warning(
            s.name.at,
            "secret.unused",
            format!("no stage asks for secret `{}`", s.name.value),
            "name it in the stage that needs it, or remove it: listing alone gives it to nobody",
        );
    }
}
