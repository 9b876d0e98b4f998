//! What the row under the cursor is about: its run, its pipeline, and why there is none.

use super::lists::current;
use crate::console::model::list::Row;
use crate::console::model::screen::PAGE;
use crate::console::model::{Model, word};
use crate::console::question::Question;
use crate::domain::run::{RunRef, valid_name};

/// The row under the cursor.
pub fn row(model: &Model) -> Option<Row> {
    model.under_cursor().cloned()
}

/// The run that the row under the cursor is about.
pub fn run_of(model: &Model, what: &str, id: &str) -> Option<RunRef> {
    let row = row(model).unwrap_or_default();
    match what {
        "pipelines" | "schedule" | "due" => {
            let pipeline = pipeline_row(model, &word::text(&row, "pipeline"));
            word::text(pipeline.unwrap_or(&row), "last_run").parse().ok()
        }
        "promotions" => word::text(&row, "run").parse().ok(),
        // What looked at its tree last, else what writes it.
        "repos" => word::text(&row, "run").parse().ok().or_else(|| {
            let writer = pipeline_row(model, &word::text(&row, "pipeline"))?;
            word::text(writer, "last_run").parse().ok()
        }),
        "audit" | "decisions" => {
            let subject = word::text(&row, "subject");
            subject.split_once('/').map_or(subject.as_str(), |(run, _)| run).parse().ok()
        }
        _ => id.parse().ok(),
    }
}

/// The pipeline that the page or the row under the cursor is about: its own, or that of its run.
pub fn pipeline_of(model: &Model) -> Option<String> {
    let id = current(model);
    let own = row(model).map(|r| word::text(&r, "pipeline")).filter(|n| valid_name(n));
    let of_run = || run_of(model, model.screen().pane().map_or("", |(pane, _)| pane.what), id.as_deref()?).map(|run| run.pipeline);
    own.or_else(of_run).or_else(|| id.clone().filter(|id| pipeline_row(model, id).is_some()))
}

/// What the engine says of this pipeline.
pub fn pipeline_row<'a>(model: &'a Model, name: &str) -> Option<&'a Row> {
    let rows = model.rows(&Question::Rows { what: "pipelines", limit: PAGE })?;
    rows.rows.iter().find(|r| word::text(r, "pipeline") == name)
}

/// Why nothing opens behind the row under the cursor, where a run would.
pub fn shut(model: &Model) -> Option<String> {
    let (pane, _) = model.screen().pane()?;
    let elsewhere = matches!(pane.what, "needs" | "repos" | "promotions" | "versions" | "holds" | "sources" | "packages");
    let id = current(model).filter(|_| !elsewhere)?;
    run_of(model, pane.what, &id).is_none().then(|| no_run(pane.what, &id))
}

pub fn no_run(what: &str, id: &str) -> String {
    match what {
        "pipelines" | "schedule" | "due" => format!("`{id}` has no run yet"),
        _ => "the row under the cursor is about no run".to_owned(),
    }
}
