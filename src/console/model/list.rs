//! The state of one list: where the cursor is, what is filtered, sorted and marked. Rows are known by their ids, so that all of it survives
//! a refresh.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::domain::filter::{self, Filter};

pub type Row = Map<String, Value>;

#[derive(Debug, Clone, Default)]
pub struct List {
    /// The id under the cursor; none = the first row.
    pub selected: Option<String>,
    /// Where it was, for when its row goes away.
    pub at: usize,
    /// The first row that is drawn.
    pub top: usize,
    pub filter: String,
    /// Column and whether backwards; none = as the engine sends it.
    pub sort: Option<(String, bool)>,
    pub marks: BTreeSet<String>,
}

impl List {
    /// The rows to show, in order. A filter that cannot be read hides nothing, and its error is for the prompt.
    pub fn shown<'a>(&self, rows: &'a [Row], columns: &[&str], now: Timestamp) -> Vec<&'a Row> {
        let filter = Filter::parse(&self.filter, columns, now).unwrap_or_default();
        let mut out: Vec<&Row> = rows.iter().filter(|r| filter.is_empty() || filter.matches(r)).collect();
        if let Some((column, backwards)) = &self.sort {
            let cell = |r: &Row| r.get(column).cloned().unwrap_or(Value::Null);
            out.sort_by(|a, b| filter::order_column(&cell(a), &cell(b), *backwards));
        }
        out
    }

    /// Where the cursor is among `ids`: at its row, or, where that is gone, as near as may be to where it was.
    pub fn position(&self, ids: &[&str]) -> usize {
        let found = self.selected.as_deref().and_then(|s| ids.iter().position(|i| *i == s));
        found.unwrap_or_else(|| self.at.min(ids.len().saturating_sub(1)))
    }

    /// Puts the cursor on row `at` of `ids`.
    pub fn select(&mut self, ids: &[&str], at: usize) {
        let at = at.min(ids.len().saturating_sub(1));
        self.at = at;
        self.selected = ids.get(at).map(|i| (*i).to_owned());
    }

    /// The first row to draw, so that the cursor is among `height` rows.
    pub fn first(&self, at: usize, height: usize, len: usize) -> usize {
        let height = height.max(1);
        let top = self.top.min(len.saturating_sub(height));
        if at < top {
            at
        } else if at >= top + height {
            at + 1 - height
        } else {
            top
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_cursor_follows_its_row_and_stays_near_when_it_goes() {
        let mut list = List::default();
        list.select(&["a", "b", "c"], 1);
        assert_eq!(list.position(&["x", "a", "b", "c"]), 2, "rows above");
        assert_eq!(list.position(&["a", "c"]), 1, "its row is gone");
        assert_eq!(list.position(&[]), 0);
    }

    proptest! {
        #[test]
        fn the_cursor_is_always_drawn(top in 0usize..200, at in 0usize..100, height in 0usize..40, len in 1usize..101) {
            let list = List { top, ..List::default() };
            let at = at.min(len - 1);
            let first = list.first(at, height, len);
            prop_assert!(first <= at && at < first + height.max(1));
        }
    }
}
