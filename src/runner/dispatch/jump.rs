//! A wall clock that was set: instants that wait in memory move along, so that a delay stays as long as it was meant.
//!
//! Deadlines need nothing of this: they stand on boot time. A delay is kept as a wall instant because the store must hold it over a reboot.

use super::Dispatcher;
use crate::domain::reason::Reason;
use crate::runner::model::active::{ActiveRun, CellState};
use crate::runner::model::moves::delay_ms;

/// Less than this is the clock being slewed, or the two clocks being read one after the other.
const NOTICED_US: i64 = 500_000;

impl Dispatcher {
    /// Looks whether wall and boot time have moved apart since the last look. Called before anything is decided.
    pub(super) fn follow_clock(&mut self) {
        let now = self.now();
        let offset = now.us.saturating_sub(i64::try_from(now.boot_us).unwrap_or(i64::MAX));
        let Some(before) = self.wall_offset_us else { return self.wall_offset_us = Some(offset) };
        let by_us = offset.saturating_sub(before);
        if by_us.abs() < NOTICED_US {
            return;
        }
        self.wall_offset_us = Some(offset);
        tracing::warn!(by_ms = by_us / 1_000, "the wall clock was set; what waits is moved along");
        self.runs.values_mut().for_each(|r| r.move_waits(by_us));
    }
}

impl ActiveRun {
    fn move_waits(&mut self, by_us: i64) {
        for stage in &mut self.stages {
            let waiting: Vec<(i64, u32)> = stage.waiting.iter().copied().collect();
            for (until, cell) in waiting {
                stage.put(cell, CellState::Waiting(until.saturating_add(by_us)));
            }
            for cell in &mut stage.cells {
                // 0 = it names no time.
                if let Some(Reason::Spawn { until_us, .. } | Reason::Secret { until_us, .. }) = &mut cell.hold
                    && *until_us != 0
                {
                    *until_us = until_us.saturating_add(by_us);
                }
                if let Some((at_us, _)) = &mut cell.secrets {
                    *at_us = at_us.saturating_add(by_us);
                }
            }
        }
    }

    /// After a start nobody knows how the clock stood before: no retry waits longer than its delay from now.
    pub(super) fn cap_waits(&mut self, now_us: i64) {
        for (stage, plan) in self.stages.iter_mut().zip(&self.plan.stages) {
            let Some(retry) = &plan.retry else { continue };
            let waiting: Vec<(i64, u32)> = stage.waiting.iter().copied().collect();
            for (until, cell) in waiting {
                let attempts = stage.cells.get(cell as usize).map_or(1, |c| c.attempts);
                let longest = i64::try_from(delay_ms(retry, attempts)).unwrap_or(i64::MAX).saturating_mul(1_000);
                stage.put(cell, CellState::Waiting(until.min(now_us.saturating_add(longest))));
            }
        }
    }
}
