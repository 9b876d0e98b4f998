//! Floor 2: plain types and pure rules of the field; no I/O, no clock, no room but `base`.

pub mod actor;
pub mod artifact;
pub mod attempt;
pub mod audit;
pub mod changes;
pub mod content;
pub mod decision;
pub mod dep;
pub mod doctor;
pub mod filter;
pub mod flaky;
pub mod git;
pub mod junit;
pub mod level;
pub mod log;
pub mod mirror;
pub mod nevra;
pub mod occurrence;
pub mod person;
pub mod reason;
pub mod report;
pub mod rows;
pub mod run;
pub mod snapshot;
