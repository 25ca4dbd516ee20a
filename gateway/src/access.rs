//! What every request passes, once, around its handler: request id, span, time limit, panics, problem+json,
//! security headers, metrics and the access log.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, Span, debug, error, field, info, info_span, warn};

use crate::app::App;
use crate::auth::guard;
use crate::metrics;
use crate::problem::{ApiError, catalogue};
use crate::request_id::{self, RequestId};

const NOSNIFF: (HeaderName, HeaderValue) = (
    header::X_CONTENT_TYPE_OPTIONS,
    HeaderValue::from_static("nosniff"),
);
const NO_STORE: (HeaderName, HeaderValue) = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));

/// The middleware.
pub(crate) async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("unmatched", MatchedPath::as_str);
    let id = RequestId::of(request.headers());
    let span = info_span!(
        "http.request",
        http.method = %method,
        http.route = route,
        request.id = id.as_str(),
        delivery.id = field::Empty,
        delivery.event = field::Empty,
        http.status = field::Empty,
        duration_ms = field::Empty,
    );
    let limit = Duration::from_millis(app.settings.request_timeout_ms);
    let mut response = answer(next.run(request), limit).instrument(span.clone()).await;

    let own = response.extensions_mut().remove::<ApiError>();
    let status = response.status();
    let failed = status.is_client_error() || status.is_server_error();
    let problem = own.or_else(|| failed.then(|| ApiError::of_status(status)));
    if let Some(problem) = &problem {
        problem.render(&mut response, id.as_str());
    }
    let headers = response.headers_mut();
    headers.insert(request_id::HEADER, id.header());
    headers.insert(NOSNIFF.0, NOSNIFF.1);
    // The console says itself what may be kept.
    headers.entry(NO_STORE.0).or_insert(NO_STORE.1);

    let took = started.elapsed();
    metrics::count_request(route, &method, response.status(), took);
    span.record("http.status", response.status().as_u16());
    span.record("duration_ms", took.as_secs_f64() * 1_000.0);
    log(&span, route, problem.as_ref());
    response
}

/// Runs the handler; too long or panicking, it still gives an answer.
async fn answer(handler: impl Future<Output = Response>, limit: Duration) -> Response {
    match timeout(limit, AssertUnwindSafe(handler).catch_unwind()).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            let cause = format!("panic: {}", message(panic.as_ref()));
            catalogue::INTERNAL
                .with("see the server's log for this request id")
                .because(cause)
                .into_response()
        }
        Err(_) => {
            let detail = format!("no answer within {} ms; try again later", limit.as_millis());
            catalogue::TIMEOUT.with(detail).retry_after_s(5).into_response()
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}

/// One line per request. People's requests and errors at INFO and above; the rest is for debugging, since
/// thousands of webhooks a second would drown everything else.
fn log(span: &Span, route: &str, problem: Option<&ApiError>) {
    let _entered = span.enter();
    let Some(problem) = problem else {
        if guard::is_staff(route) {
            info!("answered");
        } else {
            debug!("answered");
        }
        return;
    };
    let (code, cause) = (problem.code(), problem.cause());
    match problem.status().as_u16() {
        // Whoever floods us must not flood the log too.
        429 => debug!(error.code = code, "refused"),
        500 => error!(error.code = code, error.cause = cause, "failed"),
        501..=599 => warn!(error.code = code, error.cause = cause, "failed"),
        _ => info!(error.code = code, error.cause = cause, "refused"),
    }
}
