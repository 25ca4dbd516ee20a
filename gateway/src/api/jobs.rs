//! Jobs of the queue: list and show; `log` is what they say, `why` says what holds one up, `change` and `bulk` steer them.

pub(crate) mod bulk;
pub(crate) mod change;
pub(crate) mod log;
pub(crate) mod view;
pub(crate) mod why;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::JobId;
use domain::access::Right;
use domain::job::JobFilter;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::page::{self, Page};
use crate::app::App;
use crate::auth::guard::Who;
use crate::problem::{ApiError, catalogue};
use crate::query::{Id, Limit, Name, NoParams, Params, Text};
use view::{Job, JobCount, JobLine, JobState, QueueCounts};

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
    /// Only with this tag.
    #[param(value_type = Option<String>)]
    tag: Option<Text<512>>,
    /// Only with this correlation id.
    #[param(value_type = Option<String>)]
    correlation_id: Option<Text<512>>,
    /// Only with this unique key.
    #[param(value_type = Option<String>)]
    unique_key: Option<Text<512>>,
    /// Only of this tenant.
    #[param(value_type = Option<String>)]
    tenant: Option<Text<512>>,
    /// Only with this key of limits and rates.
    #[param(value_type = Option<String>)]
    key: Option<Text<512>>,
    /// Only with this text, in any case, in the last error.
    #[param(value_type = Option<String>)]
    error: Option<Text<512>>,
    /// Only with arguments that contain this JSON object's members: `{"run_id": 7}`.
    #[param(value_type = Option<String>)]
    args: Option<Text<2048>>,
    /// Only enqueued at or after.
    created_after: Option<DateTime<Utc>>,
    /// Only enqueued before.
    created_before: Option<DateTime<Utc>>,
    /// The `next` of an earlier page.
    before: Option<String>,
    /// 1 to 200, 50 if not said.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Limit<200>,
}

/// Jobs, newest first; those of one's projects' deliveries for members.
#[utoipa::path(
    get,
    path = "/api/v1/staff/jobs",
    operation_id = "list_jobs",
    tag = "jobs",
    extensions(("x-right" = json!("project_read"))),
    security(("staff" = [])),
    params(JobQuery),
    responses(
        (status = 200, description = "A page of jobs", body = Page<JobLine>),
    )
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    who: Who,
    Params(query): Params<JobQuery>,
) -> Result<Json<Page<JobLine>>, ApiError> {
    let limit = query.limit.get();
    let filter = query.filter()?;
    let projects = who.projects(Right::ProjectRead);
    let page = app.ports.jobs.list(&filter, &projects).await?;
    if page.jobs.len() > limit {
        return Ok(Json(Page::cut(page.jobs, limit, |job| job.id)));
    }
    let jobs = page.jobs.into_iter().map(JobLine::from).collect();
    Ok(Json(Page::new(jobs, page.next)))
}

impl JobQuery {
    fn filter(self) -> Result<JobFilter, ApiError> {
        let text = |name: Option<Name>| name.map(|name| name.0);
        let long = |text: Option<Text<512>>| text.map(|text| text.0);
        Ok(JobFilter {
            states: self.state.map(Into::into).into_iter().collect(),
            queue: text(self.queue),
            kind: text(self.kind),
            tag: long(self.tag),
            correlation_id: long(self.correlation_id),
            unique_key: long(self.unique_key),
            tenant: long(self.tenant),
            key: long(self.key),
            error: long(self.error),
            args: self.args.map(|args| contained(&args.0)).transpose()?,
            created_after: self.created_after,
            created_before: self.created_before,
            before: page::key(self.before.as_deref(), |text| text.parse().ok())?,
            limit: self.limit.get() as i64 + 1,
        })
    }
}

/// An object to look for in arguments.
fn contained(text: &str) -> Result<Value, ApiError> {
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Ok(Value::Object(members)),
        _ => Err(catalogue::QUERY_INVALID.with("`args` takes a JSON object, such as {\"run_id\": 7}")),
    }
}

/// Unfinished jobs per queue.
#[utoipa::path(
    get,
    path = "/api/v1/staff/jobs/counts",
    operation_id = "count_jobs",
    tag = "jobs",
    extensions(("x-right" = json!("platform_read"))),
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

/// How many jobs match, up to 100,000, the newest first. Where no index helps it is counted for a part of a second: `next`
/// then leads to the rest, whose number is to be added. `limit` doesn't matter.
#[utoipa::path(
    get,
    path = "/api/v1/staff/jobs/count",
    operation_id = "count_matching_jobs",
    tag = "jobs",
    extensions(("x-right" = json!("project_read"))),
    security(("staff" = [])),
    params(JobQuery),
    responses(
        (status = 200, description = "So many", body = JobCount),
    )
)]
pub(crate) async fn count(
    State(app): State<Arc<App>>,
    who: Who,
    Params(query): Params<JobQuery>,
) -> Result<Json<JobCount>, ApiError> {
    let seen = who.projects(Right::ProjectRead);
    Ok(Json(app.ports.jobs.count(&query.filter()?, &seen).await?.into()))
}

/// One job whole, with its failed attempts.
#[utoipa::path(
    get,
    path = "/api/v1/staff/jobs/{id}",
    operation_id = "show_job",
    tag = "jobs",
    extensions(("x-right" = json!("project_read"))),
    security(("staff" = [])),
    params(("id" = i64, Path, description = "The job")),
    responses(
        (status = 200, description = "The job", body = Job),
    )
)]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    who: Who,
    Id(id): Id<JobId>,
    _: NoParams,
) -> Result<Json<Job>, ApiError> {
    app.ports
        .jobs
        .get(id, &who.projects(Right::ProjectRead))
        .await?
        .map(|job| Json(job.into()))
        .ok_or_else(|| unknown(id))
}

fn unknown(id: JobId) -> ApiError {
    catalogue::NOT_FOUND.with(format!(
        "there is no job {id}; finished jobs are kept for a set time only"
    ))
}
