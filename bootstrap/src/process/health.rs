//! `/healthz`, `/readyz` and `/metrics` of a process that has no other HTTP side: the worker.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use domain::port::Inbox;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(2);
/// The recorder's buckets have to be emptied now and then, asked for or not.
const UPKEEP: Duration = Duration::from_secs(5);

/// What the routes share.
#[derive(Clone)]
struct Health {
    database: Arc<dyn Inbox>,
    prometheus: PrometheusHandle,
    draining: CancellationToken,
}

/// The routes. `draining` turns `/readyz` to 503.
pub(crate) fn router(
    database: Arc<dyn Inbox>,
    prometheus: PrometheusHandle,
    draining: CancellationToken,
) -> Router {
    Router::new()
        .route("/healthz", get(|| async { Json(json!({ "status": "alive" })) }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Health {
            database,
            prometheus,
            draining,
        })
}

/// Serves them until `stop`.
pub(crate) async fn serve(listener: TcpListener, routes: Router, stop: CancellationToken) -> Result<()> {
    axum::serve(listener, routes)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
        .context("the worker's health server stopped")
}

/// Keeps the recorder small until `stop`.
pub(crate) async fn upkeep(prometheus: PrometheusHandle, stop: CancellationToken) {
    while tokio::time::timeout(UPKEEP, stop.cancelled()).await.is_err() {
        prometheus.run_upkeep();
    }
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let why = if health.draining.is_cancelled() {
        Some("draining".to_owned())
    } else {
        match tokio::time::timeout(PATIENCE, health.database.ready()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!(
                "the database doesn't answer within {} ms",
                PATIENCE.as_millis()
            )),
        }
    };
    match why {
        None => (StatusCode::OK, Json(json!({ "status": "ready" }))),
        Some(why) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({ "status": "not_ready", "detail": why })),
        ),
    }
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        health.prometheus.render(),
    )
}
