//! The key bar: keys that do something on this screen, as many as fit; one that does nothing now is dim.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::console::command;
use crate::console::keymap::Scope;
use crate::console::model::Model;
use crate::console::model::screen::Kind;
use crate::console::update::{idle, open, page, promotions};
use crate::console::widget::paint;
use crate::theme::{Look, Role};

/// A command and the word that the bar has for it.
type Hint = (&'static str, &'static str);

/// Keys that do something for this screen, as many as fit.
pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let scopes = model.screen().scopes();
    if page::typing(model) {
        let text = "Esc ends typing   Tab indents   C-w C-k C-u delete   C-_ undoes";
        paint::text(buf, area, 0, 0, text, look.style(Role::KeyText), look.glyphs.ellipsis);
        return;
    }
    let shown = of_screen(model);
    let mut x = 0;
    for (id, keys, words) in fitting(model, scopes, &shown, area.width) {
        x = one(model, look, area, buf, x, (id, &keys, words));
    }
}

// What each screen's own keys do, the most needed first.
const MIRRORS: &[Hint] = &[
    ("diff", "diff"),
    ("cves", "CVE"),
    ("out-of-band", "oob"),
    ("used-by", "used by"),
    ("replicas", "replicas"),
    ("graph", "graph"),
    ("history", "history"),
    ("do-run", "sync"),
    ("do-freeze", "freeze"),
    ("snapshot", "snapshot"),
    ("do-hold-add", "hold"),
    ("log", "log"),
];
const CONTENT: &[Hint] = &[
    ("mark", "mark"),
    ("diff", "diff"),
    ("cves", "CVE"),
    ("pane", "holds"),
    ("filter", "filter"),
    ("do-hold-add", "hold"),
    ("do-hold-drop", "drop"),
    ("do-hold-extend", "extend"),
    ("do-oob-add", "add"),
];
const DIFF: &[Hint] = &[
    ("cves", "CVE"),
    ("pane", "packages"),
    ("filter", "filter"),
    ("sort", "sort"),
    ("next-problem", "problem"),
    ("swap", "turn round"),
    ("do-hold-add", "hold"),
    ("copy-command", "copy"),
    ("back", "back"),
];
const LOG: &[Hint] = &[
    ("log-follow", "follow"),
    ("log-search", "search"),
    ("log-next", "next"),
    ("log-filter", "filter"),
    ("log-error", "first error"),
    ("log-next-step", "step"),
    ("log-time", "time"),
    ("log-save", "save"),
    ("log-wrap", "wrap"),
    ("log-stamps", "times"),
    ("log-hex", "hex"),
];
const PIPELINE: &[Hint] = &[
    ("edit-type", "type"),
    ("edit-editor", "own editor"),
    ("edit-save", "save"),
    ("edit-undo", "undo"),
    ("next-tab", "tab"),
    ("next-problem", "next finding"),
    ("do-run", "run"),
    ("back", "back"),
];
const HOME: &[Hint] = &[
    ("open", "open"),
    ("log", "log"),
    ("do-ack", "ack"),
    ("why", "why"),
    ("filter", "filter"),
    ("do-run", "run"),
    ("do-cancel", "cancel"),
];

/// The command of each key that a screen tells of, and its word: the most needed first.
fn of_screen(model: &Model) -> Vec<Hint> {
    let fixed: &[Hint] = match model.screen().kind {
        Kind::Run(_) => return of_run(model),
        Kind::Mirrors => MIRRORS,
        Kind::Content => CONTENT,
        Kind::Diff(_) => DIFF,
        Kind::Promotions | Kind::Promotion(_) => return of_promotion(model),
        Kind::Log(..) => LOG,
        Kind::Pipeline(_) => PIPELINE,
        Kind::Home => HOME,
        Kind::Jobs => {
            &[("open", "open"), ("pipeline", "file"), ("log", "log"), ("filter", "filter"), ("do-run", "run"), ("do-cancel", "cancel")]
        }
        Kind::Schedule => &[("open", "last run"), ("pipeline", "file"), ("pane", "next list"), ("filter", "filter"), ("do-run", "run")],
        Kind::Audit | Kind::Decisions | Kind::Locks => &[("open", "run"), ("log", "log"), ("filter", "filter"), ("copy-command", "copy")],
        Kind::Doctor => &[("next-problem", "problem"), ("filter", "filter"), ("refresh", "ask again"), ("copy-command", "copy")],
        Kind::Runs => &[("open", "open"), ("log", "log"), ("why", "why"), ("filter", "filter"), ("do-run", "run"), ("do-cancel", "cancel")],
    };
    fixed.to_vec()
}

/// The hint of one key; where the next begins.
fn one(model: &Model, look: &Look, area: Rect, buf: &mut Buffer, x: u16, (id, keys, words): (&str, &str, &str)) -> u16 {
    let dead = why_off(model, id).is_some();
    let (key, text) = if dead { (Role::KeyOff, Role::KeyOff) } else { (Role::Key, Role::KeyText) };
    let x = paint::text(buf, area, x, 0, keys, look.style(key), "");
    let x = paint::text(buf, area, x, 0, " ", look.style(text), "");
    let x = paint::text(buf, area, x, 0, words, look.style(text), "");
    paint::text(buf, area, x, 0, "  ", look.style(text), "")
}

/// What can be done with a run as it stands comes first: nobody looks for the key of what cannot be.
fn of_run(model: &Model) -> Vec<Hint> {
    const SEE: [(&str, &str); 5] = [("open", "open"), ("log", "log"), ("next-problem", "problem"), ("why", "why"), ("back", "back")];
    let Kind::Run(run) = &model.screen().kind else { return SEE.to_vec() };
    let doc = model.run(run);
    let is = |state: &str| doc.is_some_and(|d| d.state == state);
    let acts: &[Hint] = match doc.and_then(|d| d.verdict.as_deref()) {
        Some("success") => &[],
        Some(_) => &[("do-resume", "resume")],
        None if is("waiting") || open::waits_for_people(model, run) => {
            &[("do-approve", "approve"), ("do-deny", "deny"), ("do-cancel", "cancel")]
        }
        None if doc.is_some() => &[("do-cancel", "cancel")],
        None => &[],
    };
    acts.iter().chain(&SEE).copied().collect()
}

/// What the state of this promotion allows, then what shows a part of it.
fn of_promotion(model: &Model) -> Vec<Hint> {
    const ACTS: [(&str, &str); 9] = [
        ("do-promote-halt", "halt"),
        ("do-promote-approve", "approve"),
        ("do-promote-start", "start"),
        ("do-promote-resume", "resume"),
        ("do-promote-rollback", "roll back"),
        ("do-promote-waive", "waive"),
        ("do-promote-soak", "soak"),
        ("do-promote-veto", "veto"),
        ("do-promote", "open the next"),
    ];
    const PARTS: [(&str, &str); 7] = [
        ("evidence", "evidence"),
        ("diff", "changes"),
        ("cves", "CVE"),
        ("blast", "blast"),
        ("undo", "way back"),
        ("calendar", "calendar"),
        ("story", "story"),
    ];
    let Some(id) = promotions::shown(model) else {
        return vec![("refresh", "ask again"), ("filter", "filter"), ("back", "back")];
    };
    let allowed = |command: &str| match command::find(command) {
        Some(command::Meaning::Do(action)) => {
            promotions::target(model, action, &id).is_ok_and(|t| promotions::why_not(model, action, &t).is_none())
        }
        _ => false,
    };
    ACTS.into_iter().filter(|(command, _)| allowed(command)).chain(PARTS).collect()
}

/// Keys that lead everywhere else, in the order that they are drawn in.
const ALWAYS: [(&str, &str); 6] =
    [("home", "home"), ("mirrors", "mirrors"), ("promotions", "promote"), ("jobs", "jobs"), ("palette", "command"), ("help", "help")];
/// So many of a screen's own keys come before those that lead elsewhere.
const OWN: usize = 4;

/// The keys that there is room for, by what is needed most: how to ask and how to get away, the screen's first keys, where most of the work
/// is; then the rest.
fn fitting<'a>(model: &Model, scopes: &[Scope], shown: &[(&'a str, &'a str)], width: u16) -> Vec<(&'a str, String, &'a str)> {
    let own = shown.iter().copied();
    let all: Vec<(&str, String, &str)> = own
        .chain(ALWAYS.into_iter().filter(|(id, _)| !shown.iter().any(|(s, _)| s == id)))
        .filter_map(|(id, words)| Some((id, model.keys.keys_of(scopes, id)?, words)))
        .collect();
    let rank = |(i, (id, ..)): &(usize, &(&str, String, &str))| match *id {
        "help" | "palette" => 0,
        _ if *i < OWN => 1,
        "jobs" | "home" => 2,
        _ => 3,
    };
    let mut order: Vec<(usize, &(&str, String, &str))> = all.iter().enumerate().collect();
    order.sort_by_key(rank);
    let mut room = usize::from(width) + 2;
    let mut fits = vec![false; all.len()];
    for (i, (_, keys, words)) in order {
        let needs = paint::width(keys) + 1 + paint::width(words) + 2;
        if needs <= room {
            room -= needs;
            fits[i] = true;
        }
    }
    all.into_iter().zip(fits).filter(|(_, fits)| *fits).map(|(key, _)| key).collect()
}

/// Why a key does nothing here; none where it does.
pub fn why_off(model: &Model, id: &str) -> Option<String> {
    match command::find(id) {
        Some(command::Meaning::Do(action)) => open::why_not(model, action),
        Some(command::Meaning::View(_)) => idle::idle(model, id),
        None => None,
    }
}
