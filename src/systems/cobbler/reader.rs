//! An answer's body as the parser wants it: pieces that come over the network, read by a thread that may block.

use std::io::{self, BufRead, Read};

use bytes::Bytes;
use tokio::sync::mpsc;

/// Pieces on their way; the network waits when the parser is behind.
pub const PIECES: usize = 4;

/// What the parser reads. A failed transfer ends it with an error, never as if the body were whole.
pub struct Pieces {
    from: mpsc::Receiver<io::Result<Bytes>>,
    now: Bytes,
}

impl Pieces {
    pub fn new(from: mpsc::Receiver<io::Result<Bytes>>) -> Self {
        Self { from, now: Bytes::new() }
    }
}

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let have = self.fill_buf()?;
        let n = have.len().min(buf.len());
        buf[..n].copy_from_slice(&have[..n]);
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.now.is_empty() {
            match self.from.blocking_recv() {
                Some(piece) => self.now = piece?,
                None => break,
            }
        }
        Ok(&self.now)
    }

    fn consume(&mut self, n: usize) {
        let _ = self.now.split_to(n.min(self.now.len()));
    }
}
