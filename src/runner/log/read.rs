//! Pages of a log in constant memory: from an offset, from a time, from the end. Whole lines, each with its offset and time.
//!
//! Offsets never move, also not when the shim drops old bytes of a log over its cap: a page then begins at the record that says so.
//! Lines longer than [`LINE_MAX`] come in parts. Bytes are as the step wrote them; the client makes them harmless.

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::attempt::file;

use super::super::shim::index::{GAP_MARK, Gap};
pub use super::source::Cost;
use super::source::Source;
use super::times::{Index, Times};

/// A longer line is cut into parts of this size.
pub const LINE_MAX: usize = 64 << 10;
/// A page holds at most so many bytes, whatever is asked for.
pub const PAGE_MAX: usize = 4 << 20;
const BLOCK: usize = 64 << 10;
/// The shim takes back at most so much of what it wrote: half a record for which a full disk had no room.
const TAKEN_BACK: u64 = 256;

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the log {path}: {source}")]
pub struct LogError {
    pub path: PathBuf,
    pub source: io::Error,
}

impl LogError {
    /// There is no log: the step has not begun to write, or somebody removed it.
    pub fn is_absent(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
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
    /// It is no text.
    pub binary: bool,
}

/// Some lines, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    pub lines: Vec<Line>,
    /// Ask from here for what follows.
    pub next: u64,
    /// Everything that was there is in this page or before it.
    pub at_end: bool,
    /// The log ends before the offset that was asked for: somebody cut it, for the shim never does. Nothing was read.
    pub cut: bool,
}

/// An open log. Cheap to open; open it again for a log that may have been thinned meanwhile (the index is read afresh each time).
#[derive(Debug)]
pub struct Log {
    dir: PathBuf,
    source: Source,
}

impl Log {
    /// Opens the log of an attempt directory. A log that does not exist yet is an error of kind `NotFound`.
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        let source = Source::open(dir).map_err(|source| LogError { path: dir.join(file::LOG), source })?;
        Ok(Self { dir: dir.to_owned(), source })
    }

    /// Tells this log from another file that takes its name; 0 = it is packed, and will not change.
    pub fn identity(&self) -> Result<u64, LogError> {
        self.source.identity().map_err(self.error())
    }

    pub fn is_packed(&self) -> bool {
        self.source.is_packed()
    }

    /// What reading has cost so far.
    pub fn cost(&self) -> Cost {
        self.source.cost()
    }

    /// Bytes that can be read: the dropped range does not count, the record in its place does.
    pub fn readable(&self) -> Result<u64, LogError> {
        let hole = Gap::read(&self.dir).map_or(0, |g| g.to - g.from - GAP_MARK as u64);
        Ok(self.len()?.saturating_sub(hole))
    }

    fn error(&self) -> impl Fn(io::Error) -> LogError + '_ {
        |source| LogError { path: self.dir.join(file::LOG), source }
    }

    /// Offset behind the last byte.
    pub fn len(&self) -> Result<u64, LogError> {
        self.source.len().map_err(self.error())
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
                (at, want) = g.around(at, want);
            }
            let n = self.source.read_some(&mut buf[..want], at).map_err(self.error())?;
            // The shim tells of a gap before it drops bytes: when it told nothing new meanwhile, what was read is what was written.
            let now = Gap::read(&self.dir);
            if now == gap || !now.is_some_and(|g| at < g.to && at + n as u64 > g.from) {
                return Ok((at, n));
            }
            gap = now;
        }
    }

    /// Where reading goes on so that it begins a line: `offset` itself at a line's start, else the start of the next one.
    pub fn line_start_at_or_after(&self, offset: u64) -> Result<u64, LogError> {
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
        let len = self.len()?;
        if offset > len {
            // Half a record of the shim that a full disk made it take back is no cut.
            page.next = if offset - len <= TAKEN_BACK { len } else { offset };
            (page.cut, page.at_end) = (offset - len > TAKEN_BACK, true);
            return Ok(page);
        }
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
                    if !whole {
                        // What was cut off is read again: the next part begins with it.
                        line.truncate(part_end(&line));
                        rest = &[];
                    }
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
        let len = self.len()?;
        // All of it: the budget already holds.
        self.from_offset(self.back(len, lines, max_bytes)?, usize::MAX, PAGE_MAX)
    }

    /// The last `lines` lines that begin before `end`, where a line begins, at most `max_bytes` of them; `next` is where the first line
    /// behind them begins. Nothing where there is nothing before it.
    pub fn before(&self, end: u64, lines: usize, max_bytes: usize) -> Result<Page, LogError> {
        let end = end.min(self.len()?);
        let start = match self.back(end, lines, max_bytes)? {
            // One line that is longer than a page: its last part is what there is.
            start if start >= end => end.saturating_sub(max_bytes.min(PAGE_MAX) as u64),
            start => start,
        };
        // Each part of a long line counts a byte more than it has.
        let mut page = self.from_offset(start, usize::MAX, (end - start) as usize + BLOCK)?;
        if let Some(i) = page.lines.iter().position(|l| l.offset >= end) {
            page.lines.truncate(i);
            (page.next, page.at_end) = (end, false);
        }
        // What is behind `end` was told by the page that began there, in the middle of a long line.
        if let Some(last) = page.lines.last_mut().filter(|l| l.offset + l.bytes.len() as u64 > end) {
            last.bytes.truncate((end - last.offset) as usize);
            last.partial = true;
            (page.next, page.at_end) = (end, false);
        }
        Ok(page)
    }

    /// Where the last `lines` lines before `len` begin, at most `max_bytes` away.
    fn back(&self, len: u64, lines: usize, max_bytes: usize) -> Result<u64, LogError> {
        let max_bytes = max_bytes.min(PAGE_MAX) as u64;
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
            let n = self.source.read_some(&mut buf[..(at - begin) as usize], begin).map_err(self.error())?;
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
        if start > 0 && start == floor && seen < lines { self.line_start_at_or_after(start) } else { Ok(start) }
    }

    /// Where the first byte is that was written at `wall_us` (µs since 1970 UTC) or later; none where all is older.
    pub fn offset_at(&self, wall_us: i64) -> Option<u64> {
        Index::open(&self.dir)?.offset_at(wall_us)
    }

    /// Bytes from `offset` on, whole lines or not: for what is no text. Returns where they really begin.
    pub fn bytes(&self, offset: u64, max_bytes: usize) -> Result<(u64, Vec<u8>), LogError> {
        let mut buf = vec![0; max_bytes.min(PAGE_MAX)];
        let (at, n) = self.read_at(offset, &mut buf)?;
        buf.truncate(n);
        Ok((at, buf))
    }

    /// Where `lines` lines before the one at `offset` begin; at most a block back.
    pub fn lines_before(&self, offset: u64, lines: usize) -> Result<u64, LogError> {
        let begin = offset.saturating_sub(BLOCK as u64);
        let begin = Gap::read(&self.dir).filter(|g| begin < g.to && g.to <= offset).map_or(begin, |g| g.to);
        let mut buf = vec![0; (offset - begin) as usize];
        let n = self.source.read_some(&mut buf, begin).map_err(self.error())?;
        let mut ends = memchr::memrchr_iter(b'\n', &buf[..n]).skip(1);
        Ok(match ends.nth(lines.saturating_sub(1)) {
            Some(i) if lines > 0 => begin + i as u64 + 1,
            _ if lines > 0 && begin == 0 => 0,
            _ => offset,
        })
    }

    /// Lines from the first one written at `wall_us` (µs since the epoch) or later, as exact as the index: 250 ms or 64 KiB.
    pub fn from_time(&self, wall_us: i64, max_lines: usize, max_bytes: usize) -> Result<Page, LogError> {
        let start = match self.offset_at(wall_us) {
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
        self.lines.push(Line { offset, wall_us: times.of(offset), binary: is_binary(&bytes), bytes, partial });
        len
    }
}

/// Where a part of a long line ends so that neither a character nor an escape sequence is torn.
fn part_end(part: &[u8]) -> usize {
    let mut end = part.len();
    let tail = end.saturating_sub(32);
    if let Some(i) = memchr::memrchr(0x1b, &part[tail..])
        && !part[tail + i + 1..].iter().any(|b| b.is_ascii_alphabetic())
    {
        end = tail + i;
    }
    let lead = part[..end].iter().rev().take(4).position(|b| b & 0xc0 != 0x80);
    if let Some(back) = lead {
        let first = part[end - 1 - back];
        let wants = match first {
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            _ => 1,
        };
        if back + 1 < wants {
            end -= back + 1;
        }
    }
    if end == 0 { part.len() } else { end }
}

/// Whether a line is no text: several control characters that no text has, and many of them for its length.
pub fn is_binary(line: &[u8]) -> bool {
    let odd = line.iter().filter(|b| matches!(b, 0..=6 | 0x0e..=0x1a | 0x1c..=0x1f | 0x7f)).count();
    odd >= 4 && odd * 20 > line.len()
}

#[cfg(test)]
mod tests;
