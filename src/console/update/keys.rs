//! A key: to the dialog or prompt that is open, else through the keymap to a command.

use super::{commands, dialog, entered, help, page, prompt};
use crate::console::command::{self, Meaning};
use crate::console::keymap::{Code, Found, Key};
use crate::console::model::Model;
use crate::console::msg::Effect;

pub fn press(model: &mut Model, key: Key, repeat: bool) -> Vec<Effect> {
    if model.welcome {
        let leaves = matches!(key.code, Code::Char('q' | 'c' | 'd') | Code::Esc | Code::Enter);
        return if leaves { vec![Effect::Quit] } else { Vec::new() };
    }
    if let Some((_, list)) = model.screen_mut().pane_mut() {
        list.hunt = None;
    }
    if model.dialog.is_some() {
        return dialog::press(model, key, repeat);
    }
    if model.prompt.is_some() {
        let line = if repeat { prompt::held(model, key) } else { prompt::press(model, key) };
        return line.map(|l| entered::line(model, l)).unwrap_or_default();
    }
    if model.help.is_some() {
        help::press(model, key);
        return Vec::new();
    }
    if page::typing(model) && !global(key) {
        page::typed(model, key, false);
        return Vec::new();
    }
    if !model.pressed.is_empty() && key.code == Code::Esc {
        model.pressed.clear();
        return Vec::new();
    }
    model.pressed.push(key);
    let found = match model.keys.look_up(model.screen().scopes(), &model.pressed) {
        Found::Command(id) => Some(id.to_owned()),
        Found::Prefix(_) => return Vec::new(),
        Found::Nothing => None,
    };
    let pressed = std::mem::take(&mut model.pressed);
    match found {
        // Held down, a key moves and changes nothing.
        Some(id) if repeat && matches!(command::find(&id), Some(Meaning::Do(_))) => Vec::new(),
        Some(id) => commands::run(model, &id),
        None => {
            let keys = pressed.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            model.say(format!("{keys} does nothing here; ? shows the keys"));
            Vec::new()
        }
    }
}

/// Keys that are never text: the shell, and a screen that is drawn anew.
fn global(key: Key) -> bool {
    key.ctrl && matches!(key.code, Code::Char('z' | 'l'))
}

/// A key that nobody typed: text for a prompt, and nothing anywhere else.
pub fn burst(model: &mut Model, key: Key) -> Vec<Effect> {
    if model.dialog.is_none() && model.prompt.is_some() {
        return prompt::burst(model, key).map(|l| entered::line(model, l)).unwrap_or_default();
    }
    if model.dialog.is_none() && page::typing(model) {
        page::typed(model, key, true);
        return Vec::new();
    }
    model.pressed.clear();
    // What its first keys began is not meant.
    if model.opening.take().is_some() || model.dialog.as_ref().is_some_and(|d| !d.shown && !d.told) {
        model.dialog = None;
    }
    dialog::burst(model);
    model.complain("keys came faster than anybody types, as a paste does: they were dropped");
    Vec::new()
}
