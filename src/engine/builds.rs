//! Plans for runs that stages start: the file as it is now, under the rules that hold for who asked for the run above it.

use std::sync::{OnceLock, Weak};

use super::guard::{self, Ask, Caller, Lease};
use super::state::Engine;
use super::{plan, scheduler};
use crate::action;
use crate::api::{ApiError, Code};
use crate::domain::level::Level;
use crate::pipeline::plan::Plan;
use crate::runner::{Children, NoChild, Wish};

/// The runner is made before the engine that knows the pipelines.
#[derive(Default)]
pub struct Builder {
    engine: OnceLock<Weak<Engine>>,
}

impl Builder {
    pub fn know(&self, engine: Weak<Engine>) {
        let _ = self.engine.set(engine);
    }
}

impl Children for Builder {
    fn plan(&self, wish: &Wish) -> Result<Plan, NoChild> {
        let Some(engine) = self.engine.get().and_then(Weak::upgrade) else {
            return Err(NoChild::Later("the engine is only starting, or ends".into()));
        };
        judged(&engine, wish).map_err(|e| match e.code {
            // What cannot be read now says nothing about the pipeline.
            Code::Failed | Code::NoEngine => NoChild::Later(e.message),
            _ => NoChild::Never(e.message),
        })
    }
}

fn judged(engine: &Engine, wish: &Wish) -> Result<Plan, ApiError> {
    // A broken site file stops every change, and is mended soon.
    let site = engine.site().map_err(|e| ApiError::failed(e.message, ""))?;
    let given = wish.parameters.iter().cloned().collect();
    let plan = plan::of_trigger(engine, &site, &wish.pipeline, &given, Some(&wish.parent))?;
    if plan.danger > wish.level {
        return Err(ApiError::refused(
            format!(
                "`{}` is {} by now, and {} was started when it was {}: nobody has agreed to that",
                wish.pipeline, plan.danger, wish.parent, wish.level
            ),
            "",
        ));
    }
    let parent = engine.store.run(&wish.parent)?;
    let Some(uid) = wish.who.uid else {
        if plan.danger == Level::L3 {
            return Err(ApiError::refused("it is L3: nothing starts it but people", ""));
        }
        // What a clock has begun is bound by the windows of what it leads to.
        return match scheduler::closed_now(engine, &site, &wish.pipeline, false)? {
            Some(closed) => Err(ApiError::refused(format!("`{}` is {closed}", wish.pipeline), "")),
            None => Ok(plan),
        };
    };
    let name = engine.people.user(uid);
    let known = name.is_some();
    let name = name.unwrap_or_else(|| wish.who.name.clone());
    // No primary group is known of somebody who is not connected; the machine knows it.
    let groups = if engine.private || !known { Vec::new() } else { engine.people.groups(&name, u32::MAX) };
    let caller = Caller { actor: wish.who.clone(), known, owner: uid == engine.watch.uid(), groups };
    let Some(run) = action::find("run") else { return Ok(plan) };
    // It was confirmed, and where that was asked for by two, with the start of the run above.
    let why = if parent.reason.is_empty() { wish.parent.to_string() } else { parent.reason.clone() };
    let ask = Ask { action: run, subject: &wish.pipeline, reason: &why, confirm: Some(&wish.pipeline), lease: Lease::NotAsked };
    guard::decide(engine.ground(&site), &caller, &ask, || {
        let freeze = scheduler::frozen(engine, &site, &wish.pipeline)?;
        let level = scheduler::raised(freeze.as_ref(), &wish.pipeline, plan.danger, &parent.reason)?;
        match freeze {
            Some(f) if level > wish.level => Err(ApiError::refused(format!("`{}` is {f}", wish.pipeline), "")),
            _ => Ok(level),
        }
    })?;
    Ok(plan)
}
