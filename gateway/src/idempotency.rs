//! `Idempotency-Key`: a request of the staff API that has an effect may be sent again under the same key, and gets
//! the answer of the first time. Successes are kept; what was refused or failed gives the key free again.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::access::Principal;
use domain::idempotency::{Begun, IdempotentRequest, StoredAnswer};
use sha2::{Digest, Sha256};
use tracing::warn;

use crate::app::App;
use crate::auth::guard::Who;
use crate::problem::{ApiError, catalogue};

/// The header of the request.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// On an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Bodies of the staff API are small.
const MAX_BODY_BYTES: usize = 2 * 1024 * 1024;

/// On an answer that holds a secret, and whose body is therefore not kept.
#[derive(Clone, Copy)]
pub(crate) struct HoldsSecret;

/// Around every staff route, inside of its guard.
pub(crate) async fn idempotent(
    State(app): State<Arc<App>>,
    who: Who,
    request: Request,
    next: Next,
) -> Response {
    if request.method().is_safe() || !request.headers().contains_key(KEY) {
        return next.run(request).await;
    }
    match carry_out(&app, &who, request, next).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn carry_out(app: &App, who: &Who, request: Request, next: Next) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let key = head.headers.get(KEY).and_then(|key| key.to_str().ok());
    let key = key.filter(|key| (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()));
    let key = key.ok_or_else(|| {
        catalogue::IDEMPOTENCY_KEY_INVALID.with("send 1 to 255 visible ASCII characters, for example a UUID")
    })?;
    let body = to_bytes(body, MAX_BODY_BYTES)
        .await
        .map_err(|_| ApiError::of_status(StatusCode::PAYLOAD_TOO_LARGE))?;
    let mut hash = Sha256::new();
    hash.update(head.method.as_str());
    hash.update([0]);
    hash.update(head.uri.path_and_query().map_or("", |path| path.as_str()));
    hash.update([0]);
    hash.update(&body);
    for seen in [header::IF_MATCH, header::IF_NONE_MATCH] {
        for line in head.headers.get_all(seen) {
            hash.update([0]);
            hash.update(line);
        }
    }
    let known = IdempotentRequest {
        owner: owner(who.principal()),
        key: key.to_owned(),
        fingerprint: hash.finalize().into(),
    };
    match app.ports.idempotent.begin(&known).await? {
        Begun::New => {}
        Begun::Answered(answer) => return replayed(answer),
        Begun::InProgress => {
            return Err(catalogue::IDEMPOTENCY_IN_PROGRESS
                .with("the same request is being carried out; ask again for its answer")
                .retry_after_s(1));
        }
        Begun::Other => {
            return Err(
                catalogue::IDEMPOTENCY_KEY_REUSED.with("this key belongs to another request; use a key once")
            );
        }
    }
    let response = next.run(Request::from_parts(head, Body::from(body))).await;
    Ok(keep(app, &known, response).await)
}

/// Keeps a success. A failure to do so can't be told to the caller any more, for whom it is done.
async fn keep(app: &App, request: &IdempotentRequest, response: Response) -> Response {
    if !response.status().is_success() {
        if let Err(error) = app.ports.idempotent.give_up(request).await {
            warn!(%error, "an idempotency key isn't given free; it is in a minute");
        }
        return response;
    }
    let (head, body) = response.into_parts();
    let body = match to_bytes(body, usize::MAX).await {
        Ok(body) => body,
        Err(error) => {
            return catalogue::INTERNAL
                .with("see the server's log")
                .because(error.to_string())
                .into_response();
        }
    };
    let content_type = head
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let answer = StoredAnswer {
        status: head.status.as_u16(),
        content_type: content_type.map(str::to_owned),
        body: head
            .extensions
            .get::<HoldsSecret>()
            .is_none()
            .then(|| body.to_vec()),
    };
    if let Err(error) = app.ports.idempotent.answer(request, &answer).await {
        warn!(%error, "the answer to an idempotent request isn't kept");
    }
    Response::from_parts(head, Body::from(body))
}

fn replayed(answer: StoredAnswer) -> Result<Response, ApiError> {
    let body = answer.body.ok_or_else(|| {
        catalogue::IDEMPOTENCY_SECRET.with("it was done already; its answer held a secret, which isn't kept")
    })?;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let content_type = answer
        .content_type
        .and_then(|text| HeaderValue::try_from(text).ok());
    if let Some(content_type) = content_type {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    response
        .headers_mut()
        .insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

fn owner(principal: &Principal) -> String {
    principal
        .user
        .map_or_else(|| "development".to_owned(), |user| format!("user:{user}"))
}
