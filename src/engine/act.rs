//! Doing what was asked: through the guard, then the runner, then the audit chain. The only caller of anything that changes.

use std::sync::Arc;

use super::guard::{self, Ask, Caller, Pass};
use super::plan;
use super::routes::blocking;
use super::state::{Engine, from_store};
use crate::action::{self, Action, Target};
use crate::api::types::{Do, Done};
use crate::api::{ApiError, Code};
use crate::base::sanitise;
use crate::config::Site;
use crate::domain::audit::Record;
use crate::domain::decision::Kind;
use crate::domain::level::Level;
use crate::domain::rows::RunRow;
use crate::domain::run::{RunRef, RunState, Verdict};
use crate::pipeline::plan::Plan;
use crate::runner::{RunnerError, Submit};
use crate::store::DecisionEdit;

const MAX_REASON: usize = 1_000;
/// Subject of decisions about the engine as a whole.
const ENGINE: &str = "engine";

/// What is known of the target once the guard has let it pass.
enum Subject {
    Engine,
    Run(Box<RunRow>),
    /// A new run is to be made of this plan.
    Plan(Box<Plan>),
}

/// Carries out one request, or says why not. What was done, and what was refused, is in the audit chain.
pub async fn act(engine: &Arc<Engine>, caller: Caller, request: Do) -> Result<Done, ApiError> {
    let action = known(&request)?;
    let request = cleaned(request)?;
    let judged = {
        let (engine, caller, request) = (engine.clone(), caller.clone(), request.clone());
        blocking(move || Ok(judge(&engine, &caller, action, &request))).await?
    };
    let (pass, subject) = match judged {
        Ok(found) => found,
        Err(e) => {
            if e.code == Code::Refused {
                let record = record(&caller, action, &request.target, &request.reason, format!("refused: {}", e.message), false);
                note(engine, record, None).await?;
            }
            return Err(e);
        }
    };
    engine.configure().await?;
    tracing::info!(who = %caller.actor.name, uid = caller.actor.uid, action = action.id, target = %request.target, "asked");
    // On a task of its own: the server drops a request together with its connection, and a client that dies between the commit
    // and what follows it must not leave half of it undone.
    let engine = engine.clone();
    let work = tokio::spawn(async move { perform(&engine, &caller, action, &request, pass, subject).await });
    work.await.unwrap_or_else(|e| Err(ApiError::failed(format!("the request ended in the middle: {e}"), "look at the engine's log")))
}

fn known(request: &Do) -> Result<&'static Action, ApiError> {
    let Some(action) = action::find(&request.action) else {
        let help = match action::nearest(&request.action) {
            Some(near) => format!("did you mean `{near}`? `quarterdeck actions` lists them"),
            None => format!("there are: {}", action::ALL.iter().map(|a| a.id).collect::<Vec<_>>().join(" ")),
        };
        return Err(ApiError::bad(format!("no action `{}`", request.action), help));
    };
    if !action.parameters
        && let Some(name) = request.with.keys().find(|k| !action.args.iter().any(|a| a.name == k.as_str()))
    {
        return Err(ApiError::bad(format!("`{}` takes no argument `{name}`", action.id), action.usage));
    }
    match action.target {
        Target::Engine if !request.target.is_empty() => Err(ApiError::bad(format!("`{}` takes no target", action.id), action.usage)),
        Target::Run | Target::Pipeline if request.target.is_empty() => {
            Err(ApiError::bad(format!("`{}` needs a target", action.id), action.usage))
        }
        _ => Ok(action),
    }
}

/// Texts of people are kept for ever and shown to others.
fn cleaned(mut request: Do) -> Result<Do, ApiError> {
    request.reason = sanitise::cell(&request.reason);
    if request.reason.len() > MAX_REASON {
        return Err(ApiError::bad(format!("the reason is longer than {MAX_REASON} bytes"), "say it shorter"));
    }
    if request.key.as_ref().is_some_and(|k| k.is_empty() || k.len() > 100 || !k.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')) {
        return Err(ApiError::bad("`key` must be 1 to 100 letters, digits or -", ""));
    }
    Ok(request)
}

fn judge(engine: &Engine, caller: &Caller, action: &'static Action, request: &Do) -> Result<(Pass, Subject), ApiError> {
    let site = engine.site()?;
    let mut subject = Subject::Engine;
    let name = if request.target.is_empty() { ENGINE } else { request.target.as_str() };
    let ask = Ask { action, subject: name, reason: &request.reason, confirm: request.confirm.as_deref() };
    let pass = guard::decide(engine.ground(&site), caller, &ask, || {
        let (found, level) = why_not(engine, &site, caller, action, request)?;
        subject = found;
        Ok(level)
    })?;
    Ok((pass, subject))
}

/// The action's own objections, and its level for this target.
fn why_not(engine: &Engine, site: &Arc<Site>, caller: &Caller, action: &Action, request: &Do) -> Result<(Subject, Level), ApiError> {
    if engine.is_stopping() && action.id != "stop" {
        return Err(ApiError::no_engine("the engine is ending", "ask again: the next one takes it up"));
    }
    if action.target == Target::Engine {
        let drained = engine.store.drain().map_err(|e| from_store(&e))?;
        return match (action.id, drained) {
            ("undrain", None) => Err(ApiError::refused("the engine is not drained", "nothing to do")),
            ("drain", Some(d)) => {
                Err(ApiError::refused(format!("the engine is drained already, by {}", d.by), "quarterdeck engine drain --off ends it"))
            }
            _ => Ok((Subject::Engine, Level::L1)),
        };
    }
    if action.target == Target::Pipeline {
        let plan = plan::of_pipeline(engine, site, &request.target, &request.with)?;
        let level = plan.danger;
        return Ok((Subject::Plan(Box::new(plan)), level));
    }
    let run: RunRef = request.target.parse().map_err(|e: crate::domain::run::BadRunRef| ApiError::bad(e.to_string(), ""))?;
    let row = engine.store.run(&run).map_err(|e| from_store(&e))?;
    let ended = row.state == RunState::Done;
    match action.id {
        "cancel" if ended => {
            let how = row.verdict.map_or("ended", Verdict::as_str);
            Err(ApiError::refused(format!("{run} has ended already: {how}"), "there is nothing to cancel"))
        }
        "cancel" => {
            let own = engine.private || row.requested_by == caller.actor.name;
            Ok((Subject::Run(Box::new(row)), if own { Level::L1 } else { Level::L2 }))
        }
        "resume" | "retry" if !ended => {
            Err(ApiError::refused(format!("{run} has not ended: it is {}", row.state), "wait for it, or cancel it first"))
        }
        "resume" | "retry" if row.verdict == Some(Verdict::Success) => Err(ApiError::refused(
            format!("{run} succeeded: nothing is left to do"),
            format!("to run it again: quarterdeck replay '{run}'"),
        )),
        "resume" | "retry" => {
            let plan = plan::frozen(engine, &run)?;
            Ok((Subject::Run(Box::new(row)), plan.danger))
        }
        "replay" => {
            let plan = plan::of_replay(engine, site, &run, &request.with)?;
            let level = plan.danger;
            Ok((Subject::Plan(Box::new(plan)), level))
        }
        "pin" if row.pinned => Err(ApiError::refused(format!("{run} is pinned already"), "")),
        "unpin" if !row.pinned => Err(ApiError::refused(format!("{run} is not pinned"), "")),
        _ => Ok((Subject::Run(Box::new(row)), Level::L1)),
    }
}

async fn perform(
    engine: &Arc<Engine>,
    caller: &Caller,
    action: &'static Action,
    request: &Do,
    pass: Pass,
    subject: Subject,
) -> Result<Done, ApiError> {
    let single = pass.single_person;
    let done = |run: Option<&RunRef>, message: String| Done { run: run.map(ToString::to_string), message, single_person: single };
    let (answer, name, decision) = match subject {
        Subject::Plan(plan) => {
            let submit = Submit {
                plan: *plan,
                requested_by: caller.actor.clone(),
                reason: request.reason.clone(),
                trigger: if action.id == "replay" { "replay" } else { "manual" }.to_owned(),
                cause: request.key.as_ref().map(|k| format!("client:{k}")),
                replay_of: if action.id == "replay" { request.target.parse().ok() } else { None },
            };
            let run = engine.runner.submit(submit).await.map_err(|e| from_runner(&e))?;
            (done(Some(&run), format!("{run} is queued")), run.to_string(), None)
        }
        Subject::Run(row) => {
            let run = &row.run;
            let who = &caller.actor;
            let runner = &engine.runner;
            let (message, decision) = match action.id {
                "cancel" => {
                    // The second request for the same run skips the grace of its steps.
                    let force = row.cancel_by.is_some();
                    runner.cancel(run, who, &request.reason, force).await.map_err(|e| from_runner(&e))?;
                    (format!("{run} is being cancelled{}", if force { ", without grace" } else { "" }), None)
                }
                "resume" => {
                    runner.resume(run).await.map_err(|e| from_runner(&e))?;
                    (format!("{run} goes on"), None)
                }
                "retry" => {
                    runner.retry(run).await.map_err(|e| from_runner(&e))?;
                    (format!("{run} runs its failed cells again"), None)
                }
                "pin" => {
                    runner.pin(run, who, &request.reason, true).await.map_err(|e| from_runner(&e))?;
                    (
                        format!("{run} is kept"),
                        Some(DecisionEdit::Take { kind: Kind::Pin, subject: run.to_string(), why: request.reason.clone() }),
                    )
                }
                _ => {
                    runner.pin(run, who, &request.reason, false).await.map_err(|e| from_runner(&e))?;
                    (
                        format!("{run} is given back to retention"),
                        Some(DecisionEdit::TakeBack { kind: Kind::Pin, subject: run.to_string() }),
                    )
                }
            };
            (done(Some(run), message), run.to_string(), decision)
        }
        Subject::Engine => {
            let (message, decision) = match action.id {
                "drain" => {
                    engine.runner.drain(Some((&caller.actor, &request.reason))).await.map_err(|e| from_runner(&e))?;
                    (
                        "drained: nothing new starts, what runs goes on to its end".to_owned(),
                        Some(DecisionEdit::Take { kind: Kind::Drain, subject: ENGINE.into(), why: request.reason.clone() }),
                    )
                }
                "undrain" => {
                    engine.runner.drain(None).await.map_err(|e| from_runner(&e))?;
                    ("queued runs start again".to_owned(), Some(DecisionEdit::TakeBack { kind: Kind::Drain, subject: ENGINE.into() }))
                }
                _ => ("the engine ends; steps that run go on under their shims".to_owned(), None),
            };
            (done(None, message), ENGINE.to_owned(), decision)
        }
    };
    note(engine, record(caller, action, &name, &request.reason, "done".into(), single), decision).await?;
    if action.id == "stop" {
        engine.stop();
    }
    Ok(answer)
}

fn record(caller: &Caller, action: &Action, subject: &str, reason: &str, result: String, single_person: bool) -> Record {
    let subject: String = if subject.is_empty() { ENGINE.into() } else { sanitise::cell(subject).chars().take(200).collect() };
    Record { who: caller.actor.clone(), action: action.id.to_owned(), subject, reason: reason.to_owned(), result, single_person }
}

async fn note(engine: &Arc<Engine>, record: Record, decision: Option<DecisionEdit>) -> Result<(), ApiError> {
    engine.store.audit(engine.now_us(), record, decision).await.map(|_| ()).map_err(|e| from_store(&e))
}

/// The runner's own words.
pub fn from_runner(e: &RunnerError) -> ApiError {
    match e {
        RunnerError::Store(e) => from_store(e),
        RunnerError::BadPlan { .. } => ApiError::bad(e.to_string(), ""),
        RunnerError::Refused { .. } => ApiError::refused(e.to_string(), ""),
        RunnerError::Stopped => ApiError::no_engine(e.to_string(), ""),
    }
}
