//! The time index of a log: 24-byte records `boottime µs, wall µs, offset` (u64, i64, u64, little endian), in rising order.
//!
//! A record says that the byte at `offset` was written at that time. Written by the shim, searched by the reader.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::domain::attempt::file;

pub const RECORD: usize = 24;
/// A record at least every so many bytes of output …
pub const EVERY_BYTES: u64 = 64 << 10;
/// … or at the first output after so long.
pub const EVERY_US: u64 = 250_000;

/// One moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp {
    /// Microseconds of `CLOCK_BOOTTIME`.
    pub boot_us: u64,
    /// Microseconds since the epoch.
    pub wall_us: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    pub at: Stamp,
    pub offset: u64,
}

impl Record {
    pub fn encode(&self) -> [u8; RECORD] {
        let mut out = [0; RECORD];
        out[..8].copy_from_slice(&self.at.boot_us.to_le_bytes());
        out[8..16].copy_from_slice(&self.at.wall_us.to_le_bytes());
        out[16..].copy_from_slice(&self.offset.to_le_bytes());
        out
    }

    pub fn decode(bytes: &[u8; RECORD]) -> Self {
        let part = |i: usize| std::array::from_fn::<u8, 8, _>(|k| bytes[i + k]);
        Self {
            at: Stamp { boot_us: u64::from_le_bytes(part(0)), wall_us: i64::from_le_bytes(part(8)) },
            offset: u64::from_le_bytes(part(16)),
        }
    }
}

/// The range of a log whose bytes were dropped: `from` points at the record that says so, `to` at the first byte that is there again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    pub from: u64,
    pub to: u64,
}

impl Gap {
    pub fn encode(&self) -> [u8; 16] {
        let mut out = [0; 16];
        out[..8].copy_from_slice(&self.from.to_le_bytes());
        out[8..].copy_from_slice(&self.to.to_le_bytes());
        out
    }

    /// The gap of the log in `dir`; `None` where nothing was dropped there.
    pub fn read(dir: &Path) -> Option<Self> {
        let bytes: [u8; 16] = std::fs::read(dir.join(file::LOG_GAP)).ok()?.try_into().ok()?;
        let part = |i: usize| u64::from_le_bytes(std::array::from_fn(|k| bytes[i + k]));
        let gap = Self { from: part(0), to: part(8) };
        (gap.to >= gap.from.saturating_add(GAP_MARK as u64)).then_some(gap)
    }

    /// Where a read of `want` bytes from `at` on really begins, and how many it may take before it runs into the hole behind the record.
    pub fn around(&self, at: u64, want: usize) -> (u64, usize) {
        let hole = self.from + GAP_MARK as u64;
        if at < hole { (at, want.min(usize::try_from(hole - at).unwrap_or(usize::MAX))) } else { (at.max(self.to), want) }
    }
}

/// Length of the record that stands in the log at the beginning of a gap; always the same, so that it can be rewritten in place.
pub const GAP_MARK: usize = 96;

/// `\n[quarterdeck: N bytes dropped here, …]\n`, exactly [`GAP_MARK`] bytes.
pub fn gap_mark(dropped: u64, cap: u64) -> [u8; GAP_MARK] {
    let text = format!("\n[quarterdeck: {dropped} bytes dropped here: the log is limited to {}]", crate::base::size::short(cap));
    let mut out = [b' '; GAP_MARK];
    let n = text.len().min(GAP_MARK - 1);
    out[..n].copy_from_slice(&text.as_bytes()[..n]);
    out[GAP_MARK - 1] = b'\n';
    out
}

/// The index as the shim writes it. Losing it costs times, never log: errors are swallowed and the next record tried again.
#[derive(Debug)]
pub struct IndexWriter {
    /// Made with the first record: most steps say nothing, and each file costs an inode and a block of its directory.
    file: Option<File>,
    path: PathBuf,
    len: u64,
    last: Option<Record>,
    /// Thinned out again when it has this many records; see [`IndexWriter::forget`].
    thin_at: u64,
}

impl IndexWriter {
    pub fn new(dir: &Path) -> Self {
        Self { file: None, path: dir.join(file::LOG_INDEX), len: 0, last: None, thin_at: 1 << 16 }
    }

    /// Output of `len` bytes is about to be written at `offset`.
    pub fn note(&mut self, at: Stamp, offset: u64) {
        let due = self.last.is_none_or(|l| offset >= l.offset + EVERY_BYTES || at.boot_us >= l.at.boot_us + EVERY_US);
        if due {
            let record = Record { at, offset };
            if self.file.is_none() {
                self.file = open(&self.path).ok();
            }
            // By position: a short write is overwritten by the next record, and the file stays a row of whole ones.
            if self.file.as_ref().is_some_and(|f| f.write_all_at(&record.encode(), self.len).is_ok()) {
                self.len += RECORD as u64;
                self.last = Some(record);
            }
        }
    }

    /// The bytes in the gap are gone: once there are many records, those that point into it go too. Readers open the file by name.
    pub fn forget(&mut self, gap: Gap) {
        if self.len / (RECORD as u64) < self.thin_at {
            return;
        }
        let mut all = vec![0; self.len as usize];
        if self.file.as_ref().is_none_or(|f| f.read_exact_at(&mut all, 0).is_err()) {
            return;
        }
        let (records, _) = all.as_chunks::<RECORD>();
        let kept: Vec<u8> = records
            .iter()
            .filter(|r| !(gap.from < Record::decode(r).offset && Record::decode(r).offset < gap.to))
            .flatten()
            .copied()
            .collect();
        let tmp = self.path.with_extension("idx.tmp");
        let written =
            open(&tmp).and_then(|f| f.write_all_at(&kept, 0).map(|()| f)).and_then(|f| std::fs::rename(&tmp, &self.path).map(|()| f));
        match written {
            Ok(file) => {
                self.file = Some(file);
                self.len = kept.len() as u64;
                self.thin_at = (2 * self.len / RECORD as u64).max(1 << 16);
            }
            Err(_) => {
                let _ = std::fs::remove_file(&tmp);
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(boot_us: u64) -> Stamp {
        Stamp { boot_us, wall_us: boot_us as i64 + 5 }
    }

    #[test]
    fn records_come_by_bytes_or_by_time() {
        let dir = tempfile::tempdir().unwrap();
        let mut w = IndexWriter::new(dir.path());
        w.note(at(1), 0);
        w.note(at(2), 10);
        w.note(at(3), EVERY_BYTES);
        w.note(at(4 + EVERY_US), EVERY_BYTES + 1);
        let bytes = std::fs::read(dir.path().join(file::LOG_INDEX)).unwrap();
        let offsets: Vec<u64> = bytes.as_chunks::<RECORD>().0.iter().map(|r| Record::decode(r).offset).collect();
        assert_eq!(offsets, [0, EVERY_BYTES, EVERY_BYTES + 1]);
        let r = Record { at: at(7), offset: 9 };
        assert_eq!(Record::decode(&r.encode()), r);
    }

    #[test]
    fn the_mark_has_one_length_and_a_gap_is_only_believed_when_it_makes_sense() {
        for n in [0, 1, u64::MAX] {
            let m = gap_mark(n, 100 << 20);
            assert!(m.starts_with(b"\n[quarterdeck: ") && m.ends_with(b"\n"));
        }
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Gap::read(dir.path()), None);
        std::fs::write(dir.path().join(file::LOG_GAP), Gap { from: 9, to: 3 }.encode()).unwrap();
        assert_eq!(Gap::read(dir.path()), None);
        let gap = Gap { from: 9, to: 9_000 };
        std::fs::write(dir.path().join(file::LOG_GAP), gap.encode()).unwrap();
        assert_eq!(Gap::read(dir.path()), Some(gap));
    }
}
