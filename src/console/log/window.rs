//! The lines of a log that are held: one piece of it without holes, bounded in bytes, that grows at one end and gives at the other.

use std::collections::VecDeque;

use super::line;
use crate::api::log::LogLine;

/// Bytes that a window holds, cost of its rows included. One line alone may be larger, and is at most 64 KiB of log.
pub const WINDOW_MAX: usize = 6 << 20;
/// What a row costs beside its text.
const ROW: usize = 96;
/// Pieces of a line that come one after the other are shown as one up to here.
const JOINED: usize = 64 << 10;

/// A line, or a part of a very long one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub offset: u64,
    /// Where the next one begins.
    pub end: u64,
    /// Milliseconds since 1970 UTC.
    pub at_ms: Option<i64>,
    /// As the step wrote it: hostile.
    pub text: String,
    pub partial: bool,
    pub binary: bool,
    /// Shown for a line near it.
    pub context: bool,
}

/// How lines are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    pub width: usize,
    pub wrap: bool,
}

/// A place on the screen's first row: a line, and a row of it where it is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Top {
    pub offset: u64,
    pub row: usize,
}

#[derive(Debug, Clone, Default)]
pub struct Window {
    rows: VecDeque<Row>,
    cost: usize,
    /// Where reading goes on behind the last row.
    next: u64,
    /// Nothing was behind it when it was read.
    at_end: bool,
}

impl Window {
    pub fn rows(&self) -> &VecDeque<Row> {
        &self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        self.cost
    }

    pub fn next(&self) -> u64 {
        self.next
    }

    pub fn at_end(&self) -> bool {
        self.at_end
    }

    /// Where the first row begins.
    pub fn first(&self) -> u64 {
        self.rows.front().map_or(self.next, |r| r.offset)
    }

    /// Adds what follows. Lines that are there already are passed over; with `join` a piece of a line is put to the piece before it.
    pub fn append(&mut self, lines: Vec<LogLine>, next: u64, at_end: bool, join: bool) {
        let ends: Vec<u64> = lines.iter().skip(1).map(|l| l.offset).chain([next]).collect();
        for (l, end) in lines.into_iter().zip(ends) {
            if l.offset < self.next && !self.rows.is_empty() {
                continue;
            }
            if let Some(last) =
                self.rows.back_mut().filter(|r| join && r.partial && r.end == l.offset && r.text.len() < JOINED && !l.binary)
            {
                last.text.push_str(&l.text);
                (last.end, last.partial) = (end, l.partial);
                self.cost += l.text.len();
            } else {
                let row = row(l, end);
                self.cost += ROW + row.text.len();
                self.rows.push_back(row);
            }
            self.next = end;
        }
        self.next = self.next.max(next);
        self.at_end = at_end;
        while self.cost > WINDOW_MAX && self.rows.len() > 1 {
            self.cost -= self.rows.pop_front().map_or(0, |r| ROW + r.text.len());
        }
    }

    /// Adds what comes before, whole lines up to the first row.
    pub fn prepend(&mut self, mut lines: Vec<LogLine>) {
        let first = self.first();
        lines.retain(|l| l.offset < first);
        let mut end = first;
        for l in lines.into_iter().rev() {
            let (offset, row) = (l.offset, row(l, end));
            self.cost += ROW + row.text.len();
            self.rows.push_front(row);
            end = offset;
        }
        while self.cost > WINDOW_MAX && self.rows.len() > 1 {
            if let Some(r) = self.rows.pop_back() {
                self.cost -= ROW + r.text.len();
                (self.next, self.at_end) = (r.offset, false);
            }
        }
    }

    /// Nothing was behind the last row.
    pub fn ended(&mut self) {
        self.at_end = true;
    }

    /// The row at an offset, or the last one before it.
    pub fn index(&self, offset: u64) -> usize {
        self.rows.partition_point(|r| r.offset <= offset).saturating_sub(1)
    }

    pub fn contains(&self, offset: u64) -> bool {
        self.rows.get(self.index(offset)).is_some_and(|r| r.offset <= offset && offset < r.end.max(r.offset + 1))
    }

    fn height(&self, i: usize, fit: Fit) -> usize {
        self.rows.get(i).map_or(1, |r| if fit.wrap && !r.binary { line::height(&r.text, fit.width) } else { 1 })
    }

    /// A place that exists, nearest to `top`.
    pub fn settle(&self, top: Top, fit: Fit) -> Top {
        let i = self.index(top.offset);
        match self.rows.get(i) {
            None => Top::default(),
            Some(r) if r.offset != top.offset => Top { offset: r.offset, row: 0 },
            Some(r) => Top { offset: r.offset, row: top.row.min(self.height(i, fit) - 1) },
        }
    }

    /// `n` rows of the screen further down, at most to the last one.
    pub fn down(&self, top: Top, mut n: usize, fit: Fit) -> Top {
        let top = self.settle(top, fit);
        let (mut i, mut row) = (self.index(top.offset), top.row);
        while n > 0 {
            let left = self.height(i, fit) - 1 - row;
            if n <= left {
                row += n;
                break;
            }
            if i + 1 >= self.rows.len() {
                row += left;
                break;
            }
            n -= left + 1;
            (i, row) = (i + 1, 0);
        }
        self.rows.get(i).map_or(top, |r| Top { offset: r.offset, row })
    }

    /// `n` rows further up, at most to the first one.
    pub fn up(&self, top: Top, mut n: usize, fit: Fit) -> Top {
        let top = self.settle(top, fit);
        let (mut i, mut row) = (self.index(top.offset), top.row);
        while n > 0 {
            if n <= row {
                row -= n;
                break;
            }
            if i == 0 {
                row = 0;
                break;
            }
            n -= row + 1;
            i -= 1;
            row = self.height(i, fit) - 1;
        }
        self.rows.get(i).map_or(top, |r| Top { offset: r.offset, row })
    }

    /// The place from which the last `height` rows are seen.
    pub fn bottom(&self, height: usize, fit: Fit) -> Top {
        let Some(last) = self.rows.back() else { return Top::default() };
        let end = Top { offset: last.offset, row: self.height(self.rows.len() - 1, fit) - 1 };
        self.up(end, height.saturating_sub(1), fit)
    }

    /// Whether fewer than `n` rows follow the first row.
    pub fn is_near_end(&self, top: Top, n: usize, fit: Fit) -> bool {
        let far = self.down(top, n, fit);
        self.rows.back().is_none_or(|r| r.offset == far.offset)
    }

    pub fn is_near_start(&self, top: Top, n: usize, fit: Fit) -> bool {
        self.up(top, n, fit).offset == self.first()
    }
}

fn row(l: LogLine, end: u64) -> Row {
    let at_ms = l.at.parse::<jiff::Timestamp>().ok().map(|t| t.as_millisecond());
    Row { offset: l.offset, end, at_ms, text: l.text, partial: l.partial, binary: l.binary, context: l.context }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(offset: u64, text: &str, partial: bool) -> LogLine {
        LogLine { offset, at: String::new(), text: text.to_owned(), partial, binary: false, number: None, context: false }
    }

    #[test]
    fn pieces_of_a_line_that_grows_are_one_line() {
        let mut w = Window::default();
        w.append(vec![line(0, "10%", true)], 3, true, true);
        w.append(vec![line(3, "\r20%", true)], 7, true, true);
        w.append(vec![line(7, "\rdone", false), line(13, "next", false)], 18, true, true);
        let texts: Vec<&str> = w.rows().iter().map(|r| r.text.as_str()).collect();
        assert_eq!(texts, ["10%\r20%\rdone", "next"]);
        assert_eq!((w.next(), w.first(), w.rows()[0].end), (18, 0, 13));
    }

    #[test]
    fn it_gives_at_the_other_end_and_never_holds_more() {
        let mut w = Window::default();
        let big = "x".repeat(60_000);
        for i in 0..400u64 {
            w.append(vec![line(i * 60_001, &big, false)], (i + 1) * 60_001, false, true);
            assert!(w.held() <= WINDOW_MAX, "{}", w.held());
        }
        assert!(w.first() > 0 && w.next() == 400 * 60_001);
        while w.first() > 0 {
            let before = w.first() - 60_001;
            w.prepend(vec![line(before, &big, false)]);
            assert!(w.held() <= WINDOW_MAX);
        }
        assert!(!w.at_end() && w.next() == w.rows().back().unwrap().end, "what gave way at the end is read again from there");
    }

    proptest! {
        #[test]
        fn moving_stays_within_and_comes_back(
            texts in proptest::collection::vec("[a-z漢\u{1b}\\[3m]{0,30}", 0..30),
            width in 0usize..12, wrap in any::<bool>(), height in 0usize..20, steps in proptest::collection::vec((any::<bool>(), 0usize..40), 0..20),
        ) {
            let fit = Fit { width, wrap };
            let (mut w, mut at) = (Window::default(), 0u64);
            for t in &texts {
                w.append(vec![line(at, t, false)], at + t.len() as u64 + 1, false, true);
                at += t.len() as u64 + 1;
            }
            let mut top = w.bottom(height, fit);
            for (down, n) in steps {
                let next = if down { w.down(top, n, fit) } else { w.up(top, n, fit) };
                prop_assert!(if down { next >= top } else { next <= top }, "{next:?} {top:?}");
                prop_assert_eq!(w.settle(next, fit), next);
                prop_assert!(w.is_empty() || w.contains(next.offset));
                // There and back again, where neither end was in the way.
                let back = if down { w.up(next, n, fit) } else { w.down(next, n, fit) };
                prop_assert!(if down { back <= top } else { back >= top }, "{back:?} {top:?}");
                top = next;
            }
            prop_assert!(w.is_near_end(w.bottom(height, fit), height, fit));
        }
    }
}
