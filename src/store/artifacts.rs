//! Fingerprints: files that runs keep and are given, content that they read and leave; and who else has the same.

use rusqlite::{Row, params};

use super::rows::all;
use super::run_id::id_of;
use super::{Store, StoreError};
use crate::domain::rows::{ArtifactRow, FingerprintRow};
use crate::domain::run::RunRef;

const KEPT: &str = "SELECT r.pipeline, r.number, g.name, s.cell_key, s.name, a.path, a.sha256, a.size_bytes
    FROM artifact a JOIN run r ON r.id = a.run_id JOIN stage g ON g.run_id = a.run_id AND g.stage = a.stage
         JOIN step s ON s.run_id = a.run_id AND s.stage = a.stage AND s.cell = a.cell AND s.step = a.step";

fn kept(r: &Row<'_>) -> rusqlite::Result<ArtifactRow> {
    Ok(ArtifactRow {
        run: RunRef { pipeline: r.get(0)?, number: r.get(1)? },
        stage: r.get(2)?,
        cell: r.get(3)?,
        step: r.get(4)?,
        path: r.get(5)?,
        sha256: r.get(6)?,
        size_bytes: r.get(7)?,
    })
}

/// `?1` is a fingerprint, or NULL for all of them.
const EVERYWHERE: &str = "
    SELECT a.sha256, 'artifact', r.id, r.pipeline, r.number, 'made', a.path, NULL, NULL, a.size_bytes, r.ended_us
    FROM artifact a JOIN run r ON r.id = a.run_id WHERE a.sha256 = ifnull(?1, a.sha256)
    UNION ALL
    SELECT i.sha256, 'artifact', r.id, r.pipeline, r.number, iif(i.used_us IS NULL, 'wanted', 'used'), i.path, i.of_pipeline, i.of_number,
           i.size_bytes, i.used_us
    FROM input i JOIN run r ON r.id = i.run_id WHERE i.sha256 = ifnull(?1, i.sha256)
    UNION ALL
    SELECT x.fp, 'content', r.id, r.pipeline, r.number, iif(x.side = 'before', 'read', 'left'), x.content_set, NULL, NULL, NULL, x.at_us
    FROM reading x JOIN run r ON r.id = x.run_id WHERE x.fp IS NOT NULL AND x.fp = ifnull(?1, x.fp)";

impl Store {
    /// Artifacts of a run.
    pub fn artifacts(&self, run: &RunRef) -> Result<Vec<ArtifactRow>, StoreError> {
        let run = run.clone();
        self.read(move |c| {
            let id = id_of(c, &run)?;
            all(c, &format!("{KEPT} WHERE a.run_id = ?1 ORDER BY a.path"), [id], kept)
        })
    }

    /// Artifacts of all runs, newest run first; of one digest where it is given.
    pub fn all_artifacts(&self, sha256: Option<&str>, limit: usize) -> Result<Vec<ArtifactRow>, StoreError> {
        let sha256 = sha256.map(str::to_lowercase);
        self.read_long(move |c| {
            let which = if sha256.is_some() { "a.sha256 = ?1" } else { "?1 IS NULL" };
            all(c, &format!("{KEPT} WHERE {which} ORDER BY a.run_id DESC, a.path LIMIT ?2"), params![sha256, limit], kept)
        })
    }

    /// Where fingerprints stand, newest run first; one of them where it is given.
    pub fn fingerprints(&self, sha256: Option<&str>, limit: usize) -> Result<Vec<FingerprintRow>, StoreError> {
        let sha256 = sha256.map(str::to_lowercase);
        self.read_long(move |c| {
            // With a digest each part is a look-up in its index; `ifnull` would hide that from the planner.
            let sql = if sha256.is_some() {
                ["a.sha256", "i.sha256", "x.fp"].iter().fold(EVERYWHERE.to_owned(), |s, col| s.replace(&format!("ifnull(?1, {col})"), "?1"))
            } else {
                EVERYWHERE.to_owned()
            };
            all(c, &format!("{sql} ORDER BY 3 DESC, 6, 7 LIMIT ?2"), params![sha256, limit], |r| {
                let from: Option<String> = r.get(7)?;
                Ok(FingerprintRow {
                    sha256: r.get(0)?,
                    kind: r.get(1)?,
                    run: RunRef { pipeline: r.get(3)?, number: r.get(4)? },
                    role: r.get(5)?,
                    name: r.get(6)?,
                    from: match from {
                        Some(pipeline) => Some(RunRef { pipeline, number: r.get(8)? }),
                        None => None,
                    },
                    size_bytes: r.get(9)?,
                    at_us: r.get(10)?,
                })
            })
        })
    }
}
