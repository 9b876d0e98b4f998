//! Flat rows of runs, stages, steps, attempts, locks and queue, as `get` prints them and the store answers them.
//!
//! Instants are microseconds since 1970 UTC (`…_us`), durations milliseconds (`…_ms`), sizes bytes (`…_bytes`).

use serde::{Deserialize, Serialize};

use super::flaky::Place;
use super::junit::Slow;
use super::log::FirstError;
use super::reason::Reason;
use super::run::{RunRef, RunState, StepKey, StepState, Verdict};

/// One run. `started_us` is the claim of its first step, not its submission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRow {
    pub run: RunRef,
    pub pipeline: String,
    pub number: u64,
    /// The run's title: `run_name` of the pipeline, or `NAME #N`.
    pub title: String,
    pub state: RunState,
    pub verdict: Option<Verdict>,
    pub detail: String,
    pub exit_code: Option<i32>,
    pub failed_stage: Option<String>,
    pub failed_step: Option<String>,
    pub requested_by: String,
    pub reason: String,
    /// `manual`, `cron`, `every`, `upstream`, `replay`, …
    pub trigger: String,
    /// What caused it, unique where set: `upstream:nightly#5`.
    pub cause: Option<String>,
    pub created_us: i64,
    pub started_us: Option<i64>,
    /// Start of the pass that it is in, or ended in: a resume waits in the queue before it begins again.
    pub round_us: Option<i64>,
    pub ended_us: Option<i64>,
    pub fp_before: Option<String>,
    pub fp_after: Option<String>,
    /// Who asked to cancel it, while it has not ended and after.
    pub cancel_by: Option<String>,
    pub pinned: bool,
    /// 0 for the first pass; each resume or retry adds one.
    pub round: u32,
    pub replay_of: Option<RunRef>,
    /// Since the run of its pipeline before it: `none`, or what moved; none where nobody can say.
    pub changes: Option<String>,
    /// Runs that its stages have started, with blanks between.
    pub children: Option<String>,
    /// Since when it takes longer than nearly all good runs of its pipeline.
    #[serde(default)]
    pub slow_us: Option<i64>,
}

impl RunRow {
    /// Time from the start of its last pass to its end, so without the days between a failure and its resume; none while it runs or where
    /// that pass never began.
    pub fn duration_ms(&self) -> Option<u64> {
        span_ms(self.round_us, self.ended_us)
    }
}

/// Milliseconds between two instants, zero when the wall clock was set back in between.
pub fn span_ms(from_us: Option<i64>, to_us: Option<i64>) -> Option<u64> {
    Some(u64::try_from((to_us? - from_us?) / 1_000).unwrap_or(0))
}

/// A fact that a step of a run reported, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FactRow {
    pub run: RunRef,
    pub json: String,
    pub at_us: i64,
}

/// One stage of a run. Its state has the words of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageRow {
    pub run: RunRef,
    pub stage: u32,
    pub name: String,
    pub state: StepState,
    pub verdict: Option<Verdict>,
    pub detail: String,
    pub started_us: Option<i64>,
    pub ended_us: Option<i64>,
}

/// One step of one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRow {
    pub run: RunRef,
    pub key: StepKey,
    pub stage: String,
    /// Matrix cell; empty without matrix.
    pub cell: String,
    pub name: String,
    pub state: StepState,
    pub verdict: Option<Verdict>,
    pub detail: String,
    pub exit_code: Option<i32>,
    /// Attempts begun so far, in this pass.
    pub attempts: u32,
    /// A retry waits until then.
    pub not_before_us: Option<i64>,
    pub started_us: Option<i64>,
    pub ended_us: Option<i64>,
    /// Fence of the newest attempt.
    pub fence: Option<u64>,
}

/// One attempt of one step. `dir` is relative to the state directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptRow {
    pub fence: u64,
    pub id: String,
    pub run: RunRef,
    pub key: StepKey,
    pub stage: String,
    pub cell: String,
    pub step: String,
    /// 1 for the first attempt of its step.
    pub number: u32,
    pub epoch: u64,
    pub state: StepState,
    pub verdict: Option<Verdict>,
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub detail: String,
    pub claimed_us: i64,
    pub started_us: Option<i64>,
    pub ended_us: Option<i64>,
    pub dir: String,
    pub log_bytes: u64,
    pub max_rss_kib: u64,
    pub cpu_us: u64,
    pub first_error: Option<FirstError>,
}

/// An executor that works: on which step, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusyRow {
    pub run: RunRef,
    pub stage: String,
    pub cell: String,
    pub step: String,
    pub since_us: i64,
}

/// A lock that is held, or one that the site names and nobody holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LockRow {
    pub name: String,
    /// `shared`, `exclusive`, or empty when free.
    pub mode: String,
    /// What its holder has of it; 0 when free.
    pub taken: u32,
    pub run: Option<RunRef>,
    pub stage: String,
    pub since_us: Option<i64>,
}

/// A run that waits or runs, with its first true blocking reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueRow {
    pub run: RunRef,
    pub state: RunState,
    pub priority: i32,
    pub requested_by: String,
    pub created_us: i64,
    /// None only while every ready step of it runs.
    pub blocked: Option<Reason>,
    /// See [`RunRow::slow_us`].
    #[serde(default)]
    pub slow_us: Option<i64>,
}

/// A file kept with the run. `path` is relative to the run's `artifacts/` directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRow {
    pub run: RunRef,
    pub stage: String,
    pub cell: String,
    pub step: String,
    pub path: String,
    pub sha256: String,
    pub size_bytes: u64,
}

/// A fingerprint and where it stands: a file that a run made or was given, or a content set that it read or left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FingerprintRow {
    pub sha256: String,
    /// `artifact` or `content`.
    pub kind: String,
    pub run: RunRef,
    /// `made`, `used`, `wanted` (frozen as an input, and no step had it yet) of an artifact; `read`, `left` of content.
    pub role: String,
    /// Path of the artifact, or name of the content set.
    pub name: String,
    /// The run that made what this one used.
    pub from: Option<RunRef>,
    pub size_bytes: Option<u64>,
    pub at_us: Option<i64>,
}

/// What the test reports of a run say together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestsRow {
    pub run: RunRef,
    pub verdict: Option<Verdict>,
    pub ended_us: Option<i64>,
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
    /// Of those that passed: after they had failed.
    pub flaky: u64,
    pub duration_ms: u64,
    /// Reports that could not be taken in, and why.
    pub problems: Vec<String>,
}

/// One of the slowest tests of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowRow {
    pub run: RunRef,
    pub at: Place,
    pub test: Slow,
}

/// What `run --wait --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub run: RunRef,
    pub state: RunState,
    pub verdict: Option<Verdict>,
    pub detail: String,
    pub started_us: Option<i64>,
    pub ended_us: Option<i64>,
    pub round: u32,
    pub round_us: Option<i64>,
    pub stages: Vec<StageSummary>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageSummary {
    pub name: String,
    pub state: StepState,
    pub verdict: Option<Verdict>,
    pub detail: String,
    pub started_us: Option<i64>,
    pub duration_ms: Option<u64>,
    pub steps: Vec<StepSummary>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepSummary {
    /// `step`, or `step (cell)` in a matrix.
    pub name: String,
    pub state: StepState,
    pub verdict: Option<Verdict>,
    pub exit_code: Option<i32>,
    pub detail: String,
    /// The run of another pipeline that it is.
    pub child: Option<RunRef>,
}

/// Something changed: a row of a table, by its id as people write it (`nightly#5`). The event stream re-reads the row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// `runs`, `queue`, `locks`, `decisions` (by the run that they are about), `drain`; `ends`, beside `runs`: the run has its verdict.
    pub table: &'static str,
    pub id: String,
}

/// A content that a set was seen to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentRow {
    pub fp: String,
    pub set: String,
    pub os: String,
    pub md: Option<String>,
    /// A label; empty where there is none.
    pub compose: String,
    pub packages: u64,
    pub bytes: u64,
    pub first_seen_us: i64,
}

/// What a look at one place of a repository found, and when that was news. A place is `upstream`, `tree`, `stable` or a datacentre.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservationRow {
    pub repo: String,
    pub place: String,
    pub observed: super::freshness::Observed,
    pub at_us: i64,
}
