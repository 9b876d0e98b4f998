//! Floor 6: runs frozen plans: queue, dispatch, recovery, ingest, logs, history. `Runner` is the handle that the engine holds;
//! `shim/` is the supervisor process and knows only `base` and `domain`.

mod active;
pub mod approval;
#[cfg(test)]
mod approval_tests;
mod artifacts;
pub mod attempt;
mod building;
#[cfg(test)]
mod building_tests;
pub mod children;
pub mod config;
pub mod content;
mod dispatch;
mod enqueue;
pub mod eta;
mod follow;
mod force;
pub mod forkserver;
mod handle;
mod ingest;
mod inputs;
mod jump;
mod junit;
pub mod launch;
pub mod leftovers;
mod live;
#[cfg(test)]
mod live_tests;
pub mod log;
mod moves;
pub mod paths;
mod people;
mod permit;
mod place;
mod queue;
mod rebuild;
pub mod recovery;
pub mod resume;
mod retention;
pub mod scope;
mod settle;
#[cfg(test)]
mod settle_tests;
pub mod shim;
mod silent;
mod slow;
mod spec;
mod start;
mod still;
mod summary;
pub mod survivors;
#[cfg(test)]
mod testing;
mod timers;
mod unreadable;
mod view;

pub use children::{Children, NoChild, NoChildren, Wish};
pub use config::{RunnerConfig, RunnerError, Submit};
pub use dispatch::Refresh;
pub use handle::Runner;
pub use permit::{NoPermit, Permit};
pub use resume::Resume;
