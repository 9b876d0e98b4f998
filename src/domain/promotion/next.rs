//! What leads on from a gate that does not pass: which evidence is missing, and which command brings it. Words only; nothing is judged here.

use super::gate::{Facts, Gate, Judge, Outcome, Rules, Source, ago};
use super::streak;

/// The way on, in words with commands that can be typed; none where the detail says it, or nobody can know.
pub fn next(gate: Gate, outcome: &Outcome, facts: &Facts, rules: &Rules) -> Option<String> {
    if outcome.passes() {
        return None;
    }
    if let Some(own) = rules.help.get(&gate) {
        // What the site says once and for all does not know what its canaries read today.
        return Some(match missing(facts, rules, gate).and_then(|m| Some((&m.judge.pipeline, m.judge.other.as_ref()?))) {
            Some((pipeline, other)) => format!("{pipeline} reads {other}, not this candidate; {own}"),
            None => own.clone(),
        });
    }
    let id = &facts.id;
    let anew = format!("take the candidate anew: quarterdeck do promote-soak {id} --with retake=true");
    let hold = format!("quarterdeck do hold-add {} --with package=NAME --with until=7d --reason T --confirm {0}", facts.os);
    let waive = format!("quarterdeck do promote-waive {id} --with gate={gate} --reason T --confirm {id}");
    match (gate, outcome) {
        (_, Outcome::NoSource { .. }) => {
            Some(format!("or say why the site goes without: [promotion.{}.without] {gate} = \"reason\"", facts.os))
        }
        // The detail says that there is no candidate, and how it is taken.
        _ if !matches!(facts.fp, Source::Known { .. }) => None,
        (Gate::G1, Outcome::Fail) => Some(format!("bring their trees to the same content (sync them), then {anew}")),
        (Gate::G2, Outcome::Pending) => {
            let Source::Known { value, .. } = &facts.first_seen else { return None };
            let left = rules.age_us.saturating_sub(facts.now_us.saturating_sub(value.at_us));
            Some(format!("it passes by itself in {}", ago(left, 0)))
        }
        (Gate::G3 | Gate::G4 | Gate::G5, _) => missing(facts, rules, gate).map(|m| verdicts(facts, rules, &m)),
        (Gate::G7, Outcome::Fail | Outcome::Stale) if matches!(&facts.lost, Source::Known { value, .. } if !value.is_empty()) => {
            Some(format!("hold it as it is served: {hold}; where going back is meant, {waive}"))
        }
        (Gate::G7, Outcome::Fail) => {
            Some(format!("name its key in [promotion.{}] keys if it is trusted, or hold the package: {hold}; then {anew}", facts.os))
        }
        (Gate::G7, _) => Some(format!("its soak checks them: {anew}")),
        (Gate::G9, Outcome::Pending | Outcome::Fail) => Some("it passes by itself when the calendar opens".to_owned()),
        (Gate::G10, Outcome::Fail) => {
            Some(format!("free space on its root; where nothing was served before, there is no way back: {waive}"))
        }
        _ => None,
    }
}

/// The first kind of a gate that is not green yet, and who would judge it.
struct Missing<'a> {
    judge: &'a Judge,
    red: Option<String>,
    /// Runs that have to say green still; 0 = a younger one.
    more: usize,
}

fn missing<'a>(facts: &'a Facts, rules: &Rules, gate: Gate) -> Option<Missing<'a>> {
    let of = |label: &str| match gate {
        Gate::G3 => label == "canary:image",
        Gate::G4 => label == "canary:rpm" || label == "canary:inspector",
        Gate::G5 => label.starts_with("formula:"),
        _ => false,
    };
    let (Source::Known { value: fp, .. }, Source::Known { value: verdicts, .. }) = (&facts.fp, &facts.verdicts) else { return None };
    for kind in facts.labels.iter().filter(|l| of(l)) {
        let formula = kind.starts_with("formula:");
        let s = streak::of(verdicts, kind, fp, if formula { 0 } else { rules.apart_us });
        let wanted = if formula || kind == "canary:inspector" { 1 } else { rules.streak };
        let stale = s.newest_us.is_none_or(|at| facts.now_us.saturating_sub(at) > rules.stale_us);
        if s.red.is_none() && s.green.len() >= wanted && !stale {
            continue;
        }
        let judge = facts.judges.iter().filter(|j| j.labels.contains(kind)).min_by_key(|j| j.other.is_some())?;
        return Some(Missing { judge, red: s.red, more: wanted.saturating_sub(s.green.len()) });
    }
    None
}

/// What brings the verdicts that are missing.
fn verdicts(facts: &Facts, rules: &Rules, missing: &Missing<'_>) -> String {
    let judge = missing.judge;
    let why = missing.red.as_ref().map(|red| format!("quarterdeck why '{red}'; once that is mended, ")).unwrap_or_default();
    let times = match missing.more {
        more @ 2.. => format!(", {more} times, {} apart", ago(rules.apart_us, 0)),
        _ => String::new(),
    };
    let run = format!("quarterdeck run {}{times}", judge.pipeline);
    let Some(other) = &judge.other else { return format!("{why}{run}") };
    let written = match judge.writers.is_empty() {
        true => String::new(),
        false => format!(" (written by {})", judge.writers.join(", ")),
    };
    format!(
        "{why}{} reads {other}{written}, not this candidate, and a run of it would not count. Bring it to what the candidate holds, or {}, then {run}",
        judge.pipeline,
        format_args!("take that as the candidate: quarterdeck do promote-soak {} --with retake=true", facts.id)
    )
}
