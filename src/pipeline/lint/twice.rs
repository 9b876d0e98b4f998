//! Entries that stand twice in a list where once is all that they can mean: the second is a slip of the hand, and another name may have been
//! meant.

use crate::pipeline::diagnostic::{Loc, Sink, show};
use crate::pipeline::model::{At, File, Step};
use crate::pipeline::plan::out_variable;

pub(super) fn lint(file: &File, sink: &mut Sink<'_>) {
    for stage in &file.stages {
        let needs = stage.needs.iter().flatten();
        repeats(needs, "needs.twice", |n| format!("stage `{}` needs `{n}` twice", show(&stage.name.value)), sink);
    }
    for (_, step) in file.all_steps() {
        artifacts(step, sink);
    }
    outputs(file, sink);
}

/// Stages whose outputs reach later steps under the same variables, where a script asks for one.
fn outputs(file: &File, sink: &mut Sink<'_>) {
    let variables: Vec<String> = file.stages.iter().map(|s| out_variable(&s.name.value, "")).collect();
    for (i, (stage, variable)) in file.stages.iter().zip(&variables).enumerate() {
        let Some(first) = variables[..i].iter().position(|v| v == variable) else { continue };
        let other = &file.stages[first].name;
        if other.value != stage.name.value && sink.text.contains(variable.as_str()) {
            let message =
                format!("outputs of `{}` and `{}` are the same variables, {variable}…", show(&other.value), show(&stage.name.value));
            sink.warning(stage.name.at, "output.twice", message, "rename one of them: only letters and digits tell them apart");
        }
    }
}

/// `./x` and `x` are one file.
fn artifacts(step: &Step, sink: &mut Sink<'_>) {
    let plain = |a: &At<String>| At { value: a.value.trim_start_matches("./").to_owned(), at: a.at };
    let paths: Vec<At<String>> = step.artifacts.iter().map(|a| plain(&a.path)).collect();
    repeats(paths.iter(), "artifact.twice", |path| format!("artifact `{path}` is named twice"), sink);
}

fn repeats<'a>(items: impl Iterator<Item = &'a At<String>>, code: &str, said: impl Fn(&str) -> String, sink: &mut Sink<'_>) {
    let mut seen: Vec<(&str, Loc)> = Vec::new();
    for item in items {
        match seen.iter().any(|(name, _)| *name == item.value) {
            true => sink.warning(item.at, code, said(&show(&item.value)), "take one out, or name the one that was meant"),
            false => seen.push((&item.value, item.at)),
        }
    }
}
