//! Text to expression: a hand-written descent with a place in every error.

use std::ops::Range;

use super::{Bad, Expr, Kind, Path, Segment, Value, Word};
use crate::pipeline::diagnostic::show;

/// Longer expressions are refused; it also bounds the depth of every tree.
pub const MAX_BYTES: usize = 2_000;
const MAX_DEPTH: u32 = 64;

/// Parses a whole `when:`.
pub fn parse(text: &str) -> Result<Expr, Bad> {
    if text.len() > MAX_BYTES {
        return Err(Bad::new(
            0..text.len(),
            format!("the expression has {} bytes, the limit is {MAX_BYTES}", text.len()),
            "let a step decide and give an output",
        ));
    }
    let mut p = P { text, at: 0, depth: 0 };
    let e = p.or()?;
    p.end()?;
    Ok(e)
}

/// Parses the inside of `${…}`; `offset` is its place in the whole text, for errors.
pub(super) fn parse_path(text: &str, offset: usize) -> Result<Path, Bad> {
    let shift = |b: Bad| Bad { span: b.span.start + offset..b.span.end + offset, ..b };
    if text.len() > MAX_BYTES {
        return Err(shift(Bad::new(0..text.len(), "the name is too long", "")));
    }
    let mut p = P { text, at: 0, depth: 0 };
    p.blanks();
    let path = p.path().and_then(|path| p.end().map(|()| path));
    path.map_err(shift)
}

struct P<'t> {
    text: &'t str,
    at: usize,
    depth: u32,
}

impl P<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn peek(&mut self) -> Option<char> {
        self.blanks();
        self.rest().chars().next()
    }

    /// The word at the cursor, without taking it.
    fn word(&mut self) -> &str {
        self.blanks();
        let rest = self.rest();
        &rest[..rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')).count()]
    }

    fn take_word(&mut self, word: &str) -> bool {
        let hit = self.word() == word && !self.rest()[word.len()..].starts_with(['.', '[']);
        if hit {
            self.at += word.len();
        }
        hit
    }

    fn take(&mut self, sign: &str) -> bool {
        self.blanks();
        let hit = self.rest().starts_with(sign);
        if hit {
            self.at += sign.len();
        }
        hit
    }

    fn here(&self) -> Range<usize> {
        let next = self.rest().chars().next().map_or(0, char::len_utf8);
        self.at..self.at + next
    }

    fn end(&mut self) -> Result<(), Bad> {
        let Some(c) = self.peek() else { return Ok(()) };
        let span = self.here();
        let (message, help) = match c {
            '&' | '|' | '!' => (format!("`{c}` is no operator here"), "write `and`, `or`, `not`"),
            '=' => ("a single `=` compares nothing".to_owned(), "write `==`"),
            '<' | '>' | '+' | '*' | '/' | '?' => (
                format!("`{c}` is not part of this language"),
                "there is `==`, `!=`, `and`, `or`, `not`; let a step compute more and give an output",
            ),
            '(' => ("there are no function calls".to_owned(), "write `always`, not `always()`"),
            _ => (
                format!("`{}` stands behind the end of the expression", show(self.rest())),
                "join conditions with `and` or `or`; a text needs quotes",
            ),
        };
        Err(Bad::new(span, message, help))
    }

    fn or(&mut self) -> Result<Expr, Bad> {
        let mut left = self.and()?;
        while self.take_word("or") {
            let right = self.and()?;
            let span = left.span.start..right.span.end;
            left = Expr::new(Kind::Or(Box::new(left), Box::new(right)), span);
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr, Bad> {
        let mut left = self.not()?;
        while self.take_word("and") {
            let right = self.not()?;
            let span = left.span.start..right.span.end;
            left = Expr::new(Kind::And(Box::new(left), Box::new(right)), span);
        }
        Ok(left)
    }

    fn deeper<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T, Bad>) -> Result<T, Bad> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Bad::new(self.here(), format!("nested deeper than {MAX_DEPTH} levels"), "say it more simply"));
        }
        let out = f(self);
        self.depth -= 1;
        out
    }

    fn not(&mut self) -> Result<Expr, Bad> {
        self.blanks();
        let start = self.at;
        if self.take_word("not") {
            let e = self.deeper(Self::not)?;
            let span = start..e.span.end;
            return Ok(Expr::new(Kind::Not(Box::new(e)), span));
        }
        let left = self.atom()?;
        for (sign, negated) in [("==", false), ("!=", true)] {
            if self.take(sign) {
                let right = self.atom()?;
                let span = left.span.start..right.span.end;
                return Ok(Expr::new(Kind::Compare { left: Box::new(left), right: Box::new(right), negated }, span));
            }
        }
        Ok(left)
    }

    fn atom(&mut self) -> Result<Expr, Bad> {
        let Some(c) = self.peek() else {
            return Err(Bad::new(
                self.here(),
                "the expression ends where a value is missing",
                "write a name such as `params.NAME`, or `always`",
            ));
        };
        let start = self.at;
        if c == '(' {
            self.at += 1;
            let e = self.deeper(Self::or)?;
            if !self.take(")") {
                return Err(Bad::new(self.here(), "a `)` is missing", "every `(` needs its `)`"));
            }
            return Ok(e);
        }
        if c == '"' || c == '\'' {
            let text = self.quoted()?;
            return Ok(Expr::new(Kind::Value(Value::Text(text)), start..self.at));
        }
        if c.is_ascii_digit() || c == '-' {
            let word_len = usize::from(c == '-')
                + self.rest()[usize::from(c == '-')..].bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'.').count();
            let digits = &self.text[start..start + word_len];
            let span = start..start + word_len.max(1);
            // `010` and `9.10` are texts to people; only the canonical form is a number.
            return match digits.parse::<i64>() {
                Ok(n) if n.to_string() == digits => {
                    self.at += word_len;
                    Ok(Expr::new(Kind::Value(Value::Int(n)), span))
                }
                _ => Err(Bad::new(span, format!("`{}` is not a whole number", show(digits)), "a text needs quotes: \"9.10\"")),
            };
        }
        let word = self.word().to_owned();
        let followed = self.rest()[word.len()..].starts_with(['.', '[']);
        if !followed {
            let kind = match word.as_str() {
                "true" => Some(Kind::Value(Value::Bool(true))),
                "false" => Some(Kind::Value(Value::Bool(false))),
                "and" | "or" | "not" => {
                    return Err(Bad::new(
                        start..start + word.len(),
                        format!("`{word}` stands where a value is missing"),
                        "write a condition before and behind it",
                    ));
                }
                _ => Word::ALL.iter().find(|(name, _)| *name == word).map(|(_, w)| Kind::Word(*w)),
            };
            if let Some(kind) = kind {
                self.at += word.len();
                return Ok(Expr::new(kind, start..self.at));
            }
        }
        let path = self.path()?;
        Ok(Expr::new(Kind::Path(path), start..self.at))
    }

    fn path(&mut self) -> Result<Path, Bad> {
        let root = self.word().to_owned();
        if root.is_empty() || root.starts_with(|c: char| !c.is_ascii_alphabetic()) {
            let (message, help) = match self.peek() {
                None => ("a name is missing".to_owned(), "write one such as `params.NAME`"),
                Some('!') => ("`!` is no operator here".to_owned(), "write `not`"),
                Some('$') => ("`${…}` is not needed inside an expression".to_owned(), "write the bare name, such as `params.NAME`"),
                Some(c) => {
                    (format!("`{}` does not begin a value", c.escape_debug()), "write a name such as `params.NAME`, or a text in quotes")
                }
            };
            return Err(Bad::new(self.here(), message, help));
        }
        self.at += root.len();
        let mut rest = Vec::new();
        loop {
            // No blanks inside a path: `a .b` is a slip.
            if self.rest().starts_with('.') {
                self.at += 1;
                if self.rest().starts_with(['"', '\'']) {
                    rest.push(Segment::Name(self.quoted()?));
                    continue;
                }
                let len = self.rest().bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')).count();
                if len == 0 {
                    return Err(Bad::new(
                        self.here(),
                        "a name is missing behind the dot",
                        "a name with blanks needs quotes: stages.\"HW Info\".verdict",
                    ));
                }
                rest.push(Segment::Name(self.rest()[..len].to_owned()));
                self.at += len;
            } else if self.rest().starts_with('[') {
                self.at += 1;
                self.blanks();
                let inner = self.deeper(Self::path)?;
                if !self.take("]") {
                    return Err(Bad::new(self.here(), "a `]` is missing", "every `[` needs its `]`"));
                }
                rest.push(Segment::Index(inner));
            } else {
                return Ok(Path { root, rest });
            }
        }
    }

    /// `\"`, `\'` and `\\` are escapes; any other backslash is itself.
    fn quoted(&mut self) -> Result<String, Bad> {
        let start = self.at;
        let mut chars = self.rest().char_indices();
        let quote = chars.next().map_or('"', |(_, c)| c);
        let mut out = String::new();
        let mut escaped = false;
        for (i, c) in chars {
            if escaped {
                if !matches!(c, '"' | '\'' | '\\') {
                    out.push('\\');
                }
                out.push(c);
                escaped = false;
            } else if c == '\\' {
                escaped = true;
            } else if c == quote {
                self.at = start + i + c.len_utf8();
                return Ok(out);
            } else {
                out.push(c);
            }
        }
        Err(Bad::new(start..self.text.len(), "the quoted text does not end", "close it with the same quote"))
    }
}
