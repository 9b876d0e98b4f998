//! `get runs`: the one table that grows without end. Rows go from the store to text one by one; what the database can test, it tests.

use std::ops::ControlFlow;
use std::sync::Arc;

use serde_json::Value;

use super::blocking::blocking;
use super::paging::{self, MOST};
use super::question::Question;
use super::rows::{self, RunOut};
use super::state::Engine;
use crate::api::ApiError;
use crate::api::order::sort_by;
use crate::domain::filter::{self, Filter};
use crate::domain::run::{RunRef, RunState};
use crate::store::RunsQuery;

/// Rows beside two pages that are held while a page is sorted.
const SPARE: usize = 512;

/// The whole answer as JSON, in the shape of `api::types::Rows`.
pub async fn text(engine: &Arc<Engine>, q: Question) -> Result<Vec<u8>, ApiError> {
    let sort = q.sort.as_deref().map(|s| sort_by(s, rows::RUNS)).transpose()?;
    let filter = Filter::parse(&q.filter, rows::RUNS, engine.clock.now())?;
    let limit = q.limit.unwrap_or(MOST).min(MOST);
    // Read before the rows: a client that follows the stream from here may see a change twice, and misses none.
    let head = format!("{{\"what\":\"runs\",\"revision\":{},\"age_ms\":0,\"rows\":[", engine.model.position().revision).into_bytes();
    let engine = engine.clone();
    let (mut text, page) = blocking(move || match (q.page, sort) {
        (Some(ask), _) => paging::runs(&engine, &query(&filter), &filter, sort, limit, &ask, head).map(|(t, p)| (t, Some(p))),
        (None, None) => newest(&engine, &filter, limit, head).map(|t| (t, None)),
        (None, Some(by)) => sorted(&engine, &filter, by, limit, head).map(|t| (t, None)),
    })
    .await?;
    match page {
        Some(p) => text.extend_from_slice(format!("],\"page\":{{\"offset\":{},\"total\":{}}}}}", p.offset, p.total).as_bytes()),
        None => text.extend_from_slice(b"]}"),
    }
    Ok(text)
}

/// What the database can test of a filter: no row that the filter lets pass is left out.
fn query(filter: &Filter) -> RunsQuery {
    let mut q = RunsQuery { limit: MOST, ..RunsQuery::default() };
    for e in filter.equalities() {
        match (e.column, e.negate) {
            ("run", false) => {
                if let Ok(run) = e.text.parse::<RunRef>() {
                    (q.pipeline, q.number) = (Some(run.pipeline), Some(run.number));
                }
            }
            ("pipeline", false) if !e.by_value => q.pipeline = Some(e.text.to_owned()),
            ("number", false) => q.number = e.text.parse().ok().or(q.number),
            ("state", negate) => match e.text.parse::<RunState>() {
                Ok(state) if negate => q.not_states.push(state),
                Ok(state) => q.states = vec![state],
                Err(_) => {}
            },
            ("verdict", negate) => q.verdicts.extend(e.text.parse().ok().map(|v| (v, !negate))),
            _ => {}
        }
    }
    q
}

/// Newest first, until there are enough.
fn newest(engine: &Engine, filter: &Filter, limit: usize, head: Vec<u8>) -> Result<Vec<u8>, ApiError> {
    if limit == 0 {
        return Ok(head);
    }
    let all = filter.is_empty();
    let q = RunsQuery { limit: if all { limit } else { MOST }, ..query(filter) };
    let (filter, mut found) = (filter.clone(), 0);
    let folded = engine.store.fold_runs(&q, Ok(head), move |text: &mut Result<Vec<u8>, serde_json::Error>, row| {
        if !all && !filter.matches(&rows::run(&row)) {
            return ControlFlow::Continue(());
        }
        if let Err(e) = text.as_mut().map_or(Ok(()), |t| write(t, found > 0, &row)) {
            *text = Err(e);
        }
        found += 1;
        if found >= limit || text.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    folded?.map_err(|e| ApiError::failed(format!("a row cannot be written: {e}"), ""))
}

fn write(text: &mut Vec<u8>, more: bool, row: &crate::domain::rows::RunRow) -> Result<(), serde_json::Error> {
    if more {
        text.push(b',');
    }
    serde_json::to_writer(text, &RunOut::of(row))
}

/// By a column: every row is seen before the first is known. Rows are held as text beside their cell.
fn sorted(
    engine: &Engine,
    filter: &Filter,
    (column, backwards): (&'static str, bool),
    limit: usize,
    mut head: Vec<u8>,
) -> Result<Vec<u8>, ApiError> {
    let keep = filter.clone();
    let folded = engine.store.fold_runs(&query(filter), Vec::<(Value, String)>::new(), move |all, row| {
        let row = rows::run(&row);
        if keep.matches(&row) {
            let cell = row.get(column).cloned().unwrap_or(Value::Null);
            all.push((cell, Value::Object(row).to_string()));
            // A page of a long history must not hold all of it: what cannot be on the page goes.
            if all.len() >= limit.saturating_mul(2).saturating_add(SPARE) {
                all.sort_by(|a, b| filter::order_column(&a.0, &b.0, backwards));
                all.truncate(limit);
            }
        }
        ControlFlow::Continue(())
    });
    let mut all = folded?;
    all.sort_by(|a, b| filter::order_column(&a.0, &b.0, backwards));
    all.truncate(limit);
    for (i, (_, row)) in all.iter().enumerate() {
        if i > 0 {
            head.push(b',');
        }
        head.extend_from_slice(row.as_bytes());
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::Verdict;

    fn of(text: &str) -> RunsQuery {
        query(&Filter::parse(text, rows::RUNS, jiff::Timestamp::UNIX_EPOCH).unwrap())
    }

    #[test]
    fn the_database_tests_what_it_can_and_never_more() {
        let q = of("run=Nightly#7 state!=done verdict=success verdict!=lost hello");
        assert_eq!((q.pipeline.as_deref(), q.number), (Some("nightly"), Some(7)));
        assert_eq!((q.not_states, q.states), (vec![RunState::Done], vec![]));
        assert_eq!(q.verdicts, [(Verdict::Success, true), (Verdict::Lost, false)]);
        let q = of("pipeline=7 number=5.0 !pipeline=x state>done verdict= run=x verdict>a");
        assert_eq!(
            (q.pipeline, q.number, q.states.len(), q.verdicts.len()),
            (None, None, 0, 0),
            "`07` equals 7, and nothing else is exact"
        );
        let q = of("pipeline=a pipeline=b");
        assert_eq!(q.pipeline.as_deref(), Some("b"), "one of both is enough: the filter itself decides");
    }
}
