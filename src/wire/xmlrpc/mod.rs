//! XML-RPC: calls written, answers read by a pull parser with limits. Knows no method of any server.
//!
//! No error carries a byte of the body: an answer may repeat a token or a password in clear.

mod read;
#[cfg(test)]
mod tests;
mod value;
mod write;

pub use read::{Document, Limits, read};
pub use value::{Fault, Value};
pub use write::call;

/// What is wrong with a call or an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    #[error("the answer is no XML near byte {at}")]
    NotXml { at: u64 },
    #[error("the answer is no XML-RPC: near byte {at} {wanted} should stand")]
    NotRpc { at: u64, wanted: &'static str },
    #[error("the answer is over its limit: {limit}")]
    Limit { limit: String },
    #[error("the answer ended early")]
    Cut,
    /// What was to be sent cannot be said in XML: the place, never the text.
    #[error("{place} holds a character that XML cannot carry")]
    Unsendable { place: String },
    /// The receiver of rows asked to stop.
    #[error("{0}")]
    Stopped(String),
}
