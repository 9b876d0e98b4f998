//! Names that lead outside: step kinds and their fields, secrets, locks, content sets, pipelines; and the names inside expressions.

use std::collections::BTreeSet;

use super::order::{ended_before, needs};
use crate::base::duration::Span;
use crate::base::{size, suggest};
use crate::domain::run::valid_name;
use crate::pipeline::catalog::{Catalog, Field, FieldType, StepKind};
use crate::pipeline::diagnostic::{Loc, Sink, show};
use crate::pipeline::expr::{self, Bad, Names, Template, Type};
use crate::pipeline::model::{At, File, ParamType, SecretUse, Stage, Step, StepAction, TriggerKind};
use crate::pipeline::params;
use crate::pipeline::plan::LockMode;
use crate::pipeline::reader::{Kind, Node, Word};
use crate::pipeline::scope::{Place, Scope};

/// `did you mean …`, or what to do where nothing is near.
fn meant<'a>(word: &str, known: impl IntoIterator<Item = &'a str>, otherwise: String) -> String {
    suggest::nearest(word, known).map_or(otherwise, |n| format!("did you mean `{n}`?"))
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

pub(super) fn lint(file: &File, catalog: &Catalog, sink: &mut Sink<'_>) {
    let listed = file.secrets.as_deref().unwrap_or_default();
    for (i, s) in listed.iter().enumerate() {
        if listed[..i].iter().any(|t| t.name.value == s.name.value) {
            sink.warning(s.name.at, "secret.twice", format!("secret `{}` stands here twice", show(&s.name.value)), "remove one");
            continue;
        }
        secret_exists(&s.name, catalog, sink);
    }
    for t in &file.triggers {
        upstream(t, file, catalog, sink);
    }
    for p in &file.parameters {
        if let ParamType::Run { of: Some(of), .. } = &p.ty
            && of.value != file.name.value
            && !catalog.pipelines.contains(&of.value)
        {
            let known = catalog.pipelines.iter().map(String::as_str);
            sink.error(
                of.at,
                "ref.upstream",
                format!("there is no pipeline `{}`", of.value),
                meant(&of.value, known, "put its file into the same directory".into()),
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
    let needs = needs(file);
    templates(&file.env, &Scope { file, catalog, stage: None, ended: None, place: Place::FileEnv }, sink);
    if let Some(n) = &file.run_name {
        template(n, &Scope { file, catalog, stage: None, ended: None, place: Place::RunName }, sink);
    }
    for (i, stage) in file.stages.iter().enumerate() {
        let ended = ended_before(&needs, i);
        sets_and_locks(stage, catalog, sink);
        stage_secrets(&stage.secrets, file, catalog, sink);
        if let Some(n) = &stage.when {
            condition(n, &Scope { file, catalog, stage: Some(i), ended: Some(&ended), place: Place::When }, sink);
        }
        let here = Scope { file, catalog, stage: Some(i), ended: Some(&ended), place: Place::Step };
        templates(&stage.env, &here, sink);
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
    // What a later version's key would use cannot be seen.
    if let Some(declared) = file.secrets.as_ref().filter(|_| !sink.has("schema.later")) {
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
}

fn upstream(t: &crate::pipeline::model::Trigger, file: &File, catalog: &Catalog, sink: &mut Sink<'_>) {
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
            meant(&pipeline.value, known, "put its file into the same directory".into()),
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

fn secret_exists(name: &At<String>, catalog: &Catalog, sink: &mut Sink<'_>) -> bool {
    let found = catalog.secrets.contains(&name.value);
    if !found {
        let known = catalog.secrets.iter().map(String::as_str);
        let help = meant(
            &name.value,
            known,
            format!("add `{} = \"env:…\"`, `\"file:…\"` or `\"cmd:…\"` to [secrets] of the site file", name.value),
        );
        sink.error(name.at, "ref.secret", format!("the site has no secret `{}`", show(&name.value)), help);
    }
    found
}

fn stage_secrets(uses: &[SecretUse], file: &File, catalog: &Catalog, sink: &mut Sink<'_>) {
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
                    meant(&u.name.value, known, "add it to `secrets:` at the top".into()),
                );
            }
            Some(_) => {}
            None => {
                secret_exists(&u.name, catalog, sink);
            }
        }
    }
}

fn sets_and_locks(stage: &Stage, catalog: &Catalog, sink: &mut Sink<'_>) {
    for (key, sets) in [("reads", &stage.reads), ("writes", &stage.writes)] {
        for (i, set) in sets.iter().enumerate() {
            if !catalog.sets.contains_key(&set.value) {
                let known = catalog.sets.keys().map(String::as_str);
                sink.error(
                    set.at,
                    "ref.set",
                    format!("the site has no content set `{}`", show(&set.value)),
                    meant(&set.value, known, format!("add [content.{}] with `repos = […]` to the site file", set.value)),
                );
            }
            if sets[..i].iter().any(|s| s.value == set.value) {
                sink.warning(set.at, "ref.set", format!("`{key}` names `{}` twice", set.value), "remove one");
            }
        }
    }
    for (i, lock) in stage.locks.iter().enumerate() {
        let name = &lock.name.value;
        let twice = stage.locks[..i].iter().any(|l| l.name.value == *name);
        if twice {
            sink.error(
                lock.name.at,
                "lock.twice",
                format!("the stage takes lock `{name}` twice: it would wait for itself"),
                "keep one, with as many `slots` as it needs",
            );
        }
        match catalog.locks.get(name) {
            Some(slots) if lock.slots.value > *slots => sink.error(
                lock.slots.at,
                "lock.slots",
                format!("the stage takes {} slots of lock `{name}`, which has {slots}: it would wait for ever", lock.slots.value),
                format!("take fewer, or raise [locks.{name}] slots in the site file"),
            ),
            Some(slots) if lock.mode == LockMode::Exclusive && lock.slots.value > 1 => sink.warning(
                lock.slots.at,
                "lock.slots",
                format!("an exclusive lock takes all {slots} slots of `{name}`"),
                "leave `slots` out, or write `mode: shared`",
            ),
            // Right for who needs the whole of it, and a surprise for who wanted one of them.
            Some(slots) if lock.mode == LockMode::Exclusive && !lock.said && !twice && *slots > 1 => sink.warning(
                lock.name.at,
                "lock.all",
                format!("the stage takes all {slots} slots of lock `{name}`, so that it runs alone"),
                format!(
                    "for one slot: {{name: {name}, mode: shared, slots: 1}}; if all are meant, say so: {{name: {name}, mode: exclusive}}"
                ),
            ),
            // Said by the schema.
            None if !valid_name(name) => {}
            Some(_) => {}
            None => {
                if let Some(near) = suggest::nearest(name, catalog.locks.keys().map(String::as_str)) {
                    sink.error(
                        lock.name.at,
                        "ref.lock",
                        format!("the site has no lock `{name}`"),
                        format!("did you mean `{near}`? a new lock of one slot is declared as [locks.{name}]"),
                    );
                } else if lock.slots.value > 1 {
                    sink.error(
                        lock.slots.at,
                        "lock.slots",
                        format!("lock `{name}` has one slot: the site file says no more"),
                        format!("add `slots = {}` to [locks.{name}]", lock.slots.value),
                    );
                } else if !name.starts_with(SET_LOCK) && !catalog.locks.is_empty() {
                    // A site that lists its locks means all of them: one that is not there keeps nobody away from anybody.
                    sink.error(
                        lock.name.at,
                        "ref.lock",
                        format!("the site has no lock `{name}`"),
                        format!("the site file lists its locks: add [locks.{name}] there, or take one of {}", some(catalog.locks.keys())),
                    );
                } else if !name.starts_with(SET_LOCK) {
                    sink.warning(
                        lock.name.at,
                        "ref.lock",
                        format!("the site declares no lock `{name}`: it is taken as a new one of one slot"),
                        format!("if that is meant, say so: [locks.{name}] in the site file"),
                    );
                }
            }
        }
    }
}

/// A few of many names.
fn some<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let all: Vec<&str> = names.map(String::as_str).collect();
    let shown = all.iter().take(5).copied().collect::<Vec<_>>().join(", ");
    if all.len() > 5 { format!("{shown} and {} more", all.len() - 5) } else { shown }
}

/// How the lock of a content set begins; no lock of a person does.
const SET_LOCK: &str = "content:";

/// The lock that a content set implies.
pub fn lock_of(set: &str) -> String {
    format!("{SET_LOCK}{set}")
}

fn report(node: &Node, bad: Bad, code: &str, sink: &mut Sink<'_>) {
    let at = node.locate(sink.text, bad.span);
    sink.error(at, code, bad.message, bad.help);
}

fn condition(node: &Node, scope: &Scope<'_>, sink: &mut Sink<'_>) {
    let Some(text) = node.text() else { return };
    match expr::parse(text) {
        Ok(e) => {
            for bad in expr::check(&e, scope) {
                report(node, bad, "expr.name", sink);
            }
            if let Err(bad) = crate::pipeline::freeze::split_when(&e) {
                report(node, bad, "expr.matrix", sink);
            }
        }
        Err(bad) => report(node, bad, "expr.syntax", sink),
    }
}

fn template(node: &Node, scope: &Scope<'_>, sink: &mut Sink<'_>) {
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

pub(super) fn templates(pairs: &[(Word, Node)], scope: &Scope<'_>, sink: &mut Sink<'_>) {
    for (_, node) in pairs {
        values(node, &mut |n| template(n, scope, sink));
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

fn lint_step(step: &Step, stage: Option<&Stage>, scope: &Scope<'_>, file: &File, catalog: &Catalog, sink: &mut Sink<'_>) {
    stage_secrets(&step.secrets, file, catalog, sink);
    templates(&step.env, scope, sink);
    let (kind, with) = match &step.action {
        StepAction::Run(_) => return,
        StepAction::Build(b) => return templates(&b.parameters, scope, sink),
        StepAction::Pin(run) => return template(run, scope, sink),
        StepAction::Notify { to, with } => return super::notify::lint(to, with, scope, catalog, sink),
        StepAction::Uses { kind, with } => (kind, with),
    };
    templates(with, scope, sink);
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
        FieldType::Int => (text.parse::<i64>().is_ok(), "a whole number"),
        FieldType::Duration => (text.parse::<Span>().is_ok(), "a duration such as 30s or 10m"),
        FieldType::Size => (size::parse(text).is_some(), "a size such as 200MiB"),
        FieldType::Url => (url::Url::parse(text).is_ok(), "a URL such as https://mirror.example.org/repo"),
        FieldType::Path => (!text.is_empty() && !text.contains('\0'), "a path"),
        FieldType::FarEnd(system) => return far_end(system, node, text, scope.catalog, sink),
        FieldType::Text | FieldType::List => (true, ""),
    };
    if !ok {
        fault(sink, node.at, format!("`{}`: `{seen}` is not {want}", f.name), f.doc);
    }
}
