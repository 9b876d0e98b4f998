//! What could do harm when it happens twice, late, or half: retries, lost steps, catch-up, and what a step kind lets through.

use std::collections::BTreeMap;

use crate::domain::level::Level;
use crate::pipeline::diagnostic::{Sink, show};
use crate::pipeline::model::{CatchUp, File, Stage, StepAction};
use crate::pipeline::plan::RetryOn;
use crate::pipeline::schema::MAX_SEARCHES;

pub(super) fn lint(file: &File, sink: &mut Sink<'_>) {
    for stage in &file.stages {
        retries(stage, stage.level(file), sink);
        limits(stage, file, sink);
    }
    catch_up(file, sink);
    danger(file, sink);
    artifacts(file, sink);
    shrink(file, sink);
    let log = &file.options;
    for extra in [log.errors.get(MAX_SEARCHES).map(|(w, _)| w.at), log.harmless.get(MAX_SEARCHES).map(|h| h.at)].into_iter().flatten() {
        let message = format!("more than {MAX_SEARCHES} expressions: each line of a red step's log is held against all of them");
        sink.error(extra, "log.many", message, "join those that belong together: `a|b`");
    }
}

fn retries(stage: &Stage, level: Level, sink: &mut Sink<'_>) {
    let name = show(&stage.name.value);
    let lost = stage.on_lost_retry.or_else(|| stage.retry.as_ref().filter(|r| r.value.on.contains(&RetryOn::Lost)).map(|r| r.at));
    if stage.idempotent {
        return;
    }
    if let Some(at) = lost {
        sink.error(
            at,
            "lost.not-idempotent",
            format!("stage `{name}` would start again though nobody knows what its lost step did"),
            "say `idempotent: true` if a second start does no harm; else leave it to an operator",
        );
    }
    if let Some(retry) = stage.retry.as_ref().filter(|r| r.value.attempts > 1)
        && lost.is_none_or(|_| retry.value.on.iter().any(|o| *o != RetryOn::Lost))
    {
        let message = format!("stage `{name}` is tried {} times, but does not say that a second start does no harm", retry.value.attempts);
        if level >= Level::L2 {
            sink.error(
                retry.at,
                "retry.not-idempotent",
                format!("{message}; its danger level is {level}"),
                "say `idempotent: true` if that is so, or remove `retry`",
            );
        } else {
            sink.warning(retry.at, "retry.not-idempotent", message, "say `idempotent: true` if that is so");
        }
    }
}

fn limits(stage: &Stage, file: &File, sink: &mut Sink<'_>) {
    if let (Some(outer), Some(run)) = (&stage.timeout, file.options.timeout)
        && outer.value > run
    {
        sink.warning(
            outer.at,
            "timeout.order",
            format!("the stage may take {}, the whole run only {run}", outer.value),
            "raise `options.timeout`, or lower this",
        );
    }
    for step in &stage.steps {
        if let (Some(inner), Some(outer)) = (&step.timeout, &stage.timeout)
            && inner.value > outer.value
        {
            sink.warning(
                inner.at,
                "timeout.order",
                format!("the step may take {}, its stage only {}", inner.value, outer.value),
                "lower this, or raise the stage's",
            );
        }
        let stall = step.stall.as_ref().or(stage.stall.as_ref());
        let wall = step.timeout.as_ref().or(stage.timeout.as_ref());
        if let (Some(stall), Some(wall)) = (stall, wall)
            && stall.value >= wall.value
        {
            sink.warning(
                stall.at,
                "timeout.order",
                format!("a stall of {} is never seen: the timeout of {} comes first", stall.value, wall.value),
                "make `stall` shorter",
            );
            break;
        }
    }
}

fn catch_up(file: &File, sink: &mut Sink<'_>) {
    let level = file.level();
    for t in &file.triggers {
        let policy = match t.catch_up.value {
            CatchUp::Skip => continue,
            CatchUp::Once { .. } => "once",
            CatchUp::All { .. } => "all",
        };
        if level >= Level::L2 {
            sink.error(
                t.catch_up.at,
                "catch-up.danger",
                format!("missed starts would be made up ({policy}), though the pipeline has danger level {level}"),
                "write `policy: skip`: people start what is dangerous and late",
            );
        }
    }
}

fn danger(file: &File, sink: &mut Sink<'_>) {
    let Some(own) = &file.danger else { return };
    for stage in &file.stages {
        if let Some(d) = stage.danger.as_ref().filter(|d| d.value > own.value) {
            sink.warning(
                d.at,
                "danger.order",
                format!(
                    "stage `{}` has {}, the pipeline only {}: a start is confirmed as {}",
                    show(&stage.name.value),
                    d.value,
                    own.value,
                    d.value
                ),
                format!("write `danger: {}` for the pipeline too", d.value),
            );
        }
    }
}

/// Two stages that leave the same file: the run would keep one of them.
fn artifacts(file: &File, sink: &mut Sink<'_>) {
    let mut seen: BTreeMap<&str, (&str, crate::pipeline::diagnostic::Loc)> = BTreeMap::new();
    for (stage, step) in file.all_steps() {
        let Some(stage) = stage else { continue };
        for a in &step.artifacts {
            let path = a.path.value.trim_start_matches("./");
            if path.starts_with('/') || path.split('/').any(|p| p == "..") {
                sink.error(
                    a.path.at,
                    "artifact.path",
                    format!("artifact `{}` lies outside the workspace", show(&a.path.value)),
                    "copy it into the workspace, and name it there",
                );
            }
            if let Err(e) = glob::Pattern::new(path) {
                sink.error(
                    a.path.at,
                    "artifact.path",
                    format!("artifact `{}` is no pattern: {}", show(&a.path.value), e.msg),
                    "use `*`, `?` and `[…]`; a `[` that is meant as itself is `[[]`",
                );
            }
            match seen.get(path) {
                Some((first, at)) if *first != stage.name.value => {
                    sink.warning(
                        a.path.at,
                        "artifact.shared",
                        format!("stages `{}` and `{}` both keep `{}`", show(first), show(&stage.name.value), show(path)),
                        "give each a path of its own, or both will show the later file",
                    );
                    let _ = at;
                }
                _ => {
                    seen.insert(path, (&stage.name.value, a.path.at));
                }
            }
        }
    }
}

/// A mirror that may shrink to nothing without a word.
fn shrink(file: &File, sink: &mut Sink<'_>) {
    for (_, step) in file.all_steps() {
        let StepAction::Uses { with, .. } = &step.action else { continue };
        for (word, node) in with.iter().filter(|(w, _)| w.text == "shrink") {
            let off = node.text().is_some_and(|t| t == "allow" || t.trim_end_matches('%').parse::<f64>().is_ok_and(|n| n >= 100.0));
            if off {
                sink.warning(
                    word.at,
                    "mirror.shrink",
                    "the shrink guard is off: an upstream that lost its packages empties the mirror",
                    "give a percentage such as 20; allow more by a parameter for the one run that needs it",
                );
            }
        }
    }
}
