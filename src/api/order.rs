//! The column that a table is sorted by, as `get --sort` and `diff --sort` are given it.

use super::ApiError;
use crate::base::suggest;

/// The column, and whether backwards: `-COL`.
pub fn sort_by<'a>(text: &str, columns: &'a [&'a str]) -> Result<(&'a str, bool), ApiError> {
    let (name, backwards) = text.strip_prefix('-').map_or((text, false), |n| (n, true));
    match columns.iter().find(|c| c.eq_ignore_ascii_case(name)) {
        Some(c) => Ok((c, backwards)),
        None => {
            let help = match suggest::nearest(name, columns.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("columns here: {}", columns.join(" ")),
            };
            Err(ApiError::bad(format!("cannot sort by `{name}`: no such column"), help))
        }
    }
}
