//! The order of stages: which of them each one waits for.

use std::collections::BTreeSet;

use super::model::File;

/// Indices of the stages that each stage needs: those it names, or the one above. Names that lead nowhere are left out.
pub fn needs(file: &File) -> Vec<Vec<usize>> {
    file.stages
        .iter()
        .enumerate()
        .map(|(i, stage)| match &stage.needs {
            Some(names) => {
                let mut found: Vec<usize> = names.iter().filter_map(|n| file.stage(&n.value).map(|(j, _)| j)).collect();
                found.sort_unstable();
                found.dedup();
                found
            }
            None => i.checked_sub(1).into_iter().collect(),
        })
        .collect()
}

/// Stages that have surely ended when `stage` starts: its needs and theirs.
pub fn ended_before(needs: &[Vec<usize>], stage: usize) -> BTreeSet<usize> {
    let mut ended = BTreeSet::new();
    let mut todo = needs.get(stage).cloned().unwrap_or_default();
    while let Some(i) = todo.pop() {
        if ended.insert(i) {
            todo.extend(needs.get(i).into_iter().flatten());
        }
    }
    ended
}
