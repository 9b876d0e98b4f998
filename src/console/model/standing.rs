//! A screen as far as it is a person's own: what is kept of it in a file, and opened again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::list::List;
use super::screen::{Kind, Pair, Screen};
use crate::domain::run::valid_name;

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
    let listing = |l: &List| Listing {
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

/// Screens that a person has given a name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Views {
    pub format: u32,
    pub views: BTreeMap<String, Standing>,
}

impl Views {
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.views.keys().map(String::as_str)
    }

    /// The screen of a name, from its beginning.
    pub fn screen(&self, name: &str) -> Option<Screen> {
        screen(self.views.get(name)?.clone())
    }

    /// What it is, in words.
    pub fn about(&self, name: &str) -> String {
        self.views.get(name).map(Standing::words).unwrap_or_default()
    }
}
