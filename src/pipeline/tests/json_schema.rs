//! The JSON Schema that editors read, held against lint: a validator of the keywords that it uses, and what it takes and refuses.

use super::*;

/// A node as an editor's YAML reader gives it.
fn as_json(node: &reader::Node) -> serde_json::Value {
    use reader::Kind;
    match &node.kind {
        Kind::Map(entries) => serde_json::Value::Object(entries.iter().map(|(w, n)| (w.text.clone(), as_json(n))).collect()),
        Kind::Seq(items) => items.iter().map(as_json).collect(),
        Kind::Scalar { text, style: reader::Style::Plain } => serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into()),
        Kind::Scalar { text, .. } => text.as_str().into(),
    }
}

/// The keywords of JSON Schema that ours uses; any other one fails the test.
fn valid(schema: &serde_json::Value, root: &serde_json::Value, v: &serde_json::Value, at: &str) -> Result<(), String> {
    for (word, rule) in schema.as_object().unwrap() {
        match word.as_str() {
            "$schema" | "title" | "description" | "$defs" => {}
            "$ref" => {
                let target = root.pointer(rule.as_str().unwrap().trim_start_matches('#')).unwrap_or_else(|| panic!("{rule} leads nowhere"));
                valid(target, root, v, at)?;
            }
            "type" => {
                let kind = match v {
                    serde_json::Value::Null => "null",
                    serde_json::Value::Bool(_) => "boolean",
                    serde_json::Value::Number(n) if n.is_i64() || n.is_u64() => "integer",
                    serde_json::Value::Number(_) => "number",
                    serde_json::Value::String(_) => "string",
                    serde_json::Value::Array(_) => "array",
                    serde_json::Value::Object(_) => "object",
                };
                let allowed = |t: &serde_json::Value| t == kind || (t == "number" && kind == "integer");
                if !rule.as_array().map_or_else(|| allowed(rule), |all| all.iter().any(allowed)) {
                    return Err(format!("{at}: {kind} is not {rule}"));
                }
            }
            "properties" | "patternProperties" | "additionalProperties" => {
                let Some(map) = v.as_object() else { continue };
                for (k, inner) in map {
                    let named = schema["properties"].get(k);
                    let free = schema.get("patternProperties").and_then(|p| {
                        let (pattern, s) = p.as_object().unwrap().iter().next().unwrap();
                        regex::Regex::new(pattern).unwrap().is_match(k).then_some(s)
                    });
                    match (word.as_str(), named, free) {
                        ("properties", Some(s), _) | ("patternProperties", None, Some(s)) => valid(s, root, inner, &format!("{at}.{k}"))?,
                        ("additionalProperties", None, None) if *rule == false => return Err(format!("{at}: no key {k}")),
                        ("additionalProperties", None, None) => valid(rule, root, inner, &format!("{at}.{k}"))?,
                        _ => {}
                    }
                }
            }
            "required" => {
                for k in rule.as_array().unwrap().iter().filter_map(|k| k.as_str()) {
                    if v.as_object().is_some_and(|m| !m.contains_key(k)) {
                        return Err(format!("{at}: lacks {k}"));
                    }
                }
            }
            "items" => v.as_array().into_iter().flatten().try_for_each(|i| valid(rule, root, i, at))?,
            "anyOf" => {
                let all: Vec<_> = rule.as_array().unwrap().iter().map(|s| valid(s, root, v, at)).collect();
                if all.iter().all(Result::is_err) {
                    return all.into_iter().next().unwrap();
                }
            }
            "enum" => {
                if !rule.as_array().unwrap().contains(v) {
                    return Err(format!("{at}: {v} is not among {rule}"));
                }
            }
            "not" => return Err(format!("{at}: not in this version")),
            "pattern" => {
                if v.as_str().is_some_and(|s| !regex::Regex::new(rule.as_str().unwrap()).unwrap().is_match(s)) {
                    return Err(format!("{at}: {v} does not match {rule}"));
                }
            }
            "minimum" if v.as_f64() < rule.as_f64() => return Err(format!("{at}: {v} is below {rule}")),
            "maximum" if v.as_f64() > rule.as_f64() => return Err(format!("{at}: {v} is above {rule}")),
            "minimum" | "maximum" => {}
            other => panic!("unknown keyword {other}"),
        }
    }
    Ok(())
}

#[test]
fn the_json_schema_takes_what_lint_takes_and_refuses_the_usual_slips() {
    let schema = schema::json::schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let judge = |text: &str| {
        let root = reader::read(&mut diagnostic::Sink::new("p.yml", text)).unwrap();
        valid(&schema, &schema, &as_json(&root), "")
    };
    for text in [NIGHTLY, CANARY, RICH] {
        assert_eq!(judge(text), Ok(()));
    }
    for (name, error) in [
        ("timout", ".stages: no key timout"),
        ("missing-name", ": lacks name"),
        ("later", ".agent: not in this version"),
        ("word", ".options.concurrency.on_conflict: \"cancel-oldr\" is not among"),
        ("danger", ".danger: \"high\" is not among"),
        ("no-format", ": lacks format"),
    ] {
        let text = match name {
            "no-format" => "name: x\nstages: []\n".to_owned(),
            _ => std::fs::read_to_string(format!("{}/tests/fixtures/pipelines/bad/{name}.yml", env!("CARGO_MANIFEST_DIR"))).unwrap(),
        };
        let found = judge(&text).unwrap_err();
        assert!(found.starts_with(error), "{name}: {found}");
    }
}
