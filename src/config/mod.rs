//! Floor 4: the site: where its files are, whether they may be trusted, and what they say. Nothing here starts anything.

pub mod calendars;
pub mod dirs;
mod error;
mod no_toml;
pub mod pipelines;
pub mod problem;
pub mod read;
pub mod site;
pub mod template;
pub mod themes;
pub mod trust;
mod veil;

pub use dirs::Dirs;
pub use error::ConfigError;
pub use problem::Problem;
pub use site::{Cobbler, Dc, Evidence, Promotion, ROLES, Scheduler, SecondPerson, Secret, SecretSource, Site};
