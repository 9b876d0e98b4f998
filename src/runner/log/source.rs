//! The bytes of a log, whichever file holds them: `log` as the shim writes it, or `log.zst` once it is packed. The offset of a byte is
//! the same in both. Knows of the dropped range, because a packed log has no room for it.

use std::cell::{Cell, RefCell};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::domain::attempt::file;

use super::super::shim::index::{GAP_MARK, Gap};
use super::packed::Packed;

/// What reading has cost so far: of the log itself, without its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    pub reads: u64,
    pub bytes: u64,
}

#[derive(Debug)]
pub struct Source {
    bytes: Bytes,
    cost: Cell<Cost>,
}

#[derive(Debug)]
enum Bytes {
    Plain(File),
    /// With the dropped range, which nothing changes any more.
    Packed(RefCell<Packed>, Option<Gap>),
}

impl Source {
    /// The plain file where there is one, else the packed one: packing removes the former when the latter is durable.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let cost = Cell::new(Cost::default());
        let plain = match open_regular(&dir.join(file::LOG)) {
            Ok(f) => return Ok(Self { bytes: Bytes::Plain(f), cost }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => e,
            Err(e) => return Err(e),
        };
        match open_regular(&dir.join(file::LOG_PACKED)) {
            Ok(f) => {
                let packed = Packed::open(f, &mut |n| count(&cost, n))?;
                Ok(Self { bytes: Bytes::Packed(RefCell::new(packed), Gap::read(dir)), cost })
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(plain),
            Err(e) => Err(e),
        }
    }

    /// The packed file, also where the plain one is still there.
    pub fn open_packed(path: &Path, gap: Option<Gap>) -> io::Result<Self> {
        let cost = Cell::new(Cost::default());
        let packed = Packed::open(open_regular(path)?, &mut |n| count(&cost, n))?;
        Ok(Self { bytes: Bytes::Packed(RefCell::new(packed), gap), cost })
    }

    pub fn is_packed(&self) -> bool {
        matches!(self.bytes, Bytes::Packed(..))
    }

    /// Tells one plain file from another that took its name; 0 for a packed log, whose bytes never change.
    pub fn identity(&self) -> io::Result<u64> {
        match &self.bytes {
            Bytes::Plain(f) => Ok(f.metadata()?.ino()),
            Bytes::Packed(..) => Ok(0),
        }
    }

    /// Offset behind the last byte.
    pub fn len(&self) -> io::Result<u64> {
        match &self.bytes {
            Bytes::Plain(f) => Ok(f.metadata()?.len()),
            Bytes::Packed(p, gap) => Ok(p.borrow().len() + gap.map_or(0, hole)),
        }
    }

    /// As much as there is, at most the buffer. Must not begin in the dropped range of a packed log.
    pub fn read_some(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        let mut n = 0;
        while n < buf.len() {
            match self.read_once(&mut buf[n..], at + n as u64) {
                Ok(0) => break,
                Ok(more) => n += more,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(n)
    }

    fn read_once(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        match &self.bytes {
            Bytes::Plain(f) => {
                let n = f.read_at(buf, at)?;
                count(&self.cost, n as u64);
                Ok(n)
            }
            Bytes::Packed(p, gap) => {
                let (at, room) = match gap {
                    Some(g) if at >= g.to => (at - hole(*g), buf.len() as u64),
                    Some(g) => (at, (g.from + GAP_MARK as u64).saturating_sub(at)),
                    None => (at, buf.len() as u64),
                };
                let room = (buf.len() as u64).min(room) as usize;
                p.borrow_mut().read_at(&mut buf[..room], at, &mut |n| count(&self.cost, n))
            }
        }
    }

    pub fn cost(&self) -> Cost {
        self.cost.get()
    }
}

/// Bytes of the dropped range that no longer exist.
fn hole(gap: Gap) -> u64 {
    gap.to - gap.from - GAP_MARK as u64
}

fn count(cost: &Cell<Cost>, bytes: u64) {
    let c = cost.get();
    cost.set(Cost { reads: c.reads + 1, bytes: c.bytes + bytes });
}

/// A step could have put a link or a pipe in the place of its log.
fn open_regular(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}
