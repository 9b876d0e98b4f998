//! What is wrong, by a name that stays while it is wrong: of rows of `get`, for the engine that records who looks after it and for the console
//! that shows it. Pure.

use serde_json::{Map, Value};

use super::run::{RunState, Verdict};

type Row = Map<String, Value>;

/// Something that needs somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What people call it: a pipeline, run, repository or promotion.
    pub subject: String,
    /// What is wrong with it. The same words as long as it is the same; another red night of one streak is the same.
    pub what: String,
}

fn text<'a>(row: &'a Row, field: &str) -> &'a str {
    row.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn of(subject: &str, what: impl Into<String>) -> Option<Problem> {
    Some(Problem { subject: subject.to_owned(), what: what.into() })
}

/// The file of a pipeline has errors; of a row of `get pipelines`.
pub fn errors(row: &Row) -> Option<Problem> {
    let any = row.get("errors").and_then(Value::as_u64).unwrap_or(0) > 0;
    if any { of(text(row, "pipeline"), "errors in its file") } else { None }
}

/// A pipeline is red, since its last good run; of a row of `get pipelines`.
pub fn red(row: &Row) -> Option<Problem> {
    let verdict = text(row, "last_verdict");
    let reds = row.get("red_runs").and_then(Value::as_u64).unwrap_or(0);
    // A new attempt that runs says nothing yet: what was red is red until it ends well.
    let open = verdict.is_empty() && reds > 0;
    let bad = [Verdict::Failure, Verdict::Lost, Verdict::Invalid].iter().any(|v| v.as_str() == verdict);
    if !open && !bad {
        return None;
    }
    match text(row, "last_success") {
        "" => of(text(row, "pipeline"), "red, and never good"),
        good => of(text(row, "pipeline"), format!("red since {good} was good")),
    }
}

/// A run waits for people, or has not begun; of its state.
pub fn waits(run: &str, state: RunState) -> Option<Problem> {
    match state {
        RunState::Waiting => of(run, "it waits for people"),
        RunState::Queued => of(run, "it has not begun"),
        _ => None,
    }
}

/// A run takes longer than nearly all before it.
pub fn slow(run: &str) -> Problem {
    Problem { subject: run.to_owned(), what: "it is slow".into() }
}

/// A start was missed and is not made up; of a row of `get schedule`.
pub fn missed(row: &Row) -> Option<Problem> {
    match text(row, "last_outcome") {
        "skipped" => of(text(row, "pipeline"), format!("the start of {} was missed", text(row, "last_scheduled"))),
        _ => None,
    }
}

/// A repository is not what it should be; of a row of `get repos`.
pub fn repo(row: &Row) -> Option<Problem> {
    match text(row, "light") {
        "red" | "amber" => of(text(row, "repo"), text(row, "state")),
        _ => None,
    }
}

/// A far end does not answer.
pub fn source(name: &str) -> Problem {
    Problem { subject: name.to_owned(), what: "it does not answer".into() }
}

/// People keep a promotion waiting, or it stands still half-way; of a row of `get promotions`.
pub fn promotion(row: &Row) -> Option<Problem> {
    match text(row, "state") {
        state @ ("HALTED" | "GATED" | "READY" | "APPROVED") => of(text(row, "promotion"), state),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(value: Value) -> Row {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn a_streak_is_one_problem_and_what_follows_a_good_run_another() {
        let of = |verdict: &str, reds: u64, good: Value| {
            red(&row(json!({"pipeline": "n", "last_verdict": verdict, "red_runs": reds, "last_success": good}))).map(|p| p.what)
        };
        assert_eq!(of("failure", 1, json!("n#4")), of("invalid", 3, json!("n#4")));
        assert_eq!(of("failure", 1, json!("n#4")), of("", 3, json!("n#4")), "an attempt that runs");
        assert_ne!(of("failure", 1, json!("n#4")), of("failure", 1, json!("n#9")));
        assert_eq!(of("failure", 14, Value::Null).as_deref(), Some("red, and never good"));
        assert_eq!((of("success", 0, json!("n#4")), of("", 0, Value::Null)), (None, None));
    }

    #[test]
    fn what_is_well_is_no_problem() {
        let none = row(json!({"repo": "r", "light": "good", "state": "in-sync", "errors": 0, "last_outcome": "ran"}));
        assert_eq!((repo(&none), errors(&none), missed(&none), promotion(&none)), (None, None, None, None));
        assert_eq!(waits("n#1", RunState::Running), None);
        let bad = row(json!({"repo": "r", "light": "red", "state": "incoherent"}));
        assert_eq!(repo(&bad), Some(Problem { subject: "r".into(), what: "incoherent".into() }));
    }
}
