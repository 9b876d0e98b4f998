//! Matrix to cells: combinations of all keys, less `exclude`, and `include` behind them.

use indexmap::IndexMap;

use super::model::Matrix;

/// Cells of one run, all stages together.
pub const MAX_CELLS: usize = 10_000;
const MAX_EXCLUDES: usize = 1_000;

pub type Values = IndexMap<String, String>;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatrixError {
    #[error("the matrix has {0} combinations, the limit is {MAX_CELLS} cells a run")]
    TooMany(String),
    #[error("the matrix has {0} entries below `exclude`, the limit is {MAX_EXCLUDES}")]
    TooManyExcludes(usize),
    #[error("the matrix has no cell: every combination is excluded or a key has no value")]
    Empty,
}

/// Names of the keys: those with values, or those of the first `include` where there are none.
pub fn key_names(m: &Matrix) -> Vec<&str> {
    if m.keys.is_empty() {
        return m.include.first().map(|c| c.value.iter().map(|(w, _)| w.text.as_str()).collect()).unwrap_or_default();
    }
    m.keys.iter().map(|(w, _)| w.text.as_str()).collect()
}

/// All values that a key can have; empty for a stranger.
pub fn values(m: &Matrix, key: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let listed = m.keys.iter().filter(|(w, _)| w.text == key).flat_map(|(_, vs)| vs.iter());
    let included = m.include.iter().flat_map(|c| c.value.iter()).filter(|(w, _)| w.text == key).map(|(_, v)| v);
    for v in listed.chain(included) {
        if !out.contains(&v.value) {
            out.push(v.value.clone());
        }
    }
    out
}

/// `arch=x86_64,os=stream9`
pub fn cell_key(values: &Values) -> String {
    values.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")
}

/// The cells in order: the first key turns slowest.
pub fn expand(m: &Matrix) -> Result<Vec<Values>, MatrixError> {
    let product = m.keys.iter().try_fold(1usize, |n, (_, vs)| n.checked_mul(vs.len()));
    match product {
        Some(_) if m.exclude.len() > MAX_EXCLUDES => return Err(MatrixError::TooManyExcludes(m.exclude.len())),
        Some(n) if n + m.include.len() <= MAX_CELLS => {}
        Some(n) => return Err(MatrixError::TooMany(n.to_string())),
        None => return Err(MatrixError::TooMany("far too many".into())),
    }
    let mut cells: Vec<Values> = if m.keys.is_empty() { Vec::new() } else { vec![Values::new()] };
    for (word, vs) in &m.keys {
        cells = cells
            .into_iter()
            .flat_map(|cell| {
                vs.iter().map(move |v| {
                    let mut c = cell.clone();
                    c.insert(word.text.clone(), v.value.clone());
                    c
                })
            })
            .collect();
    }
    cells.retain(|cell| !m.exclude.iter().any(|e| !e.value.is_empty() && e.value.iter().all(|(w, v)| cell.get(&w.text) == Some(&v.value))));
    let names = key_names(m);
    let mut seen: std::collections::HashSet<String> = cells.iter().map(cell_key).collect();
    for extra in &m.include {
        let cell: Values = names
            .iter()
            .filter_map(|n| extra.value.iter().find(|(w, _)| w.text == *n).map(|(_, v)| ((*n).to_owned(), v.value.clone())))
            .collect();
        if seen.insert(cell_key(&cell)) {
            cells.push(cell);
        }
    }
    if cells.is_empty() { Err(MatrixError::Empty) } else { Ok(cells) }
}
