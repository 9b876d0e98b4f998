//! Waiting for people: what is asked, whose answer counts, and how it ends: by quorum, refusal, expiry or cancel. Pure.
//!
//! A stage with `approve:` waits when its turn comes, without executor or lock. A whole run waits (`hold`) where its start needs a second
//! person. What is approved has a sha over plan and inputs; approvals of another sha are void.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::active::{ActiveRun, Around, CellState, StageState};
use super::now::Now;
use super::wait::{Given, Wait, hold_rules, sha};
use crate::domain::actor::Actor;
use crate::domain::audit::Record;
use crate::domain::decision::{Decision, Detail, Kind, NewDecision};
use crate::domain::person;
use crate::domain::run::{RunRef, RunState, Verdict};
use crate::pipeline::answers;
use crate::runner::config::RunnerError;
use crate::store::{DecisionEdit, Limit, Note, Op};

/// What a person wants.
#[derive(Debug, Clone)]
pub struct Vote {
    pub approve: bool,
    /// Needed where several stages wait.
    pub stage: Option<String>,
    /// The first characters of what they saw; none = whatever waits now.
    pub sha: Option<String>,
    pub answers: IndexMap<String, String>,
    /// It stands for all that are needed.
    pub single_person: bool,
    /// Its entry in the audit chain; the subject is filled in.
    pub record: Record,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voted {
    pub subject: String,
    pub given: u32,
    pub quorum: u32,
    /// The same person had said so already: nothing was written.
    pub again: bool,
    /// It waits no more.
    pub over: bool,
}

impl ActiveRun {
    /// Puts back what waited when the rows were written.
    pub(in crate::runner) fn restore_waits(&mut self, decisions: &[Decision]) {
        let name = self.run.to_string();
        for d in decisions.iter().filter(|d| d.kind == Kind::Request) {
            if d.subject == name {
                self.hold = Some(Box::new(Wait::of(d, None, hold_rules(), decisions)));
                continue;
            }
            let Some(stage) = d.subject.strip_prefix(&format!("{name}/")) else { continue };
            let found = self.plan.stages.iter().position(|s| s.name == stage);
            if let Some((i, rules)) = found.and_then(|i| Some((i, self.plan.stages[i].approve.clone()?)))
                && self.stages[i].state == StageState::Running
            {
                self.stages[i].wait = Some(Box::new(Wait::of(d, Some(stage.to_owned()), rules, decisions)));
            }
        }
        // Begun and not asked: nobody could ever answer.
        for (s, now) in self.plan.stages.iter().zip(&mut self.stages) {
            if s.approve.is_some() && now.state == StageState::Running && now.wait.is_none() {
                now.state = StageState::Pending;
            }
        }
    }

    /// A stage whose turn has come is to ask people.
    pub(in crate::runner) fn asks(&self, i: usize) -> bool {
        self.stages[i].state == StageState::Ready && self.plan.stages[i].approve.is_some()
    }

    /// The stage begins to wait.
    pub fn ask(&mut self, stage: u32, now: &Now, ops: &mut Vec<Op>) {
        let i = stage as usize;
        let plan = self.plan.clone();
        let Some(rules) = plan.stages.get(i).and_then(|s| s.approve.clone()).filter(|_| self.asks(i)) else { return };
        self.begin(now, ops);
        let name = plan.stages[i].name.clone();
        let subject = format!("{}/{name}", self.run);
        let (inputs, sha) = self.approved(&name);
        let detail = Detail { boot_id: now.boot_id.to_string(), boot_us: now.boot_us, inputs: inputs.clone(), ..Detail::default() };
        let since = Limit { us: now.us, boot_us: now.boot_us, boot_id: now.boot_id.to_string() };
        let asker = self.requested_by.clone();
        let wait =
            Wait { subject, stage: Some(name), sha, rules, asker: asker.clone(), since, plan: String::new(), inputs, given: Vec::new() };
        let decision = NewDecision {
            kind: Kind::Request,
            subject: wait.subject.clone(),
            sha: wait.sha.clone(),
            who: Some(asker),
            why: format!("{} of {}", wait.rules.quorum, wait.rules.roles.join(", ")),
            until_us: Some(wait.until_us()),
            detail,
        };
        let st = &mut self.stages[i];
        (st.state, st.started_us) = (StageState::Running, Some(now.us));
        ops.push(self.stage_op(i));
        ops.push(engine_note("request", &wait.subject, Some(DecisionEdit::Make(Box::new(decision))), now));
        self.stages[i].wait = Some(Box::new(wait));
    }

    /// What the stage asks people to agree with: the plan, the inputs that were read, and what the stages before gave.
    fn approved(&self, stage: &str) -> (BTreeMap<String, String>, String) {
        let written = |set: &String| self.plan.writes.contains(set);
        let read = self.readings_before.iter().filter(|(set, _)| !written(set));
        let inputs: BTreeMap<String, String> = read.map(|(s, r)| (s.clone(), r.fp.clone().unwrap_or_default())).collect();
        let plan = serde_json::to_string(&*self.plan).unwrap_or_default();
        let outputs: Vec<(&str, &str, &str)> = self
            .plan
            .stages
            .iter()
            .zip(&self.stages)
            .filter(|(_, now)| now.state == StageState::Done)
            .flat_map(|(s, now)| now.outputs.iter().map(|(n, v)| (s.name.as_str(), n.as_str(), v.as_str())))
            .collect();
        let sha = sha(&[&self.run.to_string(), stage, &self.round.to_string(), &plan], &inputs, &outputs);
        (inputs, sha)
    }

    /// Carries out what a person wants, or says why not.
    pub fn decide(&mut self, vote: &Vote, now: &Now, ops: &mut Vec<Op>) -> Result<Voted, RunnerError> {
        let refused = |run: &RunRef, why: String| RunnerError::Refused { run: run.clone(), why };
        let at = self.waiting(vote.stage.as_deref())?;
        let run = self.run.clone();
        let Some(wait) = self.wait_mut(at) else { return Err(refused(&run, "waits for no approval".into())) };
        if let Some(seen) = vote.sha.as_ref().filter(|s| !wait.sha.starts_with(s.as_str())) {
            return Err(refused(&run, format!("has moved: what waits is {}, not {seen}; look again at it", short(&wait.sha))));
        }
        let (subject, quorum, who) = (wait.subject.clone(), wait.rules.quorum, vote.record.who.clone());
        let voted = |given: usize, again, over| Voted { subject: subject.clone(), given: given as u32, quorum, again, over };
        if vote.approve && wait.given.iter().any(|g| g.who.uid == who.uid && g.who.login_uid == who.login_uid) {
            return Ok(voted(wait.given.len(), true, false));
        }
        let (mut answers, sha) = (IndexMap::new(), wait.sha.clone());
        if vote.approve {
            if !vote.single_person {
                let asker = wait.rules.not_requester.then_some(&wait.asker);
                person::counts(&who, asker, wait.given.iter().map(|g| &g.who))
                    .map_err(|e| refused(&run, format!("is not approved: {e}")))?;
            }
            answers = answers::resolve(&wait.rules.ask, &vote.answers, wait.given.first().map(|g| &g.answers))
                .map_err(|e| RunnerError::BadAnswer { message: format!("{subject}: {}", e.message), help: e.help })?;
            let single_person = vote.single_person;
            wait.given.push(Given { who: who.clone(), at_us: now.us, answers: answers.clone(), single_person });
        }
        let given = wait.given.len();
        let decision = NewDecision {
            kind: if vote.approve { Kind::Approve } else { Kind::Deny },
            subject: subject.clone(),
            sha,
            who: None,
            why: vote.record.reason.clone(),
            until_us: None,
            detail: Detail { answers: answers.clone().into_iter().collect(), single_person: vote.single_person, ..Detail::default() },
        };
        let record = Record { subject: subject.clone(), ..vote.record.clone() };
        ops.push(Op::Note(Box::new(Note { at_us: now.us, record, decision: Some(DecisionEdit::Make(Box::new(decision))) })));
        if !vote.approve {
            let why = if vote.record.reason.is_empty() { String::new() } else { format!(": {}", vote.record.reason) };
            self.turn_down(at, format!("denied by {}{why}", who.name), now, ops);
            return Ok(voted(given, false, true));
        }
        let over = vote.single_person || given >= quorum as usize;
        if over {
            self.agreed(at, answers, now, ops);
        }
        Ok(voted(given, false, over))
    }

    /// Where what a vote is about waits: none = the whole run.
    fn waiting(&self, stage: Option<&str>) -> Result<Option<usize>, RunnerError> {
        let refused = |why: String| Err(RunnerError::Refused { run: self.run.clone(), why });
        let waits: Vec<usize> = (0..self.stages.len()).filter(|i| self.stages[*i].wait.is_some()).collect();
        let name = |i: &usize| format!("`{}`", self.plan.stages[*i].name);
        match (stage, waits.as_slice()) {
            (None, _) if self.hold.is_some() => Ok(None),
            (None, [one]) => Ok(Some(*one)),
            (None, []) => refused(self.ended_approvals()),
            (None, many) => {
                let names: Vec<String> = many.iter().map(name).collect();
                refused(format!("waits at {}: say which by -p stage=NAME", names.join(" and ")))
            }
            (Some(s), many) => match many.iter().find(|i| self.plan.stages[**i].name == s) {
                Some(i) => Ok(Some(*i)),
                None => refused(format!("does not wait at stage `{s}`; {}", self.ended_approvals())),
            },
        }
    }

    fn ended_approvals(&self) -> String {
        let ended = self.plan.stages.iter().zip(&self.stages).rev().find(|(s, now)| s.approve.is_some() && now.state == StageState::Done);
        match ended {
            Some((s, now)) => {
                let how = now.verdict.map_or("", Verdict::as_str);
                let detail = if now.detail.is_empty() { String::new() } else { format!(": {}", now.detail) };
                format!("waits for no approval; its stage `{}` has ended: {how}{detail}", s.name)
            }
            None => "waits for no approval now".to_owned(),
        }
    }

    fn wait_mut(&mut self, at: Option<usize>) -> Option<&mut Wait> {
        match at {
            None => self.hold.as_deref_mut(),
            Some(i) => self.stages.get_mut(i)?.wait.as_deref_mut(),
        }
    }

    fn agreed(&mut self, at: Option<usize>, answers: IndexMap<String, String>, now: &Now, ops: &mut Vec<Op>) {
        let Some(i) = at else {
            if let Some(w) = self.hold.take() {
                ops.push(Op::Close { subject: w.subject, at_us: now.us });
            }
            return;
        };
        let names = self.stages[i].wait.as_ref().map(|w| w.names()).unwrap_or_default();
        for (name, value) in answers {
            ops.push(Op::Answer { run: self.id, stage: i as u32, name: name.clone(), value: value.clone() });
            self.stages[i].outputs.insert(name, value);
        }
        self.end_wait(i, Verdict::Success, format!("approved by {names}"), now, ops);
    }

    fn turn_down(&mut self, at: Option<usize>, why: String, now: &Now, ops: &mut Vec<Op>) {
        match at {
            Some(i) => self.end_wait(i, Verdict::Failure, why, now, ops),
            None => {
                if let Some(w) = self.hold.take() {
                    ops.push(Op::Close { subject: w.subject, at_us: now.us });
                }
                self.refused = Some(why);
            }
        }
    }

    pub(in crate::runner) fn end_wait(&mut self, i: usize, verdict: Verdict, detail: String, now: &Now, ops: &mut Vec<Op>) {
        let st = &mut self.stages[i];
        (st.state, st.verdict, st.detail, st.ended_us) = (StageState::Done, Some(verdict), detail, Some(now.us));
        if let Some(w) = st.wait.take() {
            ops.push(Op::Close { subject: w.subject, at_us: now.us });
        }
        ops.push(self.stage_op(i));
    }

    /// A cancel, or the end of the run's time, before people had decided about its start.
    pub(in crate::runner) fn drop_hold(&mut self, now: &Now, ops: &mut Vec<Op>) -> bool {
        let Some(w) = self.hold.take() else { return false };
        ops.push(Op::Close { subject: w.subject, at_us: now.us });
        true
    }

    /// Ends what has waited too long.
    pub(in crate::runner) fn expire(&mut self, now: &Now, ops: &mut Vec<Op>) {
        let late = |w: &Wait| w.left_us(now) <= 0;
        let stages: Vec<usize> = (0..self.stages.len()).filter(|i| self.stages[*i].wait.as_deref().is_some_and(late)).collect();
        let hold = self.hold.as_deref().is_some_and(late).then_some(None);
        for at in stages.into_iter().map(Some).chain(hold) {
            let Some((subject, why)) = self.wait_mut(at).map(|w| (w.subject.clone(), w.expired())) else { continue };
            ops.push(engine_note("expire", &subject, None, now));
            self.turn_down(at, why, now, ops);
        }
    }

    /// Microseconds until something expires.
    pub(in crate::runner) fn expires_us(&self, now: &Now) -> Option<i64> {
        self.hold.iter().chain(self.stages.iter().filter_map(|s| s.wait.as_ref())).map(|w| w.left_us(now)).min()
    }

    /// `waiting` while nothing but people moves the run on, `running` otherwise.
    pub(in crate::runner) fn rest(&mut self, now: &Now, ops: &mut Vec<Op>) {
        if !matches!(self.state, RunState::Running | RunState::Waiting) {
            return;
        }
        let busy = |c: &super::active::CellNow| !matches!(c.state, CellState::Done);
        let moves = |s: &super::active::StageNow| {
            matches!(s.state, StageState::Ready | StageState::Running) && s.wait.is_none() && s.cells.iter().any(busy)
        };
        let asks = (0..self.stages.len()).any(|i| self.asks(i));
        let reading = self.before == Around::Reading || self.after == Around::Reading;
        let waits = self.stages.iter().any(|s| s.wait.is_some()) && !reading && !asks && !self.stages.iter().any(moves);
        let wanted = if waits { RunState::Waiting } else { RunState::Running };
        if self.state != wanted {
            let was = std::mem::replace(&mut self.state, wanted);
            ops.push(self.run_op(was, None, None));
            ops.push(Op::Pause { run: self.id, on: waits, at_us: now.us });
        }
    }
}

/// The first characters, as people type them.
pub fn short(sha: &str) -> &str {
    sha.get(..12).unwrap_or(sha)
}

fn engine_note(action: &str, subject: &str, decision: Option<DecisionEdit>, now: &Now) -> Op {
    let record = Record {
        who: Actor::engine("engine"),
        action: action.to_owned(),
        subject: subject.to_owned(),
        reason: String::new(),
        result: "done".to_owned(),
        single_person: false,
    };
    Op::Note(Box::new(Note { at_us: now.us, record, decision }))
}
