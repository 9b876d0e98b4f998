//! Leave for a step at its last moment: asked when everything else of it is ready, before anything of it is claimed. What was true when a stage
//! before it ended may not be true when its turn comes: an engine died in between, an executor was awaited, a step is made again.

use crate::domain::run::RunRef;

/// Who is asked. A stage that is refused is asked for again, so whoever refuses for good ends the run by other ways.
pub trait Permit: Send + Sync {
    /// Whether stages of this name are asked about at all. Must not block.
    fn concerns(&self, pipeline: &str, stage: &str) -> bool;

    /// Why it must not start now. Blocks.
    fn may_start(&self, run: &RunRef, stage: &str) -> Result<(), String>;
}

/// A runner by itself asks nobody.
pub struct NoPermit;

impl Permit for NoPermit {
    fn concerns(&self, _pipeline: &str, _stage: &str) -> bool {
        false
    }

    fn may_start(&self, _run: &RunRef, _stage: &str) -> Result<(), String> {
        Ok(())
    }
}
