//! What promotions share while the engine runs: whose turn it is, and what was read for them last.

use std::sync::Mutex;

use tokio::sync::Notify;

use crate::domain::promotion::gate::Lost;
use crate::engine::cobbler_uses::Uses;

/// By the fingerprints of what is served and of the candidate.
type Read = ((String, String), Vec<Lost>);

#[derive(Default)]
pub struct Board {
    /// One at a time: acts of people and what moves by itself.
    pub turn: tokio::sync::Mutex<()>,
    pub wake: Notify,
    /// What Cobblers said of who uses the content.
    pub uses: Uses,
    /// What a candidate would take back of fixes, as it was read last.
    pub lost: Mutex<Option<Read>>,
}
