//! A stage to its typed form: what it does, what it waits for, and what it takes.

use super::fields::{Fields, items, text};
use super::*;
use crate::pipeline::diagnostic::Sink;
use crate::pipeline::reader::Kind;
use crate::pipeline::schema::{self, keys};

pub(super) fn build(node: &Node, sink: &mut Sink<'_>) -> Option<Stage> {
    let f = Fields::new(node, &keys::STAGE);
    let name = f.text("name")?;
    let short = f.get("steps").is_none();
    let mut steps = Vec::new();
    let approve = f.map("approve", &keys::APPROVE).and_then(|a| approve::build(&a, &f, sink));
    if f.get("approve").is_some() {
        approve.as_ref()?;
    } else if let Some(node) = f.get("build") {
        steps.push(child::build(node, &f, &name, sink)?);
    } else if short {
        // `steps:` without any is told already.
        if f.entries.iter().any(|(w, _)| w.text == "steps") {
            return None;
        }
        if let Some(action) = step::action(&f, "the stage", sink) {
            let artifacts = step::artifacts(f.items("artifacts"), sink);
            steps.push(Step { artifacts, ..Step::bare(name.clone(), f.at, action) });
        }
    } else {
        steps = step::listed(&f, sink);
    }
    if steps.is_empty() && approve.is_none() && !f.later() {
        return None;
    }
    let retry = f.map("retry", &keys::RETRY).and_then(|r| {
        let on = r.texts("on").iter().filter_map(|t| schema::retry_on(&t.value)).collect();
        let delay = r.span("delay").map_or(Span::default(), |s| s.value);
        Some(At::new(Retry { attempts: r.number("attempts")?, delay, backoff: r.number("backoff").unwrap_or(1.0), on }, f.key_at("retry")))
    });
    Some(Stage {
        short,
        step_like: f.has_only(&keys::STEP),
        when: f.get("when").cloned(),
        needs: f.get("needs").map(|_| f.texts("needs")),
        matrix: f.map("matrix", &keys::MATRIX).map(|m| matrix(&m, f.key_at("matrix"))),
        reads: f.texts("reads"),
        writes: f.texts("writes"),
        locks: locks(f.items("locks")),
        allow_failure: f.flag("allow_failure"),
        danger: f.level("danger"),
        idempotent: f.flag("idempotent"),
        on_lost_retry: f.text("on_lost").filter(|t| t.value == "retry").map(|t| t.at),
        uninterruptible: f.flag("uninterruptible"),
        retry,
        timeout: f.span("timeout"),
        stall: f.span("stall"),
        grace: f.span("grace").map(|s| s.value),
        env: f.pairs("env"),
        secrets: step::secrets(f.items("secrets")),
        interpreter: f.words("interpreter"),
        daemon: f.text("daemon").is_some_and(|d| d.value == "allowed"),
        inputs: inputs(f.items("inputs")),
        steps,
        post: step::post(f.map("post", &keys::POST), sink),
        approve,
        name,
    })
}

fn matrix(f: &Fields<'_>, at: Loc) -> Matrix {
    let cells = |key: &str| {
        f.items(key)
            .iter()
            .map(|n| {
                let c = Fields::new(n, &keys::CELL);
                let values =
                    c.entries.iter().filter(|(w, _)| keys::CELL.key(&w.text).is_none()).filter_map(|(w, n)| Some((w.clone(), text(n)?)));
                At::new(values.collect(), c.at)
            })
            .collect()
    };
    let keys = f.entries.iter().filter(|(w, _)| keys::MATRIX.key(&w.text).is_none());
    Matrix {
        at,
        keys: keys.map(|(w, n)| (w.clone(), items(n).iter().filter_map(text).collect())).collect(),
        include: cells("include"),
        exclude: cells("exclude"),
        max_parallel: f.number("max_parallel"),
        fail_fast: f.flag("fail_fast"),
    }
}

fn locks(nodes: &[Node]) -> Vec<LockUse> {
    nodes
        .iter()
        .filter_map(|n| match &n.kind {
            Kind::Map(_) => {
                let f = Fields::new(n, &keys::LOCK);
                let mode = f.text("mode");
                let shared = mode.as_ref().is_some_and(|m| m.value == "shared");
                let slots_at = f.key_at("slots");
                Some(LockUse {
                    name: f.text("name")?,
                    mode: if shared { LockMode::Shared } else { LockMode::Exclusive },
                    said: mode.is_some(),
                    slots: At::new(f.number("slots").unwrap_or(1), slots_at),
                })
            }
            _ => Some(LockUse { name: text(n)?, mode: LockMode::Exclusive, said: false, slots: At::new(1, n.at) }),
        })
        .collect()
}

pub(super) fn inputs(nodes: &[Node]) -> Vec<InputUse> {
    let one = |n: &Node| {
        let f = Fields::new(n, &keys::INPUT);
        Some(InputUse { from: f.text("from")?, path: f.text("path")?, to: f.text("to") })
    };
    nodes.iter().filter_map(one).collect()
}
