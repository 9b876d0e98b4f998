//! Floor 7: the acting engine of a site: guard, model, server, triggers. The only place where anything is changed.

pub mod act;
mod approvals;
pub mod catalog;
pub mod content;
mod events;
mod feed;
pub mod get;
pub mod guard;
pub mod identity;
mod jobs;
mod log;
mod log_search;
pub mod logging;
mod metrics;
pub mod model;
mod on_failure;
pub mod plan;
mod presence;
mod routes;
pub mod rows;
pub mod run;
mod runs;
pub mod scheduler;
mod secret_acts;
mod secrets;
mod server;
pub mod site_watch;
pub mod state;
mod tested;
mod trees;
pub mod triggers;
mod upkeep;
mod wait;
mod why;

pub use run::{Options, StartError, run};
pub use server::SocketError;
