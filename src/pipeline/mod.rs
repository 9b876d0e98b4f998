//! Floor 3: pipeline files as pure data: text and a catalogue in, a frozen plan or diagnostics out. No I/O.

pub mod catalog;
pub mod diagnostic;
pub mod expr;
pub mod plan;
pub mod reader;
