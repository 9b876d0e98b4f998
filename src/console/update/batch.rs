//! Several requests of one dialog: each has its own answer, and a person sees all of them at once. Where all was done, a line says so; where
//! something was not, a box names every object with what became of it, and stays until it is closed. What was done is marked no longer.

use crate::api::types::{Do, Done};
use crate::api::{ApiError, Code};
use crate::console::model::{Batch, Dialog, Model, word};
use crate::console::msg::NOTHING_DONE;
use crate::domain::level::Level;

/// The requests of this dialog are sent.
pub fn begin(model: &mut Model, dialog: &Dialog) {
    if dialog.targets.len() > 1 {
        model.batches.push(Batch { action: dialog.action, told: dialog.targets.iter().map(|t| (t.clone(), None)).collect() });
    }
}

/// What became of one of them; false where it is none of a batch.
pub fn done(model: &mut Model, request: &Do, result: &Result<Done, ApiError>) -> bool {
    let open = |b: &&mut Batch| b.action.id == request.action;
    let of = |b: &'_ mut Batch| b.told.iter().position(|(target, told)| *target == request.target && told.is_none());
    let Some((batch, at)) = model.batches.iter_mut().filter(|b| open(b)).find_map(|b| of(b).map(|at| (b, at))) else { return false };
    batch.told[at].1 = Some(result.as_ref().map(drop).map_err(Clone::clone));
    let (answered, all) = (batch.told.iter().filter(|(_, told)| told.is_some()).count(), batch.told.len());
    let title = batch.action.title;
    if result.is_ok() {
        for list in model.stack.iter_mut().flat_map(|s| &mut s.lists) {
            list.marks.remove(&request.target);
        }
    }
    model.say(format!("{title}: {answered} of {all} answered"));
    true
}

/// What is over is told, unless a person is asked or types something just now.
pub fn show(model: &mut Model) {
    if model.dialog.is_some() || model.opening.is_some() || model.prompt.is_some() {
        return;
    }
    let over = |b: &Batch| b.told.iter().all(|(_, told)| told.is_some());
    let Some(at) = model.batches.iter().position(over) else { return };
    let batch = model.batches.remove(at);
    let names = |of: Vec<&String>| of.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let good: Vec<&String> = batch.told.iter().filter(|(_, told)| matches!(told, Some(Ok(())))).map(|(t, _)| t).collect();
    let title = batch.action.title;
    if good.len() == batch.told.len() {
        return model.say(format!("{title}: all {} done: {}", good.len(), names(good)));
    }
    let mut facts: Vec<(String, String)> = Vec::new();
    for (target, told) in &batch.told {
        let Some(Err(e)) = told else { continue };
        // What the engine says often names it; a list without the name would not do.
        let text = if e.message.contains(target.as_str()) { word::cured(e) } else { format!("{target}: {}", word::cured(e)) };
        facts.push((outcome(e).to_owned(), text));
    }
    const WORDS: [&str; 3] = ["refused", "unknown", "not sent"];
    facts.sort_by_key(|(label, _)| WORDS.iter().position(|w| w == label));
    let counts = WORDS.iter().map(|w| (facts.iter().filter(|(label, _)| label == w).count(), w)).filter(|(n, _)| *n > 0);
    let counts: String = counts.map(|(n, w)| format!(", {n} {w}")).collect();
    facts.insert(0, ("outcome".to_owned(), format!("{} of {} done{counts}", good.len(), batch.told.len())));
    if !good.is_empty() {
        facts.push(("done".to_owned(), names(good)));
    }
    let marked = batch.told.iter().filter(|(_, told)| matches!(told, Some(Err(_)))).map(|(t, _)| t.clone()).collect();
    model.notice = None;
    // It tells and asks nothing, whatever its action's level.
    let dialog = Dialog::about(batch.action, marked, model.frame);
    model.dialog = Some(Dialog { level: Level::L1, facts, told: true, ..dialog });
}

/// In one word.
fn outcome(e: &ApiError) -> &'static str {
    match e.code {
        Code::NoEngine if e.message.contains(NOTHING_DONE) => "not sent",
        Code::NoEngine => "unknown",
        Code::Failed | Code::BadInput | Code::Refused => "refused",
    }
}
