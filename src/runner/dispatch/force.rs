//! The last resort: a person ends, as lost, a run whose attempts no cancel can end. Its processes are looked for and killed first; only then are
//! its locks given back. What an attempt says later is written down beside the verdict, and moves nothing.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::Dispatcher;
use crate::base::crash;
use crate::domain::actor::Actor;
use crate::domain::attempt::{EndedBy, Status};
use crate::domain::audit::Record;
use crate::domain::reason::Reason;
use crate::domain::rows::Change;
use crate::domain::run::{RunRef, RunState, StepKey, Verdict};
use crate::runner::attempt;
use crate::runner::attempt::ingest::{self, Job};
use crate::runner::attempt::live::{self, Live, Shared};
use crate::runner::attempt::recovery::Found;
use crate::runner::attempt::survivors::{self, Stopped};
use crate::runner::config::RunnerError;
use crate::runner::event::{Event, Forced};
use crate::runner::model::active::{ActiveRun, CellState};
use crate::runner::model::now::Now;
use crate::runner::shim::AFTER_KILL_US;
use crate::store::{ForceMark, LATE, Note, Op, RunId, Store, Unheard};

/// After the last rung of a cancel, for a supervisor to write the end down, and for us to take it in.
const SLACK_US: i64 = 10_000_000;

/// Where a cancelled attempt stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reach {
    /// No cancel can end it; why.
    Beyond(String),
    /// It may end by itself; why.
    Within(String),
}

/// Pure: `gone` says that its directory was taken away, `at_us` when it was cancelled, `grace_us` what its step was given.
fn reach(gone: bool, spared: bool, at_us: i64, grace_us: u64, now_us: i64) -> Reach {
    if gone {
        return Reach::Beyond("its directory was taken away, so its supervisor cannot be told".to_owned());
    }
    if spared {
        return Reach::Within("it must not be interrupted, and a cancel waits for its end".to_owned());
    }
    let grace_us = i64::try_from(grace_us).unwrap_or(i64::MAX);
    let until = at_us.saturating_add(grace_us).saturating_add(AFTER_KILL_US as i64).saturating_add(SLACK_US);
    // Rounded up: no time is said to be left when there is.
    match until.saturating_sub(now_us).saturating_add(999_999) / 1_000_000 {
        left if left > 0 => Reach::Within(format!("its processes have up to {left} s more to end")),
        _ => Reach::Beyond("its supervisor does not end it: it was told to, and the time for that is over".to_owned()),
    }
}

impl Dispatcher {
    /// None where the run was not cancelled, or the attempt is not of its work.
    fn reach_of(&self, run: &ActiveRun, fence: u64, stage: u32, cell: u32, now: &Now) -> Option<Reach> {
        let cancel = run.cancel.as_ref()?;
        let live = self.live.get(&fence)?;
        let begun = live.begun.load(std::sync::atomic::Ordering::SeqCst);
        let gone = begun && matches!(live.dir.try_exists(), Ok(false));
        let step = run.stages.get(stage as usize)?.cells.get(cell as usize)?.step;
        let grace_us = run.step(StepKey { stage, cell, step }).map_or(0, |s| s.grace.ms().saturating_mul(1_000));
        // Post stages run on after a cancel, under their own limit.
        let spared = run.plan.stages.get(stage as usize).is_some_and(|s| s.uninterruptible) || !run.is_work(stage);
        Some(reach(gone, spared, cancel.at_us, grace_us, now.us))
    }

    fn attempts_of(&self, id: RunId) -> Vec<(u64, u32, u32)> {
        let mut all: Vec<_> = self.open.iter().filter(|(_, (run, ..))| *run == id).map(|(f, (_, s, c))| (*f, *s, *c)).collect();
        all.sort_unstable();
        all
    }

    /// What is beyond a cancel, in words: for `why`.
    pub(super) fn beyond(&self, now: &Now) -> Vec<(RunId, Reason)> {
        let mut out = Vec::new();
        for run in self.runs.values().filter(|r| r.cancel.is_some()) {
            for (fence, stage, cell) in self.attempts_of(run.id) {
                if let Some(Reach::Beyond(why)) = self.reach_of(run, fence, stage, cell, now) {
                    let stage = run.plan.stages.get(stage as usize).map(|s| s.name.clone()).unwrap_or_default();
                    let reason = match &run.force {
                        Some(mark) => Reason::Forced { stage, by: mark.by.clone(), why: mark.why.clone() },
                        None => Reason::Beyond { run: run.run.clone(), stage, why },
                    };
                    out.push((run.id, reason));
                }
            }
        }
        out
    }

    /// Why the run is not for force, with what to do in its place.
    fn may_force(&self, name: &RunRef) -> Result<RunId, String> {
        let Some(run) = self.runs.values().find(|r| r.run == *name) else {
            return Err(match self.why_unreadable(name) {
                Some(_) => format!("has a plan that cannot be read: a cancel ends it: quarterdeck cancel '{name}'"),
                None => "has ended already".to_owned(),
            });
        };
        if run.force.is_some() {
            return Err("is being ended already".to_owned());
        }
        if run.cancel.is_none() {
            return Err(format!("was not cancelled: its steps may still end in order: quarterdeck cancel '{name}' first"));
        }
        let open = self.attempts_of(run.id);
        if open.is_empty() {
            let child = run.stages.iter().flat_map(|s| &s.cells).find(|c| c.state == CellState::Child).and_then(|c| c.child.clone());
            return Err(match child {
                Some(child) => format!("only waits for {child}: that is the run to end"),
                None => "runs nothing now: its cancel ends it".to_owned(),
            });
        }
        let now = self.now();
        for (fence, stage, cell) in open {
            let plan = run.plan.stages.get(stage as usize);
            let stage_name = plan.map(|s| s.name.as_str()).unwrap_or_default();
            match self.reach_of(run, fence, stage, cell, &now) {
                Some(Reach::Beyond(_)) => {}
                Some(Reach::Within(why)) => return Err(format!("can still end by itself: stage `{stage_name}`: {why}")),
                None => return Err(format!("can still end by itself: stage `{stage_name}` is being looked at")),
            }
        }
        Ok(run.id)
    }

    /// A person wants it. The mark and its entry are one transaction; only behind it is anything killed.
    pub(super) fn force(&mut self, name: &RunRef, mark: ForceMark, note: Note, answer: Forced) {
        let id = match self.may_force(name) {
            Ok(id) => id,
            Err(why) => return drop(answer.send(Err(RunnerError::Refused { run: name.clone(), why }))),
        };
        let Some(run) = self.run_mut(id) else { return };
        run.force = Some(mark.clone());
        let ops = vec![Op::Force { run: id, round: run.round, mark }, Op::Note(Box::new(note))];
        let (events, generation) = (self.shared.events.clone(), self.generation);
        let changes = vec![Change { table: "runs", id: name.to_string() }, Change { table: "queue", id: name.to_string() }];
        self.commit_then(
            ops,
            changes,
            Some(Box::new(move |written| {
                let marked = written.is_ok();
                let _ = answer.send(written.map_err(RunnerError::Store));
                if marked {
                    crash::point("runner.forced");
                    tokio::spawn(async move { drop(events.send(Event::ForceMarked { run: id, generation }).await) });
                }
            })),
        );
    }

    /// Looks for the processes of a run that is being ended so, and ends its attempts. Also after a restart: the mark is durable.
    pub(super) fn force_on(&mut self, id: RunId) {
        let state_dir = self.shared.cfg.state_dir.clone();
        for (fence, stage, cell) in self.attempts_of(id) {
            let Some(live) = self.live.get(&fence).cloned() else { continue };
            let Some(run) = self.run_mut(id) else { return };
            if run.force.is_none() {
                return;
            }
            let key = StepKey { stage, cell, step: run.stages[stage as usize].cells[cell as usize].step };
            let names: Vec<String> = run.step(key).map(|s| s.secrets.iter().map(|u| u.name.clone()).collect()).unwrap_or_default();
            let dir = crate::runner::paths::attempt(&run.run, key, fence);
            let job = Job::of(run, key, fence, &state_dir, &dir);
            self.tasks.spawn(end(self.shared.clone(), self.store.clone(), live, job, names));
        }
    }

    /// After a start: those whose mark is written and whose end is not, and those whose attempts have not said how they ended.
    pub(super) fn force_again(&mut self) {
        let marked: Vec<RunId> = self.runs.values().filter(|r| r.force.is_some() && r.state != RunState::Done).map(|r| r.id).collect();
        for id in marked {
            self.force_on(id);
        }
        match self.store.unheard() {
            Ok(all) => all.into_iter().for_each(|u| self.listen(u)),
            Err(e) => tracing::warn!(error = %e, "what forced runs left cannot be read"),
        }
    }

    /// Waits for what a lost attempt has still to say.
    pub(super) fn listen(&mut self, u: Unheard) {
        let (shared, store, changes) = (self.shared.clone(), self.store.clone(), self.changes.clone());
        self.tasks.spawn(async move {
            let dir = shared.cfg.state_dir.join(&u.dir);
            let Some(status) = said(&shared, &dir, u.fence).await else { return };
            let (at_us, json, how) = (shared.cfg.clock.now().as_microsecond(), late(&u, &status), how(&status));
            let record = Record {
                who: Actor::engine("engine"),
                action: "force-finish".into(),
                subject: u.run.to_string(),
                reason: String::new(),
                result: format!("step `{}` has ended since: {how}; the verdict stays", u.step),
                single_person: false,
            };
            match store.late_end(u.run_id, u.fence, json, Note { at_us, record, decision: None }).await {
                Ok(()) => drop(changes.send(Change { table: "runs", id: u.run.to_string() })),
                Err(e) => tracing::warn!(run = %u.run, error = %e, "how a forced run's step ended could not be written down"),
            }
        });
    }

    /// A forced run's attempt was ended: who listens for what it says later.
    pub(super) fn listen_to(&mut self, id: RunId, run: &RunRef, (stage, step): (String, String), fence: u64, dir: &Path) {
        let dir = dir.strip_prefix(&self.shared.cfg.state_dir).unwrap_or(dir).to_owned();
        self.listen(Unheard { fence, run_id: id, run: run.clone(), stage, step, dir });
    }
}

/// Kills, and tells the dispatcher that the attempt is lost. Where its end was written meanwhile, that came first and is the one that counts.
async fn end(shared: Arc<Shared>, store: Store, live: Live, job: Job, names: Vec<String>) {
    let fence = job.fence;
    let for_look = shared.clone();
    let made = tokio::task::spawn_blocking(move || {
        let known = store.known_attempt(fence).ok();
        let stopped = survivors::stop_all(&live.dir, known.as_ref());
        if let Ok(e) = attempt::observe(&live.dir, &*for_look.cfg.clock)
            && e.status.whole().is_some_and(|s| s.fence == fence)
        {
            return None;
        }
        let now_us = for_look.cfg.clock.now().as_microsecond();
        Some(ingest::lost(&job, &words(&stopped), &stopped.left, now_us, &*live::masker(&for_look, &names, None)))
    });
    if let Ok(Some(ended)) = made.await {
        let _ = shared.events.send(Event::Ended { fence, ended: Box::new(ended) }).await;
    }
}

/// What is known, and no more.
fn words(stopped: &Stopped) -> String {
    let killed = match stopped.killed {
        0 => "no process of it was found".to_owned(),
        1 => "a process of it was killed".to_owned(),
        n => format!("{n} processes of it were killed"),
    };
    let left = match stopped.left.as_slice() {
        [] => String::new(),
        all => {
            let names: Vec<String> = all.iter().take(3).map(|s| format!("{} ({})", s.process.pid, s.command)).collect();
            format!("; still there after KILL: {}{}", names.join(", "), if all.len() > 3 { " and more" } else { "" })
        }
    };
    format!("{killed}, and nobody knows how it ended{left}")
}

/// The status of an attempt once it is written; none where none can come any more.
async fn said(shared: &Arc<Shared>, dir: &Path, fence: u64) -> Option<Status> {
    loop {
        let (shared, at) = (shared.clone(), dir.to_owned());
        let seen = tokio::task::spawn_blocking(move || attempt::observe(&at, &*shared.cfg.clock)).await.ok()?.ok()?;
        match seen.status {
            Found::Whole(status) => return Some(status).filter(|s| s.fence == fence),
            _ if !seen.lock_held => return None,
            _ => attempt::watch(dir).await.ok()?,
        }
    }
}

fn how(s: &Status) -> String {
    let by = match s.ended_by {
        EndedBy::Itself => "by itself",
        EndedBy::Cancel => "by the cancel",
        EndedBy::Timeout | EndedBy::Stall | EndedBy::LogLimit => "by its limit",
        EndedBy::Setup => "before it began",
    };
    match (s.code, s.signal) {
        (Some(code), _) => format!("exit code {code}, {by}"),
        (None, Some(signal)) => format!("signal {signal}, {by}"),
        (None, None) => by.to_owned(),
    }
}

fn late(u: &Unheard, s: &Status) -> String {
    let ended = jiff::Timestamp::from_microsecond(s.wall_us_ended).map(|t| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    json!({
        "kind": LATE, "stage": u.stage, "step": u.step, "how": how(s), "exit_code": s.code, "signal": s.signal, "ended": ended.unwrap_or_default(),
    })
    .to_string()
}

/// The detail of an attempt that was ended so.
pub(super) fn detail(mark: &ForceMark, lost: &str) -> String {
    let why = if mark.why.is_empty() { String::new() } else { format!(": {}", mark.why) };
    format!("force-finished by {}{why}; {lost}", mark.by)
}

/// Whether an end is one that the force made.
pub(super) fn made(run: &ActiveRun, verdict: Option<Verdict>) -> Option<&ForceMark> {
    run.force.as_ref().filter(|_| verdict == Some(Verdict::Lost))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancel_has_its_whole_ladder_before_force_is_let_near() {
        let s = |n: i64| n * 1_000_000;
        let within = |left: i64| Reach::Within(format!("its processes have up to {left} s more to end"));
        assert_eq!(reach(false, false, s(100), 10_000_000, s(100)), within(25));
        assert_eq!(reach(false, false, s(100), 10_000_000, s(125) - 1), within(1));
        assert!(matches!(reach(false, false, s(100), 10_000_000, s(125)), Reach::Beyond(w) if w.contains("does not end it")));
        assert!(matches!(reach(false, false, s(100), u64::MAX, s(900)), Reach::Within(_)));
        assert!(matches!(reach(true, true, s(100), 10_000_000, s(100)), Reach::Beyond(w) if w.contains("taken away")));
        assert!(matches!(reach(false, true, s(100), 0, s(900)), Reach::Within(w) if w.contains("must not be interrupted")));
    }

    #[test]
    fn no_more_is_said_than_is_known() {
        let left = vec![crate::domain::attempt::Survivor {
            process: crate::domain::attempt::ProcessId { pid: 7, start_time: 1 },
            command: "sleep 9".into(),
        }];
        assert_eq!(words(&Stopped::default()), "no process of it was found, and nobody knows how it ended");
        assert_eq!(
            words(&Stopped { killed: 2, left }),
            "2 processes of it were killed, and nobody knows how it ended; still there after KILL: 7 (sleep 9)"
        );
    }
}
