//! The audit chain: who did what, when and why; what was refused; a broken chain above everything else.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::runs::{Shape, list_of};
use super::{when, word};
use crate::console::model::Model;
use crate::console::model::list::Row;
use crate::console::model::screen::PAGE;
use crate::console::question::Question;
use crate::console::widget::paint;
use crate::console::widget::table::{Cell, Column};
use crate::theme::{Look, Role};

const COLUMNS: &[Column] = &[
    Column::right("#", "seq", 3),
    Column::left("AT", "at", 9, 0),
    Column::left("WHO", "who", 6, 1),
    Column::right("UID", "uid", 3),
    Column::left("ACTION", "action", 6, 0),
    Column::left("SUBJECT", "subject", 8, 2),
    Column::left("RESULT", "result", 6, 3),
    Column::left("REASON", "reason", 6, 4),
];

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let Some((pane, list)) = model.screen().pane() else { return };
    let broken = model.rows(&Question::Rows { what: pane.what, limit: PAGE }).and_then(|r| r.error.clone());
    let mut body = area;
    if let Some(why) = broken {
        let text = format!("THE CHAIN IS BROKEN: {why}");
        paint::text(buf, area, 0, 0, &text, look.style(Role::Bad), look.glyphs.ellipsis);
        body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    }
    list_of(
        model,
        look,
        body,
        buf,
        &Shape { pane, list, focused: true, columns: COLUMNS, empty: "nobody has changed anything yet" },
        &cells,
    );
}

fn cells(model: &Model, _look: &Look, row: &Row) -> Vec<Cell> {
    let result = word::text(row, "result");
    let alone = row.get("single_person").and_then(serde_json::Value::as_bool).unwrap_or(false);
    let role = if alone || result.starts_with("refused") { Role::Bad } else { Role::Text };
    let result = if alone { format!("SINGLE PERSON {result}") } else { result };
    vec![
        Cell::new(word::text(row, "seq"), Role::Dim),
        Cell::new(when::instant(row, "at").map(|t| when::show(model, t)).unwrap_or_default(), Role::Dim),
        Cell::new(word::text(row, "who"), Role::Strong),
        Cell::new(word::text(row, "uid"), Role::Dim),
        Cell::plain(word::text(row, "action")),
        Cell::plain(word::text(row, "subject")),
        Cell::new(result, role),
        Cell::plain(word::text(row, "reason")),
    ]
}
