//! What a client is told when something does not go: a status, one sentence, and a hint where there is one.

use axum::Json;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::wire::ErrorBody;
use crate::objects::ChangeError;
use crate::queue::StoreError;

/// An answer that is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// One sentence.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl ApiError {
    /// An error from a text whose lines that begin with `hint: ` are the hint.
    pub fn new(status: StatusCode, text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        match text.split_once("\nhint: ") {
            Some((message, hint)) => {
                Self { status, message: message.to_owned(), hint: Some(hint.to_owned()) }
            }
            None => Self { status, message: text.to_owned(), hint: None },
        }
    }

    /// What was asked for is not there.
    pub fn not_found(text: impl AsRef<str>) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }

    /// What was asked makes no sense.
    pub fn bad_request(text: impl AsRef<str>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// It makes sense, but not in the state things are in.
    pub fn conflict(text: impl AsRef<str>) -> Self {
        Self::new(StatusCode::CONFLICT, text)
    }

    /// Something of ours failed.
    pub fn failed(text: impl AsRef<str>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if self.status.is_server_error() {
            tracing::warn!(status = self.status.as_u16(), "the API answered: {}", self.message);
        }
        let body = ErrorBody { error: self.message, hint: self.hint };
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                (self.status, [(header::RETRY_AFTER, "1")], Json(body)).into_response()
            }
            StatusCode::UNAUTHORIZED => {
                (self.status, [(header::WWW_AUTHENTICATE, "Bearer")], Json(body)).into_response()
            }
            status => (status, Json(body)).into_response(),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let status = match &error {
            StoreError::Unavailable { .. } | StoreError::Closed => StatusCode::SERVICE_UNAVAILABLE,
            StoreError::Ambiguous { .. } | StoreError::LeaseLost { .. } => StatusCode::CONFLICT,
            StoreError::Broken { .. } | StoreError::Defect { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        let status = match &error {
            ChangeError::NotFound(_) => StatusCode::NOT_FOUND,
            ChangeError::UidMismatch { .. } | ChangeError::NotOwned { .. } => StatusCode::CONFLICT,
            ChangeError::NotSuspendable(_) | ChangeError::BadStatus { .. } => StatusCode::BAD_REQUEST,
            ChangeError::Store { .. } => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

pub(super) async fn no_such_route(uri: Uri) -> ApiError {
    ApiError::not_found(format!("there is nothing at `{}`\nhint: the API begins at /api/v1", uri.path()))
}

pub(super) async fn wrong_method(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("`{}` is not for this method", uri.path()))
}
