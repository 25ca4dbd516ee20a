//! `POST /api/v1/webhooks/github`: the first stage of the flow.
//!
//! In this order, each step refusing what it can't take: source and backlog ([`crate::source_limit`],
//! [`crate::backlog`]), the raw body ([`body`]), its signature ([`signature`]), and only then headers and
//! payload ([`delivery`]). [`domain::port::Inbox::accept`] commits the delivery and its job; then we answer.
//! A worker takes it from there: `jobs/src/kinds/github_delivery.rs`.

mod body;
mod delivery;
mod form;
mod glance;
pub(crate) mod signature;

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::delivery::{Accepted, NewDelivery};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::metrics::WebhookOutcome;
use crate::problem::{ApiError, catalogue};
use crate::source_limit;

/// Hashing and reading a larger body takes long enough to hold other requests up.
const LARGE_BODY_BYTES: usize = 1024 * 1024;

/// What became of a delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Receipt {
    /// `X-GitHub-Delivery`, which is also the correlation id of all that follows.
    delivery_id: String,
    /// What became of it.
    status: ReceiptStatus,
    /// The job that will process it; none for a duplicate.
    job_id: Option<i64>,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReceiptStatus {
    /// Written down, and its job with it.
    Accepted,
    /// Known already; nothing was done.
    Duplicate,
    /// GitHub's test of the hook; written down like any other.
    Ping,
}

impl ReceiptStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Ping => "ping",
        }
    }
}

impl IntoResponse for Receipt {
    fn into_response(self) -> Response {
        let status = if self.status == ReceiptStatus::Accepted {
            StatusCode::ACCEPTED
        } else {
            StatusCode::OK
        };
        (status, Json(self)).into_response()
    }
}

/// Takes a delivery from GitHub. Answered only once the delivery and its job are committed; idempotent by
/// `X-GitHub-Delivery`.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/github",
    operation_id = "receive_github_webhook",
    tag = "webhooks",
    extensions(("x-right" = json!("public"))),
    params(
        ("X-Hub-Signature-256" = String, Header, description = "`sha256=` and the hex HMAC of the raw body"),
        ("X-GitHub-Delivery" = String, Header, description = "1 to 128 characters of `A-Z a-z 0-9 . _ -`"),
        ("X-GitHub-Event" = String, Header, description = "1 to 64 characters of `a-z 0-9 _`"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context to continue"),
    ),
    request_body(
        description = "At most 25 MiB: a JSON object less than 128 deep, or a form with it in `payload`",
        content(
            (serde_json::Value = "application/json"),
            (String = "application/x-www-form-urlencoded"),
        ),
    ),
    responses(
        (status = 202, description = "Written down, with its job", body = Receipt),
        (status = 200, description = "A duplicate, or a ping", body = Receipt),
        (status = 400, description = "Headers or payload can't be read"),
        (status = 401, description = "Not or wrongly signed"),
        (status = 408, description = "The body arrived too slowly"),
        (status = 409, description = "The delivery is known with another body"),
        (status = 413, description = "The body is too large"),
        (status = 415, description = "Neither JSON nor a form"),
        (status = 429, description = "Too many requests from this source"),
        (status = 503, description = "Overloaded, or the database can't be reached; see `Retry-After`"),
    )
)]
pub(crate) async fn receive(State(app): State<Arc<App>>, request: Request) -> Result<Receipt, ApiError> {
    let mut outcome = WebhookOutcome::pending();
    let answer = take(&app, request).await;
    outcome.is(answer
        .as_ref()
        .map_or_else(ApiError::code, |receipt| receipt.status.as_str()));
    answer
}

async fn take(app: &App, request: Request) -> Result<Receipt, ApiError> {
    if let Err(refusal) = admit(app, &request) {
        // Read what is on its way, so that the sender sees our answer rather than a reset connection.
        body::discard_briefly(request).await;
        return Err(refusal);
    }
    let (head, body) = request.into_parts();
    let received = body::receive(body, &head.headers, app).await?;
    let (delivery, _room) = verified(app, head.headers, received).await?;
    let (id, is_ping) = (delivery.id.clone(), delivery.event == "ping");
    tracing::Span::current()
        .record("delivery.id", id.as_str())
        .record("delivery.event", &delivery.event);
    match app.ports.inbox.accept(delivery).await? {
        Accepted::New(job) => {
            let status = if is_ping {
                ReceiptStatus::Ping
            } else {
                ReceiptStatus::Accepted
            };
            Ok(Receipt {
                delivery_id: id.into(),
                status,
                job_id: Some(job.0),
            })
        }
        Accepted::Duplicate => Ok(Receipt {
            delivery_id: id.into(),
            status: ReceiptStatus::Duplicate,
            job_id: None,
        }),
        Accepted::BodyMismatch => {
            tracing::warn!("a known delivery came with another body: a replay, or a forgery");
            let detail = format!("delivery {id} is known with another body; nothing was changed");
            Err(catalogue::DELIVERY_BODY_MISMATCH.with(detail))
        }
    }
}

fn admit(app: &App, request: &axum::http::Request<Body>) -> Result<(), ApiError> {
    source_limit::admit(&app.sources, request.extensions())?;
    if app.backlog.is_full() {
        let detail = format!(
            "more than {} deliveries wait for a worker",
            app.settings.backlog_limit
        );
        return Err(catalogue::BACKLOG_FULL.with(detail).retry_after_s(5));
    }
    Ok(())
}

/// Verifies, then parses; a large body on a thread where it holds nobody up. Hands back the body's room as
/// well: it is taken until the delivery is stored.
async fn verified(
    app: &App,
    headers: HeaderMap,
    received: body::Received,
) -> Result<(NewDelivery, body::Room), ApiError> {
    let verifier = Arc::clone(&app.verifier);
    let body::Received { bytes, room } = received;
    let large = bytes.len() > LARGE_BODY_BYTES;
    let work = move || {
        verifier.verify(&headers, &bytes)?;
        delivery::read(&headers, bytes)
    };
    let delivery = if large {
        tokio::task::spawn_blocking(work).await.map_err(|error| {
            catalogue::INTERNAL
                .with("see the server's log")
                .because(error.to_string())
        })??
    } else {
        work()?
    };
    Ok((delivery, room))
}
