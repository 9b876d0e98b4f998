//! The order of a table, as `get --sort` and `diff --sort` are given it, and the part of it that an answer has.

use serde::{Deserialize, Serialize};

use super::ApiError;
use crate::base::suggest;

/// The column, and whether backwards: `-COL`.
pub fn sort_by<'a>(text: &str, columns: &'a [&'a str]) -> Result<(&'a str, bool), ApiError> {
    let (name, backwards) = text.strip_prefix('-').map_or((text, false), |n| (n, true));
    match columns.iter().find(|c| c.eq_ignore_ascii_case(name)) {
        Some(c) => Ok((c, backwards)),
        None => {
            let help = suggest::meant(name, columns.iter().copied(), format!("columns here: {}", columns.join(" ")));
            Err(ApiError::bad(format!("cannot sort by `{name}`: no such column"), help))
        }
    }
}

/// Which part of a table some rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Rows before them that match too.
    pub offset: u64,
    /// All that match.
    pub total: u64,
}
