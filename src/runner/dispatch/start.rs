//! The dispatcher's starts: the queue's decision carried out. Secrets first, then one transaction, then the attempt.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Dispatcher, PERMIT_AGAIN_US};
use crate::domain::actor::Actor;
use crate::domain::audit::Record;
use crate::domain::reason::Reason;
use crate::domain::rows::Change;
use crate::domain::run::{RunRef, RunState, StepKey};
use crate::pipeline::plan::{Action, OnConflict};
use crate::runner::attempt::ingest::Job;
use crate::runner::attempt::live::{self, Claimed, Live};
use crate::runner::event::{Event, Unready};
use crate::runner::model::active::{ActiveRun, CellState, Secrets};
use crate::runner::model::effect::Effect;
use crate::runner::model::moves::Ticket;
use crate::runner::model::now::Now;
use crate::runner::model::queue::{self, Decision, Site};
use crate::runner::model::silent::NoSecret;
use crate::runner::model::spec;
use crate::runner::paths;
use crate::secret::Kind;
use crate::store::{CancelMark, Note, RunId};

/// Values of secrets that wait longer for their step are looked up again.
const SECRETS_KEPT_US: i64 = 60_000_000;
/// Leave is asked for anew where the step did not start within this.
const PERMIT_KEPT_US: i64 = 2_000_000;

/// Trees that a step is about to keep as they are: nobody may be writing them.
fn snapshots(action: &Action) -> Vec<String> {
    match action {
        Action::Native { kind, with } if kind == "mirror/snapshot" => {
            let of = |v: &serde_json::Value| v.as_str().map(|t| t.split_once('=').map_or(t, |(_, at)| at).to_owned());
            match with.get("tree") {
                Some(serde_json::Value::Array(items)) => items.iter().filter_map(of).collect(),
                Some(one) => of(one).into_iter().collect(),
                None => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

impl Dispatcher {
    /// Starts what can start.
    pub(super) fn pump(&mut self) {
        if self.fault.is_some() || self.runs.is_empty() {
            return;
        }
        let low = self.shared.cfg.low_disk(&self.store);
        self.disk_holds = low.is_some();
        let now = self.now();
        // A start can fill a group and so end the reservations of a run that waits for it: ask until nothing more starts.
        while self.start_once(low.as_ref(), &now) {}
    }

    /// One pass of the queue; whether anything started.
    fn start_once(&mut self, low: Option<&Reason>, now: &Now) -> bool {
        let mut started = false;
        for decision in self.decide(low, false) {
            match decision {
                Decision::Start { run, stage, cell, .. } => {
                    started = true;
                    self.prepare(run, stage, cell, now);
                }
                Decision::Read { run, stage } => {
                    let mut ops = Vec::new();
                    if let Some(r) = self.run_mut(run) {
                        started = true;
                        r.begin_reading(stage, now, &mut ops);
                        self.settle(run, ops, vec![Effect::ReadContent { after: false }]);
                    }
                }
                Decision::Ask { run, stage } => {
                    let mut ops = Vec::new();
                    if let Some(r) = self.run_mut(run) {
                        started = true;
                        r.ask(stage, now, &mut ops);
                        self.settle(run, ops, Vec::new());
                    }
                }
                Decision::Build { run, stage, cell } => {
                    started = true;
                    self.want_child(run, stage, cell, now);
                }
                Decision::Blocked { .. } => {}
            }
        }
        started
    }

    pub(super) fn decide(&self, low_disk: Option<&Reason>, explain: bool) -> Vec<Decision> {
        let mut groups: BTreeMap<String, Vec<RunRef>> = BTreeMap::new();
        let mut busy = Vec::new();
        for r in self.runs.values() {
            // A run that is still queued may hold an executor while its secrets are looked up.
            let holds: u32 = r.stages.iter().map(|s| s.running).sum();
            busy.extend(std::iter::repeat_n(r.run.clone(), holds as usize));
            if r.state != RunState::Queued
                && let Some(g) = &r.plan.concurrency
            {
                groups.entry(g.group.clone()).or_default().push(r.run.clone());
            }
        }
        let cfg = &self.shared.cfg;
        let site = Site {
            executors: cfg.executors.max(1),
            busy: &busy,
            drain: self.drain.as_ref(),
            fault: self.fault.as_ref(),
            low_disk,
            slots: &cfg.lock_slots,
            held: &self.held,
            groups: &groups,
        };
        let needs_none = |r: &&ActiveRun| (0..r.stages.len()).any(|i| r.asks(i) || r.stages[i].builds);
        queue::decide(&site, self.runs.values(), needs_none, |r| r.view(explain), explain)
    }

    /// Looks up the step's secrets, if it has any, who writes what it would keep, and whether it may start, before anything is claimed.
    pub(super) fn prepare(&mut self, id: RunId, stage: u32, cell: u32, now: &Now) {
        let generation = self.generation;
        let Some(run) = self.run_mut(id) else { return };
        let key = StepKey { stage, cell, step: run.stages[stage as usize].cells[cell as usize].step };
        if run.step(key).is_some_and(|s| matches!(s.action, crate::pipeline::plan::Action::Pin { .. })) {
            return self.pin_step(id, stage, cell, now);
        }
        if self.stands_still(id, key, now) {
            return;
        }
        let Some(run) = self.run_mut(id) else { return };
        let names: Vec<String> = run.step(key).map(|s| s.secrets.iter().map(|u| u.name.clone()).collect()).unwrap_or_default();
        let trees = run.step(key).map(|s| snapshots(&s.action)).unwrap_or_default();
        let (name, at_stage) = (run.run.clone(), run.plan.stages[stage as usize].name.clone());
        let at_hand = run.stages[stage as usize].cells[cell as usize].secrets.take();
        let asked = self.shared.cfg.permit.concerns(&name.pipeline, &at_stage);
        let kept_us = if asked { PERMIT_KEPT_US } else { SECRETS_KEPT_US };
        let at_hand = at_hand.filter(|(at, _)| (0..kept_us).contains(&(now.us - at)));
        if (names.is_empty() && trees.is_empty() && !asked) || at_hand.is_some() {
            return self.claim(id, stage, cell, at_hand.map(|(_, s)| s).unwrap_or_default(), now);
        }
        let held = self.silent.held(&names, now.us);
        let Some(run) = self.run_mut(id) else { return };
        run.stages[stage as usize].put(cell, CellState::Preparing);
        if let Some((reason, until_us)) = held {
            return run.hold(stage, cell, reason, until_us);
        }
        let permit = asked.then(|| self.shared.cfg.permit.clone());
        let until_us = now.us + PERMIT_AGAIN_US;
        let (source, events) = (self.shared.cfg.secrets.clone(), self.shared.events.clone());
        let content = self.shared.cfg.content.clone();
        self.tasks.spawn(async move {
            if !trees.is_empty()
                && let Some(reason) = content.busy(&[], &trees).await
            {
                let _ =
                    events.send(Event::Prepared { run: id, stage, cell, generation, result: Err(Box::new(Unready::Else(reason))) }).await;
                return;
            }
            let looked = tokio::task::spawn_blocking(move || {
                if let Some(Err(why)) = permit.map(|p| p.may_start(&name, &at_stage)) {
                    return Err(Box::new(Unready::Else(Reason::Withheld { stage: at_stage, why, until_us })));
                }
                names
                    .into_iter()
                    .map(|n| match source.resolve(&n) {
                        Ok(v) => Ok((n, v)),
                        Err(e) => Err(no_secret(n, e.to_string(), e.kind() == Kind::Silent)),
                    })
                    .collect::<Result<Secrets, Box<Unready>>>()
            });
            let result = looked.await.unwrap_or_else(|e| Err(no_secret(String::new(), format!("the look-up ended early: {e}"), false)));
            let _ = events.send(Event::Prepared { run: id, stage, cell, generation, result }).await;
        });
    }

    /// One transaction says that the attempt exists; only then does anything of it.
    pub(super) fn claim(&mut self, id: RunId, stage: u32, cell: u32, secrets: Secrets, now: &Now) {
        let state_dir = self.shared.cfg.state_dir.clone();
        let fence = self.fence + 1;
        let shared = self.shared.clone();
        let epoch = self.store.epoch();
        let Some(run) = self.run_mut(id) else { return };
        let key = StepKey { stage, cell, step: run.stages[stage as usize].cells[cell as usize].step };
        let uuid = uuid::Uuid::now_v7().simple().to_string();
        let token = uuid::Uuid::now_v7().simple().to_string();
        let dir = paths::attempt(&run.run, key, fence);
        let number = run.stages[stage as usize].cells[cell as usize].attempts + 1;
        // The stage's clock starts with its first claim, so the row moves before the deadline is computed from it.
        let mut ops = Vec::new();
        let ticket = Ticket { fence, id: &uuid, token: &token, dir: &dir };
        let identity = spec::Identity { ticket, epoch, number, key, clock_shift_us: shared.cfg.clock.shift_us() };
        if run.limit.is_none() {
            run.begin(now, &mut ops);
        }
        let spec = match spec::build(run, &identity, &state_dir, &shared.cfg.env, now) {
            Ok(spec) => spec,
            Err(why) => {
                run.refuse(stage, cell, &why, now, &mut ops);
                return self.settle(id, ops, Vec::new());
            }
        };
        if run.claim((stage, cell), &ticket, now, &mut ops).is_none() {
            return;
        }
        let job = Job::of(run, key, fence, &state_dir, &dir);
        let changes = vec![Change { table: "runs", id: run.run.to_string() }];
        self.fence = fence;
        self.open.insert(fence, (id, stage, cell));
        let live = Live { dir: state_dir.join(&dir), cancelled: Arc::default(), begun: Arc::default() };
        self.live.insert(fence, live.clone());
        self.follow_locks(id, &ops);
        let written = self.store.apply_heard(self.generation, ops);
        let spec = Arc::new(spec);
        let claimed = Claimed { live: live.clone(), spec: spec.clone(), job: job.clone(), written, store: self.store.clone() };
        let (generation, tell) = (self.generation, self.changes.clone());
        self.tasks.spawn(async move {
            match live::begin(&shared, claimed).await {
                Ok(begun) => {
                    for c in changes {
                        let _ = tell.send(c);
                    }
                    live::run(shared, live, spec, job, secrets, begun).await;
                }
                Err(error) => drop(shared.events.send(Event::StoreFailed { generation, error }).await),
            }
        });
    }

    /// Cancels what `cancel-older` says.
    pub(super) fn supersede(&mut self) {
        let mut groups: BTreeMap<&str, Vec<&ActiveRun>> = BTreeMap::new();
        // A start that waits for its second person has not come yet.
        for r in self.runs.values().filter(|r| r.hold.is_none()) {
            if let Some(g) = r.plan.concurrency.as_ref().filter(|g| g.on_conflict == OnConflict::CancelOlder) {
                groups.entry(&g.group).or_default().push(r);
            }
        }
        let mut old = Vec::new();
        for mut runs in groups.into_values() {
            runs.sort_by_key(|r| Reverse(r.id));
            let limit = runs.first().and_then(|r| r.plan.concurrency.as_ref()).map_or(1, |g| g.limit.max(1));
            let newest = runs.first().map(|r| r.run.to_string()).unwrap_or_default();
            old.extend(runs.iter().skip(limit as usize).filter(|r| r.cancel.is_none()).map(|r| (r.run.clone(), newest.clone())));
        }
        let at_us = self.now().us;
        for (run, newest) in old {
            let (store, events) = (self.store.clone(), self.shared.events.clone());
            self.tasks.spawn(async move {
                let mark = CancelMark {
                    by: "engine".into(),
                    why: format!("{newest} is newer, and the group says cancel-older"),
                    at_us,
                    force: false,
                };
                // Before its event arrives the next pump asks again: it is marked, and told of, once.
                let record = Record {
                    who: Actor::engine("engine"),
                    action: "cancel".into(),
                    subject: run.to_string(),
                    reason: mark.why.clone(),
                    result: "done".into(),
                    single_person: false,
                };
                let note = Note { at_us, record, decision: None };
                if let Ok(true) = store.mark_cancel_once(&run, mark.clone(), note).await {
                    let _ = events.send(Event::Cancel { run, mark }).await;
                }
            });
        }
    }
}

fn no_secret(name: String, why: String, silent: bool) -> Box<Unready> {
    Box::new(Unready::Secret(NoSecret { name, why, silent }))
}
