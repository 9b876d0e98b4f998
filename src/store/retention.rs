//! What retention may remove, and removing it: rows of ended runs that nothing pins or refers to.

use std::collections::HashSet;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;

use rusqlite::{Connection, params};

use super::rows::all;
use super::{Store, StoreError};
use crate::domain::run::{RunRef, Verdict};

/// An ended run as retention sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedRow {
    pub run: RunRef,
    pub verdict: Verdict,
    pub ended_us: i64,
    pub pinned: bool,
    /// An open run was caused by it, replays it or uses it, a pinned run uses it, or upstream triggers have not looked at it.
    pub referenced: bool,
    /// A `pin:` of a pipeline has named it once.
    pub promoted: bool,
    /// An earlier sweep has begun to remove it: its files may be gone.
    pub doomed: bool,
}

/// What refers to a run, but for causes and replays: see [`named`].
const REFERENCED: &str = "EXISTS (SELECT 1 FROM unoffered u WHERE u.run_id = r.id)
    OR EXISTS (SELECT 1 FROM held_lock h WHERE h.run_id = r.id)
    OR EXISTS (SELECT 1 FROM child k JOIN run o ON o.id = k.run_id WHERE o.state != 'done' AND k.pipeline = r.pipeline AND k.number = r.number)
    OR EXISTS (SELECT 1 FROM run_use u JOIN run o ON o.id = u.run_id WHERE u.pipeline = r.pipeline AND u.number = r.number
               AND (o.state != 'done' OR EXISTS (SELECT 1 FROM pin p WHERE p.run_id = o.id)))";

/// Runs that open runs name as their cause, or as what they replay; read once, for asking it of each ended run would be a product of both.
fn named(c: &Connection) -> Result<HashSet<String>, StoreError> {
    let mut s = c.prepare_cached("SELECT cause, replay_of FROM run WHERE state != 'done'")?;
    let mut rows = s.query([])?;
    let mut out = HashSet::new();
    while let Some(r) = rows.next()? {
        let (cause, replay): (Option<String>, Option<String>) = (r.get(0)?, r.get(1)?);
        out.extend(cause.iter().flat_map(|c| c.split(':')).filter(|part| part.contains('#')).map(str::to_owned));
        out.extend(replay);
    }
    Ok(out)
}

/// Copies that are kept.
const BACKUPS: usize = 7;

impl Store {
    /// Writes a whole copy of the store to `backups/state-DATE.db`, unless there is one of this day (UTC) already, and keeps the
    /// newest seven. Takes seconds on a large store: call it off the runtime's threads.
    pub fn backup(&self, now_us: i64) -> Result<Option<PathBuf>, StoreError> {
        let dir = self.dir().join("backups");
        let day = jiff::Timestamp::from_microsecond(now_us).map(|t| t.strftime("%Y-%m-%d").to_string()).unwrap_or_default();
        let (path, tmp) = (dir.join(format!("state-{day}.db")), dir.join("new.db"));
        if path.exists() {
            return Ok(None);
        }
        let fail = |what: &'static str| {
            let path = path.clone();
            move |e: std::io::Error| StoreError::io(path, what, &e)
        };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(fail("cannot make the directory of"))?;
        let _ = std::fs::remove_file(&tmp);
        let target = tmp.to_string_lossy().into_owned();
        self.read_long(move |c| Ok(c.execute("VACUUM INTO ?1", [target]).map(drop)?))?;
        // A copy says that it is one: put back, it must not go on as if nothing had happened since.
        rusqlite::Connection::open(&tmp)?
            .execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", [super::restored::COPY, &day])?;
        std::fs::set_permissions(&tmp, std::fs::Permissions::from_mode(0o600)).map_err(fail("cannot protect"))?;
        std::fs::File::open(&tmp).and_then(|f| f.sync_all()).map_err(fail("cannot sync"))?;
        std::fs::rename(&tmp, &path).and_then(|()| crate::base::durable::sync_dir(&dir)).map_err(fail("cannot put in place"))?;
        let mut old: Vec<PathBuf> = std::fs::read_dir(&dir).into_iter().flatten().flatten().map(|e| e.path()).collect();
        old.retain(|p| p.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with("state-") && n.ends_with(".db")));
        old.sort();
        for p in old.iter().rev().skip(BACKUPS) {
            let _ = std::fs::remove_file(p);
        }
        Ok(Some(path))
    }

    /// Pipelines that have ended runs.
    pub fn pipelines_with_history(&self) -> Result<Vec<String>, StoreError> {
        self.read(|c| all(c, "SELECT DISTINCT pipeline FROM run WHERE state = 'done' ORDER BY pipeline", [], |r| r.get(0)))
    }

    /// Ended runs of a pipeline, newest first.
    pub fn ended_runs(&self, pipeline: &str) -> Result<Vec<EndedRow>, StoreError> {
        let pipeline = pipeline.to_owned();
        self.read(move |c| {
            let named = named(c)?;
            all(
                c,
                &format!(
                    "SELECT r.pipeline, r.number, r.verdict, r.ended_us, EXISTS (SELECT 1 FROM pin WHERE run_id = r.id), ({REFERENCED}),
                        EXISTS (SELECT 1 FROM doomed d WHERE d.run_id = r.id), EXISTS (SELECT 1 FROM promoted m WHERE m.run_id = r.id)
                 FROM run r WHERE r.pipeline = ?1 AND r.state = 'done' ORDER BY r.number DESC"
                ),
                [pipeline],
                |r| {
                    let run = RunRef { pipeline: r.get(0)?, number: r.get(1)? };
                    Ok(EndedRow {
                        verdict: super::rows::word(r, 2)?,
                        ended_us: r.get(3)?,
                        pinned: r.get(4)?,
                        referenced: r.get::<_, bool>(5)? || named.contains(&run.to_string()),
                        doomed: r.get(6)?,
                        promoted: r.get(7)?,
                        run,
                    })
                },
            )
        })
    }

    /// Settles that these runs go, but for those that are pinned, open or referenced by now; the ones that go. From here on nothing can
    /// begin to depend on one of them, so their files may be removed.
    pub async fn condemn(&self, runs: Vec<RunRef>) -> Result<Vec<RunRef>, StoreError> {
        self.write(move |tx| {
            let named = named(tx)?;
            let mut gone = Vec::new();
            for run in runs.into_iter().filter(|r| !named.contains(&r.to_string())) {
                let n = tx
                    .prepare_cached(&format!(
                        "INSERT OR REPLACE INTO doomed (run_id) SELECT r.id FROM run r WHERE r.pipeline = ?1 AND r.number = ?2
                         AND r.state = 'done' AND NOT EXISTS (SELECT 1 FROM pin WHERE run_id = r.id) AND NOT ({REFERENCED})"
                    ))?
                    .execute(params![run.pipeline, run.number])?;
                if n == 1 {
                    gone.push(run);
                }
            }
            Ok(gone)
        })
        .await
    }

    /// Removes the rows of condemned runs; the ones that went. Their numbers never come back.
    pub async fn forget(&self, runs: Vec<RunRef>) -> Result<Vec<RunRef>, StoreError> {
        self.write(move |tx| {
            let mut gone = Vec::new();
            for run in runs {
                let n = tx
                    .prepare_cached(
                        "DELETE FROM run AS r WHERE r.pipeline = ?1 AND r.number = ?2 AND EXISTS (SELECT 1 FROM doomed d WHERE d.run_id = r.id)",
                    )?
                    .execute(params![run.pipeline, run.number])?;
                if n == 1 {
                    gone.push(run);
                }
            }
            tx.execute("DELETE FROM plan WHERE NOT EXISTS (SELECT 1 FROM run WHERE run.plan_sha256 = plan.sha256)", [])?;
            Ok(gone)
        })
        .await
    }
}
