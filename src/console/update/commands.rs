//! What each command does.

use super::{arm, open, prompt};
use crate::console::command::{self, Meaning};
use crate::console::model::screen::{Kind, PAGE};
use crate::console::model::{Clock, Link, Model, PromptKind, Screen};
use crate::console::msg::Effect;
use crate::console::question::Question;
use crate::console::view::word;
use crate::domain::run::RunRef;

/// Runs the command of this name.
pub fn run(model: &mut Model, id: &str) -> Vec<Effect> {
    match command::find(id) {
        Some(Meaning::Do(action)) => open::open(model, action),
        Some(Meaning::View(c)) => view(model, c.id),
        None => {
            model.complain(format!("no command `{id}`"));
            Vec::new()
        }
    }
}

/// Names that the command line knows.
pub fn words() -> impl Iterator<Item = String> {
    command::names()
}

/// A line of the palette: a command, and for some an argument.
pub fn typed(model: &mut Model, line: &str) -> Result<Vec<Effect>, String> {
    let (word, rest) = line.split_once(' ').map_or((line, ""), |(w, r)| (w, r.trim()));
    match word {
        "" => Ok(Vec::new()),
        "q" => Ok(view(model, "quit")),
        "arm" => arm::arm(model, rest),
        "run" if !rest.is_empty() => {
            let run: RunRef = rest.parse().map_err(|e: crate::domain::run::BadRunRef| e.to_string())?;
            push(model, Kind::Run(run));
            Ok(Vec::new())
        }
        _ if command::find(word).is_some() => Ok(run(model, word)),
        _ => {
            let names: Vec<String> = words().collect();
            let near = crate::base::suggest::nearest(word, names.iter().map(String::as_str));
            Err(near.map_or_else(|| format!("no command `{word}`"), |n| format!("no command `{word}`: did you mean `{n}`?")))
        }
    }
}

fn view(model: &mut Model, id: &str) -> Vec<Effect> {
    let height = usize::from(model.size.1.saturating_sub(6)).max(1);
    match id {
        "quit" => return vec![Effect::Quit],
        "suspend" => return vec![Effect::Suspend],
        "arm" => prompt::begin(model, "arm 15m "),
        "disarm" => return arm::disarm(model),
        "redraw" => return vec![Effect::Redraw],
        "back" => back(model),
        "help" => model.help = true,
        "palette" => prompt::open(model, PromptKind::Command),
        "filter" if model.screen().pane().is_some() => prompt::open(model, PromptKind::Filter),
        "clear-filter" => with_list(model, |l| l.filter.clear()),
        "home" | "jobs" | "runs" | "audit" | "schedule" => {
            if let Some((_, kind)) = Kind::NAMED.into_iter().find(|(n, _)| *n == id) {
                go(model, kind);
            }
        }
        "down" => step(model, |at, _| at + 1),
        "up" => step(model, |at, _| at.saturating_sub(1)),
        "page-down" => step(model, |at, _| at + height),
        "page-up" => step(model, |at, _| at.saturating_sub(height)),
        "top" => step(model, |_, _| 0),
        "bottom" => step(model, |_, len| len.saturating_sub(1)),
        "next-problem" => problem(model, true),
        "previous-problem" => problem(model, false),
        "pane" => {
            let s = model.screen_mut();
            s.focus = if s.lists.is_empty() { 0 } else { (s.focus + 1) % s.lists.len() };
        }
        "mark" => mark(model),
        "sort" => sort(model, false),
        "sort-backwards" => sort(model, true),
        "open" | "why" => open(model),
        "refresh" => {
            model.known.values_mut().for_each(|k| k.old = true);
            model.say(if model.link == Link::Up { "asked again" } else { "there is nobody to ask" });
        }
        "zone" => {
            model.clock = match model.clock {
                Clock::Site => Clock::Relative,
                Clock::Relative => Clock::Utc,
                Clock::Utc => Clock::Site,
            };
        }
        "copy-id" => match current(model) {
            Some(id) => return vec![Effect::Copy(id)],
            None => model.complain("there is no row to copy"),
        },
        "copy-command" => return vec![Effect::Copy(command_line(model))],
        _ => model.say(format!("`{id}` does nothing on this screen")),
    }
    Vec::new()
}

fn with_list(model: &mut Model, change: impl FnOnce(&mut crate::console::model::List)) {
    if let Some((_, list)) = model.screen_mut().pane_mut() {
        change(list);
    }
}

/// Fields of the table in front.
pub fn columns(model: &Model) -> Vec<String> {
    let Some((pane, _)) = model.screen().pane() else { return Vec::new() };
    let rows = model.rows(&Question::Rows { what: pane.what, limit: PAGE });
    rows.and_then(|r| r.rows.first()).map(|r| r.keys().cloned().collect()).unwrap_or_default()
}

/// Ids of the shown rows in order, and whether each is a problem.
fn shown(model: &Model) -> Vec<(String, bool)> {
    let Some((pane, list)) = model.screen().pane() else { return Vec::new() };
    let Some(rows) = model.rows(&Question::Rows { what: pane.what, limit: PAGE }) else { return Vec::new() };
    let columns = columns(model);
    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    list.shown(&rows.rows, &names, model.now).into_iter().map(|r| (word::text(r, pane.id), word::problem(r))).collect()
}

/// Ids of the rows that are shown.
pub fn ids(model: &Model) -> Vec<String> {
    shown(model).into_iter().map(|(id, _)| id).collect()
}

/// Whether a line of the palette arms, or begins a change.
pub fn careful(line: &str) -> bool {
    let word = line.trim().split(' ').next().unwrap_or_default();
    word == "arm" || word.starts_with("do-")
}

/// The id under the cursor.
pub fn current(model: &Model) -> Option<String> {
    if let Kind::Run(run) = &model.screen().kind {
        return Some(run.to_string());
    }
    let ids = shown(model);
    let names: Vec<&str> = ids.iter().map(|(i, _)| i.as_str()).collect();
    let (_, list) = model.screen().pane()?;
    names.get(list.position(&names)).map(|i| (*i).to_owned())
}

fn step(model: &mut Model, to: impl FnOnce(usize, usize) -> usize) {
    let ids = shown(model);
    let names: Vec<&str> = ids.iter().map(|(i, _)| i.as_str()).collect();
    let height = usize::from(model.size.1.saturating_sub(6)).max(1);
    with_list(model, |list| {
        let at = to(list.position(&names), names.len());
        list.select(&names, at);
        list.top = list.first(list.at, height, names.len());
    });
}

fn problem(model: &mut Model, forward: bool) {
    let ids = shown(model);
    let names: Vec<&str> = ids.iter().map(|(i, _)| i.as_str()).collect();
    let Some((_, list)) = model.screen().pane() else { return };
    let (at, len) = (list.position(&names), ids.len());
    let order: Vec<usize> = (1..=len).map(|i| if forward { (at + i) % len } else { (at + len - i) % len }).collect();
    match order.into_iter().find(|i| ids[*i].1) {
        Some(i) => step(model, |_, _| i),
        None => model.say("no row here has a problem"),
    }
}

fn mark(model: &mut Model) {
    let Some(id) = current(model) else { return };
    with_list(model, |l| {
        if !l.marks.remove(&id) {
            l.marks.insert(id);
        }
    });
    step(model, |at, _| at + 1);
}

fn sort(model: &mut Model, turn: bool) {
    let columns = columns(model);
    with_list(model, |l| {
        l.sort = match (l.sort.take(), turn) {
            (Some((c, backwards)), true) => Some((c, !backwards)),
            (None, true) => columns.first().map(|c| (c.clone(), true)),
            (None, false) => columns.first().map(|c| (c.clone(), false)),
            (Some((c, _)), false) => columns.iter().position(|x| *x == c).and_then(|i| columns.get(i + 1)).map(|c| (c.clone(), false)),
        };
    });
}

fn open(model: &mut Model) {
    let Some((pane, _)) = model.screen().pane() else { return };
    let Some(id) = current(model) else { return model.complain("there is no row to open") };
    let run = match pane.what {
        "pipelines" => {
            let rows = model.rows(&Question::Rows { what: "pipelines", limit: PAGE });
            let row = rows.and_then(|r| r.rows.iter().find(|r| word::text(r, "pipeline") == id));
            row.map(|r| word::text(r, "last_run")).unwrap_or_default()
        }
        _ => id.clone(),
    };
    match run.parse() {
        Ok(run) => push(model, Kind::Run(run)),
        Err(_) => model.say(format!("`{id}` has no run yet")),
    }
}

fn push(model: &mut Model, kind: Kind) {
    if model.screen().kind != kind {
        model.stack.push(Screen::of(kind));
    }
}

/// A screen of the digits: the one that is open already, or a new one above home.
fn go(model: &mut Model, kind: Kind) {
    match model.stack.iter().position(|s| s.kind == kind) {
        Some(i) => model.stack.truncate(i + 1),
        None => {
            model.stack.truncate(1);
            model.stack.push(Screen::of(kind));
        }
    }
}

fn back(model: &mut Model) {
    if model.stack.len() > 1 {
        model.stack.pop();
    } else {
        model.say(":quit leaves; what runs goes on");
    }
}

/// The command line that shows the same.
fn command_line(model: &Model) -> String {
    match (&model.screen().kind, model.screen().pane()) {
        (Kind::Run(run), _) => format!("quarterdeck why '{run}'"),
        (_, Some((pane, list))) if list.filter.is_empty() => format!("quarterdeck get {}", pane.what),
        (_, Some((pane, list))) => format!("quarterdeck get {} --filter {}", pane.what, shell_words::quote(&list.filter)),
        (_, None) => "quarterdeck get runs".to_owned(),
    }
}
