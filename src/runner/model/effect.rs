//! What a move of a run asks for outside it.

use crate::domain::run::{RunRef, Verdict};

/// What must be done after the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write the cancel file of this attempt.
    Cancel { fence: u64, force: bool },
    /// A run that a cell waits for is to end.
    CancelChild { child: RunRef, by: String, why: String, force: bool },
    /// Read the run's content sets.
    ReadContent { after: bool },
    /// The run has its verdict.
    Ended(Verdict),
}
