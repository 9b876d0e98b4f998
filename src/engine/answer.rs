//! What the API writes back: a value as JSON, or an error with the status that goes with its code.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::api::ApiError;
use crate::api::error::ErrorBody;

/// An error on its way out.
pub struct Fault(ApiError);

impl<E: Into<ApiError>> From<E> for Fault {
    fn from(e: E) -> Self {
        Self(e.into())
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, answer(&ErrorBody { error: self.0 })).into_response()
    }
}

/// A value as JSON.
pub fn answer(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => answer_text(bytes),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{e}")).into_response(),
    }
}

/// What is JSON already.
pub fn answer_text(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], bytes).into_response()
}
