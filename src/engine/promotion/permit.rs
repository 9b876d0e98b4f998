//! Leave for a pointer to move, asked by the runner at the last moment before the step is claimed: the plan is computed once more. Whatever came
//! between the check and the switch (a kill, a drain, a full disk, a resume) is seen here. Writes nothing; the driver acts on what it finds.

use std::sync::{OnceLock, Weak};

use super::compute::{compute, moved};
use super::{back, roots, texts};
use crate::domain::promotion::state::State;
use crate::domain::promotion::{Promotion, Work, owns};
use crate::domain::run::RunRef;
use crate::engine::state::Engine;
use crate::runner::Permit;

/// The runner is made before the engine that knows promotions.
#[derive(Default)]
pub struct Checks {
    engine: OnceLock<Weak<Engine>>,
}

impl Checks {
    pub fn know(&self, engine: Weak<Engine>) {
        let _ = self.engine.set(engine);
    }
}

impl Permit for Checks {
    fn concerns(&self, pipeline: &str, stage: &str) -> bool {
        owns(pipeline) && texts::moves(stage).is_some()
    }

    fn may_start(&self, run: &RunRef, stage: &str) -> Result<(), String> {
        let Some(engine) = self.engine.get().and_then(Weak::upgrade) else {
            return Err("the engine is only starting, or ends".into());
        };
        let judged = judged(&engine, run, stage);
        if let Err(why) = &judged {
            tracing::warn!(%run, stage, "held back: {why}");
            // It sends the promotion back to its gates, and ends the run.
            engine.promotions.wake.notify_one();
        }
        judged
    }
}

fn judged(engine: &Engine, run: &RunRef, stage: &str) -> Result<(), String> {
    let name = run.to_string();
    let all = engine.store.promotions().map_err(|e| e.to_string())?;
    let found = all.into_iter().find_map(|p| at_work(&p).filter(|(_, r)| *r == name).map(|(work, _)| (work, p)));
    let Some((work, p)) = found else {
        return Err("no promotion awaits this run: pointers move for a promotion only".into());
    };
    let dc = texts::moves(stage).unwrap_or_default();
    let site = engine.site().map_err(|e| e.to_string())?;
    match work {
        // The candidate's pointer is nobody's but the soak's.
        Work::Soak => Ok(()),
        Work::Switch => {
            if p.state != State::Switching {
                return Err(format!("{} is {}", p.id, p.state));
            }
            let now = compute(engine, &site, &p).map_err(|e| e.to_string())?;
            if now.sha != p.sha {
                let what = moved(engine, &p, &now).map_err(|e| e.to_string())?;
                return Err(format!("{} has moved: {}", p.id, what.join("; ")));
            }
            match p.approved(&p.sha, now.at_us) {
                true => Ok(()),
                false => Err(format!("the approvals of {} are over", p.id)),
            }
        }
        Work::Undo => {
            let table = roots::table(&site, &p.os).map_err(|e| e.to_string())?;
            back::hindrance(&p, &roots::of(table, &p), Some(dc)).map_or(Ok(()), Err)
        }
    }
}

/// The run that a promotion has at work, or is just taking up again.
fn at_work(p: &Promotion) -> Option<(Work, String)> {
    let again = || p.pending.as_ref().filter(|w| w.round.is_some()).and_then(|w| Some((w.what, p.run.clone()?)));
    p.watching.clone().or_else(again)
}
