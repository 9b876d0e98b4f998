//! What is owed: from the times at which a trigger was due to what each of them starts or does not. Pure.

use jiff::{SignedDuration, Timestamp};

use crate::base::duration::Span;
use crate::pipeline::model::CatchUp;
use crate::pipeline::schedule::Due;

/// A due time, and why nobody was there for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    pub due: Due,
    pub missed: Option<String>,
}

/// What is done about some due times, in order of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// It was missed, and is not made up.
    Skip { due: Due, why: String },
    /// One run: for its own time, and for those that it stands for too.
    Start { others: Vec<Due>, own: Due, missed: Option<String> },
}

fn ago(now: Timestamp, due: &Due) -> SignedDuration {
    now.duration_since(due.at)
}

fn span(s: Span) -> SignedDuration {
    SignedDuration::from_millis(i64::try_from(s.ms()).unwrap_or(i64::MAX))
}

/// Decides. What was missed follows the policy; what is due now starts, and if several times of one trigger come together, one run
/// stands for them all.
pub fn plan(all: Vec<Judged>, policy: CatchUp, now: Timestamp) -> Vec<Act> {
    let (missed, current): (Vec<Judged>, Vec<Judged>) = all.into_iter().partition(|j| j.missed.is_some());
    let mut missed: Vec<(Due, String)> = missed.into_iter().map(|j| (j.due, j.missed.unwrap_or_default())).collect();
    let mut acts = Vec::new();
    let skip = |(due, why): (Due, String), more: &str| Act::Skip { due, why: if more.is_empty() { why } else { format!("{why}; {more}") } };
    match policy {
        CatchUp::Skip => acts.extend(missed.into_iter().map(|m| skip(m, ""))),
        CatchUp::Once { within } => {
            let old = missed.iter().take_while(|(d, _)| ago(now, d) > span(within)).count();
            acts.extend(missed.drain(..old).map(|m| skip(m, &format!("that is longer ago than {within}"))));
            if let Some((own, why)) = missed.pop() {
                acts.push(Act::Start { others: missed.into_iter().map(|(d, _)| d).collect(), own, missed: Some(why) });
            }
        }
        CatchUp::All { within, max } => {
            let old = missed.iter().take_while(|(d, _)| ago(now, d) > span(within)).count();
            acts.extend(missed.drain(..old).map(|m| skip(m, &format!("that is longer ago than {within}"))));
            let more = missed.len().saturating_sub(max as usize);
            acts.extend(missed.drain(..more).map(|m| skip(m, &format!("more than {max} were missed"))));
            acts.extend(missed.into_iter().map(|(own, why)| Act::Start { others: Vec::new(), own, missed: Some(why) }));
        }
    }
    let mut current: Vec<Due> = current.into_iter().map(|j| j.due).collect();
    if let Some(own) = current.pop() {
        acts.push(Act::Start { others: current, own, missed: None });
    }
    acts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::schedule::Dst;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn due(minute: i64) -> Due {
        Due { nominal: at(minute), at: at(minute), dst: Dst::None, from: None }
    }

    fn judged(missed: &[i64], current: &[i64]) -> Vec<Judged> {
        let one = |m: &i64, why: Option<&str>| Judged { due: due(*m), missed: why.map(str::to_owned) };
        missed.iter().map(|m| one(m, Some("down"))).chain(current.iter().map(|m| one(m, None))).collect()
    }

    fn shown(acts: &[Act]) -> Vec<String> {
        let m = |d: &Due| d.at.as_second() / 60;
        acts.iter()
            .map(|a| match a {
                Act::Skip { due, why } => format!("skip {} {why}", m(due)),
                Act::Start { others, own, missed } => {
                    format!(
                        "start {} for {:?}{}",
                        m(own),
                        others.iter().map(m).collect::<Vec<_>>(),
                        if missed.is_some() { " late" } else { "" }
                    )
                }
            })
            .collect()
    }

    #[test]
    fn each_policy_accounts_for_every_time_once() {
        let minutes = |n: u64| Span::from_secs(n * 60);
        let of = |policy| shown(&plan(judged(&[10, 20, 30, 40], &[]), policy, at(45)));
        assert_eq!(of(CatchUp::Skip), ["skip 10 down", "skip 20 down", "skip 30 down", "skip 40 down"]);
        assert_eq!(
            of(CatchUp::Once { within: minutes(20) }),
            ["skip 10 down; that is longer ago than 20m", "skip 20 down; that is longer ago than 20m", "start 40 for [30] late"]
        );
        assert_eq!(of(CatchUp::Once { within: minutes(1) }).len(), 4);
        assert_eq!(
            of(CatchUp::All { within: minutes(30), max: 2 }),
            [
                "skip 10 down; that is longer ago than 30m",
                "skip 20 down; more than 2 were missed",
                "start 30 for [] late",
                "start 40 for [] late"
            ]
        );
    }

    #[test]
    fn what_is_due_now_starts_whatever_was_missed_and_several_are_one() {
        assert_eq!(shown(&plan(judged(&[10], &[44, 45]), CatchUp::Skip, at(45))), ["skip 10 down", "start 45 for [44]"]);
        assert_eq!(plan(Vec::new(), CatchUp::Skip, at(1)), []);
    }
}
