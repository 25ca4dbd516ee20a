//! Changes of many jobs, by their identifiers or by a filter, with a look ahead.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::JobId;
use domain::access::Right;
use domain::job::{self, JobChange, JobFilter, JobSelection};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::change::run_time;
use super::view::JobState;
use crate::api::author::{Reason, author};
use crate::app::App;
use crate::auth::guard::Who;
use crate::json::Body;
use crate::problem::{ApiError, catalogue};
use crate::query::{Name, NoParams, Text};

/// The most jobs that can be named.
const MOST_IDS: usize = 1_000;

/// What to do to which jobs. Exactly one of `ids`, `filter` and `all` says which.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkWish {
    /// What to do.
    change: BulkChange,
    /// These jobs, at most 1,000.
    ids: Option<Vec<i64>>,
    /// All jobs that match, with at least one condition.
    filter: Option<BulkFilter>,
    /// All jobs in which the change is possible.
    #[serde(default)]
    all: bool,
    /// Why, for the audit: 1 to 500 characters.
    #[schema(value_type = Option<String>)]
    reason: Option<Reason>,
}

/// A change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum BulkChange {
    /// Run dead, cancelled, scheduled or waiting jobs now, with their attempts counted anew.
    Retry {},
    /// End jobs that have not ended; running ones are asked to stop.
    Cancel {},
    /// Remove jobs that do not run.
    Delete {},
    /// Give jobs that are ready or scheduled another time: now, if neither is given.
    Reschedule {
        /// Not before this.
        at: Option<DateTime<Utc>>,
        /// Not before so many milliseconds have passed.
        in_ms: Option<u64>,
    },
    /// Give jobs that are ready, scheduled or waiting another priority.
    Priority {
        /// Lower runs first.
        priority: i16,
    },
}

/// Which jobs; all conditions must hold.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkFilter {
    /// Only in one of these states; those in which the change is possible, if not said.
    #[serde(default)]
    states: Vec<JobState>,
    /// Only in this queue.
    #[schema(value_type = Option<String>)]
    queue: Option<Name>,
    /// Only of this kind.
    #[schema(value_type = Option<String>)]
    kind: Option<Name>,
    /// Only with this tag.
    #[schema(value_type = Option<String>)]
    tag: Option<Text<512>>,
    /// Only with this correlation id.
    #[schema(value_type = Option<String>)]
    correlation_id: Option<Text<512>>,
    /// Only with this unique key.
    #[schema(value_type = Option<String>)]
    unique_key: Option<Text<512>>,
    /// Only of this tenant.
    #[schema(value_type = Option<String>)]
    tenant: Option<Text<512>>,
    /// Only with this key of limits and rates.
    #[schema(value_type = Option<String>)]
    key: Option<Text<512>>,
    /// Only with this text in the last error.
    #[schema(value_type = Option<String>)]
    error: Option<Text<512>>,
    /// Only with arguments that contain this object's members.
    #[schema(value_type = Option<Object>)]
    args: Option<serde_json::Map<String, serde_json::Value>>,
    /// Only enqueued at or after.
    created_after: Option<DateTime<Utc>>,
    /// Only enqueued before.
    created_before: Option<DateTime<Utc>>,
    /// Only with a smaller identifier: where an earlier answer has `stopped`.
    before: Option<i64>,
}

impl From<BulkFilter> for JobFilter {
    fn from(filter: BulkFilter) -> Self {
        let text = |text: Option<Text<512>>| text.map(|text| text.0);
        Self {
            states: filter.states.into_iter().map(Into::into).collect(),
            queue: filter.queue.map(|name| name.0),
            kind: filter.kind.map(|name| name.0),
            tag: text(filter.tag),
            correlation_id: text(filter.correlation_id),
            unique_key: text(filter.unique_key),
            tenant: text(filter.tenant),
            key: text(filter.key),
            error: text(filter.error),
            args: filter.args.map(serde_json::Value::Object),
            created_after: filter.created_after,
            created_before: filter.created_before,
            before: filter.before.map(JobId),
            limit: 0,
        }
    }
}

impl BulkWish {
    /// One mistake must not change everything: a choice without a condition has to be said.
    fn read(self) -> Result<(JobSelection, JobChange), ApiError> {
        let refuse = |why: &'static str| Err(catalogue::BODY_INVALID.with(why));
        let jobs = match (self.ids, self.filter.map(JobFilter::from), self.all) {
            (Some(ids), None, false) if (1..=MOST_IDS).contains(&ids.len()) => {
                JobSelection::Ids(ids.into_iter().map(JobId).collect())
            }
            (Some(_), None, false) => return refuse("`ids` names 1 to 1,000 jobs"),
            (None, Some(filter), false) if filter != JobFilter::default() => JobSelection::Matching(filter),
            (None, Some(_), false) => return refuse("a filter has at least one condition; or say `all`"),
            (None, None, true) => JobSelection::Matching(JobFilter::default()),
            _ => return refuse("give one of `ids`, `filter` and `all`"),
        };
        let change = match self.change {
            BulkChange::Retry {} => JobChange::Retry,
            BulkChange::Cancel {} => JobChange::Cancel,
            BulkChange::Delete {} => JobChange::Delete,
            BulkChange::Reschedule { at, in_ms } => JobChange::Reschedule(run_time(at, in_ms)?),
            BulkChange::Priority { priority } => JobChange::Priority(priority),
        };
        Ok((jobs, change))
    }
}

/// How many jobs a change would find.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkPreview {
    /// So many were found.
    count: i64,
    /// There may be more: it was counted no further.
    at_least: bool,
}

/// What became of a change of many.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkDone {
    /// Jobs changed.
    done: u64,
    /// Running jobs that were asked to stop.
    requested: u64,
    /// Jobs left as they were, by reason.
    refused: Vec<BulkRefused>,
    /// It stopped early: `filter.before` of a call that goes on from there. The same call again does the rest too.
    stopped_before: Option<i64>,
}

/// Jobs left as they were.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkRefused {
    /// Their state, or what was in the way.
    reason: String,
    /// How many.
    count: u64,
}

impl From<job::JobsChanged> for BulkDone {
    fn from(changed: job::JobsChanged) -> Self {
        let refused = changed.refused.into_iter();
        Self {
            done: changed.done,
            requested: changed.requested,
            refused: refused
                .map(|(reason, count)| BulkRefused { reason, count })
                .collect(),
            stopped_before: changed.stopped.map(|stopped| stopped.before.0),
        }
    }
}

/// Counts what the same body would change, up to 100,000; changes nothing. Members find their projects' jobs only.
#[utoipa::path(
    post,
    path = "/api/v1/staff/jobs/bulk/preview",
    operation_id = "preview_jobs",
    tag = "jobs",
    extensions(("x-right" = json!("project_write"))),
    security(("staff" = [])),
    request_body = BulkWish,
    responses(
        (status = 200, description = "How many it would find", body = BulkPreview),
    )
)]
pub(crate) async fn preview(
    State(app): State<Arc<App>>,
    who: Who,
    _: NoParams,
    Body(bulk): Body<BulkWish>,
) -> Result<Json<BulkPreview>, ApiError> {
    let (jobs, change) = bulk.read()?;
    let own = who.projects(Right::ProjectWrite);
    let preview = app.ports.jobs.preview(&jobs, change, &own).await?;
    Ok(Json(BulkPreview {
        count: preview.count,
        at_least: preview.at_least,
    }))
}

/// Changes many jobs, the newest first, a thousand in a transaction together with their audit; members those of projects
/// in which they may change jobs. What is done stays done when the answer fails or takes too long: the same call again does the rest.
#[utoipa::path(
    post,
    path = "/api/v1/staff/jobs/bulk",
    operation_id = "change_jobs",
    tag = "jobs",
    extensions(("x-right" = json!("project_write"))),
    security(("staff" = [])),
    request_body = BulkWish,
    responses(
        (status = 200, description = "What became of it", body = BulkDone),
    )
)]
pub(crate) async fn apply(
    State(app): State<Arc<App>>,
    who: Who,
    _: NoParams,
    Body(mut bulk): Body<BulkWish>,
) -> Result<Json<BulkDone>, ApiError> {
    let by = author(&who, bulk.reason.take());
    let (jobs, change) = bulk.read()?;
    let own = who.projects(Right::ProjectWrite);
    let changed = app.ports.jobs.apply(&jobs, change, &own, &by).await?;
    if let Some(stopped) = &changed.stopped {
        tracing::warn!(error = stopped.error, "a change of many jobs stopped early");
    }
    Ok(Json(changed.into()))
}
