//! Text to `Filter`, with the place of every error.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::temporal::Pieces;
use jiff::tz::TimeZone;
use regex::{Regex, RegexBuilder};

use super::{Filter, Kind, Op, Operand, Term, Test, kind};
use crate::base::duration::Span;
use crate::base::{size, suggest};

/// Why a text is no filter. `position` counts characters from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("filter, character {position}: {message}")]
pub struct FilterError {
    pub position: usize,
    pub message: String,
    pub help: String,
}

/// A compiled pattern may take this much; a longer one is a slip or an attack.
const REGEX_BYTES: usize = 1 << 20;

/// One character of a token: where it stood, and whether it was in quotes.
#[derive(Clone, Copy)]
struct Char {
    c: char,
    at: usize,
    quoted: bool,
}

pub(super) fn filter(text: &str, columns: &[&str], now: Timestamp) -> Result<Filter, FilterError> {
    let tokens = tokens(text)?;
    let terms = tokens.iter().map(|t| term(t, columns, now)).collect::<Result<_, _>>()?;
    Ok(Filter { terms })
}

fn error(at: usize, message: impl Into<String>, help: impl Into<String>) -> FilterError {
    FilterError { position: at + 1, message: message.into(), help: help.into() }
}

fn tokens(text: &str) -> Result<Vec<Vec<Char>>, FilterError> {
    let (mut out, mut token, mut open) = (Vec::new(), Vec::new(), None);
    let mut chars = text.chars().enumerate().peekable();
    let mut started = false;
    while let Some((at, c)) = chars.next() {
        match (c, open) {
            ('"', None) => {
                open = Some(at);
                started = true;
            }
            ('"', Some(_)) => open = None,
            ('\\', Some(_)) if chars.peek().is_some_and(|(_, n)| matches!(n, '"' | '\\')) => {
                if let Some((at, c)) = chars.next() {
                    token.push(Char { c, at, quoted: true });
                }
            }
            (c, None) if c.is_whitespace() => {
                if started {
                    out.push(std::mem::take(&mut token));
                    started = false;
                }
            }
            (c, _) => {
                token.push(Char { c, at, quoted: open.is_some() });
                started = true;
            }
        }
    }
    if let Some(at) = open {
        return Err(error(at, "this quote is never closed", "add a \" at the end of the value"));
    }
    if started {
        out.push(token);
    }
    Ok(out)
}

fn term(token: &[Char], columns: &[&str], now: Timestamp) -> Result<Term, FilterError> {
    let negate = token.first().is_some_and(|c| c.c == '!' && !c.quoted);
    let body = if negate { &token[1..] } else { token };
    let Some(first) = body.first() else {
        let at = token.first().map_or(0, |c| c.at);
        return if negate { Err(error(at, "nothing follows `!`", "write !word or !col=value")) } else { Ok(every()) };
    };
    if first.c == '~' && !first.quoted {
        return Ok(Term { negate, test: Test::Any(regex(&body[1..], first.at)?) });
    }
    let is_op = |i: usize| {
        let c = body[i];
        !c.quoted && (matches!(c.c, '=' | '<' | '>' | '~') || c.c == '!' && body.get(i + 1).is_some_and(|n| matches!(n.c, '=' | '~')))
    };
    let Some(i) = (0..body.len()).find(|i| is_op(*i)) else {
        return Ok(Term { negate, test: Test::Word(text_of(body).to_lowercase()) });
    };
    if i == 0 {
        return Err(error(first.at, format!("a column is missing before `{}`", first.c), columns_help(columns)));
    }
    let name = text_of(&body[..i]);
    let Some(column) = columns.iter().find(|c| c.eq_ignore_ascii_case(&name)) else {
        let help = match suggest::nearest(&name, columns.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("{}; to search for the text itself put it in quotes", columns_help(columns)),
        };
        return Err(error(first.at, format!("no column `{name}`"), help));
    };
    let second = body.get(i + 1).filter(|c| !c.quoted).map(|c| c.c);
    let (op, width, inner_negate) = match (body[i].c, second) {
        ('!', Some('~')) => (None, 2, true),
        ('!', _) => (Some(Op::Equal), 2, true),
        ('~', _) => (None, 1, false),
        ('=', Some('=')) => (Some(Op::Equal), 2, false),
        ('=', Some('~')) => (None, 2, false),
        ('<', Some('=')) => (Some(Op::LessEqual), 2, false),
        ('>', Some('=')) => (Some(Op::GreaterEqual), 2, false),
        ('<', _) => (Some(Op::Less), 1, false),
        ('>', _) => (Some(Op::Greater), 1, false),
        _ => (Some(Op::Equal), 1, false),
    };
    let value = &body[(i + width).min(body.len())..];
    let negate = negate != inner_negate;
    let Some(op) = op else {
        return Ok(Term { negate, test: Test::Matches((*column).to_owned(), regex(value, body[i].at)?) });
    };
    let kind = kind(column, columns);
    let operand = operand(kind, &text_of(value), now);
    if operand.text.is_empty() && op != Op::Equal {
        return Err(error(body[i].at, format!("a value is missing after `{}`", body[i].c), "only = and != compare with nothing"));
    }
    if let Some((what, help)) = misfit(kind, op, &operand) {
        return Err(error(value.first().map_or(body[i].at, |c| c.at), format!("`{}` is {what}", text_of(value)), help));
    }
    if let Kind::Word(words) = kind
        && op == Op::Equal
        && !operand.text.is_empty()
        && !words.iter().any(|w| w.eq_ignore_ascii_case(&operand.text))
    {
        // Of two letters, as in `L5`, any other word is as near.
        let near = suggest::nearest(&operand.text, words.iter().copied().filter(|w| !w.is_empty())).filter(|_| operand.text.len() > 2);
        let all = words.iter().filter(|w| !w.is_empty()).copied().collect::<Vec<_>>().join(" ");
        let help = near.map_or_else(|| format!("write one of: {all}"), |near| format!("did you mean `{near}`? There are: {all}"));
        return Err(error(value.first().map_or(body[i].at, |c| c.at), format!("no {column} is `{}`", text_of(value)), help));
    }
    Ok(Term { negate, test: Test::Compare((*column).to_owned(), op, operand) })
}

/// `""`: it is in every row.
fn every() -> Term {
    Term { negate: false, test: Test::Word(String::new()) }
}

fn text_of(chars: &[Char]) -> String {
    chars.iter().map(|c| c.c).collect()
}

fn columns_help(columns: &[&str]) -> String {
    format!("columns here: {}", columns.join(" "))
}

fn regex(chars: &[Char], operator_at: usize) -> Result<Regex, FilterError> {
    let Some(first) = chars.first() else {
        return Err(error(operator_at, "a pattern is missing after `~`", "write col~pattern"));
    };
    let pattern = text_of(chars);
    RegexBuilder::new(&pattern).case_insensitive(true).size_limit(REGEX_BYTES).build().map_err(|e| {
        let why = match e {
            regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
            e => e.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
        };
        error(first.at, format!("`{pattern}` is no regular expression: {why}"), "put a \\ before signs that are meant as themselves")
    })
}

/// What the right side of a comparison is not, and what to write; nothing where it fits.
fn misfit(kind: Kind, op: Op, operand: &Operand) -> Option<(&'static str, &'static str)> {
    const TIME: (&str, &str) = ("no time", "write -1h for an hour ago, a date (2026-11-26), or a time in RFC 3339 (2026-11-26T14:00Z)");
    let fits = match kind {
        _ if operand.text.is_empty() => true,
        // In a column of texts, what is before or after a moment was meant to be one.
        Kind::Text | Kind::Word(_) => op == Op::Equal || operand.time.is_some() || !is_near_time(&operand.text),
        Kind::Time => operand.time.is_some(),
        Kind::Truth => matches!(operand.text.as_str(), "true" | "false"),
        Kind::Number | Kind::Duration | Kind::Size => operand.number.is_some(),
    };
    (!fits).then_some(match kind {
        Kind::Text | Kind::Time | Kind::Word(_) => TIME,
        Kind::Truth => ("neither true nor false", ""),
        Kind::Number => ("no number", "write digits, such as 7; the signs are = != < <= > >="),
        Kind::Duration => ("not a duration, such as 90s or 5m", ""),
        Kind::Size => ("not a size, such as 200MiB", ""),
    })
}

fn operand(kind: Kind, text: &str, now: Timestamp) -> Operand {
    let number = text.parse::<f64>().ok().filter(|n| n.is_finite());
    let number = match kind {
        Kind::Duration => number.or_else(|| text.parse::<Span>().ok().map(|s| s.ms() as f64)),
        Kind::Size => number.or_else(|| size::parse(text).map(|b| b as f64)),
        _ => number,
    };
    let (time, until) = match (kind, time(text, now)) {
        (_, Some((from, until))) => (Some(from), until),
        (Kind::Time, None) => month(text).map_or((None, None), |(from, until)| (Some(from), Some(until))),
        _ => (None, None),
    };
    Operand { text: text.to_lowercase(), number, time, until }
}

const DAY: &str = "2026-11-26";

/// What a person writes who means a moment, and this language does not take for one: as a text it would be before or after every time,
/// or, without a zone, in whichever one the reader has in mind.
fn is_near_time(text: &str) -> bool {
    matches!(text, "now" | "today" | "yesterday" | "tomorrow")
        || text.trim_start_matches('+').parse::<Span>().is_ok_and(|_| text != "0")
        || text.contains(':') && (text.parse::<DateTime>().is_ok() || [text, &format!("0{text}")].iter().any(|t| t.parse::<Time>().is_ok()))
}

/// The moment, and of a day its end.
fn time(text: &str, now: Timestamp) -> Option<(Timestamp, Option<Timestamp>)> {
    if let Some(span) = text.strip_prefix('-') {
        let ms = i64::try_from(span.parse::<Span>().ok()?.ms()).ok()?;
        return Some((now.checked_sub(jiff::SignedDuration::from_millis(ms)).unwrap_or(Timestamp::MIN), None));
    }
    if let Ok(t) = text.parse::<Timestamp>() {
        return Some((t, None));
    }
    // A moment of the last hours of the year 9999, which no clock of ours shows: it comes after all of them.
    if Pieces::parse(text).is_ok_and(|p| p.date().year() == Date::MAX.year() && p.time().is_some() && p.to_numeric_offset().is_some()) {
        return Some((Timestamp::MAX, None));
    }
    // The text of a date may carry a time after it; without an offset that would be read as midnight.
    let date: Date = text.parse().ok().filter(|_| text.len() == DAY.len())?;
    Some((midnight(date), Some(day_after(date))))
}

/// `2026-11`: its first moment, and its end.
fn month(text: &str) -> Option<(Timestamp, Timestamp)> {
    let first: Date = format!("{text}-01").parse().ok().filter(|_| text.len() == "2026-11".len())?;
    Some((midnight(first), day_after(first.last_of_month())))
}

/// The last day of the year 9999 has no midnight that a clock of ours could show: it is the end of time.
fn midnight(date: Date) -> Timestamp {
    date.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |z| z.timestamp())
}

fn day_after(date: Date) -> Timestamp {
    date.tomorrow().map_or(Timestamp::MAX, midnight)
}
