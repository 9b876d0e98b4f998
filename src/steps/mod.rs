//! Floor 5: native steps, one registry of kinds, and the way in for `quarterdeck step KIND`.
//!
//! A step is its own process: it parses `with`, does its work, talks back through `$QD_REPORT`, and ends with an exit code of the contract.

pub mod catalog;
mod cobbler;
mod content;
mod git;
mod journal;
mod mirror;
pub mod report;
pub mod with;

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::base::clock::{Clock, ShiftedClock};
use crate::base::sanitise;
use crate::pipeline::catalog::{StepKind, Touches};

pub use catalog::{catalog, later_kinds};
pub use with::With;

/// How a step ends, in the exit codes of the command line's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done,
    /// What was asked for failed.
    Failed,
    /// Wrong use or bad input.
    Input,
    /// The far end could not be reached or does not answer as it should.
    FarEnd,
    /// Refused by a guard; nothing was touched.
    Refused,
}

impl Exit {
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Input => 2,
            Self::FarEnd => 3,
            Self::Refused => 4,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a step did not do its work. `next` says what a person can do about it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StepError {
    #[error("{what}\n  next: {next}")]
    Input { what: String, next: String },
    #[error("{what}\n  next: {next}")]
    FarEnd { what: String, next: String },
    #[error("refused: {what}\n  next: {next}")]
    Refused { what: String, next: String },
    #[error("{what}\n  next: {next}")]
    Failed { what: String, next: String },
}

impl StepError {
    pub fn input(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Input { what: what.into(), next: next.into() }
    }

    pub fn far_end(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::FarEnd { what: what.into(), next: next.into() }
    }

    pub fn refused(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Refused { what: what.into(), next: next.into() }
    }

    pub fn failed(what: impl Into<String>, next: impl Into<String>) -> Self {
        Self::Failed { what: what.into(), next: next.into() }
    }

    pub const fn exit(&self) -> Exit {
        match self {
            Self::Input { .. } => Exit::Input,
            Self::FarEnd { .. } => Exit::FarEnd,
            Self::Refused { .. } => Exit::Refused,
            Self::Failed { .. } => Exit::Failed,
        }
    }

    /// The first sentence, for `detail` of the report.
    pub fn what(&self) -> &str {
        match self {
            Self::Input { what, .. } | Self::FarEnd { what, .. } | Self::Refused { what, .. } | Self::Failed { what, .. } => what,
        }
    }
}

impl StepError {
    /// What a person can do about it.
    pub fn next(&self) -> &str {
        match self {
            Self::Input { next, .. } | Self::FarEnd { next, .. } | Self::Refused { next, .. } | Self::Failed { next, .. } => next,
        }
    }
}

/// Where a step writes for people.
pub type Sink = Arc<Mutex<dyn Write + Send>>;

/// Everything that a step takes from the world around it.
#[derive(Clone)]
pub struct StepEnv {
    /// `$QD_REPORT`: set by the shim, absent by hand.
    pub report: Option<PathBuf>,
    /// `$QD_JOURNAL`: what this step has begun at far ends, in all its attempts.
    pub journal: Option<PathBuf>,
    /// `$QD_ATTEMPT_ID`: set inside a live attempt.
    pub attempt: Option<String>,
    /// `$QD_RUN`, for messages and the owner file.
    pub run: Option<String>,
    /// `$QD_STAGE`, `$QD_CELL` and `$QD_STEP`, joined: with the run, what a restarted step knows its own work by.
    pub place: String,
    /// `$QD_WORKSPACE`; relative paths in `with` start here, else in the current directory.
    pub workspace: Option<PathBuf>,
    /// `$QD_SECRETS_DIR`: one file a declared secret.
    pub secrets_dir: Option<PathBuf>,
    pub out: Sink,
    pub err: Sink,
    /// Progress may be redrawn in place.
    pub terminal: bool,
    pub clock: Arc<dyn Clock>,
}

impl StepEnv {
    /// The environment of this process, as the shim or a person's shell made it.
    pub fn from_process() -> Self {
        let text = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
        Self {
            report: text("QD_REPORT").map(PathBuf::from),
            journal: text("QD_JOURNAL").map(PathBuf::from),
            attempt: text("QD_ATTEMPT_ID"),
            run: text("QD_RUN"),
            place: ["QD_STAGE", "QD_CELL", "QD_STEP"].map(|name| text(name).unwrap_or_default()).join("/"),
            workspace: text("QD_WORKSPACE").map(PathBuf::from),
            secrets_dir: text("QD_SECRETS_DIR").map(PathBuf::from),
            out: Arc::new(Mutex::new(std::io::stdout())),
            err: Arc::new(Mutex::new(std::io::stderr())),
            terminal: std::io::IsTerminal::is_terminal(&std::io::stderr()),
            clock: Arc::new(ShiftedClock::by(text("QD_CLOCK_SHIFT_US").and_then(|us| us.parse().ok()).unwrap_or(0))),
        }
    }

    /// A path of `with`, made absolute.
    pub fn path(&self, text: &str) -> PathBuf {
        let base = self.workspace.clone().or_else(|| std::env::current_dir().ok()).unwrap_or_default();
        base.join(text)
    }
}

/// Runs one step to its end, and says on `env.err` why it failed.
pub fn run(kind: &str, with: &With, env: &StepEnv) -> Exit {
    match outcome(kind, with, env) {
        Ok(()) => Exit::Done,
        Err(error) => {
            if let Ok(mut err) = env.err.lock() {
                let _ = writeln!(err, "{}: {}", named(kind), sanitise::lines(&error.to_string()));
            }
            error.exit()
        }
    }
}

/// A kind as it is repeated to people: what was typed may be anything, and of any length.
pub fn named(kind: &str) -> String {
    const MOST: usize = 80;
    let shown = sanitise::cell(kind);
    match shown.char_indices().nth(MOST) {
        Some((i, _)) => format!("{}…", &shown[..i]),
        None => shown,
    }
}

/// As [`run`], with the error for the caller to tell. Must not be called inside an asynchronous runtime: steps build their own.
pub fn outcome(kind: &str, with: &With, env: &StepEnv) -> Result<(), StepError> {
    let report = report::Report::open(env)?;
    let result = run_reported(kind, with, env, &report);
    if let Err(error) = &result {
        report.detail(error.what());
    }
    result
}

fn run_reported(kind: &str, with: &With, env: &StepEnv, report: &report::Report) -> Result<(), StepError> {
    let entry = catalog::find(kind)?;
    needs_attempt(&entry.kind, env)?;
    with.check(entry.kind.with)?;
    (entry.run)(with, env, report)
}

/// Kinds that touch a far end run only inside a live attempt, so that every change to the estate is a run.
fn needs_attempt(kind: &StepKind, env: &StepEnv) -> Result<(), StepError> {
    if kind.touches == Touches::FarEnd && env.attempt.is_none() {
        return Err(StepError::refused(
            format!("`{}` changes a far end, and this is no attempt of a run", kind.kind),
            "run a pipeline that uses it: quarterdeck run PIPELINE (quarterdeck pipeline list shows them)",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_changes_a_far_end_needs_a_live_attempt() {
        let kind = StepKind { kind: "x/y", doc: "", with: &[], touches: Touches::FarEnd };
        let mut env = StepEnv::from_process();
        env.attempt = None;
        let refused = needs_attempt(&kind, &env).unwrap_err();
        assert_eq!(refused.exit(), Exit::Refused);
        assert!(refused.to_string().contains("quarterdeck run"), "{refused}");
        env.attempt = Some("a1".into());
        assert!(needs_attempt(&kind, &env).is_ok());
    }
}
