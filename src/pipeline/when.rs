//! What a `when:` decides: which cells of a matrix there are, and what is asked when the stage's turn comes.

use super::expr::{self, Bad, EvalError, Expr, Kind, Value, Values};

/// What chooses cells, and what is asked later. A part may not do both.
pub fn split(e: &Expr) -> Result<(Vec<&Expr>, Vec<&Expr>), Bad> {
    let (mut cells, mut stage, mut todo) = (Vec::new(), Vec::new(), vec![e]);
    while let Some(e) = todo.pop() {
        if let Kind::And(a, b) = &e.kind {
            todo.push(b);
            todo.push(a);
        } else if !e.mentions("matrix") {
            stage.push(e);
        } else if e.mentions("stages") || e.mentions("approve") || e.mentions("run") || e.names_status() {
            return Err(Bad::new(
                e.span.clone(),
                "this condition mixes matrix keys with what is known only later",
                "join the two with `and`: matrix keys choose cells when the run begins",
            ));
        } else {
            cells.push(e);
        }
    }
    Ok((cells, stage))
}

/// Whether a cell with these values is one that the stage has.
pub fn chosen(parts: &[&Expr], values: &dyn Values) -> Result<bool, EvalError> {
    for e in parts {
        match expr::reduce(e, values)?.kind {
            Kind::Value(Value::Bool(true)) => {}
            Kind::Value(Value::Bool(false)) => return Ok(false),
            _ => return Err(EvalError::Malformed { text: e.to_string(), why: "it is not known when the run begins".into() }),
        }
    }
    Ok(true)
}

/// What is still to be asked at the stage's turn; none = nothing.
pub fn remainder(parts: &[&Expr], values: &dyn Values) -> Result<Option<String>, EvalError> {
    let Some(all) = parts.iter().map(|e| (*e).clone()).reduce(|a, b| Expr::new(Kind::And(Box::new(a), Box::new(b)), 0..0)) else {
        return Ok(None);
    };
    let reduced = expr::reduce(&all, values)?;
    Ok(match reduced.kind {
        Kind::Value(Value::Bool(true)) => None,
        _ => Some(reduced.to_string()),
    })
}
