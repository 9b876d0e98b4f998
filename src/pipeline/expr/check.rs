//! Types before values: what an expression means is known when the file is read, not at three in the morning.

use std::ops::Range;

use super::{Bad, Expr, Kind, Path, Value, Word};

/// The type of a path, and, where they are known, all values that it can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    Bool,
    Int,
    Text { values: Option<Vec<String>> },
    List,
}

impl Type {
    pub const TEXT: Self = Self::Text { values: None };

    fn noun(&self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Int => "a number",
            Self::Text { .. } => "a text",
            Self::List => "a list",
        }
    }
}

/// The names that a place of the file may use. The error says what is wrong with a path; its span is replaced by the checker.
pub trait Names {
    fn type_of(&self, path: &Path) -> Result<Type, Bad>;
}

/// Everything that is wrong with `e` as a condition.
pub fn check(e: &Expr, names: &dyn Names) -> Vec<Bad> {
    let mut found = Vec::new();
    if let Some(t) = infer(e, names, &mut found)
        && t != Type::Bool
    {
        found.push(Bad::new(
            e.span.clone(),
            format!("this is {}, a condition must be true or false", t.noun()),
            match t {
                Type::Text { .. } | Type::Int => "compare it: `NAME == \"value\"`",
                _ => "compare single values",
            },
        ));
    }
    found
}

/// `None` after an error below, so that one slip gives one message.
fn infer(e: &Expr, names: &dyn Names, found: &mut Vec<Bad>) -> Option<Type> {
    match &e.kind {
        Kind::Value(Value::Bool(_)) | Kind::Word(_) => Some(Type::Bool),
        Kind::Value(Value::Int(_)) => Some(Type::Int),
        Kind::Value(Value::Text(t)) => Some(Type::Text { values: Some(vec![t.clone()]) }),
        Kind::Value(Value::List(_)) => Some(Type::List),
        Kind::Path(p) => match names.type_of(p) {
            Ok(t) => Some(t),
            Err(bad) => {
                found.push(Bad { span: e.span.clone(), ..bad });
                None
            }
        },
        Kind::Not(a) => {
            condition(a, names, found);
            Some(Type::Bool)
        }
        Kind::And(a, b) | Kind::Or(a, b) => {
            condition(a, names, found);
            condition(b, names, found);
            Some(Type::Bool)
        }
        Kind::Compare { left, right, .. } => {
            let (l, r) = (infer(left, names, found), infer(right, names, found));
            if let (Some(l), Some(r)) = (l, r) {
                compare(e.span.clone(), left, &l, right, &r, found);
            }
            Some(Type::Bool)
        }
    }
}

fn condition(e: &Expr, names: &dyn Names, found: &mut Vec<Bad>) {
    if let Some(t) = infer(e, names, found)
        && t != Type::Bool
    {
        found.push(Bad::new(e.span.clone(), format!("`{e}` is {}, not true or false", t.noun()), "compare it: `NAME == \"value\"`"));
    }
}

fn compare(span: Range<usize>, left: &Expr, l: &Type, right: &Expr, r: &Type, found: &mut Vec<Bad>) {
    let word = [left, right].into_iter().find_map(|e| match e.kind {
        Kind::Word(w) => Some(w),
        _ => None,
    });
    match (l, r) {
        (Type::List, _) | (_, Type::List) => found.push(Bad::new(span, "a list cannot be compared", "compare one of its values")),
        (Type::Text { values: Some(a) }, Type::Text { values: Some(b) }) if !a.iter().any(|v| b.contains(v)) => {
            let (literal, known) = if matches!(left.kind, Kind::Value(_)) { (a, b) } else { (b, a) };
            let literal = literal.first().map_or("", String::as_str);
            let near = crate::base::suggest::nearest(literal, known.iter().map(String::as_str));
            found.push(Bad::new(
                span,
                format!("these are never equal: `{literal}` is not among {}", known.join(", ")),
                near.map_or_else(|| "use one of those values".to_owned(), |n| format!("did you mean `{n}`?")),
            ));
        }
        (Type::Text { .. }, Type::Text { .. }) | (Type::Int, Type::Int) | (Type::Bool, Type::Bool) => {}
        _ => {
            let help = match word {
                Some(Word::Always | Word::Fixed) | None => match (&left.kind, &right.kind) {
                    (_, Kind::Value(v)) | (Kind::Value(v), _)
                        if !matches!(v, Value::Text(_)) && (matches!(l, Type::Text { .. }) || matches!(r, Type::Text { .. })) =>
                    {
                        format!("write the text in quotes: \"{v}\"")
                    }
                    (Kind::Path(p), _) | (_, Kind::Path(p)) if *l == Type::Bool || *r == Type::Bool => format!("write `{p}` or `not {p}`"),
                    _ => "compare values of one type".to_owned(),
                },
                Some(w) => format!("as a verdict the word needs quotes: \"{w}\""),
            };
            found.push(Bad::new(span, format!("{} is compared with {}", l.noun(), r.noun()), help));
        }
    }
}
