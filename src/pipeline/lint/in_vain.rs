//! Conditions that ask whether a need failed, and are asked only where it did not: one that names no `failure` or `always` wants every
//! need to have succeeded.

use std::collections::BTreeSet;

use crate::pipeline::diagnostic::{Sink, show};
use crate::pipeline::expr::{self, Expr, Kind, Value};
use crate::pipeline::model::File;
use crate::pipeline::order::{ended_before, needs};

pub fn lint(file: &File, sink: &mut Sink<'_>) {
    let needs = needs(file);
    for (i, stage) in file.stages.iter().enumerate() {
        let Some(node) = &stage.when else { continue };
        let Some(e) = node.text().and_then(|t| expr::parse(t).ok()).filter(|e| !e.names_status()) else { continue };
        let good: BTreeSet<&str> = ended_before(&needs, i)
            .into_iter()
            .map(|j| &file.stages[j])
            .filter(|s| !s.allow_failure)
            .map(|s| s.name.value.as_str())
            .collect();
        if let Some(need) = never(&e, &good) {
            sink.warning(
                node.at,
                "when.in-vain",
                format!(
                    "stage `{}` never runs: it asks whether `{need}` failed, and is asked only where all went well",
                    show(&stage.name.value)
                ),
                "write `failure and …`, or `always and …` before it",
            );
        }
    }
}

/// The stage in `good` by which this is false, if it is.
fn never<'a>(e: &Expr, good: &BTreeSet<&'a str>) -> Option<&'a str> {
    match &e.kind {
        Kind::And(a, b) => never(a, good).or_else(|| never(b, good)),
        Kind::Or(a, b) => never(a, good).filter(|_| never(b, good).is_some()),
        Kind::Compare { left, right, negated: false } => {
            let (Kind::Path(path), Kind::Value(Value::Text(word))) = (&left.kind, &right.kind) else { return None };
            let names = path.names().filter(|_| path.root == "stages")?;
            let [stage, "verdict"] = names.as_slice() else { return None };
            good.iter().find(|g| *g == stage).copied().filter(|_| matches!(word.as_str(), "failure" | "lost" | "cancelled" | "invalid"))
        }
        _ => None,
    }
}
