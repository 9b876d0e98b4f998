//! The `changes` of a run: written with its end, against the run of its pipeline before it that worked on anything known.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::{RunId, StoreError};
use crate::domain::changes::{Known, compare};
use crate::domain::report::Fact;

pub(super) fn note(tx: &Transaction<'_>, id: RunId) -> Result<(), StoreError> {
    let now = known(tx, id)?;
    let before = match now.is_empty() {
        true => None,
        false => tx
            .prepare_cached(
                "SELECT p.id FROM run r JOIN run p ON p.pipeline = r.pipeline AND p.number < r.number AND p.state = 'done'
                 WHERE r.id = ?1 AND (EXISTS (SELECT 1 FROM reading x WHERE x.run_id = p.id)
                       OR EXISTS (SELECT 1 FROM fact f WHERE f.run_id = p.id AND f.kind = 'commit'))
                 ORDER BY p.number DESC LIMIT 1",
            )?
            .query_row([id], |r| r.get::<_, RunId>(0))
            .optional()?,
    };
    let Some(before) = before else { return Ok(()) };
    let changes = compare(&known(tx, before)?, &now);
    tx.prepare_cached("UPDATE run SET changes = ?2 WHERE id = ?1")?.execute(params![id, changes])?;
    Ok(())
}

/// What a run worked on: its readings at the end, or those before the work where there are no others; and its checkouts.
pub(super) fn known(conn: &Connection, id: RunId) -> Result<Known, StoreError> {
    let mut out = Known::default();
    // `after` sorts before `before`: the first of a set counts.
    let mut s = conn.prepare_cached("SELECT content_set, fp FROM reading WHERE run_id = ?1 ORDER BY content_set, side")?;
    for row in s.query_map([id], |r| Ok((r.get::<_, String>(0)?, r.get::<_, Option<String>>(1)?)))? {
        let (set, fp) = row?;
        out.sets.entry(set).or_insert(fp);
    }
    let mut s = conn.prepare_cached("SELECT json FROM fact WHERE run_id = ?1 AND kind = 'commit' ORDER BY id")?;
    for json in s.query_map([id], |r| r.get::<_, String>(0))? {
        if let Ok(Fact::Commit { url, reference, commit }) = serde_json::from_str(&json?) {
            out.commits.insert(format!("{url} {reference}"), commit);
        }
    }
    Ok(out)
}
