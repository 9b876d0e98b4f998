//! Requests and answers. Times are RFC 3339 UTC, durations `_ms`, sizes `_bytes`.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::diff::DiffDoc;
use super::log::FirstErrorDoc;
use super::order::Page;
use super::sealed::Sealed;
use crate::domain::level::Level;

/// No request body is larger.
pub const MAX_BODY: usize = 1 << 20;

/// `GET /v1/status`, and `engine status --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub pid: u32,
    pub version: String,
    pub socket: String,
    pub started: String,
    pub runs_running: u64,
    pub state_dir: String,
    /// One user's own engine; false = shared.
    pub private: bool,
    pub draining: bool,
    pub read_only: bool,
    pub epoch: u64,
    pub revision: u64,
    /// What is wrong with the site file since the engine read it; empty = nothing.
    #[serde(default)]
    pub site_error: String,
    /// By whom it is drained, and why; empty = it is not.
    #[serde(default)]
    pub drain_reason: String,
    /// `on`, or what keeps it from firing: `off: why`, `waits: why`, `dead: why`.
    #[serde(default)]
    pub scheduler: String,
    /// The heartbeat: when the scheduler last looked. It sleeps until `next_due`.
    #[serde(default)]
    pub scheduler_looked: Option<String>,
    #[serde(default)]
    pub next_due: Option<String>,
    /// The name that the engine knows who asks by.
    #[serde(default)]
    pub you: String,
    /// What becomes of an act that one person is not enough for: it is `asked` of a second one, `single` lets one do it and marks it, and
    /// `refused` means that there is nobody to ask; empty = an engine that does not say.
    #[serde(default)]
    pub second_person: String,
    /// Consoles that are armed now.
    #[serde(default)]
    pub armed: Vec<Armed>,
    /// Steps that may run at once, and those that do.
    #[serde(default)]
    pub executors: u64,
    #[serde(default)]
    pub executors_busy: u64,
    /// Room on the file system of the state directory; null = it could not be asked.
    #[serde(default)]
    pub free_bytes: Option<u64>,
    /// Why nothing new starts for want of room, bytes or inodes; empty = there is room.
    #[serde(default)]
    pub low_disk: String,
    /// Beginnings of URLs that the site file itself names, and that may be shown as links.
    #[serde(default)]
    pub links: Vec<String>,
    /// What is being looked after, newest first; those in force.
    #[serde(default)]
    pub acks: Vec<Ack>,
    /// Far ends that the engine asks by itself.
    #[serde(default)]
    pub sources: Vec<Source>,
}

/// `GET /v1/machine`: how the engine finds its own surroundings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub rows: Vec<crate::domain::doctor::Row>,
}

/// `POST /v1/arm`: lets requests on this connection change something, for a time. `POST /v1/disarm` on it, and its end, take that back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arm {
    /// 3600 at most.
    pub seconds: u64,
    pub reason: String,
}

/// A console that is armed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Armed {
    /// Names the lease, and gives no right to it.
    pub lease: u64,
    pub who: String,
    pub reason: String,
    pub until: String,
}

/// Somebody looks after something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// A pipeline, run, repository or promotion.
    pub subject: String,
    /// What was wrong with it then, in the words of `domain::problem`; nothing else is covered.
    pub problems: Vec<String>,
    pub who: String,
    pub why: String,
    pub at: String,
    pub until: String,
}

/// A far end that the engine asks by itself. Times are RFC 3339 UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// `upstream`, a datacentre, or the name of a Cobbler; with host and port where that would name two.
    pub source: String,
    /// `mirror`, or `cobbler`.
    pub kind: String,
    /// Host and port.
    pub at: String,
    /// `answers`, `stale` (older than twice its budget), `silent` (the last question brought nothing), `unknown` (not asked since the engine started).
    pub state: String,
    /// When it answered last.
    pub answered: Option<String>,
    /// When it was asked last.
    pub asked: Option<String>,
    /// So old its answers may be; null where it is only asked for a page.
    pub budget_ms: Option<u64>,
    /// What the last question brought in place of an answer.
    pub error: String,
    /// Places of repositories that are asked there.
    pub places: u64,
}

/// `GET /v1/plan/PIPELINE`: what a start would be, before anybody asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanDoc {
    pub pipeline: String,
    pub level: Level,
    /// Moves with the file. Given back in a request, it makes that void where the file has moved.
    pub basis: String,
    pub parameters: Vec<ParameterDoc>,
    pub stages: Vec<String>,
    /// Content sets, and locks that it takes.
    pub reads: Vec<String>,
    pub writes: Vec<String>,
    pub locks: Vec<String>,
    /// Names of secrets that its steps get.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Of its last runs that succeeded; none where there is none.
    pub usual_ms: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterDoc {
    pub name: String,
    /// In words: `text`, `whole number 1 to 9`, `one of a, b`.
    pub kind: String,
    /// None = it must be given.
    pub default: Option<String>,
    pub description: String,
    #[serde(default)]
    pub rule: Rule,
}

/// What a value must be, for a form that offers and checks it. `result`: `success`, `failure` or `any`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Rule {
    Text {
        pattern: Option<String>,
        min: Option<i64>,
        max: Option<i64>,
    },
    Bool,
    Int {
        min: Option<i64>,
        max: Option<i64>,
    },
    Choice {
        choices: Vec<String>,
    },
    Run {
        of: Option<String>,
        result: String,
    },
    /// An engine of another version says it in words only.
    #[default]
    #[serde(other)]
    Unknown,
}

/// `POST /v1/do`: the only request that changes anything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Do {
    pub action: String,
    /// A run, a pipeline, or empty for the engine.
    #[serde(default)]
    pub target: String,
    /// Arguments of the action, and parameters of the pipeline.
    #[serde(default)]
    pub with: IndexMap<String, String>,
    #[serde(default)]
    pub reason: String,
    /// The name of the target, typed by the person.
    #[serde(default)]
    pub confirm: Option<String>,
    /// Made by the client: a second request with the same key answers what the first one did.
    #[serde(default)]
    pub key: Option<String>,
    /// The value of `secret-set`, and of nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Sealed>,
    /// Asked from a console: its connection must be armed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub console: bool,
    /// `basis` of what the person looked at; refused where that has moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<String>,
}

/// The answer: what was done, in one sentence; the run where there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    pub message: String,
    /// It needed two people, and the site lets one pass.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub single_person: bool,
}

/// `GET /v1/get/WHAT`: flat rows. With `offset=N`, `around=ID&by=COLUMNS` (the page that holds this row) or `count=1` the answer says in `page`
/// which part of the table it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Rows {
    pub what: String,
    pub revision: u64,
    /// Age of the oldest answer of a far end behind these rows; 0 = the engine's own.
    pub age_ms: u64,
    pub rows: Vec<Map<String, Value>>,
    /// What is wrong with the rows as a whole, such as a broken audit chain: exit code 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Only where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Page>,
    /// Of a table of `GET /v1/diff/TABLE`: what stands above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<Box<DiffDoc>>,
}

/// The same with its rows unread, for those who hand them on as they are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RawRows {
    pub what: String,
    pub revision: u64,
    pub age_ms: u64,
    pub rows: Box<serde_json::value::RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Page>,
}

/// Answer of `GET /v1/runs/PIPELINE/NUMBER`, and of `run --wait --json`. `verdict` is null until the run has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunDoc {
    pub run: String,
    pub verdict: Option<String>,
    pub detail: String,
    pub started: Option<String>,
    pub ended: Option<String>,
    /// Of its last pass: since `round_started`.
    #[serde(default)]
    pub duration_ms: Option<u64>,
    pub stages: Vec<StageDoc>,
    /// 0 for the first pass; each resume or retry adds one.
    #[serde(default)]
    pub round: u32,
    /// Null while a resume waits in the queue.
    #[serde(default)]
    pub round_started: Option<String>,
    /// `queued`, `running`, `waiting`, `done`.
    pub state: String,
    /// Moves when its state does. Given back in a request, it makes that void where the run has moved.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub basis: String,
    /// Of the step that failed it, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_error: Option<Box<FirstErrorDoc>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageDoc {
    pub name: String,
    pub verdict: Option<String>,
    pub duration_ms: Option<u64>,
    pub steps: Vec<StepDoc>,
    pub state: String,
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepDoc {
    pub name: String,
    pub verdict: Option<String>,
    pub exit_code: Option<i32>,
    pub state: String,
    pub detail: String,
    /// The run of another pipeline that it is: its log is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<String>,
}

/// `GET /v1/why/PIPELINE/NUMBER`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Why {
    pub run: String,
    pub state: String,
    /// Sentences; the first is the one that matters most.
    pub reasons: Vec<String>,
    /// The same, typed: `domain::reason::Reason`.
    pub detail: Vec<Value>,
}

/// `GET /v1/why/REPO`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RepoWhy {
    pub repo: String,
    /// As the column `freshness` of `get repos`.
    pub state: String,
    /// Sentences; the first is the one that matters most.
    pub reasons: Vec<String>,
    /// Its rows of `get mirrors`.
    pub places: Vec<Map<String, Value>>,
}

/// `GET /v1/secrets/NAME/test`: whether the engine can have it now, and never what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretTest {
    pub secret: String,
    pub ok: bool,
    pub error: Option<String>,
}

/// `GET /v1/cobblers/NAME/login`: whether a Cobbler takes the user and the password that the site names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CobblerLogin {
    pub cobbler: String,
    #[serde(flatten)]
    pub login: crate::domain::doctor::Login,
}

/// One change of the model: upserts and deletes by table and id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangeSet {
    pub revision: u64,
    pub upserts: BTreeMap<String, BTreeMap<String, Map<String, Value>>>,
    pub deletes: BTreeMap<String, Vec<String>>,
}

/// Tables that `get` shows in this version.
pub const TABLES: [&str; 24] = [
    "artifacts",
    "audit",
    "content",
    "decisions",
    "doctor",
    "due",
    "executors",
    "failures",
    "fingerprints",
    "flaky",
    "holds",
    "locks",
    "mirrors",
    "occurrences",
    "pipelines",
    "promotions",
    "queue",
    "repos",
    "runs",
    "schedule",
    "slowest",
    "sources",
    "tests",
    "versions",
];
