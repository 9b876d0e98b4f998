//! The `with` of a step: `key=value` pairs, a key repeated for a list, checked against the kind's fields before anything happens.

use indexmap::IndexMap;

use crate::base::duration::Span;
use crate::base::{size, suggest};
use crate::pipeline::catalog::{Field, FieldType};
use crate::steps::error::StepError;
use crate::wire::excerpt;

/// Values by key, in the order given. A key given more than once is a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct With(IndexMap<String, Vec<String>>);

impl With {
    /// From the command line: each item is `key=value`.
    pub fn from_args<S: AsRef<str>>(items: &[S]) -> Result<Self, StepError> {
        let mut with = Self::default();
        for item in items {
            let (key, value) = item.as_ref().split_once('=').ok_or_else(|| {
                StepError::input(
                    format!("`--with {}` has no `=`", item.as_ref()),
                    "write it as --with key=value, and repeat a key for a list",
                )
            })?;
            with.push(key.trim(), value);
        }
        Ok(with)
    }

    pub fn push(&mut self, key: &str, value: &str) {
        self.0.entry(key.to_owned()).or_default().push(value.to_owned());
    }

    /// Unknown keys, missing ones, repeated scalars and values of the wrong type are input errors.
    pub fn check(&self, fields: &[Field]) -> Result<(), StepError> {
        let known = || fields.iter().map(|f| f.name);
        for (key, values) in &self.0 {
            // Put there when the plan was frozen, from the site file; a pipeline cannot say it.
            let settled = |f: &Field| matches!(f.ty, FieldType::FarEnd(_)) && key.strip_prefix(f.name).is_some_and(|k| k.starts_with('.'));
            if values.len() == 1 && fields.iter().any(settled) {
                continue;
            }
            let Some(field) = fields.iter().find(|f| f.name == key) else {
                let next = suggest::meant(key, known(), format!("known: {}", known().collect::<Vec<_>>().join(", ")));
                return Err(StepError::input(format!("unknown field `{key}`"), next));
            };
            if values.len() > 1 && field.ty != FieldType::List {
                return Err(StepError::input(format!("`{key}` is given {} times and takes one value", values.len()), field.doc));
            }
            for value in values {
                check_type(field, value)?;
            }
        }
        match fields.iter().find(|f| f.required && !self.0.get(f.name).is_some_and(|v| v.iter().any(|v| !v.is_empty()))) {
            Some(missing) => {
                Err(StepError::input(format!("`{}` is required", missing.name), format!("--with {}=…: {}", missing.name, missing.doc)))
            }
            None => Ok(()),
        }
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|v| v.first()).map(String::as_str).filter(|v| !v.is_empty())
    }

    pub fn list(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    pub fn int(&self, key: &str) -> Option<u64> {
        self.text(key).and_then(|v| v.trim().parse().ok())
    }

    pub fn span(&self, key: &str) -> Option<Span> {
        self.text(key).and_then(|v| v.parse().ok())
    }

    pub fn size(&self, key: &str) -> Option<u64> {
        self.text(key).and_then(size::parse)
    }

    pub fn flag(&self, key: &str) -> bool {
        self.text(key).is_some_and(|v| v == "true")
    }
}

fn check_type(field: &Field, value: &str) -> Result<(), StepError> {
    let good = match field.ty {
        FieldType::Text | FieldType::List | FieldType::FarEnd(_) => true,
        FieldType::Word(words) if !words.contains(&value) && !value.is_empty() => {
            let next = suggest::meant(value, words.iter().copied(), format!("write one of {}", words.join(", ")));
            return Err(StepError::input(format!("`{}` cannot be `{}`", field.name, excerpt(value)), next));
        }
        FieldType::Word(_) => true,
        FieldType::Path | FieldType::Inside => !value.contains('\0'),
        FieldType::Bool => matches!(value, "true" | "false"),
        FieldType::Int => value.trim().parse::<u64>().is_ok(),
        FieldType::Duration => value.parse::<Span>().is_ok(),
    };
    let form = match field.ty {
        FieldType::Bool => "true or false",
        FieldType::Int => "a whole number",
        FieldType::Duration => "a duration such as 90s or 15m",
        _ => "text",
    };
    if good {
        return Ok(());
    }
    Err(StepError::input(format!("`{}` must be {form}, not `{}`", field.name, excerpt(value)), field.doc))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVEL: Field = Field { name: "level", ty: FieldType::Word(&["metadata", "presence"]), required: false, doc: "how closely" };
    const FIELDS: &[Field] = &[
        LEVEL,
        Field { name: "url", ty: FieldType::List, required: true, doc: "upstream" },
        Field { name: "parallel", ty: FieldType::Int, required: false, doc: "connections" },
    ];

    #[test]
    fn pairs_repeat_for_lists_and_values_may_hold_equal_signs() {
        let with = With::from_args(&["url=http://a/?x=1", "url=http://b/", "parallel=4"]).unwrap();
        with.check(FIELDS).unwrap();
        assert_eq!(with.list("url"), ["http://a/?x=1", "http://b/"]);
        assert_eq!(with.int("parallel"), Some(4));
    }

    #[test]
    fn slips_are_named_before_anything_happens() {
        let err = |items: &[&str]| With::from_args(items).and_then(|w| w.check(FIELDS)).unwrap_err().to_string();
        assert!(err(&["url"]).contains("has no `=`"));
        assert!(err(&["url=x", "paralell=4"]).contains("did you mean `parallel`?"));
        assert!(err(&["url=x", "parallel=four"]).contains("must be a whole number, not `four`"));
        assert!(err(&["url=x", "parallel=1", "parallel=2"]).contains("2 times"));
        assert!(err(&["parallel=1"]).contains("`url` is required"));
        assert!(err(&["url="]).contains("`url` is required"));
        assert!(err(&["url=x", "level=presense"]).contains("`level` cannot be `presense`\n  next: did you mean `presence`?"));
        assert!(err(&["url=x", "level=7"]).contains("write one of metadata, presence"));
    }
}
