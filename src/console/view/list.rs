//! What every list shares: count line, table, and words for when there is nothing to show. Old rows stay, marked as such, until new ones come;
//! nothing that is old is green.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{when, word};
use crate::console::model::list::{List, Row};
use crate::console::model::screen::PAGE;
use crate::console::model::{Link, Model, Pane};
use crate::console::question::Question;
use crate::console::widget::paint;
use crate::console::widget::table::{self, Cell, Column, Line};
use crate::theme::{Look, Role};

/// What a list is made of.
pub struct Shape<'a> {
    pub pane: Pane,
    pub list: &'a List,
    pub focused: bool,
    pub columns: &'a [Column],
    /// What is said where there is no row at all.
    pub empty: &'a str,
    pub cells: &'a dyn Fn(&Model, &Look, &Row) -> Vec<Cell>,
    /// What stands in the count line after the number.
    pub more: String,
}

/// How far an answer can be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// It is as the engine says it now.
    Now,
    /// There is no answer yet.
    Asking,
    /// There is none, and why; what to do next.
    None(String),
    /// It is an old one: how old, and why there is no newer one.
    Old(String),
}

/// How far the answer to a question can be trusted.
pub fn trust(model: &Model, question: &Question) -> Trust {
    let known = model.known(question);
    let at = known.filter(|k| k.answer.is_some()).and_then(|k| k.at);
    let age = at.map(|t| when::relative(model.now, t));
    match (&model.link, age, known.and_then(|k| k.error.as_ref())) {
        (Link::Down { .. }, Some(age), _) => Trust::Old(format!("from {age}: the engine does not answer")),
        (Link::Down { why, .. }, None, _) => {
            Trust::None(format!("nothing is known: {why}. It is tried again by itself; `quarterdeck engine status` says more"))
        }
        (Link::Saved { .. }, None, _) => Trust::None("this is not part of the saved state".into()),
        (Link::Up, Some(age), Some(e)) => Trust::Old(format!("from {age}: {e}")),
        (Link::Up, None, Some(e)) => Trust::None(format!("{}; r asks again", word::cured(e))),
        (Link::Connecting, Some(age), _) => Trust::Old(format!("from {age}")),
        (_, Some(_), _) => Trust::Now,
        (_, None, None) => Trust::Asking,
        (Link::Connecting, None, Some(_)) => Trust::Asking,
    }
}

fn trust_of(model: &Model, pane: &Pane) -> Trust {
    if pane.what != "needs" {
        return trust(model, &model.question_of(pane));
    }
    match trust(model, &Question::Rows { what: "pipelines", limit: PAGE }) {
        // What is known to be wrong is shown whatever else is not known.
        _ if !model.needs.is_empty() => Trust::Now,
        other => other,
    }
}

/// Draws one list with its count line.
pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer, shape: &Shape<'_>) {
    if area.height == 0 || area.width == 0 {
        return;
    }
    let (rows, list) = (model.table(&shape.pane).0, shape.list);
    let trust = trust_of(model, &shape.pane);
    count(model, look, area, buf, shape, rows.len(), &trust);
    let body = Rect { y: area.y + 1, height: area.height - 1, ..area };
    if list.is_empty() {
        let (text, role) = match &trust {
            Trust::Asking => ("asking the engine".to_owned(), Role::Dim),
            Trust::None(why) => (why.clone(), Role::Bad),
            // A filter hides nothing where there is nothing.
            Trust::Now | Trust::Old(_) if rows.is_empty() && (list.filter.is_empty() || model.total(&shape.pane).unwrap_or(0) == 0) => {
                (shape.empty.to_owned(), Role::Dim)
            }
            Trust::Now | Trust::Old(_) => match (&list.only, list.filter.is_empty()) {
                (Some((_, view)), true) => (format!("no row is in view `{view}`: ] and [ change it"), Role::Warn),
                _ => {
                    let all = model.total(&shape.pane).unwrap_or(rows.len() as u64);
                    (hidden(all), Role::Warn)
                }
            },
        };
        let mut words = super::text::Text::new();
        words.say(&text, role);
        words.draw(look, Rect { x: body.x + 2.min(body.width), width: body.width.saturating_sub(2), ..body }, buf);
        return;
    }
    let height = usize::from(body.height.saturating_sub(1));
    let view = table::View {
        columns: shape.columns,
        sort: list.sort.as_ref().map(|(c, b)| (c.as_str(), *b)),
        len: list.len(),
        at: list.at,
        first: list.first(height),
        focused: shape.focused,
        wants: &|field| list.width(field),
    };
    let old = matches!(trust, Trust::Old(_));
    table::draw(look, body, buf, &view, |n| {
        let Some(row) = list.row(rows, n) else {
            return Line { cells: vec![Cell::new(look.glyphs.ellipsis, Role::Dim)], marked: false };
        };
        let id = shape.pane.id(row);
        let mut cells = (shape.cells)(model, look, row);
        for (cell, column) in cells.iter_mut().zip(shape.columns) {
            cell.changed = model.is_fresh(&shape.pane, &id, column.field);
            if old {
                doubt(cell);
            }
        }
        Line { cells, marked: list.marks.contains(&id) }
    });
}

/// Why a list with rows shows none.
fn hidden(all: u64) -> String {
    match all {
        1 => "the filter hides the one row, \\ clears it".to_owned(),
        n => format!("the filter hides all {n} rows, \\ clears it"),
    }
}

/// What was good when it was last heard of is not known to be good now.
pub fn doubt(cell: &mut Cell) {
    if cell.role == Role::Good {
        cell.role = Role::Unknown;
        // The sign takes the place of the blank before the text, where there is one: a strip of signs keeps its width.
        let blanks = cell.text.bytes().take_while(|b| *b == b' ').count();
        cell.text = match (cell.text.chars().count(), blanks) {
            (1, _) => "~".into(),
            (_, 0) => format!("~{}", cell.text),
            (_, n) => format!("{}~{}", " ".repeat(n - 1), &cell.text[n..]),
        };
    } else if cell.role == Role::Text {
        cell.role = Role::Dim;
    }
}

/// `RUNS row 7 of 120 (50000 in all)`: where the cursor is, among the rows that the filter lets pass, and how many there are.
fn count(model: &Model, look: &Look, area: Rect, buf: &mut Buffer, shape: &Shape<'_>, held: usize, trust: &Trust) {
    let (list, shown) = (shape.list, shape.list.len());
    let known = !matches!(trust, Trust::Asking | Trust::None(_));
    let all = model.total(&shape.pane).map_or(held, |t| usize::try_from(t).unwrap_or(usize::MAX)).max(shown);
    let saved = matches!(model.link, Link::Saved { .. }) && all > held;
    let mut text = shape.pane.title.to_owned();
    if known {
        text += &match (shape.focused && shown > 0, all == shown) {
            (true, true) => format!(" row {} of {shown}", list.at + 1),
            (true, false) => format!(" row {} of {shown} ({all} in all)", list.at + 1),
            (false, true) => format!(" {shown}"),
            (false, false) => format!(" {shown} of {all}"),
        };
    }
    if saved || (all == PAGE && model.total(&shape.pane).is_none() && shape.pane.what != "due") {
        text += " newest";
    }
    match (list.wanted.is_some(), model.missing(list)) {
        (true, Some(why)) => text += &format!("   the rest cannot be had: {why}"),
        (true, None) => text += "   asking for more",
        (false, _) => {}
    }
    if !list.marks.is_empty() {
        let hidden = if shown < all || list.is_part() { " (some may not be in sight)" } else { "" };
        text += &format!("   {} marked{hidden}", list.marks.len());
    }
    if !list.filter.is_empty() {
        text += &format!("   filter {}", list.filter);
    }
    if let Some((column, backwards)) = list.sort.as_ref().filter(|(c, _)| c != "rank") {
        text += &format!("   sort {}{column}", if *backwards { "-" } else { "" });
    }
    if !shape.more.is_empty() {
        text += &format!("   {}", shape.more);
    }
    let style = look.style(if shape.focused { Role::Count } else { Role::Dim });
    let x = paint::text(buf, area, 0, 0, &text, style, look.glyphs.ellipsis);
    if let Trust::Old(why) = trust {
        paint::text(buf, area, x, 0, &format!("   STALE {why}"), look.style(Role::Warn), look.glyphs.ellipsis);
    }
}

/// A fault of the table as a whole, such as a broken chain.
pub fn fault(model: &Model, pane: &Pane) -> Option<String> {
    model.rows(&model.question_of(pane)).and_then(|r| r.error.clone())
}

/// The row under the cursor of a list.
pub fn current<'a>(model: &'a Model, pane: &Pane, list: &List) -> Option<&'a Row> {
    list.current(model.table(pane).0)
}

/// An instant of a row in the person's form.
pub fn at(model: &Model, row: &Row, field: &str) -> String {
    when::instant(row, field).map(|t| when::show(model, t)).unwrap_or_default()
}

/// A field as it is, or another word where it is empty.
pub fn or(row: &Row, field: &str, other: &str) -> String {
    match word::text(row, field) {
        t if t.is_empty() => other.to_owned(),
        t => t,
    }
}
