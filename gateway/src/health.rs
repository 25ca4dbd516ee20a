//! `/healthz`: the process lives. `/readyz`: it should get traffic; the database answers, its schema fits,
//! and nobody has asked us to stop.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use domain::port::Inbox;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::app::App;
use crate::problem::{ApiError, catalogue};

const CACHED_FOR: Duration = Duration::from_secs(1);
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// A good answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `alive` or `ready`.
    status: &'static str,
}

/// The last answer of the database. Probes that come meanwhile wait for the one question in flight.
pub(crate) struct Readiness {
    inbox: Arc<dyn Inbox>,
    shutdown: CancellationToken,
    last: Mutex<Option<(Instant, Result<(), String>)>>,
}

impl Readiness {
    pub(crate) fn new(inbox: Arc<dyn Inbox>, shutdown: CancellationToken) -> Self {
        Self {
            inbox,
            shutdown,
            last: Mutex::new(None),
        }
    }

    async fn check(&self) -> Result<(), ApiError> {
        if self.shutdown.is_cancelled() {
            return Err(catalogue::NOT_READY.with("shutting down"));
        }
        let mut last = self.last.lock().await;
        let fresh = last
            .as_ref()
            .filter(|(at, _)| at.elapsed() < CACHED_FOR)
            .map(|(_, answer)| answer.clone());
        let answer = if let Some(answer) = fresh {
            answer
        } else {
            let asked = timeout(ASK_TIMEOUT, self.inbox.ready()).await;
            let answer = asked.map_or_else(
                |_| Err(format!("no answer within {} ms", ASK_TIMEOUT.as_millis())),
                |answer| answer.map_err(|error| error.to_string()),
            );
            *last = Some((Instant::now(), answer.clone()));
            answer
        };
        answer.map_err(|cause| {
            catalogue::NOT_READY
                .with("the database is not ready")
                .because(cause)
        })
    }
}

/// Whether the process lives.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "health",
    extensions(("x-right" = json!("public"))),
    responses((status = 200, description = "It does", body = Health))
)]
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health { status: "alive" })
}

/// Whether the gateway should get traffic.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    extensions(("x-right" = json!("public"))),
    responses(
        (status = 200, description = "It should", body = Health),
        (status = 503, description = "It should not"),
    )
)]
pub(crate) async fn readyz(State(app): State<Arc<App>>) -> Result<Json<Health>, ApiError> {
    app.readiness.check().await?;
    Ok(Json(Health { status: "ready" }))
}

#[cfg(test)]
mod tests {
    use testkit::fake::inbox::FakeInbox;
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn cached_for_a_second_and_off_at_shutdown() {
        let inbox = Arc::new(FakeInbox::default());
        let shutdown = CancellationToken::new();
        let readiness = Readiness::new(inbox.clone(), shutdown.clone());
        assert!(readiness.check().await.is_ok());
        inbox.fail_with_unavailable(true);
        assert!(readiness.check().await.is_ok(), "cached");
        assert_eq!(inbox.ready_reads(), 1);
        advance(CACHED_FOR).await;
        assert_eq!(readiness.check().await.unwrap_err().code(), "not_ready");
        inbox.fail_with_unavailable(false);
        advance(CACHED_FOR).await;
        assert!(readiness.check().await.is_ok());
        shutdown.cancel();
        assert_eq!(readiness.check().await.unwrap_err().code(), "not_ready");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_database_is_not_ready() {
        let inbox = Arc::new(FakeInbox::default());
        inbox.delay_by(Duration::from_hours(1));
        let readiness = Readiness::new(inbox.clone(), CancellationToken::new());
        let error = readiness.check().await.unwrap_err();
        assert!(
            error.cause().is_some_and(|cause| cause.contains("2000 ms")),
            "{error:?}"
        );
    }
}
