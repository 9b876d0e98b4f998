//! Search through a log: bytes, streaming, constant memory, from the beginning or an offset on.

use std::ops::ControlFlow;
use std::path::Path;

use regex::bytes::{Regex, RegexBuilder};

use super::read::{Line, Log, LogError, Times};

/// Read at once; a match is looked for in so much text, not line by line.
const BLOCK: usize = 1 << 20;
/// A longer line is searched in parts, which overlap by [`OVERLAP`].
const LONGEST: usize = 4 << 20;
const OVERLAP: usize = 4 << 10;
/// A hit shows so much of its line.
const SHOWN: usize = 8 << 10;

/// A pattern for lines of bytes: `^` and `$` are the ends of a line, and no match reaches over one. `(?i)` ignores case.
pub fn pattern(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).multi_line(true).crlf(true).unicode(true).size_limit(4 << 20).build()
}

/// Calls `hit` for each matching line from `from` on; it may stop the search. Returns the offset behind what was searched.
pub fn grep(dir: &Path, pattern: &Regex, from: u64, mut hit: impl FnMut(Line) -> ControlFlow<()>) -> Result<u64, LogError> {
    let log = Log::open(dir)?;
    let mut times = Times::open(dir);
    let mut buf: Vec<u8> = Vec::with_capacity(2 * BLOCK);
    let mut block = vec![0; BLOCK];
    // `buf` holds the bytes from `base` on; the ones before `searched` are context of a very long line.
    let (mut base, mut at) = (from, from);
    loop {
        let (begin, n) = log.read_at(at, &mut block)?;
        if begin != at || n == 0 {
            if search(&buf, base, pattern, &mut times, &mut hit).is_break() {
                return Ok(base);
            }
            buf.clear();
            (base, at) = (begin, begin);
            if n == 0 {
                return Ok(at);
            }
        }
        buf.extend_from_slice(&block[..n]);
        at = begin + n as u64;
        let cut = match memchr::memrchr(b'\n', &buf) {
            Some(i) => i + 1,
            None if buf.len() > LONGEST => buf.len(),
            None => continue,
        };
        if search(&buf[..cut], base, pattern, &mut times, &mut hit).is_break() {
            return Ok(base);
        }
        let keep = if buf[cut - 1] == b'\n' { cut } else { cut - OVERLAP };
        buf.drain(..keep);
        base += keep as u64;
    }
}

/// Matches in whole lines. The regex runs over all of them at once, which is what makes a rare match in a gigabyte fast.
fn search(text: &[u8], base: u64, pattern: &Regex, times: &mut Times, hit: &mut impl FnMut(Line) -> ControlFlow<()>) -> ControlFlow<()> {
    let mut at = 0;
    while at < text.len() {
        let Some(m) = pattern.find_at(text, at) else { return ControlFlow::Continue(()) };
        let start = memchr::memrchr(b'\n', &text[..m.start()]).map_or(0, |i| i + 1);
        let end = memchr::memchr(b'\n', &text[m.start()..]).map_or(text.len(), |i| m.start() + i);
        // `\s` may have run over the end of the line: then the line itself decides.
        if m.end() <= end || pattern.is_match(&text[start..end]) {
            let shown = shown_part(&text[start..end], m.start() - start);
            let offset = base + (start + shown.start) as u64;
            let partial = shown.len() < end - start;
            let line = Line { offset, wall_us: times.of(offset), bytes: text[start..end][shown].to_vec(), partial };
            hit(line)?;
        }
        at = end + 1;
    }
    ControlFlow::Continue(())
}

/// The line, or the part of a very long one around its match.
fn shown_part(line: &[u8], at: usize) -> std::ops::Range<usize> {
    if line.len() <= SHOWN {
        return 0..line.len();
    }
    let start = at.saturating_sub(SHOWN / 4).min(line.len() - SHOWN);
    start..start + SHOWN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(text: &[u8], p: &str) -> Vec<(u64, String)> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("log"), text).unwrap();
        let mut out = Vec::new();
        grep(dir.path(), &pattern(p).unwrap(), 0, |l| {
            out.push((l.offset, String::from_utf8_lossy(&l.bytes).into_owned()));
            ControlFlow::Continue(())
        })
        .unwrap();
        out
    }

    #[test]
    fn lines_are_found_once_and_anchors_are_ends_of_lines() {
        assert_eq!(hits(b"one\ntwo one one\nthree", "one"), [(0, "one".into()), (4, "two one one".into())]);
        assert_eq!(hits(b"one\ntwo\nthree", "^t.*e$"), [(8, "three".into())]);
        assert_eq!(hits(b"one\r\ntwo\r\n", "one$"), [(0, "one\r".into())]);
        assert_eq!(hits(b"a\nb\n", "a\\sb"), []);
        assert_eq!(hits(b"a\nb\n\nc", "^$"), [(4, String::new())]);
        assert_eq!(hits(b"\xff\xfe caf\xc3\xa9\n", "(?i)CAFÉ").len(), 1);
        assert_eq!(hits(b"", "x*"), []);
    }

    #[test]
    fn matches_on_block_borders_and_in_endless_lines_are_found() {
        for at in [BLOCK - 3, BLOCK, BLOCK + 1, LONGEST - 2, LONGEST + 1, LONGEST + BLOCK - 2] {
            for filler in [b'x', b'\n'] {
                let mut text = vec![filler; at];
                text.extend(b"needle\n");
                text.extend(vec![filler; 100]);
                let found = hits(&text, "needle");
                assert_eq!(found.len(), 1, "{at} {filler}");
                assert!(found[0].1.contains("needle") && found[0].1.len() <= SHOWN);
            }
        }
    }
}
