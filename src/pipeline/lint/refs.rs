//! Names that lead outside: step kinds and their fields, and other pipelines; every place of a file with the names that are known there.

use std::collections::BTreeSet;

use super::{locks, notify, secrets, texts};
use crate::base::duration::Span;
use crate::base::suggest::{self, meant};
use crate::domain::artifact::is_outside;
use crate::pipeline::catalog::{Catalog, Field, FieldType, StepKind};
use crate::pipeline::diagnostic::{Loc, Sink, show};
use crate::pipeline::expr::{Names, Template, Type};
use crate::pipeline::model::{At, File, ParamType, Parameter, Stage, Step, StepAction, Trigger, TriggerKind};
use crate::pipeline::order::{ended_before, needs};
use crate::pipeline::params;
use crate::pipeline::reader::{Kind, Node, Word};
use crate::pipeline::scope::{Place, Scope};

pub(super) fn lint(file: &File, catalog: &Catalog, sink: &mut Sink<'_>) {
    secrets::listed(file, catalog, sink);
    for t in &file.triggers {
        upstream(t, file, catalog, sink);
    }
    for p in &file.parameters {
        parameter(p, file, catalog, sink);
    }
    let needs = needs(file);
    texts::templates(&file.env, &Scope { file, catalog, stage: None, ended: None, place: Place::FileEnv }, sink);
    if let Some(n) = &file.run_name {
        texts::template(n, &Scope { file, catalog, stage: None, ended: None, place: Place::RunName }, sink);
    }
    for (i, stage) in file.stages.iter().enumerate() {
        let ended = ended_before(&needs, i);
        locks::lint(stage, catalog, sink);
        secrets::asked(&stage.secrets, file, catalog, sink);
        if let Some(n) = &stage.when {
            texts::condition(n, &Scope { file, catalog, stage: Some(i), ended: Some(&ended), place: Place::When }, sink);
        }
        let here = Scope { file, catalog, stage: Some(i), ended: Some(&ended), place: Place::Step };
        texts::templates(&stage.env, &here, sink);
        for step in &stage.steps {
            lint_step(step, Some(stage), &here, file, catalog, sink);
        }
        let mut with_own: BTreeSet<usize> = ended.clone();
        with_own.insert(i);
        // A post step runs once, behind all cells: the matrix has no value there.
        let behind = Scope { file, catalog, stage: None, ended: Some(&with_own), place: Place::Step };
        for step in stage.post.parts.iter().flat_map(|(_, steps)| steps) {
            lint_step(step, Some(stage), &behind, file, catalog, sink);
        }
    }
    for step in file.post.parts.iter().flat_map(|(_, steps)| steps) {
        lint_step(step, None, &Scope { file, catalog, stage: None, ended: None, place: Place::Step }, file, catalog, sink);
    }
    secrets::unused(file, catalog, sink);
}

/// Runs of which pipeline it names, and whether it allows its own default.
fn parameter(p: &Parameter, file: &File, catalog: &Catalog, sink: &mut Sink<'_>) {
    if let ParamType::Run { of: Some(of), .. } = &p.ty
        && of.value != file.name.value
        && !catalog.pipelines.contains(&of.value)
    {
        let known = catalog.pipelines.iter().map(String::as_str);
        sink.error(
            of.at,
            "ref.upstream",
            format!("there is no pipeline `{}`", of.value),
            meant(&of.value, known, "put its file into the same directory"),
        );
    }
    if let Some(d) = &p.default
        && !nothing_fits(&p.ty)
        && let Err(e) = params::check_default(p, &d.value)
    {
        sink.error(
            d.at,
            "param.default",
            format!("the default of `{}` is not allowed: {}", p.name.text, e.why()),
            if e.help().is_empty() { "change the default, or what is allowed".to_owned() } else { e.help() },
        );
    }
}

/// What is allowed is wrong itself, as is said elsewhere; no value can be judged by it.
fn nothing_fits(ty: &ParamType) -> bool {
    match ty {
        ParamType::Choice(choices) => choices.is_empty(),
        ParamType::Text { pattern: Some(p), .. } => regex::Regex::new(p).is_err(),
        ParamType::Text { min: Some(min), max: Some(max), .. } | ParamType::Int { min: Some(min), max: Some(max) } => min > max,
        _ => false,
    }
}

fn upstream(t: &Trigger, file: &File, catalog: &Catalog, sink: &mut Sink<'_>) {
    let TriggerKind::Upstream { pipeline, stage, .. } = &t.kind else { return };
    if pipeline.value == file.name.value {
        sink.error(
            pipeline.at,
            "ref.upstream",
            "the pipeline is its own upstream: it would never stop",
            "name another pipeline, or use `every:`",
        );
    } else if !catalog.pipelines.contains(&pipeline.value) {
        let known = catalog.pipelines.iter().map(String::as_str).filter(|p| *p != file.name.value);
        sink.error(
            pipeline.at,
            "ref.upstream",
            format!("there is no pipeline `{}`", show(&pipeline.value)),
            meant(&pipeline.value, known, "put its file into the same directory"),
        );
    } else if let (Some(stage), Some(names)) = (stage, catalog.stages.get(&pipeline.value))
        && !names.contains(&stage.value)
    {
        let known = names.iter().map(String::as_str);
        sink.error(
            stage.at,
            "ref.upstream",
            format!("`{}` has no stage `{}`", pipeline.value, show(&stage.value)),
            meant(&stage.value, known, format!("its stages are {}", names.join(", "))),
        );
    }
}

fn lint_step(step: &Step, stage: Option<&Stage>, scope: &Scope<'_>, file: &File, catalog: &Catalog, sink: &mut Sink<'_>) {
    secrets::asked(&step.secrets, file, catalog, sink);
    texts::templates(&step.env, scope, sink);
    let (kind, with) = match &step.action {
        StepAction::Run(_) => return,
        StepAction::Build(b) => return texts::templates(&b.parameters, scope, sink),
        StepAction::Pin(run) => return texts::template(run, scope, sink),
        StepAction::Notify { to, with } => return notify::lint(to, with, scope, catalog, sink),
        StepAction::Uses { kind, with } => (kind, with),
    };
    texts::templates(with, scope, sink);
    let Some(known) = catalog.kinds.iter().find(|k| k.kind == kind.value) else {
        return unknown_kind(kind, catalog, sink);
    };
    fields(known, with, kind.at, scope, sink);
    // A credential reaches only a step that declares it.
    for (word, node) in with.iter().filter(|(w, _)| w.text == "credentials") {
        let Some(name) = node.text().filter(|t| !t.contains("${")) else { continue };
        let declared: Vec<&str> = step.secrets.iter().chain(stage.iter().flat_map(|s| &s.secrets)).map(|s| s.name.value.as_str()).collect();
        if !declared.contains(&name) {
            sink.error(
                node.at,
                "ref.secret",
                format!("`{}` names secret `{}`, which the step does not declare", word.text, show(name)),
                meant(name, declared.iter().copied(), format!("add `secrets: [{}]` beside `uses`", show(name))),
            );
        }
    }
}

fn unknown_kind(kind: &At<String>, catalog: &Catalog, sink: &mut Sink<'_>) {
    let seen = show(&kind.value);
    if let Some((name, since)) = catalog.later_kinds.iter().find(|(k, _)| *k == kind.value) {
        return sink.error(
            kind.at,
            "step.later",
            format!("this version lacks step kind `{name}`"),
            format!("it comes with {since}; until then write the command as `run:`"),
        );
    }
    let known: Vec<&str> = catalog.kinds.iter().map(|k| k.kind).collect();
    // `sync` for `mirror/sync`.
    let tail = known.iter().find(|k| k.split('/').next_back() == Some(kind.value.as_str())).copied();
    let help = match tail.or_else(|| suggest::nearest(&kind.value, known.iter().copied())) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "write the command as `run:`".to_owned(),
        None => format!("known: {}; a command is written as `run:`", known.join(", ")),
    };
    sink.error(kind.at, "step.kind", format!("there is no step kind `{seen}`"), help);
}

fn fields(kind: &StepKind, with: &[(Word, Node)], at: Loc, scope: &Scope<'_>, sink: &mut Sink<'_>) {
    for (word, node) in with {
        match kind.with.iter().find(|f| f.name == word.text) {
            Some(f) => field(f, node, word, scope, sink),
            None => {
                let known = kind.with.iter().map(|f| f.name);
                let all = kind.with.iter().map(|f| f.name).collect::<Vec<_>>().join(", ");
                sink.error(
                    word.at,
                    "step.with",
                    format!("{} has no field `{}`", kind.kind, show(&word.text)),
                    meant(&word.text, known, format!("its fields are {all}")),
                );
            }
        }
    }
    for f in kind.with.iter().filter(|f| f.required && !with.iter().any(|(w, _)| w.text == f.name)) {
        sink.error(at, "step.with", format!("{} needs `{}`", kind.kind, f.name), format!("add `with: {{{}: …}}`: {}", f.name, f.doc));
    }
}

fn far_end(system: &str, node: &Node, name: &str, catalog: &Catalog, sink: &mut Sink<'_>) {
    let known = catalog.far_ends.get(system);
    if known.is_some_and(|k| k.contains_key(name)) {
        return;
    }
    let names = known.into_iter().flat_map(|k| k.keys().map(String::as_str));
    let help = meant(name, names, format!("add [{system}.{}] to the site file", show(name)));
    sink.error(node.at, "ref.far-end", format!("the site has no {system} `{}`", show(name)), help);
}

fn field(f: &Field, node: &Node, word: &Word, scope: &Scope<'_>, sink: &mut Sink<'_>) {
    let fault = |sink: &mut Sink<'_>, at: Loc, message: String, help: &str| sink.error(at, "step.with", message, help);
    if node.is_empty() {
        return fault(sink, word.at, format!("`{}` has no value", f.name), f.doc);
    }
    if f.ty == FieldType::List {
        let items: &[Node] = match &node.kind {
            Kind::Seq(items) => items,
            _ => std::slice::from_ref(node),
        };
        if items.is_empty() {
            fault(sink, word.at, format!("`{}` is an empty list", f.name), f.doc);
        }
        for n in items.iter().filter(|n| n.text().is_none_or(str::is_empty)) {
            fault(sink, n.at, format!("`{}` takes a list of texts", f.name), "write [a, b]");
        }
        return;
    }
    let Some(text) = node.text() else {
        return fault(sink, word.at, format!("`{}` must be a single value, this is {}", f.name, node.noun()), f.doc);
    };
    if text.contains("${") {
        let whole = Template::parse(text).ok();
        if let Some(path) = whole.as_ref().and_then(Template::whole)
            && scope.type_of(path) == Ok(Type::List)
        {
            fault(sink, node.at, format!("`{path}` is a list, and `{}` takes a single value", f.name), f.doc);
        }
        return;
    }
    let seen = show(text);
    let (ok, want) = match f.ty {
        FieldType::Bool => (matches!(text, "true" | "false"), "true or false"),
        FieldType::Int => (text.trim().parse::<u64>().is_ok(), "a whole number"),
        FieldType::Duration => (text.parse::<Span>().is_ok(), "a duration such as 30s or 10m"),
        FieldType::Path => (!text.is_empty() && !text.contains('\0'), "a path"),
        FieldType::Inside => (!text.contains('\0') && !is_outside(text), "a path that stays in the workspace"),
        FieldType::Word(words) if !words.contains(&text) => {
            let help = meant(text, words.iter().copied(), format!("write one of {}", words.join(", ")));
            return sink.error(node.at, "step.with", format!("`{}` cannot be `{seen}`", f.name), help);
        }
        FieldType::Word(_) => (true, ""),
        FieldType::FarEnd(system) => return far_end(system, node, text, scope.catalog, sink),
        FieldType::Text | FieldType::List => (true, ""),
    };
    if !ok {
        fault(sink, node.at, format!("`{}`: `{seen}` is not {want}", f.name), f.doc);
    }
}
