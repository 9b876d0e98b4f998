//! The only code that changes the model: a message in, effects out. Pure: no clock, no terminal, no engine.

#[cfg(test)]
mod any_tests;
mod arm;
mod asks;
mod batch;
pub mod beside;
mod commands;
mod complete;
pub mod content;
mod contents;
mod dialog;
mod entered;
pub mod excerpt;
pub mod facts;
mod follow;
mod forbidden;
pub mod help;
pub mod idle;
mod keys;
pub mod lists;
pub mod log;
mod log_jump;
mod log_keys;
pub mod open;
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
mod settle;
mod subject;
mod travel;

use super::keyfile::Report;
use super::keymap::Keymap;
use super::model::{Known, Link, Mode, Model, word};
use super::msg::{Effect, LinkMsg, Msg};
use super::question::{Answer, Question};
use crate::api::ApiError;
use crate::api::types::{Do, Done, Status};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod view_tests;

pub use asks::{asks_in, needs, outstanding};

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
            answered(model, question, result);
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
    settle::settle(model);
    excerpt::forget(model);
    effects.extend(asks::asks(model));
    effects.extend(log::orders(model));
    effects.extend(page::orders(model));
    model.acting += effects.iter().filter(|e| matches!(e, Effect::Do(_) | Effect::Arm(_) | Effect::Disarm)).count();
    batch::show(model);
    model.frame += 1;
    effects
}

fn answered(model: &mut Model, question: Question, result: Result<Answer, ApiError>) {
    model.asked.remove(&question);
    let now = model.now;
    if let Ok(Answer::Status(new)) = &result {
        said_by(model, new);
    }
    let pane = model.screen().kind.panes().iter().find(|p| model.question_of(p) == question).copied();
    let known = model.known.entry(question.clone()).or_default();
    match result {
        Ok(answer) => {
            let changed = settle::changed(pane, known, &answer);
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
    let shown: Vec<Question> = asks::needs(model).into_iter().filter(|q| matches!(q, Question::Promotion(_))).collect();
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
            asks::all_again(model);
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
        LinkMsg::Reset => asks::all_again(model),
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
    settle::settle(model);
}

fn done(model: &mut Model, request: &Do, result: Result<Done, ApiError>) {
    if dialog::done(model, request, result.as_ref().err()) {
        return;
    }
    if batch::done(model, request, &result) {
        return asks::all_again(model);
    }
    match result {
        Ok(done) => model.say(done.message),
        // Most reasons begin with what was refused.
        Err(e) if crate::action::find(&request.action).is_some_and(|a| e.message.starts_with(a.title)) => model.complain(word::cured(&e)),
        Err(e) => model.complain(format!("{}: {}", request.action, word::cured(&e))),
    }
    asks::all_again(model);
}
