//! A store as it looks from outside, for `doctor` where no engine answers. It is only read: nothing is moved, repaired or migrated, and nothing
//! is made in a directory that is another user's.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::StoreError;
use super::migrations;
use super::open::{APPLICATION_ID, DB, EMPTIED, damage, emptied, private_file};
use crate::domain::doctor::StoreFacts;

/// An engine that is just starting holds it for a moment.
const BUSY: Duration = Duration::from_secs(1);

/// What the store in `dir` is to the user `uid`. Reads all of it, so it may take seconds.
pub fn look(dir: &Path, uid: u32) -> StoreFacts {
    let unread = |why: String| StoreFacts::Unread { why };
    if let Some((report, why)) = damage(dir) {
        return StoreFacts::Aside { report: report.display().to_string(), why };
    }
    // What is opened below follows no link.
    let Ok(dir) = std::fs::canonicalize(dir) else { return StoreFacts::Absent };
    let path = dir.join(DB);
    let meta = match path.symlink_metadata() {
        Ok(meta) => meta,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return StoreFacts::Absent,
        Err(e) => return unread(e.to_string()),
    };
    if let Err(e) = private_file(&path, &meta) {
        return StoreFacts::Refused { why: e.to_string() };
    }
    if emptied(&dir, meta.len()) {
        return StoreFacts::Damaged { why: EMPTIED.into() };
    }
    if let Err(e) = std::fs::File::open(&path) {
        return unread(e.to_string());
    }
    // SQLite makes files beside a store that it opens as one of many. Those of another user would keep its own engine out.
    let ours = meta.uid() == uid && rustix::fs::access(&dir, rustix::fs::Access::WRITE_OK).is_ok();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let opened = if ours {
        Connection::open_with_flags(&path, flags)
    } else if dir.join(format!("{DB}-wal")).metadata().is_ok_and(|m| m.len() > 0) {
        return unread(format!("its last writes are in {DB}-wal, which only its owner may open"));
    } else {
        Connection::open_with_flags(frozen(&path), flags | OpenFlags::SQLITE_OPEN_URI)
    };
    let facts = opened.and_then(|conn| read(&conn, &path, meta.len())).unwrap_or_else(|e| match e.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => StoreFacts::Damaged { why: e.to_string() },
        _ => unread(e.to_string()),
    });
    match (facts, path.symlink_metadata()) {
        // Without its locks, a writer that began meanwhile looks like damage.
        (StoreFacts::Damaged { .. }, Ok(now)) if !ours && (now.mtime(), now.mtime_nsec()) != (meta.mtime(), meta.mtime_nsec()) => {
            unread("it was written meanwhile".into())
        }
        (facts, _) => facts,
    }
}

fn read(conn: &Connection, path: &Path, bytes: u64) -> Result<StoreFacts, rusqlite::Error> {
    conn.busy_timeout(BUSY)?;
    let application: i64 = conn.query_row("PRAGMA application_id", [], |r| r.get(0))?;
    let version: i64 = conn.query_row("PRAGMA user_version", [], |r| r.get(0))?;
    let objects: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?;
    let refused = |e: StoreError| Ok(StoreFacts::Refused { why: e.to_string() });
    if application != APPLICATION_ID && (application != 0 || version != 0 || objects != 0) {
        return refused(StoreError::Foreign { path: path.to_owned(), found: application });
    }
    if let Err(e) = migrations::known(conn, version, path) {
        return refused(e);
    }
    let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |r| r.get(0))?;
    Ok(if verdict == "ok" {
        StoreFacts::Whole { bytes }
    } else {
        StoreFacts::Damaged { why: verdict.lines().collect::<Vec<_>>().join(" ") }
    })
}

/// As a URI of a file that nobody writes: it is read without locks, and without files beside it.
fn frozen(path: &Path) -> String {
    let mut uri = String::from("file:");
    for b in std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()) {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => uri.push(*b as char),
            _ => uri.push_str(&format!("%{b:02x}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::store::{OpenOptionsStore, Store};

    fn files(dir: &Path) -> Vec<(String, u64)> {
        let all = std::fs::read_dir(dir).unwrap().flatten();
        let mut all: Vec<_> = all.map(|e| (e.file_name().into_string().unwrap(), e.metadata().unwrap().len())).collect();
        all.sort();
        all
    }

    #[test]
    fn a_store_is_judged_from_outside_and_left_as_it_is() {
        let top = tempfile::tempdir().unwrap();
        let (dir, me) = (top.path().join("a ?#b"), rustix::process::getuid().as_raw());
        assert_eq!(look(&dir, me), StoreFacts::Absent);
        let open = || Store::open(&OpenOptionsStore { dir: dir.clone(), network_state: false, now_us: 1, boot_id: "b".into() });
        drop(open().unwrap());
        let db = dir.join(DB);
        let whole = std::fs::read(&db).unwrap();
        for uid in [me, me + 1] {
            let before = files(&dir);
            assert_eq!(look(&dir, uid), StoreFacts::Whole { bytes: whole.len() as u64 }, "{uid}");
            // Beside what is ours SQLite may leave an index; the store itself is never written.
            assert!(uid == me || files(&dir) == before, "{before:?}");
            assert_eq!(std::fs::read(&db).unwrap(), whole);
        }
        let damaged = |uid| matches!(look(&dir, uid), StoreFacts::Damaged { .. });
        let mut torn = whole.clone();
        let end = torn.len();
        torn[end - 3 * 4096..].fill(0x5a);
        for bytes in [b"no database at all, but some text of more than a hundred bytes".repeat(9), whole[..end / 2].to_vec(), torn] {
            std::fs::write(&db, &bytes).unwrap();
            assert!(damaged(me) && damaged(me + 1));
            assert_eq!(std::fs::read(&db).unwrap(), bytes, "nothing is moved or mended");
        }
        std::fs::write(&db, &whole).unwrap();
        rusqlite::Connection::open(&db).unwrap().execute_batch("PRAGMA user_version = 9999").unwrap();
        assert!(matches!(look(&dir, me), StoreFacts::Refused { why } if why.contains("schema 9999")));
        std::fs::write(&db, "").unwrap();
        assert_eq!(look(&dir, me), StoreFacts::Whole { bytes: 0 });
        std::fs::create_dir_all(dir.join("runs/nightly")).unwrap();
        assert!(damaged(me));
        std::fs::set_permissions(&db, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(look(&dir, me), StoreFacts::Refused { why } if why.contains("chmod 600")));
    }

    #[test]
    fn what_stands_only_in_the_log_of_another_user_is_not_guessed_at() {
        let top = tempfile::tempdir().unwrap();
        let (dir, me) = (top.path().to_owned(), rustix::process::getuid().as_raw());
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700)).unwrap();
        // An engine has it open, and has just written.
        let store = Store::open(&OpenOptionsStore { dir: dir.clone(), network_state: false, now_us: 1, boot_id: "b".into() }).unwrap();
        let before = files(&dir);
        assert!(matches!(look(&dir, me + 1), StoreFacts::Unread { why } if why.contains("state.db-wal")));
        assert_eq!(files(&dir), before);
        assert!(matches!(look(&dir, me), StoreFacts::Whole { .. }));
        drop(store);
    }
}
