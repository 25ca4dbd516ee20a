//! Deliveries as the API shows them.

use chrono::{DateTime, Utc};
use domain::JobId;
use domain::delivery;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far a delivery has come.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeliveryStatus {
    /// Written down, its job not finished.
    Accepted,
    /// Acted on.
    Processed,
    /// Nothing to do; the reason says why.
    Ignored,
}

impl From<DeliveryStatus> for delivery::DeliveryStatus {
    fn from(status: DeliveryStatus) -> Self {
        match status {
            DeliveryStatus::Accepted => Self::Accepted,
            DeliveryStatus::Processed => Self::Processed,
            DeliveryStatus::Ignored => Self::Ignored,
        }
    }
}

impl From<delivery::DeliveryStatus> for DeliveryStatus {
    fn from(status: delivery::DeliveryStatus) -> Self {
        match status {
            delivery::DeliveryStatus::Accepted => Self::Accepted,
            delivery::DeliveryStatus::Processed => Self::Processed,
            delivery::DeliveryStatus::Ignored => Self::Ignored,
        }
    }
}

/// A line of the ledger.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryLine {
    /// `X-GitHub-Delivery`.
    id: String,
    /// `X-GitHub-Event`.
    event: String,
    /// The payload's `action`.
    action: Option<String>,
    /// `owner/name` as the payload has it.
    repository: Option<String>,
    /// The sender's login.
    sender: Option<String>,
    /// How far it has come.
    status: DeliveryStatus,
    /// Why, once it is processed or ignored.
    reason: Option<String>,
    /// The run that came of it.
    run_id: Option<i64>,
    /// The job that processes it (the last one, after replays).
    job_id: Option<i64>,
    /// How often the same delivery came again.
    duplicates: i32,
    /// How often it was replayed by hand.
    replays: i32,
    /// When it was written down.
    received_at: DateTime<Utc>,
    /// When its job last finished with it.
    processed_at: Option<DateTime<Utc>>,
}

impl From<delivery::DeliverySummary> for DeliveryLine {
    fn from(line: delivery::DeliverySummary) -> Self {
        Self {
            id: line.id.into(),
            event: line.event,
            action: line.action,
            repository: line.repository,
            sender: line.sender,
            status: line.status.into(),
            reason: line.reason,
            run_id: line.run_id.map(|id| id.0),
            job_id: line.job_id.map(|id| id.0),
            duplicates: line.duplicates,
            replays: line.replays,
            received_at: line.received_at,
            processed_at: line.processed_at,
        }
    }
}

/// A delivery whole.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Delivery {
    #[serde(flatten)]
    line: DeliveryLine,
    /// Hex SHA-256 of the raw body.
    body_sha256: String,
    /// The payload; null once its retention has ended.
    payload: Option<serde_json::Value>,
}

impl From<delivery::DeliveryDetail> for Delivery {
    fn from(delivery: delivery::DeliveryDetail) -> Self {
        Self {
            line: delivery.summary.into(),
            body_sha256: delivery.body_sha256,
            payload: delivery.payload,
        }
    }
}

/// What a replay did, or would do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayDone {
    /// What it did.
    replay: ReplayResult,
    /// The new job.
    job_id: Option<i64>,
}

/// What a replay did, or would do.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReplayResult {
    /// A dry run: a job would be enqueued.
    Possible,
    /// A new job was enqueued.
    Enqueued,
}

impl ReplayDone {
    pub(crate) fn possible() -> Self {
        Self {
            replay: ReplayResult::Possible,
            job_id: None,
        }
    }

    pub(crate) fn enqueued(job: JobId) -> Self {
        Self {
            replay: ReplayResult::Enqueued,
            job_id: Some(job.0),
        }
    }
}
