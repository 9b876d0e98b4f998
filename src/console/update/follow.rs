//! When what stands beside a list turns to the row under the cursor: once that rests, and what is to be shown has come, so that nothing is drawn
//! only to be drawn over.

use jiff::Timestamp;

use super::beside::{self, PATIENCE, REST};
use super::{content, excerpt};
use crate::console::model::screen::{Kind, Place};
use crate::console::model::{Link, Model, word};
use crate::console::question::Question;

/// Remembers since when the cursor is where it is, and turns to its row once that is due.
pub fn settle(model: &mut Model) {
    if !beside::follows(&model.screen().kind) {
        return;
    }
    let Some(here) = beside::here(model) else { return };
    let now = model.now;
    let rest = &mut model.screen_mut().rest;
    match &mut rest.at {
        Some((was, _)) if *was == here => {}
        Some(moved) => *moved = (here.clone(), now),
        // Nobody moved it there: what it is about is shown at once.
        None => rest.at = Some((here.clone(), Timestamp::MIN)),
    }
    if model.screen().rest.beside.as_ref() != Some(&here) && is_due(model, &here) {
        model.screen_mut().rest.beside = Some(here);
    }
}

fn is_due(model: &Model, here: &Place) -> bool {
    // The clock of a saved state stands still; another list, and a row that is gone, have nothing to wait for.
    let beside = model.screen().rest.beside.as_ref();
    if matches!(model.link, Link::Saved { .. }) || beside.is_none_or(|(what, _)| *what != here.0) {
        return true;
    }
    let passed = beside::passed(model);
    passed >= REST && (passed >= PATIENCE || is_known(model))
}

/// Whether what would stand there can be told.
fn is_known(model: &Model) -> bool {
    let told = |q: &Question| model.known(q).is_some_and(|k| k.answer.is_some() || k.error.is_some());
    match &model.screen().kind {
        Kind::Run(run) => return excerpt::next(model, run).as_ref().is_none_or(told),
        Kind::Jobs => return beside::history(model, true).as_ref().is_none_or(told),
        _ => {}
    }
    let Some(row) = model.under_cursor() else { return true };
    match &model.screen().kind {
        Kind::Promotions => told(&Question::Promotion(word::text(row, "promotion"))),
        Kind::Diff(pair) => content::source(row, pair).as_ref().is_none_or(told),
        _ => true,
    }
}
