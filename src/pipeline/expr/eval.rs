//! Values: what is known when a run is frozen is put in (`reduce`); the rest is answered when the stage's turn comes (`decide`).

use std::collections::BTreeMap;

use super::{Expr, Kind, Path, Segment, Value, Word, parse};
use crate::domain::run::{RunRef, Verdict};

/// What a scope says about a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    Known(Value),
    /// It will be known when the stage's turn comes.
    Later,
    /// It will never be known; the text says why.
    Never(String),
}

pub trait Values {
    fn value(&self, path: &Path) -> Lookup;
}

/// Why an expression has no value now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    #[error("`{path}` is not known: {why}")]
    Unknown { path: String, why: String },
    #[error("`{path}` is not known yet")]
    TooEarly { path: String },
    #[error("`{text}` is not a condition: {why}")]
    Malformed { text: String, why: String },
}

/// What a run knows at dispatch. The runner fills it; names of parameters, matrix keys and repositories are already in the plan.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    pub run: Option<RunRef>,
    /// The run's verdict so far, for post stages.
    pub run_verdict: Option<Verdict>,
    /// The first stage that made it no success, as long as `run_verdict` is known; empty = none.
    pub run_failed_stage: String,
    /// Ended stages by name.
    pub stages: BTreeMap<String, StageFacts>,
    /// Answers of approvers by question.
    pub approve: BTreeMap<String, Value>,
    /// Every need of the stage at hand, and all that they need, succeeded (or failed with `allow_failure`).
    pub needs_ok: bool,
    /// The previous finished run of the pipeline was no success.
    pub previous_failed: bool,
}

#[derive(Debug, Clone, Default)]
pub struct StageFacts {
    pub verdict: Option<Verdict>,
    /// Of all its steps; the last step that gives a name wins.
    pub outputs: BTreeMap<String, String>,
}

impl Values for Facts {
    fn value(&self, path: &Path) -> Lookup {
        let Some(names) = path.names() else { return Lookup::Never("its index is not resolved".into()) };
        match (path.root.as_str(), names.as_slice()) {
            ("run", ["number"]) => self.run.as_ref().map_or(Lookup::Later, |r| Lookup::Known(Value::Text(r.number.to_string()))),
            ("run", ["id"]) => self.run.as_ref().map_or(Lookup::Later, |r| Lookup::Known(Value::Text(r.to_string()))),
            ("run", ["verdict"]) => self.run_verdict.map_or(Lookup::Later, |v| Lookup::Known(Value::Text(v.as_str().into()))),
            ("run", ["failed_stage"]) => {
                self.run_verdict.map_or(Lookup::Later, |_| Lookup::Known(Value::Text(self.run_failed_stage.clone())))
            }
            ("stages", [name, what @ ..]) => {
                let Some(stage) = self.stages.get(*name) else { return Lookup::Later };
                match what {
                    ["verdict"] => stage.verdict.map_or(Lookup::Later, |v| Lookup::Known(Value::Text(v.as_str().into()))),
                    ["outputs", output] => match stage.outputs.get(*output) {
                        Some(v) => Lookup::Known(Value::Text(v.clone())),
                        None => Lookup::Never(format!("stage `{name}` gave no output `{output}`")),
                    },
                    _ => Lookup::Never("a stage has `verdict` and `outputs.NAME`".into()),
                }
            }
            ("approve", [question]) => match self.approve.get(*question) {
                Some(v) => Lookup::Known(v.clone()),
                None => Lookup::Never(format!("nobody was asked for `{question}`: its stage was skipped")),
            },
            _ => Lookup::Never("the frozen plan does not hold it".into()),
        }
    }
}

/// Resolves the indices of a path, as far as they are known.
pub(super) fn straighten(path: &Path, values: &dyn Values) -> Result<Path, EvalError> {
    let mut rest = Vec::with_capacity(path.rest.len());
    for s in &path.rest {
        match s {
            Segment::Name(_) => rest.push(s.clone()),
            Segment::Index(inner) => {
                let inner = straighten(inner, values)?;
                match values.value(&inner) {
                    Lookup::Known(v) => rest.push(Segment::Name(v.to_string())),
                    Lookup::Later => rest.push(Segment::Index(inner)),
                    Lookup::Never(why) => return Err(EvalError::Unknown { path: inner.to_string(), why }),
                }
            }
        }
    }
    Ok(Path { root: path.root.clone(), rest })
}

/// The value of a path now.
pub(super) fn look(path: &Path, values: &dyn Values) -> Result<Lookup, EvalError> {
    let path = straighten(path, values)?;
    if path.names().is_none() {
        return Ok(Lookup::Later);
    }
    match values.value(&path) {
        Lookup::Never(why) => Err(EvalError::Unknown { path: path.to_string(), why }),
        found => Ok(found),
    }
}

/// Puts in what is known and folds it away. The result is a literal when everything was.
pub fn reduce(e: &Expr, values: &dyn Values) -> Result<Expr, EvalError> {
    let literal = |b: bool| Kind::Value(Value::Bool(b));
    let kind = match &e.kind {
        Kind::Value(_) | Kind::Word(_) => e.kind.clone(),
        Kind::Path(p) => match look(p, values)? {
            Lookup::Known(v) => Kind::Value(v),
            _ => Kind::Path(straighten(p, values)?),
        },
        Kind::Not(a) => match reduce(a, values)?.kind {
            Kind::Value(Value::Bool(b)) => literal(!b),
            kind => Kind::Not(Box::new(Expr::new(kind, a.span.clone()))),
        },
        Kind::And(a, b) | Kind::Or(a, b) => {
            let is_and = matches!(e.kind, Kind::And(..));
            let (a, b) = (reduce(a, values)?, reduce(b, values)?);
            match (&a.kind, &b.kind) {
                // A status word must stay visible even where the other side decides: `always and true` still runs after a failure.
                (Kind::Value(Value::Bool(x)), _) if *x == is_and => b.kind,
                (_, Kind::Value(Value::Bool(y))) if *y == is_and => a.kind,
                (Kind::Value(Value::Bool(x)), Kind::Value(Value::Bool(_))) => literal(*x),
                (Kind::Value(Value::Bool(x)), _) if !b.names_status() => literal(*x),
                (_, Kind::Value(Value::Bool(y))) if !a.names_status() => literal(*y),
                _ if is_and => Kind::And(Box::new(a), Box::new(b)),
                _ => Kind::Or(Box::new(a), Box::new(b)),
            }
        }
        Kind::Compare { left, right, negated } => {
            let (left, right) = (reduce(left, values)?, reduce(right, values)?);
            match (&left.kind, &right.kind) {
                (Kind::Value(a), Kind::Value(b)) => literal((a == b) != *negated),
                _ => Kind::Compare { left: Box::new(left), right: Box::new(right), negated: *negated },
            }
        }
    };
    Ok(Expr::new(kind, e.span.clone()))
}

/// The truth of `e` at a stage's turn.
pub fn eval(e: &Expr, facts: &Facts) -> Result<bool, EvalError> {
    match &e.kind {
        Kind::Value(Value::Bool(b)) => Ok(*b),
        Kind::Word(w) => Ok(match w {
            Word::Always => true,
            Word::Success => facts.needs_ok,
            Word::Failure => !facts.needs_ok,
            Word::Fixed => facts.needs_ok && facts.previous_failed,
        }),
        Kind::Not(a) => Ok(!eval(a, facts)?),
        // Both sides are short-circuited, so that `stages.x.verdict == "success" and stages.x.outputs.n == "1"` is safe.
        Kind::And(a, b) => Ok(eval(a, facts)? && eval(b, facts)?),
        Kind::Or(a, b) => Ok(eval(a, facts)? || eval(b, facts)?),
        Kind::Compare { left, right, negated } => Ok((operand(left, facts)? == operand(right, facts)?) != *negated),
        Kind::Path(_) | Kind::Value(_) => match operand(e, facts)? {
            Value::Bool(b) => Ok(b),
            other => Err(EvalError::Malformed { text: e.to_string(), why: format!("its value is `{other}`") }),
        },
    }
}

fn operand(e: &Expr, facts: &Facts) -> Result<Value, EvalError> {
    match &e.kind {
        Kind::Value(v) => Ok(v.clone()),
        Kind::Path(p) => match look(p, facts)? {
            Lookup::Known(v) => Ok(v),
            _ => Err(EvalError::TooEarly { path: p.to_string() }),
        },
        _ => eval(e, facts).map(Value::Bool),
    }
}

/// Whether a stage runs: its frozen `when`, with the rule that a condition which names no status also needs every need to have succeeded.
pub fn decide(when: Option<&str>, facts: &Facts) -> Result<bool, EvalError> {
    let Some(text) = when else { return Ok(facts.needs_ok) };
    let e = parse(text).map_err(|b| EvalError::Malformed { text: text.to_owned(), why: b.message })?;
    if !facts.needs_ok && !e.names_status() {
        return Ok(false);
    }
    eval(&e, facts)
}
