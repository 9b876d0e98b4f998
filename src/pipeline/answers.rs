//! Answers of approvers: typed like parameters, complete, and refused with the question and the reason.

use indexmap::IndexMap;

use super::diagnostic::{Loc, show};
use super::expr::Value;
use super::model::{self, At, ParamType, Parameter};
use super::params::{self, ParamError};
use super::plan::{Answer, Approve, Question};
use super::reader::Word;
use crate::base::duration::Span;
use crate::base::suggest;

/// Until when people may approve, where the file does not say.
pub const EXPIRES: Span = Span::from_secs(86_400);

/// The frozen form.
pub(super) fn frozen(a: &model::Approve) -> Approve {
    let mut roles: Vec<String> = a.roles.iter().map(|r| r.value.clone()).collect();
    roles.dedup();
    Approve {
        roles,
        quorum: a.quorum.max(1),
        not_requester: a.not_requester,
        expires: a.expires.as_ref().map_or(EXPIRES, |e| e.value),
        show: a.show.iter().map(|s| s.value.clone()).collect(),
        ask: a.ask.iter().filter_map(question).collect(),
    }
}

fn question(p: &Parameter) -> Option<Question> {
    let answer = match &p.ty {
        ParamType::Text { pattern, min, max } => Answer::String { pattern: pattern.clone(), min: *min, max: *max },
        ParamType::Bool => Answer::Bool,
        ParamType::Int { min, max } => Answer::Int { min: *min, max: *max },
        ParamType::Choice(choices) => Answer::Choice { choices: choices.clone() },
        ParamType::Run { .. } => return None,
    };
    let default = p.default.as_ref().map(|d| d.value.clone());
    Some(Question { name: p.name.text.clone(), description: p.description.clone(), default, answer })
}

fn parameter(q: &Question) -> Parameter {
    let ty = match &q.answer {
        Answer::String { pattern, min, max } => ParamType::Text { pattern: pattern.clone(), min: *min, max: *max },
        Answer::Bool => ParamType::Bool,
        Answer::Int { min, max } => ParamType::Int { min: *min, max: *max },
        Answer::Choice { choices } => ParamType::Choice(choices.clone()),
    };
    let default = q.default.as_ref().map(|d| At::new(d.clone(), Loc::default()));
    Parameter { name: Word { text: q.name.clone(), at: Loc::default() }, ty, default, description: q.description.clone() }
}

/// What a question accepts, for people.
pub fn allowed(q: &Question) -> String {
    params::allowed(&parameter(q))
}

/// Why answers do not fit: one sentence and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadAnswer {
    pub message: String,
    pub help: String,
}

fn bad(message: String, help: impl Into<String>) -> BadAnswer {
    BadAnswer { message, help: help.into() }
}

/// All answers in the order of the questions: the given ones, those of earlier approvers, then defaults. Who approves later agrees with what
/// was answered before: an answer of theirs that differs is refused.
pub fn resolve(
    ask: &[Question],
    given: &IndexMap<String, String>,
    before: Option<&IndexMap<String, String>>,
) -> Result<IndexMap<String, String>, BadAnswer> {
    if let Some(name) = given.keys().find(|n| !ask.iter().any(|q| q.name == **n)) {
        let known: Vec<&str> = ask.iter().map(|q| q.name.as_str()).collect();
        let help = match suggest::nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "this approval asks nothing".to_owned(),
            None => format!("it asks for {}", known.join(", ")),
        };
        return Err(bad(format!("there is no question `{}`", show(name)), help));
    }
    let mut out = IndexMap::new();
    for q in ask {
        let first = before.and_then(|b| b.get(&q.name));
        let Some(value) = given.get(&q.name).or(first).or(q.default.as_ref()) else {
            let what = if q.description.is_empty() { String::new() } else { format!(" ({})", show(&q.description)) };
            return Err(bad(
                format!("question `{}` must be answered{what}: {}", q.name, allowed(q)),
                format!("give it: -p {}=VALUE", q.name),
            ));
        };
        let value = params::check(&parameter(q), value).map_err(|e: ParamError| {
            let help = Some(e.help()).filter(|h| !h.is_empty()).unwrap_or_else(|| format!("give another: -p {}=VALUE", q.name));
            bad(format!("question `{}`: {}", q.name, e.why()), help)
        })?;
        if let Some(first) = first.filter(|f| **f != value) {
            return Err(bad(
                format!("question `{}` was answered `{}` by who approved before, not `{}`", q.name, show(first), show(&value)),
                "leave it out to agree, or deny",
            ));
        }
        out.insert(q.name.clone(), value);
    }
    Ok(out)
}

/// An answer as expressions see it.
pub fn value(q: &Question, text: &str) -> Value {
    match q.answer {
        Answer::Bool => Value::Bool(text == "true"),
        Answer::Int { .. } => text.parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Int),
        Answer::String { .. } | Answer::Choice { .. } => Value::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> IndexMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn ask() -> Vec<Question> {
        let q = |name: &str, default: Option<&str>, answer| Question {
            name: name.into(),
            description: String::new(),
            default: default.map(str::to_owned),
            answer,
        };
        vec![
            q("ticket", None, Answer::String { pattern: Some("^CHG[0-9]{7}$".into()), min: None, max: None }),
            q("reboot", Some("false"), Answer::Bool),
            q("waves", Some("3"), Answer::Int { min: Some(1), max: Some(5) }),
            q("ring", Some("canary"), Answer::Choice { choices: vec!["canary".into(), "stable".into()] }),
        ]
    }

    #[test]
    fn every_question_is_answered_or_the_message_names_it_and_says_why() {
        let good = resolve(&ask(), &given(&[("ticket", "CHG1234567"), ("waves", "5")]), None).unwrap();
        assert_eq!(good, given(&[("ticket", "CHG1234567"), ("reboot", "false"), ("waves", "5"), ("ring", "canary")]));
        for (pairs, words) in [
            (&[][..], "question `ticket` must be answered: a text that matches"),
            (&[("ticket", "CHG1")], "question `ticket`: `CHG1` must be a text that matches"),
            (&[("ticket", "CHG1234567"), ("waves", "9")], "question `waves`: `9` must be a whole number from 1 to 5"),
            (&[("ticket", "CHG1234567"), ("reboot", "yes")], "question `reboot`: `yes` must be true or false"),
            (&[("ticket", "CHG1234567"), ("ring", "all")], "question `ring`: `all` must be one of canary, stable"),
            (&[("tickt", "CHG1234567")], "there is no question `tickt`"),
        ] {
            let e = resolve(&ask(), &given(pairs), None).unwrap_err();
            assert!(e.message.contains(words), "{e}");
            assert!(!e.help.is_empty() || !words.contains("no question"), "{e:?}");
        }
    }

    #[test]
    fn a_file_with_an_approval_is_clean_and_its_answers_are_typed_later() {
        let text = "format: 1\nname: x\noptions: {timeout: 14d}\nstages:\n  - name: check\n    run: echo\n  - name: agree\n    approve:\n      roles: [release-manager, operator]\n      quorum: 2\n      not: requester\n      expires: 10d\n      show: [check, \"artifacts/*.diff\"]\n      ask: {ticket: {type: string, pattern: \"^CHG[0-9]{7}$\"}, reboot: {type: bool, default: false}}\n    post: {success: [{run: echo told}]}\n  - name: go\n    when: approve.reboot and approve.ticket != \"CHG0000000\"\n    env: {T: \"for ${approve.ticket}\"}\n    run: rm -rf \"/srv/$approve_ticket\"\n";
        let catalog = crate::pipeline::tests::catalog();
        let (file, found) = crate::pipeline::load(text, "x.yml", &catalog);
        assert!(found.is_empty(), "{found:#?}");
        let file = file.unwrap();
        let plan = crate::pipeline::freeze(&file, &catalog, &IndexMap::new(), &crate::pipeline::FreezeCtx::NOTHING).unwrap();
        let a = plan.stages[1].approve.clone().unwrap();
        assert_eq!((a.quorum, a.not_requester, a.expires, a.ask.len()), (2, true, Span::from_secs(864_000), 2));
        assert!(plan.stages[1].cells.is_empty() && plan.stages[1].locks.is_empty());
        let back: crate::pipeline::plan::Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
        assert_eq!(back, plan);
        let drawn = crate::pipeline::graph::ascii(&crate::pipeline::graph::of_file(&file));
        assert!(drawn.contains("2 of release-manager, operator approve"), "{drawn}");
        let told = crate::pipeline::describe::text(&plan, &file, &catalog, jiff::Timestamp::UNIX_EPOCH);
        assert!(told.contains("not who asks for the run, within 10d") && told.contains("reboot: true or false; default false"), "{told}");
        let mut facts = crate::pipeline::expr::Facts { needs_ok: true, ..Default::default() };
        let go = &plan.stages[2];
        assert!(crate::pipeline::expr::decide(go.when.as_deref(), &facts).unwrap_err().to_string().contains("nobody was asked"));
        for (q, text) in a.ask.iter().zip(["CHG1234567", "true"]) {
            facts.approve.insert(q.name.clone(), value(q, text));
        }
        assert_eq!(crate::pipeline::expr::decide(go.when.as_deref(), &facts), Ok(true));
        let (_, env) = crate::pipeline::expr::fill_action(&go.cells[0].steps[0], &facts).unwrap();
        assert_eq!(env["T"], "for CHG1234567");
    }

    #[test]
    fn who_approves_later_agrees_with_what_was_answered() {
        let first = resolve(&ask(), &given(&[("ticket", "CHG1234567"), ("reboot", "true")]), None).unwrap();
        assert_eq!(resolve(&ask(), &given(&[]), Some(&first)).unwrap(), first);
        assert_eq!(resolve(&ask(), &given(&[("reboot", "true")]), Some(&first)).unwrap(), first);
        let e = resolve(&ask(), &given(&[("reboot", "false")]), Some(&first)).unwrap_err();
        assert!(e.message.contains("`reboot` was answered `true`"), "{e}");
    }
}
