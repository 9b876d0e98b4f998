//! `step KIND`: the native steps by hand, and as the shim starts them.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::args::Step;
use super::failure::{Failure, Outcome};
use super::out::Out;
use crate::api::{ApiError, Code};
use crate::steps::{self, Exit, StepEnv, StepError, With};

pub fn run(out: &Out, step: &Step) -> Outcome {
    let mut with = With::default();
    for (name, value) in &step.with {
        with.push(name, value);
    }
    let mut env = StepEnv::from_process();
    if !out.json {
        return match steps::run(&step.kind, &with, &env).code() {
            0 => Ok(()),
            // The step has said why.
            code => Err(Failure::told(code)),
        };
    }
    // One JSON value on stdout, at the end; what is told on the way stays on stderr.
    let said = Arc::new(Mutex::new(Vec::new()));
    env.out = said.clone();
    steps::outcome(&step.kind, &with, &env).map_err(|e| failure(&step.kind, &e))?;
    let said = said.lock().map(|s| String::from_utf8_lossy(&s).trim_end().to_owned()).unwrap_or_default();
    out.value(&json!({"kind": step.kind, "summary": said}));
    Ok(())
}

fn failure(kind: &str, e: &StepError) -> Failure {
    let code = match e.exit() {
        Exit::Done | Exit::Failed => Code::Failed,
        Exit::Input => Code::BadInput,
        Exit::FarEnd => Code::NoEngine,
        Exit::Refused => Code::Refused,
    };
    Failure { exit: e.exit().code(), ..ApiError::new(code, format!("{}: {}", steps::named(kind), e.what()), e.next()).into() }
}
