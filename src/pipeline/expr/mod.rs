//! The closed, typed expression language of `when:` and `${…}`: no calls, no arithmetic, nothing that can fail to end.
//!
//! ```text
//! expr  = and ("or" and)*          and = not ("and" not)*          not = "not" not | cmp
//! cmp   = atom (("==" | "!=") atom)?
//! atom  = "(" expr ")" | "text" | 'text' | integer | true | false | always | success | failure | fixed | path
//! path  = name ("." name | "." "text" | "[" path "]")*             such as stages."HW Info".verdict, repos[matrix.repo].tree
//! ```
//!
//! A `when` without `always`, `success`, `failure` or `fixed` also needs every stage that led there to have succeeded.

mod check;
mod eval;
mod parse;
pub mod template;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

pub use check::{Names, Type, check};
pub use eval::{EvalError, Facts, Lookup, StageFacts, Values, decide, eval, reduce};
pub use parse::{MAX_BYTES, parse};
pub use template::{Template, fill, fill_action, fill_value};

/// An expression and the bytes of the text that it came from. Equality ignores the place.
#[derive(Debug, Clone)]
pub struct Expr {
    pub kind: Kind,
    pub span: Range<usize>,
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Value(Value),
    Path(Path),
    Word(Word),
    Not(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    /// `==`, or `!=` where `negated`.
    Compare {
        left: Box<Expr>,
        right: Box<Expr>,
        negated: bool,
    },
}

/// How the run stands at the stage's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// True whatever happened before.
    Always,
    /// Every need succeeded.
    Success,
    /// A need did not.
    Failure,
    /// Every need succeeded, and the previous finished run of the pipeline was no success.
    Fixed,
}

impl Word {
    pub const ALL: [(&'static str, Self); 4] =
        [("always", Self::Always), ("success", Self::Success), ("failure", Self::Failure), ("fixed", Self::Fixed)];
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Bool(bool),
    Int(i64),
    Text(String),
    /// Only as a whole value of `with:`, never inside a text.
    List(Vec<String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(b) => write!(f, "{b}"),
            Self::Int(n) => write!(f, "{n}"),
            Self::Text(t) => f.write_str(t),
            Self::List(l) => f.write_str(&l.join(" ")),
        }
    }
}

/// `root.name."quoted name"[other.path]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    pub root: String,
    pub rest: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    Name(String),
    /// The text that another path gives.
    Index(Path),
}

impl Path {
    /// The names behind the root; `None` where one of them is still an index.
    pub fn names(&self) -> Option<Vec<&str>> {
        self.rest
            .iter()
            .map(|s| match s {
                Segment::Name(n) => Some(n.as_str()),
                Segment::Index(_) => None,
            })
            .collect()
    }

    /// This path and every path that indexes it.
    pub fn visit<'a>(&'a self, see: &mut dyn FnMut(&'a Path)) {
        see(self);
        for s in &self.rest {
            if let Segment::Index(p) = s {
                p.visit(see);
            }
        }
    }
}

impl Expr {
    pub fn new(kind: Kind, span: Range<usize>) -> Self {
        Self { kind, span }
    }

    /// Every path and word in it, with its place.
    pub fn visit<'a>(&'a self, see: &mut dyn FnMut(Leaf<'a>, &'a Range<usize>)) {
        match &self.kind {
            Kind::Value(_) => {}
            Kind::Path(p) => p.visit(&mut |p| see(Leaf::Path(p), &self.span)),
            Kind::Word(_) => see(Leaf::Word, &self.span),
            Kind::Not(e) => e.visit(see),
            Kind::And(a, b) | Kind::Or(a, b) | Kind::Compare { left: a, right: b, .. } => {
                a.visit(see);
                b.visit(see);
            }
        }
    }

    /// Whether it says itself how failed needs count, so that nothing is implied.
    pub fn names_status(&self) -> bool {
        let mut found = false;
        self.visit(&mut |leaf, _| found |= matches!(leaf, Leaf::Word));
        found
    }

    pub fn mentions(&self, root: &str) -> bool {
        let mut found = false;
        self.visit(&mut |leaf, _| found |= matches!(leaf, Leaf::Path(p) if p.root == root));
        found
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Leaf<'a> {
    Path(&'a Path),
    /// `success` and the like.
    Word,
}

/// What is wrong with an expression, and where in its text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Bad {
    pub span: Range<usize>,
    pub message: String,
    pub help: String,
}

impl Bad {
    pub fn new(span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: help.into() }
    }
}

/// Whether a name may stand in a path without quotes.
pub fn plain_name(s: &str) -> bool {
    !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

fn quoted(f: &mut fmt::Formatter<'_>, s: &str) -> fmt::Result {
    write!(f, "\"{}\"", s.replace('\\', "\\\\").replace('"', "\\\""))
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.root)?;
        for s in &self.rest {
            match s {
                Segment::Name(n) if plain_name(n) => write!(f, ".{n}")?,
                Segment::Name(n) => {
                    f.write_str(".")?;
                    quoted(f, n)?;
                }
                Segment::Index(p) => write!(f, "[{p}]")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(_, w)| w == self).map_or("", |(n, _)| n))
    }
}

impl fmt::Display for Expr {
    /// Reads back as the same expression.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let strength = |e: &Self| match e.kind {
            Kind::Or(..) => 0,
            Kind::And(..) => 1,
            Kind::Not(_) => 2,
            Kind::Compare { .. } => 3,
            _ => 4,
        };
        let wrap = |f: &mut fmt::Formatter<'_>, e: &Self, least: u8| {
            if strength(e) < least { write!(f, "({e})") } else { write!(f, "{e}") }
        };
        match &self.kind {
            Kind::Value(Value::Text(t)) => quoted(f, t),
            Kind::Value(v) => write!(f, "{v}"),
            Kind::Path(p) => write!(f, "{p}"),
            Kind::Word(w) => write!(f, "{w}"),
            Kind::Not(e) => {
                f.write_str("not ")?;
                wrap(f, e, 2)
            }
            // Chains lean left: the right side of the same operator needs parentheses to come back as it was.
            Kind::And(a, b) => {
                wrap(f, a, 1)?;
                f.write_str(" and ")?;
                wrap(f, b, 2)
            }
            Kind::Or(a, b) => {
                wrap(f, a, 0)?;
                f.write_str(" or ")?;
                wrap(f, b, 1)
            }
            Kind::Compare { left, right, negated } => {
                wrap(f, left, 4)?;
                f.write_str(if *negated { " != " } else { " == " })?;
                wrap(f, right, 4)
            }
        }
    }
}
