//! Answers that make whole pages of the console: the stages of the last runs side by side, and what stands around one run.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `GET /v1/history/PIPELINE?limit=N`: its newest runs with their stages, newest first, and the usual time of each stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    pub pipeline: String,
    pub runs: Vec<PastRun>,
    pub averages: Vec<Average>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastRun {
    pub run: String,
    pub number: u64,
    pub state: String,
    pub verdict: Option<String>,
    pub started: Option<String>,
    pub duration_ms: Option<u64>,
    /// `none`, what moved since the run before, or null where nobody can say.
    pub changes: Option<String>,
    pub stages: Vec<PastStage>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastStage {
    pub name: String,
    pub state: String,
    pub verdict: Option<String>,
    pub started: Option<String>,
    /// Null until it has ended, and where it never began.
    pub duration_ms: Option<u64>,
}

/// Over the last good runs of a stage; null where there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Average {
    pub stage: String,
    pub average_ms: Option<u64>,
}

/// `GET /v1/about/PIPELINE/NUMBER`: a run's own row of `get runs`, and what belongs to it. Rows are those of `get decisions`, `artifacts`
/// and `failures`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct About {
    pub run: Map<String, Value>,
    pub danger: String,
    pub parameters: IndexMap<String, String>,
    pub decisions: Vec<Map<String, Value>>,
    /// The first of them; `artifact_count` and `artifact_bytes` are of all.
    pub artifacts: Vec<Map<String, Value>>,
    pub artifact_count: u64,
    pub artifact_bytes: u64,
    /// While it runs: what its past says of it. Null without a past.
    #[serde(default)]
    pub eta: Option<EtaDoc>,
    /// Null where the run has no test report.
    pub tests: Option<TestCounts>,
    pub failures: Vec<Map<String, Value>>,
    /// What it worked on, beside the run that is named in `moved_since`.
    pub inputs: Vec<Input>,
    pub moved_since: Option<String>,
    /// Rows of runs that it set off as their upstream, oldest first.
    #[serde(default)]
    pub children: Vec<Map<String, Value>>,
    /// Steps of stages with a matrix, by stage and cell.
    pub cells: Vec<CellDoc>,
    /// What its steps reported: `content`, `commit`, `mirror`, `snapshot`, `pointer`, each with its own fields.
    pub facts: Vec<Value>,
}

/// Where a run stands against the good ones before it. Time in which it waited for people counts nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtaDoc {
    pub p50_ms: u64,
    pub p90_ms: u64,
    /// Beyond it the run is slow, and has `slow_since`.
    pub p95_ms: u64,
    pub samples: u32,
    pub elapsed_ms: u64,
    /// Until p50; zero once it took longer.
    pub remaining_ms: u64,
    /// 0 to 99.
    pub percent: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCounts {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

/// A content set or a checkout: its fingerprint or commit now and before; null = unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// `content` or `commit`.
    pub kind: String,
    pub name: String,
    pub now: Option<String>,
    pub before: Option<String>,
    /// Its newest reading, whoever made it; null for commits, and where nobody has read it since the engine started.
    #[serde(default)]
    pub current: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellDoc {
    pub stage: String,
    pub cell: String,
    pub step: String,
    pub state: String,
    pub verdict: Option<String>,
    pub duration_ms: Option<u64>,
    pub detail: String,
}
