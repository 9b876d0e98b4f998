//! From one frame to the next: the bytes that turn what the terminal shows into what it should show, as few as may be.

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::Color;

use super::links::{self, Span};
use super::pen::{self, Pen};

/// More cells than this to the end of a row are erased rather than written: that is what erasing costs.
const ERASE: usize = 3;

/// The bytes from `before` to `after`; everything where the sizes differ. Empty where nothing changed. They begin and end with no attribute on.
pub fn bytes(before: Option<&Buffer>, after: &Buffer) -> String {
    linked(before, after, &[])
}

/// The same with links, where URLs begin with what is vouched for.
pub fn linked(before: Option<&Buffer>, after: &Buffer, vouched: &[String]) -> String {
    let before = before.filter(|b| b.area == after.area);
    let mut pen = Pen::new();
    if before.is_none() {
        pen.clear();
    }
    let wide = usize::from(after.area.width);
    for y in 0..after.area.height {
        let cells = usize::from(y) * wide..(usize::from(y) + 1) * wide;
        if before.is_none_or(|b| b.content[cells.clone()] != after.content[cells]) {
            line(before, after, y, vouched, &mut pen);
        }
    }
    pen.rest()
}

/// Cells that the sign before them covers.
fn covered(buf: &Buffer, y: u16) -> Vec<bool> {
    let mut out = vec![false; usize::from(buf.area.width)];
    let mut x = 0;
    while x < buf.area.width {
        let next = x + pen::cells(&buf[(x, y)]);
        (x + 1..next.min(buf.area.width)).for_each(|c| out[usize::from(c)] = true);
        x = next;
    }
    out
}

/// Nothing is there, on the terminal's own background.
fn is_nothing(cell: &Cell) -> bool {
    pen::is_bare(cell) && cell.bg == Color::Reset
}

fn line(before: Option<&Buffer>, after: &Buffer, y: u16, vouched: &[String], pen: &mut Pen) {
    let end = after.area.width;
    let spans = links::of_row(after, y, vouched);
    let were = before.map(|b| links::of_row(b, y, vouched)).unwrap_or_default();
    // A cell whose link is another one is written again, though it looks the same.
    let of = |all: &[Span], x: u16| all.iter().position(|s| s.from <= x && x < s.to);
    let moved = |x: u16| match (of(&spans, x), of(&were, x)) {
        (None, None) => false,
        (Some(a), Some(b)) => before.is_some() && spans.get(a) != were.get(b),
        _ => before.is_some(),
    };
    let (hidden, hid) = (covered(after, y), before.map(|b| covered(b, y)));
    let changed = |x: u16| {
        let (now, cell) = (hidden[usize::from(x)], &after[(x, y)]);
        match (before, &hid) {
            (Some(b), Some(hid)) => hid[usize::from(x)] != now || moved(x) || (!now && !pen::alike(&b[(x, y)], cell)),
            _ => !now && !is_nothing(cell),
        }
    };
    let changed: Vec<bool> = (0..end).map(changed).collect();
    // From here on there is nothing.
    let tail = (0..end).rev().find(|x| !is_nothing(&after[(*x, y)]) || hidden[usize::from(*x)]).map_or(0, |x| x + 1);
    let mut x = 0;
    while x < end {
        let next = (x + pen::cells(&after[(x, y)])).min(end);
        if !(x..next).any(|c| changed[usize::from(c)]) {
            x = next;
            continue;
        }
        pen.reach(after, x, y, &spans);
        if x >= tail && (x..end).filter(|c| changed[usize::from(*c)]).count() > ERASE {
            pen.erase(&after[(x, y)]);
            break;
        }
        pen.put(after, x, y, &spans);
        x = next;
    }
    pen.link(&spans, None);
}
