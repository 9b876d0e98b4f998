//! Floor 5: native steps, one registry of kinds, and the way in for `quarterdeck step KIND`.
//!
//! A step is its own process: it parses `with`, does its work, talks back through `$QD_REPORT`, and ends with an exit code of the contract.

pub mod catalog;
mod cobbler;
mod content;
pub mod env;
pub mod error;
mod git;
mod journal;
mod mirror;
pub mod report;
pub mod with;

use crate::base::sanitise;
use crate::pipeline::catalog::{StepKind, Touches};

pub use catalog::{catalog, later_kinds, named};
pub use env::{Sink, StepEnv};
pub use error::{Exit, StepError};
pub use with::With;

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
