//! What jobs log while they run.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::JobId;
use domain::access::Right;
use domain::job;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::unknown;
use crate::app::App;
use crate::auth::guard::Who;
use crate::problem::ApiError;
use crate::query::{Id, Limit, Params};

/// Which lines.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct JobLogQuery {
    /// Only lines after this one, all if not said.
    #[serde(default)]
    #[param(value_type = Option<i64>)]
    after: i64,
    /// 1 to 1,000, 50 if not said.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 1_000)]
    limit: Limit<1_000>,
}

/// How much a line matters.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogLevel {
    /// For whoever looks for a fault.
    Debug,
    /// The usual course.
    Info,
    /// Not as it should be.
    Warn,
    /// Wrong.
    Error,
}

/// A line.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobLogLine {
    /// Its place among all lines.
    id: i64,
    /// When.
    at: DateTime<Utc>,
    /// In which attempt, from 1.
    attempt: i32,
    /// On which worker.
    worker: String,
    /// How much it matters.
    level: LogLevel,
    /// What it says; may hold line breaks.
    line: String,
}

impl From<job::JobLogLine> for JobLogLine {
    fn from(line: job::JobLogLine) -> Self {
        Self {
            id: line.id,
            at: line.at,
            attempt: line.attempt,
            worker: line.worker,
            level: match line.level {
                job::LogLevel::Debug => LogLevel::Debug,
                job::LogLevel::Info => LogLevel::Info,
                job::LogLevel::Warn => LogLevel::Warn,
                job::LogLevel::Error => LogLevel::Error,
            },
            line: line.line,
        }
    }
}

/// Lines in order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobLogPage {
    /// The lines.
    items: Vec<JobLogLine>,
    /// Hand it in as `after` to read on, also for what comes later.
    next_after: i64,
}

/// What the job's handler logged, of all attempts; ask again with `next_after` for what comes later.
#[utoipa::path(
    get,
    path = "/api/v1/staff/jobs/{id}/log",
    operation_id = "read_job_log",
    tag = "jobs",
    extensions(("x-right" = json!("project_read"))),
    security(("staff" = [])),
    params(("id" = i64, Path, description = "The job"), JobLogQuery),
    responses(
        (status = 200, description = "Lines in order", body = JobLogPage),
    )
)]
pub(crate) async fn log(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<JobId>,
    Params(query): Params<JobLogQuery>,
) -> Result<Json<JobLogPage>, ApiError> {
    let projects = who.projects(Right::ProjectRead);
    let jobs = &app.ports.jobs;
    let lines = jobs
        .log(id, query.after, query.limit.get() as i64, &projects)
        .await?;
    if lines.is_empty() && jobs.get(id, &projects).await?.is_none() {
        return Err(unknown(id));
    }
    let next_after = lines.last().map_or(query.after, |line| line.id);
    let items = lines.into_iter().map(JobLogLine::from).collect();
    Ok(Json(JobLogPage { items, next_after }))
}
