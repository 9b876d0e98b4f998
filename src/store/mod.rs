//! Floor 3: the store: one SQLite file, one writer thread with group commit, a few read connections, typed functions.
//!
//! No type of the database leaves this room. Instants are microseconds since 1970 UTC. Reading functions block for
//! about a millisecond; writing ones return a future that resolves after the commit is on the disk.

mod apply;
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
mod handle;
pub mod holder;
pub mod kept_contents;
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
mod rows;
mod run_id;
mod submit;
mod tested;
pub mod totals;
mod verdict;
mod writer;

use std::sync::Arc;

use rusqlite::{Connection, OpenFlags};

use handle::{Inner, Pool};

pub use audit::{AuditView, DecisionEdit, Note};
pub use ballast::Space;
pub use children::{ChildRow, ParentLink};
pub use control::EndedRun;
pub use error::StoreError;
pub use forced::{ForceMark, Known, LATE, Unheard};
pub use fs_kind::{FsKind, classify};
pub use handle::Store;
pub use ledger::{Cursor, Ledger};
pub use load::{CancelMark, Drain, HeldLock, Open, OpenAttempt, OpenReading, OpenRun, OpenStage, OpenStep};
pub use log::{LogDone, LogPlace, LogWork};
pub use look::look;
pub use op::{Claim, End, Limit, NewArtifact, Op, RunSet, StageSet, StepSet};
pub use open::OpenOptionsStore;
pub use promotion::{GateRow, HoldSave, PlanRow, Save};
pub use query::RunsQuery;
pub use retention::EndedRow;
pub use run_id::RunId;
pub use submit::{Group, NewInput, NewRun, NewStep, Submitted, TitlePart};
pub use writer::Gather;

const READERS: usize = 3;

impl Store {
    /// Opens or creates the store in `dir`. Refuses: wrong permissions, a network file system, a second engine, a newer
    /// schema, a damaged file.
    pub fn open(options: &OpenOptionsStore) -> Result<Self, StoreError> {
        let options = &OpenOptionsStore { dir: open::private_dir(&options.dir)?, ..options.clone() };
        let opened = match open::open(options) {
            // A store that cannot be opened shows nothing and takes no verdict in: that is what the ballast is for.
            Err(e) if ballast::give_up(&options.dir, &e) => open::open(options)?,
            opened => opened?,
        };
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
        let inner = Inner { writer, pool: Pool::of(free), dir: options.dir.clone(), epoch, unclean: opened.unclean, lock: opened.lock };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// False once the files were removed or moved away from under us: what is written then, nobody finds again.
    pub fn is_in_place(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        let held = self.inner.lock.metadata().map(|m| (m.dev(), m.ino()));
        let found = std::fs::symlink_metadata(self.inner.dir.join(open::LOCK)).map(|m| (m.dev(), m.ino()));
        matches!((held, found), (Ok(a), Ok(b)) if a == b)
    }
}
