//! What a cancel does to a run as it stands, in words for who asked for it. Pure.
//!
//! Work is ended at once, but for stages that must not be interrupted; post sections run to their end, so that what a run has made is cleaned up.

use crate::domain::rows::StageRow;
use crate::domain::run::StepState;
use crate::pipeline::plan::{Stage, StageKind};

/// `again`: it was cancelled before, so what still runs gets no grace.
pub fn words(plan: &[Stage], stages: &[StageRow], again: bool) -> String {
    let pairs = || plan.iter().zip(stages);
    let work = |s: &Stage| matches!(s.kind, StageKind::Work);
    let names = |which: &dyn Fn(&Stage, &StageRow) -> bool| {
        let names: Vec<String> = pairs().filter(|(s, now)| which(s, now)).map(|(s, _)| format!("`{}`", s.name)).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if pairs().all(|(s, now)| !work(s) || now.state == StepState::Done) {
        let open = names(&|s, now| !work(s) && now.state != StepState::Done);
        let last = open.map_or_else(String::new, |o| format!("; its post section runs on: {o}"));
        return format!("has no work left to cancel{last}");
    }
    let running = |now: &StageRow| matches!(now.state, StepState::Claimed | StepState::Running);
    let kept = names(&|s, now| work(s) && s.uninterruptible && running(now));
    match (kept, again) {
        (Some(kept), _) => format!("is cancelled behind {kept}, which must not be interrupted"),
        (None, true) => "is being cancelled, without grace".to_owned(),
        (None, false) => "is being cancelled".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::RunRef;
    use crate::pipeline::plan::PostWhen;

    fn said(stages: &[(&str, Option<PostWhen>, bool, StepState)], again: bool) -> String {
        let (mut plan, mut rows) = (Vec::new(), Vec::new());
        for (i, (name, post, uninterruptible, state)) in stages.iter().enumerate() {
            let kind = post.map_or(StageKind::Work, |when| StageKind::Post { when, of: None });
            plan.push(Stage { uninterruptible: *uninterruptible, ..Stage::bare(*name, kind, Vec::new()) });
            rows.push(StageRow {
                run: RunRef::new("p", 1),
                stage: i as u32,
                name: (*name).to_owned(),
                state: *state,
                verdict: None,
                detail: String::new(),
                started_us: None,
                ended_us: None,
            });
        }
        words(&plan, &rows, again)
    }

    #[test]
    fn a_cancel_is_told_as_what_it_does() {
        use StepState::{Done, Pending, Running};
        let post = Some(PostWhen::Always);
        assert_eq!(said(&[("a", None, false, Running), ("clean", post, false, Pending)], false), "is being cancelled");
        assert_eq!(said(&[("a", None, false, Running)], true), "is being cancelled, without grace");
        assert_eq!(
            said(&[("switch", None, true, Running), ("b", None, false, Pending)], true),
            "is cancelled behind `switch`, which must not be interrupted"
        );
        assert_eq!(said(&[("switch", None, true, Pending)], false), "is being cancelled", "what has not begun is left out");
        let last = [("a", None, false, Done), ("clean", post, false, Running), ("tell", post, false, Pending)];
        for again in [false, true] {
            assert_eq!(said(&last, again), "has no work left to cancel; its post section runs on: `clean`, `tell`");
        }
        assert_eq!(said(&[("a", None, false, Done)], false), "has no work left to cancel");
    }
}
