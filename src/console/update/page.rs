//! The page of a pipeline: what its keys do, what it asks for, and what comes back. Saving has a file of its own.

use tui_textarea::CursorMove;

use super::{page_save, prompt};
use crate::base::suggest;
use crate::console::edit::order::{Draft, Found};
use crate::console::edit::page::{Other, Page, State, Tab};
use crate::console::edit::{Ask, Got, Order, Told, diff, find};
use crate::console::keymap::{Code, Key};
use crate::console::model::screen::{Kind, PAGE};
use crate::console::model::{Link, Model, PromptKind, word};
use crate::console::msg::Effect;
use crate::console::question::Question;

/// Rows of the frame, of the page's head and of what was found, about: scrolling needs no more.
const AROUND: u16 = 11;

impl Model {
    /// The page in front; none where another screen is.
    pub fn page(&self) -> Option<&Page> {
        match &self.screen().kind {
            Kind::Pipeline(name) => self.pages.get(name),
            _ => None,
        }
    }

    pub fn page_mut(&mut self) -> Option<&mut Page> {
        match &self.screen().kind {
            Kind::Pipeline(name) => {
                let name = name.clone();
                self.pages.get_mut(&name)
            }
            _ => None,
        }
    }
}

/// Whether keys are text now.
pub fn typing(model: &Model) -> bool {
    model.page().is_some_and(|p| p.typing)
}

/// A key while text is typed. Escape ends it, and so does Ctrl-C; both change nothing.
pub fn typed(model: &mut Model, key: Key, pasted: bool) {
    let height = height(model);
    let Some(page) = model.page_mut() else { return };
    match (key.code, key.ctrl) {
        (Code::Esc, _) | (Code::Char('c'), true) => page.typing = false,
        (Code::PageDown, _) => by_page(page, height, true),
        (Code::PageUp, _) => by_page(page, height, false),
        _ => page.press(key, pasted),
    }
    page.top = page.first(height);
}

/// A paste is text where text is typed. False: it is none.
pub fn paste(model: &mut Model, text: &str) -> bool {
    if !typing(model) {
        return false;
    }
    let height = height(model);
    if let Some(page) = model.page_mut() {
        page.paste(text);
        page.top = page.first(height);
    }
    true
}

fn height(model: &Model) -> usize {
    usize::from(model.size.1.saturating_sub(AROUND)).max(1)
}

fn by_page(page: &mut Page, height: usize, down: bool) {
    for _ in 0..height {
        page.step(if down { CursorMove::Down } else { CursorMove::Up });
    }
}

/// Tabs that there are now.
pub fn tabs(page: &Page) -> Vec<Tab> {
    let both = page.other.is_some().then_some(Tab::Both);
    [Tab::Text, Tab::Plan, Tab::Graph, Tab::Lint].into_iter().chain(both).collect()
}

/// Commands of this page; none where another screen is in front, or the command is none of its own.
pub fn run(model: &mut Model, id: &str) -> Option<Vec<Effect>> {
    let height = height(model);
    let page = model.page_mut()?;
    let open = page.state == State::Open;
    match id {
        "next-tab" | "previous-tab" | "pane" => {
            let all = tabs(page);
            let at = all.iter().position(|t| *t == page.tab).unwrap_or(0);
            let to = if id == "previous-tab" { at + all.len() - 1 } else { at + 1 };
            page.tab = all[to % all.len()];
            page.scroll = 0;
        }
        "down" | "up" | "page-down" | "page-up" | "top" | "bottom" => moved(page, id, height),
        "page-search" if open => prompt::open(model, PromptKind::PageSearch, ""),
        "clear-filter" if page.search.take().is_some() => {}
        // While something is looked for, these lead to it, as in a log.
        "next-problem" | "previous-problem" if page.search.is_some() && page.tab == Tab::Text => hit(model, id == "next-problem", false),
        "back" if page.search.is_some() && page.tab == Tab::Text => page.search = None,
        "next-problem" | "previous-problem" => match page.findings().len() {
            0 if page.current().is_some() => model.say("nothing was found in this text"),
            0 => model.say("it is not checked yet"),
            all => {
                page.at = found(page, id == "next-problem", all);
                page.tab = if page.tab == Tab::Lint { Tab::Lint } else { Tab::Text };
                page.go_to_finding();
                page.top = page.first(height);
            }
        },
        "open" if page.tab == Tab::Lint => {
            page.go_to_finding();
            page.tab = Tab::Text;
            page.top = page.first(height);
        }
        "open" | "edit-type" if open => {
            page.tab = Tab::Text;
            page.typing = true;
            if let Some(why) = page.locked.clone() {
                model.complain(format!("it can be edited, and not saved: {why}"));
            }
        }
        "edit-undo" | "edit-redo" if open => {
            let did = if id == "edit-undo" { page.undo() } else { page.redo() };
            page.top = page.first(height);
            page.tab = Tab::Text;
            if !did {
                model.say(if id == "edit-undo" { "there is nothing to take back" } else { "nothing was taken back" });
            }
        }
        "edit-take" => return Some(take(model)),
        "edit-mine" => return Some(mine(model)),
        "edit-editor" if open => {
            let (name, text) = (page.name.clone(), page.text());
            return Some(vec![Effect::Editor { name, text }]);
        }
        "edit-save" if open => return Some(page_save::save(model)),
        "refresh" if matches!(page.state, State::Open | State::None(_)) => {
            let (name, path) = (page.name.clone(), Some(page.path.clone()).filter(|p| p.is_absolute()));
            if page.state != State::Open {
                page.state = State::Opening;
            }
            model.known.values_mut().for_each(|k| k.old = true);
            return Some(vec![order(&name, Ask::Open { path })]);
        }
        "open" | "edit-type" | "edit-undo" | "edit-redo" | "edit-editor" | "edit-save" | "page-search" => {
            model.say("there is no text here")
        }
        _ => return None,
    }
    Some(Vec::new())
}

/// What was typed into the search: the first place from the cursor on.
pub fn searched(model: &mut Model, text: &str) -> Result<Vec<Effect>, String> {
    let Some(page) = model.page_mut() else { return Err("there is no text here".into()) };
    page.search = if text.is_empty() { None } else { Some(find::pattern(text)?) };
    page.tab = Tab::Text;
    if page.search.is_some() {
        hit(model, true, true);
    }
    Ok(Vec::new())
}

fn hit(model: &mut Model, forward: bool, here: bool) {
    let height = height(model);
    let Some(page) = model.page_mut() else { return };
    let found = find::jump(page, forward, here);
    page.top = page.first(height);
    let what = page.search.as_ref().map(|s| s.as_str().to_owned()).unwrap_or_default();
    match found {
        Some(f) => {
            let round = match (f.round, forward) {
                (false, _) => "",
                (true, true) => "past the end: ",
                (true, false) => "past the beginning: ",
            };
            model.say(format!("{round}{} of {} with {what}; \\ ends the search", f.number, f.of));
        }
        None => model.say(format!("no line has {what}")),
    }
}

/// The finding after, or before, the cursor's place.
fn found(page: &Page, forward: bool, all: usize) -> usize {
    let (row, column) = crate::console::edit::page::cursor(&page.area);
    let here = (row + 1, column + 1);
    let place = |i: &usize| page.findings().get(*i).map(|d| (d.line as usize, d.column as usize)).unwrap_or_default();
    if forward { (0..all).find(|i| place(i) > here).unwrap_or(0) } else { (0..all).rev().find(|i| place(i) < here).unwrap_or(all - 1) }
}

fn moved(page: &mut Page, id: &str, height: usize) {
    match page.tab {
        Tab::Text => {
            match id {
                "down" => page.step(CursorMove::Down),
                "up" => page.step(CursorMove::Up),
                "top" => page.step(CursorMove::Top),
                "bottom" => page.step(CursorMove::Bottom),
                other => {
                    by_page(page, height, other == "page-down");
                    false
                }
            };
            page.top = page.first(height);
        }
        Tab::Lint => page.at = stepped(page.at, page.findings().len(), id, height),
        // As long as the longest of them: the view draws the last rows where it is too much.
        Tab::Plan | Tab::Graph | Tab::Both => page.scroll = stepped(page.scroll, rows(page), id, height),
    }
}

fn rows(page: &Page) -> usize {
    match page.tab {
        Tab::Plan => page.judged.as_ref().map_or(0, |j| j.plan.lines().count()),
        Tab::Graph => page.judged.as_ref().map_or(0, |j| j.graph.lines().count()),
        _ => page.other.as_ref().map_or(0, |o| diff::between(o.text(), &page.text()).len()),
    }
}

fn stepped(at: usize, len: usize, id: &str, height: usize) -> usize {
    let to = match id {
        "down" => at + 1,
        "up" => at.saturating_sub(1),
        "page-down" => at + height,
        "page-up" => at.saturating_sub(height),
        "bottom" => len,
        _ => 0,
    };
    to.min(len.saturating_sub(1))
}

/// The other text becomes this one.
fn take(model: &mut Model) -> Vec<Effect> {
    let Some(page) = model.page_mut() else { return Vec::new() };
    let Some(other) = page.other.take() else {
        model.say("there is no other text to take");
        return Vec::new();
    };
    let text = other.text().to_owned();
    page.replace(&text);
    page.tab = Tab::Text;
    let name = page.name.clone();
    match other {
        Other::Disk(found) => {
            page.base(*found);
            model.say("this is the file as it is now; u brings your text back");
            vec![order(&name, Ask::Clean)]
        }
        Other::Kept(draft) => {
            model.say("this is the text that was kept; u brings the file's back, S saves it");
            vec![order(&name, Ask::Adopt { text, from: draft.path })]
        }
    }
}

/// This text stays.
fn mine(model: &mut Model) -> Vec<Effect> {
    let Some(page) = model.page_mut() else { return Vec::new() };
    let Some(other) = page.other.take() else {
        model.say("there is no other text to decide about");
        return Vec::new();
    };
    page.tab = Tab::Text;
    let name = page.name.clone();
    match other {
        Other::Disk(found) => {
            page.base(*found);
            model.say("your text stays; S shows what it changes of the file as it is now");
            Vec::new()
        }
        Other::Kept(draft) => {
            model.say("the text that was kept is gone");
            vec![order(&name, Ask::Drop { path: draft.path })]
        }
    }
}

fn order(name: &str, ask: Ask) -> Effect {
    Effect::Page(Box::new(Order { name: name.to_owned(), ask }))
}

/// What the pages need: the file, once it is known where it is; a judgement of each text that is another one. Pages that nobody looks at
/// stay for as long as something in them is unsaved.
pub fn orders(model: &mut Model) -> Vec<Effect> {
    let mut out = Vec::new();
    let wanted: Vec<String> = model
        .stack
        .iter()
        .filter_map(|s| match &s.kind {
            Kind::Pipeline(name) => Some(name.clone()),
            _ => None,
        })
        .collect();
    if wanted.is_empty() && model.pages.is_empty() {
        return out;
    }
    for name in &wanted {
        if !model.pages.contains_key(name) {
            model.pages.insert(name.clone(), Page::new(name));
        }
    }
    let front = model.page().map(|p| p.name.clone());
    let mut pages = std::mem::take(&mut model.pages);
    pages.retain(|name, page| {
        if Some(name) != front.as_ref() {
            page.typing = false;
        }
        wanted.contains(name) || page.unsaved()
    });
    for (name, page) in &mut pages {
        if page.state == State::New {
            match place(model, name) {
                Place::Unknown => {}
                Place::At(path) => {
                    page.state = State::Opening;
                    out.push(order(name, Ask::Open { path }));
                }
                Place::Nowhere(why) => page.state = State::None(why),
            }
        }
        if page.state == State::Open && page.asked != page.revision {
            page.asked = page.revision;
            out.push(order(name, Ask::Judge { text: page.text(), revision: page.revision, keep: page.unsaved() }));
        }
    }
    model.pages = pages;
    out
}

enum Place {
    /// The engine will say it in a moment.
    Unknown,
    /// Where the engine reads it; none = it cannot be asked.
    At(Option<std::path::PathBuf>),
    Nowhere(String),
}

fn place(model: &Model, name: &str) -> Place {
    if matches!(model.link, Link::Saved { .. }) {
        return Place::Nowhere("this is a saved state: it holds no files".into());
    }
    let question = Question::Rows { what: "pipelines", limit: PAGE };
    match model.rows(&question) {
        Some(all) => match all.rows.iter().find(|r| word::text(r, "pipeline") == name) {
            Some(row) => Place::At(Some(word::text(row, "file").into())),
            None => {
                let names: Vec<String> = all.rows.iter().map(|r| word::text(r, "pipeline")).collect();
                let near = suggest::nearest(name, names.iter().map(String::as_str)).map(|n| format!(": did you mean `{n}`?"));
                Place::Nowhere(format!("the site has no pipeline `{name}`{}", near.unwrap_or_default()))
            }
        },
        None if matches!(model.link, Link::Down { .. }) || model.known(&question).is_some_and(|k| k.error.is_some()) => Place::At(None),
        None => Place::Unknown,
    }
}

/// The file as it is on the disk, read for the first time or once more.
fn opened(model: &mut Model, name: &str, found: Box<Found>, draft: Option<Box<Draft>>) {
    let height = height(model);
    let Some(page) = model.pages.get_mut(name) else { return };
    match (&page.state, page.unsaved()) {
        (State::Open, unsaved) if found.stamp == page.stamp => {
            // What stands in the way of saving may have changed all the same.
            page.locked = found.locked;
            page.path = found.path;
            model.say(if unsaved { "the file is as it was opened; u takes back what was typed" } else { "the file is as it was" });
        }
        (State::Open, true) => {
            page.other = Some(Other::Disk(found));
            page.typing = false;
            model.complain("the file was changed since it was opened: t takes it, m keeps your text");
        }
        (State::Open, false) => {
            let text = found.text.clone();
            page.base(*found);
            page.replace(&text);
            page.top = page.first(height);
            model.say("this is the file as it is now");
        }
        _ => {
            page.show(*found);
            page.other = draft.map(Other::Kept);
        }
    }
}

/// The person's own editor has ended with this text.
fn edited(model: &mut Model, name: &str, text: &str) -> Vec<Effect> {
    let height = height(model);
    let Some(page) = model.pages.get_mut(name) else { return Vec::new() };
    if text != page.text() {
        page.replace(text);
        page.top = page.first(height);
        page.tab = Tab::Text;
        model.say("this is what the editor left; u takes it back, S saves it");
        return Vec::new();
    }
    let unsaved = page.unsaved();
    model.say("the editor changed nothing");
    if unsaved { Vec::new() } else { vec![order(name, Ask::Clean)] }
}

pub fn told(model: &mut Model, told: Told) -> Vec<Effect> {
    let Some(page) = model.pages.get_mut(&told.name) else { return Vec::new() };
    match told.got {
        Got::Opened { found, draft } => opened(model, &told.name, found, draft),
        // A newer text is on its way, where it is not of this one.
        Got::Judged(judged) if page.judged.as_ref().is_none_or(|j| j.revision < judged.revision) => {
            page.at = page.at.min(judged.found.len().saturating_sub(1));
            page.judged = Some(*judged);
        }
        Got::Judged(_) => {}
        Got::Saved { text, stamp } => {
            (page.saved, page.stamp) = (text, stamp);
            let path = page.path.display().to_string();
            let rest = if page.unsaved() { "; what was typed since is not in it" } else { "" };
            model.say(format!("saved {path}: the next run reads it{rest}"));
            model.known.values_mut().for_each(|k| k.old = true);
        }
        Got::Moved(found) => {
            page.other = Some(Other::Disk(found));
            page.typing = false;
            model.complain("not saved: the file was changed since it was opened. t takes it, m keeps your text");
        }
        Got::Edited(text) => return edited(model, &told.name, &text),
        Got::Failed { why, closed: true } if page.state != State::Open => page.state = State::None(why),
        Got::Failed { why, .. } => model.complain(why),
    }
    Vec::new()
}
