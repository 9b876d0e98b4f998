//! Everything that a step takes from the world around it.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::base::clock::{Clock, ShiftedClock};

/// Where a step writes for people.
pub type Sink = Arc<Mutex<dyn Write + Send>>;

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
