//! Where a person stood when their terminal went away: screens, filters, rows, in a small file; the next console opens there. What was typed,
//! marked or armed is not kept.

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::model::screen::{Kind, Pair};
use super::model::{Model, Screen};
use crate::domain::run::valid_name;

const FORMAT: u32 = 1;
/// A larger file is none of ours.
const MOST_BYTES: u64 = 64 << 10;
/// Deeper stacks are cut at their bottom.
const DEPTH: usize = 20;

#[derive(Debug, Serialize, Deserialize)]
struct Place {
    format: u32,
    screens: Vec<Standing>,
}

/// One screen, as far as it is a person's own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// As `quarterdeck screen` names it.
    name: String,
    target: Option<String>,
    focus: usize,
    wide: bool,
    spot: Option<String>,
    lists: Vec<Listing>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Listing {
    filter: String,
    sort: Option<(String, bool)>,
    selected: Option<String>,
    view: Option<String>,
}

impl Standing {
    /// `runs  filter verdict=failure  sort -number`.
    pub fn words(&self) -> String {
        let mut out = [Some(self.name.clone()), self.target.clone()].into_iter().flatten().collect::<Vec<_>>().join(" ");
        for list in &self.lists {
            if let Some(view) = &list.view {
                out += &format!("  view {view}");
            }
            if !list.filter.is_empty() {
                out += &format!("  filter {}", list.filter);
            }
            if let Some((column, backwards)) = &list.sort {
                out += &format!("  sort {}{column}", if *backwards { "-" } else { "" });
            }
        }
        out
    }

    /// The cursor begins at the top.
    pub fn forget_row(&mut self) {
        self.lists.iter_mut().for_each(|l| l.selected = None);
    }
}

pub fn standing(screen: &Screen) -> Standing {
    let (name, target) = match &screen.kind {
        Kind::Run(run) => ("run", Some(run.to_string())),
        Kind::Log(run, place) => ("log", Some(place.as_ref().map_or_else(|| run.to_string(), |p| format!("{run}/{p}")))),
        Kind::Diff(pair) => ("diff", Some(format!("{} {}", pair.a, pair.b))),
        Kind::Pipeline(name) => ("pipeline", Some(name.clone())),
        Kind::Promotion(id) => ("promotion", Some(id.clone())),
        other => (Kind::NAMED.iter().find(|(_, k)| k == other).map_or("home", |(n, _)| *n), None),
    };
    let listing = |l: &super::model::List| Listing {
        filter: l.filter.clone(),
        sort: l.sort.clone(),
        selected: l.selected.clone(),
        view: l.only.as_ref().map(|(_, v)| v.clone()),
    };
    Standing {
        name: name.to_owned(),
        target,
        focus: screen.focus,
        wide: screen.wide,
        spot: screen.spot.clone(),
        lists: screen.lists.iter().map(listing).collect(),
    }
}

pub fn screen(s: Standing) -> Option<Screen> {
    let kind = match (s.name.as_str(), &s.target) {
        ("run", Some(run)) => Kind::Run(run.parse().ok()?),
        ("log", Some(target)) => Kind::log_of(target).ok()?,
        ("diff", Some(target)) => target.split_once(' ').map(|(a, b)| Kind::Diff(Pair::of(a, b)))?,
        ("pipeline", Some(name)) if valid_name(name) => Kind::Pipeline(name.clone()),
        ("promotion", Some(id)) if crate::domain::promotion::is_name(id) => Kind::Promotion(id.clone()),
        (name, _) => Kind::NAMED.into_iter().find(|(n, _)| *n == name)?.1,
    };
    let mut screen = Screen::of(kind);
    screen.focus = s.focus.min(screen.lists.len().saturating_sub(1));
    (screen.wide, screen.spot) = (s.wide, s.spot);
    for (list, was) in screen.lists.iter_mut().zip(s.lists) {
        (list.filter, list.sort, list.selected) = (was.filter, was.sort, was.selected);
        list.only = was.view.map(|v| ("views", v));
    }
    Some(screen)
}

/// Keeps where the person stands; a place that cannot be written is none.
pub fn keep(path: &Path, model: &Model) {
    let from = model.stack.len().saturating_sub(DEPTH);
    let place = Place { format: FORMAT, screens: model.stack[from..].iter().map(standing).collect() };
    let Ok(text) = serde_json::to_vec(&place) else { return };
    let draft = path.with_extension("new");
    let _ = std::fs::remove_file(&draft);
    let written = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).and_then(|mut f| f.write_all(&text));
    if written.is_ok() {
        let _ = std::fs::rename(&draft, path);
    }
}

/// Puts the person back, once; true where there was a place.
pub fn take(path: &Path, model: &mut Model) -> bool {
    let Ok(file) = std::fs::File::open(path) else { return false };
    let mut text = Vec::new();
    let read = file.take(MOST_BYTES).read_to_end(&mut text);
    let _ = std::fs::remove_file(path);
    let Some(place) = read.ok().and_then(|_| serde_json::from_slice::<Place>(&text).ok()).filter(|p| p.format == FORMAT) else {
        return false;
    };
    let screens: Vec<Screen> = place.screens.into_iter().take(DEPTH).filter_map(screen).collect();
    if screens.is_empty() || (screens.len() == 1 && screens[0].kind == Kind::Home) {
        return false;
    }
    model.stack = screens;
    model.say("where you were when the terminal went away; 0 is home");
    true
}

/// The person left by themselves: the next console begins at home.
pub fn forget(path: &Path) {
    let _ = std::fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Site;
    use crate::console::keymap::Keymap;

    fn model() -> Model {
        let site = Site { name: "s".into(), demo: false, zone: jiff::tz::TimeZone::UTC };
        Model::new(site, Keymap::default(), jiff::Timestamp::UNIX_EPOCH, (80, 24))
    }

    #[test]
    fn the_next_console_stands_where_the_last_one_did() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console.place");
        let mut m = model();
        m.stack.push(Screen::of(Kind::Runs));
        let list = &mut m.screen_mut().lists[0];
        (list.filter, list.sort, list.selected) = ("verdict=failure".into(), Some(("number".into(), true)), Some("a#7".into()));
        list.marks.insert("a#7".into());
        m.stack.push(Screen::of(Kind::Run("a#7".parse().unwrap())));
        m.stack.push(Screen::of(Kind::Log("a#7".parse().unwrap(), Some("build/make".into()))));
        m.stack.push(Screen::of(Kind::Pipeline("a".into())));
        m.stack.push(Screen::of(Kind::Promotion("PR-2026Q2-el9".into())));
        keep(&path, &m);
        let mut next = model();
        assert!(take(&path, &mut next));
        let kinds = |m: &Model| m.stack.iter().map(|s| s.kind.clone()).collect::<Vec<_>>();
        assert_eq!(kinds(&next), kinds(&m));
        let list = &next.stack[1].lists[0];
        assert_eq!((list.filter.as_str(), list.selected.as_deref(), list.marks.len()), ("verdict=failure", Some("a#7"), 0));
        assert!(next.stack[3].log.is_some() && next.notice.is_some());
        assert!(!take(&path, &mut model()), "once");
    }

    #[test]
    fn no_file_and_any_bytes_are_no_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console.place");
        assert!(!take(&path, &mut model()));
        for text in ["", "{", r#"{"format":9,"screens":[]}"#, r#"{"format":1,"screens":[{"name":"x"}]}"#] {
            std::fs::write(&path, text).unwrap();
            let mut m = model();
            assert!(!take(&path, &mut m) && m.stack.len() == 1, "{text}");
        }
        keep(&path, &model());
        assert!(!take(&path, &mut model()), "home is where everybody begins");
        forget(&path);
    }
}
