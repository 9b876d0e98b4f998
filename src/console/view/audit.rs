//! The audit chain: who did what, when and why; what was refused; a broken chain above everything else.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::list::{self, Shape};
use super::text::Text;
use super::{beside, when, word};
use crate::console::model::Model;
use crate::console::model::list::Row;
use crate::console::widget::paint;
use crate::console::widget::table::{Cell, Column};
use crate::theme::{Look, Role};

const COLUMNS: &[Column] = &[
    Column::right("SEQ", "seq", 5),
    Column::left("AT", "at", 12, 0),
    Column::left("WHO", "who", 9, 1),
    Column::left("ACTION", "action", 12, 3),
    Column::left("SUBJECT", "subject", 15, 2).name(),
    Column::left("RESULT", "result", 8, 0),
    Column::left("REASON", "reason", 12, 5).if_any(),
];

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let Some((pane, list)) = model.screen().pane() else { return };
    let mut body = area;
    let broken = list::fault(model, &pane);
    if let Some(why) = &broken {
        let style = look.style(Role::Alarm);
        paint::row(buf, area, 0, style);
        paint::text(buf, area, 0, 0, &format!("!! THE CHAIN IS BROKEN: {why}"), style, look.glyphs.ellipsis);
        let next = "!! nothing above the break can be trusted: compare with a copy of the store, and tell security";
        paint::row(buf, area, 1, style);
        paint::text(buf, area, 0, 1, next, style, look.glyphs.ellipsis);
        body = Rect { y: area.y + 2.min(area.height), height: area.height.saturating_sub(2), ..area };
    }
    let (left, detail) = beside(model, look, body, buf, 6);
    let whole = !model.table(&pane).0.is_empty() && broken.is_none();
    let more = if whole { "the chain is whole".into() } else { String::new() };
    let empty = "nobody has changed anything yet";
    list::draw(model, look, left, buf, &Shape { pane, list, focused: true, columns: COLUMNS, empty, cells: &cells, more });
    if let (Some(area), Some(row)) = (detail, list::current(model, &pane, list)) {
        about(model, row).draw(look, area, buf);
    }
}

fn alone(row: &Row) -> bool {
    row.get("single_person").and_then(serde_json::Value::as_bool).unwrap_or(false)
}

fn cells(model: &Model, _look: &Look, row: &Row) -> Vec<Cell> {
    let result = word::text(row, "result");
    let role = if alone(row) || result.starts_with("refused") { Role::Bad } else { Role::Text };
    // Why it was refused is told beside the list; so is that one person stood for two, for which a name would have to be cut here.
    let result = if alone(row) { "1 PERSON" } else { result.split(':').next().unwrap_or_default() };
    vec![
        Cell::new(word::text(row, "seq"), Role::Dim),
        Cell::new(list::at(model, row, "at"), Role::Dim),
        Cell::new(word::text(row, "who"), Role::Strong),
        Cell::plain(word::text(row, "action")),
        Cell::plain(word::text(row, "subject")),
        Cell::new(result, role),
        Cell::plain(word::text(row, "reason")),
    ]
}

fn about(model: &Model, row: &Row) -> Text {
    let mut out = Text::new();
    out.title(format!("{} {}", word::text(row, "action"), word::text(row, "subject")), format!("entry {}", word::text(row, "seq")));
    let login = word::text(row, "login_uid");
    let login = if login.is_empty() { String::new() } else { format!(", logged in as uid {login}") };
    let who = match word::text(row, "uid") {
        // Nobody's: the engine itself did it.
        uid if uid.is_empty() => format!("{}: the engine by itself", word::text(row, "who")),
        uid => format!("{} (uid {uid}{login})", word::text(row, "who")),
    };
    out.put("WHO", who, Role::Strong);
    let at = when::instant(row, "at").map(|t| format!("{}  ({})", when::show(model, t), when::relative(model.now, t)));
    out.put("WHEN", at.unwrap_or_default(), Role::Text);
    out.put("WHY", list::or(row, "reason", "no reason was given"), Role::Text);
    out.put("RESULT", word::text(row, "result"), if alone(row) { Role::Bad } else { Role::Text });
    if alone(row) {
        out.put("PEOPLE", "one person stood for two: the site lets that pass", Role::Bad);
    }
    out.put("HASH", word::short(&word::text(row, "hash")), Role::Dim);
    out
}
