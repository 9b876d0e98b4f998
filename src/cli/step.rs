//! `step KIND`: the native steps by hand, and as the shim starts them.

use super::args::Step;
use super::failure::{Failure, Outcome};
use crate::steps::{self, StepEnv, With};

pub fn run(step: &Step) -> Outcome {
    let mut with = With::default();
    for (name, value) in &step.with {
        with.push(name, value);
    }
    match steps::run(&step.kind, &with, &StepEnv::from_process()).code() {
        0 => Ok(()),
        // The step has said why.
        code => Err(Failure::told(code)),
    }
}
