//! The engine's end of the forkserver: keeps one running, sends it orders, hands each order its two answers (forked, ended).
//!
//! Nothing rests on it: where none can be kept running, shims are started by exec. One that dies takes no shim with it.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

use super::launch::inherited;
use super::shim::forkserver::{ROOM, Reply, WORD, encode_order};

/// Orders in flight to the keeper; more wait.
const ORDERS: usize = 64;
/// How long the forkserver may take to read or to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// So many forkservers in a row that forked nothing, and there will be none.
const ATTEMPTS: u32 = 3;

/// A handle on the keeper. The forkserver ends with the last one.
#[derive(Debug, Clone)]
pub struct Forkserver {
    orders: mpsc::Sender<Order>,
}

/// A shim that was forked.
#[derive(Debug)]
pub struct Forked {
    pub pid: i32,
    /// Its exit code, `None` for a signal; an error where the forkserver died first.
    pub ended: oneshot::Receiver<Option<i32>>,
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

#[derive(Debug)]
struct Order {
    dir: PathBuf,
    secrets: Option<OwnedFd>,
    answer: oneshot::Sender<Result<Forked, ForkError>>,
}

/// An order that was sent.
struct Sent {
    answer: Option<oneshot::Sender<Result<Forked, ForkError>>>,
    ended: Option<oneshot::Sender<Option<i32>>>,
}

impl Forkserver {
    /// Starts one from `exe` at once, so that the first step does not wait for it. Needs a tokio runtime.
    pub fn start(exe: PathBuf) -> Self {
        let (orders, inbox) = mpsc::channel(ORDERS);
        tokio::spawn(keep(exe, inbox));
        Self { orders }
    }

    /// Has a shim forked for the attempt in `dir`; `secrets` becomes its standard input.
    pub async fn fork(&self, dir: &Path, secrets: Option<OwnedFd>) -> Result<Forked, ForkError> {
        let (answer, answered) = oneshot::channel();
        let gone = || ForkError::Not(io::Error::other("there is none"));
        self.orders.send(Order { dir: dir.to_owned(), secrets, answer }).await.map_err(|_| gone())?;
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(ForkError::Unknown("it ended")),
            Err(_) => Err(ForkError::Unknown("it does not react")),
        }
    }
}

/// Keeps a forkserver running until nobody can order any more, or until it proves useless.
async fn keep(exe: PathBuf, mut orders: mpsc::Receiver<Order>) {
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
        let end = one.serve(&mut orders).await;
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
    sent: HashMap<u64, Sent>,
    next: u64,
    forked: bool,
}

impl One {
    fn start(exe: &Path) -> io::Result<Self> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut command = Command::new(exe);
        command.args(["shim", WORD]).arg(".".repeat(ROOM)).current_dir("/").env_clear().envs(inherited()).kill_on_drop(false);
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { child: command.spawn()?, socket: UnixStream::from_std(ours)?, sent: HashMap::new(), next: 0, forked: false })
    }

    /// `Ok` when nobody can order any more; an error when this process is of no use any more.
    async fn serve(&mut self, orders: &mut mpsc::Receiver<Order>) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(Reply::SIZE * 64);
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
                }
            }
        }
    }

    async fn send(&mut self, order: Order) -> io::Result<()> {
        self.next += 1;
        let bytes = encode_order(self.next, &order.dir);
        let mut left = &bytes[..];
        let result: io::Result<()> = tokio::time::timeout(PATIENCE, async {
            while !left.is_empty() {
                let secrets = order.secrets.as_ref().filter(|_| left.len() == bytes.len());
                let n = self.socket.async_io(Interest::WRITABLE, || send_with(&self.socket, left, secrets)).await?;
                left = &left[n..];
            }
            Ok(())
        })
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match result {
            Ok(()) => {
                self.sent.insert(self.next, Sent { answer: Some(order.answer), ended: None });
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
        match reply {
            Reply::Forked(pid) => {
                self.forked = true;
                if let Some(sent) = self.sent.get_mut(&number) {
                    let (tell, ended) = oneshot::channel();
                    sent.ended = Some(tell);
                    // Nobody waits for it any more: the shim is found by its directory.
                    let _ = sent.answer.take().map(|a| a.send(Ok(Forked { pid, ended })));
                }
            }
            Reply::Failed(errno) => {
                let answer = self.sent.remove(&number).and_then(|s| s.answer);
                let _ = answer.map(|a| a.send(Err(ForkError::Not(io::Error::from_raw_os_error(errno)))));
            }
            Reply::Ended(code) => {
                let ended = self.sent.remove(&number).and_then(|s| s.ended);
                let _ = ended.map(|e| e.send(code));
            }
        }
    }
}

fn send_with(socket: &UnixStream, bytes: &[u8], secrets: Option<&OwnedFd>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut with = SendAncillaryBuffer::new(&mut space);
    let fds = secrets.map(|s| [s.as_fd()]);
    if let Some(fds) = &fds {
        with.push(SendAncillaryMessage::ScmRights(fds));
    }
    Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut with, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?)
}
