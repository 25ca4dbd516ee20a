//! Jobs of the queue: list, show, retry, cancel.

mod view;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::JobId;
use domain::job::{JobAction, JobFilter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::page::{self, Page};
use crate::app::App;
use crate::problem::{ApiError, catalogue};
use crate::query::{Id, Limit, Name, NoParams, Params};
use crate::staff;
use view::{Job, JobLine, JobState, QueueCounts};

/// Which jobs to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct JobQuery {
    /// Only in this state.
    state: Option<JobState>,
    /// Only in this queue.
    #[param(value_type = Option<String>)]
    queue: Option<Name>,
    /// Only of this kind.
    #[param(value_type = Option<String>)]
    kind: Option<Name>,
    /// The `next` of an earlier page.
    before: Option<String>,
    /// 1 to 200, 50 if not said.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Limit<200>,
}

/// Jobs, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/staff/jobs",
    operation_id = "list_jobs",
    tag = "jobs",
    security(("staff" = [])),
    params(JobQuery),
    responses(
        (status = 200, description = "A page of jobs", body = Page<JobLine>),
    )
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Params(query): Params<JobQuery>,
) -> Result<Json<Page<JobLine>>, ApiError> {
    let limit = query.limit.get();
    let filter = JobFilter {
        state: query.state.map(Into::into),
        queue: query.queue.map(|name| name.0),
        kind: query.kind.map(|name| name.0),
        before: page::key(query.before.as_deref(), |text| text.parse().ok())?,
        limit: limit as i64 + 1,
    };
    let lines = app.ports.jobs.list(&filter).await?;
    Ok(Json(Page::cut(lines, limit, |job| job.id)))
}

/// Unfinished jobs per queue.
#[utoipa::path(
    get,
    path = "/api/v1/staff/jobs/counts",
    operation_id = "count_jobs",
    tag = "jobs",
    security(("staff" = [])),
    responses(
        (status = 200, description = "A line per queue", body = Vec<QueueCounts>),
    )
)]
pub(crate) async fn counts(
    State(app): State<Arc<App>>,
    _: NoParams,
) -> Result<Json<Vec<QueueCounts>>, ApiError> {
    let counts = app.ports.jobs.counts().await?;
    Ok(Json(counts.into_iter().map(QueueCounts::from).collect()))
}

/// One job whole, with its failed attempts.
#[utoipa::path(
    get,
    path = "/api/v1/staff/jobs/{id}",
    operation_id = "show_job",
    tag = "jobs",
    security(("staff" = [])),
    params(("id" = i64, Path, description = "The job")),
    responses(
        (status = 200, description = "The job", body = Job),
    )
)]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Id(id): Id<JobId>,
    _: NoParams,
) -> Result<Json<Job>, ApiError> {
    app.ports
        .jobs
        .get(id)
        .await?
        .map(|job| Json(job.into()))
        .ok_or_else(|| unknown(id))
}

/// What was done about a job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobDone {
    /// The job.
    job_id: i64,
    /// `done`, or `requested` when a running job was asked to stop.
    result: JobResult,
}

/// What was done about a job.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobResult {
    /// Done.
    Done,
    /// A running job was asked to stop.
    Requested,
}

/// Runs a dead, cancelled or scheduled job now, with its attempts counted anew.
#[utoipa::path(
    post,
    path = "/api/v1/staff/jobs/{id}/retry",
    operation_id = "retry_job",
    tag = "jobs",
    security(("staff" = [])),
    params(("id" = i64, Path, description = "The job")),
    responses(
        (status = 200, description = "It will run", body = JobDone),
        (status = 409, description = "Its state does not allow it"),
    )
)]
pub(crate) async fn retry(
    State(app): State<Arc<App>>,
    Id(id): Id<JobId>,
    _: NoParams,
) -> Result<Response, ApiError> {
    acted(id, "retry", app.ports.jobs.retry(id, &staff::actor()).await?)
}

/// Ends a job that has not ended.
#[utoipa::path(
    post,
    path = "/api/v1/staff/jobs/{id}/cancel",
    operation_id = "cancel_job",
    tag = "jobs",
    security(("staff" = [])),
    params(("id" = i64, Path, description = "The job")),
    responses(
        (status = 200, description = "It is cancelled", body = JobDone),
        (status = 202, description = "It runs, and was asked to stop", body = JobDone),
        (status = 409, description = "Its state does not allow it"),
    )
)]
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    Id(id): Id<JobId>,
    _: NoParams,
) -> Result<Response, ApiError> {
    acted(id, "cancel", app.ports.jobs.cancel(id, &staff::actor()).await?)
}

fn acted(id: JobId, wish: &str, action: JobAction) -> Result<Response, ApiError> {
    let done =
        |status: StatusCode, result| Ok((status, Json(JobDone { job_id: id.0, result })).into_response());
    match action {
        JobAction::Done => done(StatusCode::OK, JobResult::Done),
        JobAction::Requested => done(StatusCode::ACCEPTED, JobResult::Requested),
        JobAction::NotAllowed(state) => {
            let detail = format!("job {id} is {}: {wish} is not possible", state.as_str());
            Err(catalogue::JOB_STATE.with(detail))
        }
        JobAction::NotFound => Err(unknown(id)),
    }
}

fn unknown(id: JobId) -> ApiError {
    catalogue::NOT_FOUND.with(format!(
        "there is no job {id}; finished jobs are kept for a set time only"
    ))
}
