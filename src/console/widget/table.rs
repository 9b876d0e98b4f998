//! A list in columns: only visible rows are built, the cursor's row is always among them, and no width depends on how far it is scrolled.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::paint;
use crate::theme::{Look, Role};

/// One column of a list.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub title: &'static str,
    /// The row's field that it is sorted by.
    pub field: &'static str,
    pub right: bool,
    /// It keeps this width, and, with a `give`, grows to what its field holds; what has a larger `give` is cut first.
    pub least: u16,
    pub give: u8,
    /// It is cut in the middle: the end of a name tells it from the others.
    pub name: bool,
    /// It is cut at its beginning: two versions differ at their ends.
    pub version: bool,
    /// It is a name with what is said of it: that is cut last.
    pub said: bool,
    /// It is left out where its field holds nothing in any row, and takes no more than what its field holds.
    pub if_any: bool,
}

impl Column {
    pub const fn left(title: &'static str, field: &'static str, least: u16, give: u8) -> Self {
        Self { title, field, right: false, least, give, name: false, version: false, said: false, if_any: false }
    }

    pub const fn right(title: &'static str, field: &'static str, least: u16) -> Self {
        Self { title, field, right: true, least, give: 0, name: false, version: false, said: false, if_any: false }
    }

    /// A name, such as `nightly-repo-updates#2`.
    pub const fn name(self) -> Self {
        Self { name: true, ..self }
    }

    /// A version, such as `5.14.0-598.el9`.
    pub const fn version(self) -> Self {
        Self { version: true, ..self }
    }

    /// A name and what is said of it, such as `nightly-repo-updates RED`.
    pub const fn said(self) -> Self {
        Self { said: true, ..self }
    }

    /// A column that stands only where there is something in it.
    pub const fn if_any(self) -> Self {
        Self { if_any: true, ..self }
    }
}

/// One cell: its text, and what it means.
#[derive(Debug, Clone)]
pub struct Cell {
    pub text: String,
    pub role: Role,
    /// It is other than a moment ago.
    pub changed: bool,
}

impl Cell {
    pub fn new(text: impl Into<String>, role: Role) -> Self {
        Self { text: text.into(), role, changed: false }
    }

    pub fn plain(text: impl Into<String>) -> Self {
        Self::new(text, Role::Text)
    }
}

/// What is drawn of one row.
pub struct Line {
    pub cells: Vec<Cell>,
    pub marked: bool,
}

/// How the list stands.
pub struct View<'a> {
    pub columns: &'a [Column],
    pub sort: Option<(&'a str, bool)>,
    /// Rows in all.
    pub len: usize,
    /// The cursor's row, and the first that is drawn.
    pub at: usize,
    pub first: usize,
    pub focused: bool,
    /// Columns that the longest text of a field takes, over all rows.
    pub wants: &'a dyn Fn(&str) -> u16,
}

/// Columns before the first cell: cursor and mark.
const MARGIN: u16 = 2;
const GAP: u16 = 1;

/// Draws heading and rows; `line` builds row `n`.
pub fn draw(look: &Look, area: Rect, buf: &mut Buffer, view: &View<'_>, line: impl Fn(usize) -> Line) {
    if area.height == 0 || area.width == 0 {
        return;
    }
    let last = view.len.min(view.first + usize::from(area.height) - 1);
    let lines: Vec<Line> = (view.first..last).map(line).collect();
    let widths = widths(view, area.width.saturating_sub(MARGIN));
    heading(look, area, buf, view, &widths);
    for (i, line) in lines.iter().enumerate() {
        let y = i as u16 + 1;
        let here = view.first + i == view.at;
        let base = match (here && view.focused, line.marked) {
            (true, _) => Some(look.style(Role::Selected)),
            (false, true) => Some(look.style(Role::Marked)),
            _ => None,
        };
        // The cursor covers its sign and the name of the row: over all of it, a step would cost twice the width of the screen in bytes.
        let cursor = here && view.focused;
        let head = if cursor { MARGIN + widths.first().copied().unwrap_or_default() } else { area.width };
        if let Some(style) = base {
            paint::row(buf, Rect { width: head.min(area.width), ..area }, y, style);
        }
        let sign = if here && view.focused { look.glyphs.cursor } else { " " };
        paint::text(buf, area, 0, y, sign, base.unwrap_or_default(), look.glyphs.ellipsis);
        if line.marked {
            paint::text(buf, area, 1, y, look.glyphs.mark, base.unwrap_or_default(), look.glyphs.ellipsis);
        }
        let cells = line.cells.iter().enumerate().map(|(i, c)| {
            let own = if c.changed { look.style(c.role).patch(look.style(Role::Changed)) } else { look.style(c.role) };
            (c.text.as_str(), base.filter(|_| i == 0 || !cursor).map_or(own, |b| own.patch(b)))
        });
        put(look, area, buf, y, view.columns, &widths, cells);
    }
}

fn heading(look: &Look, area: Rect, buf: &mut Buffer, view: &View<'_>, widths: &[u16]) {
    let style = look.style(Role::Heading);
    let titles: Vec<String> = view
        .columns
        .iter()
        .map(|c| match view.sort {
            Some((field, backwards)) if field == c.field => {
                format!("{}{}", c.title, if backwards { look.glyphs.down } else { look.glyphs.up })
            }
            _ => c.title.to_owned(),
        })
        .collect();
    put(look, area, buf, 0, view.columns, widths, titles.iter().map(|t| (t.as_str(), style)));
}

fn put<'a>(
    look: &Look,
    area: Rect,
    buf: &mut Buffer,
    y: u16,
    columns: &[Column],
    widths: &[u16],
    cells: impl Iterator<Item = (&'a str, Style)>,
) {
    let mut x = MARGIN;
    for ((column, width), (text, style)) in columns.iter().zip(widths).zip(cells) {
        if *width == 0 {
            continue;
        }
        let room = Rect { x: area.x, y: area.y, width: (x + width).min(area.width), height: area.height };
        let safe = crate::base::sanitise::line(text, crate::base::sanitise::Colour::Drop);
        let (room_of, sign) = (usize::from(*width), look.glyphs.ellipsis);
        let safe = match column {
            Column { name: true, .. } => paint::middle(&safe, room_of, sign),
            Column { said: true, .. } => paint::named(&safe, room_of, sign),
            Column { version: true, .. } => paint::ending(&safe, room_of, sign),
            _ => safe.to_string(),
        };
        let used = paint::width(&safe).min(usize::from(*width)) as u16;
        let from = if column.right { x + (width - used) } else { x };
        paint::text(buf, room, from, y, &safe, style, look.glyphs.ellipsis);
        x += width + GAP;
    }
}

/// Widths that fit into `room`: what the fields hold. Where that is too much, columns that give are cut down to their least, those with the
/// largest `give` first, and of those with the same the widest; then columns go from the right. What they leave goes back to the columns that
/// were cut last. A column that need not be there is not, where a name would be cut for it.
fn widths(view: &View<'_>, room: u16) -> Vec<u16> {
    let columns = view.columns;
    let needed = |c: &Column| {
        // One column more is the sort mark's, where there is a title that it can stand beside.
        let title = if c.title.is_empty() { 0 } else { paint::width(c.title) as u16 + 1 };
        let held = if c.give > 0 || c.if_any { (view.wants)(c.field) } else { 0 };
        match (c.if_any && held == 0, c.give) {
            (true, _) => 0,
            (false, 0) => c.least.max(title),
            // Room that nothing stands in is better spent on what would be cut.
            (false, _) if c.if_any => held.max(title),
            (false, _) => held.max(title).max(c.least),
        }
    };
    let mut all: Vec<u16> = columns.iter().map(needed).collect();
    loop {
        let out = fitted(columns, &all, room);
        let cut = |i: usize| columns[i].name && out[i] < all[i];
        let extra = |i: &usize| columns[*i].if_any && columns[*i].give > 0 && out[*i] > 0;
        let spare = (0..columns.len()).filter(extra).max_by_key(|i| columns[*i].give);
        match spare.filter(|s| (0..columns.len()).any(|i| columns[i].give < columns[*s].give && cut(i))) {
            Some(spare) => all[spare] = 0,
            None => return out,
        }
    }
}

/// What is wanted, made to fit.
fn fitted(columns: &[Column], all: &[u16], room: u16) -> Vec<u16> {
    let room = u32::from(room);
    let total = |w: &[u16]| w.iter().filter(|w| **w > 0).map(|w| u32::from(*w + GAP)).sum::<u32>().saturating_sub(u32::from(GAP));
    let mut out = all.to_vec();
    let mut gives: Vec<u8> = columns.iter().map(|c| c.give).filter(|g| *g > 0).collect();
    gives.sort_unstable();
    gives.dedup();
    let of = |give: u8| (0..columns.len()).filter(move |i| columns[*i].give == give);
    for &give in gives.iter().rev() {
        let mut over = total(&out).saturating_sub(room);
        while let Some(widest) = of(give).filter(|i| over > 0 && out[*i] > columns[*i].least).max_by_key(|i| out[*i]) {
            out[widest] -= 1;
            over -= 1;
        }
    }
    for i in (1..columns.len()).rev() {
        if total(&out) <= room {
            break;
        }
        out[i] = 0;
    }
    for &give in &gives {
        let mut left = room.saturating_sub(total(&out));
        while let Some(least) = of(give).filter(|i| left > 0 && out[*i] > 0 && out[*i] < all[*i]).min_by_key(|i| out[*i]) {
            out[least] += 1;
            left -= 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::{Glyphs, Theme};

    const COLUMNS: &[Column] = &[Column::left("NAME", "name", 4, 1), Column::right("TIME", "ms", 4), Column::left("WHY", "why", 6, 2)];

    fn shot(width: u16, height: u16, rows: &[[&str; 3]], at: usize) -> String {
        let look = Look { theme: Theme::plain(), glyphs: Glyphs::ASCII };
        let area = Rect::new(0, 0, width, height);
        let mut buf = Buffer::empty(area);
        let wants = |field: &str| rows.iter().map(|r| r[if field == "name" { 0 } else { 2 }].len() as u16).max().unwrap_or(0);
        let view = View { columns: COLUMNS, sort: Some(("ms", true)), len: rows.len(), at, first: 0, focused: true, wants: &wants };
        draw(&look, area, &mut buf, &view, |n| Line { cells: rows[n].iter().map(|c| Cell::plain(*c)).collect(), marked: n == 1 });
        let rows: Vec<String> = (0..height).map(|y| (0..width).map(|x| buf[(x, y)].symbol().to_owned()).collect::<String>()).collect();
        rows.iter().map(|r| r.trim_end()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_one_column_leaves_goes_to_those_that_were_cut_and_an_empty_one_has_no_room() {
        let columns = [
            Column::left("RUN", "run", 6, 1).name(),
            Column::left("WHY", "why", 6, 2),
            Column::left("SINCE", "since", 12, 3),
            Column::left("NOTE", "note", 9, 4).if_any(),
        ];
        let wants = |field: &str| if field == "note" { 0 } else { 20 };
        let view = |columns| View { columns, sort: None, len: 1, at: 0, first: 0, focused: true, wants: &wants };
        assert_eq!(widths(&view(&columns), 70), [20, 20, 20, 0], "a column that holds nothing is not there");
        assert_eq!(widths(&view(&columns), 24), [17, 6, 0, 0], "the last one goes, and the first gets what it leaves");
        assert_eq!(widths(&view(&columns), 34), [14, 6, 12, 0]);
    }

    #[test]
    fn columns_that_give_alike_are_cut_alike_and_what_need_not_be_there_cuts_nothing() {
        let columns = [
            Column::left("SOURCE", "source", 14, 3).name(),
            Column::left("WAS", "old", 14, 2),
            Column::left("IS", "new", 14, 2),
            Column::left("REASON", "why", 12, 5).if_any(),
        ];
        let wants = |field: &str| match field {
            "source" => 16,
            "why" => 30,
            _ => 26,
        };
        let view = |columns| View { columns, sort: None, len: 1, at: 0, first: 0, focused: true, wants: &wants };
        assert_eq!(widths(&view(&columns), 110), [16, 26, 26, 30]);
        assert_eq!(widths(&view(&columns), 84), [16, 26, 26, 13], "a reason is cut first");
        assert_eq!(widths(&view(&columns), 82), [16, 26, 26, 0], "and gone before anything else is cut");
        assert_eq!(widths(&view(&columns), 60), [14, 22, 22, 0], "two versions have the same room");
    }

    #[test]
    fn columns_line_up_and_the_longest_reason_gives_way() {
        let rows = [["alpha", "1m", "a reason that is long"], ["b\u{1b}[2J", "12m", "x"]];
        let lines = shot(30, 4, &rows, 0);
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines, ["  NAME  TIMEv WHY", "> alpha    1m a reason that i~", " *b       12m x"]);
        assert_eq!(shot(9, 2, &rows, 0).lines().next(), Some("  NAME"));
        for (w, h) in [(0, 0), (1, 1), (2, 9), (80, 1)] {
            shot(w, h, &rows, 1);
        }
    }
}
