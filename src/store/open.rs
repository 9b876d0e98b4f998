//! Opening a store: directory and file checks, the engine lock, journal mode, integrity, schema, epoch.
//!
//! Refuses rather than repairs. A damaged file is moved aside with a report, and nothing starts empty in its place unasked.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::StoreError;
use super::fs_kind::{FsKind, classify};
use super::{migrations, restored};

pub(super) const DB: &str = "state.db";
pub(super) const LOCK: &str = "engine.lock";
/// SQLite knows paths of 512 bytes, with the names of its files and what it puts behind them.
const MOST_OF_A_PATH: usize = 480;
/// "QDK1" as SQLite's application id.
pub(super) const APPLICATION_ID: i64 = 0x5144_4B31;

/// What the caller decides about a store.
#[derive(Debug, Clone)]
pub struct OpenOptionsStore {
    pub dir: PathBuf,
    /// The override for a network file system: TRUNCATE journal, FULL, exclusive.
    pub network_state: bool,
    pub now_us: i64,
    pub boot_id: String,
}

pub(super) struct Opened {
    pub(super) conn: Connection,
    pub(super) lock: File,
    pub(super) epoch: u64,
    /// True where the previous engine did not end in order.
    pub(super) unclean: bool,
    /// False under the network override, where one connection must do everything.
    pub(super) readers: bool,
}

/// Opens the store in `o.dir`, which is whole: see `private_dir`.
pub(super) fn open(o: &OpenOptionsStore) -> Result<Opened, StoreError> {
    let wal = may_use_wal(&o.dir, o.network_state)?;
    let lock = hold(&o.dir)?;
    let path = o.dir.join(DB);
    refuse_silent_restart(&o.dir, &path, o.now_us)?;
    let mut conn = match connect(&path, wal) {
        Ok(conn) => conn,
        Err(Trouble::Damaged(why)) => return Err(quarantine(&o.dir, &path, &why, o.now_us)),
        Err(Trouble::Other(e)) => return Err(e),
    };
    let (epoch, unclean) = match begin_epoch(&mut conn, &path, o) {
        Ok(v) => v,
        Err(Trouble::Damaged(why)) => {
            drop(conn);
            return Err(quarantine(&o.dir, &path, &why, o.now_us));
        }
        Err(Trouble::Other(e)) => return Err(e),
    };
    Ok(Opened { conn, lock, epoch, unclean, readers: wal })
}

enum Trouble {
    Damaged(String),
    Other(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(e: StoreError) -> Self {
        Self::Other(e)
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(e: rusqlite::Error) -> Self {
        match e.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => Self::Damaged(e.to_string()),
            _ => Self::Other(e.into()),
        }
    }
}

/// Makes `dir` (0700) where it is absent; refuses one that others own or may look into. Its path without links, for what follows none.
pub(super) fn private_dir(dir: &Path) -> Result<PathBuf, StoreError> {
    let refuse = |problem: String, fix: String| Err(StoreError::Permissions { path: dir.to_owned(), problem, fix });
    if !dir.exists() {
        if let Ok(to) = std::fs::read_link(dir) {
            let problem = format!("the state directory is a link to {}, which is not there", to.display());
            return refuse(problem, "is its disk mounted? Make the directory, or name another with --state-dir".into());
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|e| StoreError::io(dir, "cannot create the state directory (another one: --state-dir DIR)", &e))?;
    }
    let meta = std::fs::metadata(dir).map_err(|e| StoreError::io(dir, "cannot read the state directory", &e))?;
    if !meta.is_dir() {
        return refuse("the state directory is no directory".into(), "name another with --state-dir".into());
    }
    let me = rustix::process::geteuid().as_raw();
    if meta.uid() != me {
        return refuse(
            format!("the state directory belongs to uid {}, and this is uid {me}", meta.uid()),
            "use your own --state-dir, or ask its owner's engine".into(),
        );
    }
    if meta.mode() & 0o077 != 0 {
        return refuse(
            format!("the state directory has mode {:o}: others can reach it", meta.mode() & 0o7777),
            format!("chmod 700 {}", dir.display()),
        );
    }
    let real = std::fs::canonicalize(dir).map_err(|e| StoreError::io(dir, "cannot read the state directory", &e))?;
    let long = real.as_os_str().len();
    if long > MOST_OF_A_PATH {
        let problem = format!("the path of the state directory has {long} bytes, and SQLite opens files below {MOST_OF_A_PATH} at most");
        return refuse(problem, "name a shorter one with --state-dir".into());
    }
    Ok(real)
}

fn may_use_wal(dir: &Path, network_state: bool) -> Result<bool, StoreError> {
    let stat = rustix::fs::statfs(dir).map_err(|e| StoreError::io(dir, "cannot ask for the file system", &e.into()))?;
    match classify(stat.f_type as u64) {
        FsKind::Local => Ok(true),
        FsKind::Remote(_) if network_state => Ok(false),
        FsKind::Remote(fs) => Err(StoreError::NetworkFs { path: dir.to_owned(), fs: fs.to_owned() }),
    }
}

/// Takes the engine lock, or names its holder. The kernel gives it back when the process ends, however it ends.
fn hold(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK);
    let fail = |e: &std::io::Error| StoreError::io(&path, "cannot take the engine lock", e);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(&path)
        .map_err(|e| fail(&e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.take(32).read_to_string(&mut pid);
            let pid = pid.lines().next().map(str::trim).filter(|p| !p.is_empty()).unwrap_or("unknown").to_owned();
            return Err(StoreError::Held { path: dir.to_owned(), pid });
        }
        Err(std::fs::TryLockError::Error(e)) => return Err(fail(&e)),
    }
    file.set_len(0).and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes())).map_err(|e| fail(&e))?;
    Ok(file)
}

/// Refuses a store that is no file, or that others can read.
pub(super) fn private_file(path: &Path, meta: &std::fs::Metadata) -> Result<(), StoreError> {
    let refuse = |problem: String, fix: String| Err(StoreError::Permissions { path: path.to_owned(), problem, fix });
    if !meta.is_file() {
        return refuse("it is no regular file".into(), "move it away".into());
    }
    if meta.mode() & 0o077 != 0 {
        return refuse(format!("it has mode {:o}: others can read it", meta.mode() & 0o7777), format!("chmod 600 {}", path.display()));
    }
    Ok(())
}

/// A file that lost its content is no new store: a new one has no runs yet.
pub(super) fn emptied(dir: &Path, size: u64) -> bool {
    size == 0 && std::fs::read_dir(dir.join("runs")).is_ok_and(|mut d| d.next().is_some())
}

pub(super) const EMPTIED: &str = "it is empty, but there are runs";

/// After damage nothing starts empty unasked: while the report is there and the file is not, opening fails as before.
fn refuse_silent_restart(dir: &Path, path: &Path, now_us: i64) -> Result<(), StoreError> {
    let size = match std::fs::symlink_metadata(path) {
        Ok(meta) => {
            private_file(path, &meta)?;
            Some(meta.len())
        }
        Err(_) => None,
    };
    let report = report_path(dir);
    match size {
        None if report.exists() => {
            let kept = std::fs::read_to_string(&report).ok().and_then(|t| t.lines().nth(1).map(PathBuf::from)).unwrap_or_default();
            Err(StoreError::Damaged { path: path.to_owned(), kept, report, why: "found at an earlier start".into() })
        }
        Some(size) if emptied(dir, size) => Err(quarantine(dir, path, EMPTIED, now_us)),
        _ => Ok(()),
    }
}

fn report_path(dir: &Path) -> PathBuf {
    dir.join("state.db.damaged.txt")
}

/// Where an engine found the store of `dir` damaged and nobody has said since what is to be done: the report, and what was wrong.
pub(super) fn damage(dir: &Path) -> Option<(PathBuf, String)> {
    let report = report_path(dir);
    if dir.join(DB).exists() {
        return None;
    }
    let text = std::fs::read_to_string(&report).ok()?;
    let why = text.lines().find_map(|l| l.strip_prefix("Cause: ")).unwrap_or("for an unknown reason").to_owned();
    Some((report, why))
}

fn quarantine(dir: &Path, path: &Path, why: &str, now_us: i64) -> StoreError {
    let stamp = jiff::Timestamp::from_microsecond(now_us).map(|t| t.strftime("%Y%m%dT%H%M%SZ").to_string()).unwrap_or_default();
    let mut kept = dir.join(format!("{DB}.damaged-{stamp}"));
    let mut n = 1;
    while kept.exists() {
        n += 1;
        kept = dir.join(format!("{DB}.damaged-{stamp}-{n}"));
    }
    let with = |p: &Path, suffix: &str| PathBuf::from(format!("{}{suffix}", p.display()));
    let report = report_path(dir);
    let text = format!(
        "quarterdeck found its store damaged. It was kept, whole, as\n{}\nCause: {why}\nVersion {}, pid {}.\n\
         Delete this file to start with an empty history (run numbers go on from the directories in runs/).\n",
        kept.display(),
        env!("CARGO_PKG_VERSION"),
        std::process::id()
    );
    let moved = crate::base::durable::replace(&report, text.as_bytes(), 0o600).and_then(|()| {
        for suffix in ["-wal", "-shm", ""] {
            let from = with(path, suffix);
            if from.exists() {
                std::fs::rename(&from, with(&kept, suffix))?;
            }
        }
        crate::base::durable::sync_dir(dir)
    });
    match moved {
        Ok(()) => StoreError::Damaged { path: path.to_owned(), kept, report, why: why.to_owned() },
        Err(e) => StoreError::io(path, "it is damaged, and could not be moved aside", &e),
    }
}

fn connect(path: &Path, wal: bool) -> Result<Connection, Trouble> {
    if !path.exists() {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(|f| f.sync_all());
        made.and_then(|()| crate::base::durable::sync_parent(path)).map_err(|e| StoreError::io(path, "cannot create the store", &e))?;
    }
    let mut perm = std::fs::metadata(path).map_err(|e| StoreError::io(path, "cannot read the store", &e))?.permissions();
    if perm.mode() & 0o200 == 0 {
        perm.set_mode(0o600);
        std::fs::set_permissions(path, perm).map_err(|e| StoreError::io(path, "cannot make the store writable", &e))?;
    }
    let conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW,
    )?;
    // Foreign readers (a backup, a curious person) may hold it for a moment.
    conn.busy_timeout(std::time::Duration::from_secs(5))?;
    keep_statements(&conn, 128)?;
    let application: i64 = conn.query_row("PRAGMA application_id", [], |r| r.get(0))?;
    let version: i64 = conn.query_row("PRAGMA user_version", [], |r| r.get(0))?;
    let objects: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?;
    if application != APPLICATION_ID && (application != 0 || version != 0 || objects != 0) {
        return Err(StoreError::Foreign { path: path.to_owned(), found: application }.into());
    }
    if !wal {
        conn.execute_batch("PRAGMA locking_mode = EXCLUSIVE")?;
    }
    let wanted = if wal { "wal" } else { "truncate" };
    let found: String = conn.query_row(&format!("PRAGMA journal_mode = {wanted}"), [], |r| r.get(0))?;
    if !found.eq_ignore_ascii_case(wanted) {
        return Err(StoreError::Journal { path: path.to_owned(), found, wanted: wanted.to_owned() }.into());
    }
    conn.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;
         PRAGMA wal_autocheckpoint = 1000; PRAGMA trusted_schema = OFF;",
    )?;
    conn.query_row("PRAGMA journal_size_limit = 67108864", [], |_| Ok(()))?;
    Ok(conn)
}

/// The connection keeps so many statements compiled, whatever is bound to them: else SQLite compiles one again whose plan a value could better.
/// None of ours could be, for all that a partial index must know stands in their texts.
pub(super) fn keep_statements(conn: &Connection, most: usize) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(most);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

fn begin_epoch(conn: &mut Connection, path: &Path, o: &OpenOptionsStore) -> Result<(u64, bool), Trouble> {
    let version: i64 = conn.query_row("PRAGMA user_version", [], |r| r.get(0))?;
    let mut unclean = false;
    if version > 0 {
        unclean = conn
            .query_row("SELECT ended_us IS NULL FROM epoch ORDER BY id DESC LIMIT 1", [], |r| r.get(0))
            .or_else(|e| if e == rusqlite::Error::QueryReturnedNoRows { Ok(false) } else { Err(e) })?;
        if unclean {
            let verdict: String = conn.query_row("PRAGMA quick_check(1)", [], |r| r.get(0))?;
            if verdict != "ok" {
                return Err(Trouble::Damaged(verdict));
            }
        }
    }
    migrations::run(conn, path)?;
    if version == 0 {
        conn.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}"))?;
    }
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let token = restored::begin(&tx, &o.dir, o.now_us)?;
    tx.execute("UPDATE meta SET value = value + 1 WHERE key = 'epoch'", [])?;
    let epoch: u64 = tx.query_row("SELECT value FROM meta WHERE key = 'epoch'", [], |r| r.get(0))?;
    tx.execute(
        "INSERT INTO epoch (id, pid, boot_id, version, started_us) VALUES (?1, ?2, ?3, ?4, ?5)",
        (epoch, std::process::id(), &o.boot_id, env!("CARGO_PKG_VERSION"), o.now_us),
    )?;
    tx.commit()?;
    restored::leave(&o.dir, epoch, &token)?;
    Ok((epoch, unclean))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bound_makes_no_statement_be_compiled_again() {
        let dir = tempfile::tempdir().unwrap();
        let dir = private_dir(&dir.path().join("s")).unwrap();
        let opened = open(&OpenOptionsStore { dir, network_state: false, now_us: 1, boot_id: "b".into() }).ok().unwrap();
        // Asked at the end of every run.
        let mut facts = opened.conn.prepare("SELECT json FROM fact WHERE run_id = ?1 AND kind = 'commit' ORDER BY id").unwrap();
        for run in 1..4 {
            assert!(!facts.exists([run]).unwrap());
        }
        assert_eq!(facts.get_status(rusqlite::StatementStatus::RePrepare), 0);
    }
}
