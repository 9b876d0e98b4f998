//! The keys of a dialog. It begins at cancel; keys count only once it was seen; a key that is held down, or part of a paste, confirms nothing.

use ratatui::layout::Rect;

use super::{batch, open};
use crate::api::types::Do;
use crate::api::types::Rule;
use crate::api::{ApiError, Code as Refusal};
use crate::console::form;
use crate::console::keymap::{Code, Key};
use crate::console::model::dialog::Focus;
use crate::console::model::{Dialog, Mode, Model, word};
use crate::console::msg::Effect;
use crate::console::question::Question;
use crate::console::view::outcome;
use crate::domain::level::Level;

/// Rows of the frame around a box.
const AROUND: u16 = 4;
/// Longer is no value that somebody typed.
const MOST: usize = 500;

pub fn press(model: &mut Model, key: Key, repeat: bool) -> Vec<Effect> {
    let Some(mut dialog) = model.dialog.take() else { return Vec::new() };
    if !dialog.shown {
        // Typed before it could be read.
        model.dialog = Some(dialog);
        model.complain("that was typed before the question was shown: it was dropped");
        return Vec::new();
    }
    let last = last_row(model, &dialog);
    if (dialog.told || dialog.focus == Focus::Cancel && last > 0) && leafed(&mut dialog, key, last) {
        return keep(model, dialog);
    }
    if repeat
        && !matches!(
            (dialog.focus, key.code),
            (Focus::Field(_) | Focus::Name, Code::Char(_) | Code::Backspace | Code::Left | Code::Right | Code::Delete)
        )
    {
        model.dialog = Some(dialog);
        return Vec::new();
    }
    dialog.error = None;
    if dialog.told {
        if matches!(key.code, Code::Enter | Code::Esc | Code::Char('q')) {
            return Vec::new();
        }
        dialog.error = Some("Enter or Esc closes this".to_owned());
        return keep(model, dialog);
    }
    if key.code == Code::Esc || (key.code, key.ctrl) == (Code::Char('c'), true) {
        model.say("nothing was done");
        return Vec::new();
    }
    match dialog.focus {
        Focus::Cancel => at_cancel(model, dialog, key),
        Focus::Field(i) => at_field(model, dialog, key, i),
        Focus::Name => at_name(model, dialog, key),
    }
}

fn keep(model: &mut Model, dialog: Dialog) -> Vec<Effect> {
    model.dialog = Some(dialog);
    Vec::new()
}

fn step(dialog: &mut Dialog, forward: bool) {
    let stops = dialog.stops();
    let at = stops.iter().position(|s| *s == dialog.focus).unwrap_or(0);
    let to = if forward { at + 1 } else { at + stops.len() - 1 };
    dialog.focus = stops.get(to % stops.len()).copied().unwrap_or(Focus::Cancel);
}

/// Tab and the arrows; whether it was one.
fn moved(dialog: &mut Dialog, key: Key) -> bool {
    match key.code {
        Code::Tab | Code::Down => step(dialog, true),
        Code::BackTab | Code::Up => step(dialog, false),
        _ => return false,
    }
    true
}

fn at_cancel(model: &mut Model, mut dialog: Dialog, key: Key) -> Vec<Effect> {
    if moved(&mut dialog, key) {
        return keep(model, dialog);
    }
    match key.code {
        Code::Char('c') => {
            let text = open::command(model, &dialog);
            model.dialog = Some(dialog);
            vec![Effect::Copy(text)]
        }
        Code::Char('e') if dialog.is_form() => {
            // Back to the values; the question comes anew.
            dialog.filling = true;
            dialog.focus = Focus::Field(0);
            keep(model, dialog)
        }
        Code::Char('y') if !key.ctrl && !key.alt && dialog.level <= Level::L1 => confirm(model, dialog),
        Code::Enter | Code::Char('n' | 'q') => {
            model.say("nothing was done");
            Vec::new()
        }
        _ => {
            dialog.error = Some(match dialog.level {
                Level::L0 | Level::L1 => "y does it; Enter or Esc leaves everything as it is".to_owned(),
                _ => format!("Tab goes to where {} must be typed; Enter or Esc leaves everything as it is", dialog.phrase()),
            });
            keep(model, dialog)
        }
    }
}

/// To which row it can be scrolled: through what became of several requests, or what a file would have more or less.
fn last_row(model: &Model, dialog: &Dialog) -> usize {
    if dialog.told {
        let (width, height) = model.size;
        return outcome::measure(dialog, Rect::new(0, 0, width, height.saturating_sub(AROUND))).1;
    }
    dialog.diff.len().saturating_sub(1)
}

/// Whether it was a key that scrolls, which is done. Held down it does, too: it confirms nothing.
fn leafed(dialog: &mut Dialog, key: Key, last: usize) -> bool {
    const PAGE: usize = 8;
    let at = dialog.scroll;
    dialog.scroll = match key.code {
        Code::Down | Code::Char('j') => at + 1,
        Code::Up | Code::Char('k') => at.saturating_sub(1),
        Code::PageDown | Code::Char(' ') => at + PAGE,
        Code::PageUp | Code::Char('b') => at.saturating_sub(PAGE),
        Code::Home | Code::Char('g') => 0,
        Code::End | Code::Char('G') => last,
        _ => return false,
    }
    .min(last);
    true
}

fn edit(text: &mut String, key: Key) {
    match (key.code, key.ctrl) {
        (Code::Backspace, _) => {
            text.pop();
        }
        (Code::Char('u'), true) => text.clear(),
        (Code::Char(c), false) if text.len() < MOST && !key.alt && !c.is_control() => text.push(c),
        _ => {}
    }
}

fn at_field(model: &mut Model, mut dialog: Dialog, key: Key, i: usize) -> Vec<Effect> {
    if key.code == Code::Enter {
        if dialog.filling && i + 1 == dialog.fields.len() {
            return filled(model, dialog);
        }
        step(&mut dialog, true);
    } else if !moved(&mut dialog, key)
        && let Some(f) = dialog.fields.get_mut(i)
    {
        let options = form::options(model, f);
        let typed = if let Code::Char(c) = key.code { Some(c) } else { None };
        let now = || Some(f.text().to_owned());
        let pick = match (key.code, &f.rule) {
            (Code::Left | Code::Right, _) => form::next(&options, f.text(), key.code == Code::Right),
            // Where nothing else can stand, nothing else is typed.
            (Code::Char(' '), Rule::Choice { .. } | Rule::Bool) => form::next(&options, f.text(), true),
            (_, Rule::Choice { .. } | Rule::Bool) => {
                options.iter().find(|o| typed.is_some() && o.chars().next() == typed).cloned().or_else(now)
            }
            _ => None,
        };
        match pick {
            Some(value) => f.line.set(&value),
            None => drop(f.line.press(key)),
        }
    }
    keep(model, dialog)
}

/// The values are there: the question, unless one of them cannot be right.
fn filled(model: &mut Model, mut dialog: Dialog) -> Vec<Effect> {
    if let Some((i, why)) = dialog.fields.iter().enumerate().find_map(|(i, f)| Some((i, form::problem(f)?))) {
        dialog.error = Some(format!("{}: {why}", dialog.fields[i].name));
        dialog.focus = Focus::Field(i);
        return keep(model, dialog);
    }
    dialog.filling = false;
    dialog.focus = Focus::Cancel;
    // Nobody has seen the question yet.
    dialog.since = model.frame + 1;
    dialog.shown = false;
    keep(model, dialog)
}

fn at_name(model: &mut Model, mut dialog: Dialog, key: Key) -> Vec<Effect> {
    if moved(&mut dialog, key) {
        return keep(model, dialog);
    }
    if key.code == Code::Enter {
        if dialog.typed == dialog.phrase() {
            return confirm(model, dialog);
        }
        dialog.error = Some(format!("that is not {}", dialog.phrase()));
    } else {
        edit(&mut dialog.typed, key);
    }
    keep(model, dialog)
}

/// What nobody has typed: no confirmation, and a name that it was part of is forgotten.
pub fn burst(model: &mut Model) {
    if let Some(d) = &mut model.dialog {
        d.typed.clear();
        if !d.filling {
            d.focus = Focus::Cancel;
        }
        d.error = Some("those keys came faster than anybody types: they were dropped".to_owned());
    }
}

/// A paste may fill a field in, and nothing else: the name is typed.
pub fn paste(model: &mut Model, text: &str) {
    let line = crate::base::sanitise::cell(text);
    let Some(d) = &mut model.dialog else { return };
    match d.focus {
        Focus::Field(i) if d.shown => {
            if let Some(f) = d.fields.get_mut(i) {
                f.line.paste(&line);
            }
        }
        _ => d.error = Some("a paste was dropped: a confirmation is typed".to_owned()),
    }
}

/// The one place where a change begins. Everything is looked at once more.
fn confirm(model: &mut Model, mut dialog: Dialog) -> Vec<Effect> {
    if let Some(why) = model.hands_off() {
        model.complain(format!("{}: {why}; nothing was done", dialog.action.title));
        return Vec::new();
    }
    if let Some(f) = dialog.fields.iter().position(|f| f.missing()) {
        dialog.error = Some(format!("{} must be given: {}", dialog.fields[f].name, dialog.fields[f].kind));
        dialog.focus = Focus::Field(f);
        return keep(model, dialog);
    }
    if let Some(order) = dialog.order.take() {
        model.say(format!("{} {}: under way", dialog.action.title, dialog.subject()));
        return vec![Effect::Page(order)];
    }
    let reason = match &model.mode {
        Mode::Armed { reason, .. } => reason.clone(),
        Mode::ReadOnly => return Vec::new(),
    };
    let request = |target: &String| {
        Effect::Do(Box::new(Do {
            action: dialog.action.id.to_owned(),
            target: target.clone(),
            with: dialog.arguments(),
            reason: reason.clone(),
            confirm: (dialog.level >= Level::L2).then(|| match target.as_str() {
                _ if !dialog.word.is_empty() => dialog.word.clone(),
                "" => "engine".to_owned(),
                name => name.to_owned(),
            }),
            console: true,
            basis: basis(&dialog, target),
            ..Do::default()
        }))
    };
    let effects = dialog.targets.iter().map(request).collect();
    batch::begin(model, &dialog);
    model.say(format!("{} {}: asked", dialog.action.title, dialog.subject()));
    // A value that the engine does not take is given back to the form.
    model.sent = (!dialog.fields.is_empty()).then_some(dialog);
    effects
}

/// The engine's token of what was looked at; it refuses where that has moved in between.
fn basis(dialog: &Dialog, target: &str) -> Option<String> {
    let of = |q: &Question| match q {
        Question::Run(run) => run.to_string() == target,
        Question::Plan(name) => name == target,
        _ => false,
    };
    dialog.basis.iter().find(|(q, b)| of(q) && !b.is_empty()).map(|(_, b)| b.clone())
}

/// What became of a request. A form whose values were refused comes back with the engine's own words.
pub fn done(model: &mut Model, request: &Do, error: Option<&ApiError>) -> bool {
    let mine = |d: &mut Dialog| d.action.id == request.action && d.targets == [request.target.clone()];
    let Some(mut dialog) = model.sent.take_if(mine) else { return false };
    let Some(e) = error.filter(|e| e.code == Refusal::BadInput) else { return false };
    if model.dialog.is_some() || model.hands_off().is_some() {
        return false;
    }
    dialog.error = Some(word::cured(e));
    dialog.filling = dialog.is_form();
    dialog.focus = Focus::Field(0);
    dialog.typed.clear();
    dialog.since = model.frame + 1;
    dialog.shown = false;
    model.dialog = Some(dialog);
    true
}
