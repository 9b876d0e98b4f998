//! Floor 6: runs frozen plans. `Runner` is the handle that the engine holds. Behind it `dispatch` owns every decision and carries it out,
//! `model` is what it decides about, pure, and `attempt` is the engine's side of one attempt. `shim` is the supervisor process, and knows only
//! `base` and `domain`; `log` reads what it wrote.

pub mod attempt;
pub mod children;
pub mod config;
pub mod content;
mod dispatch;
mod enqueue;
pub mod eta;
mod event;
mod handle;
pub mod leftovers;
pub mod log;
pub mod model;
pub mod paths;
mod permit;
mod plans;
mod retention;
pub mod shim;
mod summary;

pub use children::{Children, NoChild, NoChildren, Wish};
pub use config::{RunnerConfig, RunnerError, Submit};
pub use event::Refresh;
pub use handle::Runner;
pub use model::resume::Resume;
pub use permit::{NoPermit, Permit};
