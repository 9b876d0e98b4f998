//! What every reader of XML here needs: the five entities that have names, and an end to what never ends.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

/// What `&NAME;` stands for. There are no others: nobody may define any.
pub fn entity(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => return None,
    })
}

/// Counts what one token takes and fails beyond the limit; a pull parser by itself would buffer without end.
pub struct Capped<R> {
    inner: R,
    token: Rc<Cell<u64>>,
    most: u64,
    beyond: fn() -> io::Error,
}

impl<R> Capped<R> {
    /// Whoever reads sets the counter to zero where a token begins; `beyond` is the error of one of more than `most` bytes.
    pub fn new(inner: R, most: u64, beyond: fn() -> io::Error) -> (Self, Rc<Cell<u64>>) {
        let token = Rc::new(Cell::new(0));
        (Self { inner, token: Rc::clone(&token), most, beyond }, token)
    }
}

impl<R: BufRead> Read for Capped<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf)
    }
}

impl<R: BufRead> BufRead for Capped<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.token.get() > self.most {
            return Err((self.beyond)());
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.token.set(self.token.get() + n as u64);
        self.inner.consume(n);
    }
}
