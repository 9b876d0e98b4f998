//! What is asked of a table of `get`.

use super::paging;

/// What is asked for.
pub struct Question {
    pub what: String,
    pub filter: String,
    pub sort: Option<String>,
    pub limit: Option<usize>,
    /// A part of the table, with how long all of it is.
    pub page: Option<paging::Ask>,
}

/// A column that must have this value: most rows need not even be read.
pub struct Narrow {
    pub column: &'static str,
    pub value: String,
}
