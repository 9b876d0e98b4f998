//! Reading a packed log: zstd frames of bounded size with a table of them at the end (the format of zstd's "seekable" contribution),
//! so that any byte costs one frame, and `zstd -d` gives the whole. Holds one frame in memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use zstd::bulk::Decompressor;

/// Text of one frame.
pub const FRAME: usize = 256 << 10;
/// What the table's frame begins with, and the file ends with.
pub const SKIPPABLE: u32 = 0x184D_2A5E;
pub const SEEKABLE: u32 = 0x8F92_EAB1;
/// Number of frames (u32), descriptor (u8), magic (u32).
pub const FOOTER: u64 = 9;
/// Threads that unpack for one reader, at most.
const LANES: usize = 4;
/// Frames in a file that is believed: 1 TiB of log.
const MOST_FRAMES: u32 = 1 << 22;

pub struct Packed {
    file: File,
    /// Where each frame begins, in text and in the file; one more for the end.
    frames: Vec<(u64, u64)>,
    /// One for each thread that unpacks.
    lanes: Vec<Decompressor<'static>>,
    /// The frame whose text is in `text`.
    here: Option<usize>,
    text: Vec<u8>,
    raw: Vec<u8>,
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packed").field("frames", &self.frames.len()).finish_non_exhaustive()
    }
}

fn damaged(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the packed log is damaged: {what}"))
}

impl Packed {
    /// Reads the table; `read` is told of bytes read.
    pub fn open(file: File, read: &mut dyn FnMut(u64)) -> io::Result<Self> {
        let len = file.metadata()?.len();
        let word = |b: &[u8], i: usize| u32::from_le_bytes(std::array::from_fn(|k| b[i + k]));
        let mut footer = [0; FOOTER as usize];
        let at = len.checked_sub(FOOTER).ok_or_else(|| damaged("it has no table"))?;
        file.read_exact_at(&mut footer, at)?;
        let count = word(&footer, 0);
        if word(&footer, 5) != SEEKABLE || footer[4] != 0 || count > MOST_FRAMES {
            return Err(damaged("it has no table of this format at its end"));
        }
        let size = u64::from(count) * 8;
        let begin = at.checked_sub(size + 8).ok_or_else(|| damaged("its table is longer than the file"))?;
        let mut table = vec![0; (size + 8) as usize];
        file.read_exact_at(&mut table, begin)?;
        read(FOOTER + size + 8);
        if word(&table, 0) != SKIPPABLE || u64::from(word(&table, 4)) != size + FOOTER {
            return Err(damaged("its table has no head"));
        }
        let mut frames = Vec::with_capacity(count as usize + 1);
        let (mut text, mut packed) = (0, 0);
        for i in 0..count as usize {
            frames.push((text, packed));
            let (p, t) = (word(&table, 8 + i * 8), word(&table, 12 + i * 8));
            if t as usize > FRAME || p as usize > 2 * FRAME {
                return Err(damaged("its table names a frame that is too large"));
            }
            (text, packed) = (text + u64::from(t), packed + u64::from(p));
        }
        frames.push((text, packed));
        if packed != begin {
            return Err(damaged("its table does not fit its frames"));
        }
        Ok(Self { file, frames, lanes: vec![Decompressor::new()?], here: None, text: Vec::new(), raw: Vec::new() })
    }

    /// Bytes of text.
    pub fn len(&self) -> u64 {
        self.frames.last().map_or(0, |f| f.0)
    }

    /// Text at `at`, as much as frames give at once; zero = the end.
    pub fn read_at(&mut self, buf: &mut [u8], at: u64, read: &mut dyn FnMut(u64)) -> io::Result<usize> {
        if at >= self.len() || buf.is_empty() {
            return Ok(0);
        }
        let i = self.frames.partition_point(|f| f.0 <= at) - 1;
        let whole = self.frames[i + 1..].iter().take_while(|f| f.0 - at <= buf.len() as u64).count();
        if self.frames[i].0 == at && whole > 1 {
            return self.load_many(i, whole, buf, read);
        }
        if self.here != Some(i) {
            self.load(i, read)?;
        }
        let from = (at - self.frames[i].0) as usize;
        let n = buf.len().min(self.text.len() - from);
        buf[..n].copy_from_slice(&self.text[from..from + n]);
        Ok(n)
    }

    fn load(&mut self, i: usize, read: &mut dyn FnMut(u64)) -> io::Result<()> {
        self.here = None;
        let (this, next) = (self.frames[i], self.frames[i + 1]);
        let (packed, text) = ((next.1 - this.1) as usize, (next.0 - this.0) as usize);
        self.raw.resize(packed, 0);
        self.file.read_exact_at(&mut self.raw, this.1)?;
        read(packed as u64);
        self.text.clear();
        self.text.reserve(FRAME);
        let n = self.lanes[0].decompress_to_buffer(&self.raw, &mut self.text).map_err(|e| damaged(format!("frame {i}: {e}")))?;
        if n != text {
            return Err(damaged(format!("frame {i} has {n} bytes instead of {text}")));
        }
        self.here = Some(i);
        Ok(())
    }

    /// Whole frames straight to where they are wanted, on several processors: what makes a search through all of it fast.
    fn load_many(&mut self, i: usize, count: usize, buf: &mut [u8], read: &mut dyn FnMut(u64)) -> io::Result<usize> {
        let (begin, end) = (self.frames[i], self.frames[i + count]);
        self.raw.resize((end.1 - begin.1) as usize, 0);
        self.file.read_exact_at(&mut self.raw, begin.1)?;
        read(end.1 - begin.1);
        let total = (end.0 - begin.0) as usize;
        let (mut raw, mut text, mut jobs) = (&self.raw[..], &mut buf[..total], Vec::with_capacity(count));
        for k in i..i + count {
            let (this, next) = (self.frames[k], self.frames[k + 1]);
            let (r, raw_rest) = raw.split_at((next.1 - this.1) as usize);
            let (t, text_rest) = std::mem::take(&mut text).split_at_mut((next.0 - this.0) as usize);
            (raw, text) = (raw_rest, text_rest);
            jobs.push((k, r, t));
        }
        let wanted = std::thread::available_parallelism().map_or(1, usize::from).min(LANES).min(count);
        while self.lanes.len() < wanted {
            self.lanes.push(Decompressor::new()?);
        }
        let jobs = Mutex::new(jobs);
        let work = |lane: &mut Decompressor<'_>| loop {
            let Some((k, raw, text)) = jobs.lock().unwrap_or_else(PoisonError::into_inner).pop() else { return Ok(()) };
            let n = lane.decompress_to_buffer(raw, text).map_err(|e| damaged(format!("frame {k}: {e}")))?;
            if n != text.len() {
                return Err(damaged(format!("frame {k} has {n} bytes instead of {}", text.len())));
            }
        };
        let (mine, others) = self.lanes.split_at_mut(1);
        std::thread::scope(|scope| {
            // Where no thread is to be had, this one does it all.
            let start = |lane| std::thread::Builder::new().name("unpack".into()).spawn_scoped(scope, || work(lane)).ok();
            let started: Vec<_> = others.iter_mut().take(wanted - 1).filter_map(start).collect();
            let mut result = work(&mut mine[0]);
            for thread in started {
                result = result.and(thread.join().unwrap_or_else(|_| Err(damaged("a thread that unpacked it ended early"))));
            }
            result
        })?;
        Ok(total)
    }
}
