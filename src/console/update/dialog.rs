//! Asking before a change. The object is fixed when the key is pressed; keys count only once the dialog was seen; a repeated key never
//! confirms.

use indexmap::IndexMap;

use super::commands;
use crate::action::{Action, Target};
use crate::api::types::Do;
use crate::console::keymap::{Code, Key};
use crate::console::model::screen::{Kind, PAGE};
use crate::console::model::{Dialog, Model};
use crate::console::msg::Effect;
use crate::console::question::Question;
use crate::console::view::word;
use crate::domain::level::Level;

pub fn open(model: &mut Model, action: &'static Action) {
    if let Some(why) = model.hands_off() {
        return model.complain(format!("{}: {why}", action.title));
    }
    let target = match target(model, action) {
        Ok(t) => t,
        Err(why) => return model.complain(format!("{}: {why}", action.title)),
    };
    let level = level(model, action, &target);
    let facts = vec![
        ("touches".to_owned(), touches(action, &target)),
        ("does".to_owned(), action.doc.to_owned()),
        ("command".to_owned(), action.usage.to_owned()),
    ];
    model.dialog = Some(Dialog { action, target, level, facts, typed: String::new(), since: model.frame + 1, shown: false, error: None });
}

/// What the action would be done to.
fn target(model: &Model, action: &Action) -> Result<String, String> {
    let what = model.screen().pane().map(|(p, _)| p.what);
    let id = commands::current(model);
    let no_row = || "there is no row under the cursor".to_owned();
    match (action.target, what, id) {
        (Target::Engine, ..) => Ok(String::new()),
        (Target::Pipeline, Some("pipelines"), Some(id)) => Ok(id),
        (Target::Pipeline, _, Some(id)) if id.contains('#') => Ok(id.rsplit_once('#').map_or(id.clone(), |(p, _)| p.to_owned())),
        (Target::Run, Some("pipelines"), Some(id)) => {
            let rows = model.rows(&Question::Rows { what: "pipelines", limit: PAGE });
            let last = rows.and_then(|r| r.rows.iter().find(|r| word::text(r, "pipeline") == id)).map(|r| word::text(r, "last_run"));
            last.filter(|l| !l.is_empty()).ok_or_else(|| format!("`{id}` has no run"))
        }
        (Target::Run, _, Some(id)) if id.contains('#') || matches!(model.screen().kind, Kind::Run(_)) => Ok(id),
        (Target::Secret, ..) => Err("the command line does that: quarterdeck secret set NAME".into()),
        (_, _, None) => Err(no_row()),
        (_, _, Some(id)) => Err(format!("`{id}` is nothing that it could be done to")),
    }
}

/// As far as the console knows; the engine has the last word.
fn level(model: &Model, action: &Action, target: &str) -> Level {
    let pipeline = target.rsplit_once('#').map_or(target, |(p, _)| p);
    let rows = model.rows(&Question::Rows { what: "pipelines", limit: PAGE });
    let danger = rows.and_then(|r| r.rows.iter().find(|r| word::text(r, "pipeline") == pipeline)).map(|r| word::text(r, "danger"));
    let danger = danger.and_then(|d| serde_json::from_value(serde_json::Value::String(d)).ok()).unwrap_or(Level::L1);
    if action.runs() { action.level.max(danger) } else { action.level }
}

fn touches(action: &Action, target: &str) -> String {
    match action.target {
        Target::Engine => "the engine as a whole".to_owned(),
        Target::Pipeline => format!("one new run of {target}"),
        Target::Run | Target::Secret => target.to_owned(),
    }
}

pub fn press(model: &mut Model, key: Key, repeat: bool) -> Vec<Effect> {
    let Some(mut dialog) = model.dialog.take() else { return Vec::new() };
    if !dialog.shown || repeat {
        // Typed before it could be read, or held down: not meant for it.
        model.dialog = Some(dialog);
        return Vec::new();
    }
    if dialog.level <= Level::L1 {
        if key == Key::char('y') {
            return vec![go(model, &dialog)];
        }
        model.say("nothing was done");
        return Vec::new();
    }
    match (key.code, key.ctrl) {
        (Code::Esc, _) | (Code::Char('c'), true) => {
            model.say("nothing was done");
            return Vec::new();
        }
        (Code::Enter, _) if dialog.typed == dialog.target => return vec![go(model, &dialog)],
        (Code::Enter, _) => dialog.error = Some(format!("that is not {}", dialog.target)),
        (Code::Backspace, _) => {
            dialog.typed.pop();
        }
        (Code::Char(c), false) if dialog.typed.len() < 200 => dialog.typed.push(c),
        _ => {}
    }
    model.dialog = Some(dialog);
    Vec::new()
}

fn go(model: &Model, dialog: &Dialog) -> Effect {
    let reason = match &model.mode {
        crate::console::model::Mode::Armed { reason, .. } => reason.clone(),
        crate::console::model::Mode::ReadOnly => String::new(),
    };
    Effect::Do(Box::new(Do {
        action: dialog.action.id.to_owned(),
        target: dialog.target.clone(),
        with: IndexMap::new(),
        reason,
        confirm: (dialog.level >= Level::L2).then(|| dialog.typed.clone()),
        key: None,
        value: None,
    }))
}
