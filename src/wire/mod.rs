//! Floor 2: how bytes travel and what they look like on the way: HTTP with deadlines, decompression with limits, the XML of yum repositories.
//!
//! Knows no rule of the field and touches no file of ours. Everything read here is hostile until checked.

pub mod address;
mod chars;
pub mod decompress;
mod excerpt;
pub mod filelists;
pub mod http;
pub mod location;
pub mod metalink;
pub mod modules;
pub mod openpgp;
pub mod other;
pub mod primary;
pub mod relocate;
pub mod repomd;
mod scan;
mod xml;
pub mod xmlrpc;

pub use excerpt::excerpt;
pub use http::HttpError;
pub use xmlrpc::RpcError;

/// What is wrong with a document or a compressed stream. Texts from the far end are cut and escaped before they come in here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("{what} is not readable as XML near byte {at}: {why}")]
    Xml { what: &'static str, at: u64, why: String },
    #[error("{what} lacks {missing}")]
    Missing { what: &'static str, missing: String },
    #[error("{what} is over its limit: {limit}")]
    Limit { what: &'static str, limit: String },
    #[error("that is not repomd.xml: {looks}")]
    NotRepomd { looks: String },
    #[error("compression {0} is not supported (known: gzip, xz, zstd, none)")]
    Codec(&'static str),
    #[error("{what} cannot be decompressed or read: {why}")]
    Read { what: &'static str, why: String },
    #[error(transparent)]
    Location(#[from] location::BadLocation),
    /// The receiver of rows asked to stop.
    #[error("{0}")]
    Stopped(String),
}
