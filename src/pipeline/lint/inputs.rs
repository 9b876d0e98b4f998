//! Inputs from other runs: whether `from` can name one, and whether the files stay in the workspace.

use crate::base::suggest;
use crate::domain::artifact::is_outside;
use crate::pipeline::diagnostic::{Sink, show};
use crate::pipeline::model::{File, InputUse, ParamType, TRIGGER, TriggerKind};

pub(super) fn lint(file: &File, sink: &mut Sink<'_>) {
    for used in file.inputs.iter().chain(file.stages.iter().flat_map(|s| &s.inputs)) {
        from(used, file, sink);
        for (what, at) in [("path", Some(&used.path)), ("to", used.to.as_ref())] {
            let Some(at) = at.filter(|t| is_outside(&t.value)) else { continue };
            let help = if what == "path" { "name it as `get artifacts` shows it" } else { "name a directory in the workspace" };
            sink.error(at.at, "input.path", format!("`{what}: {}` leads out of the workspace", show(&at.value)), help);
        }
        if let Err(e) = glob::Pattern::new(&used.path.value) {
            sink.error(
                used.path.at,
                "input.path",
                format!("`{}` is no pattern: {}", show(&used.path.value), e.msg),
                "`*` and `**` are signs",
            );
        }
    }
}

fn from(used: &InputUse, file: &File, sink: &mut Sink<'_>) {
    let name = used.from.value.as_str();
    if name == TRIGGER {
        if !file.triggers.iter().any(|t| matches!(t.kind, TriggerKind::Upstream { .. })) {
            sink.error(
                used.from.at,
                "input.from",
                "`from: trigger` needs a run that sets this one off, and no trigger is `upstream:`",
                "add `upstream: PIPELINE` to the triggers, or a parameter of type `run` and name that",
            );
        }
        return;
    }
    let runs: Vec<&str> = file.parameters.iter().filter(|p| matches!(p.ty, ParamType::Run { .. })).map(|p| p.name.text.as_str()).collect();
    if runs.contains(&name) {
        return;
    }
    let inner = name.strip_prefix("${params.").and_then(|n| n.strip_suffix('}'));
    if let Some(inner) = inner.filter(|n| runs.contains(n)) {
        let help = format!("write the name alone: `from: {}`", show(inner));
        sink.error(used.from.at, "input.from", format!("`from: {}` is a template, where a name is meant", show(name)), help);
        return;
    }
    let help = suggest::meant(name, runs.iter().copied().chain([TRIGGER]), "add it to `parameters:` with `type: run`, or write `trigger`");
    let why = if file.parameter(name).is_some() { "is no parameter of type `run`" } else { "is no parameter" };
    sink.error(used.from.at, "input.from", format!("`from: {}` {why}", show(name)), help);
}
