//! What is known about the log of an ended attempt beside its bytes: its first error, and what is still to be done about it.

use serde::{Deserialize, Serialize};

use super::run::Verdict;

/// Smaller logs are not packed: they are as small as a file can be on most disks.
pub const PACK_FROM: u64 = 16 << 10;

/// What is still to be done about a log, as bits of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Todo(pub u32);

impl Todo {
    /// Its first error is to be looked for.
    pub const FIRST_ERROR: Self = Self(1);
    /// It is to be packed once its run has ended.
    pub const PACK: Self = Self(2);

    /// What the end of an attempt leaves to do. Of a lost one nobody knows how long its log is.
    pub fn of(verdict: Option<Verdict>, log_bytes: u64) -> Self {
        let lost = verdict == Some(Verdict::Lost);
        let mut todo = 0;
        if lost || verdict == Some(Verdict::Failure) && log_bytes > 0 {
            todo |= Self::FIRST_ERROR.0;
        }
        if lost || log_bytes >= PACK_FROM {
            todo |= Self::PACK.0;
        }
        Self(todo)
    }

    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Lines of logs that are errors, by name, and lines that are none, beside those that we know: expressions of the site or of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Patterns {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub harmless: Vec<String>,
}

impl Patterns {
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty() && self.harmless.is_empty()
    }
}

/// The line of a log where things began to go wrong, as far as a program can tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstError {
    /// Of its first byte.
    pub offset: u64,
    /// When it was written, µs since 1970 UTC.
    #[serde(default)]
    pub at_us: Option<i64>,
    /// Bounded, and safe to show.
    pub text: String,
    /// The pattern that it matched; empty where only the difference from the last good log told.
    #[serde(default)]
    pub pattern: String,
    /// The run whose good log of the same step does not have this line.
    #[serde(default)]
    pub new_since: Option<String>,
    /// Offset of a few lines before it.
    pub context: u64,
}

impl FirstError {
    /// How it was found, for people.
    pub fn how(&self) -> String {
        match (self.pattern.as_str(), &self.new_since) {
            ("", None) => "its last line".to_owned(),
            ("", Some(run)) => format!("not in the log of {run}"),
            (pattern, None) => pattern.to_owned(),
            (pattern, Some(run)) => format!("{pattern}, not in the log of {run}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_leaves_to_do_what_its_log_is_worth() {
        use Verdict::*;
        assert_eq!(Todo::of(Some(Success), 10), Todo(0));
        assert_eq!(Todo::of(Some(Success), PACK_FROM), Todo::PACK);
        assert_eq!(Todo::of(Some(Failure), 10), Todo::FIRST_ERROR);
        assert_eq!(Todo::of(Some(Failure), 0), Todo(0));
        assert_eq!(Todo::of(Some(Cancelled), PACK_FROM), Todo::PACK);
        assert_eq!(Todo::of(Some(Lost), 0), Todo(3));
        assert!(Todo(3).has(Todo::PACK) && !Todo(1).has(Todo::PACK));
    }
}
