//! The graph of stages: names, needs, cycles, stages that never run, steps that lost their indent.

use std::collections::BTreeSet;

use crate::base::{sanitise, suggest};
use crate::pipeline::catalog::Catalog;
use crate::pipeline::diagnostic::{Sink, show};
use crate::pipeline::expr::{self, Kind, Value};
use crate::pipeline::matrix;
use crate::pipeline::model::{File, Stage};
use crate::pipeline::order::{ended_before, needs};

/// Stages of one file; beyond it nobody can read the run's page.
const MAX_STAGES: usize = 500;

/// False where the file is so large that nothing more should be asked of it.
pub(super) fn lint(file: &File, catalog: &Catalog, sink: &mut Sink<'_>) -> bool {
    if file.stages.len() > MAX_STAGES {
        sink.error(
            file.stages[MAX_STAGES].name.at,
            "stage.many",
            format!("the pipeline has {} stages, the limit is {MAX_STAGES}", file.stages.len()),
            "use `matrix:` for what repeats, or split the pipeline",
        );
        return false;
    }
    names(file, sink);
    let needs = needs(file);
    let cyclic = cycles(file, &needs, sink);
    for (i, stage) in file.stages.iter().enumerate() {
        for need in stage.needs.iter().flatten() {
            match file.stage(&need.value) {
                None => {
                    let known = file.stages.iter().map(|s| s.name.value.as_str()).filter(|n| *n != stage.name.value);
                    let help = suggest::nearest(&need.value, known)
                        .map_or_else(|| "name a stage of this file".to_owned(), |n| format!("did you mean `{n}`?"));
                    sink.error(need.at, "ref.stage", format!("there is no stage `{}`", show(&need.value)), help);
                }
                Some((j, other)) if j > i && !cyclic.contains(&i) => sink.error_with(
                    need.at,
                    "needs.order",
                    format!("stage `{}` needs `{}`, which stands below it", show(&stage.name.value), show(&need.value)),
                    format!("move `{}` above it", show(&need.value)),
                    (other.name.at, "below"),
                ),
                Some(_) => {}
            }
        }
        matrices(stage, sink);
    }
    let total: usize = file.stages.iter().filter_map(|s| s.matrix.as_ref()).filter_map(|m| matrix::expand(m).ok()).map(|c| c.len()).sum();
    if total > matrix::MAX_CELLS {
        sink.error(
            file.name.at,
            "matrix.size",
            format!("the matrices have {total} cells in all, the limit is {} a run", matrix::MAX_CELLS),
            "split the pipeline",
        );
    }
    unreachable(file, &needs, sink);
    lost_indent(file, catalog, sink);
    true
}

fn names(file: &File, sink: &mut Sink<'_>) {
    for (i, stage) in file.stages.iter().enumerate() {
        if let Some(first) = file.stages[..i].iter().find(|s| s.name.value == stage.name.value) {
            sink.error_with(
                stage.name.at,
                "stage.name",
                format!("two stages are named `{}`", show(&stage.name.value)),
                "give each a name of its own: history and resume hang on it",
                (first.name.at, "first here"),
            );
        }
        if stage.name.value.contains('/') || stage.name.value.starts_with("Post Actions") {
            sink.error(
                stage.name.at,
                "stage.name",
                format!("`{}` cannot be the name of a stage", show(&stage.name.value)),
                "leave out `/`, which separates stage and step, and `Post Actions`, which is the post section",
            );
        }
        // A blank of another kind looks like one, and no command line finds the name.
        let unseen = |name: &str| name.chars().any(|c| sanitise::unseen(c) || (c.is_whitespace() && c != ' '));
        if unseen(&stage.name.value) {
            sink.error(stage.name.at, "stage.name", "the name of a stage holds a character that nobody can see or type", "leave it out");
        } else if stage.name.value.trim() != stage.name.value {
            let help = format!("write `{}`: nobody sees that commands need it", show(stage.name.value.trim()));
            sink.warning(stage.name.at, "stage.name", "the name of a stage begins or ends with a blank", help);
        }
        for step in &stage.steps {
            if !stage.short && unseen(&step.name.value) {
                sink.error(step.name.at, "step.name", "the name of a step holds a character that nobody can see or type", "leave it out");
            }
            if !stage.short && step.name.value.contains('/') {
                sink.error(
                    step.name.at,
                    "step.name",
                    format!("`{}` cannot be the name of a step", show(&step.name.value)),
                    "leave out `/`: it separates stage and step",
                );
            }
        }
    }
}

/// Reports each cycle once; gives the stages in one.
fn cycles(file: &File, needs: &[Vec<usize>], sink: &mut Sink<'_>) -> BTreeSet<usize> {
    let mut cyclic = BTreeSet::new();
    let before: Vec<BTreeSet<usize>> = (0..needs.len()).map(|i| ended_before(needs, i)).collect();
    for start in 0..file.stages.len() {
        if cyclic.contains(&start) || !before[start].contains(&start) {
            continue;
        }
        // Walk to a need that still leads back here, until it closes.
        let mut path = vec![start];
        loop {
            let last = path[path.len() - 1];
            let leads_back = |j: &usize| *j == start || before[*j].contains(&start);
            let next = needs[last].iter().copied().filter(leads_back).find(|j| *j == start || !path.contains(j));
            match next {
                Some(j) if j != start => path.push(j),
                _ => break,
            }
        }
        cyclic.extend(path.iter().copied());
        let names: Vec<String> = path.iter().chain([&start]).map(|i| format!("`{}`", show(&file.stages[*i].name.value))).collect();
        let implied = path.iter().any(|i| file.stages[*i].needs.is_none());
        let at = file.stages[start].needs.as_ref().and_then(|n| n.first()).map_or(file.stages[start].name.at, |n| n.at);
        sink.error(
            at,
            "needs.cycle",
            format!("these stages wait for each other: {}", names.join(" needs ")),
            if implied { "remove one of the needs; a stage without `needs:` needs the one above it" } else { "remove one of the needs" },
        );
    }
    cyclic
}

fn matrices(stage: &Stage, sink: &mut Sink<'_>) {
    let Some(m) = &stage.matrix else { return };
    let names = matrix::key_names(m);
    if names.is_empty() {
        sink.error(m.at, "matrix.empty", "the matrix has no keys", "add one: `arch: [x86_64, aarch64]`");
        return;
    }
    for (word, values) in &m.keys {
        if values.is_empty() {
            sink.error(word.at, "matrix.empty", format!("matrix key `{}` has no values", word.text), "add one, or remove the key");
        }
        for (i, v) in values.iter().enumerate() {
            if values[..i].iter().any(|u| u.value == v.value) {
                sink.error(v.at, "matrix.value", format!("value `{}` stands twice", show(&v.value)), "keep one");
            }
            if v.value.trim().is_empty() || v.value.chars().count() > 200 || v.value.chars().any(sanitise::unseen) {
                sink.error(
                    v.at,
                    "matrix.value",
                    "a matrix value must have 1 to 200 characters on one line, all of which are seen",
                    "it becomes part of the cell's name",
                );
            }
        }
    }
    for (what, cells) in [("include", &m.include), ("exclude", &m.exclude)] {
        for cell in cells {
            for (word, value) in &cell.value {
                if !names.contains(&word.text.as_str()) {
                    let near = suggest::nearest(&word.text, names.iter().copied());
                    let help = near.map_or_else(|| format!("its keys are {}", names.join(", ")), |n| format!("did you mean `{n}`?"));
                    sink.error(word.at, "ref.matrix", format!("the matrix has no key `{}`", show(&word.text)), help);
                } else if what == "exclude"
                    && !m.keys.iter().any(|(w, vs)| w.text == word.text && vs.iter().any(|v| v.value == value.value))
                {
                    let known = matrix::values(m, &word.text);
                    let near = suggest::nearest(&value.value, known.iter().map(String::as_str));
                    let help = near.map_or_else(|| format!("its values are {}", known.join(", ")), |n| format!("did you mean `{n}`?"));
                    sink.error(
                        value.at,
                        "ref.matrix",
                        format!("`{}` has no value `{}`, so this excludes nothing", word.text, show(&value.value)),
                        help,
                    );
                }
            }
            if what == "exclude" && cell.value.is_empty() {
                sink.error(cell.at, "ref.matrix", "an empty entry excludes nothing", "name keys and values, or take it out");
            }
            let missing: Vec<&str> = names.iter().copied().filter(|n| !cell.value.iter().any(|(w, _)| w.text == *n)).collect();
            if what == "include" && !missing.is_empty() {
                sink.error(
                    cell.at,
                    "matrix.include",
                    format!("the included cell has no value for {}", missing.join(", ")),
                    "give every key a value",
                );
            }
        }
    }
    if let Err(e) = matrix::expand(m)
        && m.keys.iter().all(|(_, vs)| !vs.is_empty())
    {
        let code = if e == matrix::MatrixError::Empty { "matrix.empty" } else { "matrix.size" };
        sink.error(m.at, code, e.to_string(), "change keys, exclude or include");
    }
}

/// Stages whose condition is false whatever happens, and those behind them.
fn unreachable(file: &File, needs: &[Vec<usize>], sink: &mut Sink<'_>) {
    struct Nothing;
    impl expr::Values for Nothing {
        fn value(&self, _: &expr::Path) -> expr::Lookup {
            expr::Lookup::Later
        }
    }
    let mut dead: BTreeSet<usize> = BTreeSet::new();
    for (i, stage) in file.stages.iter().enumerate() {
        let when = stage.when.as_ref().and_then(|n| Some((n, expr::parse(n.text()?).ok()?)));
        if let Some((node, e)) = &when
            && let Ok(reduced) = expr::reduce(e, &Nothing)
            && reduced.kind == Kind::Value(Value::Bool(false))
        {
            dead.insert(i);
            sink.error(
                node.at,
                "stage.unreachable",
                format!("stage `{}` never runs: its condition is always false", show(&stage.name.value)),
                "change `when:`, or remove the stage",
            );
            continue;
        }
        let own_status = when.as_ref().is_some_and(|(_, e)| e.names_status());
        if let Some(j) = needs[i].iter().find(|j| dead.contains(j)).filter(|_| !own_status) {
            dead.insert(i);
            sink.error(
                stage.name.at,
                "stage.unreachable",
                format!(
                    "stage `{}` never runs: it needs `{}`, which never runs",
                    show(&stage.name.value),
                    show(&file.stages[*j].name.value)
                ),
                "change its `needs:`, or write `when: always`",
            );
        }
    }
}

/// A stage of the short form right behind one with `steps:`, with nothing that only a stage can have: probably a step at the wrong depth.
fn lost_indent(file: &File, catalog: &Catalog, sink: &mut Sink<'_>) {
    let known = catalog.history.get(&file.name.value);
    for pair in file.stages.windows(2) {
        let [above, stage] = pair else { continue };
        let has_history = known.is_some_and(|names| names.contains(&stage.name.value));
        if above.short || !stage.short || !stage.step_like || has_history {
            continue;
        }
        let deeper = above.steps.first().map_or(0, |s| s.at.column.saturating_sub(stage.name.at.column - "name: ".len() as u32));
        sink.warning(
            stage.name.at,
            "stage.lost-indent",
            format!("`{}` looks like a step of `{}` that lost its indent", show(&stage.name.value), show(&above.name.value)),
            format!("a step: indent it by {} more; a stage: say so with `needs: [{}]`", deeper.max(2), show(&above.name.value)),
        );
    }
}
