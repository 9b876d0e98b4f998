//! Comparisons for clients that read them in parts: each is made once and kept for a while, so that the pages of one are of one. What lies on
//! our disks is looked at before every answer; a far end is believed for a minute.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::blocking::blocking;
use super::contents::{Found, Places, compare};
use super::state::Engine;
use crate::api::ApiError;
use crate::api::diff::DiffDoc;

/// Comparisons that are kept at most, and what they take at most, about.
const KEPT: usize = 4;
const MOST_BYTES: usize = 24 << 20;
/// One that nobody reads any more goes with the next question after this.
const UNREAD_US: i64 = 600 * 1_000_000;
/// A far end is not asked again before this.
const FAR_US: i64 = 60 * 1_000_000;

/// What was compared, newest first.
#[derive(Debug, Default)]
pub struct Compared {
    kept: Mutex<VecDeque<Kept>>,
}

#[derive(Debug)]
struct Kept {
    key: String,
    far: bool,
    made_us: i64,
    read_us: i64,
    bytes: usize,
    doc: Arc<DiffDoc>,
}

/// What a document takes in memory, about.
fn weight(doc: &DiffDoc) -> usize {
    let entries: usize = doc.sources.iter().flat_map(|s| &s.entries).map(|e| e.text.len() + e.author.len() + 120).sum();
    doc.rows.len() * 400 + doc.sources.len() * 300 + entries
}

impl Compared {
    fn get(&self, key: &str, now_us: i64) -> Option<Arc<DiffDoc>> {
        let mut kept = self.kept.lock().ok()?;
        kept.retain(|k| now_us - k.read_us < UNREAD_US && (!k.far || now_us - k.made_us < FAR_US));
        let found = kept.iter_mut().find(|k| k.key == key)?;
        found.read_us = now_us;
        Some(found.doc.clone())
    }

    fn keep(&self, key: String, far: bool, now_us: i64, doc: &Arc<DiffDoc>) {
        let Ok(mut kept) = self.kept.lock() else { return };
        kept.retain(|k| k.key != key);
        kept.push_front(Kept { key, far, made_us: now_us, read_us: now_us, bytes: weight(doc), doc: doc.clone() });
        kept.truncate(KEPT);
        // The newest stays whatever it takes: somebody is reading it.
        while kept.len() > 1 && kept.iter().map(|k| k.bytes).sum::<usize>() > MOST_BYTES {
            kept.pop_back();
        }
    }
}

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
    let turn = engine.diffs.acquire().await.map_err(|_| ApiError::no_engine("the engine is ending", "ask again"))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::diff::{EntryDoc, SourceDoc};

    fn doc(bytes: usize) -> Arc<DiffDoc> {
        let entry = EntryDoc { text: "x".repeat(bytes), ..EntryDoc::default() };
        Arc::new(DiffDoc { sources: vec![SourceDoc { entries: vec![entry], ..SourceDoc::default() }], ..DiffDoc::default() })
    }

    #[test]
    fn what_was_compared_is_kept_for_a_while_and_never_without_bound() {
        let all = Compared::default();
        for n in 0..10 {
            all.keep(format!("k{n}"), n == 9, n, &doc(10));
        }
        assert_eq!(all.kept.lock().unwrap().len(), KEPT);
        assert!(all.get("k6", 100).is_some() && all.get("k5", 100).is_none());
        assert!(all.get("k9", FAR_US).is_some(), "a far end is believed for a minute");
        assert!(all.get("k9", FAR_US + 9).is_none(), "and not longer");
        assert!(all.get("k6", UNREAD_US).is_some() && all.get("k8", UNREAD_US + 100).is_none(), "what nobody reads goes");
        all.keep("big".into(), false, 0, &doc(MOST_BYTES));
        assert!(all.get("big", 1).is_some() && all.kept.lock().unwrap().len() == 1);
    }
}
