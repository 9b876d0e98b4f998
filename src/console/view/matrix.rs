//! Matrices as grids: by the first key downwards and the second across where there are two; else cells in columns. The cursor moves in them.

use std::collections::BTreeMap;

use super::spots;
use super::stages::Page;
use super::text::rule;
use crate::api::page::CellDoc;
use crate::base::duration;
use crate::console::widget::paint;
use crate::theme::Role;

/// Columns of a name at most.
const NAME: usize = 30;

/// One cell: as good as its worst step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    pub key: String,
    pub word: String,
    pub ms: u64,
}

pub struct Row {
    /// The value of the first key; empty where cells stand in columns.
    pub name: String,
    pub cells: Vec<Option<Cell>>,
}

pub struct Grid {
    /// Values of the second key; none where cells stand in columns.
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
    pub count: usize,
    pub red: usize,
}

impl Grid {
    /// The grid of a stage's cells in `width` columns.
    pub fn of(cells: &[&CellDoc], width: u16) -> Self {
        let all = worst(cells);
        let red = all.iter().filter(|c| matches!(c.word.as_str(), "failure" | "lost" | "invalid")).count();
        let count = all.len();
        let pairs: Option<Vec<[(&str, &str); 2]>> = all.iter().map(|c| two(&c.key)).collect();
        if let Some(pairs) = pairs.filter(|p| !p.is_empty()) {
            let (mut names, mut columns): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
            for [(_, a), (_, b)] in &pairs {
                if !names.iter().any(|n| n == a) {
                    names.push((*a).to_owned());
                }
                if !columns.iter().any(|n| n == b) {
                    columns.push((*b).to_owned());
                }
            }
            let cell = |a: &str, b: &str| {
                let at = pairs.iter().position(|[(_, x), (_, y)]| *x == a && *y == b)?;
                all.get(at).cloned()
            };
            let rows = names.iter().map(|a| Row { name: a.clone(), cells: columns.iter().map(|b| cell(a, b)).collect() }).collect();
            return Self { columns, rows, count, red };
        }
        let across = usize::from((width.saturating_sub(2) / column(&all)).max(1));
        let rows = all.chunks(across).map(|c| Row { name: String::new(), cells: c.iter().cloned().map(Some).collect() }).collect();
        Self { columns: Vec::new(), rows, count, red }
    }
}

/// Columns of one cell of those that stand in columns.
fn column(all: &[Cell]) -> u16 {
    all.iter().map(|c| paint::width(label(&c.key))).max().unwrap_or(0).min(NAME) as u16 + 11
}

fn worst(cells: &[&CellDoc]) -> Vec<Cell> {
    let mut at: BTreeMap<&str, usize> = BTreeMap::new();
    let mut out: Vec<Cell> = Vec::new();
    for c in cells {
        let word = c.verdict.as_deref().unwrap_or(&c.state);
        let i = *at.entry(&c.cell).or_insert_with(|| {
            out.push(Cell { key: c.cell.clone(), word: word.to_owned(), ms: 0 });
            out.len() - 1
        });
        let Some(entry) = out.get_mut(i) else { continue };
        entry.ms += c.duration_ms.unwrap_or(0);
        if weight(word) >= weight(&entry.word) {
            word.clone_into(&mut entry.word);
        }
    }
    out
}

pub fn draw(page: &mut Page<'_>, stage: &str, cells: &[&CellDoc]) {
    let grid = Grid::of(cells, page.area.width);
    let right = if grid.red > 0 { format!("{} of {} red", grid.red, grid.count) } else { format!("{} cells", grid.count) };
    rule(page.look, page.area, page.buf, page.y, &format!("MATRIX {stage}"), &right);
    page.y += 1;
    let sign = page.look.glyphs.ellipsis;
    if grid.columns.is_empty() {
        let all: Vec<Cell> = grid.rows.iter().flat_map(|r| r.cells.iter().flatten().cloned()).collect();
        let wide = column(&all);
        for row in &grid.rows {
            for (i, cell) in row.cells.iter().flatten().enumerate() {
                let x = 2 + wide * i as u16;
                let here = page.here(&spots::of_cell(stage, &cell.key), x - 1);
                let (glyph, role) = page.verdict(&cell.word);
                let x = page.at(x, &format!("{glyph} "), role);
                let name = paint::cut(label(&cell.key), NAME, sign);
                let x = page.at(x, &name, if here { Role::Selected } else { Role::Text });
                page.at(x, &time(cell.ms), Role::Dim);
            }
            page.y += 1;
        }
        return;
    }
    let left = grid.rows.iter().map(|r| paint::width(&r.name)).max().unwrap_or(0).min(24) as u16 + 2;
    let texts = grid.rows.iter().flat_map(|r| r.cells.iter().flatten()).map(|c| paint::width(&text(page, c).0));
    let wide = grid.columns.iter().map(|c| paint::width(c)).chain(texts).max().unwrap_or(0).clamp(9, 20) as u16 + 2;
    for (i, c) in grid.columns.iter().enumerate() {
        let name = paint::cut(c, usize::from(wide) - 2, sign);
        page.at(left + 2 + wide * i as u16, &name, Role::Heading);
    }
    page.y += 1;
    for row in &grid.rows {
        let name = paint::cut(&row.name, usize::from(left) - 1, sign);
        page.at(2, &name, Role::Text);
        for (i, cell) in row.cells.iter().enumerate() {
            let x = left + 2 + wide * i as u16;
            let Some(cell) = cell else {
                let none = page.look.glyphs.none;
                page.at(x, none, Role::Dim);
                continue;
            };
            let here = page.here(&spots::of_cell(stage, &cell.key), x - 1);
            let (text, role) = text(page, cell);
            let text = paint::cut(&text, usize::from(wide) - 1, sign);
            page.at(x, &text, if here { Role::Selected } else { role });
        }
        page.y += 1;
    }
}

/// A cell of a grid: what is red is said in words too.
fn text(page: &Page<'_>, cell: &Cell) -> (String, Role) {
    let (glyph, role) = page.verdict(&cell.word);
    let time = time(cell.ms);
    (if role == Role::Bad { format!("{glyph} {}{time}", cell.word.to_uppercase()) } else { format!("{glyph}{time}") }, role)
}

fn time(ms: u64) -> String {
    if ms > 0 { format!(" {}", duration::short(ms)) } else { String::new() }
}

/// `os=el9` as `el9`: one key needs no name.
fn label(key: &str) -> &str {
    match (key.contains(','), key.split_once('=')) {
        (false, Some((_, v))) => v,
        _ => key,
    }
}

/// `os=el9,arch=x86_64` as two pairs.
fn two(key: &str) -> Option<[(&str, &str); 2]> {
    let mut parts = key.split(',').map(|p| p.split_once('='));
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Some(a)), Some(Some(b)), None) => Some([a, b]),
        _ => None,
    }
}

fn weight(word: &str) -> u8 {
    match word {
        "failure" | "lost" | "invalid" => 5,
        "running" => 4,
        "cancelled" => 3,
        "success" => 1,
        "skipped" => 0,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(key: &str, verdict: &str) -> CellDoc {
        CellDoc {
            stage: "s".into(),
            cell: key.into(),
            step: "x".into(),
            state: "done".into(),
            verdict: Some(verdict.into()),
            duration_ms: Some(1_000),
            detail: String::new(),
        }
    }

    #[test]
    fn two_keys_are_a_grid_with_holes_and_the_worst_step_is_the_cell_s() {
        let all = [
            cell("os=9,arch=x", "success"),
            cell("os=9,arch=x", "failure"),
            cell("os=9,arch=a", "success"),
            cell("os=10,arch=x", "success"),
        ];
        let grid = Grid::of(&all.iter().collect::<Vec<_>>(), 80);
        assert_eq!((grid.columns.join(" "), grid.count, grid.red), ("x a".to_owned(), 3, 1));
        let row = |i: usize| grid.rows[i].cells.iter().map(|c| c.as_ref().map(|c| (c.word.clone(), c.ms))).collect::<Vec<_>>();
        assert_eq!(row(0), [Some(("failure".to_owned(), 2_000)), Some(("success".to_owned(), 1_000))]);
        assert_eq!(row(1), [Some(("success".to_owned(), 1_000)), None]);
    }

    #[test]
    fn one_key_stands_in_as_many_columns_as_fit() {
        let all: Vec<CellDoc> = (0..7).map(|i| cell(&format!("n={i}"), "success")).collect();
        let grid = Grid::of(&all.iter().collect::<Vec<_>>(), 40);
        assert_eq!(grid.rows.iter().map(|r| r.cells.len()).collect::<Vec<_>>(), [3, 3, 1]);
        assert_eq!(Grid::of(&all.iter().collect::<Vec<_>>(), 0).rows.len(), 7);
    }
}
