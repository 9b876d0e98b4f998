//! Rows of the engine as a table for people, and why there are none.

use super::args::Get;
use super::out::{Out, Tone};
use super::table::{self, Column, left};
use super::tables;
use super::view::{Row, View};
use crate::api::order::Page;
use crate::api::types::Rows;
use crate::base::{count, duration, sanitise};
use crate::domain::filter::cell;

pub(super) fn show(out: &Out, get: &Get, rows: &Rows) {
    if rows.rows.is_empty() {
        out.advice(empty(get, rows.page));
        return;
    }
    let view = View { out, now: jiff::Timestamp::now() };
    let (columns, lines): (Vec<Column>, Vec<Vec<String>>) = match tables::find(&rows.what) {
        Some(table) => (
            table.fields.iter().map(|f| f.column).collect(),
            rows.rows.iter().map(|r| table.fields.iter().map(|f| f.cell(&view, r)).collect()).collect(),
        ),
        None => plain(&rows.rows),
    };
    let lines: Vec<Vec<String>> = lines.into_iter().map(|l| l.iter().map(|c| out.again(c)).collect()).collect();
    table::print(out, &columns, &lines);
    if let Some(page) = rows.page {
        out.line(out.paint(Tone::Dim, &shown_of(page, lines.len())));
    }
    if rows.age_ms > 10_000 {
        out.line(out.paint(Tone::Dim, &format!("oldest answer: {} ago", duration::short(rows.age_ms))));
    }
}

/// `rows 21 to 40 of 118`.
pub(super) fn shown_of(page: Page, shown: usize) -> String {
    format!("rows {} to {} of {}", page.offset + 1, page.offset + shown as u64, page.total)
}

/// A table of a newer engine, as it comes.
fn plain(rows: &[Row]) -> (Vec<Column>, Vec<Vec<String>>) {
    (
        vec![left("ROW")],
        rows.iter().map(|r| vec![r.iter().map(|(k, v)| format!("{k}={}", cell(v))).collect::<Vec<_>>().join(" ")]).collect(),
    )
}

/// Empty says why.
fn empty(get: &Get, page: Option<Page>) -> String {
    if get.cut.limit == Some(0) {
        return "--limit 0 shows no rows".to_owned();
    }
    if let Some(page) = page.filter(|p| p.total > 0) {
        return format!(
            "there {} {}, and --offset leaves all out",
            if page.total == 1 { "is" } else { "are" },
            count::s(page.total, "row")
        );
    }
    if !get.cut.filter.trim().is_empty() {
        return format!("no {} pass the filter {}", get.what, sanitise::cell(&get.cut.filter));
    }
    tables::find(&get.what).map_or("there are no rows", |t| t.empty).to_owned()
}
