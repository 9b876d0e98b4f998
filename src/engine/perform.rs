//! Carrying out what the guard has let pass: each act goes to the runner or the store, with its audit entry in the same transaction.

use std::sync::Arc;

use super::entry::{ENGINE, record};
use super::guard::{Caller, Pass};
use super::scheduler::{self, Missed};
use super::state::Engine;
use super::{acks, approvals, cancel, frozen, plan, promotion, repo_acts, secret_acts};
use crate::action::Action;
use crate::api::ApiError;
use crate::api::types::{Do, Done};
use crate::domain::decision::Kind;
use crate::domain::rows::RunRow;
use crate::domain::run::RunRef;
use crate::pipeline::plan::Plan;
use crate::runner::Submit;
use crate::runner::model::wait;
use crate::store::{DecisionEdit, Note};

/// What is known of the target once the guard has let it pass.
pub enum Subject {
    Engine,
    Run(Box<RunRow>),
    /// A new run is to be made of this plan.
    Plan(Box<Plan>),
    /// Something waits for people, and this one may decide.
    Ballot(Box<approvals::Ballot>),
    /// The entry of the Secret Service.
    Secret(String),
    /// A promotion, or the OS of a new one.
    Promotion(Box<promotion::Wish>),
    /// A scheduled start that was missed is made up.
    Missed(Box<Missed>),
    /// A repository of the site.
    Repo(String),
    /// Who looks after something.
    Ack(acks::Wish),
}

/// One act that may be done: who does what, and how far the guard lets it go.
pub struct Act<'a> {
    pub engine: &'a Arc<Engine>,
    pub caller: &'a Caller,
    pub action: &'static Action,
    pub request: &'a Do,
    pub pass: Pass,
}

impl Act<'_> {
    pub async fn perform(&self, subject: Subject) -> Result<Done, ApiError> {
        let Self { engine, caller, action, request, .. } = *self;
        match subject {
            Subject::Ballot(ballot) => self.vote(*ballot).await,
            Subject::Plan(plan) => self.start(*plan).await,
            Subject::Missed(missed) => self.make_up(*missed).await,
            Subject::Run(row) => self.change(&row).await,
            Subject::Repo(name) => repo_acts::perform(engine, action, request, &name, self.note(&frozen::subject(&name), None)).await,
            Subject::Ack(wish) => acks::perform(engine, action, request, wish, self.note(&request.target, None)).await,
            Subject::Promotion(wish) => promotion::perform(engine, caller, action, request, *wish).await,
            Subject::Secret(entry) => self.keep_secret(entry).await,
            Subject::Engine => self.turn_engine().await,
        }
    }

    fn why(&self) -> &str {
        &self.request.reason
    }

    fn done(&self, run: Option<&RunRef>, message: String) -> Done {
        Done { run: run.map(ToString::to_string), message, single_person: self.pass.single_person }
    }

    /// The audit entry, and the decision that goes with it.
    fn note(&self, subject: &str, decision: Option<DecisionEdit>) -> Note {
        // What two people must want is written down, and waits for the second.
        let result = if self.pass.waits { "waits for a second person" } else { "done" };
        let record = record(self.caller, self.action, subject, self.why(), result.into(), self.pass.single_person);
        Note { at_us: self.engine.now_us(), record, decision }
    }

    fn take(&self, kind: Kind, subject: &str) -> Option<DecisionEdit> {
        Some(DecisionEdit::Take { kind, subject: subject.to_owned(), why: self.why().to_owned() })
    }

    fn take_back(&self, kind: Kind, subject: &str) -> Option<DecisionEdit> {
        Some(DecisionEdit::TakeBack { kind, subject: subject.to_owned() })
    }

    /// The request for a second person, where one is needed: what they agree to is this plan on this content. `run`: one that is there already.
    async fn hold(&self, run: Option<&RunRef>, plan: &Plan) -> Result<Option<DecisionEdit>, ApiError> {
        if !self.pass.waits {
            return Ok(None);
        }
        let json = serde_json::to_string(plan).map_err(|e| ApiError::failed(format!("the plan cannot be kept: {e}"), ""))?;
        let inputs = approvals::inputs(self.engine, plan).await?;
        let request = self.engine.runner.hold(run, &wait::sha_of(&json), inputs, self.why());
        Ok(Some(DecisionEdit::Make(Box::new(request))))
    }

    /// What a run does once it was asked for. The zone of the site is in a file: asked only where it is told.
    fn outlook(&self, does: &str) -> String {
        if self.pass.waits { format!("waits for a second person until {}", approvals::until(self.engine)) } else { does.to_owned() }
    }

    async fn vote(&self, ballot: approvals::Ballot) -> Result<Done, ApiError> {
        let approve = self.action.id == "approve";
        if approve {
            approvals::unmoved(self.engine, &ballot).await?;
        }
        let single_person = ballot.alone && approve;
        let record = record(self.caller, self.action, &ballot.wait.subject, self.why(), "done".into(), single_person);
        let vote = approvals::vote(self.request, &ballot, record);
        let voted = self.engine.runner.decide(&ballot.row.run, vote).await?;
        Ok(Done { run: Some(ballot.row.run.to_string()), message: approvals::told(&voted, approve), single_person })
    }

    /// Queues a new run.
    async fn start(&self, plan: Plan) -> Result<Done, ApiError> {
        let replay = self.action.id == "replay";
        let hold = self.hold(None, &plan).await?;
        let pipeline = plan.pipeline.clone();
        let submit = Submit {
            // The store puts the new run in the place of the pipeline.
            note: Some(self.note(&pipeline, hold)),
            plan,
            requested_by: self.caller.actor.clone(),
            reason: self.why().to_owned(),
            trigger: if replay { "replay" } else { "manual" }.to_owned(),
            cause: self.request.key.as_ref().map(|k| format!("client:{k}")),
            replay_of: if replay { self.request.target.parse().ok() } else { None },
        };
        let run = self.engine.runner.submit(submit).await?;
        if run.pipeline != pipeline {
            return Err(ApiError::bad(format!("the `key` of this request has started {run}"), "give each wish a key of its own"));
        }
        Ok(self.done(Some(&run), format!("{run} {}", self.outlook("is queued"))))
    }

    async fn make_up(&self, missed: Missed) -> Result<Done, ApiError> {
        let time = self.engine.told(missed.occurrence.scheduled_us);
        let hold = self.hold(None, &missed.plan).await?;
        let note = self.note(&missed.plan.pipeline, hold);
        let (who, key) = (&self.caller.actor, self.request.key.as_deref());
        let run = scheduler::start_missed(self.engine, missed, who, self.why(), key, note).await?;
        Ok(self.done(Some(&run), format!("{run} {}: it makes up the start of {time}", self.outlook("is queued"))))
    }

    /// Changes a run that is there.
    async fn change(&self, row: &RunRow) -> Result<Done, ApiError> {
        let (runner, who, why, run) = (&self.engine.runner, &self.caller.actor, self.why(), &row.run);
        let name = run.to_string();
        // The second request for the same run skips the grace of its steps.
        let force = row.cancel_by.is_some();
        // Only what starts work can need a second person.
        let hold = match self.pass.waits {
            true => self.hold(Some(run), &plan::frozen(self.engine, run)?).await?,
            false => None,
        };
        match self.action.id {
            "cancel" => runner.cancel(run, who, why, force, Some(self.note(&name, None))).await?,
            "force-finish" => runner.force_finish(run, who, why, self.note(&name, None)).await?,
            "resume" => drop(runner.resume(run, Some(self.note(&name, hold))).await?),
            "retry" => drop(runner.retry(run, Some(self.note(&name, hold))).await?),
            "pin" => runner.pin(run, who, why, true, Some(self.note(&name, self.take(Kind::Pin, &name)))).await?,
            _ => runner.pin(run, who, why, false, Some(self.note(&name, self.take_back(Kind::Pin, &name)))).await?,
        }
        let message = match self.action.id {
            "cancel" => format!("{run} {}", self.cancelled(run, force)),
            "force-finish" => format!("{run} is being ended as lost; its processes are killed first"),
            "pin" => format!("{run} is kept"),
            "unpin" => format!("{run} is given back to retention"),
            "resume" => format!("{run} {}", self.outlook("goes on")),
            _ => format!("{run} {}", self.outlook("runs its failed cells again")),
        };
        Ok(self.done(Some(run), message))
    }

    /// The cancel is done: what cannot be read now only makes its words fewer.
    fn cancelled(&self, run: &RunRef, force: bool) -> String {
        match (plan::frozen(self.engine, run), self.engine.store.stages(run)) {
            (Ok(plan), Ok(stages)) => cancel::words(&plan.stages, &stages, force),
            _ => "is being cancelled".to_owned(),
        }
    }

    async fn keep_secret(&self, entry: String) -> Result<Done, ApiError> {
        let name = self.request.target.as_str();
        let mut begun = self.note(name, None);
        begun.record.result = "begun".into();
        // Before the act: a service that takes the value and an engine that dies then must not leave nothing behind.
        self.engine.store.audit(begun).await?;
        let written = secret_acts::write(self.engine, self.request, entry).await;
        let mut ended = self.note(name, None);
        if let Err(e) = &written {
            ended.record.result = format!("failed: {}", e.message);
        }
        self.engine.store.audit(ended).await?;
        written.map(|()| self.done(None, format!("secret `{name}` is set: the next attempts get it")))
    }

    /// Drains the engine, lets it start again, or ends it.
    async fn turn_engine(&self) -> Result<Done, ApiError> {
        let runner = &self.engine.runner;
        let message = match self.action.id {
            "drain" => {
                let note = self.note(ENGINE, self.take(Kind::Drain, ENGINE));
                runner.drain(Some((&self.caller.actor, self.why())), Some(note)).await?;
                "drained: nothing new starts, what runs goes on to its end"
            }
            "undrain" => {
                runner.drain(None, Some(self.note(ENGINE, self.take_back(Kind::Drain, ENGINE)))).await?;
                "queued runs start again"
            }
            _ => {
                // No row of the store says that an engine is to end, so the entry comes first.
                self.engine.store.audit(self.note(ENGINE, None)).await?;
                self.engine.stop();
                "the engine ends; steps that run go on under their shims"
            }
        };
        Ok(self.done(None, message.to_owned()))
    }
}
