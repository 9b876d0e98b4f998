//! What the test reports of several runs say together: which failures are new, since when they last, and which tests are flaky. Pure.
//!
//! A test is the same test in two runs when stage, cell, step, suite and name are the same. It is flaky when, within the newest
//! `WINDOW` runs of its pipeline that have reports,
//! 1. a report says itself that it passed after it had failed, or two attempts of one step disagree about it, or
//! 2. it passed and failed on the same content (the same content sets and commits, all of them known), or
//! 3. its result changed at least `flaky_after` times from one run to the next.
//!
//! A regression and its repair are two changes, so the default is three. A skipped test says nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::junit::{Failure, Outcome, Seen, id};
use super::run::{RunRef, Verdict};

/// Runs that are looked at.
pub const WINDOW: usize = 20;
/// Changes of result that make a test flaky, where the pipeline says nothing.
pub const FLAKY_AFTER: u32 = 3;

/// A run of one pipeline with its reports.
#[derive(Debug, Clone, PartialEq)]
pub struct RunTests {
    pub run: RunRef,
    pub verdict: Option<Verdict>,
    pub ended_us: Option<i64>,
    /// Content sets and commits that it worked on; none where any is unknown, or where it read nothing.
    pub content: Option<String>,
    /// In the order of attempts: the last of a step is the one that counts.
    pub reports: Vec<Report>,
}

/// The reports of one attempt.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    pub at: Place,
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
    pub flaky_after: u32,
    pub seen: Seen,
    pub failures: Vec<Failure>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    pub stage: String,
    pub cell: String,
    pub step: String,
}

/// A test that failed in a run, and what came before.
#[derive(Debug, Clone, PartialEq)]
pub struct Red {
    pub run: RunRef,
    pub at: Place,
    pub failure: Failure,
    /// It did not fail in the last good run before; also where there is none.
    pub new: bool,
    /// The run in which this unbroken row of failures began.
    pub since: RunRef,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlakyTest {
    pub at: Place,
    pub suite: String,
    pub test: String,
    /// Runs that have a result of it.
    pub runs: usize,
    pub failed: usize,
    pub changes: usize,
    /// The rule that it falls under, in words.
    pub why: String,
    pub last_failed: Option<RunRef>,
}

impl RunTests {
    /// The report of each step that counts: that of its last attempt.
    pub fn newest(&self) -> impl Iterator<Item = &Report> {
        self.reports.iter().enumerate().filter(|(i, r)| !self.reports.iter().skip(i + 1).any(|later| later.at == r.at)).map(|(_, r)| r)
    }

    /// How a test ended in the attempt that counts.
    fn outcome(&self, at: &Place, test: u64) -> Option<Outcome> {
        self.newest().find(|r| r.at == *at)?.seen.of(test)
    }
}

/// The failed tests of `history[index]`; `history` is of one pipeline, newest first.
pub fn failures(history: &[RunTests], index: usize) -> Vec<Red> {
    let Some(now) = history.get(index) else { return Vec::new() };
    let before = history.get(index + 1..).unwrap_or_default();
    let good = before.iter().find(|r| r.verdict == Some(Verdict::Success));
    let mut out = Vec::new();
    for report in now.newest() {
        for failure in report.failures.iter().filter(|f| f.kind != "flaky") {
            let test = id(&failure.suite, &failure.test);
            let mut since = &now.run;
            for run in before {
                match run.outcome(&report.at, test) {
                    Some(Outcome::Failed) => since = &run.run,
                    // A run that says nothing of it ends no row.
                    Some(Outcome::Skipped) | None => {}
                    Some(Outcome::Passed | Outcome::Flaky) => break,
                }
            }
            out.push(Red {
                run: now.run.clone(),
                at: report.at.clone(),
                failure: failure.clone(),
                new: good.is_none_or(|g| g.outcome(&report.at, test) != Some(Outcome::Failed)),
                since: since.clone(),
            });
        }
    }
    out
}

/// The flaky tests of one pipeline, those with the most changes first. `history` is newest first.
pub fn flaky(history: &[RunTests]) -> Vec<FlakyTest> {
    let window = history.get(..WINDOW.min(history.len())).unwrap_or_default();
    // Only what failed once can be flaky, and only that has a name.
    let mut suspects: BTreeMap<(Place, String, String), u32> = BTreeMap::new();
    for report in window.iter().rev().flat_map(|r| &r.reports) {
        for f in &report.failures {
            // The newest word of the pipeline counts.
            suspects.insert((report.at.clone(), f.suite.clone(), f.test.clone()), report.flaky_after);
        }
    }
    let mut out: Vec<FlakyTest> =
        suspects.into_iter().filter_map(|((at, suite, test), after)| judge(window, at, suite, test, after)).collect();
    out.sort_by_key(|f| std::cmp::Reverse((f.changes, f.failed)));
    out
}

fn judge(window: &[RunTests], at: Place, suite: String, test: String, after: u32) -> Option<FlakyTest> {
    let name = id(&suite, &test);
    let (mut runs, mut failed, mut changes) = (0, 0, 0);
    let (mut last, mut last_failed, mut itself, mut attempts) = (None, None, None, None);
    let mut by_content: BTreeMap<&str, BTreeSet<bool>> = BTreeMap::new();
    for run in window.iter().rev() {
        let all: Vec<Outcome> = run.reports.iter().filter(|r| r.at == at).filter_map(|r| r.seen.of(name)).collect();
        let bad = all.contains(&Outcome::Failed);
        if bad && all.iter().any(|o| matches!(o, Outcome::Passed | Outcome::Flaky)) {
            attempts = Some(&run.run);
        }
        if all.contains(&Outcome::Flaky) {
            itself = Some(&run.run);
        }
        let Some(outcome) = all.last().filter(|o| **o != Outcome::Skipped) else { continue };
        let red = *outcome == Outcome::Failed;
        runs += 1;
        if red {
            failed += 1;
            last_failed = Some(run.run.clone());
        }
        changes += usize::from(last.is_some_and(|l: bool| l != red));
        last = Some(red);
        if let Some(content) = &run.content {
            by_content.entry(content).or_default().insert(red);
        }
    }
    let why = if let Some(run) = itself {
        format!("passed after it had failed, in {run}")
    } else if let Some(run) = attempts {
        format!("two attempts of {run} disagree")
    } else if by_content.values().any(|seen| seen.len() == 2) {
        "passed and failed on the same content".to_owned()
    } else if changes >= after.max(2) as usize {
        format!("changed {changes} times in {runs} runs")
    } else {
        return None;
    };
    Some(FlakyTest { at, suite, test, runs, failed, changes, why, last_failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { stage: "test".into(), cell: String::new(), step: "test".into() }
    }

    fn report(marks: &[(&str, Outcome)]) -> Report {
        let failures = marks.iter().filter(|(_, o)| matches!(o, Outcome::Failed | Outcome::Flaky)).map(|(t, o)| Failure {
            suite: "s".into(),
            test: (*t).into(),
            kind: if *o == Outcome::Flaky { "flaky" } else { "failure" },
            ..Failure::default()
        });
        Report {
            at: place(),
            flaky_after: FLAKY_AFTER,
            failures: failures.collect(),
            seen: Seen::new(marks.iter().map(|(t, o)| Seen::mark("s", t, *o)).collect()),
            ..Report::default()
        }
    }

    fn tested(number: u64, marks: &[(&str, Outcome)]) -> RunTests {
        RunTests { run: RunRef::new("p", number), verdict: None, ended_us: None, content: None, reports: vec![report(marks)] }
    }

    /// One test over runs, newest first: `.` passed, `#` failed, `s` skipped, `-` not there.
    fn row(text: &str) -> Vec<RunTests> {
        let n = text.len() as u64;
        let run = |(i, c): (usize, char)| {
            let marks: &[(&str, Outcome)] = match c {
                '.' => &[("t", Outcome::Passed)],
                '#' => &[("t", Outcome::Failed)],
                's' => &[("t", Outcome::Skipped)],
                _ => &[],
            };
            let verdict = Some(if c == '#' { Verdict::Failure } else { Verdict::Success });
            RunTests { verdict, ..tested(n - i as u64, marks) }
        };
        text.chars().enumerate().map(run).collect()
    }

    #[test]
    fn a_failure_is_new_against_the_last_good_run_and_knows_where_it_began() {
        let since = |text: &str| failures(&row(text), 0).first().map(|r| (r.new, r.since.number));
        assert_eq!(since("#.."), Some((true, 3)));
        assert_eq!(since("##.."), Some((true, 3)));
        assert_eq!(since("#s-#."), Some((true, 2)), "what says nothing ends no row");
        assert_eq!(since("#"), Some((true, 1)));
        assert_eq!(since("..#"), None);
        // Failed in a run that was good all the same: its pipeline only notes failures.
        let mut noted = row("##");
        noted[1].verdict = Some(Verdict::Success);
        assert!(!failures(&noted, 0)[0].new);
        assert_eq!(failures(&row("#."), 7), []);
    }

    #[test]
    fn only_what_changes_often_is_flaky_and_a_repaired_regression_is_not() {
        let changes = |text: &str| flaky(&row(text)).first().map(|f| (f.changes, f.runs, f.failed));
        assert_eq!(changes("....###....."), None, "broken, and repaired");
        assert_eq!(changes("########"), None, "just red");
        assert_eq!(changes("#.#."), Some((3, 4, 2)));
        assert_eq!(changes("#s.-#ss."), Some((3, 4, 2)), "skipped and absent say nothing");
        assert_eq!(changes(&format!("{}#.#.", ".".repeat(WINDOW))), None, "long ago");
        let mut patient = row("#.#.");
        patient.iter_mut().for_each(|r| r.reports[0].flaky_after = 4);
        assert_eq!(flaky(&patient), []);
        patient[0].reports[0].flaky_after = 2;
        assert_eq!(flaky(&patient).len(), 1, "the newest word counts");
    }

    #[test]
    fn the_same_content_with_two_results_is_flaky_at_once() {
        let mut two = row("#.");
        assert_eq!(flaky(&two), []);
        two[0].content = Some("fp1".into());
        two[1].content = Some("fp2".into());
        assert_eq!(flaky(&two), []);
        two[1].content = Some("fp1".into());
        assert_eq!(flaky(&two)[0].why, "passed and failed on the same content");
        assert_eq!(flaky(&two)[0].last_failed, Some(RunRef::new("p", 2)));
    }

    #[test]
    fn attempts_that_disagree_and_reports_that_say_so_are_flaky() {
        let mut one = row("#");
        one[0].reports.push(report(&[("t", Outcome::Passed)]));
        assert_eq!(flaky(&one)[0].why, "two attempts of p#1 disagree");
        assert_eq!(failures(&one, 0), [], "the last attempt counts");
        let rerun = vec![tested(9, &[("t", Outcome::Flaky)])];
        assert_eq!(flaky(&rerun)[0].why, "passed after it had failed, in p#9");
        assert_eq!(failures(&rerun, 0), []);
        // Another cell is another test.
        let mut cells = row("#.");
        cells[1].reports[0].at.cell = "os=el8".into();
        (cells[0].content, cells[1].content) = (Some("x".into()), Some("x".into()));
        assert_eq!(flaky(&cells), []);
    }
}
