//! How the queue sees a run: what may start as far as the run alone can tell, and, for `why`, what its other parts wait for.

use super::active::{ActiveRun, Around, CellState, StageState};
use super::queue::{RunView, StageView};
use crate::domain::reason::Reason;
use crate::domain::run::{RunState, StepKey};
use crate::pipeline::plan::StageKind;

impl ActiveRun {
    pub fn view(&self, explain: bool) -> RunView<'_> {
        let reading = match (self.before, self.after) {
            (Around::Reading, _) => {
                let busy = self.busy.lock().ok().and_then(|b| b.clone());
                Some(busy.unwrap_or_else(|| Reason::Content { sets: self.sets(), after: false }))
            }
            _ => None,
        };
        let mut stages = Vec::new();
        for (i, (plan, now)) in self.plan.stages.iter().zip(&self.stages).enumerate() {
            let asks = self.asks(i);
            if self.hold.is_some() || !matches!(now.state, StageState::Ready | StageState::Running) || (now.ready.is_empty() && !asks) {
                continue;
            }
            // Of a thousand cells that are commands, none is looked at.
            let children = if now.builds { now.cells.iter().filter(|c| c.state == CellState::Child).count() as u32 } else { 0 };
            let touches = matches!(plan.kind, StageKind::Work) && !(plan.reads.is_empty() && plan.writes.is_empty());
            stages.push(StageView {
                stage: i as u32,
                name: &plan.name,
                holds: now.locked || now.state == StageState::Running,
                locks: &plan.locks,
                post: !matches!(plan.kind, StageKind::Work),
                builds: now.builds,
                running: now.running + children,
                max_parallel: plan.max_parallel,
                ready: &now.ready,
                asks,
                reads_first: touches && self.before == Around::Wanted,
                gate: if touches { reading.clone() } else { None },
            });
        }
        RunView {
            id: self.id,
            run: &self.run,
            started: self.state != RunState::Queued,
            waited_for: self.parent.as_ref().is_some_and(|p| p.wait),
            group: self.plan.concurrency.as_ref(),
            stages,
            other: if explain { self.other() } else { Vec::new() },
        }
    }

    fn other(&self) -> Vec<(u32, Reason)> {
        let mut out = Vec::new();
        if let Some(w) = &self.hold {
            return vec![(0, w.reason())];
        }
        for (i, (plan, now)) in self.plan.stages.iter().zip(&self.stages).enumerate() {
            let n = i as u32;
            if let Some(w) = &now.wait {
                out.push((n, w.reason()));
                continue;
            }
            match now.state {
                StageState::Done => {}
                StageState::Pending => {
                    let name = |j: u32| self.plan.stages.get(j as usize).map(|s| s.name.clone()).unwrap_or_default();
                    let open = |j: &u32| self.stages.get(*j as usize).is_some_and(|s| s.state != StageState::Done);
                    let reason = match plan.kind {
                        StageKind::Work => {
                            let need = plan.needs.iter().find(|j| open(j)).or_else(|| plan.needs.last());
                            need.map(|j| Reason::NeedsStage { stage: name(*j) })
                        }
                        StageKind::Post { of: Some(of), .. } => Some(Reason::AfterStage { stage: name(of) }),
                        StageKind::Post { of: None, .. } => {
                            let last = (0..n).rev().find(open).or_else(|| n.checked_sub(1));
                            last.map(|j| Reason::AfterStage { stage: name(j) })
                        }
                    };
                    out.extend(reason.map(|r| (n, r)));
                }
                StageState::Ready | StageState::Running => self.cells(n, &mut out),
            }
        }
        if self.after == Around::Reading {
            out.push((self.stages.len().saturating_sub(1) as u32, Reason::Content { sets: self.sets(), after: true }));
        }
        out
    }

    fn cells(&self, stage: u32, out: &mut Vec<(u32, Reason)>) {
        let (plan, now) = (&self.plan.stages[stage as usize], &self.stages[stage as usize]);
        let mut told = 0;
        for (i, c) in now.cells.iter().enumerate() {
            let step = || self.step(StepKey { stage, cell: i as u32, step: c.step }).map(|s| s.name.clone()).unwrap_or_default();
            let reason = match c.state {
                CellState::Done | CellState::Ready => continue,
                CellState::Child => Reason::Child {
                    stage: plan.name.clone(),
                    run: c.child.clone(),
                    since_us: c.since_us.unwrap_or(self.created_us),
                    ending: self.cancel.is_some() || c.asked > 0,
                },
                CellState::Preparing => c.hold.clone().unwrap_or_else(|| Reason::Starting { stage: plan.name.clone() }),
                CellState::Waiting(until_us) => c.hold.clone().unwrap_or_else(|| Reason::Retry {
                    step: step(),
                    attempt: c.attempts + 1,
                    of: plan.retry.as_ref().map_or(1, |r| r.attempts),
                    until_us,
                }),
                CellState::Active => match &self.cancel {
                    Some(c) if matches!(plan.kind, StageKind::Work) && !plan.uninterruptible => Reason::Cancelling { by: c.by.clone() },
                    Some(_) => Reason::Uninterruptible { stage: plan.name.clone(), post: !matches!(plan.kind, StageKind::Work) },
                    None => Reason::Running { stage: plan.name.clone(), step: step(), since_us: c.since_us.unwrap_or(self.created_us) },
                },
            };
            out.push((stage, reason));
            told += 1;
            // A matrix of a thousand cells needs no thousand reasons.
            if told == 20 {
                return;
            }
        }
    }
}
