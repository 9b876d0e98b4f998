//! Floor 7: the demo estate. Real far ends with their true protocols on loopback, from one seed.
//! Decodes nothing with our own adapters: a bug shared by writer and reader would hide itself.

pub mod advisory;
pub mod catalogue;
mod claim;
pub mod datacentres;
pub mod error;
pub mod estate;
pub mod faults;
pub mod files;
pub mod hostile;
pub mod metadata;
pub mod openpgp;
pub mod pairs;
pub mod past;
pub mod people;
pub mod places;
pub mod promotion;
pub mod publish;
mod quote;
pub mod respond;
pub mod rpms;
pub mod scm;
pub mod seed;
pub mod site;
pub mod upstream;

pub use error::Error;
pub use estate::{Advanced, Estate, Options, advance, at_rest};
