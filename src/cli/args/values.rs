//! Values of flags as they are typed: numbers, pairs, attempts and levels, each refused in words.

use tracing_subscriber::EnvFilter;

/// Whole numbers from 0 on.
pub fn whole<N: std::str::FromStr>(text: &str) -> Result<N, String> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|_| digits)
        .ok_or_else(|| if digits { "it is too large" } else { "write a whole number, such as 20" }.to_owned())
}

pub fn within<const FROM: u16, const TO: u16>(text: &str) -> Result<u16, String> {
    whole(text).ok().filter(|n| (FROM..=TO).contains(n)).ok_or_else(|| format!("write a whole number from {FROM} to {TO}"))
}

pub fn year(text: &str) -> Result<i16, String> {
    whole(text).map_err(|_| "write a year, such as 2027".to_owned())
}

/// Which attempt of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    Number(u32),
    Last,
}

pub fn attempt(text: &str) -> Result<Attempt, String> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(Attempt::Number(n)),
        _ if text == "last" => Ok(Attempt::Last),
        _ => Err("write a number from 1, or `last`".into()),
    }
}

/// A bare word would be the name of a target, of which nothing is ever logged: a slip in a level would switch the log off.
pub fn level(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let bare = !text.contains(['=', ',', '[', ':']);
    // The whole language costs to read: most commands have one word.
    let wrong = if bare { !LEVELS.contains(&text.to_ascii_lowercase().as_str()) } else { EnvFilter::try_new(text).is_err() };
    if wrong {
        let near = crate::base::suggest::nearest(text, LEVELS).map(|l| format!("; did you mean `{l}`?")).unwrap_or_default();
        return Err(format!("write {}, or such as quarterdeck::engine=debug{near}", LEVELS.join(", ")));
    }
    Ok(text.to_owned())
}

pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((k, v)) if !k.is_empty() => Ok((k.to_owned(), v.to_owned())),
        _ => Err("write NAME=VALUE".into()),
    }
}
