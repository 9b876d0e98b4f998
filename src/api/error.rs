//! Errors as they travel: a code that decides the exit code, one sentence, and what to do next.

use serde::{Deserialize, Serialize};

use crate::domain::filter::FilterError;

/// What kind of failure it is. Scripts rely on the words and on the exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// 1: the thing asked about failed.
    Failed,
    /// 2: wrong use or bad input.
    BadInput,
    /// 3: no engine or far end.
    NoEngine,
    /// 4: refused.
    Refused,
}

impl Code {
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::BadInput => 2,
            Self::NoEngine => 3,
            Self::Refused => 4,
        }
    }

    /// What comes nearest to an HTTP status; an error whose word is not known is taken by it.
    pub fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Refused,
            502..=504 => Self::NoEngine,
            400..=499 => Self::BadInput,
            _ => Self::Failed,
        }
    }

    pub fn http_status(self) -> u16 {
        match self {
            Self::Failed => 500,
            Self::BadInput => 400,
            Self::NoEngine => 503,
            Self::Refused => 403,
        }
    }
}

/// An error with its cure. `message` says what was tried and why not; `help` what to do, empty where nothing can be advised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
#[serde(from = "Wire", into = "Wire")]
pub struct ApiError {
    pub code: Code,
    pub message: String,
    pub help: String,
    /// Which character of what was asked for (a filter), from 1: for a caret.
    pub character: Option<usize>,
    /// The word of a newer engine for what it is, where this version has none; `code` is then what comes nearest.
    pub foreign: Option<Box<str>>,
}

/// As it travels.
#[derive(Serialize, Deserialize)]
struct Wire {
    code: Word,
    message: String,
    #[serde(default)]
    help: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    character: Option<usize>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Word {
    Known(Code),
    Foreign(String),
}

impl From<Wire> for ApiError {
    fn from(w: Wire) -> Self {
        let (code, foreign) = match w.code {
            Word::Known(code) => (code, None),
            Word::Foreign(word) => (Code::Failed, Some(word.into_boxed_str())),
        };
        Self { code, message: w.message, help: w.help, character: w.character, foreign }
    }
}

impl From<ApiError> for Wire {
    fn from(e: ApiError) -> Self {
        let code = e.foreign.map_or(Word::Known(e.code), |word| Word::Foreign(word.into()));
        Self { code, message: e.message, help: e.help, character: e.character }
    }
}

impl ApiError {
    pub fn new(code: Code, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: help.into(), character: None, foreign: None }
    }

    pub fn bad(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(Code::BadInput, message, help)
    }

    pub fn refused(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(Code::Refused, message, help)
    }

    pub fn failed(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(Code::Failed, message, help)
    }

    pub fn no_engine(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(Code::NoEngine, message, help)
    }
}

impl From<FilterError> for ApiError {
    fn from(e: FilterError) -> Self {
        Self { character: Some(e.position), ..Self::bad(e.to_string(), e.help) }
    }
}

/// The body of every answer that is not 2xx: `{"error":{"code","message","help"}}`, and `character` where one is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    pub error: ApiError,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_this_version_does_not_know_stays_with_its_message() {
        let text = r#"{"error":{"code":"too-early","message":"not before noon","help":"wait"}}"#;
        let body: ErrorBody = serde_json::from_str(text).unwrap();
        assert_eq!((body.error.message.as_str(), body.error.foreign.as_deref()), ("not before noon", Some("too-early")));
        assert_eq!(serde_json::to_string(&body).unwrap(), text);
    }

    #[test]
    fn every_code_is_the_nearest_to_its_own_status() {
        for code in [Code::Failed, Code::BadInput, Code::NoEngine, Code::Refused] {
            assert_eq!(Code::of_status(code.http_status()), code);
        }
    }

    #[test]
    fn the_body_has_the_documented_shape() {
        let body = ErrorBody { error: ApiError::refused("no", "ask") };
        let text = serde_json::to_string(&body).unwrap();
        assert_eq!(text, r#"{"error":{"code":"refused","message":"no","help":"ask"}}"#);
        assert_eq!(serde_json::from_str::<ErrorBody>(&text).unwrap(), body);
    }
}
