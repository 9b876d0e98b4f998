//! The forkserver: one small process beside the engine that forks shims. It owns no attempt, reads no file and decides nothing.
//!
//! A shim that is forked begins loaded, linked and with its pages touched, which an exec of this binary would pay for at every step. The
//! forkserver ends with its engine, when the other end of its socket closes; the shims that it forked go on. What travels on the socket
//! is here for both sides: orders one way, [`Reply`] the other. With each order goes the shim's own line to the engine, a socket too: on it
//! the shim says how its attempt ended ([`Ended`]), and, where it can, takes the next order from there.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::base::{proc, sys};

/// The word after `shim` on its command line.
pub const WORD: &str = "--forkserver";
/// A second word, this long: room for the name of the attempt, so that `ps` shows for each shim what it would show after an exec.
pub const ROOM: usize = 1_024;
/// Bytes of an order before the path of its attempt directory: sequence number, length of the path.
pub const HEAD: usize = 12;
/// No path is longer.
const LONGEST: usize = 4_096;

/// What the forkserver says about one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// The shim is there, with this pid.
    Forked(i32),
    /// There is no shim; `errno`.
    Failed(i32),
}

impl Reply {
    /// Bytes of a reply: sequence number, kind, value.
    pub const SIZE: usize = 16;

    pub fn encode(self, order: u64) -> [u8; Self::SIZE] {
        let (kind, value): (u32, i32) = match self {
            Self::Forked(pid) => (1, pid),
            Self::Failed(errno) => (2, errno),
        };
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(&order.to_le_bytes());
        bytes[8..12].copy_from_slice(&kind.to_le_bytes());
        bytes[12..].copy_from_slice(&value.to_le_bytes());
        bytes
    }

    /// The order that it answers, and the answer; `None` for what is no reply.
    pub fn decode(bytes: &[u8; Self::SIZE]) -> Option<(u64, Self)> {
        let word = |from: usize| [bytes[from], bytes[from + 1], bytes[from + 2], bytes[from + 3]];
        let mut order = [0; 8];
        order.copy_from_slice(&bytes[..8]);
        let value = i32::from_le_bytes(word(12));
        let reply = match u32::from_le_bytes(word(8)) {
            1 => Self::Forked(value),
            2 => Self::Failed(value),
            _ => return None,
        };
        Some((u64::from_le_bytes(order), reply))
    }
}

/// What a shim says on its line at the end of an attempt, in one byte, when all that it knows is in the attempt's directory. A line that
/// closes without it: the shim was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// As the exit code of a shim that does nothing else; below 128.
    pub code: u8,
    /// It takes another order.
    pub more: bool,
}

impl Ended {
    const MORE: u8 = 0x80;

    pub fn encode(self) -> u8 {
        (self.code & !Self::MORE) | if self.more { Self::MORE } else { 0 }
    }

    pub fn decode(byte: u8) -> Self {
        Self { code: byte & !Self::MORE, more: byte & Self::MORE != 0 }
    }
}

/// The bytes of an order. To the forkserver, the shim's end of its line goes with the first of them, and the secrets, if any, after it.
pub fn encode_order(order: u64, dir: &Path) -> Vec<u8> {
    let path = dir.as_os_str().as_bytes();
    let mut bytes = Vec::with_capacity(HEAD + path.len());
    bytes.extend(order.to_le_bytes());
    bytes.extend((path.len() as u32).to_le_bytes());
    bytes.extend(path);
    bytes
}

struct Order {
    number: u64,
    dir: PathBuf,
    line: Option<OwnedFd>,
    secrets: Option<OwnedFd>,
}

/// What a forked shim begins with. Its standard input brings the secrets, and nothing of the forkserver is open any more.
pub struct Forked {
    pub dir: PathBuf,
    pub line: OwnedFd,
    pub title: Title,
}

/// Serves orders on standard input, a stream socket. `None` when the engine is gone; `Some` in a forked shim.
pub fn serve() -> io::Result<Option<Forked>> {
    // Nothing of the engine's may stay open here, nor in the shims: its sockets, its database, its pipes.
    sys::close_from(3);
    // Not in the engine's session: a Ctrl-C at `engine run` must not end it before the engine is done.
    let _ = rustix::process::setsid();
    let mut title = Title::find();
    title.show(OsStr::new(WORD));
    let signals = sys::signal_fd(&[libc::SIGCHLD])?;
    let stdin = io::stdin();
    let mut shims: Vec<i32> = Vec::new();
    loop {
        let mut fds = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN), PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(e) => return Err(e.into()),
        }
        let (orders, ends) = (!fds[0].revents().is_empty(), !fds[1].revents().is_empty());
        if ends {
            sys::read_signals(signals.as_fd())?;
            bury(&mut shims);
        }
        if !orders {
            continue;
        }
        let Some(order) = receive(stdin.as_fd())? else { return Ok(None) };
        let Some(line) = order.line else {
            tell(stdin.as_fd(), order.number, Reply::Failed(libc::EINVAL))?;
            continue;
        };
        match sys::fork_alone() {
            Ok(0) => {
                take_stdin(order.secrets)?;
                return Ok(Some(Forked { dir: order.dir, line, title: title.own() }));
            }
            Ok(pid) => {
                shims.push(pid);
                tell(stdin.as_fd(), order.number, Reply::Forked(pid))?;
            }
            Err(e) => tell(stdin.as_fd(), order.number, Reply::Failed(e.raw_os_error().unwrap_or(libc::EAGAIN)))?,
        }
    }
}

/// In the shim: what brings the secrets, or nothing, in place of the socket.
fn take_stdin(secrets: Option<OwnedFd>) -> io::Result<()> {
    let input = match secrets {
        Some(fd) => fd,
        None => std::fs::File::open("/dev/null")?.into(),
    };
    sys::replace_stdio(input.as_fd(), 0)
}

/// How they ended is said on their lines.
fn bury(shims: &mut Vec<i32>) {
    shims.retain(|pid| matches!(sys::reap(*pid), Ok(None)));
}

fn tell(socket: BorrowedFd<'_>, order: u64, reply: Reply) -> io::Result<()> {
    send(socket, &reply.encode(order))
}

fn send(socket: BorrowedFd<'_>, mut left: &[u8]) -> io::Result<()> {
    while !left.is_empty() {
        // Without the signal: a dead engine is an error here and no reason to die by surprise.
        match rustix::net::send(socket, left, rustix::net::SendFlags::NOSIGNAL) {
            Ok(n) => left = &left[n..],
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// Says on a shim's line how its attempt ended. An error: nobody is there to hear it.
pub(super) fn tell_end(line: BorrowedFd<'_>, end: Ended) -> io::Result<()> {
    send(line, &[end.encode()])
}

/// The directory of the next order on a shim's line; `None` when the engine needs it no more.
pub(super) fn next_dir(line: BorrowedFd<'_>) -> io::Result<Option<PathBuf>> {
    Ok(receive(line)?.map(|order| order.dir))
}

/// The next order; `None` at the end of the stream.
fn receive(socket: BorrowedFd<'_>) -> io::Result<Option<Order>> {
    let mut head = [0u8; HEAD];
    let (mut got, mut line, mut secrets) = (0, None, None);
    while got < HEAD {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut with = RecvAncillaryBuffer::new(&mut space);
        let read = recvmsg(socket, &mut [IoSliceMut::new(&mut head[got..])], &mut with, RecvFlags::CMSG_CLOEXEC);
        let n = match read {
            Ok(message) => message.bytes,
            Err(rustix::io::Errno::INTR) => continue,
            Err(e) => return Err(e.into()),
        };
        for message in with.drain() {
            if let RecvAncillaryMessage::ScmRights(mut fds) = message {
                line = fds.next().or(line);
                secrets = fds.next().or(secrets);
            }
        }
        match (n, got) {
            (0, 0) => return Ok(None),
            (0, _) => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => got += n,
        }
    }
    let mut number = [0; 8];
    number.copy_from_slice(&head[..8]);
    let length = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize;
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut path = vec![0u8; length];
    let mut got = 0;
    while got < length {
        match rustix::io::read(socket, &mut path[got..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => got += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(Some(Order { number: u64::from_le_bytes(number), dir: PathBuf::from(OsStr::from_bytes(&path)), line, secrets }))
}

/// Where the kernel keeps this process's command line: what `ps` shows. For people only; nothing rests on it.
pub struct Title {
    place: Option<(u64, usize)>,
    /// The process's own memory: writing through /proc asks no pointer of anybody. Where it is forbidden, `ps` shows a forkserver.
    memory: Option<File>,
}

impl Title {
    fn find() -> Self {
        Self { place: proc::own_arguments(), memory: own_memory() }
    }

    /// As after a fork: the same place in another memory. Opened at once, for a process that cannot be dumped may not.
    fn own(&self) -> Self {
        Self { place: self.place, memory: own_memory() }
    }

    /// `quarterdeck shim WORD`, as far as there is room.
    pub fn show(&mut self, word: &OsStr) {
        let (Some((at, room)), Some(memory)) = (self.place, &self.memory) else { return };
        let mut line = b"quarterdeck\0shim\0".to_vec();
        line.extend(word.as_bytes());
        line.truncate(room.saturating_sub(1));
        line.resize(room, 0);
        let _ = memory.write_all_at(&line, at);
    }
}

fn own_memory() -> Option<File> {
    OpenOptions::new().write(true).open("/proc/self/mem").ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    #[test]
    fn replies_travel() {
        for (order, reply) in [(1, Reply::Forked(77)), (u64::MAX, Reply::Failed(11))] {
            assert_eq!(Reply::decode(&reply.encode(order)), Some((order, reply)));
        }
        assert_eq!(Reply::decode(&[0; Reply::SIZE]), None);
        for end in [Ended { code: 0, more: true }, Ended { code: 0, more: false }, Ended { code: 75, more: false }] {
            assert_eq!(Ended::decode(end.encode()), end);
        }
    }

    #[test]
    fn orders_arrive_one_by_one_however_they_are_cut_and_nonsense_is_an_error() {
        let pair = || socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        let (ours, theirs) = pair();
        let mut bytes = encode_order(7, Path::new("/a/b c"));
        bytes.extend(encode_order(8, Path::new("/d")));
        std::thread::scope(|s| {
            s.spawn(|| {
                for b in &bytes {
                    rustix::io::write(&ours, std::slice::from_ref(b)).unwrap();
                }
            });
            let (a, b) = (receive(theirs.as_fd()).unwrap().unwrap(), receive(theirs.as_fd()).unwrap().unwrap());
            assert_eq!((a.number, a.dir, b.number, b.dir), (7, PathBuf::from("/a/b c"), 8, PathBuf::from("/d")));
            assert!(a.line.is_none() && a.secrets.is_none());
        });
        drop(ours);
        assert!(receive(theirs.as_fd()).unwrap().is_none(), "the end between two orders is an end");

        for bad in [&[1u8; 5][..], &encode_order(1, Path::new("/abc"))[..HEAD + 2], &[0xff; HEAD]] {
            let (ours, theirs) = pair();
            rustix::io::write(&ours, bad).unwrap();
            drop(ours);
            assert!(receive(theirs.as_fd()).is_err(), "{bad:?}");
        }
    }
}
