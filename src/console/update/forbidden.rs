//! What the state of a run forbids to be done with it, as far as that is known without a question.

use crate::action::Action;
use crate::console::model::screen::PAGE;
use crate::console::model::{Model, word};
use crate::console::question::{Answer, Question};

/// What could only be refused is not asked about. Of several, one that it can be done to is enough: each of the others is told what became of it.
pub fn over(model: &Model, action: &Action, runs: &[String]) -> Option<String> {
    if !matches!(action.id, "cancel" | "resume" | "retry") {
        return None;
    }
    let why = |run: &String| {
        let (ended, verdict) = ended(model, run)?;
        match action.id {
            "cancel" => ended.then(|| format!("{run} has ended ({verdict}): there is nothing to cancel")),
            _ if !ended => Some(format!("{run} has not ended: X cancels it")),
            _ if matches!(verdict.as_str(), "success" | "invalid") => {
                Some(format!("{run} has ended ({verdict}): nothing of it is left to do; B runs its pipeline anew"))
            }
            _ => None,
        }
    };
    let mut first = None;
    for run in runs {
        let why = why(run)?;
        first.get_or_insert(why);
    }
    first.map(|why| if runs.len() > 1 { format!("none of the {} can be: {why}", runs.len()) } else { why })
}

/// Whether a run has ended, and how; none where what is known of it may have moved.
fn ended(model: &Model, run: &str) -> Option<(bool, String)> {
    let now = |q: &Question| model.known(q).filter(|k| !k.old && k.error.is_none())?.answer.as_ref();
    if let Some(Answer::Run(doc)) = run.parse().ok().and_then(|r| now(&Question::Run(r))) {
        return Some((doc.state == "done", doc.verdict.clone().unwrap_or_default()));
    }
    let Some(Answer::Rows(all)) = now(&Question::Rows { what: "runs", limit: PAGE }) else { return None };
    let row = all.rows.iter().find(|r| r.get("run").and_then(serde_json::Value::as_str) == Some(run))?;
    Some((word::text(row, "state") == "done", word::text(row, "verdict")))
}

/// Force is for what was cancelled and does not end; the engine knows whether it still can.
pub fn can_end(model: &Model, action: &Action, run: &str) -> Option<String> {
    if action.id != "force-finish" {
        return None;
    }
    let rows = model.rows(&Question::Rows { what: "runs", limit: PAGE })?;
    let row = rows.rows.iter().find(|r| word::text(r, "run") == run)?;
    match (word::text(row, "state").as_str(), word::text(row, "cancel_by").is_empty()) {
        ("done", _) => Some(format!("{run} has ended")),
        (_, true) => Some(format!("{run} was not cancelled: X asks its steps to end in order first")),
        (_, false) => None,
    }
}
