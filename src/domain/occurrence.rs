//! What became of each time at which a trigger was due: one row for each, for ever one.

use serde::{Deserialize, Serialize};

use super::run::RunRef;
use super::text_form::text_form;

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

text_form!(Outcome { Ran = "ran", Late = "late", Coalesced = "coalesced", Skipped = "skipped" });

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

text_form!(Cause {
    None = "",
    Missed = "missed",
    Calendar = "calendar",
    Drained = "drained",
    ReadOnly = "read-only",
    Danger = "danger",
    Group = "group",
    Pipeline = "pipeline",
});

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
