//! The state of one list: where the cursor is, what is filtered, sorted and marked, and its index. Rows are known by their ids, so that all
//! of it survives a refresh.
//!
//! The index (which rows, in which order, how wide) is built when rows, filter or sort change; a frame only reads it, so that a frame of
//! 50,000 rows costs what one of 5,000 does.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::screen::Pane;
use crate::domain::filter::{self, Filter};

pub type Row = Map<String, Value>;

/// No column asks for more than this by what is in it.
const WIDEST: usize = 200;

#[derive(Debug, Clone, Default)]
pub struct List {
    /// The id under the cursor; none = the first row, whichever that is.
    pub selected: Option<String>,
    /// Where that is among the rows that are shown.
    pub at: usize,
    /// The first row that is drawn.
    pub top: usize,
    pub filter: String,
    /// Column and whether backwards; none = as the engine sends it.
    pub sort: Option<(String, bool)>,
    pub marks: BTreeSet<String>,
    /// Only rows whose field has this among its words, separated by commas: the tab.
    pub only: Option<(&'static str, String)>,
    index: Index,
}

#[derive(Debug, Clone, Default)]
struct Index {
    /// What it was built from.
    built: Option<Built>,
    /// Places in the table, in the order in which they are shown.
    order: Vec<u32>,
    /// Columns that the longest text of each field takes, among the rows that are shown.
    widths: BTreeMap<String, u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Built {
    version: u64,
    filter: String,
    sort: Option<(String, bool)>,
    only: Option<(&'static str, String)>,
}

impl List {
    /// Brings the index to what rows, filter and sort are now; `version` is another one whenever the rows are. A filter that cannot be read
    /// hides nothing, and its error is for the prompt.
    pub fn sync(&mut self, pane: &Pane, rows: &[Row], version: u64, now: Timestamp) {
        let built = Built { version, filter: self.filter.clone(), sort: self.sort.clone(), only: self.only.clone() };
        if self.index.built.as_ref() == Some(&built) {
            return;
        }
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
        let mut widths: BTreeMap<String, u16> = BTreeMap::new();
        for (field, value) in order.iter().filter_map(|i| rows.get(*i as usize)).flatten() {
            let wide = width(value);
            match widths.get_mut(field) {
                Some(w) => *w = (*w).max(wide),
                None => {
                    widths.insert(field.clone(), wide);
                }
            }
        }
        self.index = Index { built: Some(built), order, widths };
        let found = self.selected.as_deref().and_then(|s| (0..self.len()).find(|n| self.row(rows, *n).is_some_and(|r| pane.id(r) == s)));
        self.at = match (&self.selected, found) {
            (_, Some(at)) => at,
            (None, _) => 0,
            (Some(_), None) => self.at.min(self.len().saturating_sub(1)),
        };
    }

    /// Rows that are shown.
    pub fn len(&self) -> usize {
        self.index.order.len()
    }

    pub fn is_empty(&self) -> bool {
        self.index.order.is_empty()
    }

    /// The `n`th row that is shown. Rows that went away since the index was built are none.
    pub fn row<'a>(&self, rows: &'a [Row], n: usize) -> Option<&'a Row> {
        rows.get(*self.index.order.get(n)? as usize)
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
        list.sync(&PANE, rows, version, Timestamp::UNIX_EPOCH);
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
