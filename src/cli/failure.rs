//! How a command ends: exit codes of the contract, and the words on the way out.

use super::caret;
use crate::api::{ApiError, Code};
use crate::config::ConfigError;

/// Why a command failed, as it is told. Exit codes: 1 failed, 2 bad input, 3 no engine, 4 refused, 5 cancelled, 6 lost.
#[derive(Debug, Clone)]
pub struct Failure {
    pub exit: u8,
    pub error: ApiError,
    /// Everything was printed already: only the exit code is left.
    pub told: bool,
    /// What was typed, with a caret where the error is; people see it between message and help.
    pub marked: String,
}

pub type Outcome = Result<(), Failure>;

impl Failure {
    /// Ends with this code, after the command has said why.
    pub fn told(exit: u8) -> Self {
        Self { exit, error: ApiError::failed("", ""), told: true, marked: String::new() }
    }

    pub fn bad(message: impl Into<String>, help: impl Into<String>) -> Self {
        ApiError::bad(message, help).into()
    }

    /// Shows the place in `text` that the error names, if it names one.
    pub fn within(mut self, text: &str) -> Self {
        if let Some(character) = self.error.character {
            self.marked = caret::under(text, character);
        }
        self
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self { exit: error.code.exit_code(), error, told: false, marked: String::new() }
    }
}

impl From<ConfigError> for Failure {
    fn from(e: ConfigError) -> Self {
        from_config(&e).into()
    }
}

/// What others can write is refused (4); the rest is bad input (2).
pub fn from_config(e: &ConfigError) -> ApiError {
    let code = if matches!(e, ConfigError::Untrusted { .. }) { Code::Refused } else { Code::BadInput };
    ApiError::new(code, e.to_string().trim_end(), e.help())
}
