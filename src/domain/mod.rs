//! Floor 2: plain types and pure rules of the field; no I/O, no clock, no room but `base`.

pub mod attempt;
pub mod content;
pub mod level;
pub mod nevra;
pub mod report;
pub mod run;
