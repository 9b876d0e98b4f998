//! What was asked, taken through the guard; what that lets pass is carried out by `perform`, and what it refuses is recorded. There is no
//! other way to a change.

use std::sync::Arc;

use super::blocking::blocking;
use super::entry::{ENGINE, told};
use super::guard::{self, Ask, Caller, Pass};
use super::lease::Connection;
use super::perform::{Act, Subject};
use super::scheduler::{self, Missed};
use super::state::Engine;
use super::{acks, approvals, plan, preview, promotion, repo_acts, secret_acts};
use crate::action::{self, Action, Target};
use crate::api::types::{Do, Done};
use crate::api::{ApiError, Code};
use crate::base::sanitise;
use crate::config::{SecondPerson, Site};
use crate::domain::level::Level;
use crate::domain::promotion::owns;
use crate::domain::run::{RunRef, RunState, Verdict};

const MAX_REASON: usize = 1_000;

/// Carries out one request, or says why not. What was done, and what was refused, is in the audit chain.
pub async fn act(engine: &Arc<Engine>, caller: Caller, link: Connection, request: Do) -> Result<Done, ApiError> {
    act_as(engine, move |_| caller, link, request).await
}

/// As [`act`], for whoever `who` says; asked where it may block.
pub async fn act_as(
    engine: &Arc<Engine>,
    who: impl FnOnce(&Engine) -> Caller + Send + 'static,
    link: Connection,
    mut request: Do,
) -> Result<Done, ApiError> {
    if let Some(action) = promotion::translated(&request) {
        request.action = action.to_owned();
    }
    let (action, request) = match known(&request).and_then(|action| Ok((action, cleaned(request)?))) {
        Ok(pair) => pair,
        Err(e) => {
            // Who may not even look learns nothing of what the engine knows.
            let engine = engine.clone();
            blocking(move || guard::may_view(engine.ground(&engine.watch.current().unwrap_or_default()), &who(&engine))).await?;
            return Err(e);
        }
    };
    let (caller, request, judged) = {
        let engine = engine.clone();
        blocking(move || {
            let caller = who(&engine);
            let judged = judge(&engine, &caller, link, action, &request);
            Ok((caller, request, judged))
        })
        .await?
    };
    let (pass, subject, site) = match judged {
        Ok(found) => found,
        Err(e) => return Err(told(engine, &caller, action, &request.target, &request.reason, e).await),
    };
    if !ends(action) {
        engine.configure(&site).await?;
    }
    tracing::info!(who = %caller.actor.name, uid = caller.actor.uid, action = action.id, target = %request.target, "asked");
    // On a task of its own: the server drops a request together with its connection, and a client that dies between the commit
    // and what follows it must not leave half of it undone.
    let engine = engine.clone();
    let work = tokio::spawn(async move {
        let act = Act { engine: &engine, caller: &caller, action, request: &request, pass };
        match act.perform(subject).await {
            Ok(done) => Ok(done),
            Err(e) => Err(told(&engine, &caller, action, &request.target, &request.reason, e).await),
        }
    });
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
    if request.value.is_some() && action.target != Target::Secret {
        return Err(ApiError::bad(format!("`{}` takes no value", action.id), action.usage));
    }
    if !action.parameters
        && let Some(name) = request.with.keys().find(|k| !action.args.iter().any(|a| a.name == k.as_str()))
    {
        return Err(ApiError::bad(format!("`{}` takes no argument `{name}`", action.id), action.usage));
    }
    match action.target {
        Target::Engine if !request.target.is_empty() => Err(ApiError::bad(format!("`{}` takes no target", action.id), action.usage)),
        Target::Run
        | Target::Pipeline
        | Target::Secret
        | Target::Promotion
        | Target::Os
        | Target::Hold
        | Target::Repo
        | Target::Problem
            if request.target.is_empty() =>
        {
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

/// The engine itself ends: how many executors the next one has is no matter.
fn ends(action: &Action) -> bool {
    action.id == "stop"
}

fn judge(
    engine: &Engine,
    caller: &Caller,
    link: Connection,
    action: &'static Action,
    request: &Do,
) -> Result<(Pass, Subject, Arc<Site>), ApiError> {
    let site = match engine.site() {
        // A slip in a file must not keep the owner of an engine from ending it.
        Err(_) if engine.private && ends(action) => Arc::new(Site { second_person: SecondPerson::None, ..Site::default() }),
        found => found?,
    };
    let mut subject = Subject::Engine;
    let typed = promotion::confirm_name(engine, request);
    let name = if request.target.is_empty() { ENGINE } else { typed.as_deref().unwrap_or(&request.target) };
    let lease = engine.leases.standing(link, request.console, engine.clock.boot_us());
    let ask = Ask { action, subject: name, reason: &request.reason, confirm: request.confirm.as_deref(), lease };
    let mut freeze = None;
    let decided = guard::decide(engine.ground(&site), caller, &ask, || {
        let (found, level) = why_not(engine, &site, caller, action, request)?;
        unmoved(&found, request)?;
        // What starts work asks the calendars of its pipeline.
        let pipeline = match &found {
            Subject::Plan(plan) => Some(plan.pipeline.clone()),
            Subject::Missed(missed) => Some(missed.plan.pipeline.clone()),
            Subject::Run(row) if matches!(action.id, "resume" | "retry") => Some(row.pipeline.clone()),
            _ => None,
        };
        subject = found;
        let Some(pipeline) = pipeline else { return Ok(level) };
        freeze = scheduler::frozen(engine, &site, &pipeline)?;
        scheduler::raised(freeze.as_ref(), &pipeline, level, &request.reason)
    });
    let pass = decided.map_err(|e| match &freeze {
        // The level that it names is the freeze's doing.
        Some(f) if e.code == Code::Refused && !e.message.contains(&f.to_string()) => {
            ApiError { message: format!("{}; it is {f}", e.message), ..e }
        }
        _ => e,
    })?;
    Ok((pass, subject, site))
}

/// Refuses where what the person saw when they pressed the key is not what is there now.
fn unmoved(found: &Subject, request: &Do) -> Result<(), ApiError> {
    let Some(seen) = &request.basis else { return Ok(()) };
    let (name, now) = match found {
        Subject::Plan(plan) if request.action == "run" => (plan.pipeline.clone(), plan.source_sha256.clone()),
        Subject::Run(row) => (row.run.to_string(), preview::basis(row)),
        Subject::Ballot(ballot) => (ballot.row.run.to_string(), preview::basis(&ballot.row)),
        Subject::Promotion(wish) => match &wish.promotion {
            Some(p) => (p.id.clone(), p.sha.clone()),
            None => return Ok(()),
        },
        Subject::Engine | Subject::Plan(_) | Subject::Secret(_) | Subject::Missed(_) | Subject::Repo(_) | Subject::Ack(_) => {
            return Ok(());
        }
    };
    if *seen == now {
        return Ok(());
    }
    Err(ApiError::refused(format!("{name} has moved since it was looked at: nothing was done"), "look at it as it is now, and ask again"))
}

/// The action's own objections, and its level for this target.
fn why_not(engine: &Engine, site: &Arc<Site>, caller: &Caller, action: &Action, request: &Do) -> Result<(Subject, Level), ApiError> {
    if engine.is_stopping() && action.id != "stop" {
        return Err(ApiError::no_engine("the engine is ending", "ask again: the next one takes it up"));
    }
    if action.target == Target::Engine {
        let drained = engine.store.drain()?;
        return match (action.id, drained) {
            ("undrain", None) => Err(ApiError::refused("the engine is not drained", "nothing to do")),
            ("drain", Some(d)) => {
                Err(ApiError::refused(format!("the engine is drained already, by {}", d.by), "quarterdeck engine drain --off ends it"))
            }
            _ => Ok((Subject::Engine, Level::L1)),
        };
    }
    if action.target == Target::Secret {
        return Ok((Subject::Secret(secret_acts::entry_of(engine, site, request)?), Level::L1));
    }
    if action.owns() {
        return Ok((Subject::Ack(acks::check(engine, action, request)?), action.level));
    }
    if action.target == Target::Repo {
        return Ok((Subject::Repo(repo_acts::check(engine, site, action, request)?), action.level));
    }
    if matches!(action.target, Target::Promotion | Target::Os | Target::Hold) {
        let (wish, level) = promotion::check(engine, site, caller, action, request)?;
        return Ok((Subject::Promotion(Box::new(wish)), level));
    }
    if action.id == "run-missed" {
        let occurrence = scheduler::find_missed(engine, &request.target, &request.with)?;
        let plan = plan::of_pipeline(engine, site, &request.target, &Default::default())?;
        let level = plan.danger;
        return Ok((Subject::Missed(Box::new(Missed { occurrence, plan })), level));
    }
    if action.target == Target::Pipeline {
        let plan = plan::of_pipeline(engine, site, &request.target, &request.with)?;
        let level = plan.danger;
        return Ok((Subject::Plan(Box::new(plan)), level));
    }
    why_not_run(engine, site, caller, action, request)
}

/// The same for what is done to one run.
fn why_not_run(engine: &Engine, site: &Arc<Site>, caller: &Caller, action: &Action, request: &Do) -> Result<(Subject, Level), ApiError> {
    let run: RunRef = request.target.parse().map_err(|e: crate::domain::run::BadRunRef| ApiError::bad(e.to_string(), e.help()))?;
    let row = engine.store.run(&run)?;
    let ended = row.state == RunState::Done;
    if matches!(action.id, "resume" | "retry") && owns(&run.pipeline) {
        return Err(ApiError::refused(
            format!("{run} belongs to a promotion: its plan is computed again before it goes on"),
            "quarterdeck do promote-resume PROMOTION; quarterdeck get promotions names it",
        ));
    }
    match action.id {
        "approve" | "deny" => {
            let ballot = approvals::ballot(engine, site, caller, row, request)?;
            Ok((Subject::Ballot(Box::new(ballot)), Level::L1))
        }
        "cancel" if ended => {
            let how = row.verdict.map_or("ended", Verdict::as_str);
            Err(ApiError::refused(format!("{run} has ended already: {how}"), "there is nothing to cancel"))
        }
        "cancel" => {
            // By uid: a name may be a trigger's too, or an account's that was made anew.
            let author = || engine.store.load_run(&run).map_err(ApiError::from).map(|r| r.requested_by.uid);
            let own = (engine.private && caller.owner) || (caller.actor.uid.is_some() && author()? == caller.actor.uid);
            Ok((Subject::Run(Box::new(row)), if own { Level::L1 } else { Level::L2 }))
        }
        "force-finish" if ended => {
            let how = row.verdict.map_or("ended", Verdict::as_str);
            Err(ApiError::refused(format!("{run} has ended already: {how}"), "there is nothing left to end"))
        }
        "force-finish" if row.cancel_by.is_none() => Err(ApiError::refused(
            format!("{run} was not cancelled: its steps may still end in order"),
            format!("quarterdeck cancel '{run}' first; force is for what does not end then"),
        )),
        "force-finish" => Ok((Subject::Run(Box::new(row)), action.level)),
        "resume" | "retry" if !ended => {
            Err(ApiError::refused(format!("{run} has not ended: it is {}", row.state), "wait for it, or cancel it first"))
        }
        "resume" | "retry" if row.verdict == Some(Verdict::Success) => Err(ApiError::refused(
            format!("{run} succeeded: nothing is left to do"),
            format!("to run it again: quarterdeck replay '{run}'"),
        )),
        "resume" | "retry" => {
            let plan = plan::frozen(engine, &run)?;
            // The site may have changed since the plan was frozen.
            plan::confined(&plan, site)?;
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
