//! The log as the shim writes it: everything up to the cap, then the first quarter and a ring of the newest bytes; never a failing step.
//!
//! An offset in the file is for ever the offset of that byte: the ring is made by giving old blocks back to the file system (a hole),
//! so that readers and followers never see bytes move. What is missing is said by a record in the text, and counted; on a disk that is full to
//! the end the record covers the last bytes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;
use sha2::{Digest, Sha256};

use crate::domain::attempt::file;

use super::index::{GAP_MARK, Gap, IndexWriter, Stamp, gap_mark};

/// A smaller cap than this would leave no room for head, record and tail.
pub const SMALLEST_CAP: u64 = 16 << 10;
const BLOCK: u64 = 4096;
/// After a full disk the next attempt.
pub const RETRY_US: u64 = 1_000_000;
/// Kept in memory where the file system cannot make holes.
const MEMORY_TAIL: usize = 256 << 10;

/// The totals for `status.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    /// Bytes of output that are in the file.
    pub kept: u64,
    pub dropped: u64,
    /// Of the file in reading order, records included, the gap left out.
    pub sha256: String,
}

/// Why bytes are being dropped at the moment.
#[derive(Debug)]
struct Full {
    bytes: u64,
    why: String,
    next_try_us: u64,
}

#[derive(Debug)]
pub struct LogFile {
    file: File,
    dir: PathBuf,
    index: IndexWriter,
    len: u64,
    cap: u64,
    gap: Option<Gap>,
    /// The file system makes no holes: what does not fit goes through this ring in memory.
    memory: Option<Vec<u8>>,
    /// Bytes of output kept and dropped so far; those in the gap and in `full` not yet among the dropped.
    written: u64,
    dropped: u64,
    full: Option<Full>,
    ends_with_newline: bool,
    /// Of everything written in order; void once something was overwritten.
    hash: Option<Sha256>,
}

impl LogFile {
    pub fn create(dir: &Path, cap: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(dir.join(file::LOG))?;
        // A disk that fills before the first byte must not leave a log that looks whole: its first block has room for the record. A file
        // system that reserves nothing is one where only the counts tell.
        let _ = rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, BLOCK);
        Ok(Self {
            file,
            dir: dir.to_owned(),
            index: IndexWriter::new(dir),
            len: 0,
            cap: cap.max(SMALLEST_CAP),
            gap: None,
            memory: None,
            written: 0,
            dropped: 0,
            full: None,
            ends_with_newline: true,
            hash: Some(Sha256::new()),
        })
    }

    /// Appends output. Never fails: what cannot be written is counted.
    pub fn write(&mut self, bytes: &[u8], now: Stamp) {
        if bytes.is_empty() {
            return;
        }
        if self.full.as_ref().is_some_and(|f| now.boot_us < f.next_try_us) || (self.full.is_some() && !self.resume(now)) {
            if let Some(full) = &mut self.full {
                full.bytes += bytes.len() as u64;
            }
            return;
        }
        if self.memory.is_some() {
            return self.keep_in_memory(bytes);
        }
        // In pieces, so that one huge write cannot overshoot the cap.
        let piece = (self.tail_cap() / 4).max(BLOCK) as usize;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (head, tail) = rest.split_at(piece.min(rest.len()));
            self.index.note(now, self.len);
            let done = self.append(head, now);
            self.written += done as u64;
            if done < head.len() {
                if let Some(full) = &mut self.full {
                    full.bytes += (rest.len() - done) as u64;
                }
                return;
            }
            rest = tail;
            if self.stored() > self.cap && !self.make_room() {
                return self.keep_in_memory(rest);
            }
        }
    }

    /// Whether the output was longer than the cap.
    pub fn over_limit(&self) -> bool {
        self.gap.is_some() || self.memory.is_some()
    }

    /// When [`LogFile::retry`] is due, in boot µs.
    pub fn retry_at(&self) -> Option<u64> {
        self.full.as_ref().map(|f| f.next_try_us)
    }

    /// Tries to say what was dropped on a full disk, so that the record appears even when no more output comes.
    pub fn retry(&mut self, now: Stamp) {
        if self.retry_at().is_some_and(|t| now.boot_us >= t) {
            self.resume(now);
        }
    }

    /// The end of the output.
    pub fn finish(&mut self, now: Stamp) -> Totals {
        if self.full.is_some() && !self.resume(now) {
            self.say_in_place();
            self.dropped += self.full.take().map_or(0, |f| f.bytes);
        }
        if let Some(tail) = self.memory.take() {
            self.flush_memory(&tail, now);
        }
        if let Some(gap) = self.gap {
            let bytes = gap.to - gap.from;
            self.dropped += bytes;
            self.written -= bytes;
        }
        let sha256 = match (self.hash.take(), self.gap) {
            (Some(h), None) => hex(&h.finalize()),
            _ => self.rehash().unwrap_or_default(),
        };
        Totals { kept: self.written, dropped: self.dropped, sha256 }
    }

    fn tail_cap(&self) -> u64 {
        self.cap - self.cap / 4
    }

    fn stored(&self) -> u64 {
        self.len - self.gap.map_or(0, |g| g.to - g.from)
    }

    /// Writes at the end; what did not fit begins a period of dropping. Returns how many bytes were written.
    fn append(&mut self, bytes: &[u8], now: Stamp) -> usize {
        let (done, error) = write_prefix(&self.file, bytes, self.len);
        self.len += done as u64;
        if done > 0 {
            self.ends_with_newline = bytes[done - 1] == b'\n';
            if let Some(h) = &mut self.hash {
                h.update(&bytes[..done]);
            }
        }
        if let Some(e) = error {
            self.full = Some(Full { bytes: 0, why: reason(&e), next_try_us: now.boot_us + RETRY_US });
        }
        done
    }

    /// Writes the record of a period of dropping. `false`: still no room.
    fn resume(&mut self, now: Stamp) -> bool {
        let Some(full) = self.full.take() else { return true };
        if full.bytes == 0 {
            return true;
        }
        let newline = if self.ends_with_newline { "" } else { "\n" };
        let record = format!("{newline}[quarterdeck: {} bytes dropped here: {}]\n", full.bytes, full.why);
        let (done, error) = write_prefix(&self.file, record.as_bytes(), self.len);
        if let Some(e) = error {
            // All or nothing: half a record would be taken for output.
            if done > 0 {
                let _ = self.file.set_len(self.len);
            }
            self.full = Some(Full { why: reason(&e), next_try_us: now.boot_us + RETRY_US, ..full });
            return false;
        }
        self.index.note(now, self.len);
        self.len += record.len() as u64;
        self.dropped += full.bytes;
        self.ends_with_newline = true;
        if let Some(h) = &mut self.hash {
            h.update(record.as_bytes());
        }
        true
    }

    /// The disk stayed full: the record takes the place of the last bytes, so that nobody takes what is there for all of it. The length stays,
    /// for who follows. Where that cannot be written either, the counts say it alone.
    fn say_in_place(&mut self) {
        let Some(full) = &self.full else { return };
        let record = |lost: usize| format!("\n[quarterdeck: {} bytes dropped here: {}]\n", full.bytes + lost as u64, full.why);
        // What it covers is lost as well, and may be a digit more.
        let text = record(record(record(0).len()).len());
        let lost = text.len() as u64;
        if full.bytes == 0 || self.len < self.gap.map_or(0, |g| g.to) + lost {
            return;
        }
        // Blocks that are there already need no room; a file system that copies on write may refuse.
        if self.file.write_all_at(text.as_bytes(), self.len - lost).is_ok() {
            self.hash = None;
            // A record of before may be what is covered: that was no output.
            let output = lost.min(self.written);
            self.written -= output;
            self.dropped += output;
        }
    }

    /// Drops old bytes after the head until an eighth of the tail is free again. `false`: the file system makes no holes.
    fn make_room(&mut self) -> bool {
        if self.gap.is_none() && !self.makes_holes() {
            return false;
        }
        let from = match self.gap {
            Some(g) => g.from,
            None => self.line_start_before(self.cap / 4),
        };
        let target = self.len.saturating_sub(self.tail_cap() - self.tail_cap() / 8).max(from + GAP_MARK as u64);
        let gap = Gap { from, to: self.line_start_after(target) };
        let old = self.gap.map_or(from, |g| g.to);
        // Readers learn of the gap before the bytes go; a failure here leaves more than the cap, not less log.
        let said = write_gap(&self.dir, gap).is_ok() && self.file.write_all_at(&gap_mark(gap.to - gap.from, self.cap), from).is_ok();
        if !said {
            return true;
        }
        self.hash = None;
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let hole_from = (from + GAP_MARK as u64).next_multiple_of(BLOCK).max(old / BLOCK * BLOCK);
        let hole_to = gap.to / BLOCK * BLOCK;
        if hole_to > hole_from {
            // Failing now, after the trial below, costs space and nothing else.
            let _ = rustix::fs::fallocate(&self.file, flags, hole_from, hole_to - hole_from);
        }
        self.gap = Some(gap);
        self.index.forget(gap);
        true
    }

    /// A trial beyond the end, where there is nothing to lose.
    fn makes_holes(&self) -> bool {
        let beyond = self.len.next_multiple_of(BLOCK) + BLOCK;
        rustix::fs::fallocate(&self.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, beyond, BLOCK).is_ok()
    }

    fn line_start_before(&self, offset: u64) -> u64 {
        let begin = offset.saturating_sub(64 << 10);
        let mut buf = vec![0; (offset - begin) as usize];
        match self.file.read_exact_at(&mut buf, begin) {
            Ok(()) => memchr::memrchr(b'\n', &buf).map_or(offset, |i| begin + i as u64 + 1),
            Err(_) => offset,
        }
    }

    fn line_start_after(&self, offset: u64) -> u64 {
        let mut buf = vec![0; (self.len - offset).min(64 << 10) as usize];
        match self.file.read_exact_at(&mut buf, offset) {
            Ok(()) => memchr::memchr(b'\n', &buf).map_or(offset, |i| offset + i as u64 + 1).min(self.len),
            Err(_) => offset,
        }
    }

    fn keep_in_memory(&mut self, bytes: &[u8]) {
        let tail = self.memory.get_or_insert_default();
        tail.extend_from_slice(&bytes[bytes.len().saturating_sub(MEMORY_TAIL)..]);
        self.dropped += bytes.len() as u64;
        // Twice the size, so that moving the bytes stays rare.
        if tail.len() > 2 * MEMORY_TAIL {
            tail.drain(..tail.len() - MEMORY_TAIL);
        }
    }

    fn flush_memory(&mut self, tail: &[u8], now: Stamp) {
        let tail = &tail[tail.len().saturating_sub(MEMORY_TAIL)..];
        let missing = self.dropped.saturating_sub(tail.len() as u64);
        self.full =
            Some(Full { bytes: missing, why: "the log is limited, and this file system keeps no longer tail".into(), next_try_us: 0 });
        self.dropped -= missing;
        if self.resume(now) {
            let done = self.append(tail, now) as u64;
            self.written += done;
            self.dropped -= done.min(self.dropped);
        } else {
            self.dropped += missing;
        }
        self.full = None;
    }

    /// The file in reading order, in constant memory.
    fn rehash(&self) -> io::Result<String> {
        let mut hash = Sha256::new();
        let (mut at, mut buf) = (0u64, vec![0; 256 << 10]);
        while at < self.len {
            let mut end = self.len;
            if let Some(g) = self.gap {
                let mark_end = g.from + GAP_MARK as u64;
                if at >= mark_end && at < g.to {
                    at = g.to;
                    continue;
                }
                if at < mark_end {
                    end = mark_end;
                }
            }
            let n = buf.len().min((end - at) as usize);
            self.file.read_exact_at(&mut buf[..n], at)?;
            hash.update(&buf[..n]);
            at += n as u64;
        }
        Ok(hex(&hash.finalize()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn reason(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::StorageFull => "no space left on the disk".to_owned(),
        io::ErrorKind::QuotaExceeded => "disk quota exceeded".to_owned(),
        _ => e.to_string(),
    }
}

fn write_gap(dir: &Path, gap: Gap) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(dir.join(file::LOG_GAP))?;
    file.write_all_at(&gap.encode(), 0)
}

/// As much as fits, and why not more.
fn write_prefix(file: &File, bytes: &[u8], at: u64) -> (usize, Option<io::Error>) {
    let mut done = 0;
    while done < bytes.len() {
        match file.write_at(&bytes[done..], at + done as u64) {
            Ok(0) => return (done, Some(io::Error::from(io::ErrorKind::WriteZero))),
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return (done, Some(e)),
        }
    }
    (done, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(boot_us: u64) -> Stamp {
        Stamp { boot_us, wall_us: 0 }
    }

    fn sha(bytes: &[u8]) -> String {
        hex(&Sha256::digest(bytes))
    }

    #[test]
    fn a_log_under_its_cap_is_the_output() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::create(dir.path(), 1 << 20).unwrap();
        log.write(b"one\n", at(1));
        log.write(b"two\0\xff", at(2));
        assert_eq!(log.finish(at(3)), Totals { kept: 9, dropped: 0, sha256: sha(b"one\ntwo\0\xff") });
        assert_eq!(std::fs::read(dir.path().join("log")).unwrap(), b"one\ntwo\0\xff");
    }

    #[test]
    fn over_the_cap_the_head_and_the_newest_tail_stay_and_the_record_counts_i7() {
        for (line, cap) in [(b"0123456789abcde\n".to_vec(), 64 << 10), (vec![b'x'; 1 << 20], 128 << 10)] {
            let dir = tempfile::tempdir().unwrap();
            let mut log = LogFile::create(dir.path(), cap).unwrap();
            let total = 4u64 << 20;
            let mut n = 0;
            while n < total {
                log.write(&line, at(n));
                n += line.len() as u64;
            }
            assert!(log.over_limit());
            let totals = log.finish(at(n));
            assert_eq!(totals.kept + totals.dropped, n);
            assert!(totals.kept <= cap && totals.kept >= cap / 2, "{totals:?}");
            let gap = Gap::read(dir.path()).unwrap();
            assert_eq!(gap.to - gap.from, totals.dropped);
            let bytes = std::fs::read(dir.path().join("log")).unwrap();
            let mut seen = bytes[..gap.from as usize + GAP_MARK].to_vec();
            let text = String::from_utf8_lossy(&seen[gap.from as usize..]).into_owned();
            assert!(text.contains(&format!("{} bytes dropped here", totals.dropped)), "{text}");
            seen.extend(&bytes[gap.to as usize..]);
            assert_eq!(totals.sha256, sha(&seen));
            // Offsets never moved: head and tail are the output at those offsets.
            let child = line.repeat((n / line.len() as u64) as usize);
            assert!(bytes[..gap.from as usize] == child[..gap.from as usize] && bytes[gap.to as usize..] == child[gap.to as usize..]);
            use std::os::unix::fs::MetadataExt;
            let blocks = std::fs::metadata(dir.path().join("log")).unwrap().blocks() * 512;
            assert!(blocks <= cap + (64 << 10), "{blocks} bytes on disk");
        }
    }
}
