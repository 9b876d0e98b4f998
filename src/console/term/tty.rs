//! The two ends of the terminal. Both are opened anew: a descriptor that the shell shares is never made non-blocking. What is read ends with
//! the terminal; what is written is one frame at a time, as fast as the terminal takes it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use rustix::fs::{Mode, OFlags};
use tokio::io::unix::AsyncFd;

use super::guard::{self, Guard};
use super::signals::Signals;
use crate::base::sys;

/// Read at once.
const CHUNK: usize = 4 << 10;

/// What the console is shown on, and what tells of it.
pub struct Terminal {
    pub input: Input,
    pub output: Output,
    pub signals: Signals,
    /// Puts it in order; what is returned puts it back. None where nothing need be.
    pub take: fn() -> io::Result<Option<Guard>>,
}

/// Where keys come from.
#[derive(Debug)]
pub struct Input(AsyncFd<OwnedFd>);

/// Columns and rows, where they are known.
pub type Size = Option<(u16, u16)>;

/// Where frames go.
pub struct Output {
    fd: AsyncFd<OwnedFd>,
    size: Box<dyn Fn() -> Size>,
    pending: Vec<u8>,
    sent: usize,
    /// Bytes that the terminal took, and calls that it took.
    pub bytes: u64,
    pub writes: u64,
}

impl Terminal {
    /// The one at standard input and output. Needs a tokio runtime.
    pub fn own() -> io::Result<Self> {
        let read = anew("/proc/self/fd/0", OFlags::RDONLY)?;
        let write = anew("/proc/self/fd/1", OFlags::WRONLY)?;
        guard::remember(write.try_clone()?);
        let of = write.try_clone()?;
        let size = move || {
            let size = rustix::termios::tcgetwinsize(&of).ok()?;
            (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
        };
        let take = || Guard::take().map(Some);
        Ok(Self { take, ..Self::of(read, write, Box::new(size), Signals::own()?)? })
    }

    /// These two ends, neither of which blocks, with nothing to be put in order. Needs a tokio runtime.
    pub fn of(read: OwnedFd, write: OwnedFd, size: Box<dyn Fn() -> Size>, signals: Signals) -> io::Result<Self> {
        let output = Output { fd: sys::watch_writable(write)?, size, pending: Vec::new(), sent: 0, bytes: 0, writes: 0 };
        Ok(Self { input: Input(sys::watch_readable(read)?), output, signals, take: || Ok(None) })
    }
}

/// After `su` the device belongs to somebody else; the name of the controlling terminal still opens it.
fn anew(path: &str, how: OFlags) -> io::Result<OwnedFd> {
    let how = how | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, how, Mode::empty()).or_else(|_| rustix::fs::open("/dev/tty", how, Mode::empty()));
    Ok(opened?)
}

impl Input {
    /// Waits for bytes, and appends all that are there. False = the terminal is gone.
    pub async fn read(&self, to: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            let mut ready = self.0.readable().await?;
            match ready.try_io(|fd| take(fd.get_ref(), to)) {
                Ok(result) => return result,
                Err(_would_block) => {}
            }
        }
    }

    /// What is there now, without waiting.
    pub fn drain(&self, to: &mut Vec<u8>) -> io::Result<bool> {
        match take(self.0.get_ref(), to) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(true),
            other => other,
        }
    }
}

fn take(fd: &OwnedFd, to: &mut Vec<u8>) -> io::Result<bool> {
    let mut chunk = [0u8; CHUNK];
    match rustix::io::read(fd, &mut chunk) {
        Ok(n) => {
            to.extend_from_slice(&chunk[..n]);
            Ok(n > 0)
        }
        Err(rustix::io::Errno::INTR) => Ok(true),
        Err(e) => Err(e.into()),
    }
}

impl Output {
    /// Columns and rows; none where the terminal does not know.
    pub fn size(&self) -> Size {
        (self.size)()
    }

    /// Something is not written yet: no other frame may be begun.
    pub fn busy(&self) -> bool {
        self.sent < self.pending.len()
    }

    /// Begins to write, and writes what is taken at once.
    pub fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pending.extend_from_slice(bytes);
        match self.push() {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
            other => other,
        }
    }

    /// Waits until everything is written.
    pub async fn flush(&mut self) -> io::Result<()> {
        while self.busy() {
            {
                let mut ready = self.fd.writable().await?;
                ready.clear_ready();
            }
            match self.push() {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// What is not written never will be: the screen is drawn anew after this.
    pub fn forget(&mut self) {
        self.pending.clear();
        self.sent = 0;
    }

    fn push(&mut self) -> io::Result<()> {
        while self.busy() {
            match rustix::io::write(self.fd.get_ref(), &self.pending[self.sent..]) {
                Ok(n) => {
                    self.sent += n;
                    self.bytes += n as u64;
                    self.writes += 1;
                    // Ended now, a sequence could be cut in two.
                    guard::PARTIAL.store(self.busy(), Ordering::SeqCst);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        self.forget();
        Ok(())
    }
}
