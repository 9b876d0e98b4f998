//! Two contents compared, for clients that read it in parts: each comparison is made once, so that the pages of one are of one. What lies on our
//! disks is looked at before every answer.

use std::sync::Arc;

use super::blocking::blocking;
use super::contents::{Found, Places, compare};
use super::state::Engine;
use crate::api::ApiError;
use crate::api::diff::DiffDoc;

/// By what a comparison is known, and whether a side of it lies far away.
type Known = (String, bool);

/// Both sides as they are now, and by what this comparison is known; none where a side cannot be told again.
fn found(engine: &Engine, a: &str, b: &str, changelogs: bool) -> Result<(Found, Found, Option<Known>), ApiError> {
    let (site, state) = (engine.site()?, engine.watch.dirs().state.clone());
    let places = Places { site: &site, state: &state, paths: false };
    let (a, b) = (places.find(a)?, places.find(b)?);
    let key = a.identity().zip(b.identity()).map(|(x, y)| (format!("{changelogs}\n{}\n--\n{}", x.text, y.text), x.far || y.far));
    Ok((a, b, key))
}

/// Two contents, compared: minutes, where they lie far away, on a thread of its own. So many at a time; more wait.
pub async fn of(engine: &Arc<Engine>, a: String, b: String, changelogs: bool) -> Result<Arc<DiffDoc>, ApiError> {
    let look = {
        let (engine, a, b) = (engine.clone(), a.clone(), b.clone());
        move || {
            let (.., key) = found(&engine, &a, &b, changelogs)?;
            Ok(key.and_then(|(key, _)| engine.compared.get(&key, engine.now_us())))
        }
    };
    // What is known waits for nobody's turn.
    if let Some(doc) = blocking(look).await? {
        return Ok(doc);
    }
    let turn = engine.compared.turns.acquire().await.map_err(|_| ApiError::no_engine("the engine is ending", "ask again"))?;
    let held = engine.clone();
    let work = move || {
        let (a, b, key) = found(&held, &a, &b, changelogs)?;
        // Whoever had the turn before may have made the same.
        if let Some(doc) = key.as_ref().and_then(|(key, _)| held.compared.get(key, held.now_us())) {
            return Ok(doc);
        }
        let doc = Arc::new(compare(&held.watch.dirs().state, &a, &b, changelogs)?);
        if let Some((key, far)) = key {
            held.compared.keep(key, far, held.now_us(), &doc);
        }
        Ok(doc)
    };
    let made = blocking(work).await;
    drop(turn);
    made
}
