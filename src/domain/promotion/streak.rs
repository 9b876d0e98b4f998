//! Verdicts on content, and what they add up to: rows of a canary or of a formula on one fingerprint become a streak.

use serde::{Deserialize, Serialize};

/// How a run judged the content that it read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Colour {
    Green,
    Red,
    /// The inputs moved under it: it says nothing.
    Invalid,
    /// Cancelled, or lost.
    NotRun,
}

impl Colour {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Red => "red",
            Self::Invalid => "invalid",
            Self::NotRun => "not-run",
        }
    }

    /// Of a run's verdict.
    pub const fn of(verdict: crate::domain::run::Verdict) -> Self {
        use crate::domain::run::Verdict;
        match verdict {
            Verdict::Success => Self::Green,
            Verdict::Invalid => Self::Invalid,
            Verdict::Cancelled | Verdict::Lost | Verdict::Skipped => Self::NotRun,
            Verdict::Failure => Self::Red,
        }
    }
}

impl std::str::FromStr for Colour {
    type Err = ();

    fn from_str(s: &str) -> Result<Self, ()> {
        [Self::Green, Self::Red, Self::Invalid, Self::NotRun].into_iter().find(|c| c.as_str() == s).ok_or(())
    }
}

/// One verdict: `kind` is `canary:KIND` or `formula:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub kind: String,
    pub os: String,
    pub set: String,
    pub fp: String,
    pub run: String,
    pub colour: Colour,
    pub at_us: i64,
}

/// What verdicts of one kind on one fingerprint say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Streak {
    /// Runs of the unbroken row of greens, oldest first; each at least `apart` behind the one before it.
    pub green: Vec<String>,
    /// The run that said red last, where nothing green came after it.
    pub red: Option<String>,
    /// When the newest verdict that says something was given.
    pub newest_us: Option<i64>,
}

/// Reads the row of one kind. Only greens of this fingerprint count; a red breaks the row, what says nothing neither breaks nor counts.
pub fn of(verdicts: &[Verdict], kind: &str, fp: &str, apart_us: i64) -> Streak {
    let mut all: Vec<&Verdict> = verdicts.iter().filter(|v| v.kind == kind && v.fp == fp && !fp.is_empty()).collect();
    all.sort_by(|a, b| a.at_us.cmp(&b.at_us).then_with(|| a.run.cmp(&b.run)));
    let mut out = Streak::default();
    let mut last_us: Option<i64> = None;
    for v in all {
        match v.colour {
            Colour::Green => {
                out.red = None;
                out.newest_us = Some(v.at_us);
                if last_us.is_none_or(|l| v.at_us.saturating_sub(l) >= apart_us) {
                    out.green.push(v.run.clone());
                    last_us = Some(v.at_us);
                }
            }
            Colour::Red => {
                out.green.clear();
                last_us = None;
                out.red = Some(v.run.clone());
                out.newest_us = Some(v.at_us);
            }
            Colour::Invalid | Colour::NotRun => {}
        }
    }
    out
}
