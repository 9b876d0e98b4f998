//! Floor 5: the credential chain. Values live in zeroing memory, leave only through the shim's pipe, and appear in no error.

pub mod cmd;
pub mod file;
pub mod site;

pub use site::SiteSecrets;
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

/// Why a secret has no value. Texts name places, never contents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("no secret `{name}` in the site file{hint}")]
    Unknown { name: String, hint: String },
    #[error("secret `{name}`: variable {variable} is not set in the engine's environment")]
    Unset { name: String, variable: String },
    #[error("secret `{name}`: file {path} {why}")]
    File { name: String, path: String, why: String },
    #[error("secret `{name}`: command `{program}` {why}")]
    Command { name: String, program: String, why: String },
    #[error("secret `{name}`: {why}")]
    Unfit { name: String, why: String },
}

/// Refuses what cannot be masked or passed on.
pub(crate) fn fit(name: &str, value: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let unfit = |why: String| SecretError::Unfit { name: name.to_owned(), why };
    match value.len() {
        0 => Err(unfit("the value is empty".into())),
        n if n < MIN_BYTES => Err(unfit(format!("the value has fewer than {MIN_BYTES} bytes: too short to be masked in logs"))),
        n if n > MAX_BYTES => Err(unfit(format!("the value is larger than {} KiB: this is no credential", MAX_BYTES >> 10))),
        _ if value.contains(&0) => Err(unfit("the value holds a NUL byte: it cannot be handed to a program".into())),
        _ => Ok(value),
    }
}
