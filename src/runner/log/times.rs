//! The time index as readers use it: an array on disk, one record a read, so that a search costs some twenty of them whatever the size.

use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::domain::attempt::file;

use super::super::shim::index::{RECORD, Record};

#[derive(Debug)]
pub struct Index {
    file: File,
    records: u64,
    /// Records read so far.
    reads: Cell<u64>,
}

impl Index {
    pub fn open(dir: &Path) -> Option<Self> {
        let file = File::open(dir.join(file::LOG_INDEX)).ok()?;
        let records = file.metadata().ok()?.len() / RECORD as u64;
        Some(Self { file, records, reads: Cell::new(0) })
    }

    fn get(&self, i: u64) -> Option<Record> {
        if i >= self.records {
            return None;
        }
        self.reads.set(self.reads.get() + 1);
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

    /// Where the first byte is that was written at `wall_us` or later. Boot time orders the records; the wall clock may have been set
    /// back, so that the first record that is late enough is looked for among records that only rise on the whole.
    pub fn offset_at(&self, wall_us: i64) -> Option<u64> {
        let i = self.partition(|r| r.at.wall_us < wall_us);
        self.get(i).map(|r| r.offset)
    }
}

/// Times of lines in rising order of offset, without searching again for each.
#[derive(Debug)]
pub struct Times {
    index: Option<Index>,
    at: u64,
    here: Option<Record>,
    next: Option<Record>,
}

impl Times {
    pub fn open(dir: &Path) -> Self {
        Self { index: Index::open(dir), at: 0, here: None, next: None }
    }

    /// When the byte at `offset` was written, µs since 1970 UTC; none where the index does not reach.
    pub fn of(&mut self, offset: u64) -> Option<i64> {
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
mod tests {
    use super::*;
    use crate::runner::shim::index::Stamp;
    use proptest::prelude::*;

    fn write(dir: &Path, records: impl Iterator<Item = (u64, i64, u64)>) {
        let bytes: Vec<u8> =
            records.flat_map(|(boot_us, wall_us, offset)| Record { at: Stamp { boot_us, wall_us }, offset }.encode()).collect();
        std::fs::write(dir.join(file::LOG_INDEX), bytes).unwrap();
    }

    #[test]
    fn a_time_in_a_long_log_costs_some_twenty_records() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), (0..200_000u64).map(|i| (i, i as i64 * 10, i * 5_000)));
        let index = Index::open(dir.path()).unwrap();
        assert_eq!(index.offset_at(1_234_560), Some(123_456 * 5_000));
        assert!(index.reads.get() <= 20, "{}", index.reads.get());
    }

    proptest! {
        #[test]
        fn the_index_search_is_a_plain_loop(steps in proptest::collection::vec((0i64..5, 0u64..5), 0..60), wanted in 0i64..200, offset in 0u64..200) {
            let dir = tempfile::tempdir().unwrap();
            let (mut wall, mut at, mut records) = (0, 0, Vec::new());
            for (i, (w, o)) in steps.iter().enumerate() {
                (wall, at) = (wall + w, at + o);
                records.push((i as u64, wall, at));
            }
            write(dir.path(), records.iter().copied());
            let index = Index::open(dir.path()).unwrap();
            prop_assert_eq!(index.offset_at(wanted), records.iter().find(|r| r.1 >= wanted).map(|r| r.2));
            let expected = |o: u64| records.iter().rev().find(|r| r.2 <= o).map(|r| r.1);
            let mut times = Times::open(dir.path());
            for o in [offset / 2, offset, offset + 1, offset + 7, offset / 3] {
                prop_assert_eq!(times.of(o), expected(o));
            }
        }
    }
}
