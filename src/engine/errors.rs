//! What went wrong in a room below, in the words and with the code that the API answers.

use crate::api::{ApiError, Code};
use crate::config::ConfigError;
use crate::runner::RunnerError;
use crate::store::StoreError;

impl From<StoreError> for ApiError {
    fn from(e: StoreError) -> Self {
        match e {
            StoreError::NoRun { ref newest, .. } => {
                let newest = newest.as_ref().map(|n| format!("the newest of `{}` is {n}; ", n.pipeline)).unwrap_or_default();
                Self::bad(e.to_string(), format!("{newest}quarterdeck get runs lists those that are kept"))
            }
            StoreError::Stale { .. } => Self::refused(
                "somebody else changed it at the same moment, and nothing was written",
                "look at it again: quarterdeck why RUN",
            ),
            StoreError::GroupFull { .. } => Self::refused(e.to_string(), "wait for it, or cancel it: quarterdeck cancel RUN"),
            // What was asked about did not fail: it was not done.
            _ if e.is_no_space() => Self::refused(e.to_string(), e.help()),
            _ => Self::failed(e.to_string(), e.help()),
        }
    }
}

impl From<RunnerError> for ApiError {
    fn from(e: RunnerError) -> Self {
        match e {
            RunnerError::Store(e) => e.into(),
            RunnerError::BadPlan { .. } => Self::bad(e.to_string(), ""),
            RunnerError::BadAnswer { message, help } => Self::bad(message, help),
            RunnerError::Refused { .. } => Self::refused(e.to_string(), ""),
            RunnerError::Stopped => Self::no_engine(e.to_string(), ""),
        }
    }
}

impl From<ConfigError> for ApiError {
    /// What others can write is refused, not bad.
    fn from(e: ConfigError) -> Self {
        let code = if matches!(e, ConfigError::Untrusted { .. }) { Code::Refused } else { Code::BadInput };
        Self::new(code, e.to_string().trim_end(), e.help())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_full_disk_keeps_from_being_done_is_refused() {
        let full = ApiError::from(StoreError::Full("database or disk is full".into()));
        assert_eq!((full.code, full.code.exit_code()), (Code::Refused, 4));
        assert_eq!(ApiError::from(StoreError::Database("malformed".into())).code, Code::Failed);
    }
}
