//! The state of one list: where the cursor is, what is filtered, sorted and marked, and its index. Rows are known by their ids, so that all
//! of it survives a refresh.
//!
//! The index (which rows, in which order, how wide) is built when rows, filter or sort change; a frame only reads it, so that a frame of
//! 50,000 rows costs what one of 5,000 does. Of a table that is longer than a page only a part is held; the places of all others are known.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::pane::Pane;
use crate::api::order::Page;
use crate::console::question::PageAsk;
pub use crate::console::question::Row;
use crate::domain::filter::{self, Filter};

/// No column asks for more than this by what is in it.
const WIDEST: usize = 200;

#[derive(Debug, Clone, Default)]
pub struct List {
    /// The id under the cursor; none = the first row, whichever that is, or one that is not held yet.
    pub selected: Option<String>,
    /// Where that is among the rows that are shown.
    pub at: usize,
    /// The first row that is drawn.
    pub top: usize,
    pub filter: String,
    /// Column and whether backwards; none = as the engine sends it.
    pub sort: Option<(String, bool)>,
    pub marks: BTreeSet<String>,
    /// Where a range of marks begins.
    pub anchor: Option<String>,
    /// Only rows whose field has this among its words, separated by commas: the tab.
    pub only: Option<(&'static str, String)>,
    /// The part of a long table that is held; none = its first rows, which are all where it is not long.
    pub page: Option<PageAsk>,
    /// The part that is wanted next.
    pub wanted: Option<PageAsk>,
    /// The cursor goes on to the next problem, forwards or back, as parts come; and the row where that began.
    pub hunt: Option<(bool, usize)>,
    /// The cursor is on a row that is not held: its place counts until it is.
    loose: bool,
    index: Index,
}

#[derive(Debug, Clone, Default)]
struct Index {
    /// What it was built from.
    built: Option<Built>,
    /// Rows before the first one that is held.
    base: usize,
    /// Rows that are shown, those that are not held too.
    len: usize,
    /// Places in the table, in the order in which they are shown.
    order: Vec<u32>,
    /// Columns that the longest text of each field takes, among the rows that are shown.
    widths: BTreeMap<String, u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Built {
    version: u64,
    /// The rows are a part of the table, filtered and sorted by the engine.
    part: Option<Page>,
    page: Option<PageAsk>,
    filter: String,
    sort: Option<(String, bool)>,
    only: Option<(&'static str, String)>,
}

impl Built {
    fn shows_the_same(&self, other: &Self) -> bool {
        (&self.filter, &self.sort, &self.only) == (&other.filter, &other.sort, &other.only)
    }
}

impl List {
    /// Brings the index to what rows, filter and sort are now; `version` is another one whenever the rows are. `part`: the rows are no more
    /// than this part of a long table. A filter that cannot be read hides nothing, and its error is for the prompt.
    pub fn sync(&mut self, pane: &Pane, rows: &[Row], part: Option<Page>, version: u64, now: Timestamp) {
        // Until the engine has answered to another filter or order, what is held is filtered and sorted here.
        let part = part.filter(|_| self.only.is_none() && self.is_of(self.page.as_ref()));
        let built =
            Built { version, part, page: self.page.clone(), filter: self.filter.clone(), sort: self.sort.clone(), only: self.only.clone() };
        if self.index.built.as_ref() == Some(&built) {
            return;
        }
        let order = if part.is_some() { (0..u32::try_from(rows.len()).unwrap_or(u32::MAX)).collect() } else { self.order(rows, now) };
        let mut widths: BTreeMap<String, u16> = match &self.index.built {
            // Columns stay as wide as they were while other parts of the same table come and go.
            Some(before) if part.is_some() && before.shows_the_same(&built) => std::mem::take(&mut self.index.widths),
            _ => BTreeMap::new(),
        };
        for (field, value) in order.iter().filter_map(|i| rows.get(*i as usize)).flatten() {
            let wide = width(value);
            match widths.get_mut(field) {
                Some(w) => *w = (*w).max(wide),
                None => {
                    widths.insert(field.clone(), wide);
                }
            }
        }
        let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let (base, len) = part.map_or((0, order.len()), |p| (count(p.offset), count(p.total).max(count(p.offset) + order.len())));
        self.index = Index { built: Some(built), base, len, order, widths };
        let held = self.held();
        let found = self.selected.as_deref().and_then(|s| held.clone().find(|n| self.row(rows, *n).is_some_and(|r| pane.id(r) == s)));
        self.at = match (&self.selected, found) {
            (_, Some(at)) => at,
            (None, _) if self.loose => self.at.min(self.len().saturating_sub(1)),
            (None, _) => 0,
            (Some(_), None) => self.at.min(self.len().saturating_sub(1)),
        };
        if self.loose && held.contains(&self.at) {
            self.select(pane, rows, self.at);
        }
    }

    /// Whether the rows of this part are those that filter and sort ask for.
    pub fn is_of(&self, page: Option<&PageAsk>) -> bool {
        match page {
            Some(p) => p.filter == self.filter.trim() && p.sort == self.sort,
            None => self.filter.trim().is_empty() && self.sort.is_none(),
        }
    }

    fn order(&self, rows: &[Row], now: Timestamp) -> Vec<u32> {
        let fields: Vec<&str> = rows.first().map(|r| r.keys().map(String::as_str).collect()).unwrap_or_default();
        let filter = Filter::parse(&self.filter, &fields, now).unwrap_or_default();
        let mut order: Vec<u32> = Vec::new();
        for (i, row) in rows.iter().enumerate() {
            if self.only.as_ref().is_none_or(|(field, word)| has(row, field, word)) && (filter.is_empty() || filter.matches(row)) {
                order.push(u32::try_from(i).unwrap_or(u32::MAX));
            }
        }
        if let Some((column, backwards)) = &self.sort {
            let nothing = Value::Null;
            let cell = |i: &u32| rows.get(*i as usize).and_then(|r| r.get(column)).unwrap_or(&nothing);
            order.sort_by(|a, b| filter::order_column(cell(a), cell(b), *backwards));
        }
        order
    }

    /// Rows that are shown, those that are not held too.
    pub fn len(&self) -> usize {
        self.index.len
    }

    pub fn is_empty(&self) -> bool {
        self.index.len == 0
    }

    /// Which of them are held.
    pub fn held(&self) -> std::ops::Range<usize> {
        self.index.base..self.index.base + self.index.order.len()
    }

    /// Whether only a part of the rows is held.
    pub fn is_part(&self) -> bool {
        self.index.order.len() < self.index.len
    }

    /// The `n`th row that is shown. Rows that are not held, or went away since the index was built, are none.
    pub fn row<'a>(&self, rows: &'a [Row], n: usize) -> Option<&'a Row> {
        rows.get(*self.index.order.get(n.checked_sub(self.index.base)?)? as usize)
    }

    /// The row under the cursor.
    pub fn current<'a>(&self, rows: &'a [Row]) -> Option<&'a Row> {
        self.row(rows, self.at)
    }

    /// Columns that the longest text of a field takes.
    pub fn width(&self, field: &str) -> u16 {
        self.index.widths.get(field).copied().unwrap_or(0)
    }

    /// Puts the cursor on row `at`.
    pub fn select(&mut self, pane: &Pane, rows: &[Row], at: usize) {
        self.at = at.min(self.len().saturating_sub(1));
        self.selected = self.row(rows, self.at).map(|r| pane.id(r));
        self.loose = self.selected.is_none() && !self.is_empty();
    }

    /// The first row to draw, so that the cursor is among `height` rows.
    pub fn first(&self, height: usize) -> usize {
        let height = height.max(1);
        let top = self.top.min(self.len().saturating_sub(height));
        if self.at < top {
            self.at
        } else if self.at >= top + height {
            self.at + 1 - height
        } else {
            top
        }
    }
}

fn has(row: &Row, field: &str, word: &str) -> bool {
    row.get(field).and_then(Value::as_str).is_some_and(|t| t.split(',').any(|w| w.trim() == word))
}

fn width(value: &Value) -> u16 {
    let wide = match value {
        Value::Null => 0,
        Value::String(s) if s.is_ascii() => s.len(),
        Value::String(s) => crate::console::widget::paint::width(&s.chars().take(WIDEST).collect::<String>()),
        Value::Bool(_) => 5,
        Value::Number(n) => n.as_u64().map_or(12, |n| n.checked_ilog10().unwrap_or(0) as usize + 1),
        Value::Array(_) | Value::Object(_) => 0,
    };
    wide.min(WIDEST) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const PANE: Pane = Pane { what: "runs", id: "run", title: "RUNS" };

    fn rows(ids: &[&str]) -> Vec<Row> {
        ids.iter().enumerate().map(|(i, id)| json!({"run": id, "n": i, "views": "a, b"}).as_object().unwrap().clone()).collect()
    }

    fn sync(list: &mut List, rows: &[Row], version: u64) {
        list.sync(&PANE, rows, None, version, Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn the_cursor_follows_its_row_and_stays_near_when_it_goes() {
        let mut list = List::default();
        sync(&mut list, &rows(&["a", "b", "c"]), 1);
        list.select(&PANE, &rows(&["a", "b", "c"]), 1);
        sync(&mut list, &rows(&["x", "a", "b", "c"]), 2);
        assert_eq!(list.at, 2, "rows above");
        sync(&mut list, &rows(&["a", "c"]), 3);
        assert_eq!(list.at, 1, "its row is gone");
        sync(&mut list, &[], 4);
        assert_eq!((list.at, list.current(&[])), (0, None));
    }

    #[test]
    fn the_index_is_built_anew_only_when_something_moved() {
        let (mut list, all) = (List::default(), rows(&["a", "b", "c"]));
        sync(&mut list, &all, 1);
        // The same version: whoever changes rows says so.
        sync(&mut list, &all[..1], 1);
        assert_eq!(list.len(), 3);
        list.filter = "run=b".into();
        sync(&mut list, &all, 1);
        assert_eq!(list.len(), 1);
        list.filter.clear();
        list.sort = Some(("n".into(), true));
        sync(&mut list, &all, 1);
        assert_eq!(list.row(&all, 0).unwrap()["run"], "c");
        list.only = Some(("views", "z".into()));
        sync(&mut list, &all, 1);
        assert!(list.is_empty());
    }

    #[test]
    fn widths_are_those_of_all_rows_wherever_the_list_is_scrolled() {
        let (mut list, all) = (List::default(), rows(&["a", "a long name", "c"]));
        sync(&mut list, &all, 1);
        list.top = 2;
        assert_eq!((list.width("run"), list.width("n"), list.width("none")), (11, 1, 0));
    }

    #[test]
    fn a_part_of_a_long_table_keeps_its_places_and_the_cursor_finds_its_row() {
        let names: Vec<String> = (0..1_000).map(|i| format!("r{i}")).collect();
        let page = |from: usize, n: usize, shift: usize| {
            let all: Vec<&str> = (from..from + n).map(|i| names[i - shift].as_str()).collect();
            (rows(&all), Some(Page { offset: from as u64, total: 1_000 }))
        };
        let sync = |list: &mut List, (rows, part): &(Vec<Row>, Option<Page>), version| {
            list.sync(&PANE, rows, *part, version, Timestamp::UNIX_EPOCH);
        };
        let mut list = List::default();
        let head = page(0, 100, 0);
        sync(&mut list, &head, 1);
        assert_eq!((list.len(), list.held(), list.is_part()), (1_000, 0..100, true));
        // To the end: the place is known before the row is.
        list.select(&PANE, &head.0, 999);
        assert_eq!((list.at, list.selected.as_deref(), list.current(&head.0)), (999, None, None));
        sync(&mut list, &head, 2);
        assert_eq!(list.at, 999, "it stays there until the row comes");
        let ask =
            |offset| PageAsk { what: "runs", by: "run", filter: String::new(), sort: None, offset, around: None, limit: 100, of: None };
        list.page = Some(ask(900));
        let end = page(900, 100, 0);
        sync(&mut list, &end, 1);
        assert_eq!((list.selected.as_deref(), list.at), (Some("r999"), 999));
        list.select(&PANE, &end.0, 950);
        // Three rows came above: the same row stands further down.
        sync(&mut list, &page(900, 100, 3), 2);
        assert_eq!((list.selected.as_deref(), list.at), (Some("r950"), 953));
        // Until the engine answers to a filter, what is held is filtered here.
        list.filter = "run=r949".into();
        sync(&mut list, &end, 2);
        assert_eq!((list.len(), list.is_part()), (1, false));
    }

    proptest! {
        #[test]
        fn the_cursor_is_always_drawn(top in 0usize..200, at in 0usize..100, height in 0usize..40, len in 1usize..101) {
            let names: Vec<String> = (0..len).map(|i| i.to_string()).collect();
            let all = rows(&names.iter().map(String::as_str).collect::<Vec<_>>());
            let mut list = List { top, ..List::default() };
            sync(&mut list, &all, 1);
            list.select(&PANE, &all, at);
            let first = list.first(height);
            prop_assert!(first <= list.at && list.at < first + height.max(1));
        }
    }
}
