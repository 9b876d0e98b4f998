//! What the engine is asked: what the screen in front needs and is not there or is old, none of it more often than it is worth.

use super::{beside, content, excerpt};
use crate::console::log::order::Lane;
use crate::console::model::screen::{Kind, PAGE, Part};
use crate::console::model::{Known, Link, Model, word};
use crate::console::msg::Effect;
use crate::console::question::Question;

/// Everything is asked for again; what is known stays until the answers come.
pub fn all_again(model: &mut Model) {
    model.known.values_mut().for_each(|k| (k.old, k.asked_at) = (true, None));
}

/// All that the screen needs, and what that depends on.
pub fn needs(model: &Model) -> Vec<Question> {
    let mut all = model.screen().needs();
    match &model.screen().kind {
        Kind::Promotions => {
            let compares = matches!(model.screen().part, Part::Diff | Part::Cves);
            for id in beside::asked(model).into_iter().map(|r| word::text(r, "promotion")) {
                let all_of_it = model.promotion(&id).and_then(Question::of_promotion);
                // The counts alone are a few bytes: they are there once the cursor rests.
                all.extend(match compares {
                    true => all_of_it,
                    // What was counted once is not dropped while the cursor passes by: its answer never changes.
                    false => all_of_it.and_then(Question::brief).filter(|q| beside::is_at_rest(model) || model.known(q).is_some()),
                });
                all.push(Question::Promotion(id));
            }
        }
        // Reading both contents takes a while: for the page of its own only.
        Kind::Promotion(id) => all.extend(model.promotion(id).and_then(Question::of_promotion)),
        Kind::Content | Kind::Diff(_) | Kind::Mirrors => all.extend(content::needs(model)),
        Kind::Run(_) => all.extend(excerpt::needs(model)),
        Kind::Jobs => all.extend(beside::histories(model)),
        _ => {}
    }
    all
}

/// How long until a question may be asked again; none = now. What changes often is asked a few times a second at most, and what costs the engine
/// much once: the first change after a quiet time is seen at once, and a burst of them as one.
fn held_back(model: &Model, question: &Question, known: &Known) -> Option<jiff::SignedDuration> {
    let gap = match question {
        Question::Rows { what: "pipelines" | "audit" | "versions", .. } | Question::History { .. } => 1_000,
        Question::Changes { .. } | Question::Source { .. } | Question::Repo(_) => 1_000,
        Question::Rows { .. } | Question::Page(_) | Question::About(_) | Question::Attempts(_) | Question::Tail { .. } => 250,
        _ => return None,
    };
    let since = model.now.duration_since(known.asked_at?);
    let left = jiff::SignedDuration::from_millis(gap) - since;
    // A clock that was set back holds nothing up.
    (left.is_positive() && !since.is_negative()).then_some(left)
}

/// How long until something that is held back is to be asked.
pub fn asks_in(model: &Model) -> Option<std::time::Duration> {
    if model.link != Link::Up || model.frozen.is_some() {
        return None;
    }
    let held = |q: &Question| {
        let known = model.known.get(q).filter(|k| k.old && !model.asked.contains(q))?;
        held_back(model, q, known)
    };
    let least = needs(model).iter().filter_map(held).min()?;
    std::time::Duration::try_from(least).ok()
}

/// Answers that are to come, and questions that are held back for a moment. A log that is followed always waits for more, and is none.
pub fn outstanding(model: &Model) -> usize {
    let logs = model.flights.under_way.keys().filter(|lane| **lane != Lane::Follow).count();
    let soon = usize::from(asks_in(model).is_some()) + usize::from(beside::wakes_in(model).is_some());
    model.asked.len() + model.acting + logs + soon + usize::from(model.link == Link::Connecting)
}

/// What the screen needs and is not there, or is old.
pub fn asks(model: &mut Model) -> Vec<Effect> {
    // A saved state answers as an engine would.
    if !matches!(model.link, Link::Up | Link::Saved { .. }) {
        return Vec::new();
    }
    let mut needs = needs(model);
    if model.frozen.is_some() {
        // What was never asked is: another screen may be opened.
        needs.retain(|q| !model.known.contains_key(q));
    }
    // What a dialog was judged by moves while it is open.
    needs.extend(model.dialog.iter().flat_map(|d| d.basis.iter().map(|(q, _)| q.clone())));
    // Runs that a form offers.
    if model.dialog.iter().flat_map(|d| &d.fields).any(|f| matches!(f.rule, crate::api::types::Rule::Run { .. })) {
        needs.push(Question::Rows { what: "runs", limit: PAGE });
    }
    let wanted = |q: &Question, m: &Model| !m.asked.contains(q) && m.known.get(q).is_none_or(|k| k.old && held_back(m, q, k).is_none());
    let mut out = Vec::new();
    for q in needs {
        if wanted(&q, model) {
            model.asked.insert(q.clone());
            let now = model.now;
            if let Some(k) = model.known.get_mut(&q) {
                k.old = false;
                k.asked_at = Some(now);
            }
            out.push(Effect::Ask(q));
        }
    }
    out
}
