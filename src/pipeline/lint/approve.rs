//! Approvals: roles that the site has, what is shown before it, questions with one meaning, and times that can be kept.

use crate::base::duration::Span;
use crate::base::suggest;
use crate::pipeline::catalog::Catalog;
use crate::pipeline::diagnostic::{Loc, Sink, show};
use crate::pipeline::model::{At, File};
use crate::pipeline::order::{ended_before, needs};
use crate::pipeline::params;

/// The limit of a run that names none.
const RUN_LIMIT: Span = Span::from_secs(86_400);

pub(super) fn lint(file: &File, catalog: &Catalog, sink: &mut Sink<'_>) {
    let needs = needs(file);
    let mut asked: Vec<(&str, Loc)> = Vec::new();
    for (i, stage) in file.stages.iter().enumerate() {
        let Some(approve) = &stage.approve else { continue };
        for (n, role) in approve.roles.iter().enumerate() {
            known_role(role, catalog, sink);
            if approve.roles[..n].iter().any(|r| r.value == role.value) {
                sink.warning(role.at, "ref.role", format!("role `{}` stands twice", show(&role.value)), "remove one");
            }
        }
        let limit = file.options.timeout.unwrap_or(RUN_LIMIT);
        if let Some(expires) = approve.expires.as_ref().filter(|e| e.value > limit) {
            sink.warning(
                expires.at,
                "timeout.order",
                format!("people have {} to approve, but the whole run only {limit}", expires.value),
                format!("raise `options.timeout` above {}, or lower this", expires.value),
            );
        }
        let before = ended_before(&needs, i);
        for item in &approve.show {
            let at = file.stage(&item.value).map(|(j, _)| j);
            let pattern = item.value.contains(['/', '*', '?', '.']);
            match at {
                Some(j) if before.contains(&j) => {}
                Some(_) => sink.error(
                    item.at,
                    "ref.stage",
                    format!("stage `{}` has not surely ended when people are asked", show(&item.value)),
                    "add it to `needs:`, or show another",
                ),
                None if pattern && glob::Pattern::new(&item.value).is_ok() => {}
                None => {
                    let known = file.stages.iter().map(|s| s.name.value.as_str());
                    let help = suggest::meant(&item.value, known, "name a stage above, or files such as `artifacts/*.diff`");
                    sink.error(item.at, "ref.stage", format!("`{}` is neither a stage nor a pattern of files", show(&item.value)), help);
                }
            }
        }
        for q in &approve.ask {
            if let Some((_, first)) = asked.iter().find(|(name, _)| *name == q.name.text) {
                sink.error_with(
                    q.name.at,
                    "approve.question",
                    format!("question `{}` is asked twice", q.name.text),
                    "give it another name: its answer is one variable, `approve_NAME`",
                    (*first, "first here"),
                );
            }
            asked.push((&q.name.text, q.name.at));
            if let Some(d) = &q.default
                && let Err(e) = params::check_default(q, &d.value)
            {
                let help = e.help();
                sink.error(
                    d.at,
                    "param.default",
                    format!("the default of question `{}` is not allowed: {}", q.name.text, e.why()),
                    if help.is_empty() { "change the default, or what is allowed".to_owned() } else { help },
                );
            }
        }
    }
}

fn known_role(role: &At<String>, catalog: &Catalog, sink: &mut Sink<'_>) {
    if catalog.roles.is_empty() || catalog.roles.contains(&role.value) {
        return;
    }
    let help = suggest::meant(
        &role.value,
        catalog.roles.iter().map(String::as_str),
        format!("add `{} = [\"user\", \"@group\"]` to [roles] of the site file", role.value),
    );
    sink.error(role.at, "ref.role", format!("the site has no role `{}`", show(&role.value)), help);
}
