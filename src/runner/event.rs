//! What the dispatcher is told, by people, attempts, clocks and the store; and what it tells those who only look.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

use super::children::NoChild;
use super::config::RunnerError;
use super::content::Readings;
use super::model::active::{ActiveRun, Secrets};
use super::model::approval::{Vote, Voted};
use super::model::moves::Ended;
use super::model::silent::NoSecret;
use super::model::slow::Measure;
use crate::domain::reason::Reason;
use crate::domain::rows::QueueRow;
use crate::domain::run::RunRef;
use crate::store::{CancelMark, Drain, ForceMark, Note, RunId, StoreError};

/// Why a step is not ready after all.
#[derive(Debug)]
pub enum Unready {
    Secret(NoSecret),
    Else(Reason),
}

/// How the wish of a person was answered.
pub type Forced = oneshot::Sender<Result<(), RunnerError>>;

/// How a vote went.
pub type Answer = oneshot::Sender<Result<Voted, RunnerError>>;

/// What the dispatcher is told.
pub enum Event {
    Submitted(Box<ActiveRun>),
    Cancel {
        run: RunRef,
        mark: CancelMark,
    },
    /// A person approves or denies.
    Decide {
        run: RunRef,
        vote: Box<Vote>,
        answer: Answer,
    },
    Drain(Option<Drain>),
    Executors(usize),
    LockSlots(BTreeMap<String, u32>),
    /// This secret can be had now.
    SecretAgain(String),
    Why {
        run: RunRef,
        answer: oneshot::Sender<Option<Vec<Reason>>>,
    },
    Queue {
        answer: oneshot::Sender<Vec<QueueRow>>,
    },
    /// How many attempts are open, and how many runs.
    Busy {
        answer: oneshot::Sender<(usize, usize)>,
    },
    Prepared {
        run: RunId,
        stage: u32,
        cell: u32,
        generation: u64,
        result: Result<Secrets, Box<Unready>>,
    },
    Started {
        fence: u64,
    },
    Ended {
        fence: u64,
        ended: Box<Ended>,
    },
    /// Its directory cannot be judged, and why; empty = it can again.
    Unclear {
        fence: u64,
        why: String,
    },
    /// The command is proved never to have run.
    NotStarted {
        fence: u64,
        why: String,
        again: Again,
    },
    /// What became of the start of a run that a stage is.
    Child {
        run: RunId,
        stage: u32,
        cell: u32,
        generation: u64,
        result: Result<RunRef, NoChild>,
    },
    Content {
        run: RunId,
        after: bool,
        generation: u64,
        readings: Readings,
    },
    /// Nothing of a cancelled run whose plan cannot be read is alive any more.
    UnreadableStopped {
        run: RunId,
        generation: u64,
    },
    /// What the past says of a run that lasts.
    Measured {
        run: RunId,
        generation: u64,
        found: Result<Option<Measure>, String>,
    },
    /// A person ends a run that no cancel can end.
    Force {
        run: RunRef,
        mark: ForceMark,
        note: Box<Note>,
        answer: Forced,
    },
    /// That wish is durable.
    ForceMarked {
        run: RunId,
        generation: u64,
    },
    StoreFailed {
        generation: u64,
        error: StoreError,
    },
    Healed {
        generation: u64,
    },
}

/// When an attempt that never started is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Its supervisor died before its command began: nothing speaks against another try.
    AtOnce,
    /// This machine could not: later, and some times only.
    Later,
    /// The disk is full. That says nothing about the step, so it is tried until there is room.
    WithRoom,
}

impl Again {
    pub fn after(e: &std::io::Error) -> Self {
        match e.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::WithRoom,
            _ => Self::Later,
        }
    }
}

/// A collector should look again: what steps reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refresh {
    pub run: RunRef,
    pub source: String,
    pub scope: String,
}
