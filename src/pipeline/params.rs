//! Parameter values: typed, complete, and refused with a reason before a run exists.

use indexmap::IndexMap;

use super::diagnostic::show;
use super::model::{File, ParamType, Parameter, RunResult};
use super::schema;
use crate::base::suggest;
use crate::domain::run::RunRef;

/// Bytes of one value: it travels in the environment of every step.
pub const MAX_BYTES: usize = 8 << 10;

/// Which run a parameter of type `run` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunQuery {
    pub pipeline: String,
    /// None = the latest.
    pub number: Option<u64>,
    pub result: RunResult,
}

/// Why the given values do not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    #[error("there is no parameter `{name}`")]
    Unknown { name: String, near: Option<String>, known: Vec<String> },
    #[error("parameter `{name}` needs a value: {allowed}")]
    Missing { name: String, allowed: String },
    #[error("parameter `{name}`: `{value}` is not allowed, it must be {allowed}")]
    Value { name: String, value: String, allowed: String, near: Option<String> },
    #[error("parameter `{name}`: `{value}` names no run that it may be: {why}")]
    NoRun { name: String, value: String, why: String, allowed: String },
}

impl ParamError {
    pub fn name(&self) -> &str {
        match self {
            Self::Unknown { name, .. } | Self::Missing { name, .. } | Self::Value { name, .. } | Self::NoRun { name, .. } => name,
        }
    }

    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "param.unknown",
            Self::Missing { .. } => "param.missing",
            Self::Value { .. } | Self::NoRun { .. } => "param.value",
        }
    }

    /// Without the name, for a place that has it already.
    pub fn why(&self) -> String {
        match self {
            Self::Value { value, allowed, .. } => format!("`{value}` must be {allowed}"),
            other => other.to_string(),
        }
    }

    pub fn help(&self) -> String {
        match self {
            Self::Unknown { near: Some(n), .. } | Self::Value { near: Some(n), .. } => format!("did you mean `{n}`?"),
            Self::Unknown { known, .. } if known.is_empty() => "the pipeline has no parameters".into(),
            Self::Unknown { known, .. } => format!("its parameters are {}", known.join(", ")),
            Self::Missing { name, .. } => format!("give it: -p {name}=VALUE"),
            Self::Value { near: None, .. } => String::new(),
            Self::NoRun { allowed, .. } => format!("it takes {allowed}"),
        }
    }
}

/// What a parameter accepts, for people.
pub fn allowed(p: &Parameter) -> String {
    match &p.ty {
        ParamType::Bool => "true or false".into(),
        ParamType::Choice(c) => format!("one of {}", c.iter().map(|v| show(v)).collect::<Vec<_>>().join(", ")),
        ParamType::Int { min, max } => match (min, max) {
            (Some(a), Some(b)) => format!("a whole number from {a} to {b}"),
            (Some(a), None) => format!("a whole number, at least {a}"),
            (None, Some(b)) => format!("a whole number, at most {b}"),
            (None, None) => "a whole number".into(),
        },
        ParamType::Text { pattern, min, max } => {
            let mut out = String::from("a text");
            match (min, max) {
                (Some(a), Some(b)) => out.push_str(&format!(" of {a} to {b} characters")),
                (Some(a), None) => out.push_str(&format!(" of at least {a} characters")),
                (None, Some(b)) => out.push_str(&format!(" of at most {b} characters")),
                (None, None) => {}
            }
            if let Some(p) = pattern {
                out.push_str(&format!(" that matches {}", show(p)));
            }
            out
        }
        ParamType::Run { of, result: wanted } => {
            let result = match wanted {
                RunResult::Success => "successful ",
                RunResult::Failure => "failed ",
                RunResult::Any => "",
            };
            match of {
                Some(of) => format!("a {result}run such as {0}#12, or {1}", of.value, words(*wanted)),
                None => format!("a {result}run such as nightly#12"),
            }
        }
    }
}

/// What a word for the newest run asks for, where the parameter's own `result` lets it.
fn latest(word: &str, result: RunResult) -> Option<RunResult> {
    match (word, result) {
        ("latest", _) => Some(result),
        ("latest-success", RunResult::Any | RunResult::Success) => Some(RunResult::Success),
        ("latest-failure", RunResult::Any | RunResult::Failure) => Some(RunResult::Failure),
        _ => None,
    }
}

fn words(result: RunResult) -> &'static str {
    match result {
        RunResult::Any => "`latest`, `latest-success`, `latest-failure`",
        RunResult::Success | RunResult::Failure => "`latest`",
    }
}

fn refuse(p: &Parameter, value: &str, near: Option<&str>) -> ParamError {
    ParamError::Value { name: p.name.text.clone(), value: show(value), allowed: allowed(p), near: near.map(str::to_owned) }
}

/// The value as it will reach the steps. Runs are checked for their form only.
pub(super) fn check(p: &Parameter, value: &str) -> Result<String, ParamError> {
    if value.len() > MAX_BYTES || value.contains('\0') {
        let allowed = format!("at most {MAX_BYTES} bytes, without NUL");
        return Err(ParamError::Value { name: p.name.text.clone(), value: show(value), allowed, near: None });
    }
    match &p.ty {
        ParamType::Bool => match value {
            "true" | "false" => Ok(value.to_owned()),
            _ => {
                let near = match value.to_lowercase().as_str() {
                    "yes" | "on" | "1" | "y" | "true" => Some("true"),
                    "no" | "off" | "0" | "n" | "false" => Some("false"),
                    _ => None,
                };
                Err(refuse(p, value, near))
            }
        },
        ParamType::Int { min, max } => match schema::integer(value) {
            Some(n) if min.is_none_or(|m| n >= m) && max.is_none_or(|m| n <= m) => Ok(value.to_owned()),
            _ => Err(refuse(p, value, None)),
        },
        ParamType::Choice(choices) => {
            if choices.iter().any(|c| c == value) {
                Ok(value.to_owned())
            } else {
                Err(refuse(p, value, suggest::nearest(value, choices.iter().map(String::as_str))))
            }
        }
        ParamType::Text { pattern, min, max } => {
            let length = value.chars().count() as i64;
            let fits = min.is_none_or(|m| length >= m) && max.is_none_or(|m| length <= m);
            let matches = pattern.as_ref().is_none_or(|p| schema::regex_of(p).is_ok_and(|r| r.is_match(value)));
            if fits && matches { Ok(value.to_owned()) } else { Err(refuse(p, value, None)) }
        }
        ParamType::Run { of, result } => match (value, of) {
            (word, Some(_)) if latest(word, *result).is_some() => Ok(value.to_owned()),
            (value, of) => match value.parse::<RunRef>() {
                Ok(r) if of.as_ref().is_none_or(|of| of.value == r.pipeline) => Ok(value.to_owned()),
                _ => Err(refuse(p, value, None)),
            },
        },
    }
}

/// For lint.
pub fn check_default(p: &Parameter, value: &str) -> Result<(), ParamError> {
    check(p, value).map(|_| ())
}

/// All values in the order of declaration: the given ones, then defaults. Every fault is reported, not only the first.
pub fn resolve(
    file: &File,
    given: &IndexMap<String, String>,
    find_run: &dyn Fn(&RunQuery) -> Result<RunRef, String>,
) -> Result<IndexMap<String, String>, Vec<ParamError>> {
    let mut faults = Vec::new();
    for name in given.keys().filter(|n| file.parameter(n).is_none()) {
        let known: Vec<String> = file.parameters.iter().map(|p| p.name.text.clone()).collect();
        let near = suggest::nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
        faults.push(ParamError::Unknown { name: show(name), near, known });
    }
    let mut out = IndexMap::new();
    for p in &file.parameters {
        let Some(value) = given.get(&p.name.text).or(p.default.as_ref().map(|d| &d.value)) else {
            faults.push(ParamError::Missing { name: p.name.text.clone(), allowed: allowed(p) });
            continue;
        };
        let found = check(p, value).and_then(|value| match &p.ty {
            ParamType::Run { of, result } => {
                let query = match value.parse::<RunRef>() {
                    Ok(r) => RunQuery { pipeline: r.pipeline, number: Some(r.number), result: *result },
                    Err(_) => RunQuery {
                        pipeline: of.as_ref().map(|o| o.value.clone()).unwrap_or_default(),
                        number: None,
                        result: latest(&value, *result).unwrap_or(*result),
                    },
                };
                find_run(&query).map(|r| r.to_string()).map_err(|why| ParamError::NoRun {
                    name: p.name.text.clone(),
                    value: show(&value),
                    why,
                    allowed: allowed(p),
                })
            }
            _ => Ok(value),
        });
        match found {
            Ok(value) => {
                out.insert(p.name.text.clone(), value);
            }
            Err(e) => faults.push(e),
        }
    }
    if faults.is_empty() { Ok(out) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::tests::catalog;
    use crate::pipeline::{FreezeCtx, freeze, load};

    #[test]
    fn a_run_that_is_not_there_is_told_as_that_and_not_as_a_wrong_form() {
        let text = "format: 1\nname: p\nparameters: {c: {type: run, of: rpmcanary, result: success, default: latest}}\nstages: [{name: a, run: echo}]\n";
        let (file, _) = load(text, "p.yml", &catalog());
        let none = |_: &RunQuery| Err("`rpmcanary` has no run that succeeded".to_owned());
        let found = freeze(&file.unwrap(), &catalog(), &IndexMap::new(), &FreezeCtx { find_run: &none, ..FreezeCtx::NOTHING }).unwrap_err();
        let d = &found[0];
        assert_eq!(d.message, "parameter `c`: `latest` names no run that it may be: `rpmcanary` has no run that succeeded");
        assert!(d.help.contains("such as rpmcanary#12") && d.code == "param.value", "{d:?}");
    }
}
