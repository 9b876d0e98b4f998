//! The fields of a form by their rules: what may be picked, and what is wrong with a value before anybody is asked. The rules are those of
//! pipelines; what only an engine knows, such as whether a run is there, the engine says.

use super::model::Model;
use super::model::dialog::Field;
use super::model::screen::PAGE;
use super::model::word;
use super::question::Question;
use crate::api::types::Rule;
use crate::pipeline::diagnostic::Loc;
use crate::pipeline::model::{At, ParamType, Parameter, RunResult};
use crate::pipeline::params;
use crate::pipeline::reader::Word;

/// Runs that are offered.
const RUNS: usize = 20;

/// What may be picked; empty where a value is typed.
pub fn options(model: &Model, field: &Field) -> Vec<String> {
    match &field.rule {
        Rule::Bool => vec!["true".into(), "false".into()],
        Rule::Choice { choices } => choices.clone(),
        Rule::Run { of, result } => {
            let newest = of.iter().map(|_| "latest".to_owned());
            let rows = model.rows(&Question::Rows { what: "runs", limit: PAGE }).map_or(&[][..], |r| r.rows.as_slice());
            let fits = rows.iter().filter(|r| {
                let outcome = word::text(r, "verdict");
                let wanted = match result.as_str() {
                    "success" => outcome == "success",
                    "failure" => !outcome.is_empty() && outcome != "success",
                    _ => !outcome.is_empty(),
                };
                wanted && of.as_ref().is_none_or(|of| word::text(r, "pipeline") == *of)
            });
            newest.chain(fits.take(RUNS).map(|r| word::text(r, "run"))).collect()
        }
        Rule::Text { .. } | Rule::Int { .. } | Rule::Unknown => Vec::new(),
    }
}

/// What is wrong with the value, on one line; none where it may be sent.
pub fn problem(field: &Field) -> Option<String> {
    let text = field.text();
    if field.missing() {
        return Some(format!("must be given: {}", field.kind));
    }
    let ty = match &field.rule {
        Rule::Unknown => return None,
        Rule::Text { pattern, min, max } => ParamType::Text { pattern: pattern.clone(), min: *min, max: *max },
        Rule::Bool => ParamType::Bool,
        Rule::Int { min, max } => ParamType::Int { min: *min, max: *max },
        Rule::Choice { choices } => ParamType::Choice(choices.clone()),
        Rule::Run { of, result } => ParamType::Run {
            of: of.as_ref().map(|of| At::new(of.clone(), Loc::default())),
            result: match result.as_str() {
                "success" => RunResult::Success,
                "failure" => RunResult::Failure,
                _ => RunResult::Any,
            },
        },
    };
    let name = Word { text: field.name.clone(), at: Loc::default() };
    let parameter = Parameter { name, ty, default: None, description: String::new() };
    let e = params::check_default(&parameter, text).err()?;
    let help = e.help();
    Some(if help.is_empty() { e.why() } else { format!("{}; {help}", e.why()) })
}

/// The option after the one that stands there, or before it.
pub fn next(options: &[String], now: &str, forward: bool) -> Option<String> {
    let n = options.len();
    let at = options.iter().position(|o| o == now);
    let to = match (at, forward) {
        (None, true) => 0,
        (None, false) => n.checked_sub(1)?,
        (Some(i), true) => (i + 1) % n,
        (Some(i), false) => (i + n - 1) % n,
    };
    options.get(to).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::edit::Line;

    fn field(rule: Rule, default: Option<&str>, text: &str) -> Field {
        let default = default.map(str::to_owned);
        Field { name: "os".into(), kind: "words".into(), default, about: String::new(), rule, line: Line::from(text) }
    }

    #[test]
    fn values_are_judged_by_the_rules_of_pipelines() {
        let choice = Rule::Choice { choices: vec!["el8".into(), "el9".into()] };
        let text = |of: Field| problem(&of).unwrap_or_default();
        assert!(text(field(choice.clone(), None, "")).contains("must be given"));
        assert!(text(field(choice.clone(), None, "el7")).contains("one of el8, el9"));
        assert_eq!(text(field(choice, None, "el9")), "");
        assert!(text(field(Rule::Int { min: Some(1), max: Some(9) }, None, "10")).contains("from 1 to 9"));
        assert!(text(field(Rule::Bool, None, "yes")).contains("did you mean `true`?"));
        let like = Rule::Text { pattern: Some("^v[0-9]+$".into()), min: None, max: None };
        assert!(text(field(like.clone(), Some("v1"), "x")).contains("matches"));
        assert_eq!(text(field(like, Some("v1"), "v22")), "");
        let run = Rule::Run { of: Some("build".into()), result: "success".into() };
        assert!(text(field(run.clone(), None, "other#1")).contains("build#12"));
        assert_eq!((text(field(run.clone(), None, "build#7")), text(field(run, None, "latest"))), (String::new(), String::new()));
        assert_eq!(text(field(Rule::Unknown, None, "anything")), "", "the engine judges it");
    }

    #[test]
    fn options_go_round() {
        let all = ["a".to_owned(), "b".to_owned()];
        assert_eq!(
            (next(&all, "a", true), next(&all, "b", true), next(&all, "?", false)),
            (Some("b".into()), Some("a".into()), Some("b".into()))
        );
        assert_eq!((next(&[], "a", true), next(&[], "a", false)), (None, None));
    }
}
