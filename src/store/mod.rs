//! Floor 3: the store: one SQLite file, one writer thread with group commit, a few read connections, typed functions.
//!
//! No type of the database leaves this room. Instants are microseconds since 1970 UTC. Reading functions block for
//! about a millisecond; writing ones return a future that resolves after the commit is on the disk.

mod artifacts;
mod audit;
mod ballast;
mod changes;
mod children;
mod content;
mod control;
mod error;
mod forced;
mod fs_kind;
mod ledger;
pub mod lists;
mod load;
mod log;
mod look;
mod migrations;
mod op;
mod open;
mod pages;
mod promotion;
mod query;
mod restored;
mod retention;
mod submit;
mod tested;
pub mod totals;
mod verdict;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use rusqlite::{Connection, OpenFlags, Transaction};

pub use audit::{AuditView, DecisionEdit, Note};
pub use ballast::Space;
pub use children::{ChildRow, ParentLink};
pub use control::EndedRun;
pub use error::StoreError;
pub use forced::{ForceMark, Known, LATE, Unheard};
pub use fs_kind::{FsKind, classify};
pub use ledger::{Cursor, Ledger};
pub use load::{CancelMark, Drain, HeldLock, Open, OpenAttempt, OpenReading, OpenRun, OpenStage, OpenStep};
pub use log::{LogDone, LogPlace, LogWork};
pub use look::look;
pub use op::{Claim, End, Limit, NewArtifact, Op, RunSet, StageSet, StepSet};
pub use open::OpenOptionsStore;
pub use promotion::{GateRow, HoldSave, PlanRow, PointerRow, Save};
pub use query::RunsQuery;
pub use retention::EndedRow;
pub use submit::{Group, NewInput, NewRun, NewStep, Submitted, TitlePart};
pub use writer::Gather;

/// The store's own number of a run; never reused. People see `PIPELINE#NUMBER`.
pub type RunId = i64;

const READERS: usize = 3;

/// A handle on the open store; clones share it. The last one that goes writes what is queued and gives the lock back.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    // Declared first: it must be stopped before the lock is given back.
    writer: writer::Writer,
    pool: Pool,
    dir: PathBuf,
    epoch: u64,
    unclean: bool,
    lock: File,
}

/// Read connections; a reader waits for a free one. Empty under the network override, where the writer reads too.
struct Pool {
    free: Mutex<Vec<Connection>>,
    back: Condvar,
    size: usize,
}

impl Store {
    /// Opens or creates the store in `dir`. Refuses: wrong permissions, a network file system, a second engine, a newer
    /// schema, a damaged file.
    pub fn open(options: &OpenOptionsStore) -> Result<Self, StoreError> {
        let options = &OpenOptionsStore { dir: open::private_dir(&options.dir)?, ..options.clone() };
        let opened = open::open(options)?;
        let path = options.dir.join(open::DB);
        let mut free = Vec::new();
        if opened.readers {
            for _ in 0..READERS {
                let conn = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
                conn.busy_timeout(std::time::Duration::from_secs(5))?;
                open::keep_statements(&conn, 64)?;
                free.push(conn);
            }
        }
        let epoch = opened.epoch;
        let started_us = options.now_us;
        let writer = writer::Writer::start(opened.conn, epoch, move |conn| {
            // The end in order: the next start needs no check. Wall time is not worth a clock here.
            let _ = conn.execute("UPDATE epoch SET ended_us = ?2 WHERE id = ?1", (epoch, started_us));
            let _ = conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        })
        .map_err(|e| StoreError::io(&path, "cannot start the writer", &e))?;
        let size = free.len();
        let pool = Pool { free: Mutex::new(free), back: Condvar::new(), size };
        let inner = Inner { writer, pool, dir: options.dir.clone(), epoch, unclean: opened.unclean, lock: opened.lock };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// False once the files were removed or moved away from under us: what is written then, nobody finds again.
    pub fn is_in_place(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        let held = self.inner.lock.metadata().map(|m| (m.dev(), m.ino()));
        let found = std::fs::symlink_metadata(self.inner.dir.join(open::LOCK)).map(|m| (m.dev(), m.ino()));
        matches!((held, found), (Ok(a), Ok(b)) if a == b)
    }

    /// The state directory, without links.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// The number of this engine start; every write compares it.
    pub fn epoch(&self) -> u64 {
        self.inner.epoch
    }

    /// True where the engine before this one did not end in order.
    pub fn was_unclean(&self) -> bool {
        self.inner.unclean
    }

    /// Until the guard goes, writes wait (2 ms at most) for those that follow, and share a commit with them.
    pub fn gather(&self) -> Gather {
        self.inner.writer.gather()
    }

    /// Runs `job` in the writer's next transaction; resolves after its commit.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.writer.queue(None, job).await.unwrap_or(Err(StoreError::Closed))
    }

    /// As `write`, in order with the other jobs of its generation: once one has failed, the rest of it fails too.
    pub(crate) fn write_generation<T: Send + 'static, J>(
        &self,
        generation: u64,
        job: J,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, J>
    where
        J: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let answer = self.inner.writer.queue(Some(generation), job);
        async move { answer.await.unwrap_or(Err(StoreError::Closed)) }
    }

    /// Runs `job` on a read connection, on this thread.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let pool = &self.inner.pool;
        if pool.size == 0 {
            // Not the future's channel: this may be a thread of the runtime, where waiting on one is not allowed.
            let (tx, rx) = std::sync::mpsc::channel();
            drop(self.inner.writer.queue(None, move |t| {
                let _ = tx.send(job(t));
                Ok(())
            }));
            return rx.recv().unwrap_or(Err(StoreError::Closed));
        }
        let mut free = pool.free.lock().map_err(|_| StoreError::Closed)?;
        let conn = loop {
            match free.pop() {
                Some(conn) => break conn,
                None => free = pool.back.wait(free).map_err(|_| StoreError::Closed)?,
            }
        };
        drop(free);
        let result = job(&conn);
        if let Ok(mut free) = pool.free.lock() {
            free.push(conn);
        }
        pool.back.notify_one();
        result
    }
}
