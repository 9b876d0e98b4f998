//! Stages that are runs of other pipelines: whether those are there and take these parameters, circles, depth, and waits that never end.

use crate::base::suggest;
use crate::pipeline::catalog::Catalog;
use crate::pipeline::diagnostic::{Loc, Sink, show};
use crate::pipeline::expr::Template;
use crate::pipeline::locks;
use crate::pipeline::model::{Build, File, ParamType, Stage, StepAction, TriggerKind};
use crate::pipeline::outline::Outline;
use crate::pipeline::params;
use crate::pipeline::plan::{Lock, LockMode};
use crate::pipeline::reader::Node;

/// Pipelines that may build each other in one row. Deeper, nobody finds the log of what failed.
const DEEPEST: usize = 5;

pub(super) fn lint(file: &File, catalog: &Catalog, sink: &mut Sink<'_>) {
    for stage in &file.stages {
        if let Some(build) = stage.build() {
            one(build, stage, file, catalog, sink);
        }
    }
    for (_, step) in file.all_steps() {
        if let StepAction::Pin(node) = &step.action {
            pin(node, file, sink);
        }
    }
}

fn one(build: &Build, stage: &Stage, file: &File, catalog: &Catalog, sink: &mut Sink<'_>) {
    let name = build.pipeline.value.as_str();
    let shown = show(name);
    if name == file.name.value {
        let help = "name another pipeline; what must come again is a trigger, `every:`";
        return sink.error(build.pipeline.at, "build.circle", "the pipeline builds itself: it would never end", help);
    }
    if !catalog.pipelines.iter().any(|p| p == name) {
        let known = catalog.pipelines.iter().map(String::as_str).filter(|p| *p != file.name.value);
        let help = suggest::meant(name, known, "put its file into the same directory");
        return sink.error(build.pipeline.at, "ref.build", format!("there is no pipeline `{shown}`"), help);
    }
    let Some(outline) = catalog.outlines.get(name) else {
        return sink.error(
            build.pipeline.at,
            "ref.build",
            format!("the file of `{shown}` cannot be read, so nobody knows what this stage may do"),
            format!("quarterdeck pipeline lint {shown}"),
        );
    };
    if circle(name, file, catalog, build.pipeline.at, sink) {
        return;
    }
    let depth = catalog.depth_of(name, DEEPEST + 1) + 1;
    if depth > DEEPEST {
        sink.error(
            build.pipeline.at,
            "build.depth",
            format!("more than {DEEPEST} pipelines would build each other in a row"),
            "let one pipeline build the others side by side",
        );
    }
    parameters(build, outline, sink);
    if build.wait {
        group(build, file, catalog, sink);
        locks(build, stage, catalog, sink);
    }
}

/// Reports a way that leads back to this file; true where there is one.
fn circle(name: &str, file: &File, catalog: &Catalog, at: Loc, sink: &mut Sink<'_>) -> bool {
    let own = file.name.value.as_str();
    let built = catalog.built_by(name, false);
    if let Some((by, _)) = built.iter().find(|(_, o)| o.builds.iter().any(|e| e.pipeline == own)) {
        let through = if *by == name { String::new() } else { format!(" in the end builds `{by}`, and that") };
        sink.error(
            at,
            "build.circle",
            format!("`{name}`{through} builds `{own}`: the runs would never end"),
            "remove one of the `build:`; a part that both need can be a pipeline of its own",
        );
        return true;
    }
    for t in &file.triggers {
        let TriggerKind::Upstream { pipeline, .. } = &t.kind else { continue };
        if built.iter().any(|(p, _)| *p == pipeline.value) {
            sink.error_with(
                at,
                "build.circle",
                format!("the end of `{}` starts this pipeline, which builds it: each run would set off the next", pipeline.value),
                "remove the trigger, or the stage",
                (pipeline.at, "its trigger"),
            );
            return true;
        }
    }
    false
}

fn parameters(build: &Build, outline: &Outline, sink: &mut Sink<'_>) {
    let (of, known) = (&build.pipeline.value, &outline.parameters);
    for (word, node) in &build.parameters {
        let Some(p) = known.iter().find(|p| p.name.text == word.text) else {
            let names: Vec<&str> = known.iter().map(|p| p.name.text.as_str()).collect();
            let help = match suggest::nearest(&word.text, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if names.is_empty() => "it has no parameters".to_owned(),
                None => format!("its parameters are {}", names.join(", ")),
            };
            sink.error(word.at, "build.parameter", format!("`{of}` has no parameter `{}`", show(&word.text)), help);
            continue;
        };
        let Some(text) = node.text().filter(|t| !t.contains("${")) else { continue };
        if let Err(e) = params::check_default(p, text) {
            let help = e.help();
            sink.error(
                node.at,
                "build.parameter",
                format!("parameter `{}` of `{of}` cannot be this: {}", word.text, e.why()),
                if help.is_empty() { format!("it takes {}", params::allowed(p)) } else { help },
            );
        }
    }
    for p in known.iter().filter(|p| p.default.is_none() && !build.parameters.iter().any(|(w, _)| w.text == p.name.text)) {
        sink.error(
            build.pipeline.at,
            "build.parameter",
            format!("`{of}` needs a value for `{}`", p.name.text),
            format!("add `parameters: {{{}: …}}` below `build`: {}", p.name.text, params::allowed(p)),
        );
    }
}

/// A run counts in its group while it waits: one of the same group behind it would never begin.
fn group(build: &Build, file: &File, catalog: &Catalog, sink: &mut Sink<'_>) {
    let Some(own) = &file.options.concurrency else { return };
    if let Some((name, _)) = catalog.built_by(&build.pipeline.value, true).iter().find(|(_, o)| o.group.as_ref() == Some(&own.group)) {
        sink.error(
            build.pipeline.at,
            "build.deadlock",
            format!("this pipeline and `{name}`, whose end it waits for, are in the group `{}`: both would wait for ever", own.group),
            "give one of them another group, or write `wait: false`",
        );
    }
}

fn locks(build: &Build, stage: &Stage, catalog: &Catalog, sink: &mut Sink<'_>) {
    let held = locks::of(stage);
    for (name, outline) in catalog.built_by(&build.pipeline.value, true) {
        for (needy, wanted) in &outline.locks {
            for lock in &held {
                let Some(clash) = wanted.iter().find(|w| clashes(lock, w, catalog.locks.get(&w.name).copied().unwrap_or(1))) else {
                    continue;
                };
                sink.error(
                    place(stage, &clash.name).unwrap_or(build.pipeline.at),
                    "build.deadlock",
                    format!(
                        "the stage holds {} while it waits for `{name}`, whose stage `{}` needs it: both would wait for ever",
                        called(&clash.name),
                        show(needy)
                    ),
                    "let only one of the two take it, or write `wait: false`",
                );
            }
        }
    }
}

/// Whether two stages cannot hold these at once.
pub(crate) fn clashes(held: &Lock, wanted: &Lock, slots: u32) -> bool {
    let shared = held.mode == LockMode::Shared && wanted.mode == LockMode::Shared;
    held.name == wanted.name && (!shared || (slots > 1 && held.slots.saturating_add(wanted.slots) > slots))
}

fn called(lock: &str) -> String {
    lock.strip_prefix("content:").map_or_else(|| format!("lock `{lock}`"), |set| format!("the lock of content set `{set}`"))
}

fn place(stage: &Stage, lock: &str) -> Option<Loc> {
    let named = stage.locks.iter().find(|l| l.name.value == lock).map(|l| l.name.at);
    let set = lock.strip_prefix("content:");
    named.or_else(|| stage.reads.iter().chain(&stage.writes).find(|s| Some(s.value.as_str()) == set).map(|s| s.at))
}

fn pin(node: &Node, file: &File, sink: &mut Sink<'_>) {
    let Some(text) = node.text() else { return };
    let form = "write PIPELINE#NUMBER, ${run.id}, or ${params.NAME} of a parameter of type `run`";
    let Ok(template) = Template::parse(text) else { return };
    if template.paths().next().is_none() {
        if text.parse::<crate::domain::run::RunRef>().is_err() {
            sink.error(node.at, "pin.run", format!("`{}` is no run that can be kept", show(text)), form);
        }
        return;
    }
    let Some(path) = template.whole().filter(|p| p.root == "params") else { return };
    let parameter = path.names().and_then(|n| n.first().and_then(|n| file.parameter(n)).map(|p| (p.name.text.clone(), p.ty.clone())));
    if let Some((name, ty)) = parameter
        && !matches!(ty, ParamType::Run { .. })
    {
        sink.error(node.at, "pin.run", format!("parameter `{name}` is of another type than `run`"), form);
    }
}
