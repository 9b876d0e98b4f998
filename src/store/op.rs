//! Transitions of runs: the closed list of row changes that the dispatcher makes.

use super::audit::Note;
use super::forced::ForceMark;
use super::run_id::RunId;
use crate::domain::junit::Tested;
use crate::domain::run::{RunRef, RunState, StepKey, StepState, Verdict};

/// One change of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    Claim(Claim),
    /// The command of an attempt is known to have begun.
    Started {
        fence: u64,
        run: RunId,
        key: StepKey,
        at_us: i64,
    },
    End(Box<End>),
    Step(StepSet),
    /// Every step of a stage (or of one cell of it) that is still pending ends so, unrun: `Skipped` or `Cancelled`.
    Skip {
        run: RunId,
        stage: u32,
        cell: Option<u32>,
        verdict: Verdict,
        detail: String,
        at_us: i64,
    },
    Stage(StageSet),
    Run(Box<RunSet>),
    Lock {
        run: RunId,
        stage: u32,
        name: String,
        mode: &'static str,
        slots: u32,
        at_us: i64,
    },
    Unlock {
        run: RunId,
        stage: u32,
    },
    Reading {
        run: RunId,
        set: String,
        side: &'static str,
        fp: Option<String>,
        md: Option<String>,
        detail: String,
        at_us: i64,
    },
    /// A run that had ended is opened again: its cancel mark and its reading after the work go, and with `whole` the one before too.
    Reopen {
        run: RunId,
        whole: bool,
    },
    /// An act of a person, or of the engine about people, with its entry and decision.
    Note(Box<Note>),
    /// What waited for people about this subject waits no more.
    Close {
        subject: String,
        at_us: i64,
    },
    /// An answer of an approver: an output of the stage.
    Answer {
        run: RunId,
        stage: u32,
        name: String,
        value: String,
    },
    /// From now on the run only waits for people, or no longer.
    Pause {
        run: RunId,
        on: bool,
        at_us: i64,
    },
    /// The inputs of a stage are in the workspace of one of its cells, and its first step has them.
    Used {
        run: RunId,
        stage: u32,
        at_us: i64,
    },
    /// A pipeline keeps a run, with its entry; nothing but the mark where it is pinned already.
    Pin {
        run: RunRef,
        by: String,
        why: String,
        note: Box<Note>,
    },
    /// From now on the run takes longer than nearly all good ones before it: it passed `limit_ms`. Said once.
    Slow {
        run: RunId,
        at_us: i64,
        limit_ms: u64,
    },
    /// A person ends the run although its attempts cannot be.
    Force {
        run: RunId,
        round: u32,
        mark: ForceMark,
    },
    /// An ended run that upstream triggers have to look at.
    Unoffered {
        run: RunId,
        round: u32,
    },
}

/// An attempt row, written before anything of it exists outside the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// Greater than every fence before.
    pub fence: u64,
    pub id: String,
    pub token: String,
    pub run: RunId,
    pub key: StepKey,
    pub number: u32,
    pub dir: String,
    pub at_us: i64,
}

/// The one end of an attempt, with everything that it reported.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct End {
    pub fence: u64,
    pub run: RunId,
    pub stage: u32,
    pub cell: u32,
    pub step: u32,
    pub verdict: Option<Verdict>,
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub detail: String,
    pub started_us: Option<i64>,
    pub ended_us: i64,
    pub log_bytes: u64,
    pub log_dropped_bytes: u64,
    pub log_sha256: String,
    pub max_rss_kib: u64,
    pub cpu_us: u64,
    /// JSON list of survivors.
    pub left_running: String,
    pub outputs: Vec<(String, String)>,
    /// `(kind, json)`.
    pub facts: Vec<(String, String)>,
    pub artifacts: Vec<NewArtifact>,
    pub tested: Option<Box<Tested>>,
}

/// A file that a run keeps, as it lay on the disk when its attempt was taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewArtifact {
    /// Relative to the run's `artifacts/`.
    pub path: String,
    pub sha256: String,
    pub size_bytes: u64,
}

/// The whole changeable part of a step row. `was_fence` is the compare of the compare-and-set.
#[derive(Debug, Clone, PartialEq)]
pub struct StepSet {
    pub run: RunId,
    pub key: StepKey,
    pub was_fence: Option<u64>,
    pub state: StepState,
    pub verdict: Option<Verdict>,
    pub detail: String,
    pub exit_code: Option<i32>,
    pub attempts: u32,
    pub not_before_us: Option<i64>,
    pub started_us: Option<i64>,
    pub ended_us: Option<i64>,
    pub fence: Option<u64>,
}

/// The whole changeable part of a stage row. It follows from its steps, so nothing is compared.
#[derive(Debug, Clone, PartialEq)]
pub struct StageSet {
    pub run: RunId,
    pub stage: u32,
    pub state: StepState,
    pub verdict: Option<Verdict>,
    /// Skipped because something that it needs did not succeed.
    pub blocked: bool,
    pub detail: String,
    pub started_us: Option<i64>,
    pub ended_us: Option<i64>,
}

/// The whole changeable part of a run row.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSet {
    pub run: RunId,
    pub was: RunState,
    pub state: RunState,
    pub verdict: Option<Verdict>,
    pub detail: String,
    pub exit_code: Option<i32>,
    pub failed_stage: Option<String>,
    pub failed_step: Option<String>,
    pub started_us: Option<i64>,
    pub ended_us: Option<i64>,
    pub limit: Option<Limit>,
    pub timed_out: bool,
    pub fp_before: Option<String>,
    pub fp_after: Option<String>,
    pub round: u32,
}

/// From when the run's time limit counts: wall time, and boot time of one boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    pub us: i64,
    pub boot_us: u64,
    pub boot_id: String,
}
