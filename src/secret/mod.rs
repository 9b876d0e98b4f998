//! Floor 5: the credential chain. Values live in zeroing memory, leave only through the shim's pipe, and appear in no error.

pub mod cache;
pub mod cmd;
pub mod file;
pub mod keyring;
pub mod site;

pub use cache::{Cache, KernelCache};
pub use site::{Means, SiteSecrets};
pub use zeroize::Zeroizing;

/// A shorter value cannot be masked without garbling every log.
pub const MIN_BYTES: usize = 6;
/// A longer one is not a credential: it would be a wrong file.
pub const MAX_BYTES: usize = 64 << 10;

/// Where values come from. Blocking: it may read a file or wait 10 s for a command, so call it off the runtime's threads.
pub trait Source: Send + Sync {
    /// The value, or why there is none. A missing or locked secret blocks a step; it does not fail it.
    fn resolve(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, SecretError>;
    /// Where the value would come from, for people; never the value.
    fn origin(&self, name: &str) -> Option<String>;
    /// Every name, sorted.
    fn names(&self) -> Vec<String>;
}

/// What a source that gave nothing means for those after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It has no such value, or is not there at all: the next one is asked.
    Absent,
    /// It has one, perhaps, and cannot be asked now (locked, no answer): no other source stands in for it, but the cache may.
    Silent,
    /// It has one that must not be used (others can read it, it is too short): nothing stands in for it.
    Unfit,
}

/// Why a secret has no value. Texts name places, never contents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("no secret `{name}` in the site file{hint}")]
    Unknown { name: String, hint: String },
    #[error("secret `{name}`: {why}")]
    Without { name: String, kind: Kind, why: String },
}

impl SecretError {
    pub(crate) fn new(name: &str, kind: Kind, why: impl Into<String>) -> Self {
        Self::Without { name: name.to_owned(), kind, why: why.into() }
    }

    /// The site file, which says where secrets are, cannot be read.
    pub fn broken(name: &str, why: &impl std::fmt::Display) -> Self {
        Self::new(name, Kind::Silent, why.to_string())
    }

    pub fn kind(&self) -> Kind {
        match self {
            Self::Unknown { .. } => Kind::Absent,
            Self::Without { kind, .. } => *kind,
        }
    }

    /// The cause, without the name.
    pub fn why(&self) -> &str {
        match self {
            Self::Unknown { hint, .. } => hint,
            Self::Without { why, .. } => why,
        }
    }
}

/// Refuses what cannot be masked or passed on.
pub(crate) fn fit(name: &str, value: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    match unfit(&value) {
        Some(why) => Err(SecretError::new(name, Kind::Unfit, why)),
        None => Ok(value),
    }
}

/// Why a value cannot be a secret; none = it can.
pub fn unfit(value: &[u8]) -> Option<String> {
    match value.len() {
        0 => Some("the value is empty".into()),
        n if n < MIN_BYTES || std::str::from_utf8(value).is_ok_and(|t| t.chars().count() < MIN_BYTES) => {
            Some(format!("the value has fewer than {MIN_BYTES} characters: too short to be masked in logs"))
        }
        n if n > MAX_BYTES => Some(format!("the value is larger than {} KiB: this is no credential", MAX_BYTES >> 10)),
        _ if value.iter().all(u8::is_ascii_whitespace) => {
            Some("the value is nothing but blanks: no log could be read with them masked".into())
        }
        _ if value.contains(&0) => Some("the value holds a NUL byte: it cannot be handed to a program".into()),
        _ => None,
    }
}
