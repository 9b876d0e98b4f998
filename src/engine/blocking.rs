//! Work that blocks for a moment (the store, the site file, the user database), off the threads of the runtime.

use crate::api::ApiError;

/// Runs it and waits for its answer.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, ApiError> + Send + 'static) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(ApiError::failed(format!("the engine is ending: {e}"), "ask again")))
}
