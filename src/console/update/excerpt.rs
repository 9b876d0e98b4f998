//! The excerpt of a log on the page of a run: whose log it is, and what is asked for it. It follows the cursor once that rests, and a step that
//! writes is looked at again every few seconds; no more is held of a log than one answer.

use jiff::SignedDuration;

use super::beside;
use crate::api::log::{AttemptDoc, AttemptsDoc, LogPage};
use crate::console::log::state::pick;
use crate::console::model::screen::Kind;
use crate::console::model::spots::{self, Goal};
use crate::console::model::{Link, Model};
use crate::console::question::{Answer, Question};
use crate::domain::run::RunRef;

/// What is being written is read again after this.
const AGAIN: SignedDuration = SignedDuration::from_secs(2);

/// So many answers are held; with more, those that are not wanted go.
const HELD: usize = 8;

/// What of a run has been started.
pub fn attempts<'a>(model: &'a Model, run: &RunRef) -> Option<&'a AttemptsDoc> {
    match model.known(&Question::Attempts(run.clone()))?.answer.as_ref()? {
        Answer::Attempts(doc) => Some(doc),
        _ => None,
    }
}

/// The stage, step or cell that the excerpt is of; none = whichever matters most.
pub fn place(model: &Model, run: &RunRef) -> Option<String> {
    at(model, run, beside::spot(model))
}

fn at(model: &Model, run: &RunRef, spot: Option<&str>) -> Option<String> {
    let spot = spot.filter(|s| !s.is_empty())?;
    match spots::all(model, run, model.size.0).into_iter().find(|s| s.id == spot)?.goal {
        Goal::Log(place) => Some(place),
        // A run that belongs to this one has a page of its own.
        Goal::Run(_) => None,
    }
}

/// The attempt whose last lines are shown.
pub fn attempt<'a>(model: &'a Model, run: &RunRef) -> Option<&'a AttemptDoc> {
    of(attempts(model, run)?, place(model, run).as_deref())
}

fn of<'a>(doc: &'a AttemptsDoc, place: Option<&str>) -> Option<&'a AttemptDoc> {
    let all: Vec<&AttemptDoc> = doc.attempts.iter().filter(|a| place.is_none_or(|p| a.is_at(p))).collect();
    let fence = pick(&all)?;
    all.into_iter().find(|a| a.fence == fence)
}

fn question(run: &RunRef, attempt: &AttemptDoc) -> Question {
    Question::Tail { run: run.clone(), fence: attempt.fence }
}

/// The question for the lines that are shown.
pub fn shown(model: &Model, run: &RunRef) -> Option<Question> {
    attempt(model, run).map(|a| question(run, a))
}

/// The lines themselves, once they came.
pub fn lines<'a>(model: &'a Model, question: &Question) -> Option<&'a LogPage> {
    match model.known(question)?.answer.as_ref()? {
        Answer::Log(page) => Some(page),
        _ => None,
    }
}

/// What is asked for it: which steps ran, the lines that are shown, and those of what the cursor has come to rest on.
pub fn needs(model: &Model) -> Vec<Question> {
    let Kind::Run(run) = &model.screen().kind else { return Vec::new() };
    let mut out = vec![Question::Attempts(run.clone())];
    out.extend(shown(model, run));
    if let Some(next) = next(model, run).filter(|q| beside::rests(model) && !out.contains(q)) {
        out.push(next);
    }
    out
}

/// The question for what the cursor is on now.
pub fn next(model: &Model, run: &RunRef) -> Option<Question> {
    let place = at(model, run, model.screen().spot.as_deref());
    of(attempts(model, run)?, place.as_deref()).map(|a| question(run, a))
}

/// Few ends of logs are held beside those that are wanted now.
pub fn forget(model: &mut Model) {
    let held = |q: &Question| matches!(q, Question::Tail { .. });
    // A saved state is small, and answers at once.
    if model.known.keys().filter(|q| held(q)).count() <= HELD {
        return;
    }
    let wanted = needs(model);
    model.known.retain(|q, _| !held(q) || wanted.contains(q));
}

/// Nobody tells when a step writes: its lines grow old by themselves, where they are in front.
pub fn grow_old(model: &mut Model) {
    let Kind::Run(run) = &model.screen().kind else { return };
    let (now, Some(question)) = (model.now, shown(model, run).filter(|_| model.link == Link::Up)) else { return };
    if let Some(k) = model.known.get_mut(&question) {
        let writes = matches!(&k.answer, Some(Answer::Log(page)) if !page.complete);
        k.old |= writes && k.at.is_some_and(|at| now.duration_since(at) >= AGAIN);
    }
}
