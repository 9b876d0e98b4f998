//! Entries of the audit chain about what people ask: what was done, and what was refused.

use super::guard::Caller;
use super::state::Engine;
use crate::action::Action;
use crate::api::{ApiError, Code};
use crate::base::sanitise;
use crate::domain::audit::Record;
use crate::store::Note;

/// Subject of what is about the engine as a whole.
pub const ENGINE: &str = "engine";

pub fn record(caller: &Caller, action: &Action, subject: &str, reason: &str, result: String, single_person: bool) -> Record {
    let subject: String = if subject.is_empty() { ENGINE.into() } else { sanitise::cell(subject).chars().take(200).collect() };
    Record { who: caller.actor.clone(), action: action.id.to_owned(), subject, reason: reason.to_owned(), result, single_person }
}

/// A refusal is in the audit chain before anybody hears of it; one that cannot be written there is told as that.
pub async fn told(engine: &Engine, caller: &Caller, action: &Action, target: &str, reason: &str, e: ApiError) -> ApiError {
    if e.code != Code::Refused {
        return e;
    }
    let record = record(caller, action, target, reason, format!("refused: {}", e.message), false);
    match engine.store.audit(Note { at_us: engine.now_us(), record, decision: None }).await {
        Ok(_) => e,
        // The disk that is full is what it says already.
        Err(broken) if broken.to_string() == e.message => e,
        // A refusal stays one, whoever hears of it.
        Err(broken) => ApiError { message: format!("{e}; and that could not be recorded: {broken}"), ..e },
    }
}
