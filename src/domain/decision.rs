//! Decisions: what people have settled about a subject, with who, why and until when. Rows of one table, written through the guard.

use serde::{Deserialize, Serialize};

use super::actor::Actor;

/// What was decided. Later kinds (approve, waive, hold, exception, ack, freeze) are added here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Nothing new starts.
    Drain,
    /// A run is kept whatever retention says.
    Pin,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Pin => "pin",
        }
    }
}

/// One decision. Times are microseconds since 1970 UTC; `ended_us` = taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub id: u64,
    pub kind: Kind,
    pub subject: String,
    pub who: Actor,
    pub why: String,
    pub at_us: i64,
    pub until_us: Option<i64>,
    pub ended_us: Option<i64>,
}
