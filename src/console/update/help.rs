//! Help as data: what each key does here, for exactly this row: the row first, then the screen, moving about, and what holds everywhere. A key
//! that does nothing now says why. Nothing is cut: long texts go on below, and what does not fit is scrolled to. And the keys while it is open:
//! they turn its pages, and whatever else is pressed closes it and does nothing.

use crate::console::command::{self, Group, Meaning};
use crate::console::keymap::{Found, Key, Scope};
use crate::console::model::{Model, word};
use crate::console::widget::paint;

/// From this width of a terminal on there are two columns.
const TWO: u16 = 110;
/// Columns between them.
pub const GAP: u16 = 3;
/// Columns of keys at most; more ways to the same command stand below one another.
const KEYS: usize = 11;
/// Rows that the frame of the console and the title take, and columns on both sides.
const AROUND: u16 = 5;
pub const BESIDE: u16 = 1;

/// What a row of help is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Title,
    /// Of a key that does something.
    On,
    /// Of one that does nothing now.
    Off,
    /// Why it does nothing.
    Why,
    Note,
}

/// A row of help.
#[derive(Debug, Clone)]
pub struct Line {
    pub what: What,
    pub keys: String,
    pub text: String,
    /// Where the text begins.
    pub indent: u16,
}

/// Rows that are seen at once, of both columns.
pub fn fits(model: &Model) -> usize {
    let rows = usize::from(model.size.1.saturating_sub(AROUND)).max(1);
    if is_two(model) { rows * 2 } else { rows }
}

/// All rows of it.
pub fn rows(model: &Model) -> usize {
    lines(model, column(model)).len()
}

fn is_two(model: &Model) -> bool {
    model.size.0 >= TWO
}

/// Columns of one column of text.
pub fn column(model: &Model) -> usize {
    let inner = model.size.0.saturating_sub(2 * BESIDE);
    usize::from(if is_two(model) { (inner - GAP) / 2 } else { inner }).max(8)
}

/// The keys of a command, and where it has none its name for the palette.
fn ways(model: &Model, name: &str, meaning: Meaning) -> Vec<String> {
    let ways = model.keys.ways(model.screen().scopes(), name);
    // What is not of this screen is not told of here; what holds everywhere can always be typed.
    let typed = matches!(meaning, Meaning::View(c) if c.group == Group::Everywhere);
    if ways.is_empty() && typed { vec![format!(":{name}")] } else { ways }
}

/// Whether the command can mean anything on a screen of this kind: of tabs nothing is told where none can be.
pub fn is_here(model: &Model, name: &str) -> bool {
    super::idle::has_tabs(model) || !matches!(name, "next-tab" | "previous-tab")
}

/// What help says, in rows of this width.
pub fn lines(model: &Model, width: usize) -> Vec<Line> {
    let mut all: Vec<(Group, Vec<String>, String, Meaning)> = Vec::new();
    for name in command::names() {
        let Some(meaning) = command::find(&name).filter(|_| is_here(model, &name)) else { continue };
        let ways = ways(model, &name, meaning);
        if !ways.is_empty() {
            all.push((meaning.group(), ways, name, meaning));
        }
    }
    // Keys first, then what only the palette knows; what changes the estate after what only shows.
    all.sort_by_key(|(group, ways, name, meaning)| {
        let typed = ways.first().is_some_and(|w| w.len() > 1 && w.starts_with(':'));
        (*group, matches!(meaning, Meaning::Do(_)), typed, name.clone())
    });
    let indent = all.iter().flat_map(|(_, ways, ..)| ways).map(|w| paint::width(w)).max().unwrap_or(0).min(KEYS) + 2;
    let room = width.saturating_sub(indent).max(8);
    let mut out: Vec<Line> = Vec::new();
    let mut last = None;
    for (group, ways, name, meaning) in &all {
        if last != Some(*group) {
            last = Some(*group);
            out.push(Line { what: What::Title, keys: String::new(), text: title(model, *group), indent: 0 });
        }
        let off = match meaning {
            Meaning::Do(action) => super::open::why_not(model, action),
            Meaning::View(_) => super::idle::idle(model, name),
        };
        let own = if off.is_some() { What::Off } else { What::On };
        let told = paint::wrapped(&format!("{}: {}", meaning.title(), meaning.doc()), room).into_iter().map(|t| (t, own));
        let why = off.map(|why| paint::wrapped(&format!("off: {why}"), room)).unwrap_or_default().into_iter().map(|t| (t, What::Why));
        let texts: Vec<(String, What)> = told.chain(why).collect();
        let keys = columns(ways, indent - 2);
        for i in 0..texts.len().max(keys.len()) {
            let (text, what) = texts.get(i).cloned().unwrap_or((String::new(), own));
            out.push(Line { what, keys: keys.get(i).cloned().unwrap_or_default(), text, indent: indent as u16 });
        }
    }
    let more = "`:` completes every command by its name, also those that have no key here: `:do-ACTION` changes the estate.";
    out.extend(paint::wrapped(more, width).into_iter().map(|text| Line { what: What::Note, keys: String::new(), text, indent: 0 }));
    out
}

/// Ways to a command, as many on a row as its columns hold.
fn columns(ways: &[String], width: usize) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for way in ways {
        match out.last_mut() {
            Some(row) if paint::width(row) + 2 + paint::width(way) <= width => {
                row.push_str("  ");
                row.push_str(way);
            }
            _ => out.push(way.clone()),
        }
    }
    out
}

fn title(model: &Model, group: Group) -> String {
    let screen = model.screen().kind.title();
    match group {
        Group::Row => match (about(model).map(|id| brief(&id)), model.screen().pane()) {
            (Some(id), Some(_)) => format!("THIS ROW: {id}"),
            (Some(id), None) => format!("THIS PAGE: {id}"),
            (None, _) => "THIS ROW: there is none".to_owned(),
        },
        Group::Screen => format!("THIS SCREEN: {screen}"),
        Group::Move => "MOVING".to_owned(),
        Group::Everywhere => "EVERYWHERE".to_owned(),
    }
}

/// What the row under the cursor, or the page, is about; what is wrong, where that has no name of its own.
fn about(model: &Model) -> Option<String> {
    let named = || model.under_cursor().map(|r| word::text(r, "what")).filter(|t| !t.is_empty());
    super::lists::current(model).or_else(named)
}

/// An id without the ends of its digests.
fn brief(id: &str) -> String {
    let word = |w: &str| if w.chars().count() > 40 { w.chars().take(12).collect() } else { w.to_owned() };
    id.split(' ').map(word).collect::<Vec<String>>().join(" ")
}

/// Help is walked through with the keys of a list, on whatever screen it stands.
const SCOPES: [Scope; 2] = [Scope::Global, Scope::List];

pub fn press(model: &mut Model, key: Key) {
    let pressed = [model.pressed.as_slice(), &[key]].concat();
    model.pressed.clear();
    let page = isize::try_from(fits(model)).unwrap_or(isize::MAX);
    match model.keys.look_up(&SCOPES, &pressed) {
        Found::Prefix(_) => model.pressed = pressed,
        Found::Command("down") => turn(model, 1),
        Found::Command("up") => turn(model, -1),
        Found::Command("page-down" | "mark") => turn(model, page),
        Found::Command("page-up") => turn(model, -page),
        Found::Command("top") => model.help = Some(0),
        Found::Command("bottom") => turn(model, isize::MAX),
        _ => model.help = None,
    }
}

/// So many rows further, or back.
pub fn turn(model: &mut Model, by: isize) {
    let most = rows(model).saturating_sub(fits(model));
    // What was more than there is, after the terminal has grown, is forgotten first.
    model.help = model.help.map(|at| at.min(most).saturating_add_signed(by).min(most));
}
