//! The queue's rules, one by one, and the same rules over thousands of random worlds.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::pipeline::plan::OnConflict;

#[derive(Debug)]
struct W {
    executors: usize,
    busy: Vec<RunRef>,
    drain: Option<Drain>,
    fault: Option<Reason>,
    low: Option<Reason>,
    slots: BTreeMap<String, u32>,
    held: Vec<Held>,
    groups: BTreeMap<String, Vec<RunRef>>,
    runs: Vec<R>,
}

#[derive(Debug)]
struct R {
    id: RunId,
    run: RunRef,
    started: bool,
    waited_for: bool,
    group: Option<Concurrency>,
    stages: Vec<S>,
}

#[derive(Debug)]
struct S {
    locks: Vec<Lock>,
    holds: bool,
    post: bool,
    running: u32,
    max: Option<u32>,
    ready: BTreeSet<u32>,
    reads_first: bool,
    builds: bool,
}

impl Default for W {
    fn default() -> Self {
        Self {
            executors: 2,
            busy: vec![],
            drain: None,
            fault: None,
            low: None,
            slots: BTreeMap::new(),
            held: vec![],
            groups: BTreeMap::new(),
            runs: vec![],
        }
    }
}

fn one_stage(locks: Vec<Lock>, cells: u32) -> S {
    S { locks, holds: false, post: false, running: 0, max: None, ready: (0..cells).collect(), reads_first: false, builds: false }
}

fn queued(id: RunId, stages: Vec<S>) -> R {
    R { id, run: RunRef::new("p", id as u64), started: false, waited_for: false, group: None, stages }
}

fn lock(name: &str, mode: LockMode, slots: u32) -> Lock {
    Lock { name: name.into(), mode, slots }
}

fn held(name: &str, by: RunId, mode: LockMode, slots: u32) -> Held {
    Held { name: name.into(), run_id: by, run: RunRef::new("p", by as u64), stage: 0, stage_name: "s".into(), mode, slots, since_us: 5 }
}

impl W {
    fn decide(&self, explain: bool) -> Vec<Decision> {
        let site = Site {
            executors: self.executors,
            busy: &self.busy,
            drain: self.drain.as_ref(),
            fault: self.fault.as_ref(),
            low_disk: self.low.as_ref(),
            slots: &self.slots,
            held: &self.held,
            groups: &self.groups,
        };
        let views = self.runs.iter().map(|r| RunView {
            id: r.id,
            run: &r.run,
            started: r.started,
            waited_for: r.waited_for,
            group: r.group.as_ref(),
            stages: r
                .stages
                .iter()
                .enumerate()
                .map(|(i, s)| StageView {
                    stage: i as u32,
                    name: "s",
                    holds: s.holds,
                    locks: &s.locks,
                    post: s.post,
                    running: s.running,
                    max_parallel: s.max,
                    ready: &s.ready,
                    asks: false,
                    builds: s.builds,
                    reads_first: s.reads_first,
                    gate: None,
                })
                .collect(),
            other: vec![],
        });
        let needs_none = |run: &RunView<'_>| run.stages.iter().any(|s| s.asks || s.builds);
        super::decide(&site, views, needs_none, |run| run, explain)
    }

    fn starts(&self) -> Vec<(RunId, u32)> {
        self.decide(false)
            .into_iter()
            .filter_map(|d| match d {
                Decision::Start { run, cell, .. } => Some((run, cell)),
                _ => None,
            })
            .collect()
    }

    fn reason(&self, of: RunId) -> Reason {
        let found = self.decide(true).into_iter().find_map(|d| match d {
            Decision::Blocked { run, reason, .. } if run == of => Some(reason),
            _ => None,
        });
        found.unwrap()
    }
}

use LockMode::{Exclusive, Shared};

#[test]
fn runs_start_in_order_until_the_executors_are_used_up() {
    let w = W { runs: (1..=3).map(|i| queued(i, vec![one_stage(vec![], 1)])).collect(), ..W::default() };
    assert_eq!(w.starts(), [(1, 0), (2, 0)]);
    assert!(matches!(w.reason(3), Reason::Executors { limit: 2, busy } if busy.len() == 2));
}

#[test]
fn a_stage_starts_no_more_cells_than_it_says() {
    let mut w = W { executors: 9, runs: vec![queued(1, vec![one_stage(vec![], 5)])], ..W::default() };
    w.runs[0].stages[0].max = Some(2);
    assert_eq!(w.starts(), [(1, 0), (1, 1)]);
    assert!(matches!(w.reason(1), Reason::MaxParallel { limit: 2, .. }));
    w.runs[0].stages[0].running = 1;
    assert_eq!(w.starts(), [(1, 0)]);
}

#[test]
fn an_exclusive_lock_has_one_holder_who_is_named() {
    let mut w = W { runs: vec![queued(2, vec![one_stage(vec![lock("mirror", Exclusive, 1)], 1)])], ..W::default() };
    w.held = vec![held("mirror", 1, Exclusive, 1)];
    assert_eq!(w.starts(), []);
    assert!(matches!(w.reason(2), Reason::Lock { holder, since_us: 5, .. } if holder == RunRef::new("p", 1)));
    w.held[0].mode = Shared;
    assert_eq!(w.starts(), [], "a reader keeps a writer out");
    w.held.push(held("mirror", 3, Shared, 1));
    assert!(matches!(w.reason(2), Reason::Lock { also, .. } if also == [RunRef::new("p", 3)]), "all of them must let go");
    w.held.pop();
    w.held[0].name = "other".into();
    assert_eq!(w.starts(), [(2, 0)]);
}

#[test]
fn sharers_are_counted_only_where_the_lock_has_slots() {
    let read = || one_stage(vec![lock("l", Shared, 1)], 1);
    let mut w = W { executors: 9, runs: (1..=3).map(|i| queued(i, vec![read()])).collect(), ..W::default() };
    assert_eq!(w.starts().len(), 3, "a plain lock takes any number of readers");
    w.slots.insert("l".into(), 2);
    assert_eq!(w.starts(), [(1, 0), (2, 0)]);
    assert!(matches!(w.reason(3), Reason::Lock { wanted, .. } if wanted == "1 of 2 slots"));
    w.runs = vec![queued(1, vec![one_stage(vec![lock("l", Shared, 3)], 1)])];
    assert!(matches!(w.reason(1), Reason::LockTooSmall { wanted: 3, slots: 2, .. }), "never, and said so");
}

#[test]
fn locks_are_all_or_nothing_and_an_old_waiter_is_not_overtaken() {
    let both = one_stage(vec![lock("a", Exclusive, 1), lock("b", Exclusive, 1)], 1);
    let mut w =
        W { executors: 9, runs: vec![queued(2, vec![both]), queued(3, vec![one_stage(vec![lock("b", Shared, 1)], 1)])], ..W::default() };
    w.held = vec![held("a", 1, Exclusive, 1)];
    assert_eq!(w.starts(), [], "2 takes nothing while a is held, and 3 does not slip into b");
    assert!(matches!(w.reason(3), Reason::LockQueue { ahead, .. } if ahead == RunRef::new("p", 2)));
    w.held.clear();
    assert_eq!(w.starts(), [(2, 0)]);
}

#[test]
fn who_waits_for_a_held_lock_is_told_whose_turn_comes_before() {
    let wants = || one_stage(vec![lock("a", Exclusive, 1)], 1);
    let mut w = W { executors: 9, runs: (2..=4).map(|i| queued(i, vec![wants()])).collect(), ..W::default() };
    w.held = vec![held("a", 1, Exclusive, 1)];
    assert!(matches!(w.reason(2), Reason::Lock { holder, ahead, .. } if holder == RunRef::new("p", 1) && ahead.is_empty()));
    assert!(matches!(w.reason(4), Reason::Lock { ahead, .. } if ahead == [RunRef::new("p", 2), RunRef::new("p", 3)]));
}

#[test]
fn a_stage_that_holds_its_locks_goes_on() {
    let mut w = W { runs: vec![queued(1, vec![one_stage(vec![lock("a", Exclusive, 1)], 3)])], ..W::default() };
    w.runs[0].stages[0].holds = true;
    w.held = vec![held("a", 1, Exclusive, 1)];
    assert_eq!(w.starts(), [(1, 0), (1, 1)]);
    assert!(w.decide(false).iter().all(|d| matches!(d, Decision::Start { takes: false, .. })));
}

#[test]
fn a_group_admits_its_limit_and_names_who_fills_it() {
    let group = |limit| Some(Concurrency { group: "g".into(), limit, on_conflict: OnConflict::Queue });
    let mut w =
        W { executors: 9, runs: (1..=3).map(|i| R { group: group(2), ..queued(i, vec![one_stage(vec![], 1)]) }).collect(), ..W::default() };
    assert_eq!(w.starts(), [(1, 0), (2, 0)]);
    assert!(matches!(w.reason(3), Reason::Group { limit: 2, holders, .. } if holders.len() == 2));
    w.runs[0].started = true;
    w.groups.insert("g".into(), vec![RunRef::new("p", 1)]);
    assert_eq!(w.starts(), [(1, 0), (2, 0)], "one that began counts once");
}

#[test]
fn a_drain_stops_what_has_not_begun_and_only_that() {
    let mut w = W { runs: (1..=2).map(|i| queued(i, vec![one_stage(vec![], 1)])).collect(), ..W::default() };
    w.runs[0].started = true;
    w.drain = Some(Drain { by: "ann".into(), why: "upgrade".into(), since_us: 0 });
    assert_eq!(w.starts(), [(1, 0)]);
    assert!(matches!(w.reason(2), Reason::Drained { by, .. } if by == "ann"));
    w.runs[1].waited_for = true;
    assert_eq!(w.starts(), [(1, 0), (2, 0)], "a run that has begun waits for it");
}

#[test]
fn low_disk_holds_work_but_not_post_stages_and_a_fault_holds_everything() {
    let mut w = W { runs: vec![queued(1, vec![one_stage(vec![], 1), one_stage(vec![], 1)])], ..W::default() };
    w.runs[0].stages[1].post = true;
    w.low = Some(Reason::LowDisk { path: "/s".into(), free_bytes: 1, floor_bytes: 2, free_inodes: 1, floor_inodes: 1 });
    assert!(matches!(w.decide(false).as_slice(), [Decision::Start { stage: 1, .. }]));
    w.fault = Some(Reason::Store { why: "full".into() });
    assert_eq!(w.decide(false), []);
    assert!(matches!(w.reason(1), Reason::Store { .. }));
}

#[test]
fn content_is_read_before_the_first_cell_under_the_stage_s_locks() {
    let mut w = W { runs: (1..=2).map(|i| queued(i, vec![one_stage(vec![lock("content:s", Exclusive, 1)], 2)])).collect(), ..W::default() };
    w.runs[0].stages[0].reads_first = true;
    assert_eq!(w.decide(false), [Decision::Read { run: 1, stage: 0 }]);
    assert!(matches!(w.reason(2), Reason::Lock { holder, .. } if holder == RunRef::new("p", 1)));
}

// ---- random worlds ----

fn a_lock() -> impl Strategy<Value = Lock> {
    (0..3usize, any::<bool>(), 1..4u32).prop_map(|(n, x, slots)| lock(["a", "b", "c"][n], if x { Exclusive } else { Shared }, slots))
}

fn a_stage() -> impl Strategy<Value = S> {
    (proptest::collection::btree_map(0..3usize, a_lock(), 0..3), 1..5u32, proptest::option::of(1..3u32)).prop_map(|(locks, cells, max)| {
        let mut locks: Vec<Lock> = locks.into_values().collect();
        locks.sort_by(|a, b| a.name.cmp(&b.name));
        locks.dedup_by(|a, b| a.name == b.name);
        S { max, ..one_stage(locks, cells) }
    })
}

fn a_world() -> impl Strategy<Value = W> {
    let runs = proptest::collection::vec((proptest::collection::vec(a_stage(), 1..3), proptest::option::of(1..3u32)), 1..9);
    (1..5usize, runs, proptest::collection::btree_map("[ab]", 1..5u32, 0..2)).prop_map(|(executors, runs, slots)| W {
        executors,
        slots,
        runs: runs
            .into_iter()
            .enumerate()
            .map(|(i, (stages, limit))| R {
                group: limit.map(|limit| Concurrency { group: "g".into(), limit: limit.min(2), on_conflict: OnConflict::Queue }),
                ..queued(i as RunId + 1, stages)
            })
            .collect(),
        ..W::default()
    })
}

impl W {
    /// Carries the decisions out.
    fn apply(&mut self, decisions: &[Decision], running: &mut Vec<(RunId, u32, u32)>) {
        for d in decisions {
            let Decision::Start { run, stage, cell, takes } = d else { continue };
            let r = self.runs.iter_mut().find(|r| r.id == *run).unwrap();
            if !r.started {
                r.started = true;
                if r.group.is_some() {
                    self.groups.entry("g".into()).or_default().push(r.run.clone());
                }
            }
            let s = &mut r.stages[*stage as usize];
            if *takes {
                s.holds = true;
                for l in &s.locks {
                    self.held.push(Held { stage: *stage, ..held(&l.name, *run, l.mode, l.slots) });
                }
            }
            s.ready.remove(cell);
            s.running += 1;
            self.busy.push(r.run.clone());
            running.push((*run, *stage, *cell));
        }
    }

    fn end(&mut self, (run, stage, _): (RunId, u32, u32)) {
        let r = self.runs.iter_mut().find(|r| r.id == run).unwrap();
        let i = self.busy.iter().position(|b| *b == r.run).unwrap();
        self.busy.remove(i);
        let s = &mut r.stages[stage as usize];
        s.running -= 1;
        if s.running == 0 && s.ready.is_empty() {
            s.holds = false;
            self.held.retain(|h| h.run_id != run || h.stage != stage);
        }
        if r.stages.iter().all(|s| s.running == 0 && s.ready.is_empty())
            && let Some(g) = self.groups.get_mut("g")
        {
            g.retain(|x| *x != r.run);
        }
    }

    fn check(&self) {
        assert!(self.busy.len() <= self.executors);
        for name in ["a", "b", "c"] {
            let hs: Vec<&Held> = self.held.iter().filter(|h| h.name == name).collect();
            if hs.iter().any(|h| h.mode == Exclusive) {
                assert_eq!(hs.len(), 1, "an exclusive lock is held alone");
            }
            let slots = self.slots.get(name).copied().unwrap_or(1);
            if slots > 1 && hs.iter().all(|h| h.mode == Shared) {
                assert!(hs.iter().map(|h| h.slots).sum::<u32>() <= slots);
            }
        }
        for r in &self.runs {
            for s in &r.stages {
                assert!(s.max.is_none_or(|m| s.running <= m));
            }
        }
        let limit = self.runs.iter().filter_map(|r| r.group.as_ref()).map(|g| g.limit).max().unwrap_or(0) as usize;
        assert!(self.groups.get("g").is_none_or(|g| g.len() <= limit));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Limits hold at every moment, every part that does not start has a reason, and everything that can ever start does.
    #[test]
    fn i5_no_limit_is_passed_and_nobody_starves(mut w in a_world(), picks in proptest::collection::vec(any::<u32>(), 64)) {
        let mut running = Vec::new();
        let mut picks = picks.into_iter().cycle();
        for _ in 0..400 {
            // A start can end another's reservation (its group is full now), so the dispatcher asks until nothing more starts.
            loop {
                let decisions = w.decide(false);
                w.apply(&decisions, &mut running);
                w.check();
                if !decisions.iter().any(|d| matches!(d, Decision::Start { .. })) {
                    break;
                }
            }
            let told = w.decide(true);
            for r in &w.runs {
                let waits = r.stages.iter().any(|s| !s.ready.is_empty());
                let named = told.iter().any(|d| matches!(d, Decision::Blocked { run, .. } if *run == r.id));
                prop_assert!(!waits || named, "run {} waits without a reason: {told:?}", r.id);
            }
            prop_assert!(!told.iter().any(|d| matches!(d, Decision::Start { .. })), "the two uses of the function disagree: {told:?}");
            if running.is_empty() {
                break;
            }
            let i = picks.next().unwrap() as usize % running.len();
            let e = running.swap_remove(i);
            w.end(e);
        }
        for r in &w.runs {
            let never = r.stages.iter().any(|s| s.locks.iter().any(|l| l.mode == Shared && l.slots > w.slots.get(&l.name).copied().unwrap_or(1)));
            let left = r.stages.iter().any(|s| !s.ready.is_empty());
            prop_assert!(!left || never || r.group.is_some(), "run {} starved", r.id);
        }
    }
}

#[test]
fn a_run_of_another_pipeline_needs_no_executor_but_the_locks_of_its_stage() {
    let built = |locks| S { builds: true, max: Some(2), ..one_stage(locks, 3) };
    let mut w = W { busy: vec![RunRef::new("x", 1), RunRef::new("x", 2)], runs: vec![queued(1, vec![built(vec![])])], ..W::default() };
    let wanted = |w: &W| w.decide(false).into_iter().filter(|d| matches!(d, Decision::Build { .. })).count();
    assert_eq!(wanted(&w), 2, "as many as it may have, though every executor is busy");
    w.runs[0].stages[0].running = 2;
    assert_eq!(wanted(&w), 0, "those that are waited for count");
    assert!(matches!(w.reason(1), Reason::MaxParallel { .. }));
    w.runs = vec![queued(1, vec![built(vec![lock("m", LockMode::Exclusive, 1)])])];
    w.held = vec![held("m", 9, LockMode::Shared, 1)];
    assert_eq!(wanted(&w), 0);
    assert!(matches!(w.reason(1), Reason::Lock { holder, .. } if holder.number == 9));
}
