//! The registry as JSON Schema, draft 2020-12, for editors.

use serde_json::{Map, Value, json};

use super::ty::{Context, Status, Ty};
use super::{contexts, keys};
use crate::domain::level::Level;

/// The whole schema. Plain scalars may be strings, numbers or booleans there, because editors read YAML's own types.
pub fn schema() -> Value {
    let mut defs = Map::new();
    for c in contexts().into_iter().filter(|c| c.name != keys::FILE.name) {
        defs.insert(c.name.to_owned(), context(c));
    }
    let mut root = context(&keys::FILE);
    if let Some(map) = root.as_object_mut() {
        map.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        map.insert("title".into(), json!("quarterdeck pipeline"));
        map.insert("$defs".into(), Value::Object(defs));
    }
    root
}

fn context(c: &Context) -> Value {
    let mut properties = Map::new();
    for key in c.keys {
        let mut value = match key.status {
            Status::Here => ty(key.ty),
            // Absent features are errors in lint, so they are in the editor.
            Status::Later { .. } => json!({"not": {}}),
        };
        if let Some(map) = value.as_object_mut() {
            let doc = match key.status {
                Status::Here => key.doc.to_owned(),
                Status::Later { what, instead } => format!("This version has no {what} yet. Until then {instead}."),
            };
            map.insert("description".into(), json!(doc));
        }
        properties.insert(key.name.to_owned(), value);
    }
    let mut out = Map::new();
    out.insert("type".into(), json!("object"));
    out.insert("description".into(), json!(c.noun));
    out.insert("properties".into(), Value::Object(properties));
    let required: Vec<&str> = c.keys.iter().filter(|k| k.required).map(|k| k.name).collect();
    if !required.is_empty() {
        out.insert("required".into(), json!(required));
    }
    match c.free {
        Some((Ty::Variable | Ty::EnvName | Ty::MatrixKey, value, doc)) => {
            let mut value = ty(value);
            if let Some(map) = value.as_object_mut() {
                map.insert("description".into(), json!(doc));
            }
            out.insert("patternProperties".into(), json!({"^[A-Za-z_][A-Za-z0-9_]*$": value}));
            out.insert("additionalProperties".into(), json!(false));
        }
        Some((_, value, _)) => {
            out.insert("additionalProperties".into(), ty(value));
        }
        None => {
            out.insert("additionalProperties".into(), json!(false));
        }
    }
    Value::Object(out)
}

fn ty(t: &Ty) -> Value {
    let text = || json!({"type": ["string", "number", "boolean"]});
    match t {
        Ty::Text | Ty::Template => json!({"type": ["string", "number", "boolean", "null"]}),
        Ty::Line | Ty::Script | Ty::Expr | Ty::Regex | Ty::Search | Ty::Zone | Ty::Moment | Ty::RetryOn => text(),
        Ty::Cron => json!({"type": "string"}),
        Ty::Name => json!({"type": ["string", "number"], "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$"}),
        Ty::Variable | Ty::EnvName | Ty::MatrixKey => json!({"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}),
        Ty::Bool => json!({"type": "boolean"}),
        Ty::Int { min, max } => {
            let mut m = json!({"type": "integer"});
            if let Some(m) = m.as_object_mut() {
                if *min != i64::MIN {
                    m.insert("minimum".into(), json!(min));
                }
                if *max != i64::MAX {
                    m.insert("maximum".into(), json!(max));
                }
            }
            m
        }
        Ty::Number { min, max } => json!({"type": "number", "minimum": min, "maximum": max}),
        Ty::Duration { .. } => json!({"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d|w))+$"}),
        Ty::Size => json!({"type": "string", "pattern": "^[0-9.]+ ?[kKmMgGtT]?([iI]?[bB])?$"}),
        Ty::Level => json!({"enum": Level::NAMES}),
        Ty::Word { words, .. } => json!({"enum": words.iter().map(|(w, _)| *w).collect::<Vec<_>>()}),
        Ty::List(t) => json!({"type": "array", "items": ty(t)}),
        Ty::OneOrMore(t) => json!({"anyOf": [ty(t), {"type": "array", "items": ty(t)}]}),
        Ty::Map(c) => json!({"$ref": format!("#/$defs/{}", c.name)}),
        Ty::Either(t, c) => json!({"anyOf": [ty(t), {"$ref": format!("#/$defs/{}", c.name)}]}),
        Ty::Any => json!({}),
    }
}
