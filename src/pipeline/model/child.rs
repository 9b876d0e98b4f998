//! `build:` of a stage, `pin:` and `notify:` of a post step to their typed forms, and what may not stand beside them.

use super::fields::{Fields, text};
use super::{At, Build, Step, StepAction};
use crate::pipeline::diagnostic::Sink;
use crate::pipeline::reader::{Kind, Node};
use crate::pipeline::schema::keys;

/// What a stage that is a run of another pipeline may say.
const BESIDE: [&str; 12] =
    ["name", "needs", "when", "matrix", "reads", "writes", "locks", "allow_failure", "uninterruptible", "timeout", "build", "post"];

pub(super) fn build(node: &Node, stage: &Fields<'_>, name: &At<String>, sink: &mut Sink<'_>) -> Option<Step> {
    for (word, _) in stage.entries.iter().filter(|(w, _)| !BESIDE.contains(&w.text.as_str()) && keys::STAGE.key(&w.text).is_some()) {
        let help = match word.text.as_str() {
            "danger" => "its danger is that of the pipeline: say it there",
            "run" | "uses" | "with" | "steps" => "make two stages of it",
            "env" | "secrets" => "give it `parameters:` below `build`; secrets are named in its own file",
            "retry" | "idempotent" | "on_lost" => "say it in the file of the pipeline, at the stage that may be tried again",
            _ => "say it in the file of the pipeline",
        };
        sink.error(word.at, "build.key", format!("`{}` has no meaning beside `build`", word.text), help);
    }
    let f = Fields::new(node, &keys::BUILD);
    let build = match &node.kind {
        Kind::Map(_) => {
            let wait = f.get("wait").and_then(Node::text) != Some("false");
            Build { pipeline: f.text("pipeline")?, parameters: f.pairs("parameters"), wait, level: None }
        }
        _ => Build { pipeline: text(node)?, parameters: Vec::new(), wait: true, level: None },
    };
    Some(Step::bare(name.clone(), name.at, StepAction::Build(build)))
}

/// A post step that keeps a run.
pub(super) fn pin(f: &Fields<'_>, run: &Node, sink: &mut Sink<'_>) -> StepAction {
    for (word, _) in f.entries.iter().filter(|(w, _)| !matches!(w.text.as_str(), "pin" | "name") && keys::POST_STEP.key(&w.text).is_some())
    {
        let help = "make two post steps of it: each begins with `- `";
        sink.error(word.at, "pin.key", format!("`{}` has no meaning beside `pin`", word.text), help);
    }
    StepAction::Pin(run.clone())
}

/// A post step that tells people.
pub(super) fn notify(f: &Fields<'_>, to: At<String>, sink: &mut Sink<'_>) -> StepAction {
    let known = |name: &str| matches!(name, "notify" | "name" | "with" | "timeout" | "grace");
    for (word, _) in f.entries.iter().filter(|(w, _)| !known(&w.text) && keys::POST_STEP.key(&w.text).is_some()) {
        let help = match word.text.as_str() {
            "env" => "say it below `with:`: it reaches the command as notify_FIELD",
            "secrets" => "[notify.NAME] of the site file names its secrets",
            _ => "make two post steps of it: each begins with `- `",
        };
        sink.error(word.at, "notify.key", format!("`{}` has no meaning beside `notify`", word.text), help);
    }
    StepAction::Notify { to, with: f.pairs("with") }
}
