//! The filter language of `get --filter` and the console: words, `col=value`, `!=`, `<`, `<=`, `>`, `>=`, `~regex`, `!`; blank = and.
//!
//! Case is ignored. `"…"` keeps blanks and operators in a value. A word matches anywhere in any column. In columns that end in `_ms`
//! and `_bytes` values are read as people write them (`5m`, `2GiB`); a time is RFC 3339, a date or a month in UTC (`=` means all of it,
//! else its first moment), or `-2h` (before now). An empty value (`verdict=`) means that the column is empty. What a column is compared
//! with has to be of its [`Kind`]: as a text it would be before or after everything; a word that no row can have would find nothing, in silence.

mod kind;
mod parse;
#[cfg(test)]
mod tests;
mod words;

use std::cmp::Ordering;

use jiff::Timestamp;
use regex::Regex;
use serde_json::{Map, Value};

use crate::base::natural;

pub use kind::{Kind, kind};
pub use parse::FilterError;
pub use words::WRITERS;

/// A parsed filter; the empty one matches every row.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    terms: Vec<Term>,
}

/// `column=text`, or with `negate` `column!=text`; `text` is in lower case. `by_value`: it may equal cells that are written otherwise (`5` and
/// `5.0`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Equality<'a> {
    pub column: &'a str,
    pub text: &'a str,
    pub negate: bool,
    pub by_value: bool,
}

#[derive(Debug, Clone)]
struct Term {
    negate: bool,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    /// Lower case; anywhere in any column.
    Word(String),
    /// In any column.
    Any(Regex),
    Matches(String, Regex),
    Compare(String, Op, Operand),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Equal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// The right side, in every reading that makes sense; the cell decides which one counts.
#[derive(Debug, Clone)]
struct Operand {
    /// Lower case.
    text: String,
    number: Option<f64>,
    time: Option<Timestamp>,
    /// It is a day or a month, which ends here: a time equals it that is in it.
    until: Option<Timestamp>,
}

impl Filter {
    /// Parses `text` for a table with these columns. `now` anchors relative times.
    pub fn parse(text: &str, columns: &[&str], now: Timestamp) -> Result<Self, FilterError> {
        parse::filter(text, columns, now)
    }

    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The terms that compare a column with a value for equality: a source of rows may test some of them first, where it is faster.
    pub fn equalities(&self) -> impl Iterator<Item = Equality<'_>> {
        self.terms.iter().filter_map(|t| match &t.test {
            Test::Compare(column, Op::Equal, o) if !o.text.is_empty() => {
                Some(Equality { column, text: &o.text, negate: t.negate, by_value: o.number.is_some() || o.time.is_some() })
            }
            _ => None,
        })
    }

    /// Whether a row passes every term. A column that the row lacks is an empty cell.
    pub fn matches(&self, row: &Map<String, Value>) -> bool {
        self.terms.iter().all(|t| t.test.holds(row) != t.negate)
    }
}

impl Test {
    fn holds(&self, row: &Map<String, Value>) -> bool {
        match self {
            Self::Word(word) => row.values().any(|v| cell(v).to_lowercase().contains(word.as_str())),
            Self::Any(re) => row.values().any(|v| re.is_match(&cell(v))),
            Self::Matches(column, re) => row.get(column).is_some_and(|v| re.is_match(&cell(v))),
            Self::Compare(column, op, operand) => compare(row.get(column).unwrap_or(&Value::Null), *op, operand),
        }
    }
}

fn compare(value: &Value, op: Op, operand: &Operand) -> bool {
    let text = cell(value);
    if text.is_empty() || operand.text.is_empty() {
        // Nothing is neither before nor after anything.
        return op == Op::Equal && text.is_empty() && operand.text.is_empty();
    }
    if let (Op::Equal, Some(from), Some(until), Ok(at)) = (op, operand.time, operand.until, text.parse::<Timestamp>()) {
        return (from..until).contains(&at);
    }
    let order = match (value.as_f64().or_else(|| text.parse().ok()), operand.number, operand.time) {
        (Some(a), Some(b), _) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
        (_, _, Some(b)) if text.parse::<Timestamp>().is_ok() => text.parse::<Timestamp>().map_or(Ordering::Equal, |a| a.cmp(&b)),
        _ => {
            let lower = text.to_lowercase();
            if op == Op::Equal {
                return lower == operand.text;
            }
            natural::compare(&lower, &operand.text)
        }
    };
    match op {
        Op::Equal => order == Ordering::Equal,
        Op::Less => order == Ordering::Less,
        Op::LessEqual => order != Ordering::Greater,
        Op::Greater => order == Ordering::Greater,
        Op::GreaterEqual => order != Ordering::Less,
    }
}

/// A cell as text; null is empty.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

/// Orders two cells: empty ones last, numbers by value, texts naturally. Times in RFC 3339 UTC sort as texts.
pub fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x.as_f64().partial_cmp(&y.as_f64()).unwrap_or(Ordering::Equal),
        _ => {
            let (x, y) = (cell(a), cell(b));
            x.is_empty().cmp(&y.is_empty()).then_with(|| natural::compare(&x, &y))
        }
    }
}

/// As [`order`], or backwards; empty cells stay at the end in both directions.
pub fn order_column(a: &Value, b: &Value, backwards: bool) -> Ordering {
    let full = |v: &Value| !cell(v).is_empty();
    if backwards && full(a) && full(b) { order(b, a) } else { order(a, b) }
}
