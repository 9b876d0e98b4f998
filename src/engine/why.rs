//! What `why` says of a run that has ended: how, where to look, and what can be done now. Pure.

use crate::api::log::FirstErrorDoc;
use crate::domain::rows::RunRow;
use crate::domain::run::Verdict;
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

/// Sentences; the first says how it ended. `more` are those about its tests and its late ends, `others` the runs that it set off.
pub fn ended(row: &RunRow, first_error: Option<&FirstErrorDoc>, more: Vec<String>, others: &[RunRow]) -> Vec<String> {
    let Some(verdict) = row.verdict else { return Vec::new() };
    let detail = if row.detail.is_empty() { String::new() } else { format!(": {}", row.detail) };
    let mut said = vec![format!("it has ended: {verdict}{detail}")];
    said.extend(more);
    // A stage that failed without a step (its approval was denied) has written nothing.
    if let (Some(stage), Some(step)) = (&row.failed_stage, &row.failed_step) {
        if let Some(e) = first_error {
            said.push(format!("its first error ({}): {}", e.how, e.text));
        }
        // A stage that is a run of another pipeline has no log of its own; its detail begins with the name of that run.
        let child = others.iter().rev().find(|o| row.detail.contains(&format!(": {}: ", o.run)));
        let place = child.map_or_else(|| format!("{}/{stage}/{step}", row.run), |o| o.run.to_string());
        said.push(format!("its log: quarterdeck log {}", quoted(&place)));
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
