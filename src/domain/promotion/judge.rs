//! Judges the gates: a requirement, what was found, and a waiver. **Never OK on what is stale or unknown**, and never because a source is missing.

use super::Waiver;
use super::gate::{Calendar, Facts, FirstSeen, GATES, Gate, HOUR_US, Judged, Outcome, Rules, Source, ago};
use super::{next, streak};
use crate::domain::changelog::Known;

/// What is read from disks and far ends for a plan is read for it; a look that is older says nothing.
const LOOK_US: i64 = HOUR_US;
/// A snapshot's packages do not change; keys that were taken back are asked for again after this.
const SIGNED_US: i64 = 14 * 24 * HOUR_US;

type Found = (Outcome, String, Vec<String>);

/// Judges all gates. A waiver covers what does not pass, and makes nothing OK.
pub fn judge(facts: &Facts, rules: &Rules, waivers: &[Waiver]) -> Vec<Judged> {
    GATES
        .into_iter()
        .map(|gate| {
            let (mut outcome, mut detail, mut evidence) = found(gate, facts, rules);
            if let Outcome::NoSource { accepted, .. } = &mut outcome {
                *accepted = rules.without.get(&gate).cloned();
                if let Some(reason) = accepted {
                    detail = format!("{detail}; accepted in the site file: {reason}");
                }
            }
            let waiver = waivers.iter().rev().find(|w| w.gate == gate && w.holds(facts.now_us));
            if let Some(w) = waiver.filter(|_| !outcome.passes()) {
                detail = format!("{outcome}: {detail}; waived by {}: {}", w.who.name, w.reason);
                evidence.push(format!("waived {} by {} until {}: {}", outcome.word(), w.who.name, w.until_us, w.reason));
                outcome = Outcome::Waived;
            }
            if let Some(lead) = next::next(gate, &outcome, facts, rules) {
                detail = format!("{detail}; next: {lead}");
            }
            Judged { gate, outcome, detail, evidence }
        })
        .collect()
}

/// The value, where it is known and young enough.
fn known<'a, T>(source: &'a Source<T>, what: &str, facts: &Facts, budget_us: i64) -> Result<&'a T, Found> {
    match source {
        Source::Missing(add) => {
            Err((Outcome::NoSource { add: add.clone(), accepted: None }, format!("nothing looks at {what}"), Vec::new()))
        }
        Source::Unknown(why) => Err((Outcome::Stale, format!("{what} is unknown: {why}"), Vec::new())),
        Source::Known { at_us, .. } if facts.now_us.saturating_sub(*at_us) > budget_us || *at_us > facts.now_us.saturating_add(HOUR_US) => {
            Err((Outcome::Stale, format!("{what} was seen {} ago", ago(facts.now_us, *at_us)), Vec::new()))
        }
        Source::Known { value, .. } => Ok(value),
    }
}

fn found(gate: Gate, facts: &Facts, rules: &Rules) -> Found {
    let result = match gate {
        Gate::G1 => coherent(facts),
        Gate::G2 => age(facts, rules),
        Gate::G3 => canaries(facts, rules, &["canary:image"]),
        Gate::G4 => canaries(facts, rules, &["canary:rpm", "canary:inspector"]),
        Gate::G5 => formulas(facts, rules),
        Gate::G6 => known(&facts.soak, "the sandbox", facts, rules.stale_us).map(|()| unsure("the sandbox")),
        Gate::G7 => signatures(facts),
        Gate::G8 => known(&facts.agents, "vendor agents", facts, rules.stale_us).map(|()| unsure("vendor agents")),
        Gate::G9 => calendar(facts),
        Gate::G10 => back(facts),
    };
    result.unwrap_or_else(|found| found)
}

/// This version has no reader for it: whatever somebody says that they know is not judged.
fn unsure(what: &str) -> Found {
    (Outcome::Stale, format!("{what}: this version cannot judge it"), Vec::new())
}

fn coherent(facts: &Facts) -> Result<Found, Found> {
    let fp = known(&facts.fp, "the candidate", facts, LOOK_US)?;
    if facts.replicas.is_empty() {
        return Err((Outcome::Stale, "no datacentre is known".into(), Vec::new()));
    }
    let mut evidence = Vec::new();
    let mut other = Vec::new();
    for (dc, source) in &facts.replicas {
        let found = known(source, &format!("what {dc} holds"), facts, LOOK_US)?;
        evidence.push(format!("{dc} {} md {}", found.fp, found.md));
        if found.fp != *fp || fp.is_empty() {
            other.push(dc.as_str());
        }
    }
    let n = facts.replicas.len();
    Ok(match other.is_empty() {
        true => (Outcome::Ok, format!("{n} of {n}"), evidence),
        false => (Outcome::Fail, format!("other content in {}", other.join(", ")), evidence),
    })
}

fn age(facts: &Facts, rules: &Rules) -> Result<Found, Found> {
    let fp = known(&facts.fp, "the candidate", facts, LOOK_US)?;
    let FirstSeen { at_us: first, alone } = match &facts.first_seen {
        Source::Known { value, .. } => *value,
        Source::Unknown(why) => return Err((Outcome::Stale, format!("nobody knows when it was first seen: {why}"), Vec::new())),
        Source::Missing(add) => {
            return Err((
                Outcome::NoSource { add: add.clone(), accepted: None },
                "nothing looks at when it was first seen".into(),
                Vec::new(),
            ));
        }
    };
    let evidence = vec![format!("{fp} first seen {first}")];
    let age = facts.now_us.saturating_sub(first);
    let shown = ago(facts.now_us, first);
    Ok(if first > facts.now_us {
        (Outcome::Stale, "it was first seen in the future: look at the clock".into(), evidence)
    } else if age >= rules.age_us {
        (Outcome::Ok, shown, evidence)
    } else {
        let since = if alone { " (since its snapshot: replicas of its repositories would have seen it before)" } else { "" };
        (Outcome::Pending, format!("{shown} old{since}, and {} are wanted", ago(rules.age_us, 0)), evidence)
    })
}

fn canaries(facts: &Facts, rules: &Rules, kinds: &[&str]) -> Result<Found, Found> {
    let fp = known(&facts.fp, "the candidate", facts, LOOK_US)?;
    let verdicts = known(&facts.verdicts, "verdicts", facts, LOOK_US)?;
    let has = |kind: &str| facts.labels.iter().any(|l| l == kind);
    let mut evidence = Vec::new();
    let mut worst: Option<(Outcome, String)> = None;
    // A half that nobody looks at is no pass of the whole.
    let absent: Vec<&str> = kinds.iter().copied().filter(|k| !has(k)).collect();
    let mut say = |outcome: Outcome, text: String| match &mut worst {
        Some((w, _)) if rank(&outcome) < rank(w) => {}
        // Whoever waits for one half is told of the other as well.
        Some((Outcome::Pending, said)) if outcome == Outcome::Pending => *said = format!("{said}; {text}"),
        Some((w, _)) if rank(&outcome) == rank(w) => {}
        _ => worst = Some((outcome, text)),
    };
    for kind in kinds.iter().copied().filter(|k| has(k)) {
        // An inspector judges the content once; canaries are judged by their row.
        let wanted = if kind == "canary:inspector" { 1 } else { rules.streak };
        let s = streak::of(verdicts, kind, fp, rules.apart_us);
        evidence.extend(s.green.iter().take(wanted).map(|r| format!("{kind} green {r}")));
        if let Some(red) = s.red {
            evidence.push(format!("{kind} red {red}"));
            say(Outcome::Fail, format!("{kind}: {red} is red"));
        } else if s.green.len() < wanted {
            say(Outcome::Pending, format!("{}: {} of {wanted} good on this content", runs_of(facts, kind), s.green.len()));
        } else {
            match s.newest_us {
                Some(at) if facts.now_us.saturating_sub(at) <= rules.stale_us && at <= facts.now_us.saturating_add(HOUR_US) => {
                    say(Outcome::Ok, format!("{} in a row, the last {} ago", s.green.len(), ago(facts.now_us, at)));
                }
                Some(at) => say(Outcome::Stale, format!("{kind}: the last verdict on this content is {} old", ago(facts.now_us, at))),
                None => say(Outcome::Stale, format!("{kind}: no verdict")),
            }
        }
    }
    if let Some(kind) = absent.first() {
        let kind = kind.trim_start_matches("canary:");
        let beside = worst.as_ref().map(|(w, text)| format!(" ({}: {text})", w.word())).unwrap_or_default();
        let outcome = Outcome::NoSource { add: format!("a pipeline labelled `canary: {kind}`"), accepted: None };
        if worst.as_ref().is_none_or(|(w, _)| rank(&outcome) > rank(w)) {
            worst = Some((outcome, format!("no canary of kind {kind}{beside}")));
        }
    }
    let (outcome, text) = worst.unwrap_or((Outcome::Stale, "no verdict".into()));
    Ok((outcome, text, evidence))
}

/// The runs that a kind waits for, by their pipeline: `runs of rpmcanary (canary:rpm)`.
fn runs_of(facts: &Facts, kind: &str) -> String {
    let of: Vec<&str> = facts.judges.iter().filter(|j| j.labels.iter().any(|l| l == kind)).map(|j| j.pipeline.as_str()).collect();
    if of.is_empty() { format!("runs of {kind}") } else { format!("runs of {} ({kind})", of.join(" or ")) }
}

/// The worse, the higher.
const fn rank(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Ok | Outcome::Waived => 0,
        Outcome::NoSource { .. } => 1,
        Outcome::Pending => 2,
        Outcome::Stale => 3,
        Outcome::Fail => 4,
    }
}

fn formulas(facts: &Facts, rules: &Rules) -> Result<Found, Found> {
    let fp = known(&facts.fp, "the candidate", facts, LOOK_US)?;
    let verdicts = known(&facts.verdicts, "verdicts", facts, LOOK_US)?;
    let cells: Vec<&String> = facts.labels.iter().filter(|l| l.starts_with("formula:")).collect();
    if cells.is_empty() {
        let add = "a pipeline labelled `formula: NAME`".to_owned();
        return Err((Outcome::NoSource { add, accepted: None }, "no formula".into(), Vec::new()));
    }
    let (mut evidence, mut worst) = (Vec::new(), (Outcome::Ok, String::new()));
    for kind in &cells {
        let s = streak::of(verdicts, kind, fp, 0);
        let (outcome, text) = match (&s.red, s.green.last(), s.newest_us) {
            (Some(red), ..) => {
                evidence.push(format!("{kind} red {red}"));
                (Outcome::Fail, format!("{kind}: {red} is red"))
            }
            (None, Some(_), Some(at)) if facts.now_us.saturating_sub(at) > rules.stale_us || at > facts.now_us.saturating_add(HOUR_US) => {
                (Outcome::Stale, format!("{kind}: its verdict is {} old", ago(facts.now_us, at)))
            }
            (None, Some(_), Some(_)) => {
                evidence.extend(s.green.first().map(|run| format!("{kind} green {run}")));
                continue;
            }
            _ => (Outcome::Pending, format!("{}: none has judged this content", runs_of(facts, kind))),
        };
        if rank(&outcome) > rank(&worst.0) {
            worst = (outcome, text);
        }
    }
    if worst.0 == Outcome::Ok {
        worst.1 = format!("{0} of {0}", cells.len());
    }
    Ok((worst.0, worst.1, evidence))
}

fn signatures(facts: &Facts) -> Result<Found, Found> {
    // A fix that is taken back is told whatever else is known.
    if let Ok(lost) = known(&facts.lost, "", facts, LOOK_US)
        && let Some(first) = lost.iter().find(|l| !l.cves.is_empty())
    {
        let evidence = lost.iter().filter(|l| !l.cves.is_empty()).map(|l| format!("{l}: {}", l.cves.join(" "))).collect();
        return Err((Outcome::Fail, format!("{first}, and {} would be open again", first.cves.join(" ")), evidence));
    }
    let s = known(&facts.signatures, "signatures", facts, SIGNED_US)?;
    // Known-exploited CVE ids that are still open are judged by nobody yet: said, and bound into the plan.
    let cve = "N/A: no source (this version reads none)";
    let mut evidence = vec![
        format!("{} packages, {} of metadata, keys {}", s.checked, s.metadata, s.keys.join(" ")),
        format!("known-exploited CVE ids: {cve}"),
    ];
    if let Some(first) = s.bad.first() {
        return Err((Outcome::Fail, format!("{} without a good signature, {first} is the first", s.bad.len()), evidence));
    }
    if s.checked == 0 {
        return Err((Outcome::Stale, "no package was checked".into(), evidence));
    }
    let lost = known(&facts.lost, "what it takes back of fixes that are served", facts, LOOK_US)?;
    evidence.extend(lost.iter().map(|l| format!("{l}: no CVE id, changelog {}", l.known.as_str())));
    Ok(match lost.iter().find(|l| l.known != Known::Complete) {
        Some(first) => (Outcome::Stale, format!("{first}, and its changelog does not tell what that one fixed"), evidence),
        None => (
            Outcome::Ok,
            format!("{} signed by trusted keys; no CVE id is open again; known-exploited CVE ids: {cve}", s.checked),
            evidence,
        ),
    })
}

fn calendar(facts: &Facts) -> Result<Found, Found> {
    Ok(match known(&facts.calendar, "the calendar", facts, LOOK_US)? {
        Calendar::Open { calendar } => (Outcome::Ok, format!("{calendar} is open"), vec![calendar.clone()]),
        Calendar::Closed { calendar, freeze: true, why } => (Outcome::Fail, why.clone(), vec![calendar.clone()]),
        Calendar::Closed { calendar, why, .. } => (Outcome::Pending, why.clone(), vec![calendar.clone()]),
    })
}

fn back(facts: &Facts) -> Result<Found, Found> {
    if facts.back.is_empty() {
        return Err((Outcome::Stale, "no datacentre is known".into(), Vec::new()));
    }
    let (mut evidence, mut wrong) = (Vec::new(), Vec::new());
    for (dc, source) in &facts.back {
        let b = known(source, &format!("the way back of {dc}"), facts, LOOK_US)?;
        match &b.snapshot {
            Some(id) => evidence.push(format!("{dc} {id}")),
            None => wrong.push(format!("{dc} has no snapshot to go back to")),
        }
        if !b.room {
            wrong.push(format!("{dc} has no room for two trees"));
        }
    }
    Ok(match wrong.is_empty() {
        true => (Outcome::Ok, format!("{} snapshots, and room", evidence.len()), evidence),
        false => (Outcome::Fail, wrong.join("; "), evidence),
    })
}
