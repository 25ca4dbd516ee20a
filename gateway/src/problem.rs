//! The one error of the gateway, answered as problem+json (RFC 9457).
//!
//! Handlers return an [`ApiError`]; [`crate::access`] turns it into the body, since only there the request's
//! id is known. Which problems there are stands in [`catalogue`].

pub(crate) mod catalogue;

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::port::PortError;
use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use catalogue::Kind;

/// An error to answer with. Printed to the caller: kind, detail. Kept for our log: the cause.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    kind: &'static Kind,
    detail: Cow<'static, str>,
    retry_after_s: Option<u64>,
    cause: Option<String>,
}

/// The body of every error: RFC 9457 problem details.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Names the kind of problem, `urn:codex-k8s:problem:<code>`.
    #[serde(rename = "type")]
    kind: String,
    /// The kind of problem, for people.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What is wrong with this request and what to do about it, for people.
    detail: String,
    /// The kind of problem, for programs; stable.
    code: String,
    /// Names this occurrence, `urn:codex-k8s:request:<request_id>`.
    instance: String,
    /// The request's id, as in `X-Request-Id` and in our log.
    request_id: String,
}

impl ApiError {
    /// An error of this kind; `detail` is for the caller and must hold nothing secret.
    pub(crate) fn new(kind: &'static Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            retry_after_s: None,
            cause: None,
        }
    }

    /// Tells the caller to come again after so many seconds.
    pub(crate) fn retry_after_s(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Keeps what our log should know and the caller should not.
    pub(crate) fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The stable name of its kind.
    pub(crate) fn code(&self) -> &'static str {
        self.kind.code
    }

    /// The HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        self.kind.status
    }

    /// What only our log should know.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// For an error answer that came from below us without one of our own.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => catalogue::NOT_FOUND.with("nothing is here"),
            StatusCode::METHOD_NOT_ALLOWED => catalogue::METHOD_NOT_ALLOWED.with("see the `Allow` header"),
            StatusCode::PAYLOAD_TOO_LARGE => catalogue::BODY_TOO_LARGE.with("the body is too large"),
            status if status.is_client_error() => catalogue::BAD_REQUEST.with("the request can't be read"),
            status => catalogue::INTERNAL
                .with("see the server's log")
                .because(format!("status {status}")),
        }
    }

    /// Writes the problem into `response`, keeping the headers that are there (`Allow`, for example).
    pub(crate) fn render(&self, response: &mut Response, request_id: &str) {
        let problem = Problem {
            kind: format!("urn:codex-k8s:problem:{}", self.kind.code),
            title: self.kind.title.to_owned(),
            status: self.kind.status.as_u16(),
            detail: self.detail.clone().into_owned(),
            code: self.kind.code.to_owned(),
            instance: format!("urn:codex-k8s:request:{request_id}"),
            request_id: request_id.to_owned(),
        };
        // A struct of strings and a number always serialises.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        *response.status_mut() = self.kind.status;
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.kind.status == StatusCode::UNAUTHORIZED && self.kind.bearer {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"codex-k8s\""),
            );
        }
        *response.body_mut() = Body::from(body);
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.kind.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<PortError> for ApiError {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Unavailable {
                part,
                reason,
                retry_after_ms,
            } => {
                let seconds = retry_after_ms.map_or(5, |ms| ms.div_ceil(1_000).max(1));
                catalogue::UNAVAILABLE
                    .with(format!("the {part} can't be reached just now; try again later"))
                    .retry_after_s(seconds)
                    .because(reason)
            }
            PortError::Refused { part, reason } => catalogue::INTERNAL
                .with(format!("the {part} refused; see the server's log"))
                .because(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_error_hides_its_reason() {
        let down = |retry_after_ms| PortError::Unavailable {
            part: "database",
            reason: "password of postgres@10.0.0.1 is wrong".into(),
            retry_after_ms,
        };
        for (ms, seconds) in [(None, 5), (Some(0), 1), (Some(1_001), 2)] {
            let error = ApiError::from(down(ms));
            assert_eq!(
                (error.status().as_u16(), error.retry_after_s),
                (503, Some(seconds))
            );
            assert!(!error.detail.contains("10.0.0.1"), "{}", error.detail);
            assert!(error.cause().is_some_and(|cause| cause.contains("10.0.0.1")));
        }
        let refused = ApiError::from(PortError::Refused {
            part: "database",
            reason: "no".into(),
        });
        assert_eq!(refused.status().as_u16(), 500);
    }
}
