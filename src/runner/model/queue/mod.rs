//! The one decision of the queue: what starts now, and the true reason for everything that does not. Pure.
//!
//! Runs come in order (priority, then age). An older waiter for a lock reserves it: a later one that would get in its way
//! waits behind it, so nobody starves. `why` prints what this function said, never a second opinion.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::reason::Reason;
use crate::domain::run::RunRef;
use crate::pipeline::plan::{Concurrency, Lock, LockMode};
use crate::store::{Drain, RunId};

/// Waiters that a reason names at most.
const MOST_AHEAD: usize = 5;

/// Everything outside the runs that the decision depends on.
pub struct Site<'a> {
    /// Attempts at once.
    pub executors: usize,
    /// The run of each attempt that holds an executor.
    pub busy: &'a [RunRef],
    pub drain: Option<&'a Drain>,
    /// Holds every start: the store cannot be written.
    pub fault: Option<&'a Reason>,
    /// Holds every start but those of post stages, which may be what frees the disk.
    pub low_disk: Option<&'a Reason>,
    /// Slots of the site's locks; one that is not listed has 1.
    pub slots: &'a BTreeMap<String, u32>,
    pub held: &'a [Held],
    /// Started runs of each concurrency group.
    pub groups: &'a BTreeMap<String, Vec<RunRef>>,
}

/// A lock as a stage holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub name: String,
    pub run_id: RunId,
    pub run: RunRef,
    pub stage: u32,
    pub stage_name: String,
    pub mode: LockMode,
    pub slots: u32,
    pub since_us: i64,
}

/// A run as the queue sees it.
pub struct RunView<'a> {
    pub id: RunId,
    pub run: &'a RunRef,
    /// It has begun: it counts in its group already, and a drain does not stop it.
    pub started: bool,
    /// A run that has begun waits for it, and goes on in a drain.
    pub waited_for: bool,
    pub group: Option<&'a Concurrency>,
    /// Stages that may start cells now, as far as the run alone can tell.
    pub stages: Vec<StageView<'a>>,
    /// Why its other parts wait or what they do; only filled when reasons are asked for.
    pub other: Vec<(u32, Reason)>,
}

pub struct StageView<'a> {
    pub stage: u32,
    pub name: &'a str,
    /// It holds its locks already.
    pub holds: bool,
    pub locks: &'a [Lock],
    pub post: bool,
    /// Cells that hold an executor now, or wait for their run.
    pub running: u32,
    pub max_parallel: Option<u32>,
    pub ready: &'a BTreeSet<u32>,
    /// Its turn has come to ask people; needs neither executor nor lock.
    pub asks: bool,
    /// Its cells are runs of other pipelines; they need no executor.
    pub builds: bool,
    /// The run's content must be read, under this stage's locks, before its first cell starts.
    pub reads_first: bool,
    /// Holds the whole stage: content is being read.
    pub gate: Option<Reason>,
}

/// One answer of the queue.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Claim this cell's next step. `takes` = the stage takes its locks with it.
    Start {
        run: RunId,
        stage: u32,
        cell: u32,
        takes: bool,
    },
    /// Take the stage's locks and read the run's content sets.
    Read {
        run: RunId,
        stage: u32,
    },
    /// Start the run that this cell is.
    Build {
        run: RunId,
        stage: u32,
        cell: u32,
    },
    /// The stage begins to wait for people.
    Ask {
        run: RunId,
        stage: u32,
    },
    Blocked {
        run: RunId,
        stage: Option<u32>,
        reason: Reason,
    },
}

/// Decides. With `explain` every part that does not start gets its reason; without, it stops when the executors are used up: from then on runs
/// are looked at (`view`) only where they may go on without one (`needs_none`), for thousands may wait.
pub fn decide<'a, R>(
    site: &Site<'_>,
    runs: impl IntoIterator<Item = R>,
    needs_none: impl Fn(&R) -> bool,
    view: impl Fn(R) -> RunView<'a>,
    explain: bool,
) -> Vec<Decision> {
    let mut pass =
        Pass { site, busy: site.busy.to_vec(), taken: Vec::new(), reserved: Vec::new(), started: BTreeMap::new(), out: Vec::new() };
    for run in runs {
        if explain || pass.busy.len() < site.executors || needs_none(&run) {
            pass.run(&view(run), explain);
        }
    }
    pass.out
}

struct Pass<'s> {
    site: &'s Site<'s>,
    busy: Vec<RunRef>,
    /// Locks taken in this pass.
    taken: Vec<Held>,
    /// Locks that older waiters of this pass want.
    reserved: Vec<Held>,
    /// Runs of each group begun in this pass.
    started: BTreeMap<String, Vec<RunRef>>,
    out: Vec<Decision>,
}

impl Pass<'_> {
    fn run(&mut self, run: &RunView<'_>, explain: bool) {
        if explain {
            for (stage, reason) in &run.other {
                self.out.push(Decision::Blocked { run: run.id, stage: Some(*stage), reason: reason.clone() });
            }
        }
        if let Some(reason) = self.holds_whole_run(run) {
            if explain {
                self.out.push(Decision::Blocked { run: run.id, stage: None, reason });
            }
            return;
        }
        let mut begun = run.started;
        for stage in &run.stages {
            let at = self.out.len();
            if let Some(reason) = self.stage(run, stage)
                && explain
            {
                self.out.push(Decision::Blocked { run: run.id, stage: Some(stage.stage), reason });
            }
            let starts = self.out[at..].iter().any(|d| !matches!(d, Decision::Blocked { .. }));
            if starts && !begun {
                begun = true;
                if let Some(group) = run.group {
                    self.started.entry(group.group.clone()).or_default().push(run.run.clone());
                }
            }
        }
    }

    fn holds_whole_run(&self, run: &RunView<'_>) -> Option<Reason> {
        if let Some(fault) = self.site.fault {
            return Some(fault.clone());
        }
        if run.started {
            return None;
        }
        if let Some(d) = self.site.drain.filter(|_| !run.waited_for) {
            return Some(Reason::Drained { by: d.by.clone(), why: d.why.clone(), since_us: d.since_us });
        }
        let group = run.group?;
        let of = |m: &BTreeMap<String, Vec<RunRef>>| m.get(&group.group).cloned().unwrap_or_default();
        let mut holders = of(self.site.groups);
        holders.extend(of(&self.started));
        // A limit of 0 would mean never; the pipeline room refuses it, and here it counts as 1.
        (holders.len() >= group.limit.max(1) as usize).then(|| Reason::Group { name: group.group.clone(), limit: group.limit, holders })
    }

    /// Starts what can start of a stage; the reason why the rest, or all of it, does not.
    fn stage(&mut self, run: &RunView<'_>, s: &StageView<'_>) -> Option<Reason> {
        if let Some(gate) = &s.gate {
            return Some(gate.clone());
        }
        if s.asks {
            self.out.push(Decision::Ask { run: run.id, stage: s.stage });
            return None;
        }
        s.ready.first()?;
        if !s.post
            && let Some(low) = self.site.low_disk
        {
            return Some(low.clone());
        }
        if !s.holds {
            let wanted = self.wanted(run, s);
            if let Some(reason) = wanted.iter().find_map(|w| self.too_small(w).or_else(|| self.lock_conflict(w))) {
                if !matches!(reason, Reason::LockTooSmall { .. }) {
                    self.reserved.extend(wanted);
                }
                return Some(reason);
            }
            if !s.builds && self.busy.len() >= self.site.executors {
                // Its turn came; later ones must not slip into its locks while it waits for an executor.
                self.reserved.extend(wanted);
                return Some(self.all_busy());
            }
            self.taken.extend(wanted);
        }
        if s.reads_first {
            self.out.push(Decision::Read { run: run.id, stage: s.stage });
            return None;
        }
        let mut takes = !s.holds;
        for (running, cell) in (s.running..).zip(s.ready) {
            if let Some(limit) = s.max_parallel.filter(|m| running >= (*m).max(1)) {
                return Some(Reason::MaxParallel { stage: s.name.to_owned(), limit });
            }
            if s.builds {
                self.out.push(Decision::Build { run: run.id, stage: s.stage, cell: *cell });
                continue;
            }
            if self.busy.len() >= self.site.executors {
                return Some(self.all_busy());
            }
            self.out.push(Decision::Start { run: run.id, stage: s.stage, cell: *cell, takes });
            takes = false;
            self.busy.push(run.run.clone());
        }
        None
    }

    fn all_busy(&self) -> Reason {
        let mut busy = self.busy.clone();
        busy.dedup();
        Reason::Executors { busy, limit: self.site.executors as u32 }
    }

    fn wanted(&self, run: &RunView<'_>, s: &StageView<'_>) -> Vec<Held> {
        s.locks
            .iter()
            .map(|l| Held {
                name: l.name.clone(),
                run_id: run.id,
                run: run.run.clone(),
                stage: s.stage,
                stage_name: s.name.to_owned(),
                mode: l.mode,
                slots: l.slots.max(1),
                since_us: 0,
            })
            .collect()
    }

    fn slots(&self, name: &str) -> u32 {
        self.site.slots.get(name).copied().unwrap_or(1).max(1)
    }

    fn too_small(&self, w: &Held) -> Option<Reason> {
        let slots = self.slots(&w.name);
        (w.mode == LockMode::Shared && w.slots > slots).then(|| Reason::LockTooSmall { name: w.name.clone(), wanted: w.slots, slots })
    }

    /// Other runs that wait for the same lock and came before. A few: thousands may wait, and this is asked for each of them.
    fn ahead_of(&self, w: &Held) -> Vec<RunRef> {
        let mut ahead: Vec<RunRef> = Vec::new();
        for h in self.reserved.iter().filter(|h| h.name == w.name && h.run_id != w.run_id) {
            if ahead.len() == MOST_AHEAD {
                break;
            }
            if !ahead.contains(&h.run) {
                ahead.push(h.run.clone());
            }
        }
        ahead
    }

    /// Holders first, for they are the stronger reason; then older waiters.
    fn lock_conflict(&self, w: &Held) -> Option<Reason> {
        let slots = self.slots(&w.name);
        let held: Vec<&Held> = self.site.held.iter().chain(&self.taken).filter(|h| h.name == w.name).collect();
        if let Some(h) = clash(w, &held, slots) {
            let wanted = match w.mode {
                LockMode::Exclusive => "exclusive".to_owned(),
                LockMode::Shared if slots > 1 => format!("{} of {slots} slots", w.slots),
                LockMode::Shared => "shared".to_owned(),
            };
            return Some(Reason::Lock {
                name: w.name.clone(),
                wanted,
                holder: h.run.clone(),
                holder_stage: h.stage_name.clone(),
                since_us: h.since_us,
                also: others(&held, h),
                ahead: self.ahead_of(w),
            });
        }
        let ahead: Vec<&Held> = self.reserved.iter().filter(|h| h.name == w.name).collect();
        let all: Vec<&Held> = held.iter().copied().chain(ahead.iter().copied()).collect();
        clash(w, &all, slots)?;
        ahead.first().map(|h| Reason::LockQueue { name: w.name.clone(), ahead: h.run.clone(), ahead_stage: h.stage_name.clone() })
    }
}

/// The runs that hold it beside `first`. A few, as of those that wait.
fn others(held: &[&Held], first: &Held) -> Vec<RunRef> {
    let mut also: Vec<RunRef> = Vec::new();
    for h in held {
        if also.len() < MOST_AHEAD && h.run != first.run && !also.contains(&h.run) {
            also.push(h.run.clone());
        }
    }
    also
}

/// The holder that keeps `w` out, if any. A lock of one slot takes any number of sharers; one of more slots counts them.
pub(super) fn clash<'h>(w: &Held, held: &[&'h Held], slots: u32) -> Option<&'h Held> {
    if w.mode == LockMode::Exclusive {
        return held.first().copied();
    }
    if let Some(h) = held.iter().find(|h| h.mode == LockMode::Exclusive) {
        return Some(h);
    }
    let used: u32 = held.iter().map(|h| h.slots).sum();
    if slots > 1 && used + w.slots > slots { held.first().copied() } else { None }
}
