//! Who looks after what is wrong: `ack` and `unack`. A decision with a reason and an end, about the problems that its subject has now; nothing
//! else follows from it, so it needs no arming. What it covers is still shown, as somebody's.

use std::sync::Arc;

use serde_json::Value;

use super::asked::end;
use super::blocking::blocking;
use super::model::Edit;
use super::promotion;
use super::rows;
use super::state::Engine;
use super::{jobs, scheduler, sources, trees};
use crate::action::Action;
use crate::api::ApiError;
use crate::api::types::{Ack, Do, Done, Source};
use crate::base::sanitise;
use crate::base::suggest;
use crate::domain::decision::{Decision, Detail, Kind, NewDecision};
use crate::domain::problem::{self, Problem};
use crate::domain::run::{RunRef, RunState};
use crate::runner::model::wait;
use crate::store::{DecisionEdit, Note, RunsQuery};

/// As the event stream calls them; the table of `get` is `decisions`.
pub const TABLE: &str = "acks";
/// A shift, where nothing is said.
const SHIFT: &str = "8h";
const LONGEST_DAYS: i64 = 7;
/// Told in the status at most.
const TOLD: usize = 200;
/// Runs that are looked at for one that waits or is slow.
const OPEN: usize = 10_000;

/// What is to be recorded.
#[derive(Debug)]
pub struct Wish {
    subject: String,
    /// What is wrong with it now; of `unack`, nothing.
    problems: Vec<String>,
    until_us: i64,
}

/// All that is wrong now, as the rows of `get` say it. Blocks.
fn all(engine: &Engine) -> Result<Vec<Problem>, ApiError> {
    let mut out = Vec::new();
    for row in &jobs::rows(engine)? {
        out.extend(problem::errors(row));
        out.extend(problem::red(row));
    }
    let open = vec![RunState::Queued, RunState::Running, RunState::Waiting];
    for run in engine.store.runs(&RunsQuery { states: open, limit: OPEN, ..RunsQuery::default() })? {
        let name = run.run.to_string();
        out.extend(problem::waits(&name, run.state));
        out.extend(run.slow_us.map(|_| problem::slow(&name)));
    }
    out.extend(scheduler::schedule(engine)?.0.iter().filter_map(problem::missed));
    out.extend(trees::rows(engine, "repos")?.0.iter().filter_map(problem::repo));
    let mute = |s: &Source| matches!(s.state.as_str(), "silent" | "stale");
    out.extend(sources::all(engine).iter().filter(|s| mute(s)).map(|s| problem::source(&s.source)));
    out.extend(promotion::doc::table(engine)?.iter().filter_map(problem::promotion));
    Ok(out)
}

/// What speaks against it. Blocks.
pub fn check(engine: &Engine, action: &Action, request: &Do) -> Result<Wish, ApiError> {
    let subject = request.target.clone();
    let shown = sanitise::cell(&subject);
    if action.id == "unack" {
        let open = engine.store.open_decision(Kind::Ack, &subject)?;
        return match open.filter(|d| in_force(d, engine.now_us())) {
            Some(_) => Ok(Wish { subject, problems: Vec::new(), until_us: 0 }),
            None => Err(ApiError::refused(format!("nobody looks after {shown}"), "there is nothing to give back")),
        };
    }
    let until_us = until(engine, request)?;
    if request.reason.trim().is_empty() {
        return Err(ApiError::bad("an ack needs a reason: what is being done about it", "add --reason TEXT"));
    }
    let all = all(engine)?;
    let problems: Vec<String> = all.iter().filter(|p| p.subject == subject).map(|p| p.what.clone()).collect();
    if problems.is_empty() {
        let known = known(engine, &subject)?;
        let near = suggest::nearest(&subject, all.iter().map(|p| p.subject.as_str()));
        let help = match (known, near) {
            (false, Some(near)) => format!("did you mean `{near}`?"),
            _ => "the console's home lists what needs somebody".to_owned(),
        };
        return Err(match known {
            true => ApiError::refused(format!("nothing is wrong with {shown}"), help),
            false => ApiError::bad(format!("`{shown}` is no pipeline, run, repository or promotion that anything is wrong with"), help),
        });
    }
    Ok(Wish { subject, problems, until_us })
}

/// Whether there is something of this name at all.
fn known(engine: &Engine, subject: &str) -> Result<bool, ApiError> {
    let run = |r: RunRef| engine.store.run(&r).is_ok();
    let site = engine.site()?;
    let is = |row: &rows::Row, field: &str| row.get(field).and_then(Value::as_str) == Some(subject);
    Ok(site.repos.contains_key(subject)
        || subject.parse().is_ok_and(run)
        || jobs::rows(engine)?.iter().any(|r| is(r, "pipeline"))
        || promotion::doc::table(engine)?.iter().any(|r| is(r, "promotion")))
}

fn until(engine: &Engine, request: &Do) -> Result<i64, ApiError> {
    let text = request.with.get("until").map(String::as_str).filter(|t| !t.is_empty());
    end(text.unwrap_or(SHIFT), engine.now_us(), LONGEST_DAYS, SHIFT)
}

fn in_force(d: &Decision, now_us: i64) -> bool {
    d.ended_us.is_none() && d.until_us.is_none_or(|until| now_us < until)
}

/// Carries it out: the decision and its entry are one transaction.
pub async fn perform(engine: &Arc<Engine>, action: &Action, request: &Do, wish: Wish, mut note: Note) -> Result<Done, ApiError> {
    let (who, subject) = (note.record.who.name.clone(), wish.subject.clone());
    let message = if action.id == "ack" {
        let message = format!("{} looks after {} until {}: {}", who, subject, engine.told(wish.until_us), wish.problems.join(", "));
        note.decision = Some(DecisionEdit::Make(Box::new(NewDecision {
            kind: Kind::Ack,
            subject: wish.subject,
            sha: wait::sha_of(&wish.problems.join("\n")),
            who: None,
            why: request.reason.clone(),
            until_us: Some(wish.until_us),
            detail: Detail { problems: wish.problems, ..Detail::default() },
        })));
        message
    } else {
        note.decision = Some(DecisionEdit::TakeBack { kind: Kind::Ack, subject: wish.subject });
        format!("nobody looks after {subject} any more")
    };
    engine.store.audit(note).await?;
    let all = {
        let engine = engine.clone();
        blocking(move || shown(&engine)).await?
    };
    let row = all.into_iter().find(|a| a.subject == subject).and_then(|a| serde_json::to_value(a).ok());
    engine.model.publish(vec![match row {
        Some(Value::Object(row)) => Edit::Upsert { table: TABLE.into(), id: subject, row },
        _ => Edit::Delete { table: TABLE.into(), id: subject },
    }]);
    Ok(Done { run: None, message, single_person: false })
}

/// Those in force, for the status. Blocks.
pub fn shown(engine: &Engine) -> Result<Vec<Ack>, ApiError> {
    let all = engine.store.decisions_in_force(Kind::Ack, engine.now_us(), TOLD)?;
    let one = |d: Decision| Ack {
        subject: d.subject,
        problems: d.detail.problems,
        who: d.who.name,
        why: d.why,
        at: rows::time(d.at_us),
        until: rows::time_opt(d.until_us).unwrap_or_default(),
    };
    Ok(all.into_iter().map(one).collect())
}
