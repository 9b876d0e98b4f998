//! Contents that may be forgotten: when each was seen, what still names one, and the removal of their rows.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::lists::is_fp;
use super::rows::all;
use super::{Store, StoreError};

/// A content of a set, and when the set last came to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenContent {
    pub set: String,
    pub fp: String,
    pub seen_us: i64,
}

/// Texts that hold fingerprints somewhere: promotions with every plan of theirs, holds, and what steps told of content.
const TEXTS: &[&str] = &[
    "SELECT json FROM promotion",
    "SELECT json FROM promotion_plan",
    "SELECT json FROM hold",
    "SELECT json FROM fact WHERE kind IN ('content', 'snapshot')",
];

/// Every whole fingerprint in a text.
fn named_in(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| is_fp(word))
}

fn named(c: &Connection) -> Result<BTreeSet<String>, StoreError> {
    let read: Vec<String> = all(c, "SELECT DISTINCT fp FROM reading WHERE fp IS NOT NULL", [], |r| r.get(0))?;
    let mut out: BTreeSet<String> = read.into_iter().collect();
    for sql in TEXTS {
        let mut s = c.prepare_cached(sql)?;
        let mut rows = s.query([])?;
        while let Some(row) = rows.next()? {
            let text: String = row.get(0)?;
            out.extend(named_in(&text).map(str::to_owned));
        }
    }
    Ok(out)
}

impl Store {
    /// Notes that a set came to a content again; false where the store does not have it.
    pub async fn content_again(&self, set: &str, fp: &str, now_us: i64) -> Result<bool, StoreError> {
        let (set, fp) = (set.to_owned(), fp.to_owned());
        self.write(move |tx| {
            let mut s = tx.prepare_cached("UPDATE content SET seen_us = max(seen_us, ?3) WHERE content_set = ?1 AND fp = ?2")?;
            Ok(s.execute(params![set, fp, now_us])? == 1)
        })
        .await
    }

    /// Every content, those of a set together, the one that it came to last first.
    pub fn seen_contents(&self) -> Result<Vec<SeenContent>, StoreError> {
        self.read_long(|c| {
            all(c, "SELECT content_set, fp, seen_us FROM content ORDER BY content_set, seen_us DESC, fp", [], |r| {
                Ok(SeenContent { set: r.get(0)?, fp: r.get(1)?, seen_us: r.get(2)? })
            })
        })
    }

    /// Fingerprints that somebody can still ask about: of runs that are there, of promotions and holds, open or over, and of the last look at
    /// each place of a repository.
    pub fn named_contents(&self) -> Result<BTreeSet<String>, StoreError> {
        let mut out = self.read_long(named)?;
        out.extend(self.observations()?.into_iter().filter_map(|o| o.observed.fp));
        Ok(out)
    }

    /// Removes these rows, but for those that a set came to, or a run read, since they were looked at; as many as went.
    pub async fn forget_contents(&self, gone: Vec<SeenContent>) -> Result<usize, StoreError> {
        self.write(move |tx| {
            let mut n = 0;
            for c in &gone {
                n += tx
                    .prepare_cached(
                        "DELETE FROM content WHERE content_set = ?1 AND fp = ?2 AND seen_us = ?3
                         AND NOT EXISTS (SELECT 1 FROM reading r WHERE r.fp = ?2 AND r.fp IS NOT NULL)",
                    )?
                    .execute(params![c.set, c.fp, c.seen_us])?;
            }
            Ok(n)
        })
        .await
    }

    /// Whether any set was seen to have this content.
    pub fn has_content(&self, fp: &str) -> Result<bool, StoreError> {
        let fp = fp.to_owned();
        self.read(move |c| Ok(c.prepare_cached("SELECT 1 FROM content WHERE fp = ?1")?.exists([fp])?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::freshness::Observed;
    use crate::domain::rows::{ContentRow, ObservationRow};
    use crate::store::OpenOptionsStore;

    fn fp(c: char) -> String {
        c.to_string().repeat(64)
    }

    #[test]
    fn a_fingerprint_is_found_whatever_stands_around_it() {
        let text = format!(r#"{{"base":{{"fp":"{}"}},"to":["{}"],"sha":"{}f","short":"abc"}}"#, fp('a'), fp('1'), fp('2'));
        assert_eq!(named_in(&text).collect::<Vec<_>>(), [fp('a'), fp('1')]);
    }

    #[tokio::test]
    async fn what_was_come_back_to_meanwhile_stays_and_the_rest_goes() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let store =
            Store::open(&OpenOptionsStore { dir: dir.path().into(), network_state: false, now_us: 1, boot_id: "b".into() }).unwrap();
        let row = |c, set: &str, at| ContentRow {
            fp: fp(c),
            set: set.into(),
            os: "el9".into(),
            md: None,
            compose: String::new(),
            packages: 3,
            bytes: 9,
            first_seen_us: at,
        };
        for r in [row('a', "el9", 1), row('b', "el9", 2), row('a', "el8", 3)] {
            assert!(store.content_seen(r).await.unwrap());
        }
        let old = store.seen_contents().unwrap();
        let seen: Vec<_> = old.iter().map(|c| (c.set.as_str(), &c.fp[..1], c.seen_us)).collect();
        assert_eq!(seen, [("el8", "a", 3), ("el9", "b", 2), ("el9", "a", 1)]);
        assert!(store.content_again("el9", &fp('a'), 9).await.unwrap() && !store.content_again("el8", &fp('b'), 9).await.unwrap());
        assert_eq!(store.forget_contents(old).await.unwrap(), 2);
        assert_eq!(store.content("el9", &fp('a')).unwrap().unwrap().first_seen_us, 1, "and is as old as it was");
        assert!(store.has_content(&fp('a')).unwrap() && !store.has_content(&fp('b')).unwrap());
        let observed = Observed { fp: Some(fp('c')), ..Observed::default() };
        store.observe(vec![ObservationRow { repo: "base9".into(), place: "tree".into(), observed, at_us: 1 }]).await.unwrap();
        let text = format!(r#"{{"from":"{}"}}"#, fp('d'));
        let sql = "INSERT INTO hold (os, kind, package, ended_us, json) VALUES ('el9', 'hold', 'p', 1, ?1)";
        store.write(move |tx| Ok(tx.execute(sql, [text])?)).await.unwrap();
        assert_eq!(store.named_contents().unwrap(), BTreeSet::from([fp('c'), fp('d')]));
    }
}
