//! Floor 6: runs frozen plans: queue, dispatch, recovery, ingest, logs, history. `Runner` is the handle that the engine holds;
//! `shim/` is the supervisor process and knows only `base` and `domain`.

pub mod attempt;
pub mod config;
pub mod content;
pub mod log;
pub mod recovery;
pub mod scope;
pub mod shim;
pub mod survivors;

pub use config::{RunnerConfig, RunnerError, Submit};
