//! Entries that stand twice in a list where once is all that they can mean: the second is a slip of the hand, and another name may have been
//! meant.

use std::collections::{HashMap, HashSet};

use crate::pipeline::diagnostic::{Loc, Sink, show};
use crate::pipeline::model::{At, File, Matrix, PartialCell, Step};
use crate::pipeline::plan::out_variable;

pub(super) fn lint(file: &File, sink: &mut Sink<'_>) {
    for stage in &file.stages {
        let needs = stage.needs.iter().flatten();
        repeats(needs, "needs.twice", |n| format!("stage `{}` needs `{n}` twice", show(&stage.name.value)), sink);
        if let Some(m) = &stage.matrix {
            cells(m, sink);
        }
    }
    repeats(file.views.iter(), "views.twice", |v| format!("view `{v}` is named twice"), sink);
    for (_, step) in file.all_steps() {
        artifacts(step, sink);
    }
    outputs(file, sink);
}

/// Entries that name the same cell, in any order of their keys, and those that include one that the keys give already.
fn cells(m: &Matrix, sink: &mut Sink<'_>) {
    let of_keys: HashMap<&str, HashSet<&str>> =
        m.keys.iter().map(|(key, all)| (key.text.as_str(), all.iter().map(|a| a.value.as_str()).collect())).collect();
    // More is refused elsewhere.
    let few = m.exclude.len() <= 1_000;
    let known = |cell: &PartialCell| {
        few && !m.keys.is_empty()
            && of_keys.iter().all(|(key, all)| cell.iter().any(|(w, v)| w.text == *key && all.contains(v.value.as_str())))
            && !m.exclude.iter().any(|out| out.value.iter().all(|(k, v)| cell.iter().any(|(w, x)| w.text == k.text && x.value == v.value)))
    };
    for (what, code, list) in [("include", "matrix.include", &m.include), ("exclude", "matrix.exclude", &m.exclude)] {
        let mut seen: HashSet<Vec<(&str, &str)>> = HashSet::new();
        for cell in list.iter().filter(|c| !c.value.is_empty()) {
            let mut pairs: Vec<(&str, &str)> = cell.value.iter().map(|(w, v)| (w.text.as_str(), v.value.as_str())).collect();
            pairs.sort_unstable();
            if !seen.insert(pairs) {
                sink.warning(
                    cell.at,
                    code,
                    format!("the same cell stands twice below `{what}`"),
                    "take one out, or name the one that was meant",
                );
            } else if what == "include" && known(&cell.value) {
                let help = "take it out, or exclude it above: each combination of the keys is a cell already";
                sink.warning(cell.at, code, "this cell is there without being included", help);
            }
        }
    }
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
