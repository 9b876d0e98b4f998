//! What `doctor` says: one row a check, each a pure function of what was found out. Nothing here looks at the machine.

mod cobbler;
mod machine;
mod site;

use serde::{Deserialize, Serialize};

use super::text_form::text_form;

pub use cobbler::{CobblerFacts, Login, cobbler};
pub use machine::{ClockFacts, Containing, DirFacts, FsFacts, LingerFacts, StoreFacts, TerminalFacts, ZoneFacts};
pub use machine::{clock, containment, disk_space, file_system, inodes, linger, skew, state_directory, store, terminal, time_zone};
pub use site::{EngineFacts, Far, FarFacts, SocketFacts, SocketState};
pub use site::{command, configuration, engine, far_end, mirrors, pipeline, pipelines_fine, secret, secret_cache, socket};

/// How a check went. In order of weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// It could not be found out; nothing is known to be wrong.
    Unknown,
    /// It works, and will bite.
    Warn,
    /// Something does not work.
    Fail,
}

text_form!(State { Ok = "ok", Unknown = "unknown", Warn = "warn", Fail = "fail" });

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub check: String,
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do; empty where nothing is to be done.
    pub help: String,
}

impl Row {
    fn new(check: impl Into<String>, state: State, found: impl Into<String>, help: impl Into<String>) -> Self {
        Self { check: check.into(), state, found: found.into(), help: help.into() }
    }

    fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(check, State::Ok, found, "")
    }
}

/// The heaviest state of all; no rows are nothing wrong.
pub fn worst(rows: &[Row]) -> State {
    rows.iter().map(|r| r.state).max().unwrap_or(State::Ok)
}

#[cfg(test)]
mod tests;
