//! Webhook deliveries: what the gateway accepts and the ledger remembers.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::access::Projects;
use crate::id::{DeliveryId, JobId, RunId};

/// A verified delivery, ready to be written down.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    /// `X-GitHub-Delivery`.
    pub id: DeliveryId,
    /// `X-GitHub-Event`, for example `issues`.
    pub event: String,
    /// The payload's `action`, where it has one.
    pub action: Option<String>,
    /// `owner/name` as the payload has it, unparsed: the ledger also shows what we can't route.
    pub repository: Option<String>,
    /// The login of the payload's `sender`.
    pub sender: Option<String>,
    /// SHA-256 of the raw body: the same identifier with another body is refused.
    pub body_sha256: [u8; 32],
    /// The JSON payload, byte for byte (for a form-encoded delivery, its decoded `payload` field).
    pub payload: Vec<u8>,
    /// W3C trace context to continue, where the sender gave one.
    pub traceparent: Option<String>,
}

/// What became of an offered delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// Written down, and its job with it.
    New(JobId),
    /// Known already with the same body; nothing was written.
    Duplicate,
    /// Known already with another body; the attempt was audited, nothing else was written.
    BodyMismatch,
}

/// How far a delivery has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// Written down, its job not finished.
    Accepted,
    /// Acted on: a run was started or a comment asked for.
    Processed,
    /// Nothing to do; the reason says why.
    Ignored,
}

impl DeliveryStatus {
    /// The name in the database and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Processed => "processed",
            Self::Ignored => "ignored",
        }
    }
}

impl std::str::FromStr for DeliveryStatus {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "accepted" => Ok(Self::Accepted),
            "processed" => Ok(Self::Processed),
            "ignored" => Ok(Self::Ignored),
            other => Err(format!(
                "unknown delivery status `{other}`: accepted, processed or ignored"
            )),
        }
    }
}

/// A delivery as its job reads it back.
#[derive(Debug, Clone)]
pub struct StoredDelivery {
    /// Its identifier.
    pub id: DeliveryId,
    /// `X-GitHub-Event`.
    pub event: String,
    /// The JSON payload, byte for byte; `None` once its retention has ended.
    pub payload: Option<Vec<u8>>,
}

/// What the job found out about a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryOutcome {
    /// [`DeliveryStatus::Processed`] or [`DeliveryStatus::Ignored`].
    pub status: DeliveryStatus,
    /// A stable, machine-readable reason such as `run_created`, `unknown_repository` or `label_conflict`.
    pub reason: String,
    /// The run that came of it.
    pub run: Option<RunId>,
}

/// A line of the ledger, for people.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliverySummary {
    /// Its identifier.
    pub id: DeliveryId,
    /// `X-GitHub-Event`.
    pub event: String,
    /// The payload's `action`.
    pub action: Option<String>,
    /// `owner/name` as the payload has it.
    pub repository: Option<String>,
    /// The sender's login.
    pub sender: Option<String>,
    /// How far it has come.
    pub status: DeliveryStatus,
    /// Why, once it is processed or ignored.
    pub reason: Option<String>,
    /// The run that came of it.
    pub run_id: Option<RunId>,
    /// The job that processes it (the last one, after replays).
    pub job_id: Option<JobId>,
    /// How often the same delivery came again.
    pub duplicates: i32,
    /// How often it was replayed by hand.
    pub replays: i32,
    /// When it was written down, by the database's clock.
    pub received_at: DateTime<Utc>,
    /// When its job last finished with it.
    pub processed_at: Option<DateTime<Utc>>,
}

/// A delivery whole: its line and its payload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliveryDetail {
    /// The ledger's line.
    #[serde(flatten)]
    pub summary: DeliverySummary,
    /// Hex SHA-256 of the raw body.
    pub body_sha256: String,
    /// The payload; `None` once its retention has ended.
    pub payload: Option<serde_json::Value>,
}

/// What to list from the ledger. Newest first.
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Only of repositories of these projects: those in which the one who asks may see.
    pub projects: Projects,
    /// Only with this status.
    pub status: Option<DeliveryStatus>,
    /// Only of this event.
    pub event: Option<String>,
    /// Only received strictly before this line (keyset paging: the last line's time and id).
    pub before: Option<(DateTime<Utc>, DeliveryId)>,
    /// At most so many lines.
    pub limit: i64,
}

/// What a replay did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "replay", rename_all = "snake_case")]
pub enum Replay {
    /// A dry run: the payload is there and a job would be enqueued.
    Possible,
    /// A new job was enqueued.
    Enqueued {
        /// The new job.
        job_id: JobId,
    },
    /// The delivery's job has not finished: nothing to replay yet.
    StillOpen {
        /// The unfinished job.
        job_id: JobId,
    },
    /// The payload's retention has ended.
    PayloadGone,
}
