//! What content sets were seen to hold, and what looks at the places of repositories found: written only where something is new.

use rusqlite::{OptionalExtension, Row, params};

use super::rows::all;
use super::{Store, StoreError};
use crate::domain::freshness::Observed;
use crate::domain::rows::{ContentRow, ObservationRow};

const CONTENT: &str = "SELECT fp, content_set, os, md, compose, packages, size_bytes, first_seen_us FROM content";
const OBSERVED: &str = "SELECT repo, place, json, at_us FROM observation";

fn content(r: &Row<'_>) -> rusqlite::Result<ContentRow> {
    Ok(ContentRow {
        fp: r.get(0)?,
        set: r.get(1)?,
        os: r.get(2)?,
        md: r.get(3)?,
        compose: r.get(4)?,
        packages: r.get(5)?,
        bytes: r.get(6)?,
        first_seen_us: r.get(7)?,
    })
}

/// A row of a newer version that cannot be read is no observation.
fn observation(r: &Row<'_>) -> rusqlite::Result<Option<ObservationRow>> {
    let json: String = r.get(2)?;
    let seen: Option<Observed> = serde_json::from_str(&json).ok();
    let (repo, place, at_us) = (r.get(0)?, r.get(1)?, r.get(3)?);
    Ok(seen.map(|observed| ObservationRow { repo, place, observed, at_us }))
}

impl Store {
    /// Remembers a content; true where nobody had seen it in this set before. Its first sight never changes.
    pub async fn content_seen(&self, row: ContentRow) -> Result<bool, StoreError> {
        self.write(move |tx| {
            let n = tx
                .prepare_cached(
                    "INSERT INTO content (fp, content_set, os, md, compose, packages, size_bytes, first_seen_us, seen_us)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8) ON CONFLICT DO NOTHING",
                )?
                .execute(params![row.fp, row.set, row.os, row.md, row.compose, row.packages, row.bytes, row.first_seen_us])?;
            Ok(n == 1)
        })
        .await
    }

    /// Contents of a set, or of all, newest first.
    pub fn contents(&self, set: Option<&str>, limit: usize) -> Result<Vec<ContentRow>, StoreError> {
        let set = set.map(str::to_owned);
        self.read(move |c| {
            all(
                c,
                &format!("{CONTENT} WHERE ?1 IS NULL OR content_set = ?1 ORDER BY first_seen_us DESC, fp LIMIT ?2"),
                params![set, limit],
                content,
            )
        })
    }

    /// One content of a set.
    pub fn content(&self, set: &str, fp: &str) -> Result<Option<ContentRow>, StoreError> {
        let (set, fp) = (set.to_owned(), fp.to_owned());
        self.read(move |c| {
            let mut s = c.prepare_cached(&format!("{CONTENT} WHERE content_set = ?1 AND fp = ?2"))?;
            Ok(s.query_row(params![set, fp], content).optional()?)
        })
    }

    /// Keeps those observations that are news beside the newest of their place; as many as were.
    pub async fn observe(&self, rows: Vec<ObservationRow>) -> Result<usize, StoreError> {
        self.write(move |tx| {
            let mut kept = 0;
            for row in &rows {
                let last = tx
                    .prepare_cached(&format!("{OBSERVED} WHERE repo = ?1 AND place = ?2 ORDER BY id DESC LIMIT 1"))?
                    .query_row(params![row.repo, row.place], observation)
                    .optional()?
                    .flatten();
                if last.is_some_and(|l| !row.observed.is_news(&l.observed)) {
                    continue;
                }
                let json = serde_json::to_string(&row.observed).unwrap_or_default();
                tx.prepare_cached("INSERT INTO observation (repo, place, md, fp, json, at_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
                    .execute(params![row.repo, row.place, row.observed.md, row.observed.fp, json, row.at_us])?;
                kept += 1;
            }
            Ok(kept)
        })
        .await
    }

    /// The newest observation of every place.
    pub fn observations(&self) -> Result<Vec<ObservationRow>, StoreError> {
        self.read(|c| {
            let mut s = c.prepare_cached(&format!(
                "{OBSERVED} o WHERE id = (SELECT max(id) FROM observation n WHERE n.repo = o.repo AND n.place = o.place) ORDER BY repo, place"
            ))?;
            Ok(s.query_map([], observation)?.filter_map(Result::transpose).collect::<Result<_, _>>()?)
        })
    }

    /// The newest observations of one place, newest first.
    pub fn observations_of(&self, repo: &str, place: &str, limit: usize) -> Result<Vec<ObservationRow>, StoreError> {
        let (repo, place) = (repo.to_owned(), place.to_owned());
        self.read(move |c| {
            let mut s = c.prepare_cached(&format!("{OBSERVED} WHERE repo = ?1 AND place = ?2 ORDER BY id DESC LIMIT ?3"))?;
            Ok(s.query_map(params![repo, place, limit], observation)?.filter_map(Result::transpose).collect::<Result<_, _>>()?)
        })
    }

    /// Since when every one of these repositories has been seen with what it holds, by its md: the youngest of them counts. Where its packages
    /// were seen before under other metadata, by what they were seen first. None where one of them was never seen. Microseconds.
    pub fn first_observed(&self, mds: &[String]) -> Result<Option<i64>, StoreError> {
        let mds = mds.to_vec();
        self.read(move |c| {
            let mut s = c.prepare_cached(
                "SELECT min(n.at_us) FROM observation o JOIN observation n ON n.repo = o.repo AND (n.md = o.md OR n.fp = o.fp) WHERE o.md = ?1",
            )?;
            let mut newest: Option<i64> = None;
            for md in &mds {
                let first: Option<i64> = s.query_row([md], |r| r.get(0))?;
                let Some(first) = first else { return Ok(None) };
                newest = newest.max(Some(first));
            }
            Ok(newest)
        })
    }

    /// What upstream called the content that has this md in any repository; empty where nobody has seen it under a label.
    pub fn compose_of(&self, md: &str) -> Result<String, StoreError> {
        let md = md.to_owned();
        self.read(move |c| {
            let mut s = c.prepare_cached(
                "SELECT n.json FROM observation o JOIN observation n ON n.repo = o.repo AND (n.md = o.md OR n.fp = o.fp) WHERE o.md = ?1
                 ORDER BY n.id DESC LIMIT 100",
            )?;
            let rows = s.query_map([md], |r| r.get::<_, String>(0))?;
            let label = |json: String| serde_json::from_str::<Observed>(&json).ok().map(|o| o.compose).filter(|c| !c.is_empty());
            for row in rows {
                if let Some(label) = label(row?) {
                    return Ok(label);
                }
            }
            Ok(String::new())
        })
    }

    /// Removes observations of long ago, but never the newest of a place; how many.
    pub async fn forget_observations(&self, before_us: i64) -> Result<usize, StoreError> {
        self.write(move |tx| {
            Ok(tx.execute(
                "DELETE FROM observation WHERE id IN (SELECT id FROM observation o WHERE at_us < ?1
                 AND id < (SELECT max(id) FROM observation n WHERE n.repo = o.repo AND n.place = o.place) LIMIT 5000)",
                [before_us],
            )?)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::OpenOptionsStore;

    fn store(dir: &std::path::Path) -> Store {
        std::fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        Store::open(&OpenOptionsStore { dir: dir.to_owned(), network_state: false, now_us: 1, boot_id: "b".into() }).unwrap()
    }

    #[tokio::test]
    async fn a_row_is_written_only_where_something_is_new() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let row = |place: &str, fp: &str, at_us| ObservationRow {
            repo: "base9".into(),
            place: place.into(),
            observed: Observed { fp: Some(fp.into()), ..Observed::default() },
            at_us,
        };
        assert_eq!(store.observe(vec![row("alder", "a", 1), row("birch", "a", 1)]).await.unwrap(), 2);
        assert_eq!(store.observe(vec![row("alder", "a", 2), row("birch", "b", 2)]).await.unwrap(), 1);
        assert_eq!(store.observe(vec![row("alder", "b", 3), row("alder", "b", 4)]).await.unwrap(), 1);
        let newest: Vec<_> = store.observations().unwrap().into_iter().map(|o| (o.place, o.observed.fp.unwrap(), o.at_us)).collect();
        assert_eq!(newest, [("alder".to_owned(), "b".to_owned(), 3), ("birch".into(), "b".into(), 2)]);
        let past: Vec<_> = store.observations_of("base9", "alder", 9).unwrap().into_iter().map(|o| o.at_us).collect();
        assert_eq!(past, [3, 1]);
        assert_eq!(store.forget_observations(100).await.unwrap(), 2);
        assert_eq!(store.observations().unwrap().len(), 2, "the newest of a place stays for ever");
    }

    #[tokio::test]
    async fn a_set_is_as_old_as_the_youngest_of_its_repositories_whatever_metadata_it_was_seen_under() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let row = |repo: &str, place: &str, md: &str, fp: &str, at_us| ObservationRow {
            repo: repo.into(),
            place: place.into(),
            observed: Observed { md: Some(md.into()), fp: Some(fp.into()), ..Observed::default() },
            at_us,
        };
        // Upstream has it first; the replica makes metadata of its own over the same packages.
        let rows =
            vec![row("base9", "upstream", "m1", "f1", 10), row("base9", "alder", "own", "f1", 50), row("app9", "alder", "m2", "f2", 30)];
        store.observe(rows).await.unwrap();
        let first = |mds: &[&str]| store.first_observed(&mds.iter().map(|m| (*m).to_owned()).collect::<Vec<_>>()).unwrap();
        assert_eq!((first(&["own"]), first(&["m1"]), first(&["own", "m2"])), (Some(10), Some(10), Some(30)));
        assert_eq!((first(&["own", "never"]), first(&[])), (None, None), "what was never seen makes the whole unknown");
    }

    #[tokio::test]
    async fn the_first_sight_of_a_content_never_changes() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let row = |fp: &str, set: &str, at| ContentRow {
            fp: fp.into(),
            set: set.into(),
            os: "el9".into(),
            md: None,
            compose: String::new(),
            packages: 3,
            bytes: 9,
            first_seen_us: at,
        };
        assert!(store.content_seen(row("a", "latest", 1)).await.unwrap());
        assert!(!store.content_seen(row("a", "latest", 7)).await.unwrap());
        assert!(store.content_seen(row("a", "stable", 5)).await.unwrap());
        assert!(store.content_seen(row("b", "latest", 6)).await.unwrap());
        assert_eq!(store.content("latest", "a").unwrap().unwrap().first_seen_us, 1);
        assert!(store.content("stable", "b").unwrap().is_none());
        let fps = |set| store.contents(set, 9).unwrap().into_iter().map(|c| c.fp).collect::<Vec<_>>();
        assert_eq!((fps(Some("latest")), fps(None).len()), (vec!["b".to_owned(), "a".into()], 3));
    }
}
