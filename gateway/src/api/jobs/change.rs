//! Changes of one job.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use domain::JobId;
use domain::access::Right;
use domain::job::{JobAction, JobChange, RunTime};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::unknown;
use crate::api::author::{Reason, ReasonQuery, author};
use crate::app::App;
use crate::auth::guard::Who;
use crate::json::Body;
use crate::problem::{ApiError, catalogue};
use crate::query::{Id, NoParams, Params};

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

/// Runs a dead, cancelled, scheduled or waiting job now, with its attempts counted anew.
#[utoipa::path(
    post,
    path = "/api/v1/staff/jobs/{id}/retry",
    operation_id = "retry_job",
    tag = "jobs",
    extensions(("x-right" = json!("project_write"))),
    security(("staff" = [])),
    params(("id" = i64, Path, description = "The job"), ReasonQuery),
    responses(
        (status = 200, description = "It will run", body = JobDone),
        (status = 409, description = "Its state does not allow it, or an unfinished job has its unique key"),
    )
)]
pub(crate) async fn retry(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<JobId>,
    Params(query): Params<ReasonQuery>,
) -> Result<Response, ApiError> {
    change(&app, &who, id, JobChange::Retry, query.reason).await
}

/// Ends a job that has not ended.
#[utoipa::path(
    post,
    path = "/api/v1/staff/jobs/{id}/cancel",
    operation_id = "cancel_job",
    tag = "jobs",
    extensions(("x-right" = json!("project_write"))),
    security(("staff" = [])),
    params(("id" = i64, Path, description = "The job"), ReasonQuery),
    responses(
        (status = 200, description = "It is cancelled", body = JobDone),
        (status = 202, description = "It runs, and was asked to stop", body = JobDone),
        (status = 409, description = "Its state does not allow it"),
    )
)]
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<JobId>,
    Params(query): Params<ReasonQuery>,
) -> Result<Response, ApiError> {
    change(&app, &who, id, JobChange::Cancel, query.reason).await
}

/// Removes a job that does not run, with its failed attempts. What waits for it goes on waiting.
#[utoipa::path(
    delete,
    path = "/api/v1/staff/jobs/{id}",
    operation_id = "delete_job",
    tag = "jobs",
    extensions(("x-right" = json!("project_write"))),
    security(("staff" = [])),
    params(("id" = i64, Path, description = "The job"), ReasonQuery),
    responses(
        (status = 200, description = "It is gone", body = JobDone),
        (status = 409, description = "It runs"),
    )
)]
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<JobId>,
    Params(query): Params<ReasonQuery>,
) -> Result<Response, ApiError> {
    change(&app, &who, id, JobChange::Delete, query.reason).await
}

/// When to run: at a time, in a while, or now if neither is given.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RescheduleWish {
    /// Not before this; one that has passed is now.
    at: Option<DateTime<Utc>>,
    /// Not before so many milliseconds have passed, up to ten years.
    in_ms: Option<u64>,
    /// Why, for the audit: 1 to 500 characters.
    #[schema(value_type = Option<String>)]
    reason: Option<Reason>,
}

/// Gives a job that is ready or scheduled another time.
#[utoipa::path(
    post,
    path = "/api/v1/staff/jobs/{id}/reschedule",
    operation_id = "reschedule_job",
    tag = "jobs",
    extensions(("x-right" = json!("project_write"))),
    security(("staff" = [])),
    params(("id" = i64, Path, description = "The job")),
    request_body = RescheduleWish,
    responses(
        (status = 200, description = "It has the new time", body = JobDone),
        (status = 409, description = "Its state does not allow it"),
    )
)]
pub(crate) async fn reschedule(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<JobId>,
    _: NoParams,
    Body(body): Body<RescheduleWish>,
) -> Result<Response, ApiError> {
    let when = run_time(body.at, body.in_ms)?;
    change(&app, &who, id, JobChange::Reschedule(when), body.reason).await
}

/// Another priority.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriorityWish {
    /// Lower runs first.
    priority: i16,
    /// Why, for the audit: 1 to 500 characters.
    #[schema(value_type = Option<String>)]
    reason: Option<Reason>,
}

/// Gives a job that is ready, scheduled or waiting another priority; it goes to the end of that line.
#[utoipa::path(
    post,
    path = "/api/v1/staff/jobs/{id}/priority",
    operation_id = "prioritize_job",
    tag = "jobs",
    extensions(("x-right" = json!("project_write"))),
    security(("staff" = [])),
    params(("id" = i64, Path, description = "The job")),
    request_body = PriorityWish,
    responses(
        (status = 200, description = "It has the new priority", body = JobDone),
        (status = 409, description = "Its state does not allow it"),
    )
)]
pub(crate) async fn prioritize(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<JobId>,
    _: NoParams,
    Body(body): Body<PriorityWish>,
) -> Result<Response, ApiError> {
    let wish = JobChange::Priority(body.priority);
    change(&app, &who, id, wish, body.reason).await
}

/// At a time, in a while, or now.
pub(super) fn run_time(at: Option<DateTime<Utc>>, in_ms: Option<u64>) -> Result<RunTime, ApiError> {
    match (at, in_ms) {
        (None, None) => Ok(RunTime::Now),
        (Some(at), None) => Ok(RunTime::At(at)),
        (None, Some(ms)) => Ok(RunTime::InMs(ms)),
        (Some(_), Some(_)) => Err(catalogue::BODY_INVALID.with("give either `at` or `in_ms`, not both")),
    }
}

async fn change(
    app: &App,
    who: &Who,
    id: JobId,
    wish: JobChange,
    reason: Option<Reason>,
) -> Result<Response, ApiError> {
    let (jobs, by) = (&app.ports.jobs, author(who, reason));
    let done =
        |status: StatusCode, result| Ok((status, Json(JobDone { job_id: id.0, result })).into_response());
    match jobs
        .change(id, wish, &who.projects(Right::ProjectWrite), &by)
        .await?
    {
        JobAction::Done => done(StatusCode::OK, JobResult::Done),
        JobAction::Requested => done(StatusCode::ACCEPTED, JobResult::Requested),
        JobAction::NotAllowed(state) => {
            let (state, wish) = (state.as_str(), wish.name());
            Err(catalogue::JOB_STATE.with(format!("job {id} is {state}: {wish} is not possible")))
        }
        JobAction::InTheWay(why) => Err(catalogue::JOB_STATE.with(why)),
        // Who may only see it learns that it is there, and that it isn't theirs to change.
        JobAction::NotFound if jobs.get(id, &who.projects(Right::ProjectRead)).await?.is_some() => {
            Err(catalogue::FORBIDDEN.with("this needs the right `project_write` in the job's project"))
        }
        JobAction::NotFound => Err(unknown(id)),
    }
}
