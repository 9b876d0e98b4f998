//! Stages of the plan: work and post, their cells, steps and locks.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::fault::Fault;
use super::values::{self, Frozen};
use crate::base::duration::Span;
use crate::domain::flaky::FLAKY_AFTER;
use crate::pipeline::answers;
use crate::pipeline::catalog::{Catalog, FarEnd, FieldType, Notifier};
use crate::pipeline::expr::{self, EvalError};
use crate::pipeline::locks;
use crate::pipeline::matrix::{self, cell_key};
use crate::pipeline::model::{self, File, Pairs, Post, StepAction};
use crate::pipeline::order::needs;
use crate::pipeline::plan::{Action, Artifact, Cell, PostWhen, Retry, RetryOn, SecretUse, Stage, StageKind, Step, Tests};
use crate::pipeline::reader::{Kind, Node};
use crate::pipeline::when;

/// Limit of a run and of a step, where the file has none.
pub(super) const DAY: Span = Span::from_secs(86_400);
/// From the wish to end a step to its end by force.
const GRACE: Span = Span::from_secs(10);

/// Work stages in file order, then the post stages of each, then the run's own.
pub(super) fn all(file: &File, catalog: &Catalog, frozen: &Frozen<'_>) -> Result<Vec<Stage>, Fault> {
    let needs = needs(file);
    let mut out = Vec::new();
    for (stage, needs) in file.stages.iter().zip(&needs) {
        out.push(work(stage, needs, file, catalog, frozen)?);
    }
    for (i, stage) in file.stages.iter().enumerate() {
        post(&stage.post, Some((i, stage)), file, catalog, frozen, &mut out)?;
    }
    post(&file.post, None, file, catalog, frozen, &mut out)?;
    Ok(out)
}

fn at<T>(place: &str, r: Result<T, EvalError>) -> Result<T, Fault> {
    r.map_err(|error| Fault::Value { place: place.to_owned(), error })
}

fn work(stage: &model::Stage, needs: &[usize], file: &File, catalog: &Catalog, frozen: &Frozen<'_>) -> Result<Stage, Fault> {
    let place = format!("stage `{}`", stage.name.value);
    let matrices = match &stage.matrix {
        Some(m) => matrix::expand(m).map_err(|e| Fault::Matrix { place: place.clone(), why: e.to_string() })?,
        None => vec![matrix::Values::new()],
    };
    let (mut cells, mut when) = (matrices, None);
    if let Some(text) = stage.when.as_ref().and_then(|n| n.text()) {
        let malformed = |b: expr::Bad| EvalError::Malformed { text: text.to_owned(), why: b.message };
        let e = at(&place, expr::parse(text).map_err(malformed))?;
        let (choose, later) = at(&place, when::split(&e).map_err(malformed))?;
        let chosen: Vec<matrix::Values> = at(
            &place,
            cells.iter().filter_map(|c| when::chosen(&choose, &frozen.in_cell(c)).map(|yes| yes.then(|| c.clone())).transpose()).collect(),
        )?;
        if chosen.is_empty() {
            when = Some("false".to_owned());
        } else {
            cells = chosen;
            when = at(&place, when::remainder(&later, frozen))?;
        }
    }
    let env: Vec<(&str, &Node)> = stage.env.iter().map(|(w, n)| (w.text.as_str(), n)).collect();
    let cells = cells
        .into_iter()
        .filter(|_| stage.approve.is_none())
        .map(|values| {
            let here = frozen.in_cell(&values);
            let steps = stage.steps.iter().map(|s| step(s, Some(stage), &env, file, catalog, &here)).collect::<Result<_, _>>()?;
            Ok(Cell { key: cell_key(&values), matrix: values, steps })
        })
        .collect::<Result<Vec<_>, Fault>>()?;
    Ok(Stage {
        name: stage.name.value.clone(),
        kind: StageKind::Work,
        needs: needs.iter().map(|n| *n as u32).collect(),
        when,
        cells,
        max_parallel: stage.matrix.as_ref().and_then(|m| m.max_parallel),
        fail_fast: stage.matrix.as_ref().is_some_and(|m| m.fail_fast),
        locks: locks::of(stage),
        reads: sorted(&stage.reads),
        writes: sorted(&stage.writes),
        allow_failure: stage.allow_failure,
        danger: stage.level(file),
        idempotent: stage.idempotent,
        uninterruptible: stage.uninterruptible,
        retry: retry(stage),
        timeout: stage.timeout.as_ref().map(|t| t.value),
        stall: stage.stall.as_ref().map(|t| t.value),
        approve: stage.approve.as_ref().map(answers::frozen),
        inputs: Vec::new(),
    })
}

fn sorted(names: &[model::At<String>]) -> Vec<String> {
    let mut out: Vec<String> = names.iter().map(|n| n.value.clone()).collect();
    out.sort();
    out.dedup();
    out
}

fn retry(stage: &model::Stage) -> Option<Retry> {
    let mut retry = stage.retry.as_ref().map(|r| Retry {
        attempts: r.value.attempts,
        delay: r.value.delay,
        backoff: r.value.backoff,
        on: r.value.on.clone(),
    });
    if stage.on_lost_retry.is_some() {
        match &mut retry {
            Some(r) if r.on.is_empty() => r.on = vec![RetryOn::Failure, RetryOn::Timeout, RetryOn::Stall, RetryOn::Lost],
            Some(r) if !r.on.contains(&RetryOn::Lost) => r.on.push(RetryOn::Lost),
            Some(_) => {}
            None => retry = Some(Retry { attempts: 2, delay: Span::default(), backoff: 1.0, on: vec![RetryOn::Lost] }),
        }
    }
    retry
}

fn post(
    post: &Post,
    of: Option<(usize, &model::Stage)>,
    file: &File,
    catalog: &Catalog,
    frozen: &Frozen<'_>,
    out: &mut Vec<Stage>,
) -> Result<(), Fault> {
    let mut before: Option<u32> = None;
    for (when, steps) in &post.parts {
        let base = match of {
            Some((_, s)) => format!("{}: post", s.name.value),
            None => "Post Actions".to_owned(),
        };
        let name = match when {
            PostWhen::Always => base,
            PostWhen::Success => format!("{base} (success)"),
            PostWhen::Failure => format!("{base} (failure)"),
            PostWhen::Fixed => format!("{base} (fixed)"),
        };
        let stage = of.map(|(_, s)| s);
        // A post step runs once, behind all cells: variables made of matrix keys have no value there.
        let env: Vec<(&str, &Node)> = stage
            .iter()
            .flat_map(|s| &s.env)
            .filter(|(_, n)| !n.text().is_some_and(|t| values::template(t).is_ok_and(|t| t.paths().any(|(p, _)| p.root == "matrix"))))
            .map(|(w, n)| (w.text.as_str(), n))
            .collect();
        let steps = steps.iter().map(|s| step(s, stage, &env, file, catalog, frozen)).collect::<Result<Vec<_>, _>>()?;
        let index = out.len() as u32;
        let kind = StageKind::Post { when: *when, of: of.map(|(i, _)| i as u32) };
        let cell = Cell { key: String::new(), matrix: matrix::Values::new(), steps };
        out.push(Stage {
            needs: before.into_iter().collect(),
            danger: stage.map_or_else(|| file.level(), |s| s.level(file)),
            ..Stage::bare(name, kind, vec![cell])
        });
        before = Some(index);
    }
    Ok(())
}

fn step(
    s: &model::Step,
    stage: Option<&model::Stage>,
    stage_env: &[(&str, &Node)],
    file: &File,
    catalog: &Catalog,
    values: &Frozen<'_>,
) -> Result<Step, Fault> {
    let place = match stage {
        Some(stage) => format!("step `{}/{}`", stage.name.value, s.name.value),
        None => format!("post step `{}`", s.name.value),
    };
    let mut env = BTreeMap::new();
    for (name, node) in stage_env.iter().copied().chain(s.env.iter().map(|(w, n)| (w.text.as_str(), n))) {
        env.insert(name.to_owned(), at(&place, plain(node, values))?);
    }
    let mut secrets: Vec<SecretUse> = Vec::new();
    for u in stage.iter().flat_map(|s| &s.secrets).chain(&s.secrets) {
        match secrets.iter_mut().find(|k| k.name == u.name.value) {
            Some(known) => known.env |= u.env,
            None => secrets.push(SecretUse { name: u.name.value.clone(), env: u.env }),
        }
    }
    let o = &file.options;
    let action = match &s.action {
        StepAction::Run(node) => Action::Shell {
            script: node.text().unwrap_or("").to_owned(),
            interpreter: s
                .interpreter
                .clone()
                .or_else(|| stage.and_then(|s| s.interpreter.clone()))
                .or_else(|| o.interpreter.clone())
                .unwrap_or_default(),
        },
        StepAction::Uses { kind, with } => {
            Action::Native { kind: kind.value.clone(), with: fields(&kind.value, with, &place, catalog, values, &mut secrets)? }
        }
        StepAction::Build(b) => {
            let mut parameters = IndexMap::new();
            for (word, node) in &b.parameters {
                let value = at(&format!("{place}, parameter `{}`", word.text), plain(node, values))?;
                parameters.insert(word.text.clone(), value);
            }
            Action::Build { pipeline: b.pipeline.value.clone(), parameters, wait: b.wait }
        }
        StepAction::Pin(node) => Action::Pin { run: at(&place, plain(node, values))? },
        StepAction::Notify { to, with } => {
            for (word, node) in with {
                let value = at(&format!("{place}, field `{}`", word.text), plain(node, values))?;
                env.insert(format!("notify_{}", word.text), value);
            }
            let known = at(&place, notifier(&to.value, catalog))?;
            secrets.extend(known.secrets.iter().map(|s| SecretUse { name: s.clone(), env: false }));
            // A list of words for any shell: nothing of a pipeline is in it.
            Action::Shell { script: format!("exec {}", shell_words::join(&known.command)), interpreter: Vec::new() }
        }
    };
    Ok(Step {
        name: s.name.value.clone(),
        action,
        env,
        secrets,
        artifacts: s.artifacts.iter().map(artifact).collect(),
        timeout: Some(s.timeout.as_ref().map_or(DAY, |t| t.value)),
        stall: s.stall.as_ref().or_else(|| stage.and_then(|s| s.stall.as_ref())).map(|t| t.value),
        grace: s.grace.or_else(|| stage.and_then(|s| s.grace)).or(o.grace).unwrap_or(GRACE),
        daemon_allowed: s.daemon || stage.is_some_and(|s| s.daemon),
    })
}

/// The fields of a native step. What the site file says of a far end that one names stands beside it, and its secrets go to the step.
fn fields(
    kind: &str,
    with: &Pairs,
    place: &str,
    catalog: &Catalog,
    values: &Frozen<'_>,
    secrets: &mut Vec<SecretUse>,
) -> Result<Map<String, Json>, Fault> {
    let known = catalog.kinds.iter().find(|k| k.kind == kind).map_or(&[][..], |k| k.with);
    let mut fields = Map::new();
    for (word, node) in with {
        let is_list = known.iter().find(|f| f.name == word.text).is_some_and(|f| f.ty == FieldType::List);
        fields.insert(word.text.clone(), at(&format!("{place}, field `{}`", word.text), field(node, is_list, values))?);
    }
    for f in known {
        if let FieldType::FarEnd(system) = f.ty
            && let Some(name) = fields.get(f.name).and_then(Json::as_str).map(str::to_owned)
        {
            let end = at(&format!("{place}, field `{}`", f.name), far_end(system, &name, catalog))?;
            fields.extend(end.settled.iter().map(|(key, value)| (format!("{}.{key}", f.name), Json::String(value.clone()))));
            for s in &end.secrets {
                if !secrets.iter().any(|u| u.name == *s) {
                    secrets.push(SecretUse { name: s.clone(), env: false });
                }
            }
        }
    }
    Ok(fields)
}

/// A single text with what is known put in.
fn plain(node: &Node, values: &Frozen<'_>) -> Result<String, EvalError> {
    values::text(node.text().unwrap_or(""), values)
}

/// As for far ends: the plan holds the command as it is now.
fn notifier<'c>(name: &str, catalog: &'c Catalog) -> Result<&'c Notifier, EvalError> {
    let known = catalog.notifiers.get(name);
    known.ok_or_else(|| EvalError::Unknown { path: name.to_owned(), why: format!("the site file has no [notify.{name}]") })
}

/// The plan holds what the site file says of the far end now: a run ends where it began.
fn far_end<'c>(system: &str, name: &str, catalog: &'c Catalog) -> Result<&'c FarEnd, EvalError> {
    if name.contains("${") {
        return Err(EvalError::TooEarly { path: name.to_owned() });
    }
    let known = catalog.far_ends.get(system).and_then(|all| all.get(name));
    known.ok_or_else(|| EvalError::Unknown { path: name.to_owned(), why: format!("the site file has no [{system}.{name}]") })
}

fn artifact(a: &model::ArtifactUse) -> Artifact {
    let tests = a.tests.as_ref().map(|t| Tests { flaky_after: t.flaky_after.unwrap_or(FLAKY_AFTER), fail: !t.note_only });
    Artifact { path: a.path.value.clone(), tests }
}

fn field(node: &Node, is_list: bool, values: &Frozen<'_>) -> Result<Json, EvalError> {
    let items: &[Node] = match &node.kind {
        Kind::Seq(items) => items,
        _ if is_list => std::slice::from_ref(node),
        _ => return Ok(Json::String(plain(node, values)?)),
    };
    let mut out = Vec::new();
    for n in items {
        out.extend(values::list(n.text().unwrap_or(""), values)?.into_iter().map(Json::String));
    }
    Ok(Json::Array(out))
}
