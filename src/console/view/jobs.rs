//! Screen 8: pipelines with how they last ended and their weather, the queue with true reasons below.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::runs::{Shape, list_of};
use super::{split, when, word};
use crate::console::model::Model;
use crate::console::model::list::Row;
use crate::console::model::screen::PAGE;
use crate::console::question::Question;
use crate::console::widget::table::{Cell, Column};
use crate::theme::{Look, Role};

/// Runs of the weather strip.
const NIGHTS: usize = 14;

const PIPELINES: &[Column] = &[
    Column::left("PIPELINE", "pipeline", 12, 1),
    Column::left("", "last_verdict", 1, 0),
    Column::left("LAST 14", "last_run", NIGHTS as u16, 0),
    Column::left("LAST OK", "last_success_ended", 8, 0),
    Column::left("LAST FAILED", "last_failure_ended", 8, 0),
    Column::right("TOOK", "last_duration_ms", 5),
    Column::left("CHANGES", "changes", 8, 2),
    Column::left("TRIGGERS", "triggers", 8, 3),
];

const QUEUE: &[Column] = &[
    Column::left("RUN", "run", 12, 1),
    Column::left("STATE", "state", 8, 0),
    Column::left("SINCE", "queued", 9, 0),
    Column::left("WHY IT WAITS", "blocked", 20, 2),
];

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let screen = model.screen();
    let [pipelines, queue] = screen.kind.panes() else { return };
    let [of_pipelines, of_queue] = screen.lists.as_slice() else { return };
    let waiting = model.rows(&Question::Rows { what: "queue", limit: PAGE }).map_or(0, |r| r.rows.len());
    let below = (waiting as u16).saturating_add(3).min(area.height / 2).max(4);
    let (above, below) = split(area, below);
    let shape = Shape {
        pane: *pipelines,
        list: of_pipelines,
        focused: screen.focus == 0,
        columns: PIPELINES,
        empty: "no pipeline: put one into CONFIG/pipelines, or run quarterdeck site init",
    };
    list_of(model, look, above, buf, &shape, &pipeline);
    let shape = Shape { pane: *queue, list: of_queue, focused: screen.focus == 1, columns: QUEUE, empty: "the queue is empty" };
    list_of(model, look, below, buf, &shape, &queued);
}

fn pipeline(model: &Model, look: &Look, row: &Row) -> Vec<Cell> {
    let name = word::text(row, "pipeline");
    let (sign, role) = match word::text(row, "errors").as_str() {
        "" | "0" => word::verdict(&word::text(row, "last_verdict"), &look.glyphs),
        _ => ("!", Role::Bad),
    };
    let ended = |field: &str| when::instant(row, field).map_or_else(|| "N/A".to_owned(), |t| when::show(model, t));
    vec![
        Cell::new(name.clone(), Role::Strong),
        Cell::new(sign, role),
        Cell::new(weather(model, look, &name), role),
        Cell::new(ended("last_success_ended"), Role::Text),
        Cell::new(ended("last_failure_ended"), Role::Text),
        Cell::plain(when::lasted(row, "last_duration_ms").unwrap_or_else(|| "N/A".into())),
        Cell::new(word::text(row, "changes"), Role::Dim),
        Cell::new(word::text(row, "triggers"), Role::Dim),
    ]
}

/// The outcomes of the last runs, oldest left.
fn weather(model: &Model, look: &Look, pipeline: &str) -> String {
    let rows = model.rows(&Question::Rows { what: "runs", limit: PAGE }).map_or(&[][..], |r| r.rows.as_slice());
    let of_pipeline = rows.iter().filter(|r| r.get("pipeline").and_then(|p| p.as_str()) == Some(pipeline));
    let mut strip: Vec<&str> = of_pipeline
        .take(NIGHTS)
        .map(|r| match word::outcome(r).as_str() {
            "success" => look.glyphs.none,
            "failure" | "lost" => "#",
            "invalid" => "?",
            "cancelled" => "x",
            _ => look.glyphs.running,
        })
        .collect();
    strip.reverse();
    format!("{:>NIGHTS$}", strip.concat())
}

fn queued(model: &Model, look: &Look, row: &Row) -> Vec<Cell> {
    let state = word::text(row, "state");
    let (_, role) = word::verdict(&state, &look.glyphs);
    vec![
        Cell::plain(word::text(row, "run")),
        Cell::new(state, role),
        Cell::new(when::instant(row, "queued").map(|t| when::show(model, t)).unwrap_or_default(), Role::Dim),
        Cell::plain(word::text(row, "blocked")),
    ]
}
