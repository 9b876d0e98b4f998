//! The schema, step by step. A new step is a file under `migrations/` and one line here; none is ever edited after a release.

use rusqlite::Connection;

use super::error::StoreError;

/// `(number, sql)`, ascending without gaps. Other rooms' tables come in the same way: `0002_audit.sql`, …
const STEPS: &[(i64, &str)] = &[
    (1, include_str!("migrations/0001_runs.sql")),
    (2, include_str!("migrations/0002_audit.sql")),
    (3, include_str!("migrations/0003_logs.sql")),
    (4, include_str!("migrations/0004_people.sql")),
    (5, include_str!("migrations/0005_artifacts.sql")),
    (6, include_str!("migrations/0006_totals.sql")),
    (7, include_str!("migrations/0007_facts.sql")),
    (8, include_str!("migrations/0008_ledger.sql")),
    (9, include_str!("migrations/0009_children.sql")),
    (10, include_str!("migrations/0010_promotion.sql")),
    (11, include_str!("migrations/0011_content.sql")),
    (12, include_str!("migrations/0012_slow_and_forced.sql")),
    (13, include_str!("migrations/0013_took.sql")),
    (14, include_str!("migrations/0014_never_read.sql")),
    (15, include_str!("migrations/0015_content_seen.sql")),
];

/// The schema that this version writes.
pub(super) fn newest() -> i64 {
    STEPS.last().map_or(0, |(n, _)| *n)
}

/// Brings the schema up to this version, each step in a transaction of its own. A newer schema is refused untouched.
pub(super) fn run(conn: &mut Connection, path: &std::path::Path) -> Result<(), StoreError> {
    let found: i64 = conn.query_row("PRAGMA user_version", [], |r| r.get(0))?;
    known(conn, found, path)?;
    up_to(conn, found, newest())
}

/// Refuses a schema that is newer than this version.
pub(super) fn known(conn: &Connection, found: i64, path: &std::path::Path) -> Result<(), StoreError> {
    if found <= newest() {
        return Ok(());
    }
    let wrote = conn
        .query_row("SELECT version FROM epoch ORDER BY id DESC LIMIT 1", [], |r| r.get::<_, String>(0))
        .unwrap_or_else(|_| "a newer version".to_owned());
    Err(StoreError::Newer { path: path.to_owned(), found, ours: newest(), wrote })
}

fn up_to(conn: &mut Connection, from: i64, to: i64) -> Result<(), StoreError> {
    for (number, sql) in STEPS.iter().filter(|(n, _)| *n > from && *n <= to) {
        let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        tx.execute_batch(sql)?;
        tx.execute_batch(&format!("PRAGMA user_version = {number}"))?;
        tx.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn schema(conn: &Connection) -> Vec<String> {
        let mut s = conn.prepare("SELECT coalesce(sql, name) FROM sqlite_schema ORDER BY name").unwrap();
        s.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn steps_are_numbered_without_gaps() {
        for (i, (n, _)) in STEPS.iter().enumerate() {
            assert_eq!(*n, i as i64 + 1);
        }
    }

    #[test]
    fn every_older_schema_becomes_the_same_newest_one() {
        let mut fresh = Connection::open_in_memory().unwrap();
        run(&mut fresh, Path::new("fresh")).unwrap();
        for old in 0..=newest() {
            let mut conn = Connection::open_in_memory().unwrap();
            up_to(&mut conn, 0, old).unwrap();
            run(&mut conn, Path::new("old")).unwrap();
            assert_eq!(schema(&conn), schema(&fresh), "from {old}");
            assert_eq!(conn.query_row("PRAGMA user_version", [], |r| r.get::<_, i64>(0)).unwrap(), newest());
        }
    }

    #[test]
    fn a_newer_schema_is_refused_and_left_alone() {
        let mut conn = Connection::open_in_memory().unwrap();
        run(&mut conn, Path::new("x")).unwrap();
        conn.execute_batch(&format!(
            "PRAGMA user_version = {}; INSERT INTO epoch (pid, boot_id, version, started_us) VALUES (1, 'b', '9.1.0', 0)",
            newest() + 3
        ))
        .unwrap();
        let error = run(&mut conn, Path::new("/state/state.db")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("9.1.0") && text.contains("/state/state.db"), "{text}");
        assert_eq!(conn.query_row("PRAGMA user_version", [], |r| r.get::<_, i64>(0)).unwrap(), newest() + 3);
    }
}
