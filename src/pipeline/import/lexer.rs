//! Groovy as declarative pipelines use it, cut into tokens: comments, the five kinds of strings with their interpolation, words, signs.
//!
//! Every byte is looked at a bounded number of times, and nesting inside strings has a limit: no input makes it slow or deep.

use super::source::{Bad, Source, Span};
use crate::pipeline::diagnostic::show;

/// Strings inside `${…}` inside strings.
const MAX_NEST: usize = 16;

/// A part of a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    /// What stands in `${…}`, or behind `$`.
    Expr(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tok {
    Word(String),
    Number(String),
    Str(Vec<Piece>),
    /// Punctuation; two characters only where they mean something else than one after the other.
    Op(&'static str),
    Newline,
    End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub tok: Tok,
    pub span: Span,
}

/// A comment without its marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    pub span: Span,
    pub text: String,
}

#[derive(Debug)]
pub struct Lexed {
    pub tokens: Vec<Token>,
    pub comments: Vec<Comment>,
}

const DOUBLE: [&str; 12] = ["==", "!=", "&&", "||", "->", "?:", "?.", "=~", "<=", ">=", "+=", "::"];
const SINGLE: [&str; 25] =
    ["(", ")", "[", "]", "{", "}", ",", ";", ":", ".", "=", "!", "?", "+", "-", "*", "/", "%", "<", ">", "&", "|", "~", "@", "^"];

struct Lexer<'s> {
    text: &'s str,
    bytes: &'s [u8],
    at: usize,
    tokens: Vec<Token>,
    comments: Vec<Comment>,
}

/// Cuts a source into tokens. The last one is `End`.
pub fn lex(source: &Source) -> Result<Lexed, Bad> {
    lex_text(&source.text)
}

/// As [`lex`], of a piece of text, such as what stands in `${…}`.
pub fn lex_text(text: &str) -> Result<Lexed, Bad> {
    let mut l = Lexer { text, bytes: text.as_bytes(), at: 0, tokens: Vec::new(), comments: Vec::new() };
    if text.starts_with("#!") {
        l.line_comment(2);
    }
    while l.token()? {}
    let end = text.len();
    l.tokens.push(Token { tok: Tok::End, span: end..end });
    Ok(Lexed { tokens: l.tokens, comments: l.comments })
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn push(&mut self, tok: Tok, start: usize) {
        self.tokens.push(Token { tok, span: start..self.at });
    }

    fn line_comment(&mut self, marks: usize) {
        let start = self.at;
        let end = memchr::memchr(b'\n', &self.bytes[start..]).map_or(self.bytes.len(), |n| start + n);
        self.at = end;
        let text = self.text[(start + marks).min(end)..end].trim().to_owned();
        self.comments.push(Comment { span: start..end, text });
    }

    /// One token or blank; false at the end.
    fn token(&mut self) -> Result<bool, Bad> {
        let start = self.at;
        if start >= self.bytes.len() {
            return Ok(false);
        }
        let c = self.bytes[start];
        match c {
            b'\n' => {
                self.at += 1;
                self.push(Tok::Newline, start);
            }
            // A backslash at the end of a line joins it with the next.
            b'\\' if self.peek(1) == b'\n' => self.at += 2,
            b' ' | b'\t' | b'\r' | 0x0c => self.at += 1,
            b'/' if self.peek(1) == b'/' => self.line_comment(2),
            b'/' if self.peek(1) == b'*' => {
                let Some(len) = self.text[start + 2..].find("*/") else {
                    return Err(Bad::syntax(start..start + 2, "this comment never ends", "close it with `*/`"));
                };
                self.at = start + 2 + len + 2;
                let text = self.text[start + 2..self.at - 2].trim_matches('*').trim().to_owned();
                self.comments.push(Comment { span: start..self.at, text });
            }
            b'\'' | b'"' => self.quoted(start, c)?,
            b'$' if self.peek(1) == b'/' => self.dollar_slashy(start)?,
            b'/' if self.slashy_may_begin() && self.slashy(start) => {}
            b'0'..=b'9' => {
                while self.peek(0).is_ascii_alphanumeric()
                    || self.peek(0) == b'_'
                    || (self.peek(0) == b'.' && self.peek(1).is_ascii_digit())
                {
                    self.at += 1;
                }
                self.push(Tok::Number(self.text[start..self.at].to_owned()), start);
            }
            _ if word_byte(c) => {
                while word_byte(self.peek(0)) || self.peek(0).is_ascii_digit() {
                    self.at += 1;
                }
                self.push(Tok::Word(self.text[start..self.at].to_owned()), start);
            }
            _ => {
                let rest = &self.bytes[start..];
                let op = DOUBLE.iter().chain(&SINGLE).find(|op| rest.starts_with(op.as_bytes()));
                let Some(op) = op else {
                    let c = self.text[start..].chars().next().unwrap_or(' ');
                    let end = start + c.len_utf8();
                    return Err(Bad::syntax(
                        start..end,
                        format!("`{}` cannot stand here", show(&c.to_string())),
                        "is a quote missing before it?",
                    ));
                };
                self.at += op.len();
                self.push(Tok::Op(op), start);
            }
        }
        Ok(true)
    }

    /// Whether a `/` here begins a string and is no division.
    fn slashy_may_begin(&self) -> bool {
        let blank_after = matches!(self.peek(1), b' ' | b'\t' | b'\n' | b'=');
        match self.tokens.last().map(|t| &t.tok) {
            None | Some(Tok::Newline) => true,
            Some(Tok::Op(op)) => !matches!(*op, ")" | "]" | "}"),
            Some(Tok::Word(_)) => !blank_after && self.at > 0 && matches!(self.bytes[self.at - 1], b' ' | b'\t'),
            _ => false,
        }
    }

    /// `/…/` on one line; false where it is not closed there, and so no string.
    fn slashy(&mut self, start: usize) -> bool {
        let mut i = start + 1;
        let mut pieces = Pieces::default();
        loop {
            match self.bytes.get(i) {
                None | Some(b'\n') => return false,
                Some(b'/') => break,
                Some(b'\\') if self.bytes.get(i + 1) == Some(&b'/') => {
                    pieces.push('/');
                    i += 2;
                }
                Some(b'$') => match interpolation(self.text, i, 0) {
                    Ok(Some((expr, end))) => {
                        pieces.expr(expr);
                        i = end;
                    }
                    Ok(None) => {
                        pieces.push('$');
                        i += 1;
                    }
                    Err(_) => return false,
                },
                Some(_) => i += pieces.copy(self.text, i),
            }
        }
        self.at = i + 1;
        self.push(Tok::Str(pieces.done()), start);
        true
    }

    fn dollar_slashy(&mut self, start: usize) -> Result<(), Bad> {
        let mut i = start + 2;
        let mut pieces = Pieces::default();
        loop {
            match (self.bytes.get(i), self.bytes.get(i + 1)) {
                (None, _) => return Err(Bad::syntax(start..start + 2, "this string never ends", "close it with `/$`")),
                (Some(b'/'), Some(b'$')) => break,
                (Some(b'$'), Some(c @ (b'$' | b'/'))) => {
                    pieces.push(char::from(*c));
                    i += 2;
                }
                (Some(b'$'), _) => i = pieces.dollar(self.text, i)?,
                _ => i += pieces.copy(self.text, i),
            }
        }
        self.at = i + 2;
        self.push(Tok::Str(pieces.done()), start);
        Ok(())
    }

    fn quoted(&mut self, start: usize, quote: u8) -> Result<(), Bad> {
        let triple = self.peek(1) == quote && self.peek(2) == quote;
        let mark = if triple { 3 } else { 1 };
        let mut pieces = Pieces::default();
        let mut i = start + mark;
        let never = |at: usize| {
            let q = char::from(quote).to_string().repeat(mark);
            Bad::syntax(start..at, "this string never ends", format!("close it with `{q}`"))
        };
        loop {
            let Some(&c) = self.bytes.get(i) else { return Err(never(start + mark)) };
            if c == quote && (!triple || (self.bytes.get(i + 1) == Some(&quote) && self.bytes.get(i + 2) == Some(&quote))) {
                break;
            }
            match c {
                b'\n' if !triple => return Err(never(i)),
                b'\\' => i += escape(&mut pieces, self.text, i),
                b'$' if quote == b'"' => i = pieces.dollar(self.text, i)?,
                _ => i += pieces.copy(self.text, i),
            }
        }
        self.at = i + mark;
        self.push(Tok::Str(pieces.done()), start);
        Ok(())
    }
}

fn word_byte(c: u8) -> bool {
    c.is_ascii_alphabetic() || c == b'_' || c == b'$' || c >= 0x80
}

#[derive(Default)]
struct Pieces {
    done: Vec<Piece>,
    text: String,
}

impl Pieces {
    fn push(&mut self, c: char) {
        self.text.push(c);
    }

    /// What begins with the `$` at `at`, an interpolation or only the sign; where it ends.
    fn dollar(&mut self, text: &str, at: usize) -> Result<usize, Bad> {
        match interpolation(text, at, 0)? {
            Some((expr, end)) => {
                self.expr(expr);
                Ok(end)
            }
            None => {
                self.push('$');
                Ok(at + 1)
            }
        }
    }

    /// Copies one character; its length.
    fn copy(&mut self, text: &str, at: usize) -> usize {
        match text.get(at..).and_then(|t| t.chars().next()) {
            Some(c) => {
                self.text.push(c);
                c.len_utf8()
            }
            None => 1,
        }
    }

    fn expr(&mut self, expr: String) {
        if !self.text.is_empty() {
            self.done.push(Piece::Text(std::mem::take(&mut self.text)));
        }
        self.done.push(Piece::Expr(expr));
    }

    fn done(mut self) -> Vec<Piece> {
        if !self.text.is_empty() || self.done.is_empty() {
            self.done.push(Piece::Text(self.text));
        }
        self.done
    }
}

/// The escape at `at`; bytes taken. What Groovy does not know stays as it is.
fn escape(pieces: &mut Pieces, text: &str, at: usize) -> usize {
    let Some(c) = text.get(at + 1..).and_then(|t| t.chars().next()) else {
        pieces.push('\\');
        return 1;
    };
    let plain = match c {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        '\\' | '\'' | '"' | '$' => c,
        // The line goes on.
        '\n' => return 2,
        'u' => {
            let digits = text.get(at + 2..at + 6);
            match digits.and_then(|d| u32::from_str_radix(d, 16).ok()).and_then(char::from_u32) {
                Some(c) => {
                    pieces.push(c);
                    return 6;
                }
                None => {
                    pieces.push('\\');
                    return 1;
                }
            }
        }
        _ => {
            pieces.push('\\');
            return 1;
        }
    };
    pieces.push(plain);
    1 + c.len_utf8()
}

/// `${…}` or `$name.name` at the dollar `at`: what is inside and where it ends; `None` for a dollar that is only that.
fn interpolation(text: &str, at: usize, nest: usize) -> Result<Option<(String, usize)>, Bad> {
    let bytes = text.as_bytes();
    let next = bytes.get(at + 1).copied().unwrap_or(0);
    if next == b'{' {
        let end = closing_brace(text, at + 1, nest)?;
        return Ok(Some((text[at + 2..end].trim().to_owned(), end + 1)));
    }
    if !(next.is_ascii_alphabetic() || next == b'_') {
        return Ok(None);
    }
    let mut i = at + 1;
    loop {
        while bytes.get(i).is_some_and(|c| c.is_ascii_alphanumeric() || *c == b'_') {
            i += 1;
        }
        if bytes.get(i) == Some(&b'.') && bytes.get(i + 1).is_some_and(|c| c.is_ascii_alphabetic() || *c == b'_') {
            i += 1;
        } else {
            break;
        }
    }
    Ok(Some((text[at + 1..i].to_owned(), i)))
}

/// The brace that closes the one at `open`, with strings inside it skipped.
fn closing_brace(text: &str, open: usize, nest: usize) -> Result<usize, Bad> {
    if nest >= MAX_NEST {
        return Err(Bad::limit(open..open + 1, format!("strings are nested more than {MAX_NEST} deep here")));
    }
    let bytes = text.as_bytes();
    let (mut i, mut depth) = (open + 1, 1usize);
    while let Some(&c) = bytes.get(i) {
        match c {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Ok(i);
                }
            }
            b'\'' | b'"' => {
                i = skip_string(text, i, nest)?;
                continue;
            }
            _ => {}
        }
        i += 1;
    }
    Err(Bad::syntax(open.saturating_sub(1)..open + 1, "`${` is never closed", "close it with `}`; a plain dollar is written `\\$`"))
}

/// The end of the string that begins at `start`.
fn skip_string(text: &str, start: usize, nest: usize) -> Result<usize, Bad> {
    let bytes = text.as_bytes();
    let quote = bytes[start];
    let triple = bytes.get(start + 1) == Some(&quote) && bytes.get(start + 2) == Some(&quote);
    let mark = if triple { 3 } else { 1 };
    let mut i = start + mark;
    while let Some(&c) = bytes.get(i) {
        if c == quote && (!triple || (bytes.get(i + 1) == Some(&quote) && bytes.get(i + 2) == Some(&quote))) {
            return Ok(i + mark);
        }
        match c {
            b'\\' => i += 2,
            b'$' if quote == b'"' && bytes.get(i + 1) == Some(&b'{') => i = closing_brace(text, i + 1, nest + 1)? + 1,
            _ => i += 1,
        }
    }
    Err(Bad::syntax(start..start + mark, "this string never ends", "close it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strs(text: &str) -> Vec<Vec<Piece>> {
        let lexed = lex_text(text).unwrap();
        lexed.tokens.into_iter().filter_map(|t| if let Tok::Str(p) = t.tok { Some(p) } else { None }).collect()
    }

    fn text(s: &str) -> Piece {
        Piece::Text(s.into())
    }

    #[test]
    fn the_five_kinds_of_strings() {
        assert_eq!(strs(r"'a\'b$x\n'"), [[text("a'b$x\n")]]);
        assert_eq!(
            strs(r#""a${x.y}b$z.w\$q""#),
            [[text("a"), Piece::Expr("x.y".into()), text("b"), Piece::Expr("z.w".into()), text("$q")]]
        );
        assert_eq!(strs("'''a'b\n''c'''"), [[text("a'b\n''c")]]);
        assert_eq!(strs("\"\"\"a\"${f(\"}\")}\"\"\""), [[text("a\""), Piece::Expr("f(\"}\")".into())]]);
        assert_eq!(strs(r"x = /a\/b\d/"), [[text(r"a/b\d")]]);
        assert_eq!(strs("x = $/a$$b$/c/d/$"), [[text("a$b/c/d")]]);
        assert_eq!(strs("''"), [[text("")]]);
        assert_eq!(strs("'''a\\\n  b'''"), [[text("a  b")]]);
    }

    #[test]
    fn a_division_is_no_string_and_comments_are_kept() {
        let lexed = lex_text("a = b / c // note\n/* two\n lines */ x").unwrap();
        assert!(lexed.tokens.iter().any(|t| t.tok == Tok::Op("/")));
        assert_eq!(lexed.comments.iter().map(|c| c.text.as_str()).collect::<Vec<_>>(), ["note", "two\n lines"]);
    }

    #[test]
    fn what_never_ends_is_said_with_its_place() {
        for (text, at, what) in [
            ("sh 'abc\n'", 3, "this string never ends"),
            ("x '''abc", 2, "this string never ends"),
            ("/* abc", 0, "this comment never ends"),
            ("\"${a ", 1, "`${` is never closed"),
            ("x = $/a", 4, "this string never ends"),
            ("a # b", 2, "`#` cannot stand here"),
        ] {
            let bad = lex_text(text).unwrap_err();
            assert!(bad.message.contains(what) || bad.message.contains("never"), "{text}: {bad:?}");
            assert_eq!(bad.span.start, at, "{text}: {bad:?}");
        }
        assert_eq!(lex_text(&"\"${".repeat(100_000)).unwrap_err().code, "import.limit");
    }
}
