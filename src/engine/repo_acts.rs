//! Acts on repositories: `freeze` and `thaw`. A freeze is a decision with a reason and an end; syncs ask for it when they would begin, and what
//! is shown of a repository says so.

use std::sync::Arc;

use super::asked::end;
use super::frozen::{frozen, subject};
use super::state::Engine;
use super::{rows, trees};
use crate::action::Action;
use crate::api::ApiError;
use crate::api::types::{Do, Done};
use crate::base::sanitise;
use crate::base::suggest;
use crate::config::Site;
use crate::domain::decision::{Detail, Kind, NewDecision};
use crate::engine::blocking::blocking;
use crate::store::{DecisionEdit, Note};

/// No freeze lasts longer.
const LONGEST_DAYS: i64 = 90;

/// What speaks against it. Blocks.
pub fn check(engine: &Engine, site: &Site, action: &Action, request: &Do) -> Result<String, ApiError> {
    let name = request.target.as_str();
    let Some(repo) = site.repos.get(name) else {
        let near = suggest::nearest(name, site.repos.keys().map(String::as_str)).map(|n| format!("did you mean `{n}`?"));
        let help = near.unwrap_or_else(|| "quarterdeck get repos lists them".to_owned());
        return Err(ApiError::bad(format!("no repository `{}` in the site file", sanitise::cell(name)), help));
    };
    let today = engine.clock.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    if let Some(why) = repo.standstill(today) {
        return Err(ApiError::refused(
            format!("the site file lets {name} stand still: {why}"),
            format!("[repos.{name}] frozen and eol in site.toml say so; change it there"),
        ));
    }
    let now = frozen(&engine.store, name, engine.now_us());
    match (action.id, now) {
        ("freeze", Some(f)) => {
            Err(ApiError::refused(format!("{name} is {}", f.text), format!("quarterdeck do thaw {name} ends that first")))
        }
        ("thaw", None) => Err(ApiError::refused(format!("{name} is not frozen"), "there is nothing to end")),
        ("freeze", None) => until(engine, request).map(|_| name.to_owned()),
        _ => Ok(name.to_owned()),
    }
}

/// Its end, as it was asked for.
fn until(engine: &Engine, request: &Do) -> Result<i64, ApiError> {
    let text = request.with.get("until").map(String::as_str).unwrap_or_default();
    if text.is_empty() {
        return Err(ApiError::bad("a freeze needs an end: nothing is open-ended", "add --with until=7d"));
    }
    if request.reason.trim().is_empty() {
        return Err(ApiError::bad("a freeze needs a reason", "add --reason TEXT"));
    }
    end(text, engine.now_us(), LONGEST_DAYS, "7d")
}

/// Carries it out: the decision and its entry are one transaction.
pub async fn perform(engine: &Arc<Engine>, action: &Action, request: &Do, name: &str, mut note: Note) -> Result<Done, ApiError> {
    let message = if action.id == "freeze" {
        let until_us = until(engine, request)?;
        note.decision = Some(DecisionEdit::Make(Box::new(NewDecision {
            kind: Kind::Freeze,
            subject: subject(name),
            sha: String::new(),
            who: None,
            why: request.reason.clone(),
            until_us: Some(until_us),
            detail: Detail::default(),
        })));
        format!("{name} stands still until {}: its syncs do nothing", rows::time(until_us))
    } else {
        note.decision = Some(DecisionEdit::TakeBack { kind: Kind::Freeze, subject: subject(name) });
        format!("{name} moves again: its next sync brings what upstream has")
    };
    engine.store.audit(note).await?;
    told(engine, name).await;
    Ok(Done { run: None, message, single_person: false })
}

/// Who listens hears of it at once.
async fn told(engine: &Arc<Engine>, name: &str) {
    let made = {
        let (engine, name) = (engine.clone(), name.to_owned());
        blocking(move || trees::edits(&engine, &*engine.site()?, &name)).await
    };
    match made {
        Ok(edits) => drop(engine.model.publish(edits)),
        Err(e) => tracing::warn!("rows of {name} cannot be made: {e}"),
    }
    engine.freshness.look(Some(name));
}
