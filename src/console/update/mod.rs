//! The only code that changes the model: a message in, effects out. Pure: no clock, no terminal, no engine.

#[cfg(test)]
mod any_tests;
mod arm;
mod batch;
pub mod beside;
mod commands;
mod complete;
pub mod content;
mod contents;
mod dialog;
pub mod excerpt;
mod facts;
mod follow;
pub mod help;
mod idle;
mod keys;
mod lists;
pub mod log;
mod log_keys;
mod open;
mod own;
pub mod page;
mod page_save;
#[cfg(test)]
mod page_tests;
mod pages;
mod pointer;
pub mod promotions;
mod prompt;
mod run_keys;
mod saved_views;
mod travel;

use super::keyfile::Report;
use super::keymap::Keymap;
use super::log::order::Lane;
use super::model::screen::{Kind, Part};
use super::model::{Known, Link, Mode, Model, word};
use super::msg::{Effect, LinkMsg, Msg};
use super::question::{Answer, Question};
use crate::api::ApiError;
use crate::api::types::{Do, Done, Status};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod view_tests;

pub use facts::{Fact, ack_of, facts, looked_at};
pub use idle::idle;
pub use lists::tabs;
pub use open::{command as command_of, waits_for_people, why_not};

/// A promotion on the screen is asked for again after this.
const AGAIN_S: i64 = 60;
/// How the engine's sources answer is asked for again after this, whatever else happens.
const SOURCES_S: i64 = 300;
/// Notices go after this.
const NOTICE_S: i64 = 20;

/// Takes one message in.
pub fn update(model: &mut Model, msg: Msg) -> Vec<Effect> {
    let mut effects = match msg {
        Msg::Key { key, repeat } => keys::press(model, key, repeat),
        Msg::Burst(key) => keys::burst(model, key),
        Msg::Paste(text) => {
            if model.dialog.is_some() {
                dialog::paste(model, &text);
            } else if model.prompt.is_some() || !page::paste(model, &text) {
                prompt::paste(model, &text);
            }
            Vec::new()
        }
        Msg::Resize { width, height } => {
            model.size = (width, height);
            Vec::new()
        }
        Msg::Click(hit) => {
            pointer::click(model, hit);
            Vec::new()
        }
        Msg::Wheel { down } => pointer::wheel(model, down),
        Msg::Tick(now) => {
            tick(model, now);
            Vec::new()
        }
        Msg::Shown(frame) => {
            if let Some(d) = &mut model.dialog
                && frame >= d.since
            {
                d.shown = true;
            }
            Vec::new()
        }
        Msg::Link(link) => {
            on_link(model, link);
            Vec::new()
        }
        Msg::Answer { question, result } => {
            model.asked.remove(&question);
            let now = model.now;
            if let Ok(Answer::Status(new)) = &result {
                said_by(model, new);
            }
            let pane = model.screen().kind.panes().iter().find(|p| model.question_of(p) == question).copied();
            let known = model.known.entry(question.clone()).or_default();
            match result {
                Ok(answer) => {
                    let changed = lists::changed(pane, known, &answer);
                    let version = known.version + 1;
                    let asked_at = known.asked_at.or(Some(now));
                    *known = Known { answer: Some(answer), at: Some(now), asked_at, error: None, old: false, version, changed };
                }
                Err(e) => {
                    known.error = Some(e);
                    known.old = false;
                }
            }
            open::answered(model, &question);
            if question == Question::Status {
                arm::agree(model);
            }
            Vec::new()
        }
        Msg::Armed(result) => {
            model.acting = model.acting.saturating_sub(1);
            arm::armed(model, result);
            Vec::new()
        }
        Msg::Disarmed(result) => {
            model.acting = model.acting.saturating_sub(1);
            arm::disarmed(model, result);
            Vec::new()
        }
        Msg::Done { request, result } => {
            model.acting = model.acting.saturating_sub(1);
            done(model, &request, result);
            Vec::new()
        }
        Msg::Log(told) => {
            log::told(model, *told);
            Vec::new()
        }
        Msg::Page(told) => page::told(model, *told),
    };
    // What is under the cursor is known before what it needs is asked.
    lists::settle(model);
    excerpt::forget(model);
    effects.extend(asks(model));
    effects.extend(log::orders(model));
    effects.extend(page::orders(model));
    model.acting += effects.iter().filter(|e| matches!(e, Effect::Do(_) | Effect::Arm(_) | Effect::Disarm)).count();
    batch::show(model);
    model.frame += 1;
    effects
}

fn tick(model: &mut Model, now: jiff::Timestamp) {
    model.now = now;
    if model.notice.as_ref().is_some_and(|n| now.duration_since(n.at).as_secs() >= NOTICE_S) {
        model.notice = None;
    }
    if let Mode::Armed { until, .. } = &model.mode
        && *until <= now
    {
        arm::read_only(model);
        model.say("no longer armed: the time is over");
    }
    // That a far end has not answered for long is told by nobody.
    let any = model.status().is_some_and(|s| !s.sources.is_empty());
    if let Some(k) = model.known.get_mut(&Question::Status).filter(|k| any && k.error.is_none()) {
        k.old |= k.at.is_some_and(|at| now.duration_since(at).as_secs() >= SOURCES_S);
    }
    excerpt::grow_old(model);
    // Ages and gates move by themselves, and nobody tells: what is looked at is computed again.
    let shown: Vec<Question> = needs(model).into_iter().filter(|q| matches!(q, Question::Promotion(_))).collect();
    for q in shown {
        if let Some(k) = model.known.get_mut(&q).filter(|k| k.error.is_none()) {
            k.old |= k.at.is_some_and(|at| now.duration_since(at).as_secs() >= AGAIN_S);
        }
    }
}

fn on_link(model: &mut Model, link: LinkMsg) {
    match link {
        LinkMsg::Up => {
            if matches!(model.link, Link::Down { .. }) {
                model.say("connected again");
            }
            model.link = Link::Up;
            log::link_changed(model);
            forget(model);
        }
        LinkMsg::Down(why) => {
            if !matches!(model.link, Link::Down { .. }) {
                if let Mode::Armed { lease, .. } = model.mode {
                    // What the engine said last of who is armed stands, but for this console itself.
                    if let Some(Answer::Status(s)) = model.known.get_mut(&Question::Status).and_then(|k| k.answer.as_mut()) {
                        s.armed.retain(|a| a.lease != lease);
                    }
                    model.complain("the connection is gone, and the arming with it");
                }
                arm::read_only(model);
                model.sent = None;
            }
            // How the last try ended says more than how the connection did: `no engine listens`.
            let since = if let Link::Down { since, .. } = model.link { since } else { model.now };
            model.link = Link::Down { since, why };
            model.asked.clear();
            log::link_changed(model);
        }
        LinkMsg::Changed(tables) => {
            for (question, known) in &mut model.known {
                known.old |= tables.iter().any(|(t, ids)| ids.iter().any(|id| question.touched_by(t, id)));
            }
        }
        LinkMsg::Reset => forget(model),
    }
}

/// The first word of an engine that is not the one before.
fn said_by(model: &mut Model, new: &Status) {
    let Some(old) = model.status().filter(|old| old.epoch != new.epoch) else { return };
    let other = if old.version == new.version { String::new() } else { format!(", now version {}", new.version) };
    let text = format!("the engine was restarted (pid {}, before {}){other}; all is asked again", new.pid, old.pid);
    model.say(text);
}

/// The files of keys were read again. Where one of them has an error, the keys of before stay, all of them.
pub fn keys_changed(model: &mut Model, keys: Keymap, reports: Vec<Report>) {
    if let Some(broken) = reports.iter().find(|r| r.error) {
        if reports != model.key_reports {
            model.complain(format!("keys: {broken}; the keys of before stay"));
        }
        model.key_reports = reports;
        return;
    }
    if keys != model.keys {
        model.keys = keys;
        model.pressed.clear();
        let odd = reports.first().map(|r| format!("; {r}")).unwrap_or_default();
        model.say(format!("the keys were read again{odd}"));
    } else if model.key_reports.iter().any(|r| r.error) {
        model.say("the keys were read again");
    }
    model.key_reports = reports;
    lists::settle(model);
}

/// An error and its cure, on one line.
fn words(e: &ApiError) -> String {
    if e.help.is_empty() { e.to_string() } else { format!("{e}. {}", e.help) }
}

/// Everything is asked for again; what is known stays until the answers come.
fn forget(model: &mut Model) {
    model.known.values_mut().for_each(|k| (k.old, k.asked_at) = (true, None));
}

fn done(model: &mut Model, request: &Do, result: Result<Done, ApiError>) {
    if dialog::done(model, request, result.as_ref().err()) {
        return;
    }
    if batch::done(model, request, &result) {
        return forget(model);
    }
    match result {
        Ok(done) => model.say(done.message),
        Err(e) => model.complain(format!("{}: {}", request.action, words(&e))),
    }
    forget(model);
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
fn asks(model: &mut Model) -> Vec<Effect> {
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
        needs.push(Question::Rows { what: "runs", limit: super::model::screen::PAGE });
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
