//! A JSON body of the staff API, refused as a problem that says what is wrong with it.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;

use crate::problem::{ApiError, catalogue};

/// A body; the type's `deny_unknown_fields` names what there is.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match Json::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(JsonRejection::MissingJsonContentType(_)) => {
                Err(catalogue::CONTENT_TYPE.with("send `Content-Type: application/json`"))
            }
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(ApiError::of_status(rejection.status()))
            }
            Err(rejection) => Err(catalogue::BODY_INVALID.with(rejection.body_text())),
        }
    }
}
