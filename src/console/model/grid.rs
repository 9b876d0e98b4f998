//! Cells of a matrix as a grid: by the first key downwards and the second across where there are two; else in columns.

use std::collections::BTreeMap;

use crate::api::page::CellDoc;
use crate::console::widget::paint;

/// Columns of a name at most.
pub const NAME: usize = 30;

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
pub fn column(all: &[Cell]) -> u16 {
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

/// `os=el9` as `el9`: one key needs no name.
pub fn label(key: &str) -> &str {
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
