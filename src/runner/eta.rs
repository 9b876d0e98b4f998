//! How long a run or stage takes, from the successful ones of the past: p50, p90 and p95. Pure but for reading the durations.

use serde::{Deserialize, Serialize};

use crate::domain::rows::{RunRow, StageRow};
use crate::store::{Store, StoreError};

/// Past runs that are looked at.
const SAMPLES: usize = 50;

/// From so many samples on the p95 is one of them that is not the longest.
const ENOUGH: u64 = 20;

/// Durations in milliseconds. Without samples there is no estimate: nothing is made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    pub p50_ms: u64,
    pub p90_ms: u64,
    /// Nineteen in twenty took no longer. With fewer than twenty samples nobody has seen that: the longest of them and the more beyond it the
    /// fewer they are, three times the only one.
    pub p95_ms: u64,
    pub samples: u32,
}

/// Where a running run stands against its past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eta {
    pub of: Estimate,
    pub elapsed_ms: u64,
    /// Until p50; zero once it took longer.
    pub remaining_ms: u64,
    /// 0 to 99; a run that has not ended is never at 100.
    pub percent: u8,
    /// It already took longer than nine in ten.
    pub late: bool,
    /// It already took longer than nineteen in twenty.
    pub slow: bool,
}

/// Nearest-rank percentiles.
pub fn estimate(mut durations_ms: Vec<u64>) -> Option<Estimate> {
    durations_ms.sort_unstable();
    let rank = |p: usize| durations_ms.get((durations_ms.len() * p).div_ceil(100).saturating_sub(1)).copied();
    let (n, longest) = (durations_ms.len() as u64, *durations_ms.last()?);
    let p95_ms = if n < ENOUGH { longest.saturating_add(longest.saturating_mul(2) / n) } else { rank(95)? };
    Some(Estimate { p50_ms: rank(50)?, p90_ms: rank(90)?, p95_ms, samples: n as u32 })
}

pub fn eta(of: Estimate, elapsed_ms: u64) -> Eta {
    let percent = (elapsed_ms.saturating_mul(100) / of.p50_ms.max(1)).min(99) as u8;
    let (late, slow) = (elapsed_ms > of.p90_ms, elapsed_ms > of.p95_ms);
    Eta { of, elapsed_ms, remaining_ms: of.p50_ms.saturating_sub(elapsed_ms), percent, late, slow }
}

/// The estimate of a pipeline's runs.
pub fn of_pipeline(store: &Store, pipeline: &str) -> Result<Option<Estimate>, StoreError> {
    Ok(estimate(store.run_durations(pipeline, SAMPLES)?))
}

/// The estimate of one stage.
pub fn of_stage(store: &Store, pipeline: &str, stage: &str) -> Result<Option<Estimate>, StoreError> {
    Ok(estimate(store.stage_durations(pipeline, stage, SAMPLES)?))
}

/// Where a run stands; none before it starts, after it ends, or without a past.
pub fn of_run(store: &Store, row: &RunRow, now_us: i64) -> Result<Option<Eta>, StoreError> {
    let (Some(began), None) = (row.round_us, row.ended_us) else { return Ok(None) };
    let Some(of) = of_pipeline(store, &row.pipeline)? else { return Ok(None) };
    let paused = store.paused_ms(&row.run, began, now_us)?;
    let elapsed = u64::try_from((now_us - began) / 1_000).unwrap_or(0).saturating_sub(paused);
    if row.round == 0 {
        return Ok(Some(eta(of, elapsed)));
    }
    let paused_before = store.paused_ms(&row.run, i64::MIN, now_us)?.saturating_sub(paused);
    let kept = kept_ms(&store.stages(&row.run)?, began).saturating_sub(paused_before);
    Ok(Some(eta(of, elapsed.saturating_add(kept))))
}

/// How long the stages took that a resume has kept, those side by side once: the good runs that it is compared with had to do them too.
fn kept_ms(stages: &[StageRow], began_us: i64) -> u64 {
    let mut spans: Vec<(i64, i64)> =
        stages.iter().filter_map(|s| Some((s.started_us?, s.ended_us?))).filter(|(_, ended)| *ended <= began_us).collect();
    spans.sort_unstable();
    let (mut sum, mut until) = (0, i64::MIN);
    for (from, to) in spans {
        sum += (to - from.max(until)).max(0);
        until = until.max(to);
    }
    u64::try_from(sum / 1_000).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::{RunRef, StepState};

    #[test]
    fn percentiles_are_values_that_were_seen() {
        assert_eq!(estimate(vec![]), None);
        assert_eq!(estimate(vec![7]), Some(Estimate { p50_ms: 7, p90_ms: 7, p95_ms: 21, samples: 1 }));
        assert_eq!(estimate((1..=10).rev().collect()), Some(Estimate { p50_ms: 5, p90_ms: 9, p95_ms: 12, samples: 10 }));
        assert_eq!(estimate((1..=20).rev().collect()), Some(Estimate { p50_ms: 10, p90_ms: 18, p95_ms: 19, samples: 20 }));
        assert_eq!(estimate(vec![u64::MAX; 3]).map(|e| e.p95_ms), Some(u64::MAX));
    }

    #[test]
    fn the_fewer_are_known_the_longer_it_takes_until_one_is_slow() {
        let of = |n: usize| estimate(vec![100; n]).unwrap().p95_ms;
        assert_eq!([1, 2, 5, 10, 19, 20, 50].map(of), [300, 200, 140, 120, 110, 100, 100]);
    }

    #[test]
    fn what_a_resume_kept_counts_once_however_many_stages_ran_side_by_side() {
        let stage = |from: i64, to: Option<i64>| StageRow {
            run: RunRef::new("p", 1),
            stage: 0,
            name: String::new(),
            state: StepState::Done,
            verdict: None,
            detail: String::new(),
            started_us: Some(from * 1_000),
            ended_us: to.map(|t| t * 1_000),
        };
        let stages =
            [stage(0, Some(10)), stage(5, Some(30)), stage(6, Some(7)), stage(40, Some(50)), stage(45, None), stage(900, Some(950))];
        assert_eq!(kept_ms(&stages, 900_000), 40, "what goes on and what came later is none of it");
        assert_eq!(kept_ms(&[], 900_000), 0);
    }

    #[test]
    fn a_run_that_goes_on_is_never_complete_and_says_when_it_is_late() {
        let e = Estimate { p50_ms: 100, p90_ms: 200, p95_ms: 300, samples: 9 };
        assert_eq!((eta(e, 50).percent, eta(e, 50).remaining_ms, eta(e, 50).late), (50, 50, false));
        assert_eq!((eta(e, 500).percent, eta(e, 500).remaining_ms, eta(e, 500).late), (99, 0, true));
        assert_eq!((eta(e, 250).slow, eta(e, 300).slow, eta(e, 301).slow), (false, false, true));
        assert_eq!(eta(Estimate { p50_ms: 0, ..e }, 0).percent, 0);
    }
}
