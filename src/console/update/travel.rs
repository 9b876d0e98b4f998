//! From screen to screen: deeper, to one of the digits, back, and to the view that was in front before.

use crate::console::log::LogScreen;
use crate::console::model::screen::Kind;
use crate::console::model::{Model, Screen};

/// A screen on top of this one.
pub fn push(model: &mut Model, kind: Kind) {
    if model.screen().kind != kind {
        enter(model, Screen::of(kind));
    }
}

/// As [`push`], with a screen as it is meant to be.
pub fn enter(model: &mut Model, screen: Screen) {
    remember(model);
    model.stack.push(screen);
}

/// A screen of the digits: the one that is open already, or a new one above home.
pub fn go(model: &mut Model, kind: Kind) {
    if model.screen().kind == kind {
        return;
    }
    remember(model);
    match model.stack.iter().position(|s| s.kind == kind) {
        Some(i) => model.stack.truncate(i + 1),
        None => {
            model.stack.truncate(1);
            model.stack.push(Screen::of(kind));
        }
    }
}

pub fn back(model: &mut Model) {
    if model.stack.len() > 1 {
        remember(model);
        model.stack.pop();
    } else {
        model.say(":quit leaves; what runs goes on");
    }
}

/// There and back again.
pub fn last(model: &mut Model) {
    if model.before.is_empty() {
        return model.say("there was no other view yet");
    }
    let to = std::mem::take(&mut model.before);
    remember(model);
    model.stack = to;
}

fn remember(model: &mut Model) {
    model.before = model.stack.iter().map(trace).collect();
}

/// A screen as it can be come back to: what a log held is read again.
fn trace(screen: &Screen) -> Screen {
    Screen {
        kind: screen.kind.clone(),
        lists: screen.lists.clone(),
        rest: screen.rest.clone(),
        spot: screen.spot.clone(),
        log: screen.log.as_deref().map(LogScreen::trace).map(Box::new),
        ..*screen
    }
}
