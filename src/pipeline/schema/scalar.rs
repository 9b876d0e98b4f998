//! Single values: whether a text is of a type, and if not, what was probably meant.

use jiff::civil;

use super::ty::Ty;
use crate::base::duration::Span;
use crate::base::{size, suggest};
use crate::domain::level::Level;
use crate::domain::run::valid_name;
use crate::pipeline::diagnostic::show;
use crate::pipeline::plan::RetryOn;

/// What is wrong with a value: a code, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    pub code: &'static str,
    pub message: String,
    pub help: String,
}

fn wrong(message: impl Into<String>, help: impl Into<String>) -> Wrong {
    Wrong { code: "schema.value", message: message.into(), help: help.into() }
}

/// Checks the text of a single value against its type. Types with parts (lists, mappings) accept nothing here.
pub fn scalar(ty: &Ty, text: &str) -> Result<(), Wrong> {
    let seen = show(text);
    match ty {
        Ty::Text | Ty::Template | Ty::Expr | Ty::Any => Ok(()),
        Ty::Script if text.trim().is_empty() => Err(wrong("the script is empty", "write the commands behind `run: |`")),
        Ty::Script => Ok(()),
        Ty::Line => line(text),
        Ty::Regex => regex_of(text).map(drop).map_err(|e| {
            wrong(format!("not a regular expression: {}", last_line(&e)), "backslashes need single quotes or none: '^CHG[0-9]{7}$'")
        }),
        Ty::Search => search(text)
            .map(drop)
            .map_err(|why| wrong(format!("not a regular expression for a log: {why}"), "single quotes keep backslashes: '^E\\d+: '")),
        Ty::Name => name(text),
        Ty::Variable | Ty::EnvName | Ty::MatrixKey => variable(ty, text)
            .map_err(|why| wrong(format!("`{seen}` cannot be a variable: {why}"), "use letters, digits and `_`, such as `release_ver`")),
        Ty::Bool => flag(text),
        Ty::Int { min, max } => whole(text, *min, *max),
        Ty::Number { min, max } => match text.parse::<f64>() {
            Ok(n) if n.is_finite() && n >= *min && n <= *max => Ok(()),
            Ok(_) => Err(wrong(format!("`{seen}` is out of range"), format!("write a number from {min} to {max}"))),
            Err(_) => Err(wrong(format!("`{seen}` is not a number"), "write a number such as 2 or 1.5")),
        },
        Ty::Duration { zero } => duration(text, *zero),
        Ty::Size => match size::parse(text) {
            Some(n) if n >= 64 << 10 => Ok(()),
            Some(_) => Err(wrong(format!("`{seen}` is too small"), "the least is 64KiB")),
            None => Err(wrong(format!("`{seen}` is not a size"), "write it like 200MiB")),
        },
        Ty::Level => text.parse::<Level>().map(drop).map_err(|()| {
            wrong(format!("`{seen}` is not a danger level"), "write L0 (reads), L1, L2 (type the name) or L3 (second person)")
        }),
        Ty::Cron => crate::pipeline::schedule::cron(text, "").map(drop).map_err(|why| Wrong {
            code: "schedule.cron",
            message: format!("`{seen}` is not a cron pattern: {why}"),
            help: "five fields: minute hour day month weekday, such as `30 1 * * *`".into(),
        }),
        Ty::Zone => crate::pipeline::schedule::zone(text).map(drop).map_err(|near| Wrong {
            code: "schedule.zone",
            message: format!("`{seen}` is not a time zone"),
            help: near.map_or_else(|| "write one such as Europe/Berlin or UTC".to_owned(), |n| format!("did you mean `{n}`?")),
        }),
        Ty::Moment => moment(text).map(drop).map_err(|why| Wrong {
            code: "schedule.anchor",
            message: format!("`{seen}` is not a moment: {why}"),
            help: "write local date and time: 2026-01-05 03:30".into(),
        }),
        Ty::RetryOn => retry_on(text)
            .map(drop)
            .ok_or_else(|| wrong(format!("`{seen}` is no reason for a retry"), "write `exit 75`, failure, timeout, stall or lost")),
        Ty::Word { words, later } => word(text, words, later),
        Ty::Either(t, _) | Ty::OneOrMore(t) => scalar(t, text),
        Ty::List(_) | Ty::Map(_) => Err(wrong("a single value cannot stand here", "")),
    }
}

fn line(text: &str) -> Result<(), Wrong> {
    if text.trim().is_empty() {
        return Err(wrong("this must not be empty", "write a value, or leave the key out"));
    }
    if text.contains('\n') {
        return Err(wrong("this must be a single line", "write it on one line"));
    }
    if text.len() > 1_000 {
        return Err(wrong(format!("this has {} bytes, the limit is 1000", text.len()), "shorten it"));
    }
    Ok(())
}

fn name(text: &str) -> Result<(), Wrong> {
    if valid_name(text) {
        return Ok(());
    }
    let seen = show(text);
    if text.starts_with("content:") {
        return Err(wrong(format!("`{seen}` is the lock of a content set"), "say `reads` or `writes` of the set: the lock is implied"));
    }
    let fixed: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' })
        .take(64)
        .collect();
    let help = match valid_name(&fixed) {
        true => format!("write `{fixed}`"),
        false => "use a-z, 0-9, `.`, `_`, `-`; begin with a letter or digit".to_owned(),
    };
    Err(wrong(format!("`{seen}` is not a name: a-z, 0-9, `.`, `_`, `-`, at most 64 characters"), help))
}

fn flag(text: &str) -> Result<(), Wrong> {
    let help = match text.to_lowercase().as_str() {
        _ if matches!(text, "true" | "false") => return Ok(()),
        "yes" | "on" | "y" | "1" | "true" => "write `true`",
        "no" | "off" | "n" | "0" | "false" => "write `false`",
        _ => "write `true` or `false`",
    };
    Err(wrong(format!("`{}` is neither true nor false", show(text)), help))
}

fn whole(text: &str, min: i64, max: i64) -> Result<(), Wrong> {
    let Some(n) = integer(text) else {
        return Err(wrong(format!("`{}` is not a whole number", show(text)), "write digits only, without a leading zero"));
    };
    if (min..=max).contains(&n) {
        return Ok(());
    }
    let range = match (min, max) {
        (min, i64::MAX) => format!("a number, at least {min}"),
        (min, max) if min == max => format!("{min}"),
        (min, max) => format!("a number from {min} to {max}"),
    };
    Err(wrong(format!("{n} is out of range"), format!("write {range}")))
}

fn duration(text: &str, zero: bool) -> Result<(), Wrong> {
    let seen = show(text);
    match text.parse::<Span>() {
        Ok(s) if s.ms() == 0 && !zero => Err(wrong("a duration of nothing", "write one such as 90s, or leave the key out")),
        Ok(s) if s.ms() > 3_660 * 86_400_000 => Err(wrong(format!("`{seen}` is longer than ten years"), "is a unit wrong?")),
        Ok(_) => Ok(()),
        Err(e) => {
            let help = if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
                format!("add the unit: `{seen}s` or `{seen}m`")
            } else if text.contains(':') {
                "durations carry units, not colons: 1h30m".to_owned()
            } else {
                "write it like 90s, 15m, 1h30m or 15d".to_owned()
            };
            Err(wrong(format!("`{seen}` is not a duration: {}", e.why), help))
        }
    }
}

/// `words` are those that there are, `later` those that a later version brings.
fn word(text: &str, words: &[(&str, &str)], later: &[(&str, &str)]) -> Result<(), Wrong> {
    let seen = show(text);
    if words.iter().any(|(w, _)| *w == text) {
        return Ok(());
    }
    if let Some((_, what)) = later.iter().find(|(w, _)| *w == text) {
        return Err(Wrong {
            code: "schema.later",
            message: format!("this version has no {what} yet: `{seen}`"),
            help: "a later version brings it; leave it out until then".into(),
        });
    }
    let all: Vec<&str> = words.iter().map(|(w, _)| *w).collect();
    let help = suggest::meant(text, all.iter().copied(), format!("write {}", all.join(" or ")));
    Err(wrong(format!("`{seen}` is none of {}", all.join(", ")), help))
}

/// What the library says at the end of its picture of a pattern.
fn last_line(e: &regex::Error) -> String {
    let text = e.to_string();
    show(text.lines().last().unwrap_or("").trim_start_matches("error: "))
}

/// Only the canonical form is a number: `010` and `+1` are texts.
pub(crate) fn integer(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|n| n.to_string() == text)
}

/// The anchored form of a `pattern`.
pub(crate) fn regex_of(pattern: &str) -> Result<regex::Regex, regex::Error> {
    regex::RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(1 << 20).build()
}

/// Expressions for lines of logs of one list.
pub const MAX_SEARCHES: usize = 50;
/// Bytes of one, and of what it compiles to: a log of gigabytes is searched with all of them at once.
const MAX_SEARCH: usize = 500;
const MAX_COMPILED: usize = 128 << 10;

/// An expression for lines of logs; the error is a sentence.
pub fn search(text: &str) -> Result<regex::bytes::Regex, String> {
    if text.trim().is_empty() {
        return Err("it is empty".into());
    }
    if text.len() > MAX_SEARCH {
        return Err(format!("it has {} bytes, the limit is {MAX_SEARCH}", text.len()));
    }
    let built = regex::bytes::RegexBuilder::new(text).crlf(true).multi_line(true).size_limit(MAX_COMPILED).build();
    let re = built.map_err(|e| last_line(&e))?;
    if re.is_match(b"") {
        return Err("it matches every line".into());
    }
    Ok(re)
}

/// A date with or without time.
pub fn moment(text: &str) -> Result<civil::DateTime, String> {
    let parsed = match text.trim().split_once([' ', 'T']) {
        Some((date, time)) => date.parse::<civil::Date>().and_then(|d| time.trim().parse::<civil::Time>().map(|t| d.to_datetime(t))),
        None => text.trim().parse::<civil::Date>().map(|d| d.at(0, 0, 0, 0)),
    };
    match parsed {
        Ok(dt) if (1970..=2200).contains(&dt.year()) => Ok(dt),
        Ok(_) => Err("the year must be from 1970 to 2200".into()),
        Err(_) if text.ends_with('Z') || text.contains('+') => Err("it carries an offset; the zone belongs into `timezone:`".into()),
        Err(_) => {
            let digits: Vec<i32> = text.split(|c: char| !c.is_ascii_digit()).filter_map(|p| p.parse().ok()).collect();
            Err(match digits.as_slice() {
                [_, m, ..] if !(1..=12).contains(m) => "there is no such month".into(),
                [_, _, _, ..] => "there is no such day or time".into(),
                _ => "date and time are missing".into(),
            })
        }
    }
}

/// `exit N` and the words.
pub fn retry_on(text: &str) -> Option<RetryOn> {
    match text.trim() {
        "failure" => Some(RetryOn::Failure),
        "timeout" => Some(RetryOn::Timeout),
        "stall" => Some(RetryOn::Stall),
        "lost" => Some(RetryOn::Lost),
        other => {
            let code = integer(other.strip_prefix("exit")?.trim())?;
            (1..=255).contains(&code).then_some(RetryOn::Exit(code as i32))
        }
    }
}

/// Whether a name can be a variable of a step's environment without harm.
fn variable(ty: &Ty, name: &str) -> Result<(), &'static str> {
    const TAKEN: [&str; 14] = [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "IFS",
        "ENV",
        "BASH_ENV",
        "PWD",
        "TMPDIR",
        "PS4",
        "SHELLOPTS",
        "BASHOPTS",
        "GCONV_PATH",
    ];
    if name.is_empty() || name.len() > 64 {
        return Err("it must have 1 to 64 characters");
    }
    if name.as_bytes()[0].is_ascii_digit() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err("only letters, digits and `_`, and no digit first");
    }
    let ours = name.to_ascii_uppercase().starts_with("QD_") || name.starts_with("matrix_") || name.starts_with("approve_");
    match ty {
        Ty::MatrixKey => Ok(()),
        _ if ours => Err("QD_, matrix_ and approve_ are ours"),
        // Whoever starts a run chooses its parameters; the author of the file chooses `env:`.
        Ty::Variable if TAKEN.contains(&name) || name.starts_with("LD_") => Err("the system gives it a meaning of its own"),
        _ => Ok(()),
    }
}
