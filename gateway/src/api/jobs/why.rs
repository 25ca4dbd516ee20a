//! Why a job is not running.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::JobId;
use domain::access::Right;
use domain::job::JobExplanation;
use serde::Serialize;
use utoipa::ToSchema;

use super::unknown;
use super::view::JobState;
use crate::app::App;
use crate::auth::guard::Who;
use crate::problem::ApiError;
use crate::query::{Id, NoParams};

/// Why a job is not running.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobWhy {
    /// The job.
    job_id: i64,
    /// How it stands.
    state: JobState,
    /// When this was so.
    as_of: DateTime<Utc>,
    /// All that apply, the most decisive first; never empty.
    reasons: Vec<WhyReason>,
}

/// One reason.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WhyReason {
    /// For programs; stable: `not_due`, `queue_paused`, `key_limit` and so on.
    code: String,
    /// For people: what it is, and what to do.
    text: String,
    /// What it names (jobs, workers, times); its members depend on the code.
    #[schema(value_type = Object)]
    facts: serde_json::Value,
}

impl From<JobExplanation> for JobWhy {
    fn from(explanation: JobExplanation) -> Self {
        let reasons = explanation.reasons.into_iter().map(|reason| WhyReason {
            code: reason.code,
            text: reason.text,
            facts: reason.facts,
        });
        Self {
            job_id: explanation.id.0,
            state: explanation.state.into(),
            as_of: explanation.as_of,
            reasons: reasons.collect(),
        }
    }
}

/// Why a job is not running: all reasons, from one look at the database.
#[utoipa::path(
    get,
    path = "/api/v1/staff/jobs/{id}/why",
    operation_id = "explain_job",
    tag = "jobs",
    extensions(("x-right" = json!("project_read"))),
    security(("staff" = [])),
    params(("id" = i64, Path, description = "The job")),
    responses(
        (status = 200, description = "The reasons", body = JobWhy),
    )
)]
pub(crate) async fn why(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<JobId>,
    _: NoParams,
) -> Result<Json<JobWhy>, ApiError> {
    let explanation = app.ports.jobs.why(id, &who.projects(Right::ProjectRead)).await?;
    explanation
        .map(|explanation| Json(explanation.into()))
        .ok_or_else(|| unknown(id))
}
