//! What people changed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::JobId;
use domain::audit::{self, AuditFilter, AuditPlace};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::page::{self, Page};
use crate::app::App;
use crate::problem::ApiError;
use crate::query::{Limit, Name, Params, Text};

/// Which changes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// Only of this person (the e-mail address) or agent.
    #[param(value_type = Option<String>)]
    actor: Option<Text<254>>,
    /// Only this action, such as `job.retry`, `queue.pause` or `access.role_changed`.
    #[param(value_type = Option<String>)]
    action: Option<Name>,
    /// Only of this subject, as in an entry.
    #[param(value_type = Option<String>)]
    subject: Option<Text<512>>,
    /// Only what changed this job.
    job: Option<i64>,
    /// Only at or after.
    since: Option<DateTime<Utc>>,
    /// Only before.
    until: Option<DateTime<Utc>>,
    /// The `next` of an earlier page.
    before: Option<String>,
    /// 1 to 200, 50 if not said.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Limit<200>,
}

/// One change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditEntry {
    /// Names it, among all.
    id: String,
    /// When.
    at: DateTime<Utc>,
    /// Who.
    actor: String,
    /// A dotted name: `job.retry`, `queue.pause`, `access.role_changed`, `project.created`.
    action: String,
    /// What was changed, such as `queue mail` or `user-7`; null for jobs, which are named by number.
    subject: Option<String>,
    /// The subject as people know it, where it has another name.
    subject_name: Option<String>,
    /// How it stood; null where it was not there, or where there is nothing to say.
    #[schema(value_type = Option<Object>)]
    before: Option<serde_json::Value>,
    /// How it stands since; null where it is gone.
    #[schema(value_type = Option<Object>)]
    after: Option<serde_json::Value>,
    /// What else there is to know.
    #[schema(value_type = Option<Object>)]
    data: Option<serde_json::Value>,
    /// Why, where it was said.
    reason: Option<String>,
    /// Jobs that were changed: the first twenty.
    job_ids: Vec<i64>,
    /// How many jobs were changed.
    affected: i64,
    /// The run that it belongs to.
    run_id: Option<i64>,
    /// Ties it to its cause.
    correlation_id: Option<String>,
}

impl From<audit::AuditEntry> for AuditEntry {
    fn from(entry: audit::AuditEntry) -> Self {
        Self {
            id: entry.id,
            at: entry.at,
            actor: entry.actor,
            action: entry.action,
            subject: entry.subject,
            subject_name: entry.subject_name,
            before: entry.before,
            after: entry.after,
            data: entry.data,
            reason: entry.reason,
            job_ids: entry.jobs.into_iter().map(|job| job.0).collect(),
            affected: entry.affected,
            run_id: entry.run.map(|run| run.0),
            correlation_id: entry.correlation_id,
        }
    }
}

/// What people changed, newest first: access, projects, jobs, queues, schedules, replays.
#[utoipa::path(
    get,
    path = "/api/v1/staff/audit",
    operation_id = "list_audit",
    tag = "audit",
    extensions(("x-right" = json!("platform_read"))),
    security(("staff" = [])),
    params(AuditQuery),
    responses(
        (status = 200, description = "A page of changes", body = Page<AuditEntry>),
    )
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Params(query): Params<AuditQuery>,
) -> Result<Json<Page<AuditEntry>>, ApiError> {
    let place = page::key(query.before.as_deref(), |text| {
        let (queue, platform) = text.split_once(',')?;
        Some(AuditPlace {
            queue: queue.parse().ok()?,
            platform: platform.parse().ok()?,
        })
    })?;
    let filter = AuditFilter {
        actor: query.actor.map(|actor| actor.0),
        action: query.action.map(|action| action.0),
        subject: query.subject.map(|subject| subject.0),
        job: query.job.map(JobId),
        since: query.since,
        until: query.until,
    };
    let limit = query.limit.get() as i64;
    let place = place.unwrap_or(AuditPlace::NEWEST);
    let page = app.ports.staff.audit.entries(&filter, place, limit).await?;
    let next = page
        .next
        .map(|place| format!("{},{}", place.queue, place.platform));
    let items = page.entries.into_iter().map(AuditEntry::from).collect();
    Ok(Json(Page::new(items, next)))
}
