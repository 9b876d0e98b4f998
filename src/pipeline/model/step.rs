//! A step to its typed form, and what a stage and its post section list of them.

use super::fields::{Fields, text};
use super::{ArtifactUse, At, Post, SecretUse, Step, StepAction, TestsUse, child};
use crate::base::duration::Span;
use crate::pipeline::diagnostic::{Sink, show};
use crate::pipeline::plan::PostWhen;
use crate::pipeline::reader::{Kind, Node};
use crate::pipeline::schema::keys;

/// A post step ends sooner than a step: it stands between the run and its verdict.
const POST_TIMEOUT: Span = Span::from_secs(300);

pub(super) fn post(f: Option<Fields<'_>>, sink: &mut Sink<'_>) -> Post {
    let mut parts = Vec::new();
    let Some(f) = f else { return Post::default() };
    // `always` last: it is where the others' files are cleaned up.
    for (key, when) in
        [("success", PostWhen::Success), ("failure", PostWhen::Failure), ("fixed", PostWhen::Fixed), ("always", PostWhen::Always)]
    {
        let steps: Vec<Step> = f.items(key).iter().filter_map(|n| step(&Fields::new(n, &keys::POST_STEP), true, sink)).collect();
        unique(steps.iter(), sink);
        if !steps.is_empty() {
            parts.push((when, steps));
        }
    }
    Post { parts }
}

/// What a mapping with `run` or `uses` does.
pub(super) fn action(f: &Fields<'_>, noun: &str, sink: &mut Sink<'_>) -> Option<StepAction> {
    match (f.get("run"), f.text("uses")) {
        (Some(_), Some(_)) => {
            sink.error(
                f.key_at("uses"),
                "step.action",
                format!("{noun} has both `run` and `uses`"),
                "keep one; make two steps if both are needed",
            );
            None
        }
        (Some(run), None) => {
            if f.get("with").is_some() {
                sink.error(
                    f.key_at("with"),
                    "step.action",
                    "`with` has no meaning beside `run`",
                    "give values by `env:`, or use a step kind by `uses:`",
                );
            }
            Some(StepAction::Run(run.clone()))
        }
        (None, Some(kind)) => {
            let with = f.pairs("with");
            if f.get("interpreter").is_some() {
                sink.error(f.key_at("interpreter"), "step.action", "`interpreter` has no meaning beside `uses`", "remove it");
            }
            Some(StepAction::Uses { kind, with })
        }
        (None, None) => {
            if !f.later() {
                sink.error(
                    f.at,
                    "step.action",
                    format!("{noun} does nothing: it has neither `run` nor `uses`"),
                    "add `run:` with a script, or `uses:` with a step kind",
                );
            }
            None
        }
    }
}

fn step(f: &Fields<'_>, is_post: bool, sink: &mut Sink<'_>) -> Option<Step> {
    let of_post = |key| is_post.then(|| f.get(key)).flatten();
    let action = match (of_post("pin"), of_post("notify").and_then(text)) {
        (Some(run), _) => child::pin(f, run, sink),
        (None, Some(to)) => child::notify(f, to, sink),
        (None, None) => action(f, if is_post { "the post step" } else { "the step" }, sink)?,
    };
    let name = f.text("name").unwrap_or_else(|| {
        let name = match &action {
            StepAction::Uses { kind, .. } => kind.value.clone(),
            StepAction::Pin(_) => "pin".to_owned(),
            StepAction::Notify { to, .. } => format!("notify {}", to.value),
            StepAction::Build(b) => b.pipeline.value.clone(),
            StepAction::Run(script) => {
                let first =
                    script.text().unwrap_or("").lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#')).unwrap_or("run");
                first.chars().take(32).collect::<String>().trim().to_owned()
            }
        };
        At::new(name, f.at)
    });
    Some(Step {
        name,
        at: f.at,
        action,
        env: f.pairs("env"),
        secrets: secrets(f.items("secrets")),
        artifacts: artifacts(f.items("artifacts"), sink),
        timeout: f.span("timeout").or_else(|| is_post.then(|| At::new(POST_TIMEOUT, f.at))),
        stall: if is_post { None } else { f.span("stall") },
        grace: f.span("grace").map(|s| s.value),
        interpreter: f.words("interpreter"),
        daemon: !is_post && f.text("daemon").is_some_and(|d| d.value == "allowed"),
    })
}

fn unique<'a>(steps: impl Iterator<Item = &'a Step> + Clone, sink: &mut Sink<'_>) {
    for (i, s) in steps.clone().enumerate() {
        if let Some(first) = steps.clone().take(i).find(|t| t.name.value == s.name.value) {
            sink.error_with(
                s.name.at,
                "step.name",
                format!("two steps are named `{}`", show(&s.name.value)),
                "give each a name of its own: logs are found by it",
                (first.name.at, "first here"),
            );
        }
    }
}

/// The steps of a stage that lists them.
pub(super) fn listed(f: &Fields<'_>, sink: &mut Sink<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    for key in ["run", "uses", "with"] {
        if f.get(key).is_some() {
            sink.error_with(
                f.key_at(key),
                "step.action",
                format!("the stage has `steps` and also `{key}`"),
                "move it into the steps, or is the indent of this line lost?",
                (f.key_at("steps"), "its steps"),
            );
        }
    }
    // What is no mapping is told already.
    for node in f.items("steps").iter().filter(|n| matches!(n.kind, Kind::Map(_))) {
        steps.extend(step(&Fields::new(node, &keys::STEP), false, sink));
    }
    if let Some(last) = steps.last_mut() {
        last.artifacts.extend(artifacts(f.items("artifacts"), sink));
    }
    if f.items("steps").is_empty() {
        sink.error(
            f.key_at("steps"),
            "step.action",
            "the list of steps is empty",
            "add one: `- name: hello`, and `run: echo hello` below it",
        );
    }
    // That one lacks its name is said already.
    unique(steps.iter().filter(|s| s.name.at != s.at), sink);
    steps
}

pub(super) fn secrets(nodes: &[Node]) -> Vec<SecretUse> {
    nodes
        .iter()
        .filter_map(|n| match &n.kind {
            Kind::Map(_) => {
                let f = Fields::new(n, &keys::SECRET);
                Some(SecretUse { name: f.text("name")?, env: f.flag("env") })
            }
            _ => Some(SecretUse { name: text(n)?, env: false }),
        })
        .collect()
}

pub(super) fn artifacts(nodes: &[Node], sink: &mut Sink<'_>) -> Vec<ArtifactUse> {
    let one = |n: &Node, sink: &mut Sink<'_>| {
        let Kind::Map(_) = &n.kind else { return Some(ArtifactUse { path: text(n)?, tests: None }) };
        let f = Fields::new(n, &keys::ARTIFACT);
        let report = f.text("type").is_some_and(|t| t.value == "junit");
        for key in ["failures", "flaky_after"] {
            if !report && f.get(key).is_some() {
                sink.error(f.key_at(key), "artifact.type", format!("`{key}` is about test reports"), "add `type: junit`, or leave it out");
            }
        }
        let note_only = f.text("failures").is_some_and(|t| t.value == "note");
        Some(ArtifactUse { path: f.text("path")?, tests: report.then(|| TestsUse { flaky_after: f.number("flaky_after"), note_only }) })
    };
    nodes.iter().filter_map(|n| one(n, sink)).collect()
}
