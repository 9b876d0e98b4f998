//! A run, its stages, cells, steps and attempts: names, states, verdicts, and which transition is allowed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text_form::text_form;

/// `PIPELINE#NUMBER`, such as `nightly-repo-updates#165`. Numbers start at 1, and never repeat within a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunRef {
    pub pipeline: String,
    pub number: u64,
}

impl RunRef {
    pub fn new(pipeline: impl Into<String>, number: u64) -> Self {
        Self { pipeline: pipeline.into(), number }
    }
}

impl fmt::Display for RunRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.pipeline, self.number)
    }
}

/// Why a text names no run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a run; write PIPELINE#NUMBER, such as nightly-repo-updates#165")]
pub struct BadRunRef(pub String);

impl BadRunRef {
    /// The command that shows what runs there are.
    pub fn help(&self) -> String {
        match valid_name(&self.0) {
            true => format!("quarterdeck get runs --filter pipeline={} lists its runs, the newest first", self.0),
            false => "quarterdeck get runs lists them".to_owned(),
        }
    }
}

impl FromStr for RunRef {
    type Err = BadRunRef;

    fn from_str(s: &str) -> Result<Self, BadRunRef> {
        match s.rsplit_once('#') {
            // Written in one way only: what is copied, compared or kept by its text is then the same run.
            Some((p, n)) if valid_name(p) && n.bytes().all(|b| b.is_ascii_digit()) && !n.starts_with('0') => match n.parse::<u64>() {
                Ok(number) => Ok(Self::new(p, number)),
                Err(_) => Err(BadRunRef(s.to_owned())),
            },
            _ => Err(BadRunRef(s.to_owned())),
        }
    }
}

impl Serialize for RunRef {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunRef {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Names of pipelines, locks, secrets, content sets: `[a-z0-9][a-z0-9._-]*`, at most 64 bytes. They become file names.
pub fn valid_name(s: &str) -> bool {
    s.len() <= 64
        && s.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
}

/// Where a run stands. `Waiting`: nothing of it can go on but by people. The queue says `waiting` also of one that holds no executor for another
/// reason, such as a retry delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    Queued,
    Running,
    Waiting,
    Done,
}

/// The one true end of a run, stage, step or attempt. `Lost` is its own end: nobody can know what the command did.
/// `Invalid`: every step passed, but the content that was read moved meanwhile. `Skipped` is for stages and steps only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Success,
    Failure,
    Cancelled,
    Lost,
    Invalid,
    Skipped,
}

impl Verdict {
    /// The exit code of `run --wait`: 0 done, 1 red or invalid, 5 cancelled, 6 lost.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Success | Self::Skipped => 0,
            Self::Failure | Self::Invalid => 1,
            Self::Cancelled => 5,
            Self::Lost => 6,
        }
    }

    /// The worse of two, as a stage takes it from its cells: lost > cancelled > failure > invalid > success > skipped.
    pub fn worse(self, other: Self) -> Self {
        let rank = |v| match v {
            Self::Skipped => 0,
            Self::Success => 1,
            Self::Invalid => 2,
            Self::Failure => 3,
            Self::Cancelled => 4,
            Self::Lost => 5,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

text_form!(RunState { Queued = "queued", Running = "running", Waiting = "waiting", Done = "done" });
text_form!(Verdict { Success = "success", Failure = "failure", Cancelled = "cancelled", Lost = "lost", Invalid = "invalid", Skipped = "skipped" });

/// Where a step of a cell stands. `Claimed`: an attempt row exists, but nothing proves that its command began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    Pending,
    Claimed,
    Running,
    Done,
}

text_form!(StepState { Pending = "pending", Claimed = "claimed", Running = "running", Done = "done" });

/// The place of a step inside a run: indices into the frozen plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepKey {
    pub stage: u32,
    pub cell: u32,
    pub step: u32,
}

impl fmt::Display for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.stage, self.cell, self.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_references_round_trip_and_hostile_ones_are_refused() {
        let r: RunRef = "nightly-repo-updates#165".parse().unwrap();
        assert_eq!((r.pipeline.as_str(), r.number), ("nightly-repo-updates", 165));
        assert_eq!(r.to_string().parse::<RunRef>().unwrap(), r);
        for bad in ["", "x", "x#", "#1", "x#0", "x#-1", "../x#1", "X#1", "a/b#1", "x#1#2x", "x #1"] {
            assert!(bad.parse::<RunRef>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_worst_cell_names_the_stage() {
        use Verdict::*;
        assert_eq!(Success.worse(Skipped), Success);
        assert_eq!(Success.worse(Failure), Failure);
        assert_eq!(Lost.worse(Failure), Lost);
        assert_eq!(Verdict::Lost.exit_code(), 6);
    }
}
