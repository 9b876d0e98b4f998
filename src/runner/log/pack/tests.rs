//! Tests of packing: the same log before and after, whatever was killed when; and `zstd` itself reads it.

use super::*;
use crate::runner::log::read::{Log, PAGE_MAX};
use crate::runner::shim::index::{GAP_MARK, Record, Stamp, gap_mark};

fn sha(bytes: &[u8]) -> String {
    let mut h = Sha256::new();
    h.update(bytes);
    hex(h)
}

/// A directory with a lock, a log of some frames, and an index with a record every 10,000 bytes.
fn attempt(lines: usize) -> (tempfile::TempDir, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let text: Vec<u8> = (0..lines).flat_map(|n| format!("line {n} says {:x}\n", n.wrapping_mul(2_654_435_761)).into_bytes()).collect();
    std::fs::write(dir.path().join(file::LOG), &text).unwrap();
    std::fs::write(dir.path().join(file::LOCK), "").unwrap();
    let index: Vec<u8> = (0..text.len() as u64 / 10_000)
        .flat_map(|n| Record { at: Stamp { boot_us: n, wall_us: n as i64 * 1_000 }, offset: n * 10_000 }.encode())
        .collect();
    std::fs::write(dir.path().join(file::LOG_INDEX), index).unwrap();
    (dir, text)
}

/// Everything that readers can ask.
fn answers(dir: &Path) -> String {
    let log = Log::open(dir).unwrap();
    let mut out = format!("{} {}\n", log.len().unwrap(), log.readable().unwrap());
    for at in [0, 17, 262_143, 262_144, 600_000, 1_000_000] {
        out += &format!("{at} {:?}\n", log.from_offset(at, 3, PAGE_MAX).unwrap());
    }
    for us in [0, 33_000, 59_500, 1 << 40] {
        out += &format!("{us} {:?}\n", log.from_time(us, 3, PAGE_MAX).unwrap());
    }
    out += &format!("{:?}\n", log.tail(5, PAGE_MAX).unwrap());
    let pattern = crate::runner::log::grep::Pattern::new("says 9e37|line 30000 ", Default::default()).unwrap();
    for hit in crate::runner::log::grep::all(dir, &pattern) {
        out += &format!("{hit:?}\n");
    }
    out
}

#[test]
fn a_packed_log_answers_as_the_plain_one_did_and_costs_frames() {
    let (dir, text) = attempt(60_000);
    let before = answers(dir.path());
    let outcome = pack(dir.path(), &sha(&text)).unwrap();
    assert!(matches!(outcome, Outcome::Packed { from, to } if from == text.len() as u64 && to < from / 2), "{outcome:?}");
    assert!(!dir.path().join(file::LOG).exists());
    assert_eq!(answers(dir.path()), before);
    let log = Log::open(dir.path()).unwrap();
    log.tail(20, PAGE_MAX).unwrap();
    assert!(log.cost().reads <= 3, "the table, and the last frame: {:?}", log.cost());
    assert_eq!(pack(dir.path(), "").unwrap(), Outcome::Left("it is packed already"));
    // A frame that does not say what was put in is an error, not text.
    let path = dir.path().join(file::LOG_PACKED);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[50] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let e = Log::open(dir.path()).unwrap().from_offset(0, 1, 100).unwrap_err();
    assert!(e.to_string().contains("damaged"), "{e}");
    for cut in [0, 1, 9, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        assert!(Log::open(dir.path()).is_err());
    }
}

#[test]
fn a_crash_at_each_point_leaves_one_true_log() {
    for stop in [Point::Written, Point::Named, Point::Removed] {
        let (dir, text) = attempt(30_000);
        let before = answers(dir.path());
        let kill = |p| if p == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let _ = pack_to(dir.path(), &sha(&text), kill).unwrap();
        assert_eq!(answers(dir.path()), before, "{stop:?}");
        let again = pack(dir.path(), &sha(&text)).unwrap();
        assert_eq!(matches!(again, Outcome::Packed { .. }), stop != Point::Removed, "{stop:?}: {again:?}");
        assert_eq!(answers(dir.path()), before, "{stop:?}");
        let mut names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["lock", "log.idx", "log.zst"], "{stop:?}");
    }
    // Half a packed file under its temporary name, as after a power cut: it is written anew.
    let (dir, text) = attempt(30_000);
    std::fs::write(temporary(dir.path()), "half").unwrap();
    assert!(matches!(pack(dir.path(), &sha(&text)).unwrap(), Outcome::Packed { .. }));
}

#[test]
fn what_must_not_be_packed_is_not() {
    let (dir, text) = attempt(10_000);
    assert_eq!(pack(dir.path(), &sha(b"other")).unwrap(), Outcome::Left("it is not as its supervisor wrote it"));
    let lock = OpenOptions::new().read(true).write(true).open(dir.path().join(file::LOCK)).unwrap();
    assert!(sys::try_lock_exclusive(lock.as_fd()).unwrap());
    assert_eq!(pack(dir.path(), &sha(&text)).unwrap(), Outcome::InUse);
    drop(lock);
    assert_eq!(std::fs::read(dir.path().join(file::LOG)).unwrap(), text);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
    std::fs::write(dir.path().join(file::LOG), "small\n").unwrap();
    assert_eq!(pack(dir.path(), "").unwrap(), Outcome::Left("it is small"));
    std::fs::remove_file(dir.path().join(file::LOG)).unwrap();
    assert_eq!(pack(dir.path(), "").unwrap(), Outcome::Left("there is none"));
}

#[test]
fn a_dropped_range_keeps_its_offsets_and_the_digest_of_the_supervisor_is_that_of_the_text() {
    let (dir, text) = attempt(60_000);
    let (from, to) = (300_000usize, 700_000usize);
    let mut with_hole = text.clone();
    with_hole[from..from + GAP_MARK].copy_from_slice(&gap_mark((to - from) as u64, 1 << 20));
    with_hole[from + GAP_MARK..to].fill(0);
    std::fs::write(dir.path().join(file::LOG), &with_hole).unwrap();
    std::fs::write(dir.path().join(file::LOG_GAP), Gap { from: from as u64, to: to as u64 }.encode()).unwrap();
    let order = [&with_hole[..from + GAP_MARK], &with_hole[to..]].concat();
    let before = answers(dir.path());
    assert!(matches!(pack(dir.path(), &sha(&order)).unwrap(), Outcome::Packed { .. }));
    assert_eq!(answers(dir.path()), before);
    // The format is that of the zstd tools: whoever has no quarterdeck reads the log all the same.
    let plain = zstd::stream::decode_all(File::open(dir.path().join(file::LOG_PACKED)).unwrap()).unwrap();
    assert_eq!(sha(&plain), sha(&order));
}
