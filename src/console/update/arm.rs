//! Arming and disarming: what is typed, what the engine answers, and what ends it.

use crate::api::ApiError;
use crate::api::types::{Arm, Armed, Done};
use crate::base::duration::Span;
use crate::console::model::{Link, Mode, Model, word};
use crate::console::msg::Effect;

const MOST_S: u64 = 60 * 60;

/// `:arm 15m REASON`.
pub fn arm(model: &Model, rest: &str) -> Result<Vec<Effect>, String> {
    if model.never_armed {
        return Err("this console was opened read-only: open another one to arm it".into());
    }
    if model.link != Link::Up {
        return Err(model.hands_off().unwrap_or_else(|| "there is no engine to arm it".into()));
    }
    if let Some(why) = model.newer_engine() {
        return Err(why);
    }
    let (length, reason) = rest.split_once(' ').map_or((rest, ""), |(l, r)| (l, r.trim()));
    let span: Span = length.parse().map_err(|_| "write it as :arm 15m REASON".to_owned())?;
    let seconds = span.ms() / 1_000;
    if seconds == 0 || seconds > MOST_S {
        return Err(format!("`{length}` is not 1s to 60m: arm again when it is over"));
    }
    if reason.is_empty() {
        return Err("say why: :arm 15m REASON".into());
    }
    Ok(vec![Effect::Arm(Arm { seconds, reason: reason.to_owned() })])
}

pub fn disarm(model: &mut Model) -> Vec<Effect> {
    if !matches!(model.mode, Mode::Armed { .. }) {
        model.say("it is read-only already");
        return Vec::new();
    }
    // Read-only at once, whatever the engine says to it.
    read_only(model);
    vec![Effect::Disarm]
}

pub fn armed(model: &mut Model, result: Result<Armed, ApiError>) {
    let armed = match result {
        Ok(a) => a,
        Err(e) => return model.complain(format!("not armed: {}", word::cured(&e))),
    };
    let Ok(until) = armed.until.parse() else { return model.complain("not armed: the engine's answer names no time") };
    model.say(format!("armed: {}. Capitals ask before they change anything; :disarm ends it", armed.reason));
    model.mode = Mode::Armed { until, reason: armed.reason, lease: armed.lease };
}

pub fn disarmed(model: &mut Model, result: Result<Done, ApiError>) {
    match result {
        Ok(done) => model.say(done.message),
        Err(e) => model.complain(word::cured(&e)),
    }
}

/// What the engine says about who is armed holds for this console too.
pub fn agree(model: &mut Model) {
    let Mode::Armed { lease, .. } = model.mode else { return };
    if model.status().is_some_and(|s| s.armed.iter().all(|a| a.lease != lease)) {
        read_only(model);
        model.complain("no longer armed: the engine has ended it");
    }
}

/// Whatever ends it closes what it allowed.
pub fn read_only(model: &mut Model) {
    model.mode = Mode::ReadOnly;
    model.dialog.take_if(|d| !d.told);
    model.opening = None;
}
