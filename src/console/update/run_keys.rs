//! The cursor of a run's page: through stages, cells of matrices and runs that belong to it; what Enter and `l` open from there.

use crate::console::model::Model;
use crate::console::model::screen::Kind;
use crate::console::model::spots::{self, Goal, Spot};
use crate::console::view::run;
use crate::domain::run::RunRef;

/// Rows of the frame around the page.
const AROUND: u16 = 4;

/// Runs a command, where it is one of this page's. False: it is for everybody.
pub fn run(model: &mut Model, id: &str) -> bool {
    let Kind::Run(run) = &model.screen().kind else { return false };
    let run = run.clone();
    match id {
        "down" => step(model, &run, true),
        "up" => step(model, &run, false),
        "left" => sideways(model, &run, false),
        "right" => sideways(model, &run, true),
        "page-down" => scroll(model, &run, |at, seen| at.saturating_add(seen.saturating_sub(1).max(1))),
        "page-up" => scroll(model, &run, |at, seen| at.saturating_sub(seen.saturating_sub(1).max(1))),
        "top" => {
            model.screen_mut().spot = all(model, &run).first().map(|s| s.id.clone());
            model.screen_mut().scroll = 0;
        }
        "bottom" => {
            model.screen_mut().spot = all(model, &run).last().map(|s| s.id.clone());
            scroll(model, &run, |_, _| u16::MAX);
        }
        "next-problem" => problem(model, &run, true),
        "previous-problem" => problem(model, &run, false),
        _ => return false,
    }
    true
}

/// What the cursor stands on, where it leads.
pub fn goal(model: &Model) -> Option<Goal> {
    let Kind::Run(run) = &model.screen().kind else { return None };
    let spot = model.screen().spot.as_deref()?;
    all(model, run).into_iter().find(|s| s.id == spot).map(|s| s.goal)
}

fn all(model: &Model, run: &RunRef) -> Vec<Spot> {
    spots::all(model, run, model.size.0)
}

fn now(model: &Model, all: &[Spot]) -> Option<usize> {
    let spot = model.screen().spot.as_deref()?;
    all.iter().position(|s| s.id == spot)
}

fn put(model: &mut Model, run: &RunRef, spot: &Spot) {
    model.screen_mut().spot = Some(spot.id.clone());
    let run::Measure { rows, at, seen } = measure(model, run);
    let Some(at) = at else { return };
    let last = rows.saturating_sub(seen);
    let scroll = model.screen().scroll.min(last);
    // The title above a spot and a row below it stay in sight.
    model.screen_mut().scroll = if at < scroll.saturating_add(1) {
        at.saturating_sub(1)
    } else if at + 2 > scroll + seen {
        (at + 2 - seen).min(last)
    } else {
        scroll
    };
}

fn step(model: &mut Model, run: &RunRef, down: bool) {
    let all = all(model, run);
    let Some(at) = now(model, &all) else {
        return match all.first().filter(|_| down) {
            Some(first) => put(model, run, first),
            None => scroll(model, run, |at, _| if down { at.saturating_add(1) } else { at.saturating_sub(1) }),
        };
    };
    let Some(here) = all.get(at) else { return };
    // The nearest line that has a spot; there, the nearest column.
    let lines = all.iter().filter(|s| if down { s.line > here.line } else { s.line < here.line });
    let Some(line) = (if down { lines.map(|s| s.line).min() } else { lines.map(|s| s.line).max() }) else {
        // Beyond the last spot the page goes on.
        return scroll(model, run, |at, _| if down { at.saturating_add(1) } else { 0 });
    };
    let to = all.iter().filter(|s| s.line == line).min_by_key(|s| s.column.abs_diff(here.column));
    if let Some(to) = to {
        put(model, run, to);
    }
}

fn sideways(model: &mut Model, run: &RunRef, right: bool) {
    let all = all(model, run);
    let Some(here) = now(model, &all).and_then(|i| all.get(i)) else { return };
    let beside = all.iter().filter(|s| s.line == here.line && if right { s.column > here.column } else { s.column < here.column });
    if let Some(to) = beside.min_by_key(|s| s.column.abs_diff(here.column)) {
        put(model, run, to);
    }
}

fn problem(model: &mut Model, run: &RunRef, forward: bool) {
    let all = all(model, run);
    let len = all.len();
    let from = now(model, &all);
    let order = (1..=len).map(|i| match (from, forward) {
        (Some(at), true) => (at + i) % len,
        (Some(at), false) => (at + len - i) % len,
        (None, true) => i - 1,
        (None, false) => len - i,
    });
    match order.filter_map(|i| all.get(i)).find(|s| s.problem) {
        Some(spot) => put(model, run, spot),
        None => model.say("no stage, cell or run here has a problem"),
    }
}

fn measure(model: &Model, run: &RunRef) -> run::Measure {
    run::measure(model, run, (model.size.0, model.size.1.saturating_sub(AROUND)))
}

/// `to`: from where it is scrolled to, and the rows that show at once.
fn scroll(model: &mut Model, run: &RunRef, to: impl FnOnce(u16, u16) -> u16) {
    let run::Measure { rows, seen, .. } = measure(model, run);
    let last = rows.saturating_sub(seen);
    let screen = model.screen_mut();
    screen.scroll = to(screen.scroll.min(last), seen).min(last);
}
