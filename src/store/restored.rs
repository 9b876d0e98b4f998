//! Whether this store is the one that was here last, or one that was put back: a copy, or an older state of it.
//!
//! Each start of an engine writes a token into the store and then into `store.id` beside it. A store that was put back brings an older
//! token; our own copies in `backups/` say that they are copies. A run directory with a number that the store has not given yet proves
//! the same. What cannot be known: a whole state directory that was put back as one. To the engine that is an outage.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::audit::{self, DecisionEdit, Note};
use super::error::StoreError;
use super::load::Drain;
use crate::base::durable;
use crate::domain::actor::Actor;
use crate::domain::audit::Record;
use crate::domain::decision::Kind;

/// Mark of a copy, with the day on which it was made.
pub(super) const COPY: &str = "copy";
const TOKEN: &str = "token";
const BEFORE: &str = "token_before";
/// Fences are skipped by so many, so that no attempt of the lost time gets its directory's name again.
const FENCES: i64 = 1_000_000;

/// The file beside the store.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Beside {
    epoch: u64,
    token: String,
}

/// What the store says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Inside {
    epoch: u64,
    token: Option<String>,
    before: Option<String>,
    copy: Option<String>,
}

fn path(dir: &Path) -> PathBuf {
    dir.join("store.id")
}

fn read_beside(dir: &Path) -> Option<Beside> {
    let text = std::fs::read_to_string(path(dir)).ok()?;
    let (epoch, token) = text.trim().split_once(' ')?;
    Some(Beside { epoch: epoch.parse().ok()?, token: token.to_owned() })
}

fn read_inside(c: &Connection) -> Result<Inside, rusqlite::Error> {
    let text = |key: &str| c.query_row("SELECT value FROM meta WHERE key = ?1", [key], |r| r.get::<_, String>(0)).optional();
    Ok(Inside {
        epoch: c.query_row("SELECT value FROM meta WHERE key = 'epoch'", [], |r| r.get(0))?,
        token: text(TOKEN)?,
        before: text(BEFORE)?,
        copy: text(COPY)?,
    })
}

/// Why this is not the store that was here last; `None` = it is.
fn judge(inside: &Inside, beside: Option<&Beside>, ahead: Option<&str>) -> Option<String> {
    if let Some(day) = &inside.copy {
        return Some(format!("it is the copy that was made on {day}"));
    }
    let by_token = match (&inside.token, beside) {
        // Never opened before, or last by a version that knew no tokens.
        (None, None) => None,
        (None, Some(_)) if inside.epoch == 0 => None,
        (None, Some(b)) => Some(format!("it was never opened by the engine start {} that this directory has seen", b.epoch)),
        // The engine that wrote the first token of all died before it could leave it beside.
        (Some(_), None) if inside.before.is_none() => None,
        (Some(_), None) => Some("it came without the file store.id that lies beside every store: it is from elsewhere".to_owned()),
        (Some(token), Some(b)) if *token == b.token => None,
        // The engine died between the two writes.
        (Some(_), Some(b)) if inside.before.as_deref() == Some(&b.token) && b.epoch + 1 == inside.epoch => None,
        (Some(_), Some(b)) => {
            Some(format!("it is as engine start {} left it, and this directory has seen engine start {}", inside.epoch, b.epoch))
        }
    };
    by_token.or_else(|| ahead.map(|run| format!("there is a directory of {run}, a run that it does not know")))
}

/// Highest run directories that are ahead of the store: `(pipeline, number)`.
fn ahead(c: &Connection, dir: &Path) -> Result<Vec<(String, u64)>, rusqlite::Error> {
    let mut s = c.prepare("SELECT name, last_number FROM pipeline")?;
    let known: Vec<(String, u64)> = s.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<Result<_, _>>()?;
    let highest = |name: &str| {
        let entries = std::fs::read_dir(dir.join("runs").join(name)).into_iter().flatten().flatten();
        entries.filter_map(|e| e.file_name().to_str()?.parse::<u64>().ok()).max().unwrap_or(0)
    };
    Ok(known
        .into_iter()
        .map(|(name, last)| (highest(&name), name, last))
        .filter(|(seen, _, last)| seen > last)
        .map(|(seen, name, _)| (name, seen))
        .collect())
}

/// Judges the store, and writes the new token; a store that was put back is drained, with its entry. In the transaction that begins the
/// epoch, before it is counted on. The token is for [`leave`].
pub(super) fn begin(tx: &Transaction<'_>, dir: &Path, now_us: i64) -> Result<String, StoreError> {
    let (inside, beside, ahead) = (read_inside(tx)?, read_beside(dir), ahead(tx, dir)?);
    let run = ahead.first().map(|(p, n)| format!("{p}#{n}"));
    if let Some(why) = judge(&inside, beside.as_ref(), run.as_deref()) {
        drain(tx, &why, now_us)?;
        for (pipeline, number) in &ahead {
            tx.execute("UPDATE pipeline SET last_number = ?2 WHERE name = ?1", params![pipeline, number])?;
        }
        tx.execute("UPDATE meta SET value = value + ?1 WHERE key = 'fence'", [FENCES])?;
        if let Some(b) = &beside {
            tx.execute("UPDATE meta SET value = max(value, ?1) WHERE key = 'epoch'", [b.epoch])?;
        }
        tx.execute("DELETE FROM meta WHERE key = ?1", [COPY])?;
    }
    let token = uuid::Uuid::now_v7().simple().to_string();
    let set = |key: &str, value: &str| tx.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", [key, value]);
    match &inside.token {
        Some(old) => set(BEFORE, old)?,
        None => 0,
    };
    set(TOKEN, &token)?;
    Ok(token)
}

fn drain(tx: &Transaction<'_>, why: &str, now_us: i64) -> Result<(), StoreError> {
    let why = format!(
        "the store was put back: {why}. What ran since then is not known here: look at the far ends and at get occurrences, \
         then `quarterdeck engine drain --off`"
    );
    let by = "engine".to_owned();
    let drain = Drain { by: by.clone(), why: why.clone(), since_us: now_us };
    let json = serde_json::to_string(&drain).map_err(|e| StoreError::Database(e.to_string()))?;
    tx.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('drain', ?1)", [json])?;
    let record = Record {
        who: Actor::engine(&by),
        action: "drain".into(),
        subject: "engine".into(),
        reason: why.clone(),
        result: "done".into(),
        single_person: false,
    };
    let decision = Some(DecisionEdit::Take { kind: Kind::Drain, subject: "engine".into(), why });
    audit::seal(tx, Note { at_us: now_us, record, decision }).map(|_| ())
}

/// Leaves the token beside the store, after its commit.
pub(super) fn leave(dir: &Path, epoch: u64, token: &str) -> Result<(), StoreError> {
    let path = path(dir);
    durable::replace(&path, format!("{epoch} {token}\n").as_bytes(), 0o600).map_err(|e| StoreError::io(&path, "cannot be written", &e))
}

#[cfg(test)]
mod tests {
    use super::super::{OpenOptionsStore, Store};
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn open(dir: &Path, now_us: i64) -> Store {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).unwrap();
        Store::open(&OpenOptionsStore { dir: dir.into(), network_state: false, now_us, boot_id: "b".into() }).unwrap()
    }

    fn drained(dir: &Path) -> Option<String> {
        open(dir, 9).drain().unwrap().map(|d| d.why)
    }

    #[test]
    fn the_same_store_opens_as_ever_also_after_a_death_between_the_two_writes() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..3 {
            assert_eq!(drained(dir.path()), None);
        }
        let before = std::fs::read(path(dir.path())).unwrap();
        drop(open(dir.path(), 1));
        std::fs::write(path(dir.path()), before).unwrap();
        assert_eq!(drained(dir.path()), None);
    }

    #[test]
    fn an_older_state_a_copy_and_a_foreign_store_start_drained_and_say_so() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path(), 1));
        let db = dir.path().join("state.db");
        let old = std::fs::read(&db).unwrap();
        drop(open(dir.path(), 2));
        let newer = open(dir.path(), 3).epoch();
        std::fs::write(&db, old).unwrap();
        let s = open(dir.path(), 4);
        let why = s.drain().unwrap().unwrap().why;
        assert!(why.contains("put back") && why.contains("engine start 1 left it"), "{why}");
        assert!(s.epoch() > newer, "no epoch comes twice");
        assert_eq!(s.audit_view(1).unwrap().entries[0].record.action, "drain");
        assert!(s.audit_view(1).unwrap().chain.is_ok());
        // Once it was said, the next start says no more: people lift the drain.
        drop(s);
        let s = open(dir.path(), 5);
        assert_eq!(s.audit_view(9).unwrap().entries.len(), 1);

        let copy = s.backup(1_000).unwrap().unwrap();
        drop(s);
        let other = tempfile::tempdir().unwrap();
        std::fs::copy(&copy, other.path().join("state.db")).unwrap();
        assert!(drained(other.path()).unwrap().contains("the copy that was made on 1970-01-01"));

        std::fs::remove_file(path(other.path())).unwrap();
        open_undrained(other.path());
        std::fs::remove_file(path(other.path())).unwrap();
        assert!(drained(other.path()).unwrap().contains("from elsewhere"));
    }

    /// Lifts the drain of whatever the directory holds.
    fn open_undrained(dir: &Path) {
        let s = open(dir, 7);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(s.set_drain(None, None)).unwrap();
    }

    #[test]
    fn a_run_directory_that_the_store_does_not_know_proves_it() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path(), 1));
        let db = Connection::open(dir.path().join("state.db")).unwrap();
        db.execute("INSERT INTO pipeline (name, last_number) VALUES ('n', 3)", []).unwrap();
        drop(db);
        std::fs::create_dir_all(dir.path().join("runs/n/3")).unwrap();
        assert_eq!(drained(dir.path()), None);
        std::fs::create_dir_all(dir.path().join("runs/n/5")).unwrap();
        assert!(drained(dir.path()).unwrap().contains("n#5"));
        let db = Connection::open(dir.path().join("state.db")).unwrap();
        let last: u64 = db.query_row("SELECT last_number FROM pipeline", [], |r| r.get(0)).unwrap();
        assert_eq!(last, 5, "no number comes twice");
    }

    #[test]
    fn a_store_that_was_given_up_on_purpose_is_no_store_put_back() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path(), 1));
        for file in ["state.db", "state.db-wal", "state.db-shm"] {
            let _ = std::fs::remove_file(dir.path().join(file));
        }
        assert_eq!(drained(dir.path()), None);
    }
}
