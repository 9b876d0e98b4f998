//! The prompt of one line: commands, filters, what is searched for. Nothing that is typed or pasted here does anything before Enter, which hands
//! the line over.

use super::complete::{self, offers};
use super::lists;
use crate::console::edit::Line;
use crate::console::keymap::{Code, Key};
use crate::console::model::{Model, Prompt, PromptKind};
use crate::domain::filter::{Filter, FilterError};

/// Lines of each kind that are kept.
const KEPT: usize = 100;

/// A prompt of this kind that begins with `text`.
pub fn open(model: &mut Model, kind: PromptKind, text: &str) {
    model.prompt = Some(Prompt::new(kind, text));
}

/// The palette with the beginning of a line.
pub fn begin(model: &mut Model, text: &str) {
    open(model, PromptKind::Command, "");
    if let Some(p) = &mut model.prompt {
        p.line = Line::from(text);
    }
}

/// One key. The prompt whose line is entered by it is the answer; it is closed then.
pub fn press(model: &mut Model, key: Key) -> Option<Prompt> {
    let mut prompt = model.prompt.take()?;
    match (key.code, key.ctrl) {
        (Code::Esc, _) | (Code::Char('c'), true) => {
            apply_filter(model, &prompt, &prompt.before.clone());
            return None;
        }
        (Code::Enter, _) => return enter(model, prompt),
        // One more on an empty line closes it.
        (Code::Backspace, _) if prompt.line.is_empty() => return None,
        (Code::Up, _) => recall(model, &mut prompt, true),
        (Code::Down, _) => recall(model, &mut prompt, false),
        (Code::Tab, _) => complete(model, &mut prompt, true),
        (Code::BackTab, _) => complete(model, &mut prompt, false),
        _ => {
            prompt.line.press(key);
            prompt.offer = None;
        }
    }
    typed(model, prompt);
    None
}

/// Keys of a paste without brackets: they are text, and what changes something is not entered by them.
pub fn burst(model: &mut Model, key: Key) -> Option<Prompt> {
    unless_careful(model, key, "that came faster than anybody types: press Enter again")
}

/// A key that is held down enters nothing of the kind either.
pub fn held(model: &mut Model, key: Key) -> Option<Prompt> {
    unless_careful(model, key, "that was Enter held down: press it once more")
}

fn unless_careful(model: &mut Model, key: Key, why: &str) -> Option<Prompt> {
    if key.code == Code::Enter
        && let Some(p) = &mut model.prompt
        && p.kind == PromptKind::Command
        && careful(p.line.text())
    {
        p.error = Some(why.to_owned());
        return None;
    }
    press(model, key)
}

/// Whether a line of the palette arms, or begins a change.
fn careful(line: &str) -> bool {
    let word = line.trim().split(' ').next().unwrap_or_default();
    matches!(word, "arm" | "ack" | "unack") || word.starts_with("do-")
}

/// What was entered before, by kind; the log screen's prompts begin with what was meant last, and keep no list.
fn history(model: &mut Model, kind: PromptKind) -> Option<&mut Vec<String>> {
    match kind {
        PromptKind::Command => Some(&mut model.history),
        PromptKind::Filter => Some(&mut model.filters),
        _ => None,
    }
}

/// Keeps a line that was taken.
pub fn remember(model: &mut Model, kind: PromptKind, line: &str) {
    let Some(all) = history(model, kind) else { return };
    if line.is_empty() || all.last().is_some_and(|l| l == line) {
        return;
    }
    all.push(line.to_owned());
    let over = all.len().saturating_sub(KEPT);
    all.drain(..over);
}

/// One line further back, or forward to the line that was being typed.
fn recall(model: &mut Model, prompt: &mut Prompt, back: bool) {
    let Some(all) = history(model, prompt.kind) else { return };
    prompt.offer = None;
    let to = match (prompt.back, back) {
        (None, true) => 0,
        (Some(i), true) => i + 1,
        (Some(0) | None, false) => {
            if prompt.back.take().is_some() {
                prompt.line.set(&std::mem::take(&mut prompt.typed));
            }
            return;
        }
        (Some(i), false) => i - 1,
    };
    let Some(line) = all.iter().rev().nth(to) else { return };
    if prompt.back.is_none() {
        prompt.line.text().clone_into(&mut prompt.typed);
    }
    prompt.back = Some(to);
    prompt.line.set(line);
}

/// A paste goes into the prompt, as one line, and nowhere else.
pub fn paste(model: &mut Model, text: &str) {
    let Some(mut prompt) = model.prompt.take() else {
        model.complain("a paste was dropped: nothing here takes text");
        return;
    };
    prompt.line.paste(text);
    prompt.offer = None;
    typed(model, prompt);
}

fn typed(model: &mut Model, mut prompt: Prompt) {
    prompt.error = None;
    if prompt.offer.is_none() {
        let before = prompt.line.halves().0.to_owned();
        prompt.offers = offers(model, prompt.kind, &before).1;
    }
    if prompt.kind == PromptKind::Filter {
        let (text, before) = (prompt.line.text(), prompt.line.halves().0.chars().count());
        match unreadable(model, text) {
            None => apply_filter(model, &prompt, text),
            Some(e) => {
                let (from, to) = word_at(text, before);
                // What is half typed is no slip yet, and filters nothing. It is one once a blank or Enter follows.
                let half = (from..=to).contains(&(e.position - 1)).then(|| without(text, from, to));
                match half {
                    Some(rest) if unreadable(model, &rest).is_none() => apply_filter(model, &prompt, &rest),
                    Some(_) => {}
                    None => prompt.error = Some(e.to_string()),
                }
            }
        }
    }
    model.prompt = Some(prompt);
}

/// Why a text is no filter for the list in front.
fn unreadable(model: &Model, text: &str) -> Option<FilterError> {
    let columns = lists::columns(model);
    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    Filter::parse(text, &names, model.now).err()
}

/// Begin and end of the word that the cursor stands in, or at the end of, in characters; without a word there, nothing.
fn word_at(text: &str, cursor: usize) -> (usize, usize) {
    let (mut from, mut quoted) = (0, false);
    for (at, c) in text.chars().enumerate() {
        quoted ^= c == '"';
        if c.is_whitespace() && !quoted {
            if at >= cursor {
                return (from, at);
            }
            from = at + 1;
        }
    }
    (from, text.chars().count())
}

fn without(text: &str, from: usize, to: usize) -> String {
    text.chars().enumerate().filter(|(at, _)| !(from..to).contains(at)).map(|(_, c)| c).collect()
}

fn apply_filter(model: &mut Model, prompt: &Prompt, text: &str) {
    if prompt.kind == PromptKind::Filter
        && let Some((_, list)) = model.screen_mut().pane_mut()
    {
        text.clone_into(&mut list.filter);
    }
}

/// A filter that cannot be read is not entered.
fn enter(model: &mut Model, mut prompt: Prompt) -> Option<Prompt> {
    let wrong = if prompt.kind == PromptKind::Filter { unreadable(model, prompt.line.text()) } else { None };
    let Some(e) = wrong else { return Some(prompt) };
    prompt.error = Some(e.to_string());
    model.prompt = Some(prompt);
    None
}

/// As much as all that may be meant begin with; then one after the other.
fn complete(model: &Model, prompt: &mut Prompt, forward: bool) {
    if let Some(at) = prompt.offer {
        let n = prompt.offers.len().max(1);
        let next = if forward { at + 1 } else { at + n - 1 } % n;
        let (old, new) = (prompt.offers.get(at).map_or(0, |o| o.text.chars().count()), prompt.offers.get(next).cloned());
        if let Some(new) = new {
            prompt.line.replace_before(old, &new.text);
            prompt.offer = Some(next);
        }
        return;
    }
    let before = prompt.line.halves().0.to_owned();
    let (begun, all) = offers(model, prompt.kind, &before);
    let shared = complete::shared(&all).to_owned();
    if all.is_empty() {
        return;
    }
    let word: String = before.chars().skip(before.chars().count() - begun).collect();
    if shared.chars().count() > begun && shared.starts_with(&word) {
        prompt.line.replace_before(begun, &shared);
        return;
    }
    let at = if forward { 0 } else { all.len() - 1 };
    prompt.line.replace_before(begun, &all[at].text);
    (prompt.offers, prompt.offer) = (all, Some(at));
}
