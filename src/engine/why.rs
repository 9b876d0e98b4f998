//! What `why` says of a run that has ended: how, where to look, and what can be done now. Pure.

use crate::api::log::FirstErrorDoc;
use crate::domain::rows::{RunRow, Summary};
use crate::domain::run::{RunRef, Verdict};
use crate::runner::children::TRIGGER;
use crate::store::LATE;

/// What an attempt of a forced run said after the run's end: a sentence for each.
pub fn late(facts: &[(String, String)]) -> Vec<String> {
    let said = |json: &str| {
        let v: serde_json::Value = serde_json::from_str(json).ok()?;
        let text = |f: &str| v[f].as_str().unwrap_or_default().to_owned();
        Some(format!("its step `{}` has ended since, at {}: {}; the verdict stays", text("step"), text("ended"), text("how")))
    };
    facts.iter().filter(|(kind, _)| kind == LATE).filter_map(|(_, json)| said(json)).collect()
}

/// The run whose stage it is, as its cause has it.
fn started_by(row: &RunRow) -> Option<&str> {
    let cause = row.cause.as_deref().filter(|_| row.trigger == TRIGGER)?;
    cause.strip_prefix("upstream:")?.split(':').next()
}

/// The run that its failed step was.
pub fn failed_child<'a>(row: &RunRow, of: &'a Summary) -> Option<&'a RunRef> {
    let stage = of.stages.iter().find(|s| Some(&s.name) == row.failed_stage.as_ref())?;
    stage.steps.iter().find(|t| Some(&t.name) == row.failed_step.as_ref())?.child.as_ref()
}

/// Sentences; the first says how it ended. `child` is the run that its failed step was, `more` are those about its tests and its late ends,
/// `others` the runs that it set off.
pub fn ended(
    row: &RunRow,
    first_error: Option<&FirstErrorDoc>,
    child: Option<&RunRef>,
    more: Vec<String>,
    others: &[RunRow],
) -> Vec<String> {
    let Some(verdict) = row.verdict else { return Vec::new() };
    let detail = if row.detail.is_empty() { String::new() } else { format!(": {}", row.detail) };
    let mut said = vec![format!("it has ended: {verdict}{detail}")];
    said.extend(more);
    // A stage that failed without a step (its approval was denied) has written nothing.
    if let (Some(stage), Some(step)) = (&row.failed_stage, &row.failed_step) {
        if let Some(e) = first_error {
            said.push(format!("its first error ({}): {}", e.how, e.text));
        }
        // A stage that is a run of another pipeline has no log of its own.
        let place = child.map_or_else(|| format!("{}/{stage}/{step}", row.run), ToString::to_string);
        said.push(format!("its log: quarterdeck log {}", quoted(&place)));
    }
    if let Some(above) = started_by(row) {
        said.push(format!("a stage of {above} has started it: quarterdeck why {}", quoted(above)));
    }
    let run = quoted(&row.run.to_string());
    match verdict {
        Verdict::Success | Verdict::Skipped => {}
        // Its steps succeeded: what they read was another content in the end.
        Verdict::Invalid => said.push(format!("judge the content of now: quarterdeck replay {run}")),
        _ => said.push(format!("go on from there: quarterdeck resume {run}")),
    }
    if !others.is_empty() {
        let list: Vec<String> = others
            .iter()
            .take(20)
            .map(|o| format!("{} ({})", o.run, o.verdict.map_or_else(|| o.state.as_str(), Verdict::as_str)))
            .collect();
        let more = others.len().saturating_sub(list.len());
        said.push(format!("it set off {}{}", list.join(", "), if more > 0 { format!(" and {more} more") } else { String::new() }));
    }
    said
}

/// For a shell: `#`, blanks and signs in it mean themselves.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_log_of_a_failed_step_is_its_own_unless_it_was_a_run() {
        let row: RunRow = serde_json::from_value(json!({
            "run": "up#1", "pipeline": "up", "number": 1, "title": "", "state": "done", "verdict": "failure",
            "detail": "stage `check`: it says: down#3: no", "exit_code": null, "failed_stage": "check", "failed_step": "all (n=2)",
            "requested_by": "ann", "reason": "", "trigger": "manual", "created_us": 0, "pinned": false, "round": 0,
        }))
        .unwrap();
        let step = |name: &str, child: Option<&str>| json!({"name": name, "state": "done", "verdict": "failure", "exit_code": null, "detail": "", "child": child});
        let summary = |child: Option<&str>| -> Summary {
            let stages = json!([
                {"name": "build", "state": "done", "verdict": "success", "detail": "", "steps": [step("all (n=2)", Some("down#3"))]},
                {"name": "check", "state": "done", "verdict": "failure", "detail": "", "steps": [step("all (n=1)", Some("down#4")), step("all (n=2)", child)]},
            ]);
            serde_json::from_value(
                json!({"run": "up#1", "state": "done", "verdict": "failure", "detail": "", "round": 0, "stages": stages}),
            )
            .unwrap()
        };
        let log = |child: Option<&str>| {
            let summary = summary(child);
            let said = ended(&row, None, failed_child(&row, &summary), Vec::new(), &[]);
            said.into_iter().find(|s| s.starts_with("its log")).unwrap()
        };
        assert_eq!(log(None), "its log: quarterdeck log 'up#1/check/all (n=2)'", "whatever its words name");
        assert_eq!(log(Some("down#5")), "its log: quarterdeck log 'down#5'");
        let child = RunRow { trigger: TRIGGER.into(), cause: Some("upstream:top#7:0:stage:1:0".into()), ..row };
        let said = ended(&child, None, None, Vec::new(), &[]);
        assert!(said.contains(&"a stage of top#7 has started it: quarterdeck why 'top#7'".to_owned()), "{said:?}");
    }
}
