//! Where a run keeps its files, below the state directory: `runs/PIPELINE/NUMBER/` with `workspace/ attempts/ journal/ artifacts/`.

use std::path::{Path, PathBuf};

use crate::domain::run::{RunRef, StepKey};
use crate::pipeline::plan::{Plan, Stage};

/// The directory of a run.
pub fn run_dir(state_dir: &Path, run: &RunRef) -> PathBuf {
    state_dir.join("runs").join(&run.pipeline).join(run.number.to_string())
}

/// The directory of an attempt, relative to the state directory; the fence makes it unique for ever.
pub fn attempt(run: &RunRef, key: StepKey, fence: u64) -> String {
    format!("runs/{}/{}/attempts/{key}-{fence}", run.pipeline, run.number)
}

/// The journal of a step of a cell; it survives attempts.
pub fn journal(run_dir: &Path, key: StepKey) -> PathBuf {
    run_dir.join("journal").join(format!("{key}.jsonl"))
}

/// The workspace of a cell. All stages without a matrix share one, so that a checkout serves what follows; the cells of a matrix
/// run beside each other, so each has a directory of its own below it, and finds the shared one in `$QD_RUN_WORKSPACE`.
pub fn workspace(run_dir: &Path, plan: &Plan, key: StepKey) -> PathBuf {
    let shared = run_dir.join("workspace");
    match own(plan, key) {
        Some((stage, cell)) => shared.join(".cells").join(stage).join(cell),
        None => shared,
    }
}

/// What precedes the path of an artifact: nothing, or stage and cell of a matrix.
pub fn artifact_prefix(plan: &Plan, key: StepKey) -> String {
    own(plan, key).map_or_else(String::new, |(stage, cell)| format!("{stage}/{cell}/"))
}

fn own(plan: &Plan, key: StepKey) -> Option<(String, String)> {
    let stage = plan.stages.get(key.stage as usize)?;
    if !is_matrix(stage) {
        return None;
    }
    let cell = stage.cells.get(key.cell as usize)?;
    Some((format!("{}-{}", key.stage, slug(&stage.name)), format!("{}-{}", key.cell, slug(&cell.key))))
}

fn is_matrix(stage: &Stage) -> bool {
    stage.cells.len() > 1 || stage.cells.first().is_some_and(|c| !c.key.is_empty())
}

/// A name as one harmless path component, at most 48 bytes.
fn slug(name: &str) -> String {
    let text: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '=') { c } else { '-' }).take(48).collect();
    if text.starts_with('.') { format!("_{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_its_directory() {
        for (name, want) in
            [("../../etc", "_..-..-etc"), ("a/b", "a-b"), ("os=stream9,arch=x", "os=stream9-arch=x"), ("", ""), ("ü\n", "--")]
        {
            assert_eq!(slug(name), want);
        }
        assert_eq!(slug(&"x".repeat(500)).len(), 48);
        let key = StepKey { stage: 1, cell: 2, step: 3 };
        assert_eq!(attempt(&RunRef::new("p", 7), key, 9), "runs/p/7/attempts/1.2.3-9");
    }
}
