//! How urgent a state is.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Light {
    /// As it should be.
    Good,
    /// Nothing is known.
    #[default]
    Unknown,
    /// Somebody should look: it may pass.
    Amber,
    Red,
}

impl Light {
    /// The light of this word; any other word says nothing.
    pub fn named(word: &str) -> Self {
        [Self::Good, Self::Amber, Self::Red].into_iter().find(|l| l.as_str() == word).unwrap_or_default()
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unknown => "unknown",
            Self::Amber => "amber",
            Self::Red => "red",
        }
    }
}
