//! `get due`: what the clock will start next, over all pipelines, with calendars and changes of the clocks as they are known now.

use serde_json::json;

use super::catalog;
use super::rows::Row;
use super::state::Engine;
use crate::api::ApiError;
use crate::pipeline::preview;

pub const DUE: &[&str] = &["pipeline", "trigger", "scheduled_for", "local", "dst", "calendar"];
/// Rows at most: nobody reads further, and a minute's interval would fill any answer.
const MOST: usize = 1_000;

/// The next starts, soonest first; `dst` is empty, `gap` or `fold`, `calendar` what is closed then. Blocks.
pub fn rows(engine: &Engine, limit: usize) -> Result<Vec<Row>, ApiError> {
    let limit = limit.min(MOST);
    let site = engine.site()?;
    let (dirs, uid) = (engine.watch.dirs(), engine.watch.uid());
    let catalog = catalog::of_site(dirs, &site, uid)?;
    let mut found = preview::Soonest::new(engine.clock.now(), limit);
    for name in &catalog.pipelines {
        if let Some(file) = catalog::judge(dirs, name, uid, &catalog).ok().and_then(|j| j.file) {
            found.add(&file, &catalog);
        }
    }
    let row = |r: &preview::Row| {
        let mut row = r.json();
        row.entry("calendar").or_insert_with(|| json!(""));
        row
    };
    Ok(found.finish().iter().map(row).collect())
}
