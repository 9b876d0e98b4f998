//! How urgent a state is.

use serde::{Deserialize, Serialize};

use crate::domain::text_form::text_form;

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

text_form!(Light { Good = "good", Unknown = "unknown", Amber = "amber", Red = "red" });

impl Light {
    /// The light of this word; any other word says nothing.
    pub fn named(word: &str) -> Self {
        word.parse().unwrap_or_default()
    }
}
