//! What an upstream offers, once its metadata lies on our disk.

use super::signature::Signature;
use crate::systems::repo::tree::Mark;
use crate::wire::http::Validators;
use crate::wire::repomd::Repomd;

/// What an upstream offers: its repomd and where each metadata file lies on our disk.
pub struct Offer {
    pub shown: String,
    pub repomd: Repomd,
    /// The document that will be served: upstream's bytes, but for locations of files that had no hash in their names, and for the package
    /// list where packages lie elsewhere (`places`).
    pub raw: Vec<u8>,
    pub origin_md: String,
    pub validators: Validators,
    /// As `repomd.data`.
    pub files: Vec<Metadata>,
    /// What signs `raw`.
    pub signature: Option<Signature>,
    /// The upstream is signed, or was: it is asked for its signature also where nothing else has changed.
    pub signed: bool,
}

/// A metadata file on our disk.
pub struct Metadata {
    /// Where its bytes lie now.
    pub at: String,
    /// Where readers will find it.
    pub dest: String,
    pub mark: Mark,
    /// `ALGORITHM:HEX`.
    pub checksum: String,
}
