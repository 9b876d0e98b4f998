//! Comparisons that were made, kept for a while for clients that read them in parts; a far end is believed for a minute.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use crate::api::diff::DiffDoc;

/// Two lists of 20,000 packages are ten megabytes; each comparison has two.
const AT_ONCE: usize = 2;
/// Comparisons that are kept at most, and what they take at most, about.
const KEPT: usize = 4;
const MOST_BYTES: usize = 24 << 20;
/// One that nobody reads any more goes with the next question after this.
const UNREAD_US: i64 = 600 * 1_000_000;
/// A far end is not asked again before this.
const FAR_US: i64 = 60 * 1_000_000;

/// What was compared, newest first.
#[derive(Debug)]
pub struct Compared {
    kept: Mutex<VecDeque<Kept>>,
    /// Who compares: so many at a time, more wait.
    pub turns: Semaphore,
}

impl Default for Compared {
    fn default() -> Self {
        Self { kept: Mutex::default(), turns: Semaphore::new(AT_ONCE) }
    }
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
    pub fn get(&self, key: &str, now_us: i64) -> Option<Arc<DiffDoc>> {
        let mut kept = self.kept.lock().ok()?;
        kept.retain(|k| now_us - k.read_us < UNREAD_US && (!k.far || now_us - k.made_us < FAR_US));
        let found = kept.iter_mut().find(|k| k.key == key)?;
        found.read_us = now_us;
        Some(found.doc.clone())
    }

    pub fn keep(&self, key: String, far: bool, now_us: i64, doc: &Arc<DiffDoc>) {
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
