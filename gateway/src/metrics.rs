//! `/metrics` and the gateway's own metrics. `bootstrap` installs the recorder and hands its handle over.
//!
//! Not guarded: it is meant for the cluster's inside, publish only `/api` to the outside.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::IntoResponse;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, histogram};

use crate::app::App;

/// Requests by route template, method and status.
pub const HTTP_REQUESTS: &str = "codex_k8s_http_requests_total";
/// How long requests took, in seconds, by route template, method and status.
pub const HTTP_DURATION: &str = "codex_k8s_http_request_duration_seconds";
/// Webhook deliveries by outcome: `accepted`, `duplicate`, `ping`, a problem's code, or `abandoned` when it
/// came to none: the sender hung up, the time limit struck, or the handler panicked.
pub const WEBHOOK_DELIVERIES: &str = "codex_k8s_webhook_deliveries_total";
/// Deliveries that waited for a worker when last asked.
pub const WEBHOOK_BACKLOG: &str = "codex_k8s_webhook_backlog_jobs";
/// Live streams that are open.
pub const STREAM_CLIENTS: &str = "codex_k8s_stream_clients";
/// Messages rendered for live streams, by event; each once, however many receive it.
pub const STREAM_EVENTS: &str = "codex_k8s_stream_events_total";
/// How old the oldest news of a look was, in seconds.
pub const STREAM_LAG: &str = "codex_k8s_stream_lag_seconds";
/// How long a look at the database took, in seconds.
pub const STREAM_LOOK: &str = "codex_k8s_stream_look_seconds";
/// Streams that were told to read anew, by reason: `too_old`, `lagged`, `outage`.
pub const STREAM_RESETS: &str = "codex_k8s_stream_resets_total";

/// Bucket borders for [`HTTP_DURATION`], in seconds: `PrometheusBuilder::set_buckets_for_metric`.
pub const HTTP_DURATION_BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Tells the recorder what the gateway's metrics mean; call it once, after the recorder is installed.
pub fn describe() {
    describe_counter!(HTTP_REQUESTS, "HTTP requests by route, method and status");
    describe_histogram!(
        HTTP_DURATION,
        metrics::Unit::Seconds,
        "Time from request to answer"
    );
    describe_counter!(WEBHOOK_DELIVERIES, "Webhook deliveries by outcome");
    describe_gauge!(WEBHOOK_BACKLOG, "Deliveries waiting for a worker");
    describe_gauge!(STREAM_CLIENTS, "Live streams that are open");
    describe_counter!(STREAM_EVENTS, "Messages of live streams by event");
    describe_histogram!(
        STREAM_LAG,
        metrics::Unit::Seconds,
        "Age of the oldest news at a look"
    );
    describe_histogram!(
        STREAM_LOOK,
        metrics::Unit::Seconds,
        "Time that a look at the database took"
    );
    describe_counter!(STREAM_RESETS, "Streams that were told to read anew, by reason");
}

/// Counts an answered request. Labels are bounded: a route template or `unmatched`, a known method or
/// `other`.
pub(crate) fn count_request(route: &str, method: &Method, status: StatusCode, took: Duration) {
    let method = match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    };
    let labels = [
        ("route", route.to_owned()),
        ("method", method.to_owned()),
        ("status", status.as_str().to_owned()),
    ];
    counter!(HTTP_REQUESTS, &labels).increment(1);
    histogram!(HTTP_DURATION, &labels).record(took.as_secs_f64());
}

/// Counts what became of one webhook. Counts `abandoned` when it is dropped before anything was said.
pub(crate) struct WebhookOutcome(Option<&'static str>);

impl WebhookOutcome {
    pub(crate) fn pending() -> Self {
        Self(None)
    }

    pub(crate) fn is(&mut self, outcome: &'static str) {
        self.0 = Some(outcome);
    }
}

impl Drop for WebhookOutcome {
    fn drop(&mut self) {
        counter!(WEBHOOK_DELIVERIES, "outcome" => self.0.unwrap_or("abandoned")).increment(1);
    }
}

/// The metrics of this process in Prometheus' text format.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    extensions(("x-right" = json!("public"))),
    responses((status = 200, description = "Prometheus' text", body = String, content_type = "text/plain"))
)]
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        app.prometheus.render(),
    )
}
