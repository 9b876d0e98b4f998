//! How a step ends, and why it did not do its work.

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

    /// What a person can do about it.
    pub fn next(&self) -> &str {
        match self {
            Self::Input { next, .. } | Self::FarEnd { next, .. } | Self::Refused { next, .. } | Self::Failed { next, .. } => next,
        }
    }
}
