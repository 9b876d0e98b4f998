//! What every reader does with rows: takes all of an answer, and reads words of the domain out of columns.

use rusqlite::{Connection, Params, Row};

use super::StoreError;

/// All rows of an answer, in its order.
pub(super) fn all<T, C: FromIterator<T>>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<C, StoreError> {
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params, read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A column with the text form of an enum; an unknown word is damage, and said so.
pub(super) fn word<T: std::str::FromStr>(row: &Row<'_>, i: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(i)?.as_str()?;
    text.parse()
        .map_err(|_| rusqlite::Error::FromSqlConversionFailure(i, rusqlite::types::Type::Text, format!("`{text}` is no state").into()))
}

pub(super) fn word_opt<T: std::str::FromStr>(row: &Row<'_>, i: usize) -> rusqlite::Result<Option<T>> {
    if row.get_ref(i)? == rusqlite::types::ValueRef::Null { Ok(None) } else { word(row, i).map(Some) }
}
