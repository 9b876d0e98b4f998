//! Tokens to statements: calls with arguments and blocks, assignments, and everything else as it stands.
//!
//! Declarative pipelines are such calls all the way down. What is any other Groovy becomes a raw statement, which the converter
//! quotes; only brackets that do not match are an error.

use super::lexer::{Comment, Lexed, Piece, Tok, Token, lex};
use super::source::{Bad, Source, Span};

/// Blocks and brackets inside each other.
const MAX_DEPTH: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    pub kind: ValueKind,
    pub span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueKind {
    Str(Vec<Piece>),
    /// A number, `true`, `null`, or names with dots.
    Word(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
    Call(Box<Call>),
    /// Any other Groovy.
    Raw,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    pub name: Option<String>,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub name: String,
    pub args: Vec<Arg>,
    pub body: Option<Vec<Stmt>>,
    /// All of it, with the block.
    pub span: Span,
    /// Name and arguments, up to the brace.
    pub head: Span,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StmtKind {
    Call(Call),
    Assign { name: String, value: Value },
    Raw,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stmt {
    pub kind: StmtKind,
    pub span: Span,
}

/// A source as statements.
#[derive(Debug, Default)]
pub struct Script {
    pub stmts: Vec<Stmt>,
    pub comments: Vec<Comment>,
    /// Places of everything that means something: what is no comment, blank or closing bracket.
    pub content: Vec<Span>,
}

/// Words that begin what is no call.
const STATEMENTS: [&str; 22] = [
    "def", "if", "for", "while", "try", "switch", "return", "import", "class", "throw", "new", "assert", "final", "static", "void", "do",
    "String", "int", "boolean", "List", "Map", "package",
];

pub fn parse(source: &Source) -> Result<Script, Bad> {
    let Lexed { tokens, comments } = lex(source)?;
    let closer = |t: &Token| matches!(t.tok, Tok::Op("}" | ")" | "]" | ";" | ",") | Tok::Newline | Tok::End);
    let content = tokens.iter().filter(|t| !closer(t)).map(|t| t.span.clone()).collect();
    let mut p = Parser { tokens: &tokens, at: 0, depth: 0 };
    let stmts = p.stmts(None)?;
    Ok(Script { stmts, comments, content })
}

struct Parser<'t> {
    tokens: &'t [Token],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn tok(&self) -> &Tok {
        self.ahead(0)
    }

    fn ahead(&self, n: usize) -> &Tok {
        self.tokens.get(self.at + n).map_or(&Tok::End, |t| &t.tok)
    }

    fn span(&self) -> Span {
        self.tokens.get(self.at).map_or(0..0, |t| t.span.clone())
    }

    /// End of the token before this one.
    fn last_end(&self) -> usize {
        self.at.checked_sub(1).and_then(|i| self.tokens.get(i)).map_or(0, |t| t.span.end)
    }

    fn is(&self, op: &str) -> bool {
        matches!(self.tok(), Tok::Op(o) if *o == op)
    }

    fn skip_lines(&mut self) {
        while *self.tok() == Tok::Newline {
            self.at += 1;
        }
    }

    fn ends_statement(&self) -> bool {
        matches!(self.tok(), Tok::Newline | Tok::End | Tok::Op(";" | "}"))
    }

    /// `when { … } steps { … }` on one line: to Groovy one call of the other's result, to whoever wrote it two of them.
    fn follows_block(&self, kind: &StmtKind) -> bool {
        let block = matches!(kind, StmtKind::Call(c) if c.body.is_some());
        block
            && matches!(self.tok(), Tok::Word(w) if !matches!(w.as_str(), "as" | "in" | "instanceof" | "else" | "catch" | "finally" | "while"))
    }

    fn deeper(&mut self) -> Result<(), Bad> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            Err(Bad::limit(self.span(), format!("blocks are nested more than {MAX_DEPTH} deep here")))
        } else {
            Ok(())
        }
    }

    /// Statements up to the brace that closes `open`, which is taken, or to the end of the file.
    fn stmts(&mut self, open: Option<Span>) -> Result<Vec<Stmt>, Bad> {
        self.deeper()?;
        let mut out = Vec::new();
        loop {
            match (self.tok(), &open) {
                (Tok::Newline | Tok::Op(";"), _) => self.at += 1,
                (Tok::Op("}"), Some(_)) => {
                    self.at += 1;
                    break;
                }
                (Tok::Op(op @ ("}" | ")" | "]")), _) => {
                    return Err(Bad::syntax(
                        self.span(),
                        format!("this `{op}` closes nothing"),
                        "remove it, or look for what it should close",
                    ));
                }
                (Tok::End, Some(open)) => return Err(Bad::syntax(open.clone(), "this block is never closed", "close it with `}`")),
                (Tok::End, None) => break,
                _ => out.push(self.stmt()?),
            }
        }
        self.depth -= 1;
        Ok(out)
    }

    fn stmt(&mut self) -> Result<Stmt, Bad> {
        let (begin, start, depth) = (self.at, self.span().start, self.depth);
        let name = match self.tok() {
            Tok::Word(w) if !STATEMENTS.contains(&w.as_str()) => self.path(),
            _ => return self.raw(start),
        };
        let kind = if self.is("=") {
            self.at += 1;
            self.skip_lines();
            let value = self.value()?;
            Some(StmtKind::Assign { name, value })
        } else {
            self.call(name, start, true)?.map(StmtKind::Call)
        };
        match kind {
            Some(kind) if self.ends_statement() || self.follows_block(&kind) => Ok(Stmt { kind, span: start..self.last_end() }),
            _ => {
                (self.at, self.depth) = (begin, depth);
                self.raw(start)
            }
        }
    }

    /// `a.b.c`
    fn path(&mut self) -> String {
        let mut name = String::new();
        while let Tok::Word(w) = self.tok() {
            name.push_str(w);
            self.at += 1;
            if self.is(".") && matches!(self.ahead(1), Tok::Word(_)) {
                name.push('.');
                self.at += 1;
            } else {
                break;
            }
        }
        name
    }

    /// What follows a name: arguments in parentheses or without, and a block. `None`: this is no call.
    fn call(&mut self, name: String, start: usize, command: bool) -> Result<Option<Call>, Bad> {
        let mut args = Vec::new();
        if self.is("(") {
            let open = self.span();
            self.at += 1;
            if !self.args(&mut args, ")", &open)? {
                return Ok(None);
            }
        } else if command && !self.ends_statement() && !self.is("{") {
            loop {
                let Some(arg) = self.arg()? else { return Ok(None) };
                args.push(arg);
                if !self.is(",") {
                    break;
                }
                self.at += 1;
                self.skip_lines();
                // `stage('x', { … })` without parentheses.
                if self.is("{") {
                    break;
                }
            }
        }
        let head = start..self.last_end();
        let body = if self.is("{") {
            let open = self.span();
            self.at += 1;
            Some(self.stmts(Some(open))?)
        } else {
            None
        };
        Ok(Some(Call { name, args, body, span: start..self.last_end(), head }))
    }

    /// Arguments up to `close`, which is taken. False where something else stands between them.
    fn args(&mut self, args: &mut Vec<Arg>, close: &str, open: &Span) -> Result<bool, Bad> {
        self.deeper()?;
        loop {
            self.skip_lines();
            if self.is(close) {
                self.at += 1;
                break;
            }
            if *self.tok() == Tok::End {
                return Err(Bad::syntax(open.clone(), "this bracket is never closed", format!("close it with `{close}`")));
            }
            let Some(arg) = self.arg()? else {
                self.depth -= 1;
                return Ok(false);
            };
            args.push(arg);
            self.skip_lines();
            if self.is(",") {
                self.at += 1;
            } else if !self.is(close) && *self.tok() != Tok::End {
                self.depth -= 1;
                return Ok(false);
            }
        }
        self.depth -= 1;
        Ok(true)
    }

    /// `value` or `name: value`.
    fn arg(&mut self) -> Result<Option<Arg>, Bad> {
        let name = match (self.tok(), self.ahead(1)) {
            (Tok::Word(w), Tok::Op(":")) => Some(w.clone()),
            (Tok::Str(p), Tok::Op(":")) => match p.as_slice() {
                [Piece::Text(t)] => Some(t.clone()),
                _ => return Ok(None),
            },
            _ => None,
        };
        if name.is_some() {
            self.at += 2;
            self.skip_lines();
        }
        if matches!(self.tok(), Tok::Op("," | ")" | "]" | "}" | ";") | Tok::End) {
            return Ok(None);
        }
        Ok(Some(Arg { name, value: self.value()? }))
    }

    fn value(&mut self) -> Result<Value, Bad> {
        let start = self.span().start;
        let (begin, depth) = (self.at, self.depth);
        let mut kind = self.primary()?;
        loop {
            if matches!(self.tok(), Tok::Newline | Tok::End | Tok::Op("," | ")" | "]" | "}" | ";" | "{" | ":")) {
                return Ok(Value { kind, span: start..self.last_end() });
            }
            // Texts put together, over the end of a line too.
            if self.is("+")
                && let ValueKind::Str(left) = &mut kind
            {
                self.at += 1;
                self.skip_lines();
                match self.primary()? {
                    ValueKind::Str(right) => left.extend(right),
                    ValueKind::Word(w) if w.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') => left.push(Piece::Expr(w)),
                    ValueKind::Word(w) => left.push(Piece::Text(w)),
                    _ => kind = ValueKind::Raw,
                }
                continue;
            }
            if let (ValueKind::Str(pieces), Tok::Op("."), Tok::Word(method), Tok::Op("("), Tok::Op(")")) =
                (&mut kind, self.tok(), self.ahead(1), self.ahead(2), self.ahead(3))
                && matches!(method.as_str(), "stripIndent" | "trim")
            {
                if let [Piece::Text(t)] = pieces.as_mut_slice() {
                    *t = t.trim().to_owned();
                }
                self.at += 4;
                continue;
            }
            (self.at, self.depth) = (begin, depth);
            self.balanced(|tok| matches!(tok, Tok::Newline | Tok::Op("," | ";")))?;
            return Ok(Value { kind: ValueKind::Raw, span: start..self.last_end() });
        }
    }

    fn primary(&mut self) -> Result<ValueKind, Bad> {
        Ok(match self.tok().clone() {
            Tok::Str(p) => {
                self.at += 1;
                ValueKind::Str(p)
            }
            Tok::Number(n) => {
                self.at += 1;
                ValueKind::Word(n)
            }
            Tok::Word(w) if w == "new" => self.one_raw()?,
            Tok::Word(_) => {
                let start = self.span().start;
                let name = self.path();
                if self.is("(") {
                    let begin = self.at;
                    match self.call(name, start, false)? {
                        Some(call) => ValueKind::Call(Box::new(call)),
                        None => {
                            self.at = begin;
                            self.one_raw()?
                        }
                    }
                } else if matches!(self.tok(), Tok::Str(_)) {
                    // `buildDiscarder logRotator …` nests without parentheses.
                    match self.call(name, start, true)? {
                        Some(call) => ValueKind::Call(Box::new(call)),
                        None => ValueKind::Raw,
                    }
                } else {
                    ValueKind::Word(name)
                }
            }
            Tok::Op("[") => self.list()?,
            Tok::Op("(") => {
                self.deeper()?;
                let begin = self.at;
                self.at += 1;
                self.skip_lines();
                let inner = self.value()?;
                self.skip_lines();
                self.depth -= 1;
                if self.is(")") {
                    self.at += 1;
                    inner.kind
                } else {
                    self.at = begin;
                    self.one_raw()?
                }
            }
            Tok::Op("-") if matches!(self.ahead(1), Tok::Number(_)) => {
                self.at += 1;
                let n = if let Tok::Number(n) = self.tok() { format!("-{n}") } else { String::new() };
                self.at += 1;
                ValueKind::Word(n)
            }
            _ => self.one_raw()?,
        })
    }

    /// One token, or one bracket with all that it holds.
    fn one_raw(&mut self) -> Result<ValueKind, Bad> {
        let mut first = true;
        self.balanced(|_| !std::mem::replace(&mut first, false))?;
        Ok(ValueKind::Raw)
    }

    fn list(&mut self) -> Result<ValueKind, Bad> {
        let (begin, open) = (self.at, self.span());
        self.at += 1;
        self.skip_lines();
        if self.is(":") && matches!(self.ahead(1), Tok::Op("]")) {
            self.at += 2;
            return Ok(ValueKind::Map(Vec::new()));
        }
        let mut args = Vec::new();
        if !self.args(&mut args, "]", &open)? {
            self.at = begin;
            return self.one_raw();
        }
        if !args.is_empty() && args.iter().all(|a| a.name.is_some()) {
            return Ok(ValueKind::Map(args.into_iter().map(|a| (a.name.unwrap_or_default(), a.value)).collect()));
        }
        Ok(ValueKind::List(args.into_iter().map(|a| a.value).collect()))
    }

    /// A statement that is quoted, not understood: to the end of its last line, with `else`, `catch` and `finally`.
    fn raw(&mut self, start: usize) -> Result<Stmt, Bad> {
        loop {
            self.balanced(|tok| matches!(tok, Tok::Newline | Tok::Op(";")))?;
            let mut ahead = 0;
            while *self.ahead(ahead) == Tok::Newline {
                ahead += 1;
            }
            match self.ahead(ahead) {
                Tok::Word(w) if matches!(w.as_str(), "else" | "catch" | "finally") => self.at += ahead,
                Tok::Op("." | "?." | "&&" | "||") if ahead > 0 => self.at += ahead,
                _ => break,
            }
        }
        Ok(Stmt { kind: StmtKind::Raw, span: start..self.last_end().max(start) })
    }

    /// Skips tokens until `stop` outside of all brackets, or until a bracket that was not opened here.
    fn balanced(&mut self, mut stop: impl FnMut(&Tok) -> bool) -> Result<(), Bad> {
        let mut open: Vec<(&'static str, Span)> = Vec::new();
        loop {
            let close = |op: &str| match op {
                "(" => ")",
                "[" => "]",
                _ => "}",
            };
            match self.tok() {
                Tok::End => {
                    return match open.pop() {
                        Some((op, span)) => {
                            Err(Bad::syntax(span, format!("this `{op}` is never closed"), format!("close it with `{}`", close(op))))
                        }
                        None => Ok(()),
                    };
                }
                tok if open.is_empty() && stop(tok) => return Ok(()),
                Tok::Op(op @ ("(" | "[" | "{")) => open.push((op, self.span())),
                Tok::Op(op @ (")" | "]" | "}")) => match open.pop() {
                    Some((o, _)) if close(o) == *op => {}
                    Some((o, span)) => {
                        return Err(Bad::syntax(span, format!("this `{o}` is closed by `{op}`"), format!("close it with `{}`", close(o))));
                    }
                    None => return Ok(()),
                },
                _ => {}
            }
            self.at += 1;
        }
    }
}

impl Call {
    /// The argument of this name.
    pub fn named(&self, name: &str) -> Option<&Value> {
        self.args.iter().find(|a| a.name.as_deref() == Some(name)).map(|a| &a.value)
    }

    /// The n-th argument without a name.
    pub fn positional(&self, n: usize) -> Option<&Value> {
        self.args.iter().filter(|a| a.name.is_none()).nth(n).map(|a| &a.value)
    }

    /// The argument of this name, else the first without one.
    pub fn arg(&self, name: &str) -> Option<&Value> {
        self.named(name).or_else(|| self.positional(0))
    }

    pub fn body(&self) -> &[Stmt] {
        self.body.as_deref().unwrap_or(&[])
    }
}

impl Value {
    pub fn pieces(&self) -> Option<&[Piece]> {
        match &self.kind {
            ValueKind::Str(p) => Some(p),
            _ => None,
        }
    }

    /// A text without interpolation, a number or a word.
    pub fn literal(&self) -> Option<&str> {
        match &self.kind {
            ValueKind::Str(p) => match p.as_slice() {
                [Piece::Text(t)] => Some(t),
                _ => None,
            },
            ValueKind::Word(w) => Some(w),
            _ => None,
        }
    }

    /// Items of a list; a single value is a list of one.
    pub fn items(&self) -> &[Value] {
        match &self.kind {
            ValueKind::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    pub fn entry(&self, key: &str) -> Option<&Value> {
        match &self.kind {
            ValueKind::Map(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            ValueKind::Call(c) => c.named(key),
            _ => None,
        }
    }

    pub fn is_true(&self) -> bool {
        self.literal() == Some("true")
    }
}
