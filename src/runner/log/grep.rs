//! Search through a log: bytes, streaming, constant memory, from the beginning or an offset on, with lines around each hit.

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};
use std::path::Path;

use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};

use super::read::{Line, Log, LogError, is_binary};
use super::times::Times;

/// Read at once; a match is looked for in so much text, not line by line.
const BLOCK: usize = 1 << 20;
/// A longer line is searched in parts, which overlap by [`OVERLAP`].
const LONGEST: usize = 4 << 20;
const OVERLAP: usize = 4 << 10;
/// A hit shows so much of its line.
const SHOWN: usize = 8 << 10;
/// Lines before a hit, and behind it, at most.
pub const CONTEXT: usize = 100;
/// Lines before a hit are kept over the border of a block, so many bytes of them.
const KEPT: usize = 256 << 10;

/// How the text of a pattern is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct How {
    /// The text itself, not a regular expression.
    pub fixed: bool,
    pub ignore_case: bool,
}

/// What is searched for in lines of bytes: `^` and `$` are the ends of a line, and no match reaches over one.
pub struct Pattern(Kind);

enum Kind {
    /// A text without any sign: the fastest.
    Text(Box<Finder<'static>>),
    Regex(Regex),
}

impl Pattern {
    pub fn new(text: &str, how: How) -> Result<Self, regex::Error> {
        let escaped = regex::escape(text);
        if !how.ignore_case && !text.is_empty() && !text.contains('\n') && (how.fixed || escaped == text) {
            return Ok(Self(Kind::Text(Box::new(Finder::new(text).into_owned()))));
        }
        let mut builder = RegexBuilder::new(if how.fixed { &escaped } else { text });
        builder.multi_line(true).crlf(true).unicode(true).case_insensitive(how.ignore_case).size_limit(4 << 20);
        builder.build().map(|r| Self(Kind::Regex(r)))
    }

    fn find_at(&self, text: &[u8], at: usize) -> Option<Range<usize>> {
        match &self.0 {
            Kind::Text(f) => f.find(&text[at..]).map(|i| at + i..at + i + f.needle().len()),
            Kind::Regex(r) => r.find_at(text, at).map(|m| m.range()),
        }
    }

    fn is_match(&self, line: &[u8]) -> bool {
        self.find_at(line, 0).is_some()
    }
}

/// What is asked for beside the pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Search {
    pub from: u64,
    /// Lines that do not match. Each part of a line beyond 4 MiB is judged by itself.
    pub invert: bool,
    pub before: usize,
    pub after: usize,
    /// Number the lines: this is the number of the line at `from`. 0 = count from the beginning of the log, which reads it.
    pub number: Option<u64>,
    /// The log is still written: its last line is not searched before it is whole.
    pub live: bool,
}

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    pub line: Line,
    pub number: Option<u64>,
    /// It does not match itself; a line near it does.
    pub context: bool,
}

/// How far a search came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    pub offset: u64,
    /// Of the line there, where lines are numbered.
    pub number: Option<u64>,
}

/// What the searcher tells.
pub enum Told {
    Hit(Hit),
    /// Everything before this offset is searched; told for each block, so that a search that finds nothing can be stopped.
    Searched(u64),
}

/// Tells of each matching line from `search.from` on; what is told may stop the search. Returns the place behind what was searched.
pub fn grep(dir: &Path, pattern: &Pattern, search: &Search, tell: impl FnMut(Told) -> ControlFlow<()>) -> Result<Reached, LogError> {
    let log = Log::open(dir)?;
    let number = match search.number {
        Some(0) => Some(1 + count_lines(&log, search.from)?),
        other => other,
    };
    let mut g = Grep {
        pattern,
        search,
        times: Times::open(dir),
        buf: vec![0; 2 * BLOCK],
        filled: 0,
        done: 0,
        base: search.from,
        number,
        told_to: search.from,
        after: 0,
        tell,
    };
    g.run(&log)
}

/// Every hit from the beginning on; for short answers.
pub fn all(dir: &Path, pattern: &Pattern) -> Vec<Hit> {
    let mut hits = Vec::new();
    let _ = grep(dir, pattern, &Search::default(), |told| {
        if let Told::Hit(h) = told {
            hits.push(h);
        }
        ControlFlow::Continue(())
    });
    hits
}

fn count_lines(log: &Log, to: u64) -> Result<u64, LogError> {
    let (mut buf, mut at, mut lines) = (vec![0; BLOCK], 0, 0);
    while at < to {
        let room = buf.len().min((to - at) as usize);
        let (begin, n) = log.read_at(at, &mut buf[..room])?;
        if n == 0 {
            break;
        }
        lines += memchr::memchr_iter(b'\n', &buf[..n]).count() as u64;
        at = begin + n as u64;
    }
    Ok(lines)
}

struct Grep<'a, F> {
    pattern: &'a Pattern,
    search: &'a Search,
    times: Times,
    /// `filled` bytes of the log from `base` on; those before `done` are searched, and kept for the lines before a hit.
    buf: Vec<u8>,
    filled: usize,
    done: usize,
    base: u64,
    /// Of the line at `done`.
    number: Option<u64>,
    /// Lines before this offset were told, or are older than the search.
    told_to: u64,
    /// So many lines are still to be told after the last hit.
    after: usize,
    tell: F,
}

impl<F: FnMut(Told) -> ControlFlow<()>> Grep<'_, F> {
    fn run(&mut self, log: &Log) -> Result<Reached, LogError> {
        loop {
            let at = self.base + self.filled as u64;
            if self.buf.len() - self.filled < BLOCK {
                self.buf.resize(self.filled + BLOCK, 0);
            }
            let filled = self.filled;
            let (begin, n) = log.read_at(at, &mut self.buf[filled..filled + BLOCK])?;
            if begin != at || n == 0 {
                // The end, or the edge of what was dropped: what is left is a line.
                let whole = !(self.search.live && n == 0 && begin == at);
                if whole && self.search_to(filled, false).is_break() || n == 0 {
                    return Ok(Reached { offset: self.base + self.done as u64, number: self.number });
                }
                self.buf.copy_within(filled..filled + n, 0);
                (self.filled, self.done, self.base, self.told_to) = (n, 0, begin, begin);
            } else {
                self.filled += n;
            }
            let fresh = &self.buf[self.done..self.filled];
            let (cut, endless) = match memchr::memrchr(b'\n', fresh) {
                Some(i) => (self.done + i + 1, false),
                None if fresh.len() > LONGEST => (self.filled, true),
                None => continue,
            };
            if self.search_to(cut, endless).is_break() {
                return Ok(Reached { offset: self.base + self.done as u64, number: self.number });
            }
            self.forget();
        }
    }

    /// Makes room: what is searched goes, but for a few lines before and the overlap within an endless line.
    fn forget(&mut self) {
        let mut keep = self.done;
        if self.search.before > 0 {
            let floor = self.done.saturating_sub(KEPT);
            let mut ends = memchr::memrchr_iter(b'\n', &self.buf[floor..self.done]).skip(self.search.before);
            keep = ends.next().map_or(floor, |i| floor + i + 1);
        }
        self.buf.copy_within(keep..self.filled, 0);
        self.filled -= keep;
        self.done -= keep;
        self.base += keep as u64;
    }

    /// Searches whole lines up to `to`. The pattern runs over all of them at once, which is what makes a rare match in a gigabyte fast.
    fn search_to(&mut self, to: usize, endless: bool) -> ControlFlow<()> {
        let mut at = self.done;
        let mut hit_in_part = false;
        while at < to {
            let Some(found) = self.next(at, to) else { break };
            let (start, end) = (found.line.start, found.line.end);
            self.skip_lines(at, start)?;
            hit_in_part = endless && end == to;
            self.before(start)?;
            self.one(start..end, Some(found.at))?;
            self.after = self.search.after;
            at = (end + 1).min(to);
            self.pass(at);
        }
        self.skip_lines(at, to)?;
        // The rest of an endless line is searched from a little before, unless that would find the same again.
        if endless && !hit_in_part {
            self.done = to - OVERLAP;
        }
        let reached = self.base + to as u64;
        (self.tell)(Told::Searched(reached))
    }

    /// The next line from `at` on that is wanted, and where in it.
    fn next(&self, at: usize, to: usize) -> Option<Found> {
        let text = &self.buf[..to];
        if self.search.invert {
            let mut start = at;
            while start < to {
                let end = memchr::memchr(b'\n', &text[start..]).map_or(to, |i| start + i);
                if !self.pattern.is_match(&text[start..end]) {
                    return Some(Found { line: start..end, at: 0 });
                }
                start = end + 1;
            }
            return None;
        }
        let mut from = at;
        while from < to {
            // Not before `at`: an anchor must not see the line that was told last.
            let m = self.pattern.find_at(&text[at..], from - at)?;
            let m = at + m.start..at + m.end;
            let start = memchr::memrchr(b'\n', &text[at..m.start]).map_or(at, |i| at + i + 1);
            let end = memchr::memchr(b'\n', &text[m.start..]).map_or(to, |i| m.start + i);
            // `\s` may have run over the end of the line: then the line itself decides. Behind the last newline there is no line.
            if start < to && (m.end <= end || self.pattern.is_match(&text[start..end])) {
                return Some(Found { line: start..end, at: m.start - start });
            }
            from = end + 1;
        }
        None
    }

    /// Lines from `at` to `to` do not match; some of them may follow a hit.
    fn skip_lines(&mut self, at: usize, to: usize) -> ControlFlow<()> {
        let mut at = at;
        while self.after > 0 && at < to {
            let end = memchr::memchr(b'\n', &self.buf[at..to]).map_or(to, |i| at + i);
            self.one(at..end, None)?;
            self.after -= 1;
            at = (end + 1).min(to);
            self.pass(at);
        }
        self.pass(to);
        ControlFlow::Continue(())
    }

    /// What is before `at` is done with.
    fn pass(&mut self, at: usize) {
        if at > self.done {
            if let Some(n) = &mut self.number {
                *n += memchr::memchr_iter(b'\n', &self.buf[self.done..at]).count() as u64;
            }
            self.done = at;
        }
    }

    /// The lines before a hit that were not told yet.
    fn before(&mut self, start: usize) -> ControlFlow<()> {
        if self.search.before == 0 {
            return ControlFlow::Continue(());
        }
        let mut lines = VecDeque::new();
        let mut end = start;
        while lines.len() < self.search.before && end > 0 {
            let from = memchr::memrchr(b'\n', &self.buf[..end - 1]).map_or(0, |i| i + 1);
            if self.base + (from as u64) < self.told_to {
                break;
            }
            lines.push_front(from..end - 1);
            end = from;
        }
        let number = self.number;
        let count = lines.len() as u64;
        for (i, line) in lines.into_iter().enumerate() {
            // `number` is that of the hit.
            self.number = number.map(|n| n - (count - i as u64));
            self.one(line, None)?;
        }
        self.number = number;
        ControlFlow::Continue(())
    }

    fn one(&mut self, line: Range<usize>, hit: Option<usize>) -> ControlFlow<()> {
        let text = &self.buf[line.clone()];
        let shown = shown_part(text, hit.unwrap_or(0));
        let offset = self.base + (line.start + shown.start) as u64;
        self.told_to = self.base + line.end as u64 + 1;
        let partial = shown.len() < text.len();
        let bytes = text[shown].to_vec();
        let line = Line { offset, wall_us: self.times.of(offset), binary: is_binary(&bytes), bytes, partial };
        (self.tell)(Told::Hit(Hit { line, number: self.number, context: hit.is_none() }))
    }
}

struct Found {
    line: Range<usize>,
    at: usize,
}

/// The line, or the part of a very long one around its match.
fn shown_part(line: &[u8], at: usize) -> Range<usize> {
    if line.len() <= SHOWN {
        return 0..line.len();
    }
    let start = at.saturating_sub(SHOWN / 4).min(line.len() - SHOWN);
    start..start + SHOWN
}

#[cfg(test)]
mod tests;
