//! Matrices as grids. The cursor moves in them.

use super::spots;
use super::stage_page::Page;
use super::text::rule;
use crate::api::page::CellDoc;
use crate::base::{count, duration};
use crate::console::model::grid::{Cell, Grid, NAME, column, label};
use crate::console::widget::paint;
use crate::theme::Role;

pub fn draw(page: &mut Page<'_>, stage: &str, cells: &[&CellDoc]) {
    let grid = Grid::of(cells, page.area.width);
    let right = if grid.red > 0 { format!("{} of {} red", grid.red, grid.count) } else { count::s(grid.count as u64, "cell") };
    rule(page.look, page.area, page.buf, page.y, &format!("MATRIX {stage}"), &right);
    page.y += 1;
    let sign = page.look.glyphs.ellipsis;
    if grid.columns.is_empty() {
        let all: Vec<Cell> = grid.rows.iter().flat_map(|r| r.cells.iter().flatten().cloned()).collect();
        let wide = column(&all);
        let labels: Vec<&str> = all.iter().map(|c| label(&c.key)).collect();
        let same = shared(&labels);
        for row in &grid.rows {
            for (i, cell) in row.cells.iter().flatten().enumerate() {
                let x = 2 + wide * i as u16;
                let here = page.here(&spots::of_cell(stage, &cell.key), x - 1);
                let (glyph, role) = page.verdict(&cell.word);
                let x = page.at(x, &format!("{glyph} "), role);
                let name = apart(label(&cell.key), same, sign);
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
        let name = paint::middle(c, usize::from(wide) - 2, sign);
        page.at(left + 2 + wide * i as u16, &name, Role::Heading);
    }
    page.y += 1;
    for row in &grid.rows {
        let name = paint::middle(&row.name, usize::from(left) - 1, sign);
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

/// Bytes that all names begin with.
fn shared(names: &[&str]) -> usize {
    let Some((first, rest)) = names.split_first().filter(|(_, rest)| !rest.is_empty()) else { return 0 };
    let same = |name: &str| first.chars().zip(name.chars()).take_while(|(a, b)| a == b).map(|(c, _)| c.len_utf8()).sum::<usize>();
    rest.iter().map(|name| same(name)).min().unwrap_or(0)
}

/// A name in the columns that it has. Where it is too long, what all begin with goes first: the rest tells it from its neighbours.
fn apart(name: &str, same: usize, sign: &str) -> String {
    match name.get(same..) {
        Some(rest) if same > 1 && paint::width(name) > NAME => paint::middle(&format!("{sign}{rest}"), NAME, sign),
        _ => paint::middle(name, NAME, sign),
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
