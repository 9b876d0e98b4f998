//! Saving a pipeline: what must be true before anybody is asked, and the question, with what it changes.

use crate::action::{Action, Target};
use crate::base::count;
use crate::console::edit::{Ask, Order, diff};
use crate::console::model::{Dialog, Model};
use crate::console::msg::Effect;
use crate::domain::level::Level;

/// It changes a file with the rights of the person at the terminal, and asks nothing of an engine: so it is no action that could be asked for
/// by name. The question before it is that of an action of its level.
pub static SAVE: Action = Action {
    id: "save-pipeline",
    title: "Save pipeline",
    doc: "Replaces the file of a pipeline with the text of its page.",
    level: Level::L1,
    roles: &[],
    target: Target::Pipeline,
    args: &[],
    parameters: false,
    undo: "u takes the text back, and S saves that",
    usage: "quarterdeck pipeline lint NAME",
};

/// The question, or why there is none. The text stays in every case.
pub fn save(model: &mut Model) -> Vec<Effect> {
    match question(model) {
        Ok(dialog) => model.dialog = Some(dialog),
        Err(why) => model.complain(format!("not saved: {why}")),
    }
    Vec::new()
}

fn question(model: &Model) -> Result<Dialog, String> {
    let page = model.page().ok_or("there is no text here")?;
    if !page.unsaved() {
        return Err("the file says the same".into());
    }
    if let Some(why) = model.hands_off() {
        return Err(format!("{why}; the text is kept"));
    }
    if let Some(why) = &page.locked {
        return Err(why.clone());
    }
    if page.other.is_some() {
        return Err("there is another text: t takes it, m keeps yours".into());
    }
    let Some(judged) = page.current() else { return Err("it is being checked: once more in a moment".into()) };
    if let Some(why) = &judged.doubt {
        return Err(format!("it cannot be checked against the site: {why}"));
    }
    match judged.errors() {
        0 => {}
        1 => return Err("it has an error: n goes there".into()),
        n => return Err(format!("it has {}: n goes to the next", count::s(n as u64, "error"))),
    }
    let lines = page.difference();
    let path = page.path.display().to_string();
    let found = match judged.warnings() {
        0 => "nothing was found".to_owned(),
        1 => "one warning".to_owned(),
        n => count::s(n as u64, "warning"),
    };
    let (name, text) = (page.name.clone(), page.text());
    let ask = Ask::Save { path: page.path.clone(), text, over: page.stamp.clone(), shape: page.shape };
    let order = Box::new(Order { name: name.clone(), ask });
    let facts = vec![
        ("touches".to_owned(), format!("{path}: {}", diff::counts(&lines))),
        ("lint".to_owned(), found),
        ("undo".to_owned(), SAVE.undo.to_owned()),
        ("cost".to_owned(), "nothing runs by it: the next run reads the new file, runs that wait keep theirs".to_owned()),
    ];
    Ok(Dialog { facts, diff: lines, order: Some(order), ..Dialog::about(&SAVE, vec![name], model.frame) })
}
