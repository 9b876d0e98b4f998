//! Logs over the API. All under `/v1`, for the attempt `FENCE` of a run; text is as the step wrote it, and the client makes it safe.
//!
//! - `GET /log/PIPELINE/NUMBER/FENCE?at=offset&offset=N`, `?at=before&offset=N`, `?at=tail&lines=N`, `?at=time&time=RFC3339` answers a
//!   [`LogPage`]: whole lines, at most 5,000 of them (or `lines=N`) and 1 MiB (or `bytes=N`). `before`: the last lines in front of N. `wait=S` holds the question until there is something, at most 60 s. `file=N`, from
//!   the page before, lets the engine notice that another file has taken the log's place. `as=hex` gives bytes instead of lines: one
//!   "line" of hexadecimal digits, at most `bytes=N` (64 KiB where nothing is said, 1 MiB at most).
//! - `GET /grep/PIPELINE/NUMBER/FENCE?re=PATTERN` streams a [`Found`] a line (`application/x-ndjson`), the last of which is `end` or
//!   `error`. Also `fixed=1`, `ignore_case=1`, `invert=1`, `before=N`, `after=N` (lines of context, at most 100), `number=1`,
//!   `offset=N` or `since=RFC3339`, `limit=N` hits, `wait=S` (goes on with what is written meanwhile). Closing the connection stops it.
//! - `GET /attempts/PIPELINE/NUMBER` answers an [`AttemptsDoc`]; with `first_error=1` first errors are looked for where nobody did yet.

use serde::{Deserialize, Serialize};

use super::ApiError;

/// Some lines, and where to go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogPage {
    pub lines: Vec<LogLine>,
    /// Where to go on.
    pub next_offset: u64,
    /// The step has ended, and nothing will be added.
    pub complete: bool,
    /// Tells this log from another file that takes its name; 0 = it cannot change any more.
    #[serde(default)]
    pub file: u64,
    /// The log was cut or replaced under its reader: what happened. There are no lines, and `next_offset` is where to begin again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<String>,
    /// Bytes of the log as it is now, dropped ones included: where an offset stands in it.
    #[serde(default)]
    pub size: u64,
    /// What is wrong with the log as a whole, such as missing bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    pub offset: u64,
    /// RFC 3339 UTC; empty where the index has none.
    pub at: String,
    pub text: String,
    /// More of the same line follows in the next one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// It is no text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub binary: bool,
    /// Counted from 1, where a search was asked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Does not match itself; a line near it does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub context: bool,
}

/// One line of the answer of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    Hit(LogLine),
    /// Everything before this offset was searched; told every 64 MiB, and every 10 s while nothing is written.
    Searched(u64),
    End {
        next_offset: u64,
        /// The step has ended and all of its log was searched.
        complete: bool,
    },
    /// The log could not be read to its end.
    Error(ApiError),
}

/// Oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptsDoc {
    pub run: String,
    /// The run has ended: no attempt will be added.
    pub done: bool,
    pub attempts: Vec<AttemptDoc>,
    /// Stages that are runs of other pipelines have no log of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elsewhere: Vec<Elsewhere>,
}

/// Where the log of a stage is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Elsewhere {
    pub stage: String,
    pub cell: String,
    /// The run of another pipeline that it is.
    pub child: String,
    /// How the stage's cell ended; null while it has not. It need not be how that run ended.
    #[serde(default)]
    pub verdict: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptDoc {
    /// Names the attempt for ever.
    pub fence: u64,
    pub stage: String,
    pub cell: String,
    pub step: String,
    /// 1 for the first attempt of its step.
    pub number: u32,
    pub state: String,
    pub verdict: Option<String>,
    pub started: Option<String>,
    pub ended: Option<String>,
    pub log_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_error: Option<FirstErrorDoc>,
}

impl AttemptDoc {
    /// The step, with its cell in brackets where it has one.
    pub fn label(&self) -> String {
        if self.cell.is_empty() { self.step.clone() } else { format!("{} ({})", self.step, self.cell) }
    }

    /// Whether it belongs to `STAGE` or `STAGE/STEP`. A step is named by itself, with its cell in brackets, or by the cell alone.
    pub fn is_at(&self, place: &str) -> bool {
        let step = place.strip_prefix(self.stage.as_str()).and_then(|rest| rest.strip_prefix('/'));
        place == self.stage || step.is_some_and(|s| s == self.step || s == self.label() || !self.cell.is_empty() && s == self.cell)
    }
}

/// The line of a red step's log where things began to go wrong, as far as patterns and the last good log tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FirstErrorDoc {
    #[serde(default)]
    pub run: String,
    pub stage: String,
    pub cell: String,
    pub step: String,
    pub attempt: u32,
    pub offset: u64,
    /// RFC 3339 UTC; null where nobody knows. Named as in the lines of `log --json`.
    #[serde(default)]
    pub time: Option<String>,
    /// At most 500 characters, safe to show.
    pub text: String,
    /// How it was found, for people.
    pub how: String,
    /// The pattern that it matched; empty where none did.
    pub pattern: String,
    /// The run whose good log of the same step does not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_since: Option<String>,
    /// Offset of a few lines before it.
    pub context_offset: u64,
}
