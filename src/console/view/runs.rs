//! Lists of runs, and the part that every list shares: count line, table, and words for when there is nothing to show.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{when, word};
use crate::base::duration;
use crate::console::model::list::{List, Row};
use crate::console::model::{Link, Model, Pane};
use crate::console::question::Question;
use crate::console::widget::paint;
use crate::console::widget::table::{self, Cell, Column, Line};
use crate::theme::{Look, Role};

const COLUMNS: &[Column] = &[
    Column::left("RUN", "run", 10, 2),
    Column::left("", "verdict", 1, 0),
    Column::left("STATE", "state", 7, 0),
    Column::right("TIME", "duration_ms", 5),
    Column::left("WHEN", "started", 9, 0),
    Column::left("BY", "requested_by", 4, 1),
    Column::left("DETAIL", "detail", 10, 3),
];

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let Some((pane, list)) = model.screen().pane() else { return };
    list_of(
        model,
        look,
        area,
        buf,
        &Shape { pane, list, focused: true, columns: COLUMNS, empty: "no run yet: B on a pipeline starts one" },
        &cells,
    );
}

/// A run's row.
pub fn cells(model: &Model, look: &Look, row: &Row) -> Vec<Cell> {
    let outcome = word::outcome(row);
    let (sign, role) = word::verdict(&outcome, &look.glyphs);
    let running = outcome == "running";
    let lasted =
        when::lasted(row, "duration_ms").or_else(|| running.then(|| when::elapsed(model, row, "started").map(duration::short)).flatten());
    let at = when::instant(row, "started").or_else(|| when::instant(row, "queued"));
    vec![
        Cell::new(word::text(row, "run"), Role::Text),
        Cell::new(sign, role),
        Cell::new(outcome, role),
        Cell::plain(lasted.unwrap_or_default()),
        Cell::new(at.map(|t| when::show(model, t)).unwrap_or_default(), Role::Dim),
        Cell::new(word::text(row, "requested_by"), Role::Dim),
        Cell::plain(word::text(row, "detail")),
    ]
}

/// What a list is made of.
pub struct Shape<'a> {
    pub pane: Pane,
    pub list: &'a List,
    pub focused: bool,
    pub columns: &'a [Column],
    /// What is said where there is no row at all.
    pub empty: &'a str,
}

/// Draws one list with its count line. Old rows stay, marked as such, until new ones come.
pub fn list_of(
    model: &Model,
    look: &Look,
    area: Rect,
    buf: &mut Buffer,
    shape: &Shape<'_>,
    cells: &dyn Fn(&Model, &Look, &Row) -> Vec<Cell>,
) {
    let question = Question::Rows { what: shape.pane.what, limit: super::super::model::screen::PAGE };
    let known = model.known(&question);
    let rows = model.rows(&question).map_or(&[][..], |r| r.rows.as_slice());
    let fields: Vec<&str> = rows.first().map(|r| r.keys().map(String::as_str).collect()).unwrap_or_default();
    let shown = shape.list.shown(rows, &fields, model.now);
    count(model, look, area, buf, shape, rows.len(), shown.len());
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    if shown.is_empty() {
        let (text, role) = match known {
            None => ("asking the engine".to_owned(), Role::Dim),
            Some(k) if k.answer.is_none() => match &k.error {
                Some(e) => (format!("{e}. {}", e.help), Role::Bad),
                None => ("asking the engine".to_owned(), Role::Dim),
            },
            Some(_) if rows.is_empty() => (shape.empty.to_owned(), Role::Dim),
            Some(_) => (format!("the filter hides all {} rows, \\ clears it", rows.len()), Role::Warn),
        };
        paint::text(buf, body, 2, 1, &text, look.style(role), look.glyphs.ellipsis);
        return;
    }
    let ids: Vec<String> = shown.iter().map(|r| word::text(r, shape.pane.id)).collect();
    let names: Vec<&str> = ids.iter().map(String::as_str).collect();
    let at = shape.list.position(&names);
    let height = usize::from(body.height.saturating_sub(1));
    let view = table::View {
        columns: shape.columns,
        sort: shape.list.sort.as_ref().map(|(c, b)| (c.as_str(), *b)),
        len: shown.len(),
        at,
        first: shape.list.first(at, height, shown.len()),
        focused: shape.focused,
    };
    table::draw(look, body, buf, &view, |n| Line { cells: cells(model, look, shown[n]), marked: shape.list.marks.contains(&ids[n]) });
}

fn count(model: &Model, look: &Look, area: Rect, buf: &mut Buffer, shape: &Shape<'_>, all: usize, shown: usize) {
    let mut text = if all == shown { format!("{} {all}", shape.pane.title) } else { format!("{} {shown} of {all}", shape.pane.title) };
    if !shape.list.marks.is_empty() {
        text += &format!("   {} marked", shape.list.marks.len());
    }
    if !shape.list.filter.is_empty() {
        text += &format!("   filter {}", shape.list.filter);
    }
    let style = look.style(if shape.focused { Role::Count } else { Role::Dim });
    let x = paint::text(buf, area, 0, 0, &text, style, look.glyphs.ellipsis);
    let question = Question::Rows { what: shape.pane.what, limit: super::super::model::screen::PAGE };
    let Some(known) = model.known(&question) else { return };
    let age = known.at.map(|t| when::relative(model.now, t)).unwrap_or_default();
    let stale = matches!(model.link, Link::Down { .. });
    let error = known.error.as_ref().map(|e| format!("   {e}"));
    if let Some(text) = error.or_else(|| stale.then(|| format!("   ~ from {age}"))) {
        paint::text(buf, area, x, 0, &text, look.style(Role::Warn), look.glyphs.ellipsis);
    }
}
