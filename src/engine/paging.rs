//! Pages of a long table for a client that holds only a part of it: which rows, how many there are in all, and where one of them stands.

use std::ops::ControlFlow;

use serde_json::Value;

use super::asked::{Params, whole_number};
use super::rows::{self, Row, RunOut};
use super::state::Engine;
use crate::api::ApiError;
use crate::api::order::Page;
use crate::domain::filter::{self, Filter};
use crate::domain::run::RunRef;
use crate::store::{RunsQuery, StoreError};

/// Rows of one answer at most: the client's memory is not ours to fill.
pub const MOST: usize = 100_000;

/// A page as it is asked for. Its rows begin at `offset`, or sooner where less than a page is behind it, unless `exact`; where `around` is among
/// the rows that match and would not be well within the page, the page is moved to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ask {
    pub offset: usize,
    /// The values of the columns `by`, with a blank between them.
    pub around: Option<String>,
    pub by: String,
    /// Whoever asks goes on by counting: no row comes twice, and none behind the end.
    pub exact: bool,
}

impl Ask {
    /// From the parameters of a request; none where it asks for no page.
    pub fn of(q: &Params) -> Result<Option<Self>, ApiError> {
        if ["offset", "around", "count"].iter().all(|n| !q.contains_key(*n)) {
            return Ok(None);
        }
        let word = |name: &str| q.get(name).cloned();
        let exact = q.get("exact").is_some_and(|v| v == "1");
        let offset = whole_number(q, "offset")?.unwrap_or(0);
        Ok(Some(Self { offset, around: word("around"), by: word("by").unwrap_or_default(), exact }))
    }

    /// Where the page begins, of `total` rows; `at` is where `around` stands among them.
    fn begin(&self, at: Option<usize>, limit: usize, total: usize) -> usize {
        let last = if self.exact { total } else { total.saturating_sub(limit) };
        let margin = limit / 8;
        let from = self.offset.min(last);
        let well = |at: usize| (from == 0 || at >= from + margin) && (from == last || at + margin < from + limit) && at < from + limit;
        match at {
            Some(at) if !well(at) => at.saturating_sub(limit / 2).min(last),
            _ => from,
        }
    }

    /// Whether this is the row that the page is asked around.
    fn is(&self, row: &Row) -> bool {
        let Some(around) = &self.around else { return false };
        let cells: Vec<String> = self.by.split(' ').map(|c| row.get(c).map(filter::cell).unwrap_or_default()).collect();
        cells.join(" ") == *around
    }

    /// Keeps the page of rows that are all there.
    pub fn cut(&self, all: &mut Vec<Row>, limit: usize) -> Page {
        let total = all.len();
        let from = self.begin(all.iter().position(|r| self.is(r)), limit, total);
        all.truncate(from.saturating_add(limit));
        all.drain(..from);
        Page { offset: from as u64, total: total as u64 }
    }
}

/// A page of runs, written behind `head`, without the bracket that ends the rows.
pub fn runs(
    engine: &Engine,
    query: &RunsQuery,
    filter: &Filter,
    sort: Option<(&'static str, bool)>,
    limit: usize,
    ask: &Ask,
    head: Vec<u8>,
) -> Result<(Vec<u8>, Page), ApiError> {
    let limit = limit.min(MOST);
    let around = ask.around.as_deref().and_then(|r| r.parse::<RunRef>().ok());
    let store = &engine.store;
    if filter.is_empty() && sort.is_none() {
        let total = store.count_runs()?;
        let at = around.and_then(|r| store.newer_runs(&r).ok());
        let from = ask.begin(at, limit, total);
        let q = RunsQuery { limit, offset: from, ..query.clone() };
        let rows = if limit == 0 { Vec::new() } else { store.runs(&q)? };
        return Ok((write(head, rows.iter())?, Page { offset: from as u64, total: total as u64 }));
    }
    // Names and cells of all that match; whole rows are read of the page alone.
    let keep = filter.clone();
    let folded = store.fold_runs(query, Vec::<(Value, RunRef)>::new(), move |all, run| {
        let row = rows::run(&run);
        if keep.matches(&row) {
            let cell = sort.and_then(|(c, _)| row.get(c).cloned()).unwrap_or(Value::Null);
            all.push((cell, run.run));
        }
        ControlFlow::Continue(())
    });
    let mut all = folded?;
    if let Some((_, backwards)) = sort {
        all.sort_by(|a, b| filter::order_column(&a.0, &b.0, backwards));
    }
    let at = around.and_then(|r| all.iter().position(|(_, run)| *run == r));
    let from = ask.begin(at, limit, all.len());
    let mut page = Vec::new();
    for (_, run) in all.iter().skip(from).take(limit) {
        match store.run(run) {
            Ok(row) => page.push(row),
            // It went away in between; whoever asked is told of that and asks again.
            Err(StoreError::NoRun { .. }) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok((write(head, page.iter())?, Page { offset: from as u64, total: all.len() as u64 }))
}

fn write<'a>(mut text: Vec<u8>, rows: impl Iterator<Item = &'a crate::domain::rows::RunRow>) -> Result<Vec<u8>, ApiError> {
    for (i, row) in rows.enumerate() {
        if i > 0 {
            text.push(b',');
        }
        serde_json::to_writer(&mut text, &RunOut::of(row)).map_err(|e| ApiError::failed(format!("a row cannot be written: {e}"), ""))?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn rows(n: usize) -> Vec<Row> {
        (0..n).map(|i| json!({"seq": i, "at": "x y"}).as_object().unwrap().clone()).collect()
    }

    #[test]
    fn a_page_stays_where_it_is_while_its_row_is_well_within() {
        let ask = |offset, around: &str| Ask { offset, around: Some(around.to_owned()), by: "seq at".into(), exact: false };
        let cut = |a: Ask| {
            let mut all = rows(1_000);
            let page = a.cut(&mut all, 100);
            (page.offset, page.total, all.len())
        };
        assert_eq!(cut(ask(300, "350 x y")), (300, 1_000, 100));
        assert_eq!(cut(ask(300, "395 x y")), (345, 1_000, 100), "at its edge");
        assert_eq!(cut(ask(0, "999 x y")), (900, 1_000, 100), "the end of the table");
        assert_eq!(cut(ask(0, "gone")), (0, 1_000, 100));
        assert_eq!(cut(ask(5_000, "gone")), (900, 1_000, 100), "beyond the end");
        let mut few = rows(3);
        assert_eq!(ask(0, "2 x y").cut(&mut few, 100), Page { offset: 0, total: 3 });
    }

    #[test]
    fn whoever_counts_gets_each_row_once_and_nothing_behind_the_end() {
        let mut seen = Vec::new();
        for offset in (0..15).step_by(4) {
            let mut all = rows(10);
            let ask = Ask { offset, exact: true, ..Ask::default() };
            assert_eq!(ask.cut(&mut all, 4), Page { offset: offset.min(10) as u64, total: 10 });
            seen.extend(all.iter().map(|r| r["seq"].as_u64().unwrap()));
        }
        assert_eq!(seen, (0..10).collect::<Vec<u64>>());
    }

    proptest! {
        #[test]
        fn a_page_is_full_and_has_its_row(total in 0usize..400, limit in 1usize..120, offset in 0usize..500, at in 0usize..500) {
            let ask = Ask { offset, around: None, by: String::new(), exact: false };
            let from = ask.begin((at < total).then_some(at), limit, total);
            prop_assert!(from + limit.min(total) <= total);
            prop_assert!(at >= total || (from <= at && at < from + limit));
        }
    }
}
