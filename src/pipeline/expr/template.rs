//! Texts with `${path}` in them: `with:`, `env:` and names. Never `run:`.
//!
//! `$${` is a literal `${` (pairs of `$` before a brace stand for one). A value that is put in early is escaped the same way, so that nothing inside a parameter is read as a path later.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value as Json;

use super::eval::{look, straighten};
use super::{Bad, EvalError, Facts, Lookup, Path, Value, Values, parse::parse_path};
use crate::pipeline::plan::{Action, Step};

#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    pub parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    Text(String),
    /// The path and the bytes of `${…}` in the whole text.
    Path(Path, Range<usize>),
}

impl Template {
    pub fn parse(text: &str) -> Result<Self, Bad> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut i = 0;
        while let Some(found) = text[i..].find("${") {
            let dollar = i + found;
            // Pairs of `$` before a brace are one literal `$` each; an odd one opens a path.
            let run = text[i..=dollar].bytes().rev().take_while(|b| *b == b'$').count();
            plain.push_str(&text[i..dollar + 1 - run]);
            plain.push_str(&"$".repeat(run / 2));
            if run % 2 == 0 {
                plain.push('{');
                i = dollar + 2;
                continue;
            }
            let at = dollar;
            let body = at + 2;
            let Some(len) = text[body..].find('}') else {
                return Err(Bad::new(at..text.len(), "`${` without `}`", "close it; a literal `${` is written `$${`"));
            };
            if text[body..].starts_with('{') {
                return Err(Bad::new(at..body + len, "`${{ … }}` is not the form here", "write `${params.NAME}`"));
            }
            let path = parse_path(&text[body..body + len], body)?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Path(path, at..body + len + 1));
            i = body + len + 1;
        }
        plain.push_str(&text[i..]);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    pub fn paths(&self) -> impl Iterator<Item = (&Path, &Range<usize>)> {
        self.parts.iter().filter_map(|p| match p {
            Part::Path(path, range) => Some((path, range)),
            Part::Text(_) => None,
        })
    }

    /// The whole text is one `${path}`: only then may the value be a list.
    pub fn whole(&self) -> Option<&Path> {
        match self.parts.as_slice() {
            [Part::Path(p, _)] => Some(p),
            _ => None,
        }
    }

    /// Puts in what is known. The result is a template again.
    pub fn reduce(&self, values: &dyn Values) -> Result<Reduced, EvalError> {
        if let Some(path) = self.whole()
            && let Lookup::Known(Value::List(items)) = look(path, values)?
        {
            return Ok(Reduced::List(items.iter().map(|i| escape(i).into_owned()).collect()));
        }
        let (mut out, mut plain) = (String::new(), String::new());
        for part in &self.parts {
            match part {
                Part::Text(t) => plain.push_str(t),
                Part::Path(p, _) => match look(p, values)? {
                    Lookup::Known(Value::List(_)) => {
                        return Err(EvalError::Unknown { path: p.to_string(), why: "a list cannot stand inside a text".into() });
                    }
                    Lookup::Known(v) => plain.push_str(&v.to_string()),
                    _ => {
                        let literal = escape(&plain);
                        let trailing = plain.bytes().rev().take_while(|b| *b == b'$').count();
                        out.push_str(&format!("{literal}{}${{{}}}", "$".repeat(trailing), straighten(p, values)?));
                        plain.clear();
                    }
                },
            }
        }
        out.push_str(&escape(&plain));
        Ok(Reduced::Text(out))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reduced {
    Text(String),
    List(Vec<String>),
}

/// A literal text in template form.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains("${") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for (i, c) in text.char_indices() {
        out.push(c);
        if c == '$' && text[i..].trim_start_matches('$').starts_with('{') {
            out.push('$');
        }
    }
    Cow::Owned(out)
}

/// The final text of a template of the plan. What is still unknown is an error.
pub fn fill(text: &str, facts: &Facts) -> Result<String, EvalError> {
    let template = Template::parse(text).map_err(|b| EvalError::Malformed { text: text.to_owned(), why: b.message })?;
    let mut out = String::new();
    for part in &template.parts {
        match part {
            Part::Text(t) => out.push_str(t),
            Part::Path(p, _) => match look(p, facts)? {
                Lookup::Known(v) => out.push_str(&v.to_string()),
                _ => return Err(EvalError::TooEarly { path: p.to_string() }),
            },
        }
    }
    Ok(out)
}

/// [`fill`] for every text of a JSON value.
pub fn fill_value(value: &Json, facts: &Facts) -> Result<Json, EvalError> {
    Ok(match value {
        Json::String(s) => Json::String(fill(s, facts)?),
        Json::Array(items) => Json::Array(items.iter().map(|v| fill_value(v, facts)).collect::<Result<_, _>>()?),
        Json::Object(map) => {
            Json::Object(map.iter().map(|(k, v)| Ok((k.clone(), fill_value(v, facts)?))).collect::<Result<_, EvalError>>()?)
        }
        other => other.clone(),
    })
}

/// What a step does and its own environment, final. The runner must call it for every step at dispatch: the plan holds templates.
pub fn fill_action(step: &Step, facts: &Facts) -> Result<(Action, BTreeMap<String, String>), EvalError> {
    let action = match &step.action {
        Action::Shell { .. } => step.action.clone(),
        Action::Build { pipeline, parameters, wait } => Action::Build {
            pipeline: pipeline.clone(),
            parameters: parameters.iter().map(|(k, v)| Ok((k.clone(), fill(v, facts)?))).collect::<Result<_, EvalError>>()?,
            wait: *wait,
        },
        Action::Pin { run } => Action::Pin { run: fill(run, facts)? },
        Action::Native { kind, with } => Action::Native {
            kind: kind.clone(),
            with: with.iter().map(|(k, v)| Ok((k.clone(), fill_value(v, facts)?))).collect::<Result<_, EvalError>>()?,
        },
    };
    let env = step.env.iter().map(|(k, v)| Ok((k.clone(), fill(v, facts)?))).collect::<Result<_, EvalError>>()?;
    Ok((action, env))
}
