//! The prompt of one line: commands and filters. Nothing that is typed or pasted here does anything before Enter.

use super::{commands, log_keys};
use crate::console::keymap::{Code, Key};
use crate::console::model::{Model, Prompt, PromptKind};
use crate::console::msg::Effect;
use crate::domain::filter::Filter;

/// Longer is no line that somebody typed.
const MOST: usize = 500;

pub fn open(model: &mut Model, kind: PromptKind) {
    let before = match kind {
        PromptKind::Filter => model.screen().pane().map(|(_, l)| l.filter.clone()).unwrap_or_default(),
        PromptKind::Command => String::new(),
        _ => log_keys::suggestion(model, kind),
    };
    model.prompt = Some(Prompt { kind, text: before.clone(), before, error: None, back: None });
}

/// The palette with the beginning of a line.
pub fn begin(model: &mut Model, text: &str) {
    open(model, PromptKind::Command);
    if let Some(p) = &mut model.prompt {
        text.clone_into(&mut p.text);
    }
}

pub fn press(model: &mut Model, key: Key) -> Vec<Effect> {
    let Some(mut prompt) = model.prompt.take() else { return Vec::new() };
    match (key.code, key.ctrl) {
        (Code::Esc, _) | (Code::Char('c'), true) => {
            apply_filter(model, &prompt, &prompt.before.clone());
            return Vec::new();
        }
        (Code::Enter, _) => return enter(model, prompt),
        // One more on an empty line closes it.
        (Code::Backspace, _) if prompt.text.is_empty() => return Vec::new(),
        (Code::Backspace, _) => {
            prompt.text.pop();
        }
        (Code::Char('u'), true) => prompt.text.clear(),
        (Code::Char('w'), true) => {
            let kept = prompt.text.trim_end().rfind(' ').map_or(0, |i| i + 1);
            prompt.text.truncate(kept);
        }
        (Code::Up, _) if prompt.kind == PromptKind::Command => recall(model, &mut prompt, true),
        (Code::Down, _) if prompt.kind == PromptKind::Command => recall(model, &mut prompt, false),
        (Code::Tab, _) if prompt.kind == PromptKind::Command => complete(&mut prompt),
        (Code::Char(c), false) if prompt.text.len() < MOST && !c.is_control() => prompt.text.push(c),
        _ => {}
    }
    typed(model, prompt);
    Vec::new()
}

/// Keys of a paste without brackets: they are text, and what changes something is not entered by them.
pub fn burst(model: &mut Model, key: Key) -> Vec<Effect> {
    if key.code == Code::Enter
        && let Some(p) = &mut model.prompt
        && p.kind == PromptKind::Command
        && commands::careful(&p.text)
    {
        p.error = Some("that came faster than anybody types: press Enter again".to_owned());
        return Vec::new();
    }
    press(model, key)
}

/// Lines that are kept.
const KEPT: usize = 100;

fn remember(model: &mut Model, line: &str) {
    if line.is_empty() || model.history.last().is_some_and(|l| l == line) {
        return;
    }
    model.history.push(line.to_owned());
    let over = model.history.len().saturating_sub(KEPT);
    model.history.drain(..over);
}

/// One line further back, or forward to the line that was being typed.
fn recall(model: &Model, prompt: &mut Prompt, back: bool) {
    let to = match (prompt.back, back) {
        (None, true) => 0,
        (Some(i), true) => i + 1,
        (Some(0) | None, false) => {
            if prompt.back.take().is_some() {
                prompt.text = std::mem::take(&mut prompt.before);
            }
            return;
        }
        (Some(i), false) => i - 1,
    };
    let Some(line) = model.history.iter().rev().nth(to) else { return };
    if prompt.back.is_none() {
        prompt.before.clone_from(&prompt.text);
    }
    prompt.back = Some(to);
    prompt.text.clone_from(line);
}

/// A paste goes into the prompt, as one line, and nowhere else.
pub fn paste(model: &mut Model, text: &str) {
    let Some(mut prompt) = model.prompt.take() else {
        model.complain("a paste was dropped: nothing here takes text");
        return;
    };
    let line = crate::base::sanitise::cell(text);
    prompt.text.extend(line.chars().take(MOST.saturating_sub(prompt.text.len())));
    typed(model, prompt);
}

fn typed(model: &mut Model, mut prompt: Prompt) {
    prompt.error = None;
    if prompt.kind == PromptKind::Filter {
        let columns = commands::columns(model);
        let names: Vec<&str> = columns.iter().map(String::as_str).collect();
        match Filter::parse(&prompt.text, &names, model.now) {
            Ok(_) => apply_filter(model, &prompt, &prompt.text.clone()),
            Err(e) => prompt.error = Some(e.to_string()),
        }
    }
    model.prompt = Some(prompt);
}

fn apply_filter(model: &mut Model, prompt: &Prompt, text: &str) {
    if prompt.kind == PromptKind::Filter
        && let Some((_, list)) = model.screen_mut().pane_mut()
    {
        text.clone_into(&mut list.filter);
    }
}

fn enter(model: &mut Model, mut prompt: Prompt) -> Vec<Effect> {
    match prompt.kind {
        PromptKind::Filter if prompt.error.is_none() => Vec::new(),
        PromptKind::Filter => {
            model.prompt = Some(prompt);
            Vec::new()
        }
        kind @ (PromptKind::LogSearch | PromptKind::LogFilter | PromptKind::LogTime | PromptKind::LogSave) => {
            match log_keys::entered(model, kind, &prompt.text) {
                Ok(effects) => effects,
                Err(why) => {
                    prompt.error = Some(why);
                    model.prompt = Some(prompt);
                    Vec::new()
                }
            }
        }
        PromptKind::Command => match commands::typed(model, prompt.text.trim()) {
            Ok(effects) => {
                remember(model, prompt.text.trim());
                effects
            }
            Err(why) => {
                prompt.error = Some(why);
                model.prompt = Some(prompt);
                Vec::new()
            }
        },
    }
}

/// The rest of the only name that begins so, or as much as all of them share.
fn complete(prompt: &mut Prompt) {
    let names: Vec<String> = commands::words().filter(|n| n.starts_with(&prompt.text)).collect();
    let Some(first) = names.first() else { return };
    let shared = names.iter().fold(first.len(), |n, name| first.bytes().zip(name.bytes()).take(n).take_while(|(a, b)| a == b).count());
    prompt.text = first[..shared].to_owned();
}
