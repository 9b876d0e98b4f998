//! Tests of the search: held against a plain loop over lines, whatever the sizes, contexts and borders.

use super::*;
use proptest::prelude::*;

fn write(text: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("log"), text).unwrap();
    dir
}

fn hits(text: &[u8], p: &str) -> Vec<(u64, String)> {
    let dir = write(text);
    let found = all(dir.path(), &Pattern::new(p, How::default()).unwrap());
    found.into_iter().map(|h| (h.line.offset, String::from_utf8_lossy(&h.line.bytes).into_owned())).collect()
}

#[test]
fn lines_are_found_once_and_anchors_are_ends_of_lines() {
    assert_eq!(hits(b"one\ntwo one one\nthree", "one"), [(0, "one".into()), (4, "two one one".into())]);
    assert_eq!(hits(b"one\ntwo\nthree", "^t.*e$"), [(8, "three".into())]);
    assert_eq!(hits(b"one\r\ntwo\r\n", "one$"), [(0, "one\r".into())]);
    assert_eq!(hits(b"a\nb\n", "a\\sb"), []);
    assert_eq!(hits(b"a\nb\n\nc", "^$"), [(4, String::new())]);
    assert_eq!(hits(b"\xff\xfe caf\xc3\xa9\n", "(?i)CAF\u{c9}").len(), 1);
    assert_eq!(hits(b"", "x*"), []);
    assert_eq!(hits(b"a\nb", "x*").len(), 2);
}

#[test]
fn matches_on_block_borders_and_in_endless_lines_are_found() {
    for at in [BLOCK - 3, BLOCK, BLOCK + 1, LONGEST - 2, LONGEST + 1, LONGEST + BLOCK - 2, LONGEST + BLOCK + 1] {
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

#[test]
fn a_text_is_itself_and_case_may_be_ignored() {
    let dir = write(b"a.c\nabc\nA.C\n");
    let offsets = |text: &str, fixed, ignore_case| -> Vec<u64> {
        all(dir.path(), &Pattern::new(text, How { fixed, ignore_case }).unwrap()).iter().map(|h| h.line.offset).collect()
    };
    assert_eq!(offsets("a.c", false, false), [0, 4]);
    assert_eq!(offsets("a.c", true, false), [0]);
    assert_eq!(offsets("a.c", true, true), [0, 8]);
    assert_eq!(offsets("", true, false), [0, 4, 8]);
}

#[test]
fn a_search_can_be_stopped_where_nothing_is_found_and_leaves_half_a_line_of_a_live_log() {
    let mut text = b"x\n".repeat(3 * BLOCK);
    text.extend(b"needle without end");
    let dir = write(&text);
    let pattern = Pattern::new("needle", How::default()).unwrap();
    let mut told = 0;
    let stopped = grep(dir.path(), &pattern, &Search::default(), |_| {
        told += 1;
        ControlFlow::Break(())
    });
    assert_eq!((told, stopped.unwrap().offset), (1, BLOCK as u64), "after one block");
    let mut found = 0;
    let live = Search { live: true, ..Search::default() };
    let end = grep(dir.path(), &pattern, &live, |t| {
        found += usize::from(matches!(t, Told::Hit(_)));
        ControlFlow::Continue(())
    });
    assert_eq!((found, end.unwrap().offset), (0, 6 * BLOCK as u64));
}

/// What `grep -n -C` says, line by line.
fn oracle(text: &[u8], p: &str, s: &Search) -> Vec<(u64, u64, bool)> {
    let re = Regex::new(p).unwrap();
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let mut lines = Vec::new();
    let mut at = 0;
    if !text.is_empty() {
        for l in body.split(|b| *b == b'\n') {
            lines.push((at, re.is_match(l) != s.invert));
            at += l.len() as u64 + 1;
        }
    }
    let near = |i: usize| {
        let hit = |j: usize| lines[j].1;
        (i.saturating_sub(s.after)..i).any(hit) || (i + 1..(i + 1 + s.before).min(lines.len())).any(hit)
    };
    let told = |i: &usize| lines[*i].1 || near(*i);
    (0..lines.len()).filter(told).map(|i| (lines[i].0, i as u64 + 1, !lines[i].1)).collect()
}

proptest! {
    #[test]
    fn the_search_is_a_plain_loop_over_lines(
        lines in proptest::collection::vec("[ab]{0,4}", 0..40), ends in any::<bool>(), pattern in proptest::sample::select(vec!["a", "b", "aa", "a.b", "^b", "b$", "^$"]),
        invert in any::<bool>(), before in 0usize..4, after in 0usize..4, pad in 0usize..3,
    ) {
        let mut text = lines.join("\n");
        if ends && !text.is_empty() { text.push('\n'); }
        // Somewhere near the border of a block.
        if pad > 0 {
            text = format!("{}\n{text}", "c".repeat(BLOCK - pad * 7));
        }
        let dir = write(text.as_bytes());
        let search = Search { invert, before, after, number: Some(0), ..Search::default() };
        let mut found = Vec::new();
        grep(dir.path(), &Pattern::new(pattern, How::default()).unwrap(), &search, |t| {
            if let Told::Hit(h) = t {
                let long = h.line.partial;
                found.push((if long { 0 } else { h.line.offset }, h.number.unwrap(), h.context));
            }
            ControlFlow::Continue(())
        }).unwrap();
        prop_assert_eq!(found, oracle(text.as_bytes(), pattern, &search));
    }
}
