//! What the test reports of one attempt say, bounded: counts, the failures with their words, the slowest, and who passed.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Failures of one attempt that are kept by name; more are counted.
pub const MOST_FAILURES: usize = 500;
/// Slowest tests of one attempt that are kept by name.
pub const MOST_SLOWEST: usize = 20;

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    Skipped = 0,
    Passed = 1,
    /// It passed after it had failed, in the same report.
    Flaky = 2,
    Failed = 3,
}

impl Outcome {
    fn of_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Self::Skipped,
            1 => Self::Passed,
            2 => Self::Flaky,
            _ => Self::Failed,
        }
    }
}

/// A test that failed, or that passed only after it had failed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Failure {
    /// Class of the test, or the name of its suite.
    pub suite: String,
    pub test: String,
    /// `failure`, `error`, `flaky`.
    pub kind: &'static str,
    pub message: String,
    pub trace: String,
    pub duration_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slow {
    pub suite: String,
    pub test: String,
    pub duration_ms: u64,
}

/// Everything that the reports of one attempt say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tested {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
    /// Of those that passed: after they had failed.
    pub flaky: u64,
    /// Sum over all tests.
    pub duration_ms: u64,
    /// The first `MOST_FAILURES`, in the order of the reports.
    pub failures: Vec<Failure>,
    /// Slowest first.
    pub slowest: Vec<Slow>,
    pub seen: Seen,
    /// Reports that could not be taken in, and why.
    pub problems: Vec<String>,
    pub flaky_after: u32,
    /// Failed tests and unreadable reports fail the step.
    pub fail: bool,
}

impl Tested {
    pub fn total(&self) -> u64 {
        self.passed + self.failed + self.skipped
    }

    /// Nobody can say that the tests passed.
    pub fn is_red(&self) -> bool {
        self.failed > 0 || !self.problems.is_empty()
    }

    /// For the detail of the step: `2 of 30 tests failed: a.b, c.d`. Empty where all is well.
    pub fn sentence(&self) -> String {
        let mut parts = Vec::new();
        if self.failed > 0 {
            let red = self.failures.iter().filter(|f| f.kind != "flaky");
            parts.push(failed_sentence(self.failed, self.total(), red.map(|f| (f.suite.as_str(), f.test.as_str()))));
        }
        parts.extend(self.problems.iter().take(3).cloned());
        if self.problems.len() > 3 {
            parts.push(format!("{} more test reports cannot be taken in", self.problems.len() - 3));
        }
        parts.join("; ")
    }
}

/// `2 of 30 tests failed: a.b, c.d and 5 more`.
pub fn failed_sentence<'a>(failed: u64, total: u64, names: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let first: Vec<String> = names.take(3).map(|(suite, test)| full_name(suite, test)).collect();
    let more = failed.saturating_sub(first.len() as u64);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let tests = if total == 1 { "test" } else { "tests" };
    format!("{failed} of {total} {tests} failed: {}{more}", first.join(", "))
}

/// `suite.test`, as people name a test.
pub fn full_name(suite: &str, test: &str) -> String {
    if suite.is_empty() { test.to_owned() } else { format!("{suite}.{test}") }
}

/// Who was there and how each ended, eight bytes a test: 62 bits of the sha256 of its name, two of its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen(Vec<u64>);

impl Seen {
    /// Of any order. A test that a report names twice has the worse of its outcomes.
    pub fn new(mut marks: Vec<u64>) -> Self {
        marks.sort_unstable_by_key(|m| (m >> 2, std::cmp::Reverse(m & 3)));
        marks.dedup_by_key(|m| *m >> 2);
        Self(marks)
    }

    pub fn mark(suite: &str, test: &str, outcome: Outcome) -> u64 {
        (id(suite, test) << 2) | outcome as u64
    }

    pub fn of(&self, id: u64) -> Option<Outcome> {
        self.0.binary_search_by_key(&id, |m| m >> 2).ok().and_then(|i| self.0.get(i)).map(|m| Outcome::of_bits(*m))
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|m| m.to_le_bytes()).collect()
    }

    /// Half a mark at the end is no mark.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self::new(bytes.as_chunks::<8>().0.iter().map(|c| u64::from_le_bytes(*c)).collect())
    }
}

/// A test by its name.
pub fn id(suite: &str, test: &str) -> u64 {
    let mut hash = Sha256::new();
    hash.update(suite.as_bytes());
    hash.update([0]);
    hash.update(test.as_bytes());
    let digest = hash.finalize();
    digest.iter().take(8).fold(0u64, |n, b| (n << 8) | u64::from(*b)) >> 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_again_and_the_worse_of_two_counts() {
        let seen = Seen::new(vec![
            Seen::mark("a", "x", Outcome::Passed),
            Seen::mark("a", "y", Outcome::Skipped),
            Seen::mark("a", "x", Outcome::Failed),
            Seen::mark("a", "z", Outcome::Flaky),
        ]);
        let again = Seen::from_bytes(&seen.to_bytes());
        assert_eq!(again, seen);
        assert_eq!(again.of(id("a", "x")), Some(Outcome::Failed));
        assert_eq!((again.of(id("a", "y")), again.of(id("a", "z"))), (Some(Outcome::Skipped), Some(Outcome::Flaky)));
        // The border between suite and test counts.
        assert_eq!(again.of(id("", "ax")), None);
        assert_eq!(seen.to_bytes().len(), 24);
    }

    #[test]
    fn the_sentence_names_the_first_and_counts_the_rest() {
        let failure = |test: &str| Failure { suite: "s".into(), test: test.into(), kind: "failure", ..Failure::default() };
        let mut t = Tested { passed: 26, failed: 4, failures: ["a", "b", "c", "d"].map(failure).into(), ..Tested::default() };
        assert_eq!(t.sentence(), "4 of 30 tests failed: s.a, s.b, s.c and 1 more");
        t.failures.insert(0, Failure { kind: "flaky", ..failure("passed in the end") });
        assert_eq!(t.sentence(), "4 of 30 tests failed: s.a, s.b, s.c and 1 more");
        assert_eq!(Tested { passed: 3, ..Tested::default() }.sentence(), "");
        t = Tested { problems: ["w", "x", "y", "z"].map(String::from).into(), ..Tested::default() };
        assert_eq!(t.sentence(), "w; x; y; 1 more test reports cannot be taken in");
        assert!(t.is_red());
    }
}
