//! `parameters:`, and the questions of `approve:`, to their typed forms: a type, and what it allows.

use super::fields::{Fields, text};
use super::{ParamType, Parameter, RunResult};
use crate::pipeline::diagnostic::{Sink, show};
use crate::pipeline::reader::{Kind, Node, Word};
use crate::pipeline::schema::keys;

/// Of a mapping from names to parameters.
pub(super) fn all(node: Option<&Node>, sink: &mut Sink<'_>) -> Vec<Parameter> {
    match node.map(|n| &n.kind) {
        Some(Kind::Map(entries)) => entries.iter().filter_map(|(w, n)| one(w, n, sink)).collect(),
        _ => Vec::new(),
    }
}

fn one(name: &Word, node: &Node, sink: &mut Sink<'_>) -> Option<Parameter> {
    let f = Fields::new(node, &keys::PARAMETER);
    let ty = f.text("type")?;
    for (key, types) in [
        ("choices", &["choice"][..]),
        ("pattern", &["string"]),
        ("min", &["int", "string"]),
        ("max", &["int", "string"]),
        ("of", &["run"]),
        ("result", &["run"]),
    ] {
        if f.get(key).is_some() && !types.contains(&ty.value.as_str()) {
            sink.error(
                f.key_at(key),
                "param.key",
                format!("`{key}` has no meaning for a parameter of type {}", ty.value),
                format!("it belongs to type {}", types.join(" or ")),
            );
        }
    }
    let (min, max) = (f.number("min"), f.number("max"));
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        sink.error(f.key_at("max"), "param.range", format!("`max` {max} is below `min` {min}"), "swap them");
    }
    let ty = match ty.value.as_str() {
        "bool" => ParamType::Bool,
        "int" => ParamType::Int { min, max },
        "choice" => {
            let choices = f.texts("choices");
            if choices.is_empty() {
                sink.error(ty.at, "param.choices", format!("parameter `{}` has no choices", name.text), "add `choices: [a, b]`");
            }
            for (i, c) in choices.iter().enumerate() {
                if choices[..i].iter().any(|d| d.value == c.value) {
                    sink.error(c.at, "param.choices", format!("choice `{}` stands twice", show(&c.value)), "keep one");
                }
            }
            ParamType::Choice(choices.into_iter().map(|c| c.value).collect())
        }
        "run" => ParamType::Run {
            of: f.text("of"),
            result: match f.text("result").as_ref().map(|t| t.value.as_str()) {
                Some("success") => RunResult::Success,
                Some("failure") => RunResult::Failure,
                _ => RunResult::Any,
            },
        },
        _ => ParamType::Text { pattern: f.text("pattern").map(|t| t.value), min, max },
    };
    // An empty text is a value: `default: ""`.
    let default = f.entries.iter().find(|(w, _)| w.text == "default").and_then(|(_, n)| text(n));
    Some(Parameter { name: name.clone(), ty, default, description: f.text("description").map(|t| t.value).unwrap_or_default() })
}
