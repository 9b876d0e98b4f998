//! The files of an attempt directory, between runner and shim: `spec.json`, `started.json`, `cancel`, `status.json`.
//!
//! `format` is 1. A field may be added with a default; none may change its meaning: shims outlive engines.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::run::RunRef;

/// The format that this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// Bytes of a step's report: the shim cuts what grows beyond, and nobody reads further.
pub const MAX_REPORT: u64 = 32 << 20;

/// Bytes of a step's journal: a step that writes more is ended, for a journal that misses its last lines would send work twice.
pub const MAX_JOURNAL: u64 = 32 << 20;

/// File names inside the attempt directory.
pub mod file {
    pub const SPEC: &str = "spec.json";
    pub const LOCK: &str = "lock";
    pub const STARTED: &str = "started.json";
    pub const LOG: &str = "log";
    /// The log of an ended attempt, packed; `log` is gone then. Where both are there, `log` is the one to believe.
    pub const LOG_PACKED: &str = "log.zst";
    pub const LOG_INDEX: &str = "log.idx";
    /// Two little-endian u64, from and to: the range of `log` whose bytes were dropped to stay under the cap. Absent = none were.
    pub const LOG_GAP: &str = "log.gap";
    /// The shell step's script.
    pub const SCRIPT: &str = "script";
    /// Made by the engine, under the lock, when it gives up an attempt that never started: a late shim finds it and leaves.
    pub const RETIRED: &str = "retired";
    /// Text: why a shim did not start the command, where it left no verdict.
    pub const REFUSED: &str = "refused";
    pub const CANCEL: &str = "cancel";
    pub const STATUS: &str = "status.json";
    pub const REPORT: &str = "report";
}

/// What the shim is to do; written and fsynced by the runner before the shim is spawned. Names of secrets only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    pub format: u32,
    /// Unique for ever; also `$QD_ATTEMPT_ID`.
    pub attempt: String,
    /// Random; in every descendant's environment as `QD_TOKEN`, so that survivors can be told from strangers.
    pub token: String,
    pub fence: u64,
    pub epoch: u64,
    pub run: RunRef,
    pub stage: String,
    /// Matrix cell, `key=value,key=value`; empty where the stage has no matrix.
    #[serde(default)]
    pub cell: String,
    pub step: String,
    /// 1 for the first attempt of this step.
    pub attempt_number: u32,
    pub command: Command,
    /// Absolute; created by the runner.
    pub workspace: String,
    /// The whole environment but for secrets; the engine's own is not inherited.
    pub env: BTreeMap<String, String>,
    /// File for `$QD_REPORT` lines.
    pub report: String,
    /// The (run, stage, step, cell) journal that survives attempts: copied intents and remotes, appended by the shim's step.
    pub journal: String,
    /// Time from the opening of the gate; none = 24 h.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// Deadline of the stage or run on `CLOCK_BOOTTIME` of `boot_id`; the earlier of both holds.
    #[serde(default)]
    pub deadline_boot_us: Option<u64>,
    /// What the deadline is, for the verdict: `longer than the timeout of its stage: 1h`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub deadline_is: String,
    pub boot_id: String,
    /// No output and no report line for so long = stalled.
    #[serde(default)]
    pub stall_ms: Option<u64>,
    pub grace_ms: u64,
    pub log: LogPolicy,
    #[serde(default)]
    pub secrets: Vec<SecretUse>,
    /// Children may outlive the leader; they are recorded, not killed.
    #[serde(default)]
    pub daemon_allowed: bool,
    /// How far the wall clock of the engine is ahead of the machine's, microseconds: the shim's and a native step's are so too. 0 but where
    /// an engine was given another clock.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub clock_shift_us: i64,
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// What runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Command {
    /// `shell -c`-less: the script is fed to `/bin/sh -eu` or the named interpreter as a file of its own.
    Shell { script: String, interpreter: Vec<String> },
    /// `quarterdeck step KIND` of the same binary; `with` values are already interpolated.
    Native { kind: String, with: serde_json::Map<String, Value> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogPolicy {
    pub max_bytes: u64,
    /// True: the step is killed at the cap (`on_limit: kill`). False: head and tail are kept, the middle is dropped and counted.
    #[serde(default)]
    pub kill_on_limit: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretUse {
    pub name: String,
    /// Also as an environment variable, upper case with `_`; the pipeline said `env: true`.
    #[serde(default)]
    pub env: bool,
}

/// Written, fsynced and renamed before the gate opens: from here on the command may have run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    pub format: u32,
    pub fence: u64,
    pub boot_id: String,
    pub shim: ProcessId,
    pub child: ProcessId,
    pub pgid: i32,
    /// Absolute path of the attempt's own cgroup v2 directory, where one was made.
    #[serde(default)]
    pub cgroup: Option<String>,
    pub containment: Containment,
    pub shim_version: String,
    pub boot_us: u64,
    pub wall_us: i64,
}

/// A process that cannot be mistaken for a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`, in clock ticks since boot.
    pub start_time: u64,
}

/// What holds the step's processes together, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Containment {
    /// A transient systemd scope, user or system, delegated.
    SystemdScope,
    /// Our own cgroup v2 directory with `cgroup.kill`.
    Cgroup,
    /// Session, process group and subreaper sweep only.
    Subreaper,
}

/// Who wants the attempt to end, and why; durable before any signal. A second request sets `force`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CancelIntent {
    pub format: u32,
    pub who: String,
    #[serde(default)]
    pub why: String,
    /// Skip the grace period.
    #[serde(default)]
    pub force: bool,
}

/// The end, written once, fsynced and renamed. It always wins over any other evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub format: u32,
    pub fence: u64,
    /// Exit code of the leader; none where a signal ended it or it never ran.
    #[serde(default)]
    pub code: Option<i32>,
    #[serde(default)]
    pub signal: Option<i32>,
    #[serde(default)]
    pub core: bool,
    #[serde(default)]
    pub oom: bool,
    /// Why the shim ended it, where it did.
    #[serde(default)]
    pub ended_by: EndedBy,
    /// One sentence for people: what went wrong and, where known, what to do.
    #[serde(default)]
    pub detail: String,
    pub boot_us_started: u64,
    pub boot_us_ended: u64,
    pub wall_us_ended: i64,
    pub user_cpu_us: u64,
    pub system_cpu_us: u64,
    pub max_rss_kib: u64,
    pub log_bytes: u64,
    pub log_dropped_bytes: u64,
    pub log_sha256: String,
    /// Processes that were still there after the sweep (D state), or that `daemon: allowed` left running.
    #[serde(default)]
    pub left_running: Vec<Survivor>,
}

/// Why an attempt is over, as `status.json` says it; the supervisor's word, not the step's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndedBy {
    /// The leader ended by itself.
    #[default]
    Itself,
    Cancel,
    Timeout,
    Stall,
    LogLimit,
    /// The command could not be started at all (exec failed, secret pipe broken); `detail` says why.
    Setup,
}

/// A process of the step that outlived it, and its command line as `/proc` showed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Survivor {
    pub process: ProcessId,
    pub command: String,
}
