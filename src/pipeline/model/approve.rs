//! `approve:` of a stage to its typed form, and what may not stand beside it.

use super::fields::{Fields, text};
use super::{Approve, ParamType, Parameter, parameter};
use crate::pipeline::diagnostic::{Sink, show};
use crate::pipeline::schema::keys;

/// Names that `approve` takes beside the answers.
const TAKEN: [&str; 2] = ["sha", "stage"];
/// What a stage that waits for people may say.
const BESIDE: [&str; 5] = ["name", "needs", "when", "approve", "post"];

pub(super) fn build(a: &Fields<'_>, stage: &Fields<'_>, sink: &mut Sink<'_>) -> Option<Approve> {
    for (word, _) in stage.entries.iter().filter(|(w, _)| !BESIDE.contains(&w.text.as_str()) && keys::STAGE.key(&w.text).is_some()) {
        let help = match word.text.as_str() {
            "locks" | "reads" | "writes" => "people take their time, and would hold up everybody else: say it in the stage behind this one",
            "timeout" => "write `expires` below `approve`",
            "allow_failure" => "a refusal that does not hold the run is none; use `when: always` in the stage behind",
            _ => "a stage that waits for people runs nothing: make two stages of it",
        };
        sink.error(word.at, "approve.key", format!("`{}` has no meaning beside `approve`", word.text), help);
    }
    let roles = a.texts("roles");
    if roles.is_empty() && sink.errors() == 0 {
        sink.error(a.key_at("roles"), "approve.roles", "nobody may approve: the list of roles is empty", "name a role of the site file");
    }
    let ask = parameter::all(a.get("ask"), sink).into_iter().filter_map(|p| question(p, sink)).collect();
    let show = a.items("show").iter().filter_map(text).collect();
    Some(Approve {
        at: a.at,
        roles,
        quorum: a.number("quorum").unwrap_or(1),
        not_requester: a.text("not").is_some_and(|t| t.value == "requester"),
        expires: a.span("expires"),
        show,
        ask,
    })
}

fn question(p: Parameter, sink: &mut Sink<'_>) -> Option<Parameter> {
    if matches!(p.ty, ParamType::Run { .. }) {
        sink.error(
            p.name.at,
            "approve.question",
            format!("question `{}` asks for a run", show(&p.name.text)),
            "make it a parameter: a run is chosen before anything starts",
        );
        return None;
    }
    if TAKEN.contains(&p.name.text.as_str()) {
        sink.error(
            p.name.at,
            "approve.question",
            format!("`{}` cannot be the name of a question", p.name.text),
            "`-p stage=` and `-p sha=` say what is approved; call it otherwise",
        );
        return None;
    }
    Some(p)
}
