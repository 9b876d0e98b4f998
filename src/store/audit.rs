//! The audit chain and the decisions: who did what, in an order that nobody can change unseen.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::rows::all;
use super::{Store, StoreError};
use crate::base::crash;
use crate::domain::actor::Actor;
use crate::domain::audit::{Broken, Entry, GENESIS, Record, verify};
use crate::domain::decision::{Decision, Kind, NewDecision};
use crate::domain::run::RunRef;

const ENTRY: &str = "SELECT seq, at_us, name, uid, login_uid, action, subject, reason, result, single_person, prev, hash FROM audit";

fn entry(r: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        seq: r.get(0)?,
        at_us: r.get(1)?,
        record: Record {
            who: Actor { name: r.get(2)?, uid: r.get(3)?, login_uid: r.get(4)? },
            action: r.get(5)?,
            subject: r.get(6)?,
            reason: r.get(7)?,
            result: r.get(8)?,
            single_person: r.get(9)?,
        },
        prev: r.get(10)?,
        hash: r.get(11)?,
    })
}

pub(super) fn ever(c: &Connection) -> rusqlite::Result<u64> {
    Ok(c.prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'audit'")?.query_row([], |r| r.get(0)).optional()?.unwrap_or(0))
}

/// The newest entries, and what the whole chain says about itself.
#[derive(Debug, Clone)]
pub struct AuditView {
    /// Newest first.
    pub entries: Vec<Entry>,
    /// Entries of the whole chain, or where it is broken.
    pub chain: Result<u64, Broken>,
}

/// How a decision changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecisionEdit {
    Take {
        kind: Kind,
        subject: String,
        why: String,
    },
    /// Ends what is open of this kind about this subject.
    TakeBack {
        kind: Kind,
        subject: String,
    },
    /// A request makes everything void that is open about its subject.
    Make(Box<NewDecision>),
}

/// An entry on its way into the chain, with the decision that it tells of. Given to the function that writes the act, it is sealed in
/// that act's transaction: neither is ever there without the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub at_us: i64,
    pub record: Record,
    pub decision: Option<DecisionEdit>,
}

/// Seals a note behind the chain. The caller's transaction is the writer's, so no other entry can come between.
pub(super) fn seal(tx: &Transaction<'_>, note: Note) -> Result<Entry, StoreError> {
    let last =
        tx.prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?.query_row([], |r| Ok((r.get::<_, u64>(0)?, r.get(1)?)));
    let (seq, prev) = last.optional()?.unwrap_or((0, GENESIS.to_owned()));
    // The next number comes from the counter: after a cut-off end it does not follow the last row, and the gap stays to be seen.
    let seq = seq.max(ever(tx)?) + 1;
    let e = Entry::seal(seq, note.at_us, note.record, &prev);
    let r = &e.record;
    tx.prepare_cached("INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")?.execute(params![
        e.seq,
        e.at_us,
        r.who.name,
        r.who.uid,
        r.who.login_uid,
        r.action,
        r.subject,
        r.reason,
        r.result,
        r.single_person,
        e.prev,
        e.hash
    ])?;
    match note.decision {
        None => {}
        Some(DecisionEdit::Take { kind, subject, why }) => {
            tx.execute(
                "INSERT INTO decision (kind, subject, name, uid, login_uid, why, at_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![kind.as_str(), subject, r.who.name, r.who.uid, r.who.login_uid, why, e.at_us],
            )?;
        }
        Some(DecisionEdit::Make(new)) => make(tx, *new, &r.who, e.at_us)?,
        Some(DecisionEdit::TakeBack { kind, subject }) => {
            tx.execute(
                "UPDATE decision SET ended_us = ?3 WHERE kind = ?1 AND subject = ?2 AND ended_us IS NULL",
                params![kind.as_str(), subject, e.at_us],
            )?;
        }
    }
    crash::point("audit.sealed");
    Ok(e)
}

fn make(tx: &Transaction<'_>, new: NewDecision, author: &Actor, at_us: i64) -> Result<(), StoreError> {
    match new.kind {
        Kind::Request => close(tx, &new.subject, &["request", "approve", "deny"], at_us)?,
        // One person looks after it: who says so last.
        Kind::Ack => {
            tx.execute(
                "UPDATE decision SET ended_us = ?2 WHERE kind = 'ack' AND subject = ?1 AND ended_us IS NULL",
                params![new.subject, at_us],
            )?;
        }
        _ => {}
    }
    let who = new.who.as_ref().unwrap_or(author);
    let detail = serde_json::to_string(&new.detail).map_err(|e| StoreError::Database(e.to_string()))?;
    tx.prepare_cached(
        "INSERT INTO decision (kind, subject, sha, name, uid, login_uid, why, at_us, until_us, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        new.kind.as_str(),
        new.subject,
        new.sha,
        who.name,
        who.uid,
        who.login_uid,
        new.why,
        at_us,
        new.until_us,
        detail
    ])?;
    Ok(())
}

/// Ends what is open of these kinds about a subject; of a run, also about its stages.
pub(super) fn close(tx: &Transaction<'_>, subject: &str, kinds: &[&str], at_us: i64) -> Result<(), StoreError> {
    for kind in kinds {
        tx.prepare_cached(
            "UPDATE decision SET ended_us = ?3 WHERE ended_us IS NULL AND kind = ?1
             AND (subject = ?2 OR (subject > ?2 || '/' AND subject < ?2 || '0'))",
        )?
        .execute(params![kind, subject, at_us])?;
    }
    Ok(())
}

const DECISION: &str = "SELECT id, kind, subject, sha, name, uid, login_uid, why, at_us, until_us, ended_us, detail FROM decision";

fn decision(r: &Row<'_>) -> rusqlite::Result<Decision> {
    Ok(Decision {
        id: r.get(0)?,
        kind: super::rows::word(r, 1)?,
        subject: r.get(2)?,
        sha: r.get(3)?,
        who: Actor { name: r.get(4)?, uid: r.get(5)?, login_uid: r.get(6)? },
        why: r.get(7)?,
        at_us: r.get(8)?,
        until_us: r.get(9)?,
        ended_us: r.get(10)?,
        // Of a later version: what is not understood says nothing.
        detail: serde_json::from_str(&r.get::<_, String>(11)?).unwrap_or_default(),
    })
}

/// Open requests and approvals about a run and its stages, oldest first.
pub(super) fn open_about(c: &Connection, run: &str) -> Result<Vec<Decision>, StoreError> {
    all(c, &format!(
        "{DECISION} WHERE ended_us IS NULL AND kind IN ('request', 'approve') AND (subject = ?1 OR (subject > ?1 || '/' AND subject < ?1 || '0'))
         ORDER BY id"
    ), [run], decision)
}

/// As `seal`, where the act has an entry at all: acts of the runner's own tests have none.
pub(super) fn seal_if(tx: &Transaction<'_>, note: Option<Note>) -> Result<(), StoreError> {
    note.map_or(Ok(()), |n| seal(tx, n).map(|_| ()))
}

impl Store {
    /// Seals an entry that no other row belongs to: what was refused, and what is not kept in the store.
    pub async fn audit(&self, note: Note) -> Result<Entry, StoreError> {
        self.write(move |tx| seal(tx, note)).await
    }

    /// The chain, checked from its first entry to its last; `limit` entries of it, newest first.
    pub fn audit_view(&self, limit: usize) -> Result<AuditView, StoreError> {
        self.read_long(move |c| {
            // One snapshot: an entry written meanwhile must not look like one that was cut off.
            c.execute_batch("BEGIN")?;
            let result = (|| {
                let entries: Vec<_> = all(c, &format!("{ENTRY} ORDER BY seq"), [], entry)?;
                let chain = verify(&entries, ever(c)?);
                Ok(AuditView { entries: entries.into_iter().rev().take(limit).collect(), chain })
            })();
            c.execute_batch("COMMIT")?;
            result
        })
    }

    /// Decisions, newest first; those taken back too.
    pub fn decisions(&self, limit: usize) -> Result<Vec<Decision>, StoreError> {
        self.read(move |c| all(c, &format!("{DECISION} ORDER BY id DESC LIMIT ?1"), [limit], decision))
    }

    /// The newest decision of this kind about this subject that nobody has ended, whether its time is over or not.
    pub fn open_decision(&self, kind: Kind, subject: &str) -> Result<Option<Decision>, StoreError> {
        let subject = subject.to_owned();
        self.read(move |c| {
            let mut s =
                c.prepare_cached(&format!("{DECISION} WHERE kind = ?1 AND subject = ?2 AND ended_us IS NULL ORDER BY id DESC LIMIT 1"))?;
            Ok(s.query_row(params![kind.as_str(), subject], decision).optional()?)
        })
    }

    /// Decisions of this kind that are in force at `now_us`, newest first.
    pub fn decisions_in_force(&self, kind: Kind, now_us: i64, limit: usize) -> Result<Vec<Decision>, StoreError> {
        self.read(move |c| {
            all(
                c,
                &format!(
                    "{DECISION} WHERE kind = ?1 AND ended_us IS NULL AND (until_us IS NULL OR until_us > ?2) ORDER BY id DESC LIMIT ?3"
                ),
                params![kind.as_str(), now_us, limit],
                decision,
            )
        })
    }

    /// Every decision about a run and its stages, oldest first; ended ones too.
    pub fn decisions_about(&self, run: &RunRef) -> Result<Vec<Decision>, StoreError> {
        let run = run.to_string();
        self.read(move |c| {
            all(c, &format!("{DECISION} WHERE subject = ?1 OR (subject > ?1 || '/' AND subject < ?1 || '0') ORDER BY id"), [run], decision)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::OpenOptionsStore;
    use std::os::unix::fs::PermissionsExt;

    fn store(dir: &std::path::Path) -> Store {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).unwrap();
        Store::open(&OpenOptionsStore { dir: dir.into(), network_state: false, now_us: 1, boot_id: "b".into() }).unwrap()
    }

    fn record(n: u64) -> Record {
        let who = Actor::person("ann", 1000, Some(1000));
        Record { who, action: "run".into(), subject: format!("n#{n}"), reason: String::new(), result: "done".into(), single_person: false }
    }

    #[tokio::test]
    async fn the_chain_grows_verifies_and_shows_what_was_done_to_it() {
        let dir = tempfile::tempdir().unwrap();
        {
            let s = store(dir.path());
            for n in 1..=4 {
                s.audit(Note { at_us: n as i64, record: record(n), decision: None }).await.unwrap();
            }
            let view = s.audit_view(2).unwrap();
            assert_eq!(view.chain, Ok(4));
            assert_eq!(view.entries.iter().map(|e| e.seq).collect::<Vec<_>>(), [4, 3]);
        }
        let tamper = |sql: &str| {
            rusqlite::Connection::open(dir.path().join("state.db")).unwrap().execute_batch(sql).unwrap();
            let s = store(dir.path());
            s.audit_view(10).unwrap().chain.unwrap_err().seq
        };
        assert_eq!(tamper("DELETE FROM audit WHERE seq = 4"), 4);
        // What is added after a cut does not hide it.
        store(dir.path()).audit(Note { at_us: 9, record: record(9), decision: None }).await.unwrap();
        assert_eq!(store(dir.path()).audit_view(10).unwrap().chain.unwrap_err().seq, 4);
        assert_eq!(tamper("UPDATE audit SET name = 'bob' WHERE seq = 2"), 2);
    }

    #[tokio::test]
    async fn a_decision_is_taken_and_taken_back_with_its_entry() {
        let dir = tempfile::tempdir().unwrap();
        let s = store(dir.path());
        let subject = || "engine".to_owned();
        let note = |at_us, edit| Note { at_us, record: record(1), decision: Some(edit) };
        s.audit(note(5, DecisionEdit::Take { kind: Kind::Drain, subject: subject(), why: "kernel".into() })).await.unwrap();
        s.audit(note(6, DecisionEdit::TakeBack { kind: Kind::Drain, subject: subject() })).await.unwrap();
        let d = s.decisions(10).unwrap();
        assert_eq!((d.len(), d[0].why.as_str(), d[0].ended_us), (1, "kernel", Some(6)));
        assert_eq!(s.audit_view(10).unwrap().chain, Ok(2));
    }
}
