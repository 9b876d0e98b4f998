//! A handle on the open store: jobs for its one writer, and for a reader that is free.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use rusqlite::{Connection, Transaction};

use super::StoreError;
use super::writer::{Gather, Writer};

/// A handle on the open store; clones share it. The last one that goes writes what is queued and gives the lock back.
#[derive(Clone)]
pub struct Store {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    // Declared first: it must be stopped before the lock is given back.
    pub(super) writer: Writer,
    pub(super) pool: Pool,
    pub(super) dir: PathBuf,
    pub(super) epoch: u64,
    pub(super) unclean: bool,
    pub(super) lock: File,
}

/// Read connections; a reader waits for a free one. Empty under the network override, where the writer reads too.
pub(super) struct Pool {
    free: Mutex<Vec<Connection>>,
    back: Condvar,
    size: usize,
}

impl Pool {
    pub(super) fn of(free: Vec<Connection>) -> Self {
        Self { size: free.len(), free: Mutex::new(free), back: Condvar::new() }
    }
}

impl Store {
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

    /// Waits until all that was given to be written before now is written or refused, so that a reader finds what the runner has told of already;
    /// `most` at most. Blocks.
    pub fn catch_up(&self, most: std::time::Duration) {
        let _ = self.inner.writer.queue_heard(None, |_| Ok(())).recv_timeout(most);
    }

    /// Runs `job` on a read connection, on this thread.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.read_leaving(0, job)
    }

    /// As `read`, for what may take seconds: one connection is left to short questions, some of which the thread that serves asks itself.
    pub(crate) fn read_long<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.read_leaving(1, job)
    }

    /// As `read`, on a connection beside so many that stay free.
    pub(super) fn read_leaving<T: Send + 'static>(
        &self,
        others: usize,
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
            let taken = if free.len() > others { free.pop() } else { None };
            match taken {
                Some(conn) => break conn,
                None => free = pool.back.wait(free).map_err(|_| StoreError::Closed)?,
            }
        };
        drop(free);
        let result = job(&conn);
        if let Ok(mut free) = pool.free.lock() {
            free.push(conn);
        }
        // One alone could be a long one, which does not take the last.
        pool.back.notify_all();
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::OpenOptionsStore;
    use super::*;

    #[test]
    fn a_reader_that_catches_up_finds_what_was_given_to_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let store =
            Store::open(&OpenOptionsStore { dir: dir.path().join("s"), network_state: false, now_us: 0, boot_id: "b".into() }).unwrap();
        let _unheard = store.write_generation(1, |tx| {
            // Long enough to be overtaken by a reader that does not wait.
            std::thread::sleep(std::time::Duration::from_millis(50));
            Ok(tx.execute("INSERT INTO meta (key, value) VALUES ('caught', 'up')", [])?)
        });
        store.catch_up(std::time::Duration::from_secs(60));
        assert!(store.read(|c| Ok(c.prepare("SELECT 1 FROM meta WHERE key = 'caught'")?.exists([])?)).unwrap());
    }

    #[test]
    fn long_reads_leave_a_connection_to_short_ones() {
        let dir = tempfile::tempdir().unwrap();
        let store =
            Store::open(&OpenOptionsStore { dir: dir.path().join("s"), network_state: false, now_us: 0, boot_id: "b".into() }).unwrap();
        let all = store.inner.pool.size;
        let (tell, inside) = mpsc::channel();
        let mut ends = Vec::new();
        let long: Vec<_> = (0..all)
            .map(|_| {
                let (end, ended) = mpsc::channel::<()>();
                ends.push(end);
                let (store, tell) = (store.clone(), tell.clone());
                std::thread::spawn(move || {
                    store.read_long(move |_| {
                        let _ = tell.send(());
                        let _ = ended.recv();
                        Ok(())
                    })
                })
            })
            .collect();
        (1..all).for_each(|_| inside.recv().unwrap());
        assert_eq!(store.read(|c| Ok(c.query_row("SELECT 1", [], |r| r.get::<_, i64>(0))?)).unwrap(), 1);
        drop(ends);
        assert!(long.into_iter().all(|t| t.join().unwrap().is_ok()), "those that waited had their turn");
    }
}
