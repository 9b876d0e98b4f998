//! What runs of labelled pipelines said about the content that they read: written with their end, and kept when they go.

use rusqlite::{OptionalExtension, Transaction, params};

use super::op::RunSet;
use super::rows::all;
use super::{Store, StoreError};
use crate::domain::promotion::streak::{Colour, Verdict};
use crate::domain::report::Fact;

#[derive(serde::Deserialize)]
struct Labelled {
    #[serde(default)]
    labels: Vec<String>,
}

/// Content set and fingerprint, of each set that a run has read.
type Read = Vec<(String, String)>;

/// Rows of a run that ends: one for each label and each content that it is known to have read.
pub(super) fn note(tx: &Transaction<'_>, r: &RunSet) -> Result<(), StoreError> {
    let found: Option<(String, String)> = tx
        .prepare_cached(
            "SELECT r.pipeline || '#' || r.number, p.json FROM run r JOIN plan p ON p.sha256 = r.plan_sha256
             WHERE r.id = ?1 AND instr(p.json, '\"labels\":[\"') > 0",
        )?
        .query_row([r.run], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((run, json)) = found else { return Ok(()) };
    let labels = serde_json::from_str::<Labelled>(&json).map(|l| l.labels).unwrap_or_default();
    let (Some(verdict), at_us) = (r.verdict, r.ended_us.unwrap_or_default()) else { return Ok(()) };
    // A run that goes on after its end judges anew.
    tx.prepare_cached("DELETE FROM verdict WHERE run = ?1")?.execute([&run])?;
    for (set, fp) in read(tx, r.run)? {
        for kind in &labels {
            tx.prepare_cached(
                "INSERT OR REPLACE INTO verdict (kind, fp, run, content_set, colour, at_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![kind, fp, run, set, Colour::of(verdict).as_str(), at_us])?;
        }
    }
    Ok(())
}

/// What was read before the work, and what steps say that they judged. What nobody knows is no row.
fn read(tx: &Transaction<'_>, run: i64) -> Result<Read, StoreError> {
    let mut out: Read = Vec::new();
    let mut s = tx.prepare_cached("SELECT content_set, fp FROM reading WHERE run_id = ?1 AND side = 'before' AND fp IS NOT NULL")?;
    for row in s.query_map([run], |r| Ok((r.get(0)?, r.get(1)?)))? {
        out.push(row?);
    }
    let mut s = tx.prepare_cached("SELECT json FROM fact WHERE run_id = ?1 AND kind = 'content' ORDER BY id")?;
    for json in s.query_map([run], |r| r.get::<_, String>(0))? {
        if let Ok(Fact::Content { set, fp, .. }) = serde_json::from_str(&json?) {
            out.push((set, fp));
        }
    }
    out.retain(|(_, fp)| !fp.is_empty());
    out.sort();
    out.dedup();
    Ok(out)
}

impl Store {
    /// Every verdict on this content, oldest first. `os` of the rows is empty: the store does not know the site.
    pub fn verdicts(&self, fp: &str) -> Result<Vec<Verdict>, StoreError> {
        let fp = fp.to_owned();
        self.read(move |c| {
            all(c, "SELECT kind, fp, run, content_set, colour, at_us FROM verdict WHERE fp = ?1 ORDER BY at_us, run", [fp], |r| {
                Ok(Verdict {
                    kind: r.get(0)?,
                    os: String::new(),
                    fp: r.get(1)?,
                    run: r.get(2)?,
                    set: r.get(3)?,
                    colour: super::rows::word(r, 4)?,
                    at_us: r.get(5)?,
                })
            })
        })
    }

    /// When this content was first read or judged by anything that is still known, microseconds since 1970 UTC.
    pub fn first_seen(&self, fp: &str) -> Result<Option<i64>, StoreError> {
        let fp = fp.to_owned();
        self.read(move |c| {
            let mut s = c.prepare_cached(
                "SELECT min(at) FROM (SELECT min(at_us) AS at FROM reading WHERE fp = ?1 UNION ALL SELECT min(at_us) FROM verdict WHERE fp = ?1
                 UNION ALL SELECT min(at_us) FROM fact WHERE kind IN ('content', 'snapshot') AND json_extract(json, '$.fp') = ?1
                 UNION ALL SELECT min(first_seen_us) FROM content WHERE fp = ?1)",
            )?;
            Ok(s.query_row([fp], |r| r.get(0))?)
        })
    }
}
