//! What keeps a text from being TOML, in our words: what it is, and what to do. The parser says where. Pure.

use std::ops::Range;

/// Message and help for one of the parser's complaints. A value is never repeated: it may be a secret.
pub(super) fn told(text: &str, span: &Range<usize>, info: &str) -> (String, String) {
    let start = text.get(..span.start).map_or(0, |before| before.rfind('\n').map_or(0, |i| i + 1));
    let line = text[start..].lines().next().unwrap_or("");
    let at = text.get(span.start..).unwrap_or("");
    let first = at.chars().next().unwrap_or('\n');
    let word = at.split(|c: char| c.is_whitespace() || c == ',').next().unwrap_or("");
    let says = |what: &str| info.contains(what);
    let known: Option<(&str, &str)> = if ["<<<<<<<", "=======", ">>>>>>>"].iter().any(|m| line.starts_with(m)) {
        Some(("a conflict of a merge was left in the file", "keep one side, and take out the lines `<<<<<<<`, `=======` and `>>>>>>>`"))
    } else if says("invalid unquoted key") || says("invalid key-value pair") {
        match first {
            ':' => Some(("a key ends with `=` here, not with `:`", "write NAME = value")),
            '/' => Some(("this is no key", "a comment begins with `#`")),
            '{' => Some(("this is no line of TOML; is it JSON?", "write NAME = value, one a line")),
            c if c.is_whitespace() => Some(("this blank is of another kind", "type it anew; copied text often has other ones")),
            _ => Some(("a key has letters, digits, `-` and `_`", "another one needs quotes; look for signs that do not belong here")),
        }
    } else if says("string values must be quoted") || says("invalid boolean") {
        match word.trim_end_matches(';').to_ascii_lowercase().as_str() {
            "" => Some(("a value is missing behind `=`", "write one, or take the line out")),
            "true" | "false" if word.ends_with(';') => Some(("no `;` ends a line here", "take it out")),
            "true" | "false" | "yes" | "no" | "on" | "off" => {
                Some(("this is neither true nor false as TOML writes them", "write true or false, in lower case and without quotes"))
            }
            _ if first == '[' || says("boolean") => None,
            _ if matches!(first, '“' | '”' | '„' | '‘' | '’' | '«' | '»') => {
                Some(("this is no quote of TOML", "write `\"` or `'`"))
            }
            _ => Some(("a text stands here without quotes", "write \"…\" around it")),
        }
    } else if says("invalid basic string, expected `\"`") || says("invalid literal string, expected `'`") {
        Some(("this text is not closed", "close it on the same line with the quote that it began with"))
    } else if says("invalid comment character") || says("visible characters") {
        Some(("a control character stands here", "take it out; in double quotes `\\u001b` writes one"))
    } else if says("unclosed table") {
        Some(("the name of a table is not closed", "close it with `]`, or with `]]` where it began with `[[`"))
    } else if says("missing comma") {
        let key = line.split_once('=').is_some_and(|(name, _)| !name.contains(['[', '"', '\'']));
        let above = key && start + line.len() - line.trim_start().len() == span.start;
        Some(if above {
            ("the list above is not closed", "close it with `]`")
        } else {
            ("a comma is missing before this", "add it, or close the list")
        })
    } else if says("missing escaped value") {
        Some(("this backslash begins no escape", "single quotes keep backslashes as they are: '\\d+'"))
    } else if says("unicode hexadecimal") {
        Some(("this escape is no whole character", "write the character itself, or its code, such as \\U0001F600"))
    } else if says("leading zero") {
        Some(("a number begins with no zero", "take it out; what only looks like a number needs quotes"))
    } else if says("carriage return") {
        Some(("a carriage return (CR) without a line feed (LF) stands here", "save the file with line ends of LF, or of CRLF"))
    } else if says("expected newline") {
        Some(("something follows the value", "begin another line for it; a comment begins with `#`"))
    } else if says("key with no value") {
        Some(("a key without a value", "write NAME = value"))
    } else if says("duplicate key") {
        let message = match earlier(text, start, line) {
            Some(n) => format!("this stands here a second time; the first is on line {n}"),
            None => "this stands here a second time".to_owned(),
        };
        return (message, "keep one of the two, with what both hold".to_owned());
    } else {
        None
    };
    match known {
        Some((message, help)) => (format!("this is not TOML: {message}"), help.to_owned()),
        None => (format!("this is not TOML: {}", info.lines().collect::<Vec<_>>().join("; ")), String::new()),
    }
}

/// The line that says the same before this one: the same header, or the same key below the same header.
fn earlier(text: &str, start: usize, line: &str) -> Option<usize> {
    let key = |l: &str| l.split(['=', '#']).next().unwrap_or("").trim().to_owned();
    let before: Vec<&str> = text[..start].lines().collect();
    let header = line.trim_start().starts_with('[');
    let from = if header { 0 } else { before.iter().rposition(|l| l.trim_start().starts_with('[')).map_or(0, |i| i + 1) };
    before[from..].iter().position(|l| key(l) == key(line)).map(|i| from + i + 1)
}
