//! What promotions share while the engine runs: whose turn it is, and what was read for them last.

use std::sync::Mutex;

use tokio::sync::Notify;

use crate::domain::promotion::gate::Lost;
use crate::engine::cobbler_uses::Uses;

#[derive(Default)]
pub struct Board {
    /// One at a time: acts of people and what moves by itself.
    pub turn: tokio::sync::Mutex<()>,
    pub wake: Notify,
    /// What Cobblers said of who uses the content.
    pub uses: Uses,
    /// What a candidate would take back of fixes, with the fingerprints of what is served and of the candidate.
    pub lost: Mutex<Option<((String, String), Vec<Lost>)>>,
}
