//! The axes of a matrix as they are written: names, values, and the combinations that an `exclude` leaves out.

use super::convert::{MAX_ITEMS, as_call};
use super::out::Matrix;
use super::parse::Call;

/// Combinations that `excludes` may write out.
pub(super) const MAX_EXCLUDES: usize = 1_000;

pub(super) fn axes(matrix: &Call) -> Vec<String> {
    let axes = matrix.body().iter().filter_map(as_call).filter(|c| c.name == "axes");
    axes.flat_map(|a| a.body()).filter_map(as_call).filter_map(axis).map(|(n, _)| n).collect()
}

/// Name and values, or those that it must not have.
pub(super) fn axis(c: &Call) -> Option<(String, Vec<String>)> {
    let field = |n: &str| c.body().iter().filter_map(as_call).find(|f| f.name == n);
    let name = field("name")?.args.first()?.value.literal()?.to_owned();
    let values = field("values").or_else(|| field("notValues"))?;
    let mut out: Vec<String> = Vec::new();
    if values.args.iter().map(|a| a.value.items().len()).sum::<usize>() > MAX_ITEMS {
        return None;
    }
    for v in values.args.iter().flat_map(|a| a.value.items()) {
        let v = v.literal()?.to_owned();
        if !out.contains(&v) {
            out.push(v);
        }
    }
    Some((name, out))
}

/// All combinations that an `exclude` leaves out.
pub(super) fn exclude(c: &Call, matrix: &Matrix) -> Option<Vec<Vec<(String, String)>>> {
    let mut cells: Vec<Vec<(String, String)>> = vec![Vec::new()];
    for s in c.body() {
        let a = as_call(s).filter(|a| a.name == "axis")?;
        let (name, listed) = axis(a)?;
        let all = &matrix.axes.iter().find(|(n, _)| *n == name)?.1;
        let not = a.body().iter().filter_map(as_call).any(|f| f.name == "notValues");
        let values: Vec<&String> = all.iter().filter(|v| listed.contains(v) != not).collect();
        if values.is_empty() || cells.len() * values.len() > MAX_EXCLUDES {
            return None;
        }
        cells = cells
            .iter()
            .flat_map(|cell| values.iter().map(|v| cell.iter().cloned().chain([(name.clone(), (*v).clone())]).collect()))
            .collect();
    }
    (!c.body().is_empty()).then_some(cells)
}
