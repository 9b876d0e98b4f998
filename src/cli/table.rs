//! Tables for people: aligned columns within the width of the terminal. The last column gives way first.

use unicode_width::UnicodeWidthChar;

use super::out::{Out, Tone};
use crate::base::sanitise;

/// A column: its title, and whether its cells are numbers.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub title: &'static str,
    pub right: bool,
}

pub const fn left(title: &'static str) -> Column {
    Column { title, right: false }
}

pub const fn right(title: &'static str) -> Column {
    Column { title, right: true }
}

/// Narrower, a column says nothing.
const LEAST: usize = 6;

/// A table as it is drawn: its lines, the head first, and the titles of columns for which there was no room.
pub struct Drawn {
    pub lines: Vec<String>,
    pub hidden: Vec<&'static str>,
}

/// Draws a table within `width` columns. Cells are made safe here. Wide texts give way from the right, down to what their title needs;
/// where that is not enough, whole columns go. The first one names the row and is typed again, so it is cut last of all.
pub fn draw(columns: &[Column], rows: &[Vec<String>], width: usize) -> Drawn {
    let safe: Vec<Vec<String>> = rows.iter().map(|r| r.iter().map(|c| sanitise::cell(c)).collect()).collect();
    let mut widths: Vec<usize> = columns.iter().map(|c| c.title.len()).collect();
    for row in &safe {
        for (w, cell) in widths.iter_mut().zip(row) {
            *w = (*w).max(text_width(cell));
        }
    }
    let least = |i: usize, w: usize| if i == 0 || columns[i].right { w } else { columns[i].title.len().max(LEAST).min(w) };
    let needs = |shown: usize| widths.iter().take(shown).enumerate().map(|(i, w)| least(i, *w) + 2).sum::<usize>().saturating_sub(2);
    let shown = (2..=columns.len()).rev().find(|n| needs(*n) <= width).unwrap_or(columns.len().min(2));
    let hidden = columns[shown..].iter().map(|c| c.title).collect();
    widths.truncate(shown);
    let gaps = shown.saturating_sub(1) * 2;
    for i in (0..shown).rev() {
        let total: usize = widths.iter().sum::<usize>() + gaps;
        let Some(over) = total.checked_sub(width).filter(|o| *o > 0) else { break };
        let floor = if i == 0 { LEAST.min(widths[0]) } else { least(i, widths[i]) };
        widths[i] = widths[i].saturating_sub(over).max(floor);
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for ((cell, w), column) in cells.zip(&widths).zip(columns) {
            let cell = cut(cell, *w);
            let pad = " ".repeat(w.saturating_sub(text_width(&cell)));
            if !line.is_empty() {
                line.push_str("  ");
            }
            line.push_str(&if column.right { pad + &cell } else { cell + &pad });
        }
        line.trim_end().to_owned()
    };
    let mut lines = vec![line(&mut columns.iter().map(|c| c.title))];
    lines.extend(safe.iter().map(|r| line(&mut r.iter().map(String::as_str))));
    Drawn { lines, hidden }
}

/// Prints a table; its head dim, words of verdicts in their tone. A pipe or a file has room for everything.
pub fn print(out: &Out, columns: &[Column], rows: &[Vec<String>]) {
    let drawn = draw(columns, rows, if out.terminal { out.width } else { usize::MAX });
    let mut lines = drawn.lines.into_iter();
    if let Some(head) = lines.next() {
        out.line(out.paint(Tone::Dim, &head));
    }
    for line in lines {
        out.line(tint(out, &line));
    }
    if !drawn.hidden.is_empty() {
        let hidden = drawn.hidden.join(", ").to_lowercase();
        out.line(out.paint(Tone::Dim, &format!("no room for: {hidden}; a wider terminal, a pipe and --json show them")));
    }
}

/// Colours the first word of a verdict in a line; alignment is done by then.
fn tint(out: &Out, line: &str) -> String {
    if !out.colour {
        return line.to_owned();
    }
    for word in ["success", "failure", "lost", "invalid", "cancelled"] {
        let needle = format!(" {word}");
        if let Some(at) = line.find(&needle) {
            let (head, tail) = line.split_at(at + 1);
            return format!("{head}{}{}", out.verdict(word), &tail[word.len()..]);
        }
    }
    line.to_owned()
}

/// Columns that a text takes: wide East Asian signs and emoji two, marks that combine none.
pub fn text_width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

fn char_width(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// Shortens to `width` columns, with `…` where something was cut.
pub fn cut(text: &str, width: usize) -> String {
    if text_width(text) <= width {
        return text.to_owned();
    }
    let (mut out, mut used) = (String::new(), 1);
    for c in text.chars() {
        used += char_width(c);
        if used > width {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn columns_line_up_and_the_last_gives_way() {
        let rows = vec![
            vec!["nightly#9".to_owned(), "7".into(), "short".into()],
            vec!["漢字#100".to_owned(), "1200".into(), "a long text that does not fit\u{1b}[2J here".into()],
        ];
        let got = draw(&[left("RUN"), right("MS"), left("DETAIL")], &rows, 36).lines;
        assert_eq!(got, ["RUN          MS  DETAIL", "nightly#9     7  short", "漢字#100   1200  a long text that d…"]);
    }

    #[test]
    fn the_name_of_a_row_stays_whole_and_what_has_no_room_is_named() {
        let name = "nightly-repo-updates";
        let rows = vec![vec![name.to_owned(), "cron 29 1 * * *".into(), "12m".into(), "No Changes at all".into()]];
        let columns = [left("PIPELINE"), left("TRIGGERS"), right("DURATION"), left("CHANGES")];
        let narrow = draw(&columns, &rows, 40);
        assert_eq!((narrow.lines[1].as_str(), narrow.hidden.as_slice()), ("nightly-repo-updates  cron 29…       12m", &["CHANGES"][..]));
        let piped = draw(&columns, &rows, usize::MAX);
        assert!(piped.hidden.is_empty() && piped.lines[1].ends_with("No Changes at all"), "{:?}", piped.lines);
        assert_eq!(draw(&[left("ONE")], &[vec!["one of one".to_owned()]], 8).lines, ["ONE", "one of …"]);
    }

    proptest! {
        #[test]
        fn a_table_of_texts_fits(cells in prop::collection::vec(prop::collection::vec("\\PC{0,60}", 4), 0..5)) {
            for line in draw(&[left("A"), left("B"), left("C"), left("D")], &cells, 80).lines {
                prop_assert!(text_width(&line) <= 80, "{line}");
            }
        }
    }
}
