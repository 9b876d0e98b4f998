//! The engine's end of the forkserver and of the lines of its shims: keeps a forkserver running, sends orders, and keeps shims at hand that
//! have ended an attempt and take another.
//!
//! Nothing rests on it: where none can be kept running, shims are started by exec. One that dies takes no shim with it.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

use super::scope;
use crate::runner::shim::forkserver::{Ended, ROOM, Reply, WORD, encode_order};

/// Orders in flight to the keeper; more wait.
const ORDERS: usize = 64;
/// How long the forkserver may take to read or to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// So many forkservers in a row that forked nothing, and there will be none.
const ATTEMPTS: u32 = 3;
/// Shims at hand at most; each holds a megabyte or two.
const IDLE: usize = 8;
/// They go when nobody needed them for so long.
const IDLE_FOR: Duration = Duration::from_secs(60);

/// A handle on the keeper. The forkserver ends with the last one, and so do shims that wait for an order.
#[derive(Debug, Clone)]
pub struct Forkserver {
    orders: mpsc::Sender<Order>,
    idle: Arc<Idle>,
}

/// A shim that was forked, or has taken another attempt.
#[derive(Debug)]
pub struct Forked {
    pub pid: i32,
    line: Option<Line>,
    idle: Arc<Idle>,
}

/// The engine's end of the line of a shim; the shim ends when it closes, after its attempt if it has one.
#[derive(Debug)]
struct Line {
    pid: i32,
    socket: UnixStream,
    /// One of [`Idle::alive`].
    _counted: Arc<()>,
}

/// Shims that wait for an order, and since when; the one that came last is warmest.
#[derive(Debug, Default)]
struct Idle {
    lines: Mutex<Vec<(Instant, Line)>>,
    /// Shared by every line, also those of shims at work.
    alive: Arc<()>,
}

impl Idle {
    fn lock(&self) -> MutexGuard<'_, Vec<(Instant, Line)>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Line> {
        self.lock().pop().map(|(_, line)| line)
    }

    fn put(&self, line: Line) {
        let mut all = self.lock();
        all.push((Instant::now(), line));
        if all.len() > IDLE {
            all.remove(0);
        }
    }

    /// Lets those go that nobody needed for long; whether any shim is left, waiting or at work.
    fn prune(&self) -> bool {
        self.lock().retain(|(since, _)| since.elapsed() < IDLE_FOR);
        Arc::strong_count(&self.alive) > 1
    }
}

impl Line {
    /// Orders the next attempt. An error: it is of no use any more.
    fn order(&self, dir: &Path) -> io::Result<()> {
        let bytes = encode_order(0, dir);
        // It waits for nothing else, so there is room for a whole order.
        match rustix::net::send(&self.socket, &bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)? {
            n if n == bytes.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }
}

impl Forked {
    /// Resolves when its attempt has ended, with the exit code; `None` where it was killed. May be dropped and asked again.
    pub async fn ended(&mut self) -> Option<i32> {
        let line = self.line.as_mut()?;
        let mut byte = [0u8; 1];
        let read = line.socket.read(&mut byte).await;
        let line = self.line.take()?;
        let Ok(1) = read else { return None };
        let end = Ended::decode(byte[0]);
        if end.more {
            self.idle.put(line);
        }
        Some(end.code.into())
    }
}

/// Why there is no forked shim.
#[derive(Debug, thiserror::Error)]
pub enum ForkError {
    /// Certainly none: another way may be tried.
    #[error("the forkserver started no supervisor: {0}")]
    Not(io::Error),
    /// There may be one: only the attempt directory tells.
    #[error("the forkserver did not answer: {0}")]
    Unknown(&'static str),
}

type Answer = oneshot::Sender<Result<i32, ForkError>>;

#[derive(Debug)]
struct Order {
    dir: PathBuf,
    line: OwnedFd,
    secrets: Option<OwnedFd>,
    answer: Answer,
}

impl Forkserver {
    /// Starts one from `exe` at once, so that the first step does not wait for it. Needs a tokio runtime.
    pub fn start(exe: PathBuf) -> Self {
        let (orders, inbox) = mpsc::channel(ORDERS);
        let idle = Arc::new(Idle::default());
        tokio::spawn(keep(exe, inbox, idle.clone()));
        Self { orders, idle }
    }

    /// Orders the attempt in `dir` from a shim that waits, where there is one. Does not block.
    pub fn order(&self, dir: &Path) -> Option<Forked> {
        // One that died a moment ago, the order in its hand, is seen by its line: it never started.
        while let Some(line) = self.idle.take() {
            if line.order(dir).is_ok() {
                return Some(self.forked(line));
            }
        }
        None
    }

    fn forked(&self, line: Line) -> Forked {
        Forked { pid: line.pid, line: Some(line), idle: self.idle.clone() }
    }

    /// Has a shim for the attempt in `dir`, one that waits or a new one; `secrets` becomes its standard input, and always that of a new one.
    pub async fn fork(&self, dir: &Path, secrets: Option<OwnedFd>) -> Result<Forked, ForkError> {
        if secrets.is_none()
            && let Some(forked) = self.order(dir)
        {
            return Ok(forked);
        }
        let gone = || ForkError::Not(io::Error::other("there is none"));
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(ForkError::Not)?;
        ours.set_nonblocking(true).map_err(ForkError::Not)?;
        let socket = UnixStream::from_std(ours).map_err(ForkError::Not)?;
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order { dir: dir.to_owned(), line: theirs.into(), secrets, answer }).await.map_err(|_| gone())?;
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(answer)) => answer.map(|pid| self.forked(Line { pid, socket, _counted: self.idle.alive.clone() })),
            Ok(Err(_)) => Err(ForkError::Unknown("it ended")),
            Err(_) => Err(ForkError::Unknown("it does not react")),
        }
    }
}

/// Keeps a forkserver running until nobody can order any more, or until it proves useless.
async fn keep(exe: PathBuf, mut orders: mpsc::Receiver<Order>, idle: Arc<Idle>) {
    let mut useless = 0;
    while useless < ATTEMPTS {
        let mut one = match One::start(&exe) {
            Ok(one) => one,
            Err(e) => {
                tracing::warn!(error = %e, "the forkserver cannot be started");
                useless += 1;
                continue;
            }
        };
        let end = one.serve(&mut orders, &idle).await;
        useless = if one.forked { 0 } else { useless + 1 };
        if end.is_ok() {
            return;
        }
        // It may hang and not be dead; its shims have sessions of their own and go on.
        let _ = one.child.start_kill();
        let _ = one.child.wait().await;
    }
    tracing::warn!("no forkserver: supervisors are started one by one, which costs more");
    orders.close();
    while let Some(order) = orders.recv().await {
        let _ = order.answer.send(Err(ForkError::Not(io::Error::other("there is none"))));
    }
}

/// One forkserver process.
struct One {
    child: Child,
    socket: UnixStream,
    /// Orders without an answer.
    sent: HashMap<u64, Answer>,
    next: u64,
    forked: bool,
}

impl One {
    fn start(exe: &Path) -> io::Result<Self> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut command = Command::new(exe);
        command.args(["shim", WORD]).arg(".".repeat(ROOM)).current_dir("/").env_clear().envs(scope::inherited()).kill_on_drop(false);
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { child: command.spawn()?, socket: UnixStream::from_std(ours)?, sent: HashMap::new(), next: 0, forked: false })
    }

    /// `Ok` when nobody can order any more; an error when this process is of no use any more.
    async fn serve(&mut self, orders: &mut mpsc::Receiver<Order>, idle: &Idle) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(Reply::SIZE * 64);
        // Nothing wakes an engine that has no shims at hand.
        let mut waiting = false;
        loop {
            tokio::select! {
                read = self.socket.read_buf(&mut bytes) => {
                    if read? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    let whole = bytes.len() / Reply::SIZE * Reply::SIZE;
                    let replies: Vec<_> = bytes.drain(..whole).collect();
                    replies.as_chunks().0.iter().for_each(|r| self.take(r));
                }
                order = orders.recv() => {
                    let Some(order) = order else { return Ok(()) };
                    self.send(order).await?;
                    waiting = true;
                }
                () = tokio::time::sleep(IDLE_FOR / 2), if waiting => waiting = idle.prune(),
            }
        }
    }

    async fn send(&mut self, order: Order) -> io::Result<()> {
        self.next += 1;
        let bytes = encode_order(self.next, &order.dir);
        let mut left = &bytes[..];
        let result: io::Result<()> = tokio::time::timeout(PATIENCE, async {
            while !left.is_empty() {
                let first = left.len() == bytes.len();
                let with: Vec<_> = [Some(&order.line), order.secrets.as_ref()].into_iter().flatten().filter(|_| first).collect();
                let n = self.socket.async_io(Interest::WRITABLE, || send_with(&self.socket, left, &with)).await?;
                left = &left[n..];
            }
            Ok(())
        })
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match result {
            Ok(()) => {
                self.sent.insert(self.next, order.answer);
                Ok(())
            }
            // Half an order forks nothing, and the stream behind it is of no use.
            Err(e) => {
                let _ = order.answer.send(Err(ForkError::Not(io::Error::new(e.kind(), e.to_string()))));
                Err(e)
            }
        }
    }

    fn take(&mut self, bytes: &[u8; Reply::SIZE]) {
        let Some((number, reply)) = Reply::decode(bytes) else { return };
        // Nobody waits for it any more: the shim is found by its directory.
        let Some(answer) = self.sent.remove(&number) else { return };
        let _ = answer.send(match reply {
            Reply::Forked(pid) => {
                self.forked = true;
                Ok(pid)
            }
            Reply::Failed(errno) => Err(ForkError::Not(io::Error::from_raw_os_error(errno))),
        });
    }
}

fn send_with(socket: &UnixStream, bytes: &[u8], descriptors: &[&OwnedFd]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut with = SendAncillaryBuffer::new(&mut space);
    let fds: Vec<_> = descriptors.iter().map(|d| d.as_fd()).collect();
    if !fds.is_empty() {
        with.push(SendAncillaryMessage::ScmRights(&fds));
    }
    Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut with, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?)
}
