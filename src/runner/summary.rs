//! The summary of a run, as `run --wait --json` prints it: from its rows.

use crate::domain::rows::{StageRow, StageSummary, StepRow, StepSummary, Summary, span_ms};
use crate::domain::run::RunRef;
use crate::store::{ChildRow, Store, StoreError};

/// Reads and folds the rows of a run.
pub fn read(store: &Store, run: &RunRef) -> Result<Summary, StoreError> {
    let row = store.run(run)?;
    let (stages, steps, children) = (store.stages(run)?, store.steps(run)?, store.children(run)?);
    Ok(Summary {
        run: row.run,
        state: row.state,
        verdict: row.verdict,
        detail: row.detail,
        started_us: row.started_us,
        ended_us: row.ended_us,
        round: row.round,
        round_us: row.round_us,
        stages: stages.iter().map(|s| stage(s, &steps, &children)).collect(),
    })
}

fn stage(s: &StageRow, steps: &[StepRow], children: &[ChildRow]) -> StageSummary {
    let own = steps.iter().filter(|t| t.key.stage == s.stage);
    StageSummary {
        name: s.name.clone(),
        state: s.state,
        verdict: s.verdict,
        detail: s.detail.clone(),
        started_us: s.started_us,
        duration_ms: span_ms(s.started_us, s.ended_us),
        steps: own
            .map(|t| StepSummary {
                name: if t.cell.is_empty() { t.name.clone() } else { format!("{} ({})", t.name, t.cell) },
                state: t.state,
                verdict: t.verdict,
                exit_code: t.exit_code,
                detail: t.detail.clone(),
                // That of the newest pass.
                child: children.iter().rev().find(|k| (k.stage, k.cell) == (t.key.stage, t.key.cell)).map(|k| k.run.clone()),
            })
            .collect(),
    }
}
