//! The frozen plan: everything a run needs, expanded and resolved, stored in the run so that later edits of the file change nothing.
//!
//! Stages are in file order; `needs` are indices of earlier stages; post steps are stages of kind `Post`.
//! What can only be known later (outputs, verdicts, the run's number) stays an expression. `when` is answered by `expr::decide`;
//! `with` and every `env` are templates that must be finished at dispatch (`expr::fill_action`, `expr::fill`), and so is `run_name`.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::duration::Span;
use crate::domain::level::Level;
use crate::domain::log::Patterns;
use crate::domain::run::RunRef;

/// The format that this version writes.
pub const FORMAT: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub format: u32,
    pub pipeline: String,
    #[serde(default)]
    pub description: String,
    /// sha256 of the pipeline file's bytes.
    pub source_sha256: String,
    /// IANA name; the site's at the time of freezing.
    pub time_zone: String,
    /// Resolved values, as text, in declaration order. Parameters reach `run:` as variables of the same name.
    pub parameters: IndexMap<String, String>,
    /// Title of the run, a template for `expr::fill`; empty = `NAME #N`.
    #[serde(default)]
    pub run_name: String,
    pub danger: Level,
    /// Higher first in the queue; 0 = normal.
    #[serde(default)]
    pub priority: i32,
    #[serde(default)]
    pub concurrency: Option<Concurrency>,
    pub timeout: Span,
    /// Of all steps; values are templates for `expr::fill`.
    pub env: BTreeMap<String, String>,
    /// Content sets that the run as a whole reads and writes: the union over its stages.
    #[serde(default)]
    pub reads: Vec<String>,
    #[serde(default)]
    pub writes: Vec<String>,
    pub keep: Keep,
    pub log: LogCap,
    /// Runs that its parameters and inputs name: kept while this run has not ended or is pinned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<RunRef>,
    /// `canary:KIND` and `formula:NAME`: what its verdict says about the content that it read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The run that inputs `from: trigger` come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<RunRef>,
    pub stages: Vec<Stage>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Concurrency {
    pub group: String,
    pub limit: u32,
    pub on_conflict: OnConflict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnConflict {
    Queue,
    CancelOlder,
    /// The new run is refused at the door.
    Refuse,
}

/// Retention. A run is kept while any rule keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Keep {
    pub runs: u32,
    #[serde(default)]
    pub days: Option<u32>,
    /// `last-success`, `last-failure`, `promoted`; pins by people are rows, not this.
    #[serde(default)]
    pub pin: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogCap {
    pub max_bytes: u64,
    #[serde(default)]
    pub kill_on_limit: bool,
    /// What the pipeline says about first errors.
    #[serde(default, skip_serializing_if = "Patterns::is_empty")]
    pub patterns: Patterns,
}

/// When a stage of kind `Post` runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PostWhen {
    Always,
    Success,
    Failure,
    /// This one succeeded and the previous finished run of the pipeline did not.
    Fixed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum StageKind {
    Work,
    /// Runs after every `Work` stage that it belongs to is done. `of` = index of that stage; none = the run's own post.
    Post {
        when: PostWhen,
        of: Option<u32>,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    pub name: String,
    pub kind: StageKind,
    /// Indices of stages that must have ended first. A stage whose need failed is skipped unless `when` says `always`.
    #[serde(default)]
    pub needs: Vec<u32>,
    /// Expression of `pipeline::expr`; none = run when every need succeeded.
    #[serde(default)]
    pub when: Option<String>,
    pub cells: Vec<Cell>,
    #[serde(default)]
    pub max_parallel: Option<u32>,
    #[serde(default)]
    pub fail_fast: bool,
    /// In name order; taken all or nothing when the stage's first cell starts, given back when its last cell ends.
    /// The locks that content sets imply are already here (`content:SET`: shared for reads, exclusive for writes).
    #[serde(default)]
    pub locks: Vec<Lock>,
    #[serde(default)]
    pub reads: Vec<String>,
    #[serde(default)]
    pub writes: Vec<String>,
    /// A failure is shown, but the run goes on and may succeed.
    #[serde(default)]
    pub allow_failure: bool,
    #[serde(default)]
    pub danger: Level,
    #[serde(default)]
    pub idempotent: bool,
    #[serde(default)]
    pub uninterruptible: bool,
    #[serde(default)]
    pub retry: Option<Retry>,
    #[serde(default)]
    pub timeout: Option<Span>,
    #[serde(default)]
    pub stall: Option<Span>,
    /// It waits for people: it has no cells, holds no executor and no lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approve: Option<Approve>,
    /// Put into the workspace of each cell before its first step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
}

impl Stage {
    /// One that runs its cells once those before it have succeeded, and asks for nothing else.
    pub fn bare(name: impl Into<String>, kind: StageKind, cells: Vec<Cell>) -> Self {
        Self {
            name: name.into(),
            kind,
            needs: Vec::new(),
            when: None,
            cells,
            max_parallel: None,
            fail_fast: false,
            locks: Vec::new(),
            reads: Vec::new(),
            writes: Vec::new(),
            allow_failure: false,
            danger: Level::default(),
            idempotent: false,
            uninterruptible: false,
            retry: None,
            timeout: None,
            stall: None,
            approve: None,
            inputs: Vec::new(),
        }
    }
}

/// What people must agree to before the run goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approve {
    /// Any of these; `admin` always.
    pub roles: Vec<String>,
    /// Different people, at least 1.
    pub quorum: u32,
    #[serde(default)]
    pub not_requester: bool,
    pub expires: Span,
    /// Stages, and patterns of artifacts.
    #[serde(default)]
    pub show: Vec<String>,
    #[serde(default)]
    pub ask: Vec<Question>,
}

/// The answer reaches later steps as `approve_NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub name: String,
    #[serde(default)]
    pub description: String,
    /// None = it must be answered.
    #[serde(default)]
    pub default: Option<String>,
    #[serde(flatten)]
    pub answer: Answer,
}

/// The type of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Answer {
    String { pattern: Option<String>, min: Option<i64>, max: Option<i64> },
    Bool,
    Int { min: Option<i64>, max: Option<i64> },
    Choice { choices: Vec<String> },
}

/// Files that another run kept, as they were known when this run was frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub from: RunRef,
    /// The pattern in the file.
    pub pattern: String,
    pub files: Vec<InputFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// Among the artifacts of the other run.
    pub path: String,
    /// In the workspace.
    pub place: String,
    pub sha256: String,
    pub size_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    pub name: String,
    pub mode: LockMode,
    /// Slots taken of those the site gives the lock; 1 unless said.
    pub slots: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockMode {
    Shared,
    Exclusive,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all, the first included; ≥ 2.
    pub attempts: u32,
    pub delay: Span,
    /// Factor on the delay for each further attempt; ≥ 1.
    pub backoff: f64,
    /// Empty = any failure or timeout. `Lost` must be named.
    #[serde(default)]
    pub on: Vec<RetryOn>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryOn {
    Exit(i32),
    Failure,
    Timeout,
    Stall,
    Lost,
}

/// One cell of the matrix; a stage without matrix has one cell with an empty key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// `arch=x86_64,os=stream9`; empty without matrix.
    pub key: String,
    /// Reaches `run:` as `matrix_KEY`.
    pub matrix: IndexMap<String, String>,
    /// In order; the first that fails ends the cell.
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub name: String,
    pub action: Action,
    /// Over the plan's; the stage's is merged in. Values are templates, see `expr::fill_action`.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    #[serde(default)]
    pub secrets: Vec<SecretUse>,
    #[serde(default)]
    pub artifacts: Vec<Artifact>,
    #[serde(default)]
    pub timeout: Option<Span>,
    #[serde(default)]
    pub stall: Option<Span>,
    pub grace: Span,
    #[serde(default)]
    pub daemon_allowed: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Action {
    /// Nothing is interpolated in `script`.
    Shell { script: String, interpreter: Vec<String> },
    /// Every text in `with` is a template: only `${stages.…}` and `${run.…}` are left, and a literal `${` is escaped. See `expr::fill_action`.
    Native { kind: String, with: serde_json::Map<String, Value> },
    /// A run of another pipeline, started by the engine; values are templates. `wait`: its verdict is the step's.
    Build { pipeline: String, parameters: IndexMap<String, String>, wait: bool },
    /// The engine pins the run that this template names.
    Pin { run: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretUse {
    pub name: String,
    #[serde(default)]
    pub env: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// A glob in the workspace. sha256 of each file is recorded with the run.
    pub path: String,
    /// What matches is also read as JUnit test reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<Tests>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tests {
    /// Changes of result within the newest runs that make a test flaky.
    pub flaky_after: u32,
    /// Failed tests, and reports that cannot be read, fail the step.
    pub fail: bool,
}

/// `QD_OUT_STAGE_NAME`: the variable by which later steps see an output of a stage; what is no letter or digit becomes `_`.
pub fn out_variable(stage: &str, output: &str) -> String {
    let clean = |s: &str| s.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect::<String>();
    format!("QD_OUT_{}_{}", clean(stage), clean(output))
}

impl Stage {
    /// It is a run of another pipeline.
    pub fn builds(&self) -> bool {
        self.cells.iter().flat_map(|c| &c.steps).any(|s| matches!(s.action, Action::Build { .. }))
    }
}

impl Plan {
    /// Every cell-step of the run, in plan order, as indices.
    pub fn steps(&self) -> impl Iterator<Item = (u32, u32, u32, &Step)> {
        self.stages.iter().enumerate().flat_map(|(s, stage)| {
            stage
                .cells
                .iter()
                .enumerate()
                .flat_map(move |(c, cell)| cell.steps.iter().enumerate().map(move |(t, step)| (s as u32, c as u32, t as u32, step)))
        })
    }
}
