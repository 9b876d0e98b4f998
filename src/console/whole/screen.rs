//! The person's end of the terminal: a pair of sockets in its place, a screen that understands what is written, and keys as terminals send
//! them.

use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Pair;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use crate::console::keymap::{Code, Key};
use crate::console::term::signals::{Event, Signals};
use crate::console::term::tty::Terminal;

pub struct Screen {
    stream: UnixStream,
    shown: vt100::Parser,
    /// All that was written.
    pub raw: Vec<u8>,
    size: Arc<AtomicU32>,
    signals: mpsc::UnboundedSender<Event>,
    /// Bytes that were typed.
    pub typed: u64,
}

impl Screen {
    /// The console's end, and the person's.
    pub fn open(size: (u16, u16)) -> (Terminal, Self) {
        let (ours, theirs) = Pair::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let (signals, mut told) = mpsc::unbounded_channel();
        let known = Arc::new(AtomicU32::new(packed(size)));
        let of = known.clone();
        let size_of = move || Some(unpacked(of.load(Ordering::SeqCst)));
        let signals_of = Signals::of(move |cx| match told.poll_recv(cx) {
            std::task::Poll::Ready(Some(event)) => std::task::Poll::Ready(event),
            // That nobody signals any more is no signal.
            _ => std::task::Poll::Pending,
        });
        let write = OwnedFd::from(theirs.try_clone().unwrap());
        let terminal = Terminal::of(OwnedFd::from(theirs), write, Box::new(size_of), signals_of).unwrap();
        let stream = UnixStream::from_std(ours).unwrap();
        (
            terminal,
            Self { stream, shown: vt100::Parser::new(some(size.1), some(size.0), 0), size: known, signals, raw: Vec::new(), typed: 0 },
        )
    }

    /// Reads all that the terminal took up to here.
    pub async fn read_to(&mut self, written: u64) {
        let mut chunk = [0u8; 8 << 10];
        while (self.raw.len() as u64) < written {
            let n = self.stream.read(&mut chunk).await.unwrap();
            assert!(n > 0, "the console has closed its terminal after {} of {written} bytes", self.raw.len());
            self.shown.process(&chunk[..n]);
            self.raw.extend_from_slice(&chunk[..n]);
        }
    }

    /// Waits until the console has closed its end.
    pub async fn ends(&mut self) {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).await.unwrap();
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.typed += bytes.len() as u64;
    }

    pub fn signal(&self, event: Event) {
        self.signals.send(event).unwrap();
    }

    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.size.store(packed((columns, rows)), Ordering::SeqCst);
        self.shown.screen_mut().set_size(some(rows), some(columns));
    }

    /// What is on it, a row a line.
    pub fn text(&self) -> String {
        self.shown.screen().contents()
    }
}

fn some(n: u16) -> NonZero<u16> {
    NonZero::new(n).unwrap()
}

fn packed((columns, rows): (u16, u16)) -> u32 {
    u32::from(columns) << 16 | u32::from(rows)
}

fn unpacked(size: u32) -> (u16, u16) {
    ((size >> 16) as u16, (size & 0xffff) as u16)
}

/// What a terminal sends for a key.
pub fn bytes_of(key: &str) -> String {
    let key: Key = key.parse().unwrap_or_else(|e| panic!("{key}: {e:?}"));
    match (key.code, key.ctrl) {
        (Code::Char(c), true) => ((c as u8 & 0x1f) as char).to_string(),
        (Code::Char(c), false) => c.to_string(),
        (Code::Enter, _) => "\r".into(),
        (Code::Esc, _) => "\u{1b}".into(),
        (Code::Tab, _) => "\t".into(),
        (Code::Backspace, _) => "\u{7f}".into(),
        (Code::Down, _) => "\u{1b}[B".into(),
        (Code::Up, _) => "\u{1b}[A".into(),
        (other, _) => panic!("{other:?} is typed by no test yet"),
    }
}
