//! Where the log in front goes by itself once that is known: to the next hit of a search, to the first error.

use crate::console::log::search::{Jump, Search};
use crate::console::log::state::Begin;
use crate::console::log::{Lane, LogScreen};
use crate::console::model::Model;

/// To the next hit, as soon as the search has come so far.
pub fn to_hit(model: &mut Model, log: &mut LogScreen, forward: bool) {
    let Some(s) = &mut log.search else { return };
    let to = match s.jump(forward, log.size) {
        Jump::Wait => return,
        Jump::To(to) => Some(to),
        Jump::Round(to) => {
            model.say(if forward { "past the end: the first hit" } else { "past the beginning: the last hit" });
            Some(to)
        }
        Jump::More => {
            if s.is_full() {
                s.hits.clear();
                s.next += 1;
            }
            (s.wanted, s.extended) = (true, true);
            return;
        }
        Jump::Nothing if s.current.is_some() => {
            // Beyond the hits that may be held at once there are none: from the beginning again.
            *s = Search::new(s.pattern.clone(), 0);
            return model.say("past the end: the first hit");
        }
        Jump::Nothing => {
            model.say(format!("no line has {}", s.pattern.text));
            None
        }
    };
    (s.jump, s.extended) = (None, false);
    if let Some(to) = to {
        s.current = Some(to);
        log.go(to);
    }
}

/// To the first error of the attempt that is shown, or else of another one of this place.
pub fn to_error(model: &mut Model, log: &mut LogScreen) {
    let Some(doc) = log.errors.take() else { return };
    let here = doc.attempts.iter().find(|a| Some(a.fence) == log.fence && a.first_error.is_some());
    let any = log.choices(&doc).into_iter().rev().find(|a| a.first_error.is_some());
    let found = here.or(any).and_then(|a| Some((a.fence, a.label(), a.first_error.clone()?)));
    log.errors = Some(doc);
    log.to_error = false;
    let Some((fence, label, error)) = found else {
        return model.say("no line of its logs looks like an error, or nothing failed");
    };
    if Some(fence) != log.fence {
        log.show(Some(fence));
        log.chosen = true;
        model.flights.under_way.retain(|lane, _| *lane == Lane::Save);
    }
    if log.filter.take().is_some() {
        log.read_from(Begin::Tail);
    }
    log.hex = None;
    log.error_at = Some(error.offset);
    log.go(error.offset);
    model.say(format!("first error of {label}: {}", error.how));
}
