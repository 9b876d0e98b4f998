//! The one writer: a thread that owns the write connection and commits what is queued in groups.
//!
//! Jobs run in order, each inside a savepoint of one `BEGIN IMMEDIATE` transaction, so one that fails takes nothing along;
//! a commit that fails fails them all. While a commit waits for the disk, the next group gathers: no timer is needed.
//! The queue holds `QUEUE` jobs; a sender waits when it is full.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::error::StoreError;

const QUEUE: usize = 1_024;
/// Jobs of one commit at most, so that a flood cannot keep the first one waiting.
const GROUP: usize = 256;
/// A commit waits so long at most for the rest of what belongs to it; see [`Gather`].
const PATIENCE: Duration = Duration::from_millis(2);

type Outcome = Result<(), StoreError>;

/// A job runs inside the group's transaction; `done` is told after the commit, or the failure, of the group.
struct Job {
    run: Box<dyn FnOnce(&Transaction<'_>) -> Outcome + Send>,
    done: Box<dyn FnOnce(Outcome) + Send>,
    /// Jobs of a generation fail once one of it or a later one has failed; none = stands alone.
    generation: Option<u64>,
}

enum Message {
    Job(Job),
    Stop,
}

pub(super) struct Writer {
    tx: SyncSender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
    gathering: Arc<Gathering>,
}

/// How many [`Gather`]s are alive.
#[derive(Default)]
struct Gathering {
    open: Mutex<u32>,
    none: Condvar,
}

/// While one lives, what is queued waits for what follows, so that one decision costs one commit and not one for each of its parts.
/// A hint: after `PATIENCE` the commit goes ahead, so that nobody can hold the store up.
pub struct Gather(Arc<Gathering>);

impl Drop for Gather {
    fn drop(&mut self) {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        *open = open.saturating_sub(1);
        self.0.none.notify_all();
    }
}

impl Gathering {
    fn wait(&self) {
        let until = Instant::now() + PATIENCE;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        while *open > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            open = self.none.wait_timeout(open, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Writer {
    /// Starts the thread. `epoch` is compared with the store's in every transaction.
    pub(super) fn start(conn: Connection, epoch: u64, on_close: impl FnOnce(&Connection) + Send + 'static) -> std::io::Result<Self> {
        let (tx, rx) = sync_channel(QUEUE);
        let gathering = Arc::new(Gathering::default());
        let wait = gathering.clone();
        let thread = std::thread::Builder::new().name("qd-store".into()).spawn(move || {
            let mut conn = conn;
            serve(&mut conn, &rx, epoch, &wait);
            on_close(&conn);
        })?;
        Ok(Self { tx, thread: Mutex::new(Some(thread)), gathering })
    }

    /// Jobs that are queued until the guard goes are one group, if they fit.
    pub(super) fn gather(&self) -> Gather {
        *self.gathering.open.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Gather(self.gathering.clone())
    }

    /// Queues `job`; the receiver gets its value after the commit that holds it.
    pub(super) fn queue<T: Send + 'static>(
        &self,
        generation: Option<u64>,
        job: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, StoreError>> {
        let (tx, rx) = oneshot::channel();
        let slot = Arc::new(Mutex::new(None));
        let fill = slot.clone();
        self.send(Job {
            run: Box::new(move |t| {
                let value = job(t)?;
                if let Ok(mut slot) = fill.lock() {
                    *slot = Some(value);
                }
                Ok(())
            }),
            done: Box::new(move |outcome| {
                let value = slot.lock().ok().and_then(|mut s| s.take());
                let _ = tx.send(outcome.and_then(|()| value.ok_or(StoreError::Closed)));
            }),
            generation,
        });
        rx
    }

    /// As `queue`, for a thread that waits: it hears of the commit from the writer itself. A channel that closes without a word: `Closed`.
    pub(super) fn queue_heard(
        &self,
        generation: Option<u64>,
        job: impl FnOnce(&Transaction<'_>) -> Outcome + Send + 'static,
    ) -> Receiver<Outcome> {
        let (tx, rx) = sync_channel(1);
        let done = move |outcome| {
            let _ = tx.try_send(outcome);
        };
        self.send(Job { run: Box::new(job), done: Box::new(done), generation });
        rx
    }

    fn send(&self, job: Job) {
        if let Err(e) = self.tx.send(Message::Job(job))
            && let Message::Job(job) = e.0
        {
            (job.done)(Err(StoreError::Closed));
        }
    }

    /// Writes what is queued, then ends the thread.
    pub(super) fn stop(&self) {
        let _ = self.tx.send(Message::Stop);
        if let Some(thread) = self.thread.lock().ok().and_then(|mut t| t.take()) {
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(conn: &mut Connection, rx: &Receiver<Message>, epoch: u64, gathering: &Gathering) {
    let mut poisoned: Option<u64> = None;
    while let Ok(Message::Job(first)) = rx.recv() {
        gathering.wait();
        let mut group = vec![first];
        let mut stop = false;
        while group.len() < GROUP {
            match rx.try_recv() {
                Ok(Message::Job(job)) => group.push(job),
                Ok(Message::Stop) => {
                    stop = true;
                    break;
                }
                Err(_) => break,
            }
        }
        commit(conn, group, epoch, &mut poisoned);
        if stop {
            return;
        }
    }
}

fn commit(conn: &mut Connection, group: Vec<Job>, epoch: u64, poisoned: &mut Option<u64>) {
    let mut waiting = Vec::with_capacity(group.len());
    let result = (|| {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found: u64 = tx.prepare_cached("SELECT value FROM meta WHERE key = 'epoch'")?.query_row([], |r| r.get(0))?;
        let superseded = (found != epoch).then_some(StoreError::Superseded { found, ours: epoch });
        let many = group.len() > 1;
        for job in group {
            let Job { run, done, generation } = job;
            let refused = match generation {
                Some(g) if poisoned.is_some_and(|p| g <= p) => Some(StoreError::Poisoned),
                _ => superseded.clone(),
            };
            let outcome = match refused {
                Some(e) => Err(e),
                None => {
                    if many {
                        tx.prepare_cached("SAVEPOINT job")?.execute([])?;
                    }
                    let outcome = run(&tx);
                    match (&outcome, many) {
                        (Ok(()), true) => drop(tx.prepare_cached("RELEASE job")?.execute([])?),
                        (Err(_), true) => tx.execute_batch("ROLLBACK TO job; RELEASE job")?,
                        _ => {}
                    }
                    outcome
                }
            };
            if outcome.is_err()
                && let Some(g) = generation
            {
                *poisoned = Some(poisoned.map_or(g, |p| p.max(g)));
            }
            waiting.push((done, outcome, generation));
        }
        // A lone job that failed may have written half of its rows.
        if waiting.iter().all(|(_, outcome, _)| outcome.is_err()) {
            tx.rollback()?
        } else {
            tx.commit()?
        }
        Ok::<(), StoreError>(())
    })();
    for (done, outcome, generation) in waiting {
        let outcome = match &result {
            Ok(()) => outcome,
            Err(e) => {
                if let Some(g) = generation {
                    *poisoned = Some(poisoned.map_or(g, |p| p.max(g)));
                }
                outcome.and(Err(e.clone()))
            }
        };
        done(outcome);
    }
    // Jobs that were dropped unrun by an early failure answer `Closed` through their dropped channel; see `Store::write`.
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer() -> (Writer, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let conn = Connection::open(dir.path().join("db")).unwrap();
        conn.execute_batch("CREATE TABLE meta (key, value); INSERT INTO meta VALUES ('epoch', 1); CREATE TABLE t (x UNIQUE)").unwrap();
        (Writer::start(conn, 1, |_| ()).unwrap(), dir)
    }

    fn insert(x: i64) -> impl FnOnce(&Transaction<'_>) -> Result<(), StoreError> + Send + 'static {
        move |t| {
            t.execute("INSERT INTO t VALUES (?1)", [x])?;
            Ok(())
        }
    }

    fn count(w: &Writer) -> i64 {
        w.queue(None, |t| Ok(t.query_row("SELECT count(*) FROM t", [], |r| r.get(0))?)).blocking_recv().unwrap().unwrap()
    }

    #[test]
    fn one_bad_job_of_a_group_takes_no_other_along() {
        let (w, _dir) = writer();
        // The first job holds the thread until the rest is queued, so that they are one group.
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let first = w.queue(None, move |_| {
            let _ = wait.recv();
            Ok(())
        });
        let rest: Vec<_> = [1, 2, 2, 3].map(|x| w.queue(None, insert(x))).into_iter().collect();
        go.send(()).unwrap();
        first.blocking_recv().unwrap().unwrap();
        let ok: Vec<bool> = rest.into_iter().map(|r| r.blocking_recv().unwrap().is_ok()).collect();
        assert_eq!(ok, [true, true, false, true]);
        assert_eq!(count(&w), 3);
    }

    #[test]
    fn a_lone_job_that_fails_leaves_nothing_behind() {
        let (w, _dir) = writer();
        let r = w.queue(None, |t| {
            t.execute("INSERT INTO t VALUES (1)", [])?;
            t.execute("INSERT INTO t VALUES (1)", [])?;
            Ok(())
        });
        assert!(r.blocking_recv().unwrap().is_err());
        assert_eq!(count(&w), 0);
    }

    #[test]
    fn after_a_failure_its_generation_writes_nothing_more_but_the_next_does() {
        let (w, _dir) = writer();
        w.queue(Some(1), insert(1)).blocking_recv().unwrap().unwrap();
        assert!(w.queue(Some(1), insert(1)).blocking_recv().unwrap().is_err());
        assert!(matches!(w.queue(Some(1), insert(2)).blocking_recv().unwrap(), Err(StoreError::Poisoned)));
        w.queue(None, insert(3)).blocking_recv().unwrap().unwrap();
        w.queue(Some(2), insert(4)).blocking_recv().unwrap().unwrap();
        assert_eq!(count(&w), 3);
    }

    #[test]
    fn an_engine_that_was_superseded_writes_nothing() {
        let (w, dir) = writer();
        Connection::open(dir.path().join("db")).unwrap().execute_batch("UPDATE meta SET value = 2").unwrap();
        assert!(matches!(w.queue(None, insert(1)).blocking_recv().unwrap(), Err(StoreError::Superseded { found: 2, ours: 1 })));
    }

    #[test]
    fn what_is_gathered_is_one_commit_and_nobody_waits_for_it_for_ever() {
        let (w, dir) = writer();
        let commits = || {
            let c = Connection::open(dir.path().join("db")).unwrap();
            c.query_row("SELECT count(*) FROM t", [], |r| r.get::<_, i64>(0)).unwrap()
        };
        // Held for ever: the commit goes ahead.
        let forgotten = w.gather();
        w.queue(None, insert(1)).blocking_recv().unwrap().unwrap();
        assert_eq!(commits(), 1);
        drop(forgotten);
        let turn = w.gather();
        let all: Vec<_> = (2..5).map(|x| w.queue(None, insert(x))).collect();
        drop(turn);
        for r in all {
            r.blocking_recv().unwrap().unwrap();
        }
        assert_eq!(commits(), 4);
    }

    #[test]
    fn stopping_writes_what_is_queued_and_then_refuses() {
        let (w, _dir) = writer();
        let r = w.queue(None, insert(1));
        w.stop();
        r.blocking_recv().unwrap().unwrap();
        assert!(matches!(w.queue(None, insert(2)).blocking_recv().unwrap(), Err(StoreError::Closed)));
    }
}
