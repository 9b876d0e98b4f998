//! Tests of paging: every page is a cut of the same lines, whatever the sizes; the index search is held against a plain loop.

use super::*;
use crate::runner::shim::index::{Record, Stamp};
use proptest::prelude::*;

fn log(text: &[u8]) -> (tempfile::TempDir, Log) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(file::LOG), text).unwrap();
    let log = Log::open(dir.path()).unwrap();
    (dir, log)
}

fn texts(p: &Page) -> Vec<String> {
    p.lines.iter().map(|l| String::from_utf8_lossy(&l.bytes).into_owned()).collect()
}

#[test]
fn pages_go_on_where_the_last_one_ended() {
    let (_d, log) = log(b"one\ntwo\n\nthree");
    let p = log.from_offset(0, 2, 1 << 20).unwrap();
    assert_eq!((texts(&p), p.next, p.at_end), (vec!["one".into(), "two".into()], 8, false));
    let p = log.from_offset(p.next, 10, 1 << 20).unwrap();
    assert_eq!((texts(&p), p.next, p.at_end), (vec![String::new(), "three".into()], 14, true));
    assert_eq!((p.lines[0].partial, p.lines[1].partial, p.lines[1].offset), (false, true, 9));
    let p = log.from_offset(14, 10, 100).unwrap();
    assert_eq!((p.lines.len(), p.next, p.at_end), (0, 14, true));
    let p = log.from_offset(1 << 40, 10, 100).unwrap();
    assert!(p.lines.is_empty() && p.at_end && p.cut);
}

#[test]
fn pages_go_backwards_too() {
    let (_d, log_) = log(b"one\ntwo\nthree\nfour");
    let back = |end, lines, bytes| log_.before(end, lines, bytes).map(|p| (texts(&p), p.next)).unwrap();
    assert_eq!(back(8, 1, 1 << 20), (vec!["two".into()], 8));
    assert_eq!(back(8, 9, 1 << 20), (vec!["one".into(), "two".into()], 8));
    assert_eq!(back(14, 9, 7), (vec!["three".into()], 14), "so much and not more");
    assert_eq!(back(0, 9, 1 << 20), (vec![], 0));
    assert_eq!(back(1 << 40, 2, 1 << 20).0, ["three", "four"], "from behind the end");
    let (_d, log_) = log(&[b"a\n".to_vec(), vec![b'x'; 3 * LINE_MAX], b"\nz\n".to_vec()].concat());
    let page = log_.before(2 + 3 * LINE_MAX as u64 + 1, 9, 1000).unwrap();
    assert!(!page.lines.is_empty() && page.lines.iter().all(|l| l.bytes.iter().all(|b| *b == b'x')), "a part of a long line");
}

#[test]
fn the_tail_is_the_last_lines() {
    let (_d, log_) = log(b"one\ntwo\nthree\n");
    assert_eq!(texts(&log_.tail(2, 1 << 20).unwrap()), ["two", "three"]);
    assert_eq!(texts(&log_.tail(99, 1 << 20).unwrap()), ["one", "two", "three"]);
    assert_eq!(texts(&log_.tail(99, 7).unwrap()), ["three"]);
    let (_d, log_) = log(b"one\ntwo");
    assert_eq!(texts(&log_.tail(1, 1 << 20).unwrap()), ["two"]);
    let (_d, log_) = log(b"");
    assert!(log_.tail(5, 1 << 20).unwrap().lines.is_empty());
    let mut long = b"line\n".repeat(40_000);
    long.extend(vec![b'x'; 200_000]);
    let (_d, log_) = log(&long);
    let p = log_.tail(3, 1 << 20).unwrap();
    assert_eq!(p.lines[0].bytes, b"line");
    assert_eq!(p.lines.iter().filter(|l| !l.bytes.starts_with(b"line")).map(|l| l.bytes.len()).sum::<usize>(), 200_000);
}

#[test]
fn an_endless_line_comes_in_parts() {
    let (_d, log) = log(&vec![b'x'; 3 * LINE_MAX + 5]);
    let mut at = 0;
    let mut sizes = Vec::new();
    loop {
        let p = log.from_offset(at, 1, PAGE_MAX).unwrap();
        sizes.extend(p.lines.iter().map(|l| (l.bytes.len(), l.partial)));
        at = p.next;
        if p.at_end {
            break;
        }
    }
    assert_eq!(sizes, [(LINE_MAX, true), (LINE_MAX, true), (LINE_MAX, true), (5, true)]);
}

fn write_index(dir: &Path, records: &[(u64, i64, u64)]) {
    let bytes: Vec<u8> =
        records.iter().flat_map(|(b, w, o)| Record { at: Stamp { boot_us: *b, wall_us: *w }, offset: *o }.encode()).collect();
    std::fs::write(dir.join(file::LOG_INDEX), bytes).unwrap();
}

#[test]
fn lines_have_times_and_times_have_lines() {
    let (d, log) = log(b"a\nb\nc\nd\n");
    assert_eq!(log.from_offset(0, 9, 99).unwrap().lines[0].wall_us, None);
    write_index(d.path(), &[(1, 100, 0), (2, 200, 4), (3, 300, 6)]);
    let times: Vec<_> = log.from_offset(0, 9, 99).unwrap().lines.iter().map(|l| l.wall_us.unwrap()).collect();
    assert_eq!(times, [100, 100, 200, 300]);
    assert_eq!(texts(&log.from_time(150, 9, 99).unwrap()), ["c", "d"]);
    assert_eq!(texts(&log.from_time(0, 9, 99).unwrap()), ["a", "b", "c", "d"]);
    assert!(log.from_time(301, 9, 99).unwrap().lines.is_empty());
    // Half a record at the end, as after a crash.
    let mut bytes = std::fs::read(d.path().join(file::LOG_INDEX)).unwrap();
    bytes.extend([9; 11]);
    std::fs::write(d.path().join(file::LOG_INDEX), bytes).unwrap();
    assert_eq!(texts(&log.from_time(201, 9, 99).unwrap()), ["d"]);
}

#[test]
fn a_gap_is_jumped_over_and_its_record_shown() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = b"first\n".to_vec();
    text.extend(crate::runner::shim::index::gap_mark(5_000, 1 << 20));
    text.resize(6_000, 0);
    text.extend(b"last one\nlast two\n");
    std::fs::write(dir.path().join(file::LOG), &text).unwrap();
    std::fs::write(dir.path().join(file::LOG_GAP), Gap { from: 6, to: 6_000 }.encode()).unwrap();
    let log = Log::open(dir.path()).unwrap();
    let p = log.from_offset(0, 99, 1 << 20).unwrap();
    let t = texts(&p);
    assert_eq!((t.len(), t[0].as_str(), t[3].as_str(), t[4].as_str()), (5, "first", "last one", "last two"), "{t:?}");
    assert!(t[2].contains("5000 bytes dropped here"), "{t:?}");
    assert_eq!(texts(&log.from_offset(3_000, 1, 99).unwrap()), ["last one"]);
    assert_eq!(texts(&log.tail(1, 1 << 20).unwrap()), ["last two"]);
    assert_eq!(texts(&log.tail(2, 1 << 20).unwrap()), ["last one", "last two"]);
    assert!(texts(&log.tail(3, 1 << 20).unwrap()).iter().any(|l| l.contains("dropped here")));
    assert!(!p.lines.iter().any(|l| l.bytes.contains(&0)));
}

#[test]
fn a_gigabyte_opens_at_its_tail_and_at_a_time_for_a_few_reads() {
    let (d, log) = log(b"");
    let file = std::fs::OpenOptions::new().write(true).open(d.path().join(file::LOG)).unwrap();
    let (middle, end) = (500 << 20, 1 << 30);
    file.set_len(end).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"\nthen\n", middle).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &b"a line of the end\n".repeat(30), end).unwrap();
    write_index(d.path(), &(0..16_000u64).map(|i| (i, i as i64, i << 16)).collect::<Vec<_>>());
    assert_eq!(log.tail(20, 1 << 20).unwrap().lines.len(), 20);
    let cost = log.cost();
    assert!(cost.reads <= 4 && cost.bytes <= 200_000, "{cost:?}");
    let page = log.from_time(8_000, 2, 1 << 20).unwrap();
    assert_eq!(texts(&page)[0], "then");
    let more = log.cost();
    assert!(more.reads - cost.reads <= 4 && more.bytes - cost.bytes <= 300_000, "{more:?}");
}

proptest! {
    #[test]
    fn any_cut_into_pages_gives_the_same_lines(
        lines in proptest::collection::vec("[ab]{0,5}", 0..40), ends in any::<bool>(), count in 1usize..7, bytes in 1usize..40,
    ) {
        let mut text = lines.join("\n");
        if ends && !text.is_empty() { text.push('\n'); }
        let (_d, log) = log(text.as_bytes());
        let (mut at, mut seen) = (0, String::new());
        loop {
            let p = log.from_offset(at, count, bytes).unwrap();
            for l in &p.lines {
                prop_assert_eq!(l.offset as usize, seen.len());
                seen.push_str(std::str::from_utf8(&l.bytes).unwrap());
                if !l.partial { seen.push('\n'); }
            }
            prop_assert!(p.next >= at);
            at = p.next;
            if p.at_end { break; }
        }
        prop_assert_eq!(&seen, &text);
        let all: Vec<&str> = text.strip_suffix('\n').unwrap_or(&text).split('\n').collect();
        let want = if text.is_empty() { vec![] } else { all[all.len().saturating_sub(count)..].to_vec() };
        prop_assert_eq!(texts(&log.tail(count, PAGE_MAX).unwrap()), want);
    }
}

#[test]
fn a_line_longer_than_a_page_is_told_backwards_in_pieces_that_do_not_overlap() {
    let (_d, log) = log(b"0123456789");
    let pieces = |end| log.before(end, 1, 8).unwrap().lines.iter().map(|l| (l.offset, l.bytes.clone(), l.partial)).collect::<Vec<_>>();
    assert_eq!(pieces(10), [(2, b"23456789".to_vec(), true)]);
    assert_eq!(pieces(2), [(0, b"01".to_vec(), true)]);
}

proptest! {
    #[test]
    fn reading_backwards_tells_every_line_once(text in "[ab\n]{0,400}", lines in 1usize..9, bytes in 8usize..64) {
        let (_d, log_) = log(text.as_bytes());
        let all = log_.from_offset(0, usize::MAX, PAGE_MAX).unwrap();
        let (mut end, mut told) = (log_.len().unwrap(), Vec::new());
        while end > 0 {
            let page = log_.before(end, lines, bytes).unwrap();
            let first = page.lines.first().map(|l| l.offset);
            prop_assert!(first.is_some_and(|f| f < end), "no way on before {end}");
            told.extend(page.lines.into_iter().rev().map(|l| (l.offset, l.bytes)));
            end = first.unwrap();
        }
        told.reverse();
        // A line that is longer than a page comes in pieces; together they are the text.
        let glue = |v: &[(u64, Vec<u8>)]| v.iter().flat_map(|(_, b)| b.clone()).collect::<Vec<u8>>();
        let whole: Vec<_> = all.lines.into_iter().map(|l| (l.offset, l.bytes)).collect();
        prop_assert_eq!(glue(&told).len() <= text.len(), true);
        if whole.iter().all(|(_, b)| b.len() < bytes - 1) {
            prop_assert_eq!(told, whole);
        }
    }
}
