//! Screen 0: what needs you, what runs, what is due, and the newest runs. Quiet when there is nothing, and then says what was checked.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::runs::{self, Shape, list_of};
use super::{split, when, word};
use crate::base::duration;
use crate::console::model::Model;
use crate::console::model::list::Row;
use crate::console::model::screen::PAGE;
use crate::console::question::Question;
use crate::console::update;
use crate::console::widget::paint;
use crate::console::widget::table::Column;
use crate::theme::{Look, Role};

const COLUMNS: &[Column] = &[
    Column::left("NEWEST RUNS", "run", 12, 2),
    Column::left("", "verdict", 1, 0),
    Column::left("STATE", "state", 7, 0),
    Column::right("TIME", "duration_ms", 5),
    Column::left("WHEN", "started", 9, 0),
    Column::left("BY", "requested_by", 4, 1),
    Column::left("DETAIL", "detail", 10, 3),
];

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let facts = update::facts(model);
    let needs: Vec<_> = facts.iter().filter(|f| f.weight > 0).collect();
    let running = rows(model, "runs").iter().filter(|r| word::text(r, "state") == "running").collect::<Vec<_>>();
    let due = rows(model, "schedule");
    let mut y = 0;
    let room = area.height;
    heading(look, area, buf, &mut y, &format!("NEEDS YOU {}", needs.len()));
    if needs.is_empty() {
        let text = match model.status() {
            Some(_) => quiet(model),
            None => "asking the engine".to_owned(),
        };
        line(look, area, buf, &mut y, &text, Role::Dim);
    }
    for fact in needs.iter().take(usize::from(room / 4).max(1)) {
        line(look, area, buf, &mut y, &fact.text, if fact.weight > 1 { Role::Bad } else { Role::Warn });
    }
    heading(look, area, buf, &mut y, &format!("RUNNING {}   QUEUE {}", running.len(), rows(model, "queue").len()));
    for row in running.iter().take(usize::from(room / 5).max(1)) {
        let took = when::elapsed(model, row, "started").map(duration::short).unwrap_or_default();
        line(look, area, buf, &mut y, &format!("{}  {took}  {}", word::text(row, "run"), word::text(row, "detail")), Role::Running);
    }
    heading(look, area, buf, &mut y, "DUE");
    let next: Vec<&Row> = due.iter().filter(|r| when::instant(r, "next").is_some()).take(usize::from(room / 6).max(1)).collect();
    if next.is_empty() {
        line(look, area, buf, &mut y, "nothing is due by the clock", Role::Dim);
    }
    for row in next {
        let at =
            when::instant(row, "next").map(|t| format!("{}  {}", when::show(model, t), when::relative(model.now, t))).unwrap_or_default();
        line(look, area, buf, &mut y, &format!("{at}  {}", word::text(row, "pipeline")), Role::Text);
    }
    y += u16::from(y < area.height);
    let (_, rest) = split(area, area.height.saturating_sub(y));
    let Some((pane, list)) = model.screen().pane() else { return };
    let empty = "no run yet: 8 shows the pipelines, B on one of them starts it";
    list_of(model, look, rest, buf, &Shape { pane, list, focused: true, columns: COLUMNS, empty }, &runs::cells);
}

fn rows<'a>(model: &'a Model, what: &'static str) -> &'a [Row] {
    model.rows(&Question::Rows { what, limit: PAGE }).map_or(&[], |r| r.rows.as_slice())
}

/// What was looked at, where nothing is wrong.
fn quiet(model: &Model) -> String {
    let pipelines = rows(model, "pipelines");
    let good = pipelines.iter().filter(|r| word::text(r, "last_verdict") == "success").count();
    format!("nothing needs you: {} pipelines, {good} green at last; queue, clock and engine looked at", pipelines.len())
}

fn heading(look: &Look, area: Rect, buf: &mut Buffer, y: &mut u16, text: &str) {
    paint::text(buf, area, 0, *y, text, look.style(Role::Section), look.glyphs.ellipsis);
    *y += 1;
}

fn line(look: &Look, area: Rect, buf: &mut Buffer, y: &mut u16, text: &str, role: Role) {
    paint::text(buf, area, 2, *y, text, look.style(role), look.glyphs.ellipsis);
    *y += 1;
}
