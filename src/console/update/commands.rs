//! What each command does.

use super::{arm, lists, open, prompt};
use crate::console::command::{self, Meaning};
use crate::console::model::screen::Kind;
use crate::console::model::{Clock, Link, Model, PromptKind, Screen};
use crate::console::msg::Effect;
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
        "clear-filter" => lists::clear_filter(model),
        "home" | "jobs" | "runs" | "audit" | "schedule" | "decisions" | "locks" | "doctor" => {
            if let Some((_, kind)) = Kind::NAMED.into_iter().find(|(n, _)| *n == id) {
                go(model, kind);
            }
        }
        "down" => lists::step(model, |at, _, _| at + 1),
        "up" => lists::step(model, |at, _, _| at.saturating_sub(1)),
        "page-down" => lists::step(model, |at, _, height| at + height),
        "page-up" => lists::step(model, |at, _, height| at.saturating_sub(height)),
        "top" => lists::step(model, |_, _, _| 0),
        "bottom" => lists::step(model, |_, len, _| len.saturating_sub(1)),
        "next-problem" => lists::problem(model, true),
        "previous-problem" => lists::problem(model, false),
        "pane" => {
            let s = model.screen_mut();
            s.focus = if s.lists.is_empty() { 0 } else { (s.focus + 1) % s.lists.len() };
        }
        "next-tab" => lists::tab(model, true),
        "previous-tab" => lists::tab(model, false),
        "wide" => model.screen_mut().wide ^= true,
        "mark" => lists::mark(model),
        "sort" => lists::sort(model, false),
        "sort-backwards" => lists::sort(model, true),
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

/// Fields of the table in front.
pub use super::lists::{columns, current};

/// Ids of the rows that are shown.
pub fn ids(model: &Model) -> Vec<String> {
    super::lists::shown(model)
}

/// Whether a line of the palette arms, or begins a change.
pub fn careful(line: &str) -> bool {
    let word = line.trim().split(' ').next().unwrap_or_default();
    word == "arm" || word.starts_with("do-")
}

fn open(model: &mut Model) {
    let Some((pane, _)) = model.screen().pane() else { return };
    let Some(id) = current(model) else { return model.complain("there is no row to open") };
    let row = model.screen().pane().and_then(|(p, l)| l.current(model.table(&p).0)).cloned().unwrap_or_default();
    let run = match pane.what {
        "pipelines" => word::text(&row, "last_run"),
        "schedule" => word::text(&row, "last_run"),
        "needs" if word::text(&row, "go") != "run" => {
            let go_to = word::text(&row, "go");
            view(model, &go_to);
            return;
        }
        "audit" | "decisions" => {
            let subject = word::text(&row, "subject");
            subject.split_once('/').map_or(subject.clone(), |(run, _)| run.to_owned())
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
