//! What became of each time at which a trigger was due: one row for each, for ever one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::run::RunRef;

/// How an occurrence ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It started its run in time.
    Ran,
    /// It started its run, later than it was due; `why` says why.
    Late,
    /// Another occurrence's run stands for it.
    Coalesced,
    /// It started nothing; `why` says why.
    Skipped,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ran => "ran",
            Self::Late => "late",
            Self::Coalesced => "coalesced",
            Self::Skipped => "skipped",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Outcome {
    type Err = ();

    fn from_str(s: &str) -> Result<Self, ()> {
        [Self::Ran, Self::Late, Self::Coalesced, Self::Skipped].into_iter().find(|o| o.as_str() == s).ok_or(())
    }
}

/// Why nothing was started, as a word that rules can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Nothing to explain.
    None,
    /// Nobody was there at the time: no engine, a broken site file, a clock that jumped over it.
    Missed,
    Calendar,
    Drained,
    ReadOnly,
    /// Only people start what is so dangerous.
    Danger,
    /// The concurrency group is full and refuses more.
    Group,
    /// The pipeline cannot be run as its file is.
    Pipeline,
}

impl Cause {
    const ALL: [Self; 8] =
        [Self::None, Self::Missed, Self::Calendar, Self::Drained, Self::ReadOnly, Self::Danger, Self::Group, Self::Pipeline];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Missed => "missed",
            Self::Calendar => "calendar",
            Self::Drained => "drained",
            Self::ReadOnly => "read-only",
            Self::Danger => "danger",
            Self::Group => "group",
            Self::Pipeline => "pipeline",
        }
    }
}

impl FromStr for Cause {
    type Err = ();

    fn from_str(s: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|c| c.as_str() == s).ok_or(())
    }
}

/// One row of the ledger, unique by pipeline, trigger and time. Times are microseconds since 1970 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    pub pipeline: String,
    /// The trigger's name in the ledger: `cron 29 1 * * * (Europe/Berlin)`.
    pub trigger: String,
    pub scheduled_us: i64,
    pub outcome: Outcome,
    pub cause: Cause,
    pub why: String,
    pub run: Option<RunRef>,
    pub decided_us: i64,
}

/// What the ledger knows of a trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerState {
    pub pipeline: String,
    pub trigger: String,
    /// Changes with everything that moves its times.
    pub digest: String,
    /// The trigger itself, as JSON: it is still known while its file is broken.
    pub spec: String,
    /// It owes nothing up to here.
    pub since_us: i64,
    /// All up to here have their rows.
    pub cursor_us: i64,
    /// What was seen last, where the trigger is no clock's: a commit.
    pub note: String,
}
