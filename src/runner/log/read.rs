//! Pages of a log in constant memory: from an offset, from a time, from the end. Whole lines, each with its offset and time.
//!
//! Offsets never move, also not when the shim drops old bytes of a log over its cap: a page then begins at the record that says so.
//! Lines longer than [`LINE_MAX`] come in parts. Bytes are as the step wrote them; the client makes them harmless.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::domain::attempt::file;

use super::super::shim::index::{GAP_MARK, Gap, RECORD, Record};

/// A longer line is cut into parts of this size.
pub const LINE_MAX: usize = 64 << 10;
/// A page holds at most so many bytes, whatever is asked for.
pub const PAGE_MAX: usize = 4 << 20;
const BLOCK: usize = 64 << 10;

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the log {path}: {source}")]
pub struct LogError {
    pub path: PathBuf,
    pub source: io::Error,
}

/// One line, or a part of a very long one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Of its first byte.
    pub offset: u64,
    /// When it was written, µs since the epoch; none where the index does not reach.
    pub wall_us: Option<i64>,
    /// Without the newline.
    pub bytes: Vec<u8>,
    /// More of the same line follows: it was longer than [`LINE_MAX`], or the step is not through with it.
    pub partial: bool,
}

/// Some lines, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    pub lines: Vec<Line>,
    /// Ask from here for what follows.
    pub next: u64,
    /// Everything that was there is in this page or before it.
    pub at_end: bool,
}

/// An open log. Cheap to open; open it again for a log that may have been thinned meanwhile (the index is read afresh each time).
#[derive(Debug)]
pub struct Log {
    dir: PathBuf,
    file: File,
}

impl Log {
    /// Opens the log of an attempt directory. A log that does not exist yet is an error of kind `NotFound`.
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        let path = dir.join(file::LOG);
        let file = File::open(&path).map_err(|source| LogError { path, source })?;
        Ok(Self { dir: dir.to_owned(), file })
    }

    fn error(&self) -> impl Fn(io::Error) -> LogError + '_ {
        |source| LogError { path: self.dir.join(file::LOG), source }
    }

    /// Offset behind the last byte.
    pub fn len(&self) -> Result<u64, LogError> {
        Ok(self.file.metadata().map_err(self.error())?.len())
    }

    pub fn is_empty(&self) -> Result<bool, LogError> {
        Ok(self.len()? == 0)
    }

    /// Bytes at `offset`, the dropped range jumped over: returns where they really begin, and how many came. Zero = the end.
    pub(super) fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(u64, usize), LogError> {
        let mut gap = Gap::read(&self.dir);
        loop {
            let (mut at, mut want) = (offset, buf.len());
            if let Some(g) = gap {
                let mark_end = g.from + GAP_MARK as u64;
                if at >= mark_end && at < g.to {
                    at = g.to;
                } else if at < mark_end {
                    want = want.min((mark_end - at) as usize);
                }
            }
            let n = read_some(&self.file, &mut buf[..want], at).map_err(self.error())?;
            // The shim tells of a gap before it drops bytes: when it told nothing new meanwhile, what was read is what was written.
            let now = Gap::read(&self.dir);
            if now == gap || !now.is_some_and(|g| at < g.to && at + n as u64 > g.from) {
                return Ok((at, n));
            }
            gap = now;
        }
    }

    /// Where reading goes on so that it begins a line: `offset` itself at a line's start, else the start of the next one.
    fn line_start_at_or_after(&self, offset: u64) -> Result<u64, LogError> {
        if offset == 0 {
            return Ok(0);
        }
        let mut buf = vec![0; BLOCK];
        let mut at = offset - 1;
        // A line that goes on for longer is begun in its middle; nobody waits for a gigabyte.
        for _ in 0..16 {
            let (begin, n) = self.read_at(at, &mut buf)?;
            if n == 0 {
                return self.len();
            }
            if begin > at {
                return Ok(begin);
            }
            if let Some(i) = memchr::memchr(b'\n', &buf[..n]) {
                return Ok(begin + i as u64 + 1);
            }
            at = begin + n as u64;
        }
        Ok(offset)
    }

    /// Lines from `offset` on. An offset in the middle of a line begins there: offsets come from earlier pages.
    pub fn from_offset(&self, offset: u64, max_lines: usize, max_bytes: usize) -> Result<Page, LogError> {
        let max_bytes = max_bytes.min(PAGE_MAX);
        let mut page = Page { next: offset, ..Page::default() };
        let mut times = Times::open(&self.dir);
        let (mut buf, mut line, mut total) = (vec![0; BLOCK], Vec::new(), 0);
        let mut line_at = offset;
        'reading: while page.lines.len() < max_lines.max(1) && total < max_bytes.max(1) {
            let (at, n) = self.read_at(line_at + line.len() as u64, &mut buf)?;
            if n == 0 {
                page.at_end = true;
                break;
            }
            if at != line_at + line.len() as u64 {
                // The bytes in between were dropped.
                if !line.is_empty() {
                    total += page.push(&mut line, line_at, true, &mut times);
                }
                line_at = at;
            }
            let mut rest = &buf[..n];
            while !rest.is_empty() {
                let end = memchr::memchr(b'\n', rest);
                let room = LINE_MAX - line.len();
                let (take, whole) = match end {
                    Some(i) if i <= room => (i, true),
                    _ => (rest.len().min(room), false),
                };
                line.extend_from_slice(&rest[..take]);
                rest = &rest[take + usize::from(whole)..];
                if whole || line.len() == LINE_MAX {
                    let len = line.len() as u64 + u64::from(whole);
                    total += page.push(&mut line, line_at, !whole, &mut times);
                    line_at += len;
                    page.next = line_at;
                    if page.lines.len() >= max_lines.max(1) || total >= max_bytes.max(1) {
                        break 'reading;
                    }
                }
            }
        }
        if page.at_end && !line.is_empty() {
            page.next = line_at + line.len() as u64;
            page.push(&mut line, line_at, true, &mut times);
        } else {
            page.next = page.next.max(line_at);
        }
        Ok(page)
    }

    /// The last `lines` lines, at most `max_bytes` of them.
    pub fn tail(&self, lines: usize, max_bytes: usize) -> Result<Page, LogError> {
        let max_bytes = max_bytes.min(PAGE_MAX) as u64;
        let len = self.len()?;
        let gap = Gap::read(&self.dir);
        let floor = len.saturating_sub(max_bytes);
        let (mut start, mut at, mut seen) = (len, len, 0);
        let mut buf = vec![0; BLOCK];
        'back: while at > floor && seen <= lines {
            let mut begin = at.saturating_sub(BLOCK as u64).max(floor);
            if let Some(g) = gap.filter(|g| begin < g.to && at > g.from) {
                // Not across the gap: what is before it is far away.
                begin = g.to.min(at);
                if begin == at {
                    // What is there again begins a line.
                    seen += 1;
                    start = if seen >= lines { g.to } else { g.from };
                    break;
                }
            }
            let n = read_some(&self.file, &mut buf[..(at - begin) as usize], begin).map_err(self.error())?;
            for i in memchr::memrchr_iter(b'\n', &buf[..n]) {
                let behind = begin + i as u64 + 1;
                if behind == len {
                    continue;
                }
                seen += 1;
                if seen == lines {
                    start = behind;
                    break 'back;
                }
            }
            (at, start) = (begin, begin);
        }
        let start = if start > 0 && start == floor && seen < lines { self.line_start_at_or_after(start)? } else { start };
        // All of it: the budget above already holds.
        self.from_offset(start, usize::MAX, PAGE_MAX)
    }

    /// Lines from the first one written at `wall_us` (µs since the epoch) or later, as exact as the index: 250 ms or 64 KiB.
    pub fn from_time(&self, wall_us: i64, max_lines: usize, max_bytes: usize) -> Result<Page, LogError> {
        let start = match offset_at(&self.dir, wall_us) {
            Some(offset) => self.line_start_at_or_after(offset)?,
            None => self.len()?,
        };
        self.from_offset(start, max_lines, max_bytes)
    }
}

impl Page {
    fn push(&mut self, line: &mut Vec<u8>, offset: u64, partial: bool, times: &mut Times) -> usize {
        let bytes = std::mem::take(line);
        let len = bytes.len() + 1;
        self.lines.push(Line { offset, wall_us: times.of(offset), bytes, partial });
        len
    }
}

/// As much as there is, at most the buffer.
fn read_some(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    let mut n = 0;
    while n < buf.len() {
        match file.read_at(&mut buf[n..], at + n as u64) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(n)
}

/// The index as an array on disk: one record a read, so that a search costs some twenty of them whatever the size.
#[derive(Debug)]
pub(super) struct Index {
    file: File,
    records: u64,
}

impl Index {
    pub(super) fn open(dir: &Path) -> Option<Self> {
        let file = File::open(dir.join(file::LOG_INDEX)).ok()?;
        let records = file.metadata().ok()?.len() / RECORD as u64;
        Some(Self { file, records })
    }

    fn get(&self, i: u64) -> Option<Record> {
        let mut bytes = [0; RECORD];
        self.file.read_exact_at(&mut bytes, i * RECORD as u64).ok()?;
        Some(Record::decode(&bytes))
    }

    /// How many leading records satisfy `before`, which must hold for a prefix.
    fn partition(&self, before: impl Fn(&Record) -> bool) -> u64 {
        let (mut low, mut high) = (0, self.records);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle) {
                Some(r) if before(&r) => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }
}

/// Where the first byte is that was written at `wall_us` or later. Boot time orders the records; the wall clock may have been set back,
/// so that the first record that is late enough is looked for among records that only rise on the whole.
fn offset_at(dir: &Path, wall_us: i64) -> Option<u64> {
    let index = Index::open(dir)?;
    let i = index.partition(|r| r.at.wall_us < wall_us);
    index.get(i).map(|r| r.offset)
}

/// Times of lines in rising order of offset, without searching again for each.
#[derive(Debug)]
pub(super) struct Times {
    index: Option<Index>,
    at: u64,
    here: Option<Record>,
    next: Option<Record>,
}

impl Times {
    pub(super) fn open(dir: &Path) -> Self {
        Self { index: Index::open(dir), at: 0, here: None, next: None }
    }

    pub(super) fn of(&mut self, offset: u64) -> Option<i64> {
        let index = self.index.as_ref()?;
        let near = self.here.is_some_and(|h| h.offset <= offset) && self.next.is_none_or(|n| offset < n.offset);
        if !near {
            let follows = self.next.is_some_and(|n| n.offset <= offset) && index.get(self.at + 1).is_none_or(|n| offset < n.offset);
            self.at = if follows { self.at + 1 } else { index.partition(|r| r.offset <= offset) };
            self.here = self.at.checked_sub(1).and_then(|i| index.get(i));
            self.next = index.get(self.at);
        }
        self.here.map(|h| h.at.wall_us)
    }
}

#[cfg(test)]
mod tests;
